"""Cotangents of several slices of one tensor: written into one array, once all have arrived.

A rule that answered each with an array of the tensor's size would fill it with zeros, and add it, once per
slice: q, k and v out of one projection, the steps of a sequence, the pieces of a split.
"""

from typing import Any

from ..backend import by_type
from ..backend.batched import Batched
from ..backend.common import is_basic


class Placed:
    """The sum of `before` (an array or None) and of zeros with each part at its index."""

    __slots__ = ("before", "parts", "shape")

    def __init__(self, shape: tuple[int, ...], before: Any) -> None:
        self.shape = shape
        self.before = before
        self.parts: list[tuple[Any, Any]] = []  # (basic index, cotangent)

    def __add__(self, other: Any) -> Any:
        return self.made() + other

    def made(self) -> Any:
        """The array."""
        indices, gs = zip(*self.parts, strict=True)
        lib = by_type[type(gs[0])]
        given = gs if self.before is None else (self.before, *gs)
        if len(given) == 1 or any(i.dtype != gs[0].dtype for i in given):
            whole = [lib.scatter_add(g, index=i, shape=self.shape) for i, g in self.parts]
            return sum(whole[1:], whole[0] if self.before is None else self.before + whole[0])
        if self.before is None and _fill(self.shape, indices):
            out = lib.empty(self.shape, gs[0].dtype)
            for i, g in self.parts:
                out[i] = g
            return out
        out = lib.zeros(self.shape, gs[0].dtype) if self.before is None else self.before.copy()
        for i, g in self.parts:
            out[i] += g
        return out


def made(g: Any) -> Any:
    """A cotangent as an array."""
    return g.made() if type(g) is Placed else g


def place(grads: dict[Any, Any], node: Any, g: Any, freed: Any) -> bool:
    """Add the cotangent g of a slice, `node`, to its tensor's; False where g has to go by the rule.

    freed: the op of a node that is done with, or None where the node stays.
    """
    index = node.params["index"]
    if isinstance(g, Batched) or not is_basic(index):
        return False
    parent = node.parents[0]
    found = grads.get(parent)
    if type(found) is not Placed:
        if isinstance(found, Batched):
            return False
        found = grads[parent] = Placed(parent.shape, found)
    found.parts.append((index, g))
    if freed is not None:
        node.free(freed)
    return True


def _fill(shape: tuple[int, ...], indices: Any) -> bool:
    """Whether slices that differ along one axis at most fill an array of this shape, nothing twice."""
    boxes = [_box(shape, i) for i in indices]
    if None in boxes:
        return False
    axis = next((a for a in range(len(shape)) if boxes[0][a] != (0, shape[a])), 0)  # type: ignore[index]
    runs = sorted([b[axis] for b in boxes])  # type: ignore[index]
    if any(b[a] != (0, n) for b in boxes for a, n in enumerate(shape) if a != axis):  # type: ignore[index]
        return False
    ends = [0, *[stop for _, stop in runs]]
    return [start for start, _ in runs] == ends[:-1] and ends[-1] == shape[axis]


def _box(shape: tuple[int, ...], index: Any) -> list[tuple[int, int]] | None:
    """(first, last + 1) along each axis; None where elements are left out between."""
    parts = [i for i in (index if type(index) is tuple else (index,)) if i is not None]
    missing = [slice(None)] * (len(shape) - len(parts) + (Ellipsis in parts))
    at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts[at : at + 1] = missing
    box = []
    for n, i in zip(shape, parts, strict=True):
        if isinstance(i, slice):
            start, stop, step = i.indices(n)
            if step != 1:
                return None
            box.append((start, max(start, stop)))
        else:
            k = int(i) + n * (int(i) < 0)
            box.append((k, k + 1))
    return box
