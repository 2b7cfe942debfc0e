"""The CuPy backend on the stand-in: every op equals the NumPy backend, and runs where its arrays live."""

import sys
import warnings

import numpy as np
import pytest
from test_backend import KNOWN
from test_ops import PARAMS, arguments, function

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp.errors import DeviceError, HostFallbackWarning
from tensorflowlite_bp.testing import fake_cupy

# Linear algebra that CuPy lacks: SciPy computes it on the host, with a warning. So it does special functions
# that CuPy lacks.
ON_THE_HOST = {"linalg.log_matrix", "linalg.sqrt_matrix", "linalg.sylvester"}


@pytest.fixture
def cupy():
    with fake_cupy.installed() as module:
        yield module


def on_device(cupy, value):
    """The arrays of parameters, moved."""
    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    if isinstance(value, tuple):
        return tuple(on_device(cupy, v) for v in value)
    return {k: on_device(cupy, v) for k, v in value.items()} if isinstance(value, dict) else value


def cotangent(out):
    return np.linspace(0.5, 1.5, max(out.size, 1))[: out.size].reshape(out.shape).astype(out.dtype)


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_values_and_gradients_are_numpys(cupy, case, kwargs):
    args = arguments(case)
    hosts = [bp.tensor(a, requires_grad=a.dtype.kind in "fc") for a in args]
    want = function(case, kwargs)(*hosts)
    backend.set_backend("cupy")
    devices = [bp.tensor(cupy.asarray(a), requires_grad=a.dtype.kind in "fc") for a in args]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", HostFallbackWarning)
        got = function(case, on_device(cupy, kwargs))(*devices)
        if want.requires_grad:
            want.backward(cotangent(want))
            got.backward(cupy.asarray(cotangent(want)))
    assert not said or case.name.startswith("special.") or case.name in ON_THE_HOST
    assert got.device == "cuda:0"
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10, atol=1e-11)
    for host, device in zip(hosts, devices, strict=True):
        assert (host.grad is None) == (device.grad is None)
        if host.grad is not None:
            assert device.grad.device == "cuda:0"
            np.testing.assert_allclose(device.grad.numpy(), host.grad.numpy(), rtol=1e-10, atol=1e-11)


def test_the_backend_is_whole(cupy):
    lib = backend.named("cupy")
    assert [n for n in sorted(KNOWN) if not hasattr(lib, n)] == []
    for n in ("exp", "where", "concatenate"):
        assert getattr(lib, n) is getattr(cupy, n)


def test_gradients_of_functions_on_raw_arrays(cupy):
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    f = lambda x: (np.tanh(x) @ np.ones_like(x).T).sum() + np.sum(np.where(x > 0, x, 0) ** 2)
    g = bp.grad(f)(cupy.asarray(x))
    assert type(g) is cupy.ndarray
    np.testing.assert_allclose(g.get(), bp.grad(f)(x), rtol=1e-13)


def test_random_numbers_are_the_cpus(cupy):
    draws = [("uniform", {}), ("uniform", {"dtype": "float32"}), ("normal", {}), ("integers", {"low": 7})]
    for name, how in draws:
        found = []
        for lib in ("numpy", "cupy"):
            backend.set_backend(lib)
            found.append(getattr(bp.random.Generator(3), name)(shape=(5, 3), **how))
        assert type(found[1]) is cupy.ndarray
        assert found[0].tobytes() == found[1].get().tobytes()


# ------------------------------------------------------------------ repeated indices
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "complex128"])
@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (np.array([2, 0, 2, 2, -1]), (4,)),
        (np.array([[2, 0], [2, -1]]), (4, 3)),
        ((np.array([0, 1, 0, 1]), np.array([1, 1, 1, 0])), (2, 3)),
        ((slice(None), np.array([1, 1, 0])), (2, 3)),
    ],
    ids=["vector", "rows", "pairs", "columns"],
)
def test_scatter_adds_in_a_fixed_order(cupy, dtype, index, shape):
    lib = backend.named("cupy")
    x = np.random.default_rng(0).normal(size=np.empty(shape)[index].shape).astype(dtype)
    want = np.zeros(shape, dtype)
    np.add.at(want, index, x)
    with fake_cupy.at_most(syncs=0, to_device=4):
        got = lib.scatter_add(cupy.asarray(x), index=on_device(cupy, index), shape=shape)
    np.testing.assert_allclose(got.get(), want, rtol=1e-6, atol=1e-6)


def test_of_several_values_for_one_place_the_last_is_stored(cupy):
    lib = backend.named("cupy")
    out = lib.setitem(cupy.zeros(3), cupy.asarray([1.0, 2.0, 3.0]), index=cupy.asarray([1, 0, 1]))
    assert out.get().tolist() == [2.0, 3.0, 0.0]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: bp.take(x, [2, 0, 2], axis=1),
        lambda x: bp.numpy.diagonal(x, offset=1),
        lambda x: bp.numpy.pad(x, ((1, 2), (0, 3)), mode="reflect"),
        lambda x: bp.numpy.pad(x, ((1, 2), (0, 3)), mode="symmetric", reflect_type="odd"),
        lambda x: bp.numpy.pad(x, 2, mode="linear_ramp", end_values=1.0),
        lambda x: bp.numpy.repeat(x, [1, 0, 2, 1], axis=1),
    ],
    ids=["take", "diagonal", "pad", "pad odd", "pad ramp", "repeat"],
)
def test_indices_are_uploaded_once(cupy, function):
    backend.set_backend("cupy")

    def step():
        x = bp.tensor(cupy.ones((4, 4)), requires_grad=True)
        (function(x) ** 2).sum().backward()

    step()
    with fake_cupy.at_most(syncs=0, to_device=0):
        step()


# ------------------------------------------------------------------ what CuPy lacks
def test_what_cupy_lacks_is_said_once(cupy):
    x = bp.tensor(cupy.eye(3) * 4.0)
    with pytest.warns(HostFallbackWarning, match=r"(?s)cupyx.scipy.linalg has no such function.*on the host"):
        root = bp.scipy.linalg.sqrtm(x)
    assert root.device == "cuda:0"
    assert root.numpy().tolist() == (2 * np.eye(3)).tolist()
    bp.scipy.linalg.sqrtm(x)  # a second warning would be an error here


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("rank", [0, 2, 3])
def test_numpys_parameters_of_rank_and_inverse(cupy, rank, hermitian):
    r = np.random.default_rng(rank)
    half = r.normal(size=(2, 3, rank))
    x = half @ (half if hermitian else r.normal(size=(2, 3, rank))).swapaxes(-1, -2)
    t = bp.tensor(cupy.asarray(x))
    for how in ({}, {"rtol": 1e-3}):
        want = np.linalg.matrix_rank(x, hermitian=hermitian, **how).tolist()
        assert bp.linalg.matrix_rank(t, hermitian=hermitian, **how).tolist() == want
        found = bp.linalg.pinv(t, hermitian=hermitian, **how).numpy()
        np.testing.assert_allclose(found, np.linalg.pinv(x, **how), atol=1e-12)


def test_constants_on_the_host_are_named(cupy):
    x = bp.tensor(cupy.ones(3))
    for call in (
        lambda: bp.where(np.ones(3, bool), x, x),
        lambda: bp.nn.softmax_cross_entropy(x[None], np.array([1])),
        lambda: bp.numpy.ldexp(x, np.array([1, 2, 3])),
    ):
        with pytest.raises(DeviceError, match="cuda:0, cpu"):
            call()


# ------------------------------------------------------------------ devices
def test_moving_there_and_back(cupy):
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cuda")
    assert y.device == "cuda:0"
    assert y.to("cuda") is y
    (y * y).sum().to("cpu").backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_second_device(cupy):
    x = bp.zeros(3, device="cuda:1")
    assert x.device == "cuda:1"
    with pytest.raises(ValueError, match="device"):
        _ = x + 1
    with cupy.cuda.Device(1):
        assert (x + 1).device == "cuda:1"
    with pytest.raises(DeviceError, match="there are 2 CUDA devices"):
        x.to("cuda:2")


def test_mixed_devices_are_named(cupy):
    with pytest.raises(DeviceError, match="cuda:0, cpu"):
        _ = bp.tensor(cupy.ones(3)) * bp.tensor(np.ones(3))


def test_the_diagnosis_says_what_runs(cupy, capsys):
    bp.show_config()
    shown = capsys.readouterr().out
    assert "usable" in shown
    assert "CUDA kernels" in shown


def test_nothing_stays_when_the_stand_in_goes():
    before = backend.current().name
    with fake_cupy.installed(current=True) as cupy:
        assert bp.zeros(2).device == "cuda:0"
        cls = cupy.ndarray
    assert backend.current().name == before
    assert cls not in backend.by_type
    assert bp.zeros(2).device == "cpu"


PROGRAM = """
import tensorflowlite_bp as bp
from tensorflowlite_bp.testing import fake_cupy
with fake_cupy.installed():
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    print(x.device, x.grad.device, x.grad.tolist())
"""


def test_the_environment_chooses_it(run_python):
    done = run_python(PROGRAM, TFLBP_BACKEND="cupy")
    assert done.stdout == "cuda:0 cuda:0 [2.0, 4.0]\n", done.stderr


WAITING = """
import tensorflowlite_bp as bp
from tensorflowlite_bp.testing import fake_cupy
with fake_cupy.installed(current=True) as cupy:
    x = bp.tensor(cupy.ones(2), requires_grad=True)
    y = bp.exp(x) * x
    print(fake_cupy.machine.counts.log)
"""


def test_debugging_waits_after_every_op(run_python):
    done = run_python(WAITING, TFLBP_DEBUG="sync")
    assert done.stdout == "['Stream.synchronize', 'Stream.synchronize']\n", done.stderr


# ------------------------------------------------------------------ what stands in the way
def raising(error):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "cupy":
                raise error

    return Finder


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ModuleNotFoundError("No module named 'cupy'"),
            r"CuPy is not installed[\s\S]*\[cuda13\].*580",
        ),
        (ImportError("libcudart.so.12: cannot open"), r"libcudart.so.12[\s\S]*cupy-cuda12x wheel needs"),
    ],
    ids=["no CuPy", "no library"],
)
def test_cupy_that_does_not_import(monkeypatch, error, text):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [raising(error), *sys.meta_path])
    with pytest.raises(DeviceError, match=text):
        backend.named("cupy")
    assert backend.named("auto").name == "numpy"


@pytest.mark.parametrize(
    ("driver", "built", "text"),
    [
        (0, 13020, r"no NVIDIA driver[\s\S]*nvidia-smi[\s\S]*--gpus all"),
        (11040, 12080, r"CUDA 11.4 and older.*12.8: the driver is too old[\s\S]*525"),
        (12040, 13020, r"wrong major version[\s\S]*uninstall cupy-cuda13x[\s\S]*\[cuda12\][\s\S]*580"),
        (13000, 13020, r"no GPU is visible[\s\S]*CUDA_VISIBLE_DEVICES"),
    ],
    ids=["no driver", "old driver", "wrong CUDA", "no GPU"],
)
def test_without_a_device(monkeypatch, driver, built, text):
    with fake_cupy.installed() as cupy:
        monkeypatch.setattr(cupy, "is_available", lambda: False)
        monkeypatch.setattr(cupy.cuda.runtime, "driverGetVersion", lambda: driver)
        monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: built)
        with pytest.raises(DeviceError, match=text):
            backend.named("cupy")
        assert backend.named("auto").name == "numpy"
