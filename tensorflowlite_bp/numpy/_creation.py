"""Arrays from nested lists that hold Tensors, and new arrays on the current backend."""

from typing import Any

from .. import backend
from ..autograd.tensor import Tensor
from ..ops import interchange
from ..ops.elementwise import astype, copy
from ..ops.shape import nested, reshape
from ._table import has_tensor


# ------------------------------------------------------------------ from what there is
def array(object: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0, **options: Any) -> Any:
    """numpy.array; with Tensors anywhere in the nested lists a Tensor, recorded.

    >>> import tensorflowlite_bp as bp, tensorflowlite_bp.numpy as np
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> np.array([[x, 1.0], [0.0, x * x]]).sum().backward()
    >>> x.grad
    Tensor(5.)
    """
    if not has_tensor(object):
        return backend.current().array(object, dtype=dtype, copy=copy, ndmin=ndmin, **options)
    out = _converted(object, dtype, bool(copy))
    return reshape(out, (1,) * (ndmin - out.ndim) + out.shape) if out.ndim < ndmin else out


def _converted(value: Any, dtype: Any, fresh: bool) -> Tensor:
    out = nested(value)
    if dtype is not None and out.dtype != dtype:
        return astype(out, dtype)
    return copy(out) if fresh and out is value else out


def asarray(a: Any, dtype: Any = None, order: Any = None, **options: Any) -> Any:
    """numpy.asarray; a Tensor stays one, and stays in its graph."""
    if not has_tensor(a):
        return backend.current().asarray(a, dtype=dtype, order=order, **options)
    return _converted(a, dtype, bool(options.get("copy")))


def asanyarray(a: Any, dtype: Any = None, order: Any = None, **options: Any) -> Any:
    """numpy.asanyarray."""
    return asarray(a, dtype, order, **options)


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """numpy.ascontiguousarray: at least one axis, in C order."""
    return _laid_out(a, dtype, "C")


def asfortranarray(a: Any, dtype: Any = None) -> Any:
    """numpy.asfortranarray. The memory of a Tensor stays as it is: its order shows nowhere in the values."""
    return _laid_out(a, dtype, "F")


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    """numpy.from_dlpack, for the arrays of every library: a raw array on x's device, of a Tensor a Tensor."""
    out = interchange.from_dlpack(x, device=device, copy=copy)
    return out if isinstance(x, Tensor) else out.data


def _laid_out(a: Any, dtype: Any, order: str) -> Any:
    if not has_tensor(a):
        return backend.current().array(a, dtype=dtype, order=order, copy=None, ndmin=1)
    out = _converted(a, dtype, fresh=False)
    return out if out.ndim else reshape(out, (1,))


# ------------------------------------------------------------------ new
def zeros(shape: Any, dtype: Any = float, order: Any = "C", **options: Any) -> Any:
    """numpy.zeros, on the current backend."""
    return backend.current().zeros(shape, dtype, order, **options)


def ones(shape: Any, dtype: Any = None, order: Any = "C", **options: Any) -> Any:
    """numpy.ones, on the current backend."""
    return backend.current().ones(shape, dtype, order, **options)


def empty(shape: Any, dtype: Any = float, order: Any = "C", **options: Any) -> Any:
    """numpy.empty, on the current backend."""
    return backend.current().empty(shape, dtype, order, **options)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **options: Any) -> Any:
    """numpy.full, on the current backend; with a Tensor as the value a Tensor, recorded."""
    if not isinstance(fill_value, Tensor):
        return backend.current().full(shape, fill_value, dtype, order, **options)
    out = fill_value if dtype is None else astype(fill_value, dtype)
    return out * backend.of(out.data).ones(shape, out.dtype)


def arange(*args: Any, **options: Any) -> Any:
    """numpy.arange, on the current backend."""
    return backend.current().arange(*args, **options)


def eye(
    N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: Any = "C", **options: Any
) -> Any:
    """numpy.eye, on the current backend."""
    return backend.current().eye(N, M, k, dtype, order, **options)


def identity(n: int, dtype: Any = None, **options: Any) -> Any:
    """numpy.identity, on the current backend."""
    return eye(n, dtype=float if dtype is None else dtype, **options)
