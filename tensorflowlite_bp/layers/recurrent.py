"""Recurrent layers: RNN around any cell, SimpleRNN, LSTM and GRU.

The three run a whole sequence as one operation of `bp.nn` where the cell allows it; other cells go step by
step.
"""

import inspect
from typing import Any

from .. import ops
from ..errors import ShapeError, message
from .base import Layer, layer_registry
from .recurrent_cells import (
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    held_masks,
    initial_state,
    output_size,
    takes_training,
)
from .trees import any_symbolic, leaves, map_tensors


class RNN(Layer):
    """A cell over the steps of a sequence: (batch, steps, features) -> (batch, units).

    cell: has state_size, and gives (output, new states) for (inputs of a step, states); or a list of such
    (StackedRNNCells). return_sequences: the outputs of all steps, (batch, steps, units). return_state: the
    last states as well, a tuple. go_backwards: from the last step; outputs in that order. stateful: a batch
    begins with the last states of the one before, until `reset_state()`. unroll: taken as Keras takes it, no
    matter here. zero_output_for_mask: masked steps give zeros, not the output before them. When called:
    initial_state, zeros by default; mask, (batch, steps) bool, False where a step is skipped.

    >>> import numpy as np
    >>> RNN([LSTMCell(3), GRUCell(2)], return_sequences=True)(np.ones((4, 5, 6))).shape
    (4, 5, 2)
    """

    supports_masking = _hands_masks_on = True
    cell: Any
    states: Any = None  # of the batch before, where stateful; not among the weights

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(cell, dict):
            cell = layer_registry.get(cell)
        self.cell = StackedRNNCells(cell, dtype=self.dtype) if isinstance(cell, (list, tuple)) else cell
        if not callable(self.cell) or getattr(self.cell, "state_size", None) is None:
            raise ValueError(
                message(
                    self._label(),
                    "a cell that can be called and has a state_size was expected.",
                    received=repr(cell),
                    hint="an integer, or a list with one for each state.",
                )
            )
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask

    @property
    def state_size(self):
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    # ------------------------------------------------------------------ shapes, masks
    def build(self, sequences_shape):
        shape = _first(sequences_shape)
        if len(shape) < 3:
            _raise_rank(self, shape)
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell._build_for((*shape[:1], *shape[2:]))

    def compute_output_shape(self, sequences_shape):
        shape = _first(sequences_shape)
        batch, units = shape[0], output_size(self.cell)
        out = (batch, shape[1], units) if self.return_sequences else (batch, units)
        if not self.return_state:
            return out
        return (out, *[_state_shape(size, batch) for size in self.state_size])

    def compute_mask(self, inputs, previous_mask=None):
        mask = leaves(previous_mask)[0]
        out = mask if self.return_sequences else None
        return [out] + [None] * len(self.state_size) if self.return_state else out

    # ------------------------------------------------------------------ states
    def get_initial_state(self, batch_size):
        """The first states of a batch, in a list."""
        made = initial_state(self.cell, batch_size, self._np_dtype)
        return made if isinstance(made, list) else [made]

    def reset_state(self):
        """Begin with zeros again (stateful)."""
        object.__setattr__(self, "states", None)

    reset_states = reset_state

    def _first_states(self, x, given):
        if given is not None:
            states = list(given) if isinstance(given, (list, tuple)) else [given]
            return map_tensors(lambda s: ops.astype(ops.asarray(s), x.dtype), states)
        if self.stateful and self.states is not None:
            held = leaves(self.states)[0].shape[0]
            if held != x.shape[0]:
                raise ShapeError(
                    message(
                        self._label(),
                        "a stateful layer needs batches of one size.",
                        received=f"{x.shape[0]} samples after {held}",
                        hint="reset_state() begins anew.",
                    )
                )
            return map_tensors(lambda s: s, self.states)
        made = self.get_initial_state(x.shape[0])
        return map_tensors(lambda s: s if s.device == x.device else s.to(x.device), made)

    # ------------------------------------------------------------------ calling
    def __call__(self, inputs, initial_state=None, **kwargs):
        """See the class. Symbolic states become inputs: a decoder may begin with an encoder's."""
        if initial_state is None:
            return super().__call__(inputs, **kwargs)
        states = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        if any_symbolic(states):
            return super().__call__([inputs, *states], **kwargs)
        return super().__call__(inputs, initial_state=states, **kwargs)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if isinstance(sequences, (list, tuple)):
            sequences, *initial_state = sequences
            mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if sequences.ndim < 3 or not sequences.shape[1]:
            _raise_rank(self, sequences.shape)
        begun = initial_state is not None or (self.stateful and self.states is not None)
        states = self._first_states(sequences, initial_state)
        mask = None if mask is None else ops.astype(ops.asarray(mask), bool)
        with held_masks():
            out, states = self._run(sequences, states, mask, training, begun)
        if self.stateful:
            object.__setattr__(self, "states", map_tensors(lambda s: s.detach(), list(states)))
        return (out, *states) if self.return_state else out

    def _run(self, x, states, mask, training, begun):
        """(outputs, or the last; last states)."""
        order = range(x.shape[1])
        outputs, out = [], None
        how = {"training": training} if takes_training(self.cell) else {}
        bare = not isinstance(self.cell.state_size, (list, tuple))
        for t in reversed(order) if self.go_backwards else order:
            before = out
            out, new = self.cell(x[:, t], states, **how)
            new = [new] if bare and not isinstance(new, (list, tuple)) else list(new)
            if mask is not None:
                on = mask[:, t]
                zeros = before is None or self.zero_output_for_mask
                out = _chosen(on, out, ops.zeros_like(out) if zeros else before)
                new = _chosen(on, new, states)
            states = new
            if self.return_sequences:
                outputs.append(out)
        return (ops.stack(outputs, 1) if self.return_sequences else out), states


def _chosen(on, new, old):
    """`new` where a step counts, `old` elsewhere; trees of states."""
    if isinstance(new, (list, tuple)):
        return [_chosen(on, n, o) for n, o in zip(new, old, strict=True)]
    return ops.where(on.reshape(on.shape + (1,) * (new.ndim - 1)), new, old)


def _state_shape(size, batch):
    return [(batch, n) for n in size] if isinstance(size, (list, tuple)) else (batch, size)


def _first(shapes):
    """The shape of the sequences, where those of states may follow."""
    return tuple(shapes[0] if isinstance(shapes[0], (list, tuple)) else shapes)


def _raise_rank(layer, shape):
    raise ShapeError(
        message(
            layer._label(),
            "sequences (batch, steps, features) of at least one step were expected.",
            received=str(tuple(shape)),
            hint="x[..., None] makes sequences of numbers sequences of one feature."
            if len(shape) == 2
            else None,
        )
    )


# ------------------------------------------------------------------ SimpleRNN, LSTM, GRU
class _OfUnits(RNN):
    """Base: makes its cell, and shows what the cell was made with as its own."""

    cell_class: type
    cell_name: str
    _alias_config = frozenset({*RNN._alias_config, "implementation"})

    def __init__(self, given, kwargs):
        names = inspect.signature(self.cell_class.__init__).parameters.keys() - {"self", "kwargs"}
        own = {k: v for k, v in given.items() if k not in ("self", "kwargs", "__class__")}
        of_cell = {k: own.pop(k) for k in list(own) if k in names}
        of_cell.update({k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs})
        kwargs.pop("implementation", None)
        use_cudnn = own.pop("use_cudnn", "auto")
        cell = self.cell_class(**of_cell, name=self.cell_name)
        super().__init__(cell, **own, **kwargs)
        self.use_cudnn = use_cudnn

    def __getattr__(self, name):  # units, activation, kernel_initializer, ...
        cell = self.__dict__.get("cell")
        if cell is None or name not in inspect.signature(self.cell_class.__init__).parameters:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(cell, name)

    def _run(self, x, states, mask, training, begun):
        fuses = self.use_cudnn is not False and self.cell.fuses(training)
        if not fuses:
            if self.use_cudnn is True:
                raise ValueError(
                    message(
                        self._label(),
                        "use_cudnn=True asks for the whole sequence as one operation.",
                        received="other activations than Keras' defaults, or a recurrent_dropout",
                        hint='use_cudnn="auto" takes it where it can.',
                    )
                )
            return super()._run(x, states, mask, training, begun)
        drop = self.cell.masks(x[:, 0], states[0], training)[0]
        out, *states = self.cell.whole(
            x if drop is None else x * drop[0][:, None],
            states,
            mask=mask,
            go_backwards=self.go_backwards,
            return_sequences=self.return_sequences,
        )
        if mask is not None and (begun or self.zero_output_for_mask):
            out = self._masked(out, mask)
        return out, states

    def _masked(self, out, mask):
        """A masked step repeats the output before it; the first have none: zeros, and not the state."""
        order = mask[:, ::-1] if self.go_backwards else mask
        on = order if self.zero_output_for_mask else ops.cumsum(ops.astype(order, int), axis=1) > 0
        return ops.where(on[..., None] if self.return_sequences else on[:, -1:], out, 0.0)


class SimpleRNN(_OfUnits):
    """Fully connected, its output fed back: h = activation(x kernel + h recurrent_kernel + bias).

    >>> import numpy as np
    >>> SimpleRNN(4)(np.ones((2, 3, 5))).shape
    (2, 4)
    """

    cell_class, cell_name = SimpleRNNCell, "simple_rnn_cell"

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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), kwargs)


class LSTM(_OfUnits):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), see `bp.nn.lstm`; the states are h and c.

    use_cudnn: False runs it step by step; True raises where the whole sequence is not one operation.

    >>> import numpy as np
    >>> out, h, c = LSTM(4, return_state=True)(np.ones((2, 3, 5)))
    >>> out.shape, c.shape
    ((2, 4), (2, 4))
    """

    cell_class, cell_name = LSTMCell, "lstm_cell"

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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        super().__init__(locals(), kwargs)


class GRU(_OfUnits):
    """Gated recurrent unit (Cho et al. 2014), see `bp.nn.gru`.

    reset_after: the reset gate acts after the product with the state, as in cuDNN. use_cudnn: as in LSTM.

    >>> import numpy as np
    >>> GRU(4, return_sequences=True)(np.ones((2, 3, 5))).shape
    (2, 3, 4)
    """

    cell_class, cell_name = GRUCell, "gru_cell"

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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        reset_after=True,
        use_cudnn="auto",
        **kwargs,
    ):
        super().__init__(locals(), kwargs)
