"""`with bp.profile() as p`: time, work and memory of every operation."""

import json
import linecache
import os
import threading
import weakref
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backend.native import native
from ..errors import message
from . import costs, instrument
from .ceilings import ceilings
from .memory import size

_TRACED = 200_000  # events a trace holds: 50 MB of JSON
_SORTS = ("time", "calls", "bytes", "flops", "name")
Place = tuple[str, int, str]  # file, line, function


@dataclass
class Row:
    """All calls of one operation in one phase.

    phase: "forward"; "backward" and "tangent" for its rules (or for functions of the array library) in a walk
    of the graph; "in backward" and "in tangent" for an operation run within one; "update" for an optimiser's
    step.
    """

    name: str
    phase: str
    calls: int = 0
    seconds: float = 0.0  # without operations inside it
    bytes: int = 0  # read and written
    flops: int = 0
    least_seconds: float = 0.0  # at this machine's limits; 0 where they are not known

    @property
    def of_limit(self) -> float | None:
        """least_seconds over seconds: 1 is what the machine can do at most."""
        return self.least_seconds / self.seconds if self.least_seconds and self.seconds else None


class profile:
    """Profile what runs inside: `with bp.profile() as p: ...`, then `print(p)`.

    sync: wait for the GPU before and after every operation. Without it the times of CuPy's operations are
    those that the host needs to launch them, for the device works on its own.

    All threads are seen. Profiles nest, and each sees what ran inside it. Each timed call takes longer by
    some 20 us, most of them outside the measured time; without a profile nothing is slower. Byte and
    operation counts are those of profiling/costs.py. Memory is what `bp.memory_stats` counts; with CuPy's
    arrays, or without that allocator, it is the results of operations. The lines that hold it are known for
    such results only.

    p.rows: list of Row. p.table(sort=, limit=): the table that print(p) shows. p.chrome_trace(path): a file
    for chrome://tracing or https://ui.perfetto.dev. p.seconds: how long it ran. p.most_bytes: the most
    memory. p.most_at: in what it was reached, and where. p.held_then: {(file, line, function): bytes} of what
    was alive then.

    >>> import tensorflowlite_bp as bp
    >>> with bp.profile() as p:
    ...     _ = bp.matmul(bp.ones((8, 8)), bp.ones((8, 8)))
    >>> [(r.name, r.phase, r.calls, r.flops, r.bytes) for r in p.rows if r.name == "matmul"]
    [('matmul', 'forward', 1, 1024, 1536)]
    """

    def __init__(self, *, sync: bool = False) -> None:
        self.sync = sync
        self.seconds = 0.0
        self.most_bytes = 0
        self.most_at: tuple[str, Place | None] = ("nothing", None)
        self._rows: dict[tuple[str, str], Row] = {}
        self._events: list[instrument.Event] = []
        self._left_out = 0
        self._log: list[tuple[int, int, Place | None, str]] = []  # (id, bytes; 0: freed, where, what)
        self._mark = 0  # of the log, when memory was highest
        self._tracked: dict[int, weakref.ref] = {}
        self._alive = 0  # bytes of results
        self._counted = native is not None and native.allocator_stats()["installed"]
        self._last: tuple[str, Place | None] = ("nothing", None)
        self._inside = 0.0  # seconds of operations in the thread that profiles
        self._lock = threading.Lock()
        self._start = self._end = 0

    def __enter__(self) -> "profile":
        if self._start:
            raise RuntimeError(
                message("profile", "a profile is used once.", hint="make another: with bp.profile() as p.")
            )
        self._ceilings = ceilings()
        self._threads = 1 if native is None else native.get_num_threads()
        self._thread = threading.get_ident()
        instrument.start(self)
        self._start = instrument.now()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end = instrument.now()
        instrument.stop(self)
        self.seconds = (self._end - self._start) / 1e9
        self._tracked.clear()

    # ------------------------------------------------------------------ what instrument.py tells
    def between(self, peak: int, events: list[Any]) -> None:
        """The most memory since the last event ended, or since the outer one began."""
        if self._counted and peak > self.most_bytes:
            outer = events[-1] if events else None
            what = "between operations" if outer is None else f"{outer.name}, {outer.phase}"
            self._most(peak, what, instrument.user_line())

    def _most(self, peak: int, what: str, where: Place | None) -> None:
        self.most_bytes, self.most_at, self._mark = peak, (what, where), len(self._log)

    def take(self, event: instrument.Event) -> None:
        if event.start < self._start:
            return  # it began before this profile
        own = event.own / 1e9
        with self._lock:
            row = self._rows.get((event.name, event.phase))
            if row is None:
                row = self._rows[event.name, event.phase] = Row(event.name, event.phase)
            row.calls += 1
            row.seconds += own
            row.bytes += event.bytes
            row.flops += event.flops
            if event.on_host and (event.bytes or event.flops):
                work = event.flops, event.bytes, event.itemsize, self._threads
                row.least_seconds += self._ceilings.least_seconds(*work)
            if event.thread == self._thread:
                self._inside += own
            for a in event.outputs:
                self._track(costs.owner(a), event)
            if not event.on_host and self._counted:  # what counts is then the device's memory
                self._counted, self.most_bytes = False, 0
            most = event.segment if self._counted else self._alive
            if most > self.most_bytes:
                self._most(most, f"{event.name}, {event.phase}", event.where)
            if len(self._events) < _TRACED:
                self._events.append(event)
            else:
                self._left_out += 1

    def _track(self, array: Any, event: instrument.Event) -> None:
        key = id(array)
        if key in self._tracked or not array.nbytes:
            return
        log, tracked = self._log, self._tracked

        def freed(_: Any, nbytes: int = array.nbytes) -> None:
            if tracked.pop(key, None) is not None:
                log.append((key, 0, None, ""))
                self._alive -= nbytes

        try:
            tracked[key] = weakref.ref(array, freed)
        except TypeError:  # a NumPy scalar
            return
        self._alive += array.nbytes
        log.append((key, array.nbytes, event.where, f"{event.name}, {event.phase}"))

    # ------------------------------------------------------------------ what it found
    @property
    def rows(self) -> list[Row]:
        """One Row per operation and phase, the slowest first."""
        return sorted(self._rows.values(), key=lambda r: -r.seconds)

    @property
    def held_then(self) -> dict[Place, int]:
        """{(file, line, function): bytes} of results alive when memory was highest, the largest first."""
        alive: dict[int, tuple[Place | None, int]] = {}
        for key, count, where, _ in self._log[: self._mark]:
            if count:
                alive[key] = where, count
            else:
                alive.pop(key, None)
        held: dict[Place, int] = defaultdict(int)
        for where, count in alive.values():
            held[where or ("unknown", 0, "")] += count
        return dict(sorted(held.items(), key=lambda kv: -kv[1]))

    def table(self, sort: str = "time", limit: int | None = 20) -> str:
        """The rows as text. sort: "time", "calls", "bytes", "flops", "name". limit: most rows; None: all."""
        if sort not in _SORTS:
            raise ValueError(
                message("profile", f"sort must be one of {', '.join(_SORTS)}.", received=repr(sort))
            )
        key = (lambda r: r.name) if sort == "name" else lambda r: -getattr(r, _FIELDS.get(sort, sort))
        rows = sorted(self.rows, key=key)
        total = max(self.seconds, 1e-12)
        lines = [_HEAD, *[_line(r, total) for r in rows[:limit]]]
        rest = rows[limit:] if limit is not None else []
        if rest:
            seconds = sum(r.seconds for r in rest)
            lines.append(_words(f"{len(rest)} more rows", sum(r.calls for r in rest), seconds, total))
        lines.append(_words("outside operations", None, max(self.seconds - self._inside, 0.0), total))
        lines.append(_words("total", sum(r.calls for r in rows), self.seconds, total))
        return "\n".join([*lines, "", *self._limits(), *self._memory()])

    __str__ = table

    def _limits(self) -> list[str]:
        c = self._ceilings
        peak = "" if c.float32 is None else f"{c.float32 * self._threads / 1e9:.0f} GFLOP/s in float32, "
        return [f"limits, {self._threads} threads: {peak}{c.memory / 1e9:.0f} GB/s of memory"]

    def _memory(self) -> list[str]:
        if not self.most_bytes:
            return []
        what, where = self.most_at
        lines = [f"memory: at most {size(self.most_bytes)}, reached in {what}, {_place(where)}"]
        held = self.held_then
        for where, count in list(held.items())[:5]:
            text = linecache.getline(where[0], where[1]).strip()
            lines.append(f"{size(count):>12}  {_place(where)}  {text[:60]}".rstrip())
        rest = self.most_bytes - sum(list(held.values())[:5])
        if held and rest > 0:
            lines.append(f"{size(rest):>12}  elsewhere: weights, data, other lines, and room in blocks")
        return lines

    def chrome_trace(self, path: str | Path) -> None:
        """Write a trace of the calls, as JSON, for chrome://tracing or https://ui.perfetto.dev.

        Calls nest as they ran; each has its shapes, bytes and operations, and the line that called it. A
        counter shows the memory. The first 200,000 calls are kept.
        """
        process = os.getpid()
        found: list[dict[str, Any]] = [_named(process, t) for t in {e.thread for e in self._events}]
        for e in sorted(self._events, key=lambda e: (e.start, -e.end)):
            start, end = (e.start - self._start) / 1e3, (e.end - self._start) / 1e3
            args = {
                "inputs": ", ".join(e.shapes),
                "bytes": e.bytes,
                "flops": e.flops,
                "line": _place(e.where),
            }
            found.append(
                {"name": e.name, "cat": e.phase, "ph": "X", "ts": start, "dur": end - start, "pid": process}
                | {"tid": e.thread, "args": args}
            )
            if native is not None:
                found.append(
                    {"name": "memory", "ph": "C", "ts": end, "pid": process, "args": {"live bytes": e.live}}
                )
        other = {"left out": self._left_out} if self._left_out else {}
        text = json.dumps({"traceEvents": found, "displayTimeUnit": "ms", "otherData": other})
        Path(path).write_text(text, encoding="utf-8")


def _named(process: int, thread: int) -> dict[str, Any]:
    names = {t.ident: t.name for t in threading.enumerate()}
    name = names.get(thread, f"thread {thread}")
    return {"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}


# ------------------------------------------------------------------ text
_FIELDS = {"time": "seconds"}
_HEAD = (
    f"{'operation':<30} {'phase':<11} {'calls':>8} {'time':>9} {'share':>6} {'each':>9} "
    f"{'GFLOP/s':>8} {'GB/s':>7} {'of limit':>8}"
)


def _line(r: Row, total: float) -> str:
    seconds = max(r.seconds, 1e-12)
    flops = f"{r.flops / seconds / 1e9:8.2f}" if r.flops else ""
    rate = f"{r.bytes / seconds / 1e9:7.2f}" if r.bytes else ""
    limit = "" if r.of_limit is None else f"{r.of_limit:8.2f}"
    start = f"{r.name[:30]:<30} {r.phase:<11} {r.calls:>8,} {_time(r.seconds):>9} {r.seconds / total:6.1%} "
    return f"{start}{_time(r.seconds / r.calls):>9} {flops:>8} {rate:>7} {limit:>8}".rstrip()


def _words(name: str, calls: int | None, seconds: float, total: float) -> str:
    count = "" if calls is None else f"{calls:,}"
    return f"{name:<30} {'':<11} {count:>8} {_time(seconds):>9} {seconds / total:6.1%}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds * 1e6:.1f} us"


def _place(where: Place | None) -> str:
    return "an unknown line" if where is None else f"{os.path.basename(where[0])}:{where[1]} in {where[2]}"
