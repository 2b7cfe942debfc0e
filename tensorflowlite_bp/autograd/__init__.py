"""The tape: tensors, ops, the engine and the transforms. Knows no mathematics."""

from . import engine
from .tensor import Tensor

Tensor.backward = engine.backward  # type: ignore[method-assign]
