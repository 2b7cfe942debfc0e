"""Trees of arrays: dicts, lists, tuples, dataclasses and whatever is registered with optree.

optree is imported on first use: a bare array, the common case, needs no tree and no 20 ms import.
"""

import dataclasses
from typing import Any

from .._typing import Tree
from .tensor import Tensor

_NAMESPACE = "tensorflowlite_bp"
_PLAIN: tuple[type, ...] = (dict, list, tuple)


class LeafSpec:
    """The structure of a tree that is one leaf."""

    def unflatten(self, leaves: list[Any]) -> Any:
        return leaves[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeafSpec)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return "*"


_LEAF = LeafSpec()


def flatten(tree: Tree) -> tuple[list[Any], Any]:
    """Leaves and structure; `structure.unflatten(leaves)` gives the tree back."""
    if (
        isinstance(tree, Tensor)
        or (hasattr(tree, "dtype") and hasattr(tree, "shape"))
        or isinstance(tree, (int, float, complex))
    ):
        return [tree], _LEAF
    import optree

    leaves, spec = optree.tree_flatten(tree, namespace=_NAMESPACE)
    unknown = {type(leaf) for leaf in leaves if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)}
    if unknown:
        for cls in unknown:
            _register_dataclass(cls)
        return flatten(tree)
    return leaves, _Spec(spec)


def children(tree: Tree) -> list[Any] | None:
    """The parts of the outermost container, in the leaves' order; None for a leaf."""
    if isinstance(tree, (list, tuple)):
        return list(tree)
    if isinstance(tree, dict):
        return [tree[k] for k in sorted(tree)]
    flatten(tree)  # registers a dataclass
    import optree

    try:
        return list(optree.tree_flatten_one_level(tree, namespace=_NAMESPACE)[0])
    except ValueError:
        return None


class _Spec:
    __slots__ = ("spec",)

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    def unflatten(self, leaves: list[Any]) -> Any:
        return self.spec.unflatten(leaves)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Spec) and self.spec == other.spec

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return repr(self.spec)


def _register_dataclass(cls: type) -> None:
    import optree

    names = [f.name for f in dataclasses.fields(cls)]

    def take_apart(obj: Any) -> tuple[list[Any], Any]:
        return [getattr(obj, n) for n in names], None

    def put_together(_: Any, children: Any) -> Any:
        obj = object.__new__(cls)  # frozen and keyword-only classes alike
        for n, child in zip(names, children, strict=True):
            object.__setattr__(obj, n, child)
        return obj

    optree.register_pytree_node(cls, take_apart, put_together, namespace=_NAMESPACE)
