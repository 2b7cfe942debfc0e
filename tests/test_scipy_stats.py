"""bp.scipy.stats: every method against SciPy's values and against differences, in the variable and all parameters."""
# ruff: noqa: E501  (tables, one case a line)

import itertools

import mpmath
import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as real
from oracles import quiet

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError
from tensorflowlite_bp.testing import check_grads

T = bp.scipy.stats
LINE = np.array([-2.3, -0.8, 0.4, 1.7])
HALF = np.array([0.3, 0.9, 1.6, 3.1])
UNIT = np.array([0.1, 0.35, 0.6, 0.85])
A, B = np.array([0.7, 1.4, 2.5, 6.0]), np.array([1.3, 3.2, 0.8, 2.0])
LOC, SCALE = np.array([0.3, -0.2, 0.1, 0.0]), np.array([1.5, 0.8, 1.2, 2.0])

# name: where the standard variable lies, the shape parameters
CONTINUOUS = {
    "norm": (LINE, ()), "lognorm": (HALF, (A,)), "halfnorm": (HALF, ()), "skewnorm": (LINE, (np.array([0.8, 0.1, -0.6, 1.2]),)),
    "truncnorm": (np.array([-0.8, 0.4, 1.7, -3.1]), (np.array([-1, -2, 1.1, -4.0]), np.array([2, 1, 4, -2.0]))),
    "t": (LINE, (A,)), "cauchy": (LINE, ()), "gennorm": (LINE, (A,)), "invgauss": (HALF, (A,)), "wald": (HALF, ()),
    "expon": (HALF, ()), "laplace": (LINE, ()), "logistic": (LINE, ()), "gumbel_r": (LINE, ()),
    "gumbel_l": (LINE, ()), "pareto": (HALF + 1, (A,)), "uniform": (UNIT, ()), "weibull_min": (HALF, (A,)),
    "rayleigh": (HALF, ()), "triang": (UNIT, (UNIT[::-1].copy(),)), "vonmises": (LINE, (A,)),
    "wrapcauchy": (HALF, (UNIT,)), "gamma": (HALF, (A,)), "chi2": (HALF, (A,)), "chi": (HALF, (A,)),
    "invgamma": (HALF, (A,)), "beta": (UNIT, (A, B)), "f": (HALF, (A, B)),
}  # fmt: skip
METHODS = ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf")
COUNTS = {
    "bernoulli": (np.array([0, 1, 1, 0]), (UNIT,)), "binom": (np.array([0, 2, 5, 3]), (np.array([5, 4, 5, 9]), UNIT)),
    "poisson": (np.array([0, 2, 5, 3]), (A,)), "geom": (np.array([1, 2, 5, 3]), (UNIT,)),
    "nbinom": (np.array([0, 2, 5, 3]), (A, UNIT)), "betabinom": (np.array([0, 2, 5, 3]), (np.array([5, 4, 5, 9]), A, B)),
}  # fmt: skip


def methods(table, names):
    return [(d, m) for d, m in itertools.product(table, names) if m in getattr(T, d).ours]


@pytest.mark.parametrize(("name", "method"), methods(CONTINUOUS, METHODS))
def test_continuous(name, method):
    y, shapes = CONTINUOUS[name]
    x = UNIT if method in ("ppf", "isf") else y * SCALE + LOC
    args = [x, *shapes, LOC, SCALE]
    f, theirs = getattr(getattr(T, name), method), getattr(getattr(real, name), method)
    out = f(*[bp.asarray(a) for a in args])
    np.testing.assert_allclose(out.numpy(), theirs(*args), rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(f(*args), theirs(*args))
    check_grads(f, args)


@pytest.mark.parametrize(
    ("name", "method"), methods(COUNTS, ("logpmf", "pmf", "cdf", "sf", "logcdf", "logsf"))
)
def test_discrete(name, method):
    k, shapes = COUNTS[name]
    f, theirs = getattr(getattr(T, name), method), getattr(getattr(real, name), method)
    with np.errstate(divide="ignore"):
        want = theirs(k, *shapes)
    inside = np.isfinite(want)
    k, shapes, want = k[inside], [s[inside] for s in shapes], want[inside]
    np.testing.assert_allclose(f(k, *[bp.asarray(s) for s in shapes]).numpy(), want, rtol=1e-11, atol=1e-14)
    fixed = [s for s in shapes if s.dtype.kind == "i"]
    check_grads(lambda *p: f(k, *fixed, *p), [s for s in shapes if s.dtype.kind == "f"])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_under_vmap(name):
    y, shapes = CONTINUOUS[name]
    x, d = np.concatenate([y[:2], [-7.0, 9.0]]), getattr(T, name)
    for method in ("logpdf", "cdf", "ppf"):
        if method in d.ours:
            at = UNIT if method == "ppf" else x
            f = lambda *a, m=method: getattr(d, m)(*a)
            with np.errstate(all="ignore"):
                got = bp.vmap(bp.grad(f))(at, *shapes)
                want = bp.elementwise_grad(f)(at, *shapes)
            np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_outside_the_support_and_for_bad_parameters(name):
    shapes = [s[:1] for s in CONTINUOUS[name][1]]
    x = np.array([-1e3, -0.5, 0.0, 0.5, 1.0, 7.0, 1e3, np.nan])
    d, theirs = getattr(T, name), getattr(real, name)
    for method in ("logpdf", "pdf", "cdf", "sf"):
        if method in d.ours:
            with np.errstate(all="ignore"):
                got, want = (
                    getattr(d, method)(bp.tensor(x), *shapes).numpy(),
                    getattr(theirs, method)(x, *shapes),
                )
                lost = np.isneginf(want) & np.isfinite(got) & (got < -700)  # SciPy takes the logarithm of 0
                np.testing.assert_allclose(got, np.where(lost, got, want), rtol=1e-10, atol=1e-300)
    if "ppf" in d.ours:
        q = np.array([-0.1, 0.0, 1.0, 1.1, np.nan])
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                d.ppf(bp.tensor(q), *shapes).numpy(), theirs.ppf(q, *shapes), rtol=1e-10
            )
    with np.errstate(all="ignore"):
        assert np.isnan(d.logpdf(bp.tensor(0.5), *shapes, scale=-1.0).numpy()).all()


def test_gradients_are_finite_where_part_of_an_array_is_outside():
    x = bp.tensor(np.array([-1.0, 0.5, 2.0]), requires_grad=True)
    for d, shapes in ((T.expon, ()), (T.beta, (2.0, 3.0)), (T.gamma, (2.5,)), (T.lognorm, (0.7,))):
        x.grad = None
        d.cdf(x, *shapes).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
        assert x.grad.numpy()[0] == 0


def test_counts_are_constants():
    k = bp.tensor(2.0, requires_grad=True)
    with pytest.raises(DTypeError, match=r"stats\.poisson"):
        T.poisson.logpmf(k, 1.5)
    assert T.poisson.logpmf(1.5, bp.tensor(2.0)).item() == -np.inf
    assert T.binom.cdf(7, 5, bp.tensor(0.3)).item() == 1
    assert T.binom.logpmf(6, 5, bp.tensor(0.3)).item() == -np.inf
    assert np.isnan(T.binom.logpmf(2, 5, bp.tensor(1.3)).item())


def test_keywords_frozen_distributions_and_the_rest_of_scipy():
    x = bp.tensor(LINE, requires_grad=True)
    np.testing.assert_array_equal(
        T.norm(1.0, 2.0).logpdf(x).numpy(), T.norm.logpdf(x, scale=2.0, loc=1.0).numpy()
    )
    np.testing.assert_array_equal(T.norm(1.0, 2.0).logpdf(LINE), real.norm(1.0, 2.0).logpdf(LINE))
    assert T.norm(1.0, 2.0).mean() == 1.0
    assert T.gamma.rvs(2.0, size=3, random_state=0).shape == (3,)
    assert T.norm.fit([1.0, 2.0, 3.0])[0] == 2.0
    assert T.hypergeom.pmf(1, 10, 4, 3) == pytest.approx(0.5)
    with pytest.raises(TypeError, match=r"scipy\.stats\.norm\.entropy"):
        T.norm.entropy(scale=x)
    with pytest.raises(TypeError, match=r"scipy\.stats\.skew"):
        T.skew(x)
    with pytest.raises(TypeError, match="takes a, loc=0, scale=1"):
        T.gamma.logpdf(x)
    with pytest.raises(TypeError, match="takes loc=0, scale=1"):
        T.norm.logpdf(x, sigma=2.0)
    assert T.norm.logpdf(bp.asarray(LINE.astype("float32")), 0.0, 2.0).dtype == "float32"


# ------------------------------------------------------------------ vectors, matrices
def covariance(r, d=3):
    a = r.normal(size=(d, d))
    return a @ a.T + np.eye(d)


def test_multivariate_normal():
    r = np.random.default_rng(0)
    x, mean, cov = r.normal(size=(2, 5, 3)), r.normal(size=3), covariance(r)
    for args in ((x, mean, cov), (x[0, 0], mean, cov), (x, mean, 2.0), (x, np.zeros(3), np.array([1.0, 2, 3])), (1.5, 0.5, 2.0),
                 (x[0, :, 0], 0.5, 2.0)):  # fmt: skip
        for method in ("logpdf", "pdf"):
            f, theirs = getattr(T.multivariate_normal, method), getattr(real.multivariate_normal, method)
            got = f(bp.asarray(args[0]), *args[1:])
            np.testing.assert_allclose(got.numpy(), theirs(*args), rtol=1e-11)
            assert got.shape == np.shape(theirs(*args))
    symmetric = lambda x, m, c: T.multivariate_normal.logpdf(x, m, (c + c.T) / 2)
    check_grads(symmetric, [x, mean, cov])
    entropy = T.multivariate_normal.entropy
    np.testing.assert_allclose(
        entropy(mean, bp.asarray(cov)).item(), real.multivariate_normal.entropy(mean, cov)
    )
    check_grads(lambda m, c: entropy(m, (c + c.T) / 2), [mean, cov])
    singular = np.outer([1.0, 2, 3], [1, 2, 3]) + np.diag([0, 1.0, 0])
    flat = mean * 0 + np.array([1.0, 1, 3])
    np.testing.assert_allclose(
        T.multivariate_normal.logpdf(bp.asarray(flat), None, singular, allow_singular=True).item(),
        real.multivariate_normal.logpdf(flat, np.zeros(3), singular, allow_singular=True), rtol=1e-10,
    )  # fmt: skip


def test_other_multivariate_distributions():
    r = np.random.default_rng(0)
    x, mean, cov = r.normal(size=(5, 3)), r.normal(size=3), covariance(r)
    got = T.multivariate_t.logpdf(bp.asarray(x), mean, cov, 3.5)
    np.testing.assert_allclose(got.numpy(), real.multivariate_t.logpdf(x, mean, cov, 3.5), rtol=1e-11)
    check_grads(
        lambda x, m, c, df: T.multivariate_t.logpdf(x, m, (c + c.T) / 2, df), [x, mean, cov, np.array(3.5)]
    )
    p = r.dirichlet([1.0, 2, 3], 4).T
    alpha = np.array([0.7, 2, 3.5])
    np.testing.assert_allclose(
        T.dirichlet.logpdf(bp.asarray(p), alpha).numpy(), real.dirichlet.logpdf(p, alpha), rtol=1e-11
    )
    np.testing.assert_allclose(
        T.dirichlet.pdf(bp.asarray(p[:2]), alpha).numpy(), real.dirichlet.pdf(p[:2], alpha), rtol=1e-11
    )
    check_grads(lambda p, a: T.dirichlet.logpdf(bp.asarray(p), a), [p, alpha])  # SciPy wants the simplex
    k = np.array([[1, 2, 3], [6, 0, 0]])
    np.testing.assert_allclose(
        T.multinomial.logpmf(k, 6, bp.asarray(p[:, 0])).numpy(),
        real.multinomial.logpmf(k, 6, p[:, 0]),
        rtol=1e-10,
    )
    assert T.multinomial.pmf([1, 1, 1], 6, bp.asarray(p[:, 0])).item() == 0
    check_grads(lambda q: T.multinomial.logpmf(k[:1], 6, bp.asarray(q)), [p[:, 0]])
    w = np.stack([covariance(r), covariance(r)], axis=-1)
    np.testing.assert_allclose(
        T.wishart.logpdf(bp.asarray(w), 5.5, cov).numpy(), real.wishart.logpdf(w, 5.5, cov), rtol=1e-11
    )
    check_grads(lambda w, df, s: T.wishart.logpdf(bp.asarray(w), df, (s + s.T) / 2), [w, np.array(5.5), cov])


# ------------------------------------------------------------------ oracles
@pytest.mark.parametrize("df", [0.5, 3.0, 40.0, 300.0])
@pytest.mark.parametrize("t", [0.0, 1e-8, -0.7, 2.5, 40.0])
def test_students_t_in_its_degrees_of_freedom(t, df):
    def cdf(n, t):
        t = mpmath.mpf(t)
        return (1 + mpmath.sign(t) * mpmath.betainc(0.5, n / 2, 0, t * t / (n + t * t), regularized=True)) / 2

    with mpmath.workdps(200):
        want = float(mpmath.diff(lambda n: cdf(n, t), mpmath.mpf(df)))
    assert bp.grad(bp.scipy.special.stdtr)(df, t) == pytest.approx(want, rel=1e-12, abs=1e-150)
    mixed = bp.grad(lambda t: bp.grad(bp.scipy.special.stdtr)(df, t))(t)
    other = bp.grad(lambda n: bp.grad(bp.scipy.special.stdtr, 1)(n, t))(df)
    assert float(mixed) == pytest.approx(float(other), rel=1e-11)


JAX = {
    "norm": (LINE, LOC, SCALE), "t": (LINE, A, LOC, SCALE), "gamma": (HALF + 1, A, LOC, SCALE),
    "beta": (UNIT, A, B), "truncnorm": (np.array([-0.8, 0.4, 1.7]), np.array([-1, -2, 1.1]), np.array([2, 1, 4.0])),
    "vonmises": (LINE, A), "gennorm": (LINE, A),
}  # fmt: skip


@pytest.mark.parametrize("name", JAX)
def test_log_densities_agree_with_jax(name):
    with quiet():
        import jax
        import jax.scipy.stats

        jax.config.update("jax_enable_x64", True)
    args = JAX[name]
    out, pull = bp.vjp(getattr(T, name).logpdf, *args)
    expected, pull_jax = jax.vjp(getattr(jax.scipy.stats, name).logpdf, *args)
    np.testing.assert_allclose(out, expected, rtol=1e-10)
    for ours, theirs in zip(pull(np.ones_like(out)), pull_jax(np.ones_like(out)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


SHORT = {
    "stdtr": (A, LINE), "stdtrit": (A, UNIT), "chdtr": (A, HALF), "chdtrc": (A, HALF), "chdtri": (A, UNIT),
    "gdtr": (A, B, HALF), "gdtrc": (A, B, HALF), "fdtr": (A, B, HALF), "fdtrc": (A, B, HALF), "fdtri": (A, B, UNIT),
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_scipys_short_names(name):
    f = getattr(bp.scipy.special, name)
    np.testing.assert_allclose(
        f(*map(bp.asarray, SHORT[name])).numpy(), getattr(sp, name)(*SHORT[name]), rtol=1e-11
    )
    check_grads(f, SHORT[name])


def test_short_names_of_counts():
    k, n = np.array([0.0, 2, 4, 3]), np.array([5, 4, 4, 9])
    for name, at in (("pdtr", (k,)), ("pdtrc", (k,)), ("bdtr", (k, n)), ("nbdtr", (k, n))):
        f = getattr(bp.scipy.special, name)
        np.testing.assert_allclose(f(*at, bp.asarray(UNIT)).numpy(), getattr(sp, name)(*at, UNIT), rtol=1e-11)
        check_grads(lambda p, f=f, at=at: f(*at, p), [UNIT])


def test_kernel_density():
    data, weights, points = (
        np.random.default_rng(0).normal(size=(2, 9)),
        np.linspace(1, 2, 9),
        np.ones((2, 3)) * LINE[:3],
    )
    for bw in (None, "silverman", 0.4):
        mine, theirs = T.gaussian_kde(bp.asarray(data), bw, weights), real.gaussian_kde(data, bw, weights)
        for method in ("logpdf", "pdf", "evaluate"):
            np.testing.assert_allclose(
                getattr(mine, method)(points).numpy(), getattr(theirs, method)(points), rtol=1e-11
            )
        np.testing.assert_allclose(mine.covariance.numpy(), theirs.covariance, rtol=1e-12)
        check_grads(lambda x, d, w, bw=bw: T.gaussian_kde(d, bw, w).logpdf(x), [points, data, weights])
    np.testing.assert_allclose(
        T.gaussian_kde(bp.asarray(data[0]))(LINE).numpy(), real.gaussian_kde(data[0])(LINE), rtol=1e-11
    )
    assert type(T.gaussian_kde(data)) is real.gaussian_kde
    np.testing.assert_allclose(T.sem(bp.asarray(data)).numpy(), real.sem(data))
    check_grads(lambda d: T.sem(d, axis=1), [data])
