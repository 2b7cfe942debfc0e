"""Constants that are overwritten after a graph saved them.

Writing a constant goes to its memory. Where that memory may be in a graph (others hold it), the write is
noted, and a later walk over a node that saved it before raises, instead of giving a wrong gradient.
"""

import weakref
from collections.abc import Iterator
from typing import Any

from ..errors import GradientError, message
from .node import Leaf, next_seq

overwritten: dict[
    int, tuple[Any, int]
] = {}  # id of a buffer's owner -> (weak reference, number of the write)


def _owner(array: Any) -> Any:
    while getattr(array, "base", None) is not None and hasattr(array.base, "__array_interface__"):
        array = array.base
    return array


def note_write(array: Any) -> None:
    """Remember an in-place write into memory that others hold: a graph may have saved it. The next backward
    looks.
    """
    owner = _owner(array)
    key = id(owner)
    try:
        overwritten[key] = (weakref.ref(owner, lambda _: overwritten.pop(key, None)), next_seq())
    except TypeError:  # memory that belongs to no array (a bytearray, a file): nothing to hang the note on
        return


def check_overwritten(order: list[Any]) -> None:
    for n in order:
        for x in _kept(n):
            note = overwritten.get(id(_owner(x))) if hasattr(x, "base") else None
            if note is not None and note[1] > n.seq:
                raise GradientError(
                    message(
                        n.op.name,
                        "an array saved for backward was overwritten in place.",
                        received=f"shape {x.shape}",
                        hint="write into a copy (x = x.copy() first), or call backward before the write.",
                    )
                )


def _kept(n: Any) -> Iterator[Any]:
    """The arrays that a node's rules will read: arguments, result, indices and masks among its parameters."""
    if isinstance(n, Leaf):
        return
    yield from n.saved
    yield n.out
    for value in n.params.values():
        if type(value) is tuple:
            yield from value
        else:
            yield value
