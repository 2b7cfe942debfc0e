"""Derivatives, to any order, of functions whose textbook derivatives lose all digits somewhere."""

import math
from typing import Any

from .._typing import Array


def _wide(xp: Any, x: Array) -> Array:
    return x.astype(xp.complex128 if x.dtype.kind == "c" else xp.float64, copy=False)


def sinc(xp: Any, x: Array, order: int) -> Array:
    """The order-th derivative of sin(pi x) / (pi x).

    s_k(y), the k-th derivative of sin(y) / y, is the integral of t^k cos(y t + k pi / 2) over t in [0, 1]. By
    parts s_k = (sin(y + k pi / 2) - k s_(k-1)) / y, which loses k! / y^k; near 0 the power series instead.
    """
    if order == 0:
        return xp.sinc(x).astype(x.dtype, copy=False)
    y = _wide(xp, x) * math.pi
    reach = 1 + order / 2
    near = xp.abs(y) < reach
    small, large = xp.where(near, y, 0), xp.where(near, reach, y)
    waves = [xp.cos(large), -xp.sin(large), -xp.cos(large), xp.sin(large)]  # sin(y + (k + 1) pi / 2)
    out = waves[3] / large
    for k in range(1, order + 1):
        out = (waves[(k - 1) % 4] - k * out) / large
    series, power = xp.zeros_like(y), xp.ones_like(y)
    for m in range(20 + int(4 * reach)):
        sign = (1, 0, -1, 0)[(order + m) % 4]
        if sign:
            series += sign / (order + m + 1) * power
        power = power * small / (m + 1)
    return (xp.where(near, series, out) * math.pi**order).astype(x.dtype, copy=False)


def i0(xp: Any, x: Array, order: int, largest: float) -> Array:
    """The order-th derivative of the modified Bessel function of order 0.

    The mean over a quarter turn of cos(a)^k cosh(x cos(a)), sinh for odd k: every term has one sign, and the
    midpoint rule converges exponentially for a periodic integrand (Trefethen and Weideman 2014). Points
    beyond 9 sqrt(x) change nothing in float64. largest: bounds |x|, for their number.
    """
    if order == 0:
        return xp.i0(x).astype(x.dtype, copy=False)
    wide = _wide(xp, x)
    points = 6 + math.ceil((order + 9 * math.sqrt(min(largest, 720.0))) / 4)
    function, total = (xp.sinh, xp.zeros_like(wide)) if order % 2 else (xp.cosh, xp.zeros_like(wide))
    for j in range(points):
        c = math.cos((j + 0.5) * math.pi / 2 / points)
        total += c**order * function(wide * c)
    return (total / points).astype(x.dtype, copy=False)
