"""Incomplete gamma functions, their inverses, and their derivatives to any order in both arguments.

The derivative in x is a density. The derivatives in the parameter have no closed form: they are integrals
of the density times polynomials of the scores (log t - psi(a), ...). In u = log t the density is log-concave
and analytic, so that one Gauss-Legendre rule over the smaller tail gives them to full
relative precision for parameters of any size; what lies beyond the rule is one term of the power series.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.record import applyn
from ..autograd.tensor import Tensor
from .special import declared, floats, many, run
from .special_gamma import polygamma
from .special_ratios import excess, stirling

DEEP = 40.0  # exp(-40) is nothing to a double
_BLOCK = 2048  # elements at a time: some 200 nodes each


@functools.cache
def legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, w / 2


def complete_bell(h: Callable[[int, int], Any], i: int, j: int) -> Any:
    """The derivative of exp(h), i times in the first and j times in the second variable, over exp(h) itself;
    h(p, q) are the derivatives of h.
    """

    @functools.cache
    def f(i: int, j: int) -> Any:
        if i == j == 0:
            return 1.0
        a, b = (i - 1, j) if i else (i, j - 1)
        first = bool(i)
        total = 0.0
        for p in range(a + 1):
            for q in range(b + 1):
                part = h(p + 1, q) if first else h(p, q + 1)
                total = total + math.comb(a, p) * math.comb(b, q) * (part * f(a - p, b - q))
        return total

    return f(i, j)


def polygamma_from_0(F: Any, k: int, x: Any) -> Any:
    """psi^(k)(x)."""
    return F.special.psi(x) if k == 0 else run(F, polygamma, k, x)


# -------------------------------------------------------- the log-density, accurate for large parameters
def _log_gamma_density(B: Any) -> Callable:
    def forward(a: Any, x: Any) -> Any:
        special = B.special
        out = special.xlogy(a - 1, x) - x - special.gammaln(a)
        with np.errstate(all="ignore"):
            big = (a >= 10) & (x > 0) & B.isfinite(x)
            if bool(big.any()):
                s = B.where(big, a, 10.0)
                t = B.where(big, x, 10.0)
                close = (
                    -s * excess(B, (t - s) / s, t / s)
                    + 0.5 * B.log(s / (2 * math.pi))
                    - stirling(s)
                    - B.log(t)
                )
                out = B.where(big, close, out).astype(x.dtype)
        return out

    return forward


def over(F: Any, power: Any, x: Any) -> Any:
    """power / x, and 0 where both are."""
    none = F.logical_and(F.equal(power, 0), F.equal(x, 0))
    return power / F.where(none, F.ones_like(x), x)


log_gamma_density = many(
    "log_gamma_density",
    lambda F, g, out, a, x: g * (F.log(x) - F.special.psi(a)),
    lambda F, g, out, a, x: g * (over(F, a - 1, x) - 1),
    forward=_log_gamma_density,
    doc="(a - 1) log x - x - log gamma(a): the log-density of the gamma distribution.",
)


# ------------------------------------------------------------------ the integrals
def width_of(B: Any, depth: Callable[[Any], Any], most: Any) -> Any:
    """The w in [0, most] where the convex depth(w) reaches 40, within a part in 1e12 of `most`."""
    low, high = B.zeros_like(most), most
    for _ in range(40):
        middle = 0.5 * (low + high)
        deep = depth(middle) > DEEP
        low, high = B.where(deep, low, middle), B.where(deep, middle, high)
    return high


def in_blocks(B: Any, f: Callable, *args: Any) -> Any:
    """f on flat float64 blocks of broadcast arguments, the result in their shape and dtype."""
    dtype = args[0].dtype
    shape = np.broadcast_shapes(*[x.shape for x in args])
    flat = [B.broadcast_to(x, shape).reshape(-1).astype("float64") for x in args]
    out = B.empty(flat[0].shape, "float64")
    with np.errstate(all="ignore"):
        for k in range(0, out.size, _BLOCK):
            out[k : k + _BLOCK] = f(B, *[x[k : k + _BLOCK] for x in flat])
    return out.reshape(shape).astype(dtype)


def largest(x: Any) -> float:
    return float(x.max()) if x.size else 0.0


def _gamma_integral(B: Any, a: Any, x: Any, n: int) -> Any:
    """d^n P(a, x) / d a^n for n >= 1."""
    u0 = B.log(x)
    low = (u0 < B.special.psi(a)) | (u0 < -DEEP)
    side = B.where(low, -1.0, 1.0)
    width = width_of(B, lambda w: x * B.expm1(side * w) - a * side * w, B.where(low, 45.0, 745.0))
    s, weights = (B.asarray(v) for v in legendre(int(64 + 3 * min(largest(width), 60.0))))
    v = (side * width)[:, None] * s
    polys = [polygamma_from_0(B, k, a)[:, None] for k in range(n)]

    def score(p: int, _: int) -> Any:
        return u0[:, None] + v - polys[0] if p == 1 else -polys[p - 1]

    inside = B.exp(a[:, None] * v - x[:, None] * B.expm1(v)) * complete_bell(score, n, 0)
    density = B.exp(_log_gamma_density(B)(a, x) + u0)
    out = -side * width * density * (inside @ weights)
    u1 = u0 - width
    polys = [polygamma_from_0(B, k, a + 1) for k in range(n)]
    beyond = B.exp(a * u1 - B.exp(u1) - B.special.gammaln(a + 1))
    beyond = beyond * complete_bell(lambda p, _: u1 - polys[0] if p == 1 else -polys[p - 1], n, 0)
    out = out + B.where(low & (beyond != 0), beyond, 0.0)
    out = B.where((x == 0) | (x == math.inf), 0.0, out)
    return B.where((a > 0) & (x >= 0), out, math.nan)


# ------------------------------------------------------------------ incomplete gamma
def _gamma_density(F: Any, a: Any, x: Any) -> Any:
    return F.exp(run(F, log_gamma_density, a, x))


def _gamma_scores(F: Any, a: Any, x: Any) -> Callable[[int, int], Any]:
    return lambda p, _: F.log(x) - F.special.psi(a) if p == 1 else -polygamma_from_0(F, p - 1, a)


_IN_A = Op(
    "special.gammainc_in_a",
    vjp=(
        lambda F, g, out, a, x, *, n: g * run(F, gammainc_in_a, a, x, n + 1),
        lambda F, g, out, a, x, *, n: (
            g * _gamma_density(F, a, x) * complete_bell(_gamma_scores(F, a, x), n, 0)
        ),
    ),
    saves=("x", "y"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: lambda a, x, *, n: in_blocks(B, functools.partial(_gamma_integral, n=n), a, x),
)


def _gammainc_in_a(a: Any, x: Any, n: int = 1) -> Tensor:
    """The n-th derivative of gammainc(a, x) in a."""
    return applyn(_IN_A, tuple(floats(a, x)), {"n": n})


gammainc_in_a = declared(
    _IN_A,
    _gammainc_in_a,
    lambda B: lambda a, x, n: in_blocks(B, functools.partial(_gamma_integral, n=n), a, x),
)
gammainc = many(
    "gammainc",
    lambda F, g, out, a, x: g * run(F, gammainc_in_a, a, x, 1),
    lambda F, g, out, a, x: g * _gamma_density(F, a, x),
    doc="The regularised lower incomplete gamma function P(a, x).",
)
gammaincc = many(
    "gammaincc",
    lambda F, g, out, a, x: -g * run(F, gammainc_in_a, a, x, 1),
    lambda F, g, out, a, x: -g * _gamma_density(F, a, x),
    doc="The regularised upper incomplete gamma function 1 - P(a, x).",
)


def _gamma_inverse(name: str, sign: float, doc: str) -> Callable[[Any, Any], Tensor]:
    def in_y(F: Any, g: Any, out: Any, a: Any, y: Any) -> Any:
        return sign * g * F.exp(-run(F, log_gamma_density, a, out))

    def in_a(F: Any, g: Any, out: Any, a: Any, y: Any) -> Any:
        return -g * run(F, gammainc_in_a, a, out, 1) * F.exp(-run(F, log_gamma_density, a, out))

    return many(name, in_a, in_y, saves=("x", "out"), doc=doc)


gammaincinv = _gamma_inverse("gammaincinv", 1.0, "The x with gammainc(a, x) = y.")
gammainccinv = _gamma_inverse("gammainccinv", -1.0, "The x with gammaincc(a, x) = y.")
