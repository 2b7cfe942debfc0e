"""LSTM, GRU and simple recurrent layers over whole sequences. Reference: `backend/recurrent.py`.

One product for the inputs of all steps; for each step the product of the state and one kernel; backward
likewise, with the gradients of the weights from all steps at once. 16-bit floats are widened to float32, and
their products may round operands to 10 bits (TF32), which theirs are.
"""

from typing import Any

from ..._typing import Array
from ..recurrent import COLUMNS
from . import norms
from .geometry import ceil_div, type_name
from .host import Host
from .products import gemm

STEPS = {"lstm": (0,), "gru": (1,), "gru_before": (2, 3), "tanh": (4,), "relu": (5,)}  # as in recurrent.cuh
THREADS = 128


def forward(
    host: Host, x: Array, states: tuple, w: Array, u: Array, b: Array | None, *, kind: str, mask: Any,
    reverse: bool, sequences: bool, keeps: bool,
) -> tuple:  # fmt: skip
    """(outputs in the order of the steps taken, or None; the last states; what backward needs, or None).

    x has at least one sample, step and feature, u one unit. Kept: the activated gates of all steps, in
    the place of the product of their inputs; what the kernel calls extra; h and c before each step.
    """
    dtype, tf32 = x.dtype, x.dtype.itemsize == 2
    x, w, u = [_wide(host, a) for a in (x, w, u)]
    (batch, steps, features), units = x.shape, u.shape[0]
    columns = COLUMNS[kind] * units
    bias = None if b is None else _wide(host, b)
    input_bias, inner_bias = (bias[0], bias[1]) if kind == "gru" and bias is not None else (bias, None)
    gates = gemm(host, x.reshape(1, batch * steps, features), w[None], bias=input_bias, tf32=tf32)
    gates = gates.reshape(batch, steps, columns)
    mask = None if mask is None else host.dense(mask)
    slots = steps if keeps else 2
    before = [host.empty((batch, slots, units), x.dtype) for _ in states]
    last = [host.empty((batch, units), x.dtype) for _ in states]
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    at = list(order) if keeps else [k % 2 for k in range(steps)]
    for to, state in zip(before, states, strict=True):
        to[:, at[0]] = state
    h, c, last_h, last_c = before[0], before[1:], last[0], last[1:]
    extra = host.empty((batch, steps, units), x.dtype) if kind.startswith("gru") else None
    out = host.empty((batch, steps, units), x.dtype) if sequences else None
    width = 2 * units if kind == "gru_before" else columns
    into_gates, into_candidate = u[None, :, :width], u[None, :, width:]
    inner = host.empty((1, batch, width), x.dtype)
    candidate = host.empty((1, batch, units), x.dtype) if kind == "gru_before" else None
    arrays = (extra, mask, h, c[0] if c else None, last_h, last_c[0] if c else None, out)
    name, grid = f"recurrent<{type_name(x)}>", ceil_div(batch * units, THREADS)
    for k, t in enumerate(order):
        place = (batch, units, steps, t, k, slots, at[k], at[k + 1] if k + 1 < steps else -1)
        gemm(host, h[None, :, at[k]], into_gates, bias=inner_bias, out=inner, tf32=tf32)
        host.launch(name, grid, THREADS, (gates, inner, *arrays, *place, STEPS[kind][0]))
        if extra is not None and candidate is not None:
            gemm(host, extra[None, :, t], into_candidate, out=candidate, tf32=tf32)
            host.launch(name, grid, THREADS, (gates, candidate, *arrays, *place, STEPS[kind][1]))
    found = tuple([s.astype(dtype, copy=False) for s in last])
    if out is not None:
        out = out.astype(dtype, copy=False)
    return out, found, (gates, extra, h, c[0] if c else None) if keeps else None


def backward(
    host: Host, gs: tuple, x: Array, states: tuple, w: Array, u: Array, b: Array | None, *, kind: str,
    mask: Any, reverse: bool, kept: Any, needs: Any,
) -> tuple:  # fmt: skip
    """The cotangents of x, each state, w, u and b, None where `needs` says no; gs: those of the outputs and
    the last states, None where there is none.
    """
    dtype, tf32 = x.dtype, x.dtype.itemsize == 2
    x, w, u = [_wide(host, a) for a in (x, w, u)]
    gates, extra, h, c = kept
    (batch, steps, _), units = x.shape, u.shape[0]
    g_out = None if gs[0] is None else host.dense(_wide(host, gs[0]))
    mask = None if mask is None else host.dense(mask)
    d = [_started(host, g, (batch, units), x.dtype) for g in gs[1:]]
    pre = host.empty(gates.shape, x.dtype)
    inner = host.empty(gates.shape, x.dtype) if kind == "gru" else None
    through = host.empty((1, batch, units), x.dtype) if kind == "gru_before" else None
    name, grid = f"recurrent_backward<{type_name(x)}>", ceil_div(batch * units, THREADS)
    arrays = (gates, extra, mask, h, c, g_out, through, d[0], d[1] if c is not None else None, pre, inner)
    slopes, width = pre if inner is None else inner, 2 * units if kind == "gru_before" else gates.shape[2]
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    from_gates, from_candidate = u.T[None, :width], u.T[None, width:]
    for k, t in reversed(list(enumerate(order))):
        for step in reversed(STEPS[kind]):
            host.launch(name, grid, THREADS, (*arrays, batch, units, steps, t, k, step))
            if through is not None and step == STEPS[kind][1]:
                gemm(host, pre[None, :, t, width:], from_candidate, out=through, tf32=tf32)
        gemm(host, slopes[None, :, t, :width], from_gates, out=d[0][None], beta=1.0, tf32=tf32)

    def over_steps(left: Array, right: Array) -> Array:
        """left^T right, over all samples and steps."""
        left, right = [a.reshape(1, batch * steps, a.shape[2]) for a in (left, right)]
        return gemm(host, left.swapaxes(1, 2), right, tf32=tf32)[0]

    needs = [*needs, *[False] * (4 + len(d) - len(needs))]
    wanted_x, *wanted_d, wanted_w, wanted_u, wanted_b = needs
    dx = dw = du = db = None
    if wanted_x:
        dx = gemm(host, pre.reshape(1, batch * steps, -1), w.T[None], tf32=tf32).reshape(x.shape)
    if wanted_w:
        dw = over_steps(x, pre)
    if wanted_u and through is not None:
        du = host.xp.concatenate([over_steps(h, pre[..., :width]), over_steps(extra, pre[..., width:])], 1)
    elif wanted_u:
        du = over_steps(h, slopes)
    if wanted_b and b is not None:
        db = norms.column_sums(host, pre)
        if inner is not None:
            db = host.xp.stack([db, norms.column_sums(host, inner)])
    d = [one if wanted else None for one, wanted in zip(d, wanted_d, strict=True)]
    return tuple([None if a is None else a.astype(dtype, copy=False) for a in (dx, *d, dw, du, db)])


def _wide(host: Host, x: Array) -> Array:
    return host.dense(x.astype(host.xp.float32) if x.dtype.itemsize == 2 else x)


def _started(host: Host, g: Array | None, shape: tuple, dtype: Any) -> Array:
    """A copy of g, which steps write over; zeros where there is none."""
    return host.xp.zeros(shape, dtype) if g is None else host.xp.array(g, dtype, order="C")
