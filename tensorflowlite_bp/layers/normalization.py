"""BatchNormalization, LayerNormalization, RMSNormalization."""

from .. import constraints, initializers, nn, regularizers
from ..errors import ShapeError, message
from .base import Layer


class _Scaled(Layer):
    """What the normalisations share: optional gamma and beta, and an output of the input's shape."""

    casts_integers = True
    supports_masking = True

    def _add_scale(self, shape, what, wanted):
        if not wanted:
            return None
        return self.add_weight(
            shape,
            name=what,
            initializer=getattr(self, f"{what}_initializer"),
            regularizer=getattr(self, f"{what}_regularizer"),
            constraint=getattr(self, f"{what}_constraint"),
        )

    def _set_scale_options(self, center, scale, beta, gamma):
        self.center = center
        self.scale = scale
        for what, (initializer, regularizer, constraint) in (("beta", beta), ("gamma", gamma)):
            setattr(self, f"{what}_initializer", initializers.get(initializer))
            setattr(self, f"{what}_regularizer", regularizers.get(regularizer))
            setattr(self, f"{what}_constraint", constraints.get(constraint))
        self.gamma = self.beta = None

    def compute_output_shape(self, input_shape):
        return input_shape


class BatchNormalization(_Scaled):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta (Ioffe and Szegedy 2015), statistics per entry of
    `axis`.

    In training those of the batch, and the moving ones approach them: moving = momentum * moving + (1 -
    momentum) * batch. Otherwise, and when the layer is frozen, the moving ones.

    >>> import numpy as np
    >>> y = BatchNormalization()(np.array([[1.0], [3.0]]), training=True)
    >>> y.numpy().round(2).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self._set_scale_options(
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape):
        _check_axes(self, (self.axis,), input_shape)
        shape = (input_shape[self.axis],)
        self.gamma = self._add_scale(shape, "gamma", self.scale)
        self.beta = self._add_scale(shape, "beta", self.center)
        self.moving_mean = self.add_weight(
            shape, name="moving_mean", initializer=self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, name="moving_variance", initializer=self.moving_variance_initializer, trainable=False
        )

    def call(self, x, training=False):
        mean, variance = self.moving_mean, self.moving_variance
        if (
            x.data.ndim <= (self.axis if self.axis >= 0 else -self.axis - 1)
            or x.data.shape[self.axis] != mean.data.shape[0]
        ):
            _raise_features(self, x)
        live = bool(training) and self._trainable
        out, new_mean, new_variance = nn.batch_norm(
            x,
            self.gamma,
            self.beta,
            mean,
            variance,
            training=live,
            momentum=self.momentum,
            eps=self.epsilon,
            axis=self.axis,
        )
        if live:
            mean.assign(new_mean)
            variance.assign(new_variance)
        return out


class LayerNormalization(_Scaled):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, statistics per sample over `axis` (Ba et al.
    2016).

    axis: an int or several.
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(sorted(axis))
        self.epsilon = epsilon
        self._set_scale_options(
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )

    def build(self, input_shape):
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        _check_axes(self, axes, input_shape)
        shape = tuple(input_shape[axis] for axis in axes)
        self.gamma = self._add_scale(shape, "gamma", self.scale)
        self.beta = self._add_scale(shape, "beta", self.center)

    def call(self, x):
        return nn.layer_norm(x, self.gamma, self.beta, axis=self.axis, eps=self.epsilon)


class RMSNormalization(_Scaled):
    """scale * x / sqrt(mean of x**2 over `axis` + epsilon) (Zhang and Sennrich 2019)."""

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape):
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        _check_axes(self, axes, input_shape)
        self.scale = self.add_weight(tuple(input_shape[a] for a in axes), name="scale", initializer="ones")

    def call(self, x):
        return nn.rms_norm(x, self.scale, axis=self.axis, eps=self.epsilon)


def _check_axes(layer, axes, shape):
    for axis in axes:
        if not -len(shape) <= axis < len(shape) or shape[axis] is None:
            raise ShapeError(
                message(
                    layer._label(),
                    "every normalised axis must exist and have a known length.",
                    received=f"axis {axis}, input {tuple(shape)}",
                )
            )


def _raise_features(layer, x):
    raise ShapeError(
        message(
            layer._label(),
            f"axis {layer.axis} of the input must match the moving statistics.",
            received=f"input {tuple(x.shape)}, statistics {tuple(layer.moving_mean.shape)}",
        )
    )
