"""Convolution and its gradients, with the arguments of `backend/conv.py`, which is their reference."""

import math
from typing import Any

from ..._typing import Array, Shape
from ..windows import Ints, Pairs, positions
from . import activations, cudnn
from .geometry import accumulator, ceil_div, type_name
from .host import Host

FORWARD, INPUT, WEIGHT = range(3)
TILE, DEPTH = 64, 256


def _launch(
    host: Host,
    mode: int,
    source: Array,
    other: Array,
    made: Shape,
    x_shape: Shape,
    w_shape: Shape,
    space: Shape,
    strides: Ints,
    pads: Pairs,
    dilation: Ints,
    groups: int,
    bias: Array | None = None,
    relu: bool = False,
) -> Array:
    found = cudnn.convolution(
        host, mode, source, other, made, strides=strides, pads=pads, dilation=dilation, groups=groups
    )
    if found is not None:
        return _finished(host, found, bias, relu)
    out, missing = host.empty(made, source.dtype), 3 - len(space)

    def three(values: Any, fill: int = 1) -> tuple[int, ...]:
        return (fill,) * missing + tuple(values)

    channels, filters = x_shape[-1], w_shape[-1]
    window, outs, ins = math.prod(w_shape[:-2]), x_shape[0] * math.prod(space), math.prod(x_shape[:-1])
    inner, per, t = channels // groups, filters // groups, type_name(out)
    sizes = (*three(x_shape[1:-1]), *three(space), *three(w_shape[:-2]))
    steps = (*three(strides), *three((low for low, _ in pads), 0), *three(dilation))
    if inner == 1 < groups:
        numbers = (x_shape[0], channels, filters, *sizes, *steps)
        return _depthwise(host, mode, source, other, out, numbers, bias, relu)
    m, n, k = [
        (outs, per, window * inner),
        (ins, inner, window * per),
        (window * inner, per, outs),
    ][mode]
    tiles = ceil_div(m, TILE), ceil_div(n, TILE)
    splits = max(1, min(2 * host.processors // (tiles[0] * tiles[1] * groups), k // DEPTH, 64))
    part = host.empty((splits, out.size), accumulator(host.xp, out.dtype)) if splits > 1 else None
    numbers = (x_shape[0], channels, filters, groups, *sizes, *steps, splits, int(relu))
    args = (source, other, out, bias, part, *numbers)
    host.launch(f"convolution<{t}, {mode}>", (*tiles, groups * splits), 256, args)
    if part is None:
        return out
    host.launch(f"sum_splits<{t}>", ceil_div(out.size, 256), 256, (part, out, splits, out.size))
    return _finished(host, out, bias, relu)


def _depthwise(
    host: Host, mode: int, source: Array, other: Array, out: Array, numbers: tuple, bias: Any, relu: bool
) -> Array:
    """A channel a group: a thread an element, or for the weights a block the rows of 32 filters."""
    batch, _, filters, *sizes = numbers[:12]
    t, rows = type_name(out), batch * math.prod(sizes[:2] if mode == INPUT else sizes[3:5])
    grid = ceil_div(out.size // rows, 256), min(rows, 65535)
    if mode == FORWARD:
        args = (source, other, out, bias, *numbers, int(relu))
        host.launch(f"depthwise<{t}>", grid, 256, args)
        return out
    if mode == INPUT:
        host.launch(f"depthwise_input<{t}>", grid, 256, (source, other, out, *numbers))
        return out
    across, window = ceil_div(filters, 32), math.prod(sizes[6:])
    splits = max(1, min(ceil_div(8 * host.processors, across * window), rows, 1024))
    part = host.empty((splits, out.size), accumulator(host.xp, out.dtype))
    grid = (across, window, splits)
    host.launch(f"depthwise_weight<{t}>", grid, (32, 8), (source, other, part, *numbers))
    host.launch(f"sum_splits<{t}>", ceil_div(out.size, 256), 256, (part, out, splits, out.size))
    return out


def _finished(host: Host, out: Array, bias: Array | None, relu: bool) -> Array:
    """Bias and ReLU where the product had no place for them, over `out`."""
    if relu:
        return activations.activation(host, "relu", out, bias, out=out)
    return out if bias is None else host.xp.add(out, bias, out=out)


def forward(
    host: Host, x: Array, w: Array, strides: Ints, pads: Pairs, dilation: Ints, groups: int, *,
    bias: Array | None = None, relu: bool = False,
) -> Array:  # fmt: skip
    """out[o, f] = sum over k, c of x[o * stride + k * dilation - low, c] w[k, c, f], plus bias[f]; at least 0
    with relu.
    """
    x, w = host.dense(x), host.dense(w)
    space = tuple(map(positions, x.shape[1:-1], w.shape[:-2], strides, pads, dilation))
    shape = (x.shape[0], *space, w.shape[-1])
    if 0 in shape or not x.size or not w.size:
        return _finished(host, host.xp.zeros(shape, x.dtype), bias, relu)
    geometry = (strides, pads, dilation, groups)
    return _launch(host, FORWARD, x, w, shape, x.shape, w.shape, space, *geometry, bias, relu)


def input_grad(
    host: Host, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Array:
    """The transpose of `forward` in x."""
    g, w = host.dense(g), host.dense(w)
    if not g.size or not w.size or 0 in x_shape:
        return host.xp.zeros(x_shape, g.dtype)
    return _launch(
        host, INPUT, g, w, x_shape, x_shape, w.shape, g.shape[1:-1], strides, pads, dilation, groups
    )


def weight_grad(
    host: Host, g: Array, x: Array, w_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Array:
    """The transpose of `forward` in w."""
    g, x = host.dense(g), host.dense(x)
    if not g.size or not x.size or 0 in w_shape:
        return host.xp.zeros(w_shape, g.dtype)
    return _launch(
        host, WEIGHT, x, g, w_shape, x.shape, w_shape, g.shape[1:-1], strides, pads, dilation, groups
    )
