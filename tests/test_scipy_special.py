"""bp.scipy.special against JAX and mpmath, at the ends of its ranges; the namespace itself."""
# ruff: noqa: E501  (a table, one case a line)

import mpmath
import numpy as np
import pytest
import scipy.special as sp
from oracles import array, quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError
from tensorflowlite_bp.testing import check_grads

S = bp.scipy.special
X = np.linspace(0.15, 3.4, 12)
UNIT = np.linspace(0.05, 0.95, 12)
SIGNED = np.linspace(-2.3, 2.6, 12)


@pytest.fixture(scope="module")
def jax():
    with quiet():
        import jax
        import jax.scipy.special

        jax.config.update("jax_enable_x64", True)
    return jax


# ------------------------------------------------------------------ the namespace
def test_raw_arrays_go_to_scipy():
    out = S.gamma(X)
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, sp.gamma(X))
    assert S.gamma.__wrapped__ is sp.gamma
    assert S.gamma(5) == 24.0
    assert S.jn_zeros(0, 2).shape == (2,)
    assert S.legendre(2)(1.0) == pytest.approx(1.0)
    assert set(sp.__all__) <= set(dir(S))
    into = np.empty(12)
    assert S.gamma(X, out=into) is into


def test_every_function_of_ours_is_scipys_too():
    assert [n for n in S.OURS if not hasattr(sp, n)] == []
    assert len(S.OURS) > 150


def test_scipys_own_functions_take_tensors():
    t = bp.tensor(X, requires_grad=True)
    for name in ("gammaln", "erf", "expit", "i0", "entr"):
        out = getattr(sp, name)(t)
        assert out.requires_grad, name
        np.testing.assert_array_equal(out.numpy(), getattr(sp, name)(X))
    assert sp.gammainc(2.0, t).requires_grad
    with pytest.raises(TypeError, match="kolmogorov"):
        sp.kolmogorov(t)


def test_what_has_no_derivative_refuses_by_name():
    t = bp.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"scipy\.special\.kolmogorov"):
        S.kolmogorov(t)
    np.testing.assert_array_equal(S.kolmogorov(t.detach()).numpy(), sp.kolmogorov(X))
    for call, argument in (
        (lambda: S.jv(t, 1.0), "'v'"),
        (lambda: S.zeta(t, 1.0), "'x'"),
        (lambda: S.zeta(t), "'x'"),
        (lambda: S.hyp2f1(1.0, t, 2.0, 0.5), "'b'"),
        (lambda: S.polygamma(t, X), "'n'"),
        (lambda: S.eval_legendre(t, 0.5), "'n'"),
        (lambda: S.ellipj(0.5, t), "'m'"),
    ):
        with pytest.raises(DTypeError, match=argument):
            call()
    with pytest.raises(AttributeError, match="no attribute 'gama'"):
        _ = S.gama
    with pytest.raises(TypeError, match="exact"):
        S.comb(t, 2, exact=True)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = bp.scipy.specials


def test_scipy_is_imported_on_first_use_and_its_absence_explained(run_python):
    code = "import sys, tensorflowlite_bp as bp; bp.scipy; print('scipy' in sys.modules)"
    assert run_python(code).stdout.strip() == "False"
    code = "import sys; sys.modules['scipy'] = sys.modules['scipy.special'] = None\nimport tensorflowlite_bp as bp\nbp.scipy.special.gamma"
    assert "pip install" in run_python(code).stderr
    code += "(1.0)"
    code = code.replace("bp.scipy.special.gamma(1.0)", "bp.scipy.special.OURS['gamma'](1.0)")
    assert "pip install" in run_python(code).stderr


def test_other_modules_are_guarded():
    assert bp.scipy.interpolate.interp1d is __import__("scipy.interpolate").interpolate.interp1d
    t = bp.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"scipy\.interpolate\.splrep"):
        bp.scipy.interpolate.splrep(t, X)
    assert len(bp.scipy.interpolate.splrep(X, X)) == 3


# ------------------------------------------------------------------ torch, and JAX where torch has no such function
IN_TORCH = {
    "gammaln": X, "erf": SIGNED, "erfc": SIGNED, "erfinv": UNIT, "erfcx": SIGNED, "entr": X,
    "expit": SIGNED, "logit": UNIT, "ndtr": SIGNED, "ndtri": UNIT, "log_ndtr": SIGNED - 2, "i0": SIGNED, "i0e": SIGNED,
    "i1": SIGNED, "i1e": SIGNED, "expm1": SIGNED, "log1p": X, "exp2": SIGNED,
}  # fmt: skip


@pytest.mark.parametrize("name", IN_TORCH)
def test_agrees_with_torch(name):
    t = torch().tensor(IN_TORCH[name], requires_grad=True)
    x = bp.tensor(IN_TORCH[name], requires_grad=True)
    out, expected = getattr(S, name)(x), getattr(torch().special, name)(t)
    np.testing.assert_allclose(out.numpy(), array(expected), rtol=1e-10)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), array(t.grad), rtol=1e-10)


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_agrees_with_torch_in_both(name):
    ts = [torch().tensor(v, requires_grad=True) for v in (SIGNED, X)]
    xs = [bp.tensor(v, requires_grad=True) for v in (SIGNED, X)]
    getattr(torch().special, name)(*ts).sum().backward()
    getattr(S, name)(*xs).sum().backward()
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), array(t.grad), rtol=1e-12)


SEVERAL = {
    "gamma": (SIGNED,), "dawsn": (SIGNED,), "betaln": (X, X[::-1] + 0.3), "gammainc": (X + 0.3, X[::-1]),
    "boxcox": (X, SIGNED), "owens_t": (SIGNED, X), "hyp1f1": (X + 0.5, X[::-1] + 0.5, X),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_agrees_with_jax(jax, name):
    args = SEVERAL[name]
    out, pull = bp.vjp(getattr(S, name), *args)
    expected, pull_jax = jax.vjp(getattr(jax.scipy.special, name), *args)
    np.testing.assert_allclose(out, expected, rtol=1e-10)
    g = np.cos(np.arange(out.size))
    for ours, jaxs in zip(pull(g), pull_jax(g), strict=True):
        np.testing.assert_allclose(ours, jaxs, rtol=1e-10)


@pytest.mark.parametrize("arguments", [{"axis": (0, 1), "keepdims": True}, {"b": True, "axis": 1}, {"b": True, "return_sign": True}])  # fmt: skip
def test_logsumexp(jax, arguments):
    r = np.random.default_rng(0)
    x, b = r.normal(size=(3, 4)) * 300, r.normal(size=(3, 4))
    b[0, 1] = 0
    given = {**arguments, "b": b} if "b" in arguments else arguments
    if "b" in arguments and "return_sign" not in arguments:
        given["b"] = b = abs(b)
    first = lambda f: lambda *xs: f(*xs)[0] if "return_sign" in arguments else f(*xs)
    want = sp.logsumexp(x, **given)
    got = S.logsumexp(bp.asarray(x), **given)
    for w, o in zip(*(v if isinstance(v, tuple) else (v,) for v in (want, got)), strict=True):
        np.testing.assert_allclose(o.numpy(), w, rtol=1e-13)
    xs = (x, b) if "b" in arguments else (x,)
    rest = {k: v for k, v in given.items() if k != "b"}
    call = lambda m: first(lambda *v: m.logsumexp(v[0], **rest, **({"b": v[1]} if len(v) > 1 else {})))
    out, pull = bp.vjp(call(S), *xs)
    _, pull_jax = jax.vjp(call(jax.scipy.special), *xs)
    g = np.cos(np.arange(out.size)).reshape(np.shape(out))
    for ours, jaxs in zip(pull(g), pull_jax(g), strict=True):
        kept = b != 0  # where it is 0 JAX gives no gradient in b; ours is checked below
        np.testing.assert_allclose(ours[kept], np.asarray(jaxs)[kept], rtol=1e-11, atol=1e-300)
    small = (x / 300, b) if "b" in arguments else (x / 300,)
    if "b" not in arguments or "return_sign" in arguments:
        check_grads(call(S), small)


def test_softmax_over_axes():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    for axis in (None, 0, (0, 2)):
        for name in ("softmax", "log_softmax"):
            f, g = getattr(S, name), getattr(sp, name)
            np.testing.assert_allclose(f(bp.asarray(x), axis=axis).numpy(), g(x, axis=axis), rtol=1e-12)
            check_grads(lambda v, f=f, axis=axis: f(v, axis=axis), [x])
    z = x[0] + 1j * x[1]
    np.testing.assert_allclose(S.logsumexp(bp.asarray(z)).numpy(), sp.logsumexp(z), rtol=1e-12)
    check_grads(S.logsumexp, [z])
    assert S.logsumexp(bp.asarray(np.empty((0, 2))), axis=0).numpy().tolist() == [-np.inf, -np.inf]


# ------------------------------------------------------------------ mpmath: parameters, and the ends of the ranges
def derivative(f, args, orders, digits=50):
    with mpmath.workdps(digits):
        return float(mpmath.diff(f, tuple(map(mpmath.mpf, args)), tuple(orders)))


def ours(f, args, orders):
    """The mixed derivative, by nested reverse mode."""
    for k, n in enumerate(orders):
        for _ in range(n):
            f = bp.grad(f, argnums=k)
    return float(f(*args))


P = lambda a, x: mpmath.gammainc(a, 0, x, regularized=True)
I = lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True)
CASES = [
    *[("gammainc", P, (a, x), (n, 0)) for n in (1, 2) for a, x in
      ((0.5, 0.3), (1e-3, 1e-5), (1e-3, 1e-200), (3.0, 10.0), (50.0, 45.0), (50.0, 200.0), (1e3, 1e3 + 40), (20.0, 0.01))],
    ("gammainc", P, (2.5, 3.0), (1, 1)),
    ("gammainc", P, (1e4, 9.5e3), (1, 0)),
    *[("betainc", I, (a, b, x), o) for o in ((1, 0, 0), (0, 1, 0), (1, 1, 0)) for a, b, x in
      ((0.5, 0.5, 0.3), (1e-3, 2.0, 0.5), (2.0, 1e-3, 0.9999), (50.0, 60.0, 0.05), (5.0, 0.5, 1 - 1e-9), (3.0, 4.0, 1e-8))],
    ("betainc", I, (2.5, 3.5, 0.4), (1, 0, 1)),
    *[("hyp1f1", mpmath.hyp1f1, a, o) for o in ((1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 1, 1)) for a in
      ((1.0, 2.0, 3.0), (0.5, 1.5, -20.0), (-2.0, 1.5, 3.0), (2.5, 0.3, 100.0))],
    *[("ellipk", mpmath.ellipk, (m,), (n,)) for n in (1, 2) for m in (0.0, 0.999, -1e6, 1 - 1e-12)],
    *[("ellipkinc", mpmath.ellipf, (p, m), o) for o in ((0, 1), (1, 1), (0, 2)) for p, m in
      ((0.5, 0.3), (1.0, 0.0), (2.0, 0.5), (-7.0, 0.5), (0.5, 1 - 1e-9), (1.5, -50.0))],
    *[("ellipeinc", mpmath.ellipe, (p, m), o) for o in ((0, 1), (1, 1)) for p, m in ((1.0, 0.0), (-7.0, 0.5), (1.5, -50.0))],
    *[("log_ndtr", lambda x: mpmath.log(mpmath.ncdf(x)), (x,), (n,)) for n in (1, 2) for x in (-300.0, -30.0, -1.0, 5.0)],
    *[("erfcx", lambda x: mpmath.exp(x * x) * mpmath.erfc(x), (x,), (n,)) for n in (1, 2) for x in (-3.0, 2.0, 50.0, 300.0)],
    *[("dawsn", lambda x: mpmath.exp(-x * x) * mpmath.erfi(x) * mpmath.sqrt(mpmath.pi) / 2, (x,), (1,)) for x in (1.0, 15.0, 40.0)],
    *[("expit", lambda x: 1 / (1 + mpmath.exp(-x)), (x,), (n,)) for n in (1, 2) for x in (-700.0, -40.0, 0.3, 40.0)],
    *[("rgamma", mpmath.rgamma, (x,), (n,)) for n in (1, 2) for x in (-3.0, -2.5, 0.0, 4.0)],
    *[("exprel", lambda x: mpmath.quad(lambda t: mpmath.exp(x * t), [0, 1]), (x,), (n,)) for n in (1, 2) for x in (0.0, 1e-9, -30.0, 4.0)],
    *[("boxcox", lambda x, y: mpmath.quad(lambda t: t ** (y - 1), [1, x]), (2.0, y), (0, n)) for n in (1, 2) for y in (0.0, 1e-9, -2.0)],
    *[("spence", lambda x: mpmath.polylog(2, 1 - x), (x,), (n,)) for n in (1, 2) for x in (1.0, 1 + 1e-9, 0.3, 30.0)],
    *[("digamma", mpmath.digamma, (x,), (n,)) for n in (1, 2) for x in (-2.5, 0.01, 3.0, 1e4)],
    *[("zeta", lambda s, q: mpmath.zeta(s, q), (2.5, q), (0, n)) for n in (1, 2) for q in (0.01, 2.0, 1e3)],
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "exact", "args", "orders"), CASES, ids=lambda v: str(v) if not callable(v) else ""
)
def test_agrees_with_mpmath(name, exact, args, orders):
    got = ours(getattr(S, name), args, orders)
    want = derivative(exact, args, orders)
    assert got == pytest.approx(want, rel=1e-11, abs=1e-305)


@pytest.mark.parametrize("z", [1 + 2j, -3.3 + 0.1j, 0.5 - 8j, -20.2 + 1e-3j])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_complex_polygamma(n, z):
    assert S.polygamma(n, bp.asarray(z)).item() == pytest.approx(complex(mpmath.polygamma(n, z)), rel=1e-11)


@pytest.mark.parametrize("name", ["wofz", "erfcx", "dawsn"])
def test_complex_derivatives_far_out(name):
    """Beyond 7 by the expansion at infinity, with what it leaves out on one side."""
    z = np.linspace(4, 12, 24) * np.exp(1j * np.linspace(-3.1, 3.1, 24))
    with np.errstate(over="ignore", invalid="ignore"):
        kept = abs(getattr(sp, name)(z)) < 1e3
    check_grads(getattr(S, name), [z[kept]])
    assert kept.sum() > 12


INVERSES = {
    "gammaincinv": ("gammainc", (X + 0.5,)),
    "gammainccinv": ("gammaincc", (X + 0.5,)),
    "betaincinv": ("betainc", (X + 0.5, X[::-1] + 0.2)),
    "betainccinv": ("betaincc", (X + 0.5, X[::-1] + 0.2)),
    "ndtri": ("ndtr", ()),
}


@pytest.mark.parametrize("name", INVERSES)
def test_inverses_undo_each_other(name):
    other, parameters = INVERSES[name]
    function, inverse = getattr(S, other), getattr(S, name)
    every = tuple(range(len(parameters) + 1))
    in_y, *others = bp.grad(lambda y, *p: function(*p, inverse(*p, y)).sum(), argnums=every)(
        UNIT, *parameters
    )
    np.testing.assert_allclose(in_y, 1, rtol=1e-12)
    for g in others:
        np.testing.assert_allclose(g, 0, atol=1e-12)


def test_large_parameters_do_not_lose_digits():
    f = S.OURS["gammainc"]
    for a in (1e5, 1e7, 1e9):
        x = a + 2 * np.sqrt(a)
        with mpmath.workdps(40):
            m, t = mpmath.mpf(a), mpmath.mpf(x)
            density = float(mpmath.exp((m - 1) * mpmath.log(t) - t - mpmath.loggamma(m)))
        assert bp.grad(f, 1)(a, x) == pytest.approx(density, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_nan_at_the_ends(dtype):
    big = 80.0 if dtype == "float32" else 700.0
    x = np.array([-big, -1, 0, 1, big], dtype)
    for name in ("log_ndtr", "ndtr", "erf", "erfc", "expit", "log_expit", "softplus", "i0e", "i1e", "exprel", "dawsn",
                 "cosm1"):  # fmt: skip
        first = bp.elementwise_grad(getattr(S, name))
        second = bp.elementwise_grad(first)
        assert np.isfinite(first(x)).all(), name
        assert np.isfinite(second(x)).all(), name
        assert first(x).dtype == dtype
    positive = np.array([1e-30, 1e-3, 1, 50, 1e6], dtype)
    for name in ("gammaln", "j0", "j1", "jn", "k0e", "k1e"):
        f = getattr(S, name)
        call = (lambda v, f=f: f(1, v)) if name == "jn" else f
        g = bp.elementwise_grad(call)(positive[1:])
        assert np.isfinite(g).all(), name
        assert g.dtype == dtype


@pytest.mark.parametrize("name", ["gammasgn", "zetac"])
def test_functions_without_a_derivative_here_give_constants(name):
    x = np.array([-2.5, -0.5, 1.5, 4.0])
    out = getattr(bp.scipy.special, name)(bp.tensor(x, requires_grad=True).detach())
    assert not out.requires_grad
    np.testing.assert_array_equal(out.numpy(), getattr(sp, name)(x))
