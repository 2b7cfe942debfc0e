"""The error function, where no library has it: Cody 1969, as in the public domain SPECFUN.

Rational approximations of erf on |x| < 0.46875, and of erfc beyond, near double precision.
"""

from typing import Any

from .._typing import Array
from ..errors import DTypeError, message

_ERF_A = (
    3.16112374387056560e00,
    1.13864154151050156e02,
    3.77485237685302021e02,
    3.20937758913846947e03,
    1.85777706184603153e-1,
)
_ERF_B = (2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
_ERF_C = (
    5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e01, 2.98635138197400131e02,
    8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03,
    2.15311535474403846e-8,
)  # fmt: skip
_ERF_D = (
    1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
    3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
)  # fmt: skip
_ERF_P = (
    3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1, 1.60837851487422766e-2,
    6.58749161529837803e-4, 1.63153871373020978e-2,
)  # fmt: skip
_ERF_Q = (
    2.56852019228982242e00,
    1.87295284992346725e00,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def _horner(top: float, rest: tuple[float, ...], z: Array, lead: float) -> Array:
    out = top * z if lead == 0 else z * lead
    for c in rest[:-1]:
        out = (out + c) * z
    return out + rest[-1]


def erf(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "c":
        raise DTypeError(
            message(
                "erf", "real numbers were expected.", received=str(x.dtype), hint="use bp.scipy.special.erf."
            )
        )
    wide = x.astype(xp.float64)
    y = xp.abs(wide)
    z = xp.where(y < 0.46875, y * y, 0.0)
    small = wide * _horner(_ERF_A[4], _ERF_A[:4], z, 0) / _horner(1.0, _ERF_B, z, 0)
    m = xp.clip(y, 0.46875, 4.0)
    middle = _horner(_ERF_C[8], _ERF_C[:8], m, 0) / _horner(1.0, _ERF_D, m, 0)
    b = xp.clip(y, 4.0, 30.0)
    r = 1 / (b * b)
    big = r * _horner(_ERF_P[5], _ERF_P[:5], r, 0) / _horner(1.0, _ERF_Q, r, 0)
    big = (0.56418958354775628695 - big) / b
    tail = xp.where(y <= 4.0, middle * xp.exp(-m * m), big * xp.exp(-b * b))
    out = xp.where(y < 0.46875, small, xp.sign(wide) * (1 - tail))
    return xp.where(xp.isnan(wide), wide, out).astype(x.dtype if x.dtype.kind in "fV" else xp.float64)
