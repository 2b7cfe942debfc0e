"""Whole matrices of derivatives: Jacobians, Hessians, and products with them."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from .. import backend
from .._typing import Tree
from ..backend.batched import Batched, Level
from ..errors import message
from . import tree
from .batching import active, cross, deepened, env_of, surrounded
from .by_sample import Opaque, by_sample
from .engine import pull, slice_of
from .forward import push
from .modes import recording
from .op import graph
from .tensor import Tensor, wrap
from .transforms import _as_tensor, _close, _ones, _record, grad, jvp


def jacobian(
    f: Callable,
    argnums: int | Sequence[int] = 0,
    mode: Literal["rev", "fwd"] | None = None,
    *,
    chunk_size: int | None = None,
) -> Callable:
    """All first derivatives: an array of shape `output.shape + input.shape`.

    mode: "rev" takes a row per output element, "fwd" a column per input element; None takes the fewer. All
    are computed in one batched walk, or in several of `chunk_size` rows (None: as many as fit into about
    64 MB per intermediate array). Where the tape shows that f works element by element, one row gives the
    whole diagonal. Trees: a result's tree, with the argument's tree at each of its leaves.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.jacobian(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in (None, "rev", "fwd"):
        raise ValueError(message("jacobian", 'mode must be "rev" or "fwd".', received=repr(mode)))
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(message("jacobian", "chunk_size must be positive.", received=repr(chunk_size)))

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        out, inputs = _record("jacobian", f, argnums, args, kwargs)
        found, spec = tree.flatten(out)
        outs = [_as_tensor(x) for x in found]
        leaves = [leaf for i in inputs for leaf in i.leaves]
        whole = _Whole(outs, leaves)
        fewer = "fwd" if sum(leaf.size for leaf in leaves) < sum(o.size for o in outs) else "rev"
        (whole.columns if (mode or fewer) == "fwd" else whole.rows)(chunk_size)
        _close(inputs)
        results = []
        for j in range(len(outs)):
            rest = iter(range(len(leaves)))
            trees = tuple([i.build([whole.blocks[j, next(rest)] for _ in i.leaves]) for i in inputs])
            results.append(trees[0] if isinstance(argnums, int) else trees)
        return spec.unflatten(results)

    return matrix


class _Whole:
    """The Jacobian of some results with respect to some leaves, block by block."""

    def __init__(self, outs: list[Tensor], leaves: list[Tensor]) -> None:
        self.outs, self.leaves = outs, leaves
        self.roots, self.targets = [o.node for o in outs], [leaf.node for leaf in leaves]
        self.blocks: dict[tuple[int, int], Tensor] = {}  # (result, leaf)
        order, _, outer = slice_of([r for r in self.roots if r is not None], self.targets)
        self.record = recording() and outer
        self.widest = max([math.prod(n.shape) for n in order if not _several(n)], default=1)
        for j, out in enumerate(outs):
            diagonal = [k for k, leaf in enumerate(leaves) if _elementwise(out.node, leaf)]
            if diagonal:
                targets = [self.targets[k] for k in diagonal]
                found = pull([out.node], [_ones(out)], targets, create_graph=self.record)
                self.blocks.update({(j, k): _diagonal(d, out) for k, d in zip(diagonal, found, strict=True)})

    def rows(self, chunk: int | None) -> None:
        """A row of the blocks for each element of the results: batched walks backwards."""
        for j, (out, root) in enumerate(zip(self.outs, self.roots, strict=True)):
            rest = [k for k in range(len(self.leaves)) if (j, k) not in self.blocks]
            targets = [self.targets[k] for k in rest]

            def walk(e: Tensor, root: Any = root, targets: list = targets) -> list[Any]:
                return pull([root], [e], targets, create_graph=self.record)

            parts = [_Block(out, self.leaves[k], self.leaves[k], 0, self.record) for k in rest]
            if rest and root is not None:
                self._fill(parts, walk, out, chunk)
            self.blocks.update({(j, k): part.tensor() for k, part in zip(rest, parts, strict=True)})

    def columns(self, chunk: int | None) -> None:
        """A column of the blocks for each element of the leaves: batched walks forwards."""
        for k, leaf in enumerate(self.leaves):
            rest = [j for j in range(len(self.outs)) if (j, k) not in self.blocks]
            roots = [self.roots[j] for j in rest]

            def walk(e: Tensor, k: int = k, roots: list = roots) -> list[Any]:
                return push(roots, self.targets, [e if i == k else None for i in range(len(self.leaves))])

            parts = [_Block(self.outs[j], leaf, self.outs[j], -1, self.record) for j in rest]
            if any(root is not None for root in roots):
                self._fill(parts, walk, leaf, chunk)
            self.blocks.update({(j, k): part.tensor() for j, part in zip(rest, parts, strict=True)})

    def _fill(self, parts: list["_Block"], walk: Callable, of: Tensor, chunk: int | None) -> None:
        """walk(e) for every basis tensor e of a shape, as many at a time as fit."""
        n, lib = of.size, backend.of(of.data)
        chunk = chunk or max(1, _BOUND // max(self.widest, 1))
        for start in range(0, n, chunk):
            stop = min(start + chunk, n)
            basis = lib.eye(stop - start, n, start, dtype=of.dtype).reshape((stop - start, *of.shape))
            level = Level(stop - start, "same")
            e = cross("enter", deepened(wrap(basis), active()), level)
            with surrounded([level]):
                found = by_sample(lambda e: [Opaque(None) if t is None else t for t in walk(e)], e)
                for part, t in zip(parts, found, strict=True):
                    if not isinstance(t, Opaque):
                        part.add(cross("leave", deepened(t, active()), level), slice(start, stop))


_BOUND = 1 << 23  # elements of one array: 64 MB in float64


def _several(n: Any) -> bool:
    """Whether a node has several results; its shape lists them."""
    return any(not isinstance(i, int) for i in n.shape)


class _Block:
    """One block, of rows (axis 0) or columns (axis -1) that come in chunks."""

    def __init__(self, out: Tensor, leaf: Tensor, like: Tensor, axis: int, record: bool) -> None:
        self.shape = out.shape + leaf.shape
        self.lines = (leaf.size, *out.shape) if axis else (out.size, *leaf.shape)
        self.like, self.axis = like, axis
        self.parts: list[Tensor] | None = [] if record or isinstance(like.data, Batched) else None
        self.whole: Any = None

    def add(self, t: Tensor, lines: slice) -> None:
        if self.parts is not None:
            self.parts.append(t)
            return
        if self.whole is None:  # filled chunk by chunk: a second copy of a large Jacobian would cost as much
            self.whole = backend.of(t.data).zeros(self.shape, t.dtype)
        if self.axis:
            self.whole.reshape((*self.lines[1:], self.lines[0]))[..., lines] = np.moveaxis(t.data, 0, -1)
        else:
            self.whole.reshape(self.lines)[lines] = t.data

    def tensor(self) -> Tensor:
        if self.whole is not None:
            return wrap(self.whole)
        if not self.parts:
            zero = backend.of(self.like.data).zeros(self.shape, self.like.dtype)
            return deepened(wrap(zero), env_of(self.like.data))
        whole = self.parts[0] if len(self.parts) == 1 else graph.concatenate(self.parts, axis=0)
        return graph.reshape(graph.moveaxis(whole, 0, -1) if self.axis else whole, self.shape)


# ------------------------------------------------------------------ diagonal blocks
def _elementwise(root: Any, leaf: Tensor) -> bool:
    """Whether every path from leaf to root goes through element-wise ops of the leaf's own shape alone."""
    if root is None or leaf.size < 2:
        return False
    order, needed, _ = slice_of([root], [leaf.node])
    return bool(order) and all(
        n is leaf.node
        or (
            n.op.elementwise
            and n.shape == leaf.shape
            and all(p.shape == n.shape for p in n.parents if p in needed)
        )
        for n in order
    )


def _diagonal(d: Tensor, out: Tensor) -> Tensor:
    places = backend.of(d.data).arange(d.size)
    square = graph.scatter_add(graph.reshape(d, (-1,)), (places, places), (d.size, d.size))
    return graph.reshape(square, out.shape + out.shape)


def hessian(f: Callable, argnums: int | Sequence[int] = 0, *, chunk_size: int | None = None) -> Callable:
    """All second derivatives of a scalar function: shape `input.shape + input.shape`. Forward over reverse.

    Trees and several arguments: the gradient's tree, with the argument's tree at each of its leaves.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.hessian(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="fwd", chunk_size=chunk_size)


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
