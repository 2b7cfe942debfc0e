"""Layers that only move values: Flatten, Reshape, Permute, RepeatVector, padding, cropping, upsampling."""

import math

from .. import ops
from ..errors import ShapeError, message
from .base import Layer
from .convolution import Spatial, per_axis
from .core import positive


class Flatten(Layer):
    """(batch, ...) -> (batch, product of the rest). With "channels_first", channels are moved last before.

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"

    def call(self, x):
        shape = x.shape
        if self.data_format == "channels_first" and len(shape) > 2:
            x = ops.moveaxis(x, 1, -1)
        return ops.reshape(x, (shape[0], math.prod(shape[1:])))

    def compute_output_shape(self, input_shape):
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one entry may be -1."""

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        self.target_shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)

    def call(self, x):
        return ops.reshape(x, (x.shape[0], *self.compute_output_shape(x.shape)[1:]))

    def compute_output_shape(self, input_shape):
        rest, target = input_shape[1:], self.target_shape
        if None in rest:
            return (input_shape[0], *(None if n == -1 else n for n in target))
        have, want = math.prod(rest), math.prod(n for n in target if n != -1)
        if -1 in target and want and have % want == 0:
            target = tuple(have // want if n == -1 else n for n in target)
        if math.prod(target) != have:
            raise ShapeError(
                message(
                    self._label(),
                    "a sample must have as many values as target_shape.",
                    received=f"input {tuple(input_shape)}, target_shape {self.target_shape}",
                )
            )
        return (input_shape[0], *target)


class Permute(Layer):
    """Reorders the axes after the batch: dims=(2, 1) swaps the first two (counted from 1)."""

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                message(self._label(), "dims must be a permutation of 1, 2, ...", received=repr(self.dims))
            )

    def call(self, x):
        self.compute_output_shape(x.shape)
        return ops.transpose(x, (0, *self.dims))

    def compute_output_shape(self, input_shape):
        if len(input_shape) != len(self.dims) + 1:
            raise ShapeError(
                message(
                    self._label(),
                    f"an input of {len(self.dims) + 1} axes was expected.",
                    received=f"{tuple(input_shape)}, dims {self.dims}",
                )
            )
        return (input_shape[0], *(input_shape[d] for d in self.dims))


class RepeatVector(Layer):
    """(batch, features) -> (batch, n, features)."""

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = positive(self._label(), "n", n)

    def call(self, x):
        return ops.broadcast_to(x[:, None, :], (x.shape[0], self.n, x.shape[1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n, input_shape[1])


# ---------------------------------------------------------------- at the borders
class _Borders(Spatial):
    """What padding and cropping share: (before, after) per spatial axis, from an int, ints or pairs."""

    casts_integers = False

    def _pairs(self, name, value):
        if isinstance(value, int):
            value = (value,) * self.rank
        value = tuple(value)
        if self.rank == 1 and len(value) == 2 and isinstance(value[0], int):
            value = (value,)
        pairs = tuple((v, v) if isinstance(v, int) else tuple(v) for v in value)
        if len(pairs) != self.rank or any(len(p) != 2 or min(p) < 0 for p in pairs):
            raise ValueError(
                message(
                    self._label(),
                    f"{name} must be a number, {self.rank} numbers, or {self.rank} pairs (before, after).",
                    received=repr(value),
                )
            )
        return pairs


class _ZeroPadding(_Borders):
    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.padding = self._pairs("padding", padding)

    def call(self, x):
        self._split(x.shape)
        return ops.pad(x, self._join((0, 0), self.padding, (0, 0)))

    def compute_output_shape(self, input_shape):
        batch, space, channels = self._split(input_shape)
        new = [None if n is None else n + a + b for n, (a, b) in zip(space, self.padding, strict=True)]
        return self._join(batch, new, channels)


class _Cropping(_Borders):
    def __init__(self, cropping=1, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.cropping = self._pairs("cropping", cropping)

    def call(self, x):
        self.compute_output_shape(x.shape)
        everything = slice(None)
        cuts = [slice(a, -b if b else None) for a, b in self.cropping]
        return x[self._join(everything, cuts, everything)]

    def compute_output_shape(self, input_shape):
        batch, space, channels = self._split(input_shape)
        new = [None if n is None else n - a - b for n, (a, b) in zip(space, self.cropping, strict=True)]
        if any(n is not None and n <= 0 for n in new):
            raise ShapeError(
                message(
                    self._label(),
                    "cropping must leave something.",
                    received=f"{tuple(input_shape)}, cropping {self.cropping}",
                )
            )
        return self._join(batch, new, channels)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the time steps."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image. padding: a number, (rows, columns), or ((top, bottom), (left, right)).

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 2)))(np.ones((1, 4, 4, 3))).shape
    (1, 5, 8, 3)
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume."""

    rank = 3


class Cropping1D(_Cropping):
    """Drops time steps at both ends."""

    rank = 1


class Cropping2D(_Cropping):
    """Drops the rim of an image. cropping: as the padding of ZeroPadding2D."""

    rank = 2

    def __init__(self, cropping=0, data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Drops the rim of a volume."""

    rank = 3


class _UpSampling(Spatial):
    """Repeats rows, columns, ... `size` times (nearest neighbour)."""

    casts_integers = False

    def __init__(self, size=2, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.size = per_axis(self._label(), "size", size, self.rank)

    def call(self, x):
        self._split(x.shape)
        start = 2 if self._first else 1
        for axis, n in enumerate(self.size, start):
            x = ops.repeat(x, n, axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        batch, space, channels = self._split(input_shape)
        new = [None if n is None else n * s for n, s in zip(space, self.size, strict=True)]
        return self._join(batch, new, channels)


class UpSampling1D(_UpSampling):
    """Repeats every time step `size` times."""

    rank = 1


class UpSampling2D(_UpSampling):
    """Repeats every row and column of an image `size` times."""

    rank = 2


class UpSampling3D(_UpSampling):
    """Repeats every slice, row and column of a volume `size` times."""

    rank = 3
