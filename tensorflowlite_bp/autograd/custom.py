"""Functions with rules of the user's own: `custom_vjp`, `custom_jvp`.

Each call becomes one node. A function of several results is one node whose cotangent is a `Parts`, with a
projection node per result.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .. import backend
from .._config import config
from .._typing import Tree
from ..errors import GradientError, message
from . import tree
from .batching import active, around, deepened, surrounded, zeros
from .by_sample import Opaque, by_sample
from .engine import pull
from .modes import enable_grad, no_grad, recording
from .node import Leaf, NodeN, Parts
from .op import Op, Spec, graph, is_float
from .outputs import never_run, project
from .tensor import Tensor, lifted, wrap


# ------------------------------------------------------------------ one node for a Python function
def function_op(name: str) -> Op:
    """An op whose nodes name their rules: `params["owner"]` has `pull` and `push`, on lists of Tensors.

    pull(args, gs, needs, params, record) and push(args, ts, params). The op does not hold the owner: a
    function made in a loop dies with its last node, without the garbage collector.
    """
    return Op(
        name,
        vjp_all=_pull_owner,
        jvp=_push_owner,
        saves=("x", "y", "z"),
        forward=never_run,
        aux=True,
        register=False,
    )


def _pull_owner(
    F: Any, g: Any, out: Any, needs: tuple[bool, ...], *args: Any, owner: Any, **params: Any
) -> list[Any]:
    raw = F is not graph
    gs = [lifted(i) for i in (g.items if isinstance(g, Parts) else [g])]
    inputs = [lifted(a) for a in args]
    with surrounded(around([*inputs, *gs])):
        pulled = by_sample(lambda a, g, p: owner.pull(a, g, needs, p, not raw), inputs, gs, params)
    return [i.data if raw and i is not None else i for i in pulled]


def _push_owner(F: Any, ts: list[Any], out: Any, *args: Any, owner: Any, **params: Any) -> Any:
    raw = F is not graph
    inputs, tangents = [lifted(a) for a in args], [lifted(t) for t in ts]
    with surrounded(around([*inputs, *tangents])):
        moved = by_sample(owner.push, inputs, tangents, params)
    moved = [t.data if raw and t is not None else t for t in moved]
    return moved[0] if len(moved) == 1 else Parts(moved)


def attach(op: Op, args: list[Any], params: dict[str, Any], outs: list[Tensor]) -> list[Tensor]:
    """The results as Tensors at one new node (or at projections of it)."""
    values = [wrap(o.data) for o in outs]
    if values and recording() and any(a.node is not None for a in args):
        if config.debug:
            from .debug import instrument

            instrument(op)
        node = NodeN(
            op, tuple(a.node for a in args), tuple(a.data for a in args), params, None, values[0].shape
        )
        if len(values) > 1:
            return project(values, node)
        values[0].node = node if is_float(values[0].dtype) else None
    return values


def zeros_of(x: Any) -> Tensor:
    """Zeros of a Tensor's shape, dtype and device."""
    return wrap(backend.of(x.data).zeros_like(x.data))


def _probe(x: Any) -> Tensor:
    """What a linear map is applied to, to be taken apart."""
    return wrap(backend.of(x.data).full_like(x.data, 0.5), Leaf(x.shape, x.dtype))


def _outputs(out: Tree) -> tuple[list[Tensor], Any]:
    leaves, spec = tree.flatten(out)
    return [lifted(x) for x in leaves], spec  # type: ignore[misc]


def _moves(x: Tensor) -> bool:
    return bool(backend.of(x.data).any(x.data != 0))


# ------------------------------------------------------------------ what both have in common
class _Custom:
    """Calling a function as one node."""

    def __init__(self, f: Callable, nondiff_argnums: tuple[int, ...] = ()) -> None:
        self.f = f
        self.nondiff = tuple(nondiff_argnums)
        functools.update_wrapper(self, f)
        self.op = function_op(getattr(f, "__name__", "custom"))

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        if kwargs:
            args = inspect.signature(self.f).bind(*args, **kwargs).args
        static = {n % len(args): args[n] for n in self.nondiff if -len(args) <= n < len(args)}
        found, spec = tree.flatten(tuple(a for n, a in enumerate(args) if n not in static))
        leaves: list[Any] = [lifted(x) for x in found]
        if active():  # what f closes over may be mapped where its arguments are not
            leaves = [deepened(x, active()) for x in leaves]
        params: dict[str, Any] = {"owner": self, "spec": spec, "static": static}
        if not recording() or all(a.node is None for a in leaves):
            outs, out_spec = _outputs(by_sample(lambda xs: self._call(self.f, xs, params), leaves))
            return out_spec.unflatten(outs)
        with no_grad():
            out, more = by_sample(lambda xs: self._forward(xs, params), [a.detach() for a in leaves])
        params["residuals"] = more.value
        outs, params["out_spec"] = _outputs(out)
        params["outs"] = [Spec(o.data) for o in outs]
        return params["out_spec"].unflatten(attach(self.op, leaves, params, outs))

    def _call(self, function: Callable, leaves: list[Any], params: dict[str, Any]) -> Any:
        """function(*args) with the differentiable leaves put back among the static arguments."""
        moving = params["spec"].unflatten(leaves)
        rest, static = iter(moving), params["static"]
        return function(*[static[n] if n in static else next(rest) for n in range(len(static) + len(moving))])

    def _static(self, params: dict[str, Any]) -> list[Any]:
        return [value for _, value in sorted(params["static"].items())]

    def _forward(self, leaves: list[Any], params: dict[str, Any]) -> tuple[Any, Opaque]:
        """The result, and what the backward rule wants to know."""
        return self._call(self.f, leaves, params), Opaque(None)

    def _raise_left_graph(self, what: str) -> None:
        raise GradientError(
            message(
                self.op.name,
                f"{what} cannot be differentiated: its result does not depend on what it was given.",
                hint="make it of differentiable ops; a kernel on t.data needs a custom rule of its own.",
            )
        )


# ------------------------------------------------------------------ reverse mode
class custom_vjp(_Custom):
    """A function with a backward rule of your own, as `jax.custom_vjp`.

    `f.defvjp(fwd, bwd)`: `fwd(*args) -> (out, residuals)`, `bwd(residuals, g) -> one cotangent per argument`
    (None: zero). All get Tensors; a kernel of your own takes `t.data`. With `nondiff_argnums`, `bwd` gets
    those arguments first. What f takes from outside its arguments is a constant to it.

    Higher derivatives and forward mode differentiate `fwd` and `bwd` in their turn, so they exist where
    these use differentiable ops; where `bwd` leaves the graph they raise GradientError. Under `bp.vmap` the
    rules run on all samples at once; those that ask for memory (`t.data` to a kernel, `t.numpy()`), once per
    sample.

    Around a CUDA kernel, `t.data` is the CuPy array, and the kernel runs on the current stream:

        cube = cupy.ElementwiseKernel("T x", "T y", "y = x * x * x", "cube")
        slope = cupy.ElementwiseKernel("T x, T g", "T dx", "dx = 3 * x * x * g", "cube_slope")
        f = bp.custom_vjp(lambda x: bp.asarray(cube(x.data)))
        f.defvjp(lambda x: (bp.asarray(cube(x.data)), x.data), lambda x, g: (bp.asarray(slope(x, g.data)),))

    A `cupy.RawKernel` is called in the same places: `kernel(grid, block, (x.data, out, size))`.

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

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        if self.fwd is None:
            raise GradientError(
                message(
                    self.op.name, "this custom_vjp has no rules yet.", hint="call f.defvjp(fwd, bwd) first."
                )
            )
        return super().__call__(*args, **kwargs)

    def _forward(self, leaves: list[Any], params: dict[str, Any]) -> tuple[Any, Opaque]:
        made = self._call(self.fwd, leaves, params)  # type: ignore[arg-type]
        if not isinstance(made, tuple) or len(made) != 2:
            raise GradientError(
                message(
                    self.op.name, "fwd must return a pair, (out, residuals).", received=type(made).__name__
                )
            )
        return made[0], Opaque(made[1])

    def pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        if record:  # differentiated again: the residuals must be in the graph too
            params = {**params, "residuals": self._forward(args, params)[1].value}
        some = next(g for g in gs if g is not None)
        gs = [
            zeros(s.shape, s.dtype, some) if g is None else g for g, s in zip(gs, params["outs"], strict=True)
        ]
        pulled = self._backward(args, gs, params)
        if record and all(g.node is None for g in gs) and self._constants(pulled):
            # nothing says whether these are constants, or came out of a kernel that nothing records: ask
            # once more
            probes = [wrap(g.data, Leaf(g.shape, g.dtype) if is_float(g.dtype) else None) for g in gs]
            if self._constants(self._backward(args, probes, params)):
                self._raise_left_graph("bwd")
        elif any(g.node is not None for g in gs) and self._constants(pulled):
            self._raise_left_graph("bwd")
        return pulled

    def _constants(self, pulled: list[Any]) -> bool:
        return any(i is not None and i.node is None and _moves(i) for i in pulled)

    def _backward(self, args: list[Any], gs: list[Any], params: dict[str, Any]) -> list[Any]:
        g = params["out_spec"].unflatten(gs)
        pulled = self.bwd(*self._static(params), params["residuals"], g)  # type: ignore[misc]
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
            leaves, form = tree.flatten(p)
            given, given_form = ([None] * len(leaves), form) if i is None else tree.flatten(i)
            if given_form != form:
                raise GradientError(
                    message(
                        self.op.name,
                        "a cotangent must have its argument's form.",
                        received=f"{given_form} for {form}",
                    )
                )
            out.extend(lifted(x) for x in given)
        return [self._fitting(a, i) for a, i in zip(args, out, strict=True)]

    def _fitting(self, a: Tensor, i: Tensor | None) -> Tensor | None:
        if i is None or not is_float(a.dtype):
            return None
        if i.shape != a.shape:
            raise GradientError(
                message(
                    self.op.name,
                    "a cotangent must have its argument's shape.",
                    received=f"{i.shape} for an argument {a.shape}",
                )
            )
        return i if i.dtype == a.dtype else graph.astype(i, a.dtype)

    def push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        """Forward mode through a vjp rule: bwd is linear in g, and its transpose maps the tangents to J t."""
        needs = tuple([t is not None for t in ts])
        some = next(t for t in ts if t is not None)
        still = [zeros(s.shape, s.dtype, some) for s in params["outs"]]
        with enable_grad():
            # where a linear map is taken apart does not matter, but at 0 a lost dependence would not show
            gs = [_probe(z) if is_float(z.dtype) else z for z in still]
            pulled = self.pull(args, gs, needs, params, any(a.node is not None for a in args))
        pairs = [
            (i, t) for i, t in zip(pulled, ts, strict=True) if i is not None and t is not None and i.node
        ]
        if not pairs:
            return still
        targets = [g.node for g in gs if g.node is not None]
        moved = iter(pull([i.node for i, _ in pairs], [t for _, t in pairs], targets))
        found = [next(moved) if g.node is not None else None for g in gs]
        if all(m is None for m in found) and any(_moves(i) for i, _ in pairs):
            self._raise_left_graph("bwd")
        return [z if m is None else m for m, z in zip(found, still, strict=True)]


# ------------------------------------------------------------------ forward mode
class custom_jvp(_Custom):
    """A function with a forward rule of your own, as `jax.custom_jvp`; reverse mode is its transpose.

    `f.defjvp(rule)`: `rule(primals, tangents) -> (out, tangent_out)`, linear in the tangents, in
    differentiable ops. With `nondiff_argnums`, the rule gets those arguments first.

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

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        if self.rule is None:
            raise GradientError(
                message(self.op.name, "this custom_jvp has no rule yet.", hint="call f.defjvp(rule) first.")
            )
        return super().__call__(*args, **kwargs)

    def push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        primals = tuple(params["spec"].unflatten(args))
        tangents = params["spec"].unflatten(
            [zeros_of(a) if t is None else t for a, t in zip(args, ts, strict=True)]
        )
        made = self.rule(*self._static(params), primals, tuple(tangents))  # type: ignore[misc]
        if not isinstance(made, tuple) or len(made) != 2:
            raise GradientError(
                message(
                    self.op.name, "the rule must return a pair, (out, tangent).", received=type(made).__name__
                )
            )
        leaves, form = tree.flatten(made[1])
        moved: list[Any] = [lifted(t) for t in leaves]
        shapes = [tuple(s.shape) for s in params["outs"]]
        if form != params["out_spec"] or [m.shape for m in moved] != shapes:
            raise GradientError(
                message(
                    self.op.name,
                    f"a tangent must have its value's form and shape, {params['out_spec']} of {shapes}.",
                    received=f"{form} of {[m.shape for m in moved]}",
                )
            )
        return [
            m if m.dtype == s.dtype or not is_float(s.dtype) else graph.astype(m, s.dtype)
            for m, s in zip(moved, params["outs"], strict=True)
        ]

    def pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        with enable_grad():
            # the rule is linear, so it may be taken apart anywhere; at 0 a lost dependence would not show
            ts = [_probe(a) if need else None for a, need in zip(args, needs, strict=True)]
            moved = self.push(args, ts, params)
        pairs = [(m, g) for m, g in zip(moved, gs, strict=True) if g is not None and m.node is not None]
        targets = [t.node for t in ts if t is not None]
        found = (
            pull([m.node for m, _ in pairs], [g for _, g in pairs], targets, create_graph=record)
            if pairs
            else [None] * len(targets)
        )
        if all(i is None for i in found) and any(
            g is not None and _moves(m) for m, g in zip(moved, gs, strict=True)
        ):
            self._raise_left_graph("the rule")
        grads = iter(found)
        return [next(grads) if need else None for need in needs]
