"""Saved models and weights: equal after reading, whole after any interruption, and no file can do harm."""

import builtins
import contextlib
import json
import os
import struct
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensorflowlite_bp as bp
from tensorflowlite_bp import layers, losses, metrics, models, optimizers
from tensorflowlite_bp.errors import SavingError
from tensorflowlite_bp.models import Sequential, load_model
from tensorflowlite_bp.saving import files, named_weights

RNG = np.random.default_rng(3)
X = RNG.normal(size=(30, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 30)


def make(**options):
    model = Sequential(
        [
            layers.Dense(8, activation="relu", kernel_regularizer="l2", input_shape=(6,)),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    arguments = {
        "optimizer": "adam",
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        **options,
    }
    model.compile(**arguments)
    return model


@pytest.fixture
def trained():
    model = make()
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


# ------------------------------------------------------------------ there and back
def test_weights_there_and_back(trained, tmp_path):
    path = tmp_path / "weights.safetensors"
    trained.save_weights(path)
    other = make()
    assert not equal(trained, other)
    other.load_weights(path)
    assert equal(trained, other)
    assert np.array_equal(trained.predict(X, verbose=0), other.predict(X, verbose=0))
    arrays = safetensors.numpy.load_file(path)  # any reader of the format can read it
    assert set(arrays) >= {"model.layers.0.kernel", "model.layers.1.moving_mean", "model.layers.3.bias"}


def test_a_whole_model_there_and_back(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    other = load_model(path)
    assert type(other) is Sequential
    assert equal(trained, other)
    assert np.array_equal(trained.predict(X, verbose=0), other.predict(X, verbose=0))
    assert trained.evaluate(X, Y, verbose=0) == other.evaluate(X, Y, verbose=0)
    assert bp.models.load_model(path, compile=False).compiled is False


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "adam",
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.AdamW(0.01, clipnorm=1.0),
        lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)),
    ],
)
def test_training_goes_on_bit_for_bit(optimizer, tmp_path):
    path = tmp_path / "model.safetensors"
    bp.utils.set_random_seed(1)
    one = make(optimizer=optimizer())
    one.fit(X, Y, epochs=2, verbose=0)
    one.save(path)
    two = load_model(path)
    for model in (one, two):
        bp.utils.set_random_seed(2)  # of the shuffling
        model.fit(X, Y, epochs=2, verbose=0)
    assert equal(one, two)
    assert one.optimizer.iterations == two.optimizer.iterations


def test_a_layer_s_own_generator_goes_on(tmp_path):
    path = tmp_path / "model.safetensors"
    one = models.Sequential([layers.Dense(8, input_shape=(4,)), layers.Dropout(0.5, seed=3), layers.Dense(1)])
    one.compile("sgd", "mse")
    x, y = RNG.normal(size=(32, 4)), RNG.normal(size=(32, 1))
    one.fit(x, y, shuffle=False, verbose=0)
    one.save(path)
    two = load_model(path)
    assert two.layers[1].generator.state == one.layers[1].generator.state != (3, 0)
    for model in (one, two):
        model.fit(x, y, shuffle=False, verbose=0)
    assert equal(one, two)


def test_the_global_seed_is_not_touched_by_loading(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    bp.random.seed(5)
    before = bp.random.default_generator().state
    load_model(path)
    assert bp.random.default_generator().state == before


def test_compile_arguments_of_every_kind(tmp_path):
    path = tmp_path / "model.safetensors"

    def own_loss(y_true, y_pred):
        return (y_true - y_pred) ** 2

    model = Sequential([layers.Dense(3, input_shape=(6,))])
    for loss, weights, found in (
        ("mse", None, "mse"),
        (losses.Huber(0.5), None, losses.Huber),
        (
            losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            None,
            losses.CategoricalCrossentropy,
        ),
        (own_loss, None, own_loss),
    ):
        model.compile(optimizers.SGD(0.3), loss, weights, metrics=["mae", metrics.TopKCategoricalAccuracy(2)])
        y = np.eye(3)[Y]
        model.fit(X, y, verbose=0)
        model.save(path)
        again = load_model(path, custom_objects={"own_loss": own_loss})
        assert again.loss == found or isinstance(again.loss, found)
        assert float(again.optimizer.learning_rate) == 0.3
        assert again.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
    with pytest.raises(SavingError, match=r"own_loss(.|\n)*custom_objects"):
        load_model(path)
    assert load_model(path, compile=False).get_weights()[0].shape == (6, 3)


def test_own_layers_need_their_class(tmp_path):
    class Twice(layers.Layer):
        def __init__(self, factor=2, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return self.factor * x

    path = tmp_path / "model.safetensors"
    model = Sequential([layers.Dense(3, input_shape=(6,)), Twice(5)])
    model.save(path)
    with pytest.raises(SavingError, match=r"Twice(.|\n)*custom_objects"):
        load_model(path)
    again = load_model(path, custom_objects={"Twice": Twice})
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert "Twice" not in layers.layer_registry.by_name


def test_subclassed_models_keep_their_weights_by_attribute(tmp_path):
    class Own(models.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [layers.Dense(4), layers.Dense(4)]
            self.heads = {"a": layers.Dense(2)}
            self.last = Sequential([layers.Dense(1)])

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.last(self.heads["a"](x))

    path = tmp_path / "weights.safetensors"
    one, two = Own(), Own()
    one.build((None, 6))
    two.build((None, 6))
    assert set(named_weights(one)) == {
        *(f"blocks.{i}.{w}" for i in (0, 1) for w in ("kernel", "bias")),
        *(f"heads.a.{w}" for w in ("kernel", "bias")),
        *(f"last.layers.0.{w}" for w in ("kernel", "bias")),
    }
    one.save_weights(path)
    two.load_weights(path)
    assert equal(one, two)
    one.save(path)
    again = load_model(path, custom_objects={"Own": Own})
    assert equal(one, again)
    with pytest.raises(SavingError, match=r"Own(.|\n)*custom_objects"):
        load_model(path)


def test_functional_models_there_and_back(tmp_path):
    from test_models import build_functional

    path = tmp_path / "model.safetensors"
    model = build_functional(bp)
    model.compile("sgd", {"p": "mse", "q": "mae"}, metrics={"p": ["mae"]})
    x, y = [X, X[::-1].copy()], [X[:, :3], X[:, :1]]
    model.fit(x, y, verbose=0)
    model.save(path)
    again = load_model(path)
    for a, b in zip(model.predict(x, verbose=0), again.predict(x, verbose=0), strict=True):
        assert np.array_equal(a, b)
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert again.output_names == ["p", "q"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype, tmp_path):
    path = tmp_path / "weights.safetensors"

    def build():
        model = Sequential([layers.Dense(3, dtype=dtype)])
        model.build((None, 6))
        return model

    one, two = build(), build()
    one.save_weights(path)
    two.load_weights(path)
    assert equal(one, two)
    assert two.weights[0].dtype == (ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def test_weights_of_a_whole_model_and_of_other_programs(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    other = make()
    other.load_weights(path)
    assert equal(trained, other)
    safetensors.numpy.save_file({name: v.numpy() for name, v in named_weights(trained).items()}, path)
    third = make()
    third.load_weights(path)
    assert equal(trained, third)
    with pytest.raises(SavingError, match="holds weights, not a model"):
        load_model(path)


# ------------------------------------------------------------------ what does not fit
def test_what_differs_is_named(trained, tmp_path):
    path = tmp_path / "weights.safetensors"
    trained.save_weights(path)
    before = trained.get_weights()
    wrong = {
        "layers.0.kernel has shape": {"layers.0.kernel": np.zeros((6, 9), np.float32)},
        "layers.0.kernel is float64": {"layers.0.kernel": np.zeros((6, 8))},
        "extra is not in the model": {"extra": np.zeros(1, np.float32)},
    }
    whole = {name: v.numpy() for name, v in named_weights(trained).items()}
    for text, change in wrong.items():
        safetensors.numpy.save_file({**whole, **change}, path)
        with pytest.raises(SavingError, match=text):
            trained.load_weights(path)
    safetensors.numpy.save_file({k: v for k, v in whole.items() if "bias" not in k}, path)
    with pytest.raises(SavingError, match=r"layers.0.bias is missing; layers.3.bias is missing"):
        trained.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))


def test_files_of_keras_are_refused_by_name(trained, tmp_path):
    for name in ("model.h5", "model.keras", "model.weights.h5"):
        with pytest.raises(SavingError, match=r"safetensors format(.|\n)*model.safetensors"):
            trained.save_weights(tmp_path / name)
        with pytest.raises(SavingError, match="safetensors format"):
            load_model(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_there_or_not_to_be_overwritten(trained, tmp_path):
    with pytest.raises(FileNotFoundError):
        trained.load_weights(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError):
        trained.save_weights(tmp_path / "no" / "such" / "folder.safetensors")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"mine")
    with pytest.raises(SavingError, match="exists already"):
        trained.save(path, overwrite=False)
    assert path.read_bytes() == b"mine"


def test_a_config_that_is_not_json(tmp_path):
    model = Sequential([layers.Dense(3, input_shape=(6,)), layers.Activation(lambda x: x)])
    with pytest.raises(SavingError):
        load_model_after_save(model, tmp_path / "model.safetensors")


def load_model_after_save(model, path):
    model.save(path)
    return load_model(path)


# ------------------------------------------------------------------ interruptions
@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_an_interrupted_save_leaves_the_old_file(broken, trained, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    trained.save_weights(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    if broken == "write":
        real = builtins.open

        class Full:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *exc):
                self.file.close()

            def write(self, data):
                self.file.write(data[: len(data) // 2])
                fail()

        monkeypatch.setattr(
            builtins,
            "open",
            lambda p, mode="r", **k: Full(real(p, mode, **k)) if mode == "xb" else real(p, mode, **k),
        )
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space"):
        make().save_weights(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
    trained.load_weights(path)


SAVE_FOREVER = """
import sys, numpy as np, tensorflowlite_bp as bp
model = bp.models.Sequential([bp.layers.Dense(700, input_shape=(700,))])
n = 0
while True:
    n += 1
    model.set_weights([np.full((700, 700), n, "f"), np.full(700, n, "f")])
    model.save_weights(sys.argv[1])
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = Sequential([layers.Dense(700, input_shape=(700,))])
    for wait in (0.0, 0.013, 0.05):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)])
        try:
            deadline = time.monotonic() + 60
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(wait)
        finally:
            process.kill()
            process.wait()
        model.load_weights(path)
        kernel, bias = model.get_weights()
        assert kernel.min() == kernel.max() == bias.min() == bias.max() >= 1  # of one save, not of two


def test_links_and_modes_are_kept(trained, tmp_path):
    target, link = tmp_path / "real.safetensors", tmp_path / "link.safetensors"
    trained.save_weights(target)
    target.chmod(0o640)
    link.symlink_to(target)
    trained.save_weights(link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640


def test_saving_twice_gives_the_same_bytes(trained, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    trained.save(one)
    trained.save(two)
    assert one.read_bytes() == two.read_bytes()


# ------------------------------------------------------------------ hostile files
def with_header(path, change=None, raw=None):
    """The file again with another JSON header of ours."""
    arrays, header = files.read(path)
    arrays = {name: np.array(a) for name, a in arrays.items()}
    text = raw if raw is not None else json.dumps(change(header) or header)
    path.write_bytes(safetensors.numpy.save(arrays, metadata={files.KEY: text}))


HOSTILE = {
    "unknown class": lambda h: h["model"].update(class_name="os.system"),
    "unknown layer": lambda h: h["model"]["config"]["layers"][0].update(class_name="__import__"),
    "no class": lambda h: h["model"].pop("class_name"),
    "a layer for a model": lambda h: h.update(model=h["model"]["config"]["layers"][0]),
    "a list for a model": lambda h: h.update(model=[1, 2]),
    "huge sizes": lambda h: h["model"]["config"]["layers"][0]["config"].update(units=10**12),
    "large sizes": lambda h: h["model"]["config"]["layers"][0]["config"].update(units=10**8),
    "negative sizes": lambda h: h["model"]["config"]["layers"][0]["config"].update(units=-5),
    "text for a size": lambda h: h["model"]["config"]["layers"][0]["config"].update(units="8"),
    "unknown arguments": lambda h: h["model"]["config"]["layers"][0]["config"].update(evil=1),
    "unknown activation": lambda h: h["model"]["config"]["layers"][0]["config"].update(activation="exec"),
    "unknown initializer": lambda h: h["model"]["config"]["layers"][0]["config"].update(
        kernel_initializer={"class_name": "eval", "config": {}}
    ),
    "no layers": lambda h: h["model"]["config"].pop("layers"),
    "layers twice": lambda h: h["model"]["config"].update(layers=h["model"]["config"]["layers"] * 2),
    "other shape": lambda h: h["model"]["config"].update(build_input_shape=[None, 7]),
    "shape of text": lambda h: h["model"]["config"].update(build_input_shape="abc"),
    "unknown loss": lambda h: h["compile"].update(loss="eval"),
    "unknown metric": lambda h: h["compile"].update(metrics=["system"]),
    "unknown optimizer": lambda h: h["compile"]["optimizer"].update(class_name="Popen"),
    "unknown optimizer argument": lambda h: h["compile"]["optimizer"]["config"].update(shell=True),
    "unknown compile argument": lambda h: h["compile"].update(exec="1"),
    "other optimizer": lambda h: h["compile"]["optimizer"].update(
        class_name="SGD", config={"learning_rate": 0.1, "momentum": 0.5}
    ),
    "generator of text": lambda h: h.update(random={"2": ["a", "b"]}),
    "generator of no layer": lambda h: h.update(random={"99": [1, 2]}),
    "another version": lambda h: h.update(version=2),
    "no version": lambda h: h.pop("version"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_configurations_are_refused(name, trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    with_header(path, HOSTILE[name])
    with pytest.raises(SavingError):
        load_model(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "NaN",
        '{"kind": "model", "version": 1}',
        '{"model": ' + "[" * 100_000 + "}",
        '{"version": NaN}',
    ],
)
def test_headers_that_are_no_configuration(text, trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    with_header(path, raw=text)
    with pytest.raises(SavingError):
        load_model(path)


def safetensors_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ATTACKS = {
    "empty": b"",
    "short": b"\x01\x02",
    "pickle": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "zip": b"PK\x03\x04" + bytes(60),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "header length of all bits": b"\xff" * 8 + b"{}",
    "header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "header of 200 MB": struct.pack("<Q", 200_000_000) + b"{}",
    "no json": safetensors_bytes(b"\x00\x01\x02"),
    "json list": safetensors_bytes([]),
    "not utf-8": safetensors_bytes(b'{"\xff": 1}'),
    "deep json": safetensors_bytes(b"[" * 100_000),
    "overlap": safetensors_bytes(
        {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in ("a", "b")}, bytes(8)
    ),
    "hole": safetensors_bytes({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)),
    "beyond the end": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, bytes(8)
    ),
    "shape and offsets differ": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "shape overflows": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "negative shape": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "nan length": safetensors_bytes(
        b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', bytes(8)
    ),
    "unknown dtype": safetensors_bytes(
        {"a": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "trailing bytes": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(80)
    ),
    "metadata of numbers": safetensors_bytes({"__metadata__": {files.KEY: 7}}),
    "no arrays": safetensors_bytes({}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_files_are_refused_and_change_nothing(name, trained, tmp_path):
    path = tmp_path / "attack.safetensors"
    path.write_bytes(ATTACKS[name])
    before = trained.get_weights()
    with pytest.raises(SavingError):
        trained.load_weights(path)
    with pytest.raises(SavingError):
        load_model(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
    assert path.read_bytes() == ATTACKS[name]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small trained model, its weights and its file."""
    model = Sequential([layers.Dense(3, activation="relu", input_shape=(4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X[:, :4], X[:, 4:], verbose=0)
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    model.save(path)
    return model, model.get_weights(), path.read_bytes(), path


def check_damaged(saved, data):
    """A damaged file loads whole, or raises SavingError and changes nothing."""
    model, weights, _, path = saved
    path.write_bytes(data)
    model.set_weights(weights)
    try:
        model.load_weights(path)
    except SavingError:
        assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    with contextlib.suppress(SavingError):
        load_model(path)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@FUZZ
@given(cut=st.floats(0, 1, exclude_max=True))
def test_truncated_files(saved, cut):
    data = saved[2]
    path = saved[3]
    path.write_bytes(data[: int(cut * len(data))])
    with pytest.raises(SavingError):
        saved[0].load_weights(path)


@FUZZ
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    )
)
def test_flipped_bytes(saved, changes):
    data = bytearray(saved[2])
    (length,) = struct.unpack("<Q", data[:8])
    for place, value in changes:
        data[int(place * (length + 16))] = value  # the header is where the harm is
    check_damaged(saved, bytes(data))


@FUZZ
@given(data=st.binary(max_size=200))
def test_random_bytes(saved, data):
    check_damaged(saved, data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(FUZZ, max_examples=60)
@given(data=st.data())
def test_any_json_in_any_place(saved, data):
    """Replace one random node of the configuration by random JSON."""
    saved[3].write_bytes(saved[2])

    def change(header):
        node = header
        while True:
            key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
                node = node[key]
                continue
            node[key] = data.draw(JSON)
            return header

    with_header(saved[3], change)
    with contextlib.suppress(SavingError):
        load_model(saved[3])
