"""The compiled product and the fully connected layer, against float64 NumPy, torch and the composed rules."""

import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflowlite_bp.backend import numpy_backend

native = pytest.importorskip("tensorflowlite_bp._native", reason="the compiled kernels were not built")

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 2, 3, 7, 13, 16, 17, 31, 32, 33, 63, 64, 65, 100]
# (batch, in, out): the shapes of a small network, the edges of tiles, blocks of k and of rows
SHAPES = [
    (1, 1, 1),
    (1, 784, 128),
    (2, 100, 33),
    (3, 65, 7),
    (5, 13, 100),
    (7, 1, 3),
    (13, 31, 17),
    (17, 513, 9),
    (32, 784, 128),
    (33, 128, 10),
    (64, 1, 65),
    (100, 10, 128),
    (65, 1100, 24),
    (300, 63, 25),
    (600, 33, 40),
    (1, 0, 5),
    (0, 4, 5),
    (4, 5, 0),
]

# just beyond the columns that are packed together: the rest is narrower than a vector
MANY_COLUMNS = [(9, 512, 1025), (500, 500, 1030), (7, 1024, 2051)]


@pytest.fixture(autouse=True)
def _restore():
    isa, threads = native.isa(), native.get_num_threads()
    yield
    native.set_isa(isa)
    native.set_num_threads(threads)


@pytest.fixture(params=native.isas())
def isa(request):
    native.set_isa(request.param)
    return request.param


def random(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def operands(rng, dtype, m, k, n):
    """x, w, b, g of a layer."""
    return [random(rng, dtype, *shape) for shape in [(m, k), (k, n), (n,), (m, n)]]


def assert_product(got, a, b, extra=0.0):
    """got = a @ b + extra within k eps times the sum of magnitudes, the bound for any order of summation."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    eps = np.finfo(got.dtype).eps
    bound = (a.shape[-1] + 2) * eps * (np.abs(a) @ np.abs(b) + np.abs(extra))
    assert got.shape == (a @ b).shape
    assert (np.abs(got - (a @ b + extra)) <= bound).all()


def rows(a):
    return a.reshape(int(np.prod(a.shape[:-1])), a.shape[-1])


def composed_backward(g, x, w, out):
    """The rules in plain NumPy, in float64."""
    h = g.astype(np.float64)
    if out is not None:
        h = h * (out > 0)
    return h @ w.T.astype(np.float64), rows(x).T.astype(np.float64) @ rows(h), rows(h).sum(0)


def assert_backward(got, g, x, w, out):
    dx, dw, db = got
    h = g if out is None else g * (out > 0)
    assert_product(rows(dx), rows(h), w.T)
    assert_product(dw, rows(x).T, rows(h))
    assert dx.shape == x.shape
    expected = composed_backward(g, x, w, out)[2]
    scale = np.abs(rows(h)).sum(0, dtype=np.float64)
    tolerance = np.finfo(g.dtype).eps * (np.abs(expected) if g.dtype == np.float32 else 32 * scale)
    assert (np.abs(db - expected) <= tolerance).all()


# ------------------------------------------------------------------ gemm
@pytest.mark.parametrize("dtype", DTYPES)
def test_gemm_all_small_sizes(isa, dtype):
    rng = np.random.default_rng(0)
    for m, k, n in itertools.product(SIZES[:-3], SIZES[:-3], SIZES):
        a, b = random(rng, dtype, m, k), random(rng, dtype, k, n)
        assert_product(native.gemm(a, b), a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", list(itertools.product((False, True), repeat=2)))
@pytest.mark.parametrize("gap", [0, 5])
def test_gemm_transposes_and_gaps(isa, dtype, transposed, gap):
    rng = np.random.default_rng(1)
    for m, k, n in [*SHAPES, (256, 512, 512), (3, 2048, 9), (31, 64, 2048), *MANY_COLUMNS]:
        a, b = (
            random(rng, dtype, q, p + gap)[:, :p].T if flip else random(rng, dtype, p, q + gap)[:, :q]
            for (p, q), flip in zip([(m, k), (k, n)], transposed, strict=True)
        )
        assert_product(native.gemm(a, b), a, b)


def test_gemm_declines_what_is_not_for_it():
    a = np.ones((4, 6), np.float32)
    declined = [
        (a, a),  # inner sizes differ
        (a, np.ones((6, 3))),  # dtypes differ
        (a.astype(np.float16), np.ones((6, 3), np.float16)),
        (a.astype(int), np.ones((6, 3), int)),
        (a[0], a.T),
        (np.stack([a, a]), np.stack([a.T, a.T, a.T])),  # stacks that do not broadcast
        (a[:, ::2], np.ones((3, 2), np.float32)),  # gaps between elements
        (a[::-1], a.T),
        (np.broadcast_to(np.float32(1), (4, 6)), a.T),
        (a.astype(">f4"), a.T),
        (a.tolist(), a.T),
        (np.frombuffer(b"x" * 97, np.uint8)[1:].view(np.float32).reshape(4, 6), a.T),  # unaligned
        (a.view(np.matrix) if hasattr(np, "matrix") else a[0], a.T),  # subclass
    ]
    for x, y in declined:
        assert native.gemm(x, y) is None
    closed = np.zeros((4, 4), np.float32)
    closed.flags.writeable = False
    for out in (closed, np.zeros((4, 5), np.float32), np.zeros((4, 4)), np.zeros((4, 8), np.float32)[:, ::2]):
        assert native.gemm(a, a.T.copy(), out) is None


# ------------------------------------------------------------------ stacks of products
STACKS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2, 1), (3,)),
    ((), (4,)),
    ((4,), ()),
    ((2, 3), ()),
    ((0,), (0,)),
    ((1, 5), (1,)),
]
MATRICES = [(1, 1, 1), (3, 5, 17), (17, 33, 3), (1, 64, 33), (33, 0, 5), (2, 784, 5), (0, 3, 5), (40, 33, 70)]


def turned(a):
    """The same values, stored the other way round."""
    return np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("left", "right"), STACKS)
def test_stacks(isa, dtype, left, right):
    rng = np.random.default_rng(11)
    for m, k, n in MATRICES:
        a, b = random(rng, dtype, *left, m, k), random(rng, dtype, *right, k, n)
        exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
        bound = (
            (k + 2) * np.finfo(dtype).eps * np.matmul(abs(a.astype(np.float64)), abs(b.astype(np.float64)))
        )
        for x, y in itertools.product((a, turned(a)), (b, turned(b))):
            got = native.gemm(x, y)
            assert got.shape == exact.shape
            assert got.dtype == dtype
            assert (np.abs(got - exact) <= bound).all()
            gaps = np.full((*exact.shape[:-1], n + 3), 7, dtype)
            for out in (gaps[..., :n], turned(np.full(exact.shape, 7, dtype))):
                assert native.gemm(x, y, out) is out
                assert (np.abs(out - exact) <= bound).all()
                native.gemm(x, y, out, True)
                assert (np.abs(out - 2 * exact) <= 2 * bound).all()
            assert (gaps[..., n:] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_stacks_do_not_depend_on_threads(isa, dtype):
    rng = np.random.default_rng(12)
    for count, m, k, n in [
        (1, 90, 130, 70),
        (3, 70, 64, 90),
        (40, 33, 65, 17),
        (500, 5, 60, 7),
        (7, 2, 300, 400),
    ]:
        a, b = random(rng, dtype, count, m, k), random(rng, dtype, count, k, n)
        found = set()
        for threads in (1, 2, 3, 7):
            native.set_num_threads(threads)
            found.add(native.gemm(a, b).tobytes() + native.gemm(turned(a), turned(b)).tobytes())
        assert len(found) == 1
        one = [native.gemm(x, y) for x, y in zip(a, b, strict=True)]
        assert native.gemm(a, b).tobytes() == np.stack(one).tobytes()


def test_a_nan_stays_in_its_product(isa):
    rng = np.random.default_rng(13)
    a, b = random(rng, np.float32, 4, 3, 5, 17), random(rng, np.float32, 4, 3, 17, 33)
    a[2, 1, 4, 16] = np.nan
    out = native.gemm(a, b)
    assert np.isnan(out[2, 1, 4]).all()
    assert np.isnan(out).sum() == 33


def test_rows_of_a_stack_times_one_matrix(isa):
    """One product where the rows of all lie evenly, else a stack of them: the same to rounding."""
    rng = np.random.default_rng(14)
    wide, w = random(rng, np.float64, 4, 6, 5, 9), random(rng, np.float64, 9, 7)
    for x in (wide, wide[:, :, :1], wide[:, ::2], wide[:, :, ::2], wide.swapaxes(1, 2), wide[..., ::-1]):
        got = native.gemm(x, w)
        assert (got is None) == (x.strides[-1] < 0)
        if got is not None:
            np.testing.assert_allclose(got, x @ w, rtol=1e-13, atol=1e-13)


def test_gemm_choice():
    expected = "numpy" if native.isa() == "baseline" else "native"
    assert native.gemm_choice("scipy-openblas") == expected
    assert native.gemm_choice("mkl-sdl") in ("numpy", expected)
    native.set_isa("baseline")
    assert native.gemm_choice("scipy-openblas") == "numpy"


# ------------------------------------------------------------------ linear
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear(isa, dtype, relu, with_bias):
    rng = np.random.default_rng(2)
    for m, k, n in SHAPES:
        x, w, b, _ = operands(rng, dtype, m, k, n)
        out = native.linear(x, w, b if with_bias else None, relu)
        assert out.dtype == dtype
        extra = b if with_bias else 0.0
        if relu:
            assert (out >= 0).all()
            expected = x.astype(np.float64) @ w + extra
            sure = np.abs(expected) > 1e-3  # where rounding cannot change the sign
            assert ((out > 0) == (expected > 0))[sure].all()
            plain = native.linear(x, w, b if with_bias else None, False)
            np.testing.assert_array_equal(out, np.maximum(plain, 0))
        else:
            assert_product(out, x, w, extra)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_linear_backward(isa, dtype, masked, shape):
    m, k, n = shape
    rng = np.random.default_rng(3)
    x, w, _, g = operands(rng, dtype, m, k, n)
    out = random(rng, dtype, m, n)
    out[rng.random(out.shape) < 0.1] = 0
    mask = out if masked else None
    assert_backward(native.linear_backward(g, x, w, mask, True, True, True), g, x, w, mask)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_that_are_a_transposed_view(isa, dtype, shape):
    """Tied weights: linear(x, embedding.T). The gradient is stored as the weights are."""
    m, k, n = shape
    rng = np.random.default_rng(15)
    x, w, b, g = operands(rng, dtype, m, k, n)
    w = turned(w)
    assert_product(native.linear(x, w, b, False), x, w, b)
    found = native.linear_backward(g, x, w, g, True, True, True)
    assert_backward(found, g, x, w, g)
    assert found[1].T.flags.c_contiguous
    gaps = np.full((n, k + 3), np.nan, dtype)
    gaps[:, :k] = w.T
    again = native.linear_backward(g, x, gaps[:, :k].T, g, True, True, True)
    assert native.linear(x, gaps[:, :k].T, b, True).tobytes() == native.linear(x, w, b, True).tobytes()
    assert [a.tobytes() for a in again] == [a.tobytes() for a in found]


@pytest.mark.parametrize("needs", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("masked", [False, True])
def test_only_what_is_needed(needs, masked):
    rng = np.random.default_rng(4)
    x, w, _, g = operands(rng, np.float32, 9, 20, 70)
    mask = random(rng, np.float32, 9, 70) if masked else None
    every = native.linear_backward(g, x, w, mask, True, True, True)
    for got, full, need in zip(native.linear_backward(g, x, w, mask, *needs), every, needs, strict=True):
        if need:
            np.testing.assert_array_equal(got, full)
        else:
            assert got is None


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 1, 4), (2, 0, 3)])
def test_leading_dimensions(lead):
    rng = np.random.default_rng(5)
    x, w, b, g = (random(rng, np.float64, *s) for s in [(*lead, 6), (6, 5), (5,), (*lead, 5)])
    out = native.linear(x, w, b, True)
    np.testing.assert_allclose(out, np.maximum(x @ w + b, 0), rtol=1e-13, atol=1e-13)
    dx, dw, db = native.linear_backward(g, x, w, out, True, True, True)
    for got, expected in zip((dx, dw, db), composed_backward(g, x, w, out), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)
        assert got.shape == expected.shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(32, 784, 128), (128, 128, 10), (5, 3, 2), (1, 50, 60)])
def test_against_torch(isa, dtype, shape):
    torch = pytest.importorskip("torch")
    m, k, n = shape
    rng = np.random.default_rng(6)
    x, w, b, g = operands(rng, dtype, m, k, n)
    tx, tw, tb = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    expected = torch.relu(torch.nn.functional.linear(tx, tw.T, tb))
    expected.backward(torch.from_numpy(g))
    out = native.linear(x, w, b, True)
    # the mask from torch's own output, so that a rounding at zero cannot tell the two apart.
    got = native.linear_backward(g, x, w, expected.detach().numpy(), True, True, True)
    tolerance = dict(rtol=1e-5, atol=2e-4) if dtype == np.float32 else dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(out, expected.detach().numpy(), **tolerance)
    for mine, theirs in zip(got, (tx.grad, tw.grad, tb.grad), strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), **tolerance)


def test_declines_what_is_not_for_it():
    x, w, b = np.ones((4, 6), np.float32), np.ones((6, 3), np.float32), np.ones(3, np.float32)
    g = np.ones((4, 3), np.float32)
    assert native.linear(x, w, b, False) is not None
    for args in [
        (x.T.copy().T, w, b),
        (x, w, b.astype(np.float64)),
        (x, w[:5], b),
        (x, w, b[:2]),
        (x, w, b[None]),
        (x, b, None),
        (np.float32(1), w, b),
        (np.ones((), np.float32), w, b),
        (x.astype(np.float64), w, b),
        (x.astype(int), w.astype(int), None),
        (x[:, ::-1], w, b),
        (x.tolist(), w, b),
    ]:
        assert native.linear(*args, False) is None
    for args in [
        (g.astype(np.float64), x, w, None),
        (g[:3], x, w, None),
        (g[0], x, w, None),
        (g, x, w, g.astype(np.float64)),
        (g, x, w, g[:3]),
        (g.T.copy().T, x, w, None),
        (np.broadcast_to(np.float32(1), (4, 3)), x, w, None),
        (g, x, w.T, None),
    ]:
        assert native.linear_backward(*args, True, True, True) is None


# ------------------------------------------------------------------ NaN, infinity, accuracy
def test_nothing_hides_a_nan(isa):
    for m, k, n in [(1, 3, 4), (7, 20, 5), (20, 600, 40)]:
        for bad in (np.nan, np.inf):
            x, w = np.zeros((m, k), np.float32), np.zeros((k, n), np.float32)
            w[k // 2, n - 1] = bad  # 0 * NaN and 0 * inf are NaN
            out = native.linear(x, w, None, True)
            assert np.isnan(out[:, n - 1]).all()
            assert (out[:, : n - 1] == 0).all()
            dx, dw, _ = native.linear_backward(np.zeros((m, n), np.float32), x, w, None, True, True, True)
            assert np.isnan(dx[:, k // 2]).all()
            assert (np.delete(dx, k // 2, 1) == 0).all()
            assert (dw == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_mask_is_the_composed_rule(isa, dtype):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40], dtype)
    out, g = (a.copy() for a in np.meshgrid(special, special))
    with np.errstate(invalid="ignore"):
        h = g * (out > 0)
        columns = h.sum(0)
    x, w = np.ones((8, 1), dtype), np.ones((1, 8), dtype)
    _, dw, db = native.linear_backward(g, x, w, out, False, True, True)
    np.testing.assert_array_equal(db, columns)
    np.testing.assert_array_equal(dw[0], columns)
    one = np.ones((1, 1), dtype)
    for i, j in itertools.product(range(8), range(8)):  # one element at a time: nothing else in the sum
        at = np.s_[i : i + 1, j : j + 1]
        got = native.linear_backward(g[at].copy(), one, one, out[at].copy(), True, True, True)
        for value in got:
            np.testing.assert_array_equal(value.ravel(), h[i, j])


@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_gradient_of_many_rows(isa, dtype):
    rng = np.random.default_rng(7)
    g = rng.uniform(0, 1, (100_003, 5)).astype(dtype)
    x = np.zeros((len(g), 1), dtype)
    for values in (g, g - dtype(0.5)):  # the second cancels: its sum is far smaller than its terms
        db = native.linear_backward(values, x, np.zeros((1, 5), dtype), None, False, False, True)[2]
        exact = np.array([np.sum(c.astype(np.longdouble)) for c in values.T])
        ulps, scale = (2, np.abs(exact)) if dtype == np.float32 else (64, np.abs(values).sum(0))
        assert (np.abs(db - exact) <= ulps * np.finfo(dtype).eps * scale).all()


# ------------------------------------------------------------------ determinism and threads
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (1024, 784, 128), (513, 40, 1000), (6, 2000, 300)])
def test_bits_do_not_depend_on_threads(isa, dtype, shape):
    m, k, n = shape
    rng = np.random.default_rng(8)
    x, w, b, g = operands(rng, dtype, m, k, n)
    results = []
    for threads in (1, 2, 3, 7):
        native.set_num_threads(threads)
        out = native.linear(x, w, b, True)
        grads = native.linear_backward(g, x, w, out, True, True, True)
        results.append([a.tobytes() for a in (out, *grads, native.gemm(g.T, x), native.gemm(x, w[:, :n]))])
    assert all(r == results[0] for r in results)


def step(seed):
    rng = np.random.default_rng(seed)
    x, w, b, g = operands(rng, np.float32, 96, 200, 130)
    out = native.linear(x, w, b, True)
    return b"".join(a.tobytes() for a in (out, *native.linear_backward(g, x, w, out, True, True, True)))


def test_two_python_threads_at_once():
    native.set_num_threads(2)
    expected = [step(s) for s in range(4)]
    wrong = []

    def work(seed):
        wrong.extend(seed for _ in range(30) if step(seed) != expected[seed])

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_of_a_fork():
    script = (
        "import os, sys, numpy as np\n"
        "from tensorflowlite_bp import _native as n\n"
        "n.set_num_threads(2)\n"
        "x, w = np.ones((300, 400), np.float32), np.ones((400, 500), np.float32)\n"
        "assert (n.linear(x, w, None, True) == 400).all()\n"
        "pid = os.fork()\n"
        "assert (n.linear(x, w, None, True) == 400).all()\n"
        "if pid == 0: os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# ------------------------------------------------------------------ nothing outside the arrays
GUARDED = """
import ctypes, itertools, mmap, sys
import numpy as np
from tensorflowlite_bp import _native as n

n.set_isa(sys.argv[1])
libc, page, keep = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE, []

def guarded(*shape):  # an array that ends where a page begins that must not be touched
    size = int(np.prod(shape)) * item
    room = -(-max(size, 1) // page) * page
    block = mmap.mmap(-1, room + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(block))
    assert libc.mprotect(ctypes.c_void_p(start + room), page, 0) == 0
    keep.append(block)
    a = np.frombuffer(block, dtype, int(np.prod(shape)), room - size).reshape(shape)
    a[...] = 1
    return a

for dtype in (np.float32, np.float64):
    item = np.dtype(dtype).itemsize
    for m, k, o in itertools.product((1, 2, 3, 5, 7, 13, 40), (1, 3, 8, 33), (1, 2, 3, 5, 7, 9, 10, 17, 100)):
        x, w, b, g, out = guarded(m, k), guarded(k, o), guarded(o), guarded(m, o), guarded(m, o)
        assert (n.linear(x, w, b, True) == k + 1).all()
        dx, dw, db = n.linear_backward(g, x, w, out, True, True, True)
        assert (dx == o).all() and (dw == m).all() and (db == m).all()
        assert (n.gemm(g.T, x) == m).all() and (n.gemm(w.T, x.T) == k).all()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
def test_reads_stop_at_the_end(isa):
    subprocess.run([sys.executable, "-c", GUARDED, isa], check=True, timeout=120)


# ------------------------------------------------------------------ any shape
@settings(max_examples=150, deadline=None)
@given(
    m=st.integers(0, 70),
    k=st.integers(0, 70),
    n=st.integers(0, 70),
    dtype=st.sampled_from(DTYPES),
    bias=st.booleans(),
    masked=st.booleans(),
    isa=st.sampled_from(native.isas()),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_any_shape(m, k, n, dtype, bias, masked, isa, threads, seed):
    native.set_isa(isa)
    native.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    x, w, b, g = operands(rng, dtype, m, k, n)
    assert_product(native.linear(x, w, b if bias else None, False), x, w, b if bias else 0.0)
    mask = random(rng, dtype, m, n) if masked else None
    assert_backward(native.linear_backward(g, x, w, mask, True, True, True), g, x, w, mask)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "to"),
    [((64, 24, 24, 64), (64,)), ((5, 100, 7, 9), (7, 9)), ((3000, 8), (8,)), ((40, 50, 10), (50, 10))],
)
def test_sum_over_leading_axes(dtype, shape, to, threads):
    """A product with ones: at least as accurate as NumPy, and the same bits for any number of threads."""
    x = np.random.default_rng(0).normal(1, 1, shape).astype(dtype)
    want = x.astype(np.longdouble).reshape(-1, *to).sum(0)
    found = []
    for n in (1, 2, 3):
        threads(n)
        found.append(numpy_backend.sum_to(x, shape=to))
    assert found[0].shape == to
    assert found[0].dtype == dtype
    assert {f.tobytes() for f in found} == {found[0].tobytes()}
    error = np.abs(found[0] - want).max()
    assert error <= max(
        np.abs(np.add.reduce(x.reshape(-1, *to), 0) - want).max(), np.finfo(dtype).eps * want.max()
    )
    x[(1,) + (0,) * (x.ndim - 1)] = np.nan
    spoilt = numpy_backend.sum_to(x, shape=to)
    assert np.isnan(spoilt).sum() == 1
    view = x[..., ::-1]
    np.testing.assert_allclose(numpy_backend.sum_to(view, shape=to), spoilt[..., ::-1], rtol=1e-4)
