"""fit, evaluate, predict: Keras' training interface over one loop.

`_run` is that loop. It takes raw batches from `data.Epochs`, wraps them as Tensors, runs a step, and calls
batch hooks only where somebody listens. A subclass that overrides `train_step` or `test_step` gets Keras'
packed data instead.
"""

import numpy as np
import optree

from .. import backend, data
from ..autograd.autocast import dtype_of, lowered, mixed_precision
from ..autograd.memory import out_of_memory
from ..autograd.modes import no_grad
from ..autograd.tensor import Tensor, wrap
from ..callbacks import CallbackList, History, ProgbarLogger
from ..data.batches import check_count
from ..errors import message
from .steps import Steps, to_number

_NAMES = {"train": "fit", "test": "evaluate", "predict": "predict"}


class Trainer(Steps):
    """The loops of Model."""

    stop_training = False
    history = None
    _about_a_run = frozenset({"stop_training", "history"})

    # ------------------------------------------------------------------ the loop
    def _step(self, phase):
        """The function that runs one (x, y, sample_weight) of "train", "test" or "predict", in the precision
        that compile was told.
        """
        step = self._plain_step(phase)
        compiled = self._compilation
        policy = None if compiled is None else compiled.arguments["mixed_precision"]
        dtype = lowered() if policy is None else dtype_of(policy)
        if phase == "train" and dtype == np.float16 and compiled.optimizer.loss_scale_factor is None:
            compiled.optimizer.loss_scale_factor = "dynamic"
        return step if policy is None else mixed_precision(policy)(step)

    def _plain_step(self, phase):
        if phase == "predict":
            return lambda x, y, w: self.predict_step((x,))
        name = f"{phase}_step"
        if getattr(type(self), name) is getattr(Steps, name) and name not in vars(self):
            return self._train if phase == "train" else self._test
        step = getattr(self, name)
        return lambda x, y, w: step(pack(x, y, w))

    def _run(self, phase, epochs, callbacks, collect=None):
        """One pass over `epochs`' batches. Gives the logs of the last step, or None where the metrics hold
        them.
        """
        step = self._step(phase)
        before, after = callbacks.batch_hooks(phase)
        progress = callbacks.progress if callbacks.shows(phase) else None
        self._begin_look_ups()
        logs = None
        batches = iter(epochs)
        try:
            for index, batch in enumerate(on_device(batches)):
                for hook in before:
                    hook(index, None)
                logs = step(*batch)
                if collect is not None:
                    collect(logs)
                if after or (progress is not None and progress.due(index + 1)):
                    shown = {"outputs": logs} if phase == "predict" else self._logs(logs)
                    for hook in after:
                        hook(index, shown)
                    if progress is not None:
                        progress.show(index + 1, {} if phase == "predict" else shown)
                if self.stop_training and phase == "train":
                    break
        except MemoryError as error:
            raise out_of_memory(_NAMES[phase], error) from error
        finally:
            batches.close()
            self._forget_look_ups()
        return logs

    def _logs(self, logs):
        """Logs to show, by name: the metrics' results, or a custom step's own if they have other names."""
        results = self.get_metrics_result()
        if logs is not None:
            if not isinstance(logs, dict):
                raise TypeError(
                    message("fit", "train_step must give a dict of logs.", received=f"{type(logs).__name__}")
                )
            if set(logs) != set(results):
                results = {name: to_number(v) for name, v in logs.items()}
        return dict(sorted(results.items()))

    # ------------------------------------------------------------------ fit
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train for `epochs` passes over the data; gives the History.

        x: an array (samples, ...), a list or dict of arrays for several inputs, or an iterable of `(x, y)` or
        `(x, y, sample_weight)` batches; y: targets likewise. Floats are cast to `floatx()`, integers stay.
        batch_size: 32 unless given. verbose: 0 silent, 1 bar, 2 a line per epoch, "auto" a bar.
        validation_split: the last part of the arrays, before shuffling. validation_data: `(x, y)`, `(x, y,
        sample_weight)` or an iterable. class_weight: {class: weight}. shuffle: every epoch, with
        `bp.random`'s generator ("batch": whole batches).

        Raises NotBuiltError before compile, ShapeError for lengths or shapes that do not fit, ValueError for
        the rest.
        """
        self._require_compiled("fit")
        check_count(epochs, "fit", "epochs")
        validation = validation_data
        if validation_split and validation is None:
            if not data.is_array_like(x):
                raise ValueError(
                    message(
                        "fit",
                        "validation_split needs arrays.",
                        received=f"x of type {type(x).__name__}",
                        hint="pass validation_data=... instead.",
                    )
                )
            arrays = data.prepare(x, y, sample_weight, class_weight=class_weight, where="fit")
            (x, y, sample_weight), validation = data.train_validation_split(*arrays, validation_split)
            if class_weight is not None:  # Keras validates without class weights
                validation = validation[:2]
            class_weight = None
        training = data.as_epochs(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        if validation is not None:
            validation = self._validation(validation, validation_batch_size or batch_size, validation_steps)
        history = History()
        callbacks = self._callbacks(callbacks, verbose, epochs, training.num_batches, history)
        self.history = history
        self.stop_training = False
        epoch_logs = {}
        callbacks.call("on_train_begin", None)
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                callbacks.call("on_epoch_begin", epoch, None)
                logs = self._run("train", training, callbacks)
                epoch_logs = dict(self._logs(logs))
                if validation is not None and wants_validation(epoch, validation_freq):
                    found = self._evaluate(validation, callbacks)
                    epoch_logs.update((f"val_{name}", value) for name, value in found.items())
                epoch_logs = dict(sorted(epoch_logs.items()))  # as Keras shows them
                callbacks.call("on_epoch_end", epoch, epoch_logs)
                if self.stop_training or training.exhausted:
                    break
        finally:
            training.restart()  # closes what it was reading
        self.optimizer.finalize_variable_values(self.trainable_weights)
        callbacks.call("on_train_end", epoch_logs)
        return history

    def _validation(self, given, batch_size, steps):
        """The Epochs of validation_data: a tuple of arrays, or an iterable of batches."""
        where = "fit, validation_data"
        if isinstance(given, (tuple, list)):
            x, y, w = data.unpack_x_y_sample_weight(given)
        else:
            x, y, w = given, None, None
        if not data.is_array_like(x):
            batch_size = None
        return data.as_epochs(x, y, w, batch_size=batch_size, steps=steps, where=where)

    # ------------------------------------------------------------------ evaluate, predict
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Loss and metrics on data: a float when there is only the loss, a list in the order of
        `metrics_names`, or a dict.
        """
        self._require_compiled("evaluate")
        epochs = data.as_epochs(x, y, sample_weight, batch_size=batch_size, steps=steps, where="evaluate")
        logs = self._evaluate(epochs, self._callbacks(callbacks, verbose, 1, epochs.num_batches))
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, epochs, callbacks):
        callbacks.call("on_test_begin", None)
        self.reset_metrics()
        epochs.restart()
        with no_grad():
            logs = self._logs(self._run("test", epochs, callbacks))
        callbacks.call("on_test_end", logs)
        return logs

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """The outputs for x as NumPy arrays, computed in batches (32 unless given). Works without compile.

        Raises ShapeError when x does not fit the model, or is empty.
        """
        epochs = data.as_epochs(x, batch_size=batch_size, steps=steps, where="predict")
        callbacks = self._callbacks(callbacks, verbose, 1, epochs.num_batches)
        callbacks.call("on_predict_begin", None)
        parts = []
        with no_grad():
            self._run("predict", epochs, callbacks, collect=lambda out: parts.append(to_numpy(out)))
        callbacks.call("on_predict_end", None)
        if len(parts) == 1:
            return parts[0]
        return optree.tree_map(lambda *leaves: np.concatenate(leaves), *parts)

    # ------------------------------------------------------------------ single batches
    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One update on one batch; gives the loss and the metrics of this batch, in the form of evaluate."""
        self._require_compiled("train_on_batch")
        batch = data.prepare(x, y, sample_weight, class_weight=class_weight, where="train_on_batch")
        return self._one_batch("train", batch, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch, in the form of evaluate."""
        self._require_compiled("test_on_batch")
        with no_grad():
            return self._one_batch(
                "test", data.prepare(x, y, sample_weight, where="test_on_batch"), return_dict
            )

    def predict_on_batch(self, x):
        """The outputs for one batch as NumPy arrays."""
        with no_grad():
            batch = to_tensors()(data.prepare(x, where="predict_on_batch"))
            return to_numpy(self._step("predict")(*batch))

    def _one_batch(self, phase, batch, return_dict):
        self._begin_look_ups()
        try:
            self.reset_metrics()
            logs = self._logs(self._step(phase)(*to_tensors()(batch)))
            return logs if return_dict else self._in_order(logs)
        finally:
            self._forget_look_ups()

    def _in_order(self, logs):
        """Logs as a list in Keras' order: as `metrics_names`, then the rest by name; a single value by
        itself.
        """
        names = [name for name in self.metrics_names if name in logs]
        values = [logs[name] for name in [*names, *sorted(set(logs) - set(names))]]
        return values[0] if len(values) == 1 else values

    # ------------------------------------------------------------------ small tools
    def _callbacks(self, callbacks, verbose, epochs, steps, history=None):
        if isinstance(callbacks, CallbackList):
            return callbacks
        verbose = 1 if verbose == "auto" else int(verbose)
        progress = ProgbarLogger(verbose) if verbose else None
        return CallbackList(
            callbacks,
            model=self,
            progress=progress,
            history=history,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )


def pack(x, y, sample_weight):
    """A batch as Keras hands it to train_step."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


def to_tensors():
    """A function from a batch of raw arrays to Tensors where new tensors live."""
    library = backend.current()

    def tensor(array):
        return wrap(array if type(array) is library.ndarray else library.asarray(array))

    def tensors(batch):
        x, y, w = batch
        if isinstance(x, (list, tuple, dict)) or isinstance(y, (list, tuple, dict)):
            return optree.tree_map(tensor, batch)
        return tensor(x), None if y is None else tensor(y), None if w is None else tensor(w)

    return tensors


def on_device(batches):
    """Batches as Tensors where new tensors live. To a GPU each is copied while the step before it runs: they
    are read one ahead.
    """
    library = backend.current()
    if library.name == "numpy":
        yield from map(to_tensors(), batches)
        return
    upload, waiting = library.upload(), None
    for batch in batches:
        leaves, spec = optree.tree_flatten(batch)
        following = (spec, *upload(leaves))
        if waiting is not None:
            yield arrived(upload, *waiting)
        waiting = following
    if waiting is not None:
        yield arrived(upload, *waiting)


def arrived(upload, spec, arrays, event):
    upload.wait(event)
    return spec.unflatten(map(wrap, arrays))


def to_numpy(tree):
    if isinstance(tree, Tensor):
        return tree.numpy()
    return optree.tree_map(lambda t: t.numpy() if isinstance(t, Tensor) else np.asarray(t), tree)


def wants_validation(epoch, frequency):
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency
