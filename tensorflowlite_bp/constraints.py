"""What a weight is brought back to after each update, under Keras' names. Each takes a weight and gives its
new value.
"""

from . import ops
from ._floatx import EPSILON
from ._registry import Configurable, Registry

_registry = Registry("constraint")


class Constraint(Configurable):
    """Base class. Subclasses define `__call__(w)`."""

    def __call__(self, w):
        return w


class _Norm(Constraint):
    """Scale vectors along `axis` so that their norm becomes `self._wanted(norm)`."""

    axis: int | tuple[int, ...]

    def _wanted(self, norms):
        raise NotImplementedError

    def __call__(self, w):
        norms = ops.sqrt(ops.sum(ops.square(w), axis=self.axis, keepdims=True))
        return w * (self._wanted(norms) / (norms + EPSILON))


class MaxNorm(_Norm):
    """Norms along `axis` at most `max_value`. For a Dense kernel (in, out), axis 0 is each unit's incoming
    vector.

    >>> MaxNorm(1.0)(ops.asarray([[3.0], [4.0]])).numpy().round(4).tolist()
    [[0.6], [0.8]]
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value = max_value
        self.axis = axis

    def _wanted(self, norms):
        return ops.clip(norms, 0, self.max_value)


class UnitNorm(_Norm):
    """Norms along `axis` equal to 1."""

    def __init__(self, axis=0):
        self.axis = axis

    def _wanted(self, norms):
        return 1.0


class MinMaxNorm(_Norm):
    """Norms along `axis` within [min_value, max_value]; `rate` below 1 only moves part of the way."""

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def _wanted(self, norms):
        return self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms


class NonNeg(Constraint):
    """No value below 0."""

    def __call__(self, w):
        return ops.maximum(w, 0)


for _cls in (MaxNorm, UnitNorm, MinMaxNorm, NonNeg):
    _registry.register(_cls)
max_norm, unit_norm, min_max_norm, non_neg = MaxNorm, UnitNorm, MinMaxNorm, NonNeg  # Keras' lower-case names
get = _registry.get
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize
