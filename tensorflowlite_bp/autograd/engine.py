"""Walking the tape: cotangents backwards, tangents forwards.

`_run_raw` is the ordinary backward: raw arrays, every leaf wanted, nothing decided per node. `pull` is the
general one: chosen targets, gradients recorded in their turn. Both use the same rules; only the namespace
`F` they hand them differs.

A recorded gradient needs no second set of rules: with F the ops and the arguments wrapped as Tensors at
their nodes, running a rule builds a graph, which is differentiated like any other. Hence any order.
"""

import sys
import threading
from typing import Any

import numpy as np

from .. import backend
from .._config import config
from ..backend import by_type
from ..backend.batched import MappedValueError
from ..errors import GradientError, ShapeError, message
from . import hooks, outputs
from .batching import deepened, env_of
from .modes import enable_grad, no_grad, recording
from .node import ClosedLeaf, Leaf, Node, NodeN, Parts, by_seq, next_seq
from .op import Op, Spec, graph
from .overwrites import check_overwritten, overwritten
from .ownership import SOLE_GRAD, SOLE_IN_FOUND, added, can_take
from .placed import Placed, made, place
from .tensor import Tensor, to_array, wrap

_accumulate = threading.Lock()  # `leaf.grad = leaf.grad + g` by two threads at once


# ------------------------------------------------------------------ the backward of a loss
def backward(
    tensor: Tensor, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Differentiate with respect to every leaf that requires grad, and add the results into their `.grad`.

    gradient: the cotangent, of this tensor's shape; may be left out for a tensor of one element (then 1).
    retain_graph: keep the saved arrays for a second backward. create_graph: record the backward itself.
    Raises GradientError when nothing here requires grad, or when an earlier backward freed the graph;
    ShapeError when the gradient has not this tensor's shape, or is missing where there is more than one
    element.
    """
    root = tensor.node
    if root is None:
        _raise_constant(tensor)
    g = _seed(tensor, gradient)
    if create_graph:
        order = _order([root])
        leaves = [n for n in order if isinstance(n, Leaf)]
        with enable_grad():
            grads = hooks.received(leaves, pull([root], [g], leaves, create_graph=True))
            # a rule may hand on one tensor to several leaves: each gets its own, in its dtype
            grads = [
                None if i is None else graph.astype(i, leaf.dtype)
                for leaf, i in zip(leaves, grads, strict=True)
            ]
            with _accumulate:
                for leaf, i in zip(leaves, grads, strict=True):
                    if i is not None:
                        leaf.grad = i if leaf.grad is None else leaf.grad + i
        _call_after(leaves)
        return
    found = _run_raw(root, g.data, retain_graph)
    if hooks.leaves_with_hooks[0]:
        found = hooks.receive(found)
    with _accumulate:
        for leaf, i in found:
            if isinstance(i, np.generic):
                i = np.asarray(i)
            if i.dtype is not leaf.dtype and i.dtype != leaf.dtype:  # a rule's 0.5 widens bfloat16
                i = library(i).astype(i, dtype=leaf.dtype)
            before = leaf.grad
            if before is not None and sys.getrefcount(before) == SOLE_GRAD and can_take(before, i):
                before.data += i
            elif before is not None:
                with no_grad():
                    leaf.grad = before + wrap(i)
            else:
                # a rule may hand on what others hold too (g itself, a saved array, a view): the leaf gets
                # its own
                if i.base is not None or sys.getrefcount(i) > SOLE_IN_FOUND:
                    i = i.copy()
                leaf.grad = wrap(i)
    if hooks.leaves_with_hooks[0]:
        _call_after([leaf for leaf, _ in found])


def _call_after(leaves: list[Leaf]) -> None:
    for leaf in leaves:
        hooks.accumulated(leaf)


def _order(roots: list[Any]) -> list[Any]:
    """Every node the roots depend on, newest first."""
    seen = set(roots)
    stack = list(seen)
    pop, push, see = stack.pop, stack.append, seen.add
    while stack:
        n = pop()
        if type(n) is Node:
            p = n.p0
            if p is not None and p not in seen:
                see(p)
                push(p)
            p = n.p1
            if p is not None and p not in seen:
                see(p)
                push(p)
        else:
            for p in n.parents:
                if p is not None and p not in seen:
                    see(p)
                    push(p)
    return sorted(seen, key=by_seq, reverse=True)


def _run_raw(root: Any, g: Any, retain: bool) -> list[tuple[Leaf, Any]]:
    """The hot loop. Gradients wait in a dict, not in the nodes, so that two threads may walk one graph."""
    order = _order([root])
    if overwritten:
        check_overwritten(order)
    grads: dict[Any, Any] = {root: g}
    get, take = grads.get, grads.pop
    found: list[tuple[Leaf, Any]] = []
    kind: Any = None
    F: Any = None
    for n in order:
        g = take(n, None)
        cls = type(n)
        if cls is Node:
            if g is None:
                continue
            if type(g) is not kind:
                if type(g) is Placed:
                    g = g.made()
                kind = type(g)
                F = by_type[kind]
            p = n.p0
            q = n.p1
            x = n.x0
            y = n.x1
            a = n.out
            op = n.op  # read last: a thread that frees this node sets it first, so a half-freed node is FREED
            v = op.v1
            if v is None:
                i = op.v0(F, g, a, x)
                r = get(p)
                grads[p] = i if r is None else added(r, i)
            else:
                b = op.broadcasts
                if p is not None:
                    i = op.v0(F, g, a, x, y)
                    if b and n.shape != p.shape:
                        i = F.sum_to(i, shape=p.shape)
                    r = get(p)
                    grads[p] = i if r is None else added(r, i)
                if q is not None:
                    i = v(F, g, a, x, y)
                    if b and n.shape != q.shape:
                        i = F.sum_to(i, shape=q.shape)
                    r = get(q)
                    grads[q] = i if r is None else added(r, i)
            if not retain:
                n.op = FREED
                n.x0 = n.x1 = n.out = n.p0 = n.p1 = None
        elif g is None:
            continue
        elif cls is not NodeN:  # a leaf: ours, or another library's
            found.append((n, made(g)))
        else:
            x = y = a = None  # the last flat node's arrays: gone before this rule needs room
            g = made(g)
            if n.op.places and place(grads, n, g, None if retain else FREED):
                continue
            needs = tuple([p is not None for p in n.parents])
            for p, i in zip(n.parents, _pull_raw(n, g, needs), strict=True):
                if p is not None and i is not None:
                    r = get(p)
                    grads[p] = i if r is None else added(r, i)
            if not retain:
                n.free(FREED)
    return found


def _pull_raw(n: Any, g: Any, needs: tuple[bool, ...]) -> list[Any]:
    """One node's cotangents on raw arrays, with broadcasting undone; None where not needed."""
    op: Op = n.op
    F = library(g)
    if not op.vjp and op.vjp_all is None:  # a function that exists only as a composition
        with enable_grad():
            inner = [
                wrap(x, Leaf(x.shape, x.dtype) if need else None)
                for x, need in zip(n.saved, needs, strict=True)
            ]
            out = op.reference(*inner, **n.params)  # type: ignore[misc]
        grads = _pull_tensors(out, [t.node for t in inner], g)
        return [None if i is None else i.data for i in grads]
    out, saved, params = n.out, n.saved, n.params
    try:  # free until it raises
        if op.vjp_all is not None:
            pulled = op.vjp_all(F, g, out, needs, *saved, **params)
        else:
            rules = op.vjp
            pulled = [rules[k](F, g, out, *saved, **params) if need else None for k, need in enumerate(needs)]
    except MappedValueError:
        if type(g) is Parts:
            raise
        pulled = _by_sample(F, n, g, needs)
    return _unbroadcast(F, n, pulled)


def _by_sample(lib: Any, n: Any, g: Any, needs: tuple[bool, ...]) -> list[Any]:
    """Under vmap, rules that need real arrays are called sample by sample."""
    op: Op = n.op
    if op.vjp_all is not None:
        return looped(lib, op.name, op.vjp_all, g, n.out, needs, *n.saved, **n.params)
    return [
        looped(lib, op.name, op.vjp[k], g, n.out, *n.saved, **n.params) if need else None
        for k, need in enumerate(needs)
    ]


def looped(lib: Any, name: str, rule: Any, /, *args: Any, **params: Any) -> Any:
    return lib.rule_looped(name, rule, *args, **params)


def _unbroadcast(F: Any, n: Any, pulled: list[Any]) -> list[Any]:
    """Sum each cotangent over the axes along which its argument was broadcast."""
    if not n.op.broadcasts:
        return pulled
    return [
        i if i is None or i.shape == p.shape else F.sum_to(i, shape=p.shape)
        for i, p in zip(pulled, n.parents, strict=True)
    ]


# ------------------------------------------------------------------ the general walk
def pull(
    roots: list[Any],
    gs: list[Any],
    targets: list[Any],
    *,
    create_graph: bool | None = None,
    retain: bool = True,
) -> list[Any]:
    """Cotangents of `targets` (nodes), given cotangents `gs` (Tensors) of `roots` (nodes); None where
    nothing flows.

    The walk stops at the targets: they are partial derivatives with the other targets held.
    create_graph=None records the gradients exactly if something else that records (an outer differentiation)
    has a part in them.
    """
    order, needed, outer = slice_of(roots, targets)
    if create_graph is None:
        create_graph = recording() and (outer or any(g.node is not None for g in gs))
    if overwritten:
        check_overwritten(order)
    wanted = set(targets)
    grads: dict[Any, Any] = {}
    for root, g in zip(roots, gs, strict=True):
        if root in needed:
            g = g if create_graph else g.data
            grads[root] = g if root not in grads else grads[root] + g
    with enable_grad() if create_graph else no_grad():
        for n in order:
            if n in wanted or n not in grads:
                continue
            g = made(grads.pop(n))
            parents = n.parents
            needs = tuple([p in needed for p in parents])
            if not create_graph and n.op.places and place(grads, n, g, None if retain else FREED):
                continue
            pulled = pull_graph(n, g, needs, arguments(n), n) if create_graph else _pull_raw(n, g, needs)
            for p, need, i in zip(parents, needs, pulled, strict=True):
                if need and i is not None:
                    grads[p] = i if p not in grads else grads[p] + i
            if not retain and not create_graph:
                n.free(FREED)
    out = [made(grads.get(t)) for t in targets]
    return out if create_graph else [wrap_raw(g) for g in out]


def slice_of(roots: list[Any], targets: list[Any]) -> tuple[list[Any], set[Any], bool]:
    """The nodes on a path from a target to a root, newest first; and whether other recording tensors feed
    into them.
    """
    wanted = set(targets)
    seen = {n for n in roots if n is not None}
    stack = list(seen)
    while stack:
        n = stack.pop()
        if n in wanted:
            continue
        for p in n.parents:
            if p is not None and p not in seen:
                seen.add(p)
                stack.append(p)
    needed: set[Any] = set()
    live: set[Any] = set()  # what depends on leaves of others
    outer = False
    for n in sorted(seen, key=by_seq):
        if n in wanted:
            needed.add(n)
            outer = outer or any(p is not None for p in n.parents)
            continue
        if any(p in needed for p in n.parents):
            needed.add(n)
            outer = outer or any(p in live for p in n.parents)
        elif n.op is FREED:
            _raise_freed()
        elif any(p in live for p in n.parents) if n.parents else type(n) is not ClosedLeaf:
            live.add(n)
    return sorted(needed, key=by_seq, reverse=True), needed, outer


def arguments(n: Any) -> list[Any]:
    """What a node saved, back in the graph: each array a Tensor at its parent, so that derivatives flow on
    into it.
    """
    return [
        x if x is None or type(x) is Spec else wrap(x, p) for x, p in zip(n.saved, n.parents, strict=True)
    ]


def pull_graph(n: Any, g: Tensor, needs: tuple[bool, ...], args: list[Any], at: Any) -> list[Any]:
    """One node's cotangents as Tensors, recorded. `at`: the node that stands for its result (None: a
    constant).
    """
    op: Op = n.op
    if op.reference is not None:
        return _pull_reference(n, op, args, g, needs)
    out = None if n.out is None else n.out if op.aux else outputs.at(at, n.out)
    if op.vjp_all is not None:
        return _unbroadcast(graph, n, op.vjp_all(graph, g, out, needs, *args, **n.params))
    params = n.params
    return _unbroadcast(
        graph,
        n,
        [op.vjp[k](graph, g, out, *args, **params) if need else None for k, need in enumerate(needs)],
    )


def _pull_reference(n: Any, op: Op, args: list[Any], g: Tensor, needs: tuple[bool, ...]) -> list[Any]:
    """A fused op has no differentiable kernel: run its composition again, recorded, and differentiate
    that.
    """
    inner = [isolate(a) if need else a for a, need in zip(args, needs, strict=True)]
    out = op.reference(*inner, **n.params)  # type: ignore[misc]
    targets = [a.node for a, need in zip(inner, needs, strict=True) if need]
    grads = iter(pull(*outputs.paired(out, g), targets, create_graph=True))
    return [next(grads) if need else None for need in needs]


def _pull_tensors(out: Tensor, nodes: list[Any], g: Any) -> list[Any]:
    targets = [n for n in nodes if n is not None]
    grads = iter(pull([out.node], [wrap(g)], targets, create_graph=False))
    return [None if n is None else next(grads) for n in nodes]


# ------------------------------------------------------------------ small tools
def isolate(t: Tensor) -> Tensor:
    """The same value at a node of its own: a differentiation can stop there, an outer one goes through."""
    n = Node()
    n.op, n.p0, n.p1, n.x0, n.x1, n.out, n.shape = IDENTITY, t.node, None, None, None, None, t.data.shape
    n.seq = next_seq()
    return wrap(t.data, n)


def library(x: Any) -> Any:
    """The backend of a raw cotangent."""
    while type(x) is Parts:
        x = next(i for i in x.items if i is not None)
    return by_type[type(x)]


def wrap_raw(x: Any) -> Tensor | None:
    return None if x is None else wrap(np.asarray(x) if isinstance(x, np.generic) else x)


def _seed(tensor: Tensor, gradient: Any) -> Tensor:
    data = tensor.data
    if gradient is None:
        if data.size != 1:
            raise ShapeError(
                message(
                    "backward",
                    "a tensor of one element was expected, or a gradient for it.",
                    received=f"shape {data.shape}",
                    hint="reduce to a scalar loss, or pass backward(gradient) of the same shape.",
                )
            )
        if type(data) is not np.ndarray:
            return wrap(backend.of(data).ones_like(data))
        one = np.asarray(1.0, data.dtype)  # np.ones is Python, and takes 8 times as long
        return wrap(one if not data.ndim else one.reshape(data.shape))
    g = gradient if isinstance(gradient, Tensor) else wrap(to_array(gradient, data.dtype))
    g = deepened(g, env_of(data))
    if g.data.shape != data.shape:
        raise ShapeError(
            message(
                "backward",
                "the gradient must have the tensor's shape.",
                received=f"gradient {g.data.shape}, tensor {data.shape}",
            )
        )
    return g if g.data.dtype == data.dtype else graph.astype(g, data.dtype)


def _raise_constant(tensor: Tensor) -> None:
    raise GradientError(
        message(
            "backward",
            "this tensor does not depend on anything that requires grad.",
            received=f"a constant of shape {tensor.data.shape}",
            hint="make the inputs with bp.tensor(..., requires_grad=True), and compute outside bp.no_grad().",
        )
    )


def _raise_freed(*_: Any, **__: Any) -> Any:
    raise GradientError(
        message(
            "backward",
            "the graph's saved arrays were freed by an earlier backward.",
            hint="call backward(retain_graph=True) the first time, or compute the forward again.",
        )
    )


FREED = Op("freed", vjp=(_raise_freed,), vjp_all=_raise_freed, register=False)
IDENTITY = Op(
    "identity", vjp=(lambda F, g, out, x: g,), elementwise=True, forward=lambda _: lambda x: x, register=False
)


if config.debug:
    from . import debug

    _order, slice_of = debug.watched(_order, slice_of)
