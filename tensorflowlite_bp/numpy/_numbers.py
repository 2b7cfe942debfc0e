"""Numbers: complex parts, rounding, what is not finite, and functions that are no ufuncs."""

from typing import Any

import numpy as np

from ..autograd.op import is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..ops import elementwise as e
from ..ops import inplace, signal, trigonometric
from ..ops.elementwise import astype, where
from ._table import implements


# ------------------------------------------------------------------ complex numbers
@implements("real")
def _real(val: Any) -> Tensor:
    val = lift(val)
    return e.real(val) if val.dtype.kind == "c" else val


@implements("imag")
def _imag(val: Any) -> Tensor:
    return e.imag(val)


@implements("angle")
def _angle(z: Any, deg: bool = False) -> Tensor:
    """Of real numbers 0 or pi, which are constants."""
    z = lift(z)
    if z.dtype.kind != "c":
        return lift(np.angle(z.data, deg))
    out = trigonometric.arctan2(e.imag(z), e.real(z))
    return out * (180 / np.pi) if deg else out


@implements("real_if_close")
def _real_if_close(a: Any, tol: float = 100) -> Tensor:
    a = lift(a)
    if a.dtype.kind != "c":
        return a
    largest = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    return e.real(a) if bool((abs(a.data.imag) < largest).all()) else a


# ------------------------------------------------------------------ rounding: constants
@implements("round", "around")
def _round(a: Any, decimals: int = 0) -> Tensor:
    return e.round(a, decimals)


@implements("fix")
def _fix(x: Any) -> Tensor:
    return lift(np.fix(lift(x).data))


# ------------------------------------------------------------------ what is not finite
@implements("nan_to_num")
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """The gradient passes where a number was finite."""
    given, x = x, lift(x)
    if not is_float(x.dtype):
        out = e.copy(x) if copy else x
    elif x.dtype.kind == "c":
        out = _finite(e.real(x), nan, posinf, neginf) + 1j * _finite(e.imag(x), nan, posinf, neginf)
    else:
        out = _finite(x, nan, posinf, neginf)
    if copy or out is x:
        return out
    return inplace.write_out("nan_to_num", given, out)


def _finite(x: Tensor, nan: Any, posinf: Any, neginf: Any) -> Tensor:
    limits = np.finfo(x.dtype)
    high, low = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    for met, value in ((e.isnan(x), nan), (e.equal(x, np.inf), high), (e.equal(x, -np.inf), low)):
        x = where(met, astype(lift(value), x.dtype), x)
    return x


# ------------------------------------------------------------------ functions
@implements("sinc")
def _sinc(x: Any) -> Tensor:
    return signal.sinc(x)


@implements("i0")
def _i0(x: Any) -> Tensor:
    return signal.i0(x)


# ------------------------------------------------------------------ numpy.emath: complex where reals end
def _emath(name: str, function: Any, outside: Any) -> None:
    @implements(f"emath.{name}")
    def entry(x: Any) -> Tensor:
        return function(_widened(x, outside))


def _widened(x: Any, outside: Any) -> Tensor:
    """The numbers as complex ones where any is outside the real domain; integers as floats."""
    x = lift(x)
    if x.dtype.kind == "c" or not bool(outside(x.data).any()):
        return x
    return astype(x, np.result_type(x.dtype, np.complex64 if x.dtype.itemsize < 8 else np.complex128))


def _negative(x: Any) -> Any:
    return x < 0


def _beyond_one(x: Any) -> Any:
    return abs(x) > 1


for _name in ("sqrt", "log", "log2", "log10"):
    _emath(_name, getattr(e, _name), _negative)
for _name in ("arccos", "arcsin", "arctanh"):
    _emath(_name, getattr(trigonometric, _name), _beyond_one)


@implements("emath.logn")
def _logn(n: Any, x: Any) -> Tensor:
    return e.log(_widened(x, _negative)) / e.log(_widened(n, _negative))


@implements("emath.power")
def _power(x: Any, p: Any) -> Tensor:
    p = lift(p)
    if p.dtype.kind in "iu" and bool((p.data < 0).any()):
        p = astype(p, np.float64)
    return e.power(_widened(x, _negative), p)
