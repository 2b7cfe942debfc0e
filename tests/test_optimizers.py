"""Optimizers against Keras 3 over 20 steps with every option, schedules, state, errors."""

import json

import numpy as np
import pytest
from oracles import array, keras, quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp import optimizers
from tensorflowlite_bp.errors import GradientError, NotBuiltError, ShapeError
from tensorflowlite_bp.layers import Variable
from tensorflowlite_bp.optimizers import schedules

STEPS = 20
SHAPES = [(4, 3), (3,), (2, 2, 2)]

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "learning_rate": 0.02}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Lion", {}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.2,
        },
    ),
]
COMMON = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.1},
    {"global_clipnorm": 0.5},
    {"global_clipnorm": 1e6},
    {"weight_decay": 0.05},
    {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"loss_scale_factor": 8.0},
    {"loss_scale_factor": 8.0, "clipvalue": 0.05},
    {"loss_scale_factor": 8.0, "global_clipnorm": 0.05},
]


def data(seed=0, dtype=np.float32):
    r = np.random.default_rng(seed)
    start = [r.normal(size=s).astype(dtype) for s in SHAPES]
    grads = [[r.normal(size=s).astype(dtype) for s in SHAPES] for _ in range(STEPS)]
    return start, grads


def ours(optimizer, dtype=np.float32):
    start, grads = data(dtype=dtype)
    variables = [Variable(s.copy(), name=f"v{i}") for i, s in enumerate(start)]
    path = []
    for g in grads:
        optimizer.apply(g, variables)
        path.append([v.numpy().copy() for v in variables])
    return path


def theirs(optimizer):
    k = keras()
    start, grads = data()
    variables = [k.Variable(s, name=f"v{i}") for i, s in enumerate(start)]
    path = []
    with quiet(), torch().no_grad():
        for g in grads:
            optimizer.apply([k.ops.convert_to_tensor(x) for x in g], variables)
            path.append([array(v) for v in variables])
    return path


def compare(a, b, atol=3e-6):
    for step, (ours_now, theirs_now) in enumerate(zip(a, b, strict=True)):
        for x, y in zip(ours_now, theirs_now, strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=atol, err_msg=f"step {step}")


@pytest.mark.parametrize(("name", "options"), CASES)
def test_trajectory_as_keras(name, options):
    compare(ours(getattr(optimizers, name)(**options)), theirs(getattr(keras().optimizers, name)(**options)))


@pytest.mark.parametrize("options", COMMON)
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_common_options_as_keras(name, options):
    options = {"learning_rate": 0.05, **options}
    compare(ours(getattr(optimizers, name)(**options)), theirs(getattr(keras().optimizers, name)(**options)))


@pytest.mark.parametrize("options", [{}, {"use_ema": True, "ema_overwrite_frequency": 2}])
def test_plain_tensors_are_updated_as_variables_are(options):
    start, grads = data()
    tensors = [bp.tensor(s, requires_grad=True) for s in start]
    variables = [Variable(s.copy()) for s in start]
    paths = []
    for leaves in (tensors, variables):
        optimizer = optimizers.Adam(0.1, **options).build(leaves)
        for g in grads:
            bp.sum(bp.stack([bp.sum(x * y) for x, y in zip(leaves, g, strict=True)])).backward()
            optimizer.step()
            optimizer.zero_grad()
        paths.append([v.numpy() for v in leaves])
    for x, y, s in zip(*paths, start, strict=True):
        np.testing.assert_array_equal(x, y)
        assert not np.allclose(x, s)
    assert tensors[0].grad is None


@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam"])
def test_schedule_as_keras(name):
    rate = ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=5, decay_rate=0.5))
    mine = getattr(optimizers, name)(getattr(schedules, rate[0])(**rate[1]))
    other = getattr(keras().optimizers, name)(getattr(keras().optimizers.schedules, rate[0])(**rate[1]))
    compare(ours(mine), theirs(other))
    assert float(mine.learning_rate) == pytest.approx(0.1 * 0.5 ** (STEPS / 5))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.6)),
        ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.6, staircase=True)),
        ("InverseTimeDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.6)),
        ("InverseTimeDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.6, staircase=True)),
        ("PiecewiseConstantDecay", dict(boundaries=[3, 10, 20], values=[1.0, 0.5, 0.2, 0.1])),
        (
            "PolynomialDecay",
            dict(initial_learning_rate=0.1, decay_steps=13, end_learning_rate=0.01, power=2.0),
        ),
        ("PolynomialDecay", dict(initial_learning_rate=0.1, decay_steps=13, power=0.5, cycle=True)),
        ("CosineDecay", dict(initial_learning_rate=0.1, decay_steps=13, alpha=0.1)),
        ("CosineDecay", dict(initial_learning_rate=0.0, decay_steps=13, warmup_target=0.1, warmup_steps=6)),
        ("CosineDecayRestarts", dict(initial_learning_rate=0.1, first_decay_steps=5)),
        ("CosineDecayRestarts", dict(initial_learning_rate=0.1, first_decay_steps=5, t_mul=1.0, m_mul=0.5)),
        (
            "CosineDecayRestarts",
            dict(initial_learning_rate=0.1, first_decay_steps=5, t_mul=1.5, m_mul=0.8, alpha=0.01),
        ),
    ],
)
def test_schedules_as_keras(name, options):
    mine = getattr(schedules, name)(**options)
    other = getattr(keras().optimizers.schedules, name)(**options)
    # float32 places a restart a step late where it falls on a whole number: those steps are left out
    restarts = {5, 15, 35} if name == "CosineDecayRestarts" else set()
    for step in range(40):
        if step not in restarts:
            assert mine(step) == pytest.approx(float(other(step)), rel=2e-5, abs=1e-7), step
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(mine))))
    assert [again(s) for s in range(5)] == [mine(s) for s in range(5)]


def test_restarts_begin_on_time():
    rate = schedules.CosineDecayRestarts(0.1, 5)
    assert rate(5) == rate(15) == 0.1
    assert rate(4) < 0.02


def test_schedule_arguments_are_checked():
    with pytest.raises(ValueError, match="decay_steps must be above 0"):
        schedules.ExponentialDecay(0.1, 0, 0.5)
    with pytest.raises(ValueError, match="one value more than boundaries"):
        schedules.PiecewiseConstantDecay([1], [0.1])


def test_lr_is_the_learning_rate():
    optimizer = optimizers.SGD(lr=0.25)
    assert optimizer.learning_rate == 0.25
    assert optimizer.lr == 0.25
    v = Variable(np.ones(1), name="w")
    optimizer.apply([np.ones(1)], [v])
    assert v.item() == 0.75
    optimizer.lr = 0.5
    optimizer.apply([np.ones(1)], [v])
    assert v.item() == 0.25
    optimizer.learning_rate.assign(1.0)
    optimizer.apply([np.ones(1)], [v])
    assert v.item() == -0.75
    assert f"{optimizer.learning_rate:.2f}" == "1.00"


def test_old_decay_is_a_schedule():
    optimizer = optimizers.SGD(lr=0.1, decay=0.5, momentum=0.9, nesterov=True)
    assert isinstance(optimizer._schedule, schedules.InverseTimeDecay)
    optimizer.apply([np.ones(1)], [Variable(np.ones(1))])
    assert float(optimizer.learning_rate) == pytest.approx(0.1 / 1.5)
    assert optimizers.SGD(decay=0.0)._schedule is None


def test_imperative_loop():
    w = Variable(np.array([3.0]), name="w")
    optimizer = optimizers.SGD(0.1).build([w])
    for _ in range(50):
        loss = (w * w).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(w.item()) < 1e-4
    assert int(optimizer.iterations) == 50


def test_update_spares_a_graph_that_still_needs_the_weight():
    w = Variable(np.array([3.0]), name="w")
    loss = (w * w).sum()
    optimizers.SGD(1.0).apply([np.ones(1)], [w])
    loss.backward()
    assert w.item() == 2.0
    assert w.grad.item() == 6.0


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_non_finite_global_norm_shows(name):
    v = Variable(np.ones(2), name="w")
    getattr(optimizers, name)(global_clipnorm=1.0).apply([np.array([np.inf, 1.0])], [v])
    assert np.isnan(v.numpy()).all()


def test_exclude_from_weight_decay():
    kernel, bias = Variable(np.ones(2), path="dense/kernel"), Variable(np.ones(2), path="dense/bias")
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.zeros(2), np.zeros(2)], [kernel, bias])
    assert kernel.numpy().tolist() == [0.95, 0.95]
    assert bias.numpy().tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_list=[kernel])


def test_constraints_are_applied():
    from tensorflowlite_bp import constraints

    v = Variable(np.ones(3), name="w")
    v.constraint = constraints.NonNeg()
    optimizers.SGD(1.0).apply([np.array([0.0, 2.0, 0.5])], [v])
    assert v.numpy().tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_and_config_round_trip(name, options):
    """Stopped after 10 steps, made again from config and state, continued: the same bits."""
    start, grads = data()
    make = getattr(optimizers, name)
    whole = [Variable(s.copy()) for s in start]
    first = make(**options, clipnorm=2.0)
    for g in grads[:10]:
        first.apply(g, whole)
    config = json.loads(json.dumps(optimizers.serialize(first)))
    second = optimizers.deserialize(config)
    assert second.get_config() == first.get_config()
    copies = [Variable(v.numpy().copy()) for v in whole]
    second.build(copies)
    second.set_weights(first.get_weights())
    for g in grads[10:]:
        first.apply(g, whole)
        second.apply(g, copies)
    for a, b in zip(whole, copies, strict=True):
        assert (a.numpy() == b.numpy()).all()
    paths = [v.path for v in first.variables]
    assert len(set(paths)) <= len(paths)


def test_some_variables_only():
    a, b = Variable(np.ones(1), name="a"), Variable(np.ones(1), name="b")
    optimizer = optimizers.Adam(0.1).build([a, b])
    optimizer.apply([np.ones(1)], [b])
    assert a.item() == 1.0
    assert b.item() < 1.0
    optimizer.apply_gradients([(np.ones(1), b), (np.ones(1), a)])
    assert a.item() < 1.0


def test_gradients_of_another_dtype_are_cast():
    v = Variable(np.ones(2, np.float32), name="w")
    optimizers.Adam(0.1).apply([np.ones(2)], [v])
    assert v.dtype == np.float32


def test_float64_is_exact():
    t = torch()
    start, grads = data(dtype=np.float64)
    for make, other in [
        (optimizers.SGD(0.1, momentum=0.9), lambda p: t.optim.SGD(p, 0.1, momentum=0.9)),
        (
            optimizers.Adagrad(0.1, epsilon=0.0, initial_accumulator_value=0.5),
            lambda p: t.optim.Adagrad(p, 0.1, eps=0.0, initial_accumulator_value=0.5),
        ),
    ]:
        params = [t.tensor(s.copy(), requires_grad=True) for s in start]
        reference = other(params)
        for g in grads:
            for p, x in zip(params, g, strict=True):
                p.grad = t.tensor(x)
            reference.step()
        for mine, p in zip(ours(make, np.float64)[-1], params, strict=True):
            np.testing.assert_allclose(mine, p.detach().numpy(), rtol=1e-12)


# ------------------------------------------------------------------------ errors
def test_missing_gradient_names_the_variable():
    v = Variable(np.ones(2), path="dense/kernel")
    with pytest.raises(GradientError, match="dense/kernel"):
        optimizers.SGD().apply([None], [v])
    assert v.numpy().tolist() == [1.0, 1.0]


def test_unknown_variable():
    optimizer = optimizers.SGD().build([Variable(np.ones(1), path="a")])
    with pytest.raises(ValueError, match="only updates the variables it was built with"):
        optimizer.apply([np.ones(1)], [Variable(np.ones(1), path="b")])


def test_what_cannot_be_updated_is_refused():
    leaf = bp.tensor([1.0], requires_grad=True)
    for wrong in (np.ones(2), bp.tensor([1.0]), leaf * 2.0):
        optimizer = optimizers.Adam()
        with pytest.raises(TypeError, match=r"(?s)Variables, or leaf Tensors that require gradients.* at 1"):
            optimizer.build([leaf, wrong])
        assert not optimizer.built
    with pytest.raises(GradientError, match="variable_0"):
        optimizers.Adam().build([leaf]).step()


def test_not_built():
    with pytest.raises(NotBuiltError, match="build"):
        optimizers.SGD().step()
    with pytest.raises(NotBuiltError, match="build"):
        optimizers.SGD().apply([np.ones(1)])


def test_counts_differ():
    with pytest.raises(ValueError, match="2 gradients, 1 variables"):
        optimizers.SGD().apply([np.ones(1)] * 2, [Variable(np.ones(1))])


def test_set_weights_of_wrong_shape_changes_nothing():
    optimizer = optimizers.SGD(momentum=0.9).build([Variable(np.ones(2))])
    before = optimizer.get_weights()
    with pytest.raises(ShapeError, match="must match its variables"):
        optimizer.set_weights([*before[:-1], np.ones(3)])
    for a, b in zip(before, optimizer.get_weights(), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "only one of"),
        (lambda: optimizers.SGD(momentum=2.0), "momentum"),
        (lambda: optimizers.SGD("fast"), "learning_rate must be a number"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), "at least 2"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=2.0), "ema_momentum"),
        (lambda: optimizers.get("adma"), "did you mean .*'adam'"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_schedule_cannot_be_set_to_a_number():
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="follows a schedule"):
        optimizer.learning_rate = 0.1


def test_get():
    assert type(optimizers.get("adam")) is optimizers.Adam
    assert type(optimizers.get("SGD")) is optimizers.SGD
    assert type(optimizers.get("rmsprop")) is optimizers.RMSprop
    own = optimizers.Adam()
    assert optimizers.get(own) is own
