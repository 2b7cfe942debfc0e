"""Callbacks that watch one number: stop early, keep the best, lower the learning rate."""

import os
import warnings
from typing import Any

from ..errors import message
from .callback import Callback

# Metrics that grow as a model improves, for mode="auto" where the metric itself does not say.
GROWING = (
    "acc",
    "auc",
    "precision",
    "recall",
    "f1",
    "fbeta",
    "iou",
    "r2",
    "similarity",
    "specificity",
    "sensitivity",
)
SHRINKING = ("loss", "error", "crossentropy", "divergence", "hinge", "poisson", "logcosh", "perplexity")
SHORT_ERRORS = ("mse", "mae", "mape", "msle", "rmse")


class MonitorCallback(Callback):
    """Base of the callbacks that watch `monitor`. mode: "min", "max", or "auto" by the metric's name."""

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta: float = 0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                message(
                    type(self).__name__, 'mode must be "auto", "min" or "max".', received=f"mode={mode!r}"
                )
            )
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign = 0  # +1 when larger is better, -1 when smaller is; found on first use

    def is_improvement(self, value, reference):
        """Whether `value` beats `reference` by more than min_delta. Anything but NaN beats None."""
        if self._sign == 0:
            self._sign = self._direction()
        if reference is None:
            return True
        return (value - reference) * self._sign > self.min_delta

    def monitored(self, logs):
        """The watched value, or None with a warning that names what there is."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                message(
                    type(self).__name__,
                    f"{self.monitor} is not among the metrics of this epoch, so nothing is done.",
                    received=", ".join(logs or {}) or "no metrics",
                ),
                stacklevel=2,
            )
        return value

    def _direction(self):
        if self.mode != "auto":
            return 1 if self.mode == "max" else -1
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", ()):
            if metric.name == name and getattr(metric, "_direction", None) in ("up", "down"):
                return 1 if metric._direction == "up" else -1
        if any(word in name for word in SHRINKING) or name in SHORT_ERRORS:
            return -1
        if any(word in name for word in GROWING):
            return 1
        raise ValueError(
            message(
                type(self).__name__,
                f"cannot tell whether {self.monitor} should grow or shrink.",
                hint='pass mode="max" or mode="min".',
            )
        )


class EarlyStopping(MonitorCallback):
    """Ends the training once `monitor` has not improved by `min_delta` for `patience` epochs.

    baseline: improvement counts only beyond this value. restore_best_weights: go back to the best epoch at
    the end. start_from_epoch: epochs to wait before watching. `stopped_epoch` and `best_epoch` tell what
    happened.
    """

    def __init__(
        self,
        monitor="val_loss",
        min_delta=0,
        patience=0,
        verbose=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs=None):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch, logs=None):
        current = self.monitored(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after every epoch or every `save_freq` batches.

    filepath: may name `{epoch}` (from 1), `{batch}` and any metric, as
    `"{epoch:02d}-{val_loss:.2f}.safetensors"`. save_best_only: only when `monitor` improves. Files are
    written beside the old one and then put in its place, so that an interruption leaves the old one whole.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq: str | int = "epoch",
        initial_value_threshold=None,
    ):
        super().__init__(monitor, mode, baseline=initial_value_threshold)
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ValueError(
                message(
                    "ModelCheckpoint",
                    'save_freq must be "epoch" or a number of batches.',
                    received=f"save_freq={save_freq!r}",
                )
            )
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq: Any = save_freq
        self._batches = 0
        self._epoch = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._on_batch_end  # an override only where it is wanted

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _on_batch_end(self, batch, logs=None):
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(self._epoch, batch, logs)

    def _save(self, epoch, batch, logs):
        logs = logs or {}
        path = self._path(epoch, batch, logs)
        if self.save_best_only and not self._improved(epoch, logs, path):
            return
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        if self.verbose and not self.save_best_only:
            print(f"\nEpoch {epoch + 1}: saving model to {path}")
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)

    def _improved(self, epoch, logs, path):
        current = self.monitored(logs)
        if current is None:
            return True  # as Keras: better one file too many
        before = "None" if self.best is None else f"{self.best:.5f}"
        better = self.is_improvement(current, self.best)
        if self.verbose and better:
            change = f"improved from {before} to {current:.5f}, saving model to {path}"
            print(f"\nEpoch {epoch + 1}: {self.monitor} {change}")
        elif self.verbose:
            print(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {before}")
        if better:
            self.best = current
        return better

    def _path(self, epoch, batch, logs):
        names = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(**names)
        except KeyError as error:
            raise KeyError(
                message(
                    "ModelCheckpoint",
                    f"the filepath names {error}, which is not among {', '.join(names)}.",
                    received=repr(self.filepath),
                )
            ) from error


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` once `monitor` has not improved for `patience` epochs.

    cooldown: epochs to wait after a change. min_lr: never below this. The rate of every epoch joins the logs
    as `learning_rate`.
    """

    def __init__(
        self,
        monitor="val_loss",
        factor=0.1,
        patience=10,
        verbose=0,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if not 0 < factor < 1:
            raise ValueError(
                message(
                    "ReduceLROnPlateau", "factor must lie between 0 and 1.", received=f"factor={factor!r}"
                )
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr

    def on_train_begin(self, logs=None):
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        rate = logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = self.monitored(logs)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                lowered = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = lowered
                if self.verbose:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lowered:.6g}.")
                self.cooldown_counter = self.cooldown
                self.wait = 0
