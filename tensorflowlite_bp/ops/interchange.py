"""Arrays of other libraries, and ours in theirs, without a copy: DLPack (version 1).

Everything goes through the array library that owns the memory: NumPy's and CuPy's own capsules keep it alive
and give it back. Ours is what they do not know: a recording tensor is not handed out, and bfloat16, which
NumPy refuses, travels as 16 bits under its own name.
"""

import ctypes
import importlib
from typing import Any

import numpy as np

from .. import backend
from ..autograd.tensor import Tensor, wrap
from ..errors import message
from .transfer import to_device

_HOST = {1, 3, 11}  # DLPack's device types whose memory NumPy reads: CPU, pinned by CUDA, pinned by ROCm


# ------------------------------------------------------------------ a capsule's dtype
class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Managed(ctypes.Structure):
    """The first fields of a DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("type", _Type),
    ]


class _Versioned(ctypes.Structure):
    """The first fields of a DLManagedTensorVersioned."""

    _fields_ = [
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("managed", _Managed),
    ]


_UINT, _BFLOAT = 1, 4  # DLPack's type codes

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]


def _rename(capsule: Any, old: int, new: int) -> bool:
    """Call 16-bit elements of type `old` `new`. Whether they were. The struct belongs to whoever consumes
    the capsule; its deleter, the producer's, does not look at the dtype.
    """
    name = _name_of(capsule)
    at = _pointer_of(capsule, name)
    kind = (
        _Versioned.from_address(at).managed if name == b"dltensor_versioned" else _Managed.from_address(at)
    ).type
    if (kind.code, kind.bits, kind.lanes) != (old, 16, 1):
        return False
    kind.code = new
    return True


# ------------------------------------------------------------------ out
def _handed_out(where: str, x: Tensor) -> Any:
    """The raw array. Raises BufferError for a recording Tensor."""
    if x.node is not None:
        raise BufferError(
            message(
                where,
                "a recording Tensor is not handed to another library silently, its gradient would be lost.",
                received=f"a Tensor of shape {x.shape}",
                hint="export x.detach(); bp.bridge connects the tapes of torch and JAX with ours.",
            )
        )
    return x.data


def _dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """The tensor's memory as a DLPack capsule. Arguments as the array API standard's.

    Negative strides are handed out as a copy: torch 2.13 ends the process over them, JAX refuses them. Raises
    BufferError for a recording tensor, for negative strides with copy=False, and for what the consumer cannot
    be given (another device, read-only memory where the consumer knows only DLPack before 1.0).
    """
    raw = _handed_out("__dlpack__", self)
    if isinstance(raw, np.ndarray) and raw.size and min(raw.strides, default=0) < 0:
        if copy is False:
            raise BufferError(
                message("__dlpack__", "memory with negative strides is copied.", received="copy=False")
            )
        raw = raw.copy()
    given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    options = {name: value for name, value in given.items() if value is not None}
    if isinstance(raw, np.ndarray) and raw.dtype.name == "bfloat16":
        capsule = raw.view(np.uint16).__dlpack__(**options)
        _rename(capsule, _UINT, _BFLOAT)
        return capsule
    return raw.__dlpack__(**options)


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's (device type, device number): (1, 0) is the CPU, (2, n) a CUDA device."""
    return self.data.__dlpack_device__()


def _cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """A device array's address, shape and strides for Numba, torch, ...; AttributeError on the CPU."""
    raw = self.data
    if isinstance(raw, np.ndarray):
        raise AttributeError("a Tensor on the CPU has no __cuda_array_interface__")
    return _handed_out("__cuda_array_interface__", self).__cuda_array_interface__


# ------------------------------------------------------------------ in
class _Producer:
    """Any producer, with its bfloat16 announced as 16 bits; `bfloat16` says whether it was."""

    def __init__(self, x: Any) -> None:
        self.x = x
        self.bfloat16 = False

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.x.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        capsule = self.x.__dlpack__(**options)
        self.bfloat16 = _rename(capsule, _BFLOAT, _UINT)
        return capsule


def _from_host(x: Any, options: dict[str, Any]) -> np.ndarray:
    producer = _Producer(x)
    out = np.from_dlpack(producer, **options)
    return out.view(importlib.import_module("ml_dtypes").bfloat16) if producer.bfloat16 else out


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A Tensor around the memory of another library's array, of torch, JAX, NumPy, CuPy, ...

    x: anything with `__dlpack__` and `__dlpack_device__`. device: where the result is to be, x's own device
    if not given. copy: True always copies, False never does, None where device asks for it. Memory that the
    producer gives read-only (JAX's) refuses writes in place, as NumPy's does.

    Raises BufferError where the producer refuses (a recording tensor), ValueError where copy=False cannot be
    had, TypeError for an object without DLPack.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> a = np.arange(3.0)
    >>> bp.from_dlpack(a).numpy().ctypes.data == a.ctypes.data
    True
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(
            message(
                "from_dlpack",
                "an array with __dlpack__ and __dlpack_device__ was expected.",
                received=type(x).__name__,
                hint="bp.asarray takes numbers, lists and buffers.",
            )
        )
    options = {} if copy is None else {"copy": copy}
    if x.__dlpack_device__()[0] in _HOST:
        out = wrap(_from_host(x, options))
    else:
        backend.named("cupy")  # raises DeviceError with the cause where CuPy cannot be used
        out = wrap(importlib.import_module("cupy").from_dlpack(x, **options))
    if device is None:
        return out
    moved = to_device(out, device)
    if copy is False and moved is not out:
        raise ValueError(
            message(
                "from_dlpack",
                "copy=False was asked for, but another device needs a copy.",
                received=f"an array on {out.device}, device={device!r}",
            )
        )
    return moved


Tensor.__dlpack__ = _dlpack  # type: ignore[attr-defined]
Tensor.__dlpack_device__ = _dlpack_device  # type: ignore[attr-defined]
Tensor.__cuda_array_interface__ = property(_cuda_array_interface)  # type: ignore[attr-defined]
