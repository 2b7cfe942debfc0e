"""Shape manipulation. Everything here is linear: a view or a gather forward, its transpose backward."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index as axis_index
from numpy.lib.array_utils import normalize_axis_tuple as axis_tuple

from .._typing import Axis
from ..autograd.declare import Arguments, operation
from ..autograd.op import helper
from ..autograd.record import agree_all, lift, on_host
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
    if axes is None:
        return (x,), {"axes": tuple(range(x.ndim))[::-1]}
    return (x,), {"axes": tuple(axes) if hasattr(axes, "__len__") else (axes,)}


permute_dims = transpose


@helper
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = lift(x)
    order = list(range(x.ndim))
    axis1, axis2 = axis_index(axis1, x.ndim), axis_index(axis2, x.ndim)
    order[axis1], order[axis2] = axis2, axis1
    return transpose(x, order)


@helper
def matrix_transpose(x: Any) -> Tensor:
    """The last two axes exchanged."""
    return swapaxes(x, -1, -2)


@helper
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places, the rest in their order."""
    x = lift(x)
    sources, places = axis_tuple(source, x.ndim, "source"), axis_tuple(destination, x.ndim, "destination")
    if len(sources) != len(places):
        raise ValueError(
            message(
                "moveaxis", "as many places as axes were expected.", received=f"{source} and {destination}"
            )
        )
    order = [n for n in range(x.ndim) if n not in sources]
    for place, s in sorted(zip(places, sources, strict=True)):
        order.insert(place, s)
    return transpose(x, order)


@helper
def expand_dims(x: Any, axis: Axis) -> Tensor:
    """New axes of length 1."""
    x = lift(x)
    axes: Any = axis if hasattr(axis, "__len__") else (axis,)
    total = x.ndim + len(axes)
    places = axis_tuple(axes, total)
    rest = iter(x.shape)
    return reshape(x, tuple([1 if i in places else next(rest) for i in range(total)]))


@helper
def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Axes of length 1 taken out: all, or those named."""
    x = lift(x)
    axes = _axes(axis, x.ndim)
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
    return (x,), {"shape": tuple(shape) if hasattr(shape, "__len__") else (operator.index(shape),)}


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


@helper
def atleast_1d(x: Any) -> Tensor:
    """At least one axis."""
    x = lift(x)
    return x if x.ndim else reshape(x, (1,))


@helper
def atleast_2d(x: Any) -> Tensor:
    """At least two axes; a vector becomes a row."""
    x = lift(x)
    return x if x.ndim > 1 else reshape(x, (1, x.size))


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
    axis = axis_index(axis, len(first))
    for k, p in enumerate(parts):
        if p.ndim != len(first) or any(
            i != axis and a != b for i, (a, b) in enumerate(zip(p.shape, first, strict=False))
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
    axis = axis_index(axis, parts[0].ndim + 1)
    return _concatenate(tuple(expand_dims(p, axis) for p in parts), axis)


@helper
def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into equal parts, or at the given positions."""
    x = lift(x)
    axis = axis_index(axis, x.ndim)
    n = x.shape[axis]
    if not hasattr(sections, "__len__"):
        sections = operator.index(sections)  # type: ignore[arg-type]
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
        cuts = [int(c) for c in sections]  # type: ignore[union-attr]
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


@helper
def array_split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into parts as equal as can be."""
    x = lift(x)
    if hasattr(sections, "__len__"):
        return split(x, sections, axis)
    sections = operator.index(sections)  # type: ignore[arg-type]
    if sections < 1:
        raise ValueError(message("array_split", "at least one part was expected.", received=str(sections)))
    size, extra = divmod(x.shape[axis_index(axis, x.ndim)], sections)
    return split(x, list(np.cumsum([size + 1] * extra + [size] * (sections - extra))[:-1]), axis)


@helper
def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    x = lift(x)
    axis = axis_index(axis, x.ndim)
    lead = (slice(None),) * axis
    return tuple(x[(*lead, k)] for k in range(x.shape[axis]))


# ------------------------------------------------------------------ rearranging
def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else axis_tuple(axis, ndim)


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
    x, shift = lift(x), on_host("roll", shift).tolist()
    axis = axis if axis is None else axis_tuple(axis, x.ndim, allow_duplicate=True)
    return (x,), {"shift": tuple(shift) if isinstance(shift, list) else shift, "axis": axis}


@helper
def tile(x: Any, reps: int | Sequence[int]) -> Tensor:
    """The whole array repeated `reps` times along each axis."""
    x = lift(x)
    given = tuple([operator.index(r) for r in reps]) if hasattr(reps, "__len__") else (operator.index(reps),)  # type: ignore
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
    along = 0 if axis is None else axis_index(axis, x.ndim)
    if isinstance(repeats, (int, np.integer)):
        wide = broadcast_to(
            expand_dims(x, along + 1), x.shape[: along + 1] + (int(repeats),) + x.shape[along + 1 :]
        )
        return reshape(wide, x.shape[:along] + (x.shape[along] * int(repeats),) + x.shape[along + 1 :])
    return gather(x, np.repeat(np.arange(x.shape[along]), on_host("repeat", repeats)), along)


def gather(x: Tensor, indices: Any, axis: int) -> Tensor:
    """x's slices at integer indices along one axis."""
    return x[(slice(None),) * axis + (indices,)]


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
