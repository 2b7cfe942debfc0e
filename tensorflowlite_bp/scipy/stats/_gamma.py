"""Distributions of the gamma and beta families."""

import math

from ...ops.elementwise import log, sqrt, square
from ...ops.special_elementary import xlogy
from ...ops.special_gamma import gammaln
from ...ops.special_incomplete import gammainc, gammaincc, gammainccinv, gammaincinv, log_gamma_density
from ...ops.special_incomplete_beta import (
    betainc,
    betaincc,
    betainccinv,
    betaincinv,
    f_cdf,
    f_inverse,
    f_sf,
    log_beta_density,
    log_f_density,
)
from ._distribution import Continuous
from ._exponential import UNIT
from ._normal import POSITIVE

gamma = Continuous(
    "gamma",
    ("a",),
    support=POSITIVE,
    logpdf=lambda y, a: log_gamma_density(a, y),
    cdf=lambda y, a: gammainc(a, y),
    sf=lambda y, a: gammaincc(a, y),
    ppf=lambda q, a: gammaincinv(a, q),
    isf=lambda q, a: gammainccinv(a, q),
)
chi2 = Continuous(
    "chi2",
    ("df",),
    support=POSITIVE,
    logpdf=lambda y, df: log_gamma_density(df * 0.5, y * 0.5) - math.log(2),
    cdf=lambda y, df: gammainc(df * 0.5, y * 0.5),
    sf=lambda y, df: gammaincc(df * 0.5, y * 0.5),
    ppf=lambda q, df: 2.0 * gammaincinv(df * 0.5, q),
    isf=lambda q, df: 2.0 * gammainccinv(df * 0.5, q),
)
chi = Continuous(
    "chi",
    ("df",),
    support=POSITIVE,
    logpdf=lambda y, df: (
        xlogy(df - 1.0, y) - square(y) * 0.5 - gammaln(df * 0.5) - (df * 0.5 - 1.0) * math.log(2)
    ),
    cdf=lambda y, df: gammainc(df * 0.5, square(y) * 0.5),
    sf=lambda y, df: gammaincc(df * 0.5, square(y) * 0.5),
    ppf=lambda q, df: sqrt(2.0 * gammaincinv(df * 0.5, q)),
    isf=lambda q, df: sqrt(2.0 * gammainccinv(df * 0.5, q)),
)
invgamma = Continuous(
    "invgamma",
    ("a",),
    support=POSITIVE,
    ends=False,
    logpdf=lambda y, a: log_gamma_density(a, 1.0 / y) - 2.0 * log(y),
    cdf=lambda y, a: gammaincc(a, 1.0 / y),
    sf=lambda y, a: gammainc(a, 1.0 / y),
    ppf=lambda q, a: 1.0 / gammainccinv(a, q),
    isf=lambda q, a: 1.0 / gammaincinv(a, q),
)
beta = Continuous(
    "beta",
    ("a", "b"),
    support=UNIT,
    logpdf=lambda y, a, b: log_beta_density(a, b, y),
    cdf=lambda y, a, b: betainc(a, b, y),
    sf=lambda y, a, b: betaincc(a, b, y),
    ppf=lambda q, a, b: betaincinv(a, b, q),
    isf=lambda q, a, b: betainccinv(a, b, q),
)
f = Continuous(
    "f",
    ("dfn", "dfd"),
    support=POSITIVE,
    logpdf=lambda y, n, d: log_f_density(n * 0.5, d * 0.5, y),
    cdf=lambda y, n, d: f_cdf(n * 0.5, d * 0.5, y),
    sf=lambda y, n, d: f_sf(n * 0.5, d * 0.5, y),
    ppf=lambda q, n, d: f_inverse(n * 0.5, d * 0.5, q),
    isf=lambda q, n, d: 1.0 / f_inverse(d * 0.5, n * 0.5, q),
)
