"""Writing in place: x[i] = v, x += v, out=x.

Where nothing is recorded, a write goes to memory, as in NumPy. A recording tensor moves to a new version: it
gets the value and the history of the result, and what earlier ops saved stays as it was. A basic slice
remembers the tensor it views, so that `x[i] += v` and `row = x[i]; row += v` reach x. Slices taken before x
moved on keep the version that they saw; writing to them raises, as does writing through other views.
"""

import sys
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..autograd import hooks, overwrites
from ..autograd.modes import recording
from ..autograd.node import Leaf, NodeN
from ..autograd.op import is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor, new, to_array, unshared, wrap
from ..backend import common
from ..backend.batched import MappedValueError
from ..errors import DTypeError, GradientError, ShapeError, message
from . import elementwise as e
from . import indexing
from .shape import broadcast_to


class View(Tensor):
    """A basic slice of another Tensor, which it can write to. The base is held weakly: a slice keeps memory
    alive, not a graph.
    """

    __slots__ = ("base", "index", "look")

    base: Any
    index: Any
    look: Any  # the view of the base's raw array, where it is no index that makes it


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]."""
    out = indexing.getitem(x, index)
    data = out.data
    owner = data.base
    if owner is None or (owner is not x.data and owner is not x.data.base):
        return out
    view = new(View)
    view.data, view.node = data, out.node
    # a slice of a slice holds the one between: in y[1:][2:] nothing else does
    view.base = weakref.ref(x) if type(x) is not View else lambda: x
    view.index = indexing.raw_index(index)
    view.look = None
    return view


def viewing(x: Tensor, look: Callable[[Any], Any]) -> Tensor:
    """A view that no basic index makes (a diagonal), which can be written to like a slice. look: makes it of
    a raw array.
    """
    view = new(View)
    view.index = np.unravel_index(look(np.arange(x.size).reshape(x.shape)), x.shape)
    view.data, view.node = look(x.data), indexing.getitem(x, view.index).node
    view.base = weakref.ref(x) if type(x) is not View else lambda: x
    view.look = look
    return view


# ------------------------------------------------------------------ where a write goes
def write(
    target: Tensor, raw_write: Callable[[Any], None], result: Callable[[], Tensor], records: bool
) -> None:
    """Write to memory where nothing is recorded, else make a new version: result(). records: whether what
    is written records.
    """
    if recording() and type(target.node) is Leaf:
        _raise_leaf()
    if type(target) is View and _write_through(target, result, records):
        return
    if recording() and (target.node is not None or records):
        _check_alias(target)
        _move(target, _fitting(target, result()))
        return
    if target.node is not None:
        raw_write(target._writable())  # under no_grad: a live graph keeps the values it saved
        return
    if not unshared(target):
        overwrites.note_write(target.data)
    try:
        raw_write(target.data)
    except MappedValueError:  # inside vmap: a value that differs between samples, into what they share
        _check_alias(target)
        _move(target, _fitting(target, result()))


def _write_through(view: View, result: Callable[[], Tensor], records: bool) -> bool:
    """Write to the tensor that a slice views, where a version of that one is to be made; False where not."""
    base = view.base()
    if base is None or type(view.node) is Leaf:
        return False
    if not _current(view, base):
        _raise_stale()
    if base.node is None and view.node is None and not (records and recording()):
        return False  # plain memory
    base[view.index] = _fitting(view, result())
    fresh = indexing.getitem(base, view.index)
    if view.look is not None:
        fresh.data = view.look(base.data)
    _move(view, fresh)
    return True


def _move(target: Tensor, value: Tensor) -> None:
    """Give a tensor its new version."""
    before, target.data, target.node = target.node, value.data, value.node
    if target.retains_grad:
        hooks.moved(target, before)


def _current(view: View, base: Tensor) -> bool:
    """Whether a slice still views its base's memory: the base has not moved to a new version."""
    data = base.data
    return view.data.base is (data if data.base is None else data.base)


def _fitting(target: Tensor, value: Tensor) -> Tensor:
    """A result in the target's shape and dtype."""
    if value.shape != target.shape:
        _raise_shape(target, value)
    if value.dtype == target.dtype:
        return value
    if not np.can_cast(value.dtype, target.dtype, "same_kind"):
        raise DTypeError(message("in-place", f"a {value.dtype} result does not fit a {target.dtype} tensor."))
    return e.astype(value, target.dtype)


def _check_alias(target: Tensor) -> None:
    """Raise where others would not see the new version of a view, though they see its memory."""
    if target.data.base is None or _held_once(target.data):
        return
    node = target.node
    if node is None:
        raise GradientError(
            message(
                "in-place",
                "a recording value cannot be written into a view: the tensor it views would not know.",
                hint="write to the original, or to a copy, y = x.copy().",
            )
        )
    if type(node) is NodeN and node.op.view:
        raise GradientError(
            message(
                "in-place",
                "this tensor is a view of a recording tensor; writing through it cannot be followed.",
                received=f"the result of {node.op.name}",
                hint="write to the original, x[i] = v, or to a copy, y = x.copy().",
            )
        )


def _held_once(view: Any) -> bool:
    """Whether a view is the only holder of the memory that it views: its original is gone."""
    return sys.getrefcount(view.base) <= _ONCE


_ONCE = 0
_ONCE = (lambda view: sys.getrefcount(view.base))(np.empty(4).reshape(2, 2))


# ------------------------------------------------------------------ the three ways to write
def setitem(self: Tensor, index: Any, value: Any) -> None:
    """self[index] = value."""
    index = indexing.raw_index(index)
    value = value if isinstance(value, Tensor) else to_array(value)
    records = isinstance(value, Tensor) and value.node is not None
    if type(value) is View and value.base() is self and _is_there(self, index, value):
        return  # the last step of `x[i] += v`: the slice has written itself
    if records and recording():
        _check_kinds(self, value)

    def raw_write(data: Any) -> None:
        data[index] = value.data if isinstance(value, Tensor) else value

    write(self, raw_write, lambda: indexing.setitem(self, value, index), records)


def _is_there(x: Tensor, index: Any, value: View) -> bool:
    if value.look is not None or not common.is_basic(index) or value.index != index or not _current(value, x):
        return False
    if x.node is None or not recording():
        return value.node is None or not recording()
    return type(value.node) is NodeN and value.node.parents == (x.node,)


def _check_kinds(target: Tensor, value: Tensor) -> None:
    if not is_float(target.dtype) or (value.dtype.kind == "c" and target.dtype.kind != "c"):
        raise DTypeError(
            message(
                "in-place",
                f"a recording {value.dtype} value cannot be written into a {target.dtype} tensor.",
                hint="make the tensor of the value's dtype, or write value.detach().",
            )
        )


def operator(function: Callable, ufunc: str | None) -> Callable:
    """`x += v` and its like, from the op and NumPy's function for raw memory (None: the op does more)."""

    def method(self: Tensor, other: Any) -> Tensor:
        other = lift(other, self)

        def raw_write(data: Any) -> None:
            if ufunc is None:
                np.copyto(data, function(wrap(data), other).data, casting="same_kind")
            else:
                getattr(np, ufunc)(data, other.data, out=data, casting="same_kind")

        write(self, raw_write, lambda: function(self, other), other.node is not None)
        return self

    return method


def write_all(target: Tensor, result: Tensor) -> None:
    """target[...] = result, as `out=target` means it: the result may broadcast, but not change its kind."""

    def raw_write(data: Any) -> None:
        np.copyto(data, result.data, casting="same_kind")

    def wide() -> Tensor:
        return result if result.shape == target.shape else broadcast_to(result, target.shape)

    write(target, raw_write, wide, result.node is not None)


# ------------------------------------------------------------------ errors
def _raise_leaf() -> None:
    raise GradientError(
        message(
            "in-place",
            "a leaf that requires grad cannot be written in place.",
            hint="write inside bp.no_grad() (a weight's update), or work on a copy: y = x.copy().",
        )
    )


def _raise_stale() -> None:
    raise GradientError(
        message(
            "in-place",
            "this slice views an earlier version of its tensor, which has been written to since.",
            hint="take the slice again, or write to the tensor itself, x[i] = v.",
        )
    )


def _raise_shape(target: Tensor, value: Tensor) -> None:
    raise ShapeError(
        message(
            "in-place",
            "the result must fit the tensor it is written to.",
            received=f"result {value.shape}, tensor {target.shape}",
        )
    )


def write_out(name: str, out: Any, result: Any) -> Any:
    """A result put where `out=` says: an array or Tensor, or a tuple of them for several results."""
    if isinstance(out, tuple) and len(out) > 1:
        return tuple([r if o is None else write_out(name, o, r) for o, r in zip(out, result, strict=True)])
    target: Any = next(iter(out)) if isinstance(out, tuple) else out
    if isinstance(target, Tensor):
        write_all(target, result)
        return target
    if result.node is not None:
        raise_plain(name)
    overwrites.note_write(target)  # a live graph may have saved this array
    np.copyto(target, result.data, casting="same_kind")
    return target


def raise_plain(name: str) -> NoReturn:
    raise TypeError(
        message(
            name,
            "a recording result cannot be written into a plain array, its gradient would be lost.",
            hint="write into a Tensor: bp.asarray(array) shares its memory.",
        )
    )
