"""The declared fallback of vmap for functions that need real arrays: a loop over the samples.

A custom rule, or another library's function, that asks a mapped value for its memory (`t.data` to a kernel,
`t.numpy()`) raises MappedValueError; it is called again, for one sample after the other.
"""

from collections.abc import Callable
from typing import Any

from ..backend.batched import Batched, Level, MappedValueError, env_of, leave
from . import tree
from .batching import active, cross, deepened, env
from .op import graph
from .tensor import Tensor, lifted


class PerSample:
    """What was computed for each sample and is no array of all of them: the residuals of a custom rule."""

    __slots__ = ("items", "level")

    def __init__(self, level: Level, items: list[Any]) -> None:
        self.level, self.items = level, items


class Opaque:
    """A result that is not to be stacked."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def by_sample(call: Callable[..., Any], *trees: Any) -> Any:
    """call(*trees); where that needs real arrays, for each sample, and the results stacked. They are trees of
    arrays, None and Opaque.
    """
    try:
        return call(*trees)
    except MappedValueError:
        flat, spec = tree.flatten(trees)
        levels = [level for x in flat for level in _around(x)]
        if not levels:
            raise
        level = max(levels, key=lambda e: e.number)
        token = env.set(tuple([e for e in active() if e is not level]))
        try:
            results = [
                by_sample(call, *spec.unflatten([_sample(x, level, i) for x in flat]))
                for i in range(level.size)
            ]
        finally:
            env.reset(token)
        if not results:
            raise
        return _stacked(results, level)


def _around(x: Any) -> tuple[Level, ...]:
    return (x.level,) if isinstance(x, PerSample) else env_of(x.data if isinstance(x, Tensor) else x)


def _sample(x: Any, level: Level, i: int) -> Any:
    if isinstance(x, PerSample):
        if x.level is level:
            return x.items[i]
        return PerSample(x.level, [_each(item, level, i) for item in x.items])
    if isinstance(x, Tensor):
        return cross("leave", x, level)[i] if level in env_of(x.data) else x
    return leave(x, level)[i] if isinstance(x, Batched) and level in x.env else x


def _each(item: Any, level: Level, i: int) -> Any:
    flat, spec = tree.flatten(item)
    return spec.unflatten([_sample(x, level, i) for x in flat])


def _stacked(results: list[Any], level: Level) -> Any:
    flat = [tree.flatten(r) for r in results]
    return flat[0][1].unflatten([_joined(list(xs), level) for xs in zip(*[f for f, _ in flat], strict=True)])


def _joined(xs: list[Any], level: Level) -> Any:
    if isinstance(xs[0], Opaque):
        return Opaque(PerSample(level, [x.value for x in xs]))
    ts: list[Any] = [lifted(x) for x in xs]
    outer = [e for t in ts for e in env_of(t.data)]
    return cross("enter", graph.stack([deepened(t, outer) for t in ts]), level)
