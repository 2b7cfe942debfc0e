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


def sentences():
    return bp.models.Sequential(
        [
            L.Embedding(10, 6, mask_zero=True),
            L.LSTM(5, return_sequences=True, dropout=0.2),
            L.Bidirectional(L.GRU(4, return_sequences=True)),
            L.SimpleRNN(4),
            L.Dense(3),
        ]
    )


MODELS = [(dense, (32, 8)), (convolution, (8, 8, 8, 2)), (words, (16, 5)), (sentences, (16, 5))]
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


def regularised():
    return bp.models.Sequential(
        [
            L.Conv2D(4, 3, padding="same", use_bias=False, input_shape=(8, 8, 2)),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Dropout(0.3),
            L.GlobalAveragePooling2D(),
            L.Dense(3),
        ]
    )


class Block(L.Layer):
    """A transformer block: attention and a feed-forward part, each normalised, dropped out of and added."""

    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.normal = [L.LayerNormalization(), L.LayerNormalization()]
        self.split, self.join = L.Dense(3 * width), L.Dense(width)
        self.wide, self.narrow = L.Dense(2 * width, activation="gelu"), L.Dense(width)
        self.drop = L.Dropout(0.1)

    def call(self, x, training=None):
        batch, time, width = x.shape
        parts = self.split(self.normal[0](x)).reshape(batch, time, 3, self.heads, width // self.heads)
        q, k, v = [bp.swapaxes(parts[:, :, i], 1, 2) for i in range(3)]
        mixed = bp.nn.scaled_dot_product_attention(q, k, v, causal=True)
        x = x + self.drop(self.join(bp.swapaxes(mixed, 1, 2).reshape(batch, time, width)), training=training)
        return x + self.drop(self.narrow(self.wide(self.normal[1](x))), training=training)


def transformer():
    return bp.models.Sequential([L.Embedding(10, 8), Block(8, 2), L.GlobalAveragePooling1D(), L.Dense(3)])


def problem(make, shape):
    r = np.random.default_rng(0)
    words_in = make in (words, sentences, transformer)
    x = r.integers(0, 10, shape) if words_in else r.normal(size=shape).astype(np.float32)
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


class Steps(bp.callbacks.Callback):
    """What each step of a fit did: counts from the beginning of one batch to that of the next."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(fake_cupy.machine.counts.snapshot())

    @property
    def counts(self):
        pairs = zip(self.seen, self.seen[1:], strict=False)
        return [{name: after[name] - before[name] for name in after} for before, after in pairs]


FITS = [(dense, (48, 8)), (regularised, (48, 8, 8, 2)), (transformer, (48, 5)), (sentences, (48, 5))]


def fitted(make, shape, optimizer="adam", **how):
    """(history, weights, counts of each step) of an epoch of 6 batches."""
    bp.random.seed(5)
    x, y = problem(make, shape)
    model, steps = make(), Steps()
    model(
        bp.tensor(backend.current().asarray(x[:1]))
    )  # builds it: an orthogonal matrix is drawn, and factored, on the host
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **how)
    history = model.fit(x, y, batch_size=8, verbose=0, callbacks=[steps]).history
    return history, [w.numpy() for w in model.weights], steps.counts


def check_fit(make, shape, *, rtol=1e-4, atol=1e-4, kernels=None, **how):
    history, weights, _ = fitted(make, shape, **how)
    with fake_cupy.installed(kernels, current=True):
        found, moved, counts = fitted(make, shape, **how)
    for name, values in history.items():
        np.testing.assert_allclose(found[name], values, rtol=rtol)
    for got, want in zip(moved, weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=atol)
    for step in counts:
        assert (step["syncs"], step["to_device"], step["from_device"]) == (0, 0, 0)
    for name in ("allocations", "bytes"):
        assert counts[2][name] == counts[1][name]
    return counts


@pytest.mark.parametrize(("make", "shape"), FITS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_whole_fit_never_waits(make, shape):
    check_fit(make, shape)


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
        with fake_cupy.at_most(syncs=2 * 3, from_device=2 * 3, to_device=0):
            got = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history
        assert counts.log[-2:] == ["float()", "float()"]  # the loss and the accuracy, at the epoch's end
        assert model.weights[0].device == "cuda:0"
        assert model.predict(x, verbose=0).shape == (64, 3)
        assert isinstance(model.evaluate(x, y, verbose=0)[0], float)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5)


def test_batches_are_copied_ahead():
    """The stand-in makes a copy from pinned memory when somebody waits for it, and not before."""
    with fake_cupy.installed(current=True) as cupy:
        upload = backend.current().upload()
        batches = [np.full((4, 2), i, np.float32) for i in range(8)]
        kept = []
        with fake_cupy.at_most(syncs=0, to_device=0) as counts:
            for batch in batches:
                (found,), event = upload([batch])
                kept.append((found, event))
                if len(kept) > 1:
                    upload.wait(kept[-2][1])
        assert counts.uploads == 8
        assert [found.get()[0, 0] for found, _ in kept[:-1]] == list(range(7))
        assert np.isnan(kept[-1][0].get()).all()
        upload.wait(kept[-1][1])
        assert (kept[-1][0].get() == 7).all()
        on_device = cupy.ones(2)
        assert upload([on_device, batches[1]])[0][0] is on_device
        for batch in batches[:3]:  # nobody waits for these: before a buffer is written again, the host does
            upload([batch])
        assert counts.log[-1] == "Event.synchronize"


def test_fit_copies_each_batch_once():
    with fake_cupy.installed(current=True):
        model, x, y = fit()
        with fake_cupy.at_most(syncs=3, from_device=3, to_device=0) as counts:
            model.fit(x[:50], y[:50], batch_size=16, verbose=0)
        assert counts.uploads == 2 * 4
        model.fit(((x[:8], y[:8]) for _ in range(3)), verbose=0)
        assert counts.uploads == 2 * 7
        assert model.predict(x[:8], batch_size=3, verbose=0).shape == (8, 3)


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
