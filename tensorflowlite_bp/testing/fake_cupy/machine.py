"""The pretended machine: two devices, streams, and counts of what a real one would do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

DEVICES = 2


class CaptureError(RuntimeError):
    """A call that waits for the device, or copies, while the stream is being captured."""


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`: the pretended memory is full."""

    __module__ = "cupy.cuda.memory"


class Counts:
    """What was done since the machine was installed. `log` names the waits and copies, in order."""

    __slots__ = ("allocations", "bytes", "from_device", "launches", "log", "syncs", "to_device", "uploads")

    def __init__(self) -> None:
        self.syncs = self.to_device = self.from_device = self.allocations = self.bytes = self.launches = 0
        self.uploads = 0  # copies from pinned memory, which nobody waits for
        self.log: list[str] = []

    def snapshot(self) -> dict[str, int]:
        """The numbers, as they stand."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "log"}


class Machine:
    """The state that all arrays share."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.device = 0
        self.stream: Any = None
        self.library: Any = None  # the module `cupy`, once it is made
        self.kernels: set[str] = set()  # the names of those that ran since the last installation
        self.memory: int | None = None  # bytes that one allocation may take; None: no limit

    @property
    def capturing(self) -> bool:
        return self.stream is not None and self.stream.captured is not None

    def sync(self, what: str) -> None:
        if self.capturing:
            raise CaptureError(f"{what}: the current stream is capturing, nothing can wait for it")
        self.counts.syncs += 1
        self.counts.log.append(what)

    def from_device(self, what: str) -> None:
        self.sync(what)
        self.counts.from_device += 1

    def to_device(self, what: str) -> None:
        if self.capturing:
            raise CaptureError(f"{what}: copies from the host are not captured")
        self.counts.to_device += 1
        self.counts.log.append(what)

    def upload(self, stream: Any, copy: Any) -> None:
        """A copy on a stream: made when somebody waits for it, and not before."""
        self.counts.uploads += 1
        stream.pending.append(copy)

    def allocate(self, nbytes: int) -> None:
        if self.memory is not None and nbytes > self.memory:
            raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes (of {self.memory:,}).")
        self.counts.allocations += 1
        self.counts.bytes += nbytes

    def run(self, work: Callable[[], Any], *, counts: bool = True) -> Any:
        """What work gives, NumPy's numbers as arrays. While a stream captures, it is also kept, to be done
        again into the same arrays. counts: whether it is a launch.
        """
        found = work()
        if isinstance(found, np.generic):
            found = np.asarray(found)
        self.counts.launches += counts
        if self.capturing:
            self.stream.captured.nodes += counts
            self.stream.captured.work.append(lambda: _store(found, work()))
        return found

    def keep(self, a: Any) -> None:
        """Memory that a captured kernel may name by its address lives as long as the capture."""
        if self.capturing:
            self.stream.captured.memory.append(a)


def _store(old: Any, new: Any) -> None:
    if isinstance(old, np.ndarray):
        np.copyto(old, new)
    elif isinstance(old, (list, tuple)):
        for to, value in zip(old, new, strict=True):
            _store(to, value)


machine = Machine()


@contextmanager
def at_most(
    *, syncs: int = 0, to_device: int = 0, from_device: int = 0, allocations: int | None = None
) -> Iterator[Counts]:
    """Raises AssertionError, with the log, when the block does more of these than allowed."""
    counts = machine.counts
    before, start = counts.snapshot(), len(counts.log)
    yield counts
    limits = {"syncs": syncs, "to_device": to_device, "from_device": from_device, "allocations": allocations}
    for name, limit in limits.items():
        done = getattr(counts, name) - before[name]
        if limit is not None and done > limit:
            raise AssertionError(f"{done} {name}, at most {limit} were expected: {counts.log[start:][-8:]}")
