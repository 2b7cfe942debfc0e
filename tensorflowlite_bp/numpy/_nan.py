"""NumPy's reductions that leave NaN out, and give it no gradient."""

from typing import Any

import numpy as np

from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..ops import elementwise as e
from ..ops import reductions as r
from . import _reductions as plain
from ._plain import NOT_GIVEN, differentiable, mask_for, raw, reduced_axes, some


def numbers(x: Tensor, where: Any = NOT_GIVEN) -> Any:
    """A raw mask of the elements that count: those that are numbers, and that `where=` takes."""
    valid = ~raw(e.isnan(x))
    mask = mask_for(where, x)
    return valid if mask is None else valid & mask


def without_nan(a: Any, value: float) -> Tensor:
    x = lift(a)
    return e.where(numbers(x), x, value)


# ------------------------------------------------------------------ sums, products, extremes
@differentiable("nansum")
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return plain.total(without_nan(a, 0), axis, dtype, None, keepdims, initial, where)


@differentiable("nanprod")
def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return plain.product(without_nan(a, 1), axis, dtype, None, keepdims, initial, where)


def _extreme(name: str, ufunc: Any) -> None:
    @differentiable(name)
    def extreme(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN, initial: Any = NOT_GIVEN,
        where: Any = NOT_GIVEN,
    ) -> Tensor:  # fmt: skip
        result = plain.reduced(ufunc, a, axis, keepdims, initial, where)
        if some(raw(e.isnan(result))):
            plain.no_elements("All-NaN slice encountered")
        return result


_extreme("nanmax", np.fmax)
_extreme("nanmin", np.fmin)


# ------------------------------------------------------------------ means, deviations
@differentiable("nanmean")
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    x = lift(a)
    axes = reduced_axes(axis, x.ndim, scalar=True)
    return plain.mean(x, axes, dtype, None, keepdims, where=numbers(x, where))


@differentiable("nanvar")
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN, mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return _spread_by(False, a, axis, dtype, plain.freedom(ddof, correction), keepdims, where, mean)


@differentiable("nanstd")
def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN, mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return _spread_by(True, a, axis, dtype, plain.freedom(ddof, correction), keepdims, where, mean)


def _spread_by(
    root: bool, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, mean: Any
) -> Tensor:
    x = plain.converted(a, dtype)
    axes = reduced_axes(axis, x.ndim, scalar=True)
    mask = numbers(x, where)
    n = plain.counted(x, axes, mask)
    result = plain.divided(plain.squares(x, axes, mask, n, mean), n - ddof)
    if some(n <= ddof):
        plain.no_elements("Degrees of freedom <= 0 for slice.")
        result = e.where(n > ddof, result, np.nan)
    result = plain.root(result, n, mean) if root else result
    return plain.converted(plain.without(result, axes, keepdims), dtype)


# ------------------------------------------------------------------ running
@differentiable("nancumsum")
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tensor:
    return r.cumsum(plain.converted(without_nan(a, 0), dtype), axis)


@differentiable("nancumprod")
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tensor:
    return r.cumprod(plain.converted(without_nan(a, 1), dtype), axis)
