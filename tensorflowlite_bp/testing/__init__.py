"""What the tests of this project use, for the tests of yours: `check_grads`, and `fake_cupy`, a strict
stand-in for CuPy on machines without a GPU.
"""

import importlib
from typing import Any

from .gradients import check_grads

__all__ = ["check_grads"]


def __getattr__(name: str) -> Any:
    if name == "fake_cupy":  # imported by whoever asks for it
        return importlib.import_module(".fake_cupy", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
