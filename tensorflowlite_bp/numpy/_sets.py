"""NumPy's functions on sets. Which elements they choose is found on the raw arrays; a value's gradient goes
to the element it was taken from: the first of equal ones, and of two arrays the first array's.
"""

from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..ops import sets
from ..ops.shape import concatenate, gather, ravel
from ._plain import differentiable, raw
from ._table import implements

for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    implements(_name)(getattr(sets, _name))


@differentiable("unique")
def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: Any = None, *, equal_nan: bool = True, sorted: bool = True,
) -> Any:  # fmt: skip
    x = lift(ar)
    _, index, *more = np.unique(x.data, True, return_inverse, return_counts, axis, equal_nan=equal_nan)
    values = ravel(x)[index] if axis is None else gather(x, index, axis % x.ndim)
    results = [values, *([wrap(index)] if return_index else []), *map(wrap, more)]
    return results[0] if len(results) == 1 else tuple(results)


def _distinct(ar: Any, assume_unique: bool) -> Tensor:
    return ravel(ar) if assume_unique else unique(ar)


@differentiable("union1d")
def union1d(ar1: Any, ar2: Any) -> Tensor:
    return unique(concatenate([ravel(ar1), ravel(ar2)]))


def _sorted(ar1: Any, ar2: Any, assume_unique: bool) -> tuple[Tensor, Any, Any]:
    """Both arrays' elements as one, the order that sorts them, and which are equal to the next one in it."""
    both = concatenate([_distinct(ar1, assume_unique), _distinct(ar2, assume_unique)])
    order = backend.of(both.data).argsort_stable(both.data)
    ordered = both.data[order]
    return both, order, ordered[1:] == ordered[:-1]


@differentiable("intersect1d")
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    both, order, twice = _sorted(ar1, ar2, assume_unique)
    values = both[order[:-1][twice]]
    if not return_indices:
        return values
    return (values, *map(wrap, np.intersect1d(raw(lift(ar1)), raw(lift(ar2)), assume_unique, True)[1:]))


@differentiable("setdiff1d")
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Tensor:
    values = _distinct(ar1, assume_unique)
    return values[np.isin(values.data, raw(lift(ar2)), invert=True)]


@differentiable("setxor1d")
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Tensor:
    both, order, twice = _sorted(ar1, ar2, assume_unique)
    differs = backend.of(both.data).ones(both.size + 1, bool)
    differs[1 : both.size] = ~twice
    return both[order[differs[1:] & differs[:-1]]]
