"""A mirror of the NumPy namespace whose functions differentiate: swap the import, keep the code.

>>> import tensorflowlite_bp as bp, tensorflowlite_bp.numpy as np
>>> bp.grad(lambda x: np.sum(np.array([x ** 2, np.sin(x)])))(0.0)
np.float64(1.0)

NumPy hands a call that sees a Tensor to us by itself, so most names here simply are NumPy's: raw arrays in,
raw arrays out, at no cost. Defined here is what NumPy does not hand over: what takes or makes arrays from
nested lists, what makes new arrays, which live on the current backend, and the functions of which NumPy looks
at some arguments only.
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
from ._table import TABLE, by_any_argument

# NumPy hands over what it sees among a few arguments, and not in lists: these look at all of them
_BY_ANY_ARGUMENT = (
    "diff sum prod max amax min amin ptp mean var std average median quantile percentile all any argmax "
    "argmin nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian nanquantile nanpercentile cumsum "
    "cumprod nancumsum nancumprod cumulative_sum cumulative_prod sort argsort partition unique cov corrcoef "
    "histogram histogram_bin_edges bincount full_like interp nan_to_num pad polyint trapezoid append"
).split()
globals().update({n: by_any_argument(getattr(_np, n)) for n in _BY_ANY_ARGUMENT if hasattr(_np, n)})

TABLE.given.update(
    {getattr(_np, name): refuse(name) for name in REFUSED if not isinstance(getattr(_np, name), type)}
)
__all__ = [name for name in _np.__all__ if name not in REFUSED]


def __getattr__(name: str) -> Any:
    if name in REFUSED:
        return refuse(name)
    try:
        return getattr(_np, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *REFUSED})
