"""Dynamic loss scaling: what float16 needs, so that small gradients do not vanish.

The loss is multiplied by the scale, gradients are divided by it. A step whose gradients are not all finite is
skipped and lowers the scale; a run of steps that were not raises it (Micikevicius et al. 2018). The rule, and
the defaults, are those of torch.amp.GradScaler.
"""

import math

import numpy as np

from .. import backend
from ..autograd.tensor import wrap
from ..errors import message
from ..layers.variable import Variable

_LARGEST = float(np.finfo(np.float32).max)


class DynamicLossScale:
    """The scale, and the decisions about it. On a GPU all of it lives there, and nothing waits for it.

    initial_scale: the first one. growth_interval: how many steps in a row without a value that is not finite
    raise it by growth_factor; one with such a value multiplies it by backoff_factor.

    >>> scale = DynamicLossScale(initial_scale=4.0)
    >>> scale.examine([np.array([8.0, np.inf])]), float(scale.scale), int(scale.updates)
    (0.0, 2.0, 0)
    >>> scale.examine([np.array([8.0])]), float(scale.scale), int(scale.updates)
    (0.5, 2.0, 1)
    """

    def __init__(self, initial_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000):
        if not (initial_scale > 0 and growth_factor > 1 and 0 < backoff_factor < 1 and growth_interval >= 1):
            raise ValueError(
                message(
                    "loss scale",
                    "initial_scale > 0, growth_factor > 1, 0 < backoff_factor < 1, growth_interval >= 1 were "
                    "expected.",
                    received=f"{initial_scale}, {growth_factor}, {backoff_factor}, {growth_interval}",
                )
            )
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self.scale, self.streak, self.updates = [
            Variable(np.asarray(value, np.float64), name=f"loss_scale_{name}", trainable=False)
            for name, value in (("value", initial_scale), ("streak", 0.0), ("updates", 0.0))
        ]
        self.variables = [self.scale, self.streak, self.updates]

    def _at(self, lib):
        """The state where `lib`'s arrays live. A number is written there by a kernel, not copied."""
        if not isinstance(self.scale.data, lib.ndarray):
            for v in self.variables:
                v.data = lib.asarray(v.data)

    def scale_loss(self, loss):
        """The loss times the scale."""
        lib = backend.of(loss.data)
        self._at(lib)
        return loss * wrap(lib.asarray(self.scale.data.astype(loss.dtype)))

    def examine(self, grads):
        """What to multiply the gradients by: 1 / scale, or 0 where one is not finite: that step is skipped.
        Moves the scale. A float, or on a GPU a 0-d array. grads: raw arrays.
        """
        lib = backend.of(grads[0])
        self._at(lib)
        total = lib.sum_of_squares(grads)
        scale, streak, updates = [v.data for v in self.variables]
        if isinstance(total, float):
            finite = math.isfinite(total)
            factor = 1.0 / float(scale) if finite else 0.0
            longer = float(streak) + 1
            grows = finite and longer >= self.growth_interval
            grown = float(scale) * self.growth_factor
            if not finite:
                scale[...] = float(scale) * self.backoff_factor
            elif grows and grown <= _LARGEST:
                scale[...] = grown
            streak[...] = longer if finite and not grows else 0.0
            updates[...] = float(updates) + finite
            return factor
        rule = self.growth_factor, self.backoff_factor, self.growth_interval, _LARGEST
        return lib.scale_step(total, scale, streak, updates, *rule)
