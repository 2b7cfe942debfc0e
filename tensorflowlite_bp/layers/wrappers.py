"""Layers around layers: both directions of a sequence, and the same layer at every step."""

from .. import ops
from ..errors import ShapeError, message
from .base import Layer, layer_registry
from .trees import leaves

MERGES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """A recurrent layer in both directions (Schuster and Paliwal 1997), their outputs merged.

    layer: a recurrent layer, of which two new ones are made from its config; backward_layer: the second one,
    where it is to be another, that goes the other way. merge_mode: "concat", "sum", "mul", "ave", or None for
    both outputs as a tuple. With return_state the states of both follow. A masked step gives zeros where
    sequences are returned.

    >>> import numpy as np
    >>> from tensorflowlite_bp.layers import LSTM
    >>> Bidirectional(LSTM(4, return_sequences=True))(np.ones((2, 3, 5))).shape
    (2, 3, 8)
    """

    supports_masking = _hands_masks_on = True

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(**kwargs)
        layer, backward_layer = _as_layer(layer), _as_layer(backward_layer)
        for given in (layer, backward_layer):
            if given is not None and not hasattr(given, "go_backwards"):
                raise ValueError(
                    message(self._label(), "a recurrent layer was expected.", received=repr(given))
                )
        if merge_mode not in MERGES:
            raise ValueError(
                message(self._label(), f"merge_mode must be one of {MERGES}.", received=repr(merge_mode))
            )
        self.merge_mode = merge_mode
        self.forward_layer = _renamed(layer, "forward")
        self.backward_layer = (
            _renamed(layer, "backward", go_backwards=True) if backward_layer is None else backward_layer
        )
        both = self.forward_layer, self.backward_layer
        if both[0].go_backwards == both[1].go_backwards:
            raise ValueError(
                message(
                    self._label(),
                    "the two layers must go in two directions.",
                    received=f"go_backwards={both[0].go_backwards} in both",
                )
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(both[0], name) != getattr(both[1], name):
                raise ValueError(
                    message(
                        self._label(),
                        f"{name} must be the same in both layers.",
                        received=f"{getattr(both[0], name)} and {getattr(both[1], name)}",
                    )
                )
        for direction in both:
            direction.zero_output_for_mask = direction.return_sequences
        self._given = backward_layer is not None
        self._start = weights

    @property
    def return_sequences(self):
        return self.forward_layer.return_sequences

    @property
    def return_state(self):
        return self.forward_layer.return_state

    @property
    def stateful(self):
        return self.forward_layer.stateful

    def reset_state(self):
        """Begin with zeros again (stateful)."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def build(self, sequences_shape):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer._build_for(tuple(sequences_shape))
        if self._start:
            half = len(self._start) // 2
            self.forward_layer.set_weights(self._start[:half])
            self.backward_layer.set_weights(self._start[half:])

    def call(self, sequences, initial_state=None, mask=None, training=None):
        ahead = behind = None
        if initial_state is not None:
            half = len(initial_state) // 2
            ahead, behind = initial_state[:half], initial_state[half:]
        how = {"mask": mask, "training": training}
        one = self.forward_layer(sequences, initial_state=ahead, **how)
        two = self.backward_layer(sequences, initial_state=behind, **how)
        states = ()
        if self.return_state:
            (one, *a), (two, *b) = one, two
            states = (*a, *b)
        if self.return_sequences:
            two = ops.flip(two, axis=1)
        out = self._merged(one, two)
        if not self.return_state:
            return out
        return (*(out if self.merge_mode is None else (out,)), *states)

    def _merged(self, one, two):
        if self.merge_mode == "concat":
            return ops.concatenate([one, two], -1)
        if self.merge_mode == "mul":
            return one * two
        if self.merge_mode is None:
            return one, two
        return (one + two) / 2 if self.merge_mode == "ave" else one + two

    def compute_output_shape(self, sequences_shape):
        out = self.forward_layer.compute_output_shape(sequences_shape)
        states = ()
        if self.return_state:
            out, *states = out
            states = (*states, *states)
        if self.merge_mode == "concat":
            out = (*out[:-1], 2 * out[-1])
        outs = (out, out) if self.merge_mode is None else (out,)
        return (*outs, *states) if len(outs) > 1 or self.return_state else out

    def compute_mask(self, inputs, previous_mask=None):
        out = leaves(previous_mask)[0] if self.return_sequences else None
        outs = [out, out] if self.merge_mode is None else [out]
        if self.return_state:
            return outs + [None] * (2 * len(self.forward_layer.state_size))
        return outs if len(outs) > 1 else out

    def get_config(self):
        config = super().get_config()
        config.pop("weights", None)
        config["layer"] = layer_registry.serialize(self.forward_layer)
        config["backward_layer"] = layer_registry.serialize(self.backward_layer) if self._given else None
        return config


class TimeDistributed(Layer):
    """A layer at every step: (batch, steps, ...) -> (batch, steps, *its output).

    All steps are one batch of it; a layer with statistics (BatchNormalization) sees one after the other.

    >>> import numpy as np
    >>> from tensorflowlite_bp.layers import Dense
    >>> TimeDistributed(Dense(4))(np.ones((2, 3, 5))).shape
    (2, 3, 4)
    """

    supports_masking = True

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = _as_layer(layer)
        if not isinstance(self.layer, Layer):
            raise ValueError(message(self._label(), "a layer was expected.", received=repr(layer)))

    def build(self, input_shape):
        self._check(input_shape)
        if not self.layer.built:
            self.layer._build_for((input_shape[0], *input_shape[2:]))

    def _check(self, shape):
        if len(shape) < 3:
            raise ShapeError(
                message(
                    self._label(),
                    "an input (batch, steps, ...) of at least three axes was expected.",
                    received=str(tuple(shape)),
                )
            )

    def call(self, inputs, training=None, mask=None):
        self._check(inputs.shape)
        batch, steps = inputs.shape[:2]
        if mask is not None and mask.shape[:2] != (batch, steps):
            raise ShapeError(
                message(
                    self._label(),
                    f"the mask must begin with {(batch, steps)}.",
                    received=f"a mask of shape {tuple(mask.shape)}",
                )
            )
        masks = mask is not None and "mask" in self.layer._takes
        trains = {"training": training} if "training" in self.layer._takes else {}
        if any(not v.made_trainable for v in self.layer.weights):
            each = [
                self.layer(inputs[:, t], **({"mask": mask[:, t]} if masks else {}), **trains)
                for t in range(steps)
            ]
            return ops.stack(each, 1)
        one = inputs.reshape((batch * steps, *inputs.shape[2:]))
        how = {"mask": mask.reshape((batch * steps, *mask.shape[2:]))} if masks else {}
        out = self.layer(one, **how, **trains)
        return out.reshape((batch, steps, *out.shape[1:]))

    def compute_output_shape(self, input_shape):
        self._check(input_shape)
        out = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (out[0], input_shape[1], *out[1:])


def _as_layer(layer):
    return layer_registry.get(layer) if isinstance(layer, dict) else layer


def _renamed(layer, direction, **changes):
    """A new layer of the same config; its name says the direction."""
    config = {**layer.get_config(), **changes}
    config["name"] = f"{direction}_{config['name'].removeprefix(direction + '_')}"
    return type(layer).from_config(config)
