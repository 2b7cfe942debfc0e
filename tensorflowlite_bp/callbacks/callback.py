"""The base of all callbacks, and the list that calls them."""

HOOKS = tuple(
    f"on_{phase}"
    for phase in (
        "train_begin",
        "train_end",
        "test_begin",
        "test_end",
        "predict_begin",
        "predict_end",
        "epoch_begin",
        "epoch_end",
        "train_batch_begin",
        "train_batch_end",
        "test_batch_begin",
        "test_batch_end",
        "predict_batch_begin",
        "predict_batch_end",
    )
)


class Callback:
    """What happens during fit, evaluate and predict: subclass it and override the moments of interest.

    `self.model` is the model, `self.params` the dict of `verbose`, `epochs` and `steps`. `logs` maps metric
    names to floats; what `on_epoch_end` adds to it reaches the History and the progress bar. Set
    `self.model.stop_training` to end the training. Batch hooks that nobody overrides cost nothing.
    """

    def __init__(self):
        self.params = {}
        self._model = None

    @property
    def model(self):
        return self._model

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self._model = model

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After epoch `epoch` and its validation."""

    def on_batch_begin(self, batch, logs=None):
        """Older name of on_train_batch_begin."""

    def on_batch_end(self, batch, logs=None):
        """Older name of on_train_batch_end."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before training batch `batch` of the epoch, counted from 0."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """After training batch `batch`; logs: the epoch's metrics so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        """Before evaluate, and before the validation inside fit."""

    def on_test_end(self, logs=None):
        """After evaluate, with its logs."""

    def on_test_batch_begin(self, batch, logs=None):
        """Before each batch of evaluate."""

    def on_test_batch_end(self, batch, logs=None):
        """After each batch of evaluate."""

    def on_predict_begin(self, logs=None):
        """Before predict."""

    def on_predict_end(self, logs=None):
        """After predict."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before each batch of predict."""

    def on_predict_batch_end(self, batch, logs=None):
        """After each batch of predict; logs: {"outputs": ...}."""


class CallbackList:
    """Calls every callback at every moment it overrides.

    `batch_hooks(phase)` gives the (begin, end) pairs for the training loops: empty lists when nobody listens.
    """

    def __init__(self, callbacks=None, *, model, progress=None, history=None, **params):
        if callbacks is None:
            callbacks = []
        elif not isinstance(callbacks, (list, tuple)):
            callbacks = [callbacks]
        for callback in callbacks:
            if not hasattr(callback, "set_model"):
                raise TypeError(
                    f"[fit] callbacks must be Callback instances. Received: {callback!r} "
                    f"of type {type(callback).__name__}"
                )
        # The progress bar and the History come last, so that they see what others add to the logs.
        self.progress = progress
        self.callbacks = [*callbacks, *(c for c in (progress, history) if c is not None)]
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self._hooks = {name: self._listeners(name) for name in HOOKS}

    def _listeners(self, name):
        return [getattr(c, name) for c in self.callbacks if _overrides(c, name)]

    def batch_hooks(self, phase):
        """The lists of functions to call before and after each batch of "train", "test" or "predict"."""
        return self._hooks[f"on_{phase}_batch_begin"], self._hooks[f"on_{phase}_batch_end"]

    def shows(self, phase):
        """Whether the progress bar runs in this phase: not for the validation inside fit."""
        return self.progress is not None and not (phase == "test" and self.progress.in_fit)

    def call(self, name, *args):
        """Call hook `name` of every callback that overrides it."""
        for hook in self._hooks[name]:
            hook(*args)


_NAMES = {n: (n, n.replace("train_", "")) if n.startswith("on_train_batch") else (n,) for n in HOOKS}


def _overrides(callback, name):
    own, cls = vars(callback), type(callback)
    return any(n in own or getattr(cls, n, None) is not getattr(Callback, n) for n in _NAMES[name])
