"""Model: a Layer that can be trained, summarised and saved."""

import inspect

import numpy as np

from .. import ops, saving
from ..autograd.modes import no_grad
from ..errors import NotBuiltError, message
from ..layers.base import Layer, register
from .graph import Graph, leaves
from .summary import print_summary
from .trainer import Trainer


@register
class Model(Trainer, Layer):
    """A network: subclass it and define `call`, or give it symbolic `inputs` and `outputs`.

    The weights are made on the first call, or by `build(input_shape)`.

    >>> import tensorflowlite_bp as bp
    >>> class Regression(bp.models.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense = bp.layers.Dense(1)
    ...     def call(self, x):
    ...         return self.dense(x)
    >>> Regression().predict(np.ones((2, 3)), verbose=0).shape
    (2, 1)
    """

    def __init__(self, inputs=None, outputs=None, **kwargs):
        super().__init__(**kwargs)
        self._graph = None
        if inputs is not None or outputs is not None:
            self._graph = Graph(inputs, outputs)
            self.output_names = self._graph.output_names
            self.built = True

    @property
    def layers(self):
        """The direct sublayers, in the order they were attached."""
        return self._sublayers()

    def _sublayers(self):
        graph = self.__dict__.get("_graph")
        if graph is None:
            return super()._sublayers()
        found = graph.layers
        return found + [x for x in super()._sublayers() if all(x is not known for known in found)]

    def get_layer(self, name=None, index=None):
        """The layer of this name, or at this index. Raises ValueError naming the layers there are."""
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(message("get_layer", "either a name or an index was expected."))
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    message("get_layer", f"the model has {len(layers)} layers.", received=f"index={index}")
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            message(
                "get_layer",
                "there is no layer of that name.",
                received=repr(name),
                hint=f"the layers are {', '.join(layer.name for layer in layers)}.",
            )
        )

    # ------------------------------------------------------------------ building
    def build(self, input_shape=None):
        """Make the weights for inputs of this shape, batch first: `model.build((None, 784))`.

        A subclass's sublayers are built by a trial call with zeros.
        """
        if self._graph is not None or input_shape is None:
            return
        with no_grad():
            self(trial_inputs(input_shape, self._np_dtype), training=False)

    def _build_for(self, shapes):
        if type(self).build is not Model.build:  # a trial call would only repeat the call that asks for this
            self.build(shapes)
        self.built = True
        object.__setattr__(self, "_build_shape", shapes)

    def call(self, inputs, training=None):
        """The outputs for a batch of inputs. A subclass defines it."""
        if self._graph is None:
            raise NotImplementedError(
                message(
                    type(self).__name__,
                    "a subclass of Model must define call(self, inputs).",
                    hint="or give Model symbolic inputs and outputs, or use Sequential.",
                )
            )
        return self._graph(inputs)

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of this shape."""
        if self._graph is not None:
            shapes = [t.shape for t in leaves(self._graph.outputs)]
            return shapes[0] if len(shapes) == 1 else shapes
        return super().compute_output_shape(input_shape)

    @property
    def inputs(self):
        """The symbolic inputs of a functional model."""
        return self._require_graph("inputs").inputs

    @property
    def outputs(self):
        """The symbolic outputs of a functional model."""
        return self._require_graph("outputs").outputs

    def _require_graph(self, what):
        if self._graph is None:
            raise AttributeError(
                message(type(self).__name__, f"only a functional model has {what}.", hint="see Model.layers.")
            )
        return self._graph

    def require_weights(self, where):
        """Raise NotBuiltError unless the weights exist."""
        unbuilt = [
            layer.name for layer in self._flatten_layers() if not layer.built and layer is not self
        ]  # sublayers that no call has reached
        if not self.built or (unbuilt and not self.weights):
            raise NotBuiltError(
                message(
                    where,
                    f"{type(self).__name__} {self.name!r} has no weights yet.",
                    hint="call it on data, fit it, or build it with model.build((None, features)).",
                )
            )

    def get_weights(self):
        """The values of `weights` as NumPy arrays. Raises NotBuiltError before there are any."""
        self.require_weights("get_weights")
        return super().get_weights()

    def set_weights(self, weights):
        """Set all weights from arrays in the order of `weights`; all or none. Raises ShapeError,
        NotBuiltError.
        """
        self.require_weights("set_weights")
        super().set_weights(weights)

    # ------------------------------------------------------------------ description, saving
    def summary(self, line_length=None, print_fn=None, expand_nested=False, show_trainable=False):
        """Print a table of the layers, their output shapes and their numbers of parameters.

        print_fn: called with the text in place of printing. Before the model is built, shapes are shown as
        "?".
        """
        print_summary(
            self,
            line_length=line_length,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
        )

    def save_weights(self, filepath, overwrite=True):
        """Write the weights to a safetensors file, all or nothing. Raises NotBuiltError, SavingError,
        OSError.
        """
        saving.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath):
        """Read the weights from a safetensors file, of weights or of a whole model.

        Raises SavingError naming what differs (the file is damaged, names, shapes or dtypes do not fit); the
        model is then as it was.
        """
        saving.load_weights(self, filepath)

    def save(self, filepath, overwrite=True, include_optimizer=True):
        """Write architecture, weights, compile arguments and optimizer state to one safetensors file.

        `bp.models.load_model` reads it. Raises SavingError for what has no form in JSON (a subclass without
        get_config).
        """
        saving.save_model(self, filepath, overwrite=overwrite, include_optimizer=include_optimizer)

    def get_config(self):
        """Arguments of the constructor. A subclass with arguments that are not plain values defines it
        itself.
        """
        if type(self) is Model:
            from .functional_config import graph_config

            return {
                "name": self.name,
                "trainable": self.trainable,
                **graph_config(self._require_graph("a config")),
            }
        config = super().get_config()
        parameters = inspect.signature(type(self).__init__).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return config
        taken = {p.name for p in parameters}
        return {name: value for name, value in config.items() if name in taken}

    @classmethod
    def from_config(cls, config):
        """The model of a config: untrained, with new weights."""
        if cls is Model:
            from .functional_config import graph_from_config

            return graph_from_config(cls, config)
        return super().from_config(config)


def trial_inputs(shape, dtype):
    """Zeros of a shape, or of a list or dict of shapes; None becomes 1."""
    if isinstance(shape, dict):
        return {name: trial_inputs(s, dtype) for name, s in shape.items()}
    if isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], (list, tuple)):
        return [trial_inputs(s, dtype) for s in shape]
    return ops.asarray(np.zeros(tuple(1 if n is None else int(n) for n in shape), dtype))
