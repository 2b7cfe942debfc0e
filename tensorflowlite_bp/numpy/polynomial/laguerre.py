"""A mirror of numpy.polynomial.laguerre."""

from typing import Any

import numpy as _np

from .._table import mirrored

globals().update(mirrored(_np.polynomial.laguerre))


def __getattr__(name: str) -> Any:
    return getattr(_np.polynomial.laguerre, name)
