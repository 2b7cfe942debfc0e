"""Layers that disturb in training only: Dropout and its relatives, noise; and a penalty on activity."""

import numpy as np

from .. import nn, ops, regularizers
from ..errors import message
from ..ops import random
from .base import Layer


class _Random(Layer):
    """What layers that draw numbers share: `seed`, and an output of the input's shape.

    seed None: numbers come from the global generator, which `bp.random.seed` sets; else from the layer's own.
    """

    supports_masking = True

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.default_generator() if seed is None else random.Generator(seed)

    def compute_output_shape(self, input_shape):
        return input_shape


def _check_rate(layer, rate):
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ValueError(message(layer._label(), "rate must be within [0, 1].", received=repr(rate)))
    return rate


class Dropout(_Random):
    """In training, sets a share `rate` of the inputs to 0 and divides the rest by 1 - rate (Srivastava et al.
    2014).

    noise_shape: where it has 1, one draw is shared along that axis.

    >>> Dropout(0.5)(np.ones(3)).numpy().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = _check_rate(self, rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        if self.noise_shape is None and self.rate < 1:
            return nn.dropout(x, self.rate, training=True, generator=self.generator)
        return x * self._mask(x, self.noise_shape or x.shape)

    def _mask(self, x, shape):
        shape = tuple(n if wanted is None else wanted for n, wanted in zip(x.shape, shape, strict=True))
        if self.rate == 1:
            return ops.zeros(shape, dtype=x.dtype)
        kept = self.generator.uniform(shape, dtype=np.dtype("float32")) >= self.rate
        return kept.astype(x.dtype) * x.dtype.type(1 / (1 - self.rate))


class _SpatialDropout(Dropout):
    """Dropout of whole channels: one draw for all positions of a channel."""

    rank: int

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        return x * self._mask(x, (x.shape[0], *(1,) * self.rank, x.shape[-1]))


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of (batch, time, channels)."""

    rank = 1


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of (batch, height, width, channels)."""

    rank = 2


class GaussianNoise(_Random):
    """In training, adds normal noise of standard deviation `stddev`."""

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not stddev >= 0:
            raise ValueError(message(self._label(), "stddev must be at least 0.", received=repr(stddev)))
        self.stddev = stddev

    def call(self, x, training=False):
        if not training or self.stddev == 0:
            return x
        return x + self.generator.normal(x.shape, 0.0, self.stddev, x.dtype)


class GaussianDropout(_Random):
    """In training, multiplies by normal noise of mean 1 and standard deviation sqrt(rate / (1 - rate))."""

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = _check_rate(self, rate)

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        return x * self.generator.normal(x.shape, 1.0, (self.rate / (1 - self.rate)) ** 0.5, x.dtype)


class ActivityRegularization(Layer):
    """The input itself; its L1 and L2 penalties are added to the loss."""

    supports_masking = True

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
