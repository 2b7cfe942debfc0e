"""A mirror of SciPy whose functions differentiate: `special`, `stats`, `linalg`, `signal`, `fft`,
`integrate`, `ndimage`.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda x: bp.scipy.special.gammaln(x).sum())(np.array([1.0, 2.0]))
array([-0.57721566,  0.42278434])

Raw arrays in, raw arrays out: then it is SciPy itself (or CuPy's version of it, on arrays of CuPy's).
Tensors give Tensors. What has no derivative here refuses a recording Tensor, by name. SciPy is optional, and
imported on first use.
"""

import importlib
from typing import Any

from ._namespace import mirror

_OWN = ("fft", "integrate", "linalg", "ndimage", "signal", "special", "stats")
_OTHER = ("cluster", "constants", "interpolate", "io", "optimize", "sparse", "spatial")


def __getattr__(name: str) -> Any:
    if name in _OWN:
        return importlib.import_module(f".{name}", __name__)
    if name in _OTHER:
        return mirror(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_OWN, *_OTHER})
