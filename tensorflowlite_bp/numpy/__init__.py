"""A mirror of the NumPy namespace whose functions differentiate: swap the import, keep the code.

>>> import tensorflowlite_bp as bp, tensorflowlite_bp.numpy as np
>>> bp.grad(lambda x: np.sum(np.array([x ** 2, np.sin(x)])))(0.0)
np.float64(1.0)

NumPy hands a call that sees a Tensor to us by itself, but it looks at some arguments only, not into lists.
The functions here look at all of them: a list of Tensors is an array, as a list of numbers is. Raw arrays
in, raw arrays out: NumPy's own function runs. ufuncs are NumPy's objects, with `reduce` and the like (lists
of Tensors go through `array` first). Functions that make arrays make them on the current backend.
"""

from typing import Any

import numpy as _np

from . import (
    _calculus,
    _covariance,
    _cumulative,
    _fft,
    _grids,
    _histograms,
    _indexing,
    _linalg,
    _nan,
    _numbers,
    _order,
    _polynomials,
    _quantiles,
    _questions,
    _reductions,
    _series,
    _sets,
    _shape,
)

from . import fft, linalg, polynomial, random  # isort: skip
from ._creation import (
    arange,
    array,
    asanyarray,
    asarray,
    asarray_chkfinite,
    ascontiguousarray,
    asfortranarray,
    bartlett,
    blackman,
    empty,
    eye,
    from_dlpack,
    full,
    geomspace,
    hamming,
    hanning,
    identity,
    indices,
    kaiser,
    linspace,
    logspace,
    ones,
    require,
    tri,
    zeros,
)
from ._functional import fromfunction, fromiter, vectorize
from ._grids import c_, mgrid, ogrid, r_
from ._refused import REFUSED, refuse
from ._table import TABLE, mirrored

TABLE.given.update(
    {getattr(_np, name): refuse(name) for name in REFUSED if not isinstance(getattr(_np, name), type)}
)
__all__ = [name for name in _np.__all__ if name not in REFUSED]
_own = {*globals(), *REFUSED}
globals().update({name: value for name, value in mirrored(_np).items() if name not in _own})


def __getattr__(name: str) -> Any:
    if name in REFUSED:
        return refuse(name)
    try:
        return getattr(_np, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *REFUSED})
