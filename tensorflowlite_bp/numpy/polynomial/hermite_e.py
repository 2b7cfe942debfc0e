"""A mirror of numpy.polynomial.hermite_e."""

from typing import Any

import numpy as _np

from .._table import mirrored

globals().update(mirrored(_np.polynomial.hermite_e))


def __getattr__(name: str) -> Any:
    return getattr(_np.polynomial.hermite_e, name)
