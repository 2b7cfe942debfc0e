"""The update formulas, those of Keras 3. SGD, Adam, RMSprop and Lion are one fused call for all variables;
the rest go variable by variable.

NumPy's ufuncs are used on raw arrays: CuPy arrays bring their own through `__array_ufunc__`.
"""

import math

import numpy as np

from .. import backend
from ..errors import message
from .base import Optimizer


class SGD(Optimizer):
    """p -= lr * g; with momentum v = momentum * v - lr * g, p += v (Nesterov: p += momentum * v - lr * g).

    >>> SGD(lr=0.01, momentum=0.9).momentum
    0.9
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, **kwargs):
        super().__init__(learning_rate, **kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(message("SGD", "momentum must be within [0, 1].", received=repr(momentum)))
        self.momentum = float(momentum)
        self.nesterov = nesterov

    def _slots_wanted(self):
        return ("momentum",) if self.momentum else ()

    def _update(self, params, grads, lr, weight_decay, scale):
        velocities = self._raw("momentum") if self.momentum else None
        backend.of(params[0]).sgd_step(
            params, grads, velocities, lr, self.momentum, self.nesterov, weight_decay, scale
        )


class Adam(Optimizer):
    """Running means of g and g**2, bias-corrected: p -= lr' * m / (sqrt(v) + epsilon) (Kingma and Ba 2014;
    amsgrad: Reddi et al. 2018). epsilon is outside the correction, as in Keras.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def _slots_wanted(self):
        return ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")

    def _update(self, params, grads, lr, weight_decay, scale):
        backend.of(params[0]).adam_step(
            params,
            grads,
            self._raw("momentum"),
            self._raw("velocity"),
            lr,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self._step_number(),
            weight_decay,
            scale,
            self._raw("velocity_hat") if self.amsgrad else None,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default (Loshchilov and Hutter 2017)."""

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)
        if weight_decay is None:
            raise ValueError(message("AdamW", "weight_decay must be a number.", hint="use Adam for none."))


class RMSprop(Optimizer):
    """g / sqrt(running mean of g**2 (less the mean of g, squared, when centered) + epsilon), with optional
    momentum (Hinton 2012).
    """

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def _slots_wanted(self):
        return (
            ("velocity",) + ("momentum",) * (self.momentum > 0) + ("average_gradient",) * bool(self.centered)
        )

    def _update(self, params, grads, lr, weight_decay, scale):
        backend.of(params[0]).rmsprop_step(
            params,
            grads,
            self._raw("velocity"),
            self._raw("average_gradient") if self.centered else None,
            self._raw("momentum") if self.momentum > 0 else None,
            lr,
            self.rho,
            self.momentum,
            self.epsilon,
            weight_decay,
            scale,
        )


class Adagrad(Optimizer):
    """g / sqrt(sum of g**2 + epsilon); the sum starts at `initial_accumulator_value` (Duchi et al. 2011)."""

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self._add_state("accumulator", self.initial_accumulator_value)
        return self

    def _update_one(self, p, g, lr, accumulator):
        accumulator += g * g
        p -= g * p.dtype.type(lr) / np.sqrt(accumulator + p.dtype.type(self.epsilon))


class Adadelta(Optimizer):
    """Step sizes from the ratio of running means of past steps and of gradients, squared (Zeiler 2012)."""

    _slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def _update_one(self, p, g, lr, grads, deltas):
        real = p.dtype.type
        rho, eps = real(self.rho), real(self.epsilon)
        grads *= rho
        grads += g * g * real(1 - self.rho)
        delta = g * np.sqrt(deltas + eps) / np.sqrt(grads + eps)
        deltas *= rho
        deltas += delta * delta * real(1 - self.rho)
        p -= delta * real(lr)


class Adamax(Optimizer):
    """Adam with the infinity norm in place of the second moment (Kingma and Ba 2014, section 7)."""

    _slots = ("momentum", "norm")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def _update_one(self, p, g, lr, m, norm):
        real = p.dtype.type
        m += (g - m) * real(1 - self.beta_1)
        norm *= real(self.beta_2)
        np.maximum(norm, abs(g), out=norm)
        correction = 1 - self.beta_1 ** self._host_step()
        p -= m * real(lr / correction) / (norm + real(self.epsilon))


class Nadam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2015), the momentum warmed up by 1 - 0.96**t / 2."""

    _slots = ("momentum", "velocity")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._product = 1.0  # of the momentums so far, up to step `_product_step`
        self._product_step = 0

    def _momentum_at(self, step):
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def _begin(self):
        step = self._host_step()
        if self._product_step != step - 1:  # a restored state
            self._product = math.prod(self._momentum_at(i) for i in range(1, step))
        self._product *= self._momentum_at(step)
        self._product_step = step

    def _update_one(self, p, g, lr, m, v):
        real, step = p.dtype.type, self._product_step
        now, following = self._momentum_at(step), self._momentum_at(step + 1)
        m += (g - m) * real(1 - self.beta_1)
        v += (g * g - v) * real(1 - self.beta_2)
        mean = m * real(following / (1 - self._product * following)) + g * real(
            (1 - now) / (1 - self._product)
        )
        p -= mean * real(lr) / (np.sqrt(v / real(1 - self.beta_2**step)) + real(self.epsilon))


class Lion(Optimizer):
    """The sign of a mixture of gradient and momentum (Chen et al. 2023)."""

    _slots = ("momentum",)

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **kwargs):
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(message("Lion", "beta_1 must be within (0, 1].", received=repr(beta_1)))
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def _update(self, params, grads, lr, weight_decay, scale):
        backend.of(params[0]).lion_step(
            params, grads, self._raw("momentum"), lr, self.beta_1, self.beta_2, weight_decay, scale
        )


class Ftrl(Optimizer):
    """Follow the regularised leader with shrinkage (McMahan et al. 2013)."""

    _slots = ("linear",)

    def __init__(
        self,
        learning_rate=0.001,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
        l2_shrinkage_regularization_strength=0.0,
        beta=0.0,
        **kwargs,
    ):
        super().__init__(learning_rate, **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self._add_state("accumulator", self.initial_accumulator_value)
        return self

    def _update_one(self, p, g, lr, linear, accumulator):
        real, power = p.dtype.type, -self.learning_rate_power
        l2 = real(self.l2_regularization_strength + self.beta / (2 * lr))
        shrunk = g + p * real(2 * self.l2_shrinkage_regularization_strength)
        grown = accumulator + g * g
        linear += shrunk - p * ((grown**power - accumulator**power) / real(lr))
        limit = real(self.l1_regularization_strength)
        p[...] = (linear.clip(-limit, limit) - linear) / (grown**power / real(lr) + 2 * l2)
        accumulator[...] = grown
