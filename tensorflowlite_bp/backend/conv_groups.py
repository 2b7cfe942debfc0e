"""Kernels of convolutions turned around, and groups of channels put side by side. See conv.py."""

from collections.abc import Iterator
from typing import Any

from .._typing import Array, Shape

MERGED = 16  # channels of a group, or of several side by side, from which a product is efficient


def flip(w: Array, groups: int = 1) -> Array:
    """(*window, channels / groups, filters) backwards, as (*window, filters / groups, channels)."""
    *window, c, filters = w.shape
    back = w[(slice(None, None, -1),) * len(window)]
    if groups == 1:
        return back.swapaxes(-1, -2)
    parted = back.reshape(*window, c, groups, filters // groups)
    return parted.swapaxes(-1, -3).reshape(*window, filters // groups, groups * c)


def parts(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice]]:
    c, f = channels // groups, filters // groups
    for i in range(groups):
        yield slice(i * c, (i + 1) * c), slice(i * f, (i + 1) * f)


def mergeable(w_shape: Shape, groups: int) -> int:
    """How many groups, a divisor of them, stay within MERGED channels and filters when put side by side. 1
    for one channel a group, which has ways of its own.
    """
    if w_shape[-2] == 1:
        return 1
    most = MERGED // max(w_shape[-2], w_shape[-1] // groups)
    return next((m for m in range(min(most, groups), 1, -1) if groups % m == 0), 1)


def diagonal(xp: Any, w: Array, groups: int, merged: int) -> Array:
    """The kernel of groups / merged groups that does the same, with zeros where a channel is not a
    filter's.
    """
    *window, c, filters = w.shape
    out = xp.zeros((*window, merged, c, groups // merged, merged, filters // groups), w.dtype)
    split = w.reshape(*window, c, groups // merged, merged, filters // groups)
    for i in range(merged):
        out[..., i, :, :, i, :] = split[..., i, :]
    return out.reshape(*window, merged * c, filters)


def off_diagonal_dropped(xp: Any, wide: Array, w_shape: Shape, groups: int, merged: int) -> Array:
    """The transpose of diagonal."""
    *window, c, filters = w_shape
    split = wide.reshape(*window, merged, c, groups // merged, merged, filters // groups)
    out = xp.empty((*window, c, groups // merged, merged, filters // groups), wide.dtype)
    for i in range(merged):
        out[..., i, :] = split[..., i, :, :, i, :]
    return out.reshape(w_shape)
