"""Convolution on raw arrays, written against `xp` (numpy or cupy): forward, data gradient, weight gradient.

x (batch, *space, channels), w (*window, channels / groups, filters), g (batch, *out, filters). `strides` and `dilation` hold one
int per axis, `pads` one (low, high) per axis, where a negative number crops. `dot(a, b)` is the product of two matrices, either
of which may be a transposed view. 16-bit floats are computed in float32.

Which way, and why (float32, one core of a Zen 5, copies against products):

- Patches times weights ("im2col", Chellapilla, Puri and Simard 2006) is the rule. A row of a window, window width x channels, is
  one run of memory, so the patches cost 3 to 8 % of the product. They go into one buffer of at most 4 MB, used again for each
  block of examples or rows: it stays in cache. A loop over the offsets of the window, one product each, was never faster: NumPy
  cannot add a product to an array, so each offset costs two passes over the output.
- Few channels make short runs; then the patches are laid out (window, positions), whose runs are rows of the output (1.6 times
  faster on 28 x 28 x 1).
- With stride 1 a convolution is also the transpose of the one with the flipped kernel. The transposed way multiplies first and
  adds the products where they belong ("col2im"): it moves `filters` numbers per offset where patches move `channels`, and is taken
  where those are fewer by far. The data gradient is the mirror image; with strides it always adds.
- A window of one element is a plain product, without a copy.
- One channel per group (depthwise) has no product to speak of: one einsum, whose inner loop runs over a whole row of the output,
  with the weights repeated along the row (4 times faster than over channels, 2.5 times than NumPy operations per offset).
- Other groups: the above, group by group.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from .._typing import Array, Shape

BLOCK = 4 << 20  # bytes of patches at a time
ADDING = 3  # an element added into place costs about as much as this many copied

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Dot = Callable[[Array, Array], Array]


def forward(xp: Any, dot: Dot, x: Array, w: Array, strides: Ints, pads: Pairs, dilation: Ints, groups: int) -> Array:
    """The convolution (cross-correlation): out[o, f] = sum over k, c of x[o * stride + k * dilation - low, c] w[k, c, f]."""
    if _narrow(x):
        return forward(xp, dot, *_wide(xp, x, w), strides, pads, dilation, groups).astype(x.dtype)
    window, filters = w.shape[:-2], w.shape[-1]
    space = tuple(map(positions, x.shape[1:-1], window, strides, pads, dilation))
    shape = (x.shape[0], *space, filters)
    if 0 in shape or w.size == 0 or x.size == 0:
        return xp.zeros(shape, x.dtype)
    if groups > 1:
        if w.shape[-2] == 1:
            return _depthwise(xp, padded(xp, x, pads), w, strides, dilation, space)
        out = xp.empty(shape, x.dtype)
        for of_x, of_w in _groups(x.shape[-1], filters, groups):
            out[..., of_w] = forward(xp, dot, x[..., of_x], w[..., of_w], strides, pads, dilation, 1)
        return out
    if max(strides) == 1 and ADDING * filters < x.shape[-1]:
        return _add_products(xp, dot, x, _flip(w), shape, strides, _mirror(pads, window, dilation), dilation)
    return _multiply_patches(xp, dot, padded(xp, x, pads), w, strides, dilation, space)


def input_grad(
    xp: Any, dot: Dot, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Array:
    """The transpose of `forward` in x: what flows back to x; also the forward of a transposed convolution."""
    if _narrow(g):
        return input_grad(xp, dot, *_wide(xp, g, w), x_shape, strides, pads, dilation, groups).astype(g.dtype)
    if g.size == 0 or w.size == 0 or 0 in x_shape:
        return xp.zeros(x_shape, g.dtype)
    window, channels = w.shape[:-2], x_shape[-1]
    plain = max(strides) == 1
    if groups > 1:
        if w.shape[-2] == 1:
            if plain:
                return _depthwise_back(xp, padded(xp, g, _mirror(pads, window, dilation)), w, dilation, x_shape)
            return _add_depthwise(xp, g, w, x_shape, strides, pads, dilation)
        out = xp.empty(x_shape, g.dtype)
        part = (*x_shape[:-1], channels // groups)
        for of_x, of_w in _groups(channels, w.shape[-1], groups):
            out[..., of_x] = input_grad(xp, dot, g[..., of_w], w[..., of_w], part, strides, pads, dilation, 1)
        return out
    if plain and g.shape[-1] <= ADDING * channels:
        mirrored = padded(xp, g, _mirror(pads, window, dilation))
        return _multiply_patches(xp, dot, mirrored, _flip(w), strides, dilation, x_shape[1:-1])
    return _add_products(xp, dot, g, w, x_shape, strides, pads, dilation)


def weight_grad(
    xp: Any, dot: Dot, g: Array, x: Array, w_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Array:
    """The transpose of `forward` in w: what flows back to the weights."""
    if _narrow(g):
        return weight_grad(xp, dot, *_wide(xp, g, x), w_shape, strides, pads, dilation, groups).astype(g.dtype)
    if g.size == 0 or x.size == 0 or 0 in w_shape:
        return xp.zeros(w_shape, g.dtype)
    window, filters = w_shape[:-2], w_shape[-1]
    if groups > 1:
        if w_shape[-2] == 1:
            return _depthwise_weight_grad(xp, g, padded(xp, x, pads), w_shape, strides, dilation)
        out = xp.empty(w_shape, g.dtype)
        for of_x, of_w in _groups(x.shape[-1], filters, groups):
            shape = (*w_shape[:-1], filters // groups)
            out[..., of_w] = weight_grad(xp, dot, g[..., of_w], x[..., of_x], shape, strides, pads, dilation, 1)
        return out
    if max(strides) == 1 and ADDING * filters < x.shape[-1]:  # patches of g are the smaller ones
        mirrored = padded(xp, g, _mirror(pads, window, dilation))
        turned = _patches_product(xp, dot, x, mirrored, (*window, filters, x.shape[-1]), strides, dilation)
        return xp.ascontiguousarray(_flip(turned))
    return _patches_product(xp, dot, g, padded(xp, x, pads), w_shape, strides, dilation)


# ------------------------------------------------------------------ geometry
def positions(n: int, k: int, stride: int, pad: tuple[int, int], dilation: int) -> int:
    """How many places a window has along an axis; 0 if it does not fit."""
    return max((n + pad[0] + pad[1] - (k - 1) * dilation - 1) // stride + 1, 0)


def overlap(n: int, out: int, k: int, stride: int, low: int, dilation: int = 1) -> tuple[slice, slice]:
    """Where element k of the window falls inside the input: which outputs, and which inputs they see."""
    shift = k * dilation - low
    first = max(0, -(shift // stride))
    last = min(out, (n - 1 - shift) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)


def padded(xp: Any, x: Array, pads: Pairs) -> Array:
    """x with zeros around its space axes; cropped where a pad is negative."""
    if not any(map(any, pads)):
        return x
    inner = tuple(n + low + high for n, (low, high) in zip(x.shape[1:-1], pads, strict=True))
    to, of = [], []
    for n, size, (low, _) in zip(x.shape[1:-1], inner, pads, strict=True):
        start, stop = max(low, 0), min(n + low, size)
        to.append(slice(start, max(stop, start)))
        of.append(slice(start - low, max(stop, start) - low))
    if inner == tuple(s.stop - s.start for s in to):
        return x[(slice(None), *of)]
    out = xp.zeros((x.shape[0], *inner, x.shape[-1]), x.dtype)
    out[(slice(None), *to)] = x[(slice(None), *of)]
    return out


def _mirror(pads: Pairs, window: Ints, dilation: Ints) -> Pairs:
    """The pads of the convolution with the flipped kernel, which is the transpose of one with stride 1."""
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    return tuple((r - low, r - high) for r, (low, high) in zip(reach, pads, strict=True))


def _flip(w: Array) -> Array:
    return w[(slice(None, None, -1),) * (w.ndim - 2)].swapaxes(-1, -2)


def _groups(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice]]:
    c, f = channels // groups, filters // groups
    for i in range(groups):
        yield slice(i * c, (i + 1) * c), slice(i * f, (i + 1) * f)


def _windows(xp: Any, x: Array, window: Ints, strides: Ints, dilation: Ints, space: Ints) -> Array:
    """A view (batch, *space, *window, channels) of x; nothing is copied."""
    s = x.strides
    steps = (*map(int.__mul__, s[1:-1], strides), *map(int.__mul__, s[1:-1], dilation))
    view = xp.lib.stride_tricks.as_strided
    return view(x, (x.shape[0], *space, *window, x.shape[-1]), (s[0], *steps, s[-1]))


def _narrow(x: Array) -> bool:
    return x.dtype.itemsize == 2 and x.dtype.kind in "fV"


def _wide(xp: Any, *arrays: Array) -> list[Array]:
    return [a.astype(xp.float32) for a in arrays]


# ------------------------------------------------------------------ products with patches
def _blocks(batch: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Examples, and rows of the first space axis, whose patches fill at most one BLOCK (but at least one row)."""
    if rows * row_bytes <= BLOCK:
        step = max(1, BLOCK // (rows * row_bytes))
        for n in range(0, batch, step):
            yield slice(n, min(n + step, batch)), slice(0, rows)
        return
    step = max(1, BLOCK // row_bytes)
    for n in range(batch):
        for r in range(0, rows, step):
            yield slice(n, n + 1), slice(r, min(r + step, rows))


def _columns(xp: Any, x: Array, window: Ints, strides: Ints, dilation: Ints, space: Ints) -> Iterator[tuple[slice, slice, Array]]:
    """(examples, rows, their patches as a matrix of positions by window x channels). The matrix is valid until the next one."""
    batch, channels = x.shape[0], x.shape[-1]
    size = math.prod(window) * channels
    views = _windows(xp, x, window, strides, dilation, space)
    if math.prod(window) == 1:
        yield slice(0, batch), slice(0, space[0]), views.reshape(-1, channels)
        return
    run = channels * (window[-1] if dilation[-1] == 1 else 1)
    long = run >= min(16, space[-1])  # else runs of a row of the output are longer
    axes = (*range(len(space) + 1, views.ndim), *range(len(space) + 1))
    buffer = None
    for examples, rows in _blocks(batch, space[0], math.prod(space[1:]) * size * x.itemsize):
        view = views[examples, rows]
        count = math.prod(view.shape[: len(space) + 1])
        if not long:
            view = view.transpose(axes)
        if buffer is None or buffer.shape != view.shape:
            buffer = xp.empty(view.shape, x.dtype)
        buffer[...] = view
        yield examples, rows, buffer.reshape(count, size) if long else buffer.reshape(size, count).T


def _multiply_patches(xp: Any, dot: Dot, x: Array, w: Array, strides: Ints, dilation: Ints, space: Ints) -> Array:
    """forward, for an x that has its padding."""
    filters = w.shape[-1]
    matrix = w.reshape(-1, filters)
    shape = (x.shape[0], *space, filters)
    out = None
    for examples, rows, columns in _columns(xp, x, w.shape[:-2], strides, dilation, space):
        part = dot(columns, matrix)
        if out is None:
            if part.size == math.prod(shape):
                return part.reshape(shape)
            out = xp.empty(shape, part.dtype)
        at = out[examples, rows]
        at[...] = part.reshape(at.shape)
    return out


def _patches_product(xp: Any, dot: Dot, g: Array, x: Array, w_shape: Shape, strides: Ints, dilation: Ints) -> Array:
    """weight_grad, for an x that has its padding."""
    g = xp.ascontiguousarray(g)
    total = None
    for examples, rows, columns in _columns(xp, x, w_shape[:-2], strides, dilation, g.shape[1:-1]):
        part = dot(columns.T, g[examples, rows].reshape(-1, g.shape[-1]))
        if total is None:
            total = part
        else:
            total += part
    return total.reshape(w_shape)


def _add_products(
    xp: Any, dot: Dot, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints
) -> Array:
    """input_grad: every position's product with all of the window, each element added where it belongs."""
    g = xp.ascontiguousarray(g)
    window, channels = w.shape[:-2], x_shape[-1]
    space, d = g.shape[1:-1], len(window)
    matrix = w.reshape(-1, w.shape[-1])  # window x channels by filters
    out = xp.zeros(x_shape, g.dtype)
    axes = (*range(d + 1, 2 * d + 2), *range(d + 1))  # window, channels, positions -> positions, window, channels
    for examples, rows in _blocks(g.shape[0], space[0], math.prod(space[1:]) * matrix.shape[0] * g.itemsize):
        block = g[examples, rows]
        flat = block.reshape(-1, g.shape[-1])
        if channels >= min(8, space[-1]):
            parts = dot(flat, matrix.T).reshape(block.shape[:-1] + window + (channels,))
        else:
            parts = dot(matrix, flat.T).reshape(window + (channels,) + block.shape[:-1]).transpose(axes)
        low = [pad[0] for pad in pads]
        low[0] -= rows.start * strides[0]  # these rows see the input from there on
        for k in itertools.product(*map(range, window)):
            seen = list(map(overlap, x_shape[1:-1], block.shape[1:-1], k, strides, low, dilation))
            out[(examples, *[to for _, to in seen])] += parts[(slice(None), *[of for of, _ in seen], *k)]
    return out


# ------------------------------------------------------------------ depthwise: one channel per group
def _letters(d: int) -> tuple[str, str]:
    return "abc"[:d], "ijk"[:d]


def _rows_merge(x: Array) -> bool:
    """Whether a row of positions, each with its channels, is one run of memory."""
    return x.strides[-1] == x.itemsize and x.strides[-2] == x.itemsize * x.shape[-1]


def _row_windows(xp: Any, x: Array, window: Ints, dilation: Ints, space: Ints) -> Array:
    """_windows for stride 1 along rows: (batch, *space but the last, *window, row of positions x channels)."""
    x = x if _rows_merge(x) else xp.ascontiguousarray(x)
    view = _windows(xp, x, window, (1,) * len(window), dilation, space)
    s, d = view.strides, len(window)
    shape = view.shape[:d] + window + (space[-1] * x.shape[-1],)
    return xp.lib.stride_tricks.as_strided(view, shape, s[:d] + s[d + 1 :])


def _depthwise(xp: Any, x: Array, w: Array, strides: Ints, dilation: Ints, space: Ints) -> Array:
    """forward with one channel per group, for an x that has its padding."""
    window, channels, filters = w.shape[:-2], x.shape[-1], w.shape[-1]
    multiplier = filters // channels
    if multiplier > 1:
        out = xp.empty((x.shape[0], *space, filters), x.dtype)
        for i in range(multiplier):
            out[..., i::multiplier] = _depthwise(xp, x, w[..., i::multiplier], strides, dilation, space)
        return out
    at, of = _letters(len(space))
    w = w.reshape(*window, channels)
    if max(strides) > 1:
        return xp.einsum(f"n{at}{of}z,{of}z->n{at}z", _windows(xp, x, window, strides, dilation, space), w)
    along = xp.broadcast_to(w[..., None, :], (*window, space[-1], channels)).reshape(*window, -1)
    out = xp.einsum(f"n{at[1:]}{of}z,{of}z->n{at[1:]}z", _row_windows(xp, x, window, dilation, space), along)
    return out.reshape(x.shape[0], *space, channels)


def _depthwise_back(xp: Any, g: Array, w: Array, dilation: Ints, x_shape: Shape) -> Array:
    """input_grad for stride 1, for a g with its mirrored padding: the flipped kernel, summed over the filters of a channel."""
    multiplier = w.shape[-1] // x_shape[-1]
    w = w[(slice(None, None, -1),) * (w.ndim - 2)]
    ones = (1,) * (w.ndim - 2)
    total = None
    for i in range(multiplier):
        part = _depthwise(xp, g[..., i::multiplier], w[..., i::multiplier], ones, dilation, x_shape[1:-1])
        total = part if total is None else total + part
    return total


def _add_depthwise(xp: Any, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints) -> Array:
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


def _depthwise_weight_grad(xp: Any, g: Array, x: Array, w_shape: Shape, strides: Ints, dilation: Ints) -> Array:
    """weight_grad with one channel per group, for an x that has its padding."""
    window, channels, space = w_shape[:-2], x.shape[-1], g.shape[1:-1]
    multiplier = w_shape[-1] // channels
    at, of = _letters(len(space))
    out = xp.empty(w_shape, g.dtype)
    for i in range(multiplier):
        part = xp.ascontiguousarray(g[..., i::multiplier])
        if max(strides) > 1:
            views = _windows(xp, x, window, strides, dilation, space)
            total = xp.einsum(f"n{at}{of}z,n{at}z->{of}z", views, part)
        else:
            views = _row_windows(xp, x, window, dilation, space)
            rows = part.reshape(*part.shape[:-2], -1)
            along = xp.einsum(f"n{at[1:]}{of}z,n{at[1:]}z->{of}z", views, rows)
            total = along.reshape(*window, space[-1], channels).sum(-2)
        out[..., 0, i::multiplier] = total
    return out
