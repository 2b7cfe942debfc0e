"""Loss, losses made from functions, and the reductions over the batch."""

from . import ops
from ._floatx import np_dtype
from ._loss_functions import _raw, _same_shape, _tensor
from ._naming import auto_name
from ._registry import Configurable
from .errors import ShapeError, message

_MEANS = ("sum_over_batch_size", "mean")


class Loss(Configurable):
    """Base class. Subclasses define `call(y_true, y_pred)`: one loss per sample.

    reduction: "sum_over_batch_size" or "mean" (the mean over all values of `call`), "sum",
    "mean_with_sample_weight" (the sum over that of the weights), "none" or None. dtype: predictions are cast
    to it; None keeps theirs.

    >>> from tensorflowlite_bp.losses import MeanSquaredError
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
    """The classes of `losses`: `fn` and its options are fixed by the class; options are attributes of the
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
