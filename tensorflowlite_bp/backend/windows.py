"""Where windows fall: geometry that convolution and pooling share."""

from typing import Any

from .._typing import Array

Ints = tuple[int, ...]  # one per space axis
Pairs = tuple[tuple[int, int], ...]  # (low, high) per space axis


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


def mirror(pads: Pairs, window: Ints, dilation: Ints) -> Pairs:
    """The pads of the convolution with the flipped kernel, which is the transpose of one with stride 1."""
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    return tuple((r - low, r - high) for r, (low, high) in zip(reach, pads, strict=True))


def windows(xp: Any, x: Array, window: Ints, strides: Ints, dilation: Ints, space: Ints) -> Array:
    """A view (batch, *space, *window, channels) of x; nothing is copied."""
    s = x.strides
    steps = (*map(int.__mul__, s[1:-1], strides), *map(int.__mul__, s[1:-1], dilation))
    view = xp.lib.stride_tricks.as_strided
    return view(x, (x.shape[0], *space, *window, x.shape[-1]), (s[0], *steps, s[-1]))
