"""The loss functions: one value per sample (the last axis averaged or summed), with Keras 3's formulas.

Those marked `_row_mean` are means of a value per element, which is kept as their attribute `each`.
"""

import inspect
import math

import numpy as np

from . import nn, ops
from ._floatx import EPSILON
from .autograd.tensor import Tensor
from .backend.batched import at_hand
from .errors import ShapeError, message


# ------------------------------------------------------------------- arguments
def _tensor(x):
    return x if isinstance(x, Tensor) else ops.asarray(x)


def _raw(x):
    return x.data if isinstance(x, Tensor) else x if hasattr(x, "dtype") else np.asarray(x)


def _target(y_true, y_pred):
    """y_true in y_pred's dtype: a raw array, or a Tensor when it records."""
    if isinstance(y_true, Tensor) and y_true.node is not None:
        return y_true if y_true.dtype == y_pred.dtype else ops.astype(y_true, y_pred.dtype)
    y_true = _raw(y_true)
    return y_true if y_true.dtype == y_pred.dtype else y_true.astype(y_pred.dtype)


def _same_shape(y_true, y_pred):
    """Both as arrays of one shape; a trailing axis of 1 is added or dropped where only one has it."""
    y_pred = _tensor(y_pred)
    y_true = _target(y_true, y_pred)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    t, p = y_true.shape, y_pred.shape
    if t == (*p, 1) and len(p) > 1:
        return y_true.reshape(p), y_pred
    if p == (*t, 1):
        return y_true.reshape(p), y_pred
    if t == (*p, 1):
        return y_true, ops.reshape(y_pred, t)
    raise ShapeError(
        message(
            "loss",
            "y_true and y_pred must have the same shape.",
            received=f"y_true {tuple(t)}, y_pred {tuple(p)}",
            hint="integer labels go with sparse_categorical_crossentropy."
            if len(t) == len(p) - 1 or t[1:] == (1,)
            else None,
        )
    )


def _row_mean(each):
    """The public loss function, a mean over the last axis, from its value per element."""

    def loss(y_true, y_pred, **options):
        return ops.mean(each(*_same_shape(y_true, y_pred), **options), axis=-1)

    loss.__name__ = loss.__qualname__ = each.__name__
    loss.__doc__ = each.__doc__
    loss.__signature__ = inspect.signature(each)
    loss.each = each
    return loss


def _normalized(x, axis):
    return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


# ------------------------------------------------------------------ regression
@_row_mean
def mean_squared_error(y_true, y_pred):
    """Mean over the last axis of (y_true - y_pred)**2."""
    return ops.square(y_pred - y_true)


@_row_mean
def mean_absolute_error(y_true, y_pred):
    """Mean over the last axis of |y_true - y_pred|."""
    return ops.abs(y_pred - y_true)


@_row_mean
def mean_absolute_percentage_error(y_true, y_pred):
    """100 times the mean over the last axis of |y_true - y_pred| / max(|y_true|, 1e-7)."""
    return 100.0 * ops.abs((y_pred - y_true) / ops.maximum(ops.abs(y_true), EPSILON))


@_row_mean
def mean_squared_logarithmic_error(y_true, y_pred):
    """Mean over the last axis of (log(1 + y_true) - log(1 + y_pred))**2, both at least 1e-7."""
    difference = ops.log(ops.maximum(y_pred, EPSILON) + 1) - ops.log(ops.maximum(y_true, EPSILON) + 1)
    return ops.square(difference)


@_row_mean
def huber(y_true, y_pred, delta=1.0):
    """Mean over the last axis of e**2 / 2 up to |e| = delta, delta * (|e| - delta / 2) beyond (Huber)."""
    error = y_pred - y_true
    size = ops.abs(error)
    return ops.where(size <= delta, 0.5 * ops.square(error), delta * size - 0.5 * delta**2)


@_row_mean
def log_cosh(y_true, y_pred):
    """Mean over the last axis of log(cosh(y_pred - y_true))."""
    error = y_pred - y_true
    return error + nn.softplus(-2.0 * error) - math.log(2.0)


@_row_mean
def poisson(y_true, y_pred):
    """Mean over the last axis of y_pred - y_true * log(y_pred + 1e-7)."""
    return y_pred - y_true * ops.log(y_pred + EPSILON)


def kl_divergence(y_true, y_pred):
    """Sum over the last axis of y_true * log(y_true / y_pred), both clipped to [1e-7, 1]."""
    y_true, y_pred = _same_shape(y_true, y_pred)
    y_true = ops.clip(y_true, EPSILON, 1.0)
    return ops.sum(y_true * ops.log(y_true / ops.clip(y_pred, EPSILON, 1.0)), axis=-1)


def cosine_similarity(y_true, y_pred, axis=-1):
    """Minus the cosine between y_true and y_pred along `axis`."""
    y_true, y_pred = _same_shape(y_true, y_pred)
    return -ops.sum(_normalized(_tensor(y_true), axis) * _normalized(y_pred, axis), axis=axis)


# --------------------------------------------------------------------- margins
def _signs(y_true):
    """Labels 0 and 1 become -1 and 1; others stay."""
    raw = _raw(y_true)
    return 2 * y_true - 1 if bool(((raw == 0) | (raw == 1)).all()) else y_true


@_row_mean
def hinge(y_true, y_pred):
    """Mean over the last axis of max(1 - y_true * y_pred, 0); labels -1 and 1, or 0 and 1."""
    return ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0)


@_row_mean
def squared_hinge(y_true, y_pred):
    """Mean over the last axis of max(1 - y_true * y_pred, 0)**2; labels -1 and 1, or 0 and 1."""
    return ops.square(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0))


def categorical_hinge(y_true, y_pred):
    """max(max over wrong classes of y_pred - y_pred of the right one + 1, 0); y_true one-hot."""
    y_true, y_pred = _same_shape(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    return ops.maximum(ops.max((1.0 - y_true) * y_pred, axis=-1) - right + 1.0, 0.0)


# ------------------------------------------------------------------ cross-entropy
def _smooth_binary(y_true, amount):
    return y_true * (1.0 - amount) + 0.5 * amount if amount else y_true


def _smooth_classes(y_true, amount):
    return y_true * (1.0 - amount) + amount / y_true.shape[-1] if amount else y_true


def _bernoulli(y_true, y_pred):
    p = ops.clip(y_pred, EPSILON, 1.0 - EPSILON)
    return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Mean over `axis` of -log p of labels 0 and 1 (or probabilities). y_pred: probabilities, or logits."""
    y_true, y_pred = _same_shape(y_true, y_pred)
    y_true = _smooth_binary(y_true, label_smoothing)
    if from_logits:
        return ops.mean(nn.sigmoid_cross_entropy(y_pred, y_true, reduction="none"), axis=axis)
    return ops.mean(_bernoulli(y_true, y_pred), axis=axis)


def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Binary cross-entropy times (1 - p of the label)**gamma (Lin et al. 2017); alpha weighs label 1 when
    balancing.
    """
    y_true, y_pred = _same_shape(y_true, y_pred)
    y_true = _smooth_binary(y_true, label_smoothing)
    if from_logits:
        y_pred = nn.sigmoid(y_pred)
    right = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    values = ops.power(1.0 - right, gamma) * _bernoulli(y_true, y_pred)
    if apply_class_balancing:
        values = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * values
    return ops.mean(values, axis=axis)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-sum of y_true * log p over `axis`. y_true: one-hot or probabilities; y_pred: probabilities (made to
    sum to 1), or logits.
    """
    y_true, y_pred = _same_shape(y_true, y_pred)
    y_true = _smooth_classes(y_true, label_smoothing)
    if from_logits:
        if axis not in (-1, y_pred.ndim - 1):
            y_true, y_pred = ops.moveaxis(_tensor(y_true), axis, -1), ops.moveaxis(y_pred, axis, -1)
        return nn.softmax_cross_entropy(y_pred, y_true, reduction="none")
    p = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    return -ops.sum(y_true * ops.log(ops.clip(p, EPSILON, 1.0 - EPSILON)), axis=axis)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """-log p of the labelled class. y_true: integers (...) or (..., 1); y_pred: (..., classes).
    `ignore_class` counts 0.

    Raises ShapeError when labels do not fit, ValueError for the first label out of range
    (on a device: NaN).

    >>> float(sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0].numpy().round(6))
    0.693147
    """
    y_pred = _tensor(y_pred)
    if axis not in (-1, y_pred.ndim - 1):
        y_pred = ops.moveaxis(y_pred, axis, -1)
    labels = _labels(y_true, y_pred)
    if from_logits:
        return nn.softmax_cross_entropy(y_pred, labels, ignore_index=ignore_class, reduction="none")
    valid = None if ignore_class is None else labels != ignore_class
    if valid is not None:
        labels = labels * valid
    wrong = (labels < 0) | (labels >= y_pred.shape[-1])
    if at_hand(wrong) and wrong.any():
        _raise_label(labels[wrong], y_pred.shape[-1])
    p = ops.take_along_axis(y_pred, labels[..., None], axis=-1) / ops.sum(y_pred, axis=-1, keepdims=True)
    loss = -ops.log(ops.clip(p[..., 0], EPSILON, 1.0 - EPSILON))
    if not at_hand(wrong):  # a device is not waited for: its wrong labels give NaN
        loss = ops.where(wrong, math.nan, loss)
    return loss if valid is None else ops.where(valid, loss, 0.0)


def _labels(y_true, y_pred):
    """Integer labels as a raw array of y_pred's shape without the last axis. Floats that hold whole numbers
    are taken too.
    """
    labels, shape = _raw(y_true), y_pred.shape[:-1]
    if labels.shape != shape:
        if labels.shape != (*shape, 1):
            raise ShapeError(
                message(
                    "sparse_categorical_crossentropy",
                    "one integer label per prediction was expected.",
                    received=f"labels {tuple(labels.shape)}, predictions {y_pred.shape}",
                    hint="one-hot labels go with categorical_crossentropy."
                    if labels.shape == y_pred.shape
                    else None,
                )
            )
        labels = labels.reshape(shape)
    return labels if labels.dtype.kind in "iu" else labels.astype(np.int64)


def _raise_label(wrong, classes):
    raise ValueError(
        message(
            "sparse_categorical_crossentropy",
            f"labels from 0 to {classes - 1} were expected.",
            received=f"label {int(wrong[0])}",
            hint="does the last layer have one unit per class? Do labels start at 1?",
        )
    )
