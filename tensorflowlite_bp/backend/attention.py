"""Scaled dot-product attention, block by block: the matrix of scores never exists as a whole.

A block is some rows of queries against all keys of one head (or whole heads, where they are small), so that
it stays in cache and one ordinary softmax serves it. Backward keeps the output and each row's logsumexp and
computes the scores again (Dao et al. 2022, FlashAttention). 16-bit floats are widened to float32.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from .._typing import Array

BLOCK = 1 << 17  # scores of a block: 512 KB in float32, half a core's second-level cache


def _blocks(heads: int, rows: int, keys: int) -> Iterator[tuple[slice, slice]]:
    """(heads, rows) of each block."""
    whole = max(1, BLOCK // max(1, rows * keys))
    if whole > 1 or rows * keys <= BLOCK:
        for h in range(0, heads, whole):
            yield slice(h, min(h + whole, heads)), slice(0, rows)
        return
    step = max(1, BLOCK // max(1, keys))
    for h in range(heads):
        for r in range(0, rows, step):
            yield slice(h, h + 1), slice(r, min(r + step, rows))


def _scores(
    xp: Any, q: Array, k: Array, mask: Array | None, causal: bool, rows: slice, scale: float
) -> Array:
    """Scores of one block with -inf where a query may not look. mask: bool, or to be added."""
    s = xp.matmul(q * q.dtype.type(scale), k.swapaxes(-1, -2))
    if mask is not None:
        s = xp.where(mask, s, s.dtype.type(-xp.inf)) if mask.dtype.kind == "b" else s + _wide(xp, mask)
    if causal:
        past = xp.arange(rows.start, rows.stop)[:, None] >= xp.arange(k.shape[-2])[None, :]
        s = xp.where(past, s, s.dtype.type(-xp.inf))
    return s


def _part(mask: Array | None, heads: slice, rows: slice) -> Array | None:
    """The mask of a block; its axes of length 1 stand for all heads, or all rows."""
    if mask is None:
        return None
    mask = mask[heads] if mask.shape[0] > 1 else mask
    return mask[:, rows] if mask.shape[1] > 1 else mask


def flat_mask(xp: Any, mask: Array | None, lead: tuple[int, ...]) -> Array | None:
    """(heads or 1, rows or 1, keys or 1) of a mask of as many axes as the scores."""
    if mask is None or math.prod(mask.shape[:-2]) == 1:
        return None if mask is None else mask.reshape(1, *mask.shape[-2:])
    return xp.broadcast_to(mask, lead + mask.shape[-2:]).reshape(math.prod(lead), *mask.shape[-2:])


def over_heads(xp: Any, forward: Callable, backward: Callable) -> tuple[Callable, Callable]:
    """Functions of (heads, ...), as below, for arrays (..., rows, depth) and a mask that broadcasts."""

    def flat(x: Array) -> Array:
        return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])

    def attention_forward(q: Array, k: Array, v: Array, *, mask: Any, causal: bool, scale: float) -> tuple:
        lead = q.shape[:-2]
        out, kept = forward(*map(flat, (q, k, v)), flat_mask(xp, mask, lead), causal, scale)
        return out.reshape(lead + out.shape[1:]), tuple([x.reshape(lead + x.shape[1:]) for x in kept])

    def attention_backward(
        g: Array, q: Array, k: Array, v: Array, *, mask: Any, causal: bool, scale: float, kept: tuple
    ) -> tuple:
        lead = q.shape[:-2]
        kept = tuple([x.reshape(math.prod(lead), *x.shape[len(lead) :]) for x in kept])
        given = [flat(x) for x in (g, q, k, v)]
        found = backward(*given, flat_mask(xp, mask, lead), causal, scale, kept)
        return tuple([i.reshape(x.shape) for i, x in zip(found, (q, k, v), strict=True)])

    return attention_forward, attention_backward


def forward(
    xp: Any, q: Array, k: Array, v: Array, mask: Array | None, causal: bool, scale: float
) -> tuple[Array, tuple[Array, Array]]:
    """q (heads, rows, depth), k (heads, keys, depth), v (heads, keys, width), mask (heads or 1, rows or 1,
    keys).

    Gives the output (heads, rows, width), and what `backward` needs: it and the rows' logsumexp. A row that
    may look nowhere gives zeros.
    """
    heads, rows, _ = q.shape
    dtype = q.dtype
    q, k, v = [_wide(xp, x) for x in (q, k, v)]
    out = xp.empty((heads, rows, v.shape[-1]), q.dtype)
    lse = xp.empty((heads, rows, 1), q.dtype)
    for h, r in _blocks(heads, rows, k.shape[1]):
        s = _scores(xp, q[h, r], k[h], _part(mask, h, r), causal, r, scale)
        if not s.shape[-1]:
            out[h, r], lse[h, r] = 0, xp.inf
            continue
        top = s.max(-1, keepdims=True)
        top = xp.where(xp.isfinite(top), top, top.dtype.type(0))
        xp.exp(s - top, out=s)
        total = s.sum(-1, keepdims=True)
        seen = total > 0
        safe = xp.where(seen, total, total.dtype.type(1))
        out[h, r] = xp.matmul(s, v[h]) / safe
        lse[h, r] = xp.where(seen, top + xp.log(safe), total.dtype.type(xp.inf))
    return out.astype(dtype, copy=False), (out, lse)


def backward(
    xp: Any,
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    causal: bool,
    scale: float,
    kept: tuple,
) -> tuple[Array, Array, Array]:
    """The cotangents of q, k and v."""
    out, lse = kept
    dtype = q.dtype
    g, q, k, v = [_wide(xp, x) for x in (g, q, k, v)]
    dq, dk, dv = xp.zeros_like(q), xp.zeros_like(k), xp.zeros_like(v)
    share = (g * out).sum(-1, keepdims=True)
    for h, r in _blocks(q.shape[0], q.shape[1], k.shape[1]):
        p = _scores(xp, q[h, r], k[h], _part(mask, h, r), causal, r, scale)
        xp.exp(p - lse[h, r], out=p)
        dv[h] += xp.matmul(p.swapaxes(-1, -2), g[h, r])
        p *= xp.matmul(g[h, r], v[h].swapaxes(-1, -2)) - share[h, r]
        p *= p.dtype.type(scale)
        dq[h, r] = xp.matmul(p, k[h])
        dk[h] += xp.matmul(p.swapaxes(-1, -2), q[h, r])
    return dq.astype(dtype, copy=False), dk.astype(dtype, copy=False), dv.astype(dtype, copy=False)


def _wide(xp: Any, x: Array) -> Array:
    return x.astype(xp.float32) if x.dtype.itemsize == 2 else x
