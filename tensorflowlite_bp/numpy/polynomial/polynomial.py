"""A mirror of numpy.polynomial.polynomial."""

from typing import Any

import numpy as _np

from .._table import mirrored

globals().update(mirrored(_np.polynomial.polynomial))


def __getattr__(name: str) -> Any:
    return getattr(_np.polynomial.polynomial, name)
