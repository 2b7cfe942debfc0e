"""A linear layer and its softmax cross-entropy, some rows at a time: the logits never exist as a whole.

With a large vocabulary the logits are the largest array of a language model, and softmax and its gradient two
more. Here a chunk of them is made, turned into loss and gradient in place, and pushed on into the products of
the layer before the next one is made (Wijmans et al. 2024; Hsu et al. 2024).
"""

from typing import Any

import numpy as np

from .._typing import Array
from .common import is_narrow

CHUNK = 1 << 21  # logits of a chunk: 8 MB in float32
FEWEST = 128  # rows of a chunk: the weight and its gradient pass through the products of each


def rows_per_chunk(classes: int) -> int:
    return max(FEWEST, CHUNK // max(1, classes))


def forward(
    lib: Any,
    x: Array,
    w: Array,
    b: Array | None,
    *,
    labels: Array,
    loss: dict[str, Any],
    reduction: int,
    grads: bool,
    lower: Any = None,
) -> tuple[Array, tuple[Array, Array, Array | None] | None]:
    """Loss, and with `grads` the gradients of x, w and b for a cotangent of 1 (reduction 1 mean, 2 sum).

    x (rows, in), w (in, classes), labels (rows). loss: the other arguments of softmax_cross_entropy.
    reduction 0 gives (rows) losses and no gradients: they are computed when their cotangents are known.
    lower: the 16-bit dtype of the products, where it is not that of the arrays.
    """
    dtype = x.dtype
    x, w, b = _cast(lower, x, w, b)
    step = rows_per_chunk(w.shape[1])
    grads = grads and reduction > 0
    dx = lib.empty(x.shape, dtype) if grads else None
    sums = None
    losses = []
    for start in range(0, x.shape[0], step):
        rows = slice(start, start + step)
        part, dz = _loss(lib, x[rows], w, b, labels[rows], loss, dtype, 2 if reduction else 0, grads)
        losses.append(part)
        if grads:
            dx[rows], sums = _pull(lib, dz, x[rows], w, b, sums)
            del dz  # before the next chunk's logits
    if not losses:
        losses = [lib.zeros((0,) if reduction == 0 else (), dtype)]
        sums = lib.zeros_like(w), None if b is None else lib.zeros_like(b)
    if reduction == 0:
        return lib.concatenate(losses), None
    total = losses[0]
    for part in losses[1:]:
        total = total + part
    found = (dx, *sums) if grads else None
    if reduction == 1:
        count = counted(lib, labels, loss)
        total = total / lib.asarray(count, total.dtype)
        for i in found or ():
            if i is not None:
                i /= lib.asarray(count, i.dtype)
    return lib.asarray(total), None if found is None else _cast(dtype, *found)


def backward(
    lib: Any,
    g: Array,
    x: Array,
    w: Array,
    b: Array | None,
    *,
    labels: Array,
    loss: dict[str, Any],
    lower: Any = None,
) -> tuple[Array, Array, Array | None]:
    """The gradients for a cotangent per row (reduction 0): the logits are made again, chunk by chunk."""
    dtype = x.dtype
    x, w, b = _cast(lower, x, w, b)
    step = rows_per_chunk(w.shape[1])
    dx = lib.empty(x.shape, dtype)
    sums = None
    for start in range(0, x.shape[0], step):
        rows = slice(start, start + step)
        _, dz = _loss(lib, x[rows], w, b, labels[rows], loss, dtype, 0, True)
        dz *= g[rows][:, None].astype(dz.dtype, copy=False)
        dx[rows], sums = _pull(lib, dz, x[rows], w, b, sums)
        del dz
    if sums is None:
        sums = lib.zeros_like(w), None if b is None else lib.zeros_like(b)
    return _cast(dtype, dx, *sums)


def counted(lib: Any, labels: Array, loss: dict[str, Any]) -> Any:
    """What a mean divides by: how many rows count, or the sum of their labels' weights."""
    ignored, weight = loss["ignore_index"], loss["weight"]
    if ignored is None:
        return labels.shape[0] if weight is None else weight[labels].sum()
    kept = labels != ignored
    return kept.sum() if weight is None else lib.where(kept, weight[lib.where(kept, labels, 0)], 0).sum()


def _cast(dtype: Any, *arrays: Any) -> tuple:
    """The arrays, or None among them, in `dtype`; as they are for a dtype of None."""
    if dtype is None:
        return arrays
    return tuple([i if i is None else i.astype(dtype, copy=False) for i in arrays])


def _loss(
    lib: Any, x: Array, w: Array, b: Any, labels: Array, loss: dict[str, Any], dtype: Any, *how: Any
) -> tuple:
    """The loss of a chunk, computed in `dtype`, and its gradient in that of x; the logits are gone."""
    z = lib.linear(x, w, b, relu=False).astype(dtype, copy=False)
    how = loss["ignore_index"], loss["label_smoothing"], *how
    found, dz = lib.softmax_cross_entropy(z, labels, loss["weight"], *how, in_place=True)
    return found, None if dz is None else dz.astype(x.dtype, copy=False)


def _pull(lib: Any, dz: Array, x: Array, w: Array, b: Array | None, sums: Any) -> tuple:
    """The chunk's cotangent of x, and the running sums of those of w and b, in at least 32 bits."""
    if sums is None:
        dx, *found = lib.linear_backward(dz, x, w, None, (True, True, b is not None))
        return dx, [i.astype(np.float32) if i is not None and is_narrow(i.dtype) else i for i in found]
    dw, db = sums
    dx, _, more = lib.linear_backward(dz, x, w, None, (True, False, b is not None))
    lib.add_product(dw, x.T, dz)
    if db is not None:
        db += more
    return dx, sums
