"""fit, evaluate and predict against Keras 3: the same weights at the start, the same data in the same order,
the same history.
"""

import warnings

import numpy as np
import pytest
from oracles import keras

import tensorflowlite_bp as bp
from tensorflowlite_bp import data, layers, losses, metrics, models, optimizers, regularizers
from tensorflowlite_bp.errors import NotBuiltError, ShapeError

RNG = np.random.default_rng(1)
X = RNG.normal(size=(50, 6)).astype(np.float32)
BINARY = (X[:, :1] + X[:, 1:2] > 0).astype(np.int64)
CLASS = RNG.integers(0, 4, 50)
ONE_HOT = np.eye(4, dtype=np.float32)[CLASS]
REAL = (X @ RNG.normal(size=(6, 3))).astype(np.float32)
WEIGHT = RNG.uniform(0.1, 2, 50).astype(np.float32)
IMAGES = RNG.normal(size=(50, 6, 6, 2)).astype(np.float32)


def mlp(k, out, activation, **options):
    return k.models.Sequential(
        [
            k.layers.Dense(8, activation="relu", input_shape=(6,), **options),
            k.layers.Dense(out, activation=activation),
        ]
    )


def quietly(function, *args, **kwargs):
    """A call of Keras, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def twins(build, seed=0):
    """The same model here and in Keras, with the same weights."""
    theirs = quietly(build, keras())
    ours = build(bp)
    if not ours.built:
        ours.build((None, 6))
        theirs.build((None, 6))
    weights = quietly(theirs.get_weights)
    assert [w.shape for w in weights] == [v.shape for v in ours.weights]
    generator = np.random.default_rng(seed)
    weights = [w if w.ndim < 2 else generator.normal(0, 0.4, w.shape).astype(w.dtype) for w in weights]
    ours.set_weights(weights)
    quietly(theirs.set_weights, weights)
    return ours, theirs


def fit_both(build, compile_arguments, x, y, tolerance=2e-5, **fit):
    """Histories of both, compared; `compile_arguments` is a function of the library."""
    ours, theirs = twins(build)
    fit = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0, **fit}
    quietly(theirs.compile, **compile_arguments(keras()))
    expected = quietly(theirs.fit, x, y, **fit).history
    ours.compile(**compile_arguments(bp))
    found = ours.fit(x, y, **fit).history
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert np.allclose(found[name], values, rtol=tolerance, atol=1e-6), name
    for a, b in zip(ours.get_weights(), quietly(theirs.get_weights), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=2e-5)
    return ours, theirs


# ------------------------------------------------------------------ losses, metrics, optimizers
@pytest.mark.parametrize(
    ("out", "activation", "loss", "metric", "y"),
    [
        (1, "sigmoid", "binary_crossentropy", "accuracy", BINARY),
        (1, "sigmoid", "binary_crossentropy", "accuracy", BINARY[:, 0]),
        (4, "softmax", "sparse_categorical_crossentropy", "accuracy", CLASS),
        (4, "softmax", "sparse_categorical_crossentropy", "acc", CLASS[:, None]),
        (4, "softmax", "categorical_crossentropy", "accuracy", ONE_HOT),
        (4, "softmax", "crossentropy", "categorical_accuracy", ONE_HOT),
        (3, None, "mse", "mae", REAL),
        (3, "tanh", "mean_absolute_error", "mse", REAL),
        (1, None, "mse", "mse", REAL[:, 0]),
    ],
)
def test_losses_and_metrics(out, activation, loss, metric, y):
    fit_both(
        lambda k: mlp(k, out, activation),
        lambda k: {"optimizer": "sgd", "loss": loss, "metrics": [metric]},
        X,
        y,
        validation_split=0.25,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.optimizers.SGD(0.05),
        lambda k: k.optimizers.SGD(0.05, momentum=0.9),
        lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda k: k.optimizers.SGD(0.05, weight_decay=0.01),
        lambda k: k.optimizers.Adam(0.01),
        lambda k: k.optimizers.Adam(0.01, amsgrad=True),
        lambda k: k.optimizers.AdamW(0.01, weight_decay=0.02),
        lambda k: k.optimizers.RMSprop(0.01),
        lambda k: k.optimizers.Adam(0.01, clipnorm=0.1),
        lambda k: k.optimizers.SGD(0.1, clipvalue=0.02),
        lambda k: k.optimizers.SGD(0.1, global_clipnorm=0.1),
    ],
)
def test_optimizers_and_clipping(make):
    fit_both(
        lambda k: mlp(k, 4, None),
        lambda k: {"optimizer": make(k), "loss": k.losses.SparseCategoricalCrossentropy(from_logits=True)},
        X,
        CLASS,
    )


def test_regularisers_are_in_the_loss_and_in_evaluate():
    def build(k):
        return k.models.Sequential(
            [
                k.layers.Dense(
                    8,
                    activation="relu",
                    input_shape=(6,),
                    kernel_regularizer=k.regularizers.L2(0.05),
                    bias_regularizer="l1",
                    activity_regularizer=k.regularizers.L1(0.01),
                ),
                k.layers.Dense(3, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02)),
            ]
        )

    ours, theirs = fit_both(
        build, lambda k: {"optimizer": "sgd", "loss": "mse"}, X, REAL, validation_split=0.3
    )
    found = ours.evaluate(X, REAL, verbose=0)
    assert np.isclose(found, quietly(theirs.evaluate, X, REAL, verbose=0), rtol=1e-5)
    plain = np.mean((ours.predict(X, verbose=0) - REAL) ** 2)
    assert found > plain + 0.01


def test_batch_normalisation_and_convolution():
    def build(k):
        return k.models.Sequential(
            [
                k.layers.Conv2D(3, 3, padding="same", activation="relu", input_shape=(6, 6, 2)),
                k.layers.BatchNormalization(),
                k.layers.MaxPooling2D(2),
                k.layers.Flatten(),
                k.layers.Dense(4, activation="softmax"),
            ]
        )

    fit_both(
        build,
        lambda k: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        IMAGES,
        CLASS,
        validation_split=0.2,
        tolerance=2e-4,
    )


# ------------------------------------------------------------------ weights of samples and classes
@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": WEIGHT},
        {"sample_weight": WEIGHT, "validation_split": 0.3},
        {"class_weight": {0: 1.0, 1: 3.0, 3: 0.25}},
        {"class_weight": {0: 2.0}, "validation_split": 0.3},
        {"validation_data": (X[:10], CLASS[:10], WEIGHT[:10])},
        {"validation_data": (X[:10], CLASS[:10]), "validation_batch_size": 3},
        {"validation_data": (X[:10], CLASS[:10]), "validation_freq": 2},
        {"validation_data": (X[:40], CLASS[:40]), "validation_steps": 2},
        {"initial_epoch": 1},
        {"batch_size": None},
        {"batch_size": 64},
        {"steps_per_epoch": 2},
    ],
)
def test_options_of_fit(options):
    if "steps_per_epoch" in options:
        options = {**options, "batch_size": 5}
    fit_both(
        lambda k: mlp(k, 4, "softmax"),
        lambda k: {
            "optimizer": "sgd",
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "weighted_metrics": ["accuracy", "sparse_categorical_crossentropy"],
        },
        X,
        CLASS,
        **options,
    )


def test_evaluate_and_predict_agree_with_keras():
    ours, theirs = fit_both(
        lambda k: mlp(k, 3, None), lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}, X, REAL
    )
    assert np.allclose(
        ours.evaluate(X, REAL, verbose=0), quietly(theirs.evaluate, X, REAL, verbose=0), rtol=1e-5
    )
    weighted = [quietly(m.evaluate, X, REAL, sample_weight=WEIGHT, verbose=0) for m in (ours, theirs)]
    assert np.allclose(*weighted, rtol=1e-5)
    named = ours.evaluate(X, REAL, verbose=0, return_dict=True)
    assert named == theirs_close(named, quietly(theirs.evaluate, X, REAL, verbose=0, return_dict=True))
    assert np.allclose(ours.predict(X, verbose=0), quietly(theirs.predict, X, verbose=0), atol=1e-5)
    assert np.allclose(ours.predict(X, batch_size=7, verbose=0), ours(X).numpy(), atol=1e-6)
    for name in ("train_on_batch", "test_on_batch"):
        a, b = (quietly(getattr(m, name), X[:8], REAL[:8]) for m in (ours, theirs))
        assert np.allclose(a, [float(v) for v in b], rtol=1e-4)
    assert np.allclose(ours.predict_on_batch(X[:3]), quietly(theirs.predict_on_batch, X[:3]), atol=1e-5)


def theirs_close(found, expected):
    """`found` where all values are those expected."""
    assert set(found) == set(expected)
    assert all(np.isclose(found[k], expected[k], rtol=1e-5) for k in found)
    return found


def test_only_the_loss_is_a_float():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(X, REAL, verbose=0), float)
    assert isinstance(model.train_on_batch(X, REAL), float)
    assert set(model.train_on_batch(X, REAL, return_dict=True)) == {"loss"}


# ------------------------------------------------------------------ kinds of data
def test_integers_lists_and_frames_train():
    model = mlp(bp, 1, "sigmoid")
    model.compile("sgd", "binary_crossentropy")
    assert model.fit(RNG.integers(0, 9, (20, 6)), [0, 1] * 10, verbose=0).history["loss"][0] > 0
    assert model.fit([[0, 1, 2, 3, 4, 5]] * 4, [[1]] * 4, verbose=0).epoch == [0]
    assert all(w.dtype == np.float32 for w in model.get_weights())


def test_generators_and_objects_train():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")

    def endless():
        while True:
            yield X[:16], REAL[:16]

    history = model.fit(endless(), steps_per_epoch=3, epochs=2, validation_data=(X, REAL), verbose=0)
    assert len(history.history["val_loss"]) == 2
    assert int(model.optimizer.iterations) == 6
    with pytest.warns(UserWarning, match="ran out"):
        history = model.fit(((X, REAL) for _ in range(3)), epochs=4, verbose=0)
    assert history.epoch == [0, 1]


def test_torch_loaders_train():
    from oracles import torch

    t = torch()
    loader = t.utils.data.DataLoader(t.utils.data.TensorDataset(t.tensor(X), t.tensor(REAL)), batch_size=16)
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    assert len(model.fit(loader, epochs=2, verbose=0).history["loss"]) == 2


def test_float64_models_stay_float64():
    model = models.Sequential([layers.Dense(3, dtype="float64", input_shape=(6,))])
    assert model.layers[0].kernel.dtype == np.float64


# ------------------------------------------------------------------ shuffling, seeds
def test_the_same_seed_gives_the_same_training():
    def train(seed):
        bp.utils.set_random_seed(seed)
        model = models.Sequential([layers.Dense(8, input_shape=(6,)), layers.Dropout(0.5), layers.Dense(3)])
        model.compile("adam", "mse")
        return model.fit(X, REAL, epochs=3, verbose=0).history["loss"], model.get_weights()

    (first, weights), (second, others), (third, _) = train(5), train(5), train(6)
    assert first == second != third
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))


# ------------------------------------------------------------------ own steps, losses and metrics
def test_a_train_step_of_ones_own():
    class Own(models.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)
            self.seen = metrics.Mean(name="seen")

        def call(self, x):
            return self.dense(x)

        def train_step(self, batch):
            x, y = batch
            loss = ((self(x, training=True) - y) ** 2).mean()
            for v in self.trainable_weights:
                v.grad = None
            loss.backward()
            self.optimizer.apply([v.grad for v in self.trainable_weights], self.trainable_weights)
            self.seen.update_state(loss.detach())
            return {"seen": self.seen.result(), "twice": 2 * loss}

        @property
        def metrics(self):
            return [self.seen]

    model = Own()
    model.compile("sgd")
    history = model.fit(X, REAL, epochs=20, verbose=0).history
    assert list(history) == ["seen", "twice"]
    assert history["seen"][0] > history["seen"][-1]


def test_compute_loss_and_compute_metrics_of_ones_own():
    class Own(models.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "one": 1.0}

    def train(cls):
        model = cls([layers.Dense(3, kernel_initializer="zeros", input_shape=(6,))])
        model.compile(optimizers.SGD(0.0), "mse")
        return model.fit(X, REAL, batch_size=50, verbose=0).history

    plain, own = train(models.Sequential), train(Own)
    assert np.isclose(own["loss"][0], 2 * plain["loss"][0])
    assert own["one"] == [1.0]


def test_functions_as_losses_and_metrics():
    def twice(y_true, y_pred):
        return 2 * (y_true - y_pred) ** 2

    def largest(y_true, y_pred):
        return np.abs(y_pred - y_true).max(axis=-1)

    model = mlp(bp, 3, None)
    model.compile(optimizers.SGD(0.0), twice, metrics=[largest, "mse", metrics.MeanAbsoluteError(name="own")])
    history = model.fit(X, REAL, batch_size=25, verbose=0).history
    assert np.isclose(history["loss"][0], 2 * history["mse"][0], rtol=1e-5)
    assert set(history) == {"loss", "largest", "mse", "own"}


def test_add_loss_in_a_layer():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(0.5 * (x**2).mean())
            return x

    model = models.Sequential([layers.Dense(3, input_shape=(6,)), Penalty()])
    model.compile(optimizers.SGD(0.0), "mse", metrics=["mse"])
    history = model.fit(X, REAL, batch_size=50, epochs=2, verbose=0).history
    expected = history["mse"][0] + 0.5 * np.mean(model.predict(X, verbose=0) ** 2)
    assert np.allclose(history["loss"], expected, rtol=1e-5)


def test_gradients_are_not_left_behind():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    model.fit(X, REAL, verbose=0)
    assert all(v.grad is None for v in model.trainable_weights)


def test_frozen_layers_do_not_move():
    model = mlp(bp, 3, None)
    model.layers[0].trainable = False
    model.compile(optimizers.SGD(0.1), "mse")
    before = model.get_weights()
    model.fit(X, REAL, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, True, True]


# ------------------------------------------------------------------ bad input
def test_fit_before_compile():
    model = mlp(bp, 3, None)
    for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(NotBuiltError, match="must be compiled before"):
            call(X, REAL)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"loss": "binary_crosentropy"}, "binary_crossentropy"),
        ({"loss": "mse", "metrics": ["acuracy"]}, "accuracy"),
        ({"loss": "mse", "optimizer": "addam"}, "adam"),
        ({"loss": "mse", "metrics": "accuracy"}, r"metrics must be a list"),
    ],
)
def test_unknown_names_give_the_nearest_ones(arguments, text):
    model = mlp(bp, 3, None)
    model.compile("sgd", "mae")
    with pytest.raises(ValueError, match=text):
        model.compile(**{"optimizer": "sgd", **arguments})
    assert model.loss == "mae"  # the earlier compilation stands


def test_targets_that_do_not_fit_name_both_shapes():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"\(32, 5\)(.|\n)*\(32, 3\)|\(32, 3\)(.|\n)*\(32, 5\)"):
        model.fit(X, np.zeros((50, 5)), verbose=0)


def test_inputs_that_do_not_fit_name_the_layer():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"built for 6 features; the data has 5"):
        model.fit(X[:, :5], REAL, verbose=0)
    with pytest.raises(ShapeError, match=r"\[predict\] at least one sample"):
        model.predict(np.zeros((0, 6)))


def test_labels_out_of_range():
    model = mlp(bp, 4, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="9"):
        model.fit(X, np.full(50, 9), verbose=0)


def test_no_loss_at_all():
    model = mlp(bp, 3, None)
    model.compile("sgd")
    with pytest.raises(ValueError, match="no loss to minimise"):
        model.fit(X, REAL, verbose=0)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "3"])
def test_epochs_must_be_a_number(epochs):
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="epochs must be"):
        model.fit(X, REAL, epochs=epochs)


def test_a_failed_step_leaves_nothing_behind():
    model = mlp(bp, 3, None)
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError):
        model.fit(X, np.zeros((50, 5)), verbose=0)
    assert model._look_ups is None
    assert model.fit(X, REAL, verbose=0).epoch == [0]


# ------------------------------------------------------------------ the remedies of the textbooks
@pytest.mark.parametrize(
    ("extra", "optimizer"),
    [
        ([], {}),
        ([layers.BatchNormalization], {}),
        ([lambda: layers.Dropout(0.1)], {}),
        ([], {"clipnorm": 1.0}),
        ([], {"clipvalue": 0.5}),
        ([], {"global_clipnorm": 1.0}),
    ],
)
def test_each_remedy_learns(extra, optimizer):
    bp.utils.set_random_seed(0)
    model = models.Sequential(
        [
            layers.Dense(32, activation="relu", kernel_regularizer=regularizers.L2(1e-4), input_shape=(6,)),
            *(make() for make in extra),
            layers.Dense(16, activation="relu", kernel_regularizer="l1"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizers.SGD(0.1, momentum=0.9, **optimizer), losses.BinaryCrossentropy(), metrics=["accuracy"]
    )
    history = model.fit(X, BINARY, epochs=40, batch_size=10, verbose=0).history
    assert history["accuracy"][-1] >= 0.88
    assert history["loss"][-1] < history["loss"][0] * 0.9


def test_clipping_saves_a_training_that_explodes():
    def last_loss(**clip):
        bp.utils.set_random_seed(1)
        model = mlp(bp, 3, None)
        model.compile(optimizers.SGD(0.5, **clip), "mse")
        with np.errstate(all="ignore"):
            return model.fit(X * 30, REAL, epochs=8, verbose=0).history["loss"][-1]

    assert not last_loss() < 1e3
    assert last_loss(global_clipnorm=0.05) < 1e3


def test_raw_batches_become_tensors():
    seen = []

    class Look(models.Sequential):
        def train_step(self, batch):
            seen.append([type(part) for part in batch])
            return super().train_step(batch)

    model = Look([layers.Dense(3, input_shape=(6,))])
    model.compile("sgd", "mse")
    model.fit(X, REAL, batch_size=50, verbose=0)
    assert seen == [[bp.Tensor, bp.Tensor]]
    assert data.unpack_x_y_sample_weight((X,)) == (X, None, None)


# ------------------------------------------------------------------ what is looked up once
class Blocks(bp.models.Model):
    """Layers in a list, which changes without its model noticing."""

    def __init__(self):
        super().__init__()
        self.blocks = [bp.layers.Dense(3), bp.layers.Dense(3)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def moved(model, x, y):
    """Which weights a batch changes."""
    before = model.get_weights()
    model.train_on_batch(x, y)
    return [bool((a != b).any()) for a, b in zip(model.get_weights(), before, strict=True)]


def test_changes_between_batches_are_noticed():
    x, y = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    model = bp.models.Sequential([bp.layers.Dense(3, input_dim=2), bp.layers.Dense(3)])
    model.compile("sgd", "mse")
    assert moved(model, x, y) == [True] * 4
    model.layers[0].trainable = False
    assert moved(model, x, y) == [False, False, True, True]
    model.layers[0].trainable = True
    model.layers[1].kernel.trainable = False
    assert moved(model, x, y) == [True, True, False, True]
    model.layers[1].kernel.trainable = True
    loss = model.evaluate(x, y, verbose=0)
    model.layers[0].kernel.regularizer = bp.regularizers.get("l2")
    penalty = 0.01 * float((model.layers[0].kernel.numpy() ** 2).sum())
    assert model.train_on_batch(x, y) == pytest.approx(loss + penalty, rel=1e-5)
    model.add(bp.layers.Dense(3))
    model.compile("sgd", "mse")
    assert moved(model, x, y) == [True] * 6
    model.pop()
    model.compile("sgd", "mse")
    assert moved(model, x, y) == [True] * 4


def test_layers_in_lists_are_looked_for_every_time():
    x, y = np.ones((4, 3), np.float32), np.ones((4, 3), np.float32)
    model = Blocks()
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    model.blocks.append(bp.layers.Dense(3))
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    assert moved(model, x, y) == [True] * 6


def test_metrics_of_layers_are_noticed():
    x, y = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    model = bp.models.Sequential([bp.layers.Dense(3, input_dim=2)])
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    model.layers[0].seen = bp.metrics.Mean(name="seen")
    model.layers[0].seen.update_state(3.0)
    assert model.get_metrics_result()["seen"] == 3.0
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", "seen"}
    del model.layers[0].seen
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss"}
