"""Scaled dot-product attention, with the arguments of `backend/attention.py`, which is its reference."""

from typing import Any

from ..._typing import Array
from .geometry import accumulator, ceil_div, type_name
from .host import Host

WARPS, TILE = 4, 32  # as in attention.cuh
WIDEST = 256
MOST_SHARED = 99 << 10  # bytes a block can have on every GPU since sm_80


def fits(q: Array, v: Array) -> bool:
    """Whether the kernels take these depths, and so many heads; the composition serves the others."""
    depth, width = q.shape[-1], v.shape[-1]
    wide = 8 if q.itemsize == 8 else 4
    shared = wide * ((WARPS * 16 // wide) + TILE) * (depth + width + 2)
    return max(depth, width) <= WIDEST and shared <= MOST_SHARED and q.shape[0] <= 65535


def _mask(host: Host, mask: Array | None, q: Array) -> tuple[Array | None, tuple[int, int, int]]:
    """The mask as the kernels take it, and (kind, step from head to head, step from row to row)."""
    if mask is None:
        return None, (0, 0, 0)
    kind = 1 if mask.dtype.kind == "b" else 2
    mask = host.dense(mask if kind == 1 else mask.astype(q.dtype, copy=False))
    heads, rows, keys = mask.shape
    return mask, (kind, rows * keys if heads > 1 else 0, keys if rows > 1 else 0)


def _plan(q: Array, v: Array, wide: Any) -> tuple[int, int]:
    """(chunks of 32 columns, rows of a block)."""
    most = max(q.shape[-1], v.shape[-1])
    return 2 if most <= 64 else 4 if most <= 128 else 8, WARPS * (2 if wide.itemsize == 8 else 4)


def forward(
    host: Host, q: Array, k: Array, v: Array, mask: Array | None, causal: bool, scale: float
) -> tuple[Array, tuple[Array, Array]]:
    """q (heads, rows, depth), k (heads, keys, depth), v (heads, keys, width), mask (heads or 1, rows or 1,
    keys). Gives the output (heads, rows, width), and what `backward` needs.
    """
    q, k, v = host.dense(q), host.dense(k), host.dense(v)
    heads, rows, depth = q.shape
    keys, width = v.shape[1:]
    lse = host.empty((heads, rows), accumulator(host.xp, q.dtype))
    out = host.empty((heads, rows, width), q.dtype)
    chunks, block = _plan(q, v, lse.dtype)
    mask, how = _mask(host, mask, q)
    shared = lse.itemsize * ((block + TILE) * (depth + 1) + TILE * width)
    args = (q, k, v, mask, out, lse, rows, keys, depth, width, float(scale), int(causal), *how)
    grid = ceil_div(rows, block), heads
    host.launch(f"attention<{type_name(q)}, {chunks}>", grid, 32 * WARPS, args, shared)
    return out, (out, lse)


def backward(
    host: Host,
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    causal: bool,
    scale: float,
    kept: tuple[Array, Array],
) -> tuple[Array, Array, Array]:
    """The cotangents of q, k and v."""
    g, q, k, v = [host.dense(x) for x in (g, q, k, v)]
    out, lse = kept
    heads, rows, depth = q.shape
    keys, width = v.shape[1:]
    t = type_name(q)
    share = host.empty((heads, rows), lse.dtype)
    host.launch(f"attention_share<{t}>", ceil_div(heads * rows, 4), 128, (g, out, share, heads * rows, width))
    dq, dk, dv = host.empty(q.shape, q.dtype), host.empty(k.shape, q.dtype), host.empty(v.shape, q.dtype)
    chunks, block = _plan(q, v, lse.dtype)
    mask, how = _mask(host, mask, q)
    shared = lse.itemsize * (block + TILE) * (depth + width + 2)
    common = (q, k, v, g, mask, lse, share)
    sizes = (rows, keys, depth, width, float(scale), int(causal), *how)
    for by_keys, own, grads in (("false", rows, (dq, None)), ("true", keys, (dk, dv))):
        name = f"attention_backward<{t}, {chunks}, {by_keys}>"
        host.launch(name, (ceil_div(own, block), heads), 32 * WARPS, (*common, *grads, *sizes), shared)
    return dq, dk, dv
