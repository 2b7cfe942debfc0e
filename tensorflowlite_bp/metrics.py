"""Metrics under Keras' names: running values over batches, outside the tape.

`resolve` picks the kind of accuracy and cross-entropy by shapes, as `compile` does.
"""

import numpy as np

from . import _loss_functions as functions
from ._loss_functions import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ._metric_base import Mean, MeanMetricWrapper, Metric, Sum, beside, pair, raw
from ._metric_confusion import AUC, F1Score, FBetaScore, Precision, Recall
from ._registry import Registry
from .errors import ShapeError, message

_registry = Registry("metric")


# --------------------------------------------------------------------- accuracies
def accuracy(y_true, y_pred):
    """Where y_true equals y_pred: booleans."""
    y_true, y_pred = pair("accuracy", y_true, y_pred)
    return y_true == y_pred


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Where labels 0 and 1 equal y_pred > threshold: booleans."""
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return y_true == (y_pred > threshold)


def categorical_accuracy(y_true, y_pred):
    """Where one-hot y_true (..., classes) and scores y_pred are largest at the same class: booleans (...)."""
    y_true, y_pred = pair("categorical_accuracy", y_true, y_pred)
    return y_true.argmax(-1) == y_pred.argmax(-1)


def sparse_categorical_accuracy(y_true, y_pred):
    """Where y_pred (..., classes) is largest at the label y_true (...) or (..., 1): booleans (...)."""
    y_true, y_pred = beside(y_true, y_pred)
    return _labels("sparse_categorical_accuracy", y_true, y_pred) == y_pred.argmax(-1)


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Where the class of one-hot y_true is among the k largest of y_pred: booleans (...)."""
    y_true, y_pred = pair("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top(y_true.argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Where the label y_true is among the k largest of y_pred: booleans (...)."""
    y_true, y_pred = beside(y_true, y_pred)
    labels = _labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    return _in_top(labels.astype(np.int64), y_pred, k)


def _in_top(labels, scores, k):
    own = np.take_along_axis(scores, labels[..., None], -1)
    return np.count_nonzero(scores > own, axis=-1) < k


def _labels(name, y_true, y_pred):
    labels = raw(y_true)
    if labels.shape == y_pred.shape[:-1]:
        return labels
    if labels.shape == (*y_pred.shape[:-1], 1):
        return labels[..., 0]
    raise ShapeError(
        message(
            name,
            "one integer label per prediction was expected.",
            received=f"labels {labels.shape}, predictions {y_pred.shape}",
            hint="one-hot labels go with categorical_accuracy." if labels.shape == y_pred.shape else None,
        )
    )


# ------------------------------------------------------- means of functions, as classes
class _Named(MeanMetricWrapper):
    """A mean whose function is fixed by the class; options are attributes of the same name."""

    def __init__(self, name=None, dtype=None):
        self._setup(name, dtype)

    def _setup(self, name, dtype, **options):
        fn = type(self).fn
        super().__init__(fn, name or fn.__name__, dtype, **options)
        for key, value in options.items():
            setattr(self, key, value)


class Accuracy(_Named):
    """How often predictions equal labels.

    >>> m = Accuracy()
    >>> m.update_state([1, 2, 3, 4], [0, 2, 3, 4]); m.result()
    0.75
    """

    fn = staticmethod(accuracy)


class BinaryAccuracy(_Named):
    """How often labels 0 and 1 equal y_pred > threshold."""

    fn = staticmethod(binary_accuracy)

    def __init__(self, name=None, dtype=None, threshold=0.5):
        self._setup(name, dtype, threshold=threshold)


class CategoricalAccuracy(_Named):
    """How often the largest score is at the class of a one-hot label."""

    fn = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(_Named):
    """How often the largest score is at the integer label."""

    fn = staticmethod(sparse_categorical_accuracy)


class TopKCategoricalAccuracy(_Named):
    """How often the class of a one-hot label is among the k largest scores."""

    fn = staticmethod(top_k_categorical_accuracy)

    def __init__(self, k=5, name=None, dtype=None):
        self._setup(name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_Named):
    """How often the integer label is among the k largest scores."""

    fn = staticmethod(sparse_top_k_categorical_accuracy)

    def __init__(self, k=5, name=None, dtype=None):
        self._setup(name, dtype, k=k)


class MeanSquaredError(_Named):
    """The mean of (y_true - y_pred)**2."""

    def __init__(self, name="mean_squared_error", dtype=None):
        self._setup(name, dtype)

    @staticmethod
    def fn(y_true, y_pred):
        y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
        return np.square(y_pred - y_true)


class MeanAbsoluteError(_Named):
    """The mean of |y_true - y_pred|."""

    def __init__(self, name="mean_absolute_error", dtype=None):
        self._setup(name, dtype)

    @staticmethod
    def fn(y_true, y_pred):
        y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
        return np.abs(y_pred - y_true)


class MeanAbsolutePercentageError(_Named):
    """The mean of `losses.mean_absolute_percentage_error`."""

    fn = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Named):
    """The mean of `losses.mean_squared_logarithmic_error`."""

    fn = staticmethod(mean_squared_logarithmic_error)


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error."""

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(name, dtype)

    def result(self):
        return super().result() ** 0.5


class LogCoshError(_Named):
    """The mean of `losses.log_cosh`."""

    fn = staticmethod(log_cosh)

    def __init__(self, name="logcosh", dtype=None):
        self._setup(name, dtype)


class CosineSimilarity(_Named):
    """The mean cosine between labels and predictions (positive, unlike the loss)."""

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        self._setup(name, dtype, axis=axis)

    @staticmethod
    def fn(y_true, y_pred, axis=-1):
        return -functions.cosine_similarity(y_true, y_pred, axis=axis)


class KLDivergence(_Named):
    """The mean of `losses.kl_divergence`."""

    fn = staticmethod(kl_divergence)


class Poisson(_Named):
    """The mean of `losses.poisson`."""

    fn = staticmethod(poisson)


class Hinge(_Named):
    """The mean of `losses.hinge`."""

    fn = staticmethod(hinge)


class SquaredHinge(_Named):
    """The mean of `losses.squared_hinge`."""

    fn = staticmethod(squared_hinge)


class CategoricalHinge(_Named):
    """The mean of `losses.categorical_hinge`."""

    fn = staticmethod(categorical_hinge)


class BinaryCrossentropy(_Named):
    """The mean of `losses.binary_crossentropy`."""

    fn = staticmethod(binary_crossentropy)

    def __init__(self, name=None, dtype=None, from_logits=False, label_smoothing=0.0):
        self._setup(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_Named):
    """The mean of `losses.categorical_crossentropy`."""

    fn = staticmethod(categorical_crossentropy)

    def __init__(self, name=None, dtype=None, from_logits=False, label_smoothing=0.0, axis=-1):
        self._setup(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(_Named):
    """The mean of `losses.sparse_categorical_crossentropy`."""

    fn = staticmethod(sparse_categorical_crossentropy)

    def __init__(self, name=None, dtype=None, from_logits=False, axis=-1):
        self._setup(name, dtype, from_logits=from_logits, axis=axis)


# ---------------------------------------------------------------------- lookup
_CLASSES = {
    Accuracy: (),
    BinaryAccuracy: (),
    CategoricalAccuracy: (),
    SparseCategoricalAccuracy: (),
    TopKCategoricalAccuracy: ("top_k_categorical_accuracy",),
    SparseTopKCategoricalAccuracy: ("sparse_top_k_categorical_accuracy",),
    MeanSquaredError: ("mse", "MSE"),
    MeanAbsoluteError: ("mae", "MAE"),
    MeanAbsolutePercentageError: ("mape", "MAPE"),
    MeanSquaredLogarithmicError: ("msle", "MSLE"),
    RootMeanSquaredError: ("rmse", "RMSE"),
    LogCoshError: ("logcosh", "log_cosh"),
    CosineSimilarity: (),
    KLDivergence: ("kld", "KLD", "kl_divergence"),
    Poisson: (),
    Hinge: (),
    SquaredHinge: (),
    CategoricalHinge: (),
    BinaryCrossentropy: ("bce", "BCE", "binary_crossentropy"),
    CategoricalCrossentropy: (),
    SparseCategoricalCrossentropy: (),
    Precision: (),
    Recall: (),
    FBetaScore: ("fbeta_score",),
    F1Score: ("f1_score",),
    AUC: ("auc",),
    Mean: (),
    Sum: (),
}
for _cls, _aliases in _CLASSES.items():
    _registry.register(_cls, *_aliases)
_registry.by_name["huber"] = huber
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize


def get(identifier):
    """A Metric from a name ("mse", "binary_accuracy"), a config, a class, or any `f(y_true, y_pred)`. None
    gives None.

    Raises ValueError for an unknown name, with the nearest ones.

    >>> get("mae").name
    'mean_absolute_error'
    """
    found = _registry.get(identifier)
    if found is None or isinstance(found, Metric):
        return found
    return MeanMetricWrapper(found)


def resolve(identifier, y_true_shape, y_pred_shape):
    """`get`, with "accuracy" ("acc") and "crossentropy" ("ce") chosen by the shapes of labels and
    predictions, as in Keras: predictions (..., 1) binary, labels with an axis less or (..., 1) sparse, else
    categorical. A name names the metric.

    >>> resolve("accuracy", (32,), (32, 10))
    <SparseCategoricalAccuracy name=accuracy>
    """
    kinds = {
        "acc": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
        "ce": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
    }
    if not isinstance(identifier, str):
        return get(identifier)
    which = {"accuracy": "acc", "acc": "acc", "crossentropy": "ce", "ce": "ce"}.get(identifier.lower())
    if which is None:
        metric = get(identifier)
    else:
        binary, sparse, categorical = kinds[which]
        true, pred = tuple(y_true_shape), tuple(y_pred_shape)
        if pred[-1:] == (1,) or len(pred) < 2:
            metric = binary()
        elif len(true) < len(pred) or true[-1] == 1:
            metric = sparse()
        else:
            metric = categorical()
    metric.name = identifier
    return metric
