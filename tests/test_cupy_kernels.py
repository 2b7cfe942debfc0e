"""The CuPy backend with its kernels, which the emulator runs, equals the NumPy backend."""

import sys

import numpy as np
import pytest
from cuda_hosts import emulator_module, needs_emulator
from test_cupy_backend import cotangent, on_device
from test_cupy_training import FITS, MODELS, OPTIMIZERS, check_fit, dense, sentences, train
from test_ops import PARAMS, arguments, function

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp import layers as L
from tensorflowlite_bp._config import config
from tensorflowlite_bp.optimizers import SGD
from tensorflowlite_bp.testing import fake_cupy

pytestmark = [
    *needs_emulator,
    pytest.mark.skipif(config.kernels == "reference", reason="TFLBP_KERNELS=reference: no kernels"),
]

# op -> a kernel that its case must have launched
KERNELS = {
    "softmax": "softmax<",
    "log_softmax": "softmax<",
    "softmax_cross_entropy": "softmax_cross_entropy<",
    "relu": "activation_backward<",
    "silu": "activation<",
    "gelu": "activation<",
    "softplus": "activation<",
    "row_norm": "layer_norm<",
    "group_norm": "moments_last<",
    "conv": "convolution<",
    "conv_forward": "convolution<",
    "conv_input_grad": "convolution<",
    "conv_weight_grad": "convolution<",
    "max_pool": "max_pool<",
    "avg_pool_forward": "avg_pool<",
    "avg_pool_input_grad": "avg_pool_grad<",
    "scatter_add": "embedding_runs<",
    "scaled_dot_product_attention": "attention<",
    "ctc_losses": "ctc<",
    "lstm": "recurrent_backward<",
    "gru": "recurrent_backward<",
    "simple_rnn": "recurrent_backward<",
}


@pytest.fixture
def cupy():
    with fake_cupy.installed(emulator_module()) as module:
        yield module


@pytest.mark.parametrize(("case", "kwargs"), [p for p in PARAMS if p.values[0].name in KERNELS])
def test_values_and_gradients_are_numpys(cupy, case, kwargs):
    args = arguments(case)
    hosts = [bp.tensor(a, requires_grad=a.dtype.kind in "fc") for a in args]
    want = function(case, kwargs)(*hosts)
    devices = [bp.tensor(cupy.asarray(a), requires_grad=a.dtype.kind in "fc") for a in args]
    got = function(case, on_device(cupy, kwargs))(*devices)
    want.backward(cotangent(want))
    got.backward(cupy.asarray(cotangent(want)))
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10, atol=1e-11)
    for host, device in zip(hosts, devices, strict=True):
        if host.grad is not None:
            np.testing.assert_allclose(device.grad.numpy(), host.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_ran(cupy, name):
    for case, kwargs in [p.values for p in PARAMS if p.values[0].name == name]:
        leaves = [bp.tensor(cupy.asarray(a), requires_grad=True) for a in arguments(case)]
        bp.sum(function(case, on_device(cupy, kwargs))(*leaves)).backward()
    ran = sys.modules["tensorflowlite_bp._native_cuda"].ran
    assert [k for k in ran if k.startswith(KERNELS[name])], ran


def test_random_words_are_the_cpus(cupy):
    found = []
    for lib in ("numpy", "cupy"):
        bp.set_backend(lib)
        found.append(bp.random.Generator(3).bits(1001))
    assert found[0].tobytes() == found[1].get().tobytes()


models = pytest.mark.parametrize(("make", "shape"), MODELS, ids=lambda v: getattr(v, "__name__", ""))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer):
    check_step(dense, (32, 8), optimizer)


@pytest.mark.parametrize(("make", "shape"), FITS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_whole_fit(make, shape):
    check_fit(make, shape, kernels=emulator_module())
    ran = {name.partition("<")[0] for name in fake_cupy.machine.kernels}
    assert ran >= {"adam", "begin_step", "set_words", "recurrent" if make is sentences else "dropout"}


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("bfloat16", 7)])
@pytest.mark.parametrize(("make", "shape"), FITS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_whole_fit_in_mixed_precision(make, shape, dtype, bits):
    """Gradients agree to 16 bits. Adam's first steps have the learning rate's size whatever theirs is: so
    weights may differ by twice that in each of the six.
    """
    close = dict(rtol=2.0 ** (4 - bits), atol=6 * 2e-3)
    check_fit(make, shape, kernels=emulator_module(), mixed_precision=dtype, **close)


@models
def test_a_training_step(make, shape):
    check_step(make, shape, lambda: SGD(0.1, momentum=0.9))


def check_step(make, shape, optimizer):
    losses, weights, _ = train(make, shape, optimizer())
    with fake_cupy.installed(emulator_module(), current=True):
        found, moved, counts = train(make, shape, optimizer())
    np.testing.assert_allclose(found, losses, rtol=2e-5)
    for got, want in zip(moved, weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-5)
    assert [(c["syncs"], c["to_device"], c["from_device"]) for c in counts] == [(0, 0, 0)] * 3
    assert (counts[2]["allocations"], counts[2]["bytes"]) == (counts[1]["allocations"], counts[1]["bytes"])


# ------------------------------------------------------------------ a whole step as one graph
class WithProducts:
    """The emulator with a cublasLt that takes nothing: products go to our own kernel. A stream that is being
    captured allows that, as it allows cublasLt; CuPy's cuBLAS it refuses.
    """

    def __init__(self, module):
        self.kernels, self.launch = module.kernels, module.launch

    def lt_open(self, path=""):
        return True

    def lt_product(self, *call):
        return False


def networks():
    def images():
        return bp.models.Sequential(
            [
                L.Conv2D(4, 3, activation="relu", input_shape=(6, 6, 2)),
                L.MaxPooling2D(2),
                L.Flatten(),
                L.Dense(8, activation="gelu"),
                L.LayerNormalization(),
                L.Dense(3),
            ]
        )

    def sequences():
        return bp.models.Sequential(
            [L.Embedding(10, 6), L.LSTM(5, return_sequences=True), L.GRU(4), L.Dense(3)]
        )

    return [(images, (8, 6, 6, 2)), (sequences, (8, 5))]


@pytest.mark.parametrize(("make", "shape"), networks(), ids=["images", "sequences"])
def test_a_captured_training_step_is_a_step_whenever_it_is_launched(make, shape):
    """Forward, backward and update in one graph, on the same memory: five launches of it are five steps."""
    r = np.random.default_rng(0)
    x = r.integers(0, 10, shape) if make.__name__ == "sequences" else r.normal(size=shape).astype(np.float32)
    y = r.integers(0, 3, shape[0])

    def run(captured):
        bp.random.seed(5)
        lib = backend.current()
        batch, labels = bp.tensor(lib.asarray(x)), bp.tensor(lib.asarray(y))
        model, optimizer = make(), SGD(0.05, momentum=0.9)
        model(batch)
        optimizer.build(model.trainable_weights)

        def step():
            loss = bp.nn.softmax_cross_entropy(model(batch, training=True), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        losses = [float(step()) for _ in range(2)]  # what is made at first is not captured
        if not captured:
            losses += [float(step()) for _ in range(5)]
            return losses, [w.numpy() for w in model.weights]
        stream = sys.modules["cupy"].cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            loss = step()
            graph = stream.end_capture()
            losses.append(float(loss))
            for _ in range(4):
                graph.launch()
                losses.append(float(loss))
        assert graph.nodes > 20
        return losses, [w.numpy() for w in model.weights]

    bp.set_backend("numpy")
    want, weights = run(captured=False)
    with fake_cupy.installed(WithProducts(emulator_module()), current=True):
        found, moved = run(captured=True)
    np.testing.assert_allclose(found, want, rtol=2e-5)
    assert found[-1] < found[0]
    for got, exact in zip(moved, weights, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-3, atol=2e-5)
