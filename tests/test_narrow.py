"""Products of 16-bit floats: exact but for one rounding; the bfloat16 instruction where the CPU has it."""

import ml_dtypes
import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import numpy_backend
from tensorflowlite_bp.backend.native import native


@pytest.fixture(params=native.isas() if native is not None else ["none"])
def isa(request):
    """Every instruction set, and without kernels the composition."""
    if native is None:
        yield request.param
        return
    before = native.isa()
    native.set_isa(request.param)
    yield request.param
    native.set_isa(before)


@pytest.fixture
def random():
    return np.random.default_rng(0)


SIZES = [
    (1, 1, 1),
    (3, 5, 7),
    (14, 32, 2),
    (15, 33, 3),
    (29, 17, 33),
    (64, 10, 100),
    (100, 70, 0),
    (130, 260, 65),
]


def assert_rounded_once(got, x, w, bias=0.0, relu=False):
    """Within half a unit in the last place of the exact sum, and the float32 error of summing."""
    x, w, bias = (np.asarray(a, np.float64) for a in (x, w, bias))
    exact, size = x @ w + bias, abs(x) @ abs(w) + abs(bias)
    exact = np.maximum(exact, 0) if relu else exact
    unit = float(ml_dtypes.finfo(got.dtype).eps) / 2
    assert (np.abs(np.asarray(got, np.float64) - exact) <= 1.01 * unit * np.abs(exact) + 1e-6 * size).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_products_of_16_bit_floats_are_rounded_once(isa, random, dtype, m, n, k):
    dtype = np.dtype(dtype)
    x, xt = random.normal(size=(m, k)).astype(dtype), random.normal(size=(k, m)).astype(dtype)
    w, wt = random.normal(size=(k, n)).astype(dtype), random.normal(size=(n, k)).astype(dtype)
    b = random.normal(size=n).astype(dtype)
    for left in (x, xt.T):
        for right in (w, wt.T):
            out = numpy_backend.product(left, right)
            assert out.dtype == dtype
            assert_rounded_once(out, left, right)
            assert_rounded_once(numpy_backend.linear(left, right, b, relu=True), left, right, b, relu=True)


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_the_bfloat16_product_reads_strided_matrices_and_keeps_nan(isa, random, m, n, k):
    wide = random.normal(size=(m, k + 3)).astype(ml_dtypes.bfloat16)
    w = random.normal(size=(k, n + 5)).astype(ml_dtypes.bfloat16)
    x = wide[:, 1 : k + 1]
    assert_rounded_once(numpy_backend.product(x, w[:, 2 : n + 2]), x, w[:, 2 : n + 2])
    if k:
        wide[m // 2, 1] = np.nan
        out = np.asarray(numpy_backend.linear(x.copy(), w[:, :n].copy(), None, relu=True), np.float32)
        assert np.isnan(out[m // 2]).all()
        assert np.isfinite(np.delete(out, m // 2, 0)).all()


@pytest.mark.skipif(native is None, reason="the compiled kernels are off")
@pytest.mark.parametrize(("m", "n", "k"), [(1000, 10, 300), (96, 256, 700), (513, 129, 77)])
def test_the_bfloat16_product_does_not_depend_on_threads(threads, random, m, n, k):
    x, w = (random.normal(size=s).astype(ml_dtypes.bfloat16) for s in [(m, k), (k, n)])
    found = set()
    for count in (1, 2, 3):
        threads(count)
        found.add(numpy_backend.product(x, w).tobytes())
    assert len(found) == 1


def test_a_layer_in_bfloat16_agrees_with_torch(random):
    torch = pytest.importorskip("torch")
    x, w, b, g = (random.normal(size=s).astype(np.float32) for s in [(4, 9, 33), (33, 20), (20,), (4, 9, 20)])
    leaves = [bp.tensor(a, dtype="bfloat16", requires_grad=True) for a in (x, w, b)]
    out = bp.nn.linear(*leaves)
    out.backward(bp.asarray(g).astype("bfloat16"))
    theirs = [torch.tensor(a, dtype=torch.bfloat16, requires_grad=True) for a in (x, w, b)]
    expected = theirs[0] @ theirs[1] + theirs[2]
    expected.backward(torch.tensor(g, dtype=torch.bfloat16))
    for ours, other in zip(
        [out, *(t.grad for t in leaves)], [expected, *(t.grad for t in theirs)], strict=True
    ):
        assert ours.dtype == "bfloat16"
        np.testing.assert_allclose(
            np.asarray(ours.numpy(), np.float32), other.detach().float().numpy(), rtol=2e-2, atol=6e-2
        )


def test_gradients_of_a_layer_with_relu(isa, random):
    x, w, g, out = (
        random.normal(size=s).astype(ml_dtypes.bfloat16) for s in [(40, 33), (33, 20), (40, 20), (40, 20)]
    )
    masked = g * (out > 0)
    dx, dw, db = numpy_backend.linear_backward(g, x, w, out, (True, True, True))
    assert_rounded_once(dx, masked, w.T)
    assert_rounded_once(dw, x.T, masked)
    assert_rounded_once(db[None], np.ones((1, 40), np.float32), masked)
    assert numpy_backend.linear_backward(g, x, w, None, (False, True, False))[::2] == (None, None)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("labels", "result"),
    [(("ij", "jk"), "ik"), (("bqhd", "bkhd"), "bhqk"), (("bhqk", "bkhd"), "bqhd"), (("ib", "jb"), "bij")],
)
def test_contractions_and_stacks_are_rounded_once(isa, random, dtype, labels, result):
    sizes = {"i": 33, "j": 17, "k": 35, "b": 3, "q": 34, "h": 2, "d": 17}
    x, y = (random.normal(size=[sizes[n] for n in names]).astype(dtype) for names in labels)
    out = numpy_backend.einsum_labelled(x, y, labels=labels, result=result)
    wide = [np.asarray(a, np.float64) for a in (x, y)]
    exact, size = (np.einsum(f"{','.join(labels)}->{result}", *a) for a in (wide, [abs(a) for a in wide]))
    unit = float(ml_dtypes.finfo(out.dtype).eps) / 2
    assert out.dtype == dtype
    assert (np.abs(out.astype(np.float64) - exact) <= 1.01 * unit * np.abs(exact) + 1e-6 * size).all()
    a, b = random.normal(size=(3, 33, 17)).astype(dtype), random.normal(size=(3, 17, 20)).astype(dtype)
    stack = numpy_backend.matmul(a, b)
    assert stack.dtype == dtype
    for got, left, right in zip(stack, a, b, strict=True):
        assert_rounded_once(got, left, right)
