"""Mixed precision: products compute in 16 bits, what sums or exponentiates computes in float32.

The lists are those of the declarations, and torch's: `narrow` in matmul, einsum, linear, conv,
conv_transpose, attention, recurrent layers (whose steps accumulate in float32) and the products of
linear_softmax_cross_entropy; `wide`, or `widens`, in reductions, softmax, exponentials, logarithms, losses
and norms. What is on neither list computes in the dtype of its operands, of which float32 wins. Casts are
recorded: gradients of float32 weights are float32.
"""

from contextvars import ContextVar
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import DTypeError, message
from .modes import Mode
from .op import graph
from .tensor import Tensor

_dtype: ContextVar[np.dtype | None] = ContextVar("tensorflowlite_bp.mixed_precision", default=None)
_quiet: ContextVar[tuple[Any, ...]] = ContextVar("tensorflowlite_bp.mixed_precision_quiet", default=())
lowered = _dtype.get  # the 16-bit dtype that is on, or None
_FLOAT32 = np.dtype(np.float32)


class mixed_precision(Mode):
    """Inside, products of float32 arrays compute in `dtype`, "float16" or "bfloat16"; "float32" turns it off.

    A context manager, and a decorator. Weights stay float32. float16 has a range of 6e-8 to 65504: the loss
    must be scaled, as `fit` does by itself, or by hand with an optimizer of `loss_scale_factor="dynamic"`.
    A scale that is too large shows as infinities, which NumPy does not warn of inside: call `backward` there.
    Raises DTypeError for another dtype.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> x = bp.ones((2, 2), dtype="float32")
    >>> with bp.mixed_precision("bfloat16"):
    ...     y = x @ x
    ...     print(y.dtype, bp.sum(y).dtype)
    bfloat16 float32
    """

    __slots__ = ("value",)
    variable = _dtype

    def __init__(self, dtype: Any) -> None:
        self.value = dtype_of(dtype)

    def __enter__(self) -> None:
        super().__enter__()
        quiet = np.errstate(over="ignore", invalid="ignore") if self.value == np.float16 else np.errstate()
        _quiet.set((*_quiet.get(), quiet))
        quiet.__enter__()

    def __exit__(self, *exc: object) -> None:
        *rest, quiet = _quiet.get()
        _quiet.set(tuple(rest))
        quiet.__exit__(None, None, None)
        super().__exit__(*exc)


def set_mixed_precision(dtype: Any) -> None:
    """`mixed_precision` from here on, in this thread; None or "float32" turns it off."""
    _dtype.set(dtype_of(dtype))


def dtype_of(given: Any) -> np.dtype | None:
    """The 16-bit dtype of a policy, None for float32. Raises DTypeError."""
    name = "float32" if given is None else getattr(given, "name", getattr(given, "__name__", given))
    name = name.removeprefix("mixed_") if isinstance(name, str) else name  # Keras' policies
    if name not in ("float32", "float16", "bfloat16"):
        raise DTypeError(
            message(
                "mixed_precision", '"bfloat16", "float16" or "float32" was expected.', received=repr(given)
            )
        )
    if name == "float32":
        return None
    return np.dtype(np.float16 if name == "float16" else import_module("ml_dtypes").bfloat16)


def narrow(*xs: Tensor) -> tuple[Tensor, ...]:
    """Operands of a product: float32 and 16-bit floats in the dtype that is on."""
    dtype = lowered()
    return tuple([graph.astype(x, dtype) if _casts(x.data.dtype, dtype) else x for x in xs])


def _casts(own: np.dtype, to: np.dtype | None) -> bool:
    return own is not to and (own == _FLOAT32 or (own.itemsize == 2 and own.kind in "fV")) and own != to


def wide(x: Tensor) -> Tensor:
    """An argument of what needs more than 16 bits: float32 where mixed precision is on."""
    own = x.data.dtype
    return (
        graph.astype(x, _FLOAT32) if lowered() is not None and own.itemsize == 2 and own.kind in "fV" else x
    )
