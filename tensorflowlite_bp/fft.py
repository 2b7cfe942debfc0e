"""Fourier transforms: the `fft` extension of the array API standard, differentiable.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda x: bp.sum(abs(bp.fft.rfft(x)) ** 2))(np.array([1.0, 2.0, 3.0, 4.0]))
array([12., 20., 20., 28.])
"""

from typing import Any

from . import backend
from .autograd.tensor import Tensor, wrap
from .ops.fft import (
    fft,
    fft2,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from .ops.transfer import to_device

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of `fft`'s n entries, for samples d apart: 0, 1, ..., -2, -1 over n d.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.fftfreq(4, d=0.5)
    Tensor([ 0. ,  0.5, -1. , -0.5])
    """
    return _placed(backend.current().fft.fftfreq(n, d), dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of `rfft`'s entries: 0, 1, ..., n // 2 over n d.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.rfftfreq(4, d=0.5)
    Tensor([0. , 0.5, 1. ])
    """
    return _placed(backend.current().fft.rfftfreq(n, d), dtype, device)


def _placed(x: Any, dtype: Any, device: str | None) -> Tensor:
    out = wrap(x if dtype is None else x.astype(dtype))
    return out if device is None else to_device(out, device)
