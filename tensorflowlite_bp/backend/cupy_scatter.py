"""Sums of values for one place on a device: in a fixed order, without atomics, and without waiting.

CuPy's `add.at` adds floats in whatever order the threads come (and Thrust's segments need their number on the
host). Here values are brought in order of their place, and summed place by place.
"""

import math
from typing import Any

from .._typing import Array, Shape
from . import common
from .cuda import lookup
from .cupy_kernels import DTYPES


def scatter_add(host: Any, xp: Any, x: Array, index: Any, shape: Shape) -> Array:
    """zeros(shape) with x added at index, which is any that NumPy takes."""
    if _names_once(index):
        out = xp.zeros(shape, x.dtype)
        out[index] = x
        return out
    rows: Any = index[0] if type(index) is tuple and len(index) == 1 else index
    if getattr(rows, "dtype", None) is not None and rows.dtype.kind in "iu":
        rows = xp.asarray(rows)
        return _add_rows(host, xp, x, xp.where(rows < 0, rows + shape[0], rows), shape)
    places = xp.arange(math.prod(shape)).reshape(shape)[index]
    return _add_rows(host, xp, x, places, (math.prod(shape),)).reshape(shape)


def setitem(xp: Any, x: Array, value: Array, index: Any) -> Array:
    """A copy of x with x[index] = value. Of several values for one place the last counts, as in NumPy: all of
    them write it, so it does not matter which is written last.
    """
    out = x.copy()
    if not _names_once(index) and value.ndim:
        places = xp.arange(x.size).reshape(x.shape)[index]
        order = xp.arange(places.size, dtype=xp.uint64).reshape(places.shape)  # CUDA has no signed one
        last = xp.zeros(x.size, order.dtype)
        xp.maximum.at(last, places, order)
        value = xp.broadcast_to(value, places.shape).reshape(-1)[last[places].astype(xp.int64)]
    out[index] = value
    return out


def _names_once(index: Any) -> bool:
    """Whether an index is of a kind that names no place twice."""
    return common.is_basic(index) or getattr(getattr(index, "dtype", None), "kind", "") == "b"


def put_along_axis(host: Any, xp: Any, x: Array, indices: Array, axis: int, shape: Shape) -> Array:
    """zeros(shape) with x added at indices along axis."""
    index = common.along_axis(xp, indices, axis, shape)
    return scatter_add(host, xp, x, index, shape)


def _add_rows(host: Any, xp: Any, x: Array, rows: Array, shape: Shape) -> Array:
    """zeros(shape) with x (*rows.shape, *shape[1:]) added at `rows`, in [0, shape[0])."""
    if not rows.size or not math.prod(shape):
        return xp.zeros(shape, x.dtype)
    x = xp.broadcast_to(x, rows.shape + shape[1:])
    if host is not None and x.dtype in DTYPES:
        flat = (shape[0], math.prod(shape[1:]))
        return lookup.embedding_gradient(host, x.reshape(rows.size, flat[1]), rows, flat).reshape(shape)
    return _segments(xp, x.reshape((rows.size,) + shape[1:]), rows.reshape(-1), shape)


def _segments(xp: Any, x: Array, rows: Array, shape: Shape) -> Array:
    """Sums of runs of one row by doubling their length log2(n) times (Hillis and Steele 1986)."""
    order = xp.argsort(rows, kind="stable")
    key, n = rows[order], rows.size
    total = x[order].astype(xp.float32) if common.is_narrow(x.dtype) else x[order]
    column = (-1,) + (1,) * (len(shape) - 1)
    step = 1
    while step < n:
        same = (key[step:] == key[:-step]).reshape(column)
        longer = xp.where(same, total[:-step], 0) + total[step:]
        total = xp.concatenate([total[:step], longer])
        step *= 2
    last = xp.concatenate([key[1:] != key[:-1], xp.ones(1, bool)])
    # what is not the end of its run goes to a row of its own behind the result
    out = xp.zeros((shape[0] + n, *shape[1:]), total.dtype)
    out[xp.where(last, key, shape[0] + xp.arange(n))] = total
    return out[: shape[0]].astype(x.dtype)
