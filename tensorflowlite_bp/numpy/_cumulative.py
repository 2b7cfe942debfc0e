"""NumPy's running sums and products."""

from typing import Any

from .. import _array_api
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..ops import reductions as r
from ..ops.shape import atleast_1d
from ._plain import differentiable
from ._reductions import converted


@differentiable("cumsum")
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tensor:
    return r.cumsum(converted(a, dtype), axis)


@differentiable("cumprod")
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tensor:
    return r.cumprod(converted(a, dtype), axis)


@differentiable("cumulative_sum")
def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Tensor:
    x = atleast_1d(lift(x))
    return _array_api.cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)


@differentiable("cumulative_prod")
def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Tensor:
    x = atleast_1d(lift(x))
    return _array_api.cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)
