"""Optimizer: learning rate, clipping, decay, averages and bookkeeping; subclasses hold the update formula.

One call of the update handles all variables (multi-tensor): `_update(params, grads, lr, scale)` gets lists of
raw arrays.
"""

import math
from contextlib import nullcontext
from operator import is_
from typing import Any

import numpy as np

from .. import backend
from .._naming import auto_name
from ..autograd.tensor import Tensor, to_array
from ..backend.common import scaled
from ..errors import GradientError, NotBuiltError, message
from ..layers.variable import Variable
from . import schedules
from .loss_scale import DynamicLossScale
from .state import State, path_of


class Optimizer(State):
    """Base class of the optimizers.

    learning_rate: float, schedule, or a function without arguments; `lr` is the older spelling. weight_decay:
    decoupled, p -= p * weight_decay * learning_rate before each update. clipnorm (each gradient), clipvalue
    (each element), global_clipnorm (all gradients together): at most one of them. use_ema: keep an average of
    the weights, written into them every `ema_overwrite_frequency` steps or by `finalize_variable_values`.
    loss_scale_factor: gradients are divided by it; "dynamic", or a dict of
    DynamicLossScale's arguments, for float16: steps with gradients that are not finite are skipped, and
    `loss_scale` holds the scale. gradient_accumulation_steps: update once every so many
    calls, with the mean gradient. decay: of older scripts, the same as the schedule
    InverseTimeDecay(learning_rate, 1, decay).

    Used by `fit`, or by hand:

    >>> from tensorflowlite_bp.optimizers import SGD
    >>> w = Variable(np.array([1.0]), name="w")
    >>> optimizer = SGD(0.5).build([w])
    >>> (w * w).sum().backward(); optimizer.step(); w.numpy().tolist()
    [0.0]
    """

    _base_config = ("name", "learning_rate")
    _alias_config = frozenset({"lr", "decay"})

    def __init__(
        self,
        learning_rate,
        *,
        weight_decay=None,
        clipnorm: Any = None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        lr=None,
        decay=None,
    ):
        self.name = name or auto_name(type(self).__name__)
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                message(
                    self.name,
                    "only one of clipnorm, clipvalue and global_clipnorm can be set.",
                    received=f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}",
                )
            )
        if not 0 <= ema_momentum <= 1:
            raise ValueError(
                message(self.name, "ema_momentum must be within [0, 1].", received=repr(ema_momentum))
            )
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ValueError(
                message(
                    self.name,
                    "gradient_accumulation_steps must be at least 2, or None.",
                    received=repr(gradient_accumulation_steps),
                )
            )
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._clips = bool(clipnorm or clipvalue)
        self._plain = not (use_ema or gradient_accumulation_steps)
        self._iterations = Variable(np.zeros((), np.int64), name="iteration", trainable=False)
        rate = learning_rate if lr is None else lr
        if decay:
            rate = schedules.InverseTimeDecay(rate, 1, decay)
        self._rate = Variable(np.zeros((), np.float64), name="learning_rate", trainable=False)
        self._schedule = None
        self.learning_rate = rate
        self._chosen: list[Tensor] = []  # the variables of the last step
        self._begin_state()

    # ------------------------------------------------------------------ loss scale
    @property
    def loss_scale_factor(self):
        """A number that gradients are divided by, None, or what made the dynamic `loss_scale`."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, given):
        self._loss_scale_factor = given
        self.loss_scale, self._scale = None, 1.0
        if given == "dynamic":
            self.loss_scale = DynamicLossScale()
        elif isinstance(given, dict):
            self.loss_scale = DynamicLossScale(**given)
        elif given is not None:
            self._scale = 1.0 / given

    def _step_number(self):
        """The number of this update, from 1; with a dynamic loss scale of those that are not skipped: on a
        GPU, where nobody waits to know, a 0-d array.
        """
        if self.loss_scale is None:
            return int(self.iterations) + 1
        updates = self.loss_scale.updates.data
        return int(updates) if isinstance(updates, np.ndarray) else updates

    def _host_step(self):
        """The same as an int at hand: on a GPU skipped updates count, too."""
        step = self._step_number()
        return step if isinstance(step, int) else int(self.iterations) + 1

    # ------------------------------------------------------------------ learning rate and steps
    @property
    def learning_rate(self):
        """A 0-d Variable (float(), assign() and arithmetic work), or the schedule's value at the current
        step, a float.
        """
        if self._schedule is None:
            return self._rate
        return self._current_rate()

    @learning_rate.setter
    def learning_rate(self, value):
        if isinstance(value, dict):
            value = schedules.deserialize(value)
        if callable(value):
            self._schedule = value
            return
        if self._schedule is not None:
            raise TypeError(
                message(
                    self.name,
                    "the learning rate follows a schedule and cannot be set to a number.",
                    received=repr(value),
                    hint="make the optimizer with a float, or set another schedule.",
                )
            )
        if not isinstance(value, (int, float, np.number, Tensor)) or isinstance(value, bool):
            raise ValueError(
                message(
                    self.name,
                    "learning_rate must be a number, a schedule or a function.",
                    received=repr(value),
                )
            )
        self._rate.assign(np.float64(float(value)))

    lr = learning_rate

    def _current_rate(self):
        schedule = self._schedule
        if schedule is None:
            return self._rate.data.item()
        if isinstance(schedule, schedules.LearningRateSchedule):
            return float(schedule(self._iterations.data.item()))
        return float(schedule())

    @property
    def iterations(self):
        """How many updates were made: a 0-d integer Variable (int() works), or an int when accumulating."""
        if self.gradient_accumulation_steps:
            return self._iterations.data.item() // self.gradient_accumulation_steps
        return self._iterations

    def scale_loss(self, loss):
        """The loss times loss_scale_factor, if there is one."""
        if self.loss_scale is not None:
            return self.loss_scale.scale_loss(loss)
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # ------------------------------------------------------------------ updates
    def step(self):
        """Update the variables given to `build` with their `.grad`, as left by `loss.backward()`."""
        if not self.built:
            raise NotBuiltError(
                message(
                    self.name,
                    "step() needs to know the variables.",
                    hint="optimizer.build(model.trainable_weights).",
                )
            )
        self.apply([v.grad for v in self._trainable])

    def zero_grad(self):
        """Forget the gradients of the variables given to `build`."""
        for v in self._trainable:
            if v.node is not None:
                v.grad = None

    def apply_gradients(self, grads_and_vars):
        """`apply` for (gradient, variable) pairs; gives `iterations`."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(list(grads), list(variables))
        return self.iterations

    def apply(self, grads, trainable_variables=None):
        """One update. grads: Tensors or raw arrays, one per variable; the first call builds.

        Raises GradientError naming the variables whose gradient is None, ValueError for unknown variables.
        """
        variables = self._chosen
        known = self._trainable if trainable_variables is None else trainable_variables
        if not variables or len(known) != len(variables) or not all(map(is_, known, variables)):
            variables = self._choose(trainable_variables)
        if len(grads) != len(variables):
            _raise_count(self.name, len(grads), len(variables))
        if not variables:
            return
        raw = [g.data if g.__class__ is Tensor else g for g in grads]
        for g, v in zip(raw, variables, strict=True):
            if g.__class__ is not v.data.__class__ or g.dtype is not v.data.dtype:
                raw = self._conform(grads, variables)
                break
        if self._plain:
            self._clipped_update(raw, variables)
        else:
            self._advance(raw, variables)
        for v in self._constrained:
            v.assign(v.constraint(v.detach()))
        step = self._iterations.data
        step[...] = step.item() + 1

    def _choose(self, variables):
        """Remember which variables, and which states, the coming steps are about."""
        if variables is None:
            if not self.built:
                raise NotBuiltError(
                    message(
                        self.name,
                        "apply(grads) needs variables.",
                        hint="call build(variables), or apply(grads, variables).",
                    )
                )
            chosen = self._trainable
        else:
            chosen = list(variables)
            if not self.built:
                self.build(chosen)
        unknown = [path_of(v, i) for i, v in enumerate(chosen) if id(v) not in self._index]
        if unknown:
            raise ValueError(
                message(
                    self.name,
                    "an optimizer only updates the variables it was built with.",
                    received=", ".join(unknown),
                    hint="make a new optimizer for a new set of variables.",
                )
            )
        self._chosen = chosen
        self._active = [self._index[id(v)] for v in chosen]
        self._constrained = [v for v in chosen if isinstance(v, Variable) and v.constraint is not None]
        return chosen

    def _conform(self, grads, variables):
        """Gradients as raw arrays of their variables' kind and dtype."""
        if any(g is None for g in grads):
            _raise_missing(self.name, grads, variables)
        return [to_array(g).astype(v.data.dtype, copy=False) for g, v in zip(grads, variables, strict=True)]

    def _advance(self, grads, variables):
        if self.gradient_accumulation_steps:
            grads = self._accumulate(grads)
        if grads is not None:
            self._clipped_update(grads, variables)
        if self.use_ema:
            self._average()

    def _clipped_update(self, grads, variables):
        scale: Any = self._scale if self.loss_scale is None else self.loss_scale.examine(grads)
        if isinstance(scale, float) and scale == 0.0:
            return  # a gradient is not finite
        if self._clips:
            grads = [self._clip(scaled(g, scale)) for g in grads]
            scale = 1.0 if isinstance(scale, float) else (scale != 0).astype(scale.dtype)
        elif self.global_clipnorm:
            grads, scale = _within(grads, scale, self.global_clipnorm)
        rate = self._current_rate()
        params = [v._writable() for v in variables]
        decay = self.weight_decay or 0.0
        if decay and self._excluded is not None:
            for p, i in zip(params, self._active, strict=True):
                if not self._excluded[i]:
                    share = decay * rate
                    p -= scaled(p, share if isinstance(scale, float) else share * (scale != 0))
            decay = 0.0
        self._update(params, grads, rate, decay, scale)

    def _clip(self, g):
        if self.clipvalue:
            return g.clip(-self.clipvalue, self.clipvalue)
        (g,), scale = _within([g], 1.0, self.clipnorm, infinite=math.inf)
        return scaled(g, scale)

    def _update(self, params, grads, lr, weight_decay, scale):
        """Change params in place. By default decay and scaling are done here, the rest by `_update_one`."""
        states = [self._raw(name) for name in self._state if name not in ("average", "gradient_accumulator")]
        self._begin()
        lib = backend.of(params[0])
        with nullcontext() if isinstance(scale, float) else lib.unless(scale, params, *states):
            self._update_each(params, grads, states, lr, weight_decay, scale)

    def _update_each(self, params, grads, states, lr, weight_decay, scale):
        for p, g, *own in zip(params, grads, *states, strict=True):
            if weight_decay:
                p -= p * p.dtype.type(weight_decay * lr)
            self._update_one(p, scaled(g, scale), lr, *own)

    def _begin(self):
        """Before the loop over variables: what changes once per step."""

    def _update_one(self, p, g, lr, *states):
        """Change one raw array `p`, and its states in the order of `_slots`, in place. g has p's dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define _update_one(p, g, lr, *states)")

    # ------------------------------------------------------------------ accumulation and averages
    def _accumulate(self, grads):
        steps = self.gradient_accumulation_steps
        sums = self._raw("gradient_accumulator")
        for total, g in zip(sums, grads, strict=True):
            total += g
        if (self._iterations.data.item() + 1) % steps:
            return None
        means = [total / total.dtype.type(steps) for total in sums]
        for total in sums:
            total[...] = 0
        return means

    def _average(self):
        step = int(self.iterations)
        momentum = self.ema_momentum if step else 0.0
        for mean, v in zip(self._state["average"], self._trainable, strict=True):
            m = mean._writable()
            m *= m.dtype.type(momentum)
            m += v.data * m.dtype.type(1 - momentum)
        if self.ema_overwrite_frequency and (step + 1) % self.ema_overwrite_frequency == 0:
            self.finalize_variable_values(self._trainable)

    def finalize_variable_values(self, var_list=None):
        """With use_ema, write the averages into the weights (at the end of training)."""
        if self.use_ema:
            for mean, v in zip(self._state["average"], self._trainable, strict=True):
                v._writable()[...] = mean.data

    # ------------------------------------------------------------------ configuration
    def get_config(self):
        """Constructor arguments with their present values; a schedule as {"class_name", "config"}."""
        rate = self._rate if self._schedule is None else self._schedule
        config = super().get_config()
        if self.loss_scale_factor is not None:  # `fit` may have set it
            config["loss_scale_factor"] = self.loss_scale_factor
        config["learning_rate"] = rate.data.item() if rate is self._rate else schedules.serialize(rate)
        return config

    def __repr__(self):
        rate = float(self.learning_rate) if self._schedule is None else type(self._schedule).__name__
        return f"<{type(self).__name__} name={self.name}, learning_rate={rate}>"


def _within(grads, scale, limit, infinite=math.nan):
    """Gradients, and what to multiply them by so that their common norm is at most `limit`. infinite: what a
    norm without bound counts as. On a device, which is not waited for, that is a 0-d array.
    """
    lib = backend.of(grads[0])
    total = lib.sum_of_squares(grads)
    if isinstance(total, float):
        norm = math.sqrt(total) * scale
        if not norm <= limit:  # also for NaN
            scale *= limit / (infinite if norm == math.inf else norm)
        return grads, scale
    return grads, lib.clip_scale(total, scale, limit, infinite)


def _raise_missing(name, grads, variables):
    missing = [path_of(v, i) for i, (g, v) in enumerate(zip(grads, variables, strict=True)) if g is None]
    raise GradientError(
        message(
            name,
            "every variable needs a gradient.",
            received=f"none for {', '.join(missing)}",
            hint="does the loss depend on it? Was backward() called? Leave it out, or set trainable = False.",
        )
    )


def _raise_count(name, grads, variables):
    raise ValueError(
        message(
            name,
            "one gradient per variable was expected.",
            received=f"{grads} gradients, {variables} variables",
        )
    )
