"""Optimiser steps for all parameters in one launch; norms of all gradients. References: `backend/common.py`,
`optimizers/algorithms.py`.
"""

from collections.abc import Sequence
from typing import Any

from ..._typing import Array
from .geometry import ceil_div, type_name
from .host import Host

CHUNK = 16384  # as in optimizer.cuh
THREADS = 256
WORDS = 32  # that set_words takes


class Table:
    """The addresses of the arrays that a step is about, in device memory: parameters, gradients, states.

    All of one dtype. Written by kernels, 32 words each, so that nothing is copied from the host and all can
    be captured. It does not keep the arrays alive: a stream runs what was launched before memory is used
    again.
    """

    def __init__(
        self,
        host: Host,
        params: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[Sequence[Array]] = (),
    ) -> None:
        self.host = host
        self.states = len(states)
        self.type = type_name(params[0]) if params else "float"
        self.live = [i for i, p in enumerate(params) if p.size]
        columns = [self.addresses(column) for column in (params, grads, *states)]
        self.grads, self.rows, self.blocks = columns[1], len(self.live), 0
        words: list[int] = []
        for i, places in zip(self.live, zip(*columns, strict=True), strict=True):
            words += [*places, *[0] * (5 - len(places)), params[i].size, self.blocks, 0]
            self.blocks += ceil_div(params[i].size, CHUNK)
        self.device = host.empty((max(self.rows, 1), 8), host.xp.int64)
        self._write(words, 0, 1)

    def addresses(self, arrays: Sequence[Array]) -> list[int]:
        """Of those that have elements. Raises ValueError for one that is not contiguous."""
        for a in arrays:
            if not a.flags.c_contiguous:
                raise ValueError("[optimizer] parameters, gradients and states must be contiguous.")
        return [self.host.value(arrays[i]) for i in self.live]

    def point_at(self, grads: Sequence[Array]) -> None:
        """Gradients of the same sizes, which may lie elsewhere than the last ones."""
        found = self.addresses(grads)
        if found != self.grads:
            self._write(found, 1, 8)
            self.grads = found

    def _write(self, words: list[int], start: int, stride: int) -> None:
        for k in range(0, len(words), WORDS):
            part = words[k : k + WORDS]
            args = (self.device, start + k * stride, stride, len(part), *part, *[0] * (WORDS - len(part)))
            self.host.launch("set_words", 1, WORDS, args)


def begin(
    host: Host, hyper: Array, rate: float, step: float | Array, scale: float | Array, factor: float = 1.0
) -> None:
    """Write what changes from step to step into hyper, three doubles on the device: learning rate, number of
    this step (from 1), scale of the gradients. step and scale may be 0-d float64 arrays on the device; factor
    multiplies the latter.
    """
    known = isinstance(step, int | float), isinstance(scale, int | float)
    numbers = (float(rate), float(step) if known[0] else 0.0, float(scale) * factor if known[1] else factor)
    pointers = (None if known[0] else step, None if known[1] else scale)
    host.launch("begin_step", 1, 32, (hyper, *numbers, *pointers))


def _step(table: Table, name: str, numbers: tuple[Any, ...]) -> None:
    args = (table.device, table.rows, *numbers)
    table.host.launch(name, table.blocks, THREADS, args)


def sgd(table: Table, hyper: Array, *, momentum: float, nesterov: bool, weight_decay: float) -> None:
    """States: velocities, if there is momentum."""
    if table.states:
        numbers = (hyper, float(weight_decay), float(momentum), int(nesterov))
        _step(table, f"sgd_momentum<{table.type}>", numbers)
    else:
        _step(table, f"sgd<{table.type}>", (hyper, float(weight_decay)))


def adam(table: Table, hyper: Array, *, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    """States: means of g and of its square, and for AMSGrad the largest of the latter."""
    numbers = (hyper, float(weight_decay), float(beta1), float(beta2), float(eps))
    _step(table, f"adam<{table.type}, {'true' if table.states == 3 else 'false'}>", numbers)


def rmsprop(
    table: Table,
    hyper: Array,
    *,
    rho: float,
    momentum: float,
    eps: float,
    centered: bool,
    weight_decay: float,
) -> None:
    """States: mean of squares, then the momentum if there is one, then the mean gradient if centered."""
    numbers = (hyper, float(weight_decay), float(rho), float(momentum), float(eps))
    how = f"{'true' if momentum > 0 else 'false'}, {'true' if centered else 'false'}"
    _step(table, f"rmsprop<{table.type}, {how}>", numbers)


def lion(table: Table, hyper: Array, *, beta1: float, beta2: float, weight_decay: float) -> None:
    """State: the momentum."""
    _step(table, f"lion<{table.type}>", (hyper, float(weight_decay), float(beta1), float(beta2)))


def norm(
    table: Table, hyper: Array | None = None, *, global_clipnorm: float = 0.0, skip_non_finite: bool = False
) -> Array:
    """[sum of squares of all gradients, 1 if it is not finite], float64, on the device.

    With global_clipnorm, hyper's scale is lowered where the scaled norm is above it; with skip_non_finite it
    becomes 0 where the norm is not finite, and the step that reads it does nothing.
    """
    host = table.host
    part = host.empty((max(table.blocks, 1),), host.xp.float64)
    _step(table, f"squares<{table.type}>", (part,))
    out = host.empty((2,), host.xp.float64)
    args = (part, table.blocks, out, hyper, float(global_clipnorm or 0.0), int(skip_non_finite))
    host.launch("squares_total<double>", 1, 512, args)
    return out


def clip_scale(host: Host, total: Array, scale: float | Array, limit: float, infinite: float) -> Array:
    """As `cupy_steps.clip_scale`."""
    factor, known = host.empty((), host.xp.float64), isinstance(scale, int | float)
    numbers = (float(scale) if known else 0.0, None if known else scale, float(limit), float(infinite))
    host.launch("clip_scale", 1, 32, (total, factor, *numbers))
    return factor


def scale_step(host: Host, total: Array, *state_and_rule: Any) -> Array:
    """1 / scale, 0 where total is not finite; moves a loss scale. The rest as `cupy_steps.scale_step`."""
    factor = host.empty((), host.xp.float64)
    *state, growth, backoff, interval, largest = state_and_rule
    numbers = (float(growth), float(backoff), float(interval), float(largest))
    host.launch("scale_step", 1, 32, (total, *state, factor, *numbers))
    return factor


def next_step(host: Host, hyper: Array) -> None:
    """Counts one more step on the device, unless the last one was skipped."""
    host.launch("next_step", 1, 32, (hyper,))
