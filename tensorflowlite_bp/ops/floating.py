"""Functions of the floating-point representation, and those of several results: ldexp, frexp, modf, divmod.

Exponents, integral parts and quotients are integers in nature: constants.
"""

from typing import Any

import numpy as np

from ..autograd.declare import Arguments, binary, operation, pair, unary
from ..autograd.op import helper
from ..autograd.record import constant, lift, nondiff
from ..autograd.tensor import Tensor
from ..errors import DTypeError, message
from .elementwise import astype, copysign, floor_divide, fmod, isinf, power, remainder, trunc, where

fabs = unary(
    "fabs",
    vjp=lambda F, g, out, x: g * F.sign(x),
    saves=("x",),
    doc="The absolute value of reals, always in floating point; the derivative at 0 is taken as 0.",
)
heaviside = binary(
    "heaviside",
    vjp=(lambda F, g, out, x, y: F.zeros_like(g), lambda F, g, out, x, y: g * F.equal(x, 0)),
    saves=("x",),
    reads=((), ("x",)),
    doc="0 for x1 < 0, x2 at x1 = 0, 1 for x1 > 0. The derivative in x1 is 0, also at the jump.",
)


@operation(
    vjp=(lambda F, g, out, x, *, exponent: F.ldexp(g, exponent),),
    broadcasts=True,
    elementwise=True,
    forward=lambda B: lambda x, *, exponent: B.ldexp(x, exponent),
)
def ldexp(x1: Any, x2: Any, /) -> Arguments:
    """x1 * 2**x2, exact while nothing overflows. x2: integers, constants."""
    return (x1,), {"exponent": constant("ldexp", x2)}


@helper
def frexp(x: Any, /) -> tuple[Tensor, Tensor]:
    """Mantissa in [0.5, 1), integer exponent: x = mantissa * 2**exponent. The derivative: 2**-exponent."""
    x = lift(x)
    mantissa, exponent = np.frexp(x.data)
    if x.node is None:
        return lift(mantissa), lift(exponent)
    return ldexp(x, -exponent), lift(exponent)


@helper
def modf(x: Any, /) -> tuple[Tensor, Tensor]:
    """Fractional and integral part, both with the sign of x; the integral part is a constant."""
    x = lift(x)
    if x.node is None:
        fraction, whole = np.modf(x.data)
        return lift(fraction), lift(whole)
    return where(isinf(x), copysign(0.0, x), fmod(x, 1.0)), trunc(x)


def divmod(x1: Any, x2: Any, /) -> tuple[Tensor, Tensor]:
    """(x1 // x2, x1 % x2)."""
    return floor_divide(x1, x2), remainder(x1, x2)


helper(divmod, name="divmod")


@helper
def float_power(x1: Any, x2: Any, /) -> Tensor:
    """x1 ** x2 in float64 or complex128, whatever the dtypes."""
    x1, x2 = pair(x1, x2)
    dtype = np.result_type(x1.dtype, x2.dtype, np.float64)
    return power(_to(x1, dtype), _to(x2, dtype))


def _to(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else astype(x, dtype)


nextafter = nondiff("nextafter", arrays=2, doc="The number next to x1 in the direction of x2.")


# ------------------------------------------------------------------ complex numbers as pairs of reals
def _reinterpret_back(F: Any, g: Any, out: Any, x: Any, *, dtype: Any) -> Any:
    if x.dtype.kind == "c":
        return g[..., ::2] - 1j * g[..., 1::2]
    return F.stack([F.real(g), -F.imag(g)], axis=-1).reshape(x.shape)


def _reinterpret(B: Any) -> Any:
    def forward(x: Any, *, dtype: Any) -> Any:
        return (x if x.strides[-1] == x.dtype.itemsize else x.copy()).view(dtype)

    return forward


@operation(vjp=(_reinterpret_back,), saves=("x.shape",), linear="joint", view=True, forward=_reinterpret)
def reinterpret(x: Any, dtype: Any) -> Arguments:
    """The memory of complex numbers as pairs of reals along the last axis, or the other way round.

    Raises DTypeError for any other reading of bytes: it has no derivative.
    """
    x, dtype = lift(x), np.dtype(dtype)
    pair = np.empty(0, x.dtype if x.dtype.kind == "c" else dtype).real.dtype
    if x.dtype.kind + dtype.kind not in ("cf", "fc") or pair != (dtype if dtype.kind == "f" else x.dtype):
        raise DTypeError(
            message(
                "view",
                "of recording tensors only complex numbers are read as pairs of reals, and back.",
                received=f"{x.dtype} as {dtype}",
                hint=".astype converts the values; .detach() leaves the graph.",
            )
        )
    return (x,), {"dtype": dtype}
