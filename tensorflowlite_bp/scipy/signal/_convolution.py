"""Convolution and correlation under SciPy's names."""

from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.tensor import Tensor
from ...errors import ShapeError, message
from ...ops import fft
from ...ops.elementwise import conjugate
from ...ops.linear_maps import convolve_full, flipped
from ...ops.padding import pad
from ...ops.special import floats

_MODES = ("full", "same", "valid")


def _operands(name: str, x: Any, y: Any, mode: str) -> tuple[Tensor, Tensor]:
    x, y = floats(x, y)
    if x.ndim != y.ndim:
        raise ShapeError(message(name, "both must have as many axes.", received=f"{x.shape}, {y.shape}"))
    if mode not in _MODES:
        raise ValueError(message(name, f"mode is one of {', '.join(_MODES)}.", received=repr(mode)))
    return x, y


def _swapped(name: str, x: Tensor, y: Tensor, axes: Any = None) -> bool:
    """Whether "valid" slides the first over the second. Raises where neither covers the other."""
    pairs = [(x.shape[a], y.shape[a]) for a in (range(x.ndim) if axes is None else axes)]
    if all(m >= n for m, n in pairs):
        return False
    if not all(n >= m for m, n in pairs):
        expected = "for mode='valid' one must be at least as long as the other along every axis."
        raise ValueError(message(name, expected, received=f"{x.shape}, {y.shape}"))
    return True


def _cut(x: Tensor, shape: Any, axes: Any = None) -> Tensor:
    """The middle of the given shape."""
    index = []
    for a, (have, want) in enumerate(zip(x.shape, shape, strict=True)):
        start = (have - want) // 2 if axes is None or a in axes else 0
        index.append(slice(start, start + want) if axes is None or a in axes else slice(None))
    return x[tuple(index)]


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Tensor:
    """The convolution over all axes. mode: "full", "same" (the shape of in1), "valid" (without edges)."""
    x, y = _operands("convolve", in1, in2, mode)
    if not x.ndim:
        return x * y
    if mode == "valid":
        x, y = (y, x) if _swapped("convolve", x, y) else (x, y)
        return convolve_full(x, y, "valid", method)
    out = convolve_full(x, y, "full", method)
    return out if mode == "full" else _cut(out, x.shape)


def _reversed(y: Tensor) -> Tensor:
    return flipped(conjugate(y) if y.dtype.kind == "c" else y)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Tensor:
    """The cross-correlation: the convolution with in2 reversed and conjugated."""
    x, y = _operands("correlate", in1, in2, mode)
    return convolve(x, _reversed(y), mode, method) if x.ndim else x * _reversed(y)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Tensor:
    """The convolution over `axes` (all) by Fourier transforms; the other axes broadcast."""
    x, y = _operands("fftconvolve", in1, in2, mode)
    if not x.ndim:
        return x * y
    axes = range(x.ndim) if axes is None else (axes,) if isinstance(axes, (int, np.integer)) else axes
    axes = [a % x.ndim for a in axes]
    batch = [m if a in axes or n == 1 else n for a, (m, n) in enumerate(zip(x.shape, y.shape, strict=True))]
    if mode == "valid" and _swapped("fftconvolve", x, y, axes):
        x, y = y, x
    lengths = [x.shape[a] + y.shape[a] - 1 for a in axes]
    if not (x.size and y.size):
        return graph.zeros([0 if a in axes else n for a, n in enumerate(batch)], x.dtype, like=x)
    if x.dtype.kind == "c":
        out = fft.ifftn(fft.fftn(x, lengths, axes) * fft.fftn(y, lengths, axes), lengths, axes)
    else:
        out = fft.irfftn(fft.rfftn(x, lengths, axes) * fft.rfftn(y, lengths, axes), lengths, axes)
    if mode == "full":
        return out
    shape = [
        (x.shape[a] if mode == "same" else x.shape[a] - y.shape[a] + 1) if a in axes else n
        for a, n in enumerate(out.shape)
    ]
    return _cut(out, shape, axes)


def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Tensor:
    """`fftconvolve`: overlapping blocks are a matter of speed."""
    return fftconvolve(in1, in2, mode, axes)


# ------------------------------------------------------------------ images, with boundaries
_BOUNDARIES = {"wrap": "wrap", "circular": "wrap", "symm": "symmetric", "symmetric": "symmetric"}


def _edged(x: Tensor, y: Tensor, boundary: str, fillvalue: Any) -> Tensor:
    """x continued beyond its edges, as far as y reaches."""
    widths = [(n - 1, n - 1) for n in y.shape]
    if boundary in _BOUNDARIES:
        return pad(x, widths, _BOUNDARIES[boundary])
    return pad(x, widths, "constant", constant_values=fillvalue)


def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Tensor:
    """The convolution of two images. boundary: "fill" with fillvalue, "wrap", or "symm"."""
    x, y = _operands("convolve2d", in1, in2, mode)
    if x.ndim != 2:
        raise ShapeError(
            message("convolve2d", "two matrices were expected.", received=f"{x.shape}, {y.shape}")
        )
    if mode == "valid" or (boundary in ("fill", "pad") and not np.any(fillvalue)):
        return convolve(x, y, mode)
    out = convolve_full(_edged(x, y, boundary, fillvalue), y, "valid")
    return out if mode == "full" else _cut(out, x.shape)


def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Tensor:
    """The cross-correlation of two images."""
    x, y = _operands("correlate2d", in1, in2, mode)
    if mode != "same":
        return convolve2d(x, _reversed(y), mode, boundary, fillvalue)
    out = convolve2d(x, _reversed(y), "full", boundary, fillvalue)  # of two middles the later one
    return out[tuple([slice(n // 2, n // 2 + m) for m, n in zip(x.shape, y.shape, strict=True)])]


FUNCTIONS = {f.__name__: f for f in (convolve, correlate, fftconvolve, oaconvolve, convolve2d, correlate2d)}
