"""What `compile` sets up: losses and metrics, resolved once the first outputs are seen, for one output or
many.
"""

from typing import Any, cast

import optree

from .. import losses as losses_module
from .. import metrics as metrics_module
from .._naming import to_snake_case
from .._typing import Tree
from ..errors import ShapeError, message

NESTED = (list, tuple, dict)
BY_SHAPE = ("crossentropy", "ce")  # binary, categorical or sparse: the first batch tells


class Outputs:
    """How a model's outputs and targets line up: the names of the outputs, and trees flattened in their
    order.

    A single array is one output without a name. The outputs of a dict are named by its keys, in the model's
    order where it has named its outputs, else sorted. Those of a list are named only where the model names
    them.
    """

    def __init__(self, y_pred, output_names=None):
        self.single = not isinstance(y_pred, NESTED)
        if isinstance(y_pred, dict):
            given = output_names if output_names and set(output_names) == set(y_pred) else None
            self.names = list(given or sorted(y_pred))
        else:
            self.names = list(output_names) if output_names and not self.single else None
        self.count = 1 if self.single else len(y_pred)

    def flatten(self, tree, what="y") -> list[Any]:
        """One entry per output; a dict is read by name. Raises ShapeError naming the outputs that differ."""
        if self.single:
            if isinstance(tree, (list, tuple)) and len(tree) == 1:
                return [tree[0]]
            if isinstance(tree, dict) and len(tree) == 1:
                return list(tree.values())
            if isinstance(tree, NESTED):
                raise_structure(what, "the model has one output", tree)
            return [tree]
        if isinstance(tree, dict):
            if self.names is None or set(tree) != set(self.names):
                raise_structure(what, f"the model's outputs are {self.names or self.count}", tree)
            return [tree[name] for name in self.names]
        if not isinstance(tree, (list, tuple)):
            tree = [tree]
        if len(tree) != self.count:
            raise_structure(what, f"the model has {self.count} outputs", tree)
        return list(tree)

    def aligned(self, y_true, y_pred, sample_weight):
        """(targets, predictions, sample weights): a list per output each. One sample weight serves every
        output.
        """
        true = self.flatten(y_true, "y")
        pred = [y_pred] if self.single else self.flatten(y_pred, "y_pred")
        if isinstance(sample_weight, NESTED):
            return true, pred, self.flatten(sample_weight, "sample_weight")
        return true, pred, [sample_weight] * self.count

    def spread(self, setting, what, *, several=False):
        """A setting of `compile` (loss, weights, metrics) as one entry per output, None where there is none.

        several: a list may also be several entries for a single output.
        """
        if isinstance(setting, dict):
            names = self.names or [None] * self.count
            unknown = [name for name in setting if name not in names]
            if unknown and not (self.single and len(setting) == 1):
                raise ValueError(
                    message(
                        "compile",
                        f"{what} names outputs that the model does not have.",
                        received=f"{unknown}; the outputs are {self.names or 'unnamed'}",
                    )
                )
            return [*setting.values()] if self.single else [setting.get(name) for name in names]
        if self.single and (several or not isinstance(setting, (list, tuple))):
            return [setting]
        if isinstance(setting, (list, tuple)):
            if len(setting) != self.count:
                raise ValueError(
                    message(
                        "compile",
                        f"{what} must have one entry per output.",
                        received=f"{len(setting)} entries for {self.count} outputs",
                    )
                )
            return list(setting)
        return [setting] * self.count


class CompiledLoss:
    """The weighted sum of the losses of all outputs, as one scalar Tensor.

    metrics: with several losses, a running mean of each, unweighted.
    """

    def __init__(self, loss, loss_weights=None, output_names=None):
        self._given = loss, loss_weights
        self._output_names = output_names
        self._outputs = None
        self._parts = []  # (loss, weight) or None, per output
        self.metrics = []
        for name in names_in(loss):
            losses_module.get(name)  # an unknown name is an error of compile, not of the first batch

    def __call__(self, y_true, y_pred, sample_weight=None):
        if self._outputs is None:
            self._build(y_true, y_pred)
        outputs = self._outputs
        if outputs.single and not isinstance(y_true, NESTED) and not isinstance(sample_weight, NESTED):
            loss, weight = self._parts[0]
            value = loss(y_true, y_pred, sample_weight)
            return value if weight is None else value * weight
        total, trackers = None, iter(self.metrics)
        for part, true, pred, w in zip(
            self._parts, *outputs.aligned(y_true, y_pred, sample_weight), strict=True
        ):
            if part is None:
                continue
            loss, weight = part
            value = loss(true, pred, w)
            if self.metrics:
                next(trackers).update_state(value.detach(), sample_weight=pred.shape[0])
            value = value if weight is None else value * weight
            total = value if total is None else total + value
        return total

    def _build(self, y_true, y_pred):
        outputs = Outputs(y_pred, self._output_names)
        loss, weights = self._given
        losses = outputs.spread(loss, "loss")
        weights = outputs.spread(weights, "loss_weights") if weights is not None else [None] * outputs.count
        true, pred, _ = outputs.aligned(y_true, y_pred, None)
        names = []
        for i, loss in enumerate(losses):
            resolved = None if loss is None else resolve_loss(loss, true[i], pred[i])
            self._parts.append(None if resolved is None else (resolved, weights[i]))
            if resolved is not None:
                names.append(outputs.names[i] if outputs.names else resolved.name)
        if len(names) > 1:
            self.metrics = [metrics_module.Mean(name=f"{name}_loss") for name in unique(names)]
        self._outputs = outputs


class CompiledMetrics:
    """The metrics of all outputs: updated per batch, read as a dict of unique names."""

    def __init__(self, metrics=None, weighted_metrics=None, output_names=None):
        for what, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, NESTED):
                raise ValueError(
                    message(
                        "compile",
                        f"{what} must be a list, tuple or dict.",
                        received=f"{what}={given!r}",
                        hint=f"{what}=[{given!r}]",
                    )
                )
            for name in names_in(given):
                metrics_module.resolve(name, (1, 2), (1, 2))
        self._given = metrics or None, weighted_metrics or None
        self._output_names = output_names
        self._outputs = None
        self._entries = []  # (number of the output, name, metric, whether it sees the sample weights)

    @property
    def metrics(self):
        return [metric for _, _, metric, _ in self._entries]

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in a batch."""
        if self._outputs is None:
            self._build(y_true, y_pred)
        if self._outputs.single and not isinstance(y_true, NESTED) and sample_weight is None:
            for _, _, metric, _ in self._entries:
                metric.update_state(y_true, y_pred)
            return
        true, pred, weights = self._outputs.aligned(y_true, y_pred, sample_weight)
        for i, _, metric, weighted in self._entries:
            if weighted and weights[i] is not None:
                metric.update_state(true[i], pred[i], weights[i])
            else:
                metric.update_state(true[i], pred[i])

    def result(self):
        """{name: value} of all metrics."""
        return {name: metric.result() for _, name, metric, _ in self._entries}

    def _build(self, y_true, y_pred):
        outputs = Outputs(y_pred, self._output_names)
        true, pred, _ = outputs.aligned(y_true, y_pred, None)
        taken = set()
        for weighted, given in enumerate(self._given):
            what = "weighted_metrics" if weighted else "metrics"
            wanted = [] if given is None else outputs.spread(given, what, several=True)
            for i, identifiers in enumerate(wanted):
                for identifier in optree.tree_leaves(cast(Tree, [identifiers]), none_is_leaf=False):
                    metric = metrics_module.resolve(identifier, true[i].shape, pred[i].shape)
                    name = f"{outputs.names[i]}_{metric.name}" if outputs.names else metric.name
                    name = f"weighted_{name}" if weighted and name in taken else name
                    self._entries.append((i, free_name(name, taken), metric, bool(weighted)))
        self._outputs = outputs


def names_in(setting):
    """The names (strings) anywhere in a setting of compile, but for those that shapes will decide."""
    return [
        part
        for part in optree.tree_leaves(setting, none_is_leaf=False)
        if isinstance(part, str) and part not in BY_SHAPE
    ]


def unique(names):
    """The names, repeated ones numbered."""
    taken = set()
    return [free_name(name, taken) for name in names]


def free_name(name, taken):
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def resolve_loss(loss, y_true, y_pred):
    """A callable (y_true, y_pred, sample_weight) from a name, a Loss or a function of (y_true, y_pred)."""
    if loss in ("crossentropy", "ce"):
        width = y_pred.shape[-1]
        if width == 1:
            loss = "binary_crossentropy"
        elif len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
            loss = "sparse_categorical_crossentropy"
        else:
            loss = "categorical_crossentropy"
    found = losses_module.get(loss)
    if isinstance(found, losses_module.Loss):
        return found
    name = loss if isinstance(loss, str) else getattr(found, "__name__", to_snake_case(type(found).__name__))
    return losses_module.LossFunctionWrapper(found, name=name)


def raise_structure(what, expected, received):
    keys = f"the keys {sorted(received)}" if isinstance(received, dict) else f"{len(received)} arrays"
    raise ShapeError(
        message("fit", f"{what} must match the outputs: {expected}.", received=f"{keys} in {what}")
    )
