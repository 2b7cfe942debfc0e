"""A mirror of numpy.polynomial.chebyshev."""

from typing import Any

import numpy as _np

from .._table import mirrored

globals().update(mirrored(_np.polynomial.chebyshev))


def __getattr__(name: str) -> Any:
    return getattr(_np.polynomial.chebyshev, name)
