"""Pooling on raw arrays, written against `xp` (numpy or cupy).

x (batch, *space, channels). Padding is never materialised: each element of the window is applied to the
outputs that see it inside the input (`overlap`). Maximum and sum are taken axis by axis: 2 + 2 passes for a 2
x 2 window, the first over whole rows.
"""

import itertools
import math
from typing import Any

from .._typing import Array, Shape
from .windows import Ints, Pairs, overlap, positions


def _seen(
    n: Shape, out: Shape, k: Ints, strides: Ints, pads: Pairs
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The outputs that see element k of their window inside the input, and the inputs they see."""
    pairs = list(map(overlap, n, out, k, strides, [low for low, _ in pads]))
    return (slice(None), *[of for of, _ in pairs]), (slice(None), *[to for _, to in pairs])


def _blocks(x: Array) -> list[slice]:
    """Examples of about half a megabyte: the passes over them stay in cache."""
    step = max(1, (1 << 19) // max(1, x[:1].nbytes))
    return [slice(n, n + step) for n in range(0, x.shape[0], step)] or [slice(0, 0)]


def _space(x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Ints:
    spread = (1,) * len(window)
    return tuple(map(positions, x_shape[1:-1], window, strides, pads, spread))


def _reduce(xp: Any, ufunc: Any, x: Array, start: Any, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """Windows reduced by a ufunc, one axis after the other. Gives x itself when there is nothing to do."""
    space = _space(x.shape, window, strides, pads)
    for axis, (k, stride, (low, _), out) in enumerate(zip(window, strides, pads, space, strict=True), 1):
        n = x.shape[axis]
        if k == stride == 1 and out == n and low == 0:
            continue
        lead = (slice(None),) * axis
        seen = [overlap(n, out, i, stride, low) for i in range(k)]
        shape = x.shape[:axis] + (out,) + x.shape[axis + 1 :]
        if k > 1 and all(of == slice(0, out) for of, _ in seen):
            total = ufunc(x[(*lead, seen[0][1])], x[(*lead, seen[1][1])])
            seen = seen[2:]
        else:
            total = xp.full(shape, start, x.dtype)
        for of, to in seen:
            at = total[(*lead, of)]
            ufunc(at, x[(*lead, to)], out=at)
        x = total
    return x


# ------------------------------------------------------------------ maximum
def max_forward(
    xp: Any, x: Array, window: Ints, strides: Ints, pads: Pairs, want_index: bool
) -> tuple[Array, Array | None]:
    """The maximum of each window, and where in its window it is: the first place, in row-major order, that
    holds it.

    The index is found after the maximum: the comparison with place k gives 0 or 1, times size - k, and the
    largest of these is the first place. All of it is 8-bit arithmetic. A NaN in a window wins, the first one
    if there are several.
    """
    blocks = _blocks(x)
    if len(blocks) > 1:
        parts = [max_forward(xp, x[b], window, strides, pads, want_index) for b in blocks]
        outs, indices = zip(*parts, strict=True)
        return xp.concatenate(outs), xp.concatenate(indices) if want_index else None
    lowest = -math.inf if x.dtype.kind in "fV" else 0 if x.dtype.kind in "bu" else xp.iinfo(x.dtype).min
    out = _reduce(xp, xp.maximum, x, lowest, window, strides, pads)
    if out is x:
        out = x.copy()
    if not want_index:
        return out, None
    size = math.prod(window)
    small = xp.uint8 if size < 256 else xp.int32
    rank = xp.zeros(out.shape, small)
    for k, place in enumerate(itertools.product(*map(range, window))):
        of, to = _seen(x.shape[1:-1], out.shape[1:-1], place, strides, pads)
        equal = x[to] == out[of]
        equal = equal.view(small) if small is xp.uint8 else equal.astype(small)
        equal *= small(size - k)
        xp.maximum(rank[of], equal, out=rank[of])
    index = small(size) - rank
    lost = rank == 0
    if xp.__name__ != "numpy" or lost.any():  # NaN equals nothing; a device is not waited for
        for k, place in reversed(list(enumerate(itertools.product(*map(range, window))))):
            of, to = _seen(x.shape[1:-1], out.shape[1:-1], place, strides, pads)
            xp.copyto(index[of], small(k), where=lost[of] & xp.isnan(x[to]))
    return out, index


def _bits(xp: Any, x: Array) -> Array:
    """x as whole numbers: times 0 or 1 they keep or drop an element exactly, infinities and NaN as well, and
    without a branch.
    """
    return x.view({1: xp.uint8, 2: xp.uint16, 4: xp.uint32, 8: xp.uint64}[x.itemsize])


def max_input_grad(
    xp: Any, g: Array, index: Array, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs
) -> Array:
    """g at the places that `index` names, zero elsewhere."""
    g = xp.ascontiguousarray(g)
    whole = _bits(xp, g)
    tiled = strides == window and not any(map(any, pads))
    exact = tiled and all(n == k * o for n, k, o in zip(x_shape[1:-1], window, g.shape[1:-1], strict=True))
    out = (xp.empty if exact else xp.zeros)(x_shape, g.dtype)
    target = _bits(xp, out)
    apart = all(s >= k for s, k in zip(strides, window, strict=True))
    places = [
        (k, *_seen(x_shape[1:-1], g.shape[1:-1], place, strides, pads))
        for k, place in enumerate(itertools.product(*map(range, window)))
    ]
    for b in _blocks(out):
        for k, of, to in places:
            chosen = index[b][of] == k
            if apart:
                xp.multiply(whole[b][of], chosen, out=target[b][to])
            else:
                out[b][to] += (whole[b][of] * chosen).view(g.dtype)
    return out


def max_gather(xp: Any, x: Array, index: Array, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The elements of x that `index` names: the transpose of max_input_grad."""
    x = xp.ascontiguousarray(x)
    whole = _bits(xp, x)
    out = xp.zeros(index.shape, x.dtype)
    target = _bits(xp, out)
    for k, place in enumerate(itertools.product(*map(range, window))):
        of, to = _seen(x.shape[1:-1], index.shape[1:-1], place, strides, pads)
        target[of] |= whole[to] * (index[of] == k)
    return out


# ------------------------------------------------------------------ mean
def _counts(xp: Any, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs, dtype: Any) -> Any:
    """How many elements of each window are inside the input: an int if all are, else (*out, 1)."""
    if not any(map(any, pads)):
        return math.prod(window)
    ones = xp.ones((1, *x_shape[1:-1], 1), dtype)
    return _reduce(xp, xp.add, ones, 0, window, strides, pads)[0]


def avg_forward(xp: Any, x: Array, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The mean of each window; padding is not counted."""
    if x.dtype.itemsize == 2:
        return avg_forward(xp, x.astype(xp.float32), window, strides, pads).astype(x.dtype)
    out = _reduce(xp, xp.add, x, 0, window, strides, pads)
    return out / _counts(xp, x.shape, window, strides, pads, x.real.dtype)


def avg_input_grad(xp: Any, g: Array, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Array:
    """The transpose of avg_forward: each g, divided by its window's count, added to all places of its
    window.
    """
    if g.dtype.itemsize == 2:
        return avg_input_grad(xp, g.astype(xp.float32), x_shape, window, strides, pads).astype(g.dtype)
    g = g / _counts(xp, x_shape, window, strides, pads, g.real.dtype)
    for axis in range(len(window), 0, -1):
        k, stride, (low, _) = window[axis - 1], strides[axis - 1], pads[axis - 1]
        lead = (slice(None),) * axis
        out = xp.zeros(g.shape[:axis] + (x_shape[axis],) + g.shape[axis + 1 :], g.dtype)
        for i in range(k):
            of, to = overlap(x_shape[axis], g.shape[axis], i, stride, low)
            out[(*lead, to)] += g[(*lead, of)]
        g = out
    return g
