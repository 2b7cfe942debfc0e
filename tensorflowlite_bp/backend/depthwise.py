"""Depthwise convolution (one channel per group) on raw arrays: einsum over views of the windows. See
conv.py.
"""

import itertools
from typing import Any

from .._typing import Array, Shape
from .windows import Ints, Pairs, mirror, overlap, padded, windows


def _letters(d: int) -> tuple[str, str]:
    return "abc"[:d], "ijk"[:d]


def _rows_merge(x: Array) -> bool:
    """Whether a row of positions, each with its channels, is one run of memory."""
    return x.strides[-1] == x.itemsize and x.strides[-2] == x.itemsize * x.shape[-1]


def _row_windows(xp: Any, x: Array, window: Ints, dilation: Ints, space: Ints) -> Array:
    """windows() for stride 1 along rows: (batch, *space but the last, *window, row of positions x
    channels).
    """
    x = x if _rows_merge(x) else xp.ascontiguousarray(x)
    view = windows(xp, x, window, (1,) * len(window), dilation, space)
    s, d = view.strides, len(window)
    shape = view.shape[:d] + window + (space[-1] * x.shape[-1],)
    return xp.lib.stride_tricks.as_strided(view, shape, s[:d] + s[d + 1 :])


def forward(xp: Any, x: Array, w: Array, strides: Ints, dilation: Ints, space: Ints) -> Array:
    """forward with one channel per group, for an x that has its padding."""
    window, channels, filters = w.shape[:-2], x.shape[-1], w.shape[-1]
    multiplier = filters // channels
    if multiplier > 1:
        out = xp.empty((x.shape[0], *space, filters), x.dtype)
        for i in range(multiplier):
            out[..., i::multiplier] = forward(xp, x, w[..., i::multiplier], strides, dilation, space)
        return out
    at, of = _letters(len(space))
    w = w.reshape(*window, channels)
    if max(strides) > 1:
        return xp.einsum(f"n{at}{of}z,{of}z->n{at}z", windows(xp, x, window, strides, dilation, space), w)
    along = xp.broadcast_to(w[..., None, :], (*window, space[-1], channels)).reshape(*window, -1)
    out = xp.einsum(f"n{at[1:]}{of}z,{of}z->n{at[1:]}z", _row_windows(xp, x, window, dilation, space), along)
    return out.reshape(x.shape[0], *space, channels)


def input_grad(
    xp: Any, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints
) -> Array:
    """The transpose of forward in x."""
    if max(strides) > 1:
        return _adding(xp, g, w, x_shape, strides, pads, dilation)
    return _by_flipped(xp, padded(xp, g, mirror(pads, w.shape[:-2], dilation)), w, dilation, x_shape)


def _by_flipped(xp: Any, g: Array, w: Array, dilation: Ints, x_shape: Shape) -> Array:
    """input_grad for stride 1, for a g with its mirrored padding: the flipped kernel, summed over the filters
    of a channel.
    """
    multiplier = w.shape[-1] // x_shape[-1]
    w = w[(slice(None, None, -1),) * (w.ndim - 2)]
    ones = (1,) * (w.ndim - 2)
    total = None
    for i in range(multiplier):
        part = forward(xp, g[..., i::multiplier], w[..., i::multiplier], ones, dilation, x_shape[1:-1])
        total = part if total is None else total + part
    return total


def _adding(xp: Any, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints) -> Array:
    """input_grad with strides: every element of the window added where it belongs."""
    out = xp.zeros(x_shape, g.dtype)
    multiplier = w.shape[-1] // x_shape[-1]
    low = [pad[0] for pad in pads]
    for k in itertools.product(*map(range, w.shape[:-2])):
        seen = list(map(overlap, x_shape[1:-1], g.shape[1:-1], k, strides, low, dilation))
        to, of = (slice(None), *[to for _, to in seen]), (slice(None), *[of for of, _ in seen])
        for i in range(multiplier):
            out[to] += g[of][..., i::multiplier] * w[(*k, 0)][i::multiplier]
    return out


def weight_grad(xp: Any, g: Array, x: Array, w_shape: Shape, strides: Ints, dilation: Ints) -> Array:
    """weight_grad with one channel per group, for an x that has its padding."""
    window, channels, space = w_shape[:-2], x.shape[-1], g.shape[1:-1]
    multiplier = w_shape[-1] // channels
    at, of = _letters(len(space))
    out = xp.empty(w_shape, g.dtype)
    for i in range(multiplier):
        part = xp.ascontiguousarray(g[..., i::multiplier])
        if max(strides) > 1:
            views = windows(xp, x, window, strides, dilation, space)
            total = xp.einsum(f"n{at}{of}z,n{at}z->{of}z", views, part)
        else:
            views = _row_windows(xp, x, window, dilation, space)
            rows = part.reshape(*part.shape[:-2], -1)
            along = xp.einsum(f"n{at[1:]}{of}z,n{at[1:]}z->{of}z", views, rows)
            total = along.reshape(*window, space[-1], channels).sum(-2)
        out[..., 0, i::multiplier] = total
    return out
