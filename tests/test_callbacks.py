"""Callbacks: when they are called, and what they do."""

import csv
import math
import warnings

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import callbacks, layers, models, optimizers
from tensorflowlite_bp.callbacks.callback import HOOKS
from tensorflowlite_bp.utils import Progbar

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 1))


def make(lr=0.01, metrics=None):
    model = models.Sequential([layers.Dense(1, input_shape=(3,))])
    model.compile(optimizers.SGD(lr), "mse", metrics=metrics)
    return model


class Fake(callbacks.Callback):
    """Stands for a model whose epochs end with given losses."""


def run_epochs(callback, values, name="val_loss", model=None):
    """Drive a callback through epochs with these values; gives how many epochs ran."""

    class Stub:
        stop_training = False
        metrics = ()
        optimizer = optimizers.SGD(0.1)
        weights = 0

        def get_weights(self):
            return self.weights

        def set_weights(self, value):
            self.weights = value

    stub = model or Stub()
    callback.set_model(stub)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        stub.weights = epoch
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {name: value})
        if stub.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, stub


# ------------------------------------------------------------------ order and logs
def test_hooks_are_called_as_keras_calls_them():
    seen = []

    class Recorder(callbacks.Callback):
        pass

    for name in HOOKS:
        setattr(
            Recorder,
            name,
            lambda self, *args, name=name: seen.append((name, args[0] if len(args) > 1 else None)),
        )
    model = make()
    model.fit(X, Y, batch_size=10, epochs=1, validation_data=(X, Y), callbacks=[Recorder()], verbose=0)
    val = [
        ("on_test_begin", None),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0),
        ("on_test_batch_begin", 1),
    ]
    val += [("on_test_batch_end", 1), ("on_test_end", None)]
    assert seen == [
        ("on_train_begin", None),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1),
        *val,
        ("on_epoch_end", 0),
        ("on_train_end", None),
    ]
    seen.clear()
    model.predict(X, callbacks=[Recorder()], verbose=0)
    assert [name for name, _ in seen] == [
        "on_predict_begin",
        "on_predict_batch_begin",
        "on_predict_batch_end",
        "on_predict_end",
    ]


def test_older_names_of_batch_hooks_are_called():
    seen = []

    class Old(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs)))

    make().fit(X, Y, batch_size=10, callbacks=[Old()], verbose=0)
    assert seen == [(0, ["loss"]), (1, ["loss"])]


def test_batch_logs_are_running_means():
    losses = []
    make(lr=0.0).fit(
        X,
        Y,
        batch_size=10,
        shuffle=False,
        verbose=0,
        callbacks=[
            callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
        ],
    )
    assert len(losses) == 2
    assert all(isinstance(value, float) for value in losses)


def test_history_and_params():
    history = make(metrics=["mae"]).fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(isinstance(v, float) for values in history.history.values() for v in values)
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 1}
    assert history.model.history is history


def test_something_that_is_no_callback():
    with pytest.raises(TypeError, match="callbacks must be Callback instances"):
        make().fit(X, Y, callbacks=[print], verbose=0)


# ------------------------------------------------------------------ early stopping
@pytest.mark.parametrize(
    ("options", "values", "ran"),
    [
        ({"patience": 0}, [3, 2, 2, 1], 3),
        ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 4),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.8, 2.7], 2),
        ({"patience": 0, "mode": "max"}, [1, 2, 1], 3),
        ({"patience": 2, "baseline": 1.0}, [3, 2, 2, 2], 3),
        ({"patience": 0, "start_from_epoch": 2}, [1, 2, 3, 4], 4),
        ({"patience": 1}, [1, math.nan, math.nan], 2),
    ],
)
def test_early_stopping(options, values, ran):
    assert run_epochs(callbacks.EarlyStopping(**options), values)[0] == ran


def test_early_stopping_restores_the_best_weights(capsys):
    stopping = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    ran, stub = run_epochs(stopping, [3, 1, 2, 2, 2])
    assert (ran, stub.weights, stopping.best_epoch, stopping.stopped_epoch) == (4, 1, 1, 3)
    assert "Epoch 4: early stopping" in capsys.readouterr().out


def test_early_stopping_in_fit_gives_back_the_weights_of_the_best_epoch():
    model = make(lr=50.0)  # far too large: the first epoch is the best
    kept = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    stop = callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    model.fit(X, Y, epochs=9, callbacks=[keep, stop], verbose=0)
    assert len(kept) == 2
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept[0], strict=True))


def test_a_metric_that_is_not_there_is_named():
    with pytest.warns(UserWarning, match=r"val_loss is not among(.|\n)*Received: loss"):
        run_epochs(callbacks.EarlyStopping(), [1.0], name="loss")


@pytest.mark.parametrize(
    ("name", "larger_is_better"),
    [("val_accuracy", True), ("accuracy", True), ("val_loss", False), ("auc", True), ("mae", False)]
    + [("categorical_crossentropy", False), ("recall", True), ("mean_squared_error", False)],
)
def test_the_direction_is_read_from_the_name(name, larger_is_better):
    callback = callbacks.EarlyStopping(monitor=name)
    run_epochs(callback, [1.0], name=name)
    assert callback.is_improvement(2.0, 1.0) == larger_is_better


def test_a_name_that_says_nothing_needs_a_mode():
    with pytest.raises(ValueError, match='mode="max"'):
        run_epochs(callbacks.EarlyStopping("thing"), [1.0], name="thing")
    with pytest.raises(ValueError, match="mode must be"):
        callbacks.EarlyStopping(mode="up")


# ------------------------------------------------------------------ learning rates
def test_reduce_lr_on_plateau():
    callback = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.02, cooldown=1)
    rates = []

    class Watch(callbacks.ReduceLROnPlateau):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            rates.append(round(float(self.model.optimizer.learning_rate), 6))

    callback.__class__ = Watch
    run_epochs(callback, [1.0] * 10)
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02, 0.02]


@pytest.mark.parametrize("factor", [1.0, 0.0, 2])
def test_factors_that_do_not_reduce(factor):
    with pytest.raises(ValueError, match="between 0 and 1"):
        callbacks.ReduceLROnPlateau(factor=factor)


@pytest.mark.parametrize("schedule", [lambda epoch, lr: lr / 2, lambda epoch: 0.01 / 2 ** (epoch + 1)])
def test_learning_rate_scheduler(schedule):
    history = make().fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.LearningRateScheduler(schedule)])
    assert np.allclose(history.history["learning_rate"], [0.005, 0.0025, 0.00125])


def test_a_schedule_must_give_a_number():
    with pytest.raises(ValueError, match="must give a number"):
        make().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, lr: "fast")])


# ------------------------------------------------------------------ the rest
def test_terminate_on_nan(capsys):
    bad = np.array(X)
    bad[7] = np.nan
    model = make()
    history = model.fit(
        bad, Y, batch_size=5, epochs=5, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
    )
    assert history.epoch == [0]
    assert "Batch 1: Invalid loss" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="finite loss"):
        make().fit(bad, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_a_nan_loss_is_shown_not_hidden():
    bad = np.full_like(X, np.nan)
    assert math.isnan(make().fit(bad, Y, verbose=0).history["loss"][0])


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    make().fit(X, Y, epochs=2, validation_split=0.5, verbose=0, callbacks=[callbacks.CSVLogger(path)])
    make().fit(
        X, Y, epochs=1, validation_split=0.5, verbose=0, callbacks=[callbacks.CSVLogger(path, append=True)]
    )
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "0"]
    assert all(float(row["val_loss"]) > 0 for row in rows)


def test_csv_logger_fills_what_joins_later(tmp_path):
    path = tmp_path / "log.csv"
    make().fit(
        X,
        Y,
        epochs=2,
        validation_data=(X, Y),
        validation_freq=2,
        verbose=0,
        callbacks=[callbacks.CSVLogger(path)],
    )
    first, second = csv.DictReader(path.read_text().splitlines())
    assert first["val_loss"] == "NA"
    assert float(second["val_loss"]) > 0


def test_lambda_callback_names_its_hooks():
    with pytest.raises(TypeError, match="on_epoch_end"):
        callbacks.LambdaCallback(on_epoch=print)
    with pytest.raises(TypeError, match="must be a function"):
        callbacks.LambdaCallback(on_epoch_end=3)


def test_model_checkpoint_keeps_the_best(tmp_path):
    path = tmp_path / "kept" / "best.safetensors"
    model = make(lr=50.0)
    weights = []
    model.fit(
        X,
        Y,
        epochs=3,
        verbose=0,
        callbacks=[
            callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True, save_weights_only=True),
            callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights())),
        ],
    )
    model.load_weights(path)
    assert np.array_equal(model.get_weights()[0], weights[0][0])


def test_model_checkpoint_names_files(tmp_path):
    pattern = tmp_path / "{epoch:02d}-{loss:.1f}.safetensors"
    make(lr=0.0).fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(pattern)])
    names = sorted(p.name for p in tmp_path.iterdir())
    assert [name[:3] for name in names] == ["01-", "02-"]
    assert models.load_model(tmp_path / names[0]).predict(X, verbose=0).shape == (20, 1)
    with pytest.raises(KeyError, match="val_loss"):
        make().fit(
            X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint(tmp_path / "{val_loss}.safetensors")]
        )


def test_model_checkpoint_every_few_batches(tmp_path):
    path = tmp_path / "{epoch}-{batch}.safetensors"
    make().fit(
        X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(path, save_freq=3)]
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.safetensors", "2-2.safetensors"]
    with pytest.raises(ValueError, match="save_freq"):
        callbacks.ModelCheckpoint(path, save_freq="batch")


def test_stop_training_stops_after_the_batch():
    seen = []

    def stop(batch, logs):
        seen.append(batch)
        model.stop_training = True

    model = make()
    model.fit(
        X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)]
    )
    assert seen == [0]


# ------------------------------------------------------------------ the progress bar
def test_plain_lines_when_not_a_terminal(capsys):
    make(metrics=["mae"]).fit(X, Y, batch_size=10, epochs=2, validation_split=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[2] == "Epoch 2/2"
    assert len(lines) == 4
    assert lines[1].startswith("1/1 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    assert [part.split(":")[0] for part in lines[1].split(" - ")[1:]] == [
        "loss",
        "mae",
        "val_loss",
        "val_mae",
    ]
    assert "\x1b" not in "".join(lines)
    assert "\r" not in "".join(lines)


def test_verbose_2_is_one_line(capsys):
    make().fit(X, Y, batch_size=10, epochs=1, verbose=2)
    line = capsys.readouterr().out.strip()
    assert line.startswith("2/2 - 0s - ")
    assert " - loss: " in line
    make().fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


def test_evaluate_and_predict_show_their_own_bar(capsys):
    model = make()
    model.evaluate(X, Y)
    model.predict(X)
    first, second = capsys.readouterr().out.splitlines()
    assert "loss: " in first
    assert "loss" not in second


def test_a_generator_shows_its_length_once_it_is_known(capsys):
    class Two:
        def __iter__(self):
            return iter([(X, Y), (X, Y)])

    make().fit(Two(), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("2/2 ")
    assert lines[3].startswith("2/2 ")


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_terminal_gets_a_moving_bar():
    stream = Terminal()
    bar = Progbar(4, interval=0, stream=stream)
    for step in range(1, 5):
        bar.update(step, [("loss", 0.5 / step)])
    drawn = stream.text.split("\r")[1:]
    assert len(drawn) == 4
    assert "\x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m" in drawn[1]
    assert drawn[3].endswith("\n")
    assert "4/4" in drawn[3]


def test_the_bar_of_fit_shows_metrics_by_name_from_the_first_batch(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    make(metrics=["accuracy"]).fit(X, Y, batch_size=5)
    drawn = stream.text.split("\r")[1:]
    assert len(drawn) >= 2
    assert all(line.index(" - accuracy: ") < line.index(" - loss: ") for line in drawn)


def test_a_bar_is_not_drawn_more_often_than_asked():
    stream = Terminal()
    bar = Progbar(1000, interval=1000, stream=stream)
    for step in range(1, 1001):
        bar.update(step)
    assert stream.text.count("\r") == 2  # the first, and the last


def test_values_are_averaged_unless_stateful():
    stream = Terminal()
    bar = Progbar(2, verbose=2, stateful_metrics=["now"], stream=stream)
    bar.update(1, [("mean", 1.0), ("now", 1.0)])
    bar.add(1, [("mean", 2.0), ("now", 2.0)])
    assert "mean: 1.5000 - now: 2.0000" in stream.text


def test_no_warnings_in_a_plain_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(X, Y, verbose=0)
    assert bp.callbacks.History is callbacks.History
