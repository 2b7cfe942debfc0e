"""The progress bar as Keras users know it: `32/32 ━━━━━━━━━━━━━━━━━━━━ 0s 3ms/step - accuracy: 0.50 - loss:
0.69`.
"""

import sys
import time

BOLD, GREEN, GREY, END = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """Writes progress to standard output: a moving bar on a terminal, one plain line at the end anywhere
    else.

    target: how many steps, None if unknown. width: of the bar, in characters. verbose: 0 silent, 1 bar,
    2 one line at the end. interval: seconds between two drawings. stateful_metrics: names shown as they are;
    all others are averaged over the steps, unless `stateful_metrics=True`, which shows all as they are.

    >>> bar = Progbar(3, verbose=2)
    >>> for step in range(3):
    ...     bar.update(step + 1, [("loss", 0.5)])  # doctest: +ELLIPSIS
    3/3 - 0s - ... - loss: 0.5000
    """

    def __init__(
        self, target, width=20, verbose=1, interval=0.05, stateful_metrics=None, unit_name="step", stream=None
    ):
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful = stateful_metrics if stateful_metrics is True else frozenset(stateful_metrics or ())
        self.stream = stream if stream is not None else sys.stdout
        self.moving = verbose == 1 and is_interactive(self.stream)
        self._seen = 0
        self._sums = {}
        self._start = time.perf_counter()
        self._after_first = None
        self._next_draw = 0.0
        self._drawn = 0

    def due(self, current: int) -> bool:
        """Whether `update(current)` would draw now. Costs 0.1 us, so that a loop can ask at every step."""
        if current == 1:
            self._after_first = time.perf_counter()
        return self.moving and time.perf_counter() >= self._next_draw

    def update(self, current, values=None, finalize=None):
        """Show step `current` of `target` with `values`, a list of (name, value)."""
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        self._collect(current, values or ())
        now = time.perf_counter()
        if current == 1 and self._after_first is None:
            self._after_first = now
        if self.verbose == 0 or not (finalize or (self.moving and now >= self._next_draw)):
            return
        text = self._bar(current) if self.verbose == 1 else self._count(current)
        text += self._time(current, now, finalize) + self._values()
        plain = _visible_length(text)
        if self.moving:
            text = "\r" + text + " " * (self._drawn - plain)
        elif self.verbose == 1:
            text = _strip(text)
        self.stream.write(text + ("\n" if finalize else ""))
        self.stream.flush()
        self._drawn = plain
        self._next_draw = now + self.interval

    def add(self, n, values=None):
        """Go forward by `n` steps."""
        self.update(self._seen + n, values)

    def _collect(self, current, values):
        steps = max(current - self._seen, 1)
        for name, value in values:
            value = float(value)
            if self.stateful is True or name in self.stateful:
                self._sums[name] = (value, 1)
            else:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + value * steps, count + steps)
        self._seen = current

    def _count(self, current):
        if not self.target:
            return f"{current}/Unknown"
        return f"{current:>{len(str(self.target))}}/{self.target}"

    def _bar(self, current):
        count = f"{BOLD}{self._count(current)}{END} "
        if not self.target:
            return count.rstrip()
        done = min(self.width, int(self.width * current / self.target))
        bar = f"{GREEN}{'━' * done}{END}" if done else ""
        return count + bar + (f"{GREY}{'━' * (self.width - done)}{END}" if done < self.width else "")

    def _time(self, current, now, finalize):
        """Time left while it runs, time taken at the end; and the time per step (the first not counted)."""
        if self._after_first is not None and current > 1:
            per_step = (now - self._after_first) / (current - 1)
        else:
            per_step = (now - self._start) / max(current, 1)
        if finalize or not self.target:
            shown = f"{now - self._start:.0f}s"
        else:
            shown = _duration(per_step * (self.target - current))
        separator = " - " if self.verbose == 2 else " "
        shown = shown if self.verbose == 2 else f"{BOLD}{shown}{END}"
        return f"{separator}{shown}{separator}{_per(per_step)}/{self.unit_name}"

    def _values(self):
        shown = ""
        for name, (total, count) in self._sums.items():
            value = total / max(count, 1)
            shown += f" - {name}: " + (f"{value:.4e}" if abs(value) <= 1e-3 else f"{value:.4f}")
        return shown


def is_interactive(stream) -> bool:
    """Whether `stream` shows carriage returns as such: a terminal, or a notebook."""
    return bool(getattr(stream, "isatty", lambda: False)()) or "ipykernel" in sys.modules


def _duration(seconds):
    if seconds > 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    if seconds > 60:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    return f"{int(seconds)}s"


def _per(seconds):
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _strip(text):
    for code in (BOLD, GREEN, GREY, END):
        text = text.replace(code, "")
    return text


def _visible_length(text):
    return len(_strip(text))
