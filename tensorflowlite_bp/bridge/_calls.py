"""What both bridges share: a call with trees of arguments as a function of a flat list of arrays."""

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import tree
from ..autograd.op import graph, is_float
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..autograd.transforms import jvp, vjp
from ..errors import GradientError, message


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
