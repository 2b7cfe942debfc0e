"""Softmax, its logarithm, cross-entropy and CTC with their gradients. References: `backend/common.py`,
`backend/ctc.py`.
"""

import math
from typing import Any

from ..._typing import Array
from .geometry import KEPT, accumulator, ceil_div, one_block, rows, type_name
from .host import Host

NONE, MEAN, SUM = 0, 1, 2
CLUSTER = (
    8  # as in clusters.cuh: blocks that take a row together where it is too long for one's shared memory
)


def softmax(host: Host, x: Array, *, log: bool = False) -> Array:
    """Over the last axis."""
    x = host.dense(x)
    out = host.empty(x.shape, x.dtype)
    if not x.size:
        return out
    classes = x.shape[-1]
    count = x.size // classes
    how, grid, block, shared = rows(count, classes, x.itemsize)
    host.launch(f"softmax<{type_name(x)}, {how}>", grid, block, (x, out, count, classes, int(log)), shared)
    return out


def softmax_backward(host: Host, g: Array, out: Array, *, log: bool = False) -> Array:
    """The cotangent of x, from that of out = softmax(x)."""
    g, out = host.dense(g), host.dense(out)
    dx = host.empty(out.shape, out.dtype)
    if not out.size:
        return dx
    classes = out.shape[-1]
    count = out.size // classes
    how, grid, block, _ = rows(count, classes, out.itemsize)
    warp = how.split(",")[0]
    name = f"softmax_backward<{type_name(out)}, {warp}>"
    host.launch(name, grid, block, (g, out, dx, count, classes, int(log)))
    return dx


def softmax_cross_entropy(
    host: Host,
    z: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int | None,
    smoothing: float,
    reduction: int,
    want_grad: bool,
    *,
    in_place: bool = False,
) -> tuple[Array, Array | None]:
    """Loss and d loss / d logits, as `common.softmax_cross_entropy`. With `in_place` the gradient overwrites
    z.

    A label out of range, which the host functions refuse, gives NaN here: to look for one would wait for the
    device.
    """
    xp, classes = host.xp, z.shape[-1]
    z, labels = host.dense(z), host.dense(labels.astype(xp.int64, copy=False))
    wide = accumulator(xp, z.dtype)
    if weight is not None:
        weight = host.dense(weight.astype(wide, copy=False))
    count = labels.size
    ignored = (0, 0) if ignore_index is None else (int(ignore_index), 1)
    loss = host.empty(labels.shape, wide)
    grad = None if not want_grad else z if in_place else host.empty(z.shape, z.dtype)
    share = None
    if reduction == MEAN and weight is None and ignore_index is None:
        share = xp.full((), 1 / count if count else math.inf, wide)
    elif reduction == MEAN:
        share = host.empty((), wide)
        name = f"label_share<{type_name(share)}>"
        host.launch(name, 1, one_block(count), (labels, weight, share, count, classes, *ignored))
    size = classes * z.itemsize
    tail = (classes, float(smoothing), *ignored)
    if host.clusters and count and KEPT < size <= CLUSTER * (KEPT - 32):
        per = ceil_div(ceil_div(classes, CLUSTER) * z.itemsize, 16) * 16 // z.itemsize
        args = (z, labels, weight, share, loss, grad, per, *tail)
        name = f"softmax_cross_entropy_cluster<{type_name(z)}>"
        host.launch(name, CLUSTER * count, 512, args, (per * z.itemsize + 32) // 16 * 16)
    elif count and classes:
        how, grid, block, shared = rows(count, classes, z.itemsize)
        args = (z, labels, weight, share, loss, grad, count, *tail)
        host.launch(f"softmax_cross_entropy<{type_name(z)}, {how}>", grid, block, args, shared)
    if not reduction:
        return loss.astype(z.dtype, copy=False), grad
    total = host.empty((), z.dtype)
    host.launch(f"scaled_total<{type_name(z)}>", 1, one_block(count), (loss, share, total, count))
    return total, grad


def ctc_fits(labels: Array, dtype: Any) -> bool:
    """Whether two rows of the states of labels (samples, most) fit shared memory."""
    return 2 * (2 * labels.shape[1] + 1) * max(dtype.itemsize, 4) <= KEPT


def ctc(
    host: Host, logits: Array, labels: Array, steps: Array, lengths: Array, blank: int
) -> tuple[Array, Array]:
    """-log p(label) per sample, and its gradient, as `ctc.loss_and_grad`. logits (samples, time, classes)."""
    xp, dtype = host.xp, logits.dtype
    logp = softmax(host, logits.astype(accumulator(xp, dtype), copy=False), log=True)
    labels, steps, lengths = [host.dense(a.astype(xp.int64, copy=False)) for a in (labels, steps, lengths)]
    (samples, time, classes), most = logits.shape, labels.shape[1]
    path = host.empty((samples, time, 2 * most + 1), logp.dtype)
    chain, loss = host.empty((samples, most), xp.int64), host.empty((samples,), logp.dtype)
    t, block = type_name(logp), min(256, ceil_div(2 * most + 1, 32) * 32)
    sizes = (time, classes, most, blank)
    args = (logp, labels, steps, lengths, path, chain, loss, *sizes)
    host.launch(f"ctc<{t}>", samples, block, args, 2 * (2 * most + 1) * logp.itemsize)
    grad = host.empty(logp.shape, logp.dtype)
    args = (logp, labels, steps, lengths, path, chain, loss, grad, *sizes)
    host.launch(f"ctc_gradient<{t}>", samples * time, 256 if classes > 128 else 128, args)
    return loss.astype(dtype, copy=False), grad.astype(dtype, copy=False)
