"""Entries that leave a call to NumPy itself where no gradient takes part in it.

Integer and constant Tensors then behave as NumPy's arrays do to the last warning; only what records runs
through our ops. An entry declares NumPy's signature and never sees an `out`: it is written here.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from .. import backend
from ..autograd.batching import active as levels
from ..autograd.modes import recording
from ..autograd.op import is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..backend.batched import Batched, ever
from ..errors import ShapeError, message
from ..ops import inplace
from ._questions import raw
from ._table import has_tensor, implements

NOT_GIVEN = np._NoValue  # what NumPy's own signatures say


def records(value: Any) -> bool:
    """Whether a recording Tensor is among nested arguments."""
    if isinstance(value, (list, tuple)):
        return any(records(v) for v in value)
    return isinstance(value, Tensor) and value.node is not None


def mapped(value: Any) -> bool:
    """Whether floats that differ between the samples of a vmap are among nested arguments."""
    if isinstance(value, (list, tuple)):
        return any(mapped(v) for v in value)
    return isinstance(value, Tensor) and isinstance(value.data, Batched) and is_float(value.dtype)


def some(condition: Any) -> bool:
    """Whether a condition holds anywhere: a bool, or an array (of any sample)."""
    return condition if type(condition) is bool else ever(condition.any())


def wrapped(value: Any) -> Any:
    """A result of NumPy's with its arrays and numbers as Tensors."""
    if isinstance(value, tuple):
        items = [wrapped(v) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [wrapped(v) for v in value]
    return wrap(np.asarray(value) if isinstance(value, (np.generic, int, float, complex)) else value)


def plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function of NumPy's on the raw arrays; its results are constants."""
    return wrapped(function(*raw(args), **{k: raw(v) for k, v in kwargs.items()}))


def written(name: str, out: Any, result: Tensor) -> Any:
    """A result put where `out=` says, which must have its shape."""
    target = out[0] if isinstance(out, tuple) else out
    if tuple(target.shape) != result.shape:
        raise ShapeError(
            message(name, "out= must have the result's shape.", received=f"{target.shape}, {result.shape}")
        )
    return inplace.write_out(name, out, result)


def _entry(
    names: tuple[str, ...], function: Callable[..., Any] | None, lists: bool = False
) -> Callable[..., Any] | None:
    """Enter NumPy's function of these names; `function` runs where something records (None: never)."""
    name = names[0]
    try:
        original = attrgetter(name)(np)
    except AttributeError:  # of a later NumPy, or of an earlier one
        return function
    place = {p: i for i, p in enumerate(inspect.signature(function or original).parameters)}
    at_out, at_dtype, at_overwrite = (place.get(p, len(place)) for p in ("out", "dtype", "overwrite_input"))

    first = min(at_out, at_dtype, at_overwrite)

    @functools.wraps(function or original)
    def entry(*args: Any, **kwargs: Any) -> Any:
        out = dtype = None
        if kwargs:
            out, dtype = kwargs.pop("out", None), kwargs.get("dtype")
            kwargs.pop("overwrite_input", None)  # a permission, of no use: a live graph may hold the input
        if len(args) > first:
            dtype = args[at_dtype] if len(args) > at_dtype else dtype
            if len(args) > at_out:
                out, args = args[at_out], (*args[:at_out], None, *args[at_out + 1 :])
            if len(args) > at_overwrite:
                args = (*args[:at_overwrite], False, *args[at_overwrite + 1 :])
        values = (*args, *kwargs.values()) if kwargs else args
        if not lists and has_tensor([v for v in values if type(v) in (list, tuple)]):
            args, kwargs = tuple(map(_joined, args)), {k: _joined(v) for k, v in kwargs.items()}
        if function is not None and _live(values) and (dtype is None or is_float(np.dtype(dtype))):
            result = function(*args, **kwargs)
        else:
            result = plainly(original, *args, **kwargs)
        return result if out is None else written(name, out, result)

    implements(*names)(entry)
    return function


def _live(values: tuple[Any, ...]) -> bool:
    """Whether a gradient, or a vmap, has a part in a call with these arguments."""
    if recording():
        for v in values:
            if v.node is not None if isinstance(v, Tensor) else records(v):
                return True
    return bool(levels()) and mapped(values)


def _joined(value: Any) -> Any:
    """Nested lists of Tensors as one Tensor."""
    return lift(value) if type(value) in (list, tuple) and has_tensor(value) else value


def differentiable(*names: str, lists: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function for NumPy's of these names. It runs where an argument records, and the dtype asked for
    can carry a gradient; NumPy's own where not. lists: it takes lists of arrays as they are.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        _entry(names, function, lists)
        return function

    return enter


def constants(names: str) -> None:
    """Enter NumPy's own functions of these names: what they give has no derivative."""
    for name in names.split():
        _entry((name,), None)


# ------------------------------------------------------------------ arguments
def reduced_axes(axis: Any, ndim: int, scalar: bool = False) -> tuple[int, ...]:
    """`axis` as a tuple of axes, all for None; scalar: axis 0 or -1 of a 0-d array means none, as in ufuncs'
    reductions. Raises AxisError, and ValueError for an axis named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    if scalar and ndim == 0 and not isinstance(axis, Sequence) and axis in (0, -1):
        return ()
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim, argname="axis")


def mask_for(where: Any, x: Tensor) -> Any:
    """`where=` as a raw boolean array of x's shape; None where everything is taken."""
    if where is True or where is NOT_GIVEN:
        return None
    mask = raw(lift(where))
    if mask.dtype.kind != "b":
        raise TypeError(message("where", "booleans were expected.", received=str(mask.dtype)))
    return backend.of(x.data).broadcast_to(mask, x.shape)
