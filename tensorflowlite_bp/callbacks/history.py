"""What fit returns, and what it shows."""

import csv
import os
from typing import Any

from ..utils.progbar import Progbar
from .callback import Callback


class History(Callback):
    """The metrics of every epoch: `history.history["val_loss"]` is a list of floats, `history.epoch` the
    epochs' numbers.

    `fit` makes one and returns it.
    """

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_train_begin(self, logs=None):
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class ProgbarLogger(Callback):
    """The progress bar of fit, evaluate and predict. Inside fit, evaluation is silent.

    The loops ask `due` after every step and call `show` only when it is time to draw: reading metrics costs
    more than a step.
    """

    def __init__(self, verbose=1):
        super().__init__()
        self.verbose = verbose
        self.target = None
        self.epochs = 1
        self.seen = 0
        self.bar = None
        self.in_fit = False

    def set_params(self, params):
        super().set_params(params)
        self.verbose = params.get("verbose", self.verbose)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def due(self, step):
        """Whether the bar would be redrawn after `step` steps."""
        self.seen = step
        return self.bar.due(step)

    def show(self, step, logs):
        """Draw the bar after `step` steps, if it is time."""
        self.seen = step
        self.bar.update(step, list(logs.items()), finalize=False)

    def on_train_begin(self, logs=None):
        self.in_fit = True

    def on_train_end(self, logs=None):
        self.in_fit = False

    def on_epoch_begin(self, epoch, logs=None):
        if self.verbose and self.epochs > 1:
            print(f"Epoch {epoch + 1}/{self.epochs}", flush=True)
        self._open()

    def on_epoch_end(self, epoch, logs=None):
        self._close(logs)

    def on_test_begin(self, logs=None):
        if not self.in_fit:
            self._open()

    def on_test_end(self, logs=None):
        if not self.in_fit:
            self._close(logs)

    def on_predict_begin(self, logs=None):
        self._open()

    def on_predict_end(self, logs=None):
        self._close(None)

    def _open(self):
        self.seen = 0
        self.bar = Progbar(self.target, verbose=self.verbose, stateful_metrics=True)

    def _close(self, logs):
        if self.target is None:  # a generator has shown how long an epoch is
            self.target = self.bar.target = self.seen
        self.bar.update(self.target, list((logs or {}).items()), finalize=True)


class CSVLogger(Callback):
    """Writes the logs of every epoch as a row of a CSV file. append: go on with an existing file."""

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: Any = None  # open while training
        self._writer = None

    def on_train_begin(self, logs=None):
        self._header = not (
            self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        )
        if self._file is not None:
            self._file.close()
        mode = "a" if self.append else "w"
        self._file = open(self.filename, mode, newline="")  # noqa: SIM115  closed in on_train_end
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self._writer is None:
            keys = sorted(logs)
            if not any(key.startswith("val_") for key in keys):
                keys += [f"val_{key}" for key in keys]  # validation may join in a later epoch
            self._writer = csv.DictWriter(
                self._file, ["epoch", *keys], delimiter=self.separator, restval="NA", extrasaction="ignore"
            )
            if self._header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **logs})
        self._file.flush()

    def on_train_end(self, logs=None):
        self._file.close()
        self._file = self._writer = None
