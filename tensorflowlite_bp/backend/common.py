"""Compositions that every backend shares, written against `xp` (numpy or cupy).

They are the references of the kernels: short, stable, and used whenever no kernel fits. Of `xp` they take
what NumPy and CuPy both have, and they never wait for a device. `np.errstate` is for NumPy; CuPy never warns.
"""

import math
from typing import Any

import numpy as np

from .._typing import Array, Axis, Shape
from ..errors import message


def count(shape: Shape, axis: Axis) -> int:
    """How many elements a reduction over `axis` takes together."""
    if axis is None:
        return math.prod(shape)
    axes = (axis,) if isinstance(axis, int) else axis
    for a in axes:
        if not -len(shape) <= a < len(shape):
            raise np.exceptions.AxisError(a, len(shape))
    return math.prod(shape[a] for a in axes)


def is_narrow(dtype: np.dtype) -> bool:
    """16-bit floats, whose sums are taken in float32."""
    return dtype.itemsize == 2 and dtype.kind in "fV"


# ------------------------------------------------------------------ reductions
def sum_to(lib: Any, x: Array, shape: Shape) -> Array:
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1
    )
    return lib.sum(x, axis=axes, keepdims=True).reshape(shape)


def var(lib: Any, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    wide = x.astype(np.float32) if is_narrow(x.dtype) else x
    centred = wide - lib.mean(wide, axis=axis, keepdims=True)
    squares = (centred * centred.conj()).real if wide.dtype.kind == "c" else centred * centred
    divisor = squares.dtype.type(count(x.shape, axis) - correction)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = lib.divide(lib.sum(squares, axis=axis, keepdims=keepdims), divisor)
    return out.astype(x.dtype) if wide is not x else out


# ------------------------------------------------------------------ indexing
def is_basic(index: Any) -> bool:
    """Whether an index is of NumPy's basic kind (ints, slices, Ellipsis, None): a view, no element twice."""
    if type(index) is tuple:
        for part in index:
            if not (
                part is None
                or part is Ellipsis
                or isinstance(part, slice)
                or type(part) is int
                or _is_int(part)
            ):
                return False
        return True
    return (
        index is None or index is Ellipsis or isinstance(index, slice) or type(index) is int or _is_int(index)
    )


def _is_int(part: Any) -> bool:
    return (
        hasattr(part, "__index__")
        and not isinstance(part, bool)
        and getattr(part, "ndim", 0) == 0
        and getattr(getattr(part, "dtype", None), "kind", "i") in "iu"
    )


def add_at_rows(xp: Any, out: Array, index: Any, x: Array) -> None:
    """out[index] += x with repeated indices adding up in order.

    For one integer array on the first axis (an embedding's gradient), rows are sorted and summed by segments:
    add.at walks element by element, 10 times slower.
    """
    rows: Any = index[0] if type(index) is tuple and len(index) == 1 else index
    if (
        isinstance(rows, xp.ndarray)
        and rows.dtype.kind in "iu"
        and out.ndim > 1
        and rows.size > 0
        and out[0].size > 0
    ):
        flat = rows.reshape(-1)
        flat = xp.where(flat < 0, flat + out.shape[0], flat)
        order = xp.argsort(flat, kind="stable")
        ordered = flat[order]
        starts = xp.flatnonzero(xp.concatenate([xp.ones(1, bool), ordered[1:] != ordered[:-1]]))
        values = x.reshape((flat.size,) + out.shape[1:])[order]
        out[ordered[starts]] = xp.add.reduceat(values, starts, axis=0)
        return
    xp.add.at(out, index, x)


def along_axis(xp: Any, indices: Array, axis: int, shape: Shape) -> tuple[Array, ...]:
    """The index tuple that take_along_axis uses."""
    grid = []
    for i in range(len(shape)):
        if i == axis % len(shape):
            grid.append(indices)
        else:
            grid.append(xp.arange(indices.shape[i]).reshape((-1,) + (1,) * (len(shape) - i - 1)))
    return tuple(grid)


# ------------------------------------------------------------------ softmax family
def _shift(xp: Any, x: Array, axis: Axis, top: Array) -> Array:
    return x - xp.where(xp.isfinite(top), top, 0)  # a row of -inf, or with +inf, must not give inf - inf here


def norm2(xp: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    """The Euclidean length, scaled by the largest entry so that squares neither overflow nor vanish."""
    size = xp.absolute(x)
    if not size.size:
        return xp.sqrt(xp.add.reduce(size, axis=axis, keepdims=keepdims))
    top = xp.max(size, axis=axis, keepdims=True)
    scale = xp.where((top > 0) & xp.isfinite(top), top, size.dtype.type(1))
    part = size / scale
    out = xp.sqrt(xp.add.reduce(part * part, axis=axis, keepdims=True)) * scale
    return out if keepdims else out.reshape(()) if axis is None else xp.squeeze(out, axis=axis)


def logsumexp(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    if not x.size:
        shape = xp.sum(x, axis=axis, keepdims=keepdims).shape
        return xp.full(shape, -xp.inf, x.dtype)
    top = xp.max(
        x.real, axis=axis, keepdims=True
    )  # of complex numbers: the imaginary part stays in log's range
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(x - top), axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):
        out = xp.log(total) + top
    out = out.astype(x.dtype)
    return out if keepdims else out.reshape(xp.sum(x, axis=axis).shape)


def softmax(xp: Any, x: Array, axis: int) -> Array:
    if x.size == 0:
        return x.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
        return e / xp.sum(e, axis=axis, keepdims=True)


def log_softmax(xp: Any, x: Array, axis: int) -> Array:
    if x.size == 0:
        return x.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = x - xp.max(x, axis=axis, keepdims=True)
        return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def softmax_cross_entropy(
    xp: Any,
    z: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int | None,
    smoothing: float,
    reduction: int,
    want_grad: bool,
) -> tuple[Array, Array | None]:
    """Loss and d loss / d logits. See ops/losses.py for the meaning; reduction is 0 none, 1 mean, 2 sum.

    A label out of range gives NaN: to look for one would wait for the device. `check_labels` does, on the
    host.
    """
    classes = z.shape[-1]
    dtype = z.dtype
    logp = log_softmax(xp, z.astype(xp.float32) if dtype.itemsize == 2 else z, -1)
    kept = xp.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    inside = (labels >= 0) & (labels < classes)
    target = xp.where(kept & inside, labels, 0)[..., None]
    of_class = xp.ones(classes, logp.dtype) if weight is None else weight.astype(logp.dtype)
    scale = xp.where(kept, of_class[target[..., 0]], 0).astype(logp.dtype)
    even = smoothing / classes
    loss = -(1 - smoothing) * scale * xp.where(kept, xp.take_along_axis(logp, target, -1)[..., 0], 0)
    loss = xp.where(kept & ~inside, logp.dtype.type(math.nan), loss)
    if smoothing:
        loss -= even * xp.where(kept, (logp * of_class).sum(-1), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 / scale.sum() if reduction == 1 else logp.dtype.type(1)
        if reduction:
            loss = xp.asarray(loss.sum() * share)  # 0-d, as NumPy's sums are not
        if not want_grad:
            return loss.astype(dtype), None
        hit = ((1 - smoothing) * scale)[..., None]
        grad = xp.exp(logp) * (hit + even * of_class.sum()) - even * of_class
        grad[along_axis(xp, target, -1, grad.shape)] -= hit
        grad = xp.where(kept[..., None], grad * share, 0)
    return loss.astype(dtype), grad.astype(dtype)


def sigmoid_cross_entropy(xp: Any, z: Array, y: Array, want_grad: bool) -> tuple[Array, Array | None]:
    """max(z, 0) - z y + log1p(exp(-|z|)), and its derivative sigmoid(z) - y."""
    e = xp.exp(-xp.abs(z))
    loss = xp.maximum(z, 0) - z * y + xp.log1p(e)
    if not want_grad:
        return loss, None
    return loss, xp.where(z >= 0, 1, e) / (1 + e) - y


def check_labels(labels: np.ndarray, classes: int, ignore_index: int | None) -> None:
    """Raises ValueError naming the first label out of range, as the kernel does."""
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside &= labels != ignore_index
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise ValueError(
            message(
                "softmax_cross_entropy",
                f"labels must be in [0, {classes}).",
                received=f"label {int(labels.reshape(-1)[at])} at position {at}",
                hint="labels count from 0; the last axis of the logits holds one entry per class, and "
                "ignore_index names a label to leave out.",
            )
        )


# ------------------------------------------------------------------ linear
def linear(xp: Any, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
    out = (
        xp.dot(x, w)
        if x.ndim <= 2
        else xp.dot(x.reshape(-1, x.shape[-1]), w).reshape(x.shape[:-1] + (w.shape[1],))
    )
    if b is not None:
        out += b
    if relu:
        xp.maximum(out, 0, out=out)
    return out


def linear_backward(
    lib: Any, g: Array, x: Array, w: Array, mask: Array | None, needs: tuple[bool, bool, bool]
) -> tuple:
    if mask is not None:
        g = g * (mask > 0)
    rows = g.reshape(-1, w.shape[1])
    dx = lib.matmul(rows, w.T).reshape(x.shape) if needs[0] else None
    dw = lib.matmul(x.reshape(-1, w.shape[0]).T, rows) if needs[1] else None
    db = lib.sum(rows, axis=0) if needs[2] else None
    return dx, dw, db


# ------------------------------------------------------------------ batch norm
def _channel_axes(x: Array, axis: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    axis %= x.ndim
    others = tuple(i for i in range(x.ndim) if i != axis)
    return others, tuple(n if i == axis else 1 for i, n in enumerate(x.shape))


def batch_norm(
    xp: Any, x: Array, weight: Array | None, bias: Array | None, eps: float, axis: int, relu: bool = False
) -> tuple:
    """(out, mean, var, inv_std, what the backward needs of ReLU: here `out`, or None without); the variance
    is the biased one; statistics of 16-bit inputs are float32.
    """
    others, shape = _channel_axes(x, axis)
    wide = x.astype(xp.float32) if x.dtype.itemsize == 2 else x
    mean = xp.mean(wide, axis=others)
    centred = wide - mean.reshape(shape)
    var = xp.mean(centred * centred, axis=others)
    inv_std = 1 / xp.sqrt(var + var.dtype.type(eps))
    out = centred * inv_std.reshape(shape)
    if weight is not None:
        out *= weight.reshape(shape)
    if bias is not None:
        out += bias.reshape(shape)
    if relu:
        xp.maximum(out, 0, out=out)
    out = out.astype(x.dtype, copy=False)
    return out, mean, var, inv_std, out if relu else None


def batch_norm_backward(
    xp: Any,
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    inv_std: Array,
    axis: int,
    relu: Array | None = None,
) -> tuple:
    """(dx, dweight, dbias). relu: the last of what batch_norm gave."""
    if relu is not None:
        g = g * (relu > 0)
    others, shape = _channel_axes(x, axis)
    n = x.size // mean.size if mean.size else 1
    wide_g = g.astype(mean.dtype, copy=False)
    normed = (x.astype(mean.dtype, copy=False) - mean.reshape(shape)) * inv_std.reshape(shape)
    db = xp.sum(wide_g, axis=others)
    dw = xp.sum(wide_g * normed, axis=others)
    scale = inv_std if weight is None else inv_std * weight
    dx = scale.reshape(shape) * (wide_g - (db / n).reshape(shape) - normed * (dw / n).reshape(shape))
    return dx.astype(x.dtype, copy=False), dw.astype(x.dtype, copy=False), db.astype(x.dtype, copy=False)


# ------------------------------------------------------------- optimiser steps (Keras 3's formulas, in place)
# scale, and Adam's step, are numbers, or 0-d float64 arrays on a device that is not waited for.
def _number(v: Any, dtype: np.dtype) -> Any:
    return v.astype(dtype) if hasattr(v, "dtype") else dtype.type(v)


def scaled(g: Array, scale: Any) -> Array:
    """g times a number, or times a 0-d array on a device."""
    return g if isinstance(scale, (int, float)) and scale == 1 else g * _number(scale, g.dtype)


def sgd_step(xp, params, grads, velocities, lr, momentum, nesterov, weight_decay, scale) -> None:
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        step = g * _number(lr * scale, p.dtype)
        if weight_decay:
            p -= p * p.dtype.type(weight_decay * lr)
        if velocities is None:
            p -= step
            continue
        v = velocities[i]
        v *= p.dtype.type(momentum)
        v -= step
        if nesterov:
            p += v * p.dtype.type(momentum) - step
        else:
            p += v


def adam_step(xp, params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats) -> None:
    root = xp.sqrt if hasattr(step, "dtype") else math.sqrt
    alpha = lr * root(1 - beta2**step) / (1 - beta1**step)
    for i, (p, g, m, v) in enumerate(zip(params, grads, ms, vs, strict=True)):
        real = p.dtype.type
        g = scaled(g, scale)
        if weight_decay:
            p -= p * real(weight_decay * lr)
        m += (g - m) * real(1 - beta1)
        v += (g * g - v) * real(1 - beta2)
        second = v
        if vhats is not None:
            second = xp.maximum(vhats[i], v, out=vhats[i])
        p -= m * _number(alpha, p.dtype) / (xp.sqrt(second) + real(eps))


def rmsprop_step(
    xp, params, grads, squares, means, velocities, lr, rho, momentum, eps, weight_decay, scale
) -> None:
    for i, (p, g, square) in enumerate(zip(params, grads, squares, strict=True)):
        real = p.dtype.type
        g = scaled(g, scale)
        if weight_decay:
            p -= p * real(weight_decay * lr)
        square *= real(rho)
        square += g * g * real(1 - rho)
        below = square
        if means is not None:
            means[i] *= real(rho)
            means[i] += g * real(1 - rho)
            below = square - means[i] * means[i]
        step = g * real(lr) / xp.sqrt(below + real(eps))
        if velocities is not None:
            velocities[i] *= real(momentum)
            velocities[i] += step
            step = velocities[i]
        p -= step


def lion_step(xp, params, grads, ms, lr, beta1, beta2, weight_decay, scale) -> None:
    for p, g, m in zip(params, grads, ms, strict=True):
        real = p.dtype.type
        g = scaled(g, scale)
        if weight_decay:
            p -= p * real(weight_decay * lr)
        p -= xp.sign(m * real(beta1) + g * real(1 - beta1)) * real(lr)
        m *= real(beta2)
        m += g * real(1 - beta2)


def sum_of_squares(xp: Any, arrays: list[Array]) -> float:
    return float(sum(float(xp.vdot(a64 := a.astype(xp.float64), a64)) for a in arrays))


# ------------------------------------------------------------------ random bits
def philox(xp: Any, n: int, seed: int, offset: int) -> Array:
    """n words of Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011). Block i has counter offset + i and key
    `seed`.
    """
    blocks = -(-n // 4)
    mask = xp.uint64(0xFFFFFFFF)
    counter = xp.arange(blocks, dtype=xp.uint64) + xp.uint64(offset & 0xFFFFFFFFFFFFFFFF)
    c0, c1 = counter & mask, counter >> xp.uint64(32)
    c2 = xp.zeros_like(c0)
    c3 = xp.zeros_like(c0)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    half = xp.uint64(32)
    for _ in range(10):
        left = c0 * xp.uint64(0xD2511F53)
        right = c2 * xp.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (right >> half) ^ c1 ^ xp.uint64(k0),
            right & mask,
            (left >> half) ^ c3 ^ xp.uint64(k1),
            left & mask,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return xp.stack([c0, c1, c2, c3], axis=1).astype(xp.uint32).reshape(-1)[:n]


# ------------------------------------------------------------------ activations that NumPy lacks
def sigmoid(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "c":
        left = x.real < 0
        e = xp.exp(xp.where(left, x, -x))
        return xp.where(left, e, 1) / (1 + e)
    e = xp.exp(-xp.abs(x))
    return (xp.where(x >= 0, 1, e) / (1 + e)).astype(
        x.dtype if x.dtype.kind in "fV" else xp.float64, copy=False
    )


def softplus(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "c":  # the principal value of log(1 + exp(x))
        top = xp.maximum(x.real, 0)
        rest = xp.exp(x - top)
        return xp.where(top > 0, top + xp.log(rest + xp.exp(-top)), xp.log1p(rest))
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))
