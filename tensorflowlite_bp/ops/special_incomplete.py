"""Incomplete gamma and beta functions, their inverses, and their derivatives to any order in every argument.

The derivative in x is a density. The derivatives in the parameters have no closed form: they are integrals
of the density times polynomials of the scores (log t - psi(a), ...). In u = log t, or u = logit t, the
density is log-concave and analytic, so that one Gauss-Legendre rule over the smaller tail gives them to full
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

_DEEP = 40.0  # exp(-40) is nothing to a double
_BLOCK = 2048  # elements at a time: some 200 nodes each


@functools.cache
def _rule(n: int) -> tuple[np.ndarray, np.ndarray]:
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


def _poly(F: Any, k: int, x: Any) -> Any:
    """psi^(k)(x)."""
    return F.special.psi(x) if k == 0 else run(F, polygamma, k, x)


# -------------------------------------------------------- log-densities, accurate for large parameters
def _stirling(a: Any) -> Any:
    """log gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2, for a >= 10."""
    y = 1 / (a * a)
    series = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
    out = series[-1]
    for c in series[-2::-1]:
        out = out * y + c
    return out / a


def _excess(B: Any, m: Any, whole: Any) -> Any:
    """m - log(whole), whole = 1 + m, accurate where m is near 0 and where whole is."""
    small = B.absolute(m) < 0.1
    s = B.where(small, m, 0.0)
    r = s / (2 + s)  # log1p(s) = 2 artanh(r)
    y, tail = r * r, 0.0
    for k in range(10, 0, -1):
        tail = (tail + 1 / (2 * k + 1)) * y
    with np.errstate(divide="ignore", invalid="ignore"):
        return B.where(small, s * r - 2 * r * tail, m - B.log(B.where(small, 1.0, whole)))


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
                    -s * _excess(B, (t - s) / s, t / s)
                    + 0.5 * B.log(s / (2 * math.pi))
                    - _stirling(s)
                    - B.log(t)
                )
                out = B.where(big, close, out).astype(x.dtype)
        return out

    return forward


def _over(F: Any, power: Any, x: Any) -> Any:
    """power / x, and 0 where both are."""
    none = F.logical_and(F.equal(power, 0), F.equal(x, 0))
    return power / F.where(none, F.ones_like(x), x)


log_gamma_density = many(
    "log_gamma_density",
    lambda F, g, out, a, x: g * (F.log(x) - F.special.psi(a)),
    lambda F, g, out, a, x: g * (_over(F, a - 1, x) - 1),
    forward=_log_gamma_density,
    doc="(a - 1) log x - x - log gamma(a): the log-density of the gamma distribution.",
)


def _log_beta_density(B: Any) -> Callable:
    def forward(a: Any, b: Any, x: Any) -> Any:
        special = B.special
        out = special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b)
        with np.errstate(all="ignore"):
            big = (B.minimum(a, b) >= 10) & (x > 0) & (x < 1)
            if bool(big.any()):
                s, r = B.where(big, a, 10.0), B.where(big, b, 10.0)
                t = B.where(big, x, 0.5)
                n = s + r
                d = t * r - (1 - t) * s  # n (x - mean): exact enough where it is small
                close = -s * _excess(B, d / s, t / s * n) - r * _excess(B, -d / r, (1 - t) / r * n)
                close = (
                    close
                    + 0.5 * B.log(s * (r / n) / (2 * math.pi))
                    + _stirling(n)
                    - _stirling(s)
                    - _stirling(r)
                )
                out = B.where(big, close - B.log(t) - B.log1p(-t), out).astype(x.dtype)
        return out

    return forward


log_beta_density = many(
    "log_beta_density",
    lambda F, g, out, a, b, x: g * (F.log(x) - F.special.psi(a) + F.special.psi(a + b)),
    lambda F, g, out, a, b, x: g * (F.log1p(-x) - F.special.psi(b) + F.special.psi(a + b)),
    lambda F, g, out, a, b, x: g * (_over(F, a - 1, x) - _over(F, b - 1, 1 - x)),
    forward=_log_beta_density,
    doc="(a - 1) log x + (b - 1) log(1 - x) - log beta(a, b): the log-density of the beta distribution.",
)


# ------------------------------------------------------------------ the integrals
def _width(B: Any, depth: Callable[[Any], Any], most: Any) -> Any:
    """The w in [0, most] where the convex depth(w) reaches 40, within a part in 1e12 of `most`."""
    low, high = B.zeros_like(most), most
    for _ in range(40):
        middle = 0.5 * (low + high)
        deep = depth(middle) > _DEEP
        low, high = B.where(deep, low, middle), B.where(deep, middle, high)
    return high


def _in_blocks(B: Any, f: Callable, *args: Any) -> Any:
    """f on flat float64 blocks of broadcast arguments, the result in their shape and dtype."""
    dtype = args[0].dtype
    shape = np.broadcast_shapes(*[x.shape for x in args])
    flat = [B.broadcast_to(x, shape).reshape(-1).astype("float64") for x in args]
    out = B.empty(flat[0].shape, "float64")
    with np.errstate(all="ignore"):
        for k in range(0, out.size, _BLOCK):
            out[k : k + _BLOCK] = f(B, *[x[k : k + _BLOCK] for x in flat])
    return out.reshape(shape).astype(dtype)


def _largest(x: Any) -> float:
    return float(x.max()) if x.size else 0.0


def _gamma_integral(B: Any, a: Any, x: Any, n: int) -> Any:
    """d^n P(a, x) / d a^n for n >= 1."""
    u0 = B.log(x)
    low = (u0 < B.special.psi(a)) | (u0 < -_DEEP)
    side = B.where(low, -1.0, 1.0)
    width = _width(B, lambda w: x * B.expm1(side * w) - a * side * w, B.where(low, 45.0, 745.0))
    s, weights = (B.asarray(v) for v in _rule(int(64 + 3 * min(_largest(width), 60.0))))
    v = (side * width)[:, None] * s
    polys = [_poly(B, k, a)[:, None] for k in range(n)]

    def score(p: int, _: int) -> Any:
        return u0[:, None] + v - polys[0] if p == 1 else -polys[p - 1]

    inside = B.exp(a[:, None] * v - x[:, None] * B.expm1(v)) * complete_bell(score, n, 0)
    density = B.exp(_log_gamma_density(B)(a, x) + u0)
    out = -side * width * density * (inside @ weights)
    u1 = u0 - width
    polys = [_poly(B, k, a + 1) for k in range(n)]
    beyond = B.exp(a * u1 - B.exp(u1) - B.special.gammaln(a + 1))
    beyond = beyond * complete_bell(lambda p, _: u1 - polys[0] if p == 1 else -polys[p - 1], n, 0)
    out = out + B.where(low & (beyond != 0), beyond, 0.0)
    out = B.where((x == 0) | (x == math.inf), 0.0, out)
    return B.where((a > 0) & (x >= 0), out, math.nan)


def _beta_integral(B: Any, a: Any, b: Any, x: Any, i: int, j: int) -> Any:
    """The derivative of I_x(a, b), i times in a and j times in b, i + j >= 1."""
    low = B.special.betainc(a, b, x) < 0.5
    p, q, t0 = (
        B.where(low, a, b),
        B.where(low, b, a),
        B.where(low, x, 1 - x),
    )  # the tail is always on the left
    u0 = B.log(t0) - B.log1p(-t0)

    def logs(v: Any, t: Any) -> tuple[Any, Any]:
        """log t and log(1 - t) at u0 - v, over their values at u0."""
        return -B.log1p((1 - t) * B.expm1(v)), -B.log1p(t * B.expm1(-v))

    def depth(w: Any) -> Any:
        left, right = logs(w, t0)
        return -(p * left + q * right)

    width = _width(B, depth, B.maximum(u0, 0.0) + 45.0)
    s, weights = (B.asarray(v) for v in _rule(int(64 + 3 * _largest(width))))
    left, right = logs(width[:, None] * s, t0[:, None])
    log_t, log_rest = left + B.log(t0)[:, None], right + B.log1p(-t0)[:, None]
    first, second = B.where(low[:, None], log_t, log_rest), B.where(low[:, None], log_rest, log_t)

    def scores(la: Any, lb: Any, extra: Callable[[int, int], Any], column: bool) -> Callable[[int, int], Any]:
        def h(k: int, m: int) -> Any:
            d = _poly(B, k + m - 1, a + b)
            if m == 0:
                d = d - _poly(B, k - 1, a)
            if k == 0:
                d = d - _poly(B, m - 1, b)
            d = d + extra(k, m)
            d = d[:, None] if column else d
            return d + (la if (k, m) == (1, 0) else lb if (k, m) == (0, 1) else 0.0)

        return h

    inside = B.exp(p[:, None] * left + q[:, None] * right)
    inside = inside * complete_bell(scores(first, second, lambda k, m: 0.0, True), i, j)
    density = B.exp(_log_beta_density(B)(a, b, x) + B.log(t0) + B.log1p(-t0))
    out = width * density * (inside @ weights)
    u1 = u0 - width
    log_t, log_rest = -B.log1p(B.exp(-u1)), -B.log1p(B.exp(u1))
    first, second = B.where(low, log_t, log_rest), B.where(low, log_rest, log_t)

    def over_p(k: int, m: int) -> Any:  # the term of the series is divided by p
        if k and m:
            return 0.0
        mine = low if m == 0 else ~low
        return B.where(mine, (-1.0) ** (k + m) * math.factorial(k + m - 1) / p ** (k + m), 0.0)

    beyond = B.exp(p * log_t + q * log_rest - B.special.betaln(a, b)) / p
    beyond = beyond * complete_bell(scores(first, second, over_p, False), i, j)
    out = B.where(low, 1.0, -1.0) * (out + B.where(beyond != 0, beyond, 0.0))
    out = B.where((x == 0) | (x == 1), 0.0, out)
    return B.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), out, math.nan)


# ------------------------------------------------------------------ incomplete gamma
def _gamma_density(F: Any, a: Any, x: Any) -> Any:
    return F.exp(run(F, log_gamma_density, a, x))


def _gamma_scores(F: Any, a: Any, x: Any) -> Callable[[int, int], Any]:
    return lambda p, _: F.log(x) - F.special.psi(a) if p == 1 else -_poly(F, p - 1, a)


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
    forward=lambda B: lambda a, x, *, n: _in_blocks(B, functools.partial(_gamma_integral, n=n), a, x),
)


def _gammainc_in_a(a: Any, x: Any, n: int = 1) -> Tensor:
    """The n-th derivative of gammainc(a, x) in a."""
    return applyn(_IN_A, tuple(floats(a, x)), {"n": n})


gammainc_in_a = declared(
    _IN_A,
    _gammainc_in_a,
    lambda B: lambda a, x, n: _in_blocks(B, functools.partial(_gamma_integral, n=n), a, x),
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


# ------------------------------------------------------------------ incomplete beta
def _beta_scores(F: Any, a: Any, b: Any, x: Any) -> Callable[[int, int], Any]:
    def h(k: int, m: int) -> Any:
        out = _poly(F, k + m - 1, a + b)
        if m == 0:
            out = out - _poly(F, k - 1, a) + (F.log(x) if k == 1 else 0)
        if k == 0:
            out = out - _poly(F, m - 1, b) + (F.log1p(-x) if m == 1 else 0)
        return out

    return h


def _beta_density(F: Any, a: Any, b: Any, x: Any) -> Any:
    return F.exp(run(F, log_beta_density, a, b, x))


_IN_AB = Op(
    "special.betainc_in_ab",
    vjp=(
        lambda F, g, out, a, b, x, *, i, j: g * run(F, betainc_in_ab, a, b, x, i + 1, j),
        lambda F, g, out, a, b, x, *, i, j: g * run(F, betainc_in_ab, a, b, x, i, j + 1),
        lambda F, g, out, a, b, x, *, i, j: (
            g * _beta_density(F, a, b, x) * complete_bell(_beta_scores(F, a, b, x), i, j)
        ),
    ),
    saves=("x", "y", "z"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: (
        lambda a, b, x, *, i, j: _in_blocks(B, functools.partial(_beta_integral, i=i, j=j), a, b, x)
    ),
)


def _betainc_in_ab(a: Any, b: Any, x: Any, i: int = 1, j: int = 0) -> Tensor:
    """The derivative of betainc(a, b, x), i times in a and j times in b."""
    return applyn(_IN_AB, tuple(floats(a, b, x)), {"i": i, "j": j})


betainc_in_ab = declared(
    _IN_AB,
    _betainc_in_ab,
    lambda B: lambda a, b, x, i, j: _in_blocks(B, functools.partial(_beta_integral, i=i, j=j), a, b, x),
)


def _incomplete_beta(name: str, sign: float, doc: str) -> Callable[..., Tensor]:
    return many(
        name,
        lambda F, g, out, a, b, x: sign * g * run(F, betainc_in_ab, a, b, x, 1, 0),
        lambda F, g, out, a, b, x: sign * g * run(F, betainc_in_ab, a, b, x, 0, 1),
        lambda F, g, out, a, b, x: sign * g * _beta_density(F, a, b, x),
        doc=doc,
    )


def _beta_inverse(name: str, sign: float, doc: str) -> Callable[..., Tensor]:
    def over(F: Any, out: Any, a: Any, b: Any) -> Any:
        return F.exp(-run(F, log_beta_density, a, b, out))

    return many(
        name,
        lambda F, g, out, a, b, y: -g * run(F, betainc_in_ab, a, b, out, 1, 0) * over(F, out, a, b),
        lambda F, g, out, a, b, y: -g * run(F, betainc_in_ab, a, b, out, 0, 1) * over(F, out, a, b),
        lambda F, g, out, a, b, y: sign * g * over(F, out, a, b),
        saves=("x", "y", "out"),
        doc=doc,
    )


betainc = _incomplete_beta("betainc", 1.0, "The regularised incomplete beta function I_x(a, b).")
betaincc = _incomplete_beta("betaincc", -1.0, "1 - betainc(a, b, x).")
betaincinv = _beta_inverse("betaincinv", 1.0, "The x with betainc(a, b, x) = y.")
betainccinv = _beta_inverse("betainccinv", -1.0, "The x with betaincc(a, b, x) = y.")
