"""What the array API standard (2024.12) asks of a namespace besides its operations: questions about it,
dtypes, devices; and those of its functions that differ from NumPy's.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backend
from .autograd.op import graph, helper, is_float
from .autograd.record import lift
from .autograd.tensor import Tensor, wrap
from .errors import ShapeError, message
from .ops import elementwise, shape
from .ops.transfer import to_device

__array_api_version__ = "2024.12"
_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


# ------------------------------------------------------------------ inspection
class Info:
    """What the namespace can do; `bp.__array_namespace_info__()` gives one."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing, data-dependent shapes, and the number of axes an array may have.

        >>> import tensorflowlite_bp as bp
        >>> bp.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Where new tensors go: `TFLBP_BACKEND`, or the last `set_backend`."""
        return "cpu" if backend.current().name == "numpy" else "cuda"

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype]:
        """The dtypes of Python numbers and of indices."""
        return {
            "real floating": np.dtype("float64"),
            "complex floating": np.dtype("complex128"),
            "integral": np.dtype("int64"),
            "indexing": np.dtype("int64"),
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype]:
        """The standard's dtypes by name, of a kind ("real floating", ...), of several kinds, or all."""
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else tuple(kind)
        for k in kinds:
            if k not in _KINDS:
                raise ValueError(
                    message("dtypes", f"a kind is one of {', '.join(_KINDS)}.", received=repr(k))
                )
        return {name: np.dtype(name) for k in kinds for name in _KINDS[k]}

    def devices(self) -> list[str]:
        """The names that `device=` takes on this machine."""
        count = 0
        if backend.available("cupy"):
            count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
        return ["cpu", *[f"cuda:{k}" for k in range(count)]]


def __array_namespace_info__() -> Info:
    """Questions about this namespace: capabilities, devices, dtypes and the defaults."""
    return Info()


# ------------------------------------------------------------------ dtypes
@dataclass(frozen=True)
class FloatInfo:
    """Limits of a floating dtype, as Python floats."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class IntInfo:
    """Limits of an integer dtype, as Python ints."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def _dtype(of: Any) -> np.dtype:
    return of.dtype if not isinstance(of, type) and hasattr(of, "dtype") else np.dtype(of)


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating dtype, of a complex one's parts, or of an array's dtype.

    >>> import tensorflowlite_bp as bp
    >>> bp.finfo(bp.float32).eps
    1.1920928955078125e-07
    """
    dtype = _dtype(type)
    if not is_float(dtype):
        raise TypeError(message("finfo", "a floating or complex dtype was expected.", received=str(dtype)))
    if dtype.kind == "V":  # bfloat16 and its relatives: imported by whoever made the dtype
        found: Any = sys.modules["ml_dtypes"].finfo(dtype)
    else:
        found = np.finfo(dtype)
    limits = {name: float(getattr(found, name)) for name in ("eps", "max", "min", "smallest_normal")}
    return FloatInfo(bits=int(found.bits), **limits, dtype=np.dtype(found.dtype))


def iinfo(type: Any, /) -> IntInfo:
    """The limits of an integer dtype, or of an array's.

    >>> import tensorflowlite_bp as bp
    >>> bp.iinfo(bp.uint8).max
    255
    """
    dtype = _dtype(type)
    if dtype.kind not in "iu":
        raise TypeError(message("iinfo", "an integer dtype was expected.", received=str(dtype)))
    found = np.iinfo(dtype)
    return IntInfo(bits=int(found.bits), max=int(found.max), min=int(found.min), dtype=dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind ("real floating", ...), is another dtype, or any of a tuple of these.

    >>> import tensorflowlite_bp as bp
    >>> bp.isdtype(bp.float32, ("integral", "real floating"))
    True
    """
    dtype = np.dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if kind not in _KINDS if isinstance(kind, str) else False:
        raise ValueError(message("isdtype", f"a kind is one of {', '.join(_KINDS)}.", received=repr(kind)))
    if isinstance(kind, str) and dtype.kind == "V":
        return kind in ("real floating", "numeric") and is_float(dtype)
    return bool(np.isdtype(dtype, kind if isinstance(kind, str) else np.dtype(kind)))


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether a dtype, or an array's, goes into another without loss, by the promotion rules.

    >>> import tensorflowlite_bp as bp
    >>> bp.can_cast(bp.int64, bp.int32)
    False
    """
    return bool(np.can_cast(_dtype(from_), np.dtype(to)))


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The common dtype of arrays, dtypes and Python numbers; numbers are weak, they only raise the kind.

    >>> import tensorflowlite_bp as bp
    >>> bp.result_type(bp.float32, 1.0)
    dtype('float32')
    """
    return np.result_type(*[_operand(x) for x in arrays_and_dtypes])


def _operand(x: Any) -> Any:
    return x if type(x) in (bool, int, float, complex) else _dtype(x)


def astype(x: Any, dtype: Any, *, copy: bool = True, device: str | None = None) -> Tensor:
    """Convert to a dtype, and to a device. copy=False gives x itself where nothing changes. The gradient
    comes back in x's dtype; integers and bools are constants: none comes back from them.

    >>> import tensorflowlite_bp as bp
    >>> bp.astype([1.5, 2.5], bp.int64)
    Tensor([1, 2])
    """
    x = lift(x)
    if copy or x.dtype != dtype:
        x = elementwise.astype(x, dtype)
    return x if device is None else to_device(x, device)


# ------------------------------------------------------------------ running sums, differences
def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """The running sum along an axis, which only a 1-D array may leave out; include_initial: from 0 on.

    >>> import tensorflowlite_bp as bp
    >>> bp.cumulative_sum(bp.asarray([1, 2, 3]), include_initial=True)
    Tensor([0, 1, 3, 6])
    """
    return _cumulative("cumulative_sum", graph.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """The running product along an axis, which only a 1-D array may leave out; include_initial: from 1 on.

    >>> import tensorflowlite_bp as bp
    >>> bp.cumulative_prod([1, 2, 3])
    Tensor([1, 2, 6])
    """
    return _cumulative("cumulative_prod", graph.cumprod, 1, x, axis, dtype, include_initial)


def _cumulative(
    name: str, running: Any, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Tensor:
    x = lift(x)
    if x.ndim != 1 and (axis is None or x.ndim == 0):
        raise ShapeError(
            message(name, "an axis is needed for arrays that are not 1-D.", received=f"shape {x.shape}")
        )
    axis = 0 if axis is None else axis
    out = running(x if dtype is None else astype(x, dtype, copy=False), axis)
    if dtype is not None and out.dtype != dtype:  # narrow integers come back wide
        out = astype(out, dtype)
    if not include_initial:
        return out
    edge = list(x.shape)
    edge[axis] = 1
    lead = wrap(backend.of(x.data).full(tuple(edge), first, out.dtype))
    return shape.concatenate([lead, out], axis)


@helper
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours along an axis, n times over; of bools, whether they differ.

    prepend, append: put to x's ends before. n = 0 gives x, as NumPy has it.

    >>> import tensorflowlite_bp as bp
    >>> bp.diff([1, 4, 9])
    Tensor([3, 5])
    """
    parts = [p for p in (prepend, x, append) if p is not None]
    x = lift(x) if len(parts) == 1 or not n else shape.concatenate(parts, axis)
    if n < 0 or not x.ndim:
        raise ValueError(
            message("diff", "an axis and n >= 0 were expected.", received=f"shape {x.shape}, n={n}")
        )
    lead = (slice(None),) * (axis % x.ndim)
    step = elementwise.subtract if x.dtype.kind != "b" else elementwise.not_equal
    for _ in range(n):
        x = step(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))])
    return x


# ------------------------------------------------------------------ methods
def _array_namespace(self: Tensor, /, *, api_version: str | None = None) -> Any:
    """The namespace of the array API standard: this package. Raises ValueError for another version."""
    if api_version is not None and api_version not in _VERSIONS:
        raise ValueError(
            message(
                "__array_namespace__",
                f"versions up to {_VERSIONS[-1]} are offered.",
                received=repr(api_version),
            )
        )
    return sys.modules[str(__package__)]


def _to_device(self: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """The tensor on another device; itself when it is there already."""
    return to_device(self, device)


Tensor.__array_namespace__ = _array_namespace  # type: ignore[attr-defined]
Tensor.to_device = _to_device  # type: ignore[attr-defined]
