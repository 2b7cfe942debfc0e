"""Tangents: the tape walked forwards.

Forward mode needs no rules of its own where an op says enough about itself: a linear op applies itself to the
tangents, an element-wise op's vjp is its jvp, and any other vjp is linear in its cotangent, so that its
transpose is the jvp.
"""

from typing import Any

from ..backend.batched import Batched, MappedValueError
from . import outputs
from .engine import arguments, isolate, library, looped, pull, pull_graph, slice_of, wrap_raw
from .modes import enable_grad, no_grad, recording
from .node import Parts
from .op import Op, Spec, graph
from .overwrites import check_overwritten, overwritten
from .record import applyn
from .tensor import Tensor, wrap


def push(roots: list[Any], sources: list[Any], tangents: list[Tensor | None]) -> list[Any]:
    """Tangents (Tensors) of `roots`, given those of `sources` (nodes; None: a source held still): the tape
    walked forwards; None where nothing flows.
    """
    order, _, outer = slice_of([r for r in roots if r is not None], sources)
    record = recording() and (outer or any(t is not None and t.node is not None for t in tangents))
    if overwritten:
        check_overwritten(order)
    moved: dict[Any, Any] = {
        s: t if record else t.data for s, t in zip(sources, tangents, strict=True) if t is not None
    }
    with enable_grad() if record else no_grad():
        for n in reversed(order):
            if n in moved:
                continue
            ts = [moved.get(p) for p in n.parents]
            if any(t is not None for t in ts):
                t = _push_node(n, ts, record)
                if t is not None:
                    moved[n] = t
    out = [moved.get(r) for r in roots]
    return out if record else [wrap_raw(t) for t in out]


def _push_node(n: Any, ts: list[Any], record: bool) -> Any:
    """The tangent of one node's result."""
    op: Op = n.op
    F = graph if record else library(next(t for t in ts if t is not None))
    args = arguments(n) if record else n.saved
    if op.linear == "joint":
        some = next(t for t in ts if t is not None)
        full = [F.zeros(x.shape, some.dtype) if t is None else t for t, x in zip(ts, n.saved, strict=True)]
        return _run(op, full, n.params, record)
    total = None
    if op.linear == "each":
        for k, t in enumerate(ts):
            if t is not None:
                part = _run(op, [t if j == k else a for j, a in enumerate(args)], n.params, record)
                total = part if total is None else total + part
        return total
    out = None if n.out is None or op.aux else outputs.at(n, n.out) if record else n.out
    if op.jvp is not None:
        try:
            return op.jvp(F, ts, out, *args, **n.params)
        except MappedValueError:
            if record:
                raise
            return looped(F, op.name, op.jvp, ts, out, *args, **n.params)
    if op.elementwise:
        for k, t in enumerate(ts):
            if t is not None:
                if t.shape != n.shape:
                    t = F.broadcast_to(t, n.shape)
                part = op.vjp[k](F, t, out, *args, **n.params)
                total = part if total is None else total + part
        return total
    return _push_by_two_pulls(n, ts, record)


def _run(op: Op, args: list[Any], params: dict[str, Any], record: bool) -> Any:
    if record:
        return applyn(op, tuple([a if isinstance(a, Tensor) else wrap(a) for a in args]), params)
    kind = next((type(a) for a in args if isinstance(a, Batched)), type(args[0]))
    return op.forward[kind](*args, **params)


def _push_by_two_pulls(n: Any, ts: list[Any], record: bool) -> Any:
    """J t without a rule of its own: the cotangent map g -> J^T g is linear, so its own transpose, applied
    to t, is J t.
    """
    with enable_grad():
        args: list[Any] = (
            arguments(n) if record else [x if x is None or type(x) is Spec else wrap(x) for x in n.saved]
        )
        needs = tuple([t is not None for t in ts])
        some = next(t for t in ts if t is not None)
        zero, leaves = outputs.zero_cotangents(n, some if isinstance(some, Tensor) else wrap(some))
        if n.op.reference is not None:
            inner = [isolate(a) if need else a for a, need in zip(args, needs, strict=True)]
            out = n.op.reference(*inner, **n.params)
            sources = [a.node for a, need in zip(inner, needs, strict=True) if need]
            tangents = [t if record else wrap(t) for t in ts if t is not None]
            several = isinstance(out, tuple)
            found = push([o.node for o in (out if several else (out,))], sources, tangents)
            found = [t if record or t is None else t.data for t in found]
            return Parts(found) if several else found[0]
        pulled = pull_graph(n, zero, needs, args, at=n if record else None)
    roots = [
        i for i, need in zip(pulled, needs, strict=True) if need and i is not None and i.node is not None
    ]
    weights = [
        t if record else wrap(t)
        for t, i, need in zip(ts, pulled, needs, strict=True)
        if need and i is not None and i.node is not None
    ]
    if not roots:
        return None
    found = pull([i.node for i in roots], weights, leaves, create_graph=record)
    moved = [t if record or t is None else t.data for t in found]
    return moved[0] if isinstance(zero, Tensor) else outputs.per_result(zero, moved)
