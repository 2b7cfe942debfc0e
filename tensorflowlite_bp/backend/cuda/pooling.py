"""Pooling, with the arguments of `backend/pool.py`, which is its reference. x (batch, *space, channels)."""

import math
from typing import Any

from ..._typing import Array, Shape
from ..windows import Ints, Pairs, positions
from .geometry import ceil_div, type_name
from .host import Host

THREADS = 256


def _geometry(x_shape: Shape, out: Shape, window: Ints, strides: Ints, pads: Pairs) -> tuple[int, ...]:
    """The kernels' parameters: three axes, those that are missing in front with size 1."""
    missing = 3 - len(window)

    def three(values: Any, fill: int) -> tuple[int, ...]:
        return (fill,) * missing + tuple(values)

    return (
        x_shape[0],
        x_shape[-1],
        *three(x_shape[1:-1], 1),
        *three(out, 1),
        *three(window, 1),
        *three(strides, 1),
        *three((low for low, _ in pads), 0),
    )


def _launch(host: Host, name: str, n: int, args: tuple) -> None:
    host.launch(name, ceil_div(n, THREADS), THREADS, args)


def _index_type(index: Array) -> str:
    return "uint8_t" if index.dtype.itemsize == 1 else "int32_t"


def _space(x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Shape:
    return tuple(map(positions, x_shape[1:-1], window, strides, pads, (1,) * len(window)))


def max_forward(
    host: Host, x: Array, window: Ints, strides: Ints, pads: Pairs, want_index: bool
) -> tuple[Array, Array | None]:
    """The maximum of each window, and where in its window it is (row-major; the first of equals)."""
    x, xp = host.dense(x), host.xp
    space = _space(x.shape, window, strides, pads)
    shape = (x.shape[0], *space, x.shape[-1])
    out = host.empty(shape, x.dtype)
    small = xp.uint8 if math.prod(window) < 256 else xp.int32
    index = host.empty(shape, small) if want_index else None
    kind = "uint8_t" if small is xp.uint8 else "int32_t"
    args = (x, out, index, *_geometry(x.shape, space, window, strides, pads))
    _launch(host, f"max_pool<{type_name(x)}, {kind}>", out.size, args)
    return out, index


def max_input_grad(
    host: Host, g: Array, index: Array, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs
) -> Array:
    """g at the places that `index` names, zero elsewhere."""
    g, index = host.dense(g), host.dense(index)
    dx = host.empty(x_shape, g.dtype)
    args = (g, index, dx, *_geometry(x_shape, g.shape[1:-1], window, strides, pads))
    _launch(host, f"max_pool_grad<{type_name(g)}, {_index_type(index)}>", dx.size, args)
    return dx


def max_gather(host: Host, x: Array, index: Array, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The elements of x that `index` names: the transpose of max_input_grad."""
    x, index = host.dense(x), host.dense(index)
    out = host.empty(index.shape, x.dtype)
    args = (x, index, out, *_geometry(x.shape, index.shape[1:-1], window, strides, pads))
    _launch(host, f"max_pool_gather<{type_name(x)}, {_index_type(index)}>", out.size, args)
    return out


def avg_forward(host: Host, x: Array, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The mean of each window; padding is not counted."""
    x = host.dense(x)
    space = _space(x.shape, window, strides, pads)
    out = host.empty((x.shape[0], *space, x.shape[-1]), x.dtype)
    args = (x, out, *_geometry(x.shape, space, window, strides, pads))
    _launch(host, f"avg_pool<{type_name(x)}>", out.size, args)
    return out


def avg_input_grad(host: Host, g: Array, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The transpose of avg_forward."""
    g = host.dense(g)
    dx = host.empty(x_shape, g.dtype)
    args = (g, dx, *_geometry(x_shape, g.shape[1:-1], window, strides, pads))
    _launch(host, f"avg_pool_grad<{type_name(g)}>", dx.size, args)
    return dx
