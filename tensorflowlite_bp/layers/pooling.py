"""Pooling: one class, parametrised by the number of spatial axes and by what is done with a window."""

from .. import nn, ops
from ..errors import ShapeError, message
from .convolution import Spatial, check_padding, per_axis, window_count


class _Pooling(Spatial):
    """`_pool` over windows of the spatial axes: (batch, *space, channels) -> (batch, *new, channels)."""

    _pool = None

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        where = self._label()
        self.pool_size = per_axis(where, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else per_axis(where, "strides", strides, self.rank)
        self.padding = check_padding(where, padding, ("valid", "same"))

    def call(self, x):
        x = self._last(x)
        if self.padding == "valid" and any(n < k for n, k in zip(x.shape[1:-1], self.pool_size, strict=True)):
            _raise_window(self, x)
        return self._back(type(self)._pool(x, self.pool_size, strides=self.strides, padding=self.padding))

    def compute_output_shape(self, input_shape):
        batch, space, channels = self._split(input_shape)
        new = tuple(
            window_count(self._label(), n, k, s, self.padding)
            for n, k, s in zip(space, self.pool_size, self.strides, strict=True)
        )
        return self._join(batch, new, channels)


class _GlobalPooling(Spatial):
    """`_reduce` over all spatial axes: (batch, *space, channels) -> (batch, channels), with `keepdims`
    (batch, 1, ..., channels).
    """

    _reduce = None

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(data_format, **kwargs)
        self.keepdims = keepdims

    def call(self, x):
        if x.data.ndim != self.rank + 2:
            self._split(x.shape)  # raises
        axes = tuple(range(2, self.rank + 2) if self._first else range(1, self.rank + 1))
        return type(self)._reduce(x, axis=axes, keepdims=self.keepdims)

    def compute_output_shape(self, input_shape):
        batch, space, channels = self._split(input_shape)
        return self._join(batch, (1,) * len(space), channels) if self.keepdims else (batch, channels)


class _MaxPooling(_Pooling):
    _pool = staticmethod(nn.max_pool)


class _AveragePooling(_Pooling):
    _pool = staticmethod(nn.avg_pool)


class _GlobalMaxPooling(_GlobalPooling):
    _reduce = staticmethod(ops.max)


class _GlobalAveragePooling(_GlobalPooling):
    _reduce = staticmethod(ops.mean)


class MaxPooling1D(_MaxPooling):
    """The largest value of each window of time steps."""

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The largest value of each window of an image.

    >>> import numpy as np
    >>> MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The largest value of each window of a volume."""

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window of time steps; padding is not counted."""

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image; padding is not counted."""

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume; padding is not counted."""

    rank = 3


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest value over time, per channel."""

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest value of an image, per channel."""

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The largest value of a volume, per channel."""

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over time, per channel; with a mask (batch, steps), over the steps that count."""

    rank = 1

    def call(self, x, mask=None):
        if mask is None:
            return super().call(x)
        on = ops.astype(mask, x.dtype)
        on, axis = (on[:, None], 2) if self._first else (on[..., None], 1)
        return ops.sum(x * on, axis=axis, keepdims=self.keepdims) / ops.sum(
            on, axis=axis, keepdims=self.keepdims
        )


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of an image, per channel."""

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean of a volume, per channel."""

    rank = 3


def _raise_window(layer, x):
    raise ShapeError(
        message(
            layer._label(),
            "the input is smaller than one window.",
            received=f"input {tuple(x.shape)}, pool_size {layer.pool_size}",
            hint='padding="same", or fewer layers that shrink the input.',
        )
    )
