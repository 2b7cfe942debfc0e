"""Metrics: results over several batches against Keras 3, weighted and not; resolution by shape; errors."""

import json

import numpy as np
import pytest
from oracles import array, keras

from tensorflowlite_bp import metrics
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.errors import ShapeError

R = np.random.default_rng(1)
C = 4


def batches(kind):
    out = []
    for n in (7, 5, 1):
        probabilities = R.uniform(0.02, 0.98, (n, C)).astype(np.float32)
        labels = R.integers(0, C, n)
        one_hot = np.eye(C, dtype=np.float32)[labels]
        multi = R.integers(0, 2, (n, C)).astype(np.float32)
        real = R.normal(size=(n, C)).astype(np.float32)
        out.append(
            {
                "sparse": (labels, probabilities),
                "sparse_column": (labels[:, None], probabilities),
                "one_hot": (one_hot, probabilities),
                "multi": (multi, probabilities),
                "binary": (multi[:, :1], probabilities[:, :1]),
                "flat": (multi[:, 0], probabilities[:, 0]),
                "real": (R.normal(size=(n, C)).astype(np.float32), real),
                "positive": (abs(real) + 0.1, probabilities),
                "equal": (labels, R.integers(0, C, n)),
                "sequence": (R.integers(0, C, (n, 3)), R.normal(size=(n, 3, C)).astype(np.float32)),
                "logits": (multi, real),
            }[kind]
        )
    return out


CASES = [
    ("Accuracy", {}, "equal"),
    ("BinaryAccuracy", {}, "binary"),
    ("BinaryAccuracy", {"threshold": 0.3}, "multi"),
    ("CategoricalAccuracy", {}, "one_hot"),
    ("SparseCategoricalAccuracy", {}, "sparse"),
    ("SparseCategoricalAccuracy", {}, "sparse_column"),
    ("SparseCategoricalAccuracy", {}, "sequence"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one_hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "sparse"),
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("RootMeanSquaredError", {}, "real"),
    ("LogCoshError", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("KLDivergence", {}, "positive"),
    ("Poisson", {}, "positive"),
    ("Hinge", {}, "logits"),
    ("SquaredHinge", {}, "logits"),
    ("CategoricalHinge", {}, "one_hot"),
    ("BinaryCrossentropy", {}, "multi"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "logits"),
    ("CategoricalCrossentropy", {}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one_hot"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "sequence"),
    ("Precision", {}, "binary"),
    ("Precision", {"thresholds": [0.2, 0.5, 0.8]}, "multi"),
    ("Precision", {"top_k": 2}, "multi"),
    ("Precision", {"class_id": 1}, "multi"),
    ("Precision", {"top_k": 2, "class_id": 1}, "multi"),
    ("Recall", {}, "flat"),
    ("Recall", {"thresholds": [0.2, 0.5, 0.8]}, "multi"),
    ("Recall", {"top_k": 2}, "multi"),
    ("F1Score", {}, "one_hot"),
    ("F1Score", {"average": "micro"}, "one_hot"),
    ("F1Score", {"average": "macro", "threshold": 0.4}, "multi"),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, "one_hot"),
    ("AUC", {}, "binary"),
    ("AUC", {"num_thresholds": 17}, "flat"),
    ("AUC", {"curve": "PR"}, "multi"),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, "multi"),
    ("AUC", {"summation_method": "majoring", "num_thresholds": 20}, "multi"),
    ("AUC", {"thresholds": [0.1, 0.2, 0.7]}, "multi"),
    ("AUC", {"multi_label": True, "num_labels": C}, "multi"),
    ("AUC", {"multi_label": True, "num_labels": C, "label_weights": [1.0, 2.0, 0.0, 1.0]}, "multi"),
    ("AUC", {"from_logits": True}, "logits"),
]


@pytest.mark.parametrize(("name", "options", "kind"), CASES, ids=[f"{n}-{o}-{k}" for n, o, k in CASES])
@pytest.mark.parametrize("weighted", [False, True])
def test_result_as_keras(name, options, kind, weighted):
    mine = getattr(metrics, name)(**options)
    theirs = getattr(keras().metrics, name)(**options)
    assert mine.name.split("_")[0] == theirs.name.split("_")[0]
    for y, p in batches(kind):
        w = R.uniform(0, 2, len(y)).astype(np.float32) if weighted else None
        mine.update_state(y, Tensor(p), w)
        theirs.update_state(y, p, w)
    np.testing.assert_allclose(mine.result(), array(theirs.result()), rtol=2e-5, atol=1e-6)
    mine.reset_state()
    theirs.reset_state()
    np.testing.assert_allclose(np.mean(mine.result()), np.mean(array(theirs.result())), atol=1e-12)


@pytest.mark.parametrize(("name", "options", "kind"), CASES, ids=[f"{n}-{o}-{k}" for n, o, k in CASES])
def test_config_round_trip(name, options, kind):
    mine = getattr(metrics, name)(**options)
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(mine))))
    assert again.get_config() == mine.get_config()
    for y, p in batches(kind)[:1]:
        mine.update_state(y, p)
        again.update_state(y, p)
    assert np.array_equal(mine.result(), again.result())


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_reductions_as_keras(name):
    mine, theirs = getattr(metrics, name)(), getattr(keras().metrics, name)()
    cases = [
        (2.5, None),
        (2.5, 2.0),
        (np.float32([1, 2, 3]), None),
        (np.float32([1, 2, 3]), np.float32([1, 0, 2])),
        (R.normal(size=(4, 3)).astype(np.float32), None),
        (R.normal(size=(4, 3)).astype(np.float32), R.uniform(size=4).astype(np.float32)),
        (R.normal(size=(4, 3)).astype(np.float32), R.uniform(size=(4, 1)).astype(np.float32)),
        (R.normal(size=(4, 3)).astype(np.float32), R.uniform(size=(4, 3)).astype(np.float32)),
    ]
    for value, weight in cases:
        if name == "Sum" and np.ndim(weight) == 1 and np.ndim(value) == 2:
            continue
        mine.update_state(value, weight)
        theirs.update_state(value, weight)
        assert mine.result() == pytest.approx(float(theirs.result()), rel=1e-5)


def test_empty_mean_is_zero():
    assert metrics.Mean().result() == 0.0
    mean = metrics.Mean()
    assert mean(3.0) == 3.0


@pytest.mark.parametrize(
    ("identifier", "true", "pred", "kind"),
    [
        ("accuracy", (8, 1), (8, 1), "BinaryAccuracy"),
        ("acc", (8,), (8, 1), "BinaryAccuracy"),
        ("accuracy", (8,), (8,), "BinaryAccuracy"),
        ("accuracy", (8,), (8, 3), "SparseCategoricalAccuracy"),
        ("acc", (8, 1), (8, 3), "SparseCategoricalAccuracy"),
        ("accuracy", (8, 3), (8, 3), "CategoricalAccuracy"),
        ("accuracy", (8, 5), (8, 5, 3), "SparseCategoricalAccuracy"),
        ("crossentropy", (8, 1), (8, 1), "BinaryCrossentropy"),
        ("ce", (8,), (8, 3), "SparseCategoricalCrossentropy"),
        ("ce", (8, 3), (8, 3), "CategoricalCrossentropy"),
        ("mse", (8, 3), (8, 3), "MeanSquaredError"),
        ("AUC", (8, 3), (8, 3), "AUC"),
    ],
)
def test_resolve(identifier, true, pred, kind):
    metric = metrics.resolve(identifier, true, pred)
    assert type(metric).__name__ == kind
    assert metric.name == identifier


def test_resolve_objects_and_functions():
    own = metrics.Precision(name="mine")
    assert metrics.resolve(own, (8,), (8,)) is own

    def spread(y_true, y_pred):
        return y_pred.max(-1) - y_pred.min(-1)

    metric = metrics.resolve(spread, (2, 2), (2, 2))
    assert metric.name == "spread"
    metric.update_state(np.zeros((2, 2)), np.array([[0, 1], [0, 3]]))
    assert metric.result() == 2.0
    metric = metrics.get("huber")
    metric.update_state(np.zeros((1, 2)), np.ones((1, 2)))
    assert metric.result() == 0.5


def test_users_metric_with_variables():
    class Count(metrics.Metric):
        def __init__(self, name="count", **kwargs):
            super().__init__(name=name, **kwargs)
            self.seen = self.add_weight(name="seen", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(len(y_true))

        def result(self):
            return self.seen

    count = Count()
    count.update_state(np.zeros(3), None)
    assert float(count.result()) == 3
    count.reset_state()
    assert float(count.result()) == 0
    assert len(count.variables) == 1


def test_nothing_is_recorded():
    p = Tensor(np.ones((2, 3)), requires_grad=True) * 2
    metric = metrics.MeanSquaredError()
    metric.update_state(np.zeros((2, 3)), p)
    assert isinstance(metric.total, float)


@pytest.mark.parametrize(
    "name", ["accuracy", "BinaryAccuracy", "CategoricalAccuracy", "Precision", "mse", "F1Score"]
)
def test_shapes_that_differ(name):
    with pytest.raises(ShapeError, match=r"\(6, 3\).*\(6, 4\)"):
        metrics.get(name).update_state(np.ones((6, 3)), np.ones((6, 4)))


def test_bad_arguments():
    with pytest.raises(ValueError, match="did you mean"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="within"):
        metrics.Precision(thresholds=2.0)
    with pytest.raises(ValueError, match="num_thresholds"):
        metrics.AUC(num_thresholds=1)
    with pytest.raises(ValueError, match="curve"):
        metrics.AUC(curve="LIFT")
    with pytest.raises(ValueError, match="average"):
        metrics.F1Score(average="mean")
    with pytest.raises(ShapeError, match="one integer label per prediction"):
        metrics.SparseCategoricalAccuracy().update_state(np.ones((6, 4)), np.ones((6, 4)))
