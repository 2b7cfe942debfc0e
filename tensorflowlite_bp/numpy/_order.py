"""NumPy's sorting and selection. The order is found on the raw arrays, the elements are gathered: their
gradients go back to where they came from.
"""

from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..ops import elementwise as e
from ..ops.indexing import take_along
from ..ops.shape import ravel
from ._plain import constants, differentiable, raw, reduced_axes

constants("argsort argpartition searchsorted nonzero")


def _flat(a: Any, axis: Any) -> tuple[Tensor, int]:
    """The array and the axis to run along: for None the flattened array's."""
    x = lift(a)
    return (ravel(x), 0) if axis is None else (x, reduced_axes(axis, x.ndim)[0])


@differentiable("sort")
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Tensor:
    np.sort(np.empty(1), -1, kind, order, stable=stable)  # raises for what NumPy does not take
    x, axis = _flat(a, axis)
    # stably, whatever the kind: equal elements have one order, and so their gradients
    return take_along(x, backend.of(x.data).argsort_stable(x.data, axis=axis), axis)


@differentiable("partition")
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Tensor:
    np.partition(np.empty(1), 0, -1, kind, order)
    x, axis = _flat(a, axis)
    return take_along(x, np.argpartition(x.data, raw(kth), axis=axis), axis)


@differentiable("sort_complex")
def sort_complex(a: Any) -> Tensor:
    x = sort(a)
    return x if x.dtype.kind == "c" else e.astype(x, np.result_type(x.dtype, np.complex128))
