"""Recurrent layers and wrappers against Keras 3 with equal weights: values, gradients, masks, states."""

import inspect
import json

import numpy as np
import pytest
from oracles import array, keras, quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp import layers
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.errors import ShapeError
from tensorflowlite_bp.testing import check_grads

NAMES = ["SimpleRNN", "LSTM", "GRU"]
BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
MASK = np.array([[True] * 5, [True, True, False, True, False], [False, False, True, True, False]])


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Keras' functions narrow float64 to float32: here they do not."""
    keras()
    from keras.src.backend.common import dtypes

    narrow = dtypes.result_type

    def result_type(*given):
        names = {str(d).rpartition(".")[2] for d in given if d not in (int, float)}
        return "float64" if names == {"float64"} else narrow(*given)

    monkeypatch.setattr(dtypes, "result_type", result_type)


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def both(make, shape=(BATCH, STEPS, FEATURES), *, cotangents=True, mask=None, state=None, training=None):
    """(outputs, gradients of input, states and weights) of ours and of Keras', in float64."""
    t, mine = torch(), make(layers)
    theirs = make(keras().layers)
    x = data(*shape)
    with quiet():
        theirs.build(shape)
    mine.build(shape)
    weights = [0.5 * data(*w.shape, seed=k) for k, w in enumerate(theirs.weights)]
    assert [w.shape for w in mine.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.name for w in mine.weights] == [w.name for w in theirs.weights]
    mine.set_weights(weights)
    theirs.set_weights(weights)
    ours_in = [Tensor(a.copy(), requires_grad=True) for a in (x, *(state or ()))]
    keras_in = [t.tensor(a.copy(), requires_grad=True) for a in (x, *(state or ()))]
    how = {} if training is None else {"training": training}
    with quiet():
        got = mine(ours_in[0], **({"initial_state": ours_in[1:]} if state else {}), mask=mask, **how)
        given = None if mask is None else t.tensor(mask)
        want = theirs(keras_in[0], **({"initial_state": keras_in[1:]} if state else {}), mask=given, **how)
    got = list(got) if isinstance(got, (tuple, list)) else [got]
    want = list(want) if isinstance(want, (tuple, list)) else [want]
    gs = [data(*g.shape, seed=9) for g in got]
    bp.sum(bp.stack([bp.sum(o * g) for o, g in zip(got, gs, strict=True)])).backward()
    sum((o * t.tensor(g)).sum() for o, g in zip(want, gs, strict=True)).backward()
    found = [*got, *[i.grad for i in ours_in], *[w.grad for w in mine.trainable_weights]]
    expected = [*want, *[i.grad for i in keras_in], *[w.value.grad for w in theirs.trainable_weights]]
    return [f.numpy() for f in found], [array(e) for e in expected]


def assert_same(found, expected, tol=1e-10):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


OPTIONS = [
    {},
    {"return_sequences": True},
    {"return_state": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"use_bias": False, "return_sequences": True},
    {"activation": "relu", "return_sequences": True},
    {"activation": "softsign", "go_backwards": True},
]


def variants(name):
    if name == "GRU":
        more = [{"recurrent_activation": "tanh"}]
        return [{**o, "reset_after": r} for o in (*OPTIONS, *more) for r in (True, False)]
    return OPTIONS if name == "SimpleRNN" else [*OPTIONS, {"recurrent_activation": "tanh"}]


CASES = [pytest.param(n, o, id=f"{n}-{o}") for n in NAMES for o in variants(n)]


@pytest.mark.parametrize("masked", ["all", "mask", "mask and state"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_as_keras(name, options, masked):
    state = [data(BATCH, UNITS, seed=k + 5) for k in range(2 if name == "LSTM" else 1)]
    mask = MASK if "mask" in masked else None
    make = lambda module: getattr(module, name)(UNITS, dtype="float64", **options)
    assert_same(*both(make, mask=mask, state=state if "state" in masked else None))


MERGES = [
    {},
    {"return_sequences": True},
    {"merge_mode": "sum"},
    {"merge_mode": "mul"},
    {"merge_mode": "ave", "return_sequences": True},
    {"merge_mode": None, "return_sequences": True},
    {"return_state": True},
    {"merge_mode": None, "return_state": True},
]


@pytest.mark.parametrize("options", MERGES, ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_bidirectional_as_keras(name, options, mask):
    inner = {k: v for k, v in options.items() if k != "merge_mode"}
    outer = {k: v for k, v in options.items() if k == "merge_mode"}

    def make(module):
        layer = getattr(module, name)(UNITS, dtype="float64", **inner)
        return module.Bidirectional(layer, dtype="float64", **outer)

    assert_same(*both(make, mask=mask))
    mine, theirs = make(layers), make(keras().layers)
    shape = (None, STEPS, FEATURES)
    assert (
        mine.compute_output_shape(shape) == theirs.compute_output_shape(shape)
        or options.get("merge_mode", 1) is None
    )


def test_bidirectional_with_two_kinds_and_first_states():
    def make(module):
        ahead = module.LSTM(UNITS, dtype="float64", return_sequences=True)
        behind = module.LSTM(
            UNITS, activation="relu", dtype="float64", return_sequences=True, go_backwards=True
        )
        return module.Bidirectional(ahead, backward_layer=behind, dtype="float64")

    state = [data(BATCH, UNITS, seed=k) for k in range(4)]
    assert_same(*both(make, state=state))


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_stacked_cells_as_keras(mask):
    def make(module):
        makers = (module.LSTMCell, 5), (module.GRUCell, 4), (module.SimpleRNNCell, 3)
        cells = module.StackedRNNCells([made(n, dtype="float64") for made, n in makers], dtype="float64")
        return module.RNN(cells, return_sequences=True, dtype="float64")

    assert_same(*both(make, mask=mask))
    listed = layers.RNN([layers.LSTMCell(5, dtype="float64")], dtype="float64")
    assert listed(data(2, 3, 4)).dtype == "float64"


@pytest.mark.parametrize("zero", [False, True])
def test_zero_output_for_mask(zero):
    def make(module):
        cell = module.GRUCell(UNITS, dtype="float64")
        return module.RNN(cell, return_sequences=True, zero_output_for_mask=zero, dtype="float64")

    state = [data(BATCH, UNITS)]
    found, expected = both(make, mask=MASK, state=state)
    assert_same(found, expected)
    fused = layers.GRU(UNITS, return_sequences=True, zero_output_for_mask=zero, dtype="float64")
    fused.build((BATCH, STEPS, FEATURES))
    fused.set_weights([0.5 * data(*w.shape, seed=k) for k, w in enumerate(fused.weights)])
    out = fused(data(BATCH, STEPS, FEATURES), initial_state=state, mask=MASK)
    np.testing.assert_allclose(out.numpy(), found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step_is_the_whole_sequence(name):
    """RNN around the cell, and use_cudnn=False: the same as the one operation."""
    x, mask = data(BATCH, STEPS, FEATURES), MASK
    whole = getattr(layers, name)(UNITS, return_sequences=True, return_state=True, dtype="float64", name="a")
    expected = whole(x, mask=mask)
    cell = getattr(layers, f"{name}Cell")(UNITS, dtype="float64")
    others = [layers.RNN(cell, return_sequences=True, return_state=True, dtype="float64")]
    if name != "SimpleRNN":
        others.append(type(whole).from_config({**whole.get_config(), "use_cudnn": False}))
    for other in others:
        other.build(x.shape)
        other.set_weights(whole.get_weights())
        for a, b in zip(other(x, mask=mask), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_differences(name):
    layer = getattr(layers, name)(2, return_sequences=True, dtype="float64")
    x = data(2, 3, 2)
    layer(x)
    check_grads(lambda v: layer(v, mask=MASK[:2, :3]), [x])


# ------------------------------------------------------------------ weights, configs, defaults
def test_the_forget_gate_begins_open():
    layer = layers.LSTM(3)
    layer.build((None, 4, 2))
    assert layer.weights[2].numpy().tolist() == [0] * 3 + [1] * 3 + [0] * 6
    u = layer.weights[1].numpy()
    np.testing.assert_allclose(u @ u.T, np.eye(3), atol=1e-6)
    closed = layers.LSTM(3, unit_forget_bias=False, bias_initializer="ones")
    closed.build((None, 4, 2))
    assert closed.weights[2].numpy().tolist() == [1] * 12


@pytest.mark.parametrize("name", [*NAMES, "LSTMCell", "GRUCell", "SimpleRNNCell", "RNN", "Bidirectional",
                                  "TimeDistributed", "StackedRNNCells", "Masking"])  # fmt: skip
def test_signatures_are_those_of_keras(name):
    mine = inspect.signature(getattr(layers, name).__init__).parameters
    theirs = inspect.signature(getattr(keras().layers, name).__init__).parameters
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("name", NAMES)
def test_config_says_what_the_cell_was_made_with(name):
    layer = getattr(layers, name)(
        4,
        activation="relu",
        kernel_regularizer="l2",
        dropout=0.2,
        go_backwards=True,
        name="r",
        dtype="float64",
    )
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert again.get_config() == layer.get_config()
    assert (again.units, again.dropout, again.cell.dtype) == (4, 0.2, "float64")
    assert again.cell.kernel_regularizer.l2 == 0.01
    theirs = getattr(keras().layers, name)(4, activation="relu", dropout=0.2).get_config()
    assert theirs.keys() - layer.get_config().keys() <= {"zero_output_for_mask", "activity_regularizer"}
    with pytest.raises(AttributeError, match="no attribute 'unit'"):
        _ = layer.unit


# ------------------------------------------------------------------ dropout
def test_dropout_is_one_draw_for_all_steps():
    x = np.ones((200, 7, 1), np.float32)
    layer = layers.SimpleRNN(
        1, activation="relu", dropout=0.25, use_bias=False, return_sequences=True, seed=3
    )
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 1)), np.zeros((1, 1))])
    out = layer(x, training=True).numpy()[..., 0]
    assert (out == out[:, :1]).all()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.6 < (out > 0).mean() < 0.9
    assert (layer(x).numpy() == 1).all()
    assert (layer(x, training=True).numpy()[..., 0] != out).any()


@pytest.mark.parametrize("name", NAMES)
def test_recurrent_dropout_acts_on_the_state(name):
    """Only in training, only through the recurrent kernel, one draw for all steps."""
    x = data(BATCH, STEPS, FEATURES)
    layer = getattr(layers, name)(
        UNITS, recurrent_dropout=0.5, return_sequences=True, seed=1, dtype="float64"
    )
    plain = layer(x).numpy()
    noisy = layer(x, training=True).numpy()
    assert (noisy[:, 0] == plain[:, 0]).all() or np.allclose(noisy[:, 0], plain[:, 0], rtol=1e-13)
    assert not np.allclose(noisy[:, 1], plain[:, 1])
    weights = layer.get_weights()
    weights[1] = 0 * weights[1]
    layer.set_weights(weights)
    np.testing.assert_allclose(layer(x, training=True).numpy(), layer(x).numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rates", [(0.3, 0.0), (0.3, 0.4)], ids=str)
def test_dropout_by_its_masks(name, rates):
    """The step's formula with the masks written out, against Keras' cell given the same masks."""
    t = torch()
    how = {"dropout": rates[0], "recurrent_dropout": rates[1], "dtype": "float64"}
    mine = getattr(layers, f"{name}Cell")(UNITS, **how)
    theirs = getattr(keras().layers, f"{name}Cell")(UNITS, **how)
    x, states = data(BATCH, FEATURES), [data(BATCH, UNITS, seed=k) for k in range(2 if name == "LSTM" else 1)]
    mine.build(x.shape)
    theirs.build(x.shape)
    weights = [data(*w.shape, seed=k) for k, w in enumerate(mine.weights)]
    mine.set_weights(weights)
    theirs.set_weights(weights)
    made = mine.masks(bp.asarray(x), bp.asarray(states[0]), True)
    mine.masks = lambda *_: made
    asked = [None if m is None else [t.tensor(k.numpy()) for k in m] for m in made]
    single = rates[1] == 0 or name == "SimpleRNN"
    theirs._dropout_mask = asked[0][0] if single else asked[0]
    theirs._recurrent_dropout_mask = asked[1] and (asked[1][0] if single else asked[1])
    got = mine(x, [bp.asarray(s) for s in states], training=True)[0]
    want = theirs(t.tensor(x), [t.tensor(s) for s in states], training=True)[0]
    np.testing.assert_allclose(got.numpy(), array(want), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------ states
@pytest.mark.parametrize("name", NAMES)
def test_stateful(name):
    x = data(2, 6, 3)
    layer = getattr(layers, name)(4, stateful=True, return_sequences=True, dtype="float64")
    plain = type(layer).from_config({**layer.get_config(), "stateful": False, "name": "plain"})
    halves = [layer(x[:, :3]), layer(x[:, 3:])]
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.concatenate([h.numpy() for h in halves], 1), plain(x).numpy(), rtol=1e-13)
    with pytest.raises(ShapeError, match=r"3 samples after 2[\s\S]*reset_state"):
        layer(data(3, 6, 3))
    layer.reset_state()
    np.testing.assert_allclose(layer(x[:, :3]).numpy(), halves[0].numpy(), rtol=1e-13)
    assert len(layer.weights) == 3


def encoder_decoder():
    source, target = (
        layers.Input((STEPS, FEATURES), name="source"),
        layers.Input((3, FEATURES), name="target"),
    )
    _, h, c = layers.LSTM(UNITS, return_state=True, name="encoder")(source)
    decoded = layers.LSTM(UNITS, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    return bp.models.Model([source, target], layers.TimeDistributed(layers.Dense(2))(decoded))


def test_an_encoder_and_a_decoder(tmp_path):
    model = encoder_decoder()
    assert [t.shape for t in [model.outputs]] == [(None, 3, 2)]
    x, y = data(4, STEPS, FEATURES), data(4, 3, FEATURES)
    model.compile("adam", "mse")
    losses = model.fit([x, y], np.zeros((4, 3, 2)), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    encoder, decoder, dense = [layer for layer in model.layers if layer.weights]
    _, h, c = encoder(x)
    expected = dense.layer(decoder(y, initial_state=[h, c])).numpy()
    np.testing.assert_allclose(model.predict([x, y], verbose=0), expected, rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    again = bp.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict([x, y], verbose=0), model.predict([x, y], verbose=0))
    lines = []
    model.summary(print_fn=lines.append)
    assert "decoder (LSTM)" in lines[0]
    assert "encoder[1]" in lines[0]


# ------------------------------------------------------------------ masks along a model
def stack(module, functional):
    model = [
        module.Embedding(7, 5, mask_zero=True),
        module.LSTM(4, return_sequences=True),
        module.Dropout(0.5),
        module.Dense(5),
        module.Bidirectional(module.GRU(3)),
        module.Dense(2),
    ]
    if not functional:
        return model, None
    inputs = module.Input((6,), dtype="int32")
    out = inputs
    for layer in model:
        out = layer(out)
    return model, (inputs, out)


@pytest.mark.parametrize("functional", [False, True])
def test_masks_reach_the_layers_behind_an_embedding(functional):
    words = np.random.default_rng(0).integers(0, 7, (5, 6))
    words[:, 3:] *= np.random.default_rng(1).integers(0, 2, (5, 3))
    mine, ends = stack(layers, functional)
    model = bp.models.Model(*ends) if functional else bp.models.Sequential(mine)
    theirs, keras_ends = stack(keras().layers, functional)
    reference = keras().Model(*keras_ends) if functional else keras().Sequential(theirs)
    model(words)
    with quiet():
        reference(words)
        weights = [data(*w.shape, seed=k).astype(np.float32) for k, w in enumerate(reference.weights)]
        reference.set_weights(weights)
        expected = array(reference(words))
    model.set_weights(weights)
    np.testing.assert_allclose(model(words).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert words.min() == 0


def weighted(model):
    """The layers with weights, by name."""
    return [layer for layer in sorted(model.layers, key=lambda layer: layer.name) if layer.weights]


def test_masking_and_merges():
    def make(module):
        a, b = module.Input((4, 3)), module.Input((4, 3))
        ma, mb = module.Masking()(a), module.Masking(1.0)(b)
        one = module.LSTM(2, name="one")(module.Add()([ma, mb]))
        two = module.LSTM(2, name="two")(module.Concatenate()([ma, b]))
        five = module.LSTM(2, name="five")(module.Concatenate()([ma, mb]))
        three = module.LSTM(2, name="three")(module.Concatenate(axis=1)([ma, mb]))
        four = module.GRU(2, name="four")(module.TimeDistributed(module.Dense(3), name="dense")(mb))
        return [a, b], [one, two, three, four, five]

    x, y = data(3, 4, 3).astype(np.float32), data(3, 4, 3, seed=1).astype(np.float32)
    x[0, 2:], x[1, 0], y[1, 3], y[2, 1:3] = 0, 0, 1, 1
    model, reference = bp.models.Model(*make(layers)), keras().Model(*make(keras().layers))
    pairs = zip(weighted(model), weighted(reference), strict=True)
    for mine, theirs in pairs:
        weights = [data(*w.shape, seed=k).astype(np.float32) for k, w in enumerate(mine.weights)]
        mine.set_weights(weights)
        theirs.set_weights(weights)
    with quiet():
        expected = reference([x, y])
    for got, want in zip(model([x, y]), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), array(want), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_the_mean_over_the_steps_that_count(form, keepdims):
    def make(module):
        return module.GlobalAveragePooling1D(data_format=form, keepdims=keepdims, dtype="float64")

    shape = (BATCH, STEPS, FEATURES) if form == "channels_last" else (BATCH, FEATURES, STEPS)
    assert_same(*both(make, shape, mask=MASK))
    model = bp.models.Sequential([layers.Masking(), layers.GlobalAveragePooling1D()])
    x = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 6.0]]])
    assert model(x).numpy().tolist() == [[2.0, 4.0]]


def test_a_layer_without_masking_ends_the_mask():
    model = bp.models.Sequential([layers.Masking(), layers.Conv1D(3, 2), layers.LSTM(2)])
    assert model(np.zeros((2, 5, 3))).shape == (2, 2)


# ------------------------------------------------------------------ every step
def test_time_distributed_as_keras():
    make = lambda module: module.TimeDistributed(
        module.Dense(3, activation="tanh", dtype="float64"), dtype="float64"
    )
    assert_same(*both(make))

    def convolution(module):
        return module.TimeDistributed(module.Conv1D(3, 2, dtype="float64"), dtype="float64")

    assert_same(*both(convolution, (2, 3, 6, 4)))
    layer = layers.TimeDistributed(layers.Conv1D(3, 2))
    assert layer.compute_output_shape((None, 3, 6, 4)) == (None, 3, 5, 3)


def test_time_distributed_statistics_are_of_one_step():
    x = data(8, 3, 4)
    one, other = [layers.BatchNormalization(dtype="float64") for _ in range(2)]
    out = layers.TimeDistributed(one, dtype="float64")(x, training=True)
    expected = [other(x[:, t], training=True).numpy() for t in range(3)]
    np.testing.assert_allclose(out.numpy(), np.stack(expected, 1), rtol=1e-13)
    assert (one.moving_mean.numpy() == other.moving_mean.numpy()).all()


# ------------------------------------------------------------------ users' cells, errors
def test_a_users_cell():
    class Sum(layers.Layer):
        state_size = 1

        def call(self, x, states):
            total = states[0] + x.sum(-1, keepdims=True)
            return total, [total]

    x = data(2, 5, 3).astype(np.float32)
    out, state = layers.RNN(Sum(), return_sequences=True, return_state=True)(x)
    np.testing.assert_allclose(out.numpy()[..., 0], x.sum(-1).cumsum(1), rtol=1e-5)
    assert state.shape == (2, 1)


def test_errors_say_what_was_expected():
    with pytest.raises(ShapeError, match=r"\(batch, steps, features\)[\s\S]*x\[..., None\]"):
        layers.LSTM(3)(np.ones((4, 5)))
    with pytest.raises(ValueError, match="whole number above 0"):
        layers.GRU(0)
    with pytest.raises(ValueError, match="state_size"):
        layers.RNN(lambda x, s: (x, s))
    with pytest.raises(ValueError, match="use_cudnn=True"):
        layers.LSTM(3, activation="relu", use_cudnn=True)(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="merge_mode"):
        layers.Bidirectional(layers.LSTM(3), merge_mode="max")
    with pytest.raises(ValueError, match="two directions"):
        layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3))
    with pytest.raises(ValueError, match="return_sequences must be the same"):
        layers.Bidirectional(
            layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_sequences=True)
        )
    with pytest.raises(ValueError, match="a recurrent layer"):
        layers.Bidirectional(layers.Dense(3))
    with pytest.raises(ShapeError, match="at least three axes"):
        layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="mask must begin with"):
        layers.TimeDistributed(layers.Softmax())(np.ones((2, 3, 4)), mask=bp.ones((2, 4), dtype=bool))
