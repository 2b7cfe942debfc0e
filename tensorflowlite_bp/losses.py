"""Losses under Keras' names: classes that reduce over the batch, and functions that give one value per
sample.

Formulas, clipping (1e-7) and reductions are those of Keras 3. Unlike there, float64 predictions keep their
precision. Shapes that Keras would broadcast against each other are errors. With `from_logits=True` the
cross-entropies are one fused op.
"""

from . import nn, ops
from ._floatx import np_dtype
from ._loss_functions import (
    _bernoulli,
    _labels,
    _raw,
    _same_shape,
    _smooth_binary,
    _tensor,
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
from ._naming import auto_name
from ._registry import Configurable, Registry
from .errors import ShapeError, message

_registry = Registry("loss")
_MEANS = ("sum_over_batch_size", "mean")


class Loss(Configurable):
    """Base class. Subclasses define `call(y_true, y_pred)`: one loss per sample.

    reduction: "sum_over_batch_size" or "mean" (the mean over all values of `call`), "sum",
    "mean_with_sample_weight" (the sum over that of the weights), "none" or None. dtype: predictions are cast
    to it; None keeps theirs.

    >>> float(MeanSquaredError()([[0.0, 0.0]], [[1.0, 1.0]]))
    1.0
    """

    _base_config = ("name", "reduction")

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        if reduction not in (*_MEANS, "sum", "mean_with_sample_weight", "none", None):
            raise ValueError(
                message(
                    type(self).__name__,
                    "reduction must be sum_over_batch_size, mean, mean_with_sample_weight, sum or none.",
                    received=repr(reduction),
                )
            )
        self.name = name or auto_name(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The reduced loss. y_true, y_pred: (batch, ...); sample_weight: (batch,), or the leading axes of the
        losses.
        """
        y_pred = _tensor(y_pred)
        if self.dtype is not None and y_pred.dtype != np_dtype(self.dtype):
            y_pred = ops.astype(y_pred, np_dtype(self.dtype))
        if sample_weight is None:
            total = self._fused(y_true, y_pred)
            if total is not None:
                return total
        values = _tensor(self.call(y_true, y_pred))
        return _reduce(values, sample_weight, self._valid(y_true), self.reduction)

    def call(self, y_true, y_pred):
        """One loss per sample (and per position, where predictions have more axes)."""
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def _fused(self, y_true, y_pred):
        """The unweighted, reduced loss in fewer steps, or None where there is no such way."""
        return

    def _valid(self, y_true):
        """Which values count (a boolean array), or None for all."""
        return

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


class LossFunctionWrapper(Loss):
    """A loss from a function `fn(y_true, y_pred, **kwargs)` that gives one value per sample."""

    fn = None

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        super().__init__(name=name or getattr(fn, "__name__", None), reduction=reduction, dtype=dtype)
        self.fn = fn
        self._options = kwargs

    def call(self, y_true, y_pred):
        return self.fn(y_true, y_pred, **self._options)


class _Named(LossFunctionWrapper):
    """The classes of this module: `fn` and its options are fixed by the class; options are attributes of the
    same name.
    """

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype=None):
        self._setup(reduction, name, dtype)

    def _setup(self, reduction, name, dtype, **options):
        fn = type(self).fn
        super().__init__(fn, reduction, name or fn.__name__, dtype, **options)
        for key, value in options.items():
            setattr(self, key, value)

    def _fused(self, y_true, y_pred):
        each = getattr(type(self).fn, "each", None)
        if each is None or self.reduction not in _MEANS:
            return None
        return ops.mean(each(*_same_shape(y_true, y_pred), **self._options))  # the mean of equal rows' means


# ------------------------------------------------------------------ reductions
def _reduce(values, weight, valid, reduction):
    if values.ndim == 1 and getattr(weight, "shape", ())[1:] == (1,):
        values = values[:, None]  # as Keras: weights (n, 1) give losses (n, 1)
    if valid is not None:
        valid = _align(valid, values)
        mask = valid.astype(values.dtype)
        if reduction in _MEANS:
            mask = mask * (mask.size / max(int(valid.sum()), 1))  # the mean is over what counts
        weight = mask if weight is None else mask * _align(_raw(weight).astype(values.dtype), mask)
    if weight is not None:
        weight = _align(_raw(weight).astype(values.dtype), values)
        values = values * weight
    if reduction is None or reduction == "none" or values.ndim == 0:
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        count = float(weight.sum())
    else:
        count = values.size
    return total / count if count else total


def _align(weight, values):
    """Weights (n, 1) for losses (n,), weights (n,) for losses (n, k): as Keras squeezes and expands."""
    shape = values.shape
    if weight.ndim == len(shape) + 1 and weight.shape[-1] == 1:
        weight = weight.reshape(weight.shape[:-1])
    while weight.ndim < len(shape):
        weight = weight[..., None]
    if any(w not in (1, n) for w, n in zip(weight.shape, shape, strict=False)) or weight.ndim > len(shape):
        raise ShapeError(
            message(
                "sample_weight",
                "one weight per sample was expected.",
                received=f"weights {tuple(weight.shape)}, losses {tuple(shape)}",
            )
        )
    return weight


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
