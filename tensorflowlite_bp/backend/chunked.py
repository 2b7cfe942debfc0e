"""A linear layer and its softmax cross-entropy, some rows at a time: the logits never exist as a whole.

With a large vocabulary the logits are the largest array of a language model, and softmax and its gradient two
more. Here a chunk of them is made, turned into loss and gradient in place, and pushed on into the products of
the layer before the next one is made (Wijmans et al. 2024; Hsu et al. 2024).
"""

from typing import Any

from .._typing import Array

CHUNK = 1 << 21  # logits of a chunk: 8 MB in float32, large enough for the products to run at full speed


def rows_per_chunk(classes: int) -> int:
    return max(1, CHUNK // max(1, classes))


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
) -> tuple[Array, tuple[Array, Array, Array | None] | None]:
    """Loss, and with `grads` the gradients of x, w and b for a cotangent of 1 (reduction 1 mean, 2 sum).

    x (rows, in), w (in, classes), labels (rows). loss: the other arguments of softmax_cross_entropy.
    reduction 0 gives (rows) losses and no gradients: they are computed when their cotangents are known.
    """
    step = rows_per_chunk(w.shape[1])
    grads = grads and reduction > 0
    dx = lib.empty(x.shape, x.dtype) if grads else None
    dw = db = None
    losses = []
    for start in range(0, x.shape[0], step):
        rows = slice(start, start + step)
        z = lib.linear(x[rows], w, b, relu=False)
        part, dz = _loss(lib, z, labels[rows], loss, 2 if reduction else 0, grads)
        losses.append(part)
        if grads:
            dx[rows], dw, db = _pull(lib, dz, x[rows], w, b, dw, db)
    if not losses:
        losses = [lib.zeros((0,) if reduction == 0 else (), x.dtype)]
        dw, db = lib.zeros_like(w), None if b is None else lib.zeros_like(b)
    if reduction == 0:
        return lib.concatenate(losses), None
    total = losses[0]
    for part in losses[1:]:
        total = total + part
    share = None
    if reduction == 1:
        share = lib.asarray(counted(lib, labels, loss), x.dtype)
        total = total / share
    if not grads:
        return lib.asarray(total), None
    found = (dx, dw, db)
    return lib.asarray(total), found if share is None else tuple(
        [None if i is None else i / share for i in found]
    )  # type: ignore[return-value]


def backward(
    lib: Any, g: Array, x: Array, w: Array, b: Array | None, *, labels: Array, loss: dict[str, Any]
) -> tuple[Array, Array, Array | None]:
    """The gradients for a cotangent per row (reduction 0): the logits are made again, chunk by chunk."""
    step = rows_per_chunk(w.shape[1])
    dx = lib.empty(x.shape, x.dtype)
    dw = db = None
    for start in range(0, x.shape[0], step):
        rows = slice(start, start + step)
        _, dz = _loss(lib, lib.linear(x[rows], w, b, relu=False), labels[rows], loss, 0, True)
        dx[rows], dw, db = _pull(lib, dz * g[rows][:, None], x[rows], w, b, dw, db)
    if dw is None:
        return dx, lib.zeros_like(w), None if b is None else lib.zeros_like(b)
    return dx, dw, db


def counted(lib: Any, labels: Array, loss: dict[str, Any]) -> Any:
    """What a mean divides by: how many rows count, or the sum of their labels' weights."""
    ignored, weight = loss["ignore_index"], loss["weight"]
    if ignored is None:
        return labels.shape[0] if weight is None else weight[labels].sum()
    kept = labels != ignored
    return kept.sum() if weight is None else lib.where(kept, weight[lib.where(kept, labels, 0)], 0).sum()


def _loss(lib: Any, z: Array, labels: Array, loss: dict[str, Any], reduction: int, grads: bool) -> tuple:
    return lib.softmax_cross_entropy(
        z, labels, loss["weight"], loss["ignore_index"], loss["label_smoothing"], reduction, grads
    )


def _pull(lib: Any, dz: Array, x: Array, w: Array, b: Array | None, dw: Any, db: Any) -> tuple:
    """The chunk's cotangent of x, and the running sums of those of w and b."""
    dx, more_w, more_b = lib.linear_backward(dz, x, w, None, (True, True, b is not None))
    if dw is None:
        return dx, more_w, more_b
    dw += more_w
    if db is not None:
        db += more_b
    return dx, dw, db
