"""What writes into a Tensor besides x[i] = v and x += v: ufunc.at, sort, partition, flat.

All of them follow the rules of inplace.py: a recording tensor moves to a new version.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..autograd import overwrites
from ..autograd.modes import recording
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..errors import message
from . import indexing, inplace
from .indexing import on_host, raw_index, scatter_add, setitem
from .shape import broadcast_to, ravel, reshape
from .ufuncs import FUNCTIONS, RECORDED


# ------------------------------------------------------------------ ufunc.at
def at(ufunc: Any, target: Any, index: Any, *operand: Any) -> None:
    """ufunc.at: target[index] = ufunc(target[index], operand); at a place named more than once, once for
    each time.
    """
    index = raw_index(index)
    values = [lift(v, target if isinstance(target, Tensor) else None) for v in operand]
    raw = [v.data for v in values]
    records = recording() and any(v.node is not None for v in values)
    if not isinstance(target, Tensor):
        if records:
            inplace.raise_plain(f"{ufunc.__name__}.at")
        overwrites.note_write(target)
        ufunc.at(target, index, *_spread(target, index, raw))
        return

    def write(data: Any) -> None:
        if type(data) is np.ndarray:
            ufunc.at(data, index, *_spread(data, index, raw))
        else:
            data[...] = result().data

    def result() -> Tensor:
        # NumPy's errors for dtypes that do not fit
        kinds = (target.dtype, *[v.dtype for v in values])
        ufunc.resolve_dtypes((*kinds, target.dtype), casting="same_kind")
        return _at(ufunc, target, index, *values)

    inplace.write(target, write, result, records)


def _spread(data: Any, index: Any, raw: list[Any]) -> list[Any]:
    """A value of the indices' full shape: NumPy 2.4 reads beyond a smaller one where axes are several."""
    if not raw or not raw[0].ndim:
        return raw
    return [np.broadcast_to(raw[0], data[index].shape)]


def _at(ufunc: Any, x: Tensor, index: Any, *operand: Tensor) -> Tensor:
    slots = np.asarray(np.arange(x.size).reshape(x.shape)[on_host(index)])
    values = [broadcast_to(v, slots.shape) for v in operand]
    if ufunc in (np.add, np.subtract):
        return FUNCTIONS[ufunc](x, scatter_add(values[0], index, x.shape))
    if ufunc not in RECORDED:  # a constant, but of one tensor with what is not written
        out = x.data.copy()
        ufunc.at(out, index, *[v.data for v in values])
        mask = np.zeros(x.shape, bool)
        mask.reshape(-1)[slots] = True
        return setitem(x, wrap(out[mask]), mask)
    slots = slots.reshape(-1)
    flat, values = ravel(x), [ravel(v) for v in values]
    for turn in _turns(slots):
        places = slots[turn]
        part = FUNCTIONS[ufunc](flat[places], *[v[turn] for v in values])
        flat = setitem(flat, part, places)
    return reshape(flat, x.shape)


def _turns(slots: np.ndarray) -> Iterator[np.ndarray]:
    """Positions in `slots`, so grouped that none names a place twice: first occurrences, second ones, ..."""
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: slots.size])
    lengths = np.diff(np.append(starts, slots.size))
    rank = np.arange(slots.size) - np.repeat(starts, lengths)
    for k in range(int(lengths.max(initial=0))):
        yield order[rank == k]


# ------------------------------------------------------------------ by place in the flattened array
class Flat:
    """The elements of a Tensor in C order, as ndarray.flat: to walk along, to read and to write by place.

    >>> import tensorflowlite_bp as bp
    >>> x = bp.zeros((2, 2))
    >>> x.flat[1:3] = 5.0
    >>> x
    Tensor([[0., 5.],
            [5., 0.]])
    """

    __slots__ = ("base", "index")

    def __init__(self, base: Tensor) -> None:
        self.base = base
        self.index = 0

    @property
    def coords(self) -> tuple[int, ...]:
        """Where the next element stands."""
        return tuple([int(i) for i in np.unravel_index(self.index, self.base.shape)])

    def __len__(self) -> int:
        return self.base.size

    def __iter__(self) -> "Flat":
        return self

    def __next__(self) -> Tensor:
        if self.index >= self.base.size:
            raise StopIteration
        self.index += 1
        return self[self.index - 1]

    def _places(self, key: Any) -> Any:
        return np.arange(self.base.size)[on_host(raw_index(key))]

    def __getitem__(self, key: Any) -> Tensor:
        return indexing.getitem(ravel(self.base), self._places(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        np.put(self.base, self._places(key), value)  # type: ignore[arg-type]

    def fill(self, values: Any) -> None:
        """Write all elements; `values` are repeated, or cut, to as many."""
        self[:] = values

    def copy(self) -> Tensor:
        """All elements, in memory of their own."""
        return self[:]


# ------------------------------------------------------------------ order
def fill(self: Tensor, value: Any) -> None:
    """All elements one value."""
    self[...] = value


def sort(
    self: Tensor, axis: int = -1, kind: str | None = None, order: Any = None, *, stable: bool | None = None
) -> None:
    """Sort in place along an axis. kind and stable change nothing: sorting here is stable."""
    _check_order("sort", order)
    axis = normalize_axis_index(axis, self.ndim)
    _rearrange(self, lambda data: data.sort(axis=axis, kind="stable"), lambda: indexing.sort(self, axis))


def partition(self: Tensor, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None) -> None:
    """Rearrange in place, so that what stands at `kth` stands there in sorted order: smaller ones before."""
    _check_order("partition", order)
    axis = normalize_axis_index(axis, self.ndim)

    _rearrange(
        self,
        lambda data: data.partition(kth, axis=axis, kind=kind),
        lambda: np.partition(self, kth, axis, kind),  # type: ignore[arg-type, return-value]
    )


def _rearrange(self: Tensor, in_memory: Callable[[Any], None], result: Callable[[], Tensor]) -> None:
    def write(data: Any) -> None:
        if type(data) is np.ndarray:
            in_memory(data)
        else:
            data[...] = result().data

    inplace.write(self, write, result, False)


def _check_order(name: str, order: Any) -> None:
    if order is not None:
        raise ValueError(message(name, "order= names fields; a Tensor has none.", received=repr(order)))
