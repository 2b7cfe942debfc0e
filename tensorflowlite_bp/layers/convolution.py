"""Conv1D, Conv2D, Conv3D: one class, parametrised by the number of spatial axes. And what pooling shares with
them.
"""

from .. import constraints, initializers, nn, ops, regularizers
from ..errors import ShapeError, message
from . import activations
from .base import Layer
from .core import positive


class Spatial(Layer):
    """Base of layers over `rank` spatial axes between the batch and the channels.

    data_format "channels_first" is served by moving the channels last and back; "channels_last" is faster.
    """

    rank: int
    casts_integers = True

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                message(
                    self._label(),
                    'data_format must be "channels_last" or "channels_first".',
                    received=repr(data_format),
                )
            )
        self._first = self.data_format == "channels_first"

    def _last(self, x):
        if x.data.ndim != self.rank + 2:
            _raise_rank(self, x.shape)
        return ops.moveaxis(x, 1, -1) if self._first else x

    def _back(self, x):
        return ops.moveaxis(x, -1, 1) if self._first else x

    def _split(self, shape):
        """(batch, spatial axes, channels) of a shape in this data format."""
        if len(shape) != self.rank + 2:
            _raise_rank(self, shape)
        return (
            (shape[0], tuple(shape[2:]), shape[1])
            if self._first
            else (shape[0], tuple(shape[1:-1]), shape[-1])
        )

    def _join(self, batch, space, channels):
        return (batch, channels, *space) if self._first else (batch, *space, channels)


class _Conv(Spatial):
    """Convolution (cross-correlation) over `rank` axes: (batch, *space, channels) -> (batch, *new space,
    filters).

    kernel: (*kernel_size, channels // groups, filters). padding: "valid", "same", and for Conv1D "causal".
    Raises ShapeError when the channels differ from those the layer was built for.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
        super().__init__(data_format, **kwargs)
        where = self._label()
        self.filters = positive(where, "filters", filters)
        self.groups = positive(where, "groups", groups)
        self.kernel_size = per_axis(where, "kernel_size", kernel_size, self.rank)
        self.strides = per_axis(where, "strides", strides, self.rank)
        self.dilation_rate = per_axis(where, "dilation_rate", dilation_rate, self.rank)
        self.padding = check_padding(
            where, padding, ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        )
        if self.filters % self.groups:
            raise ValueError(
                message(
                    where,
                    "filters must be divisible by groups.",
                    received=f"{filters} filters, {groups} groups",
                )
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel = self.bias = None
        self._channels = None
        self._activation = None if self.activation is activations.linear else self.activation

    def build(self, input_shape):
        channels = self._split(input_shape)[2]
        if channels is None or channels % self.groups:
            raise ShapeError(
                message(
                    self._label(),
                    "the number of channels must be known, and divisible by groups.",
                    received=f"input {tuple(input_shape)}, {self.groups} groups",
                )
            )
        self._channels = int(channels)
        self.kernel = self.add_weight(
            (*self.kernel_size, self._channels // self.groups, self.filters),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, x):
        x = self._last(x)
        if x.data.shape[-1] != self._channels:
            _raise_channels(self, x)
        out = nn.conv(
            x,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            groups=self.groups,
            activation=self._activation,
        )
        return self._back(out)

    def compute_output_shape(self, input_shape):
        batch, space, _ = self._split(input_shape)
        new = tuple(
            window_count(self._label(), n, d * (k - 1) + 1, s, self.padding)
            for n, k, s, d in zip(space, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        )
        return self._join(batch, new, self.filters)


class Conv1D(_Conv):
    """Convolution over time: (batch, time, channels) -> (batch, new time, filters). padding may be "causal".

    >>> import numpy as np
    >>> Conv1D(4, 3, padding="causal")(np.ones((2, 10, 5))).shape
    (2, 10, 4)
    """

    rank = 1


class Conv2D(_Conv):
    """Convolution over images: (batch, height, width, channels) -> (batch, new height, new width, filters).

    >>> import numpy as np
    >>> Conv2D(8, 3, strides=2, padding="same")(np.ones((1, 28, 28, 1))).shape
    (1, 14, 14, 8)
    """

    rank = 2


class Conv3D(_Conv):
    """Convolution over volumes: (batch, depth, height, width, channels) -> (batch, *new space, filters)."""

    rank = 3


# ----------------------------------------------------------------------- helpers
def per_axis(where, name, value, rank):
    """One positive int per spatial axis, from an int or a sequence."""
    values = (value,) * rank if not hasattr(value, "__len__") else tuple(value)
    if len(values) != rank:
        raise ValueError(
            message(where, f"{name} must be a whole number or {rank} of them.", received=repr(value))
        )
    return tuple(positive(where, name, v) for v in values)


def check_padding(where, padding, allowed):
    """Padding by name, in lower case."""
    name = str(padding).lower()
    if name not in allowed:
        raise ValueError(
            message(where, f"padding must be one of {', '.join(allowed)}.", received=repr(padding))
        )
    return name


def window_count(where, length, window, stride, padding):
    """How many windows fit into one axis; None stays None. Raises ShapeError when none fits."""
    if length is None:
        return None
    if padding != "valid":
        return -(-length // stride)
    if length < window:
        raise ShapeError(
            message(
                where,
                "the input is smaller than one window.",
                received=f"length {length}, window {window}",
                hint='padding="same", a smaller window, or fewer layers that shrink the input.',
            )
        )
    return (length - window) // stride + 1


def _raise_rank(layer, shape):
    names = {
        1: "(batch, time, channels)",
        2: "(batch, height, width, channels)",
        3: "(batch, depth, height, width, channels)",
    }
    hint = None
    if len(shape) == layer.rank + 1:
        hint = "add the axis of channels: x[..., None]."
    raise ShapeError(
        message(
            layer._label(),
            f"an input {names[layer.rank]} was expected.",
            received=f"{tuple(shape)}",
            hint=hint,
        )
    )


def _raise_channels(layer, x):
    raise ShapeError(
        message(
            layer._label(),
            "the input's channels must match the kernel's.",
            received=f"input {x.shape} with {x.shape[-1]} channels, kernel {layer.kernel.shape}",
            hint=f"the layer was built for {layer._channels} channels.",
        )
    )
