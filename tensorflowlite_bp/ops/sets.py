"""The distinct elements of an array, by sorting. Every NaN is distinct from every other."""

from typing import Any, NamedTuple

from .. import backend
from ..autograd.op import helper
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


@helper
def unique_all(x: Any, /) -> UniqueAll:
    """The distinct values in order, where each first stands in the flattened x, where x's elements stand
    among them, and how often each occurs. A value's gradient goes to the element it was taken from.

    >>> import tensorflowlite_bp as bp
    >>> bp.unique_all(bp.asarray([3, 1, 3])).counts
    Tensor([1, 2])
    """
    x = lift(x)
    raw = x.data.reshape(-1)
    lib = backend.of(raw)
    order = lib.argsort_stable(raw)
    ordered = raw[order]
    new = lib.ones(raw.shape, bool)
    new[1:] = ordered[1:] != ordered[:-1]
    starts = new.nonzero()[0]
    ends = lib.concatenate([starts[1:], lib.asarray([raw.size])[: starts.size]])
    inverse = lib.empty_like(order)
    inverse[order] = lib.cumsum(new) - 1
    indices = order[starts]
    values = x.reshape(-1)[indices]
    return UniqueAll(values, wrap(indices), wrap(inverse.reshape(x.shape)), wrap(ends - starts))


@helper
def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct values in order, and how often each occurs.

    >>> import tensorflowlite_bp as bp
    >>> bp.unique_counts([3, 1, 3]).values
    Tensor([1, 3])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@helper
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct values in order, and where x's elements stand among them.

    >>> import tensorflowlite_bp as bp
    >>> bp.unique_inverse([3, 1, 3]).inverse_indices
    Tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@helper
def unique_values(x: Any, /) -> Tensor:
    """The distinct values in order.

    >>> import tensorflowlite_bp as bp
    >>> bp.unique_values([3, 1, 3])
    Tensor([1, 3])
    """
    return unique_all(x).values
