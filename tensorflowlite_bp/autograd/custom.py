"""Functions with rules of the user's own, and functions that are computed twice to save memory.

Each becomes one node. A function of several results is one node whose cotangent is a `Parts`, with a
projection node per result.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from .._typing import Tree
from ..errors import GradientError, message
from . import tree
from .engine import isolate, pull, push
from .modes import enable_grad, no_grad, recording
from .node import NodeN, Parts, next_seq
from .op import Op, graph
from .tensor import Tensor, to_array, wrap


def _part(F: Any, g: Any, out: Any, x: Any, *, index: int, count: int) -> Parts:
    return Parts([g if k == index else None for k in range(count)])


_PROJECT = Op(
    "project",
    vjp=(_part,),
    jvp=lambda F, ts, out, x, *, index, count: ts[0].items[index],
    forward=lambda _: None,
    register=False,
)


class _Function(Op):
    """An op made at run time from Python functions on Tensors.

    `pull_fn(args, gs, needs, params, record)` and `push_fn(args, ts, params)` get and give lists of Tensors
    (or None).
    """

    __slots__ = ("pull_fn", "push_fn")

    def __init__(self, name: str, pull_fn: Callable, push_fn: Callable) -> None:
        super().__init__(
            name,
            vjp_all=self._vjp,
            jvp=self._jvp,
            saves=("x", "y", "z"),
            forward=lambda _: None,
            aux=True,
            register=False,
        )
        self.pull_fn, self.push_fn = pull_fn, push_fn

    def _vjp(self, F: Any, g: Any, out: Any, needs: tuple[bool, ...], *args: Any, **params: Any) -> list[Any]:
        raw = F is not graph
        gs = [_lift(i) for i in (g.items if isinstance(g, Parts) else [g])]
        pulled = self.pull_fn([_lift(a) for a in args], gs, needs, params, not raw)
        return [i.data if raw and i is not None else i for i in pulled]

    def _jvp(self, F: Any, ts: list[Any], out: Any, *args: Any, **params: Any) -> Any:
        raw = F is not graph
        moved = [
            t if t is None or not raw else t.data
            for t in self.push_fn([_lift(a) for a in args], [_lift(t) for t in ts], params)
        ]
        return moved[0] if len(moved) == 1 else Parts(moved)


def _lift(x: Any) -> Tensor | None:
    return x if x is None or isinstance(x, Tensor) else wrap(to_array(x))


def _attach(op: Op, args: list[Tensor], params: dict[str, Any], outs: list[Tensor], spec: Any) -> Tree:
    """Results as Tensors at one new node (or at projections of it)."""
    values = [wrap(o.data) for o in outs]
    if recording() and any(a.node is not None for a in args):
        node = NodeN(
            op, tuple(a.node for a in args), tuple(a.data for a in args), params, None, values[0].shape
        )
        if len(values) == 1:
            values[0].node = node
        else:
            for k, v in enumerate(values):
                v.node = NodeN(_PROJECT, (node,), (None,), {"index": k, "count": len(values)}, None, v.shape)
    return spec.unflatten(values)


def _flatten_args(args: tuple[Any, ...]) -> tuple[list[Tensor], list[bool], Any]:
    leaves, spec = tree.flatten(args)
    return [_lift(x) for x in leaves], [isinstance(x, Tensor) for x in leaves], spec  # type: ignore[misc]


def _outputs(out: Tree) -> tuple[list[Tensor], Any]:
    leaves, spec = tree.flatten(out)
    return [_lift(x) for x in leaves], spec  # type: ignore[misc]


class _Custom:
    """What custom_vjp and custom_jvp share: calling the function as one node."""

    def __init__(self, f: Callable, nondiff_argnums: tuple[int, ...] = ()) -> None:
        self.f = f
        self.nondiff = tuple(nondiff_argnums)
        functools.update_wrapper(self, f)
        name = getattr(f, "__name__", "custom")
        self.op = _Function(name, self._pull, self._push)

    def _split(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[int, Any]]:
        static = {n: args[n] for n in self.nondiff}
        return tuple(a for n, a in enumerate(args) if n not in static), static

    def _call(self, function: Callable, leaves: list[Any], params: dict[str, Any]) -> Any:
        """function(*args) with the differentiable leaves put back among the static arguments."""
        moving = iter(params["spec"].unflatten(leaves))
        count = len(params["static"]) + len(params["spec"].unflatten(leaves))
        return function(
            *[params["static"][n] if n in params["static"] else next(moving) for n in range(count)]
        )

    def __call__(self, *args: Any) -> Tree:
        moving, static = self._split(args)
        leaves, _, spec = _flatten_args(moving)
        if not recording() or all(a.node is None for a in leaves):
            return self.f(*args)
        params = {"spec": spec, "static": static}
        with no_grad():
            outs, out_spec = _outputs(self._call(self.f, [a.detach() for a in leaves], params))
        params["out_spec"] = out_spec
        return _attach(self.op, leaves, params, outs, out_spec)

    def _pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        raise NotImplementedError

    def _push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        raise NotImplementedError


class custom_vjp(_Custom):
    """A function with a backward rule of your own, as `jax.custom_vjp`.

    `f.defvjp(fwd, bwd)`: `fwd(*args) -> (out, residuals)`, `bwd(residuals, g) -> one cotangent per argument`
    (None: zero). All get Tensors; a kernel of your own takes `t.data`. With `nondiff_argnums`, `bwd` gets
    those arguments first. Higher derivatives differentiate `fwd` and `bwd` in their turn, so they exist
    where these use differentiable ops.

    >>> import tensorflowlite_bp as bp
    >>> @bp.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (bp.clip(g, -1.0, 1.0),))
    >>> bp.grad(lambda x: 10.0 * clipped(x))(3.0)
    np.float64(1.0)
    """

    fwd: Callable | None = None
    bwd: Callable | None = None

    def defvjp(self, fwd: Callable, bwd: Callable) -> None:
        """Set the rules."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any) -> Tree:
        if self.fwd is None:
            raise GradientError(
                message(
                    self.op.name, "this custom_vjp has no rules yet.", hint="call f.defvjp(fwd, bwd) first."
                )
            )
        moving, static = self._split(args)
        leaves, _, spec = _flatten_args(moving)
        if not recording() or all(a.node is None for a in leaves):
            return self.f(*args)
        params: dict[str, Any] = {"spec": spec, "static": static}
        with no_grad():
            out, params["residuals"] = self._call(self.fwd, [a.detach() for a in leaves], params)
        outs, params["out_spec"] = _outputs(out)
        return _attach(self.op, leaves, params, outs, params["out_spec"])

    def _pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        if record:  # differentiated again: the residuals must be in the graph too
            result, residuals = self._call(self.fwd, args, params)  # type: ignore[arg-type]
            values, _ = _outputs(result)
        else:
            residuals, values = params["residuals"], None
        gs = _fill(gs, values, self, args, params)
        pulled = self.bwd(*params["static"].values(), residuals, params["out_spec"].unflatten(gs))  # type: ignore[misc]
        if not isinstance(pulled, (tuple, list)):
            raise GradientError(
                message(
                    self.op.name,
                    "bwd must return a tuple, one cotangent per argument.",
                    received=type(pulled).__name__,
                )
            )
        return self._per_leaf(pulled, args, params)

    def _per_leaf(self, pulled: Any, args: list[Any], params: dict[str, Any]) -> list[Any]:
        primals = params["spec"].unflatten(args)
        if len(pulled) != len(primals):
            raise GradientError(
                message(
                    self.op.name,
                    f"bwd must return {len(primals)} cotangents, one per argument.",
                    received=str(len(pulled)),
                )
            )
        out: list[Any] = []
        for p, i in zip(primals, pulled, strict=True):
            count = len(tree.flatten(p)[0])
            leaves = [None] * count if i is None else [_lift(x) for x in tree.flatten(i)[0]]
            if len(leaves) != count:
                raise GradientError(
                    message(
                        self.op.name,
                        "a cotangent must have its argument's form.",
                        received=f"{len(leaves)} leaves",
                    )
                )
            out.extend(leaves)
        for a, i in zip(args, out, strict=True):
            if i is not None and i.shape != a.shape:
                raise GradientError(
                    message(
                        self.op.name,
                        "a cotangent must have its argument's shape.",
                        received=f"{i.shape} for an argument {a.shape}",
                    )
                )
        return out

    def _push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        """Forward mode through a vjp rule: bwd is linear in g, its transpose applied to the tangents is J
        t.
        """
        needs = tuple([t is not None for t in ts])
        outs, _ = _outputs(self._call(self.f, [a.detach() for a in args], params))
        with enable_grad():
            zeros = [wrap(backend.of(o.data).zeros(o.shape, o.dtype)) for o in outs]
            for z in zeros:
                z.requires_grad = True
            pulled = self._pull(args, list(zeros), needs, params, any(a.node is not None for a in args))
        pairs = [
            (i, t)
            for i, t in zip(pulled, ts, strict=True)
            if i is not None and t is not None and i.node is not None
        ]
        if not pairs:
            return [wrap(z.data) for z in zeros]
        moved = pull([i.node for i, _ in pairs], [t for _, t in pairs], [z.node for z in zeros])
        return [wrap(z.data) if m is None else m for m, z in zip(moved, zeros, strict=True)]


def _fill(
    gs: list[Any], values: list[Any] | None, custom: _Custom, args: list[Any], params: dict[str, Any]
) -> list[Any]:
    """Zeros for results that nothing used."""
    if all(g is not None for g in gs):
        return gs
    if values is None:
        with no_grad():
            values, _ = _outputs(custom._call(custom.f, [a.detach() for a in args], params))
    return [
        wrap(backend.of(v.data).zeros(v.shape, v.dtype)) if g is None else g
        for g, v in zip(gs, values, strict=True)
    ]


class custom_jvp(_Custom):
    """A function with a forward rule of your own, as `jax.custom_jvp`; reverse mode is its transpose.

    `f.defjvp(rule)`: `rule(primals, tangents) -> (out, tangent_out)`, linear in the tangents, in
    differentiable ops.

    >>> import tensorflowlite_bp as bp
    >>> @bp.custom_jvp
    ... def square(x):
    ...     return x * x
    >>> square.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))
    >>> bp.grad(square)(3.0)
    np.float64(6.0)
    """

    rule: Callable | None = None

    def defjvp(self, rule: Callable) -> None:
        """Set the rule."""
        self.rule = rule

    def __call__(self, *args: Any) -> Tree:
        if self.rule is None:
            raise GradientError(
                message(self.op.name, "this custom_jvp has no rule yet.", hint="call f.defjvp(rule) first.")
            )
        return super().__call__(*args)

    def _tangents(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        primals = params["spec"].unflatten(args)
        filled = [
            wrap(backend.of(a.data).zeros(a.shape, a.dtype)) if t is None else t
            for a, t in zip(args, ts, strict=True)
        ]
        _, moved = self.rule(tuple(primals), tuple(params["spec"].unflatten(filled)))  # type: ignore[misc]
        return _outputs(moved)[0]

    def _push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        return self._tangents(args, ts, params)

    def _pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        with enable_grad():
            zeros: list[Any] = []
            for a, need in zip(args, needs, strict=True):
                z = wrap(backend.of(a.data).zeros(a.shape, a.dtype))
                z.requires_grad = need
                zeros.append(z)
            moved = self._tangents(args, zeros, params)
        pairs = [(m, g) for m, g in zip(moved, gs, strict=True) if g is not None and m.node is not None]
        targets = [z.node for z in zeros if z.node is not None]
        grads = iter(
            pull([m.node for m, _ in pairs], [g for _, g in pairs], targets, create_graph=record)
            if pairs
            else [None] * len(targets)
        )
        return [next(grads) if need else None for need in needs]


# ------------------------------------------------------------------ memory for time
snapshots: list[
    tuple[Callable[[], Any], Callable[[Any], Any]]
] = []  # (get, set) of state a second run must see again: generators


def checkpoint(f: Callable) -> Callable:
    """Run f without keeping its intermediate arrays; backward computes them a second time. Random ops draw
    the same numbers again.

    Tensors that f uses from outside (a model's weights) get their gradients too.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(bp.checkpoint(lambda x: bp.exp(bp.sin(x))))(0.0)
    np.float64(1.0)
    """

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Tree:
        leaves, tensors, spec = _flatten_args(args)
        if not recording():
            return f(*args, **kwargs)
        before = [get() for get, _ in snapshots]
        inner = [isolate(a) if a.node is not None else a for a in leaves]
        start = next_seq()
        outs, out_spec = _outputs(f(*_put_back(inner, tensors, spec), **kwargs))
        outside = _outside([o.node for o in outs], {a.node for a in inner}, start)
        captured: list[Any] = [_StandIn(n) for n in outside]
        params = {
            "spec": spec,
            "tensors": tensors,
            "count": len(leaves),
            "kwargs": kwargs,
            "state": before,
            "nodes": outside,
        }
        return _attach(op, leaves + captured, params, outs, out_spec)

    def again(args: list[Any], wanted: Sequence[bool], params: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        now = [get() for get, _ in snapshots]
        for (_, put), state in zip(snapshots, params["state"], strict=True):
            put(state)
        try:
            with enable_grad():
                inner = [
                    isolate(a) if want else a
                    for a, want in zip(args[: params["count"]], wanted, strict=False)
                ]
                outs, _ = _outputs(
                    f(*_put_back(inner, params["tensors"], params["spec"]), **params["kwargs"])
                )
        finally:
            for (_, put), state in zip(snapshots, now, strict=True):
                put(state)
        return [a.node for a in inner] + params["nodes"], outs

    def pull_again(
        args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        sources, outs = again(args, needs, params)
        pairs = [(o, g) for o, g in zip(outs, gs, strict=True) if g is not None and o.node is not None]
        targets = [s for s, need in zip(sources, needs, strict=True) if need]
        grads = iter(pull([o.node for o, _ in pairs], [g for _, g in pairs], targets, create_graph=record))
        return [next(grads) if need else None for need in needs]

    def push_again(args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        sources, outs = again(args, [t is not None for t in ts], params)
        moving = [(s, t) for s, t in zip(sources, ts, strict=True) if t is not None]
        moved = push([o.node for o in outs], [s for s, _ in moving], [t for _, t in moving])
        return [
            wrap(backend.of(o.data).zeros(o.shape, o.dtype)) if m is None else m
            for m, o in zip(moved, outs, strict=True)
        ]

    op = _Function("checkpoint", pull_again, push_again)
    return run


def _put_back(leaves: list[Any], tensors: list[bool], spec: Any) -> Any:
    """The arguments as they came; arrays that carry no gradient stay raw."""
    return spec.unflatten(
        [a if t or a.node is not None else a.data for a, t in zip(leaves, tensors, strict=True)]
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
