"""What to say when memory has run out: who holds it."""

import gc

from ..errors import OutOfMemory, message
from .tensor import Tensor

SHOWN = 5


def largest_tensors(count: int = SHOWN) -> list[Tensor]:
    """The live Tensors that hold most memory, the largest first; of several with one array, one."""
    held: dict[int, Tensor] = {}
    for found in gc.get_objects():
        # by type: isinstance would ask strangers for their __class__, and lazy modules answer with work
        if issubclass(type(found), Tensor) and hasattr(getattr(found, "data", None), "nbytes"):
            held.setdefault(id(found.data), found)
    return sorted(held.values(), key=lambda t: t.nbytes, reverse=True)[:count]


def out_of_memory(where: str, error: MemoryError) -> OutOfMemory:
    """The error to raise in place of a library's: it names the largest live tensors, and what helps.

    >>> from tensorflowlite_bp.autograd.memory import out_of_memory
    >>> print(str(out_of_memory("fit", MemoryError("no room"))).splitlines()[0])
    [fit] more memory was needed than there is (no room).
    """
    lines = [f"{t.nbytes / 2**20:,.1f} MiB, {t.dtype} {t.shape} on {t.device}" for t in largest_tensors()]
    return OutOfMemory(
        message(
            where,
            f"more memory was needed than there is ({str(error).rstrip('.')}).",
            received="the largest live tensors: " + "; ".join(lines) if lines else None,
            hint="a smaller batch_size, bp.checkpoint for long chains of layers, del of what is not needed.",
        )
    )
