"""Layer, RMS and group normalisation on raw arrays, written against `xp` (numpy or cupy).

Statistics of 16-bit floats are float32. Forward gives (out, mean, inv_std), the statistics without the
normalised axes; RMS norm has no mean: None.
"""

import math
from typing import Any

from .._typing import Array


def _split(x: Array, axes: int) -> Array:
    """(rows, features), the last `axes` axes together."""
    features = math.prod(x.shape[x.ndim - axes :])
    return x.reshape(-1 if features else math.prod(x.shape[: x.ndim - axes]), features)


def _wide(xp: Any, x: Array) -> Array:
    return x.astype(xp.float32) if x.dtype.itemsize == 2 else x


def row_norm(
    xp: Any, x: Array, weight: Array | None, bias: Array | None, *, eps: float, axes: int, centred: bool
) -> tuple:
    rows = _wide(xp, _split(x, axes))
    mean = rows.mean(-1) if centred else None
    if mean is not None:
        rows = rows - mean[:, None]
    square = (rows * rows).mean(-1)
    inv_std = 1 / xp.sqrt(square + square.dtype.type(eps))
    out = rows * inv_std[:, None]
    if weight is not None:
        out = out * weight.reshape(-1)
    if bias is not None:
        out = out + bias.reshape(-1)
    return out.reshape(x.shape).astype(x.dtype, copy=False), mean, inv_std


def row_norm_backward(
    xp: Any, g: Array, x: Array, weight: Array | None, mean: Array | None, inv_std: Array, *, axes: int
) -> tuple:
    h, rows = _wide(xp, _split(g, axes)), _wide(xp, _split(x, axes))
    normed = (rows if mean is None else rows - mean[:, None]) * inv_std[:, None]
    dw = db = None
    if weight is not None:
        dw = (h * normed).sum(0).reshape(weight.shape).astype(weight.dtype, copy=False)
        db = h.sum(0).reshape(weight.shape).astype(weight.dtype, copy=False)
        h = h * weight.reshape(-1)
    dx = h - normed * (h * normed).mean(-1, keepdims=True)
    if mean is not None:
        dx = dx - h.mean(-1, keepdims=True)
    return (dx * inv_std[:, None]).reshape(x.shape).astype(x.dtype, copy=False), dw, db


def group_norm(
    xp: Any, x: Array, weight: Array | None, bias: Array | None, *, groups: int, eps: float
) -> tuple:
    split = _wide(xp, _groups(x, groups))
    mean = split.mean((1, 3))
    centred = split - mean[:, None, :, None]
    var = (centred * centred).mean((1, 3))
    inv_std = 1 / xp.sqrt(var + var.dtype.type(eps))
    out = (centred * inv_std[:, None, :, None]).reshape(x.shape)
    if weight is not None:
        out = out * weight
    if bias is not None:
        out = out + bias
    return out.astype(x.dtype, copy=False), mean, inv_std


def group_norm_backward(
    xp: Any, g: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, *, groups: int
) -> tuple:
    split = _wide(xp, _groups(x, groups))
    inv = inv_std[:, None, :, None]
    normed = (split - mean[:, None, :, None]) * inv
    flat = _wide(xp, g).reshape(-1, x.shape[-1])
    db = flat.sum(0)
    dw = (flat * normed.reshape(flat.shape)).sum(0)
    h = _wide(xp, _groups(g if weight is None else g * weight, groups))
    dx = h - h.mean((1, 3), keepdims=True) - normed * (h * normed).mean((1, 3), keepdims=True)
    dx = (dx * inv).reshape(x.shape)
    return tuple([i.astype(x.dtype, copy=False) for i in (dx, dw, db)])


def _groups(x: Array, groups: int) -> Array:
    channels = x.shape[-1]
    return x.reshape(x.shape[0], math.prod(x.shape[1:-1]), groups, channels // groups)
