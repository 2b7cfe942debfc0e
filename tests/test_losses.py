"""Losses: values against Keras 3 for every reduction and kind of weight, gradients, fusion, errors."""

import json

import numpy as np
import pytest
from oracles import array, keras, torch

from tensorflowlite_bp import losses
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.errors import ShapeError

R = np.random.default_rng(0)
N, C = 6, 4
REAL = (R.normal(size=(N, C)).astype(np.float32), R.normal(size=(N, C)).astype(np.float32))
POSITIVE = tuple(abs(x) + 0.1 for x in REAL)
BINARY = (R.integers(0, 2, (N, C)).astype(np.float32), R.uniform(0.02, 0.98, (N, C)).astype(np.float32))
BINARY_LOGITS = (BINARY[0], REAL[0])
ONE_HOT = (np.eye(C, dtype=np.float32)[R.integers(0, C, N)], R.uniform(0.1, 1, (N, C)).astype(np.float32))
ONE_HOT_LOGITS = (ONE_HOT[0], REAL[1])
SPARSE = (ONE_HOT[0].argmax(-1), ONE_HOT[1])
SPARSE_LOGITS = (SPARSE[0], REAL[1])
SEQUENCE = (R.integers(0, C, (N, 3)), R.normal(size=(N, 3, C)).astype(np.float32))

CASES = [
    ("MeanSquaredError", {}, REAL),
    ("MeanAbsoluteError", {}, REAL),
    ("MeanAbsolutePercentageError", {}, REAL),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("Huber", {}, REAL),
    ("Huber", {"delta": 0.4}, REAL),
    ("LogCosh", {}, REAL),
    ("Poisson", {}, POSITIVE),
    ("KLDivergence", {}, BINARY),
    ("CosineSimilarity", {}, REAL),
    ("CosineSimilarity", {"axis": 0}, REAL),
    ("Hinge", {}, BINARY_LOGITS),
    ("SquaredHinge", {}, (2 * BINARY[0] - 1, REAL[0])),
    ("CategoricalHinge", {}, ONE_HOT_LOGITS),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True}, BINARY_LOGITS),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, BINARY_LOGITS),
    ("BinaryFocalCrossentropy", {}, BINARY),
    (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "apply_class_balancing": True, "gamma": 1.5},
        BINARY_LOGITS,
    ),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"from_logits": True, "axis": 0}, ONE_HOT_LOGITS),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SPARSE_LOGITS),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SEQUENCE),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, SPARSE),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, SPARSE_LOGITS),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, SEQUENCE),
]
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]
WEIGHTS = {
    "none": None,
    "vector": R.uniform(0, 2, N).astype(np.float32),
    "column": R.uniform(0, 2, (N, 1)).astype(np.float32),
    "zeros": np.zeros(N, np.float32),
}


@pytest.mark.parametrize(("name", "options", "data"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_value_and_gradient_as_keras(name, options, data, weight):
    y, p = data
    w = WEIGHTS[weight]
    if options.get("axis") == 0 and w is not None:
        pytest.skip("one loss per column: weights per sample do not apply")
    if data is SEQUENCE and w is not None and (w.ndim == 1 or "ignore_class" in options):
        pytest.skip("Keras takes weights for losses (n, time) only as columns, and not with ignore_class")
    for reduction in REDUCTIONS:
        mine = getattr(losses, name)(reduction=reduction, **options)
        theirs = getattr(keras().losses, name)(reduction=reduction, **options)
        prediction = Tensor(p.copy(), requires_grad=True)
        out = mine(y, prediction, w)
        k_prediction = torch().tensor(p, requires_grad=True)
        expected = theirs(y, k_prediction, None if w is None else w)
        np.testing.assert_allclose(out.numpy(), array(expected), rtol=5e-6, atol=2e-6, err_msg=str(reduction))
        assert out.dtype == np.float32
        out.sum().backward()
        (grad,) = torch().autograd.grad(expected.sum(), k_prediction)
        np.testing.assert_allclose(
            prediction.grad.numpy(), array(grad), rtol=2e-5, atol=2e-6, err_msg=str(reduction)
        )


@pytest.mark.parametrize(("name", "options", "data"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES])
def test_function_gives_one_value_per_sample(name, options, data):
    fn = getattr(losses, name).fn
    theirs = getattr(keras().losses, fn.__name__)
    y = data[0].astype(np.float32) if data[0].dtype.kind == "f" else data[0]
    expected = array(
        theirs(keras().ops.convert_to_tensor(y), keras().ops.convert_to_tensor(data[1]), **options)
    )
    np.testing.assert_allclose(fn(y, data[1], **options).numpy(), expected, rtol=5e-6, atol=2e-6)


@pytest.mark.parametrize(("name", "options", "data"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES])
def test_config_round_trip(name, options, data):
    mine = getattr(losses, name)(**options, reduction="sum")
    again = losses.deserialize(json.loads(json.dumps(losses.serialize(mine))))
    assert again.get_config() == mine.get_config()
    assert float(again(*data)) == float(mine(*data))
    theirs = getattr(keras().losses, name)(**options, reduction="sum").get_config()
    for key in theirs.keys() & mine.get_config().keys():
        assert mine.get_config()[key] == theirs[key], key


def ops_of(loss):
    found, stack = [], [loss.node]
    while stack:
        node = stack.pop()
        if node is not None and node.op is not None:
            found.append(node.op.name)
            stack.extend(node.parents)
    return found


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (losses.SparseCategoricalCrossentropy(from_logits=True), SPARSE[0]),
        (losses.SparseCategoricalCrossentropy(from_logits=True), SPARSE[0][:, None]),
        (losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum", ignore_class=0), SPARSE[0]),
        (losses.BinaryCrossentropy(from_logits=True), BINARY[0]),
    ],
)
def test_cross_entropy_on_logits_is_one_node(loss, y):
    logits = Tensor(REAL[1].copy(), requires_grad=True)
    assert len(ops_of(loss(y, logits))) <= 2


def test_float64_stays_float64():
    y, p = REAL[0].astype(np.float64), REAL[1].astype(np.float64)
    assert losses.MeanSquaredError()(y, p).dtype == np.float64
    assert losses.MeanSquaredError(dtype="float32")(y, p).dtype == np.float32


@pytest.mark.parametrize("name", ["mean_squared_error", "binary_crossentropy"])
@pytest.mark.parametrize(("a", "b"), [((N,), (N, 1)), ((N, 1), (N,)), ((N,), (N,))])
def test_ranks_differing_by_a_unit_axis(name, a, b):
    y, p = R.integers(0, 2, a).astype(np.float32), R.uniform(0.1, 0.9, b).astype(np.float32)
    value = float(losses.get(name)(y, p))
    flat = float(losses.get(name)(y.ravel(), p.ravel()))
    assert value == pytest.approx(flat, rel=1e-6)


def test_integer_labels_and_lists():
    assert float(losses.MeanSquaredError()([0, 1], [0.0, 0.0])) == 0.5
    assert float(
        losses.BinaryCrossentropy(from_logits=True)(np.array([[0], [1]]), np.zeros((2, 1)))
    ) == pytest.approx(np.log(2))
    labels = SPARSE[0].astype(np.float32)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(labels, REAL[1])) == float(loss(SPARSE[0], REAL[1]))


def test_own_function_and_class():
    def twice(y_true, y_pred):
        return 2 * (y_pred - y_true).sum(axis=-1)

    loss = losses.get(twice)
    assert loss.name == "twice"
    assert float(loss(np.zeros((2, 3)), Tensor(np.ones((2, 3))))) == 6.0

    class Half(losses.Loss):
        def call(self, y_true, y_pred):
            return 0.5 * y_pred.sum(axis=-1)

    assert float(Half(reduction="sum")(np.zeros((2, 3)), np.ones((2, 3)))) == 3.0
    assert Half().name.startswith("half")


def test_get():
    assert isinstance(losses.get("mse"), losses.MeanSquaredError)
    assert isinstance(losses.get("MAE"), losses.MeanAbsoluteError)
    assert isinstance(losses.get("kld"), losses.KLDivergence)
    assert isinstance(losses.get(losses.huber), losses.Huber)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(None) is None
    own = losses.Huber()
    assert losses.get(own) is own


# ------------------------------------------------------------------------ errors
def test_unknown_name_lists_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'categorical_crossentropy'"):
        losses.get("categorical_crossentrop")
    with pytest.raises(ValueError, match="reduction must be"):
        losses.MeanSquaredError(reduction="average")


@pytest.mark.parametrize(
    "name", ["mse", "mae", "binary_crossentropy", "categorical_crossentropy", "kld", "hinge"]
)
def test_shapes_that_differ(name):
    with pytest.raises(ShapeError, match=r"y_true \(6, 3\), y_pred \(6, 4\)"):
        losses.get(name)(np.ones((6, 3)), np.ones((6, 4)))
    with pytest.raises(ShapeError, match=r"y_true \(6,\), y_pred \(6, 4\)"):
        losses.get(name)(np.ones(6), np.ones((6, 4)))


def test_categorical_with_integer_labels_says_sparse():
    with pytest.raises(ShapeError, match="sparse_categorical_crossentropy"):
        losses.CategoricalCrossentropy()(np.ones(6, int), np.ones((6, 4)))


def test_sparse_with_one_hot_labels_says_categorical():
    for from_logits in (True, False):
        with pytest.raises(ShapeError, match="categorical_crossentropy"):
            losses.SparseCategoricalCrossentropy(from_logits=from_logits)(
                np.ones((6, 4), int), np.ones((6, 4))
            )


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("bad", [-1, 4, 100])
def test_label_out_of_range(from_logits, bad):
    with pytest.raises(ValueError, match=str(bad)):
        losses.SparseCategoricalCrossentropy(from_logits=from_logits)([0, bad], np.full((2, 4), 0.25))


def test_weights_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"weights \(5,\), losses \(6,\)"):
        losses.MeanSquaredError()(*REAL, np.ones(5))
