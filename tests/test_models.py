"""Sequential, functional and subclassed models: building, structure, several inputs and outputs, summary."""

import numpy as np
import pytest
from oracles import keras
from test_fit import quietly

import tensorflowlite_bp as bp
from tensorflowlite_bp import layers, models, optimizers
from tensorflowlite_bp.errors import NotBuiltError, ShapeError
from tensorflowlite_bp.models import Model, Sequential

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X @ RNG.normal(size=(6, 3))).astype(np.float32)


# ------------------------------------------------------------------ Sequential
def test_built_as_layers_are_added():
    model = Sequential()
    model.add(layers.Dense(4, input_dim=6))
    assert [v.shape for v in model.weights] == [(6, 4), (4,)]
    model.add(layers.Dense(2))
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 6), (None, 2))
    assert model.count_params() == 38


@pytest.mark.parametrize(
    "first",
    [
        lambda: [layers.Dense(4, input_shape=(6,))],
        lambda: [layers.Dense(4, input_dim=6)],
        lambda: [layers.Dense(4, batch_input_shape=(None, 6))],
        lambda: [layers.Input((6,)), layers.Dense(4)],
        lambda: [layers.InputLayer((6,)), layers.Dense(4)],
    ],
)
def test_ways_to_give_the_input_shape(first):
    model = Sequential([*first(), layers.Dense(2)])
    assert model.built
    assert len(model.layers) == 2
    assert model(X).shape == (40, 2)


def test_built_by_the_first_data_or_by_build():
    model = Sequential([layers.Dense(4), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    assert model.predict(X, verbose=0).shape == (40, 2)
    assert model.built
    other = Sequential([layers.Dense(4), layers.Dense(2)])
    other.build((None, 6))
    assert other.count_params() == model.count_params() == 38


def test_pop_and_add_again():
    model = Sequential([layers.Dense(4, input_dim=6), layers.Dense(2)])
    kernel = model.layers[0].kernel
    assert model.pop().units == 2
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)
    assert model.layers[0].kernel is kernel
    empty = Sequential()
    with pytest.raises(IndexError, match="no layer to take off"):
        empty.pop()
    with pytest.raises(ValueError, match="has no layers"):
        empty.build((None, 3))


def test_what_is_no_layer():
    with pytest.raises(TypeError, match="parentheses"):
        Sequential([layers.Dense])
    with pytest.raises(ValueError, match="a name of its own"):
        Sequential([layers.Dense(2, name="a"), layers.Dense(3, name="a")])
    with pytest.raises(ValueError, match="only be the first"):
        Sequential([layers.Dense(2), layers.Input((3,))])


def test_layers_that_do_not_fit_are_named_when_built():
    with pytest.raises(ShapeError):
        Sequential([layers.Dense(4, input_dim=6), layers.Conv2D(2, 3)])


def test_get_layer():
    model = Sequential([layers.Dense(4, name="first"), layers.Dense(2, name="last")])
    assert model.get_layer("last") is model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match="first, last"):
        model.get_layer("middle")
    with pytest.raises(ValueError, match="2 layers"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="either a name or an index"):
        model.get_layer()


def test_a_stack_inside_a_stack():
    inner = Sequential([layers.Dense(4, activation="relu"), layers.BatchNormalization()])
    model = Sequential([inner, layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert len(model.weights) == 8
    assert len(model.trainable_weights) == 6
    assert np.any(inner.layers[1].weights[2].numpy() != 0)  # the moving mean moved: `training` went inside


def test_training_reaches_the_layers_and_only_in_training():
    model = Sequential([layers.Dropout(0.5, input_shape=(6,))])
    assert np.array_equal(model.predict(X, verbose=0), X)
    assert not np.array_equal(model(X, training=True).numpy(), X)
    assert np.array_equal(model(X).numpy(), X)


def test_masks_go_from_layer_to_layer():
    class LastKept(layers.Layer):
        def call(self, x, mask=None):
            return x if mask is None else x * bp.asarray(mask.numpy()[..., None].astype("float32"))

    model = Sequential([layers.Embedding(5, 3, mask_zero=True), LastKept()])
    out = model(np.array([[1, 0, 2]])).numpy()
    assert np.all(out[0, 1] == 0)
    assert np.all(out[0, 0] != 0)


# ------------------------------------------------------------------ before there are weights
def test_a_model_without_weights_says_so(tmp_path):
    model = Sequential([layers.Dense(3)])
    path = tmp_path / "weights.safetensors"
    for call in (
        model.get_weights,
        model.count_params,
        lambda: model.set_weights([]),
        lambda: model.save_weights(path),
        lambda: model.save(path),
        lambda: model.load_weights(path),
    ):
        with pytest.raises(NotBuiltError, match="weights"):
            call()
    assert not path.exists()
    with pytest.raises(AttributeError, match="no defined input shape"):
        model.input_shape
    assert "unbuilt" in text_of(model)


# ------------------------------------------------------------------ summary
def text_of(model, **options):
    lines = []
    model.summary(print_fn=lines.append, **options)
    return "\n".join(lines)


def test_summary_has_what_keras_users_look_for(capsys):
    model = Sequential(
        [layers.Dense(64, input_dim=20), layers.BatchNormalization(), layers.Dense(1)], name="small"
    )
    model.compile("adam", "mse")
    text = text_of(model)
    for part in (
        'Model: "small"',
        "Layer (type)",
        "Output Shape",
        "Param #",
        "(None, 64)",
        "(Dense)",
        "1,344",
        "Total params: 1,665 (6.50 KB)",
        "Trainable params: 1,537 (6.00 KB)",
        "Non-trainable params: 128 (512.00 B)",
    ):
        assert part in text, part
    model.fit(RNG.normal(size=(8, 20)), np.zeros(8), verbose=0)
    assert "Optimizer params: 3,076" in text_of(model)
    model.summary()
    assert "Total params" in capsys.readouterr().out


def test_summary_numbers_are_those_of_keras():
    def build(k):
        return k.models.Sequential(
            [
                k.layers.Conv2D(4, 3, padding="same", input_shape=(8, 8, 1)),
                k.layers.BatchNormalization(),
                k.layers.MaxPooling2D(2),
                k.layers.Flatten(),
                k.layers.Dense(10),
            ]
        )

    lines = []
    quietly(quietly(build, keras()).summary, print_fn=lines.append, line_length=100)
    expected, text = "\n".join(lines), text_of(build(bp), line_length=100)
    for part in ("(None, 8, 8, 4)", "(None, 4, 4, 4)", "(None, 64)", "(None, 10)"):
        assert part in text
        assert part in expected
    totals = [line.strip() for line in expected.splitlines() if "params:" in line]
    assert totals == [line.strip() for line in text.splitlines() if "params:" in line]


def test_summary_options():
    inner = Sequential([layers.Dense(4, name="deep", input_dim=6)], name="inner")
    inner.trainable = False
    model = Sequential([inner, layers.Dense(3)])
    model.build((None, 6))
    assert "deep" not in text_of(model)
    assert "└ deep" in text_of(model, expand_nested=True)
    assert " N " in text_of(model, show_trainable=True)


# ------------------------------------------------------------------ subclasses
class Pair(Model):
    """Two outputs from two inputs."""

    def __init__(self, kind=dict):
        super().__init__()
        self.kind = kind
        self.left = layers.Dense(3, kernel_initializer="ones")
        self.right = layers.Dense(2, kernel_initializer="ones")

    def call(self, x):
        a, b = (x["a"], x["b"]) if isinstance(x, dict) else x
        out = {"p": self.left(a), "q": self.right(b)}
        return out if self.kind is dict else self.kind(out.values())


def test_a_subclass_must_define_call():
    class Nothing(Model):
        pass

    with pytest.raises(NotImplementedError, match="must define call"):
        Nothing()(X)


def test_a_subclass_builds_from_shapes_or_data():
    model = Pair()
    model.build({"a": (None, 6), "b": (None, 4)})
    assert model.count_params() == 6 * 3 + 3 + 4 * 2 + 2
    assert [layer.name for layer in model.layers] == [model.left.name, model.right.name]
    assert "(None, 3)" in text_of(model)


@pytest.mark.parametrize("kind", [dict, list, tuple])
def test_several_inputs_and_outputs(kind):
    model = Pair(kind)
    y = {"p": Y, "q": Y[:, :2]}
    x = {"a": X, "b": X[:, :4]}
    if kind is not dict:
        x, y = kind(x.values()), kind(y.values())
    model.compile(
        optimizers.SGD(0.01), "mse", metrics=[["mae"], ["mse", "mae"]] if kind is not dict else {"p": "mae"}
    )
    history = model.fit(x, y, epochs=3, validation_split=0.25, verbose=0).history
    names = {name.removeprefix("val_") for name in history}
    if kind is dict:
        assert names == {"loss", "p_loss", "q_loss", "p_mae"}
        assert np.allclose(history["loss"], np.add(history["p_loss"], history["q_loss"]), rtol=1e-5)
    else:
        assert len(names) == 6
    assert history["loss"][-1] < history["loss"][0]
    predicted = model.predict(x, batch_size=7, verbose=0)
    assert type(predicted) is kind
    first = predicted["p"] if kind is dict else predicted[0]
    assert first.shape == (40, 3)


def test_losses_and_weights_by_output():
    def run(**compile_arguments):
        model = Pair()
        model.compile(optimizers.SGD(0.0), **compile_arguments)
        return model.fit({"a": X, "b": X[:, :4]}, {"p": Y, "q": Y[:, :2]}, batch_size=40, verbose=0).history

    one = run(loss={"p": "mse", "q": "mae"})
    two = run(loss={"p": "mse", "q": "mae"}, loss_weights={"p": 1.0, "q": 0.5})
    assert np.isclose(two["loss"][0], one["p_loss"][0] + 0.5 * one["q_loss"][0], rtol=1e-6)
    with pytest.warns(UserWarning, match="does not depend on some weights"):
        only = run(loss={"p": "mse"})
    assert list(only) == ["loss"]
    assert np.isclose(only["loss"][0], one["p_loss"][0], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"loss": {"p": "mse", "z": "mse"}}, "names outputs"),
        ({"loss": ["mse"]}, "one entry per output"),
        ({"loss": "mse", "loss_weights": [1.0]}, "one entry per output"),
        ({"loss": "mse", "metrics": {"z": "mae"}}, "names outputs"),
    ],
)
def test_settings_that_do_not_fit_the_outputs(arguments, text):
    model = Pair()
    model.compile("sgd", **arguments)
    with pytest.raises(ValueError, match=text):
        model.fit({"a": X, "b": X[:, :4]}, {"p": Y, "q": Y[:, :2]}, verbose=0)


def test_targets_that_do_not_fit_the_outputs():
    model = Pair()
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="y must match the outputs"):
        model.fit({"a": X, "b": X[:, :4]}, {"p": Y, "r": Y[:, :2]}, verbose=0)


# ------------------------------------------------------------------ functional
def build_functional(k):
    a, b = k.layers.Input((6,), name="a"), k.layers.Input((6,), name="b")
    shared = k.layers.Dense(5, activation="relu", name="shared")
    joined = k.layers.Concatenate(name="joined")([shared(a), shared(b)])
    skip = k.layers.Add(name="skip")([joined, k.layers.Dense(10, name="wide")(a)])
    outputs = [k.layers.Dense(3, name="p")(skip), k.layers.Dense(1, name="q")(skip)]
    return k.models.Model([a, b], outputs, name="two")


def functional_twins():
    ours, theirs = build_functional(bp), quietly(build_functional, keras())
    weights = {v.path.split("/")[-2] + "/" + v.path.split("/")[-1]: v for v in theirs.weights}
    for v in ours.weights:
        quietly(weights[v.path].assign, v.numpy())
    return ours, theirs


def test_functional_models_agree_with_keras():
    ours, theirs = functional_twins()
    x, y = [X, X[::-1].copy()], [Y, Y[:, :1]]
    found, expected = ours.predict(x, verbose=0), quietly(theirs.predict, x, verbose=0)
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))
    arguments = {
        "loss": {"p": "mse", "q": "mae"},
        "metrics": {"p": "mae", "q": ["mse"]},
        "loss_weights": [1.0, 0.3],
    }
    quietly(theirs.compile, "sgd", **{**arguments, "loss_weights": {"p": 1.0, "q": 0.3}})
    ours.compile("sgd", **{**arguments, "loss_weights": {"p": 1.0, "q": 0.3}})
    options = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0, "validation_split": 0.2}
    found, expected = ours.fit(x, y, **options).history, quietly(theirs.fit, x, y, **options).history
    assert list(found) == list(expected)
    assert all(np.allclose(found[k], expected[k], rtol=1e-4) for k in found)
    values, theirs_values = ours.evaluate(x, y, verbose=0), quietly(theirs.evaluate, x, y, verbose=0)
    assert np.allclose(values, theirs_values, rtol=1e-4)


def test_functional_inputs_by_name_and_order():
    model = build_functional(bp)
    assert [t.name for t in model.inputs] == ["a", "b"]
    by_order = model.predict([X, 2 * X], verbose=0)
    by_name = model.predict({"b": 2 * X, "a": X}, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(by_order, by_name, strict=True))
    assert len(model.layers) == 8
    assert model.get_layer("shared").count_params() == 35
    assert "shared[0], shared[0]" in text_of(model, line_length=120)
    with pytest.raises(ShapeError, match="2 inputs were expected"):
        model(X)
    with pytest.raises(ShapeError, match="inputs named"):
        model({"a": X})


def test_functional_errors():
    a, b = layers.Input((6,), name="a"), layers.Input((6,), name="b")
    with pytest.raises(ValueError, match="none of the inputs"):
        Model(a, layers.Dense(2)(b))
    with pytest.raises(TypeError, match="Input"):
        Model(X, layers.Dense(2)(a))
    with pytest.raises(AttributeError, match="only a functional model"):
        Sequential([layers.Dense(2)]).inputs


def test_a_thousand_layers_in_a_row():
    x = layers.Input((2,))
    y = x
    for _ in range(1000):
        y = layers.Activation("relu")(y)
    assert np.array_equal(Model(x, y)(X[:, :2]).numpy(), np.maximum(X[:, :2], 0))


def test_a_functional_model_is_a_layer():
    a = layers.Input((6,))
    inner = Model(a, layers.Dense(4)(a))
    model = Sequential([layers.Dense(6, input_dim=6), inner, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y[:, :1], verbose=0)
    assert len(model.trainable_weights) == 6


# ------------------------------------------------------------------ configurations
@pytest.mark.parametrize(
    "build", [lambda: build_functional(bp), lambda: Sequential([layers.Dense(3, input_dim=6)])]
)
def test_configs_make_the_same_architecture(build):
    model = build()
    again = type(model).from_config(model.get_config())
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]
    again.set_weights(model.get_weights())
    x = [X, X] if len(model.layers) > 2 else X
    found, expected = again.predict(x, verbose=0), model.predict(x, verbose=0)
    for a, b in zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]:
        assert np.array_equal(a, b)


def test_models_by_their_older_module_names():
    assert bp.models.Sequential is Sequential
    assert issubclass(Sequential, models.Model)
