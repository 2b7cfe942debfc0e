"""LSTM, GRU and simple recurrent layers on raw arrays, written against `xp` (numpy or cupy).

x (batch, steps, features); states (h0,) or (h0, c0), each (batch, units); w (features, columns); u (units,
columns); b (columns), (2, columns) for kind "gru", or None; mask (batch, steps) bool or None: where it is
False a state stays as it is. columns: 4 units in the order i f g o for "lstm", 3 units in the order z r g for
"gru" (the reset gate scales h u) and "gru_before" (it scales h), units for "tanh" and "relu".

Kept for backward, in the order of the steps taken: per step the activated gates, (h, c) before and after.
16-bit floats are widened to float32.
"""

from typing import Any

from .._typing import Array
from . import common

KINDS = ("lstm", "gru", "gru_before", "tanh", "relu")
COLUMNS = {"lstm": 4, "gru": 3, "gru_before": 3, "tanh": 1, "relu": 1}


def forward(
    xp: Any, x: Array, states: tuple, w: Array, u: Array, b: Array | None, *, kind, mask, reverse, sequences,
    keeps,
) -> tuple:  # fmt: skip
    """(outputs in the order of the steps taken, or None; the last states; what backward needs, or None)."""
    dtype = x.dtype
    x, w, u = [_wide(xp, a) for a in (x, w, u)]
    now = [_wide(xp, a) for a in states]
    input_bias, inner_bias = _biases(b, kind)
    projected = xp.matmul(x, w) if input_bias is None else xp.matmul(x, w) + _wide(xp, input_bias)
    inner_bias = None if inner_bias is None else _wide(xp, inner_bias)
    outputs, kept = [], []
    for t in _order(x.shape[1], reverse):
        gates, after = _STEPS[kind](xp, projected[:, t], now, u, inner_bias)
        if mask is not None:
            on = mask[:, t, None]
            after = [xp.where(on, new, old) for new, old in zip(after, now, strict=True)]
        if keeps:
            kept.append((gates, now, after))
        if sequences:
            outputs.append(after[0])
        now = after
    narrow = [s.astype(dtype, copy=not x.shape[1]) for s in now]
    out = None
    if sequences:
        out = xp.stack(outputs, 1) if outputs else xp.zeros((x.shape[0], 0, u.shape[0]), x.dtype)
        out = out.astype(dtype, copy=False)
    return out, tuple(narrow), kept if keeps else None


def backward(
    xp: Any, gs: tuple, x: Array, states: tuple, w: Array, u: Array, b: Array | None, *, kind, mask, reverse,
    kept, needs,
) -> tuple:  # fmt: skip
    """The cotangents of x, each state, w, u and b (None without); gs: those of the outputs and the last
    states, None where there is none.
    """
    dtype = x.dtype
    x, w, u = [_wide(xp, a) for a in (x, w, u)]
    g_out, *g_states = [None if g is None else _wide(xp, g) for g in gs]
    zeros = xp.zeros((x.shape[0], u.shape[0]), x.dtype)
    d = [zeros if g is None else g for g in g_states]
    dw, du = xp.zeros_like(w), xp.zeros_like(u)
    db = None if b is None else xp.zeros(b.shape, x.dtype)
    dx = xp.zeros_like(x)
    for t, k in reversed(list(zip(_order(x.shape[1], reverse), range(x.shape[1]), strict=True))):
        gates, before, after = kept[k]
        if g_out is not None:
            d = [d[0] + g_out[:, k], *d[1:]]
        moved, pre, left, right = _SLOPES[kind](xp, d, gates, before, after, u)
        if mask is not None:
            on = mask[:, t, None]
            moved = [xp.where(on, m, o) for m, o in zip(moved, d, strict=True)]
            pre, right = xp.where(on, pre, 0), [xp.where(on, r, 0) for r in right]
        dx[:, t] = xp.matmul(pre, w.T)
        dw += xp.matmul(x[:, t].T, pre)
        at = 0
        for one, slope in zip(left, right, strict=True):
            n = slope.shape[-1]
            du[:, at : at + n] += xp.matmul(one.T, slope)
            at += n
        if db is not None:
            if kind == "gru":
                db[0] += pre.sum(0)
                db[1] += right[0].sum(0)
            else:
                db += pre.sum(0)
        d = moved
    found = [dx, *d, dw, du, db]
    return tuple([None if i is None else i.astype(dtype, copy=False) for i in found])


# ------------------------------------------------------------------ one step: (activated gates, new states)
def _lstm(xp: Any, z: Array, states: list, u: Array, inner_bias: Any) -> tuple:
    h, c = states
    z = z + xp.matmul(h, u)
    n = u.shape[0]
    i, f, o = [common.sigmoid(xp, z[:, k * n : (k + 1) * n]) for k in (0, 1, 3)]
    g = xp.tanh(z[:, 2 * n : 3 * n])
    c = f * c + i * g
    return (i, f, g, o), [o * xp.tanh(c), c]


def _gru(xp: Any, a: Array, states: list, u: Array, inner_bias: Any) -> tuple:
    (h,), n = states, u.shape[0]
    inner = xp.matmul(h, u)
    if inner_bias is not None:
        inner = inner + inner_bias
    z, r = [common.sigmoid(xp, (a + inner)[:, k * n : (k + 1) * n]) for k in (0, 1)]
    q = inner[:, 2 * n :]
    g = xp.tanh(a[:, 2 * n :] + r * q)
    return (z, r, g, q), [z * h + (1 - z) * g]


def _gru_before(xp: Any, a: Array, states: list, u: Array, inner_bias: Any) -> tuple:
    (h,), n = states, u.shape[0]
    gates = a[:, : 2 * n] + xp.matmul(h, u[:, : 2 * n])
    z, r = common.sigmoid(xp, gates[:, :n]), common.sigmoid(xp, gates[:, n:])
    g = xp.tanh(a[:, 2 * n :] + xp.matmul(r * h, u[:, 2 * n :]))
    return (z, r, g), [z * h + (1 - z) * g]


def _tanh(xp: Any, a: Array, states: list, u: Array, inner_bias: Any) -> tuple:
    return (), [xp.tanh(a + xp.matmul(states[0], u))]


def _relu(xp: Any, a: Array, states: list, u: Array, inner_bias: Any) -> tuple:
    return (), [xp.maximum(a + xp.matmul(states[0], u), 0)]


# ------------------------------------------------------------------ and back
# (cotangents of the states before; slopes of x w; what u's columns were multiplied with, and their slopes)
def _lstm_slopes(xp: Any, d: list, gates: tuple, before: list, after: list, u: Array) -> tuple:
    i, f, g, o = gates
    y = xp.tanh(after[1])
    dc = d[1] + d[0] * o * (1 - y * y)
    parts = [
        dc * g * i * (1 - i),
        dc * before[1] * f * (1 - f),
        dc * i * (1 - g * g),
        d[0] * y * o * (1 - o),
    ]
    pre = xp.concatenate(parts, -1)
    return [xp.matmul(pre, u.T), dc * f], pre, [before[0]], [pre]


def _gru_slopes(xp: Any, d: list, gates: tuple, before: list, after: list, u: Array) -> tuple:
    (z, r, g, q), (h,), (dh,) = gates, before, d
    dg = dh * (1 - z) * (1 - g * g)
    dz, dr = dh * (h - g) * z * (1 - z), dg * q * r * (1 - r)
    inner = xp.concatenate([dz, dr, dg * r], -1)
    return [dh * z + xp.matmul(inner, u.T)], xp.concatenate([dz, dr, dg], -1), [h], [inner]


def _gru_before_slopes(xp: Any, d: list, gates: tuple, before: list, after: list, u: Array) -> tuple:
    (z, r, g), (h,), (dh,), n = gates, before, d, u.shape[0]
    dg = dh * (1 - z) * (1 - g * g)
    through = xp.matmul(dg, u[:, 2 * n :].T)
    zr = xp.concatenate([dh * (h - g) * z * (1 - z), through * h * r * (1 - r)], -1)
    moved = dh * z + through * r + xp.matmul(zr, u[:, : 2 * n].T)
    return [moved], xp.concatenate([zr, dg], -1), [h, r * h], [zr, dg]


def _tanh_slopes(xp: Any, d: list, gates: tuple, before: list, after: list, u: Array) -> tuple:
    pre = d[0] * (1 - after[0] * after[0])
    return [xp.matmul(pre, u.T)], pre, [before[0]], [pre]


def _relu_slopes(xp: Any, d: list, gates: tuple, before: list, after: list, u: Array) -> tuple:
    pre = d[0] * (after[0] > 0)
    return [xp.matmul(pre, u.T)], pre, [before[0]], [pre]


_STEPS = {"lstm": _lstm, "gru": _gru, "gru_before": _gru_before, "tanh": _tanh, "relu": _relu}
_SLOPES = {
    "lstm": _lstm_slopes,
    "gru": _gru_slopes,
    "gru_before": _gru_before_slopes,
    "tanh": _tanh_slopes,
    "relu": _relu_slopes,
}


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _biases(b: Any, kind: str) -> tuple:
    if b is None:
        return None, None
    return (b[0], b[1]) if kind == "gru" else (b, None)


def _wide(xp: Any, x: Array) -> Array:
    return x.astype(xp.float32) if x.dtype.itemsize == 2 else x
