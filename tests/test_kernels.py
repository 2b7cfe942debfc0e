"""The compiled kernels against NumPy in float64 and torch, for every instruction set and thread count."""

import gc
import itertools
import os
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

torch = pytest.importorskip("torch")

ISAS = native.isas()
FLOATS = [np.float32, np.float64]
SIZES = [1, 7, 63, 64, 65, 1000, 33000]
NONE, MEAN, SUM = 0, 1, 2
TORCH_REDUCTION = {NONE: "none", MEAN: "mean", SUM: "sum"}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def close(got, want, dtype, factor=1.0, terms=1e-30):
    """Within a few roundings of the largest reference, or of the terms that cancel in it."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == dtype
    assert got.shape == want.shape
    eps = np.finfo(dtype).eps
    scale = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    np.testing.assert_allclose(got, want, rtol=30 * factor * eps, atol=8 * factor * eps * max(scale, terms))


def same_bits(a, b):
    if isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            same_bits(x, y)
    elif a is None or isinstance(a, float | bool):
        assert a == b
    else:
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def t64(x, grad=False):
    return torch.tensor(np.asarray(x, np.float64), requires_grad=grad)


# --------------------------------------------------------------------------------------- cross-entropy
def torch_cross_entropy(x, y, weight, ignore, smoothing, reduction):
    """Loss and gradient in float64 (the gradient of the sum for "none")."""
    logits = t64(x, grad=True)
    loss = torch.nn.functional.cross_entropy(
        logits,
        torch.tensor(np.asarray(y, np.int64)),
        weight=None if weight is None else t64(weight),
        ignore_index=-100 if ignore is None else ignore,
        label_smoothing=smoothing,
        reduction=TORCH_REDUCTION[reduction],
    )
    loss.sum().backward()
    return loss.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        (1, 1),
        (5, 1),
        (1, 2),
        (31, 3),
        (32, 10),
        (33, 10),
        (128, 10),
        (7, 32),
        (7, 33),
        (5, 63),
        (5, 64),
        (5, 65),
        (130, 257),
    ]
    + [(3, 1000), (2, 33000), (2, 540001)],
)
def test_cross_entropy_matches_torch(isa, rng, dtype, rows, classes):
    x = (rng.normal(size=(rows, classes)) * 3).astype(dtype)
    y = rng.integers(0, classes, rows)
    w = rng.uniform(0.2, 2, classes).astype(dtype)
    full = rows * classes < 5000
    for weight, ignore, smoothing, reduction in itertools.product(
        [None, w], [None, int(y[0])], [0.0, 0.1], [NONE, MEAN, SUM] if full else [MEAN]
    ):
        if reduction == MEAN and ignore is not None and (y == ignore).all():
            continue  # nan: its own test
        loss, grad = native.softmax_cross_entropy(x, y, weight, ignore, smoothing, reduction, True)
        want, want_grad = torch_cross_entropy(x, y, weight, ignore, smoothing, reduction)
        close(loss, want, dtype, factor=4)
        # torch itself is 9e-13 off here with label smoothing over 140,000 classes in float64.
        factor = 4 if dtype == np.float32 else 100
        close(grad, want_grad, dtype, factor=factor, terms=1.0 if reduction != MEAN else 1 / rows)
        only, nothing = native.softmax_cross_entropy(x, y, weight, ignore, smoothing, reduction, False)
        assert nothing is None
        close(only, want, dtype, factor=4)


def test_cross_entropy_batch_axes_and_int32(rng):
    x = rng.normal(size=(2, 3, 5)).astype(np.float32)
    y = rng.integers(0, 5, (2, 3))
    loss, grad = native.softmax_cross_entropy(x, y, None, None, 0.0, NONE, True)
    assert loss.shape == (2, 3)
    assert grad.shape == x.shape
    flat = native.softmax_cross_entropy(x.reshape(6, 5), y.reshape(6), None, None, 0.0, NONE, True)
    same_bits(loss.reshape(6), flat[0])
    same_bits(native.softmax_cross_entropy(x, y.astype(np.int32), None, None, 0.0, NONE, True), (loss, grad))
    one = native.softmax_cross_entropy(x[0, 0], np.array(2), None, None, 0.0, MEAN, True)
    close(one[0], torch_cross_entropy(x[0, :1], [2], None, None, 0.0, MEAN)[0], np.float32)


def test_cross_entropy_nothing_to_average():
    x, y = np.zeros((3, 4), np.float32), np.array([1, 1, 1])
    loss, grad = native.softmax_cross_entropy(x, y, None, 1, 0.0, MEAN, True)
    assert np.isnan(loss)  # as torch: 0 / 0
    assert not grad.any()
    loss, grad = native.softmax_cross_entropy(x[:0], y[:0], None, None, 0.0, MEAN, True)
    assert np.isnan(loss)
    assert grad.shape == (0, 4)
    loss, _ = native.softmax_cross_entropy(x[:0], y[:0], None, None, 0.0, SUM, True)
    assert loss == 0


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [4, 40, 540001])
def test_cross_entropy_extreme_logits(isa, dtype, classes):
    big = np.finfo(dtype).max / 4
    rows = np.zeros((6, classes), dtype)
    rows[0, 1] = big
    rows[1, 1] = -big
    rows[2, 1] = -np.inf  # a masked class
    rows[3, :] = -np.inf  # a masked row
    rows[4, 1] = np.inf
    rows[5, 2] = np.nan
    y = np.zeros(6, np.int64)
    loss, grad = native.softmax_cross_entropy(rows, y, None, None, 0.0, NONE, True)
    want, want_grad = torch_cross_entropy(rows, y, None, None, 0.0, NONE)
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    np.testing.assert_allclose(grad, want_grad, rtol=1e-4, atol=1e-7)
    rows[2, 1:] = -np.inf
    loss, grad = native.softmax_cross_entropy(rows[2:3], y[:1], None, None, 0.0, MEAN, True)
    assert loss == 0
    assert not grad.any()  # exactly: a masked class has no probability


def test_cross_entropy_ignored_row_of_nan_has_no_gradient():
    for classes in (4, 40):
        x = np.full((2, classes), np.nan, np.float32)
        x[1] = 0
        _, grad = native.softmax_cross_entropy(x, np.array([-100, 1]), None, -100, 0.0, MEAN, True)
        assert not grad[0].any()
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_cross_entropy_label_out_of_range(bad):
    x, y = np.zeros((3, 5), np.float32), np.array([0, bad, 4])
    with pytest.raises(
        ValueError,
        match=rf"(?s)\[softmax_cross_entropy\] labels must be in \[0, 5\).*label {bad} at position 1.*Hint",
    ):
        native.softmax_cross_entropy(x, y, None, None, 0.0, MEAN, True)


def test_cross_entropy_loss_is_exact_over_many_rows(rng):
    x = rng.normal(size=(200_000, 3)).astype(np.float32)
    y = rng.integers(0, 3, len(x))
    loss, _ = native.softmax_cross_entropy(x, y, None, None, 0.0, MEAN, False)
    assert abs(float(loss) / torch_cross_entropy(x, y, None, None, 0.0, MEAN)[0] - 1) < 2e-7


def test_unsuitable_inputs_give_none(rng):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    y = rng.integers(0, 6, 4)

    def ce(x, y, weight=None):
        return native.softmax_cross_entropy(x, y, weight, None, 0.0, MEAN, True)

    class Sub(np.ndarray):
        pass

    raw = np.zeros(4 * 6 * 4 + 1, np.uint8)
    misaligned = raw[1:].view(np.float32).reshape(4, 6)
    unsuitable = [
        x.T.copy().T,
        x[:, ::2],
        x.astype(np.float16),
        x.astype(">f4"),
        misaligned,
        x.view(Sub),
        x.tolist(),
        None,
        x.astype(int),
    ]
    for bad in unsuitable:
        assert ce(bad, y) is None
        assert native.softmax(bad, False) is None
        assert native.softmax_backward(bad, bad, False) is None
        assert native.sigmoid_cross_entropy(bad, bad, True) is None
        assert native.batch_norm_forward(bad, None, None, 1e-3, -1) is None
        assert native.sum_of_squares([bad]) is None
        assert native.sgd_step([x, bad], [x, bad], None, 0.1, 0.0, False, 0.0, 1.0) is None
    for bad in [
        y.astype(np.int16),
        y.astype(np.uint64),
        y.astype(float),
        y[:3],
        y[:, None],
        np.repeat(y, 2)[::2],
    ]:
        assert ce(x, bad) is None
    for bad in [np.ones(5, np.float32), np.ones(6), np.ones((1, 6), np.float32)]:
        assert ce(x, y, bad) is None
    assert native.softmax(np.float32(3), False) is None
    assert native.softmax(np.array(3.0), False) is None
    assert native.batch_norm_forward(x, None, None, 1e-3, 2) is None
    assert native.batch_norm_forward(x[:0], None, None, 1e-3, 1) is None
    assert native.philox_uniform(3, 0, 0, np.float16) is None


# -------------------------------------------------------------------------- sigmoid, softmax, accuracy
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, *SIZES])
def test_sigmoid_cross_entropy(isa, rng, dtype, n):
    x = (rng.normal(size=n) * 5).astype(dtype)
    y = rng.uniform(size=n).astype(dtype)
    loss, grad = native.sigmoid_cross_entropy(x, y, True)
    tx = t64(x, grad=True)
    want = torch.nn.functional.binary_cross_entropy_with_logits(tx, t64(y), reduction="none")
    want.sum().backward()
    close(loss, want.detach().numpy(), dtype)
    close(grad, tx.grad.numpy(), dtype)
    only, nothing = native.sigmoid_cross_entropy(x, y, False)
    assert nothing is None
    close(only, want.detach().numpy(), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_cross_entropy_keeps_small_losses(isa, dtype):
    x = np.array([-1000, -80, -30, -1e-3, 0, 1e-3, 30, 80, 1000, np.inf, np.nan], dtype)
    loss, grad = native.sigmoid_cross_entropy(x, np.zeros_like(x), True)
    wide = x.astype(np.longdouble)
    with np.errstate(over="ignore"):
        want = np.log1p(np.exp(wide))
        want = np.where(wide > 100, wide, want)
        slope = 1 / (1 + np.exp(-wide))
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(loss[:-2], want[:-2], rtol=5 * np.finfo(dtype).eps, atol=tiny)
    np.testing.assert_allclose(grad[:-2], slope[:-2], rtol=5 * np.finfo(dtype).eps, atol=tiny)
    assert np.isnan(loss[-1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("classes", [*SIZES, 10, 540001])
def test_softmax_and_backward(isa, rng, dtype, log, classes):
    rows = 35 if classes < 2000 else 3
    x = (rng.normal(size=(rows, classes)) * 4).astype(dtype)
    g = rng.normal(size=x.shape).astype(dtype)
    out = native.softmax(x, log)
    tx = t64(x, grad=True)
    want = (torch.log_softmax if log else torch.softmax)(tx, -1)
    close(out, want.detach().numpy(), dtype, factor=4)
    want.backward(t64(g))
    close(native.softmax_backward(g, out, log), tx.grad.numpy(), dtype, factor=40 if log else 4)


def test_softmax_of_masked_rows(isa):
    for classes in (3, 40, 540001):
        x = np.zeros((2, classes), np.float32)
        x[0, 1:] = -np.inf
        x[1] = -np.inf
        out = native.softmax(x, False)
        assert out[0, 0] == 1
        assert not out[0, 1:].any()
        assert np.isnan(out[1]).all()  # as torch
        assert native.softmax(x, True)[0, 0] == 0


def test_softmax_empty():
    assert native.softmax(np.zeros((0, 3), np.float32), False).shape == (0, 3)
    assert native.softmax(np.zeros((3, 0), np.float32), True).shape == (3, 0)


@pytest.mark.parametrize(("dtype", "low", "ulps"), [(np.float32, -87.3, 2.5), (np.float64, -708.3, 2.5)])
def test_exponential_within_ulps(isa, dtype, low, ulps):
    """softmax([0, x]) shows exp(x) / (1 + exp(x)); log-softmax of a far class shows x itself."""
    x = np.linspace(low, 0, 100_001).astype(dtype)
    out = native.softmax(np.stack([np.zeros_like(x), x], 1), False)[:, 1]
    wide = np.exp(x.astype(np.longdouble))
    error = np.abs(out.astype(np.longdouble) / (wide / (1 + wide)) - 1) / np.finfo(dtype).eps
    assert error.max() < ulps


# ------------------------------------------------------------------------------------------ batch norm
NORM_SHAPES = [
    ((1, 1), 1),
    ((1, 3), 1),
    ((5, 1), 1),
    ((7, 3), -1),
    ((2, 10), 1),
    ((64, 63), 1),
    ((65, 64), 1),
    ((33, 65), 1),
    ((1000, 7), 1),
    ((129, 1000), 1),
    ((3, 20000), 1),
    ((33000, 1), 1),
    ((5,), 0),
    ((4, 5, 6, 3), 3),
    ((8, 31, 33, 5), 3),
    ((4, 3, 5, 6), 1),
    ((2, 17, 65), 1),
    ((3, 2, 33000), 1),
    ((40, 3, 100, 100), 1),
    ((6, 20, 30, 31), 1),
    ((9, 43, 11, 13), 1),
    ((6, 4, 5), 0),
]


def torch_batch_norm(x, g, weight, bias, eps, axis):
    """In float64, channels moved to axis 1."""

    def flat(a):
        return np.moveaxis(a.reshape(a.shape if a.ndim > 1 else (1, -1)), axis if a.ndim > 1 else 1, -1)

    xs = flat(x)
    c = xs.shape[-1]
    tx, tw, tb = t64(xs.reshape(-1, c), grad=True), t64(weight, grad=True), t64(bias, grad=True)
    mean = tx.mean(0)
    var = ((tx - mean) ** 2).mean(0)
    out = (tx - mean) / torch.sqrt(var + eps) * tw + tb
    out.backward(t64(flat(g).reshape(-1, c)))

    def back(a):
        return np.moveaxis(a.detach().numpy().reshape(xs.shape), -1, axis if x.ndim > 1 else 1).reshape(
            x.shape
        )

    stats = (mean.detach().numpy(), var.detach().numpy(), 1 / np.sqrt(var.detach().numpy() + eps))
    return back(out), *stats, back(tx.grad), tw.grad.numpy(), tb.grad.numpy()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "axis"), NORM_SHAPES)
def test_batch_norm(isa, rng, dtype, shape, axis):
    x = (rng.normal(size=shape) * 2 + 3).astype(dtype)
    g = rng.normal(size=shape).astype(dtype)
    c = shape[axis]
    w, b = rng.uniform(0.5, 2, c).astype(dtype), rng.normal(size=c).astype(dtype)
    want = torch_batch_norm(x, g, w, b, 1e-3, axis)
    n = x.size // c
    out, mean, var, inv = native.batch_norm_forward(x, w, b, 1e-3, axis)
    dx, dw, db = native.batch_norm_backward(g, x, w, mean, inv, axis)
    for got, ref in zip((out, mean, var, inv), want[:4], strict=True):
        close(got, ref, dtype, factor=20)
    eps = np.finfo(dtype).eps
    scale = np.abs(g * inv.max() * w.max()).max()
    np.testing.assert_allclose(dx, want[4], rtol=1e3 * eps, atol=60 * eps * scale)
    np.testing.assert_allclose(dw, want[5], rtol=1e3 * eps, atol=60 * eps * np.sqrt(n))
    np.testing.assert_allclose(db, want[6], rtol=1e3 * eps, atol=60 * eps * np.sqrt(n))
    plain = native.batch_norm_forward(x, None, None, 1e-3, axis)
    ones = native.batch_norm_forward(x, np.ones(c, dtype), np.zeros(c, dtype), 1e-3, axis)
    same_bits(plain, ones)
    same_bits(
        native.batch_norm_backward(g, x, None, mean, inv, axis),
        native.batch_norm_backward(g, x, np.ones(c, dtype), mean, inv, axis),
    )
    fused = native.batch_norm_forward(x, w, b, 1e-3, axis, True)
    same_bits(fused[:4], (np.maximum(out, 0), mean, var, inv))
    same_bits(
        native.batch_norm_backward(g, x, w, mean, inv, axis, fused[4]),
        native.batch_norm_backward(g * (fused[0] > 0), x, w, mean, inv, axis),
    )


@pytest.mark.parametrize(
    ("shape", "axis"), [((4096, 16), 1), ((64, 28, 28, 3), 3), ((64, 3, 28, 28), 1), ((2000, 300), 1)]
)
@pytest.mark.parametrize("outlier", [False, True])
def test_batch_norm_statistics_far_from_zero(isa, rng, shape, axis, outlier):
    """Mean 1e4, deviation 1: sums of squares lose all digits, an outlier in front spoils a fixed shift."""
    x = (rng.normal(size=shape) + 1e4).astype(np.float32)
    if outlier:
        x[tuple(0 for _ in shape)] = 0
    axes = tuple(i for i in range(len(shape)) if i != axis)
    out, mean, var, _ = native.batch_norm_forward(x, None, None, 1e-3, axis)
    wide = x.astype(np.float64)
    want_mean, want_var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    np.testing.assert_allclose(mean, want_mean.ravel(), rtol=1e-7)
    np.testing.assert_allclose(var, want_var.ravel(), rtol=2e-5)
    np.testing.assert_allclose(out, (wide - want_mean) / np.sqrt(want_var + 1e-3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "axis"), [((67, 31, 2077), 1), ((139_147, 31), 1)])
def test_batch_norm_past_the_cache(isa, rng, shape, axis):
    """Passes that move 32 MiB and more use other stores, from lines that begin anywhere."""
    x, g = rng.normal(size=(2, *shape)).astype(np.float32)
    out, mean, _, inv = native.batch_norm_forward(x, None, None, 1e-3, axis)
    dx, dw, db = native.batch_norm_backward(g, x, None, mean, inv, axis)
    columns = (1, 31) + (1,) * (len(shape) - 2)
    normed = (x - mean.reshape(columns)) * inv.reshape(columns)
    np.testing.assert_allclose(out, normed, atol=2e-6)
    n = x.size / 31
    want = (g - db.reshape(columns) / n - normed * dw.reshape(columns) / n) * inv.reshape(columns)
    np.testing.assert_allclose(dx, want, atol=2e-6)
    fused, *_, kept = native.batch_norm_forward(x, None, None, 1e-3, axis, True)
    assert (fused == np.maximum(out, 0)).all()
    same_bits(
        native.batch_norm_backward(g, x, None, mean, inv, axis, kept),
        native.batch_norm_backward(g * (fused > 0), x, None, mean, inv, axis),
    )


# ------------------------------------------------------------------------------------------ optimisers
def arrays(rng, dtype, sizes=(1, 7, 63, 64, 65, 1000, 33000, 0)):
    shapes = [(n,) for n in sizes] + [(3, 5), ()]
    return [rng.normal(size=s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_sgd_step(isa, rng, dtype, nesterov, momentum, weight_decay):
    p, g, v = (arrays(rng, dtype) for _ in range(3))
    lr, scale = 0.1, 0.5
    want = []
    for pi, gi, vi in zip(p, g, v, strict=True):
        pi, gi, vi = (a.astype(np.float64) for a in (pi, gi * scale, vi))
        pi = pi - pi * weight_decay * lr
        new = momentum * vi - gi * lr
        if momentum == 0:
            pi, new = pi - gi * lr, vi
        else:
            pi = pi + (momentum * new - gi * lr if nesterov else new)
        want.append((pi, new))
    velocities = v if momentum else None
    assert native.sgd_step(p, g, velocities, lr, momentum, nesterov, weight_decay, scale) is True
    for pi, vi, (wp, wv) in zip(p, v, want, strict=True):
        close(pi, wp, dtype)
        close(vi, wv, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adam_step(isa, rng, dtype, amsgrad, weight_decay):
    p, m = arrays(rng, dtype), arrays(rng, dtype)
    v = [np.asarray(np.abs(a)) for a in arrays(rng, dtype)]
    hat = [np.asarray(np.abs(a)) for a in arrays(rng, dtype)] if amsgrad else None
    lr, b1, b2, eps, scale = 0.01, 0.9, 0.999, 1e-7, 0.7
    state = [[a.astype(np.float64) for a in part] for part in (p, m, v, hat or v)]
    for step in range(1, 4):
        g = arrays(rng, dtype)
        assert native.adam_step(p, g, m, v, lr, b1, b2, eps, step, weight_decay, scale, hat) is True
        alpha = lr * np.sqrt(1 - b2**step) / (1 - b1**step)
        for i, grad in enumerate(g):
            d = grad.astype(np.float64) * scale
            wp, wm, wv, wh = (s[i] for s in state)
            wp = wp - wp * weight_decay * lr
            wm = wm + (d - wm) * (1 - b1)
            wv = wv + (d * d - wv) * (1 - b2)
            wh = np.maximum(wh, wv) if amsgrad else wv
            state[0][i], state[1][i], state[2][i], state[3][i] = (
                wp - wm * alpha / (np.sqrt(wh) + eps),
                wm,
                wv,
                wh,
            )
    for i in range(len(p)):
        close(p[i], state[0][i], dtype, factor=4)
        close(m[i], state[1][i], dtype, factor=4)
        close(v[i], state[2][i], dtype, factor=4)
        if amsgrad:
            close(hat[i], state[3][i], dtype, factor=4)


def test_steps_touch_nothing_when_one_array_is_unsuitable(rng):
    p, g, m, v = ([rng.normal(size=9), rng.normal(size=9)] for _ in range(4))
    read_only = p[1].copy()
    read_only.flags.writeable = False
    before = [a.copy() for a in p]
    for bad in (read_only, p[1][::2], p[1].astype(np.float32), p[1].reshape(3, 3)):
        assert native.sgd_step([p[0], bad], g, v, 0.1, 0.9, False, 0.0, 1.0) is None
        assert native.adam_step([p[0], bad], g, m, v, 0.1, 0.9, 0.999, 1e-7, 1, 0.0, 1.0, None) is None
        same_bits(p[0], before[0])
    assert native.adam_step(p, g[:1], m, v, 0.1, 0.9, 0.999, 1e-7, 1, 0.0, 1.0, None) is None
    assert native.sgd_step(p, g, None, 0.1, 0.9, False, 0.0, 1.0) is None  # momentum without velocities
    assert native.sgd_step([], [], [], 0.1, 0.9, False, 0.0, 1.0) is True


@pytest.mark.parametrize("dtype", FLOATS)
def test_sum_of_squares(isa, rng, dtype):
    xs = arrays(rng, dtype)
    want = sum(float((a.astype(np.float64) ** 2).sum()) for a in xs)
    assert native.sum_of_squares(xs) == pytest.approx(want, rel=1e-13)
    assert native.sum_of_squares(tuple(xs)) == native.sum_of_squares(xs)
    assert native.sum_of_squares([]) == 0
    assert native.sum_of_squares([np.full(3, 1e30, np.float32)]) == pytest.approx(
        3e60
    )  # no overflow in float64
    assert np.isnan(native.sum_of_squares([np.array([np.nan])]))


# ---------------------------------------------------------------------------------------------- random
def philox_reference(block, key):
    """Philox4x32-10 in Python integers, after the paper."""
    c, k = list(block), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def test_philox_known_answers(isa):
    """Random123's kat_vectors for philox4x32 10; those with upper counter words check the reference."""
    assert native.philox(4, 0, 0).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox_reference([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = [0xFFFFFFFF] * 4
    assert philox_reference(ones, ones[:2]) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert philox_reference(pi, [0xA4093822, 0x299F31D0]) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 3, 127, 128, 129, 33000, 2500001])
def test_dropped(isa, rng, dtype, n):
    x = rng.normal(size=n).astype(dtype)
    kept = native.philox(n, 7, 2**32 - 5) >= 2**30
    same_bits(native.dropped(x, 2**30, 1.25, 7, 2**32 - 5), np.where(kept, x * dtype(1.25), dtype(0)))


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 127, 128, 129, 1000, 33000])
def test_philox_stream(isa, n):
    seed, offset = 0x123456789ABCDEF0, 2**32 - 5  # the counter carries into its second word
    words = native.philox(n, seed, offset)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    picks = sorted(
        {i for i in (0, 1, 4, 17, 18, 19, 20, 21, 126, 127, 128, 16383, 16384, n - 1) if 0 <= i < n}
    )
    for i in picks:
        counter = offset + i // 4
        assert words[i] == philox_reference([counter & 0xFFFFFFFF, counter >> 32, 0, 0], key)[i % 4]
    same_bits(native.philox(n + 9, seed, offset)[:n], words)
    if n > 8:
        same_bits(native.philox(n - 8, seed, offset + 2), words[8:])
    f4 = native.philox_uniform(n, seed, offset, np.float32)
    same_bits(f4, (words >> 8).astype(np.float32) * np.float32(2**-24))
    pairs = native.philox(2 * n, seed, offset).astype(np.float64)
    f8 = native.philox_uniform(n, seed, offset, "float64")
    same_bits(f8, (np.floor(pairs[::2] / 32) * 2.0**26 + np.floor(pairs[1::2] / 64)) / 2.0**53)


def test_uniform_is_uniform():
    u = native.philox_uniform(1_000_000, 3, 0, np.float32)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 2e-3
    assert abs(u.var() - 1 / 12) < 1e-3
    with pytest.raises(ValueError, match="must not be negative"):
        native.philox(-1, 0, 0)


# ------------------------------------------------------------------------- threads, fork, many callers
def everything():
    """One result of every kernel, on inputs large enough for many jobs."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(700, 129)).astype(np.float32)
    y = rng.integers(0, 129, 700)
    narrow, narrow_y = rng.normal(size=(9001, 10)), rng.integers(0, 10, 9001)
    images = rng.normal(size=(20, 3, 70, 71)).astype(np.float32)
    results = [
        native.softmax_cross_entropy(x, y, None, None, 0.1, MEAN, True),
        native.softmax_cross_entropy(narrow, narrow_y, None, 3, 0.0, MEAN, True),
        native.sigmoid_cross_entropy(x, x, True),
        native.softmax(x, False),
        native.softmax(narrow, True),
        native.softmax_backward(x, x, True),
        native.sum_of_squares([x, narrow, images]),
        native.philox(100_001, 5, 6),
        native.philox_uniform(100_001, 5, 6, np.float64),
    ]
    for data, axis in (
        (x, 1),
        (narrow, 1),
        (images, 1),
        (images, 3),
        (images.reshape(-1, 3), 1),
        (images.reshape(2, 30, -1), 1),
    ):
        forward = native.batch_norm_forward(data, None, None, 1e-3, axis)
        results += [forward, native.batch_norm_backward(data, data, None, forward[1], forward[3], axis)]
        kept = native.batch_norm_forward(data, None, None, 1e-3, axis, True)[4]
        results += [native.batch_norm_backward(data, data, None, forward[1], forward[3], axis, kept)]
    p, m, v = [x.copy(), narrow.copy()], [x * 0, narrow * 0], [x * 0, narrow * 0]
    native.sgd_step(p, [x, narrow], m, 0.1, 0.9, True, 0.01, 1.0)
    native.adam_step(p, [x, narrow], m, v, 0.1, 0.9, 0.999, 1e-7, 1, 0.0, 1.0, None)
    return (*results, *p, *m, *v)


def test_bits_do_not_depend_on_threads(isa, threads):
    threads(1)
    first = everything()
    for n in (2, 3, 5):
        threads(n)
        assert native.get_num_threads() == n
        for _ in range(3):
            same_bits(everything(), first)


def test_number_of_threads(threads):
    threads(0)
    assert native.get_num_threads() == len(os.sched_getaffinity(0))
    threads(3)
    assert native.get_num_threads() == 3


def test_isa_names():
    assert native.isa() in native.isas()
    assert "baseline" in native.isas()
    with pytest.raises(ValueError, match="set_isa"):
        native.set_isa("mmx")
    assert {"compiler", "flags", "version"} <= native.build_info().keys()


def test_concurrent_callers(threads):
    threads(3)
    want = everything()
    errors = []

    def call():
        try:
            for _ in range(5):
                same_bits(everything(), want)
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    assert not errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_fork(threads):
    threads(3)
    want = everything()
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                same_bits(everything(), want)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    same_bits(everything(), want)


# ------------------------------------------------------------------------------------------- allocator
@pytest.fixture
def cache():
    before = native.allocator_stats()
    native.trim_allocator()
    native.install_allocator()
    yield native
    native.trim_allocator()
    native.install_allocator(before["cap_bytes"] or None)
    if not before["installed"]:
        native.uninstall_allocator()


def test_allocator_reuses_blocks(cache):
    a = np.empty(100_000)
    address = a.ctypes.data
    assert address % 64 == 0
    before = cache.allocator_stats()
    assert before["installed"]
    del a
    b = np.empty(99_000)  # the same class
    after = cache.allocator_stats()
    assert b.ctypes.data == address
    assert after["hits"] == before["hits"] + 1
    assert after["live_bytes"] == before["live_bytes"]


def test_allocator_counts(cache):
    cache.reset_peak()
    start = cache.allocator_stats()
    blocks = [np.empty(1 << 20, np.uint8) for _ in range(4)]
    now = cache.allocator_stats()
    assert now["live_bytes"] - start["live_bytes"] == 4 << 20
    del blocks
    end = cache.allocator_stats()
    assert end["live_bytes"] == start["live_bytes"]
    assert end["peak_bytes"] - start["live_bytes"] == 4 << 20
    assert end["cached_bytes"] >= 4 << 20
    assert cache.trim_allocator() >= 4 << 20
    assert cache.allocator_stats()["cached_bytes"] == 0
    cache.reset_peak()
    assert cache.allocator_stats()["peak_bytes"] == cache.allocator_stats()["live_bytes"]


def test_allocator_cap(cache):
    cache.install_allocator(cap_bytes=1 << 20)
    blocks = [np.empty(1 << 19, np.uint8) for _ in range(8)]
    del blocks
    assert cache.allocator_stats()["cached_bytes"] <= 1 << 20
    cache.install_allocator(cap_bytes=0)
    assert cache.allocator_stats()["cached_bytes"] == 0
    np.empty(1 << 19, np.uint8)
    assert cache.allocator_stats()["cached_bytes"] == 0


def test_allocator_gives_idle_sizes_back(cache):
    """At the cap, blocks of sizes that nobody asks for any more make room for those of the present phase."""
    cache.install_allocator(cap_bytes=2 << 20)

    def use(size, times):
        for _ in range(times):
            blocks = [np.empty(size, np.uint8) for _ in range(4)]
            del blocks

    def kept(size):
        return {bytes: kept for bytes, kept, _, _ in cache.allocator_stats()["classes"]}.get(size, 0)

    use(1 << 19, 1)
    assert kept(1 << 19) == 4  # the cap is reached
    use(1 << 18, 1)
    assert kept(1 << 18) == 0
    trims = cache.allocator_stats()["trims"]
    use(1 << 18, 64)
    assert kept(1 << 19) == 0
    assert kept(1 << 18) == 4
    assert cache.allocator_stats()["trims"] > trims
    before = cache.allocator_stats()["misses"]
    use(1 << 18, 20)
    assert cache.allocator_stats()["misses"] == before


def test_allocator_serves_more_than_the_cap_from_what_it_holds(cache):
    cache.install_allocator(cap_bytes=2 << 20)
    before = cache.allocator_stats()["hits"]
    for _ in range(100):  # 2.6 MiB
        blocks = [np.empty(size, np.uint8) for size in [1 << 19] * 3 + [1 << 17] * 9]
        assert cache.allocator_stats()["cached_bytes"] <= 2 << 20
        del blocks
    assert cache.allocator_stats()["hits"] - before >= 300


def test_allocator_makes_room_under_pressure(cache):
    np.empty(1 << 24, np.uint8)
    held = cache.allocator_stats()["cached_bytes"]
    assert held >= 1 << 24
    available = cache.memory_available()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    assert (1 << 20 < available <= total) or available == 2**64 - 1
    assert cache.make_room(1 << 20) == 0
    if available != 2**64 - 1:
        assert cache.make_room(2**63) == held
        assert cache.allocator_stats()["cached_bytes"] == 0
        assert cache.make_room(2**63) == 0


def test_allocator_trims_where_the_heap_has_no_more(run_python):
    """Kept blocks of one size do not stand in the way of a larger array."""
    code = """
import resource, numpy as np
from tensorflowlite_bp.backend.native import native
native.install_allocator(cap_bytes=1 << 32)
np.empty(1, np.uint8)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (400 << 20),) * 2)
blocks = [np.empty(60 << 20, np.uint8) for _ in range(5)]
del blocks
assert native.allocator_stats()["cached_bytes"] >= 300 << 20
x = np.empty(250 << 20, np.uint8)
assert native.allocator_stats()["trims"] == 1
"""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    out = run_python(code)
    assert out.returncode == 0, out.stderr


def test_reset_peak_gives_the_peak_and_can_put_it_back(cache):
    start = cache.reset_peak() and cache.live_bytes()
    np.empty(1 << 20, np.uint8)
    assert cache.reset_peak() == start + (1 << 20)
    assert cache.allocator_stats()["peak_bytes"] == start
    cache.reset_peak(start + 12345)
    assert cache.reset_peak() == start + 12345


def test_multiply_adds_are_counted(isa):
    width = {"baseline": 16, "avx2": 32, "avx512": 64}[isa]
    assert native.multiply_adds(10, False) == 10 * 12 * 2 * width // 4
    assert native.multiply_adds(10, True) == 10 * 12 * 2 * width // 8


def test_allocator_zeros_are_zero(cache):
    for n in (10, 3000, 100_000, 50_000_000):
        dirty = np.full(n, 0xFF, np.uint8)
        del dirty
        assert not np.zeros(n, np.uint8).any()


def test_allocator_large_zeros_stay_lazy(cache):
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 2
    zeros = np.zeros(half, np.uint8)  # only the touched pages exist
    zeros[12345] = 7
    assert zeros[12345] == 7
    assert zeros[-1] == 0


def test_allocator_realloc(cache):
    a = np.arange(100, dtype=np.int64)
    for n in (300, 100_000, 500, 5_000_000, 200_000, 10, 4096):
        old = a.copy()
        a.resize(n, refcheck=False)
        k = min(n, len(old))
        assert (a[:k] == old[:k]).all()
        assert not a[k:].any()
        a[:] = np.arange(n)
    data = np.fromiter((i for i in range(100_000)), dtype=np.int64)
    assert (data == np.arange(100_000)).all()
    # A shrunken block came back as its new class: it must really be that large.
    del a, data
    gc.collect()
    for n in (4096, 10_000, 100_000):
        np.full(n, 1.5)


def test_allocator_arrays_outlive_uninstall(cache):
    a = np.full(200_000, 3.0)
    cache.uninstall_allocator()
    assert not cache.allocator_stats()["installed"]
    b = np.full(200_000, 4.0)
    cache.install_allocator()
    live = cache.allocator_stats()["live_bytes"]
    assert a.sum() == 600_000
    del b  # the system's: not counted here
    assert cache.allocator_stats()["live_bytes"] == live
    del a
    assert cache.allocator_stats()["live_bytes"] < live


def test_allocator_alignment(cache):
    for n in (2048, 3000, 10_000, 1 << 21, 1 << 23):
        assert np.empty(n, np.uint8).ctypes.data % 64 == 0


def test_allocator_threads(cache):
    """Blocks allocated in one thread and freed in another; every thread checks its own pattern."""
    errors, shared = [], []
    lock = threading.Lock()

    def work(seed):
        native.install_allocator()  # NumPy's handler is a context variable: each thread installs it
        rng = np.random.default_rng(seed)
        mine = []
        try:
            for i in range(400):
                n = int(rng.integers(1, 40_000))
                mine.append((np.full(n, seed * 1000 + i), seed * 1000 + i))
                if len(mine) > 10:
                    a, value = mine.pop(int(rng.integers(len(mine))))
                    assert (a == value).all()
                    with lock:
                        shared.append((a, value))
                        other = shared.pop(0) if len(shared) > 5 else None
                    if other is not None:
                        assert (other[0] == other[1]).all()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_allocator_fork_while_others_allocate(cache):
    stop = threading.Event()

    def churn():
        native.install_allocator()
        while not stop.is_set():
            np.empty(5000)

    workers = [threading.Thread(target=churn) for _ in range(2)]
    for w in workers:
        w.start()
    try:
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                ok = all((np.full(5000, i) == i).all() for i in range(20))
                native.trim_allocator()
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        stop.set()
        for w in workers:
            w.join()


# ------------------------------------------------------------------------------------ shapes at random
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 70),
    st.integers(1, 140),
    st.sampled_from(FLOATS),
    st.integers(0, 2),
    st.integers(0, 2**32 - 1),
)
def test_cross_entropy_of_any_shape(rows, classes, dtype, reduction, seed):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(rows, classes)) * 10).astype(dtype)
    y = rng.integers(0, classes, rows)
    if rows == 0 and reduction == MEAN:
        return
    loss, grad = native.softmax_cross_entropy(x, y, None, None, 0.0, reduction, True)
    want, want_grad = torch_cross_entropy(x, y, None, None, 0.0, reduction)
    close(loss, want, dtype, factor=4)
    close(grad, want_grad, dtype, factor=4, terms=1.0 if reduction != MEAN else 1 / rows)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.integers(0, 3),
    st.sampled_from(FLOATS),
    st.integers(0, 2**32 - 1),
)
def test_batch_norm_of_any_shape(shape, axis, dtype, seed):
    axis %= len(shape)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(dtype)
    g = rng.normal(size=shape).astype(dtype)
    c = shape[axis]
    w, b = rng.uniform(0.5, 2, c).astype(dtype), rng.normal(size=c).astype(dtype)
    want = torch_batch_norm(x, g, w, b, 1e-2, axis)
    out, mean, var, inv = native.batch_norm_forward(x, w, b, 1e-2, axis)
    dx, dw, db = native.batch_norm_backward(g, x, w, mean, inv, axis)
    for got, ref in zip((out, mean, var, inv, dx, dw, db), want, strict=True):
        close(got, ref, dtype, factor=400, terms=1.0)
