"""Metrics from counts of true and false positives and negatives: Precision, Recall, F1Score, AUC."""

import numpy as np

from ._floatx import EPSILON
from ._metric_base import Metric, host, pair
from .errors import ShapeError, message

_LOWEST = -1e10  # a threshold below every score


def _ratio(a, b):
    """a / b, 0 where b is 0."""
    return np.divide(
        a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.asarray(b) != 0
    )


def _prepare(metric, y_true, y_pred, weight, top_k=None, class_id=None):
    """(labels as booleans, scores, weights or None), the weights broadcast to the scores."""
    labels, scores = map(host, pair(metric.name, y_true, y_pred))
    if weight is not None:
        weight = host(weight)
        weight = np.broadcast_to(
            weight.reshape(weight.shape + (1,) * (scores.ndim - weight.ndim)), scores.shape
        )
    if top_k is not None:
        kth = -np.partition(-scores, top_k - 1, axis=-1)[..., top_k - 1, None]
        ahead = np.cumsum(scores == kth, axis=-1) + (scores > kth).sum(-1, keepdims=True)
        scores = np.where((scores > kth) | ((scores == kth) & (ahead <= top_k)), scores, _LOWEST)
    if class_id is not None:
        labels, scores = labels[..., class_id], scores[..., class_id]
        weight = None if weight is None else weight[..., class_id]
    return labels.astype(bool), scores, weight


def _counts(labels, scores, weight, thresholds):
    """Weighted (true positives, false positives, true negatives, false negatives), each of one value per
    threshold.
    """
    labels, scores = labels.ravel(), scores.ravel()
    positive = np.where(labels, 1.0 if weight is None else weight.ravel(), 0.0)
    negative = np.where(labels, 0.0, 1.0 if weight is None else weight.ravel())
    above = scores > np.asarray(thresholds, scores.dtype if scores.dtype.kind == "f" else np.float64)[:, None]
    tp, fp = above @ positive, above @ negative
    return tp, fp, negative.sum() - fp, positive.sum() - tp


def _counts_even(labels, scores, weight, count):
    """The same for `count` thresholds evenly over [0, 1] (just outside at the ends), by buckets: as Keras
    rounds.
    """
    labels = labels.ravel()
    bucket = np.ceil(scores.ravel().astype(np.float32).clip(0, 1) * np.float32(count - 1)) - 1
    bucket = np.maximum(bucket, 0).astype(np.int64)
    weight = np.ones(labels.shape) if weight is None else weight.ravel()
    tp = np.bincount(bucket, weight * labels, count)[::-1].cumsum()[::-1]
    fp = np.bincount(bucket, weight * ~labels, count)[::-1].cumsum()[::-1]
    return tp, fp, (weight * ~labels).sum() - fp, (weight * labels).sum() - tp


class _Rate(Metric):
    """Base of Precision and Recall: thresholds, the k largest scores only, one class only."""

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(dtype=dtype, name=name)
        self.thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else _LOWEST
        levels = default if thresholds is None else thresholds
        self._levels = [levels] if isinstance(levels, (int, float)) else list(levels)
        if thresholds is not None and not all(0 <= t <= 1 for t in self._levels):
            raise ValueError(
                message(self.name, "thresholds must be within [0, 1].", received=repr(thresholds))
            )
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        prepared = _prepare(self, y_true, y_pred, sample_weight, self.top_k, self.class_id)
        tp, fp, _, fn = _counts(*prepared, self._levels)
        self.true_positives += tp
        self.false_positives += fp
        self.false_negatives += fn

    def _value(self, others):
        value = _ratio(self.true_positives, self.true_positives + others)
        return float(value[0]) if len(self._levels) == 1 else value

    def reset_state(self):
        zeros = np.zeros(len(self._levels))
        self.true_positives, self.false_positives, self.false_negatives = zeros, zeros.copy(), zeros.copy()


class Precision(_Rate):
    """True positives / all predicted positives; 0 where there are none.

    >>> m = Precision()
    >>> m.update_state([0, 1, 1, 1], [1, 0, 1, 1]); round(m.result(), 4)
    0.6667
    """

    def result(self):
        return self._value(self.false_positives)


class Recall(_Rate):
    """True positives / all labelled positives; 0 where there are none."""

    def result(self):
        return self._value(self.false_negatives)


class FBetaScore(Metric):
    """(1 + beta**2) * precision * recall / (beta**2 * precision + recall), per class or averaged.

    y_true, y_pred: (batch, classes). Without `threshold` the largest score counts as predicted. average:
    None, "micro", "macro", "weighted".
    """

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(dtype=dtype, name=name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                message(self.name, "average must be None, micro, macro or weighted.", received=repr(average))
            )
        if not beta > 0:
            raise ValueError(message(self.name, "beta must be above 0.", received=repr(beta)))
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(message(self.name, "threshold must be within (0, 1].", received=repr(threshold)))
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, scores = host(y_true), host(y_pred)
        if labels.ndim != 2 or labels.shape != scores.shape:
            raise ShapeError(
                message(
                    self.name,
                    "y_true and y_pred of shape (batch, classes) were expected.",
                    received=f"y_true {labels.shape}, y_pred {scores.shape}",
                    hint="integer labels: use utils.to_categorical first.",
                )
            )
        if self.threshold is None:
            predicted = (scores >= scores.max(axis=-1, keepdims=True)) & (abs(scores) > 1e-9)
        else:
            predicted = scores > self.threshold
        weight = 1.0 if sample_weight is None else host(sample_weight).reshape(-1, 1)
        labels = labels.astype(np.float64)
        axis = None if self.average == "micro" else 0
        self.true_positives = self.true_positives + (predicted * labels * weight).sum(axis=axis)
        self.false_positives = self.false_positives + (predicted * (1 - labels) * weight).sum(axis=axis)
        self.false_negatives = self.false_negatives + (~predicted * labels * weight).sum(axis=axis)
        self.labelled = self.labelled + (labels * weight).sum(axis=axis)

    def result(self):
        precision = self.true_positives / (self.true_positives + self.false_positives + EPSILON)
        recall = self.true_positives / (self.true_positives + self.false_negatives + EPSILON)
        squared = self.beta**2
        score = precision * recall / (squared * precision + recall + EPSILON) * (1 + squared)
        if self.average == "weighted":
            return float(np.sum(score * self.labelled) / (np.sum(self.labelled) + EPSILON))
        return score if self.average is None else float(np.mean(score))

    def reset_state(self):
        self.true_positives = self.false_positives = self.false_negatives = self.labelled = 0.0


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall, per class or averaged.

    >>> m = F1Score(average="macro")
    >>> m.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]]); round(m.result(), 4)
    1.0
    """

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average, 1.0, threshold, name, dtype)


class AUC(Metric):
    """The area under the ROC ("ROC") or precision-recall ("PR") curve, by Riemann sums over thresholds.

    summation_method: "interpolation" (for PR that of Davis and Goadrich 2006), "minoring", "majoring".
    multi_label: per column of y_pred, then averaged with `label_weights`. from_logits: scores go through the
    sigmoid first.

    >>> m = AUC(num_thresholds=3)
    >>> m.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]); m.result()
    0.75
    """

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
    ):
        super().__init__(dtype=dtype, name=name)
        if str(curve).upper() not in ("ROC", "PR"):
            raise ValueError(message(self.name, 'curve must be "ROC" or "PR".', received=repr(curve)))
        if str(summation_method).lower() not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                message(
                    self.name,
                    "summation_method must be interpolation, minoring or majoring.",
                    received=repr(summation_method),
                )
            )
        if num_thresholds <= 1:
            raise ValueError(
                message(self.name, "num_thresholds must be above 1.", received=repr(num_thresholds))
            )
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        self.thresholds = thresholds
        self.num_thresholds = num_thresholds if thresholds is None else len(thresholds) + 2
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float64)
        self.from_logits = from_logits
        inner = sorted(thresholds or ())
        self._levels = None if thresholds is None else [-EPSILON, *inner, 1 + EPSILON]
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.from_logits:
            scores = host(y_pred)
            y_pred = np.exp(-np.logaddexp(0, -scores))
        labels, scores, weight = _prepare(self, y_true, y_pred, sample_weight)
        if self.label_weights is not None and not self.multi_label:
            weight = np.broadcast_to(
                self.label_weights if weight is None else weight * self.label_weights, scores.shape
            )
        if not self.multi_label:
            counts = self._count(labels, scores, weight)
        else:
            columns = range(scores.shape[-1])
            each = [
                self._count(labels[:, i], scores[:, i], None if weight is None else weight[:, i])
                for i in columns
            ]
            counts = [np.stack(column, axis=-1) for column in zip(*each, strict=True)]
        self._state = [old + new for old, new in zip(self._state, counts, strict=True)]

    def _count(self, labels, scores, weight):
        if self._levels is None:
            return _counts_even(labels, scores, weight, self.num_thresholds)
        return _counts(labels, scores, weight, self._levels)

    def result(self):
        tp, fp, tn, fn = (np.asarray(s) for s in self._state)
        if tp.ndim == 0:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated(tp, fp, fn)
        else:
            recall = _ratio(tp, tp + fn)
            x, y = (_ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _ratio(tp, tp + fp))
            if self.summation_method == "interpolation":
                heights = (y[:-1] + y[1:]) / 2
            else:
                heights = (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])
            areas = (x[:-1] - x[1:]) * heights
        if not self.multi_label:
            return float(areas.sum())
        each = areas.sum(axis=0)
        if self.label_weights is None:
            return float(each.mean())
        return float(_ratio((each * self.label_weights).sum(), self.label_weights.sum()))

    def _interpolated(self, tp, fp, fn):
        p = tp + fp
        slope = _ratio(tp[:-1] - tp[1:], np.maximum(p[:-1] - p[1:], 0))
        intercept = tp[1:] - slope * p[1:]
        ratio = np.where((p[:-1] > 0) & (p[1:] > 0), _ratio(p[:-1], np.maximum(p[1:], 0)), 1.0)
        gain = slope * (tp[:-1] - tp[1:] + intercept * np.log(ratio))
        return _ratio(gain, np.maximum(tp[1:] + fn[1:], 0))

    def reset_state(self):
        self._state = [0.0, 0.0, 0.0, 0.0]  # true positives, false positives, true negatives, false negatives
