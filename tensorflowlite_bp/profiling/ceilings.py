"""What this machine can do at most: multiply-adds, and moving memory. Kernels are held against it."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backend.native import native

_ROUNDS = 200_000  # of multiply-adds: about a millisecond
_INNER = 1 << 18  # bytes that stay in a core's second-level cache
CACHED = 1 << 24  # bytes of an operation that may come from a cache, and stay there


@dataclass(frozen=True)
class Ceilings:
    """Of one core: operations a second (None without the compiled kernels), and bytes a second, read and
    written.
    """

    float32: float | None
    float64: float | None
    memory: float  # copying arrays far larger than the caches
    cache: float  # copying within the second-level cache

    def least_seconds(self, flops: float, moved: float, itemsize: int, threads: int) -> float:
        """The least time for so much work. What may come from a cache is held against the fastest one.
        Threads add arithmetic and cache, but no way to memory: measured, 1.0 to 1.2 times on two cores.
        """
        peak = self.float64 if itemsize > 4 else self.float32
        computing = flops / (peak * threads) if peak else 0.0
        rate = self.cache * threads if moved <= CACHED else self.memory
        return max(computing, moved / rate)


def best(step: Callable[[], object], seconds: float) -> float:
    """The least processor time of one call."""
    step()
    found, end = [], time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def _peak(wide: bool, seconds: float) -> float | None:
    if native is None:
        return None
    run = native.multiply_adds
    flops = run(_ROUNDS, wide)
    return flops / best(lambda: run(_ROUNDS, wide), seconds) if flops else None


def _copies(size: int, seconds: float) -> float:
    x, y = np.ones(size, np.uint8), np.ones(size, np.uint8)
    many = max(1, (1 << 24) // size)

    def step() -> None:
        for _ in range(many):
            np.copyto(y, x)

    return 2 * size * many / best(step, seconds)


def measure(seconds: float) -> Ceilings:
    """Measure for about so long each; on a busy machine longer is better, for the best run counts."""
    return Ceilings(
        _peak(False, seconds), _peak(True, seconds), _copies(1 << 27, seconds), _copies(_INNER, seconds)
    )


@functools.cache
def ceilings() -> Ceilings:
    """This machine's, measured once per process: a third of a second.

    >>> from tensorflowlite_bp.profiling import ceilings
    >>> ceilings().memory > 0
    True
    """
    return measure(0.05)
