"""What both bridges share: a call with trees of arguments as a function of a flat list of arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import tree
from ..autograd.batching import around, cross
from ..autograd.op import graph, is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..autograd.transforms import jvp, vjp
from ..autograd.vmap import vmap
from ..backend.batched import Level, env_of, ordered
from ..errors import GradientError, message
from ..ops.shape import stack


class Flat:
    """f(*args, **kwargs) seen as a function of those leaves that `is_array` takes; all others are constants.

    Called with arrays in the leaves' place it gives a list of f's results, which `build` puts back into f's
    form.
    """

    def __init__(
        self, f: Callable, args: tuple, kwargs: dict[str, Any], is_array: Callable[[Any], bool]
    ) -> None:
        self.f = f
        self.leaves, self.spec = tree.flatten((args, kwargs))
        self.slots = [k for k, x in enumerate(self.leaves) if is_array(x)]
        self.arrays = [self.leaves[k] for k in self.slots]
        self.out_spec: Any = None

    def __call__(self, *arrays: Any) -> list[Any]:
        leaves = list(self.leaves)
        for k, x in zip(self.slots, arrays, strict=True):
            leaves[k] = x
        args, kwargs = self.spec.unflatten(leaves)
        outs, self.out_spec = tree.flatten(self.f(*args, **kwargs))
        return outs

    def build(self, outs: Sequence[Any]) -> Any:
        return self.out_spec.unflatten(list(outs))


def each_sample(f: Callable[[list[Any]], list[Any]], xs: list[Any]) -> list[Any]:
    """f(xs), under `bp.vmap` for every sample by itself: what the loop of a foreign function is."""
    levels = ordered(around(xs))
    if not levels:
        return f(xs)
    level = levels[-1]
    mapped = [isinstance(x, Tensor) and level in env_of(x.data) for x in xs]
    xs = [cross("leave", x, level) if m else x for x, m in zip(xs, mapped, strict=True)]
    rows = [
        each_sample(f, [x[k] if m else x for x, m in zip(xs, mapped, strict=True)]) for k in range(level.size)
    ]
    return [_entered(column, level) for column in zip(*rows, strict=True)]


def _entered(column: Sequence[Any], level: Level) -> Any:
    like = next((x for x in column if isinstance(x, Tensor)), None)
    if like is None:  # no array; the same for all
        return column[0]
    zero = graph.zeros_like(like.detach())
    return cross("enter", stack([zero if x is None else x for x in column]), level)


# ------------------------------------------------------------------ derivatives of flat functions of ours
Function = Callable[..., list[Any]]  # Tensors in, a list of results out; it differentiates


def tensors(f: Function) -> Function:
    """f with every result a Tensor, numbers included."""
    return lambda *xs: [lift(o) for o in f(*xs)]


def in_places(f: Function, places: Sequence[int], xs: Sequence[Any]) -> Function:
    """f's floating results as a function of the arguments in `places`, the others held."""

    def inner(*chosen: Any) -> list[Tensor]:
        filled = list(xs)
        for k, x in zip(places, chosen, strict=True):
            filled[k] = x
        return [o for o in f(*filled) if is_float(o.dtype)]

    return inner


def pulled(f: Function, places: Sequence[int], count: int) -> Function:
    """(*arguments, *cotangents of the floating results) -> cotangents of the arguments in `places`."""

    def back(*values: Any) -> list[Any]:
        xs, gs = values[:count], values[count:]
        return list(vjp(in_places(f, places, xs), *[xs[k] for k in places])[1](list(gs)))

    return back


def pushed(f: Function, places: Sequence[int], count: int) -> Function:
    """(*arguments, *tangents of the arguments in `places`) -> tangents of the floating results."""

    def forward(*values: Any) -> list[Any]:
        xs, ts = values[:count], values[count:]
        return list(jvp(in_places(f, places, xs), tuple([xs[k] for k in places]), tuple(ts))[1])

    return forward


def batched(f: Function, axes: Sequence[int | None], size: int) -> Function:
    """f for a whole batch: the examples along `axes` of the arguments, along axis 0 of the results."""

    def together(*values: Any) -> list[Any]:
        try:
            return list(vmap(f, tuple(axes))(*values))
        except TypeError:  # f asks for values (`if`, float()), which only single examples have
            at = [None if a is None else (slice(None),) * a for a in axes]
            rows = [
                f(*[v if a is None else v[(*a, k)] for v, a in zip(values, at, strict=True)])
                for k in range(size)
            ]
            return [stack(column) for column in zip(*rows, strict=True)]

    return together


def shares(x: Tensor, others: Sequence[Tensor]) -> bool:
    """Whether x lies in memory of the others, of which the other library could not know."""
    return any(np.may_share_memory(x.data, o.data) for o in others)


def check_closed(where: str, outs: Sequence[Any]) -> None:
    """Raise where a result records although its arguments do not: the other library would lose a gradient."""
    if any(isinstance(o, Tensor) and o.node is not None for o in outs):
        raise GradientError(
            message(
                where,
                "the function depends on a recording Tensor that is not among its arguments.",
                hint="pass it as an argument (weights too), or .detach() it.",
            )
        )


def conjugated(x: Tensor) -> Tensor:
    """torch multiplies by the conjugate transpose where we multiply by the transpose."""
    return graph.conjugate(x) if x.dtype.kind == "c" else x
