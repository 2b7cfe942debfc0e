"""The dtype of new layer weights, and Keras' small constant."""

import numpy as np

from .errors import DTypeError, message

_ALLOWED = ("float16", "bfloat16", "float32", "float64")
_floatx = "float32"
EPSILON = 1e-7  # Keras' `backend.epsilon()`: the clip of probabilities, the guard of divisions


def floatx() -> str:
    """The dtype that layers give their weights unless told otherwise.

    >>> floatx()
    'float32'
    """
    return _floatx


def set_floatx(value: str) -> None:
    """Set `floatx()`: one of float16, bfloat16, float32, float64. Raises DTypeError (a TypeError) for
    anything else.
    """
    global _floatx
    name = dtype_name(value)
    if name not in _ALLOWED:
        raise DTypeError(
            message("set_floatx", f"one of {', '.join(_ALLOWED)} was expected.", received=repr(value))
        )
    _floatx = name


def dtype_name(dtype) -> str:
    """A dtype's name: of a string, a NumPy dtype or scalar type. None gives `floatx()`.

    >>> dtype_name(np.float64)
    'float64'
    """
    if dtype is None:
        return _floatx
    if isinstance(dtype, str):
        return dtype
    return np.dtype(dtype).name


def np_dtype(dtype) -> np.dtype:
    """The NumPy dtype of a name; "bfloat16" comes from ml_dtypes."""
    name = dtype_name(dtype)
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    try:
        return np.dtype(name)
    except TypeError:
        raise DTypeError(
            message("dtype", "a name such as float32 was expected.", received=repr(dtype))
        ) from None
