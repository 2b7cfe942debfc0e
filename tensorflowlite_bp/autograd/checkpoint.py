"""Memory for time: functions that backward computes a second time."""

import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from .._typing import Tree
from ..errors import GradientError, message
from . import tree
from .batching import active, env, inside
from .custom import attach, function_op, zeros_of
from .engine import isolate, pull
from .forward import push
from .modes import enable_grad, recording
from .node import next_seq
from .tensor import Tensor

_TOLERANCE = 0.5  # as a power of the dtype's epsilon: the same computation again, or another one?


# ------------------------------------------------------------------ random numbers
class Draws:
    """The places (seed, position) that generators drew from during a run, so that a second run can draw the
    same numbers, whatever other threads have drawn since.
    """

    __slots__ = ("again", "past")

    def __init__(self, again: Iterator[tuple[int, int]] | None = None) -> None:
        self.again = again
        self.past: list[tuple[int, int]] = []

    def place(self) -> tuple[int, int] | None:
        """Where to draw from next; None in a first run."""
        return None if self.again is None else next(self.again, None)


draws: ContextVar[Draws | None] = ContextVar("tensorflowlite_bp.draws", default=None)


# ------------------------------------------------------------------ the transform
def checkpoint(f: Callable) -> Callable:
    """Run f without keeping its intermediate arrays; backward computes them a second time.

    f's Tensor arguments are differentiated, and so are the tensors that it uses from outside (a model's
    weights). Random ops draw the same numbers again. Raises GradientError in backward when the second run
    gives another result: a tensor that f uses was written in between.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(bp.checkpoint(lambda x: bp.exp(bp.sin(x))))(0.0)
    np.float64(1.0)
    """
    rules = _Again(f)

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Tree:
        return rules.run(args, kwargs) if recording() else f(*args, **kwargs)

    return run


class _Again:
    """One checkpointed function: its first run, and the rules that run it again."""

    __slots__ = ("f", "op")

    def __init__(self, f: Callable) -> None:
        self.f = f
        self.op = function_op("checkpoint")

    def run(self, args: tuple, kwargs: dict[str, Any]) -> Tree:
        leaves, spec = tree.flatten(args)
        tensors = [inside(x) for x in leaves if isinstance(x, Tensor)]
        inner = [isolate(a) if a.node is not None else a for a in tensors]
        start = next_seq()
        outer = draws.get()
        made = Draws(None if outer is None else outer.again)
        token = draws.set(made)
        try:
            out = self.f(*spec.unflatten(_filled(leaves, inner)), **kwargs)
        finally:
            draws.reset(token)
            if outer is not None:
                outer.past.extend(made.past)
        found, out_spec = tree.flatten(out)
        outs = [x for x in found if isinstance(x, Tensor)]
        outside = _outside([o.node for o in outs], {a.node for a in inner}, start)
        params = {
            "owner": self,
            "spec": spec,
            "leaves": [None if isinstance(x, Tensor) else x for x in leaves],
            "places": [isinstance(x, Tensor) for x in leaves],
            "kwargs": kwargs,
            "draws": made.past,
            "env": active(),
            "nodes": outside,
            "outs": [o.data for o in outs],
        }
        captured: list[Any] = [_StandIn(n) for n in outside]
        return out_spec.unflatten(_filled(found, attach(self.op, tensors + captured, params, outs)))

    def _second(self, args: list[Any], wanted: Any, params: dict[str, Any]) -> tuple[list[Any], list[Tensor]]:
        """Run f once more: the nodes of its arguments and captured tensors, and its results."""
        count = sum(params["places"])
        inner = [isolate(a) if want else a for a, want in zip(args[:count], wanted, strict=False)]
        rest = iter(inner)
        leaves = [
            next(rest) if place else x for place, x in zip(params["places"], params["leaves"], strict=True)
        ]
        token, around = draws.set(Draws(iter(params["draws"]))), env.set(params["env"])
        try:
            with enable_grad():
                out = self.f(*params["spec"].unflatten(leaves), **params["kwargs"])
        finally:
            env.reset(around)
            draws.reset(token)
        outs = [x for x in tree.flatten(out)[0] if isinstance(x, Tensor)]
        if len(outs) != len(params["outs"]) or not all(map(_same, outs, params["outs"])):
            _raise_changed()
        return [a.node for a in inner] + params["nodes"], outs

    def pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        sources, outs = self._second(args, needs, params)
        pairs = [(o, g) for o, g in zip(outs, gs, strict=True) if g is not None and o.node is not None]
        targets = [s for s, need in zip(sources, needs, strict=True) if need]
        grads = iter(pull([o.node for o, _ in pairs], [g for _, g in pairs], targets, create_graph=record))
        return [next(grads) if need else None for need in needs]

    def push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        sources, outs = self._second(args, [t is not None for t in ts], params)
        moving = [(s, t) for s, t in zip(sources, ts, strict=True) if t is not None]
        moved = push([o.node for o in outs], [s for s, _ in moving], [t for _, t in moving])
        return [zeros_of(o) if m is None else m for m, o in zip(moved, outs, strict=True)]


def _filled(leaves: list[Any], tensors: list[Any]) -> list[Any]:
    """The leaves with their Tensors exchanged; everything else (arrays, numbers, strings) stays."""
    rest = iter(tensors)
    return [next(rest) if isinstance(x, Tensor) else x for x in leaves]


def _same(out: Tensor, first: Any) -> bool:
    """Whether a second result is the first but for rounding. Not asked on a GPU, which it would stall."""
    a = out.data
    if a.shape != first.shape or a.dtype != first.dtype:
        return False
    if type(a) is not np.ndarray or a.dtype.kind not in "fc" or not a.size:
        return True
    with np.errstate(all="ignore"):
        size = np.abs(first[np.isfinite(first)]).max(initial=0.0)
        return bool(
            np.allclose(
                a, first, rtol=0, atol=float(size * np.finfo(a.dtype).eps ** _TOLERANCE), equal_nan=True
            )
        )


def _raise_changed() -> None:
    raise GradientError(
        message(
            "checkpoint",
            "the function gave another result when backward ran it again.",
            hint="what it uses (weights, arrays, Python state) must not change before backward.",
        )
    )


def _outside(roots: list[Any], own: set[Any], start: int) -> list[Any]:
    """Nodes older than `start` that this graph hangs on: the tensors the function took from outside."""
    found: dict[Any, None] = {}
    stack, seen = [n for n in roots if n is not None], set()
    while stack:
        n = stack.pop()
        if n in seen or n in own:
            continue
        seen.add(n)
        if n.seq < start or not n.parents:
            found[n] = None
        else:
            stack.extend(p for p in n.parents if p is not None)
    return list(found)


class _StandIn:
    """A captured node in the place of an argument: only its position in the graph matters."""

    __slots__ = ("data", "node")

    def __init__(self, node: Any) -> None:
        self.node = node
        self.data = None
