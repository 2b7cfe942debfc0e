"""Dense, Embedding, Activation and the activation layers, Input."""

import numpy as np

from .. import constraints, initializers, nn, ops, regularizers
from ..backend.batched import at_hand
from ..errors import DTypeError, ShapeError, message
from . import activations
from .base import Layer
from .symbolic import SymbolicTensor, check_shape


class Dense(Layer):
    """Fully connected: activation(x @ kernel + bias). x: (..., features) -> (..., units).

    Raises ShapeError when the last axis differs from the one the layer was built for.

    >>> Dense(4)(np.ones((2, 3))).shape
    (2, 4)
    """

    casts_integers = True
    supports_masking = True

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = positive(self._label(), "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel = self.bias = None
        self._features = None
        self._activation = None if self.activation is activations.linear else self.activation

    def build(self, input_shape):
        if not input_shape or input_shape[-1] is None:
            raise ShapeError(
                message(
                    self._label(),
                    "the last axis of the input must be known.",
                    received=str(tuple(input_shape)),
                )
            )
        self._features = int(input_shape[-1])
        self.kernel = self.add_weight(
            (self._features, self.units),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, x):
        if x.data.shape[-1:] != (self._features,):
            _raise_last_axis(self, x)
        return nn.linear(x, self.kernel, self.bias, activation=self._activation)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


class Embedding(Layer):
    """Rows of a table by index: (...) integers -> (..., output_dim). With mask_zero, index 0 is padding
    (`compute_mask`).

    Raises ValueError naming the first index outside [0, input_dim).
    """

    autocast = False

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        input_length=None,
        **kwargs,
    ):
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        self.input_dim = positive(self._label(), "input_dim", input_dim)
        self.output_dim = positive(self._label(), "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.input_length = input_length

    _alias_config = frozenset({"batch_input_shape", "batch_size", "input_length"})

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            name="embeddings",
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, indices):
        raw = indices.data
        if raw.dtype.kind not in "iu":
            if raw.dtype.kind != "f":
                _raise_indices(self, raw)
            raw = raw.astype(np.int64)  # Keras takes whole floats too
            indices = ops.asarray(raw)
        if raw.size and at_hand(raw) and (raw.min() < 0 or raw.max() >= self.input_dim):
            _raise_range(self, raw)
        return nn.embedding(indices, self.embeddings)

    def compute_mask(self, inputs, previous_mask=None):
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)


class Masking(Layer):
    """Marks the steps of (batch, steps, features) whose features all equal mask_value, and sets them to 0:
    layers that take a mask (recurrent ones) skip them.
    """

    supports_masking = True

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, x):
        return ops.where(ops.any(x != self.mask_value, axis=-1, keepdims=True), x, 0.0)

    def compute_mask(self, inputs, previous_mask=None):
        return ops.any(inputs != self.mask_value, axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


class Activation(Layer):
    """A function by name ("relu"), or any function of a Tensor, as a layer."""

    supports_masking = True

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x):
        return self.activation(x)

    def compute_output_shape(self, input_shape):
        return input_shape


class _Elementwise(Layer):
    """What the activation layers share: the output has the input's shape."""

    supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape


class ReLU(_Elementwise):
    """x above threshold (at most max_value), negative_slope * (x - threshold) below."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x):
        if self.threshold:
            y = ops.where(x > self.threshold, x, self.negative_slope * (x - self.threshold))
        else:
            y = nn.leaky_relu(x, self.negative_slope) if self.negative_slope else nn.relu(x)
        return y if self.max_value is None else ops.minimum(y, self.max_value)


class LeakyReLU(_Elementwise):
    """x where positive, negative_slope * x elsewhere. `alpha` is the older spelling."""

    _alias_config = frozenset({"input_dim", "batch_input_shape", "batch_size", "alpha"})

    def __init__(self, negative_slope=0.3, alpha=None, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope if alpha is None else alpha

    def call(self, x):
        return nn.leaky_relu(x, self.negative_slope)


class ELU(_Elementwise):
    """x where positive, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, x):
        return nn.elu(x, self.alpha)


class Softmax(_Elementwise):
    """exp(x) over its sum along `axis`; positions where `mask` is False get nothing."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, x, mask=None):
        if mask is not None:
            x = ops.where(mask, x, -3e4 if self.dtype == "float16" else -1e9)
        return nn.softmax(x, axis=self.axis)


class PReLU(_Elementwise):
    """x where positive, alpha * x elsewhere; alpha is learned, per feature (shared along `shared_axes`)."""

    def __init__(
        self,
        alpha_initializer="zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = (shared_axes,) if isinstance(shared_axes, int) else shared_axes

    def build(self, input_shape):
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            tuple(shape),
            name="alpha",
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, x):
        return nn.relu(x) - self.alpha * nn.relu(-x)


class Identity(_Elementwise):
    """The input itself."""

    autocast = False

    def call(self, x):
        return x


class InputLayer(Layer):
    """The declaration of an input's shape. shape: of one sample; batch_shape: with the batch axis."""

    autocast = False

    def __init__(
        self, shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, input_shape=None, **kwargs
    ):
        super().__init__(name=name, dtype=dtype, **kwargs)
        shape = shape if shape is not None else input_shape
        if (shape is None) == (batch_shape is None):
            raise ValueError(message(self._label(), "either shape or batch_shape was expected."))
        if batch_shape is None:
            batch_shape = (batch_size, *check_shape(self._label(), shape))
        self.batch_shape = tuple(batch_shape)
        self.shape = self.batch_shape[1:]
        self.batch_size = self.batch_shape[0]
        self._input_shape_arg = self.shape
        self.built = True
        self.output = SymbolicTensor(self.batch_shape, self.dtype, name=self.name, layer=self)

    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        return self.batch_shape

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "batch_shape": self.batch_shape}


def Input(shape=None, batch_size=None, dtype=None, batch_shape=None, name=None):
    """A symbolic input for `Sequential([Input((784,)), ...])` and for functional models.

    >>> Input((784,)).shape
    (None, 784)
    """
    return InputLayer(shape, batch_size=batch_size, dtype=dtype, batch_shape=batch_shape, name=name).output


# ----------------------------------------------------------------------- helpers
def positive(where, name, value):
    """A whole number above 0, as int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(message(where, f"{name} must be a whole number above 0.", received=repr(value)))
    return int(value)


def _raise_last_axis(layer, x):
    kernel = tuple(layer.kernel.shape)
    if x.ndim < 2:
        hint = "a batch axis in front was expected: x[None] makes a batch of one."
    else:
        hint = (
            f"the layer was built for {kernel[0]} features; the data has {x.shape[-1]}. Was a column dropped?"
        )
    raise ShapeError(
        message(
            layer._label(),
            "the input's last axis must match the kernel's first.",
            received=f"input {tuple(x.shape)}, kernel {kernel}",
            hint=hint,
        )
    )


def _raise_indices(layer, raw):
    raise DTypeError(message(layer._label(), "integer indices were expected.", received=f"dtype {raw.dtype}"))


def _raise_range(layer, raw):
    wrong = raw[(raw < 0) | (raw >= layer.input_dim)]
    raise ValueError(
        message(
            layer._label(),
            f"indices from 0 to {layer.input_dim - 1} were expected.",
            received=f"index {int(wrong[0])}",
            hint="input_dim is the size of the vocabulary: the largest index plus one.",
        )
    )
