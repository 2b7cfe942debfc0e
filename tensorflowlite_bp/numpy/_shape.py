"""NumPy's functions that rearrange, join and cut arrays. All of them move elements about, and are linear."""

import operator
from typing import Any

import numpy as np

from ..autograd.record import lift, on_host
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from ..ops import elementwise, indexing
from ..ops import shape as s
from ..ops.padding import pad
from ..ops.shape import axis_index, axis_tuple
from ..ops.transfer import to_device
from ._reductions import converted
from ._table import implements


# ------------------------------------------------------------------ axes
@implements("reshape")
def _reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    a = lift(a)
    out = _reshaped(a, shape, order)
    if copy is False and a.size and not np.may_share_memory(out.data, a.data):
        raise ValueError(message("reshape", "copy=False was asked for, but a copy is needed."))
    return elementwise.copy(out) if copy else out


def _reshaped(x: Tensor, to: Any, order: str) -> Tensor:
    """The elements read and written in C order, in Fortran's ("F"), or in that of the memory ("A")."""
    if order not in ("C", "F", "A"):
        raise ValueError(message("reshape", "order is 'C', 'F' or 'A'.", received=repr(order)))
    if order == "F" or (order == "A" and x.data.flags.f_contiguous and not x.data.flags.c_contiguous):
        lengths = tuple(to)[::-1] if hasattr(to, "__len__") else to
        return s.transpose(s.reshape(s.transpose(x), lengths))
    return s.reshape(x, to)


@implements("ravel")
def _ravel(a: Any, order: str = "C") -> Tensor:
    a = lift(a)
    if order != "K":
        return _reshaped(a, (-1,), order)
    by_stride = sorted(range(a.ndim), key=lambda k: -abs(a.data.strides[k]))
    return s.ravel(s.transpose(a, by_stride))


@implements("transpose")
def _transpose(a: Any, axes: Any = None) -> Tensor:
    return s.transpose(a, axes)


@implements("moveaxis")
def _moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    return s.moveaxis(a, source, destination)


@implements("rollaxis")
def _rollaxis(a: Any, axis: int, start: int = 0) -> Tensor:
    a = lift(a)
    axis = axis_index(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    if not 0 <= start <= a.ndim:
        raise np.exceptions.AxisError(start, a.ndim + 1, "start")
    return s.moveaxis(a, axis, start - (axis < start))


@implements("swapaxes")
def _swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    return s.swapaxes(a, axis1, axis2)


@implements("squeeze")
def _squeeze(a: Any, axis: Any = None) -> Tensor:
    a = lift(a)
    return s.squeeze(a, axis if a.ndim or axis not in (0, -1) else None)


@implements("expand_dims")
def _expand_dims(a: Any, axis: Any) -> Tensor:
    return s.expand_dims(a, axis)


def _of_each(function: Any) -> Any:
    """One array gives one, several a tuple."""

    def entry(*arys: Any) -> Any:
        out = tuple([function(a) for a in arys])
        return out[0] if len(out) == 1 else out

    return entry


def _atleast_3d(x: Any) -> Tensor:
    x = lift(x)
    if x.ndim > 2:
        return x
    return s.reshape(x, (*x.shape, 1) if x.ndim == 2 else (1, x.size, 1))


implements("atleast_1d")(_of_each(s.atleast_1d))
implements("atleast_2d")(_of_each(s.atleast_2d))
implements("atleast_3d")(_of_each(_atleast_3d))


@implements("broadcast_to")
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Tensor:
    return s.broadcast_to(array, shape)


@implements("broadcast_arrays")
def _broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Tensor, ...]:
    return tuple(s.broadcast_arrays(*args))


@implements("astype")
def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    x = lift(x)
    out = elementwise.copy(x) if x.dtype == dtype and copy else converted(x, dtype)
    return out if device is None else to_device(out, device)


@implements("copy")
def _copy(a: Any, order: str = "K", subok: bool = False) -> Tensor:
    return elementwise.copy(a)


# ------------------------------------------------------------------ joining
def _parts(arrays: Any, dtype: Any, casting: str) -> list[Tensor]:
    parts = [lift(a) for a in arrays]
    if dtype is None:
        return parts
    for p in parts:
        if not np.can_cast(p.dtype, dtype, casting):  # type: ignore[arg-type]
            raise TypeError(
                message(
                    "concatenate", f"{p.dtype} cannot be cast to {np.dtype(dtype)} by the rule {casting!r}."
                )
            )
    return [elementwise.astype(p, dtype) for p in parts]


@implements("concatenate")
def _concatenate(arrays: Any, /, axis: Any = 0, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    return s.concatenate(_parts(arrays, dtype, casting), axis)


@implements("stack")
def _stack(arrays: Any, axis: int = 0, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    return s.stack(_parts(arrays, dtype, casting), axis)


@implements("hstack")
def _hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    parts = [s.atleast_1d(p) for p in _parts(tup, dtype, casting)]
    return s.concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


@implements("vstack")
def _vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    return s.concatenate([s.atleast_2d(p) for p in _parts(tup, dtype, casting)])


@implements("dstack")
def _dstack(tup: Any) -> Tensor:
    return s.concatenate([_atleast_3d(p) for p in _parts(tup, None, "")], 2)


@implements("column_stack")
def _column_stack(tup: Any) -> Tensor:
    parts = _parts(tup, None, "")
    return s.concatenate([p if p.ndim > 1 else s.reshape(p, (-1, 1)) for p in parts], 1)


@implements("append")
def _append(arr: Any, values: Any, axis: int | None = None) -> Tensor:
    return s.concatenate([lift(arr), lift(values)], axis)


@implements("block")
def _block(arrays: Any) -> Tensor:
    """Innermost lists join along the last axis, those around them along the one before, and so on."""
    depths, leaves = set(), []

    def look(value: Any, depth: int) -> None:
        if isinstance(value, tuple):
            raise TypeError(message("block", "lists were expected, not tuples.", received=repr(value)))
        if not isinstance(value, list):
            depths.add(depth)
            leaves.append(lift(value).ndim)
            return
        if not value:
            raise ValueError(message("block", "lists cannot be empty."))
        for v in value:
            look(v, depth + 1)

    look(arrays, 0)
    if len(depths) > 1:
        raise ValueError(message("block", "all lists must be nested equally deep.", received=str(depths)))
    (depth,), ndim = depths, max(*leaves, *depths)

    def join(value: Any, axis: int) -> Tensor:
        if isinstance(value, list):
            return s.concatenate([join(v, axis + 1) for v in value], axis)
        x = lift(value)
        return s.reshape(x, (1,) * (ndim - x.ndim) + x.shape)

    return elementwise.copy(join(arrays, 0)) if not depth else join(arrays, -depth)


# ------------------------------------------------------------------ cutting
@implements("split")
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    return s.split(ary, indices_or_sections, axis)


@implements("array_split")
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    return s.array_split(ary, indices_or_sections, axis)


def _splitter(name: str, least: int, axis: int) -> None:
    @implements(name)
    def entry(ary: Any, indices_or_sections: Any) -> list[Tensor]:
        ary = lift(ary)
        if ary.ndim < least:
            raise ValueError(
                message(name, f"an array of at least {least} axes was expected.", received=str(ary.shape))
            )
        return s.split(ary, indices_or_sections, min(axis, ary.ndim - 1))


_splitter("hsplit", 1, 1)
_splitter("vsplit", 2, 0)
_splitter("dsplit", 3, 2)


@implements("unstack")
def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    return s.unstack(x, axis)


@implements("trim_zeros")
def _trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Tensor:
    filt = lift(filt)
    if trim.lower() not in ("f", "b", "fb", "bf"):
        raise ValueError(message("trim_zeros", "trim holds 'f' and 'b'.", received=repr(trim)))
    index = [slice(None)] * filt.ndim
    mask = filt.data != 0
    for a in range(filt.ndim) if axis is None else axis_tuple(axis, filt.ndim):
        kept = mask.any(axis=tuple(k for k in range(filt.ndim) if k != a)).nonzero()[0]
        first, last = (int(kept[0]), int(kept[-1]) + 1) if kept.size else (0, 0)
        if kept.size or trim.lower() != "f":
            index[a] = slice(first if "f" in trim.lower() else 0, last if "b" in trim.lower() else None)
        else:
            index[a] = slice(filt.shape[a], None)
    return filt[tuple(index)]


# ------------------------------------------------------------------ repeating, removing, inserting
@implements("tile")
def _tile(A: Any, reps: Any) -> Tensor:
    return s.tile(A, np.atleast_1d(on_host("tile", reps)).tolist())


@implements("repeat")
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    a = lift(a)
    return s.repeat(a if a.ndim else s.ravel(a), on_host("repeat", repeats), axis)


def _along(x: Any, axis: int | None) -> tuple[Tensor, int]:
    """The array and the axis, None meaning the flattened array."""
    x = lift(x)
    return (s.ravel(x), 0) if axis is None else (x, axis_index(axis, x.ndim))


@implements("delete")
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Tensor:
    arr, axis = _along(arr, axis)
    return s.gather(arr, np.delete(np.arange(arr.shape[axis]), indexing.raw_index(obj)), axis)


@implements("insert")
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Tensor:
    arr, place = lift(arr), indexing.raw_index(obj)
    values = elementwise.astype(lift(values), arr.dtype)
    return indexing.by_numbers(lambda a, v: np.insert(a, place, v, axis), arr, values)


@implements("resize")
def _resize(a: Any, new_shape: Any) -> Tensor:
    a = lift(a)
    if not a.size:
        return _reshaped(s.broadcast_to(a.sum(), new_shape), new_shape, "C")
    return indexing.by_numbers(lambda n: np.resize(n, new_shape), a)


@implements("pad")
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Tensor:
    return pad(array, pad_width, mode, **kwargs)


# ------------------------------------------------------------------ turning
@implements("flip")
def _flip(m: Any, axis: Any = None) -> Tensor:
    return s.flip(m, axis)


def _flipper(name: str, axis: int) -> None:
    @implements(name)
    def entry(m: Any) -> Tensor:
        m = lift(m)
        if m.ndim <= axis:
            raise ShapeError(
                message(name, f"an array of at least {axis + 1} axes was expected.", received=str(m.shape))
            )
        return s.flip(m, axis)


_flipper("flipud", 0)
_flipper("fliplr", 1)


@implements("roll")
def _roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    return s.roll(a, shift, axis)


@implements("rot90")
def _rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    m, axes = lift(m), tuple(axes)
    if len(axes) != 2:
        raise ValueError(message("rot90", "two axes were expected.", received=str(axes)))
    first, second = axis_tuple(axes, m.ndim)
    turns = operator.index(k) % 4
    if turns == 2:
        return s.flip(m, (first, second))
    if turns == 1:
        return s.swapaxes(s.flip(m, second), first, second)
    return s.flip(s.swapaxes(m, first, second), second) if turns else m[...]


@implements("lib.stride_tricks.sliding_window_view")
def _sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Tensor:
    """All windows of the array, as last axes; a copy, where NumPy gives a view that cannot be written."""
    x = lift(x)
    lengths = tuple(window_shape) if hasattr(window_shape, "__len__") else (window_shape,)
    axes = tuple(range(x.ndim)) if axis is None else axis_tuple(axis, x.ndim, allow_duplicate=True)
    if len(axes) != len(lengths):
        raise ValueError(
            message(
                "sliding_window_view", "a length per axis was expected.", received=f"{lengths} and {axes}"
            )
        )
    for a, n in zip(axes, lengths, strict=True):
        count = x.shape[a] - n + 1
        if n < 0 or count < 1:
            raise ValueError(
                message("sliding_window_view", "windows must fit the array.", received=f"{n}, {x.shape}")
            )
        places = np.arange(count)[:, None] + np.arange(n)
        x = s.moveaxis(s.gather(x, places, a), a + 1, -1)
    return x
