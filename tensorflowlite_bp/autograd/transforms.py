"""Functions from functions: gradients, products with Jacobians, whole Jacobians and Hessians. They nest to
any order.

All take raw arrays, Tensors, Python floats and trees of them. Raw arguments give raw results, Tensors give
Tensors; a result that an outer differentiation still needs is always a Tensor.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from .._typing import Tree
from ..errors import DTypeError, ShapeError, message
from . import tree
from .batching import active, deepened, env_of, inside
from .engine import isolate, pull
from .forward import push
from .hooks import received
from .modes import enable_grad, recording
from .node import ClosedLeaf, Leaf
from .op import graph, is_float
from .tensor import Tensor, to_array, unshared, wrap


class _Argument:
    """One primal taken apart: its leaves as fresh recording Tensors, and how to put trees of that form
    together.
    """

    __slots__ = ("leaves", "raw", "spec")

    def __init__(self, where: str, primal: Tree) -> None:
        leaves, self.spec = tree.flatten(primal)
        self.raw = [not isinstance(x, Tensor) for x in leaves]
        self.leaves = [_fresh(where, x) for x in leaves]
        if (
            where == "vjp"
        ):  # the graph outlives the call, and nothing would notice a write to the caller's arrays
            for leaf, raw in zip(self.leaves, self.raw, strict=True):
                leaf.data = leaf.data.copy() if raw else leaf.data

    def tree(self) -> Tree:
        return self.spec.unflatten(self.leaves)

    def build(self, results: list[Tensor]) -> Tree:
        return self.spec.unflatten([_give(r, raw) for r, raw in zip(results, self.raw, strict=True)])


def _fresh(where: str, x: Any) -> Tensor:
    if active():
        x = inside(_as_tensor(x))
    if isinstance(x, Tensor):
        if x.node is not None:
            return isolate(x)
        data = x.data
    else:
        data = to_array(x)
    if not is_float(data.dtype):
        raise DTypeError(
            message(
                where,
                "only floating and complex arguments can be differentiated.",
                received=f"{data.dtype}, shape {data.shape}",
                hint="convert with .astype(float), or leave this argument out of argnums.",
            )
        )
    return wrap(data, Leaf(data.shape, data.dtype))


def _give(t: Any, raw: bool) -> Any:
    """A result for the caller: raw for raw arguments, unless an outer differentiation still needs it.

    It has memory of its own: neither the graph, nor another result, nor a caller's cotangent shares it.
    """
    if not isinstance(t, Tensor):
        return t
    if t.node is not None:
        return wrap(t.data, t.node)
    data = t.data if unshared(t) else t.data.copy()
    return wrap(data) if not raw else data if data.ndim else data[()]


def _zeros(t: Tensor) -> Tensor:
    return wrap(backend.of(t.data).zeros_like(t.data))


def _or_zeros(grads: Sequence[Any], leaves: list[Tensor]) -> list[Tensor]:
    """In the leaves' dtypes: a rule's 0.5 widens bfloat16."""
    return [
        _zeros(leaf) if g is None else g if g.dtype == leaf.dtype else graph.astype(g, leaf.dtype)
        for g, leaf in zip(grads, leaves, strict=True)
    ]


def _as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(to_array(x))


def _select(where: str, argnums: int | Sequence[int], args: tuple) -> tuple[int, ...]:
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in wanted:
        if not -len(args) <= n < len(args):
            raise TypeError(
                message(
                    where,
                    f"argnums={argnums} needs at least {max(n + 1, -n)} arguments.",
                    received=f"{len(args)}",
                )
            )
    return tuple(n % len(args) for n in wanted)


def _record(
    where: str, f: Callable, argnums: int | Sequence[int], args: tuple, kwargs: dict
) -> tuple[Any, list[_Argument]]:
    """Run f with the chosen arguments recording."""
    chosen = _select(where, argnums, args)
    inputs = {n: _Argument(where, args[n]) for n in chosen}
    with enable_grad():
        out = f(*[inputs[n].tree() if n in inputs else a for n, a in enumerate(args)], **kwargs)
    return out, [inputs[n] for n in chosen]


def _gather(argnums: int | Sequence[int], inputs: list[_Argument], grads: list[Any]) -> Any:
    """Flat gradients back into one tree per argument: bare for an int argnums, a tuple for a sequence."""
    rest = iter(grads)
    trees = tuple([i.build(_or_zeros([next(rest) for _ in i.leaves], i.leaves)) for i in inputs])
    return trees[0] if isinstance(argnums, int) else trees


def _pull(out: Tensor, cotangent: Tensor, inputs: list[_Argument], retain: bool = False) -> list[Any]:
    targets = [leaf.node for i in inputs for leaf in i.leaves]
    if out.node is None:
        return [None] * len(targets)
    return received(targets, pull([out.node], [cotangent], targets, retain=retain))


def _scalar(where: str, out: Any) -> Tensor:
    if isinstance(out, (int, float)) and not isinstance(out, bool):
        return _as_tensor(float(out))  # a constant
    if not isinstance(out, Tensor):
        if not hasattr(out, "dtype") and not isinstance(out, (bool, complex)):
            raise TypeError(message(where, "the function must return a scalar.", received=type(out).__name__))
        out = _as_tensor(out)
    if out.data.size != 1:
        raise ShapeError(
            message(
                where,
                "the function must return a scalar.",
                received=f"shape {out.shape}",
                hint="sum its result, or use bp.jacobian or bp.elementwise_grad.",
            )
        )
    if out.data.dtype.kind in "bui":
        raise DTypeError(
            message(
                where,
                "the function must return a floating number.",
                received=str(out.dtype),
                hint="comparisons, argmax, rounding to integers and counting have no gradient.",
            )
        )
    if out.data.dtype.kind == "c":
        raise DTypeError(
            message(
                where,
                "the function must return a real number.",
                received=str(out.dtype),
                hint="take .real, or use bp.vjp.",
            )
        )
    return out


def _ones(out: Tensor) -> Tensor:
    return wrap(backend.of(out.data).ones_like(out.data))


# ------------------------------------------------------------------ gradients
def value_and_grad(f: Callable, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Callable:
    """A function that gives `(f(...), gradient)`. With has_aux, f returns (value, anything), and so does
    this: ((value, aux), gradient).

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """

    @functools.wraps(f)
    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        out, inputs = _record("grad", f, argnums, args, kwargs)
        aux = None
        if has_aux:
            out, aux = out
        out = _scalar("grad", out)
        grads = _pull(out, _ones(out), inputs, retain=has_aux)
        value = _leave(out, inputs)
        value = (value, _leave_tree(aux, inputs)) if has_aux else value
        _close(inputs)
        return value, _gather(argnums, inputs, grads)

    return with_gradient


def _leave(t: Tensor, inputs: list[_Argument]) -> Any:
    """A value computed from the fresh arguments, for the outside: still connected where an outer tape is."""
    raw = all(r for i in inputs for r in i.raw)
    outer = recording() and (
        any(leaf.node.parents for i in inputs for leaf in i.leaves) or _reaches_out(t, inputs)
    )
    return t if outer else _give(t.detach(), raw)


def _close(inputs: list[_Argument]) -> None:
    """The transform is done: to an outer one, its own leaves are constants."""
    for i in inputs:
        for leaf in i.leaves:
            if type(leaf.node) is Leaf:
                leaf.node.__class__ = ClosedLeaf


def _reaches_out(t: Tensor, inputs: list[_Argument]) -> bool:
    own = {leaf.node for i in inputs for leaf in i.leaves}
    stack, seen = [t.node], set()
    while stack:
        n = stack.pop()
        if n is None or n in seen or n in own:
            continue
        seen.add(n)
        if isinstance(n, Leaf) and type(n) is not ClosedLeaf:
            return True
        stack.extend(n.parents)
    return False


def _leave_tree(aux: Tree, inputs: list[_Argument]) -> Tree:
    if aux is None:
        return None
    leaves, spec = tree.flatten(aux)
    return spec.unflatten([_leave(x, inputs) if isinstance(x, Tensor) else x for x in leaves])


def grad(f: Callable, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Callable:
    """The gradient of a function with a scalar result.

    Gives the bare gradient for an int `argnums`, a tuple for a sequence; each has its argument's form.
    Raises ShapeError when the result is no scalar, DTypeError for an integer argument or a complex result.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(lambda x: x ** 3)(2.0)
    np.float64(12.0)
    >>> bp.grad(bp.grad(lambda x: x ** 3))(2.0)
    np.float64(12.0)
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def elementwise_grad(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """The derivative of a function that works element by element: the gradient of the sum of its results.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.elementwise_grad(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    @functools.wraps(f)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        out, inputs = _record("elementwise_grad", f, argnums, args, kwargs)
        out = _as_tensor(out)
        grads = _pull(out, _ones(out), inputs)
        _close(inputs)
        return _gather(argnums, inputs, grads)

    return derivative


# ------------------------------------------------------------------ products with Jacobians
def vjp(f: Callable, *primals: Tree) -> tuple[Tree, Callable[[Tree], tuple]]:
    """`(f(*primals), vjp_fn)`; `vjp_fn(cotangent)` gives a tuple, one cotangent per primal, and can be
    called again.

    The cotangent has the result's form. A complex vjp multiplies by the transpose, without conjugation (as
    JAX and autograd).

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> out, pull = bp.vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> out, pull(1.0)
    (np.float64(6.0), (np.float64(3.0), np.float64(2.0)))
    """
    out, inputs = _record("vjp", f, range(len(primals)), primals, {})
    leaves, spec = tree.flatten(out)
    outs = [_as_tensor(x) for x in leaves]
    targets = [leaf.node for i in inputs for leaf in i.leaves]

    def vjp_fn(cotangent: Tree) -> tuple:
        given, given_spec = tree.flatten(cotangent)
        if given_spec != spec:
            raise ShapeError(
                message("vjp", f"a cotangent of the form {spec} was expected.", received=str(given_spec))
            )
        roots, gs = [], []
        for x, g in zip(outs, given, strict=True):
            g = _match("vjp", _as_tensor(g), x, "cotangent")
            if x.node is not None:
                roots.append(x.node)
                gs.append(g)
        grads = received(targets, pull(roots, gs, targets)) if roots else [None] * len(targets)
        return _gather(range(len(primals)), inputs, grads)

    value = spec.unflatten([_leave(x, inputs) for x in outs])
    _close(inputs)
    return value, vjp_fn


def _match(where: str, g: Tensor, x: Tensor, what: str) -> Tensor:
    if g.shape != x.shape:
        raise ShapeError(
            message(where, f"a {what} has its value's shape.", received=f"{what} {g.shape}, value {x.shape}")
        )
    if g.dtype.kind == "c" and x.dtype.kind != "c":
        raise DTypeError(message(where, f"a {what} of a real value is real.", received=f"{what} {g.dtype}"))
    g = g if g.dtype == x.dtype else graph.astype(g, x.dtype)
    return deepened(g, env_of(x.data))


def jvp(f: Callable, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, Tree]:
    """`(f(*primals), J @ tangents)`: forward mode. Tuples in; the second result has the first's form.

    >>> import tensorflowlite_bp as bp
    >>> bp.jvp(lambda x: x ** 2, (3.0,), (1.0,))
    (np.float64(9.0), np.float64(6.0))
    """
    if (
        not isinstance(primals, (tuple, list))
        or not isinstance(tangents, (tuple, list))
        or len(primals) != len(tangents)
    ):
        raise TypeError(
            message(
                "jvp",
                "primals and tangents must be tuples of the same length.",
                received=f"{primals!r}, {tangents!r}",
            )
        )
    out, inputs = _record("jvp", f, range(len(primals)), tuple(primals), {})
    leaves, spec = tree.flatten(out)
    outs = [_as_tensor(x) for x in leaves]
    moved = _push(outs, inputs, tangents)
    raw = all(r for i in inputs for r in i.raw)
    value = spec.unflatten([_leave(x, inputs) for x in outs])
    _close(inputs)
    return value, spec.unflatten([_give(t, raw) for t in moved])


def _push(outs: list[Tensor], inputs: list[_Argument], tangents: Sequence[Tree]) -> list[Tensor]:
    sources, ts = [], []
    for argument, tangent in zip(inputs, tangents, strict=True):
        given, form = tree.flatten(tangent)
        if form != argument.spec:
            raise ShapeError(
                message("jvp", f"a tangent has its primal's form, {argument.spec}.", received=str(form))
            )
        for leaf, t in zip(argument.leaves, given, strict=True):
            sources.append(leaf.node)
            ts.append(_match("jvp", _as_tensor(t), leaf, "tangent"))
    return _or_zeros(push([o.node for o in outs], sources, ts), outs)


# ------------------------------------------------------------------ cutting the graph
def stop_gradient(x: Tree) -> Tree:
    """The same values as constants: no gradient flows through.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(lambda x: x * bp.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, spec = tree.flatten(x)
    return spec.unflatten([leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves])


__all__ = ["elementwise_grad", "grad", "jvp", "stop_gradient", "value_and_grad", "vjp"]
