"""The caching allocator's figures."""

from dataclasses import dataclass, field

from ..backend.native import native


@dataclass(frozen=True)
class SizeClass:
    """Blocks of one size: how many are kept, how many requests found one there (`hits`) and how many not."""

    bytes: int
    kept: int
    hits: int
    misses: int


@dataclass(frozen=True)
class MemoryStats:
    """What `bp.memory_stats()` gives; printing it makes a table."""

    installed: bool  # whether new arrays of this thread come from it
    live_bytes: int  # handed out now
    peak_bytes: int  # the most so far
    cached_bytes: int  # freed, and kept for the next request
    cap_bytes: int  # the most that is kept
    hits: int  # requests that a kept block served
    misses: int
    trims: int  # how often kept blocks were given back to the system
    classes: tuple[SizeClass, ...] = field(repr=False)  # those that were ever asked for

    def __str__(self) -> str:
        requests = self.hits + self.misses
        share = f"{100 * self.hits / requests:.1f} % of {requests:,}" if requests else "none"
        lines = [
            f"memory of arrays: {size(self.live_bytes)} live, {size(self.peak_bytes)} at most",
            f"kept for reuse: {size(self.cached_bytes)} of at most {size(self.cap_bytes)}, "
            f"given back {self.trims} times",
            f"requests served from it: {share}",
        ]
        if not self.installed:
            lines.append("not in use in this thread: new arrays come from NumPy's own allocator")
        if self.classes:
            lines += ["", f"{'block':>10}  {'kept':>8}  {'hits':>10}  {'misses':>8}"]
            for c in self.classes:
                lines.append(f"{size(c.bytes):>10}  {c.kept:>8,}  {c.hits:>10,}  {c.misses:>8,}")
        return "\n".join(lines)


def size(n: float) -> str:
    """Bytes for people.

    >>> size(3 << 19)
    '1.5 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(n) < 1024 or unit == "GiB":
            return f"{n:,.0f} {unit}" if unit == "B" else f"{n:,.1f} {unit}"
        n /= 1024
    raise AssertionError


def memory_stats(*, reset_peak: bool = False) -> MemoryStats:
    """The host memory of arrays, as the caching allocator counts it; all zero without the compiled kernels.

    It keeps freed blocks of 2 KiB and more, in four sizes per power of two, up to a cap (a quarter of the
    memory that this machine or container has, at most 4 GiB). Sizes that are no longer asked for give way to
    those that are; everything kept goes back to the system when a large request finds no memory, and with
    `bp.trim_memory()`. TFLBP_ALLOC=system switches it off. It serves the thread that imported this package;
    other threads have NumPy's allocator. Smaller arrays, and what others allocate, are not counted.

    reset_peak: start `peak_bytes` anew from what is live, after reading it. A GPU's memory: CuPy's
    `get_default_memory_pool()`.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> before = bp.memory_stats(reset_peak=True).live_bytes
    >>> x = np.ones(1 << 20)
    >>> bp.memory_stats().peak_bytes - before >= x.nbytes or not bp.memory_stats().installed
    True
    """
    if native is None:
        return MemoryStats(False, 0, 0, 0, 0, 0, 0, 0, ())
    found = dict(native.allocator_stats())
    classes = tuple([SizeClass(*c) for c in found.pop("classes")])
    if reset_peak:
        native.reset_peak()
    return MemoryStats(**found, classes=classes)  # type: ignore[arg-type]


def trim_memory() -> int:
    """Give all memory that is kept for reuse back to the system; gives its bytes. The next step is slower.

    >>> import tensorflowlite_bp as bp
    >>> _ = bp.trim_memory()
    >>> bp.memory_stats().cached_bytes
    0
    """
    return 0 if native is None else native.trim_allocator()
