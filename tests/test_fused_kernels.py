"""Activations and row normalisations: kernels against float64 and torch, on every instruction set."""

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import fused, numpy_backend, row_norms
from tensorflowlite_bp.backend.activations import COMPOSED
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

torch = pytest.importorskip("torch")
special = pytest.importorskip("scipy.special")

SIZES = [0, 1, 7, 31, 33, 1000, 40001]
FLOATS = [np.float32, np.float64]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def mish(x):
    e = np.exp(np.minimum(x, 0)), np.exp(-np.abs(x))
    return x * np.where(
        x > 0, (1 + 2 * e[1]) / (1 + 2 * e[1] + 2 * e[1] ** 2), e[0] * (e[0] + 2) / (e[0] * (e[0] + 2) + 2)
    )


VALUES = {
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "log_sigmoid": special.log_expit,
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "mish": mish,
    "erf": special.erf,
}
TORCH = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),  # softplus is linear from 20 on
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "mish": torch.nn.functional.mish,
    "erf": torch.erf,
}
KEEPS_RESULT = {"relu", "tanh", "sigmoid"}


def points(dtype):
    """Both signs, all magnitudes, the edges."""
    small = np.geomspace(1e-30, 1, 200)
    line = np.linspace(-30, 30, 4001)
    return np.concatenate([line, small, -small, [0.0, -0.0, 1e4, -1e4]]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", VALUES)
def test_values_keep_their_digits(isa, name, dtype):
    """Relative to each value, into the tails: within a few units in the last place, 1e-5 for gelu at -13."""
    x = points(dtype)
    got = native.activation(native.ACTIVATIONS.index(name), x)
    with np.errstate(under="ignore"):
        want = VALUES[name](x.astype(float))
    assert got.dtype == dtype
    eps = float(np.finfo(dtype).eps)
    slack = 4 * eps * np.maximum(x.astype(float) ** 2, 1) if "gelu" in name else 4 * eps
    tiny = float(np.finfo(dtype).tiny) * np.maximum(1, np.abs(x))
    assert (np.abs(got - want) <= 4 * slack * np.abs(want) + tiny).all()


@pytest.mark.parametrize("name", native.ACTIVATIONS)
def test_derivatives_against_torch(isa, name):
    x = torch.tensor(points(np.float64), requires_grad=True)
    y = TORCH[name](x)
    g = torch.linspace(-2, 3, len(x), dtype=torch.float64)
    (want,) = torch.autograd.grad(y, x, g)
    kept = (y if name in KEEPS_RESULT else x).detach().numpy()
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 2e-5)):
        got = native.activation_backward(
            native.ACTIVATIONS.index(name), g.numpy().astype(dtype), kept.astype(dtype)
        )
        np.testing.assert_allclose(got, want.numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", native.ACTIVATIONS)
def test_not_a_number_stays_one(isa, name):
    x = np.array([np.nan, 1.0] * 20, np.float32)
    kind = native.ACTIVATIONS.index(name)
    if name not in ("relu", "tanh"):
        assert (np.isnan(native.activation(kind, x)) == np.isnan(x)).all()
    if name != "relu":
        assert (np.isnan(native.activation_backward(kind, x, x)) == np.isnan(x)).all()
    assert native.activation_backward(kind, np.full(3, np.nan), np.ones(3)).tolist() != [0, 0, 0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_sizes_and_threads_do_not_change_bits(isa, threads, rng, dtype):
    for n in SIZES:
        x, g = rng.normal(size=(2, n)).astype(dtype)
        for kind, name in enumerate(native.ACTIVATIONS):
            found = []
            for count in (1, 2, 3):
                threads(count)
                found.append(
                    (native.activation_backward(kind, g, x), native.activation(kind, x) if kind > 1 else x)
                )
            for other in found[1:]:
                assert all((a == b).all() for a, b in zip(found[0], other, strict=True)), name


def test_large_results_go_past_the_cache(rng):
    """Above the last-level cache the stores are others: the same numbers, at every alignment."""
    n = (1 << 23) + 13  # 32 MiB and a little: one more than most last-level caches
    x = rng.uniform(-4, 4, n + 3).astype(np.float32)
    kind = native.ACTIVATIONS.index("silu")
    whole = native.activation(kind, x[:n])
    parts = np.concatenate([native.activation(kind, p) for p in np.array_split(x[:n], 64)])
    assert (whole == parts).all()
    assert (native.activation(kind, x[3:]) == native.activation(kind, x[3:].copy())).all()


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
@pytest.mark.parametrize("name", ["sigmoid", "silu", "gelu", "mish", "softplus"])
def test_narrow_floats_are_computed_in_float32(name, dtype, rng):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    x = bp.tensor(rng.normal(size=(5, 7)).astype(dtype), requires_grad=True)
    out = getattr(bp.nn, name)(x)
    out.backward(np.ones(x.shape, dtype))
    wide = bp.tensor(x.numpy().astype(np.float32), requires_grad=True)
    exact = getattr(bp.nn, name)(wide)
    exact.backward(np.ones(x.shape, np.float32))
    assert (out.numpy() == exact.numpy().astype(dtype)).all()
    if name != "sigmoid":  # which keeps its rounded result
        assert (x.grad.numpy() == wide.grad.numpy().astype(dtype)).all()


def test_compositions_agree_with_the_kernels(rng):
    """What runs without a compiler, and in higher order."""
    x, g = rng.normal(size=(2, 4, 50)) * 3
    for name, composed in COMPOSED.items():
        params = [{"approximate": False}, {"approximate": True}] if "gelu" in name else [{}]
        params = [{"axis": -1}] if "softmax" in name else params
        for p in params:
            args = (g, x) if name.endswith("_backward") else (x,)
            np.testing.assert_allclose(
                getattr(numpy_backend, name)(*args, **p),
                composed(numpy_backend, *args, **p),
                rtol=1e-11,
                atol=1e-12,
            )


# ------------------------------------------------------------------ rows and groups
ROWS = [(1, 1), (3, 1), (5, 7), (4, 31), (9, 33), (70, 100), (300, 257), (2, 9001), (133, 768)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("affine", [0, 1, 2])
def test_row_norm(isa, threads, rng, dtype, centred, affine):
    for rows, n in ROWS:
        x = (rng.normal(size=(rows, n)) * 2 + 30 * centred).astype(dtype)
        g = rng.normal(size=(rows, n)).astype(dtype)
        w = rng.normal(size=n).astype(dtype) if affine else None
        b = rng.normal(size=n).astype(dtype) if affine == 2 else None
        wide = [None if a is None else a.astype(float) for a in (x, w, b)]
        want = row_norms.row_norm(np, *wide, eps=1e-3, axes=1, centred=centred)
        grads = row_norms.row_norm_backward(np, g.astype(float), *wide[:2], *want[1:], axes=1)
        results = []
        for count in (1, 3):
            threads(count)
            out = native.row_norm_forward(x, w, b, 1e-3, n, centred)
            results.append((*out, *native.row_norm_backward(g, x, w, *out[1:])))
        for one, three in zip(*results, strict=True):
            assert (one is None and three is None) or (one == three).all()
        tol = 30 * np.finfo(dtype).eps * (30 if centred and dtype == np.float32 else 1)
        terms = np.abs(want[2]).max() * (3 if w is None else np.abs(w).max() * 3)  # these cancel in dx
        for got, exact in zip(results[0], (*want, *grads), strict=True):
            assert (got is None) == (exact is None)
            if exact is not None:
                scale = max(1.0, terms, np.abs(exact).max(initial=0))
                np.testing.assert_allclose(got, exact, rtol=tol, atol=tol * scale)


def test_row_norm_of_large_means_in_float32(rng):
    x = (rng.normal(size=(7, 5000)) + 1e4).astype(np.float32)
    out, *_ = native.row_norm_forward(x, None, None, 0.0, 5000, True)
    exact = x.astype(float)
    exact = (exact - exact.mean(-1, keepdims=True)) / exact.std(-1, keepdims=True)
    np.testing.assert_allclose(out, exact, atol=2e-5)


def test_group_norm_past_the_cache(isa, rng):
    """Stores past the cache, of lines that begin anywhere: an example by itself comes out the same."""
    x, g = rng.normal(size=(2, 4, 37, 949, 31)).astype(np.float32)  # 17 MB each
    out, mean, inv = native.group_norm_forward(x, None, None, 1e-5, 31)
    dx = native.group_norm_backward(g, x, None, mean, inv, 31)[0]
    for i in range(4):
        one = slice(i, i + 1)
        alone = native.group_norm_forward(x[one].copy(), None, None, 1e-5, 31)
        assert (alone[0] == out[one]).all()
        back = native.group_norm_backward(g[one].copy(), x[one].copy(), None, *alone[1:], 31)[0]
        assert (back == dx[one]).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shape", [(1, 2, 1, 2), (2, 3, 2, 4), (3, 70, 36), (2, 9, 5, 64), (5, 100, 24), (1, 6, 33)]
)
def test_group_norm_against_torch(isa, threads, rng, dtype, shape):
    channels = shape[-1]
    for groups in {d for d in (1, 2, 3, 4, channels) if channels % d == 0}:
        x, g = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
        w, b = rng.normal(size=(2, channels)).astype(dtype)
        leaves = [torch.tensor(a.astype(float), requires_grad=True) for a in (x, w, b)]
        first = leaves[0].movedim(-1, 1)
        want = torch.nn.functional.group_norm(first, groups, *leaves[1:], eps=1e-2).movedim(1, -1)
        grads = torch.autograd.grad(want, leaves, torch.tensor(g.astype(float)))
        results = []
        for count in (1, 2):
            threads(count)
            out = native.group_norm_forward(x, w, b, 1e-2, groups)
            results.append((out[0], *native.group_norm_backward(g, x, w, *out[1:], groups)))
        for a, c in zip(*results, strict=True):
            assert (a == c).all()
        tol = 100 * np.finfo(dtype).eps
        for got, exact in zip(results[0], (want, *grads), strict=True):
            exact = exact.detach().numpy()
            np.testing.assert_allclose(got, exact, rtol=tol, atol=tol * max(1, np.abs(exact).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_layer_norm_against_torch(dtype, rng):
    x, w, b = rng.normal(size=(6, 4, 10)), rng.normal(size=(4, 10)), rng.normal(size=(4, 10))
    x, w, b = [a.astype(dtype) for a in (x, w, b)]
    ours = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = bp.nn.layer_norm(*ours, axis=(-2, -1))
    g = rng.normal(size=x.shape).astype(dtype)
    out.backward(g)
    theirs = [torch.tensor(a.astype(np.float32), requires_grad=True) for a in (x, w, b)]
    want = torch.nn.functional.layer_norm(theirs[0], (4, 10), *theirs[1:])
    want.backward(torch.tensor(g.astype(np.float32)))
    tol = 3e-6 if dtype == np.float32 else 4e-3
    assert out.dtype == dtype
    np.testing.assert_allclose(out.numpy().astype(np.float32), want.detach().numpy(), rtol=tol, atol=tol)
    for a, t in zip(ours, theirs, strict=True):
        assert a.grad.dtype == dtype
        np.testing.assert_allclose(a.grad.numpy().astype(np.float32), t.grad.numpy(), rtol=tol, atol=10 * tol)


def test_parameters_of_another_shape_are_named():
    x = np.ones((2, 3, 4))
    for call in (
        lambda: bp.nn.layer_norm(x, np.ones(3)),
        lambda: bp.nn.layer_norm(x, None, np.ones((4, 1))),
        lambda: bp.nn.rms_norm(x, np.ones((3, 4))),
        lambda: bp.nn.group_norm(x, 2, np.ones(3)),
        lambda: bp.nn.group_norm(x, 3),
        lambda: bp.nn.layer_norm(x, axis=5),
    ):
        with pytest.raises(bp.errors.ShapeError, match="norm"):
            call()


def test_a_bias_without_a_weight(rng):
    x, b = rng.normal(size=(3, 5)), rng.normal(size=5)
    np.testing.assert_allclose(bp.nn.layer_norm(x, None, b).numpy(), bp.nn.layer_norm(x).numpy() + b)
    np.testing.assert_allclose(bp.nn.group_norm(x, 1, None, b).numpy(), bp.nn.group_norm(x, 1).numpy() + b)


@pytest.mark.parametrize("name", [n for n in COMPOSED if n.endswith("_backward") and "softmax" not in n])
def test_many_cotangents_meet_one_result(name, rng):
    """As in the batched walks of a Jacobian."""
    function, more = getattr(numpy_backend, name), {"approximate": False} if "gelu" in name else {}
    g, kept = rng.normal(size=(4, 3, 5)), rng.uniform(0.1, 0.9, size=(3, 5))
    np.testing.assert_allclose(
        function(g, kept, **more), [function(row, kept, **more) for row in g], rtol=1e-13, atol=1e-15
    )


def test_strides_are_copied_for_the_kernel(rng):
    x = rng.normal(size=(6, 8)).astype(np.float32)
    assert fused.plain(x.T).flags.c_contiguous
    assert (numpy_backend.silu(x.T) == numpy_backend.silu(x).T).all()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("n", [1, 7, 33, 256, 769, 5000])
def test_a_row_is_normalised_alike_in_every_company(isa, n, centred):
    """Alone, among few and among many, which take other ways through the kernel: the same bits."""
    r = np.random.default_rng(0)
    x = r.normal(size=(-(-1600000 // n), n)).astype(np.float32)
    w = r.normal(size=n).astype(np.float32)
    many, *_ = native.row_norm_forward(x, w, w if centred else None, 1e-5, n, centred)
    few, *_ = native.row_norm_forward(x[:5].copy(), w, w if centred else None, 1e-5, n, centred)
    np.testing.assert_array_equal(few, many[:5])
    for k in (0, 1, 4):
        one, *_ = native.row_norm_forward(x[k : k + 1].copy(), w, w if centred else None, 1e-5, n, centred)
        np.testing.assert_array_equal(one, many[k : k + 1])
