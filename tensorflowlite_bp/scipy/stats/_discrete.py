"""Distributions of counts, differentiable in their parameters."""

import math
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor
from ...ops.elementwise import expm1, log, log1p, where
from ...ops.special_beta import betaln
from ...ops.special_elementary import xlog1py, xlogy
from ...ops.special_incomplete import gammainc, gammaincc, log_gamma_density
from ...ops.special_incomplete_beta import betainc, betaincc, log_beta_density
from ...ops.special_ratios import log_gamma_step
from ._distribution import Discrete


def _probability(p: Any) -> Any:
    return (p >= 0) & (p <= 1)


def _whole(n: Any) -> Any:
    return (n >= 0) & (n == np.floor(n))


bernoulli = Discrete(
    "bernoulli",
    ("p",),
    valid=_probability,
    support=lambda p: (0, 1),
    logpmf=lambda k, p: xlogy(k, p) + xlog1py(1 - k, -p),
    cdf=lambda k, p: 1.0 - p + 0.0 * k,
)


binom = Discrete(
    "binom",
    ("n", "p"),
    valid=lambda n, p: _whole(n) & _probability(p),
    support=lambda n, p: (0, n),
    logpmf=lambda k, n, p: log_beta_density(k + 1, n - k + 1.0, p) - log(n + 1.0),
    cdf=lambda k, n, p: betaincc(k + 1, n - k, p),
    sf=lambda k, n, p: betainc(k + 1, n - k, p),
)
poisson = Discrete(
    "poisson",
    ("mu",),
    valid=lambda mu: mu >= 0,
    support=lambda mu: (0, math.inf),
    logpmf=lambda k, mu: log_gamma_density(k + 1, mu),
    cdf=lambda k, mu: gammaincc(k + 1, mu),
    sf=lambda k, mu: gammainc(k + 1, mu),
)
geom = Discrete(
    "geom",
    ("p",),
    valid=lambda p: (p > 0) & (p <= 1),
    support=lambda p: (1, math.inf),
    logpmf=lambda k, p: log(p) + xlog1py(k - 1, -p),
    cdf=lambda k, p: -expm1(log1p(-p) * k),
)
nbinom = Discrete(
    "nbinom",
    ("n", "p"),
    valid=lambda n, p: (n > 0) & (p > 0) & (p <= 1),
    support=lambda n, p: (0, math.inf),
    logpmf=lambda k, n, p: log_beta_density(n, k + 1, p) + log(p) - log(n + k),
    cdf=lambda k, n, p: betainc(n, k + 1, p),
    sf=lambda k, n, p: betaincc(n, k + 1, p),
)


def _betabinom(k: Any, n: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """In steps of log gamma: from k + 1 to k + a and so on, small where n is large, or from a to a + k, of
    small derivatives where n is not.
    """
    one, total = log(n + 1.0), a + b
    chosen = log_gamma_step(0, k + 1, a - 1.0) + log_gamma_step(0, n - k + 1.0, b - 1.0)
    many = chosen - log_gamma_step(0, n + 2.0, total - 2.0) - one - betaln(a, b)
    raised = log_gamma_step(0, a, k) + log_gamma_step(0, b, n - k) - log_gamma_step(0, total, n)
    few = raised - betaln(n - k + 1.0, k + 1) - one
    return where(n.data > total.data, many, few)


betabinom = Discrete(
    "betabinom",
    ("n", "a", "b"),
    valid=lambda n, a, b: _whole(n) & (a > 0) & (b > 0),
    support=lambda n, a, b: (0, n),
    logpmf=_betabinom,
)
