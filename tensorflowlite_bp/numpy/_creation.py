"""Arrays from nested lists that hold Tensors, and new arrays on the current backend."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd.op import is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import interchange, signal
from ..ops.elementwise import astype, copy, floor, power
from ..ops.shape import axis_index, broadcast_to, concatenate, expand_dims, moveaxis, reshape
from ._table import has_tensor, implements


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
    out = lift(value)
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


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """numpy.asarray_chkfinite: raises ValueError where a number is NaN or infinite."""
    out = asarray(a, dtype, order)
    raw = lift(out).data
    if raw.dtype.kind in "fc" and not np.isfinite(raw).all():
        raise ValueError(message("asarray_chkfinite", "the array must not hold infs or NaNs."))
    return out


def ascontiguousarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    """numpy.ascontiguousarray: at least one axis, in C order."""
    return _laid_out(a, dtype, "C")


def asfortranarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    """numpy.asfortranarray. The memory of a Tensor stays as it is: its order shows nowhere in the values."""
    return _laid_out(a, dtype, "F")


def _laid_out(a: Any, dtype: Any, order: str) -> Any:
    if not has_tensor(a):
        return backend.current().array(a, dtype=dtype, order=order, copy=None, ndmin=1)
    out = _converted(a, dtype, fresh=False)
    return out if out.ndim else reshape(out, (1,))


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    """numpy.from_dlpack, for the arrays of every library: a raw array on x's device, of a Tensor a Tensor."""
    out = interchange.from_dlpack(x, device=device, copy=copy)
    return out if isinstance(x, Tensor) else out.data


def require(a: Any, dtype: Any = None, requirements: Any = None, **options: Any) -> Any:
    """numpy.require; of a Tensor only the dtype is required, its memory stays as it is."""
    if not has_tensor(a):
        return np.require(a, dtype, requirements, **options)
    return _converted(a, dtype, fresh=False)


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
    if not has_tensor(fill_value):
        return backend.current().full(shape, fill_value, dtype, order, **options)
    return copy(broadcast_to(_converted(fill_value, dtype, fresh=False), shape))


def arange(*args: Any, **options: Any) -> Any:
    """numpy.arange, on the current backend; Tensors as start and step get gradients."""
    if not has_tensor([*args, *options.values()]):
        return backend.current().arange(*args, **options)
    given = dict(zip(("start", "stop", "step"), args, strict=False)) | options
    if "stop" not in given:
        given["stop"] = given.pop("start")
    start, stop, step = lift(given.get("start", 0)), lift(given["stop"]), lift(given.get("step", 1))
    plain = [t.item() for t in (start, stop, step)]
    places = backend.of(start.data).arange(len(np.arange(*plain)))
    dtype = given.get("dtype") or np.result_type(start.dtype, stop.dtype, step.dtype)
    return astype(start + step * places, dtype)


def eye(
    N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: Any = "C", **options: Any
) -> Any:
    """numpy.eye, on the current backend."""
    return backend.current().eye(N, M, k, dtype, order, **options)


def identity(n: int, dtype: Any = None, **options: Any) -> Any:
    """numpy.identity, on the current backend."""
    return eye(n, dtype=float if dtype is None else dtype, **options)


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function of plain numbers, its arrays moved to the current backend. On NumPy it is NumPy's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        out = function(*args, **kwargs)
        if backend.current().name == "numpy":
            return out
        move = backend.current().asarray
        return tuple([move(a) for a in out]) if isinstance(out, tuple) else move(out)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"numpy.{function.__name__}, on the current backend."
    call.__wrapped__ = function  # type: ignore[attr-defined]  # its signature
    return call


bartlett: Any = placed(np.bartlett)
blackman: Any = placed(np.blackman)
hamming: Any = placed(np.hamming)
hanning: Any = placed(np.hanning)
indices: Any = placed(np.indices)
tri: Any = placed(np.tri)
linspace: Any = placed(np.linspace)
logspace: Any = placed(np.logspace)
geomspace: Any = placed(np.geomspace)


def kaiser(M: int, beta: Any) -> Any:
    """numpy.kaiser, on the current backend; a Tensor as beta gets a gradient."""
    if not isinstance(beta, Tensor):
        return placed(np.kaiser)(M, beta)
    if M < 1:
        return beta[np.zeros(0, np.intp)] if beta.ndim else astype(beta, np.float64).reshape(1)[:0]
    middle = (M - 1) / 2.0
    arch = np.sqrt(1 - ((np.arange(M) - middle) / middle) ** 2) if M > 1 else np.ones(1)
    return signal.i0(beta * arch) / signal.i0(beta)


# ------------------------------------------------------------------ like another
def _like(name: str) -> None:
    @implements(name)
    def entry(
        prototype: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: str | None = None,
    ) -> Tensor:
        raw = lift(prototype).data
        return lift(getattr(backend.of(raw), name)(raw, dtype=dtype, order=order, shape=shape))

    if name != "empty_like":

        @implements(name)
        def entry_of_a(
            a: Any,
            dtype: Any = None,
            order: str = "K",
            subok: bool = True,
            shape: Any = None,
            *,
            device: str | None = None,
        ) -> Tensor:
            return entry(a, dtype, order, subok, shape)


for _name in ("zeros_like", "ones_like", "empty_like"):
    _like(_name)


@implements("full_like")
def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: str | None = None,
) -> Tensor:
    a = lift(a)
    dtype = a.dtype if dtype is None else dtype
    return full(a.shape if shape is None else shape, lift(fill_value), dtype)


# ------------------------------------------------------------------ spaced values
@implements("linspace")
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: str | None = None,
) -> Any:
    start, stop = [x if is_float(x.dtype) else astype(x, np.float64) for x in (lift(start), lift(stop))]
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else lift(np.nan)
    out = _spaced(lambda k: start + step * k if gaps > 0 else start + 0 * k * stop, stop, num, endpoint)
    out = _finished(out, dtype, axis)
    return (out, step) if retstep else out


def _spaced(at: Callable[[Any], Tensor], stop: Tensor, num: int, endpoint: bool) -> Tensor:
    """The values at 0 ... num - 1 along a new first axis; the last one is `stop` itself."""
    if num < 0:
        raise ValueError(message("linspace", "the number of samples is not negative.", received=str(num)))
    shape = at(0).shape
    out = at(np.arange(num).reshape((-1,) + (1,) * len(shape)))
    if not endpoint or num < 2:
        return out
    return concatenate([out[:-1], expand_dims(broadcast_to(astype(stop, out.dtype), shape), 0)])


def _finished(out: Tensor, dtype: Any, axis: int) -> Tensor:
    if dtype is not None and out.dtype != dtype:
        out = astype(floor(out) if np.dtype(dtype).kind in "iu" else out, dtype)
    return out if axis == 0 else moveaxis(out, 0, axis_index(axis, out.ndim))


@implements("logspace")
def _logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    base = lift(base)
    if base.ndim:
        wide = np.broadcast_shapes(lift(start).shape, lift(stop).shape, base.shape)
        start, stop, base = [broadcast_to(lift(x), wide) for x in (start, stop, base)]
    exponents = _linspace(start, stop, num, endpoint)
    base = astype(base, np.result_type(base.dtype, exponents.dtype))
    out = power(base, exponents)
    return _finished(out if dtype is None else astype(out, dtype), None, axis)


@implements("geomspace")
def _geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    start, stop = [x if is_float(x.dtype) else astype(x, np.float64) for x in (lift(start), lift(stop))]
    if not (start.data.all() and stop.data.all()):
        raise ValueError(message("geomspace", "a geometric sequence cannot include 0."))
    ratio, gaps = stop / start, num - 1 if endpoint else num
    out = _spaced(lambda k: start * power(ratio, k / max(gaps, 1)), stop, num, endpoint)
    return _finished(out if dtype is None else astype(out, dtype), None, axis)
