"""Aliases used in signatures."""

from collections.abc import Sequence
from typing import Any, TypeAlias

Array: TypeAlias = Any  # a raw array: numpy.ndarray or cupy.ndarray
ArrayLike: TypeAlias = Any  # whatever NumPy takes: a Tensor, a raw array, a number, a nested list
DTypeLike: TypeAlias = Any
Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | Sequence[int] | None
Tree: TypeAlias = Any  # arrays nested in dicts, lists, tuples, dataclasses
