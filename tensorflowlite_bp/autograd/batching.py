"""Tensors at the border of `bp.vmap`: four maps, each the transpose of another, as nodes of the one tape.

Inside, Tensors hold Batched arrays, and every rule runs on them as on any array: that gives each sample's
derivative where the differentiation is inside; where it is outside, these maps sum over the samples. A Tensor
from outside that meets a Batched one is brought in by `together`, from cold paths of the record functions.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from .. import backend
from ..backend.batched import Batched, Level, collapse, enter, env_of, leave, ordered, spread
from .modes import recording
from .node import NodeN
from .op import Op
from .tensor import Tensor, wrap

env: ContextVar[tuple[Level, ...]] = ContextVar("tensorflowlite_bp.vmap", default=())
active = env.get

_RAW: dict[str, Callable] = {"enter": enter, "leave": leave, "spread": spread, "collapse": collapse}
_TRANSPOSE = {"enter": "leave", "leave": "enter", "spread": "collapse", "collapse": "spread"}


def _never_run(backend: Any) -> Any:
    """`cross` computes, and makes the node."""


def _declare(name: str) -> Op:
    back = _TRANSPOSE[name]
    return Op(
        f"vmap.{name}",
        vjp=(lambda F, g, out, x, *, level: cross(back, g, level),),
        jvp=lambda F, ts, out, x, *, level: cross(name, ts[0], level),
        forward=_never_run,
        register=False,
    )


_OPS = {name: _declare(name) for name in _RAW}


def cross(name: str, x: Any, level: Level) -> Any:
    """Into a level or out of it; Tensors recorded, raw arrays as they are."""
    if not isinstance(x, Tensor):
        return _RAW[name](x, level)
    out = wrap(_RAW[name](x.data, level))
    if x.node is not None and recording():
        out.node = NodeN(_OPS[name], (x.node,), (None,), {"level": level}, None, out.data.shape)
    return out


def deepened(x: Tensor, levels: Iterable[Level]) -> Tensor:
    """The same value for every sample of the levels that do not surround it yet."""
    there = env_of(x.data)
    for level in levels:
        if level not in there:
            x = cross("spread", x, level)
    return x


def inside(x: Tensor) -> Tensor:
    """At the depth of the running code: where a leaf made inside vmap has to be, to get each sample's
    gradient.
    """
    return deepened(x, active())


def zeros(shape: Any, dtype: Any, like: Tensor) -> Tensor:
    """Zeros where `like` is: on its device, and at its depth."""
    return deepened(wrap(backend.of(like.data).zeros(shape, dtype)), env_of(like.data))


def together(args: Iterable[Any], params: Any = None) -> tuple[Any, ...] | None:
    """The Tensors at one depth, the deepest of them and the parameters; None where they are there already."""
    args = tuple(args)
    levels = ordered([level for x in _arrays((*[a.data for a in args], params)) for level in x.env])
    if all(env_of(a.data) == levels for a in args):
        return None
    return tuple([deepened(a, levels) for a in args])


def _arrays(tree: Any) -> Iterable[Batched]:
    if isinstance(tree, Batched):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for t in tree:
            yield from _arrays(t)
    elif isinstance(tree, dict):
        for t in tree.values():
            yield from _arrays(t)


class surrounded:
    """Code that runs inside these levels too: a rule where its arrays are, a checkpointed function again."""

    __slots__ = ("levels", "token")

    def __init__(self, levels: Iterable[Level]) -> None:
        self.levels = ordered((*active(), *levels))

    def __enter__(self) -> None:
        self.token = env.set(self.levels)

    def __exit__(self, *exc: object) -> None:
        env.reset(self.token)


def around(args: Iterable[Any]) -> list[Level]:
    """The levels around these Tensors."""
    return [level for x in args if isinstance(x, Tensor) for level in env_of(x.data)]
