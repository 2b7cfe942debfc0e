"""On a GPU (`pytest -m gpu`): every op equals the NumPy backend, training equals the CPU's and does not wait
for the device, products go through cublasLt, arrays pass to torch. With --stand-in, on the stand-in for CuPy.
"""

import contextlib
import itertools
import warnings

import numpy as np
import pytest
import test_cupy_backend
from cuda_hosts import FLOATS, close, named
from test_cupy_backend import on_device
from test_cupy_training import MODELS, OPTIMIZERS, fit, train
from test_ops import CASES, OTHERS_DTYPES, arguments, function, tensors

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp.backend.cuda import cuda_host, lt, products
from tensorflowlite_bp.testing import fake_cupy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::tensorflowlite_bp.errors.HostFallbackWarning"),  # what CuPy lacks
]
parity = test_cupy_backend.test_values_and_gradients_are_numpys
every_case = pytest.mark.parametrize(*parity.pytestmark[0].args)  # that the stand-in takes
NAMES = {p.values[0].name for p in parity.pytestmark[0].args[1]}
TOLERANCES = {"float32": 3e-5, "float16": 3e-2, "bfloat16": 5e-2}  # as tests/test_ops.py has them


# ------------------------------------------------------------------ every op
@every_case
def test_values_and_gradients_are_numpys(gpu, case, kwargs):
    parity(gpu, case, kwargs)


def narrow_cases():
    for case, dtype in itertools.product([c for c in CASES if c.name in NAMES], TOLERANCES):
        if (dtype == "float16" and case.half) or dtype == "float32":
            yield pytest.param(case, dtype, case.narrow or dtype, id=f"{case}-{dtype}")
        if dtype == "bfloat16" and not case.name.startswith(OTHERS_DTYPES):
            yield pytest.param(case, dtype, dtype, id=f"{case}-{dtype}")


@pytest.mark.parametrize(("case", "dtype", "of_result"), list(narrow_cases()))
def test_narrow_floats(gpu, case, dtype, of_result):
    """As the tests of the NumPy backend: near the value in float64, gradients in the argument's dtype."""
    kwargs = dict(case.kwargs[0])
    if "dtype" in kwargs:
        kwargs["dtype"] = bp.bfloat16 if dtype == "bfloat16" else dtype
    narrow = [a.astype(bp.bfloat16 if dtype == "bfloat16" else dtype) for a in arguments(case)]
    exact = function(case, kwargs | ({"dtype": float} if "dtype" in kwargs else {}))(
        *tensors([a.astype(float) for a in narrow])
    ).numpy()
    leaves = [bp.tensor(gpu.asarray(a), requires_grad=True) for a in narrow]
    out = function(case, on_device(gpu, kwargs))(*leaves)
    out.backward(gpu.ones(out.shape, out.dtype))
    assert named(out.dtype) == of_result
    rtol = TOLERANCES[dtype]
    scale = np.abs(exact).max(initial=1.0)
    np.testing.assert_allclose(out.numpy().astype(exact.dtype), exact, rtol=rtol, atol=rtol * scale)
    for leaf in leaves:
        assert leaf.grad is None or (named(leaf.grad.dtype), leaf.grad.shape) == (dtype, leaf.shape)


@pytest.mark.parametrize(
    "name",
    [
        "test_gradients_of_functions_on_raw_arrays",
        "test_random_numbers_are_the_cpus",
        "test_of_several_values_for_one_place_the_last_is_stored",
        "test_moving_there_and_back",
        "test_mixed_devices_are_named",
    ],
)
def test_as_on_the_stand_in(gpu, name):
    getattr(test_cupy_backend, name)(gpu)


# ------------------------------------------------------------------ training
@contextlib.contextmanager
def never_waits():
    """Raises where CuPy would wait for the device; the stand-in counts."""
    cupyx = pytest.importorskip("cupyx")
    if hasattr(cupyx, "allow_synchronize"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy: it will go, as it cannot see everything
            with cupyx.allow_synchronize(False):
                yield
    else:
        with fake_cupy.at_most(syncs=0):
            yield


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("make", "shape"), MODELS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_step_is_the_cpus_and_never_waits(gpu, make, shape, optimizer):
    backend.set_backend("numpy")
    losses, weights, _ = train(make, shape, optimizer())
    backend.set_backend("cupy")
    found, moved, _ = train(make, shape, optimizer(), during=never_waits)
    np.testing.assert_allclose(found, losses, rtol=2e-5)
    for got, want in zip(moved, weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-5)


def test_fit_is_the_cpus(gpu):
    found = []
    for name in ("numpy", "cupy"):
        backend.set_backend(name)
        model, x, y = fit()
        found.append(model.fit(x, y, epochs=2, batch_size=16, verbose=0).history)
        assert model.weights[0].device == ("cpu" if name == "numpy" else "cuda:0")
    for name, want in found[0].items():
        np.testing.assert_allclose(found[1][name], want, rtol=1e-5)


def test_a_captured_step_runs_again(gpu):
    """A graph of a step: with other numbers in its input it gives the gradient of those."""
    values = gpu.asarray(np.linspace(-1, 1, 12).reshape(4, 3))
    x = bp.tensor(values, requires_grad=True)
    stream = gpu.cuda.Stream(non_blocking=True)
    with stream:
        for _ in range(2):  # what is compiled, or allocated at first, is not captured
            x.grad = None
            bp.sum(bp.tanh(x) * 2.0).backward()
        x.grad = None
        stream.begin_capture()
        bp.sum(bp.tanh(x) * 2.0).backward()
        graph = stream.end_capture()
        values *= 0.5
        graph.launch()
        stream.synchronize()
    want = 2 / np.cosh(np.linspace(-0.5, 0.5, 12).reshape(4, 3)) ** 2
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-12)


# ------------------------------------------------------------------ cublasLt, which no emulator has
@pytest.mark.parametrize("kind", [None, "relu", "gelu", "gelu_tanh", "times_relu", "times_gelu_tanh"])
@pytest.mark.parametrize(("ta", "tb"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("sizes", [(2, 1, 5, 7, 3), (1, 1, 64, 48, 80), (3, 3, 33, 130, 65)], ids=str)
def test_products(gpu, sizes, dtype, ta, tb, kind):
    """Against our own kernel, on the same arrays; that is tested against NumPy."""
    batch, batch_b, m, k, n = sizes
    host = cuda_host()
    own = type(host)(host.module, gpu, host.fallback) if hasattr(host, "module") else type(host)(gpu)
    own.kept["lt"] = False
    r = np.random.default_rng(0)
    draw = lambda *shape: gpu.asarray(r.normal(size=shape).astype(dtype))
    a = draw(batch, k, m).swapaxes(1, 2) if ta else draw(batch, m, k)
    b = draw(batch_b, n, k).swapaxes(1, 2) if tb else draw(batch_b, k, n)
    slope = kind is not None and kind.startswith("times_")
    how = {"kind": kind, "bias": None if slope else draw(n), "aux": draw(batch, m, n) if slope else None}
    got, want = [products.gemm(h, a, b, alpha=0.5, **how).get() for h in (host, own)]
    close(got, want, 16)
    if kind is None:
        old = draw(batch, m, n)
        got, want = [
            products.gemm(h, a, b, out=old.copy(), alpha=0.5, beta=0.25, **how).get() for h in (host, own)
        ]
        close(got, want, 16)


def test_cublaslt_is_found(gpu):
    if gpu is not None and not hasattr(gpu, "RawModule"):
        pytest.skip("the stand-in has none")
    if not hasattr(cuda_host(), "module"):
        pytest.skip("products by CuPy's cuBLAS: the package was installed without nvcc")
    assert lt.available(cuda_host())


# ------------------------------------------------------------------ beside torch
def test_arrays_pass_to_torch_and_back(gpu):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA here")
    ours = bp.tensor(gpu.arange(6.0).reshape(2, 3))
    theirs = torch.from_dlpack(ours)
    assert theirs.device.type == "cuda"
    theirs *= 2
    assert ours.numpy().tolist() == [[0, 2, 4], [6, 8, 10]]
    back = bp.from_dlpack(theirs)
    assert back.device == "cuda:0"
    assert back.data.data.ptr == theirs.data_ptr()
