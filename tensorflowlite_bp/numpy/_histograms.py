"""NumPy's histograms. Counts are constants; sums of weights are differentiable in the weights, edges that
follow the data's range in its extremes, densities in all of these.
"""

import functools
import itertools
import math
import operator
from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..errors import ShapeError, message
from ..ops import elementwise as e
from ..ops import reductions as r
from ..ops.indexing import scatter_add
from ..ops.shape import concatenate, ravel, reshape
from ._plain import differentiable, raw, records


# ------------------------------------------------------------------ edges
def _edges(x: Any, bins: Any, span: Any, edges: Any) -> Tensor:
    """The edges NumPy found, recorded: those given, or evenly spaced in the range given or the data's."""
    if np.ndim(raw(bins)) and not isinstance(bins, str):
        return lift(bins) if records(bins) else wrap(edges)
    x = lift(x)
    if not (records(x) if span is None else records(span)) or not x.size:
        return wrap(edges)
    n = edges.size - 1
    ends = (r.min(x), r.max(x)) if span is None else map(lift, span)
    low, high = [e.astype(end, edges.dtype) for end in ends]
    wider = e.where(raw(low) == raw(high), 0.5, 0.0)
    low, high = low - e.astype(wider, edges.dtype), high + e.astype(wider, edges.dtype)
    steps = backend.of(x.data).arange(n, dtype=edges.dtype)
    return concatenate([steps * ((high - low) / n) + low, reshape(high, (1,))])


@differentiable("histogram_bin_edges")
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Tensor:
    return _edges(a, bins, range, np.histogram_bin_edges(raw(lift(a)), raw(bins), raw(range), raw(weights)))


# ------------------------------------------------------------------ sums by bin
def _bin(values: Any, edges: Any) -> Any:
    """The bin of every value; the last edge belongs to the last bin. Outside: -1, or the number of bins."""
    n = edges.size - 1
    return np.where(values == edges[-1], n - 1, np.searchsorted(edges, values, "right") - 1)


def _sums(places: list[Any], sizes: tuple[int, ...], weights: Any, samples: int) -> Tensor:
    """The sum of the weights in each bin, in double precision."""
    w = ravel(weights)
    if w.shape != (samples,):
        raise ShapeError(message("histogram", "one weight a sample was expected.", received=str(w.shape)))
    inside = functools.reduce(operator.and_, [(p >= 0) & (p < n) for p, n in zip(places, sizes, strict=True)])
    flat = np.ravel_multi_index(tuple([np.where(inside, p, 0) for p in places]), sizes)
    wide = np.result_type(w.dtype, np.float64)
    w = e.where(inside, w if w.dtype == wide else e.astype(w, wide), 0)
    return reshape(scatter_add(w, flat, (math.prod(sizes),)), sizes)


def _density(sums: Tensor, edges: list[Tensor]) -> Tensor:
    out = sums
    for k, one in enumerate(edges):
        widths = e.astype(one[1:] - one[:-1], np.float64)
        out = out / reshape(widths, tuple([-1 if k == i else 1 for i, _ in enumerate(edges)]))
    return out / r.sum(sums)


@differentiable("histogram")
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Tensor, Tensor]:
    x = lift(a)
    counts, found = np.histogram(x.data, raw(bins), raw(range), weights=raw(weights))
    edges = _edges(x, bins, range, found)
    sums = wrap(counts)
    if records(weights):
        sums = _sums([_bin(x.data.reshape(-1), found)], (found.size - 1,), weights, x.size)
        sums = sums if sums.dtype == counts.dtype else e.astype(sums, counts.dtype)
    return (_density(sums, [edges]) if density else sums), edges


@differentiable("histogramdd", lists=True)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    counts, found = np.histogramdd(raw(sample), raw(bins), raw(range), weights=raw(weights))
    if isinstance(sample, (list, tuple)):
        columns = [lift(c) for c in sample]
    else:
        x = lift(sample)
        columns = [ravel(x)] if x.ndim == 1 else [x[:, k] for k, _ in enumerate(found)]
    spans = itertools.repeat(None) if range is None else range
    edges = [
        _edges(c, b, s, f)
        for c, b, s, f in zip(
            columns, bins if np.iterable(bins) else [bins] * len(found), spans, found, strict=False
        )
    ]
    sums = wrap(counts)
    if records(weights):
        places = [_bin(raw(c).reshape(-1), f) for c, f in zip(columns, found, strict=True)]
        sums = _sums(places, counts.shape, weights, columns[0].size)
    return (_density(sums, edges) if density else sums), tuple(edges)


@differentiable("histogram2d", lists=True)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    np.histogram2d(raw(x), raw(y), raw(bins), raw(range), weights=raw(weights))  # what it raises
    if hasattr(bins, "__len__") and len(bins) not in (1, 2):
        bins = [bins, bins]
    sums, (first, second) = histogramdd([x, y], bins, range, density, weights)
    return sums, first, second


@differentiable("bincount")
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Tensor:
    counts = np.bincount(raw(x), None, raw(minlength))
    places = raw(lift(x)).astype(int)
    w = lift(weights)
    if w.dtype.kind == "c":
        raise TypeError(message("bincount", "real weights were expected.", received=str(w.dtype)))
    if w.shape != places.shape:
        raise ShapeError(message("bincount", "one weight an index was expected.", received=str(w.shape)))
    if not places.size:
        return wrap(counts)
    return scatter_add(e.astype(w, np.float64) if w.dtype != np.float64 else w, places, counts.shape)
