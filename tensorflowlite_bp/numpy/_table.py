"""NumPy's functions and what takes their place when a Tensor is among the arguments.

An entry has NumPy's own signature, every parameter of it, and gives Tensors. `np.sum(t)` finds it through
`__array_function__`, `bp.numpy.sum(t)` as well: there is one table.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor

TABLE: dict[Any, Callable[..., Any]] = {}  # NumPy's function object -> ours


def implements(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function for NumPy's of these names ("sum", "linalg.solve"), as far as this NumPy has them."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            try:
                TABLE[attrgetter(name)(np)] = function
            except AttributeError:
                continue
        return function

    return enter


def has_tensor(value: Any) -> bool:
    """Whether a Tensor is among nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return any(has_tensor(v) for v in value)
    return isinstance(value, Tensor)
