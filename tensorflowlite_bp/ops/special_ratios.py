"""Differences of log gamma and of its derivatives at arguments that lie close: what is left when large
numbers cancel, to full relative precision.

    log_gamma_step(k, x, d)   the k-th derivative in x of log gamma(x + d) - log gamma(x)
    gamma_ratio(k, x, d)      the same less d log x: of order d^2 / x, gone where d is 0 or 1
    tail_excess(w)            log(1 + w) - w / (1 + w)

Both first are sums of one sign: recurrences up to x >= 16, and there Stirling's series, each power of x + d
and x subtracted as expm1 of a multiple of log1p(d / x) (DLMF 5.11, 5.15).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.record import applyn
from .special import declared, floats, one, run
from .special_gamma import polygamma

LARGE = 16.0
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
)  # fmt: skip


# ------------------------------------------------------------------ small differences
def excess(B: Any, m: Any, whole: Any) -> Any:
    """m - log(whole), whole = 1 + m, accurate where m is near 0 and where whole is."""
    small = B.absolute(m) < 0.1
    s = B.where(small, m, 0.0)
    r = s / (2 + s)  # log1p(s) = 2 artanh(r)
    y, tail = r * r, 0.0
    for k in range(10, 0, -1):
        tail = (tail + 1 / (2 * k + 1)) * y
    with np.errstate(divide="ignore", invalid="ignore"):
        return B.where(small, s * r - 2 * r * tail, m - B.log(B.where(small, 1.0, whole)))


def stirling(x: Any) -> Any:
    """log gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2, for x >= 10."""
    y, out = 1 / (x * x), 0.0
    for k in range(8, 0, -1):
        out = out * y + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    return out / x


def _exp_excess(B: Any, z: Any) -> Any:
    """exp(z) - 1 - z."""
    small = B.absolute(z) < 0.5
    s, series = B.where(small, z, 0.0), 0.0
    for k in range(15, 1, -1):
        series = (series + 1 / math.factorial(k)) * s
    return B.where(small, series * s, B.expm1(z) - z)


def step(B: Any, k: int, x: Any, d: Any) -> Any:
    """log_gamma_step for x > 0, x + d > 0."""
    least = B.minimum(x, x + d)
    added = B.zeros_like(least)
    y = x + added
    with np.errstate(all="ignore"):
        for n in range(int(LARGE)):
            near = least + n < LARGE
            log_ratio = B.log1p(d / y)
            part = (
                -log_ratio if k == 0 else (-1) ** k * math.factorial(k - 1) * y**-k * B.expm1(-k * log_ratio)
            )
            added = added + B.where(near, part, 0.0)
            y = B.where(near, y + 1, y)
    return added + _at_infinity(B, k, y, d, False)


def _at_infinity(B: Any, k: int, x: Any, d: Any, less: bool) -> Any:
    """log_gamma_step, or gamma_ratio if `less`, where x and x + d are at least 16."""
    ratio = d / x
    log_ratio = B.log1p(ratio)
    if k == 0:
        bent = (d - 0.5) * log_ratio - x * excess(B, ratio, 1 + ratio)
        out = bent if less else bent + d * B.log(x)
    elif k == 1:
        out = (-excess(B, ratio, 1 + ratio) if less else log_ratio) - 0.5 / x * B.expm1(-log_ratio)
    else:
        n = k - 1
        power = B.expm1(-n * log_ratio)
        if less:
            power = _exp_excess(B, -n * log_ratio) + n * excess(B, ratio, 1 + ratio)
        out = math.factorial(n - 1) * x**-n * power
        out = (-1) ** k * (out + 0.5 * math.factorial(n) * x ** (-n - 1.0) * B.expm1(-(n + 1) * log_ratio))
    for j, b in enumerate(_BERNOULLI, 1):
        power = 2 * j - 1 + k
        factor = (-1) ** k * b * math.factorial(power - 1) / math.factorial(2 * j)
        out = out + factor * x ** (-1.0 * power) * B.expm1(-power * log_ratio)
    return out


def _positive(B: Any, compute: Callable, otherwise: Callable, k: int, x: Any, d: Any) -> Any:
    """compute in float64 where x and x + d are positive; elsewhere, between poles, the plain difference."""
    shape = np.broadcast_shapes(x.shape, d.shape)
    wide = [B.broadcast_to(v, shape).astype("float64") for v in (x, d)]
    right = (wide[0] > 0) & (wide[0] + wide[1] > 0)
    out = compute(B, k, B.where(right, wide[0], 1.0), B.where(right, wide[1], 0.0))
    if not bool(right.all()):
        with np.errstate(all="ignore"):
            out = B.where(right, out, otherwise(B, k, *wide))
    return out.astype(x.dtype)


def _plain(B: Any, k: int, x: Any, d: Any) -> Any:
    f = B.special.gammaln if k == 0 else lambda v: B.special.psi(v) if k == 1 else _polygamma(B, k - 1, v)
    return f(x + d) - f(x)


def _polygamma(B: Any, n: int, x: Any) -> Any:
    return (-1) ** (n + 1) * math.factorial(n) * B.special.zeta(B.zeros_like(x) + (n + 1), x)


def _power_of_x(F: Any, k: int, x: Any) -> Any:
    """The k-th derivative of log x."""
    return F.log(x) if k == 0 else (-1.0) ** (k - 1) * math.factorial(k - 1) * x ** (-1.0 * k)


def _ratio(B: Any, k: int, x: Any, d: Any) -> Any:
    """gamma_ratio for x > 0, x + d > 0. Below 16 little cancels, and where d is larger than x nothing."""
    far = (x >= LARGE) & (x + d >= LARGE) & (B.absolute(d) <= x)
    near = step(B, k, x, d) - d * _power_of_x(B, k, x)
    return B.where(far, _at_infinity(B, k, B.where(far, x, LARGE), B.where(far, d, 0.0), True), near)


# ------------------------------------------------------------------ as ops
def _in_d(F: Any, k: int, x: Any, d: Any) -> Any:
    s = x + d
    return F.special.psi(s) if k == 0 else run(F, polygamma, k, s)


def _declare(name: str, compute: Callable, in_d: Callable, doc: str) -> Any:
    forward: Any = lambda B: lambda x, d, *, k: _positive(B, compute, _plain, k, x, d)
    op = Op(
        f"special.{name}",
        vjp=(
            lambda F, g, out, x, d, *, k: g * run(F, call, k + 1, x, d),
            lambda F, g, out, x, d, *, k: g * in_d(F, k, x, d),
        ),
        saves=("x", "y"),
        elementwise=True,
        broadcasts=True,
        forward=forward,
    )
    call: Any = declared(
        op,
        lambda k, x, d: applyn(op, tuple(floats(x, d)), {"k": k}),
        lambda B: lambda k, x, d: _positive(B, compute, _plain, k, x, d),
        doc,
    )
    return call


log_gamma_step = _declare(
    "log_gamma_step", step, _in_d, "The k-th derivative in x of log gamma(x + d) - log gamma(x)."
)


def psi_step(F: Any, x: Any, d: Any) -> Any:
    """psi(x + d) - psi(x)."""
    return run(F, log_gamma_step, 1, x, d)


gamma_ratio = _declare(
    "gamma_ratio",
    _ratio,
    lambda F, k, x, d: _in_d(F, k, x, d) - _power_of_x(F, k, x),
    "The k-th derivative in x of log gamma(x + d) - log gamma(x) - d log x, for x, x + d > 0.",
)


def _tail_excess(B: Any) -> Callable:
    def forward(w: Any) -> Any:
        return excess(B, -w / (1 + w), 1 / (1 + w)).astype(w.dtype)

    return forward


tail_excess = one(
    "tail_excess",
    lambda F, g, out, w: g * w / F.square(1 + w),
    forward=_tail_excess,
    doc="log(1 + w) - w / (1 + w), w >= 0, accurate where w is near 0.",
)
