"""The tape: one node per recorded operation, holding its parents and what its rules need, never a Tensor.

Nodes point only backwards, so there are no reference cycles, and a graph dies with its last Tensor. `seq`
orders them: a node's number is larger than its parents', so sorting by it is a topological order. The
numbers come from `itertools.count`, whose `__next__` is
atomic: two threads never get the same one.
"""

import itertools
from operator import attrgetter
from typing import Any

next_seq = itertools.count().__next__
by_seq = attrgetter("seq")


class Node:
    """An op of one or two tensors and no parameters: the common case, kept flat (two slots cost 60 ns less
    than a tuple).
    """

    __slots__ = ("op", "out", "p0", "p1", "seq", "shape", "where", "x0", "x1")

    op: Any
    p0: "AnyNode | None"
    p1: "AnyNode | None"
    x0: Any
    x1: Any
    out: Any
    shape: tuple[int, ...]
    seq: int

    @property
    def parents(self) -> tuple["AnyNode | None", ...]:
        return (self.p0,) if self.op.v1 is None else (self.p0, self.p1)

    @property
    def saved(self) -> tuple[Any, ...]:
        return (self.x0,) if self.op.v1 is None else (self.x0, self.x1)

    params: dict[str, Any] = {}  # noqa: RUF012  (never written: a flat node has no parameters)

    def free(self, freed: Any) -> None:
        self.op = freed
        self.x0 = self.x1 = self.out = self.p0 = self.p1 = None


class NodeN:
    """Any other op: several tensors, or parameters (axes, indices, labels)."""

    __slots__ = ("op", "out", "params", "parents", "saved", "seq", "shape", "where")

    op: Any
    parents: tuple["AnyNode | None", ...]
    saved: tuple[Any, ...]
    params: dict[str, Any]
    out: Any
    shape: Any
    seq: int

    def __init__(
        self, op: Any, parents: tuple, saved: tuple, params: dict[str, Any], out: Any, shape: Any
    ) -> None:
        self.op = op
        self.parents = parents
        self.saved = saved
        self.params = params
        self.out = out
        self.shape = shape
        self.seq = next_seq()

    def free(self, freed: Any) -> None:
        self.op = freed
        self.parents = self.saved = ()
        self.params = {}
        self.out = None


class Leaf:
    """A tensor that requires grad and that nothing computed: where `backward` accumulates."""

    __slots__ = ("dtype", "grad", "hooks", "seq", "shape")

    parents: tuple = ()
    op = None

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        self.grad: Any = None  # a Tensor
        self.hooks: Any = None  # hooks.py
        self.seq = next_seq()


class ClosedLeaf(Leaf):
    """The argument of a transform that is done: nothing will ask for this gradient any more."""

    __slots__ = ()


class Parts:
    """The cotangents of a node with several results; None where nothing has arrived yet. Adding merges."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(
            [
                b if a is None else a if b is None else a + b
                for a, b in zip(self.items, other.items, strict=True)
            ]
        )


AnyNode = Node | NodeN | Leaf
