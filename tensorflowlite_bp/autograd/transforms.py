"""Functions from functions: gradients, products with Jacobians, whole Jacobians and Hessians. They nest to
any order.

All take raw arrays, Tensors, Python floats and trees of them. Raw arguments give raw results, Tensors give
Tensors; a result that an outer differentiation still needs is always a Tensor.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from .. import backend
from .._typing import Tree
from ..errors import DTypeError, ShapeError, message
from . import tree
from .engine import isolate, pull, push
from .modes import enable_grad
from .node import Leaf
from .op import graph, is_float
from .tensor import Tensor, to_array, wrap


class _Argument:
    """One primal taken apart: its leaves as fresh recording Tensors, and how to put trees of that form
    together.
    """

    __slots__ = ("leaves", "raw", "spec")

    def __init__(self, where: str, primal: Tree) -> None:
        leaves, self.spec = tree.flatten(primal)
        self.raw = [not isinstance(x, Tensor) for x in leaves]
        self.leaves = [_fresh(where, x) for x in leaves]

    def tree(self) -> Tree:
        return self.spec.unflatten(self.leaves)

    def build(self, results: list[Tensor]) -> Tree:
        return self.spec.unflatten([_give(r, raw) for r, raw in zip(results, self.raw, strict=True)])


def _fresh(where: str, x: Any) -> Tensor:
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
    """A result for the caller: raw for raw arguments, unless an outer differentiation still needs it."""
    if not isinstance(t, Tensor) or not raw or t.node is not None:
        return t
    return t.data if t.data.ndim else t.data[()]


def _zeros(t: Tensor) -> Tensor:
    return wrap(backend.of(t.data).zeros(t.data.shape, t.data.dtype))


def _or_zeros(grads: Sequence[Any], leaves: list[Tensor]) -> list[Tensor]:
    return [_zeros(leaf) if g is None else g for g, leaf in zip(grads, leaves, strict=True)]


def _as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(to_array(x))


def _select(where: str, argnums: int | Sequence[int], args: tuple) -> tuple[int, ...]:
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in wanted:
        if not -len(args) <= n < len(args):
            raise TypeError(
                message(
                    where, f"argnums={argnums} needs at least {n + 1} arguments.", received=f"{len(args)}"
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


def _pull(out: Tensor, cotangent: Tensor, inputs: list[_Argument]) -> list[Any]:
    targets = [leaf.node for i in inputs for leaf in i.leaves]
    if out.node is None:
        return [None] * len(targets)
    return pull([out.node], [cotangent], targets, retain=False)


def _scalar(where: str, out: Any) -> Tensor:
    if not isinstance(out, Tensor):
        if isinstance(out, (int, float, complex)) or getattr(out, "size", 0) == 1:
            return _as_tensor(out)
        raise TypeError(message(where, "the function must return a scalar.", received=type(out).__name__))
    if out.data.size != 1:
        raise ShapeError(
            message(
                where,
                "the function must return a scalar.",
                received=f"shape {out.shape}",
                hint="sum its result, or use bp.jacobian or bp.elementwise_grad.",
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
    return wrap(backend.of(out.data).ones(out.data.shape, out.data.dtype))


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
        grads = _pull(out, _ones(out), inputs)
        value = _leave(out, inputs)
        return ((value, _leave_tree(aux, inputs)) if has_aux else value), _gather(argnums, inputs, grads)

    return with_gradient


def _leave(t: Tensor, inputs: list[_Argument]) -> Any:
    """A value computed from the fresh arguments, for the outside: still connected where an outer tape is."""
    outer = any(leaf.node.parents for i in inputs for leaf in i.leaves) or _reaches_out(t, inputs)
    raw = all(r for i in inputs for r in i.raw)
    return t if outer else _give(t.detach(), raw)


def _reaches_out(t: Tensor, inputs: list[_Argument]) -> bool:
    own = {leaf.node for i in inputs for leaf in i.leaves}
    stack, seen = [t.node], set()
    while stack:
        n = stack.pop()
        if n is None or n in seen or n in own:
            continue
        seen.add(n)
        if type(n) is Leaf:
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
        return _gather(argnums, inputs, _pull(out, _ones(out), inputs))

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
        if len(given) != len(outs):
            raise ShapeError(
                message("vjp", f"a cotangent of the form {spec} was expected.", received=str(given_spec))
            )
        roots, gs = [], []
        for x, g in zip(outs, given, strict=True):
            g = _match("vjp", _as_tensor(g), x, "cotangent")
            if x.node is not None:
                roots.append(x.node)
                gs.append(g)
        grads = pull(roots, gs, targets) if roots else [None] * len(targets)
        return _gather(range(len(primals)), inputs, grads)

    return spec.unflatten([_leave(x, inputs) for x in outs]), vjp_fn


def _match(where: str, g: Tensor, x: Tensor, what: str) -> Tensor:
    if g.shape != x.shape:
        raise ShapeError(
            message(where, f"a {what} has its value's shape.", received=f"{what} {g.shape}, value {x.shape}")
        )
    return g if g.dtype == x.dtype else graph.astype(g, x.dtype)


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
    return spec.unflatten([_leave(x, inputs) for x in outs]), spec.unflatten([_give(t, raw) for t in moved])


def _push(outs: list[Tensor], inputs: list[_Argument], tangents: Sequence[Tree]) -> list[Tensor]:
    sources, ts = [], []
    for argument, tangent in zip(inputs, tangents, strict=True):
        given, _ = tree.flatten(tangent)
        if len(given) != len(argument.leaves):
            raise ShapeError(
                message("jvp", "a tangent has its primal's form.", received=f"{len(given)} leaves")
            )
        for leaf, t in zip(argument.leaves, given, strict=True):
            sources.append(leaf.node)
            ts.append(_match("jvp", _as_tensor(t), leaf, "tangent"))
    return _or_zeros(push([o.node for o in outs], sources, ts), outs)


# ------------------------------------------------------------------ whole matrices
def jacobian(
    f: Callable, argnums: int | Sequence[int] = 0, mode: Literal["rev", "fwd"] | None = None
) -> Callable:
    """All first derivatives: an array of shape `output.shape + input.shape`.

    mode: "rev" walks once per output element, "fwd" once per input element; None takes the fewer.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.jacobian(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in (None, "rev", "fwd"):
        raise ValueError(message("jacobian", 'mode must be "rev" or "fwd".', received=repr(mode)))

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        out, inputs = _record("jacobian", f, argnums, args, kwargs)
        out = _as_tensor(out)
        leaves = [leaf for i in inputs for leaf in i.leaves]
        fewer = "fwd" if sum(leaf.size for leaf in leaves) < out.size else "rev"
        build = _columns if (mode or fewer) == "fwd" else _rows
        rest = iter(build(out, leaves))
        trees = tuple([i.build([next(rest) for _ in i.leaves]) for i in inputs])
        return trees[0] if isinstance(argnums, int) else trees

    return matrix


def _basis(t: Tensor) -> Any:
    lib = backend.of(t.data)
    for k in range(t.size):
        e = lib.zeros(t.size, t.dtype)
        e[k] = 1
        yield wrap(e.reshape(t.shape))


def _rows(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    rows: list[list[Tensor]] = [[] for _ in leaves]
    if out.node is not None:
        for e in _basis(out):
            grads = pull([out.node], [e], [leaf.node for leaf in leaves])
            for column, g in zip(rows, _or_zeros(grads, leaves), strict=True):
                column.append(g)
    return [
        graph.reshape(graph.stack(r), out.shape + leaf.shape) if r else _blank(out.shape + leaf.shape, leaf)
        for r, leaf in zip(rows, leaves, strict=True)
    ]


def _columns(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    blocks = []
    for leaf in leaves:
        if out.node is None or not leaf.size:
            blocks.append(_blank(out.shape + leaf.shape, out))
            continue
        columns = [_or_zeros(push([out.node], [leaf.node], [e]), [out])[0] for e in _basis(leaf)]
        blocks.append(graph.reshape(graph.stack(columns, axis=-1), out.shape + leaf.shape))
    return blocks


def _blank(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return wrap(backend.of(like.data).zeros(shape, like.dtype))


def hessian(f: Callable, argnums: int = 0) -> Callable:
    """All second derivatives of a scalar function: shape `input.shape + input.shape`. Forward over reverse.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.hessian(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="fwd")


def hvp(f: Callable, primals: Sequence[Tree], tangents: Sequence[Tree]) -> Tree:
    """The Hessian of a scalar function times a vector, by forward over reverse: about the cost of two
    gradients.

    One primal gives the bare product, several a tuple with one product each.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.hvp(lambda x: (x ** 3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    argnums: Any = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(f, argnums), primals, tangents)[1]


# ------------------------------------------------------------------ cutting the graph
def stop_gradient(x: Tree) -> Tree:
    """The same values as constants: no gradient flows through.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(lambda x: x * bp.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, spec = tree.flatten(x)
    return spec.unflatten([leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves])


__all__ = [
    "elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp",
]  # fmt: skip
