"""Distributions whose functions are elementary: exponential, Laplace, logistic, extreme values, powers,
circles.
"""

import math

import numpy as np

from ...autograd.tensor import Tensor
from ...ops.elementwise import absolute, exp, expm1, log, log1p, power, sqrt, square, where
from ...ops.special_bessel import i0e
from ...ops.special_elementary import expit, log_expit, logit, xlogy
from ...ops.special_erf import cosm1
from ...ops.trigonometric import cos
from ._distribution import Continuous
from ._normal import POSITIVE

UNIT = (0.0, 1.0)

expon = Continuous(
    "expon",
    support=POSITIVE,
    logpdf=lambda y: -y,
    cdf=lambda y: -expm1(-y),
    sf=lambda y: exp(-y),
    logsf=lambda y: -y,
    ppf=lambda q: -log1p(-q),
    isf=lambda q: -log(q),
)


def _laplace_cdf(y: Tensor) -> Tensor:
    tail = 0.5 * exp(-absolute(y))
    return where(y.data > 0, 1.0 - tail, tail)


def _laplace_ppf(q: Tensor) -> Tensor:
    upper = q.data > 0.5
    return where(upper, -1.0, 1.0) * log(2.0 * where(upper, 1.0 - q, q))


laplace = Continuous(
    "laplace",
    logpdf=lambda y: -absolute(y) - math.log(2),
    cdf=_laplace_cdf,
    sf=lambda y: _laplace_cdf(-y),
    ppf=_laplace_ppf,
    isf=lambda q: -_laplace_ppf(q),
)
logistic = Continuous(
    "logistic",
    logpdf=lambda y: log_expit(y) + log_expit(-y),
    cdf=expit,
    sf=lambda y: expit(-y),
    logcdf=log_expit,
    logsf=lambda y: log_expit(-y),
    ppf=logit,
    isf=lambda q: -logit(q),
)
gumbel_r = Continuous(
    "gumbel_r",
    logpdf=lambda y: -y - exp(-y),
    cdf=lambda y: exp(-exp(-y)),
    sf=lambda y: -expm1(-exp(-y)),
    logcdf=lambda y: -exp(-y),
    ppf=lambda q: -log(-log(q)),
    isf=lambda q: -log(-log1p(-q)),
)
gumbel_l = Continuous(
    "gumbel_l",
    logpdf=lambda y: y - exp(y),
    cdf=lambda y: -expm1(-exp(y)),
    sf=lambda y: exp(-exp(y)),
    logsf=lambda y: -exp(y),
    ppf=lambda q: log(-log1p(-q)),
    isf=lambda q: log(-log(q)),
)
pareto = Continuous(
    "pareto",
    ("b",),
    support=(1.0, math.inf),
    logpdf=lambda y, b: log(b) - (b + 1.0) * log(y),
    cdf=lambda y, b: -expm1(-b * log(y)),
    sf=lambda y, b: exp(-b * log(y)),
    logsf=lambda y, b: -b * log(y),
    ppf=lambda q, b: exp(-log1p(-q) / b),
    isf=lambda q, b: exp(-log(q) / b),
)
uniform = Continuous(
    "uniform",
    support=UNIT,
    logpdf=lambda y: y * 0.0,
    cdf=lambda y: y,
    sf=lambda y: 1.0 - y,
    ppf=lambda q: q,
    isf=lambda q: 1.0 - q,
)
weibull_min = Continuous(
    "weibull_min",
    ("c",),
    support=POSITIVE,
    logpdf=lambda y, c: log(c) + xlogy(c - 1.0, y) - power(y, c),
    cdf=lambda y, c: -expm1(-power(y, c)),
    sf=lambda y, c: exp(-power(y, c)),
    logsf=lambda y, c: -power(y, c),
    ppf=lambda q, c: power(-log1p(-q), 1.0 / c),
    isf=lambda q, c: power(-log(q), 1.0 / c),
)
rayleigh = Continuous(
    "rayleigh",
    support=POSITIVE,
    ends=False,
    logpdf=lambda y: log(y) - 0.5 * square(y),
    cdf=lambda y: -expm1(-0.5 * square(y)),
    sf=lambda y: exp(-0.5 * square(y)),
    logsf=lambda y: -0.5 * square(y),
    ppf=lambda q: sqrt(-2.0 * log1p(-q)),
    isf=lambda q: sqrt(-2.0 * log(q)),
)


# ------------------------------------------------------------------ a triangle
def _triangle(y: Tensor, c: Tensor) -> tuple[np.ndarray, Tensor, Tensor]:
    """Where y is on the rising side; its distance from the foot there, and the length of the side."""
    rising = (y.data < c.data) | ((y.data == c.data) & (c.data == 1))
    return rising, where(rising, y, 1.0 - y), where(rising, c, 1.0 - c)


def _triangle_logpdf(y: Tensor, c: Tensor) -> Tensor:
    _, distance, side = _triangle(y, c)
    return log(2.0 * distance / side)


def _triangle_cdf(y: Tensor, c: Tensor) -> Tensor:
    rising, distance, side = _triangle(y, c)
    area = square(distance) / side
    return where(rising, area, 1.0 - area)


def _triangle_ppf(q: Tensor, c: Tensor) -> Tensor:
    rising = q.data < c.data
    root = sqrt(where(rising, q * c, (1.0 - q) * (1.0 - c)))
    return where(rising, root, 1.0 - root)


triang = Continuous(
    "triang",
    ("c",),
    support=UNIT,
    valid=lambda c: (c >= 0) & (c <= 1),
    logpdf=_triangle_logpdf,
    cdf=_triangle_cdf,
    ppf=_triangle_ppf,
)

# ------------------------------------------------------------------ on the circle
vonmises = Continuous(
    "vonmises",
    ("kappa",),
    valid=lambda kappa: kappa >= 0,
    logpdf=lambda y, kappa: kappa * cosm1(y) - math.log(2 * math.pi) - log(i0e(kappa)),
)
wrapcauchy = Continuous(
    "wrapcauchy",
    ("c",),
    support=(0.0, 2 * math.pi),
    valid=lambda c: (c > 0) & (c < 1),
    logpdf=lambda y, c: log((1.0 - square(c)) / (2 * math.pi * (1.0 + square(c) - 2.0 * c * cos(y)))),
)
