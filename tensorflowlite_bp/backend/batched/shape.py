"""Functions of shapes and axes, on Batched arrays."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import by_type
from .array import Batched, made, scope, sizes, viewing, whole


def from_last(axis: Any, ndim: int) -> Any:
    """An axis (or several) counted from the last, where the samples' axes in front do not move it."""
    if isinstance(axis, (tuple, list)):
        return tuple([from_last(a, ndim) for a in axis])
    axis = int(axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis - ndim if axis >= 0 else axis


def plain(name: str) -> Callable:
    return lambda x, *args, **kwargs: getattr(by_type[type(x)], name)(x, *args, **kwargs)


def on_batched(name: str) -> Callable:
    """A rule for a Batched first argument; others go to their own library."""

    def declare(rule: Callable) -> Callable:
        other = plain(name)

        def call(x: Any, *args: Any, **kwargs: Any) -> Any:
            return rule(x, *args, **kwargs) if isinstance(x, Batched) else other(x, *args, **kwargs)

        RULES[name] = call
        return call

    return declare


RULES: dict[str, Callable] = {}


# ------------------------------------------------------------------ views
@on_batched("reshape")
def reshape(x: Any, shape: Any, **_: Any) -> Any:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if -1 in shape:
        rest = -math.prod(shape)
        shape = tuple([(x.size // rest if rest else 0) if n == -1 else n for n in shape])
    return viewing(x.data.reshape(x.data.shape[: len(x.levels)] + shape), x)


@on_batched("transpose")
def transpose(x: Any, axes: Any = None) -> Any:
    k = len(x.levels)
    axes = range(x.ndim)[::-1] if axes is None else [a % x.ndim for a in axes]
    return viewing(x.data.transpose((*range(k), *[k + a for a in axes])), x)


@on_batched("swapaxes")
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    return viewing(x.data.swapaxes(from_last(axis1, x.ndim), from_last(axis2, x.ndim)), x)


@on_batched("moveaxis")
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    return viewing(np.moveaxis(x.data, from_last(source, x.ndim), from_last(destination, x.ndim)), x)


@on_batched("expand_dims")
def expand_dims(x: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return viewing(np.expand_dims(x.data, from_last(axes, x.ndim + len(axes))), x)


@on_batched("squeeze")
def squeeze(x: Any, axis: Any = None) -> Any:
    axes = [i - x.ndim for i, n in enumerate(x.shape) if n == 1] if axis is None else axis
    axes = axes if isinstance(axes, (tuple, list)) else (axes,)
    return viewing(np.squeeze(x.data, from_last(axes, x.ndim)), x) if axes else x


@on_batched("broadcast_to")
def broadcast_to(x: Any, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    lead = x.data.shape[: len(x.levels)]
    data = x.data.reshape(lead + (1,) * (len(shape) - x.ndim) + x.shape)
    return made(np.broadcast_to(data, lead + shape), x.levels, x.env)


@on_batched("sum_to")
def sum_to(x: Any, *, shape: Any) -> Any:
    extra = x.ndim - len(shape)
    axes = tuple(
        [i - x.ndim for i, n in enumerate(x.shape) if i < extra or (shape[i - extra] == 1 and n != 1)]
    )
    data = by_type[type(x.data)].sum(x.data, axis=axes, keepdims=True)
    return made(data.reshape(x.data.shape[: len(x.levels)] + tuple(shape)), x.levels, x.env)


@on_batched("ravel")
def ravel(x: Any, **_: Any) -> Any:
    return reshape(x, -1)


# ------------------------------------------------------------------ joining, rearranging
def joined(name: str, more: int) -> Callable:
    def call(xs: Any, axis: Any = 0, **kwargs: Any) -> Any:
        levels, env = scope(xs)
        lib = by_type[type(next(x.data if isinstance(x, Batched) else x for x in xs))]
        if axis is None:
            xs, axis = [x.reshape(-1) for x in xs], 0
        parts = [whole(x, levels) for x in xs]
        ndim = parts[0].ndim - len(levels)
        data = getattr(lib, name)(parts, axis=from_last(axis, ndim + more), **kwargs)
        return made(data, levels, env) if env else data

    return call


RULES["concatenate"] = joined("concatenate", 0)
RULES["stack"] = joined("stack", 1)


@on_batched("roll")
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, axis=-1), x.shape)
    return made(np.roll(x.data, shift, axis=from_last(axis, x.ndim)), x.levels, x.env)


@on_batched("tile")
def tile(x: Any, reps: Any) -> Any:
    reps = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(x.ndim, len(reps))
    x = reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    return made(np.tile(x.data, (1,) * (ndim + len(x.levels) - len(reps)) + reps), x.levels, x.env)


@on_batched("repeat")
def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    if axis is None:
        x, axis = reshape(x, -1), -1
    return made(np.repeat(x.data, repeats, axis=from_last(axis, x.ndim)), x.levels, x.env)


@on_batched("pad")
def pad(x: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    data = np.pad(x.data, [(0, 0)] * len(x.levels) + [tuple(w) for w in widths], mode=mode, **kwargs)  # type: ignore[call-overload]
    return made(data, x.levels, x.env)


def _band(name: str) -> None:
    @on_batched(name)
    def call(x: Any, k: int = 0) -> Any:
        return made(getattr(by_type[type(x.data)], name)(x.data, k=k), x.levels, x.env)


_band("tril")
_band("triu")


# ------------------------------------------------------------------ Fourier transforms: the axis moves
def _transform(name: str) -> None:
    def call(x: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
        if not isinstance(x, Batched):
            return getattr(by_type[type(x)].fft, name)(x, n, axis, norm)
        data = getattr(by_type[type(x.data)].fft, name)(x.data, n, from_last(axis, x.ndim), norm)
        return made(data, x.levels, x.env)

    RULES[f"fft.{name}"] = call


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _transform(_name)


def flat(x: Any, levels: Any) -> Any:
    """x's memory with all levels as one leading axis, repeated where it does not differ."""
    return whole(x, levels).reshape((math.prod(sizes(levels)), *x.shape))


def unflat(data: Any, levels: Any, env: Any) -> Any:
    return made(data.reshape(sizes(levels) + data.shape[1:]), levels, env)
