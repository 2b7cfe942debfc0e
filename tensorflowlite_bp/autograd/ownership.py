"""Who holds an array: sums of gradients go into memory that nobody else looks at.

CPython counts references exactly: the saved arrays of a graph, views and other Tensors hold one each. How
many the walk itself holds where it asks depends on the interpreter, so it is counted here, in code of the
same form.
"""

import sys
from typing import Any

import numpy as np

from .node import Leaf, Parts
from .placed import Placed
from .tensor import Tensor, unshared


def added(r: Any, i: Any) -> Any:
    """r + i; written into r where only the walk holds it: no rule, no saved array, no hook."""
    cls = type(r)
    if cls is not type(i) or sys.getrefcount(r) != SOLE_IN_WALK or cls is Parts or cls is Placed:
        return r + i
    if r.base is not None or r.dtype != i.dtype or r.shape != i.shape:
        return r + i
    r += i
    return r


def can_take(grad: Tensor, i: Any) -> bool:
    """Whether i can be added into the memory of a gradient, which nobody else looks at."""
    own = grad.data
    alike = type(own) is type(i) and own.dtype == i.dtype and own.shape == i.shape
    del own  # it would count as a holder
    return alike and grad.node is None and unshared(grad)


def _count_in_walk() -> int:
    grads = {0: np.empty(1)}
    r = grads.get(0)
    count = _holders(r)
    del r  # needed again after the count, as in the walk
    return count


def _holders(r: Any) -> int:
    return sys.getrefcount(r)


def _count_in_found() -> int:
    found = [(None, np.empty(1))]
    for _, i in found:
        return sys.getrefcount(i)
    return 0


def _count_of_grad() -> int:
    leaf = Leaf((), None)
    leaf.grad = Tensor(np.empty(1))
    before = leaf.grad
    count = sys.getrefcount(before)
    del before
    return count


SOLE_IN_WALK = _count_in_walk()  # for what only the dict of gradients holds, in `added`
SOLE_IN_FOUND = _count_in_found()  # for what only `found` holds, in `backward`
SOLE_GRAD = _count_of_grad()  # for a `.grad` that only its leaf holds, in `backward`
