"""Callbacks that steer: a schedule of learning rates, a stop on NaN, functions of the user's own."""

import inspect
import math
import numbers

from ..errors import message
from .callback import HOOKS, Callback


class LearningRateScheduler(Callback):
    """Sets the learning rate of every epoch to `schedule(epoch, current_rate)`. epoch counts from 0.

    The rate joins the logs as `learning_rate`. Raises ValueError when the schedule gives anything but a
    number.
    """

    def __init__(self, schedule, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        if _takes_rate(self.schedule):
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        else:
            rate = self.schedule(epoch)  # the older form
        if isinstance(rate, bool) or not (isinstance(rate, numbers.Real) or getattr(rate, "ndim", 1) == 0):
            raise ValueError(
                message(
                    "LearningRateScheduler",
                    "the schedule must give a number.",
                    received=f"{rate!r} at epoch {epoch}",
                )
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class TerminateOnNaN(Callback):
    """Ends the training at the first batch with a NaN or infinite loss; raise_error: with a RuntimeError."""

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                message("TerminateOnNaN", "a finite loss was expected.", received=f"{loss} at batch {batch}")
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback from functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Takes every hook of Callback by name. Raises TypeError for a name that is none, or for something not
    callable.
    """

    def __init__(self, **functions):
        super().__init__()
        for name, function in functions.items():
            if name not in (*HOOKS, "on_batch_begin", "on_batch_end"):
                raise TypeError(
                    message("LambdaCallback", f"one of {', '.join(HOOKS)} was expected.", received=repr(name))
                )
            if function is None:
                continue
            if not callable(function):
                raise TypeError(
                    message("LambdaCallback", f"{name} must be a function.", received=repr(function))
                )
            setattr(self, name, function)


def _takes_rate(schedule):
    """Whether `schedule` takes the current rate besides the epoch."""
    try:
        parameters = inspect.signature(schedule).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return True
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) >= 2
