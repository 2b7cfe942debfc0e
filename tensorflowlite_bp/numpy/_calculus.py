"""Differences, integrals, interpolation and convolution."""

from typing import Any

import numpy as np

from .. import backend
from ..autograd.op import is_float
from ..autograd.record import constant, lift
from ..autograd.tensor import Tensor, wrap
from ..backend.batched.array import MappedValueError
from ..errors import message
from ..ops import shape as s
from ..ops import signal
from ..ops.elementwise import astype, not_equal, remainder, where
from ..ops.shape import axis_index, axis_tuple
from ._table import implements

_UNSET = np._NoValue  # type: ignore[attr-defined]


def _part(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    """x[start:stop] along one axis."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


# ------------------------------------------------------------------ differences
@implements("diff")
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = _UNSET, append: Any = _UNSET) -> Tensor:
    a = lift(a)
    if n == 0:
        return a
    if n < 0 or not a.ndim:
        raise ValueError(
            message("diff", "an axis and n >= 0 were expected.", received=f"shape {a.shape}, n={n}")
        )
    axis = axis_index(axis, a.ndim)
    edge = a.shape[:axis] + (1,) + a.shape[axis + 1 :]
    ends = [None if e is _UNSET else lift(e) for e in (prepend, append)]
    first, last = [s.broadcast_to(e, edge) if e is not None and not e.ndim else e for e in ends]
    parts = [p for p in (first, a, last) if p is not None]
    a = a if len(parts) == 1 else s.concatenate(parts, axis)
    for _ in range(n):
        after, before = _part(a, axis, 1, None), _part(a, axis, None, -1)
        a = not_equal(after, before) if a.dtype == bool else after - before
    return a


@implements("ediff1d")
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    ary = s.ravel(ary)
    parts = [ary[1:] - ary[:-1]]
    for name, end in (("to_end", to_end), ("to_begin", to_begin)):
        if end is None:
            continue
        end = s.ravel(lift(end))
        if not np.can_cast(end.dtype, ary.dtype, "same_kind"):
            raise TypeError(message("ediff1d", f"the dtype of {name} must be compatible with {ary.dtype}."))
        end = astype(end, ary.dtype) if end.dtype != ary.dtype else end
        parts.insert(len(parts) if name == "to_end" else 0, end)
    return parts[0] if len(parts) == 1 else s.concatenate(parts)


@implements("gradient")
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = lift(f)
    axes = tuple(range(f.ndim)) if axis is None else axis_tuple(axis, f.ndim)
    spacings = [lift(v) for v in varargs] or [lift(1.0)]
    if len(spacings) == 1 and (not varargs or not spacings[0].ndim):
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise TypeError(
            message(
                "gradient", f"one spacing, or one for each of {len(axes)} axes.", received=str(len(varargs))
            )
        )
    if edge_order > 2:
        raise ValueError(message("gradient", "edge_order is 1 or 2.", received=str(edge_order)))
    f = f if is_float(f.dtype) else astype(f, np.float64)
    out = [_slope(f, a, h, edge_order) for a, h in zip(axes, spacings, strict=True)]
    out = [x if x.dtype == f.dtype else astype(x, f.dtype) for x in out]
    return out[0] if len(out) == 1 else tuple(out)


def _slope(f: Tensor, axis: int, spacing: Tensor, edge_order: int) -> Tensor:
    """Second-order differences inside; at the ends of first or second order (Fornberg's weights)."""
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(
            message(
                "gradient", f"at least {edge_order + 1} points are needed along axis {axis}.", received=str(n)
            )
        )
    if spacing.ndim > 1 or (spacing.ndim == 1 and spacing.size != n):
        raise ValueError(
            message("gradient", f"{n} coordinates, or a number, were expected.", received=str(spacing.shape))
        )

    def at(k: int) -> Tensor:
        return _part(f, axis, k, k + 1 or None)

    if not spacing.ndim:
        h = spacing
        inner = (_part(f, axis, 2, None) - _part(f, axis, None, -2)) / (2 * h)
        if edge_order == 1:
            ends = (at(1) - at(0)) / h, (at(-1) - at(-2)) / h
        else:
            ends = (
                (-1.5 * at(0) + 2 * at(1) - 0.5 * at(2)) / h,
                (1.5 * at(-1) - 2 * at(-2) + 0.5 * at(-3)) / h,
            )
        return s.concatenate([ends[0], inner, ends[1]], axis)
    wide = (-1,) + (1,) * (f.ndim - axis - 1)
    spacing = spacing if is_float(spacing.dtype) else astype(spacing, np.float64)
    d = s.reshape(spacing[1:] - spacing[:-1], wide)
    d1, d2 = d[:-1], d[1:]
    inner = (
        _part(f, axis, None, -2) * (-d2 / (d1 * (d1 + d2)))
        + _part(f, axis, 1, -1) * ((d2 - d1) / (d1 * d2))
        + _part(f, axis, 2, None) * (d1 / (d2 * (d1 + d2)))
    )
    if edge_order == 1:
        ends = (at(1) - at(0)) / d[:1], (at(-1) - at(-2)) / d[-1:]
    else:
        ends = _three(d[:1], d[1:2], at(0), at(1), at(2)), -_three(d[-1:], d[-2:-1], at(-1), at(-2), at(-3))
    return s.concatenate([ends[0], inner, ends[1]], axis)


def _three(near: Tensor, far: Tensor, f0: Tensor, f1: Tensor, f2: Tensor) -> Tensor:
    """The slope at f0 of the parabola through three points."""
    both = near + far
    return -(near + both) / (near * both) * f0 + both / (near * far) * f1 - near / (far * both) * f2


# ------------------------------------------------------------------ integrals
@implements("trapezoid", "trapz")
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    y = lift(y)
    axis = axis_index(axis, y.ndim)
    d = lift(dx, y)
    if x is not None:
        x = lift(x)
        along = axis if x.ndim == y.ndim else x.ndim - 1 if x.ndim != 1 else 0
        d = _diff(x, axis=along)
        d = s.reshape(d, (-1,) + (1,) * (y.ndim - axis - 1)) if x.ndim == 1 else d
    return (d * (_part(y, axis, 1, None) + _part(y, axis, None, -1)) / 2.0).sum(axis)


# ------------------------------------------------------------------ interpolation
@implements("interp")
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Tensor:
    """Straight lines between points. At a point the slope in x is that of the line to its right."""
    x, xp, fp = lift(x), lift(xp), lift(fp)
    x, xp = [t if t.dtype == np.float64 else astype(t, np.float64) for t in (x, xp)]
    fp = fp if fp.dtype in (np.float64, np.complex128) else astype(fp, np.result_type(fp.dtype, np.float64))
    if xp.ndim != 1 or fp.ndim != 1 or xp.size != fp.size or not xp.size:
        raise ValueError(
            message("interp", "as many values as points were expected.", received=f"{xp.shape}, {fp.shape}")
        )
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, period)
        left = right = None
    n, places = xp.size, xp.data
    out = fp[np.zeros(x.shape, np.intp)] if n == 1 else _lines(x, xp, fp)
    left, right = [fp[k] if v is None else lift(v) for k, v in ((0, left), (-1, right))]
    return where(x.data < places[0], left, where(x.data > places[-1], right, out))


def _periodic(x: Tensor, xp: Tensor, fp: Tensor, period: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The points of one period in rising order, and one more at either end."""
    period = abs(lift(period, xp))
    if not period.data.all():
        raise ValueError(message("interp", "a period other than 0 was expected."))
    x, xp = remainder(x, period), remainder(xp, period)
    order = xp.data.argsort()
    xp, fp = xp[order], fp[order]
    points = [xp[-1:] - period, xp, xp[:1] + period]
    return x, s.concatenate(points), s.concatenate([fp[-1:], fp, fp[:1]])


def _any(mask: Any) -> bool:
    """Whether any is true. Under vmap, where samples may differ: that it may be."""
    try:
        return bool(mask.any())
    except MappedValueError:
        return True


def _lines(x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    lib, n = backend.of(xp.data), xp.size
    k = lib.clip(lib.searchsorted(xp.data, x.data, side="right") - 1, 0, n - 2)
    x0, f0, f1 = xp[k], fp[k], fp[k + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (f1 - f0) / (xp[k + 1] - x0)
        out = (x - x0) * slope + f0
        odd = ~np.isfinite(slope.data)
    if _any(odd):  # infinite values, points that coincide: exact at the points all the same
        x1 = xp[k + 1]
        with np.errstate(invalid="ignore"):
            out = where(odd & np.isnan(out.data), (x - x1) * slope + f1, out)
        out = where(np.isnan(out.data) & (f0.data == f1.data), f0, out)
        out = where(odd & (x.data == x1.data), f1, where(odd & (x.data == x0.data), f0, out))
    return out


# ------------------------------------------------------------------ convolution, phases
@implements("convolve")
def _convolve(a: Any, v: Any, mode: Any = "full") -> Tensor:
    return signal.convolve(a, v, mode)


@implements("correlate")
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Tensor:
    return signal.correlate(a, v, mode)


@implements("unwrap")
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Tensor:
    """What is added is a multiple of the period, constant wherever there is a derivative."""
    p = lift(p)
    known = {"discont": constant("unwrap", discont) if discont is not None else None, "axis": axis}
    unwrapped = np.unwrap(p.data, **known, period=constant("unwrap", period).item())
    return wrap(unwrapped) if not is_float(p.dtype) else p + (unwrapped - p.data)
