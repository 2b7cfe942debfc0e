"""Exceptions. Each derives from the builtin that a caller would catch, and each message says what to do.

Messages read `[op] what was expected.  Received: ...  Hint: ...`; `message` writes them in that form.
"""


class TFLBPError(Exception):
    """Base of all errors raised on purpose by this package."""


class ShapeError(TFLBPError, ValueError):
    """Arrays whose shapes do not fit the operation or the layer."""


class DTypeError(TFLBPError, TypeError):
    """A dtype that the operation does not take, or that cannot carry a gradient."""


class DeviceError(TFLBPError, RuntimeError):
    """Arrays on different devices, or a device that cannot be used."""


class GradientError(TFLBPError, RuntimeError):
    """A derivative that does not exist, or a graph that can no longer be differentiated."""


class OutOfMemory(TFLBPError, MemoryError):
    """A device, or the host, has no room for an array; the message names the largest live tensors."""


class HostFallbackWarning(UserWarning):
    """A function that CuPy lacks was computed on the host: right, but the device was waited for."""


class NumericsError(TFLBPError, ArithmeticError):
    """A NaN or an infinity found by `TFLBP_DEBUG=nan`."""


class NotBuiltError(TFLBPError, RuntimeError):
    """A model or layer used before its weights exist, or `fit` before `compile`."""


class SavingError(TFLBPError, ValueError):
    """A weights or model file that is truncated, foreign, or does not fit the model."""


def message(where: str, expected: str, *, received: str | None = None, hint: str | None = None) -> str:
    """The one form of our error texts.

    >>> print(message("matmul", "inner axes must agree.", received="(2, 3) and (4, 5)"))
    [matmul] inner axes must agree.
      Received: (2, 3) and (4, 5).
    """
    text = f"[{where}] {expected}"
    if received is not None:
        text += f"\n  Received: {received.rstrip('.')}."
    if hint is not None:
        text += f"\n  Hint: {hint}"
    return text
