"""Incomplete beta functions, the F distribution, their inverses, and all derivatives in every argument.

As in `special_incomplete`, the derivatives in a and b are integrals of the density times polynomials of the
scores, here over u = logit x. They exist in two kinds, for what stays the same while a and b move: the odds
x / (1 - x) (the incomplete beta function), or the ratio r = b x / (a (1 - x)) (the F distribution, and with
it Student's). The second is not made of the first: where a or b is large, the two parts would cancel.
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
from .special_beta import betaln
from .special_incomplete import complete_bell, in_blocks, largest, legendre, over, polygamma_from_0, width_of
from .special_ratios import excess, gamma_ratio, log_gamma_step, psi_step, stirling, tail_excess


# -------------------------------------------------------- log-densities, accurate for large parameters
def _log_beta_density(B: Any) -> Callable:
    def forward(a: Any, b: Any, x: Any) -> Any:
        special = B.special
        out = special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - betaln.raw(B)(a, b)
        with np.errstate(all="ignore"):
            big = (B.minimum(a, b) >= 10) & (x > 0) & (x < 1)
            if bool(big.any()):
                s, r = B.where(big, a, 10.0), B.where(big, b, 10.0)
                t = B.where(big, x, 0.5)
                n = s + r
                d = t * r - (1 - t) * s  # n (x - mean): exact enough where it is small
                close = -s * excess(B, d / s, t / s * n) - r * excess(B, -d / r, (1 - t) / r * n)
                close = (
                    close + 0.5 * B.log(s * (r / n) / (2 * math.pi)) + stirling(n) - stirling(s) - stirling(r)
                )
                out = B.where(big, close - B.log(t) - B.log1p(-t), out).astype(x.dtype)
        return out

    return forward


log_beta_density = many(
    "log_beta_density",
    lambda F, g, out, a, b, x: g * (F.log(x) + psi_step(F, a, b)),
    lambda F, g, out, a, b, x: g * (F.log1p(-x) + psi_step(F, b, a)),
    lambda F, g, out, a, b, x: g * (over(F, a - 1, x) - over(F, b - 1, 1 - x)),
    forward=_log_beta_density,
    doc="(a - 1) log x + (b - 1) log(1 - x) - log beta(a, b): the log-density of the beta distribution.",
)


def _shares(B: Any, a: Any, b: Any, r: Any) -> tuple[Any, Any]:
    """x and 1 - x of the ratio r."""
    return 1 / (1 + b / (a * r)), 1 / (1 + a * r / b)


def _log_f_density(B: Any) -> Callable:
    def one_sided(a: Any, b: Any, r: Any) -> Any:
        """Without r's own power, for a <= b."""
        return (
            a * B.log(a) - (a + b) * B.log1p(a / b * r) - B.special.gammaln(a) + gamma_ratio.raw(B)(0, b, a)
        )

    def forward(a: Any, b: Any, r: Any) -> Any:
        shape = np.broadcast_shapes(a.shape, b.shape, r.shape)
        dtype = r.dtype
        a, b, r = (B.broadcast_to(v, shape).astype("float64") for v in (a, b, r))
        with np.errstate(all="ignore"):
            x, y = _shares(B, a, b, r)
            turned = (a > b) & (r > 0)
            s, t = B.where(turned, b, a), B.where(turned, a, b)
            out = one_sided(s, t, B.where(turned, 1 / r, r)) + B.where(
                turned, -(b + 1) * B.log(r), B.special.xlogy(a - 1, r)
            )
            big = (B.minimum(a, b) >= 10) & (r > 0) & B.isfinite(r)
            if bool(big.any()):
                m, n = y * (r - 1), x * (1 - r) / r  # x and y over their means, less 1
                close = -a * excess(B, m, x * (a + b) / a) - b * excess(B, n, y * (a + b) / b)
                close = close + 0.5 * B.log(a / (a + b) * b / (2 * math.pi))
                close = close + stirling(a + b) - stirling(a) - stirling(b) - B.log(r)
                out = B.where(big, close, out)
        return out.astype(dtype)

    return forward


log_f_density = many(
    "log_f_density",
    lambda F, g, out, a, b, r: g * _f_score(F, a, b, r, 1, 0),
    lambda F, g, out, a, b, r: g * _f_score(F, a, b, r, 0, 1),
    lambda F, g, out, a, b, r: g * (over(F, (a - 1) * _shares(F, a, b, r)[1], r) - (b + 1) * a / (a * r + b)),
    forward=_log_f_density,
    doc="The log-density of the F distribution with 2 a and 2 b degrees of freedom at r.",
)


# ------------------------------------------------------------------ scores
def _at_odds(F: Any, a: Any, b: Any, k: int, m: int) -> Any:
    """The derivative of -log beta(a, b), k times in a and m times in b."""
    if not m:
        return run(F, log_gamma_step, k, a, b)
    return run(F, log_gamma_step, m, b, a) if not k else polygamma_from_0(F, k + m - 1, a + b)


def _at_ratio(F: Any, a: Any, b: Any, k: int, m: int, x: Any, y: Any, in_a: Any, in_b: Any, wide: Any) -> Any:
    """The derivative of the log-density in log r at a fixed r, k times in a and m times in b.

    in_a, in_b: -log x - y and -log y - x. wide: how what depends on a and b alone is made to go with x.
    """
    if not m:
        return _alone(F, k, a, b, y, x, in_a, wide)
    if not k:
        return _alone(F, m, b, a, x, y, in_b, wide)
    n, p, q = k + m, x / wide(a), y / wide(b)

    def power(i: int, j: int) -> Any:
        """The derivative of log(a r + b)."""
        return (-1) ** (i + j - 1) * math.factorial(i + j - 1) * p**i * q**j

    slope = wide(a + b) * power(k, m) + k * power(k - 1, m) + m * power(k, m - 1)
    return wide(polygamma_from_0(F, n - 1, a + b)) - slope


def _alone(F: Any, k: int, a: Any, b: Any, y: Any, x: Any, log_excess: Any, wide: Any) -> Any:
    """In a alone, of gamma_ratio(a, b) - (a + b) log1p(b / (a r)): terms of first order in y are taken out
    by hand, for they cancel where a is large.
    """
    start = wide(run(F, gamma_ratio, k, a, b))
    if k == 1:
        return start - log_excess + wide(b / a) * y
    bent = sum(
        (-1) ** j * ((k - 1) * math.comb(k, j) - k * math.comb(k - 1, j)) * y**j for j in range(2, k + 1)
    )
    fall = sum((x**j for j in range(1, k)), 1.0) * y  # 1 - x^k
    factor = (-1.0) ** (k - 1) * math.factorial(k - 2)
    return start - factor * wide(a ** (1.0 - k)) * (bent - wide((k - 1) * b / a) * fall)


def _f_score(F: Any, a: Any, b: Any, r: Any, k: int, m: int) -> Any:
    x, y = _shares(F, a, b, r)
    w = a * r / b
    in_a, in_b = (run(F, tail_excess, v) for v in (1 / w, w))
    return _at_ratio(F, a, b, k, m, x, y, in_a, in_b, lambda v: v)


# ------------------------------------------------------------------ the integral
def _beta_integral(B: Any, a: Any, b: Any, z: Any, i: int, j: int, ratio: bool) -> Any:
    """The derivative of I_x(a, b), i times in a and j times in b, i + j >= 1, at fixed odds or ratio z."""
    odds = z * a / b if ratio else z
    x, y = 1 / (1 + 1 / odds), 1 / (1 + odds)
    low = B.special.betainc(a, b, x) < 0.5
    side = B.where(low, 1.0, -1.0)
    p, q = B.where(low, a, b), B.where(low, b, a)
    t0, rest0 = B.where(low, x, y), B.where(low, y, x)  # the tail is always on the left
    u0 = side * B.log(odds)
    logs0 = -B.log1p(B.exp(-u0)), -B.log1p(B.exp(u0))

    def logs(v: Any, t: Any, rest: Any) -> tuple[Any, Any]:
        """log t and log(1 - t) at u0 - v, over their values at u0."""
        return -B.log1p(rest * B.expm1(v)), -B.log1p(t * B.expm1(-v))

    def depth(w: Any) -> Any:
        left, right = logs(w, t0, rest0)
        return -(p * left + q * right)

    def scores(log_t: Any, log_rest: Any, extra: Callable[[int, int], Any], column: bool) -> Callable:
        wide: Any = (lambda v: v[:, None]) if column else (lambda v: v)
        first = B.where(wide(low), log_t, log_rest)
        second = B.where(wide(low), log_rest, log_t)
        u, v = B.exp(first), B.exp(second)
        in_a, in_b = (excess(B, -v, u), excess(B, -u, v)) if ratio else (None, None)

        def h(k: int, m: int) -> Any:
            if ratio:
                return _at_ratio(B, a, b, k, m, u, v, in_a, in_b, wide) + wide(extra(k, m))
            d = wide(_at_odds(B, a, b, k, m) + extra(k, m))
            return d + (first if (k, m) == (1, 0) else second if (k, m) == (0, 1) else 0.0)

        return h

    width = width_of(B, depth, B.maximum(u0, 0.0) + 45.0)
    s, weights = (B.asarray(v) for v in legendre(int(64 + 3 * largest(width))))
    left, right = logs(width[:, None] * s, t0[:, None], rest0[:, None])
    inside = B.exp(p[:, None] * left + q[:, None] * right)
    none = B.zeros_like(p)
    inside = inside * complete_bell(
        scores(left + logs0[0][:, None], right + logs0[1][:, None], lambda k, m: none, True), i, j
    )
    r = z if ratio else z * (b / a)
    out = width * B.exp(_log_f_density(B)(a, b, r) + B.log(r)) * (inside @ weights)
    u1 = u0 - width
    log_t, log_rest = -B.log1p(B.exp(-u1)), -B.log1p(B.exp(u1))

    def over_p(k: int, m: int) -> Any:  # the term of the series is divided by p
        if k and m:
            return none
        mine = low if m == 0 else ~low
        return B.where(mine, (-1.0) ** (k + m) * math.factorial(k + m - 1) / p ** (k + m), 0.0)

    beyond = B.exp(p * log_t + q * log_rest - betaln.raw(B)(a, b)) / p
    beyond = beyond * complete_bell(scores(log_t, log_rest, over_p, False), i, j)
    out = side * (out + B.where(beyond != 0, beyond, 0.0))
    out = B.where((z == 0) | (z == math.inf), 0.0, out)
    return B.where((a > 0) & (b > 0) & (z >= 0), out, math.nan)


def _in_z(F: Any, g: Any, out: Any, a: Any, b: Any, z: Any, *, i: int, j: int, ratio: bool) -> Any:
    r = z if ratio else z * (b / a)
    odds = z * (a / b) if ratio else z
    density = F.exp(run(F, log_f_density, a, b, r))

    def h(k: int, m: int) -> Any:
        if ratio:
            return _f_score(F, a, b, z, k, m)
        logs = -F.log1p(1 / odds) if (k, m) == (1, 0) else -F.log1p(odds) if (k, m) == (0, 1) else 0.0
        return _at_odds(F, a, b, k, m) + logs

    return g * (density if ratio else density * (b / a)) * complete_bell(h, i, j)


_IN_AB = Op(
    "special.betainc_in_ab",
    vjp=(
        lambda F, g, out, a, b, z, *, i, j, ratio: g * run(F, betainc_in_ab, a, b, z, i + 1, j, ratio),
        lambda F, g, out, a, b, z, *, i, j, ratio: g * run(F, betainc_in_ab, a, b, z, i, j + 1, ratio),
        _in_z,
    ),
    saves=("x", "y", "z"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: (
        lambda a, b, z, *, i, j, ratio: in_blocks(
            B, functools.partial(_beta_integral, i=i, j=j, ratio=ratio), a, b, z
        )
    ),
)


def _betainc_in_ab(a: Any, b: Any, z: Any, i: int = 1, j: int = 0, ratio: bool = False) -> Tensor:
    """The derivative of betainc, i times in a and j times in b, at fixed odds z = x / (1 - x), or at a fixed
    ratio z, which is b / a times those.
    """
    return applyn(_IN_AB, tuple(floats(a, b, z)), {"i": i, "j": j, "ratio": ratio})


betainc_in_ab = declared(
    _IN_AB,
    _betainc_in_ab,
    lambda B: (
        lambda a, b, z, i, j, ratio: in_blocks(
            B, functools.partial(_beta_integral, i=i, j=j, ratio=ratio), a, b, z
        )
    ),
)


# ------------------------------------------------------------------ incomplete beta
def _odds(x: Any) -> Any:
    return x / (1 - x)


def _incomplete_beta(name: str, sign: float, doc: str) -> Callable[..., Tensor]:
    return many(
        name,
        lambda F, g, out, a, b, x: sign * g * run(F, betainc_in_ab, a, b, _odds(x), 1, 0, False),
        lambda F, g, out, a, b, x: sign * g * run(F, betainc_in_ab, a, b, _odds(x), 0, 1, False),
        lambda F, g, out, a, b, x: sign * g * F.exp(run(F, log_beta_density, a, b, x)),
        doc=doc,
    )


def _rest(F: Any, a: Any, b: Any, upper: Any, x: Any) -> Any:
    """1 - x accurately, of the x with I_x(a, b) = 1 - upper."""
    near = F.logical_or(F.less(x, 0.9), F.equal(upper, 0))
    upper = F.where(near, F.ones_like(x) * 0.5, upper)
    rest = F.special.betaincinv(b, a, upper)
    rest = F.where(F.equal(rest, 0), F.ones_like(x) * 1e-300, rest)
    missed = F.special.betainc(b, a, rest) - upper  # SciPy's has 10 digits where it is small
    return F.where(near, 1 - x, rest - missed * F.exp(-run(F, log_beta_density, b, a, rest)))


def _beta_inverse(name: str, sign: float, doc: str) -> Callable[..., Tensor]:
    def parts(F: Any, out: Any, a: Any, b: Any, y: Any) -> tuple[Any, Any]:
        """The odds of x, and 1 over the density at x."""
        rest = _rest(F, a, b, 1 - y if sign > 0 else y, out)
        odds = out / rest
        return odds, F.square(rest) * F.exp(-run(F, log_f_density, a, b, odds * (b / a))) * (a / b)

    def rule(i: int, j: int) -> Callable:
        def in_parameter(F: Any, g: Any, out: Any, a: Any, b: Any, y: Any) -> Any:
            odds, over_density = parts(F, out, a, b, y)
            return -g * run(F, betainc_in_ab, a, b, odds, i, j, False) * over_density

        return in_parameter

    return many(
        name,
        rule(1, 0),
        rule(0, 1),
        lambda F, g, out, a, b, y: sign * g * parts(F, out, a, b, y)[1],
        saves=("x", "y", "z", "out"),
        doc=doc,
    )


betainc = _incomplete_beta("betainc", 1.0, "The regularised incomplete beta function I_x(a, b).")
betaincc = _incomplete_beta("betaincc", -1.0, "1 - betainc(a, b, x).")
betaincinv = _beta_inverse("betaincinv", 1.0, "The x with betainc(a, b, x) = y.")
betainccinv = _beta_inverse("betainccinv", -1.0, "The x with betaincc(a, b, x) = y.")


# ------------------------------------------------------------------ the F distribution
def _f(upper: bool) -> Callable:
    def make(B: Any) -> Callable:
        def forward(a: Any, b: Any, r: Any) -> Any:
            with np.errstate(divide="ignore"):
                x, y = _shares(B, a, b, r)
            if upper:
                a, b, x, y = b, a, y, x
            out = B.special.betainc(a, b, x)
            near_1 = (x > 0.999) & (out > 1e-3)  # x does not know y well, and I_x lives on it
            return B.where(near_1, 1 - B.special.betainc(b, a, y), out) if bool(near_1.any()) else out

        return forward

    return make


def _f_function(name: str, sign: float, doc: str) -> Callable[..., Tensor]:
    return many(
        name,
        lambda F, g, out, a, b, r: sign * g * run(F, betainc_in_ab, a, b, r, 1, 0, True),
        lambda F, g, out, a, b, r: sign * g * run(F, betainc_in_ab, a, b, r, 0, 1, True),
        lambda F, g, out, a, b, r: sign * g * F.exp(run(F, log_f_density, a, b, r)),
        forward=_f(sign < 0),
        doc=doc,
    )


f_cdf = _f_function("f_cdf", 1.0, "The F distribution with 2 a and 2 b degrees of freedom at r.")
f_sf = _f_function("f_sf", -1.0, "1 - f_cdf(a, b, r).")


def _f_inverse(B: Any) -> Callable:
    def forward(a: Any, b: Any, p: Any) -> Any:
        x = B.special.betaincinv(a, b, p)
        return x / _rest(B, a, b, 1 - p, x) * (b / a)

    return forward


def _f_inverse_rule(i: int, j: int) -> Callable:
    return lambda F, g, out, a, b, p: (
        -g * run(F, betainc_in_ab, a, b, out, i, j, True) * F.exp(-run(F, log_f_density, a, b, out))
    )


f_inverse = many(
    "f_inverse",
    _f_inverse_rule(1, 0),
    _f_inverse_rule(0, 1),
    lambda F, g, out, a, b, p: g * F.exp(-run(F, log_f_density, a, b, out)),
    saves=("x", "y", "out"),
    forward=_f_inverse,
    doc="The r with f_cdf(a, b, r) = p.",
)
