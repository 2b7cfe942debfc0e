"""Functions of one sample, for all samples at once."""

import functools
from collections.abc import Callable
from typing import Any

from .._typing import Tree
from ..backend.batched import Level
from ..errors import ShapeError, message
from . import tree
from .batching import active, cross, deepened, env
from .op import graph
from .tensor import Tensor, to_array, wrap
from .transforms import _as_tensor, _give

RANDOMNESS = ("different", "same", "error")


def vmap(
    f: Callable, in_axes: Any = 0, out_axes: Any = 0, *, randomness: str = "different"
) -> Callable[..., Tree]:
    """f, written for one sample, as a function of all samples: as `jax.vmap`.

    in_axes: the axis of each argument along which the samples lie: an int for all arguments, or a tuple with
    an int, None (all samples share it) or a tree of these per argument. Keyword arguments: arrays lie along
    axis 0; numbers, strings and the like are handed on. out_axes: where the samples go in the results; None
    for a result that does not depend on the sample. randomness: "different" numbers for each sample (not
    those a loop would draw), the "same", or "error".

    Every operation runs once for all samples, by a rule that follows from its kind; derivatives compose in
    any order, per-sample gradients are `vmap(grad(loss), in_axes=(None, 0))`. f sees Tensors of one sample's
    shape. Their values decide nothing: `if`, float(), .item() and .numpy() of a mapped one raise TypeError.
    Raises ShapeError where arguments have no such axis, or not one length along it.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.vmap(lambda a, b: a @ b)(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    >>> bp.vmap(bp.grad(lambda w, x: (w * x) ** 2), in_axes=(None, 0))(3.0, np.array([1.0, 2.0]))
    array([ 6., 24.])
    """
    if randomness not in RANDOMNESS:
        raise ValueError(
            message("vmap", f"randomness must be one of {RANDOMNESS}.", received=repr(randomness))
        )

    @functools.wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Tree:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ValueError(
                message(
                    "vmap",
                    f"in_axes has {len(axes)} entries, one per positional argument.",
                    received=f"{len(args)} arguments",
                )
            )
        inputs = [
            _Input(f"argument {n}", a, axis) for n, (a, axis) in enumerate(zip(args, axes, strict=True))
        ]
        named = {k: _Input(k, v, 0, lenient=True) for k, v in kwargs.items()}
        level = Level(_size([*inputs, *named.values()]), randomness)
        raw = not any(isinstance(x, Tensor) for i in (*inputs, *named.values()) for x in i.leaves)
        token = env.set((*active(), level))
        try:
            out = f(*[i.enter(level) for i in inputs], **{k: i.enter(level) for k, i in named.items()})
        finally:
            env.reset(token)
        leaves, spec = tree.flatten(out)
        places = _axes("out_axes", out_axes, out)
        return spec.unflatten([_leave(x, axis, level, raw) for x, axis in zip(leaves, places, strict=True)])

    return mapped


# ------------------------------------------------------------------ arguments
class _Input:
    """One argument: its leaves, and the axis of the samples of each."""

    __slots__ = ("axes", "leaves", "name", "spec")

    def __init__(self, name: str, value: Tree, axes: Any, lenient: bool = False) -> None:
        self.name = name
        self.leaves, self.spec = tree.flatten(value)
        self.axes = _axes("in_axes", axes, value)
        if lenient:
            self.axes = [
                a if getattr(x, "ndim", 0) else None for a, x in zip(self.axes, self.leaves, strict=True)
            ]
        for k, (x, axis) in enumerate(zip(self.leaves, self.axes, strict=True)):
            if axis is not None:
                self._check(k, x, axis)

    def _check(self, k: int, x: Any, axis: int) -> None:
        if not hasattr(x, "ndim"):
            self.leaves[k] = x = to_array(x)
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                message(
                    "vmap",
                    f"{self.name} is to be mapped along axis {axis}, which it does not have.",
                    received=f"shape {tuple(x.shape)}",
                    hint="in_axes=None for an argument that all samples share.",
                )
            )

    def lengths(self) -> list[tuple[str, int]]:
        return [(self.name, x.shape[a]) for x, a in zip(self.leaves, self.axes, strict=True) if a is not None]

    def enter(self, level: Level) -> Tree:
        return self.spec.unflatten([_enter(x, a, level) for x, a in zip(self.leaves, self.axes, strict=True)])


def _enter(x: Any, axis: int | None, level: Level) -> Any:
    if axis is None:
        return deepened(x, active()) if isinstance(x, Tensor) else _array_or_as_is(x)
    t = deepened(_as_tensor(x), active()[:-1])
    return cross("enter", graph.moveaxis(t, axis, 0) if axis % t.ndim else t, level)


def _array_or_as_is(x: Any) -> Any:
    """Arrays as Tensors, as the mapped arguments; numbers and everything else untouched."""
    return deepened(wrap(to_array(x)), active()) if hasattr(x, "dtype") and hasattr(x, "shape") else x


def _size(inputs: list[_Input]) -> int:
    lengths = [pair for i in inputs for pair in i.lengths()]
    if not lengths:
        raise ValueError(
            message("vmap", "at least one argument must be mapped.", hint="in_axes has no entry but None.")
        )
    if len({n for _, n in lengths}) > 1:
        raise ShapeError(
            message(
                "vmap",
                "the mapped axes must have one length.",
                received=", ".join(f"{name}: {n}" for name, n in dict.fromkeys(lengths)),
            )
        )
    return lengths[0][1]


def _axes(where: str, axes: Any, value: Tree) -> list[int | None]:
    """An axis per leaf of `value`: `axes` is a tree that stops where all leaves below share one."""
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes] * len(tree.flatten(value)[0])
    parts, below = tree.children(value), tree.children(axes)
    if parts is None or below is None or len(parts) != len(below):
        raise ValueError(
            message(
                "vmap",
                f"{where} must be an int, None, or a tree of these that fits the values.",
                received=f"{axes!r} for {type(value).__name__}",
            )
        )
    return [axis for part, a in zip(parts, below, strict=True) for axis in _axes(where, a, part)]


# ------------------------------------------------------------------ results
def _leave(x: Any, axis: int | None, level: Level, raw: bool) -> Any:
    if not isinstance(x, (Tensor, int, float, complex)) and not hasattr(x, "dtype"):
        raise TypeError(message("vmap", "the function must return arrays.", received=type(x).__name__))
    t = deepened(_as_tensor(x), (*active(), level))
    if axis is None and level in t.data.levels:
        raise ValueError(
            message(
                "vmap",
                "out_axes=None is for results that do not depend on the sample; this one does.",
                received=f"shape {t.shape} per sample",
            )
        )
    t = cross("leave", t, level)
    if axis is None:
        return _give(t[0], raw)
    return _give(graph.moveaxis(t, 0, axis) if axis % t.ndim else t, raw)


__all__ = ["vmap"]
