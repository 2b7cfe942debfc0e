"""First values of weights, under Keras' names. Each takes `(shape, dtype=None)` and gives a Tensor.

`seed=None` draws from the global generator (`bp.random.seed` makes it reproducible); with an int, every call
gives the same values.
"""

import math

import numpy as np

from . import ops
from ._floatx import np_dtype
from ._registry import Configurable, Registry
from .autograd.tensor import Tensor
from .errors import ShapeError, message
from .ops import random

_registry = Registry("initializer")


class Initializer(Configurable):
    """Base class. Subclasses define `__call__(shape, dtype=None)`."""

    def __call__(self, shape, dtype=None):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")


# ------------------------------------------------------------------ constants
class Zeros(Initializer):
    """All 0.

    >>> Zeros()((2,)).numpy().tolist()
    [0.0, 0.0]
    """

    def __call__(self, shape, dtype=None):
        return ops.zeros(shape, dtype=np_dtype(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape, dtype=None):
        return ops.ones(shape, dtype=np_dtype(dtype))


class Constant(Initializer):
    """All `value`: a number, or an array that broadcasts to the shape."""

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        filled = np.empty(shape, np_dtype(dtype))
        filled[...] = self.value
        return ops.asarray(filled)


class Identity(Initializer):
    """`gain` times the identity matrix; only for two axes."""

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            raise ShapeError(
                message("Identity", "a shape of two axes was expected.", received=str(tuple(shape)))
            )
        return ops.asarray(np.asarray(self.gain * np.eye(*shape), np_dtype(dtype)))


# --------------------------------------------------------------------- random
class RandomInitializer(Initializer):
    """Base of those that draw numbers."""

    def __init__(self, seed=None):
        self.seed = seed

    def _generator(self):
        return random.spawn() if self.seed is None else random.Generator(self.seed)


class RandomNormal(RandomInitializer):
    """Normal with `mean` and `stddev`."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        return Tensor(self._generator().normal(tuple(shape), self.mean, self.stddev, np_dtype(dtype)))


class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape, dtype=None):
        return Tensor(self._generator().uniform(tuple(shape), self.minval, self.maxval, np_dtype(dtype)))


class TruncatedNormal(RandomInitializer):
    """Normal with `mean` and `stddev`, values beyond two standard deviations drawn again."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        return Tensor(
            self._generator().truncated_normal(tuple(shape), self.mean, self.stddev, np_dtype(dtype))
        )


_TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut at two standard deviations


class VarianceScaling(RandomInitializer):
    """Variance `scale / fan`, where fan is the mean of in and out ("fan_avg") or one of them ("fan_in",
    "fan_out").

    distribution: "truncated_normal" (or "normal"), "untruncated_normal", "uniform".

    >>> abs(VarianceScaling(2.0, seed=1)((400, 300)).numpy().var() * 400 / 2 - 1) < 0.05
    np.True_
    """

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        super().__init__(seed)
        if scale <= 0:
            raise ValueError(
                message("VarianceScaling", "a positive scale was expected.", received=repr(scale))
            )
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(
                message("VarianceScaling", "mode must be fan_in, fan_out or fan_avg.", received=repr(mode))
            )
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ValueError(
                message(
                    "VarianceScaling",
                    "distribution must be uniform, truncated_normal or untruncated_normal.",
                    received=repr(distribution),
                )
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        generator, dtype = self._generator(), np_dtype(dtype)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return Tensor(generator.uniform(tuple(shape), -limit, limit, dtype))
        if self.distribution == "untruncated_normal":
            return Tensor(generator.normal(tuple(shape), 0.0, math.sqrt(variance), dtype))
        stddev = math.sqrt(variance) / _TRUNCATED_STD
        return Tensor(generator.truncated_normal(tuple(shape), 0.0, stddev, dtype))


def compute_fans(shape):
    """How many inputs and outputs a weight connects, as Keras counts: kernels are (*window, in, out).

    >>> compute_fans((784, 128)), compute_fans((3, 3, 16, 32))
    ((784, 128), (144, 288))
    """
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class _Scaled(VarianceScaling):
    """The named special cases: only a seed to choose."""

    _rule: tuple[float, str, str]

    def __init__(self, seed=None):
        super().__init__(*self._rule, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform, variance 2 / (in + out) (Glorot and Bengio 2010). Keras' default for kernels."""

    _rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal, variance 2 / (in + out) (Glorot and Bengio 2010)."""

    _rule = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform, variance 2 / in (He et al. 2015): for relu."""

    _rule = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal, variance 2 / in (He et al. 2015): for relu."""

    _rule = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform, variance 1 / in (LeCun et al. 1998)."""

    _rule = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal, variance 1 / in (LeCun et al. 1998): for selu."""

    _rule = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a random matrix with orthonormal rows or columns (Saxe et al. 2014); all axes but the last
    count as rows.
    """

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ShapeError(
                message(
                    "Orthogonal", "a shape of at least two axes was expected.", received=str(tuple(shape))
                )
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = self._generator().normal(
            (max(rows, columns), min(rows, columns)), 0.0, 1.0, np.dtype("float64")
        )
        drawn = Tensor(tall)
        q, r = np.linalg.qr(drawn.numpy())
        q *= np.sign(np.diag(r))  # makes the distribution uniform
        matrix = q.T if rows < columns else q
        made = np.asarray(self.gain * matrix.reshape(shape), np_dtype(dtype), order="C")
        return ops.asarray(made, device=drawn.device)


# --------------------------------------------------------------------- lookup
for _cls in (Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling):
    _registry.register(_cls)
for _cls in (GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal):
    _registry.register(_cls)
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize


def get(identifier):
    """An initializer from a name ("he_normal", "HeNormal"), a config, an array of the right shape, or any
    `f(shape, dtype=None)`.

    >>> get("glorot_uniform").mode
    'fan_avg'
    """
    if isinstance(identifier, (np.ndarray, Tensor)):
        return _FromArray(identifier)
    if identifier == "uniform" or identifier == "normal":  # as older scripts write them
        identifier = f"random_{identifier}"
    return _registry.get(identifier)


class _FromArray(Initializer):
    """Values given directly."""

    def __init__(self, value):
        self.value = value

    def __call__(self, shape, dtype=None):
        if tuple(self.value.shape) != tuple(shape):
            raise ShapeError(
                message(
                    "initializer",
                    "an array used as initializer must have the weight's shape.",
                    received=f"array {tuple(self.value.shape)}, weight {tuple(shape)}",
                )
            )
        value = self.value.numpy() if isinstance(self.value, Tensor) else self.value
        return ops.asarray(np.array(value, np_dtype(dtype)))
