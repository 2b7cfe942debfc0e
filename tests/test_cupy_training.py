"""Training on the stand-in for CuPy: the CPU's results, without waiting for the device, in steady memory."""

import contextlib

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp import layers as L
from tensorflowlite_bp.optimizers import SGD, Adam, AdamW, Lion, RMSprop
from tensorflowlite_bp.testing import fake_cupy


def dense():
    return bp.models.Sequential(
        [
            L.Dense(16, activation="relu", input_shape=(8,)),
            L.BatchNormalization(),
            L.Dropout(0.3),
            L.Dense(16, activation="gelu"),
            L.LayerNormalization(),
            L.Dense(3),
        ]
    )


def convolution():
    return bp.models.Sequential(
        [
            L.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 2)),
            L.MaxPooling2D(2),
            L.AveragePooling2D(3, padding="same"),
            L.Flatten(),
            L.Dense(3),
        ]
    )


def words():
    return bp.models.Sequential([L.Embedding(10, 6), L.GlobalAveragePooling1D(), L.Dense(3)])


MODELS = [(dense, (32, 8)), (convolution, (8, 8, 8, 2)), (words, (16, 5))]
OPTIMIZERS = [
    lambda: SGD(0.1),
    lambda: SGD(0.1, momentum=0.9, nesterov=True),
    lambda: Adam(0.01),
    lambda: AdamW(0.01, amsgrad=True),
    lambda: RMSprop(0.01, centered=True),
    lambda: Lion(0.001),
    lambda: SGD(0.1, global_clipnorm=0.5),
    lambda: SGD(0.1, clipnorm=0.1),
    lambda: SGD(0.1, clipvalue=0.01),
]


def problem(make, shape):
    r = np.random.default_rng(0)
    x = r.integers(0, 10, shape) if make is words else r.normal(size=shape).astype(np.float32)
    return x, r.integers(0, 3, shape[0])


def train(make, shape, optimizer, steps=3, during=contextlib.nullcontext):
    """(losses, weights, counts of each step) on the current backend. during(): entered around each step."""
    bp.random.seed(5)
    lib = backend.current()
    x, y = [bp.tensor(lib.asarray(a)) for a in problem(make, shape)]
    model = make()
    model(x)
    optimizer.build(model.trainable_weights)
    losses, counts = [], []
    for _ in range(steps):
        before = fake_cupy.machine.counts.snapshot()
        with during():
            loss = bp.nn.softmax_cross_entropy(model(x, training=True), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        after = fake_cupy.machine.counts.snapshot()
        counts.append({name: after[name] - before[name] for name in after})
        losses.append(loss)
    return [float(i) for i in losses], [w.numpy() for w in model.weights], counts


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("make", "shape"), MODELS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_step_is_the_cpus_and_never_waits(make, shape, optimizer):
    losses, weights, _ = train(make, shape, optimizer())
    with fake_cupy.installed(current=True):
        found, moved, counts = train(make, shape, optimizer())
    np.testing.assert_allclose(found, losses, rtol=2e-5)
    for got, want in zip(moved, weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-5)
    for step in counts:
        assert (step["syncs"], step["to_device"], step["from_device"]) == (0, 0, 0)
    assert counts[2] == counts[1]  # as many allocations, bytes and launches


def fit(classes=3):
    bp.random.seed(7)
    r = np.random.default_rng(0)
    x, y = r.normal(size=(64, 8)).astype(np.float32), r.integers(0, classes, 64)
    model = bp.models.Sequential(
        [L.Dense(16, activation="relu", input_shape=(8,)), L.Dense(classes, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", "mse"][:1])
    return model, x, y


def test_fit_reads_the_device_once_per_display():
    model, x, y = fit()
    want = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history
    with fake_cupy.installed(current=True):
        model, x, y = fit()
        counts = fake_cupy.machine.counts
        with fake_cupy.at_most(syncs=2 * 3, from_device=2 * 3, to_device=2 * 8):
            got = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history
        assert counts.log[-2:] == ["float()", "float()"]  # the loss and the accuracy, at the epoch's end
        assert model.weights[0].device == "cuda:0"
        assert model.predict(x, verbose=0).shape == (64, 3)
        assert isinstance(model.evaluate(x, y, verbose=0)[0], float)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5)


def test_wrong_labels_give_nan_where_looking_would_wait():
    with fake_cupy.installed() as cupy:
        z = bp.tensor(cupy.ones((2, 3)), requires_grad=True)
        loss = bp.nn.softmax_cross_entropy(z, cupy.asarray([0, 3]), reduction="none")
        assert np.isnan(loss.numpy()).tolist() == [False, True]


def test_a_captured_step():
    """What a CUDA graph may hold: no waiting, no copies."""
    with fake_cupy.installed() as cupy:
        x = bp.tensor(cupy.ones((4, 3)), requires_grad=True)
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            bp.sum(bp.tanh(x) * 2.0).backward()
            with pytest.raises(fake_cupy.CaptureError):
                x.grad.numpy()
            graph = stream.end_capture()
        assert graph.nodes > 3


def test_out_of_memory_names_the_largest_tensors():
    with fake_cupy.installed() as cupy:
        fake_cupy.machine.memory = 10_000
        kept = bp.tensor(cupy.zeros((32, 32)))
        model, *_ = fit()
        backend.set_backend("cupy")
        with pytest.raises(
            bp.errors.OutOfMemory, match=r"(?s)float64 \(32, 32\) on cuda:0.*batch_size"
        ) as raised:
            model.fit(np.zeros((4000, 8), np.float32), np.zeros(4000, int), batch_size=4000, verbose=0)
        assert isinstance(raised.value, MemoryError)
        assert kept.nbytes == 8192
