"""Ops of several results: one node, whose cotangent is a `Parts`, and one projection node per result."""

from collections.abc import Callable
from typing import Any

from .batching import zeros
from .node import Leaf, NodeN, Parts
from .op import Op, Spec, is_float
from .tensor import Tensor, wrap


def _part(F: Any, g: Any, out: Any, x: Any, *, index: int, count: int) -> Parts:
    return Parts([g if k == index else None for k in range(count)])


def never_run(backend: Any) -> Any:
    """The forward of nodes that are made by hand, around values that exist already."""


PROJECT = Op(
    "project",
    vjp=(_part,),
    jvp=lambda F, ts, out, x, *, index, count: ts[0].items[index],
    forward=never_run,
    register=False,
)


def project(values: list[Tensor], node: Any) -> list[Tensor]:
    """The values as the results of one node; those that are not floats stay constants."""
    for k, v in enumerate(values):
        if is_float(v.dtype):
            v.node = NodeN(PROJECT, (node,), (None,), {"index": k, "count": len(values)}, None, v.shape)
    return values


def at(node: Any, out: Any) -> Any:
    """A node's saved result (or results) as Tensors that depend on it; node None: constants."""
    if type(out) is not tuple:
        return wrap(out, node)
    values = [wrap(x) for x in out]
    return values if node is None else project(values, node)


def joint_vjp(rule: Callable) -> Callable:
    """rule(F, gs, outs, needs, *args, **params) as the engine calls it: a missing cotangent becomes zeros,
    so that the rule is plain mathematics. The op saves "out".
    """

    def vjp_all(F: Any, g: Parts, outs: Any, needs: tuple[bool, ...], *args: Any, **params: Any) -> Any:
        gs = [F.zeros_like(a) if i is None else i for i, a in zip(g.items, outs, strict=True)]
        return rule(F, gs, outs, needs, *args, **params)

    return vjp_all


def joint_jvp(rule: Callable) -> Callable:
    """rule(F, ts, outs, *args, **params) -> one tangent per result, as forward mode calls it."""

    def jvp(F: Any, ts: list[Any], outs: Any, *args: Any, **params: Any) -> Parts:
        return Parts(list(rule(F, ts, outs, *args, **params)))

    return jvp


def paired(out: Any, g: Any) -> tuple[list[Any], list[Any]]:
    """The nodes of a function's result, or results, and their cotangents, where there are both."""
    if type(g) is not Parts:
        return [out.node], [g]
    both = [(o.node, i) for o, i in zip(out, g.items, strict=True) if o.node is not None and i is not None]
    return [node for node, _ in both], [i for _, i in both]


def zero_cotangents(node: Any, like: Tensor) -> tuple[Any, list[Any]]:
    """Zeros that record, one per result of a node, and their leaves; on `like`'s device, and of its dtype
    where the node does not know the result's.
    """
    several = type(node.shape) is tuple and node.shape and type(node.shape[0]) is Spec
    known = node.out is not None and not node.op.aux
    specs = node.shape if several else [Spec(node.out) if known else None]
    made: list[Any] = []
    for spec in specs:
        shape, dtype = (node.shape, like.dtype) if spec is None else (spec.shape, spec.dtype)
        z = zeros(shape, dtype, like)
        if is_float(dtype):
            z.node = Leaf(shape, dtype)
        made.append(z)
    leaves = [z.node for z in made if z.node is not None]
    return (Parts(made) if several else made[0]), leaves


def per_result(zeros: Parts, moved: list[Any]) -> Parts:
    """Tangents of the results that record, put back among those that do not."""
    rest = iter(moved)
    return Parts([None if z.node is None else next(rest) for z in zeros.items])
