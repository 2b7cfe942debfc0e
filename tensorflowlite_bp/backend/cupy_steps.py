"""Optimiser steps in CuPy's expressions: what runs where the kernels of `cuda/optimizers.py` do not take
the arrays.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._typing import Array
from . import common


def sgd_step(xp, params, grads, velocities, lr, momentum, nesterov, weight_decay, scale) -> None:
    with unless(xp, scale, params, velocities):
        common.sgd_step(xp, params, grads, velocities, lr, momentum, nesterov, weight_decay, scale)


def adam_step(
    xp, params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats=None
) -> None:
    with unless(xp, scale, params, ms, vs, vhats):
        common.adam_step(xp, params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats)


def rmsprop_step(xp, params, grads, squares, means, velocities, *how: Any) -> None:
    with unless(xp, how[-1], params, squares, means, velocities):
        common.rmsprop_step(xp, params, grads, squares, means, velocities, *how)


def lion_step(xp, params, grads, ms, *how: Any) -> None:
    with unless(xp, how[-1], params, ms):
        common.lion_step(xp, params, grads, ms, *how)


@contextlib.contextmanager
def unless(xp: Any, scale: Any, *written: list[Array] | None) -> Iterator[None]:
    """Arrays written inside are what they were before where scale, a 0-d array on the device, is 0: a step is
    skipped without waiting for the device.
    """
    if not hasattr(scale, "dtype"):
        yield
        return
    arrays = [a for column in written if column is not None for a in column]
    before = [a.copy() for a in arrays]
    yield
    skipped = scale == 0
    for a, old in zip(arrays, before, strict=True):
        xp.copyto(a, old, where=skipped)


def sum_of_squares(xp: Any, arrays: list[Array]) -> Array:
    """0-d, float64, on the device."""
    total: Any = xp.zeros((), np.float64)
    for a in arrays:
        wide = a.reshape(-1).astype(np.float64, copy=False)
        total = total + (wide * wide).sum()
    return total


def clip_scale(xp, total, scale, limit, infinite) -> Array:
    """scale, lowered so that sqrt(total) times it is at most limit; 0 stays, which skips the step. infinite:
    what a norm without bound counts as.
    """
    norm = xp.sqrt(total) * scale
    within = scale * limit / xp.where(xp.isinf(norm), infinite, norm)
    within = xp.where(norm <= limit, scale, within)
    return within if isinstance(scale, float) else xp.where(scale == 0, 0.0, within)


def scale_step(xp, total, scale, streak, updates, growth, backoff, interval, largest) -> Array:
    """1 / scale, or 0 where total is not finite; moves a dynamic loss scale and its counts, all 0-d."""
    finite = xp.isfinite(total)
    factor = xp.where(finite, 1.0 / scale, 0.0)
    longer, grown = streak + 1.0, scale * growth
    grows = finite & (longer >= interval)
    updates += finite
    streak[...] = xp.where(finite & ~grows, longer, 0.0)
    scale[...] = xp.where(finite, xp.where(grows & (grown <= largest), grown, scale), scale * backoff)
    return factor
