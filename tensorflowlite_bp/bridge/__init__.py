"""Other differentiation libraries on our tape, our functions on theirs: `bp.bridge.torch`, `bp.bridge.jax`.

Arrays cross without a copy, gradients of every order cross with them. torch and JAX are imported when their
bridge is first asked for; an ImportError names the pip line where one is missing.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("jax", "torch"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["jax", "torch"]
