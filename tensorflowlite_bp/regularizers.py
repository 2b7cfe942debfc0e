"""Penalties on weights that are added to the loss, under Keras' names. Each takes a weight and gives a scalar
Tensor.
"""

import math

from . import ops
from ._registry import Configurable, Registry
from .errors import ShapeError, message

_registry = Registry("regularizer")


class Regularizer(Configurable):
    """Base class. Subclasses define `__call__(x)`, a scalar."""

    def __call__(self, x):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x)")


class L1L2(Regularizer):
    """l1 * sum |x| + l2 * sum x**2.

    >>> float(L1L2(l1=1.0, l2=0.5)(ops.asarray([1.0, -2.0])))
    5.5
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def __call__(self, x):
        penalty = None
        if self.l1:
            penalty = self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            squares = self.l2 * ops.sum(ops.square(x))
            penalty = squares if penalty is None else penalty + squares
        return ops.zeros((), dtype=x.dtype) if penalty is None else penalty


class L1(Regularizer):
    """l1 * sum |x|."""

    def __init__(self, l1=0.01):
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def __call__(self, x):
        return self.l1 * ops.sum(ops.abs(x))


class L2(Regularizer):
    """l2 * sum x**2 (without a half, as in Keras)."""

    def __init__(self, l2=0.01):
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, x):
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between distinct rows (or "columns") of a matrix."""

    def __init__(self, factor=0.01, mode="rows"):
        if mode not in ("rows", "columns"):
            raise ValueError(
                message("OrthogonalRegularizer", 'mode must be "rows" or "columns".', received=repr(mode))
            )
        self.factor = _factor("factor", factor)
        self.mode = mode

    def __call__(self, x):
        if x.ndim != 2:
            raise ShapeError(
                message("OrthogonalRegularizer", "a matrix was expected.", received=str(tuple(x.shape)))
            )
        rows = x if self.mode == "rows" else x.T
        rows = rows / ops.sqrt(ops.maximum(ops.sum(ops.square(rows), axis=1, keepdims=True), 1e-12))
        n = rows.shape[0]
        cosines = ops.abs(ops.matmul(rows, rows.T)) * (1 - ops.eye(n, dtype=x.dtype))
        return self.factor * 0.5 * ops.sum(cosines) / (n * (n - 1) / 2)


def l1_l2(l1=0.01, l2=0.01):
    """`L1L2` with both factors at 0.01."""
    return L1L2(l1, l2)


def _factor(name, value):
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
    ):
        raise ValueError(
            message("regularizer", f"{name} must be a number of at least 0.", received=repr(value))
        )
    return float(value)


for _cls in (L1L2, L1, L2, OrthogonalRegularizer):
    _registry.register(_cls)
_registry.by_name["l1_l2"] = l1_l2
l1, l2, orthogonal_regularizer = L1, L2, OrthogonalRegularizer  # Keras' lower-case names
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize


def get(identifier):
    """A regularizer from a name ("l1", "l2", "l1_l2"), a config, or any function of the weight. None gives
    None.

    >>> get("l2").l2
    0.01
    """
    if identifier in ("l1_l2", "l1l2"):
        return l1_l2()
    return _registry.get(identifier)
