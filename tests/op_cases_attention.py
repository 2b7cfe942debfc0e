"""Sample inputs of attention, and of the losses that work in chunks."""

import itertools

import numpy as np
from op_cases import np_cross_entropy
from opcase import OpCase, grid, normal


def np_attention(q, k, v, *, mask=None, causal=False, scale=None):
    s = q @ k.swapaxes(-1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


LOOK = np.array([[True, False, True, True], [True, True, True, False], [False, True, True, True]])
ADDED = np.where(LOOK, 0.25, -np.inf)
QKV = normal((2, 3, 5), (2, 4, 5), (2, 4, 6))


def np_linear_cross_entropy(x, w, b=None, *, labels, class_weight=None, ignore_index=None, **more):
    z = x @ w + (0 if b is None else b)
    return np_cross_entropy(z, labels=labels, weight=class_weight, ignore_index=ignore_index, **more)


def linear_cross_entropy(f, x, w, b=None, *, labels, **more):
    return f(x, w, b, labels, **more)


def np_ctc(z, *, labels, steps, lengths, blank):
    """The sum over every path, spelled out."""
    p = np.exp(z - np.log(np.exp(z).sum(-1, keepdims=True)))
    losses = []
    for k in range(len(z)):
        want = tuple(labels[k, : lengths[k]])
        total = 0.0
        for path in itertools.product(range(z.shape[-1]), repeat=steps[k]):
            spelled = tuple(c for c, _ in itertools.groupby(path) if c != blank)
            if spelled == want:
                total += np.prod([p[k, t, c] for t, c in enumerate(path)])
        losses.append(-np.log(total))
    return np.array(losses)


def ctc_loss(f, z, *, labels, steps, lengths, blank=0, **more):
    return f(z, labels, steps, lengths, blank=blank, **more)


CTC = dict(labels=np.array([[1, 1], [2, 0]]), steps=np.array([4, 3]), lengths=np.array([2, 1]), blank=0)
CTC_LAST = dict(labels=np.array([[1, 0], [1, 2]]), steps=np.array([3, 2]), lengths=np.array([2, 0]), blank=2)

LABELS = np.array([1, 0, 3, 2, 3])
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.25])
OPTIONS = grid(
    labels=[LABELS],
    reduction=["mean", "sum", "none"],
    class_weight=[None, WEIGHTS],
    label_smoothing=[0.0, 0.1],
    ignore_index=[None, 3],
)

CASES = [
    OpCase("ctc_losses", normal((2, 4, 3)), [CTC, CTC_LAST], numpy=np_ctc),
    OpCase(
        "ctc_loss",
        normal((2, 4, 3)),
        [{**CTC, "reduction": r} for r in ("mean", "sum", "none")],
        call=ctc_loss,
    ),
    OpCase(
        "linear_softmax_cross_entropy",
        normal((5, 3), (3, 4), (4,)),
        OPTIONS,
        numpy=np_linear_cross_entropy,
        call=linear_cross_entropy,
    ),
    OpCase(
        "linear_softmax_cross_entropy",
        normal((5, 3), (3, 4)),
        OPTIONS[:1],
        numpy=np_linear_cross_entropy,
        call=linear_cross_entropy,
        id="linear_softmax_cross_entropy without bias",
    ),
    OpCase(
        "dot_product_attention",
        QKV,
        grid(mask=[None, LOOK[None], ADDED[None]], causal=[False, True], scale=[0.7]),
        numpy=np_attention,
    ),
    OpCase(
        "scaled_dot_product_attention",
        normal((2, 2, 3, 5), (2, 2, 4, 5), (2, 2, 4, 2)),
        grid(mask=[None, LOOK, LOOK[None, None]], causal=[False, True]),
        numpy=np_attention,
    ),
]
