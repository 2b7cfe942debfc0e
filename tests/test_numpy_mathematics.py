"""NumPy's calculus, interpolation, convolution, polynomials and special numbers: values as NumPy's, gradients
as JAX's and as differences have them.
"""

import itertools

import numpy as np
import pytest
from alike import same

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bn
from tensorflowlite_bp.testing import check_grads

R = np.random.default_rng(1)
V = R.normal(size=5)
M = R.normal(size=(4, 5))
A = R.normal(size=(4, 5, 3))
C = M + 1j * M[::-1]
ARRAYS = {
    "3-d": A,
    "1-d": V,
    "2-d": M,
    "integers": np.arange(20).reshape(4, 5) ** 2,
    "complex": C,
    "0-d": np.array(2.5),
    "empty": np.zeros((0, 3)),
    "float32": M.astype("f4"),
}
ANY_SHAPE = [
    *[f"np.diff(a, {n}, {x})" for n in (0, 1, 2, 9, -1) for x in (0, -1, 1, 7)],
    "np.diff(a, prepend=0, append=5)",
    "np.diff(a, axis=0, prepend=a)",
    "np.ediff1d(a)",
    "np.ediff1d(a, to_begin=3, to_end=[4, 5])",
    "np.ediff1d(a, 1.5, 1j)",
    *[
        f"np.gradient(a{spacing}, edge_order={order})"
        for order in (1, 2, 3)
        for spacing in (
            "",
            ", 2.0",
            ", axis=0",
            ", np.array([0, 1, 1.5, 3]), axis=0",
            ", np.array([0, 1, 1.5, 3]), 0.5",
            ", [0, 1, 2, 4], 0.5, np.array([0, 2, 3])",
            ", 0.5, axis=(0, -1)",
            ", np.ones((2, 2)), axis=0",
        )
    ],
    *[
        f"np.trapezoid(a, {more})"
        for x in (0, 1, -1)
        for more in (f"axis={x}", f"dx=0.3, axis={x}", f"np.arange(np.shape(a)[{x}]) ** 1.5, axis={x}")
    ],
    "np.trapezoid(a, a * a)",
    *[f"np.{f}(a)" for f in "real imag angle real_if_close round around fix nan_to_num sinc unwrap".split()],
    *[f"np.{f}(3 * a)" for f in "round around fix unwrap isposinf i0".split()],
    "np.angle(a, True)",
    "np.round(a, 1)",
    "np.unwrap(3 * a, axis=0, period=4, discont=3)",
    "np.real_if_close(a * (1 + 1e-15j))",
    *[f"np.emath.{f}(a)" for f in "sqrt log log2 log10 arccos arcsin arctanh".split()],
    *[f"np.emath.{f}(abs(a) + 0.1)" for f in "sqrt log arccos".split()],
    "np.emath.power(a, 2)",
    "np.emath.power(a + 0.1, -2)",
    "np.emath.power(a, 0.5)",
    "np.emath.logn(2, a + 0.1)",
    "np.isclose(a, a)",
    "np.allclose(a, a + 1)",
    "np.array_equal(a, a)",
]


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.filterwarnings("ignore")
def test_of_any_shape(array):
    for text in ANY_SHAPE:
        same(text, ARRAYS[array])


ODD = np.array([1, np.nan, np.inf, -np.inf, 2])
AT = np.array([-1, 0, 0.3, 1, 2.5, 3, 6, 7, 8, np.nan])
XP = np.array([0, 1, 2.5, 4, 7])
POINTS = [
    (AT, XP, V),
    (AT, XP, V + 1j),
    (AT[:, None], XP, V),
    (AT[2], XP, V),
    (AT, XP[:1], V[:1]),
    (AT, XP, np.array([1, np.inf, 2, 2, np.inf])),
    (AT, np.array([0, 1, 1, 2, 7.0]), V),
    (AT, XP, V[:2]),
    (AT.astype("f4"), XP.astype("f4"), V.astype("f4")),
    (np.arange(4), np.arange(5), np.arange(5)),
]


@pytest.mark.filterwarnings("ignore")
def test_interpolation():
    for arrays, more in itertools.product(POINTS, ("", ", left=-9, right=3", ", period=3", ", period=-3")):
        same(f"np.interp(a, b, c{more})", *arrays)
    same("np.interp(a, b, c, period=0)", AT, XP, V)
    same("np.interp(a, b, [1, 2, 3, 4, 5])", AT, XP)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite():
    for x in (ODD, 1j * ODD + 3, ODD.astype("f4")):
        for more in ("", ", True, 7", ", nan=7, posinf=8, neginf=9", ", copy=False"):
            same(f"np.nan_to_num(a.copy(){more})", x)
    x = bp.asarray(ODD)
    assert np.nan_to_num(x, copy=False) is x
    assert np.isfinite(x.numpy()).all()


@pytest.mark.parametrize("mode", ["full", "same", "valid", 1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_convolution(mode):
    functions = {"convolve": np.convolve, "correlate": np.correlate}
    for n, m in itertools.product((1, 2, 3, 4, 7), repeat=2):
        a, v = R.normal(size=n) * 3, R.normal(size=m) * 3
        for name, f in functions.items():
            for x in (a, (3 * a).astype(int), a + 2j * a[::-1]):
                same(f"np.{name}(a, b, {mode!r})", x, v)
            check_grads(lambda a, v, f=f: f(a, v, mode), (a, v))
            check_grads(lambda a, v, f=f: f(a, v, mode), (a + 1j * a, v - 2j * v), order=1)
    for wrong in ("a, []", "a, a, 'most'", "a, b", "a, 2.0"):
        same(f"np.convolve({wrong})", V, M)


P, Q, Z = V[:4], V[:2], np.array([0.0, 0, 1, -3, 2, 0, 0])
PAIRS = list(itertools.product((P, Q, np.array([0, 0, 1, 2, 3]), P + 1j * P[::-1], Z), repeat=2))


@pytest.mark.filterwarnings("ignore")
def test_polynomials_of_two():
    for p, q in PAIRS:
        for f in "polyval polyadd polysub polymul".split() + ["polydiv"] * bool(q[0]):
            same(f"np.{f}(a, b)", p, q, rtol=1e-10)
        same("np.polyval(a, c)", p, q, M)
    same("np.polyval(np.poly1d([1.0, 2]), a)", V)


@pytest.mark.parametrize("p", [P, Q, Z, P + 1j, np.zeros(3), np.array([1 + 1j, 1 - 1j, 2]), M[:3, :3]])
def test_polynomials_of_one(p):
    for m, more in itertools.product((0, 1, 2, 5, -1), ("", ", 3", ", [1, 2]")):
        if p.ndim == 1:
            same(f"np.polyint(a, {m}{more})", p)
            same(f"np.polyder(a, {m})", p)
    same("np.poly(a)", p, rtol=1e-12)
    same("np.roots(a)", p, rtol=1e-12)


def test_poly1d():
    """NumPy's class works on Tensors by itself, for it is made of these functions."""
    p, q = np.poly1d([1.0, -2.0, 3.0]), np.poly1d([2.0, 1.0])
    for f in (
        lambda p, q: p(0.5),
        lambda p, q: (p * q)(0.5),
        lambda p, q: (p - 2 * q).deriv()(0.5),
        lambda p, q: p.integ()(0.5),
        lambda p, q: q.roots[0] + p.coeffs[1],
    ):
        got = f(*[np.poly1d(bp.tensor(x.coeffs, requires_grad=True)) for x in (p, q)])
        assert got.requires_grad
        assert got.item() == pytest.approx(f(p, q), rel=1e-13)
        check_grads(lambda a, b, f=f: f(np.poly1d(a), np.poly1d(b)), (p.coeffs, q.coeffs))


def test_polyfit():
    x, y, w = abs(V) + 0.1, R.normal(size=(5, 2)), R.uniform(0.5, 2, 5)
    for more in ("", ", w=c", ", cov=True", ", cov='unscaled'", ", w=c[:2]", ", rcond=0.5"):
        for columns in (y, y[:, 0]):
            same(f"np.polyfit(a, b, 2{more})", x, columns, w, rtol=1e-10)
    found, want = np.polyfit(bp.asarray(x), bp.asarray(y), 2, full=True), np.polyfit(x, y, 2, full=True)
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a.numpy() if isinstance(a, bp.Tensor) else a, b, rtol=1e-10)
    with pytest.warns(np.exceptions.RankWarning):
        np.polyfit(bp.asarray(x[:2]), y[:2, 0], 4)
    check_grads(lambda x, y, w: np.polyfit(x, y, 2, w=w), (x, y, w))
    check_grads(lambda x, y: np.polyfit(x, y, 1, cov=True), (x, y[:, 0]), order=1)


# ------------------------------------------------------------------ gradients, against JAX
TIMES = np.array([0.0, 1.0, 1.7, 3.0, 4.4])
INNER = np.array([-0.4, 0.3, 1.2, 2.9, 3.9, 5.1])
GRADIENTS = {
    "np.gradient(a, b, axis=1)": [M, np.array(0.4)],
    "np.diff(a, 2, 0)": [M],
    "np.ediff1d(a, b[:1], b[1:])": [M, V],
    "np.trapezoid(a, b)": [M, TIMES],
    "np.trapezoid(a, dx=b)": [M, np.array(0.4)],
    "np.interp(a, b, c)": [INNER, TIMES, V],
    "np.interp(a, b, c, left=0.5, right=-1.0)": [INNER, TIMES, V],
    "np.convolve(a, b, 'same')": [V, TIMES[1:4]],
    "np.correlate(a, b, 'full')": [V, TIMES[1:4]],
    "np.polyval(a, b)": [V, M],
    "np.polymul(a, b)": [V, TIMES[1:4]],
    "np.polydiv(a, b)[0]": [V, TIMES[1:4]],
    "np.polyint(a, 2)": [V],
    "np.polyder(a, 2)": [V],
    "np.polyfit(a, b, 2)": [TIMES + 0.1, V],
    "np.unwrap(4 * a)": [V],
    "np.sinc(a)": [M],
    "np.i0(a)": [M],
    "np.kaiser(9, a)": [np.array(3.3)],
    "np.vander(a, 4)": [V],
    "np.pad(a, ((1, 2), (3, 0)), 'reflect', reflect_type='odd')": [M],
    "np.pad(a, 2, 'linear_ramp', end_values=3.0)": [M],
    "np.pad(a, 2, 'mean')": [M],
    "np.linspace(a, b, 7)": [V, TIMES],
    "np.logspace(a, b, 7)": [V, TIMES],
    "np.geomspace(a, b, 7)": [abs(V), TIMES + 1],
    "np.select([a > 0, a < -1], [a**2, np.sin(a)], 3.0)": [M],
    "np.rot90(a, 3) @ a": [M],
    "np.nan_to_num(a) * np.angle(a + 1j * a**2)": [M],
    "np.block([[a, 2 * a], [a**2, a]])": [M],
    "np.insert(a, 2, a[:, 0], axis=1)": [M],
    "np.apply_along_axis(lambda v: v[:2] * v.sum(), 1, a)": [M],
}


@pytest.mark.parametrize("text", GRADIENTS)
def test_gradients(text):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f = eval(f"lambda np, a, b=None, c=None: {text}")
    arrays = GRADIENTS[text]
    want, pull = jax.vjp(lambda *xs: f(jax.numpy, *xs), *arrays)
    g = np.random.default_rng(1).normal(size=want.shape)
    tensors = [bp.tensor(x, requires_grad=True) for x in arrays]
    out = f(bn, *tensors)
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-10, atol=1e-12)
    out.backward(g)
    for t, w in zip(tensors, pull(jax.numpy.asarray(g)), strict=True):
        np.testing.assert_allclose(t.grad.numpy(), w, rtol=1e-10, atol=1e-11)
    check_grads(lambda *xs: f(bn, *xs), arrays)


def test_gradients_that_jax_has_not():
    for order in (1, 2):
        check_grads(lambda f, x, order=order: np.gradient(f, x, edge_order=order), (V, TIMES))
    check_grads(lambda x, xp, fp, p: np.interp(x, xp, fp, period=p), (INNER, TIMES, V, np.array(3.3)))
    check_grads(lambda fp: np.interp(INNER, TIMES, fp), (V + 1j * V[::-1],))
    check_grads(lambda left, right: bn.interp(INNER, TIMES, V, left, right), (np.array(0.2), np.array(1.0)))
    check_grads(np.roots, (np.array([1.0, -6, 11, -6.1]),))
    check_grads(np.roots, (np.array([1.0, 2, 3, 4]),))
    check_grads(np.poly, (M[:3, :3],))
    check_grads(lambda x: bn.vectorize(lambda a, b: a * b if a > b else a**b)(abs(x)[:, None], abs(x)), (V,))


# ------------------------------------------------------------------ sinc and I0, to every order
def test_sinc_keeps_its_digits():
    """Derivatives of sin(pi x) / (pi x) at 0: (-1)^(k/2) pi^k / (k + 1), and 0 for odd k."""
    f = np.sinc
    for k in range(1, 7):
        f = bp.grad(f)
        want = 0.0 if k % 2 else (-1) ** (k // 2) * np.pi**k / (k + 1)
        assert f(0.0) == pytest.approx(want, rel=1e-13, abs=1e-13)
    assert bp.grad(np.sinc)(1e-4) == pytest.approx(
        -(np.pi**2) * 1e-4 / 3 * (1 - np.pi**2 * 1e-8 / 10), rel=1e-13
    )


def test_bessel_functions_against_scipy():
    special = pytest.importorskip("scipy.special")
    x = np.array([0.0, 1e-6, 0.1, 1, 5, 20, 100, 700, -3, -0.2])
    for k in range(1, 5):
        f = np.i0
        for _ in range(k):
            f = bp.elementwise_grad(f)
        np.testing.assert_allclose(f(x), special.ivp(0, x, k), rtol=1e-13, atol=1e-15)
