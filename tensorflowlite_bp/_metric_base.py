"""Metric and the running means. States are Python floats, or sums that stay on a device until somebody asks;
nothing is recorded.
"""

from typing import Any

import numpy as np

from . import backend, initializers
from ._floatx import np_dtype
from ._naming import auto_name
from ._registry import Configurable
from .autograd.tensor import Tensor
from .backend.batched import at_hand
from .errors import ShapeError, message
from .layers.variable import Variable


class Metric(Configurable):
    """Base class. Subclasses define `update_state(y_true, y_pred, sample_weight=None)`, `result()`, and
    `reset_state()`.

    A subclass may keep its state in Variables made by `add_weight`; the default `reset_state` sets those to
    0.

    >>> m = Mean(name="loss")
    >>> m.update_state(1.0); m.update_state(3.0); m.result()
    2.0
    """

    _base_config = ("name",)

    def __init__(self, dtype=None, name=None):
        self.name = name or auto_name(type(self).__name__)
        self.dtype = dtype
        self._variables: list[Variable] = []

    def update_state(self, *args, **kwargs):
        """Take in one batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state")

    def result(self):
        """The value over everything taken in since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def reset_state(self):
        """Forget everything."""
        for variable in self._variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def add_weight(self, shape=(), initializer="zeros", dtype=None, name=None):
        """A Variable for the state of a user's metric."""
        value = initializers.get(initializer or "zeros")(tuple(shape), dtype=np_dtype(dtype or self.dtype))
        variable = Variable(
            value, name=name or "state", trainable=False, path=f"{self.name}/{name or 'state'}"
        )
        self._variables.append(variable)
        return variable

    add_variable = add_weight

    @property
    def variables(self):
        return list(self._variables)

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


# -------------------------------------------------------------------- host arrays
def host(x):
    """A Tensor, array or number as a NumPy array, without its graph."""
    if isinstance(x, Tensor):
        x = x.data
    if type(x) is np.ndarray:
        return x
    return x.get() if hasattr(x, "get") and not isinstance(x, dict) else np.asarray(x)


def raw(x):
    """A Tensor, array or number as an array where it lives, without its graph."""
    x = x.data if isinstance(x, Tensor) else x
    return x if type(x) is np.ndarray or not at_hand(x) else host(x)


def beside(x, y):
    """Both as raw arrays where y lives."""
    x, y = raw(x), raw(y)
    if type(x) is type(y):
        return x, y
    return (host(x), y) if type(y) is np.ndarray else (backend.of(y).asarray(x), y)


def held(total):
    """A 0-d sum as a float; one on a device stays there: reading it would wait for the device."""
    return float(total) if at_hand(total) else total.astype(np.float64)


def same_rank(x, y):
    """Both with the same number of axes, where a trailing axis of 1 makes the difference (as Keras squeezes
    and expands).
    """
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        return (x, y[:, None]) if y.ndim == 1 else (x[..., 0], y)
    if y.ndim == x.ndim + 1 and y.shape[-1] == 1:
        return (x[:, None], y) if x.ndim == 1 else (x, y[..., 0])
    return x, y


def pair(name, y_true, y_pred):
    """y_true and y_pred as raw arrays of one shape, where y_pred lives. Raises ShapeError."""
    y_true, y_pred = same_rank(*beside(y_true, y_pred))
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            message(
                name,
                "y_true and y_pred must have the same shape.",
                received=f"y_true {y_true.shape}, y_pred {y_pred.shape}",
            )
        )
    return y_true, y_pred


# ------------------------------------------------------------------------- means
class Mean(Metric):
    """The weighted mean of values; a value with several axes counts with the mean over all but the first."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype=dtype, name=name)
        self.total = 0.0
        self.count = 0.0

    def update_state(self, values, sample_weight: Any = None):
        if sample_weight.__class__ is int and not getattr(values, "ndim", 0):  # a loss and its batch size
            self.total += held(raw(values)) * sample_weight
            self.count += sample_weight
            return
        values = raw(values)
        if sample_weight is not None:
            self._add_weighted(host(values), host(sample_weight))
        elif values.ndim == 0:
            self.total += held(values)
            self.count += 1
        else:
            n = values.shape[0]
            if type(values) is np.ndarray and values.dtype.char == "?":
                total = np.count_nonzero(values)
            else:
                total = held(values.sum(dtype=np.float64))
            self.total += total if values.ndim == 1 or not values.size else total * n / values.size
            self.count += n

    def _add_weighted(self, values, weight):
        if weight.ndim == 0:
            n = values.shape[0] if values.ndim else 1
            self.total += float(values.mean(dtype=np.float64)) * float(weight) * n
            self.count += float(weight) * n
            return
        values, weight = same_rank(values.astype(np.float64), weight.astype(np.float64))
        if values.ndim > weight.ndim:
            values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
        weight = np.broadcast_to(weight, values.shape)
        rest = tuple(range(1, values.ndim))
        self.total += float((values * weight).mean(axis=rest).sum())
        self.count += float(weight.mean(axis=rest).sum())

    def result(self):
        return float(self.total / self.count) if self.count else 0.0

    def reset_state(self):
        self.total = self.count = 0.0


class Sum(Metric):
    """The weighted sum of values."""

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype=dtype, name=name)
        self.total = 0.0

    def update_state(self, values, sample_weight=None):
        values = host(values).astype(np.float64)
        if sample_weight is not None:
            values, weight = same_rank(values, host(sample_weight).astype(np.float64))
            values = values * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        self.total += float(values.sum())

    def result(self):
        return self.total

    def reset_state(self):
        self.total = 0.0


class MeanMetricWrapper(Mean):
    """The mean of a function `fn(y_true, y_pred, **kwargs)` that gives one value per sample: arrays in, array
    out.
    """

    fn = None

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(
            name=name or getattr(fn, "__name__", None) or auto_name(type(fn).__name__), dtype=dtype
        )
        self.fn = fn
        self._options = kwargs

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(self.fn(*beside(y_true, y_pred), **self._options), sample_weight)
