"""The loss of sequences without an alignment: speech, handwriting."""

from typing import Any

import numpy as np

from .. import backend
from ..autograd.autocast import wide
from ..autograd.op import Op, helper, public
from ..autograd.record import applyn, constant, lift
from ..autograd.tensor import Tensor, wrap
from ..backend import ctc as algorithm
from ..backend.batched import at_hand, ever
from ..errors import DTypeError, ShapeError, message
from .activations import log_softmax
from .elementwise import logaddexp, where
from .indexing import take_along_axis
from .losses import reduction_code
from .reductions import logsumexp, mean, sum
from .shape import concatenate

_NAME = "ctc_loss"


def _reference(logits: Tensor, *, labels: Any, steps: Any, lengths: Any, blank: int) -> Tensor:
    """The forward recursion in plain ops."""
    samples, time, _ = logits.shape
    lib = backend.of(labels)
    ext, skip = algorithm.states(lib, labels, blank)
    place = lib.arange(ext.shape[1])[None, :]
    at = take_along_axis(
        log_softmax(logits, -1), lib.broadcast_to(ext[:, None, :], (samples, time, ext.shape[1])), -1
    )
    out = [wrap(lib.full((samples, n), -np.inf, logits.dtype)) for n in (1, 2)]
    now = wrap(lib.broadcast_to(lib.where(place == 0, 0.0, -np.inf).astype(logits.dtype), ext.shape))
    for t in range(time):
        if t:
            step = logaddexp(now, concatenate([out[0], now[:, :-1]], axis=1))
            if ext.shape[1] > 2:
                jump = concatenate([out[1], now[:, :-2]], axis=1)
                step = logaddexp(step, where(skip, jump, -np.inf))
        else:
            step = wrap(lib.broadcast_to(lib.where(place < 2, 0.0, -np.inf).astype(logits.dtype), ext.shape))
        now = where((t < steps)[:, None], step + at[:, t], now)
    last = 2 * lengths[:, None]
    final = ((place == last) | (place == last - 1)) & ((steps > 0)[:, None] | (place == 0))
    return -logsumexp(where(final, now, -np.inf), -1)


_CTC = Op(
    "ctc_losses",
    vjp_all=lambda F, g, grad, needs, logits, **params: [grad * g[:, None, None]],
    reference=_reference,
    aux=True,
    saves=("x",),
    forward=lambda B: B.ctc_loss,
)


def _ctc_losses(logits: Any, *, labels: Any, steps: Any, lengths: Any, blank: int) -> Tensor:
    """CTC losses (samples) of logits (samples, time, classes)."""
    params = {"labels": labels, "steps": steps, "lengths": lengths, "blank": blank}
    return applyn(_CTC, (lift(logits),), params)


public(_CTC, _ctc_losses)


@helper
def ctc_loss(
    logits: Any,
    labels: Any,
    logit_lengths: Any,
    label_lengths: Any,
    *,
    blank: int = 0,
    reduction: str = "mean",
) -> Tensor:
    """Connectionist temporal classification: -log of the probability that the logits spell the label (Graves
    et al. 2006).

    logits: (batch, time, classes), unnormalised. labels: (batch, length) int, without blanks. logit_lengths,
    label_lengths: (batch) int, how many steps and characters count. Gives a scalar, or (batch) for
    reduction="none"; "mean" is over the batch. Repeated characters are spelled with a blank between; a label
    that no path of that length spells has loss infinity and gradient 0. Raises ShapeError, DTypeError, and
    ValueError naming the first length or label out of range.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> loss = bp.nn.ctc_loss(np.zeros((1, 2, 3)), np.array([[1]]), np.array([2]), np.array([1]))
    >>> float(bp.exp(-loss)) * 9                # of the 9 paths of two steps: 1 1, 1 blank, blank 1
    3.0000000000000004
    """
    x = wide(lift(logits))
    code = reduction_code(_NAME, reduction)
    y, steps, lengths = (constant(_NAME, a) for a in (labels, logit_lengths, label_lengths))
    if x.ndim != 3 or y.ndim != 2 or {len(y), *steps.shape, *lengths.shape} != {x.shape[0]}:
        raise ShapeError(
            message(
                _NAME,
                "logits (batch, time, classes), labels (batch, length), lengths (batch) were expected.",
                received=f"{x.shape}, {y.shape}, {steps.shape}, {lengths.shape}",
            )
        )
    for a in (y, steps, lengths):
        if a.dtype.kind not in "iu":
            raise DTypeError(message(_NAME, "labels and lengths are integers.", received=str(a.dtype)))
    _in_range("logit_lengths", steps, x.shape[1] + 1)
    _in_range("label_lengths", lengths, y.shape[1] + 1)
    lib = backend.of(y)
    counts = lib.arange(y.shape[1])[None, :] < lengths[:, None]
    y = lib.where(counts, y, blank)  # what stands behind a label's end may be anything
    _in_range("labels", y, x.shape[2])
    if not 0 <= blank < x.shape[2]:
        raise ValueError(message(_NAME, f"blank must be in [0, {x.shape[2]}).", received=str(blank)))
    if at_hand(y) and ever((counts & (y == blank)).any()):
        raise ValueError(
            message(_NAME, f"a label must not hold the blank, {blank}.", hint="labels count from 1.")
        )
    loss = _ctc_losses(x, labels=y, steps=steps, lengths=lengths, blank=blank)
    return loss if code == 0 else sum(loss) if code == 2 else mean(loss)


def _in_range(what: str, values: Any, end: int) -> None:
    bad = (values < 0) | (values >= end)
    if at_hand(values) and ever(bad.any()):
        at = np.argwhere(bad)[0]
        where_ = ", ".join(map(str, at))
        raise ValueError(
            message(
                _NAME, f"{what} must be in [0, {end}).", received=f"{values[tuple(at)]} at position {where_}"
            )
        )
