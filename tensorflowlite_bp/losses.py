"""Losses under Keras' names: classes that reduce over the batch, and functions that give one value per
sample.

Formulas, clipping (1e-7) and reductions are those of Keras 3. Unlike there, float64 predictions keep their
precision. Shapes that Keras would broadcast against each other are errors. With `from_logits=True` the
cross-entropies are one fused op.
"""

from . import nn, ops
from ._loss_base import _MEANS, Loss, LossFunctionWrapper, _Named
from ._loss_functions import (
    _bernoulli,
    _labels,
    _raw,
    _same_shape,
    _smooth_binary,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ._registry import Registry

_registry = Registry("loss")


# --------------------------------------------------------------------- classes
class MeanSquaredError(_Named):
    """`mean_squared_error`, reduced."""

    fn = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Named):
    """`mean_absolute_error`, reduced."""

    fn = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Named):
    """`mean_absolute_percentage_error`, reduced."""

    fn = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Named):
    """`mean_squared_logarithmic_error`, reduced."""

    fn = staticmethod(mean_squared_logarithmic_error)


class LogCosh(_Named):
    """`log_cosh`, reduced."""

    fn = staticmethod(log_cosh)


class Poisson(_Named):
    """`poisson`, reduced."""

    fn = staticmethod(poisson)


class KLDivergence(_Named):
    """`kl_divergence`, reduced."""

    fn = staticmethod(kl_divergence)


class Hinge(_Named):
    """`hinge`, reduced."""

    fn = staticmethod(hinge)


class SquaredHinge(_Named):
    """`squared_hinge`, reduced."""

    fn = staticmethod(squared_hinge)


class CategoricalHinge(_Named):
    """`categorical_hinge`, reduced."""

    fn = staticmethod(categorical_hinge)


class Huber(_Named):
    """`huber`, reduced."""

    fn = staticmethod(huber)

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        self._setup(reduction, name, dtype, delta=delta)


class CosineSimilarity(_Named):
    """`cosine_similarity`, reduced."""

    fn = staticmethod(cosine_similarity)

    def __init__(self, axis=-1, reduction="sum_over_batch_size", name=None, dtype=None):
        self._setup(reduction, name, dtype, axis=axis)


class BinaryCrossentropy(_Named):
    """`binary_crossentropy`, reduced."""

    fn = staticmethod(binary_crossentropy)
    from_logits: bool
    label_smoothing: float

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        self._setup(
            reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )

    def _fused(self, y_true, y_pred):
        if self.reduction not in _MEANS:
            return None
        y_true, y_pred = _same_shape(y_true, y_pred)
        y_true = _smooth_binary(y_true, self.label_smoothing)
        if self.from_logits:
            return nn.sigmoid_cross_entropy(y_pred, y_true, reduction="mean")
        return ops.mean(_bernoulli(y_true, y_pred))


class BinaryFocalCrossentropy(_Named):
    """`binary_focal_crossentropy`, reduced."""

    fn = staticmethod(binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        self._setup(
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(_Named):
    """`categorical_crossentropy`, reduced."""

    fn = staticmethod(categorical_crossentropy)
    axis: int
    from_logits: bool
    label_smoothing: float

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        self._setup(
            reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )

    def _fused(self, y_true, y_pred):
        if (
            not self.from_logits
            or self.reduction not in (*_MEANS, "sum")
            or self.axis not in (-1, y_pred.ndim - 1)
        ):
            return None
        y_true, y_pred = _same_shape(y_true, y_pred)
        return nn.softmax_cross_entropy(
            y_pred,
            y_true,
            label_smoothing=self.label_smoothing,
            reduction="sum" if self.reduction == "sum" else "mean",
        )


class SparseCategoricalCrossentropy(_Named):
    """`sparse_categorical_crossentropy`, reduced; the mean is over the labels other than `ignore_class`.

    >>> loss = SparseCategoricalCrossentropy(from_logits=True)
    >>> round(float(loss([0, 1], [[0.0, 0.0], [0.0, 0.0]])), 6)
    0.693147
    """

    fn = staticmethod(sparse_categorical_crossentropy)
    axis: int
    from_logits: bool
    ignore_class: int | None

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name=None,
        dtype=None,
    ):
        self._setup(reduction, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)

    def _fused(self, y_true, y_pred):
        if (
            not self.from_logits
            or self.reduction not in (*_MEANS, "sum")
            or self.axis not in (-1, y_pred.ndim - 1)
        ):
            return None
        return nn.softmax_cross_entropy(
            y_pred,
            _labels(y_true, y_pred),
            ignore_index=self.ignore_class,
            reduction="sum" if self.reduction == "sum" else "mean",
        )

    def _valid(self, y_true):
        if self.ignore_class is None:
            return None
        labels = _raw(y_true)
        if labels.ndim > 1 and labels.shape[-1] == 1:
            labels = labels[..., 0]
        return labels != self.ignore_class


# ---------------------------------------------------------------------- lookup
_CLASSES = {
    MeanSquaredError: ("mse", "MSE"),
    MeanAbsoluteError: ("mae", "MAE"),
    MeanAbsolutePercentageError: ("mape", "MAPE"),
    MeanSquaredLogarithmicError: ("msle", "MSLE"),
    LogCosh: ("logcosh",),
    KLDivergence: ("kld", "KLD", "kullback_leibler_divergence"),
    Huber: (),
    CosineSimilarity: (),
    Poisson: (),
    Hinge: (),
    SquaredHinge: (),
    CategoricalHinge: (),
    BinaryCrossentropy: ("bce", "BCE"),
    BinaryFocalCrossentropy: (),
    CategoricalCrossentropy: (),
    SparseCategoricalCrossentropy: (),
}
for _cls, _aliases in _CLASSES.items():
    _registry.register(_cls, _cls.fn.__name__, *_aliases)
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize


def get(identifier):
    """A Loss object from a name ("mse"), a config, a class, or any `f(y_true, y_pred)`. None gives None.

    Raises ValueError for an unknown name, with the nearest ones.

    >>> get("mse").name
    'mean_squared_error'
    """
    found = _registry.get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    for cls in _CLASSES:
        if cls.fn is found:
            return cls()
    return LossFunctionWrapper(found)
