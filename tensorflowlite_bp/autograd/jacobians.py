"""Whole matrices of derivatives: Jacobians, Hessians, and products with them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from .. import backend
from .._typing import Tree
from ..errors import message
from . import tree
from .engine import pull
from .forward import push
from .op import graph
from .tensor import Tensor, wrap
from .transforms import _as_tensor, _or_zeros, _record, grad, jvp


def jacobian(
    f: Callable, argnums: int | Sequence[int] = 0, mode: Literal["rev", "fwd"] | None = None
) -> Callable:
    """All first derivatives: an array of shape `output.shape + input.shape`.

    mode: "rev" walks once per output element, "fwd" once per input element; None takes the fewer. Trees: a
    result's tree, with the argument's tree at each of its leaves.

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
        found, spec = tree.flatten(out)
        outs = [_as_tensor(x) for x in found]
        leaves = [leaf for i in inputs for leaf in i.leaves]
        fewer = "fwd" if sum(leaf.size for leaf in leaves) < sum(o.size for o in outs) else "rev"
        build = _columns if (mode or fewer) == "fwd" else _rows
        results = []
        for blocks in build(outs, leaves):
            rest = iter(blocks)
            trees = tuple([i.build([next(rest) for _ in i.leaves]) for i in inputs])
            results.append(trees[0] if isinstance(argnums, int) else trees)
        return spec.unflatten(results)

    return matrix


def _basis(t: Tensor) -> Any:
    lib = backend.of(t.data)
    for k in range(t.size):
        e = lib.zeros(t.size, t.dtype)
        e[k] = 1
        yield wrap(e.reshape(t.shape))


def _rows(outs: list[Tensor], leaves: list[Tensor]) -> list[list[Tensor]]:
    """Per result, per leaf: one walk backwards for each element of the results."""
    found = []
    targets = [leaf.node for leaf in leaves]
    for out in outs:
        rows: list[list[Tensor]] = [[] for _ in leaves]
        if out.node is not None:
            for e in _basis(out):
                for row, g in zip(rows, _or_zeros(pull([out.node], [e], targets), leaves), strict=True):
                    row.append(g)
        found.append([_joined(r, 0, out, leaf, leaf) for r, leaf in zip(rows, leaves, strict=True)])
    return found


def _columns(outs: list[Tensor], leaves: list[Tensor]) -> list[list[Tensor]]:
    """Per result, per leaf: one walk forwards for each element of the leaves."""
    found: list[list[Tensor]] = [[] for _ in outs]
    roots, sources = [out.node for out in outs], [leaf.node for leaf in leaves]
    for k, leaf in enumerate(leaves):
        columns: list[list[Tensor]] = [[] for _ in outs]
        if any(root is not None for root in roots):
            for e in _basis(leaf):
                tangents = [e if j == k else None for j in range(len(leaves))]
                for column, t in zip(columns, _or_zeros(push(roots, sources, tangents), outs), strict=True):
                    column.append(t)
        for blocks, column, out in zip(found, columns, outs, strict=True):
            blocks.append(_joined(column, -1, out, leaf, out))
    return found


def _joined(parts: list[Tensor], axis: int, out: Tensor, leaf: Tensor, like: Tensor) -> Tensor:
    shape = out.shape + leaf.shape
    if not parts:
        return wrap(backend.of(like.data).zeros(shape, like.dtype))
    return graph.reshape(graph.stack(parts, axis=axis), shape)


def hessian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """All second derivatives of a scalar function: shape `input.shape + input.shape`. Forward over reverse.

    Trees and several arguments: the gradient's tree, with the argument's tree at each of its leaves.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.hessian(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="fwd")


def hvp(f: Callable, primals: Sequence[Tree], tangents: Sequence[Tree]) -> Tree:
    """The Hessian of a scalar function times a vector, forward over reverse: about the cost of two gradients.

    One primal gives the bare product, several a tuple with one product each.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.hvp(lambda x: (x ** 3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    argnums: Any = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(f, argnums), primals, tangents)[1]


__all__ = ["hessian", "hvp", "jacobian"]
