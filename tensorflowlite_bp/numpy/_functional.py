"""Functions that call functions: along an axis, over axes, for every element."""

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from ..ops import shape as s
from ..ops.elementwise import astype
from ._creation import array
from ._table import has_tensor, implements


@implements("apply_along_axis")
def _apply_along_axis(func1d: Callable, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Tensor:
    arr = lift(arr)
    axis = s.axis_index(axis, arr.ndim)
    rows = s.moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    if 0 in lead:
        raise ValueError(
            message("apply_along_axis", "there is nothing to apply it to.", received=str(arr.shape))
        )
    found = [lift(func1d(rows[place], *args, **kwargs)) for place in np.ndindex(lead)]
    inner = found[0].ndim
    out = s.reshape(s.stack(found), lead + found[0].shape)
    return s.moveaxis(out, tuple(range(out.ndim - inner, out.ndim)), tuple(range(axis, axis + inner)))


@implements("apply_over_axes")
def _apply_over_axes(func: Callable, a: Any, axes: Any) -> Tensor:
    a = lift(a)
    for axis in np.atleast_1d(axes).tolist():
        axis = axis + a.ndim if axis < 0 else axis
        found = lift(func(a, axis))
        if found.ndim != a.ndim:
            found = s.expand_dims(found, axis)
            if found.ndim != a.ndim:
                raise ShapeError(
                    message(
                        "apply_over_axes",
                        "the function must give an array of as many axes, or one fewer.",
                        received=str(found.shape),
                    )
                )
        a = found
    return a


class vectorize(np.vectorize):
    """numpy.vectorize; Tensors among the arguments are handed to the function element by element (or core
    by core, with a signature) as Tensors, and the results are recorded.

    >>> import tensorflowlite_bp as bp, tensorflowlite_bp.numpy as np
    >>> f = np.vectorize(lambda x, y: x * y if x > 0 else y)
    >>> bp.grad(lambda x: np.sum(f(x, 3.0)))(np.array([1.0, -1.0]))
    array([3., 0.])
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not has_tensor(args) and not has_tensor(list(kwargs.values())):
            return super().__call__(*args, **kwargs)
        pyfunc: Any = self.pyfunc
        if pyfunc == np._NoValue:  # type: ignore[attr-defined]  # used as a decorator with arguments
            return super().__call__(*args, **kwargs)
        fixed = {k: a for k, a in enumerate(args) if k in self.excluded}  # type: ignore[attr-defined]
        names = [n for n in kwargs if n not in self.excluded]  # type: ignore[attr-defined]
        given = [a for k, a in enumerate(args) if k not in fixed] + [kwargs[n] for n in names]
        free = len(given) - len(names)
        others = {n: v for n, v in kwargs.items() if n not in names}

        def call(*values: Any) -> Any:
            positional = list(values[:free])
            for k, value in sorted(fixed.items()):
                positional.insert(k, value)
            return pyfunc(*positional, **dict(zip(names, values[free:], strict=True)), **others)

        signature: str | None = self.signature  # type: ignore[attr-defined]
        cores = _cores(signature, len(given)) if signature else [0] * len(given)
        return _looped(call, [lift(a) for a in given], cores, self.otypes)  # type: ignore[attr-defined]


def _cores(signature: str, count: int) -> list[int]:
    """How many core axes each argument has, by "(m,n),(n)->(m)"."""
    groups = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
    if len(groups) != count:
        raise TypeError(message("vectorize", f"{len(groups)} arguments were expected.", received=str(count)))
    return [len([n for n in g.split(",") if n.strip()]) for g in groups]


def _looped(call: Callable, xs: list[Tensor], cores: list[int], otypes: Any) -> Any:
    leads = [x.shape[: x.ndim - c] for x, c in zip(xs, cores, strict=True)]
    lead = np.broadcast_shapes(*leads)
    wide = [s.broadcast_to(x, lead + x.shape[x.ndim - c :]) for x, c in zip(xs, cores, strict=True)]
    found = [call(*[x[place] for x in wide]) for place in np.ndindex(lead)]
    if not found:
        raise ValueError(message("vectorize", "there is nothing to call the function with."))
    several = isinstance(found[0], tuple)
    columns = list(zip(*found, strict=True)) if several else [found]
    out = []
    for k, column in enumerate(columns):
        values = s.stack([lift(v) for v in column])
        values = s.reshape(values, lead + values.shape[1:])
        out.append(astype(values, np.dtype(otypes[k])) if otypes else values)
    return tuple(out) if several else out[0]


# ------------------------------------------------------------------ making arrays from functions
def fromiter(iter: Any, dtype: Any, count: int = -1, **options: Any) -> Any:
    """numpy.fromiter; Tensors among the items are recorded."""
    items = list(iter) if count < 0 else [v for v, _ in zip(iter, range(count), strict=False)]
    if not has_tensor(items):
        return np.fromiter(items, dtype, count, **options)
    if len(items) < count:
        raise ValueError(message("fromiter", f"{count} items were expected.", received=str(len(items))))
    return array(items, dtype)


@functools.wraps(np.fromfunction)
def fromfunction(function: Callable, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """numpy.fromfunction, on the current backend; what a function of Tensors gives is recorded."""
    kwargs.pop("like", None)
    places = np.indices(shape, dtype=dtype)
    return function(*[backend.current().asarray(p) for p in places], **kwargs)
