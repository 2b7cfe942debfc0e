"""numpy.random, under its own names: random numbers have no derivative. `bp.random` makes Tensors of them."""

from typing import Any

import numpy as _np


def __getattr__(name: str) -> Any:
    return getattr(_np.random, name)


def __dir__() -> list[str]:
    return dir(_np.random)
