"""Learning rates as functions of the step, with Keras' formulas, in double precision. `schedule(step)` gives
a float.
"""

import math

from .._registry import Configurable, Registry
from ..errors import message

_registry = Registry("learning rate schedule")


class LearningRateSchedule(Configurable):
    """Base class. Subclasses define `__call__(step)`: the learning rate at a step counted from 0."""

    def __call__(self, step):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")


class _Decay(LearningRateSchedule):
    """What the decays by number of steps share."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name=None):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(type(self).__name__, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name or type(self).__name__

    def _periods(self, step):
        periods = float(step) / self.decay_steps
        return math.floor(periods) if self.staircase else periods


class ExponentialDecay(_Decay):
    """initial * decay_rate ** (step / decay_steps), in whole powers with `staircase`.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __call__(self, step):
        return self.initial_learning_rate * self.decay_rate ** self._periods(step)


class InverseTimeDecay(_Decay):
    """initial / (1 + decay_rate * step / decay_steps), in whole periods with `staircase`."""

    def __call__(self, step):
        return self.initial_learning_rate / (1 + self.decay_rate * self._periods(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], values[-1] after the last.

    >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(500)
    (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                message(
                    "PiecewiseConstantDecay",
                    "one value more than boundaries was expected.",
                    received=f"{len(boundaries)} boundaries, {len(values)} values",
                )
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step):
        step = float(step)
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if step <= boundary:
                return float(value)
        return float(self.values[-1])


class PolynomialDecay(LearningRateSchedule):
    """From initial to end over decay_steps along (1 - step / decay_steps) ** power; with `cycle`, over
    growing multiples of it.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("PolynomialDecay", "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step):
        step, steps = float(step), self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        left = 1 - min(step, steps) / steps
        return (
            self.initial_learning_rate - self.end_learning_rate
        ) * left**self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial to alpha * initial over decay_steps (Loshchilov and Hutter 2016), after a
    linear warm-up from initial to `warmup_target` over `warmup_steps` when a target is given.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("CosineDecay", "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step, start = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return start + (self.warmup_target - start) * step / self.warmup_steps
            step, start = step - self.warmup_steps, self.warmup_target
        return start * _cosine(min(step, self.decay_steps) / self.decay_steps, self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that restarts: period i lasts t_mul ** i first periods and starts from m_mul ** i *
    initial, above a floor of alpha * initial (SGDR: Loshchilov and Hutter 2016).
    """

    def __init__(
        self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step):
        fraction, restarts, length = float(step) / self.first_decay_steps, 0, 1.0
        if self.t_mul == 1:
            restarts = math.floor(fraction)
            fraction -= restarts
        else:
            while fraction >= length:
                fraction -= length
                length *= self.t_mul
                restarts += 1
            fraction /= length
        return self.initial_learning_rate * _cosine(fraction, self.alpha, self.m_mul**restarts)


def _cosine(fraction, alpha, height=1.0):
    return (1 - alpha) * 0.5 * height * (1 + math.cos(math.pi * fraction)) + alpha


def _positive(where, name, value):
    if value <= 0:
        raise ValueError(message(where, f"{name} must be above 0.", received=repr(value)))
    return value


for _cls in (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    CosineDecay,
    CosineDecayRestarts,
):
    _registry.register(_cls)
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize
