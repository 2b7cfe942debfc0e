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


class Table:
    """The arrays that a step is about, in device memory: parameters, gradients and states, one dtype.

    Make it again when an array moves (`fits` tells); it costs one small copy to the device. Keeps its arrays
    alive.
    """

    def __init__(
        self,
        host: Host,
        params: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[Sequence[Array]] = (),
    ) -> None:
        lists = [params, grads, *states]
        self.host = host
        self.arrays = [list(column) for column in lists]
        self.addresses = self._addresses(lists)
        self.type = type_name(params[0]) if params else "float"
        self.rows, self.blocks = [], 0
        for p, *places in zip(params, *self.addresses, strict=True):
            if not p.size:
                continue
            self.rows.append([*places, *[0] * (5 - len(places)), p.size, self.blocks, 0])
            self.blocks += ceil_div(p.size, CHUNK)
        self.device = host.xp.asarray(self.rows or [[0] * 8], dtype=host.xp.int64)

    def _addresses(self, lists: Sequence[Sequence[Array]]) -> list[list[int]]:
        for column in lists:
            for a in column:
                if not a.flags.c_contiguous:
                    raise ValueError("[optimizer] parameters, gradients and states must be contiguous.")
        return [[self.host.value(a) for a in column] for column in lists]

    def fits(self, *lists: Sequence[Array]) -> bool:
        """Whether the table is about these arrays."""
        return self._addresses(lists) == self.addresses


def hyper(host: Host, rate: float, step: int, scale: float = 1.0) -> Array:
    """What changes from step to step, in device memory: learning rate, number of this step (from 1), scale of
    the gradients.
    """
    return host.xp.asarray([rate, step, scale], dtype=host.xp.float64)


def _step(table: Table, name: str, numbers: tuple[Any, ...]) -> None:
    args = (table.device, len(table.rows), *numbers)
    table.host.launch(name, table.blocks, THREADS, args)


def sgd(table: Table, hyper: Array, *, momentum: float, nesterov: bool, weight_decay: float) -> None:
    """States: velocities, if there is momentum."""
    if len(table.arrays) > 2:
        numbers = (hyper, float(weight_decay), float(momentum), int(nesterov))
        _step(table, f"sgd_momentum<{table.type}>", numbers)
    else:
        _step(table, f"sgd<{table.type}>", (hyper, float(weight_decay)))


def adam(table: Table, hyper: Array, *, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    """States: means of g and of its square, and for AMSGrad the largest of the latter."""
    numbers = (hyper, float(weight_decay), float(beta1), float(beta2), float(eps))
    _step(table, f"adam<{table.type}, {'true' if len(table.arrays) == 5 else 'false'}>", numbers)


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


def next_step(host: Host, hyper: Array) -> None:
    """Counts one more step on the device, unless the last one was skipped."""
    host.launch("next_step", 1, 32, (hyper,))
