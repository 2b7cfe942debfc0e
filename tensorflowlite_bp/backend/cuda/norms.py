"""Batch, group, layer and RMS norm, and sums of columns. References: `backend/common.py`, `ops/norms.py`."""

import math
from typing import Any

from ..._typing import Array
from .geometry import KEPT, ROW_WARPS, SHORT, accumulator, ceil_div, columns, rows, type_name, vector
from .host import Host

PIECE = 2048  # as in batch_norm.cuh
WARP_BLOCK = 128  # four statistics a block, a warp each


# ------------------------------------------------------------------ sums of columns
def column_sums(host: Host, x: Array, mask: Array | None = None) -> Array:
    """The sum over all axes but the last: a bias gradient. Where there is a mask, of the elements with mask >
    0.
    """
    x = host.dense(x)
    mask = None if mask is None else host.dense(mask)
    channels = x.shape[-1]
    out = host.empty((channels,), x.dtype)
    count = x.size // channels if channels else 0
    v = vector(host, channels, x, mask)
    grid, block = columns(host, count, channels, v)
    part = host.empty((grid[1], channels), accumulator(host.xp, x.dtype))
    host.launch(f"column_sums<{type_name(x)}, {v}>", grid, block, (x, mask, part, count, channels))
    return _sum_splits(host, part, out)


def _sum_splits(host: Host, part: Array, out: Array) -> Array:
    n = out.size
    host.launch(f"sum_splits<{type_name(out)}>", ceil_div(n, 256), 256, (part, out, part.shape[0], n))
    return out


# ------------------------------------------------------------------ batch norm
def _shape(x: Array, axis: int) -> tuple[int, int, int]:
    axis %= x.ndim
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


def _first_grid(host: Host, outer: int, channels: int, inner: int) -> tuple[int, int]:
    pieces = outer * ceil_div(inner, PIECE)
    return channels, max(1, min(ceil_div(8 * host.processors, channels), ceil_div(pieces, 8), 1024))


def _totals(host: Host, part: Array, stats: int, channels: int, width: int, splits: int, eps: float) -> tuple:
    mean, var, inv_std = [host.empty((stats,), part.dtype) for _ in range(3)]
    args = (part, mean, var, inv_std, stats, channels, width, splits, float(eps))
    host.launch(f"moments_total<{type_name(part)}>", ceil_div(stats, 4), WARP_BLOCK, args)
    return mean, var, inv_std


def batch_norm(
    host: Host,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    axis: int,
    *,
    relu: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """(out, mean, var, inv_std), as `common.batch_norm`; with `relu`, max(out, 0)."""
    x = host.dense(x)
    outer, channels, inner = _shape(x, axis)
    out = host.empty(x.shape, x.dtype)
    wide, t = accumulator(host.xp, x.dtype), type_name(x)
    if inner == 1:
        v = vector(host, channels, x, out)
        grid, block = columns(host, outer, channels, v)
        part = host.empty((grid[1], 3, channels), wide)
        host.launch(f"moments_last<{t}, {v}>", grid, block, (x, part, outer, channels))
        mean, var, inv_std = _totals(host, part, channels, channels, 1, grid[1], eps)
        args = (x, mean, inv_std, weight, bias, out, outer, channels, 1, int(relu))
        host.launch(f"normalise_last<{t}, {v}>", grid, block, args)
    else:
        grid = _first_grid(host, outer, channels, inner)
        part = host.empty((grid[1], 3, channels), wide)
        host.launch(f"moments_first<{t}>", grid, 256, (x, part, outer, channels, inner))
        mean, var, inv_std = _totals(host, part, channels, channels, 1, grid[1], eps)
        args = (x, mean, inv_std, weight, bias, out, outer, channels, inner, int(relu))
        host.launch(f"normalise_first<{t}>", grid, 256, args)
    return out, mean, var, inv_std


def batch_norm_backward(
    host: Host,
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    inv_std: Array,
    axis: int,
    *,
    relu: bool = False,
    bias: Array | None = None,
) -> tuple[Array, Array, Array]:
    """(dx, dweight, dbias), as `common.batch_norm_backward`. With `relu`, through the ReLU that was fused
    with the forward: then the bias is needed, too.
    """
    g, x = host.dense(g), host.dense(x)
    outer, channels, inner = _shape(x, axis)
    dx = host.empty(x.shape, x.dtype)
    t, flag = type_name(x), int(relu)
    common: tuple[Any, ...] = (g, x, mean, inv_std, weight, bias)
    if inner == 1:
        v = vector(host, channels, x, g, dx)
        grid, block = columns(host, outer, channels, v)
        part = host.empty((grid[1], 2, channels), mean.dtype)
        args = (*common, part, outer, channels, 1, flag)
        host.launch(f"norm_sums_last<{t}, {v}>", grid, block, args)
        dw, db, means = _grad_totals(host, part, weight, channels, channels, 1, x)
        args = (*common, means, dx, outer, channels, 1, channels, flag)
        host.launch(f"norm_grad_last<{t}, {v}>", grid, block, args)
    else:
        grid = _first_grid(host, outer, channels, inner)
        part = host.empty((grid[1], 2, channels), mean.dtype)
        host.launch(f"norm_sums_first<{t}>", grid, 256, (*common, part, outer, channels, inner, flag))
        dw, db, means = _grad_totals(host, part, weight, channels, channels, 1, x)
        host.launch(f"norm_grad_first<{t}>", grid, 256, (*common, means, dx, outer, channels, inner, flag))
    return dx, dw, db


def _grad_totals(
    host: Host, part: Array, weight: Array | None, stats: int, channels: int, width: int, x: Array
) -> tuple[Array, Array, Array]:
    """(dweight, dbias, the two means that dx needs of each statistic). part (..., splits, 2, channels)."""
    t = type_name(x)
    dw, db = host.empty((channels,), x.dtype), host.empty((channels,), x.dtype)
    parts = part.size // (2 * channels) if channels else 0
    args: tuple[Any, ...] = (part, dw, db, parts, channels)
    host.launch(f"norm_weight_grads<{t}>", ceil_div(channels, 256), 256, args)
    means = host.empty((2, stats), part.dtype)
    elements = x.size // stats if stats else 0
    args = (part, weight, means, stats, channels, width, part.shape[-3], elements)
    host.launch(f"norm_grad_means<{t}>", ceil_div(stats, 4), WARP_BLOCK, args)
    return dw, db, means


# ------------------------------------------------------------------ group norm
def group_norm(
    host: Host, x: Array, groups: int, weight: Array | None, bias: Array | None, *, eps: float
) -> tuple[Array, Array, Array]:
    """(out, mean, inv_std); x (batch, *space, channels), the statistics (batch, groups)."""
    x = host.dense(x)
    batch, channels = x.shape[0], x.shape[-1]
    count, width = math.prod(x.shape[1:-1]), channels // groups
    out = host.empty(x.shape, x.dtype)
    t, v = type_name(x), vector(host, channels, x, out)
    grid, block = columns(host, count, channels, v, batch)
    part = host.empty((batch, grid[1], 3, channels), accumulator(host.xp, x.dtype))
    host.launch(f"moments_last<{t}, {v}>", grid, block, (x, part, count, channels))
    mean, _, inv_std = _totals(host, part, batch * groups, channels, width, grid[1], eps)
    args = (x, mean, inv_std, weight, bias, out, count, channels, width, 0)
    host.launch(f"normalise_last<{t}, {v}>", grid, block, args)
    return out, mean.reshape(batch, groups), inv_std.reshape(batch, groups)


def group_norm_backward(
    host: Host, g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """(dx, dweight, dbias)."""
    g, x = host.dense(g), host.dense(x)
    batch, channels = x.shape[0], x.shape[-1]
    count, width, stats = math.prod(x.shape[1:-1]), channels // mean.shape[1], mean.size
    dx = host.empty(x.shape, x.dtype)
    t, v = type_name(x), vector(host, channels, x, g, dx)
    grid, block = columns(host, count, channels, v, batch)
    part = host.empty((batch, grid[1], 2, channels), mean.dtype)
    args: tuple[Any, ...] = (g, x, mean, inv_std, weight, None, part, count, channels, width, 0)
    host.launch(f"norm_sums_last<{t}, {v}>", grid, block, args)
    dw, db, means = _grad_totals(host, part, weight, stats, channels, width, x)
    args = (g, x, mean, inv_std, weight, None, means, dx, count, channels, width, stats, 0)
    host.launch(f"norm_grad_last<{t}, {v}>", grid, block, args)
    return dx, dw, db


# ------------------------------------------------------------------ layer norm, RMS norm
def layer_norm(
    host: Host, x: Array, weight: Array | None, bias: Array | None, *, eps: float, rms: bool = False
) -> tuple[Array, Array | None, Array]:
    """(out, mean, inv_std) over the last axis; RMS norm takes off no mean, and gives None for it."""
    x = host.dense(x)
    n = x.shape[-1]
    count = x.size // n if n else 0
    wide = accumulator(host.xp, x.dtype)
    out = host.empty(x.shape, x.dtype)
    mean = None if rms else host.empty(x.shape[:-1], wide)
    inv_std = host.empty(x.shape[:-1], wide)
    how, grid, block, shared = rows(count, n, x.itemsize)
    args = (x, weight, bias, out, mean, inv_std, count, n, float(eps), int(rms))
    host.launch(f"layer_norm<{type_name(x)}, {how}>", grid, block, args, shared)
    return out, mean, inv_std


def layer_norm_backward(
    host: Host, g: Array, x: Array, weight: Array | None, mean: Array | None, inv_std: Array
) -> tuple[Array, Array, Array]:
    """(dx, dweight, dbias); mean None: of RMS norm."""
    g, x = host.dense(g), host.dense(x)
    n = x.shape[-1]
    count = x.size // n if n else 0
    rms, t, wide = int(mean is None), type_name(x), inv_std.dtype
    dx, sums = host.empty(x.shape, x.dtype), host.empty((2, n), x.dtype)
    warp = n * x.itemsize <= SHORT
    size = 2 * n * wide.itemsize * (ROW_WARPS if warp else 1)
    gather = size <= KEPT
    if warp and not gather:  # short rows of 16-bit floats, whose sums are twice as wide
        warp, size = False, 2 * n * wide.itemsize
        gather = size <= KEPT
    blocks = min(ceil_div(count, ROW_WARPS) if warp else count, (8 if warp else 2) * host.processors)
    block = 32 * ROW_WARPS if warp else 256 if n * x.itemsize <= 16384 else 512
    part = host.empty((blocks if gather else min(64, max(count, 1)), 2, n), wide)
    how = f"{str(warp).lower()}, {str(gather).lower()}"
    args: tuple[Any, ...] = (g, x, weight, mean, inv_std, dx, part, count, n, rms)
    host.launch(f"layer_norm_backward<{t}, {how}>", blocks, block, args, size if gather else 0)
    if not gather:
        args = (g, x, mean, inv_std, part, count, n, rms)
        host.launch(f"layer_norm_columns<{t}>", (ceil_div(n, 256), part.shape[0]), 256, args)
    _sum_splits(host, part, sums)
    return dx, sums[1], sums[0]
