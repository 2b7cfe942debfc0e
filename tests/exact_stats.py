"""The distributions of scipy.stats, exactly: log-density, distribution function and its complement of the standard variable."""
# ruff: noqa: E501  (a table, one case a line)

import numpy as np
import scipy.stats as real
from exact import Case, Inverse, lin, log, of
from exact_special import betainc, betaincc, gammainc, gammaincc, log_ndtr, ndtr, owens_t, stdtr
from mpmath import mp, mpf

import tensorflowlite_bp as bp

T = bp.scipy.stats
WIDE, MILD, UNIT = log(0.5, 1e3), log(0.2, 20), lin(0.02, 0.98)


def up(f):
    """The complement of a distribution function whose values are not near 1."""
    return lambda *a: 1 - f(*a)


def normal(y):
    return -y * y / 2 - mp.log(2 * mp.pi) / 2


def gamma_density(a, x):
    return (a - 1) * mp.log(x) - x - mp.loggamma(a)


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def beta_density(a, b, x):
    return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) - log_beta(a, b)


def triangle(y, c):
    return y * y / c if y < c else 1 - (1 - y) ** 2 / (1 - c)


def wald(y, mu, side):
    root = mp.sqrt(y)
    return ndtr(side * (y / mu - 1) / root) + side * mp.exp(2 / mu) * ndtr(-(y / mu + 1) / root)


def share(y, n, d):
    return n * y / (d + n * y)


def truncated(low, high, a, b):
    mass = lambda x, y: ndtr(y) - ndtr(x) if x < 0 else ndtr(-x) - ndtr(-y)
    return mass(low, high) / mass(a, b)


def gennorm(y, beta):
    tail = gammaincc(1 / beta, abs(y) ** beta) / 2
    return 1 - tail if y > 0 else tail


def log_choose(n, k):
    return mp.log(mp.binomial(n, k))


# name: log-density, distribution function, complement (None where there is none), from where the shapes are drawn
CONTINUOUS = {
    "norm": (normal, ndtr, lambda y: ndtr(-y), ()),
    "lognorm": (lambda y, s: normal(mp.log(y) / s) - mp.log(s * y), lambda y, s: ndtr(mp.log(y) / s), lambda y, s: ndtr(-mp.log(y) / s), (log(0.05, 5),)),
    "halfnorm": (lambda y: normal(y) + mp.log(2), lambda y: mp.erf(y / mp.sqrt(2)), lambda y: mp.erfc(y / mp.sqrt(2)), ()),
    "skewnorm": (lambda y, a: normal(y) + log_ndtr(a * y) + mp.log(2), lambda y, a: ndtr(y) - 2 * owens_t(y, a), lambda y, a: ndtr(-y) + 2 * owens_t(y, a), (lin(-4, 4),)),
    "truncnorm": (lambda y, a, b: normal(y) - mp.log(mp.erfc(a / mp.sqrt(2)) / 2 - mp.erfc(b / mp.sqrt(2)) / 2), lambda y, a, b: truncated(a, y, a, b), lambda y, a, b: truncated(y, b, a, b), (lin(-8, 1), lin(1.5, 8))),
    "t": (lambda y, n: -log_beta(n / 2, mpf(1) / 2) - mp.log(n) / 2 - (n + 1) / 2 * mp.log1p(y * y / n), lambda y, n: stdtr(n, y), lambda y, n: stdtr(n, -y), (log(0.5, 1e7),)),
    "cauchy": (lambda y: -mp.log(mp.pi * (1 + y * y)), lambda y: mp.atan2(1, -y) / mp.pi, lambda y: mp.atan2(1, y) / mp.pi, ()),
    "gennorm": (lambda y, b: mp.log(b / 2) - mp.loggamma(1 / b) - abs(y) ** b, gennorm, lambda y, b: gennorm(-y, b), (log(0.3, 10),)),
    "invgauss": (lambda y, mu: normal((y - mu) / mu / mp.sqrt(y)) - 3 * mp.log(y) / 2, lambda y, mu: wald(y, mu, 1), lambda y, mu: wald(y, mu, -1), (log(0.1, 10),)),
    "wald": (lambda y: normal((y - 1) / mp.sqrt(y)) - 3 * mp.log(y) / 2, lambda y: wald(y, 1, 1), lambda y: wald(y, 1, -1), ()),
    "expon": (lambda y: -y, lambda y: -mp.expm1(-y), lambda y: mp.exp(-y), ()),
    "laplace": (lambda y: -abs(y) - mp.log(2), lambda y: mp.exp(y) / 2 if y < 0 else 1 - mp.exp(-y) / 2, lambda y: mp.exp(-y) / 2 if y > 0 else 1 - mp.exp(y) / 2, ()),
    "logistic": (lambda y: -y - 2 * mp.log1p(mp.exp(-y)), lambda y: 1 / (1 + mp.exp(-y)), lambda y: 1 / (1 + mp.exp(y)), ()),
    "gumbel_r": (lambda y: -y - mp.exp(-y), lambda y: mp.exp(-mp.exp(-y)), lambda y: -mp.expm1(-mp.exp(-y)), ()),
    "gumbel_l": (lambda y: y - mp.exp(y), lambda y: -mp.expm1(-mp.exp(y)), lambda y: mp.exp(-mp.exp(y)), ()),
    "pareto": (lambda y, b: mp.log(b) - (b + 1) * mp.log(y), lambda y, b: -mp.expm1(-b * mp.log(y)), lambda y, b: y**-b, (MILD,)),
    "uniform": (lambda y: mpf(0), lambda y: y, lambda y: 1 - y, ()),
    "weibull_min": (lambda y, c: mp.log(c) + (c - 1) * mp.log(y) - y**c, lambda y, c: -mp.expm1(-(y**c)), lambda y, c: mp.exp(-(y**c)), (MILD,)),
    "rayleigh": (lambda y: mp.log(y) - y * y / 2, lambda y: -mp.expm1(-y * y / 2), lambda y: mp.exp(-y * y / 2), ()),
    "triang": (lambda y, c: mp.log(2 * (y / c if y < c else (1 - y) / (1 - c))), triangle, up(triangle), (UNIT,)),
    "vonmises": (lambda y, k: k * mp.cos(y) - mp.log(2 * mp.pi * mp.besseli(0, k)), None, None, (log(0.01, 1e3),)),
    "wrapcauchy": (lambda y, c: mp.log((1 - c * c) / (2 * mp.pi * (1 + c * c - 2 * c * mp.cos(y)))), None, None, (UNIT,)),
    "gamma": (lambda y, a: gamma_density(a, y), lambda y, a: gammainc(a, y), lambda y, a: gammaincc(a, y), (WIDE,)),
    "chi2": (lambda y, n: gamma_density(n / 2, y / 2) - mp.log(2), lambda y, n: gammainc(n / 2, y / 2), lambda y, n: gammaincc(n / 2, y / 2), (WIDE,)),
    "chi": (lambda y, n: (n - 1) * mp.log(y) - y * y / 2 - mp.loggamma(n / 2) - (n / 2 - 1) * mp.log(2), lambda y, n: gammainc(n / 2, y * y / 2), lambda y, n: gammaincc(n / 2, y * y / 2), (WIDE,)),
    "invgamma": (lambda y, a: gamma_density(a, 1 / y) - 2 * mp.log(y), lambda y, a: gammaincc(a, 1 / y), lambda y, a: gammainc(a, 1 / y), (log(0.3, 1e3),)),
    "beta": (lambda y, a, b: beta_density(a, b, y), lambda y, a, b: betainc(a, b, y), lambda y, a, b: betaincc(a, b, y), (log(0.1, 300), log(0.1, 300))),
    "f": (lambda y, n, d: beta_density(n / 2, d / 2, share(y, n, d)) + mp.log(n) + mp.log(d) - 2 * mp.log(d + n * y), lambda y, n, d: betainc(n / 2, d / 2, share(y, n, d)), lambda y, n, d: betaincc(n / 2, d / 2, share(y, n, d)), (log(0.3, 300), log(0.3, 300))),
}  # fmt: skip


def standard(f):
    """Of x, shapes, loc and scale."""
    return lambda x, *rest: f((x - rest[-2]) / rest[-1], *rest[:-2])


class Quantile:
    """The x with f(x) = q, of q, shapes, loc and scale."""

    def __init__(self, f, start):
        self.standard = Inverse(lambda *a: f(a[-1], *a[:-1]), lambda *a: start(a[-1], *a[:-1]))

    def __call__(self, q, *rest):
        return self.standard(*rest[:-2], q) * rest[-1] + rest[-2]

    def slope(self, k):
        def derivative(q, *rest):
            at = (*rest[:-2], q)
            if k >= len(at):
                return self.standard(*at) if k > len(at) else mpf(1)
            return self.standard.slope(k - 1 if k else len(at) - 1)(*at) * rest[-1]

        return derivative


def drawn(name, shapes, quantile=False):
    """x (or a probability) in the middle of the distribution or somewhat in its tails, shapes, loc, scale."""

    def points(r, n):
        at = [s(r, n) for s in shapes]
        scale = 10 ** r.uniform(-1, 1, n)
        loc = r.normal(size=n) * 0.01  # what is lost in x - loc is not the function's
        u = r.uniform(0.003, 0.997, n)
        if quantile:
            return [u, *at, loc, scale]
        y = r.uniform(0.1, 3, n) if name in ("vonmises", "wrapcauchy") else getattr(real, name).ppf(u, *at)
        return [y * scale + loc, *at, loc, scale]

    return points


def logarithm(f):
    return lambda *a: mp.log(f(*a))


def cases():
    for name, (log_density, cdf, sf, shapes) in CONTINUOUS.items():
        d, draw = getattr(T, name), drawn(name, shapes)
        n = 6 if not shapes else 3
        make = lambda method, exact, draw=draw, d=d, name=name, n=n: Case(
            name,
            exact,
            draw,
            f=getattr(d, method),
            n=n,
            digits=90 if name == "skewnorm" else 50,
            id=f"{name}.{method}",
        )
        density = standard(log_density)
        yield make("logpdf", lambda *a, f=density: f(*a) - mp.log(a[-1]))
        if cdf is None:
            continue
        for method, f in (("cdf", cdf), ("sf", sf)):
            yield make(method, standard(f))
            yield make(f"log{method}", logarithm(standard(f)))
        for method, f in (("ppf", cdf), ("isf", sf)):
            if method in d.ours:
                yield make(
                    method, Quantile(f, getattr(getattr(real, name), method)), drawn(name, shapes, True)
                )


# name: log-probability, distribution function, complement, how many of the parameters are counts, from where they are drawn
DISCRETE = {
    "bernoulli": (lambda k, p: mp.log(p) if k else mp.log1p(-p), lambda k, p: 1 - p, lambda k, p: p, 0, (UNIT,)),
    "binom": (lambda k, n, p: log_choose(n, k) + k * mp.log(p) + (n - k) * mp.log1p(-p), lambda k, n, p: betaincc(k + 1, n - k, p), lambda k, n, p: betainc(k + 1, n - k, p), 1, (of(5, 20, 1000, 100000), UNIT)),
    "poisson": (lambda k, mu: k * mp.log(mu) - mu - mp.loggamma(k + 1), lambda k, mu: gammaincc(k + 1, mu), lambda k, mu: gammainc(k + 1, mu), 0, (log(0.1, 1e4),)),
    "geom": (lambda k, p: mp.log(p) + (k - 1) * mp.log1p(-p), lambda k, p: -mp.expm1(k * mp.log1p(-p)), lambda k, p: (1 - p) ** k, 0, (lin(1e-4, 0.98),)),
    "nbinom": (lambda k, n, p: mp.loggamma(n + k) - mp.loggamma(n) - mp.loggamma(k + 1) + n * mp.log(p) + k * mp.log1p(-p), lambda k, n, p: betainc(n, k + 1, p), lambda k, n, p: betaincc(n, k + 1, p), 0, (log(0.3, 1e3), UNIT)),
    "betabinom": (lambda k, n, a, b: log_choose(n, k) + log_beta(k + a, n - k + b) - log_beta(a, b), None, None, 1, (of(5, 20, 1000, 100000), log(0.1, 1e3), log(0.1, 1e3))),
}  # fmt: skip


def discrete_cases():
    for name, (mass, cdf, sf, counts, shapes) in DISCRETE.items():

        def draw(r, n, name=name, shapes=shapes):
            at = [s(r, n) for s in shapes]
            return [getattr(real, name).ppf(r.uniform(0.02, 0.98, n), *at), *at]

        def below(k, *at, name=name):  # at the last k the distribution function is the constant 1
            return k < {"bernoulli": 1, "binom": at[0]}.get(name, np.inf)

        make = lambda method, exact, keep=None, draw=draw, name=name, counts=counts: Case(
            name,
            exact,
            draw,
            f=getattr(getattr(T, name), method),
            fixed=1 + counts,
            keep=keep,
            n=5,
            id=f"{name}.{method}",
        )
        yield make("logpmf", mass)
        if cdf is not None:
            for method, f in (("cdf", cdf), ("sf", sf)):
                yield make(method, f, below)
                yield make(f"log{method}", logarithm(f), below)


CASES = [*cases(), *discrete_cases()]
