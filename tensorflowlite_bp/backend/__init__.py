"""Array libraries behind one protocol. An op runs where its arrays live, so the library is found by an
array's type.

`of(array)` gives the backend module; `by_type[cls]` is the same as a dictionary look-up (25 ns), for the hot
paths. `current()` is only where *new* tensors go: `TFLBP_BACKEND`, or the last `set_backend`.
"""

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from .._config import config
from ..errors import DeviceError, DTypeError, message
from . import cupy_diagnosis, numpy_backend
from .protocol import Backend

__all__ = ["Backend", "available", "by_type", "current", "named", "of", "set_backend"]


def _load_cupy() -> ModuleType:
    return importlib.import_module(".cupy_backend", __name__)  # imported only by whoever asks for CuPy


class _ByType(dict[type, Any]):
    """Array class -> backend. Unknown classes are resolved once and remembered."""

    def __missing__(self, cls: type) -> Any:
        if issubclass(cls, (np.ndarray, np.generic)):
            found: Any = numpy_backend
        elif cls.__module__.partition(".")[0] == "cupy":
            found = _load_cupy()
        elif cls.__module__ == f"{__name__}.batched.array":
            found = importlib.import_module(".batched.library", __name__).batched
        else:
            raise DTypeError(
                message(
                    "backend",
                    "a NumPy or CuPy array was expected.",
                    received=f"{cls.__module__}.{cls.__qualname__}",
                )
            )
        self[cls] = found
        return found


by_type: dict[type, Any] = _ByType({np.ndarray: numpy_backend})
_current: Any = None


def of(array: Any) -> Any:
    """The backend of a raw array."""
    return by_type[type(array)]


def current() -> Any:
    """The backend on which new tensors are made."""
    if _current is None:
        set_backend(config.backend)
    return _current


def set_backend(name: str) -> None:
    """Choose where new tensors live: "numpy", "cupy", or "auto" (CuPy when a device is usable, else NumPy).

    Raises DeviceError naming the cause and the fix when "cupy" was asked for and cannot work. Tensors that
    exist stay where they are.
    """
    global _current
    _current = named(name)


def named(name: str) -> Any:
    """The backend called "numpy" or "cupy", or the better of the two for "auto". Raises as `set_backend`."""
    if name == "numpy" or (name == "auto" and not available("cupy")):
        return numpy_backend
    if name not in ("cupy", "auto"):
        raise DeviceError(
            message("backend", 'one of "numpy", "cupy", "auto" was expected.', received=repr(name))
        )
    reason = cupy_diagnosis.unusable()
    if reason is not None:
        cause, fix = reason
        raise DeviceError(message("backend", f"the CuPy backend cannot be used: {cause}", hint=fix))
    return _load_cupy()


def available(name: str) -> bool:
    """Whether `set_backend(name)` would work now."""
    return name == "numpy" or (name == "cupy" and cupy_diagnosis.unusable() is None)
