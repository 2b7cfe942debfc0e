"""Distribution functions under SciPy's short names: Student's t with rules of its own, the others by
composition.
"""

from typing import Any

from ..autograd.op import helper
from ..autograd.tensor import Tensor
from .elementwise import where
from .special import fixed, floats, many, run
from .special_incomplete import (
    betainc,
    betainc_in_ab,
    betaincc,
    betaincinv,
    gammainc,
    gammaincc,
    gammainccinv,
)


# ------------------------------------------------------------------ Student's t
def _density(F: Any, df: Any, t: Any) -> Any:
    power = (df + 1) * -0.5
    return F.exp(power * F.log1p(t * t / df) - F.special.betaln(df * 0.5, F.ones_like(df) * 0.5)) / F.sqrt(df)


def _in_df(F: Any, df: Any, t: Any) -> Any:
    """d F(t) / d df. The tail is I_w(1/2, df / 2), w = t^2 / (df + t^2), whose argument moves too. At t = 0 a
    number near it stands in: w has a square root there, and the formula's own derivative would be 0 / 0.
    """
    tiny = 1e-18 if t.dtype == "float32" else 1e-150
    t = t + F.where(F.equal(t, 0), F.ones_like(t) * tiny, F.zeros_like(t))
    half = F.ones_like(t * df) * 0.5
    moved = run(F, betainc_in_ab, half, df * 0.5 + 0 * half, t * t / (df + t * t), 0, 1)
    return F.sign(t) * moved * 0.25 - t * _density(F, df, t) / (2 * df)


stdtr = many(
    "stdtr",
    lambda F, g, out, df, t: g * _in_df(F, df, t),
    lambda F, g, out, df, t: g * _density(F, df, t),
    doc="The distribution function of Student's t at t, with df degrees of freedom. The derivative in df, of"
    " order 1 / df^2, has some 16 - 2 log10(df) digits.",
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
    return betainc(n * 0.5, d * 0.5, n * x / (d + n * x))


@helper(name="special.fdtrc")
def fdtrc(dfn: Any, dfd: Any, x: Any) -> Tensor:
    """1 - fdtr(dfn, dfd, x)."""
    n, d, x = floats(dfn, dfd, x)
    return betainc(d * 0.5, n * 0.5, d / (d + n * x))


@helper(name="special.fdtri")
def fdtri(dfn: Any, dfd: Any, p: Any) -> Tensor:
    """The x with fdtr(dfn, dfd, x) = p."""
    n, d, p = floats(dfn, dfd, p)
    share = betaincinv(n * 0.5, d * 0.5, p)
    return d * share / (n * (1.0 - share))


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
