"""Reading and writing by index, sorting, searching.

Writing is functional underneath: `x[i] = v` on a recording tensor makes a new version of x
(`Tensor.__setitem__` in methods.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._typing import Shape
from ..autograd.declare import Arguments, operation
from ..autograd.op import graph, helper
from ..autograd.record import constant, lift, nondiff
from ..autograd.tensor import Tensor, wrap
from ..backend import by_type, common
from ..backend.batched import always, at_hand, env_of
from .elementwise import astype
from .shape import axis_index, broadcast_to, concatenate, gather, moveaxis, reshape


def raw_index(index: Any) -> Any:
    """An index with its Tensors and lists replaced by raw arrays."""
    if type(index) is tuple:
        return tuple([raw_index(i) for i in index])
    if isinstance(index, Tensor):
        return index.data
    if isinstance(index, list):
        return np.asarray([raw_index(i) for i in index]) if index else np.empty(0, np.intp)
    return index


def on_host(index: Any) -> Any:
    """A raw index with its arrays in host memory."""
    if type(index) is tuple:
        return tuple([on_host(i) for i in index])
    return index.get() if hasattr(index, "get") else index


# ------------------------------------------------------------------ reading and writing
@operation(
    vjp=(lambda F, g, out, x, *, index: F.scatter_add(g, index=index, shape=x.shape),),
    saves=("x.shape",),
    linear="joint",
    view=True,
    places=True,
)
def getitem(x: Any, index: Any) -> Arguments:
    """x[index], for every index NumPy takes: a view for a basic one, a copy for integer or boolean arrays."""
    return (x,), {"index": raw_index(index)}


@operation(vjp=(lambda F, g, out, x, *, index, shape: F.getitem(g, index=index),), linear="joint")
def scatter_add(x: Any, index: Any, shape: Shape) -> Arguments:
    """zeros(shape) with x added at index; repeated indices add up. The transpose of getitem."""
    return (x,), {"index": raw_index(index), "shape": tuple(shape)}


def _set_back_x(F: Any, g: Any, out: Any, x: Any, value: Any, *, index: Any) -> Any:
    return F.setitem(g, F.zeros(value.shape, g.dtype), index=index)


def _set_back_value(F: Any, g: Any, out: Any, x: Any, value: Any, *, index: Any) -> Any:
    picked = F.getitem(g, index=index)
    if not common.is_basic(index):
        last = _last_writes(index, x.shape, picked.shape)
        if last is not None:
            if at_hand(last) and not at_hand(picked):
                last = by_type[type(picked.data if F is graph else picked)].asarray(last)
            picked = F.where(last, picked, F.zeros_like(picked))
    if len(value.shape) > picked.ndim:  # NumPy drops leading axes of length 1 of the value
        picked = picked.reshape((1,) * (len(value.shape) - picked.ndim) + picked.shape)
    return F.sum_to(picked, shape=value.shape)


def _last_writes(index: Any, shape: Shape, picked: Shape) -> Any:
    """Which of several writes to one place came last: only its value has a gradient. None when no place is
    written twice.
    """
    order = np.arange(int(np.prod(picked))).reshape(picked)
    mapped = next((i for i in (index if type(index) is tuple else (index,)) if env_of(i)), None)
    if mapped is not None:  # the index differs between the samples of a vmap
        lib = by_type[type(mapped)]
        last = lib.getitem(lib.setitem(np.empty(shape, np.intp), order, index=index), index=index) == order
        return None if always(last.all()) else last
    away = next((i for i in (index if type(index) is tuple else (index,)) if not at_hand(i)), None)
    if away is not None:  # on a device, which is not waited for
        lib = by_type[type(away)]
        order = lib.asarray(order)
        return lib.setitem(lib.empty(shape, order.dtype), order, index=index)[index] == order
    slots = np.empty(shape, np.intp)
    slots[index] = order
    last = slots[index] == order
    return None if always(last.all()) else last


@operation(vjp=(_set_back_x, _set_back_value), saves=("x.shape", "y.shape"), linear="joint")
def setitem(x: Any, value: Any, index: Any) -> Arguments:
    """A copy of x with x[index] = value. Where an index repeats, the last value stays, and only it gets a
    gradient.
    """
    x = lift(x)
    value = lift(value, x)
    if value.dtype != x.dtype:
        value = astype(value, x.dtype)
    return (x, value), {"index": raw_index(index)}


# ------------------------------------------------------------------ gathering along an axis
@operation(
    vjp=(
        lambda F, g, out, x, *, indices, axis: F.put_along_axis(g, indices=indices, axis=axis, shape=x.shape),
    ),
    saves=("x.shape",),
    linear="joint",
)
def take_along(x: Any, indices: Any, axis: int) -> Arguments:
    return (x,), {"indices": indices, "axis": axis}


@operation(
    vjp=(lambda F, g, out, x, *, indices, axis, shape: F.take_along(g, indices=indices, axis=axis),),
    linear="joint",
)
def put_along_axis(x: Any, indices: Any, axis: int, shape: Shape) -> Arguments:
    """zeros(shape) with x added at `indices` along `axis`: the transpose of take_along_axis."""
    return (x,), {"indices": constant("put_along_axis", indices), "axis": axis, "shape": tuple(shape)}


@helper
def take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Tensor:
    """x's elements at integer `indices` along `axis`: what argsort and argmax give back.

    `indices` broadcasts against x on the other axes.
    """
    x = lift(x)
    indices = constant("take_along_axis", indices)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_index(axis, x.ndim)
    if indices.ndim == x.ndim and any(
        i != axis and n != m for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))
    ):
        lead = np.broadcast_shapes(indices.shape[:axis], x.shape[:axis])
        rest = np.broadcast_shapes(indices.shape[axis + 1 :], x.shape[axis + 1 :])
        indices = np.broadcast_to(indices, (*lead, indices.shape[axis], *rest))
        x = broadcast_to(x, (*lead, x.shape[axis], *rest))
    return take_along(x, indices, axis)


@helper
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Slices of x at integer indices along an axis (None: of the flattened array)."""
    x = lift(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    indices = raw_index(indices) if isinstance(indices, list) else constant("take", indices)
    return gather(x, indices, axis_index(axis, x.ndim))


def by_numbers(function: Callable[..., Any], *xs: Tensor) -> Tensor:
    """What a function that only moves elements about makes of the arrays: it is given their elements'
    numbers, and one gather does the rest. So NumPy's own function decides where everything goes.
    """
    numbers, total = [], 0
    for x in xs:
        numbers.append(np.arange(total, total + x.size).reshape(x.shape))
        total += x.size
    flat = reshape(xs[0], (-1,)) if len(xs) == 1 else concatenate(xs, None)
    return flat[function(*numbers)]


# ------------------------------------------------------------------ sorting
argsort = nondiff(
    "argsort",
    lambda B, x, axis=-1, *, descending=False, stable=True: _argsort(B, x, axis, descending),
    doc="The indices that sort x, stably, along `axis`.",
)


def _argsort(B: Any, x: Any, axis: int | None, descending: bool) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), 0
    if not descending:
        return B.argsort_stable(x, axis=axis)
    turned = B.flip(x, axis=axis)  # equal elements keep their order
    return x.shape[axis] - 1 - B.flip(B.argsort_stable(turned, axis=axis), axis=axis)


@helper
def sort(x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """Sorted along `axis` (None: the flattened array), stably; gradients go back to where elements came
    from.
    """
    x = lift(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return take_along_axis(x, argsort(x, axis, descending=descending), axis) if x.ndim else x


searchsorted = nondiff(
    "searchsorted",
    lambda B, x, v, side="left", sorter=None: B.searchsorted(
        x, v, side=side, sorter=None if sorter is None else constant("searchsorted", sorter)
    ),
    arrays=2,
    doc="Where v would go in sorted x; sorter: the indices that sort x, where it is not.",
)


@helper
def nonzero(x: Any) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, an array per axis."""
    return tuple(wrap(i) for i in lift(x).data.nonzero())


@helper
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as a last axis."""
    x = moveaxis(lift(x), (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return x[..., i - min(offset, 0), i + max(offset, 0)]


@helper
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return diagonal(x, offset, axis1, axis2).sum(-1)
