"""Sequential: layers in a row."""

from .. import layers as layers_module
from ..errors import message
from ..layers.base import Layer, register
from ..layers.symbolic import SymbolicTensor
from .graph import makes_masks
from .model import Model


@register
class Sequential(Model):
    """A stack of layers, each with one input and one output.

    With a known input shape (an Input in front, or `input_shape`/`input_dim` on the first layer) every layer
    is built as it is added; otherwise the first data does it, or `build((None, features))`.

    >>> import tensorflowlite_bp as bp
    >>> model = bp.models.Sequential([bp.layers.Dense(4, input_dim=3, activation="relu"), bp.layers.Dense(1)])
    >>> model.count_params()
    21
    """

    _stack: list[Layer]

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(trainable=trainable, name=name)
        object.__setattr__(self, "_stack", [])
        self._input_shape = None  # with the batch axis
        self._shape = None  # of the last layer's output
        self._masked = False
        for layer in layers or ():
            self.add(layer)

    # ------------------------------------------------------------------ the stack
    def add(self, layer, rebuild=True):
        """Put a layer on top. Raises TypeError for what is no layer, ValueError for a name already taken."""
        if isinstance(layer, SymbolicTensor) and layer.layer is not None:
            layer = layer.layer
        if isinstance(layer, layers_module.InputLayer):
            self._start(layer)
            return
        if not isinstance(layer, Layer):
            raise TypeError(
                message(
                    "Sequential.add",
                    "a layer was expected.",
                    received=f"{layer!r} of type {type(layer).__name__}",
                    hint="did you forget the parentheses?" if isinstance(layer, type) else None,
                )
            )
        if any(layer.name == known.name for known in self._stack):
            raise ValueError(
                message(
                    "Sequential.add",
                    "every layer needs a name of its own.",
                    received=f"a second {layer.name!r}",
                    hint="pass name=...; the same layer object cannot be added twice either.",
                )
            )
        if not self._stack and self._input_shape is None and layer._input_shape_arg is not None:
            self._input_shape = self._shape = (None, *layer._input_shape_arg)
        if self._shape is not None:
            self._shape = self._append_built(layer, self._shape)
        self._stack.append(layer)
        self._masked = self._masked or makes_masks(layer)
        self.built = self._shape is not None

    def pop(self, rebuild=True):
        """Take the last layer off, and give it."""
        if not self._stack:
            raise IndexError(message("Sequential.pop", "there is no layer to take off."))
        layer = self._stack.pop()
        self._shape = None
        self.built = False
        if self._input_shape is not None and self._stack:
            self.build(self._input_shape)
        return layer

    def _start(self, layer):
        if self._stack or self._input_shape is not None:
            raise ValueError(
                message(
                    "Sequential.add",
                    "an Input can only be the first, and only once.",
                    received=f"an input of shape {layer.batch_shape}",
                )
            )
        self._input_shape = self._shape = tuple(layer.batch_shape)

    @property
    def layers(self):
        return list(self._stack)

    def _sublayers(self):
        return self.__dict__.get("_stack", [])

    # ------------------------------------------------------------------ building and calling
    def build(self, input_shape=None):
        """Build every layer for inputs of this shape, batch first. Raises ShapeError where two layers do not
        fit.
        """
        input_shape = input_shape if input_shape is not None else self._input_shape
        if input_shape is None:
            raise ValueError(
                message("Sequential.build", "an input shape was expected: build((None, features)).")
            )
        if not self._stack:
            raise ValueError(
                message("Sequential.build", f"{self.name!r} has no layers.", hint="model.add(layer)")
            )
        shape = (None, *tuple(input_shape)[1:])
        self._input_shape = shape
        for layer in self._stack:
            shape = self._append_built(layer, shape)
        self._shape = shape
        self.built = True

    def _build_for(self, shapes):
        self.build(shapes)

    def _append_built(self, layer, shape):
        """Build a layer for this shape; the shape of its output."""
        if not layer.built:
            layer._build_for(shape)
        return tuple(layer.compute_output_shape(shape))

    def call(self, inputs, training=None, mask=None):
        """One layer after the other. `training` reaches the layers through the call's context."""
        if self._masked or mask is not None:
            return self._call_masked(inputs, mask)
        x = inputs
        for layer in self._stack:
            x = layer(x)
        return x

    def _call_masked(self, x, mask):
        for layer in self._stack:
            y = layer(x, mask=mask) if mask is not None and "mask" in layer._takes else layer(x)
            mask = layer.compute_mask(x, mask)
            x = y
        return x

    def compute_output_shape(self, input_shape):
        shape = input_shape
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def input_shape(self):
        """With the batch axis: `(None, 784)`."""
        return self._known(self._input_shape, "input")

    @property
    def output_shape(self):
        """With the batch axis: `(None, 10)`."""
        return self._known(self._shape, "output")

    def _known(self, shape, what):
        if shape is None:
            raise AttributeError(
                message(
                    "Sequential", f"{self.name!r} has no defined {what} shape yet.", hint="build it first."
                )
            )
        return shape

    # ------------------------------------------------------------------ configuration
    def get_config(self):
        """{"name", "trainable", "layers", "build_input_shape"}; each layer as {"class_name", "config"}."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [layers_module.serialize(layer) for layer in self._stack],
            "build_input_shape": self._input_shape,
        }

    @classmethod
    def from_config(cls, config):
        """A model of the same architecture with new weights. Only registered layers are made."""
        model = cls(name=config["name"])
        for layer in config["layers"]:
            model.add(layers_module.deserialize(layer))
        shape = config.get("build_input_shape")
        if shape is not None:
            shape = tuple(shape)
            if model.built and shape != model._input_shape:
                raise ValueError(
                    message(
                        "Sequential.from_config",
                        f"the layers say the input is {model._input_shape}.",
                        received=f"build_input_shape {shape}",
                    )
                )
            if not model.built and model._stack:
                model.build(shape)
        if not config.get("trainable", True):
            model.trainable = False
        return model
