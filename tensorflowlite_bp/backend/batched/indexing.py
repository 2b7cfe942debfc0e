"""Reading and writing by index on Batched arrays; the index may differ between the samples too.

The samples' axes are indexed by a range of their own, side by side with the advanced indices: NumPy then puts
all of these in front, and they are moved to where one sample has them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import message
from .. import by_type, common
from .array import Batched, Levels, aligned, made, ordered, scope, sizes, viewing, whole
from .shape import from_last

RULES: dict[str, Callable] = {}


def _lib(x: Any) -> Any:
    return by_type[type(x.data if isinstance(x, Batched) else x)]


# ------------------------------------------------------------------ an index, spelled out
class Index:
    """One sample's index, an entry per axis (or None for a new one), with the advanced ones told apart."""

    __slots__ = ("advanced", "dims", "entries", "levels", "place")

    def __init__(self, index: Any, ndim: int) -> None:
        given: list[Any] = list(index) if type(index) is tuple else [index]
        entries: list[Any] = []
        for e in given:
            if isinstance(e, bool) or getattr(getattr(e, "dtype", None), "kind", "") == "b":
                if isinstance(e, Batched):
                    _raise_mask(e)
                if not getattr(e, "ndim", 0):
                    raise IndexError("[vmap] a single bool is no index here; use None for a new axis.")
                entries.extend(e.nonzero())  # type: ignore[union-attr]
            else:
                entries.append(np.asarray(e) if isinstance(e, list) else e)
        used = sum(1 for e in entries if e is not None and e is not Ellipsis)
        fill = [slice(None)] * (ndim - used)
        at = next((i for i, e in enumerate(entries) if e is Ellipsis), None)
        entries = entries + fill if at is None else entries[:at] + fill + entries[at + 1 :]
        arrays = [i for i, e in enumerate(entries) if not (e is None or isinstance(e, slice))]
        self.advanced = any(getattr(entries[i], "ndim", 0) or isinstance(entries[i], Batched) for i in arrays)
        self.entries = entries
        self.levels: Levels = scope(entries)[0]
        adjacent = bool(arrays) and arrays[-1] - arrays[0] == len(arrays) - 1
        # how many axes of the result stand before the advanced ones, and how many those are
        self.place = arrays[0] if adjacent else 0
        self.dims = max([getattr(entries[i], "ndim", 0) for i in arrays], default=0)

    def over(self, levels: Levels) -> tuple[Any, ...]:
        """The index into memory that has a full axis for each of `levels`, all advanced entries in front."""
        k, d = len(levels), self.dims
        grid = [
            np.arange(level.size).reshape((1,) * i + (-1,) + (1,) * (k - 1 - i + d))
            for i, level in enumerate(levels)
        ]
        entries = [
            e if e is None or isinstance(e, slice) else aligned(e, levels, d) if isinstance(e, Batched) else e
            for e in self.entries
        ]
        return (*grid, *entries)

    def order(self, k: int, ndim: int) -> list[int]:
        """Axes (levels, advanced, others) as one sample has them: (levels, before, advanced, after)."""
        front, rest = list(range(k + self.dims)), list(range(k + self.dims, k + ndim))
        return front[:k] + rest[: self.place] + front[k:] + rest[self.place :]


def _inverse(order: list[int]) -> list[int]:
    out = [0] * len(order)
    for i, a in enumerate(order):
        out[a] = i
    return out


def _raise_mask(mask: Batched) -> None:
    raise TypeError(
        message(
            "vmap",
            "a boolean index that differs between samples picks a different number of elements from each.",
            received=repr(mask),
            hint="use bp.where(mask, x, 0).",
        )
    )


def _basic(index: Any, k: int) -> tuple[Any, ...]:
    return (slice(None),) * k + (index if type(index) is tuple else (index,))


# ------------------------------------------------------------------ the rules
def getitem(x: Any, *, index: Any) -> Any:
    if common.is_basic(index) and not _mapped(index):
        return viewing(x.data[_basic(index, len(x.levels))], x) if isinstance(x, Batched) else x[index]
    found = Index(index, x.ndim)
    levels = ordered((x.levels if isinstance(x, Batched) else ()) + found.levels)
    _, env = scope((x, *found.entries))
    if not env:
        return x[index]
    if not levels:
        return made(x.data[index], levels, env)
    data = whole(x, levels)[found.over(levels)]
    return made(data.transpose(found.order(len(levels), data.ndim - len(levels))), levels, env)


def _mapped(index: Any) -> bool:
    return any(isinstance(e, Batched) for e in (index if type(index) is tuple else (index,)))


def scatter_add(x: Any, *, index: Any, shape: Any) -> Any:
    lib, shape = _lib(x), tuple(shape)
    if common.is_basic(index) and not _mapped(index):
        if not isinstance(x, Batched):
            return lib.scatter_add(x, index=index, shape=shape)
        k = len(x.levels)
        data = lib.scatter_add(x.data, index=_basic(index, k), shape=sizes(x.levels) + shape)
        return made(data, x.levels, x.env)
    found = Index(index, len(shape))
    levels = ordered((x.levels if isinstance(x, Batched) else ()) + found.levels)
    _, env = scope((x, *found.entries))
    data = whole(x, levels) if levels or not isinstance(x, Batched) else x.data
    if not levels:
        data = lib.scatter_add(data, index=index, shape=shape)
    else:
        data = data.transpose(_inverse(found.order(len(levels), x.ndim)))
        data = lib.scatter_add(data, index=found.over(levels), shape=sizes(levels) + shape)
    return made(data, levels, env) if env else data


def setitem(x: Any, value: Any, *, index: Any) -> Any:
    if isinstance(index, Batched) and index.dtype.kind == "b":
        return _set_masked(x, value, index)
    lib = _lib(x)
    entries = index if type(index) is tuple else (index,)
    levels, env = scope((x, value, *entries))
    if not env:
        return lib.setitem(x, value, index=index)
    ndim = getattr(value, "ndim", 0)
    if not levels:
        raw = [v.data if isinstance(v, Batched) else v for v in (x, value)]
        return made(lib.setitem(*raw, index=index), levels, env)
    data = whole(x, levels)
    if common.is_basic(index) and not _mapped(index):
        target = np.broadcast_to(np.empty((), bool), x.shape)[index]
        value = _trimmed(value, ndim, target.ndim)
        value = aligned(value, levels, target.ndim)
        return made(lib.setitem(data, value, index=_basic(index, len(levels))), levels, env)
    found = Index(index, x.ndim)
    over = found.over(levels)
    rank = found.dims + sum(1 for e in found.entries if e is None or isinstance(e, slice))
    value = _trimmed(value, ndim, rank)
    if getattr(value, "ndim", 0):
        wide = aligned(value, levels, rank)
        wide = wide.reshape((1,) * (len(levels) + rank - wide.ndim) + wide.shape)
        value = wide.transpose(_inverse(found.order(len(levels), rank)))
    elif isinstance(value, Batched):
        value = aligned(value, levels, rank)
    return made(lib.setitem(data, value, index=over), levels, env)


def _trimmed(value: Any, ndim: int, rank: int) -> Any:
    """NumPy drops leading axes of length 1 that the place does not have."""
    return value.reshape(value.shape[ndim - rank :]) if ndim > rank else value


def _set_masked(x: Any, value: Any, mask: Batched) -> Any:
    """x[mask] = one number: no count is needed."""
    if getattr(value, "size", 1) != 1:
        _raise_mask(mask)
    if getattr(value, "ndim", 0):
        value = value.reshape(())
    levels, env = scope((x, value, mask))
    trail = (1,) * (x.ndim - mask.ndim)
    wide = mask.reshape(mask.shape + trail)
    data = np.where(aligned(wide, levels, x.ndim), aligned(value, levels, x.ndim), aligned(x, levels, x.ndim))
    return made(data.astype(x.dtype, copy=False), levels, env)


def take(x: Any, indices: Any, axis: Any = None, **_: Any) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), 0
    indices = indices if hasattr(indices, "dtype") else np.asarray(indices)
    return getitem(x, index=(slice(None),) * (axis % x.ndim) + (indices,))


def _both(x: Any, indices: Any) -> tuple[Any, Any, Levels, Levels]:
    levels, env = scope((x, indices))
    return whole(x, levels), whole(indices, levels), levels, env


def take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Any:
    data, places, levels, env = _both(x, indices)
    return made(_lib(x).take_along_axis(data, places, from_last(axis, x.ndim)), levels, env)


def take_along(x: Any, *, indices: Any, axis: int) -> Any:
    data, places, levels, env = _both(x, indices)
    found = _lib(x).take_along(data, indices=places, axis=from_last(axis, x.ndim))
    return made(found, levels, env) if env else found


def put_along_axis(x: Any, *, indices: Any, axis: int, shape: Any) -> Any:
    data, places, levels, env = _both(x, indices)
    shape = sizes(levels) + tuple(shape)
    found = _lib(x).put_along_axis(data, indices=places, axis=axis % x.ndim + len(levels), shape=shape)
    return made(found, levels, env) if env else found


def copyto(target: Any, value: Any, **_: Any) -> None:
    target[...] = value


RULES.update(
    getitem=getitem, setitem=setitem, scatter_add=scatter_add, take=take, take_along=take_along,
    take_along_axis=take_along_axis, put_along_axis=put_along_axis, copyto=copyto,
)  # fmt: skip
