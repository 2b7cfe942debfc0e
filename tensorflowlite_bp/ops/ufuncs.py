"""NumPy's ufuncs and the function that takes the place of each; reduce, accumulate, reduceat and outer of
every one of them, with gradients.

Sums, products and extremes have ops of their own in reductions.py. Any other ufunc is applied step by step,
in NumPy's order, or by doubling where the order is free.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..autograd.op import graph
from ..autograd.record import constant, lift, on_host
from ..autograd.tensor import Tensor
from ..backend import common
from ..errors import ShapeError, message
from . import bits, floating, norms, trigonometric  # noqa: F401  (all of them put functions into graph)
from . import elementwise as e
from . import reductions as r
from .indexing import scatter_add, take
from .shape import broadcast_to, concatenate, expand_dims, moveaxis, reshape, stack

NOT_GIVEN = np._NoValue  # what NumPy's own signatures say: None means something for `initial`

_NAMES = {"conj": "conjugate", "degrees": "rad2deg", "radians": "deg2rad"}  # where graph's name is another
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    u: getattr(graph, _NAMES.get(u.__name__, u.__name__))
    for u in vars(np).values()
    if isinstance(u, np.ufunc) and hasattr(graph, _NAMES.get(u.__name__, u.__name__))
}
# with a derivative; complex signs have one too, and see to it themselves
RECORDED = {u for u, f in FUNCTIONS.items() if not hasattr(f, "nondiff")}


# ------------------------------------------------------------------ reduce
def _fextreme(extreme: Callable, fill: float) -> Callable:
    """The largest, or smallest, of what is not NaN; ties share evenly, as in max and min."""

    def reduced(x: Tensor, axis: Any, *, keepdims: bool) -> Tensor:
        nan = e.isnan(x)
        out = extreme(e.where(nan, fill, x), axis, keepdims=keepdims)
        return e.where(r.all(nan, axis, keepdims=keepdims), math.nan, out)

    return reduced


def _logaddexp2(x: Tensor, axis: Any, *, keepdims: bool) -> Tensor:
    return r.logsumexp(x * e.LN2, axis, keepdims=keepdims) / e.LN2


# ufunc: (what reduces with it, what changes nothing in it); all of them may be taken in any order
_REDUCTIONS: dict[Any, tuple[Callable, float]] = {
    np.add: (r.sum, 0),
    np.multiply: (r.prod, 1),
    np.maximum: (r.max, -math.inf),
    np.minimum: (r.min, math.inf),
    np.fmax: (_fextreme(r.max, -math.inf), -math.inf),
    np.fmin: (_fextreme(r.min, math.inf), math.inf),
    np.logaddexp: (r.logsumexp, -math.inf),
    np.logaddexp2: (_logaddexp2, -math.inf),
    np.hypot: (norms.norm2, 0),
}


def reduce(
    ufunc: Any, x: Any, axis: Any = 0, *, keepdims: bool = False, initial: Any = NOT_GIVEN, where: Any = True
) -> Tensor:
    """ufunc.reduce on floats. where: which elements take part; initial: what they are taken together with.

    Raises ValueError, as NumPy, for nothing to reduce with a ufunc that has no identity, and for several axes
    with one whose order matters.
    """
    x = lift(x)
    if initial is NOT_GIVEN and where is True and x.ndim and ufunc in _REDUCTIONS:
        return _REDUCTIONS[ufunc][0](x, axis, keepdims=keepdims)
    axes = _axes(axis, x.ndim)
    first = None if initial is NOT_GIVEN or initial is None else _like(initial, x)
    mask = None if where is True else np.broadcast_to(mask_of(ufunc, where), x.shape)
    empty = common.count(x.shape, axes) == 0
    if first is None and (ufunc.identity is None or initial is None):
        _check_start(ufunc, empty, mask)
    if ufunc not in _REDUCTIONS:
        return _in_order(ufunc, x, axes, keepdims, first, mask)
    function, neutral = _REDUCTIONS[ufunc]
    if empty and ufunc.identity is None:
        return broadcast_to(first, r.sum(x, axes, keepdims=keepdims).shape)
    if mask is not None:
        x = e.where(mask, x, neutral)
    out = function(x, axes if x.ndim else None, keepdims=keepdims)
    return out if first is None else FUNCTIONS[ufunc](first, out)


def _in_order(
    ufunc: Any, x: Tensor, axes: tuple[int, ...], keepdims: bool, first: Tensor | None, mask: Any
) -> Tensor:
    """From the first element, or from `first`, to the last."""
    if len(axes) > 1:
        raise ValueError(
            message(f"{ufunc.__name__}.reduce", "the order matters: one axis at most.", received=str(axes))
        )
    function = FUNCTIONS[ufunc]
    parts = moveaxis(x, axes, (0,) * len(axes)) if axes else expand_dims(x, 0)
    rows = range(parts.shape[0])
    out = parts[0] if first is None else broadcast_to(first, parts.shape[1:])
    masks = None if mask is None else np.moveaxis(mask, axes, (0,) * len(axes)) if axes else mask[None]
    for k in rows[first is None :]:
        if masks is None:
            out = function(out, parts[k])
        else:  # what does not take part must not put a NaN into the gradient
            out = e.where(masks[k], function(out, e.where(masks[k], parts[k], 1)), out)
    return expand_dims(out, axes) if keepdims and axes else out


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if ndim == 0 and axis in (0, -1):  # NumPy's default axis, on a scalar
        return ()
    return normalize_axis_tuple(axis, ndim)


def _like(value: Any, x: Tensor) -> Tensor:
    """`initial` in x's dtype. Raises ShapeError for an array, TypeError for a complex number among reals."""
    value = lift(value, x)
    if value.ndim:
        raise ShapeError(message("initial", "a number was expected.", received=f"shape {value.shape}"))
    if value.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError(message("initial", "a complex number does not fit.", received=str(x.dtype)))
    return value if value.dtype == x.dtype else e.astype(value, x.dtype)


def mask_of(ufunc: Any, where: Any) -> Any:
    """The raw mask of a `where` argument. Raises TypeError for what is not boolean, as NumPy does."""
    mask = constant(ufunc.__name__, where)
    if mask.dtype != bool:
        raise TypeError(
            message(ufunc.__name__, "where= is a mask of booleans.", received=f"dtype {mask.dtype}")
        )
    return mask


def _check_start(ufunc: Any, empty: bool, mask: Any) -> None:
    if empty or mask is not None:
        raise ValueError(
            message(
                f"{ufunc.__name__}.reduce",
                "there is nothing to start from: this ufunc has no identity.",
                received="no elements" if empty else "where=",
                hint="give initial=.",
            )
        )


# ------------------------------------------------------------------ accumulate
def accumulate(ufunc: Any, x: Any, axis: int = 0) -> Tensor:
    """ufunc.accumulate on floats: all the results on the way along an axis."""
    x = lift(x)
    if not x.ndim:
        raise TypeError(message(f"{ufunc.__name__}.accumulate", "an axis is needed.", received="a scalar"))
    axis = normalize_axis_index(axis, x.ndim)
    if ufunc is np.add:
        return r.cumsum(x, axis)
    if ufunc is np.multiply:
        return r.cumprod(x, axis)
    function, n = FUNCTIONS[ufunc], x.shape[axis]
    lead = (slice(None),) * axis
    if ufunc in _REDUCTIONS:
        step = 1
        while step < n:
            later = function(x[(*lead, slice(-step))], x[(*lead, slice(step, None))])
            x = concatenate([x[(*lead, slice(step))], later], axis)
            step *= 2
        return x
    if not n:
        return x
    rows = [x[(*lead, 0)]]
    for k in range(1, n):
        rows.append(function(rows[-1], x[(*lead, k)]))
    return stack(rows, axis)


# ------------------------------------------------------------------ reduceat
def reduceat(ufunc: Any, x: Any, indices: Any, axis: int = 0) -> Tensor:
    """ufunc.reduceat on floats: reduce over [indices[i], indices[i + 1]), or of one element where that is
    empty.
    """
    x = lift(x)
    axis = normalize_axis_index(axis, x.ndim)
    n = x.shape[axis]
    starts = on_host("reduceat", indices).astype(np.intp)
    if starts.size and (starts.min() < 0 or starts.max() >= n):
        bad = starts[(starts < 0) | (starts >= n)][0]
        raise IndexError(
            message(f"{ufunc.__name__}.reduceat", f"indices must be in [0, {n}).", received=str(bad))
        )
    ends = np.maximum(np.append(starts[1:], n), starts + 1)
    lead = (slice(None),) * axis
    if ufunc is np.add:
        lengths = ends - starts
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        gathered = take(x, np.repeat(starts, lengths) + within, axis)
        shape = (*x.shape[:axis], starts.size, *x.shape[axis + 1 :])
        return scatter_add(gathered, (*lead, np.repeat(np.arange(starts.size), lengths)), shape)
    if not starts.size:
        return x[(*lead, slice(0))]
    parts = [x[(*lead, slice(a, b))] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    # one element is left as it is, also by hypot, of which reduce takes the absolute value
    done = [p if p.shape[axis] == 1 else reduce(ufunc, p, axis, keepdims=True) for p in parts]
    return concatenate(done, axis)


# ------------------------------------------------------------------ outer
def outer(x: Any, y: Any) -> tuple[Tensor, Any]:
    """The two operands so shaped that a binary function takes all pairs of their elements."""
    y = y if isinstance(y, Tensor) else lift(y, x if isinstance(x, Tensor) else None)
    x = x if isinstance(x, Tensor) else lift(x, y)
    return reshape(x, x.shape + (1,) * y.ndim), y
