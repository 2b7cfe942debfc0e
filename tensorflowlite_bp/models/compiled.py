"""What `compile` sets up: losses and metrics, resolved once the first outputs are seen, for one output or many."""

import optree

from .. import losses as losses_module
from .. import metrics as metrics_module
from .._naming import to_snake_case
from ..errors import ShapeError, message


class Outputs:
    """How a model's outputs and targets line up: the names of the outputs, and trees flattened in their order.

    A single array is one output without a name. The outputs of a dict are named by its keys, in the model's order where
    it has named its outputs, else sorted. Those of a list are named only where the model names them.
    """

    def __init__(self, y_pred, output_names=None):
        self.single = not isinstance(y_pred, (dict, list, tuple))
        if isinstance(y_pred, dict):
            given = output_names if output_names and set(output_names) == set(y_pred) else None
            self.names = list(given or sorted(y_pred))
        else:
            self.names = list(output_names) if output_names and not self.single else None
        self.keys = self.names if isinstance(y_pred, dict) else None
        self.count = 1 if self.single else len(y_pred)

    def flatten(self, tree, what="y"):
        """One entry per output; a dict is read by name. Raises ShapeError naming the outputs that differ."""
        if self.single:
            if isinstance(tree, (list, tuple)) and len(tree) == 1:
                return [tree[0]]
            if isinstance(tree, dict) and len(tree) == 1:
                return list(tree.values())
            if isinstance(tree, (list, tuple, dict)):
                _raise_structure(what, "the model has one output", tree)
            return [tree]
        if isinstance(tree, dict):
            if self.names is None or set(tree) != set(self.names):
                _raise_structure(what, f"the model's outputs are {self.names or self.count}", tree)
            return [tree[name] for name in self.names]
        if not isinstance(tree, (list, tuple)):
            tree = [tree]
        if len(tree) != self.count:
            _raise_structure(what, f"the model has {self.count} outputs", tree)
        return list(tree)

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
    """The weighted sum of the losses of all outputs, as one scalar Tensor."""

    def __init__(self, loss, loss_weights=None, output_names=None):
        self._loss = loss
        self._weights = loss_weights
        self._output_names = output_names
        self._outputs = None
        self.metrics = []  # with several outputs: a running mean per output
        for part in optree.tree_leaves(loss, none_is_leaf=False):
            if isinstance(part, str) and part not in ("crossentropy", "ce"):
                losses_module.get(part)  # an unknown name is an error of compile, not of the first batch

    def __call__(self, y_true, y_pred, sample_weight=None):
        if self._outputs is None:
            self._build(y_true, y_pred)
        if self._outputs.single:
            if isinstance(y_true, (list, tuple, dict)):
                y_true = self._outputs.flatten(y_true)[0]
            if isinstance(sample_weight, (list, tuple, dict)):
                sample_weight = self._outputs.flatten(sample_weight, "sample_weight")[0]
            loss, weight = self._parts[0]
            value = loss(y_true, y_pred, sample_weight)
            return value if weight is None else value * weight
        return self._several(y_true, y_pred, sample_weight)

    def _several(self, y_true, y_pred, sample_weight):
        outputs = self._outputs
        predictions = outputs.flatten(y_pred, "y_pred")
        targets = outputs.flatten(y_true, "y")
        weights = [None] * outputs.count
        if sample_weight is not None:
            weights = (
                outputs.flatten(sample_weight, "sample_weight")
                if isinstance(sample_weight, (list, tuple, dict))
                else [sample_weight] * outputs.count
            )
        total = None
        trackers = iter(self.metrics)
        for part, target, prediction, w in zip(self._parts, targets, predictions, weights, strict=True):
            if part is None:
                continue
            loss, weight = part
            value = loss(target, prediction, w)
            if self.metrics:
                next(trackers).update_state(value.detach(), sample_weight=prediction.shape[0])
            value = value if weight is None else value * weight
            total = value if total is None else total + value
        return total

    def _build(self, y_true, y_pred):
        outputs = Outputs(y_pred, self._output_names)
        losses = outputs.spread(self._loss, "loss")
        weights = (
            [None] * outputs.count if self._weights is None else outputs.spread(self._weights, "loss_weights")
        )
        targets = outputs.flatten(y_true, "y")
        predictions = [y_pred] if outputs.single else outputs.flatten(y_pred, "y_pred")
        self._parts, names = [], []
        for i, (loss, weight) in enumerate(zip(losses, weights, strict=True)):
            if loss is None:
                self._parts.append(None)
                continue
            resolved = _resolve_loss(loss, targets[i], predictions[i])
            self._parts.append((resolved, weight))
            names.append(outputs.names[i] if outputs.names else getattr(resolved, "name", f"output_{i + 1}"))
        if len(names) > 1:
            self.metrics = [metrics_module.Mean(name=f"{name}_loss") for name in unique(names)]
        self._outputs = outputs


class CompiledMetrics:
    """The metrics of all outputs: updated per batch, read as a dict of unique names."""

    def __init__(self, metrics=None, weighted_metrics=None, output_names=None):
        for what, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, (list, tuple, dict)):
                raise ValueError(
                    message(
                        "compile",
                        f"{what} must be a list, tuple or dict.",
                        received=f"{what}={given!r}",
                        hint=f"{what}=[{given!r}]",
                    )
                )
            for part in optree.tree_leaves(given, none_is_leaf=False):
                if isinstance(part, str) and part not in ("accuracy", "acc", "crossentropy", "ce"):
                    metrics_module.get(part)
        self._given = (metrics or None, weighted_metrics or None)
        self._output_names = output_names
        self._outputs = None
        self._plain = []  # (index of the output, name, metric, weighted)

    @property
    def metrics(self):
        return [entry[2] for entry in self._plain]

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self._outputs is None:
            self._build(y_true, y_pred)
        if self._outputs.single and not isinstance(y_true, (list, tuple, dict)):
            for _, _, metric, weighted in self._plain:
                if weighted and sample_weight is not None:
                    metric.update_state(y_true, y_pred, sample_weight)
                else:
                    metric.update_state(y_true, y_pred)
            return
        outputs = self._outputs
        targets = outputs.flatten(y_true, "y")
        predictions = [y_pred] if outputs.single else outputs.flatten(y_pred, "y_pred")
        weights = sample_weight
        if isinstance(weights, (list, tuple, dict)):
            weights = outputs.flatten(weights, "sample_weight")
        else:
            weights = [weights] * outputs.count
        for i, _, metric, weighted in self._plain:
            w = weights[i] if weighted else None
            metric.update_state(targets[i], predictions[i], *(() if w is None else (w,)))

    def result(self):
        """{name: value} of all metrics."""
        return {name: metric.result() for _, name, metric, _ in self._plain}

    def reset_state(self):
        for _, _, metric, _ in self._plain:
            metric.reset_state()

    def _build(self, y_true, y_pred):
        outputs = Outputs(y_pred, self._output_names)
        targets = outputs.flatten(y_true, "y")
        predictions = [y_pred] if outputs.single else outputs.flatten(y_pred, "y_pred")
        found, taken = [], set()
        for weighted, given in enumerate(self._given):
            if given is None:
                continue
            what = "weighted_metrics" if weighted else "metrics"
            for i, identifiers in enumerate(outputs.spread(given, what, several=True)):
                if not isinstance(identifiers, (list, tuple)):
                    identifiers = [identifiers]
                for identifier in optree.tree_leaves(list(identifiers), none_is_leaf=False):
                    metric = metrics_module.resolve(identifier, targets[i].shape, predictions[i].shape)
                    name = f"{outputs.names[i]}_{metric.name}" if outputs.names else metric.name
                    if name in taken and weighted:
                        name = f"weighted_{name}"
                    found.append((i, _free(name, taken), metric, bool(weighted)))
        self._plain = found
        self._outputs = outputs


def unique(names):
    """The names, repeated ones numbered."""
    taken = set()
    return [_free(name, taken) for name in names]


def _free(name, taken):
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _resolve_loss(loss, y_true, y_pred):
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


def _raise_structure(what, expected, received):
    keys = f"the keys {sorted(received)}" if isinstance(received, dict) else f"{len(received)} arrays"
    raise ShapeError(
        message("fit", f"{what} must match the outputs: {expected}.", received=f"{keys} in {what}")
    )
