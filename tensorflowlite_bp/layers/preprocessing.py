"""Scaling of inputs, and image augmentation that is active in training only."""

import numpy as np

from .. import ops
from ..errors import NotBuiltError, ShapeError, message
from .base import Layer
from .regularization import _Random


class Rescaling(Layer):
    """x * scale + offset; integers become floats.

    >>> Rescaling(1 / 255)(np.array([0, 255], dtype="uint8")).numpy().tolist()
    [0.0, 1.0]
    """

    casts_integers = True

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, x):
        scale, offset = (_raw(v, self._np_dtype) if np.ndim(v) else v for v in (self.scale, self.offset))
        return x * scale + offset

    def compute_output_shape(self, input_shape):
        return input_shape


class Normalization(Layer):
    """(x - mean) / sqrt(variance), per entry of `axis` (None: one for all), from `adapt(data)` or as given.

    invert: the reverse, x * sqrt(variance) + mean. Raises NotBuiltError when called before `adapt`.

    >>> layer = Normalization(axis=None)
    >>> layer.adapt(np.array([[1.0], [3.0]])); layer(np.array([[5.0]])).numpy().tolist()
    [[3.0]]
    """

    casts_integers = True

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self._axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(message(self._label(), "mean and variance must be given together, or neither."))
        self.mean = mean
        self.variance = variance
        self.invert = invert
        self.adapt_mean = self.adapt_variance = None
        self._adapted = False

    def build(self, input_shape):
        if self.adapt_mean is not None or self.mean is not None:
            return
        shape = tuple(input_shape[a] for a in self._axes)
        self.adapt_mean = self.add_weight(shape, name="mean", initializer="zeros", trainable=False)
        self.adapt_variance = self.add_weight(shape, name="variance", initializer="ones", trainable=False)

    def adapt(self, data, batch_size=None, steps=None):
        """Set mean and variance from data: an array, or an iterable of batches (combined exactly)."""
        if self.mean is not None:
            raise ValueError(
                message(self._label(), "mean and variance were given: there is nothing to adapt.")
            )
        count, mean, m2 = 0, 0.0, 0.0
        for batch in [data] if hasattr(data, "shape") or isinstance(data, list) else data:
            x = np.asarray(batch[0] if isinstance(batch, tuple) else batch, np.float64)
            if not self.built:
                self.build(x.shape)
            reduced = tuple(i for i in range(x.ndim) if i not in {a % x.ndim for a in self._axes})
            n = int(np.prod([x.shape[i] for i in reduced])) if reduced else 1
            here = x.mean(axis=reduced)
            delta, total = here - mean, count + n  # Chan, Golub and LeVeque 1979
            m2 = m2 + x.var(axis=reduced) * n + delta**2 * count * n / total
            mean, count = mean + delta * n / total, total
        if not count:
            raise ShapeError(message(self._label(), "at least one sample was expected.", received="no data"))
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(m2 / count)
        self._adapted = True

    def call(self, x):
        shape = [1] * x.ndim
        for axis in self._axes:
            shape[axis] = x.shape[axis]
        if self.mean is not None:
            mean, variance = (_raw(v, self._np_dtype) for v in (self.mean, self.variance))
        else:
            if not self._adapted and not self.adapt_mean.data.any() and (self.adapt_variance.data == 1).all():
                raise NotBuiltError(
                    message(
                        self._label(), "mean and variance are not known yet.", hint="call adapt(data) first."
                    )
                )
            mean, variance = self.adapt_mean.data, self.adapt_variance.data
        if mean.ndim:
            mean = mean.reshape(shape) if mean.ndim < x.ndim else mean
            variance = variance.reshape(shape) if variance.ndim < x.ndim else variance
        deviation = np.maximum(np.sqrt(variance), variance.dtype.type(1e-7))
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def compute_output_shape(self, input_shape):
        return input_shape


def _raw(values, dtype):
    """Numbers of the configuration as a raw array, on the device of new tensors."""
    return ops.asarray(np.asarray(values, dtype)).data


# ---------------------------------------------------------------- augmentation
class _Augmentation(_Random):
    """Base: images (batch, height, width, channels), or one (height, width, channels); each is drawn for by
    itself.
    """

    casts_integers = True

    def call(self, x, training=False):
        if not training:
            return x
        if x.ndim not in (3, 4):
            raise ShapeError(
                message(
                    self._label(),
                    "images (batch, height, width, channels) were expected.",
                    received=f"{tuple(x.shape)}",
                )
            )
        return self._augment(x) if x.ndim == 4 else self._augment(x[None])[0]

    def _augment(self, x):
        raise NotImplementedError


class RandomFlip(_Augmentation):
    """In training, mirrors each image with probability 1/2: "horizontal", "vertical", or each of both."""

    def __init__(self, mode="horizontal_and_vertical", seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(
                message(
                    self._label(),
                    "mode must be horizontal, vertical or horizontal_and_vertical.",
                    received=repr(mode),
                )
            )
        self.mode = mode

    def _augment(self, x):
        for name, axis in (("vertical", 1), ("horizontal", 2)):
            if name in self.mode:
                chosen = self.generator.uniform((x.shape[0], 1, 1, 1)) < 0.5
                x = ops.where(chosen, ops.flip(x, axis=axis), x)
        return x


class RandomTranslation(_Augmentation):
    """In training, shifts each image by whole pixels, up to a share of its height and width.

    height_factor, width_factor: a number f for [-f, f], or (low, high); positive moves down and right.
    fill_mode: "constant" (fill_value), "reflect", "wrap", "nearest": what enters at the border.
    """

    def __init__(self, height_factor, width_factor, fill_mode="reflect", fill_value=0.0, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if fill_mode not in ("constant", "reflect", "wrap", "nearest"):
            raise ValueError(
                message(
                    self._label(),
                    "fill_mode must be constant, reflect, wrap or nearest.",
                    received=repr(fill_mode),
                )
            )
        self.height_factor = self._range("height_factor", height_factor)
        self.width_factor = self._range("width_factor", width_factor)
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def _range(self, name, factor):
        low, high = (-factor, factor) if isinstance(factor, (int, float)) else factor
        if not -1 <= low <= high <= 1:
            raise ValueError(
                message(
                    self._label(),
                    f"{name} must be within [-1, 1], the lower bound first.",
                    received=repr(factor),
                )
            )
        return low, high

    def _augment(self, x):
        for axis, factor in ((1, self.height_factor), (2, self.width_factor)):
            x = self._shift(x, axis, factor)
        return x

    def _shift(self, x, axis, factor):
        """Each image by its own number of pixels along one axis: a gather of rows or columns."""
        batch, length = x.shape[0], x.shape[axis]
        shift = (self.generator.uniform((batch, 1), factor[0], factor[1]) * length).round().astype("int64")
        source = ops.arange(length).data[None, :] - shift
        inside = (source >= 0) & (source < length)
        if self.fill_mode == "reflect":  # abcd|dcba, as Keras
            source = source % (2 * length)
            source = source.clip(None, 2 * length - 1 - source)
        elif self.fill_mode == "wrap":
            source = source % length
        source = source.clip(0, length - 1)
        index = source.reshape(batch, length, 1, 1) if axis == 1 else source.reshape(batch, 1, length, 1)
        moved = ops.take_along_axis(x, ops.broadcast_to(ops.asarray(index), x.shape).data, axis=axis)
        if self.fill_mode == "constant":
            moved = ops.where(inside.reshape(index.shape), moved, x.dtype.type(self.fill_value))
        return moved
