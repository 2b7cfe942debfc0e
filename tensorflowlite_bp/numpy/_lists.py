"""Functions of one array, that take a nested list of Tensors and numbers for it as well: np.sum([t1, t2]).

NumPy looks for Tensors among its arguments, not in lists, and would ask them for plain numbers.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.shape import nested
from ._table import has_tensor

_NAMES = (
    "sum prod max amax min amin ptp mean var std average median quantile percentile all any argmax argmin "
    "nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian nanquantile nanpercentile cumsum cumprod "
    "nancumsum nancumprod cumulative_sum cumulative_prod sort argsort partition unique diff cov corrcoef "
    "histogram histogram_bin_edges"
).split()


def _taking_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], (list, tuple)) and has_tensor(args[0]):
            args = (nested(args[0]), *args[1:])
        return function(*args, **kwargs)

    return call


LISTS = {name: _taking_lists(getattr(np, name)) for name in _NAMES if hasattr(np, name)}
