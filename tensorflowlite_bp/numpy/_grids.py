"""Grids, and arrays written in brackets: meshgrid, mgrid, ogrid, r_, c_."""

from typing import Any

import numpy as np

from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import shape as s
from ..ops.elementwise import copy as copied
from ._creation import _linspace, arange
from ._table import has_tensor, implements


@implements("meshgrid")
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(message("meshgrid", "indexing is 'xy' or 'ij'.", received=repr(indexing)))
    vectors = [lift(x) for x in xi]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(places) > 1:
        places[:2] = 1, 0
    out = [
        s.reshape(x, tuple([-1 if k == place else 1 for k in range(len(places))]))
        for x, place in zip(vectors, places, strict=True)
    ]
    if not sparse:
        out = s.broadcast_arrays(*out) if out else out
    return tuple([copied(x) for x in out]) if copy else tuple(out)


def _slice_has_tensor(key: Any) -> bool:
    if isinstance(key, slice):
        return any(isinstance(v, Tensor) for v in (key.start, key.stop, key.step))
    return any(map(_slice_has_tensor, key)) if isinstance(key, tuple) else has_tensor(key)


def _run(part: slice) -> Tensor:
    """start:stop:step; a step of 5j means 5 points, both ends among them."""
    start, step = 0 if part.start is None else part.start, 1 if part.step is None else part.step
    if isinstance(step, complex):
        return _linspace(start, part.stop, int(abs(step)))
    return lift(arange(start, part.stop, step))


class _Grid:
    """np.mgrid (dense) and np.ogrid (open), with Tensors in the slices recorded."""

    def __init__(self, theirs: Any, sparse: bool) -> None:
        self._theirs, self._sparse = theirs, sparse

    def __getitem__(self, key: Any) -> Any:
        if not _slice_has_tensor(key):
            return self._theirs[key]
        if isinstance(key, slice):
            return _run(key)
        out = _meshgrid(*agree_all([_run(k) for k in key]), sparse=self._sparse, indexing="ij")
        return out if self._sparse else s.stack(out)


class _Joiner:
    """np.r_ and np.c_, with Tensors among the parts recorded."""

    def __init__(self, theirs: Any, axis: int, ndmin: int, place: int) -> None:
        self._theirs, self._default = theirs, (axis, ndmin, place)

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        if not _slice_has_tensor(key):
            return self._theirs[key]
        parts, (axis, ndmin, place) = list(key if isinstance(key, tuple) else (key,)), self._default
        if isinstance(parts[0], str):
            words = parts.pop(0).split(",")
            if not all(w.strip().lstrip("-").isdigit() for w in words) or len(words) > 3:
                raise ValueError(
                    message("r_", "up to three numbers in the text were expected.", received=repr(key[0]))
                )
            axis, ndmin, place = [*map(int, words), *self._default[len(words) :]]
        return s.concatenate([_of_at_least(p, ndmin, place) for p in parts], axis)


def _of_at_least(part: Any, ndmin: int, place: int) -> Tensor:
    """A part with at least ndmin axes: its own start at axis `place`."""
    x = _run(part) if isinstance(part, slice) else lift(part)
    x = x if x.ndim or ndmin > 1 else s.reshape(x, (1,))
    missing = ndmin - x.ndim
    if missing <= 0:
        return x
    first = place + missing + 1 if place < 0 else min(place, missing)
    return s.reshape(x, (1,) * first + x.shape + (1,) * (missing - first))


mgrid, ogrid = _Grid(np.mgrid, sparse=False), _Grid(np.ogrid, sparse=True)
r_, c_ = _Joiner(np.r_, 0, 1, -1), _Joiner(np.c_, -1, 2, 0)
