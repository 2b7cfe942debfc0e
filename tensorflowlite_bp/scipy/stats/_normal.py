"""The normal distribution and what is made of it; Student's t, Cauchy."""

import math
from typing import Any

from ...autograd.op import graph
from ...autograd.tensor import Tensor
from ...backend.batched import ever
from ...ops.elementwise import absolute, exp, log, log1p, logaddexp, power, sqrt, square, where
from ...ops.special_erf import erf, log_ndtr, ndtr, ndtri, ndtri_exp, owens_t
from ...ops.special_gamma import gammaln
from ...ops.special_incomplete import gammaincc
from ...ops.special_student import log_density as log_density_of_t
from ...ops.special_student import stdtr, stdtrit
from ...ops.trigonometric import arctan2, tan
from ._distribution import Continuous

LOG_2PI = math.log(2 * math.pi)
LOG_2 = math.log(2)
POSITIVE = (0.0, math.inf)


def log_density(y: Tensor) -> Tensor:
    """Of the normal distribution."""
    return square(y) * -0.5 - 0.5 * LOG_2PI


norm = Continuous(
    "norm",
    logpdf=log_density,
    cdf=ndtr,
    sf=lambda y: ndtr(-y),
    logcdf=log_ndtr,
    logsf=lambda y: log_ndtr(-y),
    ppf=ndtri,
    isf=lambda q: -ndtri(q),
)
lognorm = Continuous(
    "lognorm",
    ("s",),
    support=POSITIVE,
    ends=False,
    logpdf=lambda y, s: log_density(log(y) / s) - log(s) - log(y),
    cdf=lambda y, s: ndtr(log(y) / s),
    sf=lambda y, s: ndtr(-log(y) / s),
    logcdf=lambda y, s: log_ndtr(log(y) / s),
    logsf=lambda y, s: log_ndtr(-log(y) / s),
    ppf=lambda q, s: exp(s * ndtri(q)),
    isf=lambda q, s: exp(-s * ndtri(q)),
)
halfnorm = Continuous(
    "halfnorm",
    support=POSITIVE,
    logpdf=lambda y: log_density(y) + LOG_2,
    cdf=lambda y: erf(y * math.sqrt(0.5)),
    sf=lambda y: 2.0 * ndtr(-y),
    logsf=lambda y: log_ndtr(-y) + LOG_2,
    ppf=lambda q: ndtri((1.0 + q) * 0.5),
    isf=lambda q: -ndtri(q * 0.5),
)
skewnorm = Continuous(
    "skewnorm",
    ("a",),
    valid=lambda a: a == a,
    logpdf=lambda y, a: log_density(y) + log_ndtr(a * y) + LOG_2,
    cdf=lambda y, a: ndtr(y) - 2.0 * owens_t(y, a),
    sf=lambda y, a: ndtr(-y) + 2.0 * owens_t(y, a),
)


# ------------------------------------------------------------------ truncated
def _log_mass(a: Tensor, b: Tensor) -> Tensor:
    """log(Phi(b) - Phi(a)), from the tail in which the interval lies."""
    right = a.data > 0
    low, high = (where(right, -b, a), where(right, -a, b)) if ever(right.any()) else (a, b)
    top = log_ndtr(high)
    return top + log1p(-exp(log_ndtr(low) - top))


def _truncated_ppf(q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    right = a.data > 0
    mass = _log_mass(a, b)
    left_q = where(right, 1.0 - q, q)
    start = log_ndtr(where(right, -b, a))
    return where(right, -1.0, 1.0) * ndtri_exp(logaddexp(start, log(left_q) + mass))


truncnorm = Continuous(
    "truncnorm",
    ("a", "b"),
    valid=lambda a, b: a < b,
    support=lambda a, b: (a, b),
    logpdf=lambda y, a, b: log_density(y) - _log_mass(a, b),
    logcdf=lambda y, a, b: _log_mass(a, y) - _log_mass(a, b),
    logsf=lambda y, a, b: _log_mass(y, b) - _log_mass(a, b),
    cdf=lambda y, a, b: exp(_log_mass(a, y) - _log_mass(a, b)),
    sf=lambda y, a, b: exp(_log_mass(y, b) - _log_mass(a, b)),
    ppf=_truncated_ppf,
)


# ------------------------------------------------------------------ heavy tails
def t_log_density(y: Tensor, df: Tensor) -> Tensor:
    """Of Student's t distribution."""
    return log_density_of_t(graph, df, square(y), 0.0, 1)


t = Continuous(
    "t",
    ("df",),
    logpdf=t_log_density,
    cdf=lambda y, df: stdtr(df, y),
    sf=lambda y, df: stdtr(df, -y),
    ppf=lambda q, df: stdtrit(df, q),
    isf=lambda q, df: -stdtrit(df, q),
)
cauchy = Continuous(
    "cauchy",
    logpdf=lambda y: -log1p(square(y)) - math.log(math.pi),
    cdf=lambda y: arctan2(1.0, -y) * (1 / math.pi),
    sf=lambda y: arctan2(1.0, y) * (1 / math.pi),
    ppf=lambda q: tan(math.pi * q - math.pi / 2),
    isf=lambda q: -tan(math.pi * q - math.pi / 2),
)


def _generalised_cdf(y: Tensor, beta: Tensor) -> Tensor:
    tail = 0.5 * gammaincc(1.0 / beta, power(absolute(y), beta))
    return where(y.data > 0, 1.0 - tail, tail)


gennorm = Continuous(
    "gennorm",
    ("beta",),
    logpdf=lambda y, beta: log(0.5 * beta) - gammaln(1.0 / beta) - power(absolute(y), beta),
    cdf=_generalised_cdf,
    sf=lambda y, beta: _generalised_cdf(-y, beta),
)


# ------------------------------------------------------------------ inverse Gauss
def _wald_logpdf(y: Tensor, mu: Any) -> Tensor:
    return -0.5 * LOG_2PI - 1.5 * log(y) - square((y - mu) / mu) / (2.0 * y)


def _wald_log(y: Tensor, mu: Any, side: float) -> Tensor:
    root = sqrt(y)
    a = log_ndtr(side * (y / mu - 1.0) / root)
    b = 2.0 / mu + log_ndtr(-(y / mu + 1.0) / root)
    return a + log1p(side * exp(b - a))


invgauss = Continuous(
    "invgauss",
    ("mu",),
    support=POSITIVE,
    ends=False,
    logpdf=_wald_logpdf,
    logcdf=lambda y, mu: _wald_log(y, mu, 1.0),
    logsf=lambda y, mu: _wald_log(y, mu, -1.0),
    cdf=lambda y, mu: exp(_wald_log(y, mu, 1.0)),
    sf=lambda y, mu: exp(_wald_log(y, mu, -1.0)),
)
wald = Continuous(
    "wald",
    support=POSITIVE,
    ends=False,
    logpdf=lambda y: _wald_logpdf(y, 1.0),
    logcdf=lambda y: _wald_log(y, 1.0, 1.0),
    logsf=lambda y: _wald_log(y, 1.0, -1.0),
    cdf=lambda y: exp(_wald_log(y, 1.0, 1.0)),
    sf=lambda y: exp(_wald_log(y, 1.0, -1.0)),
)
