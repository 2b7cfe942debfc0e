"""Convolution on raw arrays, written against `xp` (numpy or cupy): forward, data gradient, weight gradient;
and with bias and ReLU, written against a backend.

x (batch, *space, channels), w (*window, channels / groups, filters), g (batch, *out, filters). `strides` and
`dilation` hold one int per axis, `pads` one (low, high) per axis, where a negative number crops. `dot(a, b)`
is the product of two matrices, either of which may be a transposed view. 16-bit floats are computed in
float32.

Which way, and why (float32, one core of a Zen 5, copies against products):

- Patches times weights ("im2col", Chellapilla, Puri and Simard 2006) is the rule. A row of a window, window
  width x channels, is one run of memory, so the patches cost 3 to 8 % of the product. They go into one buffer
  of at most 1 MB, used again for each block of examples or rows: it stays in cache. A loop over the offsets
  of the window, one product each, was never faster: NumPy cannot add a product to an array, so each offset
  costs two passes over the output.
- Few channels make short runs; then the patches are laid out (window, positions), whose runs are rows of the
  output (1.6 times faster on 28 x 28 x 1).
- With stride 1 a convolution is also the transpose of the one with the flipped kernel. The transposed way
  multiplies first and adds the products where they belong ("col2im"): it moves `filters` numbers per offset
  where patches move `channels`, and is taken where those are fewer by far. The data gradient is the mirror
  image. With strides it is one such convolution for each remainder of the position by the stride, whose
  kernel is every stride-th element (no product with a zero); with dilation as well, it adds.
- A window of one element is a plain product, without a copy.
- One channel per group (depthwise) has no product to speak of: one einsum, whose inner loop runs over a whole
  row of the output, with the weights repeated along the row (4 times faster than over channels, 2.5 times
  than NumPy operations per offset).
- A compiled kernel (`Direct`) multiplies windows where they lie, without patches, and applies bias and ReLU
  on the way. It is asked first, and gives None for what it does not take.
- Other groups: the above, group by group; small ones side by side as one block-diagonal kernel of up to 16
  channels, since a product of 4 columns takes as long as one of a vector's 16.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .._typing import Array, Shape
from . import depthwise
from .conv_groups import diagonal, flip, mergeable, off_diagonal_dropped, parts
from .windows import Ints, Pairs, mirror, overlap, padded, positions, windows

BLOCK = 1 << 20  # bytes of patches at a time; products to be added, which are larger calls, four times that
ADDING = 8  # an element added into place costs about as much as this many copied and multiplied in cache

Dot = Callable[[Array, Array], Array]


class Direct(NamedTuple):
    """Kernels, which may give None; the groups follow from x and w: forward(x, w, bias, relu, strides, pads,
    dilation) and backward(g, x, w or its shape, out of the ReLU or None, needs, strides, pads, dilation).
    """

    forward: Callable[..., Array | None]
    backward: Callable[..., tuple | None]


NONE = Direct(*[lambda *_: None] * 2)


def forward(
    xp: Any,
    dot: Dot,
    x: Array,
    w: Array,
    strides: Ints,
    pads: Pairs,
    dilation: Ints,
    groups: int,
    direct: Direct = NONE,
    bias: Array | None = None,
    relu: bool = False,
) -> Array:
    """The convolution (cross-correlation): out[o, f] = sum over k, c of x[o * stride + k * dilation - low, c]
    w[k, c, f]; bias added, and then the positive part taken, where asked for.
    """
    if _narrow(x):  # rounded once, at the end
        b = None if bias is None else bias.astype(xp.float32)
        wide = forward(xp, dot, *_wide(xp, x, w), strides, pads, dilation, groups, direct, b, relu)
        return wide.astype(x.dtype)
    window, filters = w.shape[:-2], w.shape[-1]
    space = tuple(map(positions, x.shape[1:-1], window, strides, pads, dilation))
    shape = (x.shape[0], *space, filters)
    how = (strides, pads, dilation)
    merged = mergeable(w.shape, groups)
    if 0 in shape or w.size == 0 or x.size == 0:
        out = xp.zeros(shape, x.dtype)
    elif merged > 1:
        wide = diagonal(xp, w, groups, merged)
        return forward(xp, dot, x, wide, *how, groups // merged, direct, bias, relu)
    elif groups == 1 and max(strides) == 1 and ADDING * filters < x.shape[-1]:
        out = _add_products(xp, dot, x, flip(w), shape, strides, mirror(pads, window, dilation), dilation)
    else:
        out = direct.forward(x, w, bias, relu, *how)
        if out is not None:
            return out
        if groups == 1:
            out = _multiply_patches(xp, dot, padded(xp, x, pads), w, strides, dilation, space)
        elif w.shape[-2] == 1:
            out = depthwise.forward(xp, padded(xp, x, pads), w, strides, dilation, space)
        else:
            out = xp.empty(shape, x.dtype)
            for of_x, of_w in parts(x.shape[-1], filters, groups):
                out[..., of_w] = forward(xp, dot, x[..., of_x], w[..., of_w], *how, 1, direct)
    if bias is not None:
        out += bias
    return xp.maximum(out, 0, out=out) if relu else out


def input_grad(
    xp: Any,
    dot: Dot,
    g: Array,
    w: Array,
    x_shape: Shape,
    strides: Ints,
    pads: Pairs,
    dilation: Ints,
    groups: int,
    direct: Direct = NONE,
) -> Array:
    """The transpose of `forward` in x: what flows back to x; also the forward of a transposed convolution."""
    if _narrow(g):
        wide = input_grad(xp, dot, *_wide(xp, g, w), x_shape, strides, pads, dilation, groups, direct)
        return wide.astype(g.dtype)
    if g.size == 0 or w.size == 0 or 0 in x_shape:
        return xp.zeros(x_shape, g.dtype)
    window, channels = w.shape[:-2], x_shape[-1]
    merged = mergeable(w.shape, groups)
    if merged > 1:
        wide = diagonal(xp, w, groups, merged)
        return input_grad(xp, dot, g, wide, x_shape, strides, pads, dilation, groups // merged, direct)
    if groups == 1 and g.shape[-1] > ADDING * channels:
        return _add_products(xp, dot, g, w, x_shape, strides, pads, dilation)
    if max(strides) == 1:
        around, flipped = mirror(pads, window, dilation), flip(w, groups)
        dx = direct.forward(g, flipped, None, False, strides, around, dilation)
        if dx is not None:
            return dx
        if groups == 1:
            around = padded(xp, g, around)
            return _multiply_patches(xp, dot, around, flipped, strides, dilation, x_shape[1:-1])
    elif max(dilation) == 1 and (groups == 1 or groups == channels == w.shape[-1]):
        return _by_remainders(xp, dot, g, w, x_shape, strides, pads, direct)
    if groups == 1:
        return _add_products(xp, dot, g, w, x_shape, strides, pads, dilation)
    if w.shape[-2] == 1:
        return depthwise.input_grad(xp, g, w, x_shape, strides, pads, dilation)
    out = xp.empty(x_shape, g.dtype)
    part = (*x_shape[:-1], channels // groups)
    for of_x, of_w in parts(channels, w.shape[-1], groups):
        out[..., of_x] = input_grad(
            xp, dot, g[..., of_w], w[..., of_w], part, strides, pads, dilation, 1, direct
        )
    return out


def weight_grad(
    xp: Any,
    dot: Dot,
    g: Array,
    x: Array,
    w_shape: Shape,
    strides: Ints,
    pads: Pairs,
    dilation: Ints,
    groups: int,
    direct: Direct = NONE,
) -> Array:
    """The transpose of `forward` in w: what flows back to the weights."""
    if _narrow(g):
        wide = weight_grad(xp, dot, *_wide(xp, g, x), w_shape, strides, pads, dilation, groups, direct)
        return wide.astype(g.dtype)
    if g.size == 0 or x.size == 0 or 0 in w_shape:
        return xp.zeros(w_shape, g.dtype)
    window, filters = w_shape[:-2], w_shape[-1]
    merged = mergeable(w_shape, groups)
    if merged > 1:
        shape = (*window, merged * w_shape[-2], filters)
        wide = weight_grad(xp, dot, g, x, shape, strides, pads, dilation, groups // merged, direct)
        return off_diagonal_dropped(xp, wide, w_shape, groups, merged)
    if groups == 1 and max(strides) == 1 and ADDING * filters < x.shape[-1]:  # patches of g are smaller
        mirrored = padded(xp, g, mirror(pads, window, dilation))
        turned = _patches_product(xp, dot, x, mirrored, (*window, filters, x.shape[-1]), strides, dilation)
        return xp.ascontiguousarray(flip(turned))
    found = direct.backward(g, x, w_shape, None, (False, True, False), strides, pads, dilation)
    if found is not None:
        return found[1]
    if groups == 1:
        return _patches_product(xp, dot, g, padded(xp, x, pads), w_shape, strides, dilation)
    if w_shape[-2] == 1:
        return depthwise.weight_grad(xp, g, padded(xp, x, pads), w_shape, strides, dilation)
    out = xp.empty(w_shape, g.dtype)
    for of_x, of_w in parts(x.shape[-1], filters, groups):
        shape = (*w_shape[:-1], filters // groups)
        out[..., of_w] = weight_grad(
            xp, dot, g[..., of_w], x[..., of_x], shape, strides, pads, dilation, 1, direct
        )
    return out


# ------------------------------------------------------------------ with bias and ReLU, of any backend
def fused_forward(lib: Any, x: Array, w: Array, b: Array | None, *, relu: bool, **how: Any) -> Array:
    """relu(x * w + b); strides, pads, dilation and groups as the backend's conv_forward takes them."""
    out = lib.conv_forward(x, w, **how)
    out = out if b is None else out + b
    return lib.maximum(out, out.dtype.type(0)) if relu else out


def fused_backward(
    lib: Any,
    g: Array,
    x: Array,
    w: Array,
    mask: Array | None,
    needs: tuple[bool, bool, bool],
    *,
    direct: Direct = NONE,
    **how: Any,
) -> tuple[Array | None, Array | None, Array | None]:
    """(dx, dw, db) of fused_forward, those needed. mask: what it gave where it applied ReLU, else None."""
    channels, filters = w.shape[-2:]
    wide, deep = needs[0] and filters > ADDING * channels, needs[1] and ADDING * filters < channels
    groups = how["groups"]
    merged = mergeable(w.shape, groups)
    if merged > 1 and direct is not NONE:
        how["groups"] = groups // merged
        dx, dw, db = fused_backward(
            lib, g, x, diagonal(lib, w, groups, merged), mask, needs, direct=direct, **how
        )
        return dx, None if dw is None else off_diagonal_dropped(lib, dw, w.shape, groups, merged), db
    if groups > 1 or not (wide or deep):  # those go the other ways of input_grad and weight_grad
        steps = how["strides"], how["pads"], how["dilation"]
        found = direct.backward(g, x, w, mask, needs, *steps)
        if found is not None:
            return found
    if mask is not None:
        g = lib.relu_backward(g, mask)
    dx = lib.conv_input_grad(g, w, x_shape=x.shape, **how) if needs[0] else None
    dw = lib.conv_weight_grad(g, x, w_shape=w.shape, **how) if needs[1] else None
    return dx, dw, lib.sum_to(g, shape=w.shape[-1:]) if needs[2] else None


# ------------------------------------------------------------------ 16-bit floats
def _narrow(x: Array) -> bool:
    return x.dtype.itemsize == 2 and x.dtype.kind in "fV"


def _wide(xp: Any, a: Array, b: Array) -> tuple[Array, Array]:
    return a.astype(xp.float32), b.astype(xp.float32)


# ------------------------------------------------------------------ products with patches
def _blocks(batch: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Examples, and rows of the first space axis, whose patches fill at most one BLOCK (but at least one
    row).
    """
    if rows * row_bytes <= BLOCK:
        step = max(1, BLOCK // (rows * row_bytes))
        for n in range(0, batch, step):
            yield slice(n, min(n + step, batch)), slice(0, rows)
        return
    step = max(1, BLOCK // row_bytes)
    for n in range(batch):
        for r in range(0, rows, step):
            yield slice(n, n + 1), slice(r, min(r + step, rows))


def _columns(
    xp: Any, x: Array, window: Ints, strides: Ints, dilation: Ints, space: Ints
) -> Iterator[tuple[slice, slice, Array]]:
    """(examples, rows, their patches as a matrix of positions by window x channels). The matrix is valid
    until the next one.
    """
    batch, channels = x.shape[0], x.shape[-1]
    size = math.prod(window) * channels
    views = windows(xp, x, window, strides, dilation, space)
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


def _multiply_patches(
    xp: Any, dot: Dot, x: Array, w: Array, strides: Ints, dilation: Ints, space: Ints
) -> Array:
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


def _patches_product(
    xp: Any, dot: Dot, g: Array, x: Array, w_shape: Shape, strides: Ints, dilation: Ints
) -> Array:
    """weight_grad, for an x that has its padding."""
    g = xp.ascontiguousarray(g)
    total: Any = None
    for examples, rows, columns in _columns(xp, x, w_shape[:-2], strides, dilation, g.shape[1:-1]):
        part = dot(columns.T, g[examples, rows].reshape(-1, g.shape[-1]))
        if total is None:
            total = part
        else:
            total += part
    return total.reshape(w_shape)


def _by_remainders(
    xp: Any, dot: Dot, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, direct: Direct
) -> Array:
    """input_grad with strides, without dilation. Positions i = a + m * stride, for each remainder a of an
    axis, see only the elements k = first + j * stride of the window, with first = (a + low) mod stride; g
    there is g[m + shift - j].
    """
    window, space = w.shape[:-2], x_shape[1:-1]
    ones = (1,) * len(window)
    each = w.shape[-2] < x_shape[-1]  # a filter for every channel
    gaps = any(
        s > k for s, k in zip(strides, window, strict=True)
    )  # between windows, where nothing flows back
    out = (xp.zeros if gaps else xp.empty)(x_shape, g.dtype)
    for remainder in itertools.product(*[range(min(s, n)) for s, n in zip(strides, space, strict=True)]):
        kernel, around, counts = [], [], []
        for a, n, k, s, (low, _), length in zip(
            remainder, space, window, strides, pads, g.shape[1:-1], strict=True
        ):
            first = (a + low) % s
            shift = (a + low - first) // s
            taps, count = len(range(first, k, s)), len(range(a, n, s))
            kernel.append(slice(first, None, s))
            counts.append(count)
            around.append((taps - 1 - shift, count + shift - length))
        part = w[tuple(kernel)]
        if part.size:
            at = out[(slice(None), *map(slice, remainder, (None,) * len(ones), strides))]
            seen, turned = padded(xp, g, tuple(around)), flip(part, x_shape[-1] if each else 1)
            found = direct.forward(seen, turned, None, False, ones, ((0, 0),) * len(ones), ones)
            if found is None and each:
                found = depthwise.forward(xp, seen, turned, ones, ones, tuple(counts))
            elif found is None:
                found = _multiply_patches(xp, dot, seen, turned, ones, ones, tuple(counts))
            at[...] = found
    return out


def _add_products(
    xp: Any, dot: Dot, g: Array, w: Array, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints
) -> Array:
    """input_grad: every position's product with all of the window, each element added where it belongs."""
    g = xp.ascontiguousarray(g)
    window, channels = w.shape[:-2], x_shape[-1]
    space, d = g.shape[1:-1], len(window)
    matrix = w.reshape(-1, w.shape[-1])  # window x channels by filters
    out = xp.zeros(x_shape, g.dtype)
    axes = (
        *range(d + 1, 2 * d + 2),
        *range(d + 1),
    )  # window, channels, positions -> positions, window, channels
    for examples, rows in _blocks(
        g.shape[0], space[0], math.prod(space[1:]) * matrix.shape[0] * g.itemsize // 4
    ):
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
