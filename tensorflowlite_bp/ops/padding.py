"""Padding, in all of NumPy's modes. Axis after axis, so that the corners come out as NumPy's do."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd.declare import Arguments, operation
from ..autograd.op import helper, is_float
from ..autograd.record import constant, lift, on_host
from ..autograd.tensor import Tensor, wrap
from ..errors import message
from . import reductions
from .elementwise import astype, copy
from .indexing import sort
from .shape import broadcast_to, concatenate, gather, moveaxis, reshape, stack

Pair = tuple[int, int]


def _pad_back(F: Any, g: Any, out: Any, x: Any, *, widths: tuple, value: Any) -> Any:
    return g[tuple([slice(lo, lo + n) for (lo, _), n in zip(widths, x.shape, strict=True)])]


@operation(
    vjp=(_pad_back,),
    jvp=lambda F, ts, out, x, *, widths, value: F.pad(ts[0], widths),
    saves=("x.shape",),
    forward=lambda B: lambda x, *, widths, value: B.pad(x, widths, constant_values=value),
)
def _pad(x: Any, widths: tuple, value: Any) -> Arguments:
    return (x,), {"widths": widths, "value": value}


_KEYWORDS = {
    "constant": "constant_values",
    "linear_ramp": "end_values",
    **dict.fromkeys(("maximum", "minimum", "mean", "median"), "stat_length"),
    **dict.fromkeys(("reflect", "symmetric"), "reflect_type"),
    **dict.fromkeys(("edge", "wrap", "empty"), ""),
}


@helper
def pad(x: Any, pad_width: Any, mode: Any = "constant", **keywords: Any) -> Tensor:
    """Padded at the ends of its axes, as numpy.pad: its modes, and their keywords constant_values,
    end_values, stat_length and reflect_type. Values that are Tensors get gradients.

    pad_width: an int, a pair, a pair per axis, or {axis: pair}. mode "empty" pads with zeros. mode may be a
    function(vector, widths, axis, keywords) that writes into the ends of a vector.

    >>> import tensorflowlite_bp as bp
    >>> bp.pad(bp.asarray([1.0, 2.0]), (1, 2), "reflect", reflect_type="odd")
    Tensor([0., 1., 2., 3., 4.])
    """
    x = lift(x)
    widths = _widths(pad_width, x.ndim)
    if callable(mode):
        return _written(x, widths, mode, keywords)
    if mode not in _KEYWORDS:
        raise ValueError(message("pad", f"mode must be one of {', '.join(_KEYWORDS)}.", received=repr(mode)))
    unknown = set(keywords) - {_KEYWORDS[mode]}
    if unknown:
        raise ValueError(message("pad", f"mode {mode!r} does not take {', '.join(sorted(unknown))}."))
    if mode in ("constant", "empty"):
        return _constant(x, widths, keywords.get("constant_values", 0))
    if not is_float(x.dtype):
        plain = {
            k: constant("pad", v) if v is not None and k == "end_values" else v for k, v in keywords.items()
        }
        return wrap(backend.of(x.data).pad(x.data, widths, mode=mode, **plain))
    extend = _extender(mode, x, keywords)
    for axis, pair in enumerate(widths):
        if pair != (0, 0):
            if not x.shape[axis]:
                raise ValueError(
                    message("pad", f"axis {axis} is empty: only 'constant' and 'empty' can extend it.")
                )
            x = extend(x, axis, *pair)
    return x


def _widths(given: Any, ndim: int) -> tuple[Pair, ...]:
    if isinstance(given, dict):
        pairs = np.zeros((ndim, 2), np.intp)
        for axis, pair in given.items():
            pairs[axis] = pair
    else:
        found = on_host("pad", given)
        if found.dtype.kind not in "iu":
            raise TypeError(message("pad", "`pad_width` must be of integral type.", received=repr(given)))
        pairs = np.broadcast_to(found, (ndim, 2))
    if (pairs < 0).any():
        raise ValueError(message("pad", "widths can't be negative.", received=repr(given)))
    return tuple([(int(lo), int(hi)) for lo, hi in pairs])


def _pairs(values: Any, x: Tensor) -> Any:
    """A value before and one after for every axis, in x's dtype, as a Tensor of shape (ndim, 2)."""
    pairs = lift(values, x)
    if isinstance(values, (list, tuple)) and type(pairs.data) is np.ndarray:  # numbers: where x is
        pairs = wrap(backend.of(x.data).asarray(pairs.data))
    return broadcast_to(astype(pairs, x.dtype), (x.ndim, 2))


def _constant(x: Tensor, widths: tuple[Pair, ...], values: Any) -> Tensor:
    if isinstance(values, (int, float, complex, np.generic)):
        return _pad(x, widths, values)
    pairs = _pairs(values, x)
    for axis, pair in enumerate(widths):
        shape = list(x.shape)
        ends = []
        for side, width in enumerate(pair):
            shape[axis] = width
            ends.append(broadcast_to(pairs[axis, side], tuple(shape)))
        x = concatenate([ends[0], x, ends[1]], axis)
    return x


# ------------------------------------------------------------------ one axis
def _extender(mode: str, x: Tensor, keywords: dict[str, Any]) -> Callable[[Tensor, int, int, int], Tensor]:
    if mode == "linear_ramp":
        return _ramps(_pairs(keywords.get("end_values", 0), x))
    if _KEYWORDS[mode] == "stat_length":
        lengths = keywords.get("stat_length")
        return _statistics(mode, None if lengths is None else _widths(lengths, x.ndim))
    odd = keywords.get("reflect_type", "even")
    if odd not in ("even", "odd"):
        raise ValueError(message("pad", "reflect_type is 'even' or 'odd'.", received=repr(odd)))
    return _odd(mode) if odd == "odd" else _gathered(mode)


def _gathered(mode: str) -> Callable:
    """The modes that repeat elements: NumPy's own, on the numbers of the elements."""

    def extend(x: Tensor, axis: int, lo: int, hi: int) -> Tensor:
        return gather(x, np.pad(np.arange(x.shape[axis]), (lo, hi), mode=mode), axis)  # type: ignore[call-overload]

    return extend


def _odd(mode: str) -> Callable:
    """Reflected through its ends: 2 x[end] - x[...]. With p the distance between copies, element k p + r is
    x[r] + k (x[-1] - x[0]) for even k, and (k + 1) x[-1] - (k - 1) x[0] - x[p - r] for odd k.
    """

    def extend(x: Tensor, axis: int, lo: int, hi: int) -> Tensor:
        n = x.shape[axis]
        places = np.pad(np.arange(n), (lo, hi), mode=mode)  # type: ignore[call-overload]
        period = n - (mode == "reflect")
        lib = backend.of(x.data)
        k = lib.arange(-lo, n + hi)
        k = k // period if period else lib.zeros_like(k)
        if period and mode == "reflect":
            k[lo : lo + n] = 0  # the last element itself
        wide = (-1,) + (1,) * (x.ndim - axis - 1)
        odd = k % 2
        sign, last, first = [c.reshape(wide).astype(x.dtype) for c in (1 - 2 * odd, k + odd, odd - k)]
        return (
            gather(x, places, axis) * sign
            + gather(x, np.array([n - 1]), axis) * last
            + gather(x, np.array([0]), axis) * first
        )

    return extend


def _ramps(pairs: Any) -> Callable:
    """Straight lines from the end values to the edges."""

    def extend(x: Tensor, axis: int, lo: int, hi: int) -> Tensor:
        n, wide = x.shape[axis], (-1,) + (1,) * (x.ndim - axis - 1)
        parts = []
        for side, (width, edge) in enumerate(((lo, 0), (hi, n - 1))):
            share = backend.of(x.data).arange(width) / (width or 1)
            share = (share[::-1] if side else share).reshape(wide).astype(x.dtype)
            end = pairs[axis, side]
            parts.append((gather(x, np.array([edge]), axis) - end) * share + end)
        return concatenate([parts[0], x, parts[1]], axis)

    return extend


def _statistics(mode: str, lengths: tuple[Pair, ...] | None) -> Callable:
    """The maximum, minimum, mean or median of the whole axis, or of stat_length elements at each end."""

    def extend(x: Tensor, axis: int, lo: int, hi: int) -> Tensor:
        n, lead = x.shape[axis], (slice(None),) * axis
        left, right = (n, n) if lengths is None else [min(length, n) for length in lengths[axis]]
        if mode in ("maximum", "minimum") and 0 in (left, right):
            raise ValueError(message("pad", "stat_length of 0 yields no value for padding."))
        parts = []
        for width, part in ((lo, slice(left)), (hi, slice(n - right, None))):
            value = _STATISTICS[mode](x[(*lead, part)], axis)
            parts.append(broadcast_to(value, x.shape[:axis] + (width,) + x.shape[axis + 1 :]))
        return concatenate([parts[0], x, parts[1]], axis)

    return extend


def _median(x: Tensor, axis: int) -> Tensor:
    n, ordered = x.shape[axis], sort(x, axis)
    middle = gather(ordered, np.array([(n - 1) // 2, n // 2]), axis)
    middle = reductions.mean(middle, axis, keepdims=True)
    last = gather(ordered, np.array([n - 1]), axis)  # a NaN is sorted to the end
    return middle + 0 * last


_STATISTICS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "maximum": lambda x, axis: reductions.max(x, axis, keepdims=True),
    "minimum": lambda x, axis: reductions.min(x, axis, keepdims=True),
    "mean": lambda x, axis: reductions.mean(x, axis, keepdims=True),
    "median": _median,
}


def _written(x: Tensor, widths: tuple[Pair, ...], function: Callable, keywords: dict[str, Any]) -> Tensor:
    """Padded with zeros, then handed to `function` vector by vector, which writes into it."""
    x = _pad(x, widths, 0)
    for axis, pair in enumerate(widths):
        rows = moveaxis(x, axis, -1)
        vectors = []
        for place in np.ndindex(rows.shape[:-1]):
            vector = copy(rows[place])
            function(vector, pair, axis, keywords)
            vectors.append(vector)
        if vectors:
            x = moveaxis(reshape(stack(vectors), rows.shape), -1, axis)
    return x
