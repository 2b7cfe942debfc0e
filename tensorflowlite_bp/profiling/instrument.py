"""Timed functions in the place of the plain ones, while somebody profiles; nothing else ever pays for it.

What is replaced: the forward and the rules of every op (slots of `Op`), the walks of the graph, and the
look-up of backends, so that what they do outside ops (comparisons, optimiser steps, undone broadcasting) is
seen as well. The last profile to leave puts everything back.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import backend
from ..autograd import engine, forward
from ..autograd.op import OPS, Dispatch, Op
from ..backend.native import native
from . import costs

_PACKAGE = __name__.partition(".")[0]
_KEEPS_PLAIN = (f"{_PACKAGE}.autograd.op", __name__)  # a Dispatch remembers what it finds
now = time.perf_counter_ns


class Event:
    """One call. Times in ns; `own`: without the calls inside it. where: (file, line, function) of the caller
    outside this package.
    """

    __slots__ = (
        "bytes",
        "children",
        "end",
        "flops",
        "inner",
        "itemsize",
        "live",
        "name",
        "on_host",
        "outputs",
        "phase",
        "segment",
        "shapes",
        "start",
        "thread",
        "where",
    )

    def __init__(self, name: str, phase: str) -> None:
        self.name = name
        self.phase = phase
        self.children = 0  # ns
        self.inner = 0  # calls inside that carry their own bytes and operations
        self.bytes = self.flops = self.end = 0
        self.itemsize, self.on_host = 4, True
        self.outputs: list[Any] = []
        self.shapes: list[str] = []
        self.live = self.segment = 0  # bytes at the end, and the most while it ran
        self.where: tuple[str, int, str] | None = None
        self.thread = threading.get_ident()
        self.start = 0

    @property
    def own(self) -> int:
        return self.end - self.start - self.children


class _Stack(threading.local):
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.walk: str | None = None  # "backward" or "tangent" within a walk of the graph


_stack = _Stack()
_lock = threading.RLock()
_profiles: list[Any] = []
_restore: list[Callable[[], None]] = []


# ------------------------------------------------------------------ events
def _begin(name: str, phase: str, wait: bool) -> Event:
    event = Event(name, phase)
    if native is not None:
        before = native.reset_peak()
        for p in _profiles:
            p.between(before, _stack.events)
    if wait:
        _synchronize()
    _stack.events.append(event)
    event.start = now()
    return event


def _end(
    event: Event, inputs: list[Any], outputs: list[Any], flops: int, moved: int | None, wait: bool
) -> None:
    if wait:
        _synchronize()
    event.end = now()
    events = _stack.events
    events.pop()
    if native is not None:
        event.live, event.segment = native.live_bytes(), native.reset_peak()
    event.outputs = outputs
    if not event.inner:
        event.bytes = costs.moved(inputs, outputs) if moved is None else moved
        event.flops = flops if event.bytes else 0  # a view, or a cotangent that is handed on
        found = inputs + outputs
        event.itemsize, event.on_host = costs.itemsize(found), costs.on_host(found)
    event.shapes = [f"{a.dtype}{list(a.shape)}" for a in inputs]
    event.where = user_line()
    if events:
        events[-1].children += event.end - event.start
        events[-1].inner += 1
    for p in _profiles:
        p.take(event)
    event.outputs = []  # not kept alive


def _drop() -> None:
    """An operation raised: it is as if it had not been called."""
    _stack.events.pop()


def _synchronize() -> None:
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        cupy.cuda.get_current_stream().synchronize()


_inside: dict[str, bool] = {}


def user_line() -> tuple[str, int, str] | None:
    """The innermost frame outside this package: (file, line, function)."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        inside = _inside.get(file)
        if inside is None:
            inside = frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE
            _inside[file] = inside = inside and f"{_PACKAGE}/examples" not in file
        if not inside:
            return file, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _waits() -> bool:
    return any(p.sync for p in _profiles)


# ------------------------------------------------------------------ what takes the place
def _phase(kind: str) -> str:
    walk = _stack.walk
    if kind == "rule":
        return walk or "backward"
    return "forward" if walk is None else f"in {walk}"


def _timed_forward(op: Op, function: Callable) -> Callable:
    def timed(*args: Any, **params: Any) -> Any:
        if not _profiles:  # kept by somebody beyond the profile's end
            return function(*args, **params)
        wait = _waits()
        event = _begin(op.name, _phase("op"), wait)
        try:
            out = function(*args, **params)
        except BaseException:
            _drop()
            raise
        outputs = costs.arrays([out[0] if op.aux else out])
        flops = _quietly(costs.forward_flops, op, args, params, out)
        _end(event, costs.arrays([*args, *params.values()]), outputs, flops, None, wait)
        return out

    return timed


class _TimedDispatch(Dispatch):
    """The forward of an op for each array class, timed."""

    __slots__ = ("op", "plain")

    def __init__(self, op: Op) -> None:
        super().__init__(op.name, op.forward.find, op.forward.stacks)
        self.op, self.plain = op, op.forward

    def __missing__(self, cls: type) -> Callable:
        self[cls] = made = _timed_forward(self.op, self.plain[cls])
        return made


def _timed_rule(op: Op, k: int, rule: Callable) -> Callable:
    def timed_vjp(F: Any, g: Any, out: Any, *args: Any, **params: Any) -> Any:
        if not _profiles:
            return rule(F, g, out, *args, **params)
        wait = _waits()
        event = _begin(op.name, _phase("rule"), wait)
        try:
            i = rule(F, g, out, *args, **params)
        except BaseException:
            _drop()
            raise
        read = costs.arrays([g, *costs.read_by_rule(op, k, out, args)])
        flops = 0 if event.inner else _quietly(costs.rule_flops, op, k, g, args, params, i)
        _end(event, read, costs.arrays([i]), flops, None, wait)
        return i

    return timed_vjp


def _timed_rules(op: Op, rules: Callable) -> Callable:
    def timed_vjp_all(F: Any, g: Any, out: Any, needs: tuple[bool, ...], *args: Any, **params: Any) -> Any:
        if not _profiles:
            return rules(F, g, out, needs, *args, **params)
        wait = _waits()
        event = _begin(op.name, _phase("rule"), wait)
        try:
            pulled = rules(F, g, out, needs, *args, **params)
        except BaseException:
            _drop()
            raise
        g = getattr(g, "items", g)  # of several results
        read = costs.arrays([g, *costs.read_by_rules(op, out, args)])
        flops = 0 if event.inner else _quietly(costs.rules_flops, op, needs, g, args, params)
        _end(event, read, costs.arrays(pulled), flops, None, wait)
        return pulled

    return timed_vjp_all


def _quietly(count: Callable, *args: Any) -> int:
    """Arguments that are shapes only, or samples of vmap, cannot be counted."""
    try:
        return count(*args)
    except (AttributeError, IndexError, KeyError, TypeError):
        return 0


def _timed_walk(walk: Callable, phase: str) -> Callable:
    """A walk of the graph: what its own time is spent on is adding cotangents up, and the walk."""

    def timed_walk(*args: Any, **kwargs: Any) -> Any:
        if not _profiles:
            return walk(*args, **kwargs)
        before, _stack.walk = _stack.walk, phase
        event = _begin("graph walk", phase, False)
        try:
            found = walk(*args, **kwargs)
        except BaseException:
            _drop()
            raise
        finally:
            _stack.walk = before
        event.inner += 1  # nothing of its own
        _end(event, [], [], 0, None, False)
        return found

    return timed_walk


class _TimedLibrary:
    """A backend whose functions are timed where no op is at work: inside one they are part of it."""

    def __init__(self, library: Any) -> None:
        self.__dict__["_library"] = library

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._library, name)
        if callable(found) and not isinstance(found, type) and name not in _UNTIMED:
            found = _timed_function(name, found)
        self.__dict__[name] = found
        return found


_UNTIMED = frozenset("device result_type each or_looped rule_looped by_sample".split())


def _timed_function(name: str, function: Callable) -> Callable:
    def timed(*args: Any, **params: Any) -> Any:
        events = _stack.events
        if not _profiles or (events and events[-1].name != "graph walk"):
            return function(*args, **params)
        wait = _waits()
        phase = "update" if name in costs.IN_PLACE or name == "sum_of_squares" else _stack.walk or "forward"
        event = _begin(name, phase, wait)
        try:
            out = function(*args, **params)
        except BaseException:
            _drop()
            raise
        count = costs.IN_PLACE.get(name)
        moved = None if count is None else count(args)
        _end(event, costs.arrays([*args, *params.values()]), costs.arrays([out]), 0, moved, wait)
        return out

    return timed


class _TimedByType(dict[type, Any]):
    def __init__(self, plain: dict[type, Any]) -> None:
        super().__init__()
        self.plain = plain

    def __missing__(self, cls: type) -> Any:
        self[cls] = found = _TimedLibrary(self.plain[cls])
        return found


# ------------------------------------------------------------------ putting in, and back
def _instrument(op: Op) -> None:
    before = op.forward, op.vjp, op.vjp_all, op.v0, op.v1, op.checked
    op.forward = _TimedDispatch(op)
    op.vjp = tuple([_timed_rule(op, k, rule) for k, rule in enumerate(op.vjp)])
    op.v0 = op.vjp[0] if op.vjp else None
    op.v1 = op.vjp[1] if len(op.vjp) > 1 else None
    if op.vjp_all is not None:
        op.vjp_all = _timed_rules(op, op.vjp_all)

    def back() -> None:  # with `checked`: TFLBP_DEBUG then puts its checks around the plain rules anew
        op.forward, op.vjp, op.vjp_all, op.v0, op.v1, op.checked = before

    _restore.append(back)


def _swap(old: Any, new: Any) -> None:
    """The same object under whatever name, in all modules of this package that hold it."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name.partition(".")[0] == _PACKAGE and name not in _KEEPS_PLAIN:
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def _replace(old: Any, new: Any) -> None:
    _restore.append(lambda: _swap(new, old))
    _swap(old, new)


_peaks: list[int] = []  # what profiles saw, for the allocator's own peak


def start(profile: Any) -> None:
    """Have every event told to this profile; the first one puts the timed functions in."""
    with _lock:
        if not _profiles:
            try:
                _put_in()
            except BaseException:
                _put_back()
                raise
        _profiles.append(profile)


def _put_in() -> None:
    for op in list(OPS.values()):
        _instrument(op)
    plain = Op.__init__

    def timed_init(self: Op, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if OPS.get(self.name) is self:
            _instrument(self)

    Op.__init__ = timed_init  # type: ignore[method-assign]
    _restore.append(lambda: setattr(Op, "__init__", plain))
    _replace(backend.by_type, _TimedByType(backend.by_type))
    _replace(engine._run_raw, _timed_walk(engine._run_raw, "backward"))
    _replace(engine.pull, _timed_walk(engine.pull, "backward"))
    _replace(forward.push, _timed_walk(forward.push, "tangent"))
    if native is not None:
        _peaks.append(native.reset_peak())


def _put_back() -> None:
    while _restore:
        _restore.pop()()
    if native is not None and _peaks:
        native.reset_peak(max(_peaks))
    _peaks.clear()


def stop(profile: Any) -> None:
    """No more events for this profile; the last one puts the plain functions back."""
    with _lock:
        if native is not None:
            profile.between(native.reset_peak(), _stack.events)
            _peaks.append(profile.most_bytes)
        _profiles.remove(profile)
        if not _profiles:
            _put_back()
