"""What compile sets up, and what one step does: the half of the interface that subclasses override."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from .. import data, optimizers
from .. import metrics as metrics_module
from .._metric_base import held
from ..autograd.autocast import dtype_of
from ..autograd.tensor import Tensor
from ..errors import GradientError, NotBuiltError, message
from ..layers.base import Layer
from ..layers.variable import changes
from .compiled import CompiledLoss, CompiledMetrics


class Compilation:
    """What `compile` was told, resolved. Plain attributes of a plain object: a Layer would track what it
    holds.
    """

    def __init__(
        self, optimizer, loss, loss_weights, metrics, weighted_metrics, mixed_precision, output_names
    ):
        dtype_of(mixed_precision)  # raises for what is none
        self.arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "mixed_precision": mixed_precision,
        }
        self.optimizer = optimizers.get(optimizer)
        self.loss = None if loss is None else CompiledLoss(loss, loss_weights, output_names)
        self.metrics = None
        if metrics or weighted_metrics:
            self.metrics = CompiledMetrics(metrics, weighted_metrics, output_names)
        self.tracker = metrics_module.Mean(name="loss")


class LookUps:
    """The weights and metrics of a model, found once and not once per step (30 us)."""

    def __init__(self, model):
        self.trainable = tuple(model.trainable_weights)
        self.regularised = [v for v in self.trainable if v.regularizer is not None]
        self.metrics = model._own_metrics()
        # lists of layers are changed without anybody noticing
        children = [child for layer in model._flatten_layers() for child in layer._children.values()]
        self._plain = all(isinstance(child, Layer) for child in children)
        self._changes = changes[0]

    def hold(self):
        """Whether all is as it was when they were made."""
        return self._plain and self._changes == changes[0]


class Steps:
    """Compile, losses, metrics and steps of a Model."""

    compiled = False
    output_names = None
    _compilation = None
    _look_ups: Any = None  # of the pass that is running
    _last_look_ups: Any = None  # of the last one

    # Layer's, in a Model
    losses: list
    trainable_weights: list
    _has_penalties: bool
    _flatten_layers: Callable[..., list]
    __call__: Callable[..., Any]

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        mixed_precision=None,
    ):
        """Say how to train: an optimizer, a loss, metrics; each a name, an object, or (losses, metrics) a
        function.

        Several outputs take a list or a dict by output name, and `loss_weights` likewise. `weighted_metrics`
        see the sample weights. run_eagerly to auto_scale_loss are Keras' and change nothing here: every step
        is eager. mixed_precision: "bfloat16" or "float16" for the model's steps, as `bp.mixed_precision`;
        "float32" for none; None for what is on around them. With float16 the optimizer scales the loss.

        Raises ValueError for an unknown name, with the nearest ones; the model keeps its earlier compilation
        then.

        >>> import tensorflowlite_bp as bp
        >>> model = bp.models.Sequential([bp.layers.Dense(1, input_shape=(3,))])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        """
        self._compilation = Compilation(
            optimizer, loss, loss_weights, metrics, weighted_metrics, mixed_precision, self.output_names
        )
        self.stop_training = False
        self.compiled = True

    @property
    def optimizer(self):
        """The optimizer given to compile, or None."""
        return None if self._compilation is None else self._compilation.optimizer

    @property
    def loss(self):
        """The loss as it was given to compile, or None."""
        return None if self._compilation is None else self._compilation.arguments["loss"]

    # ------------------------------------------------------------------ metrics
    @property
    def metrics(self):
        """All metrics: the running loss, those of compile, the losses of several outputs, those of the
        layers.
        """
        compiled = self._compilation
        found = []
        if compiled is not None:
            found.append(compiled.tracker)
            found.extend(() if compiled.metrics is None else compiled.metrics.metrics)
            found.extend(() if compiled.loss is None else compiled.loss.metrics)
        return found + self._own_metrics()

    @property
    def metrics_names(self):
        return [metric.name for metric in self.metrics]

    def reset_metrics(self):
        """Start all running means anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self):
        """{name: value} of all metrics, as they stand."""
        compiled = self._compilation
        results = {}
        others = self._own_metrics()
        if compiled is not None:
            results["loss"] = compiled.tracker.result()
            results.update({} if compiled.metrics is None else compiled.metrics.result())
            others = [*(() if compiled.loss is None else compiled.loss.metrics), *others]
        for metric in others:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return {name: value if type(value) is float else to_number(value) for name, value in results.items()}

    def _own_metrics(self):
        """Metrics that the model or its layers keep as attributes."""
        known = self._look_ups or self._last_look_ups
        if known is not None and (known is self._look_ups or known.hold()):
            return known.metrics
        return [
            value
            for layer in self._flatten_layers()
            for value in vars(layer).values()
            if isinstance(value, metrics_module.Metric)
        ]

    # ------------------------------------------------------------------ steps
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The scalar to minimise: the compiled loss plus what layers added (regularisers, add_loss)."""
        compiled = None if self._compilation is None else self._compilation.loss
        total = None if compiled is None else compiled(y, y_pred, sample_weight)
        for extra in self._added_losses():
            extra = extra if extra.ndim == 0 else extra.sum()
            total = extra if total is None else total + extra
        if total is None:
            raise ValueError(
                message(
                    "fit",
                    "there is no loss to minimise.",
                    hint="pass loss=... to compile(), or call self.add_loss(...) in a layer.",
                )
            )
        return total

    def _added_losses(self):
        look_ups = self._look_ups
        if look_ups is None or self._has_penalties:
            return self.losses
        return [v.regularizer(v) for v in look_ups.regularised]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics with a batch; gives the results of all metrics."""
        if self._compilation.metrics is not None:
            self._compilation.metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def train_step(self, data):
        """One update from a batch `(x, y)` or `(x, y, sample_weight)`; gives the logs. Override for another
        step.
        """
        logs = self._train(*unpack(data))
        return self.get_metrics_result() if logs is None else logs

    def test_step(self, data):
        """One batch of evaluate; gives the logs."""
        logs = self._test(*unpack(data))
        return self.get_metrics_result() if logs is None else logs

    def predict_step(self, data):
        """The outputs for one batch of inputs."""
        return self(unpack(data)[0], training=False)

    def _train(self, x, y, sample_weight):
        y_pred = self(x, training=True)
        look_ups = self._look_ups
        if look_ups is None:  # after the first call, which builds the model
            look_ups = LookUps(self)
            put(self, "_look_ups", look_ups)
            put(self, "_last_look_ups", look_ups)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
        weights = look_ups.trainable
        if weights:
            for w in weights:
                w.node.grad = None
            optimizer = self._compilation.optimizer
            (loss if optimizer.loss_scale_factor is None else optimizer.scale_loss(loss)).backward()
            grads = [w.node.grad for w in weights]
            for g in grads:
                if g is None:
                    grads, weights = with_gradients(optimizer, grads, weights)
                    break
            optimizer.apply(grads, weights)
        return self._measure(x, y, y_pred, sample_weight, loss)

    def _test(self, x, y, sample_weight):
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        return self._measure(x, y, y_pred, sample_weight, loss)

    def _begin_look_ups(self):
        """Before a pass: those of the last one, if nothing has changed since then."""
        known = self._last_look_ups
        known = known if known is not None and known.hold() else None
        if known is not None:
            known.regularised = [v for v in known.trainable if v.regularizer is not None]
        put(self, "_look_ups", known)

    def _forget_look_ups(self):
        """After a pass: what was looked up may change, and gradients left behind would add to those of a loop
        by hand.
        """
        if self._look_ups is not None:
            for w in self._look_ups.trainable:
                w.node.grad = None
        put(self, "_look_ups", None)

    def _measure(self, x, y, y_pred, sample_weight, loss):
        """Metrics of a batch: updated now, read only when somebody asks. A subclass's compute_metrics gives
        its logs.
        """
        compilation = self._compilation
        count, tracker = batch_size(x), compilation.tracker
        tracker.total += held(loss.data) * count  # update_state does the same in 6 us
        tracker.count += count
        if type(self).compute_metrics is not Steps.compute_metrics:
            return self.compute_metrics(x, y, detached(y_pred), sample_weight)
        if compilation.metrics is not None:
            compilation.metrics.update_state(y, detached(y_pred), sample_weight)
        return None

    def _require_compiled(self, where):
        if not self.compiled:
            raise NotBuiltError(
                message(
                    where,
                    f"the model must be compiled before {where}().",
                    hint='model.compile(optimizer="adam", loss="mse") says how to train it.',
                )
            )


unpack = data.unpack_x_y_sample_weight
put = object.__setattr__  # for what is no change of the model


def with_gradients(optimizer, grads, weights):
    """The gradients and weights of what the loss depends on; the rest stays as it is, with a warning, as in
    Keras.
    """
    optimizer.build(weights)
    missing = [w.path for g, w in zip(grads, weights, strict=True) if g is None]
    text = message(
        "fit",
        "the loss does not depend on some weights, which stay as they are.",
        received=", ".join(missing),
        hint="set trainable = False on layers that are not meant to learn.",
    )
    if len(missing) == len(weights):
        raise GradientError(text)
    warnings.warn(text, stacklevel=2)
    kept = [(g, w) for g, w in zip(grads, weights, strict=True) if g is not None]
    return [g for g, _ in kept], tuple(w for _, w in kept)


def detached(tree):
    """Outputs without their graph."""
    if isinstance(tree, Tensor):
        return tree.detach()
    return optree.tree_map(lambda t: t.detach(), tree)


def batch_size(x):
    """How many samples a batch of inputs holds."""
    return (x if isinstance(x, Tensor) else optree.tree_leaves(x)[0]).data.shape[0]


def to_number(value):
    """A metric's value as a float, or as an array where it is one."""
    if isinstance(value, float):
        return value
    if isinstance(value, Tensor):
        value = value.numpy()
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
