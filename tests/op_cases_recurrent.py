"""Sample inputs of recurrent layers, and their formulas step by step in NumPy."""

import numpy as np
from opcase import OpCase, grid, normal

from tensorflowlite_bp.autograd.op import graph

BATCH, STEPS, FEATURES, UNITS = 2, 3, 2, 2
MASK = np.array([[True, False, True], [False, True, False]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def np_lstm_step(x, h, c, w, u, b):
    i, f, g, o = np.split(x @ w + h @ u + b, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def np_gru_step(x, h, w, u, b):
    if b.ndim == 2:
        (az, ar, ag), (hz, hr, hg) = np.split(x @ w + b[0], 3, -1), np.split(h @ u + b[1], 3, -1)
        z, g = sigmoid(az + hz), np.tanh(ag + sigmoid(ar + hr) * hg)
    else:
        (az, ar, ag), (uz, ur, ug) = np.split(x @ w + b, 3, -1), np.split(u, 3, -1)
        z, g = sigmoid(az + h @ uz), np.tanh(ag + (sigmoid(ar + h @ ur) * h) @ ug)
    return (z * h + (1 - z) * g,)


def np_simple_step(activation):
    act = np.tanh if activation == "tanh" else lambda v: np.maximum(v, 0)
    return lambda x, h, w, u, b: (act(x @ w + h @ u + b),)


def walk(step, x, states, weights, mask, backwards, sequences):
    outs = []
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        new = step(x[:, t], *states, *weights)
        on = True if mask is None else mask[:, t, None]
        states = [np.where(on, a, b) for a, b in zip(new, states, strict=True)]
        outs.append(states[0])
    return flat(np, np.stack(outs, 1) if sequences else states[0], *states)


def flat(lib, *results):
    """All results as one array: each weighted otherwise, that none may stand for another."""
    return lib.concatenate([(k + 1) * r.reshape(-1) for k, r in enumerate(results)])


def lstm(f, x, h, c, w, u, b, **how):
    return flat(graph, *f(x, w, u, b, initial_state=(h, c), **how))


def np_lstm(x, h, c, w, u, b, *, mask=None, go_backwards=False, return_sequences=True):
    return walk(np_lstm_step, x, (h, c), (w, u, b), mask, go_backwards, return_sequences)


def one_state(f, x, h, w, u, b, **how):
    return flat(graph, *f(x, w, u, b, initial_state=h, **how))


def np_gru(x, h, w, u, b, *, mask=None, go_backwards=False, return_sequences=True, reset_after=True):
    return walk(np_gru_step, x, (h,), (w, u, b), mask, go_backwards, return_sequences)


def np_simple(x, h, w, u, b, *, mask=None, go_backwards=False, return_sequences=True, activation="tanh"):
    step = np_simple_step(activation)
    return walk(step, x, (h,), (w, u, b), mask, go_backwards, return_sequences)


def shapes(columns, states=1, bias=None):
    n = columns * UNITS
    return normal(
        (BATCH, STEPS, FEATURES), *[(BATCH, UNITS)] * states, (FEATURES, n), (UNITS, n), bias or (n,)
    )


HOW = grid(mask=[None, MASK], go_backwards=[False, True], return_sequences=[True])
LAST = [{"return_sequences": False}, {"return_sequences": False, "mask": MASK}]

CASES = [
    OpCase("lstm", shapes(4, states=2), [*HOW, *LAST], numpy=np_lstm, call=lstm),
    OpCase("gru", shapes(3, bias=(2, 3 * UNITS)), [*HOW, *LAST], numpy=np_gru, call=one_state),
    OpCase(
        "gru",
        shapes(3),
        [{**how, "reset_after": False} for how in (*HOW, *LAST)],
        numpy=np_gru,
        call=one_state,
        id="gru, reset before",
    ),
    OpCase("simple_rnn", shapes(1), [*HOW, *LAST], numpy=np_simple, call=one_state),
    OpCase(
        "simple_rnn",
        shapes(1),
        [{"activation": "relu"}, {"activation": "relu", "mask": MASK}],
        numpy=np_simple,
        call=one_state,
        id="simple_rnn, relu",
    ),
]
