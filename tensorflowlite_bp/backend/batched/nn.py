"""Fused neural functions on Batched arrays: the samples join the batch, the channels or the groups."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import activations, by_type, row_norms
from .. import conv as convolution
from . import array
from .array import Batched, aligned, made, scope, sizes, whole
from .shape import flat, unflat

RULES: dict[str, Callable] = {}


def _lib(*xs: Any) -> Any:
    return by_type[type(next((x.data for x in xs if isinstance(x, Batched)), xs[0]))]


def _count(levels: Any) -> int:
    return math.prod(sizes(levels))


# ------------------------------------------------------------------ windows: samples join the batch
def _joined(x: Any, levels: Any) -> Any:
    """(samples x batch, ...)"""
    data = flat(x, levels)
    return data.reshape((-1, *data.shape[2:]))


def _parted(data: Any, levels: Any, env: Any) -> Any:
    n = _count(levels)
    return unflat(data.reshape((n, data.shape[0] // n if n else 0, *data.shape[1:])), levels, env)


def _folding(name: str) -> None:
    """A function whose arrays all have a first axis of examples."""

    def call(x: Any, *, index: Any = None, x_shape: Any = None, **how: Any) -> Any:
        levels, env = scope((x, index))
        function = getattr(_lib(x, index), name)
        if index is not None:
            how["index"] = _joined(index, levels)
        if x_shape is not None:
            how["x_shape"] = (x_shape[0] * _count(levels), *x_shape[1:])
        found = function(_joined(x, levels), **how)
        if type(found) is tuple:
            return tuple([None if f is None else _parted(f, levels, env) for f in found])
        return _parted(found, levels, env)

    RULES[name] = call


for _name in (
    "max_pool_forward", "max_pool_input_grad", "max_pool_gather", "avg_pool_forward", "avg_pool_input_grad",
):  # fmt: skip
    _folding(_name)


# ------------------------------------------------------------------ convolution: batch, filters or groups
def _mapped(x: Any) -> bool:
    return isinstance(x, Batched) and bool(x.levels)


def _channels(x: Any, levels: Any, groups: int) -> Any:
    """(batch, *space, samples x channels): sample by sample, so that each is `groups` groups of its own."""
    data = np.moveaxis(flat(x, levels), 0, -2)
    return data.reshape((*data.shape[:-2], -1))


def _of_channels(data: Any, levels: Any, env: Any) -> Any:
    n = _count(levels)
    data = data.reshape((*data.shape[:-1], n, data.shape[-1] // n))
    return unflat(np.ascontiguousarray(np.moveaxis(data, -2, 0)), levels, env)


def _conv(
    name: str, first: Any, second: Any, groups: int, joins: bool, shape: dict[str, Any], **how: Any
) -> Any:
    """first and second: arrays of a convolution's map. joins: whether first's samples may join its batch,
    where second has none.
    """
    levels, env = scope((first, second))
    function = getattr(_lib(first, second), name)
    if not _mapped(second) and joins:
        second = second.data if isinstance(second, Batched) else second
        if "x_shape" in shape:
            shape = {"x_shape": (shape["x_shape"][0] * _count(levels), *shape["x_shape"][1:])}
        found = function(_joined(first, levels), second, groups=groups, **shape, **how)
        return _parted(found, levels, env)
    n = _count(levels)
    shape = {key: (*s[:-1], s[-1] * n) for key, s in shape.items()}
    found = function(
        _channels(first, levels, groups), _channels(second, levels, groups), groups=groups * n, **shape, **how
    )
    return _of_channels(found, levels, env)


def conv_forward(x: Any, w: Any, *, groups: int, **how: Any) -> Any:
    return _conv("conv_forward", x, w, groups, True, {}, **how)


def conv_input_grad(g: Any, w: Any, *, x_shape: Any, groups: int, **how: Any) -> Any:
    return _conv("conv_input_grad", g, w, groups, True, {"x_shape": x_shape}, **how)


def conv_weight_grad(g: Any, x: Any, *, w_shape: Any, groups: int, **how: Any) -> Any:
    return _conv("conv_weight_grad", g, x, groups, False, {"w_shape": w_shape}, **how)


# ------------------------------------------------------------------ compositions that hold as they are
def _composed(function: Callable) -> Callable:
    return lambda *args, **kwargs: function(array.functions, *args, **kwargs)


for _function in (
    activations.softmax_backward, activations.log_softmax_backward, row_norms.row_norm,
    row_norms.row_norm_backward, row_norms.group_norm, row_norms.group_norm_backward,
):  # fmt: skip
    RULES[_function.__name__] = _composed(_function)


RULES["conv"] = _composed(convolution.fused_forward)
RULES["conv_backward"] = _composed(convolution.fused_backward)


# ------------------------------------------------------------------ batch norm: samples are further channels
def _with_channels(x: Any, levels: Any, axis: int) -> Any:
    data = np.moveaxis(np.moveaxis(flat(x, levels), axis % x.ndim + 1, -1), 0, -2)
    return data.reshape((*data.shape[:-2], -1))


def _from_channels(data: Any, levels: Any, env: Any, axis: int, ndim: int) -> Any:
    n = _count(levels)
    data = np.moveaxis(data.reshape((*data.shape[:-1], n, -1)), -2, 0)
    return unflat(np.moveaxis(data, -1, axis % ndim + 1), levels, env)


def _per_channel(p: Any, levels: Any) -> Any:
    return None if p is None else np.ascontiguousarray(flat(p, levels)).reshape(-1)


def _statistic(data: Any, levels: Any, env: Any) -> Any:
    return unflat(data.reshape((_count(levels), -1)), levels, env)


def batch_norm(x: Any, weight: Any, bias: Any, *, eps: float, axis: int, relu: bool = False) -> tuple:
    levels, env = scope((x, weight, bias))
    out, *stats, kept = _lib(x, weight, bias).batch_norm(
        np.ascontiguousarray(_with_channels(x, levels, axis)),
        _per_channel(weight, levels), _per_channel(bias, levels), eps=eps, axis=-1, relu=relu,
    )  # fmt: skip
    out = _from_channels(out, levels, env, axis, x.ndim)
    if type(kept) is tuple:
        kept = tuple([_statistic(k, levels, env) for k in kept])
    elif hasattr(kept, "shape"):
        kept = out
    return out, *[_statistic(s, levels, env) for s in stats], kept


def batch_norm_backward(
    g: Any, x: Any, weight: Any, bias: Any, mean: Any, inv_std: Any, *, axis: int, relu: Any = None
) -> tuple:
    kept = relu if type(relu) is tuple else (relu,)
    levels, env = scope((g, x, weight, bias, mean, inv_std, *kept))
    if type(relu) is tuple:
        relu = tuple([_per_channel(k, levels) for k in relu])
    elif hasattr(relu, "shape"):
        relu = np.ascontiguousarray(_with_channels(relu, levels, axis))
    wide = [np.ascontiguousarray(_with_channels(a, levels, axis)) for a in (g, x)]
    dx, *rest = _lib(g, x, weight, mean).batch_norm_backward(
        *wide, *[_per_channel(p, levels) for p in (weight, bias, mean, inv_std)], axis=-1, relu=relu
    )
    return _from_channels(dx, levels, env, axis, x.ndim), *[_statistic(r, levels, env) for r in rest]


# ------------------------------------------------------------------ losses: samples are further rows
def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    weight: Any,
    ignore_index: Any,
    smoothing: float,
    reduction: int,
    want_grad: bool,
) -> tuple:
    levels, env = scope((logits, labels))
    lib = _lib(logits, labels)
    z, y = whole(logits, levels), whole(labels, levels)
    z, y = np.ascontiguousarray(z), np.ascontiguousarray(y)
    rows, slopes = lib.softmax_cross_entropy(z, y, weight, ignore_index, smoothing, 0, want_grad)
    loss: Any = made(rows, levels, env)
    grad: Any = None if slopes is None else made(slopes, levels, env)
    if reduction == 0:
        return loss, grad
    loss = loss.sum()
    if reduction == 1:
        weights: Any = made(_weights(y, weight, ignore_index, loss.dtype), levels, env)
        count = weights.sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            share = 1 / count
            loss = loss * share
            grad = None if grad is None else np.where(grad == 0, grad, grad * share)
    return loss, grad


def _weights(labels: Any, weight: Any, ignore_index: Any, dtype: Any) -> Any:
    kept = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    if weight is None:
        return kept.astype(dtype)
    return np.where(kept, weight[np.where(kept, labels, 0)], 0).astype(dtype)


def sigmoid_cross_entropy(z: Any, y: Any, want_grad: bool) -> tuple:
    levels, env = scope((z, y))
    ndim = max(z.ndim, y.ndim)
    data = np.broadcast_arrays(aligned(z, levels, ndim), aligned(y, levels, ndim))
    found = _lib(z, y).sigmoid_cross_entropy(*[np.ascontiguousarray(d) for d in data], want_grad)
    return tuple([None if f is None else made(f, levels, env) for f in found])


def ctc_loss(logits: Any, *, labels: Any, steps: Any, lengths: Any, blank: int) -> tuple:
    levels, env = scope((logits, labels, steps, lengths))
    joined = [_joined(x, levels) for x in (logits, labels, steps, lengths)]
    found = _lib(logits, labels).ctc_loss(
        joined[0], labels=joined[1], steps=joined[2], lengths=joined[3], blank=blank
    )
    return tuple([_parted(f, levels, env) for f in found])


def dropped(x: Any, *, rate: float, seed: int, offset: int) -> Any:
    """One mask for all samples, as a rule has it that many cotangents meet."""
    return x * _lib(x).keep_mask(x.shape, rate, x.dtype, seed=seed, offset=offset)


RULES.update(
    {
        f.__name__: f
        for f in (
            conv_forward, conv_input_grad, conv_weight_grad, batch_norm, batch_norm_backward,
            softmax_cross_entropy, sigmoid_cross_entropy, ctc_loss, dropped,
        )
    }
)  # fmt: skip
