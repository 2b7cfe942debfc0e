"""Connectionist temporal classification (Graves et al. 2006): the forward-backward algorithm, in logarithms.

A path says one of the label's characters or a blank at every step; the states are the label with a blank
before, between and after its characters. All samples and states advance together, step by step of time.
"""

from collections.abc import Callable
from typing import Any

from .._typing import Array
from . import common


def states(xp: Any, labels: Array, blank: int) -> tuple[Array, Array]:
    """(samples, 2 length + 1): the class of each state, and whether the one two before may lead to it."""
    samples, length = labels.shape
    ext = xp.full((samples, 2 * length + 1), blank, labels.dtype)
    ext[:, 1::2] = labels
    skip = xp.zeros(ext.shape, bool)
    skip[:, 2:] = (ext[:, 2:] != blank) & (ext[:, 2:] != ext[:, :-2])
    return ext, skip


def _later(xp: Any, a: Array, by: int) -> Array:
    """States moved up by one or two, -inf coming in."""
    out = xp.full(a.shape, -xp.inf, a.dtype)
    out[:, by:] = a[:, : a.shape[1] - by]
    return out


def _sooner(xp: Any, a: Array, by: int) -> Array:
    out = xp.full(a.shape, -xp.inf, a.dtype)
    out[:, : a.shape[1] - by] = a[:, by:]
    return out


def loss_and_grad(
    xp: Any, add_at: Callable, logits: Array, labels: Array, steps: Array, lengths: Array, blank: int
) -> tuple[Array, Array]:
    """-log p(label) per sample, and its gradient. logits (samples, time, classes); steps, lengths (samples).

    add_at: as np.add.at. A label that no path spells gives infinity, and gradient 0.
    """
    dtype = logits.dtype
    wide = logits.astype(xp.float32) if dtype.itemsize == 2 else logits
    samples, time, _ = wide.shape
    logp = common.log_softmax(xp, wide, -1)
    ext, skip = states(xp, labels, blank)
    at = xp.take_along_axis(logp, xp.broadcast_to(ext[:, None, :], (samples, time, ext.shape[1])), -1)
    no = wide.dtype.type(-xp.inf)
    place = xp.arange(ext.shape[1])[None, :]
    last = 2 * lengths[:, None]
    final = (place == last) | (place == last - 1)

    alpha = xp.full(at.shape, no, at.dtype)
    now = xp.where(place == 0, wide.dtype.type(0), no)  # before the first step: at the leading blank
    now = xp.broadcast_to(now, ext.shape)
    for t in range(time):
        more = xp.logaddexp(now, _later(xp, now, 1)) if t else xp.where(place < 2, wide.dtype.type(0), no)
        if t:
            more = xp.logaddexp(more, xp.where(skip, _later(xp, now, 2), no))
        now = xp.where((t < steps)[:, None], more + at[:, t], now)
        alpha[:, t] = now
    # a sample without any step spells the empty label only
    ends = xp.where(final & ((steps > 0)[:, None] | (place == 0)), now, no)
    loss = -common.logsumexp(xp, ends, axis=-1, keepdims=False)

    gamma = xp.zeros(logp.shape, logp.dtype)
    fits = xp.isfinite(loss)[:, None]
    offset = xp.where(fits[:, 0], loss, 0)[:, None]
    now = xp.full(ext.shape, no, at.dtype)
    rows = xp.arange(samples)[:, None]
    for t in range(time - 1, -1, -1):
        more = xp.logaddexp(now, _sooner(xp, now, 1))
        more = xp.logaddexp(more, _sooner(xp, xp.where(skip, now, no), 2))
        more = xp.where((t == steps - 1)[:, None], xp.where(final, wide.dtype.type(0), no), more)
        inside = (t < steps)[:, None] & fits
        weight = xp.where(inside, xp.exp(xp.where(inside, alpha[:, t] + more + offset, no)), 0)
        add_at(gamma, (rows, t, ext), weight)
        now = xp.where((t < steps)[:, None], more + at[:, t], no)
    counts = ((xp.arange(time)[None, :] < steps[:, None]) & fits)[..., None]
    grad = xp.where(counts, xp.exp(logp) - gamma, 0)
    return loss.astype(dtype, copy=False), grad.astype(dtype, copy=False)
