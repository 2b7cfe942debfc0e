"""Shape manipulation. Everything here is linear: a view or a gather forward, its transpose backward."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import Axis
from ..autograd.declare import Arguments, operation
from ..autograd.op import helper
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message


# ------------------------------------------------------------------ views
@operation(
    vjp=(lambda F, g, out, x, *, shape: g.reshape(x.shape),), saves=("x.shape",), linear="joint", view=True
)
def reshape(x: Any, shape: Any, *, copy: bool | None = None) -> Arguments:
    """The same elements, in C order, in another shape; one entry may be -1."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    x = lift(x)
    if (-1 not in shape and math.prod(shape) != x.size) or shape.count(-1) > 1:
        raise ShapeError(
            message("reshape", "the number of elements must stay the same.", received=f"{x.shape} to {shape}")
        )
    return (x,), {"shape": shape}


def _transpose_back(F: Any, g: Any, out: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    inverse = [0] * len(axes)
    for i, a in enumerate(axes):
        inverse[a % len(axes)] = i
    return g.transpose(tuple(inverse))


@operation(vjp=(_transpose_back,), linear="joint", view=True)
def transpose(x: Any, axes: Any = None) -> Arguments:
    """Permute the axes; None reverses them."""
    x = lift(x)
    return (x,), {"axes": tuple(range(x.ndim))[::-1] if axes is None else tuple(axes)}


permute_dims = transpose


@helper
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = lift(x)
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


@helper
def matrix_transpose(x: Any) -> Tensor:
    """The last two axes exchanged."""
    return swapaxes(x, -1, -2)


@helper
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places, the rest in their order."""
    x = lift(x)
    sources = [s % x.ndim for s in ((source,) if isinstance(source, int) else source)]
    places = [d % x.ndim for d in ((destination,) if isinstance(destination, int) else destination)]
    order = [n for n in range(x.ndim) if n not in sources]
    for place, s in sorted(zip(places, sources, strict=True)):
        order.insert(place, s)
    return transpose(x, order)


@helper
def expand_dims(x: Any, axis: Axis) -> Tensor:
    """New axes of length 1."""
    x = lift(x)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)  # type: ignore[arg-type]
    total = x.ndim + len(axes)
    if any(not -total <= a < total for a in axes):
        raise np.exceptions.AxisError(next(a for a in axes if not -total <= a < total), total)
    places = {a % total for a in axes}
    rest = iter(x.shape)
    return reshape(x, tuple([1 if i in places else next(rest) for i in range(total)]))


@helper
def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Axes of length 1 taken out: all, or those named."""
    x = lift(x)
    axes = (
        range(x.ndim) if axis is None else [a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)]
    )
    if axis is not None and any(x.shape[a] != 1 for a in axes):
        raise ShapeError(
            message(
                "squeeze", "only axes of length 1 can be squeezed.", received=f"shape {x.shape}, axis {axis}"
            )
        )
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if not (i in axes and n == 1)]))


@operation(
    vjp=(lambda F, g, out, x, *, shape: F.sum_to(g, shape=x.shape),),
    saves=("x.shape",),
    linear="joint",
    view=True,
    forward=lambda B: lambda x, *, shape: B.broadcast_to(x, shape),
)
def broadcast_to(x: Any, shape: Any) -> Arguments:
    """Repeat along new axes and axes of length 1, without a copy."""
    return (x,), {"shape": (shape,) if isinstance(shape, int) else tuple(shape)}


@helper
def broadcast_arrays(*xs: Any) -> list[Tensor]:
    """All brought to their common shape."""
    lifted = [lift(x) for x in xs]
    shape = np.broadcast_shapes(*[x.shape for x in lifted])
    return [broadcast_to(x, shape) for x in lifted]


@helper
def ravel(x: Any) -> Tensor:
    """One axis, in C order."""
    return reshape(x, (-1,))


def _atleast(x: Any, ndim: int) -> Tensor:
    x = lift(x)
    if x.ndim >= ndim:
        return x
    return reshape(x, {1: (1,), 2: (1, x.size)}[ndim])


@helper
def atleast_1d(x: Any) -> Tensor:
    """At least one axis."""
    return _atleast(x, 1)


@helper
def atleast_2d(x: Any) -> Tensor:
    """At least two axes; a vector becomes a row."""
    return _atleast(x, 2)


# ------------------------------------------------------------------ joining
def _join(name: str, xs: Any) -> tuple[Tensor, ...]:
    like = next((x for x in xs if isinstance(x, Tensor)), None)
    lifted = [lift(x, like) for x in xs]
    if not lifted:
        raise ShapeError(message(name, "at least one array was expected.", received="an empty sequence"))
    return agree_all(lifted)


def _concatenate_back(F: Any, g: Any, out: Any, needs: Any, *xs: Any, axis: int) -> list[Any]:
    start, pulled = 0, []
    lead = (slice(None),) * (axis % len(xs[0].shape))
    for x, need in zip(xs, needs, strict=True):
        stop = start + x.shape[axis]
        pulled.append(g[(*lead, slice(start, stop))] if need else None)
        start = stop
    return pulled


@operation(
    vjp_all=_concatenate_back,
    saves=("x.shape", "y.shape", "z.shape"),
    linear="joint",
    forward=lambda B: lambda *xs, axis: B.concatenate(xs, axis=axis),
)
def _concatenate(xs: tuple, axis: int) -> Arguments:
    return xs, {"axis": axis}


@helper
def concatenate(xs: Sequence[Any], axis: int | None = 0) -> Tensor:
    """Joined along an existing axis (None: flattened first).

    Raises ShapeError naming the first array whose other axes differ.
    """
    parts = _join("concatenate", xs)
    if axis is None:
        return _concatenate(tuple(ravel(p) for p in parts), 0)
    first = parts[0].shape
    for k, p in enumerate(parts):
        if p.ndim != len(first) or any(
            i != axis % max(p.ndim, 1) and a != b
            for i, (a, b) in enumerate(zip(p.shape, first, strict=False))
        ):
            raise ShapeError(
                message(
                    "concatenate",
                    f"all axes but axis {axis} must agree.",
                    received=f"array 0 {first}, array {k} {p.shape}",
                )
            )
    return _concatenate(parts, axis)


concat = concatenate


@helper
def stack(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Joined along a new axis. All must have one shape."""
    parts = _join("stack", xs)
    for k, p in enumerate(parts):
        if p.shape != parts[0].shape:
            raise ShapeError(
                message(
                    "stack",
                    "all arrays must have one shape.",
                    received=f"array 0 {parts[0].shape}, array {k} {p.shape}",
                )
            )
    return _concatenate(tuple(expand_dims(p, axis) for p in parts), axis)


@helper
def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into equal parts, or at the given positions."""
    x = lift(x)
    n = x.shape[axis]
    if isinstance(sections, int):
        if n % sections:
            raise ShapeError(
                message(
                    "split",
                    f"{sections} equal parts were asked for.",
                    received=f"length {n}",
                    hint="use array_split for unequal parts.",
                )
            )
        cuts = [n // sections * k for k in range(1, sections)]
    else:
        cuts = [int(c) for c in sections]
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(a, b))] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


@helper
def array_split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into parts as equal as can be."""
    x = lift(x)
    if not isinstance(sections, int):
        return split(x, sections, axis)
    size, extra = divmod(x.shape[axis], sections)
    return split(x, list(np.cumsum([size + 1] * extra + [size] * (sections - extra))[:-1]), axis)


@helper
def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    x = lift(x)
    lead = (slice(None),) * (axis % x.ndim)
    return tuple(x[(*lead, k)] for k in range(x.shape[axis]))


# ------------------------------------------------------------------ rearranging
def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    return (
        tuple(range(ndim))
        if axis is None
        else tuple(a % ndim for a in ((axis,) if isinstance(axis, int) else axis))
    )


@helper
def flip(x: Any, axis: Axis = None) -> Tensor:
    """Reversed along `axis` (None: all)."""
    x = lift(x)
    axes = _axes(axis, x.ndim)
    return (
        x[tuple([slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim)])]
        if x.ndim
        else x
    )


def _roll_back(F: Any, g: Any, out: Any, x: Any, *, shift: Any, axis: Any) -> Any:
    return F.roll(g, tuple([-s for s in shift]) if isinstance(shift, tuple) else -shift, axis=axis)


@operation(
    vjp=(_roll_back,), linear="joint", forward=lambda B: lambda x, *, shift, axis: B.roll(x, shift, axis=axis)
)
def roll(x: Any, shift: Any, axis: Any = None) -> Arguments:
    """Elements moved along `axis`, those pushed out coming back at the other end (None: of the flattened
    array).
    """
    shift = tuple(shift) if hasattr(shift, "__iter__") else int(shift)
    return (x,), {"shift": shift, "axis": tuple(axis) if hasattr(axis, "__iter__") else axis}


@helper
def tile(x: Any, reps: int | Sequence[int]) -> Tensor:
    """The whole array repeated `reps` times along each axis."""
    x = lift(x)
    given = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(x.ndim, len(given))
    shape = (1,) * (ndim - x.ndim) + x.shape
    times = (1,) * (ndim - len(given)) + given
    pairs = tuple([n for s in shape for n in (1, s)])
    wide = broadcast_to(
        reshape(x, pairs), tuple([n for r, s in zip(times, shape, strict=True) for n in (r, s)])
    )
    return reshape(wide, tuple([r * s for r, s in zip(times, shape, strict=True)]))


@helper
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated, along `axis` (None: of the flattened array)."""
    x = ravel(x) if axis is None else lift(x)
    along = 0 if axis is None else axis % x.ndim
    if isinstance(repeats, (int, np.integer)):
        wide = broadcast_to(
            expand_dims(x, along + 1), x.shape[: along + 1] + (int(repeats),) + x.shape[along + 1 :]
        )
        return reshape(wide, x.shape[:along] + (x.shape[along] * int(repeats),) + x.shape[along + 1 :])
    return _gather(x, np.repeat(np.arange(x.shape[along]), np.asarray(repeats)), along)


def _gather(x: Tensor, indices: Any, axis: int) -> Tensor:
    return x[(slice(None),) * axis + (indices,)]


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


_GATHERS = ("edge", "reflect", "symmetric", "wrap")


@helper
def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    """Padded at the ends of its axes. mode: "constant", "edge", "reflect", "symmetric" or "wrap", as
    numpy.pad.

    pad_width: an int, a pair, or a pair per axis.
    """
    x = lift(x)
    widths = tuple(
        tuple(int(w) for w in pair) for pair in np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    )
    if mode == "constant":
        return _pad(x, widths, constant_values)
    if mode not in _GATHERS:
        raise ValueError(
            message("pad", f"mode must be one of constant, {', '.join(_GATHERS)}.", received=repr(mode))
        )
    for axis, pair in enumerate(widths):
        if pair != (0, 0):
            x = _gather(x, np.pad(np.arange(x.shape[axis]), pair, mode=mode), axis)  # type: ignore[call-overload]
    return x


def _band(name: str, doc: str) -> Any:
    def back(F: Any, g: Any, out: Any, x: Any, *, k: int) -> Any:
        return getattr(F, name)(g, k=k)

    def arguments(x: Any, k: int = 0) -> Any:
        return (x,), {"k": k}

    arguments.__name__ = arguments.__qualname__ = name
    arguments.__doc__ = doc
    return operation(vjp=(back,), linear="joint")(arguments)


tril = _band("tril", "The lower triangle of the last two axes, up to the k-th diagonal; zeros above.")
triu = _band("triu", "The upper triangle of the last two axes, from the k-th diagonal; zeros below.")
