"""LSTM, GRU and simple recurrent layers over whole sequences, each one node on the tape.

The forward is one product for the inputs of all steps, then step by step the product of the state and the
cell; backward takes the gradients of the weights from all steps at once. See backend/recurrent.py.
"""

from collections.abc import Callable
from typing import Any

from .. import backend
from ..autograd.autocast import lowered, narrow
from ..autograd.batching import zeros
from ..autograd.modes import recording
from ..autograd.op import Op, helper, is_float, public
from ..autograd.record import agree_all, apply_many, constant, lift
from ..autograd.tensor import Tensor, wrap
from ..backend.recurrent import COLUMNS
from ..errors import DTypeError, ShapeError, message
from .activations import relu, sigmoid
from .elementwise import where
from .linalg import matmul
from .shape import stack
from .trigonometric import tanh


# ------------------------------------------------------------------ the composition
def _split(kind: str, args: Any) -> tuple:
    """x, the states, w, u, and b or None."""
    x, *rest = args
    n = 2 if kind == "lstm" else 1
    return x, tuple(rest[:n]), rest[n], rest[n + 1], rest[n + 2] if len(rest) > n + 2 else None


def _reference(*args: Tensor, kind: str, mask: Any, reverse: bool, sequences: bool, keeps: bool) -> tuple:
    x, states, w, u, b = _split(kind, args)
    input_bias, inner_bias = (b[0], b[1]) if kind == "gru" and b is not None else (b, None)
    projected = matmul(x, w)
    if input_bias is not None:
        projected = projected + input_bias
    outputs = []
    steps = range(x.shape[1])
    for t in reversed(steps) if reverse else steps:
        after = _STEPS[kind](projected[:, t], states, u, inner_bias)
        if mask is not None:
            on = wrap(mask[:, t, None])
            after = tuple([where(on, new, old) for new, old in zip(after, states, strict=True)])
        outputs.append(after[0])
        states = after
    if not sequences:
        return states
    if not outputs:
        return (zeros((x.shape[0], 0, u.shape[0]), x.dtype, x), *states)
    return (stack(outputs, 1), *states)


def _parts(x: Tensor, n: int) -> list[Tensor]:
    return [x[:, k * n : (k + 1) * n] for k in range(x.shape[-1] // n)]


def _lstm_step(a: Tensor, states: tuple, u: Tensor, inner_bias: Any) -> tuple:
    h, c = states
    i, f, g, o = _parts(a + matmul(h, u), u.shape[0])
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru_step(a: Tensor, states: tuple, u: Tensor, inner_bias: Any) -> tuple:
    h = states[0]
    inner = matmul(h, u) if inner_bias is None else matmul(h, u) + inner_bias
    (az, ar, ag), (hz, hr, hg) = _parts(a, u.shape[0]), _parts(inner, u.shape[0])
    z = sigmoid(az + hz)
    return (z * h + (1 - z) * tanh(ag + sigmoid(ar + hr) * hg),)


def _gru_before_step(a: Tensor, states: tuple, u: Tensor, inner_bias: Any) -> tuple:
    h, n = states[0], u.shape[0]
    z, r = _parts(sigmoid(a[:, : 2 * n] + matmul(h, u[:, : 2 * n])), n)
    return (z * h + (1 - z) * tanh(a[:, 2 * n :] + matmul(r * h, u[:, 2 * n :])),)


_STEPS: dict[str, Callable] = {
    "lstm": _lstm_step,
    "gru": _gru_step,
    "gru_before": _gru_before_step,
    "tanh": lambda a, states, u, _: (tanh(a + matmul(states[0], u)),),
    "relu": lambda a, states, u, _: (relu(a + matmul(states[0], u)),),
}


# ------------------------------------------------------------------ the op
def _forward(B: Any) -> Callable:
    def run(*args: Any, **params: Any) -> tuple:
        out, states, kept = B.recurrent_forward(*_split(params["kind"], args), **params)
        return (out, *states) if params["sequences"] else states, kept

    return run


def _back(
    F: Any, g: Any, kept: Any, needs: Any, *args: Any, kind: str, sequences: bool, keeps: bool, **how: Any
):
    gs = tuple(g.items) if sequences else (None, *g.items)
    found = F.recurrent_backward(gs, *_split(kind, args), kind=kind, kept=kept, needs=needs, **how)
    return list(found[: len(needs)])


def _declare(name: str) -> Op:
    return Op(
        name, vjp_all=_back, reference=_reference, saves=("x", "y", "z"), aux=True, forward=_forward
    )  # fmt: skip


_LSTM, _GRU, _SIMPLE = _declare("lstm"), _declare("gru"), _declare("simple_rnn")


def _run(
    op: Op, kind: str, x: Any, w: Any, u: Any, b: Any, states: Any, mask: Any, reverse: bool, sequences: bool
) -> tuple[Tensor, ...]:
    """(outputs, *last states)."""
    x, w, u = lift(x), lift(w), lift(u)
    given = [] if b is None else [lift(b)]
    columns = COLUMNS[kind]
    units = u.shape[0] if u.ndim else 0
    expected = (2, columns * units) if kind == "gru" else (columns * units,)
    if (
        x.ndim != 3
        or w.shape != (x.shape[-1], columns * units)
        or u.shape != (units, columns * units)
        or (given and given[0].shape != expected)
    ):
        _raise_shapes(op.name, x, w, u, given, columns, expected)
    shape = (x.shape[0], units)
    if states is None:
        dtype = agree_all([x, w, u])[0].dtype
        states = [zeros(shape, dtype, x) for _ in range(2 if kind == "lstm" else 1)]
    else:
        states = [lift(s) for s in (states if isinstance(states, (tuple, list)) else (states,))]
        if len(states) != (2 if kind == "lstm" else 1) or any(s.shape != shape for s in states):
            _raise_states(op.name, states, shape, kind)
    args = [x, *states, w, u, *given]
    args = agree_all(list(narrow(*args)) if lowered() is not None else args)
    if mask is not None:
        mask = _checked_mask(op.name, mask, x)
    params = {
        "kind": kind,
        "mask": mask,
        "reverse": bool(reverse),
        "sequences": bool(sequences),
        "keeps": recording() and any(a.node is not None for a in args),
    }
    if not is_float(args[0].dtype) or args[0].dtype.kind == "c":
        found = _reference(*args, **params)
    else:
        found = apply_many(op, args, params)
    return found if sequences else (found[0], *found)


# ------------------------------------------------------------------ whole sequences
def lstm(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    *,
    initial_state: Any = None,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """A long short-term memory over sequences (Hochreiter and Schmidhuber 1997): (outputs, h, c).

    x: (batch, steps, in). kernel: (in, 4 units), recurrent_kernel: (units, 4 units), bias: (4 units) or None;
    the gates are, in Keras' order, input, forget, candidate, output. With a = x kernel + h recurrent_kernel +
    bias: c = sigmoid(a_f) c + sigmoid(a_i) tanh(a_g), h = sigmoid(a_o) tanh(c). initial_state: (h, c), each
    (batch, units); zeros unless given. mask: (batch, steps) bool; where it is False, the state stays as it
    is. go_backwards: from the last step to the first. Gives the outputs (batch, steps, units) in the order in
    which they were computed, or, without return_sequences, the last (batch, units), and the last states.
    Raises ShapeError when shapes do not fit, DTypeError for a mask of floats.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> out, h, c = bp.nn.lstm(np.ones((1, 2, 3)), np.zeros((3, 4)), np.zeros((1, 4)), np.zeros(4))
    >>> out.shape, h.shape, c.shape
    ((1, 2, 1), (1, 1), (1, 1))
    """
    return _run(
        _LSTM, "lstm", x, kernel, recurrent_kernel, bias, initial_state, mask, go_backwards, return_sequences
    )  # type: ignore[return-value]


def gru(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    *,
    initial_state: Any = None,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    reset_after: bool = True,
) -> tuple[Tensor, Tensor]:
    """A gated recurrent unit over sequences (Cho et al. 2014): (outputs, h).

    As `lstm`, with kernel (in, 3 units) and recurrent_kernel (units, 3 units) in the order update z, reset r,
    candidate: h = z h + (1 - z) g. reset_after: g = tanh(x k_g + b_g + r (h u_g + b'_g)), as in cuDNN, and
    bias (2, 3 units) holds b and b'; else g = tanh(x k_g + b_g + (r h) u_g), and bias is (3 units).

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> h0 = np.ones((1, 1))
    >>> bp.nn.gru(np.ones((1, 2, 3)), np.zeros((3, 3)), np.zeros((1, 3)), initial_state=h0)[0]
    Tensor([[[0.5 ],
             [0.25]]])
    """
    kind = "gru" if reset_after else "gru_before"
    return _run(
        _GRU, kind, x, kernel, recurrent_kernel, bias, initial_state, mask, go_backwards, return_sequences
    )  # type: ignore[return-value]


def simple_rnn(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    *,
    initial_state: Any = None,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """h = activation(x kernel + h recurrent_kernel + bias) over sequences (Elman 1990): (outputs, h).

    As `lstm`, with kernel (in, units). activation: "tanh" or "relu"; ValueError for another.
    """
    if activation not in ("tanh", "relu"):
        raise ValueError(
            message("simple_rnn", "activation must be 'tanh' or 'relu'.", received=repr(activation))
        )
    return _run(
        _SIMPLE,
        activation,
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        mask,
        go_backwards,
        return_sequences,
    )  # type: ignore[return-value]


for _op, _function in ((_LSTM, lstm), (_GRU, gru), (_SIMPLE, simple_rnn)):
    public(_op, _function)


# ------------------------------------------------------------------ one step
@helper
def lstm_cell(
    x: Any, h: Any, c: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None
) -> tuple[Tensor, Tensor]:
    """One step of `lstm`: (h, c). x: (batch, in). h, c: (batch, units)."""
    step = lift(x)[:, None]
    return lstm(step, kernel, recurrent_kernel, bias, initial_state=(h, c), return_sequences=False)[1:]


@helper
def gru_cell(
    x: Any, h: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None, *, reset_after: bool = True
) -> Tensor:
    """One step of `gru`: h. x: (batch, in). h: (batch, units)."""
    step = lift(x)[:, None]
    how = {"initial_state": h, "return_sequences": False, "reset_after": reset_after}
    return gru(step, kernel, recurrent_kernel, bias, **how)[1]


@helper
def simple_rnn_cell(
    x: Any, h: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None, *, activation: str = "tanh"
) -> Tensor:
    """One step of `simple_rnn`: h. x: (batch, in). h: (batch, units)."""
    step = lift(x)[:, None]
    how = {"initial_state": h, "return_sequences": False, "activation": activation}
    return simple_rnn(step, kernel, recurrent_kernel, bias, **how)[1]


# ------------------------------------------------------------------ what does not fit
def _checked_mask(name: str, mask: Any, x: Tensor) -> Any:
    raw = constant(name, mask)
    if raw.dtype.kind not in "biu":
        raise DTypeError(
            message(
                name,
                "a mask is bool: False where the state stays as it is.",
                received=f"{raw.dtype}",
                hint="mask.astype(bool).",
            )
        )
    if raw.shape != x.shape[:2]:
        raise ShapeError(
            message(
                name,
                f"the mask must have shape {x.shape[:2]}, (batch, steps).",
                received=f"a mask of shape {tuple(raw.shape)}",
            )
        )
    return backend.of(x.data).asarray(raw if raw.dtype.kind == "b" else raw != 0)


def _raise_shapes(name: str, x: Tensor, w: Tensor, u: Tensor, b: list, columns: int, expected: tuple) -> None:
    n = f"{columns} units" if columns > 1 else "units"
    raise ShapeError(
        message(
            name,
            f"x (batch, steps, in), kernel (in, {n}), recurrent_kernel (units, {n}) and bias "
            f"({'2, ' if len(expected) > 1 else ''}{n}) were expected.",
            received=f"x {x.shape}, kernel {w.shape}, recurrent_kernel {u.shape}, "
            f"bias {b[0].shape if b else None}",
        )
    )


def _raise_states(name: str, states: list, shape: tuple, kind: str) -> None:
    what = "initial_state must be (h, c), each" if kind == "lstm" else "initial_state must be h,"
    raise ShapeError(
        message(name, f"{what} of shape {shape}.", received=", ".join([str(s.shape) for s in states]))
    )
