"""NumPy's medians, percentiles and quantiles, by every method, with weights, and without NaN.

A quantile lies between two elements of the sorted array: which, is found on the raw arrays, and their
gradients go to where they came from. Between the two it is differentiable in q as well; where the method, or
a weight, only decides which element is taken, the derivative is 0.

Formulas: Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), and numpy.quantile's
documentation. nanquantile takes weights of an axis, and a 2-D q with several axes, as quantile does, where
NumPy 2.4's raises or mixes axes up.
"""

import functools
import math
from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..errors import message
from ..ops import elementwise as e
from ..ops import reductions as r
from ..ops.indexing import take_along
from ..ops.shape import broadcast_to, moveaxis, reshape, transpose
from ._nan import nanmean, numbers
from ._plain import NOT_GIVEN, differentiable, raw, reduced_axes, some
from ._reductions import kept, mean, no_elements, weights_for


class Sample:
    """An array with the axes to reduce put last, as one: rows of numbers, and the order of each."""

    def __init__(self, x: Tensor, axis: Any, leave_nan: bool) -> None:
        self.lib = backend.of(x.data)
        self.axes = reduced_axes(axis, x.ndim)
        self.shape = tuple(n for k, n in enumerate(x.shape) if k not in self.axes)
        self.full = tuple(1 if k in self.axes else n for k, n in enumerate(x.shape))
        self.length = math.prod(x.shape[k] for k in self.axes)
        self.x = self.rows(x)
        valid = numbers(self.x)
        self.count = valid.sum(-1) if leave_nan else self.length  # how many there are to choose from
        self.bad = valid.sum(-1) == 0 if leave_nan else ~valid.all(-1)
        if leave_nan and some(self.bad):
            no_elements("All-NaN slice encountered")

    def rows(self, x: Tensor) -> Tensor:
        others = tuple(k for k in range(x.ndim) if k not in self.axes)
        return reshape(transpose(x, others + self.axes), (*self.shape, self.length))

    @functools.cached_property
    def order(self) -> Any:
        """What sorts the rows, stably; NaN comes last."""
        return self.lib.argsort_stable(self.x.data, axis=-1)

    def _shared(self, places: Any) -> bool:
        """Whether all rows are asked for the same places, so that a selection will do."""
        host = type(places) is np.ndarray is type(self.x.data)
        return host and places.size == len(places) and "order" not in vars(self)

    def at(self, places: Any) -> Tensor:
        """Elements at places of the sorted rows, (k, *shape); a bad row's last, which is NaN."""
        order = None
        if self._shared(places):
            asked = {*places.reshape(-1).tolist(), *([self.length - 1] if self.bad.any() else [])}
            order = np.argpartition(self.x.data, sorted(asked), axis=-1)  # places that all rows share
        places = self.lib.where(self.bad, self.length - 1, places)
        order = self.order if order is None else order
        index = self.lib.take_along_axis(order, self.lib.moveaxis(places, 0, -1), -1)
        return moveaxis(take_along(self.x, index, self.x.ndim - 1), -1, 0)

    def result(self, out: Tensor, keepdims: Any, lead: tuple[int, ...] = ()) -> Tensor:
        return reshape(out, lead + (self.full if kept(keepdims) else self.shape))


# ------------------------------------------------------------------ medians
@differentiable("median")
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Tensor:
    return _median(lift(a), axis, keepdims, leave_nan=False)


@differentiable("nanmedian")
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = NOT_GIVEN
) -> Tensor:
    return _median(lift(a), axis, keepdims, leave_nan=True)


def _median(x: Tensor, axis: Any, keepdims: Any, leave_nan: bool) -> Tensor:
    if not x.size:
        return (nanmean if leave_nan else mean)(x, axis, keepdims=keepdims)
    sample = Sample(x, axis, leave_nan)
    n = sample.count
    if not leave_nan:
        middle = np.arange((n - 1) // 2, n // 2 + 1).reshape(-1, *(1,) * len(sample.shape))
        return sample.result(r.mean(sample.at(middle), 0), keepdims)
    pair = sample.at(sample.lib.stack([(n - 1) // 2, n // 2]))
    return sample.result(e.where(n % 2 == 1, pair[0], r.mean(pair, 0)), keepdims)


# ------------------------------------------------------------------ quantiles
@differentiable("quantile")
def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, weights, leave_nan=False)


@differentiable("percentile")
def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, weights, leave_nan=False, unit=100)


@differentiable("nanquantile")
def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = NOT_GIVEN, *, weights: Any = None,
) -> Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, weights, leave_nan=True)


@differentiable("nanpercentile")
def nanpercentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = NOT_GIVEN, *, weights: Any = None,
) -> Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, weights, leave_nan=True, unit=100)


def _quantile(
    a: Any, q: Any, axis: Any, method: str, keepdims: Any, weights: Any, *, leave_nan: bool, unit: int = 1
) -> Tensor:
    x = lift(a)
    if x.dtype.kind == "c":
        raise TypeError(message("quantile", "real numbers were expected.", received=str(x.dtype)))
    weak = type(q) in (int, float)  # such a q leaves the result in x's dtype
    q = lift(q) / unit if unit != 1 else lift(q)
    _check(q, method, weights)
    if leave_nan and not x.size:
        return nanmean(x, axis, keepdims=keepdims)
    sample = Sample(x, axis, leave_nan)
    if not sample.length:
        raise IndexError(message("quantile", "at least one element was expected.", received=f"{x.shape}"))
    named = None if axis is None else sample.axes
    flat = reshape(q, (-1, *(1,) * len(sample.shape)))
    n = sample.lib.asarray(sample.count, dtype=flat.dtype)
    if weights is not None:
        w = broadcast_to(weights_for(x, weights, named).detach(), x.shape)
        out = sample.at(_by_weight(sample, sample.rows(w).data, raw(flat)))
    elif method in _DISCRETE or (method == "linear" and q.dtype.kind in "iub"):
        out = sample.at(_DISCRETE.get(method, _DISCRETE["lower"])(sample.lib, n, raw(flat)))
    else:
        out = _between(sample, n, flat, method, weak)
    return sample.result(out, keepdims, q.shape)


def _check(q: Tensor, method: str, weights: Any) -> None:
    values = raw(q)
    if q.ndim > 2:
        raise ValueError(message("quantile", "q must be a number or 1-d.", received=f"shape {q.shape}"))
    if some(~((values >= 0) & (values <= 1))):
        raise ValueError(message("quantile", "q must be in [0, 1], a percentile in [0, 100]."))
    if method not in _DISCRETE and method not in _POSITIONS:
        names = ", ".join([*_DISCRETE, *_POSITIONS])
        raise ValueError(message("quantile", f"a method is one of {names}.", received=repr(method)))
    if weights is None:
        return
    if method != "inverted_cdf":
        raise ValueError(message("quantile", 'weights need method="inverted_cdf".', received=repr(method)))
    if some(raw(lift(weights)) < 0):
        raise ValueError(message("quantile", "weights must not be negative."))


# ------------------------------------------------------------------ which element: the discrete methods
def _step(lib: Any, place: Any, exact: Any) -> Any:
    """floor(place) where `exact`, else the next; from 0 on."""
    below = lib.floor(place)
    return lib.maximum(lib.where(exact, below, below + 1), 0).astype(int)


def _inverted_cdf(lib: Any, n: Any, q: Any) -> Any:
    place = n * q - 1
    return _step(lib, place, place == lib.floor(place))


def _closest(lib: Any, n: Any, q: Any) -> Any:
    place = n * q - 1 - 0.5
    below = lib.floor(place)
    return _step(lib, place, (place == below) & (below % 2 == 1))


_DISCRETE = {
    "inverted_cdf": _inverted_cdf,
    "closest_observation": _closest,
    "lower": lambda lib, n, q: lib.floor((n - 1) * q).astype(int),
    "higher": lambda lib, n, q: lib.ceil((n - 1) * q).astype(int),
    "nearest": lambda lib, n, q: lib.rint((n - 1) * q).astype(int),
}


def _by_weight(sample: Sample, w: Any, q: Any) -> Any:
    """The first place where the sum of the sorted weights reaches the share q of all of them."""
    lib = sample.lib
    w = lib.take_along_axis(w, sample.order, -1)
    w = lib.where(lib.arange(sample.length) < lib.asarray(sample.count)[..., None], w, 0)
    share = lib.cumsum(w, axis=-1, dtype=np.float64)
    share = share / share[..., -1:]
    if some(lib.isnan(share[..., -1]) & ~sample.bad):
        raise ValueError(message("quantile", "weights must be finite, and not all 0."))
    share = share.astype(q.dtype if q.dtype.kind == "f" else share.dtype)
    share = lib.where(share == 0, -1, share)  # q = 0 takes the first element that has a weight
    places = lib.stack([(share < one).sum(-1) for one in q.reshape(-1)])
    return lib.minimum(places, lib.asarray(sample.count) - 1)


# ------------------------------------------------------------------ between two: the continuous methods
def _position(alpha: float, beta: float) -> Any:
    return lambda n, q: q * n + (q * (1 - alpha - beta) + alpha) - 1


_POSITIONS = {
    "linear": lambda n, q: q * (n - 1),
    "midpoint": lambda n, q: q * (n - 1),
    "averaged_inverted_cdf": lambda n, q: q * n - 1,
    "interpolated_inverted_cdf": _position(0, 1),
    "hazen": _position(0.5, 0.5),
    "weibull": _position(0, 0),
    "median_unbiased": _position(1 / 3.0, 1 / 3.0),
    "normal_unbiased": _position(3 / 8.0, 3 / 8.0),
}


def _between(sample: Sample, n: Any, q: Tensor, method: str, weak: bool) -> Tensor:
    place = _POSITIONS[method](wrap(n), q)
    at = raw(place)
    lib = backend.of(at)
    low = lib.clip(lib.floor(at), 0, n - 1)
    high = lib.clip(lib.floor(at) + 1, 0, n - 1)
    share = place - wrap(low)
    if method == "midpoint":
        share = lift(lib.where(at == lib.floor(at), 0.0, 0.5).astype(at.dtype))
    elif method == "averaged_inverted_cdf":
        share = lift(lib.where(at == lib.floor(at), 0.5, 1.0).astype(at.dtype))
    ends = sample.at(lib.concatenate([low, high]).astype(int))
    low, high = ends[: len(at)], ends[len(at) :]
    step, rest = high - low, 1 - share
    near_high = raw(share) >= 0.5
    if weak:
        share, rest = e.astype(share, low.dtype), e.astype(rest, low.dtype)
    return e.where(near_high, high - step * rest, low + step * share)
