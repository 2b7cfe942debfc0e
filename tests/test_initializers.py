"""Initializers: moments, ranges, fans, seeds. Regularizers and constraints: values against Keras."""

import json

import numpy as np
import pytest
from oracles import array, keras

from tensorflowlite_bp import constraints, initializers, regularizers
from tensorflowlite_bp.errors import ShapeError
from tensorflowlite_bp.layers import Variable
from tensorflowlite_bp.ops import random

SHAPE = (3, 3, 40, 50)  # fan in 360, fan out 450
SCALED = {
    "glorot_uniform": 2 / (360 + 450),
    "glorot_normal": 2 / (360 + 450),
    "he_uniform": 2 / 360,
    "he_normal": 2 / 360,
    "lecun_uniform": 1 / 360,
    "lecun_normal": 1 / 360,
}


@pytest.mark.parametrize("name", SCALED)
def test_variance_and_range(name):
    values = initializers.get(name)(SHAPE, dtype="float32")
    assert values.dtype == np.float32
    x = values.numpy()
    variance = SCALED[name]
    assert abs(x.mean()) < 5 * np.sqrt(variance / x.size)
    assert x.var() == pytest.approx(variance, rel=0.03)
    limit = np.sqrt(3 * variance) if "uniform" in name else 2 * np.sqrt(variance) / 0.87962566103423978
    assert 0.97 * limit < abs(x).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(), (7,), (5, 6), (3, 5, 6), (3, 3, 5, 6), (2, 3, 4, 5, 6)])
def test_fans_as_keras(shape):
    theirs = keras().src.initializers.random_initializers.compute_fans
    assert initializers.compute_fans(shape) == theirs(shape)


def test_plain_distributions():
    n = initializers.RandomNormal(1.0, 0.5, seed=1)((200, 200)).numpy()
    assert n.mean() == pytest.approx(1.0, abs=0.02)
    assert n.std() == pytest.approx(0.5, rel=0.02)
    u = initializers.RandomUniform(-2.0, 1.0, seed=1)((200, 200)).numpy()
    assert u.min() >= -2
    assert u.max() < 1
    assert u.mean() == pytest.approx(-0.5, abs=0.02)
    t = initializers.TruncatedNormal(3.0, 0.5, seed=1)((200, 200)).numpy()
    assert abs(t - 3).max() <= 1.0 + 1e-6
    assert t.std() == pytest.approx(0.5 * 0.87962566, rel=0.02)
    s = initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)((100, 200)).numpy()
    assert s.var() == pytest.approx(2 / 200, rel=0.05)


def test_constants():
    assert initializers.Zeros()((2, 3)).numpy().tolist() == [[0.0] * 3] * 2
    assert initializers.Ones()((2,), dtype="float64").dtype == np.float64
    assert initializers.Constant(2.5)((2,)).numpy().tolist() == [2.5, 2.5]
    assert initializers.Constant([1, 2])((3, 2)).numpy().tolist() == [[1, 2]] * 3
    assert initializers.Identity(2.0)((2, 3)).numpy().tolist() == [[2, 0, 0], [0, 2, 0]]
    with pytest.raises(ShapeError, match="two axes"):
        initializers.Identity()((2,))


@pytest.mark.parametrize("shape", [(8, 8), (4, 9), (9, 4), (3, 3, 2, 5)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(2.0, seed=3)(shape, dtype="float64").numpy().reshape(-1, shape[-1])
    gram = q @ q.T if q.shape[0] < q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)
    with pytest.raises(ShapeError, match="at least two axes"):
        initializers.Orthogonal()((3,))


RANDOM = ["random_normal", "random_uniform", "truncated_normal", "variance_scaling", "orthogonal", *SCALED]


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(name):
    make = type(initializers.get(name))
    a, b = make(seed=5), make(seed=5)
    assert (a((4, 5)).numpy() == b((4, 5)).numpy()).all()
    assert (a((4, 5)).numpy() == a((4, 5)).numpy()).all()
    assert (a((4, 5)).numpy() != make(seed=6)((4, 5)).numpy()).any()
    free = make()
    random.seed(1)
    first = free((4, 5)).numpy()
    assert (free((4, 5)).numpy() != first).any()
    random.seed(1)
    assert (free((4, 5)).numpy() == first).all()


@pytest.mark.parametrize("name", [*RANDOM, "zeros", "ones", "constant", "identity"])
def test_config_round_trip(name):
    made = initializers.get(name)
    again = initializers.deserialize(json.loads(json.dumps(initializers.serialize(made))))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    if name == "identity":
        return  # Keras forgets the gain
    theirs = getattr(keras().initializers, type(made).__name__)()
    known = {k: v for k, v in theirs.get_config().items() if k not in ("input_axes", "output_axes")}
    assert made.get_config() == known


def test_get():
    assert initializers.get(None) is None
    assert type(initializers.get("HeNormal")) is initializers.HeNormal
    assert type(initializers.get("uniform")) is initializers.RandomUniform
    assert initializers.get(np.ones((2, 2)))((2, 2)).numpy().tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ShapeError, match="weight's shape"):
        initializers.get(np.ones((2, 2)))((3, 2))

    def own(shape, dtype=None):
        return np.full(shape, 7.0, dtype)

    assert initializers.get(own) is own
    with pytest.raises(ValueError, match="did you mean 'he_normal'"):
        initializers.get("he_normel")
    with pytest.raises(TypeError, match="was expected"):
        initializers.get(3)
    with pytest.raises(ValueError, match="positive scale"):
        initializers.VarianceScaling(0.0)
    with pytest.raises(ValueError, match="fan_in, fan_out"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="distribution"):
        initializers.VarianceScaling(distribution="cauchy")


# ------------------------------------------------------- regularizers, constraints
W = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("L1", {}),
        ("L1", {"l1": 0.3}),
        ("L2", {}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("L1L2", {"l2": 0.2}),
        ("OrthogonalRegularizer", {}),
        ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    ],
)
def test_regularizers_as_keras(name, options):
    mine = getattr(regularizers, name)(**options)
    theirs = getattr(keras().regularizers, name)(**options)
    assert float(mine(Variable(W))) == pytest.approx(
        float(theirs(keras().ops.convert_to_tensor(W))), rel=1e-6
    )
    assert mine.get_config() == pytest.approx(theirs.get_config())
    again = regularizers.deserialize(json.loads(json.dumps(regularizers.serialize(mine))))
    assert again.get_config() == mine.get_config()


def test_regularizer_names_and_errors():
    assert regularizers.get("l1").l1 == regularizers.get("l2").l2 == 0.01
    both = regularizers.get("l1_l2")
    assert both.l1 == both.l2 == 0.01
    assert regularizers.get(None) is None
    with pytest.raises(ValueError, match="l2 must be a number of at least 0"):
        regularizers.L2(-1.0)
    with pytest.raises(ValueError, match="rows"):
        regularizers.OrthogonalRegularizer(mode="diagonals")
    with pytest.raises(ShapeError, match="matrix"):
        regularizers.OrthogonalRegularizer()(Variable(np.ones(3)))
    with pytest.raises(ValueError, match="did you mean"):
        regularizers.get("l3")


def test_penalty_gradient():
    w = Variable(np.array([1.0, -2.0, 0.0]))
    regularizers.L1L2(0.5, 0.25)(w).backward()
    assert w.grad.numpy().tolist() == [1.0, -1.5, 0.0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 0.7, "axis": 1}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": 1}),
        ("NonNeg", {}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.8, "rate": 0.3}),
        ("MinMaxNorm", {"min_value": 5.0, "max_value": 8.0}),
    ],
)
def test_constraints_as_keras(name, options):
    mine = getattr(constraints, name)(**options)
    theirs = getattr(keras().constraints, name)(**options)
    expected = array(theirs(keras().ops.convert_to_tensor(W)))
    np.testing.assert_allclose(mine(Variable(W).detach()).numpy(), expected, rtol=1e-6)
    assert mine.get_config() == theirs.get_config()
    again = constraints.deserialize(json.loads(json.dumps(constraints.serialize(mine))))
    assert again.get_config() == mine.get_config()


def test_constraint_names():
    assert type(constraints.get("max_norm")) is constraints.MaxNorm
    assert type(constraints.get("NonNeg")) is constraints.NonNeg
    assert constraints.get(None) is None
    with pytest.raises(ValueError, match="NonNeg"):
        constraints.get("nonneg")
