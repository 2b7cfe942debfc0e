"""NumPy's reductions: sums, products, extremes, means, deviations; with `where=`, `initial=` and `dtype=`.

What `where` leaves out is replaced by the value that changes nothing, and gets no gradient. Equal extremes
share the gradient evenly; `initial` gets half where it is one of them.
"""

import math
import warnings
from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..errors import ShapeError, message
from ..ops import elementwise as e
from ..ops import reductions as r
from ..ops.shape import broadcast_to, reshape, transpose
from ..ops.ufuncs import reduce
from ._plain import NOT_GIVEN, constants, differentiable, mask_for, raw, reduced_axes, some

constants("all any count_nonzero argmax argmin nanargmax nanargmin")


# ------------------------------------------------------------------ what they share
def converted(a: Any, dtype: Any) -> Tensor:
    """An argument in the dtype asked for."""
    x = lift(a)
    if dtype is None or x.dtype == dtype:
        return x
    if x.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        what = "Casting complex values to real discards the imaginary part"
        warnings.warn(what, np.exceptions.ComplexWarning, stacklevel=5)
    return e.astype(x, dtype)


def filled(x: Tensor, mask: Any, value: Any) -> Tensor:
    """x with `value` where a mask, if there is one, leaves its elements out."""
    return x if mask is None else e.where(mask, x, value)


def no_elements(what: str) -> None:
    """Warn as NumPy does."""
    warnings.warn(what, RuntimeWarning, stacklevel=6)


def counted(x: Tensor, axes: tuple[int, ...], mask: Any) -> Any:
    """How many elements a reduction takes: an int, or with a mask an array that keeps the reduced axes."""
    return math.prod(x.shape[k] for k in axes) if mask is None else mask.sum(axes, keepdims=True)


def divided(total: Tensor, count: Any) -> Tensor:
    """total / count in the total's dtype; a count of 0 gives NaN or infinity, and NumPy's warning."""
    return total / wrap(backend.of(total.data).asarray(count, dtype=total.data.real.dtype))


def without(x: Tensor, axes: tuple[int, ...], keepdims: Any) -> Tensor:
    """A result that kept its reduced axes, as `keepdims` wants it."""
    if keepdims and keepdims is not NOT_GIVEN:
        return x
    return reshape(x, tuple([n for k, n in enumerate(x.shape) if k not in axes]))


def kept(keepdims: Any) -> bool:
    return keepdims is not NOT_GIVEN and bool(keepdims)


# ------------------------------------------------------------------ sums, products, extremes
def reduced(
    ufunc: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any, dtype: Any = None
) -> Tensor:
    """ufunc.reduce, which is what these functions are in NumPy."""
    where = True if where is NOT_GIVEN else where
    return reduce(ufunc, converted(a, dtype), axis, keepdims=kept(keepdims), initial=initial, where=where)


@differentiable("sum")
def total(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return reduced(np.add, a, axis, keepdims, initial, where, dtype)


@differentiable("prod")
def product(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return reduced(np.multiply, a, axis, keepdims, initial, where, dtype)


def _extreme(names: str, ufunc: Any) -> Any:
    def extreme(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN, initial: Any = NOT_GIVEN,
        where: Any = NOT_GIVEN,
    ) -> Tensor:  # fmt: skip
        return reduced(ufunc, a, axis, keepdims, initial, where)

    for name in names.split():
        differentiable(name)(extreme)
    return extreme


largest = _extreme("max amax", np.maximum)
smallest = _extreme("min amin", np.minimum)


@differentiable("ptp")
def spread(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN) -> Tensor:
    return largest(a, axis, keepdims=keepdims) - smallest(a, axis, keepdims=keepdims)


# ------------------------------------------------------------------ means, deviations
@differentiable("mean")
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    x = converted(a, dtype)
    mask = mask_for(where, x)
    axes = reduced_axes(axis, x.ndim, scalar=mask is not None)
    n = counted(x, axes, mask)
    if some(n == 0):
        no_elements("Mean of empty slice.")
    if mask is None:
        return r.mean(x, axes, keepdims=kept(keepdims))
    narrow = x.dtype
    x = e.astype(x, np.float32) if narrow.itemsize == 2 else x
    result = divided(r.sum(filled(x, mask, 0), axes, keepdims=True), n)
    return without(e.astype(result, narrow) if result.dtype != narrow else result, axes, keepdims)


@differentiable("var")
def variance(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN, mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return _spread_by(r.var, a, axis, dtype, freedom(ddof, correction), keepdims, where, mean)


@differentiable("std")
def deviation(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOT_GIVEN, *,
    where: Any = NOT_GIVEN, mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Tensor:  # fmt: skip
    return _spread_by(r.std, a, axis, dtype, freedom(ddof, correction), keepdims, where, mean)


def _spread_by(
    measure: Any, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, mean: Any
) -> Tensor:
    x = converted(a, dtype)
    mask = mask_for(where, x)
    axes = reduced_axes(axis, x.ndim, scalar=mask is not None)
    n = counted(x, axes, mask)
    if some(n <= ddof):
        no_elements("Degrees of freedom <= 0 for slice")
    elif mask is None and mean is NOT_GIVEN:
        return converted(measure(x, axes, correction=ddof, keepdims=kept(keepdims)), dtype)
    result = divided(squares(x, axes, mask, n, mean), np.maximum(n - ddof, 0))
    if measure is r.std:
        result = root(result, n, mean)
    return converted(without(result, axes, keepdims), dtype)


def root(square: Tensor, n: Any, mean: Any) -> Tensor:
    """The deviations of variances. One element alone deviates by 0, whatever it is: its derivative is 0."""
    if mean is not NOT_GIVEN or not some(n <= 1):
        return e.sqrt(square)
    return e.where(n > 1, e.sqrt(e.where(n > 1, square, 1)), square)


def freedom(ddof: Any, correction: Any) -> Any:
    if correction is NOT_GIVEN:
        return ddof
    if ddof != 0:
        raise ValueError(message("var", "ddof and correction mean the same: give one.", received="both"))
    return correction


def squares(x: Tensor, axes: tuple[int, ...], mask: Any, n: Any, mean: Any) -> Tensor:
    """The sum of |x - mean|^2 over what a mask leaves, the axes kept. mean: None or not given: x's own."""
    if mean is NOT_GIVEN:
        mean = divided(r.sum(filled(x, mask, 0), axes, keepdims=True), n)
    centred = filled(x - mean, mask, 0)
    square = e.real(centred * e.conjugate(centred)) if centred.dtype.kind == "c" else e.square(centred)
    return r.sum(square, axes, keepdims=True)


# ------------------------------------------------------------------ weighted
def weights_for(a: Any, weights: Any, axis: Any) -> Tensor:
    """Weights in a's shape, or in that of the axes named, which then broadcast along the others."""
    w = lift(weights)
    if w.shape == a.shape:
        return w
    if axis is None:
        raise TypeError(
            message("weights", "an axis is needed where weights have another shape.", received=str(w.shape))
        )
    if w.shape != tuple(a.shape[k] for k in axis):
        raise ShapeError(
            message(
                "weights",
                "the shape of a, or of its axes named, was expected.",
                received=f"weights {w.shape}, a {a.shape}, axis {axis}",
            )
        )
    order = tuple(int(k) for k in np.argsort(axis))
    return reshape(transpose(w, order), tuple([n if k in axis else 1 for k, n in enumerate(a.shape)]))


@differentiable("average")
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = NOT_GIVEN
) -> Any:
    x = lift(a)
    axes = reduced_axes(axis, x.ndim)
    if weights is None:
        result = mean(x, axes, keepdims=keepdims)
        scale = wrap(backend.of(x.data).full(result.shape, x.size / result.size, result.dtype))
        return (result, scale) if returned else result
    w = weights_for(x, weights, None if axis is None else axes)
    dtype = np.result_type(x.dtype, w.dtype, *(["f8"] if x.dtype.kind in "biu" else []))
    x, w = converted(x, dtype), converted(w, dtype)
    scale = r.sum(w, axes, keepdims=kept(keepdims))
    if some(raw(scale) == 0):
        raise ZeroDivisionError(message("average", "the weights sum to 0, nothing can be divided by them."))
    result = r.sum(x * w, axes, keepdims=kept(keepdims)) / scale
    if not returned:
        return result
    return result, scale if scale.shape == result.shape else broadcast_to(scale, result.shape)
