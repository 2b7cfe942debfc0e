"""Mixed precision: which ops compute in what, and loss scaling, against torch.autocast and GradScaler."""

import ml_dtypes
import numpy as np
import pytest
import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp import layers as L
from tensorflowlite_bp.errors import DTypeError
from tensorflowlite_bp.optimizers import SGD, Adam, Adamax, Nadam
from tensorflowlite_bp.optimizers.loss_scale import DynamicLossScale
from tensorflowlite_bp.testing import fake_cupy

DTYPES = ["float16", "bfloat16"]
BITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def arrays(*shapes):
    r = np.random.default_rng(0)
    return [r.normal(size=s).astype(np.float32) for s in shapes]


# ------------------------------------------------------------------ the lists
NARROW = {
    "matmul": (lambda x, y: x @ y, lambda x, y: x @ y, (3, 4), (4, 5)),
    "batched matmul": (bp.matmul, torch.matmul, (2, 3, 4), (2, 4, 5)),
    "einsum": (
        lambda x, y: bp.einsum("ij,jk->ik", x, y),
        lambda x, y: torch.einsum("ij,jk->ik", x, y),
        (3, 4),
        (4, 5),
    ),
    "linear": (bp.nn.linear, lambda x, y: torch.nn.functional.linear(x, y.T), (3, 4), (4, 5)),
    "conv": (
        bp.nn.conv,
        lambda x, y: torch.nn.functional.conv1d(x.mT, y.permute(2, 1, 0)).mT,
        (2, 8, 4),
        (3, 4, 5),
    ),
    "attention": (
        lambda x, y: bp.nn.scaled_dot_product_attention(x, y, y),
        lambda x, y: torch.nn.functional.scaled_dot_product_attention(x, y, y),
        (2, 3, 5, 4),
        (2, 3, 6, 4),
    ),
    "lstm": (
        lambda x, w: bp.nn.lstm(x, w, np.zeros((2, 8), np.float32))[0],
        lambda x, w: torch.lstm(
            x, (torch.zeros(1, 3, 2),) * 2, [w.T, torch.zeros(8, 2)], False, 1, 0.0, True, False, True
        )[0],
        (3, 5, 4),
        (4, 8),
    ),
    "simple_rnn": (
        lambda x, w: bp.nn.simple_rnn(x, w, np.zeros((2, 2), np.float32))[0],
        lambda x, w: torch.rnn_tanh(
            x, torch.zeros(1, 3, 2), [w.T, torch.zeros(2, 2)], False, 1, 0.0, True, False, True
        )[0],
        (3, 5, 4),
        (4, 2),
    ),
}  # fmt: skip
WIDE = {
    "sum": lambda x: bp.sum(x, -1),
    "mean": bp.mean,
    "var": bp.var,
    "prod": bp.prod,
    "cumsum": lambda x: bp.cumsum(x, 0),
    "norm": bp.numpy.linalg.norm,
    "exp": bp.exp,
    "log": lambda x: bp.log(abs(x)),
    "softmax": bp.nn.softmax,
    "log_softmax": bp.nn.log_softmax,
    "logsumexp": lambda x: bp.logsumexp(x, -1),
    "softplus": bp.nn.softplus,
    "cross entropy": lambda x: bp.nn.softmax_cross_entropy(x, np.zeros(x.shape[0], int)),
    "sigmoid cross entropy": lambda x: bp.nn.sigmoid_cross_entropy(x, np.zeros(x.shape, np.float32)),
    "layer_norm": bp.nn.layer_norm,
    "rms_norm": bp.nn.rms_norm,
    "group_norm": lambda x: bp.nn.group_norm(x, 2),
    "batch_norm": lambda x: bp.nn.batch_norm(x, None, None, np.zeros(4), np.ones(4), training=True)[0],
}


@each_dtype
@pytest.mark.parametrize("name", NARROW)
def test_products_are_torchs(name, dtype):
    if (name, dtype) == ("lstm", "float16"):
        pytest.skip("torch's oneDNN has no LSTM in float16 on the CPU")
    ours, theirs, *shapes = NARROW[name]
    x, y = arrays(*shapes)
    a, b = bp.tensor(x, requires_grad=True), bp.tensor(y, requires_grad=True)
    c, d = torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)
    with bp.mixed_precision(dtype):
        out = ours(a, b)
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        want = theirs(c, d)
    assert (out.dtype.name, str(want.dtype)) == (dtype, f"torch.{dtype}")
    out.astype("float32").sum().backward()
    want.float().sum().backward()
    close = dict(rtol=4 * BITS[dtype], atol=16 * BITS[dtype])
    np.testing.assert_allclose(out.numpy().astype(np.float32), want.detach().float(), **close)
    for mine, other in ((a, c), (b, d)):
        assert mine.grad.dtype == np.float32
        np.testing.assert_allclose(mine.grad.numpy(), other.grad, **close)


@each_dtype
@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_steps_accumulate_in_float32(dtype, reset_after):
    """Layers as torch's on a GPU (autocast's list has lstm, gru and rnn): 16-bit arrays in and out."""
    x, w, u = arrays((3, 6, 4), (4, 9), (3, 9))
    ours = [bp.tensor(a, requires_grad=True) for a in (x, w, u)]
    with bp.mixed_precision(dtype):
        out, h = bp.nn.gru(*ours, reset_after=reset_after)
        assert (out.dtype.name, h.dtype.name) == (dtype, dtype)
    exact = [bp.tensor(bp.asarray(a).astype(dtype).astype("float32"), requires_grad=True) for a in (x, w, u)]
    want = bp.nn.gru(*exact, reset_after=reset_after)[0]
    out.astype("float32").sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(out.numpy().astype(np.float32), want.numpy(), rtol=BITS[dtype], atol=1e-6)
    for a, b in zip(ours, exact, strict=True):
        assert a.grad.dtype == np.float32
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=4 * BITS[dtype], atol=4 * BITS[dtype])


@each_dtype
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_chunked_loss_is_torchs(dtype, small, reduction):
    x, w, b = arrays((7, 4), (4, 5), (5,))
    y, lower = np.arange(7) % 5, getattr(torch, dtype)
    ours = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    with bp.mixed_precision(dtype):
        at = ours[0].astype(dtype) if small else ours[0]
        out = bp.nn.linear_softmax_cross_entropy(at, *ours[1:], y, reduction=reduction)
    with torch.autocast("cpu", dtype=lower):
        at = theirs[0].to(lower) if small else theirs[0]
        logits = torch.nn.functional.linear(at, theirs[1].T, theirs[2])
        want = torch.nn.functional.cross_entropy(logits, torch.tensor(y), reduction=reduction)
    assert (out.dtype.name, str(want.dtype)) == ("float32", "torch.float32")
    np.testing.assert_allclose(out.numpy(), want.detach(), rtol=1e-6)
    out.sum().backward()
    want.sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.grad.dtype == np.float32
        np.testing.assert_allclose(
            mine.grad.numpy(), other.grad, rtol=4 * BITS[dtype], atol=8 * BITS[dtype]
        )  # torch rounds the gradients of the weights to 16 bits


@each_dtype
def test_the_chunked_loss_differentiates_twice(dtype):
    x, w = arrays((3, 4), (4, 5))

    def loss(x, w):
        with bp.mixed_precision(dtype):
            return bp.nn.linear_softmax_cross_entropy(x, w, None, np.array([0, 4, 2]))

    slope = bp.grad(lambda x: bp.sum(bp.grad(loss)(x, bp.asarray(w)) ** 2))(bp.asarray(x))
    exact = bp.grad(
        lambda x: bp.sum(
            bp.grad(lambda x: bp.nn.linear_softmax_cross_entropy(x, w, None, np.array([0, 4, 2])))(x) ** 2
        )
    )(bp.asarray(x))
    assert slope.dtype == np.float32
    np.testing.assert_allclose(slope.numpy(), exact.numpy(), rtol=64 * BITS[dtype], atol=32 * BITS[dtype])


@each_dtype
@pytest.mark.parametrize("name", WIDE)
def test_what_computes_in_float32(name, dtype):
    (x,) = arrays((6, 4))
    small = bp.tensor(x).astype(dtype)
    with bp.mixed_precision(dtype):
        out = WIDE[name](small)
    assert out.dtype == np.float32
    want = WIDE[name](small.astype("float32"))
    np.testing.assert_array_equal(out.numpy(), want.numpy())


@each_dtype
def test_what_is_on_neither_list(dtype):
    small, large = bp.ones((2, 2), dtype=dtype), bp.ones((2, 2), dtype="float32")
    with bp.mixed_precision(dtype):
        assert bp.nn.relu(small).dtype == small.dtype
        assert (small + large).dtype == np.float32
        assert (bp.ones((2, 2), dtype="float64") @ bp.ones((2, 2), dtype="float64")).dtype == np.float64
        assert (bp.ones((2, 2), dtype="int64") @ bp.ones((2, 2), dtype="int64")).dtype == np.int64


def test_an_overflow_is_no_warning():
    x = bp.tensor(np.full((2, 2), 300, np.float32), requires_grad=True)
    with bp.mixed_precision("float16"):
        out = x @ x
        assert np.isinf(out.numpy()).all()
        bp.sum(out - out).backward()
    with pytest.warns(RuntimeWarning, match="overflow"):
        np.full(2, 1e6, np.float32).astype(np.float16)


def test_where_it_is_on():
    x = bp.ones((2, 2), dtype="float32")
    product = lambda: (x @ x).dtype.name
    with bp.mixed_precision("bfloat16"):
        assert product() == "bfloat16"
        with bp.mixed_precision("float32"):
            assert product() == "float32"
        with bp.no_grad(), bp.mixed_precision(np.float16):
            assert product() == "float16"
        assert product() == "bfloat16"
    assert product() == "float32"
    assert bp.mixed_precision(ml_dtypes.bfloat16)(product)() == "bfloat16"
    bp.set_mixed_precision("mixed_float16")
    assert product() == "float16"
    bp.set_mixed_precision(None)
    assert product() == "float32"
    with pytest.raises(DTypeError, match='"bfloat16", "float16"'):
        bp.mixed_precision("int8")


# ------------------------------------------------------------------ loss scaling
GRADIENTS = [1.0, 2.0, np.inf, 1.0, 1.0, 1.0, np.nan, np.nan, 3.0, 1.0, 1.0, 1.0, 1.0]
SCALER = {"growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3}


def torch_run(make, clip=None):
    """(weights, scales) after each step of torch's GradScaler."""
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = make([w])
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, **SCALER)
    found = []
    for g in GRADIENTS:
        scaler.scale((w * torch.tensor([0.5, 1.0, g])).sum()).backward()
        if clip:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([w], clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        found.append((w.detach().numpy().copy(), scaler.get_scale()))
    return found


def our_run(optimizer, to_host=np.asarray):
    w = bp.layers.Variable(bp.backend.current().ones(3, np.float32), name="w")
    optimizer.build([w])
    found = []
    for g in GRADIENTS:
        factor = bp.tensor(bp.backend.current().asarray(np.array([0.5, 1.0, g], np.float32)))
        before = fake_cupy.machine.counts.syncs
        optimizer.scale_loss((w * factor).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        assert fake_cupy.machine.counts.syncs == before
        found.append((w.numpy().copy(), float(optimizer.loss_scale.scale)))
    return found


DYNAMIC = {"initial_scale": 8.0, **SCALER}
PAIRS = {
    "sgd": (lambda **how: SGD(0.1, **how), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        lambda **how: SGD(0.1, momentum=0.9, **how),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    ),
    "adam": (lambda **how: Adam(0.1, epsilon=1e-12, **how), lambda p: torch.optim.Adam(p, 0.1, eps=1e-12)),
    "adamax": (
        lambda **how: Adamax(0.1, epsilon=1e-12, **how),
        lambda p: torch.optim.Adamax(p, 0.1, eps=1e-12),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_steps_skipped_and_scales_are_torchs(name):
    ours, theirs = PAIRS[name]
    found, want = our_run(ours(loss_scale_factor=DYNAMIC)), torch_run(theirs)
    assert [scale for _, scale in found] == [scale for _, scale in want]
    for (mine, _), (other, _) in zip(found, want, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


def test_clipping_is_torchs():
    found = our_run(SGD(0.1, global_clipnorm=0.5, loss_scale_factor=DYNAMIC))
    want = torch_run(lambda p: torch.optim.SGD(p, 0.1), clip=0.5)
    for (mine, scale), (other, wanted) in zip(found, want, strict=True):
        assert scale == wanted
        np.testing.assert_allclose(mine, other, rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda **how: SGD(0.1, momentum=0.9, **how),
        lambda **how: Adam(0.1, **how),
        lambda **how: Adam(0.1, weight_decay=0.1, global_clipnorm=0.5, **how),
        lambda **how: SGD(0.1, clipnorm=0.5, **how),
        lambda **how: SGD(0.1, clipvalue=0.7, **how),
        lambda **how: bp.optimizers.RMSprop(0.1, **how),
        lambda **how: bp.optimizers.Lion(0.1, **how),
        lambda **how: bp.optimizers.Adagrad(0.1, **how),
    ],
)
def test_on_a_gpu_nothing_waits(make):
    want = our_run(make(loss_scale_factor=DYNAMIC))
    with fake_cupy.installed(current=True):
        found = our_run(make(loss_scale_factor=DYNAMIC))
    for (mine, scale), (other, wanted) in zip(found, want, strict=True):
        assert scale == wanted
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_nadam_counts_what_was_not_skipped():
    scaled = our_run(Nadam(0.1, loss_scale_factor=DYNAMIC))
    finite = [g for g in GRADIENTS if np.isfinite(g)]
    w = bp.layers.Variable(np.ones(3, np.float32), name="w")
    optimizer = Nadam(0.1).build([w])
    for g in finite:
        (w * bp.tensor(np.array([0.5, 1.0, g], np.float32))).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_allclose(scaled[-1][0], w.numpy(), rtol=1e-5)


def test_the_scale_stays_a_float32():
    scale = DynamicLossScale(initial_scale=2.0**127, growth_interval=1)
    scale.examine([np.ones(2, np.float32)])
    assert float(scale.scale) == 2.0**127
    with pytest.raises(ValueError, match="backoff_factor < 1"):
        DynamicLossScale(backoff_factor=1.0)


# ------------------------------------------------------------------ fit
def model(**how):
    bp.random.seed(3)
    net = bp.models.Sequential(
        [
            L.Conv2D(4, 3, padding="same", use_bias=False, input_shape=(6, 6, 2)),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Flatten(),
            L.Dense(16, activation="gelu"),
            L.Dropout(0.2),
            L.Dense(3, activation="softmax"),
        ]
    )
    net.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], **how)
    return net


def data():
    r = np.random.default_rng(1)
    y = r.integers(0, 3, 64)
    return (r.normal(size=(64, 6, 6, 2)) + y[:, None, None, None]).astype(np.float32), y


def trained(**how):
    net, (x, y) = model(**how), data()
    history = net.fit(x, y, batch_size=16, epochs=4, verbose=0).history
    return net, history, net.predict(x, verbose=0)


@each_dtype
def test_fit(dtype):
    net, history, out = trained(mixed_precision=dtype)
    _, want, _ = trained()
    np.testing.assert_allclose(history["loss"], want["loss"], rtol=0.05)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert {w.dtype.name for w in net.weights} == {"float32"}
    assert {v.dtype.name for v in net.optimizer.variables if v.ndim} == {"float32"}
    assert out.dtype == np.float32
    assert (net.optimizer.loss_scale is not None) == (dtype == "float16")
    assert bp.backend.current().name == "numpy"


@each_dtype
def test_fit_on_a_gpu(dtype):
    _, want, _ = trained(mixed_precision=dtype)
    with fake_cupy.installed(current=True):
        _, history, out = trained(mixed_precision=dtype)
    np.testing.assert_allclose(history["loss"], want["loss"], rtol=0.05)
    assert out.shape == (64, 3)


def test_fit_inside_the_context():
    with bp.mixed_precision("float16"):
        net, history, _ = trained()
    assert net.optimizer.loss_scale_factor == "dynamic"
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert trained(mixed_precision="float16")[1] == history


def test_saving_keeps_float32_and_the_scale(tmp_path):
    net, _, out = trained(mixed_precision="float16")
    net.optimizer.loss_scale.scale.assign(np.float64(512.0))
    net.save(tmp_path / "m.bp")
    again = bp.saving.load_model(tmp_path / "m.bp")
    for mine, other in zip(again.weights, net.weights, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
    assert float(again.optimizer.loss_scale.scale) == 512.0
    x, y = data()
    np.testing.assert_array_equal(again.predict(x, verbose=0), out)
    runs = []
    for m in (net, again):
        bp.random.seed(9)  # dropout's
        runs.append(m.fit(x, y, shuffle=False, verbose=0).history)
    assert runs[0] == runs[1]
