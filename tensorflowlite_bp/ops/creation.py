"""Making tensors. Python numbers give NumPy's default dtypes: float64, int64, complex128, bool."""

from typing import Any

import numpy as np

from .. import backend
from .._typing import DTypeLike
from ..autograd.op import helper
from ..autograd.record import lift
from ..autograd.tensor import Tensor, to_array, wrap
from .elementwise import astype
from .elementwise import copy as copied
from .shape import broadcast_to, reshape
from .transfer import to_device


def tensor(
    data: Any, *, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor from numbers, lists or arrays. Arrays are not copied when dtype and device fit.

    >>> import tensorflowlite_bp as bp
    >>> bp.tensor([1, 2], dtype="float32", requires_grad=True)
    Tensor([1., 2.], dtype=float32, requires_grad=True)
    """
    out = wrap(to_array(data, dtype))
    if device is not None:
        out = to(out, device)
    if requires_grad:
        out.requires_grad = True
    return out


def asarray(
    data: Any, *, dtype: DTypeLike = None, device: str | None = None, copy: bool | None = None
) -> Tensor:
    """A Tensor; recording Tensors stay in their graph. copy=True copies, copy=False raises where a copy is
    needed.

    >>> import tensorflowlite_bp as bp
    >>> bp.asarray([1, 2], dtype=bp.float32)
    Tensor([1., 2.], dtype=float32)
    """
    if isinstance(data, Tensor):
        if dtype is not None and data.dtype != dtype:
            if copy is False:
                raise ValueError("[asarray] copy=False was asked for, but the dtype differs.")
            data, copy = astype(data, dtype), None
        if device is not None and to(data, device) is not data:
            if copy is False:
                raise ValueError("[asarray] copy=False was asked for, but the device differs.")
            return to(data, device)
        return copied(data) if copy else data
    out = tensor(data, dtype=dtype, device=device)
    raw = out.data
    shares = raw is data or (isinstance(raw, np.ndarray) and not raw.flags.owndata)  # a buffer's memory
    if copy is False and not shares:
        raise ValueError("[asarray] copy=False was asked for, but a copy is needed.")
    return wrap(raw.copy()) if copy and shares else out


def to(x: Tensor, device: str) -> Tensor:
    """The tensor on another device ("cpu", "cuda", "cuda:1"); itself when it is there already. Recorded:
    gradients come back. "cuda" is CuPy's current device; work on "cuda:1" goes under `with
    cupy.cuda.Device(1):`.
    """
    return to_device(x, device)


@helper
def zeros(shape: Any, dtype: DTypeLike = None, *, device: str | None = None, like: Any = None) -> Tensor:
    """Filled with 0. like: an array or Tensor on whose device to make it.

    >>> import tensorflowlite_bp as bp
    >>> bp.zeros((2, 2))
    Tensor([[0., 0.],
            [0., 0.]])
    """
    lib = backend.current() if like is None else backend.of(like.data if isinstance(like, Tensor) else like)
    return _placed(wrap(lib.zeros(shape, dtype or "float64")), device)


def ones(shape: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Filled with 1.

    >>> import tensorflowlite_bp as bp
    >>> bp.ones(2)
    Tensor([1., 1.])
    """
    return _placed(wrap(backend.current().ones(shape, dtype or "float64")), device)


def empty(shape: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Not filled: whatever the memory held.

    >>> import tensorflowlite_bp as bp
    >>> bp.empty((2, 3)).shape
    (2, 3)
    """
    return _placed(wrap(backend.current().empty(shape, dtype or "float64")), device)


def full(shape: Any, fill_value: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Filled with one value.

    >>> import tensorflowlite_bp as bp
    >>> bp.full(2, 7)
    Tensor([7, 7])
    """
    return _placed(wrap(backend.current().full(shape, to_array(fill_value), dtype)), device)


def arange(
    start: Any, stop: Any = None, step: Any = 1, *, dtype: DTypeLike = None, device: str | None = None
) -> Tensor:
    """start, start + step, ... below stop; one argument counts from 0.

    >>> import tensorflowlite_bp as bp
    >>> bp.arange(3), bp.arange(1, 2, 0.5)
    (Tensor([0, 1, 2]), Tensor([1. , 1.5]))
    """
    if stop is None:
        start, stop = 0, start
    return _placed(wrap(backend.current().arange(start, stop, step, dtype=dtype)), device)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    *,
    dtype: DTypeLike = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` evenly spaced values.

    >>> import tensorflowlite_bp as bp
    >>> bp.linspace(0, 1, 3)
    Tensor([0. , 0.5, 1. ])
    """
    return _placed(wrap(backend.current().linspace(start, stop, num, dtype=dtype, endpoint=endpoint)), device)


def eye(
    n: int, m: int | None = None, *, k: int = 0, dtype: DTypeLike = None, device: str | None = None
) -> Tensor:
    """Ones on a diagonal.

    >>> import tensorflowlite_bp as bp
    >>> bp.eye(2)
    Tensor([[1., 0.],
            [0., 1.]])
    """
    return _placed(wrap(backend.current().eye(n, m, k=k, dtype=dtype or "float64")), device)


@helper
def zeros_like(x: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Zeros of x's shape, dtype and device.

    >>> import tensorflowlite_bp as bp
    >>> bp.zeros_like([1.0, 2.0])
    Tensor([0., 0.])
    """
    raw = lift(x).data
    return _placed(wrap(backend.of(raw).zeros_like(raw, dtype=dtype)), device)


@helper
def ones_like(x: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Ones of x's shape, dtype and device.

    >>> import tensorflowlite_bp as bp
    >>> bp.ones_like([1, 2])
    Tensor([1, 1])
    """
    raw = lift(x).data
    return _placed(wrap(backend.of(raw).ones_like(raw, dtype=dtype)), device)


def empty_like(x: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """Unfilled memory of x's shape, dtype and device.

    >>> import tensorflowlite_bp as bp
    >>> bp.empty_like([1, 2]).dtype
    dtype('int64')
    """
    raw = lift(x).data
    return _placed(wrap(backend.of(raw).empty_like(raw, dtype=dtype)), device)


def full_like(x: Any, fill_value: Any, dtype: DTypeLike = None, *, device: str | None = None) -> Tensor:
    """One value in x's shape, dtype and device.

    >>> import tensorflowlite_bp as bp
    >>> bp.full_like([1.0, 2.0], 7)
    Tensor([7., 7.])
    """
    raw = lift(x).data
    return _placed(wrap(backend.of(raw).full_like(raw, fill_value, dtype=dtype)), device)


def meshgrid(*xs: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate arrays from coordinate vectors.

    >>> import tensorflowlite_bp as bp
    >>> bp.meshgrid([1, 2], [3, 4])[0]
    Tensor([[1, 2],
            [1, 2]])
    """
    lifted = [lift(x) for x in xs]
    order = list(range(len(lifted)))
    if indexing == "xy" and len(order) > 1:
        order[0], order[1] = 1, 0
    shape = [0] * len(order)
    for place, x in zip(order, lifted, strict=True):
        shape[place] = x.size
    return [
        broadcast_to(reshape(x, tuple([-1 if i == place else 1 for i in range(len(order))])), tuple(shape))
        for place, x in zip(order, lifted, strict=True)
    ]


def _placed(x: Tensor, device: str | None) -> Tensor:
    return x if device is None else to(x, device)
