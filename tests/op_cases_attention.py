"""Sample inputs of attention, and of the losses that work in chunks."""

import numpy as np
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

CASES = [
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
