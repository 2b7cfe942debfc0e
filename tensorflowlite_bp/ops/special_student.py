"""Distribution functions under SciPy's short names: Student's t with rules of its own, the others by
composition.
"""

import math
from typing import Any

from ..autograd.op import Op, helper
from ..autograd.record import applyn
from ..autograd.tensor import Tensor
from .elementwise import where
from .special import declared, fixed, floats, many, run
from .special_incomplete import gammainc, gammaincc, gammainccinv
from .special_incomplete_beta import betainc, betainc_in_ab, betaincc, f_cdf, f_inverse, f_sf
from .special_ratios import gamma_ratio, tail_excess

# ------------------------------------------------------------------ Student's t
_KERNEL = Op(
    "special.student_kernel",
    vjp=(
        lambda F, g, out, n, c, *, d: g * (0.5 * d * c / (n * (n + c)) - 0.5 * run(F, tail_excess, c / n)),
        lambda F, g, out, n, c, *, d: -0.5 * g * (n + d) / (n + c),
    ),
    saves=("x", "y"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: lambda n, c, *, d: -0.5 * (n + d) * B.log1p(c / n),
)


def _student_kernel(n: Any, c: Any, d: float) -> Tensor:
    """-(n + d) / 2 log(1 + c / n): its derivative in n, of order n^-2, is no difference of larger ones."""
    return applyn(_KERNEL, tuple(floats(n, c)), {"d": d})


student_kernel = declared(_KERNEL, _student_kernel, lambda B: lambda n, c, d: -0.5 * (n + d) * B.log1p(c / n))


def log_density(F: Any, df: Any, c: Any, log_det: Any, d: int) -> Any:
    """Of the multivariate t distribution in d dimensions, c the squared length."""
    half = F.ones_like(df) * (0.5 * d)
    return (
        run(F, gamma_ratio, 0, df * 0.5, half)
        + run(F, student_kernel, df, c, float(d))
        - 0.5 * (d * math.log(2 * math.pi) + log_det)
    )


def _density(F: Any, df: Any, t: Any) -> Any:
    return F.exp(log_density(F, df, t * t, 0.0, 1))


def _in_df(F: Any, df: Any, t: Any) -> Any:
    """d F(t) / d df, by the F distribution of t^2. At t = 0 a number near it stands in: there the rule's own
    derivative would be 0 / 0.
    """
    tiny = 1e-18 if t.dtype == "float32" else 1e-150
    t = t + F.where(F.equal(t, 0), F.ones_like(t) * tiny, F.zeros_like(t))
    half = F.ones_like(t * df) * 0.5
    return F.sign(t) * 0.25 * run(F, betainc_in_ab, half, df * 0.5 + 0 * half, t * t, 0, 1, True)


stdtr = many(
    "stdtr",
    lambda F, g, out, df, t: g * _in_df(F, df, t),
    lambda F, g, out, df, t: g * _density(F, df, t),
    doc="The distribution function of Student's t at t, with df degrees of freedom.",
)
stdtrit = many(
    "stdtrit",
    lambda F, g, out, df, p: -g * _in_df(F, df, out) / _density(F, df, out),
    lambda F, g, out, df, p: g / _density(F, df, out),
    saves=("x", "out"),
    doc="The t with stdtr(df, t) = p.",
)


# ------------------------------------------------------------------ by composition
@helper(name="special.chdtr")
def chdtr(v: Any, x: Any) -> Tensor:
    """The distribution function of chi square with v degrees of freedom."""
    v, x = floats(v, x)
    return gammainc(v * 0.5, x * 0.5)


@helper(name="special.chdtrc")
def chdtrc(v: Any, x: Any) -> Tensor:
    """1 - chdtr(v, x)."""
    v, x = floats(v, x)
    return gammaincc(v * 0.5, x * 0.5)


@helper(name="special.chdtri")
def chdtri(v: Any, p: Any) -> Tensor:
    """The x with chdtrc(v, x) = p."""
    v, p = floats(v, p)
    return gammainccinv(v * 0.5, p) * 2.0


@helper(name="special.gdtr")
def gdtr(a: Any, b: Any, x: Any) -> Tensor:
    """The distribution function of gamma with rate a and shape b."""
    a, b, x = floats(a, b, x)
    return gammainc(b, a * x)


@helper(name="special.gdtrc")
def gdtrc(a: Any, b: Any, x: Any) -> Tensor:
    """1 - gdtr(a, b, x)."""
    a, b, x = floats(a, b, x)
    return gammaincc(b, a * x)


@helper(name="special.fdtr")
def fdtr(dfn: Any, dfd: Any, x: Any) -> Tensor:
    """The distribution function of F."""
    n, d, x = floats(dfn, dfd, x)
    return f_cdf(n * 0.5, d * 0.5, x)


@helper(name="special.fdtrc")
def fdtrc(dfn: Any, dfd: Any, x: Any) -> Tensor:
    """1 - fdtr(dfn, dfd, x)."""
    n, d, x = floats(dfn, dfd, x)
    return f_sf(n * 0.5, d * 0.5, x)


@helper(name="special.fdtri")
def fdtri(dfn: Any, dfd: Any, p: Any) -> Tensor:
    """The x with fdtr(dfn, dfd, x) = p."""
    n, d, p = floats(dfn, dfd, p)
    return f_inverse(n * 0.5, d * 0.5, p)


@helper(name="special.pdtr")
def pdtr(k: Any, m: Any) -> Tensor:
    """The distribution function of Poisson with mean m at the constant count k."""
    return gammaincc(_floor(fixed("pdtr", "k", k)) + 1.0, m)


@helper(name="special.pdtrc")
def pdtrc(k: Any, m: Any) -> Tensor:
    """1 - pdtr(k, m)."""
    return gammainc(_floor(fixed("pdtrc", "k", k)) + 1.0, m)


@helper(name="special.bdtr")
def bdtr(k: Any, n: Any, p: Any) -> Tensor:
    """The distribution function of the binomial distribution of n trials at the constant count k."""
    k, n, p = floats(_floor(fixed("bdtr", "k", k)), fixed("bdtr", "n", n), p)
    return where(k.data >= n.data, 1.0, betaincc(k + 1.0, where(k.data >= n.data, 1.0, n - k), p))


@helper(name="special.nbdtr")
def nbdtr(k: Any, n: Any, p: Any) -> Tensor:
    """The distribution function of the negative binomial distribution at the constant count k."""
    k, n, p = floats(_floor(fixed("nbdtr", "k", k)), fixed("nbdtr", "n", n), p)
    return betainc(n, k + 1.0, p)


def _floor(k: Any) -> Any:
    return k // 1
