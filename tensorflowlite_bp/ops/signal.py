"""Convolution of vectors, and the functions of windows: sinc, and the Bessel function of Kaiser's."""

from typing import Any

import numpy as np

from ..autograd.declare import Arguments, operation
from ..autograd.op import helper
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from .elementwise import conjugate
from .shape import atleast_1d, flip


# ------------------------------------------------------------------ convolution
def _convolve_x(F: Any, g: Any, out: Any, x: Any, y: Any, *, mode: str) -> Any:
    return F.convolve(g, y[::-1], mode="valid" if mode == "full" else "full")


def _convolve_y(F: Any, g: Any, out: Any, x: Any, y: Any, *, mode: str) -> Any:
    if mode == "full":
        return F.convolve(g, x[::-1], mode="valid")
    return F.convolve(x, g[::-1], mode="valid")[::-1]


@operation(vjp=(_convolve_x, _convolve_y), saves=("x", "y"), linear="each", promotes=True)
def _convolve(x: Any, y: Any, mode: str) -> Arguments:
    return (x, y), {"mode": mode}


_MODES = ("full", "same", "valid")


def _vectors(name: str, x: Any, y: Any, mode: Any) -> tuple[Tensor, Tensor, str]:
    x, y = agree_all([atleast_1d(x), atleast_1d(y)])
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise ShapeError(
            message(
                name, "two vectors that are not empty were expected.", received=f"{x.shape} and {y.shape}"
            )
        )
    mode = _MODES[::-1][mode] if isinstance(mode, int) else mode
    if mode not in _MODES:
        raise ValueError(message(name, f"mode is one of {', '.join(_MODES)}.", received=repr(mode)))
    return x, y, mode


@helper
def convolve(x: Any, y: Any, mode: str = "full") -> Tensor:
    """The convolution of two vectors: out[n] = sum over k of x[k] y[n - k].

    mode: "full" (all overlaps), "same" (the middle, as long as the longer one), "valid" (whole overlaps).
    """
    x, y, mode = _vectors("convolve", x, y, mode)
    if x.size < y.size:
        x, y = y, x
    if mode != "same":
        return _convolve(x, y, mode)
    start = (y.size - 1) // 2
    return _convolve(x, y, "full")[start : start + x.size]


@helper
def correlate(x: Any, y: Any, mode: str = "valid") -> Tensor:
    """The correlation of two vectors: out[k] = sum over n of x[n + k] conj(y[n])."""
    x, y, mode = _vectors("correlate", x, y, mode)
    y = conjugate(y) if y.dtype.kind == "c" else y
    if x.size >= y.size:
        return convolve(x, flip(y), mode)
    return flip(convolve(y, flip(x), mode))  # the overlaps in the other order


# ------------------------------------------------------------------ functions of windows
def _floating(x: Any) -> Tensor:
    x = lift(x)
    return x if x.dtype.kind in "fcV" else x.astype(np.float64)


def _series(name: str, doc: str) -> Any:
    def back(F: Any, g: Any, out: Any, x: Any, *, order: int) -> Any:
        return g * getattr(F, name)(x, order=order + 1)

    def arguments(x: Any, *, order: int = 0) -> Arguments:
        return (_floating(x),), {"order": order}

    arguments.__name__ = arguments.__qualname__ = name
    arguments.__doc__ = doc
    return operation(vjp=(back,), saves=("x",), elementwise=True)(arguments)


sinc = _series("sinc", "sin(pi x) / (pi x), 1 at 0; order: of the derivative to give.")
i0 = _series("i0", "The modified Bessel function of order 0; order: of the derivative to give.")
