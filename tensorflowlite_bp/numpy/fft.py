"""A mirror of numpy.fft: its functions take nested lists of Tensors for arrays as well."""

from typing import Any

import numpy as _np

from ._table import mirrored

globals().update(mirrored(_np.fft))


def __getattr__(name: str) -> Any:
    return getattr(_np.fft, name)
