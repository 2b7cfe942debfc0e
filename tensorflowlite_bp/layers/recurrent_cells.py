"""One step of recurrent layers: cell(inputs, states) gives (output, new states)."""

import contextlib
import inspect
from collections.abc import Callable
from contextvars import ContextVar

from .. import constraints, initializers, nn, ops, regularizers
from ..errors import ShapeError, message
from ..ops import random
from . import activations
from .base import Layer, layer_registry
from .core import positive

_held: ContextVar = ContextVar("tensorflowlite_bp.dropout_masks", default=None)


@contextlib.contextmanager
def held_masks():
    """Inside, a cell draws its dropout masks once: all steps of a sequence share them."""
    token = _held.set({})
    try:
        yield
    finally:
        _held.reset(token)


class _Cell(Layer):
    """Base: kernel, recurrent_kernel and bias, and the masks of dropout.

    dropout: of the inputs, recurrent_dropout: of the states in their products; with the latter every gate has
    masks of its own (as Gal and Ghahramani 2016).
    """

    gates: int
    units: int
    bias_initializer: Callable
    _alias_config = frozenset({*Layer._alias_config, "implementation"})  # how Keras computes, not what

    def __init__(self, units, given, implementation=2, **kwargs):
        super().__init__(**kwargs)
        self.units = positive(self._label(), "units", units)
        self.use_bias = given["use_bias"]
        self.activation = activations.get(given["activation"])
        if "recurrent_activation" in given:
            self.recurrent_activation = activations.get(given["recurrent_activation"])
        for part in ("kernel", "recurrent", "bias"):
            for kind, module in (
                ("initializer", initializers),
                ("regularizer", regularizers),
                ("constraint", constraints),
            ):
                name = f"{part}_{kind}"
                setattr(self, name, module.get(given[name]))
        self.dropout = min(1.0, max(0.0, given["dropout"]))
        self.recurrent_dropout = min(1.0, max(0.0, given["recurrent_dropout"]))
        self.seed = given["seed"]
        self.generator = random.default_generator() if self.seed is None else random.Generator(self.seed)
        self.kernel = self.recurrent_kernel = self.bias = None

    @property
    def state_size(self):
        return self.units

    @property
    def output_size(self):
        return self.units

    def _bias_shape(self):
        return (self.gates * self.units,)

    def build(self, input_shape):
        features, columns = input_shape[-1], self.gates * self.units
        if features is None:
            raise ShapeError(
                message(
                    self._label(),
                    "the last axis of the input must be known.",
                    received=str(tuple(input_shape)),
                )
            )
        for name, shape, part in (
            ("kernel", (features, columns), "kernel"),
            ("recurrent_kernel", (self.units, columns), "recurrent"),
            ("bias", self._bias_shape(), "bias"),
        ):
            if part == "bias" and not self.use_bias:
                continue
            weight = self.add_weight(
                shape,
                name=name,
                initializer=self._bias_start if part == "bias" else getattr(self, f"{part}_initializer"),
                regularizer=getattr(self, f"{part}_regularizer"),
                constraint=getattr(self, f"{part}_constraint"),
            )
            setattr(self, name, weight)

    def _bias_start(self, shape, dtype=None):
        return self.bias_initializer(shape, dtype=dtype)

    def get_initial_state(self, batch_size=None):
        """Zeros, one array per state."""
        count = len(self.state_size) if isinstance(self.state_size, list) else 1
        return [ops.zeros((batch_size, self.units), dtype=self._np_dtype) for _ in range(count)]

    def compute_output_shape(self, input_shape, states_shape=None):
        out = (input_shape[0], self.units)
        return out, [out] * len(self.state_size) if isinstance(self.state_size, list) else out

    # ------------------------------------------------------------------ dropout
    def masks(self, inputs, state, training):
        """(of the inputs, of the states): a list with one mask for all gates, or one for each; or None."""
        held = _held.get()
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        if held is None or id(self) not in held:
            count = self.gates if self.recurrent_dropout else 1
            made = [self._masks_of(x, rate, count) for x, rate in self._rates(inputs, state)]
            if held is None:
                return made
            held[id(self)] = made
        return held[id(self)]

    def _rates(self, inputs, state):
        return (inputs, self.dropout), (state, self.recurrent_dropout)

    def _masks_of(self, x, rate, count):
        if not 0 < rate < 1:
            return None
        ones = ops.ones_like(x)
        return [nn.dropout(ones, rate, generator=self.generator) for _ in range(count)]

    def _product(self, x, masks, weight, first=0, last=None):
        """x times the columns of some gates, each with its mask."""
        n, last = self.units, self.gates if last is None else last
        if masks is None or len(masks) == 1:
            part = weight if last - first == self.gates else weight[:, first * n : last * n]
            return ops.matmul(x if masks is None else x * masks[0], part)
        parts = [ops.matmul(x * masks[k], weight[:, k * n : (k + 1) * n]) for k in range(first, last)]
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, -1)

    def fuses(self, training):
        """Whether a whole sequence is one operation: the usual activations, no masks of the states."""
        return not (training and 0 < self.recurrent_dropout < 1)

    def whole(self, x, states, **how):
        """(outputs, *last states) of a sequence, in one operation."""
        raise NotImplementedError

    def call(self, inputs, states, training=False):
        """One step: (output, new states), the states as they came, in a list or bare."""
        several = isinstance(states, (list, tuple))
        states = list(states) if several else [states]
        masks = self.masks(inputs, states[0], training)
        if masks[1] is None and self.fuses(training):
            x = inputs if masks[0] is None else inputs * masks[0][0]
            new = list(self.whole(x[:, None], states, return_sequences=False)[1:])
        else:
            new = self._step(inputs, states, *masks)
        return new[0], new if several else new[0]

    def _step(self, x, states, masks, state_masks):
        raise NotImplementedError


class SimpleRNNCell(_Cell):
    """h = activation(x kernel + h recurrent_kernel + bias); output and state are h.

    cell(x, states) with x (batch, features) and states [h], h (batch, units), gives (h, [h]).
    """

    gates = 1

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, locals(), **kwargs)

    def fuses(self, training):
        return super().fuses(training) and self.activation in (activations.tanh, activations.relu)

    def whole(self, x, states, **how):
        how["activation"] = "relu" if self.activation is activations.relu else "tanh"
        return nn.simple_rnn(x, self.kernel, self.recurrent_kernel, self.bias, initial_state=states, **how)

    def _step(self, x, states, masks, state_masks):
        a = self._product(x, masks, self.kernel) + self._product(
            states[0], state_masks, self.recurrent_kernel
        )
        return [self.activation(a if self.bias is None else a + self.bias)]


class LSTMCell(_Cell):
    """One step of an LSTM, see `bp.nn.lstm`; the states are [h, c].

    unit_forget_bias: the forget gate's bias begins as 1 (Jozefowicz et al. 2015).
    """

    gates = 4

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, locals(), **kwargs)
        self.unit_forget_bias = unit_forget_bias

    @property
    def state_size(self):
        return [self.units, self.units]

    def _bias_start(self, shape, dtype=None):
        if not self.unit_forget_bias:
            return super()._bias_start(shape, dtype)
        parts = [self.bias_initializer((k * self.units,), dtype=dtype) for k in (1, 2)]
        return ops.concatenate([parts[0], ops.ones((self.units,), dtype=dtype), parts[1]])

    def fuses(self, training):
        return super().fuses(training) and _usual(self)

    def whole(self, x, states, **how):
        return nn.lstm(x, self.kernel, self.recurrent_kernel, self.bias, initial_state=states, **how)

    def _step(self, x, states, masks, state_masks):
        h, c = states
        a = self._product(x, masks, self.kernel) + self._product(h, state_masks, self.recurrent_kernel)
        i, f, g, o = ops.split(a if self.bias is None else a + self.bias, 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        return [self.recurrent_activation(o) * self.activation(c), c]


class GRUCell(_Cell):
    """One step of a GRU, see `bp.nn.gru`; the state is h.

    reset_after: the reset gate acts after the product with the state.
    """

    gates = 3

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        reset_after=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, locals(), **kwargs)
        self.reset_after = reset_after

    def _bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def fuses(self, training):
        return super().fuses(training) and _usual(self)

    def whole(self, x, states, **how):
        how["reset_after"] = self.reset_after
        return nn.gru(x, self.kernel, self.recurrent_kernel, self.bias, initial_state=states, **how)

    def _step(self, x, states, masks, state_masks):
        (h,), n, u = states, self.units, self.recurrent_kernel
        a = self._product(x, masks, self.kernel)
        inner = None
        if self.bias is not None:
            a, inner = (a + self.bias[0], self.bias[1]) if self.reset_after else (a + self.bias, None)
        gates = self._product(h, state_masks, u, 0, 2)
        if inner is not None:
            gates = gates + inner[: 2 * n]
        z, r = ops.split(self.recurrent_activation(a[:, : 2 * n] + gates), 2, axis=-1)
        if self.reset_after:
            q = self._product(h, state_masks, u, 2, 3)
            q = r * (q if inner is None else q + inner[2 * n :])
        else:
            q = self._product(r * h, state_masks, u, 2, 3)
        return [z * h + (1 - z) * self.activation(a[:, 2 * n :] + q)]


def _usual(cell):
    return cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid


class StackedRNNCells(Layer):
    """Cells on top of one another as one cell; the states are a list with those of each."""

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        self.cells = [layer_registry.get(cell) if isinstance(cell, dict) else cell for cell in cells]

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return output_size(self.cells[-1])

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell._build_for(tuple(input_shape))
            input_shape = (input_shape[0], output_size(cell))

    def get_initial_state(self, batch_size=None):
        """Zeros, one array or a list of them per cell."""
        return [initial_state(cell, batch_size, self._np_dtype) for cell in self.cells]

    def call(self, inputs, states, training=False):
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            bare = not isinstance(state, (list, tuple))
            how = {"training": training} if takes_training(cell) else {}
            inputs, after = cell(inputs, [state] if bare else list(state), **how)
            after = list(after) if isinstance(after, (list, tuple)) else [after]
            new.append(after[0] if bare else after)
        return inputs, new


# ------------------------------------------------------------------ what any cell tells
def output_size(cell):
    """The number of features of a cell's output."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state(cell, batch, dtype):
    """A cell's first states: its own, or zeros; bare where its state_size is one number."""
    make = getattr(cell, "get_initial_state", None)
    size = cell.state_size
    if make is not None:
        made = make(batch_size=batch)
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        return made if isinstance(size, (list, tuple)) else made[0]
    if isinstance(size, (list, tuple)):
        return [ops.zeros((batch, n), dtype=dtype) for n in size]
    return ops.zeros((batch, size), dtype=dtype)


def takes_training(cell):
    """Whether `training` may be given to a cell."""
    if isinstance(cell, Layer):
        return "training" in cell._takes
    return "training" in inspect.signature(cell).parameters
