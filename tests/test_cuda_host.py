"""Who runs the kernels: the module, NVRTC through CuPy (a stand-in here), and what is refused."""

import sys
import types

import numpy as np
import pytest
from cuda_hosts import KERNELS

from tensorflowlite_bp.backend.cuda import LaunchError, Module, Nvrtc, cuda_host, losses
from tensorflowlite_bp.backend.cuda.host import sources


class FakeModule:
    """What the compiled modules look like."""

    __name__ = "fake"

    def __init__(self, names):
        self.names, self.launched = names, []

    def kernels(self):
        return [(name, "p") for name in self.names]

    def launch(self, *args):
        self.launched.append(args)


class DeviceArray(np.ndarray):
    """A NumPy array that says where it is as CuPy's do."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)


def fake_cupy():
    """The part of CuPy that the hosts use. `made` and `ran` tell of modules and launches."""
    cupy = types.ModuleType("cupy")
    cupy.made, cupy.ran = [], []

    class Kernel:
        max_dynamic_shared_size_bytes = 0

        def __init__(self, name):
            self.name = name

        def __call__(self, grid, block, args, *, shared_mem):
            cupy.ran.append((self.name, grid, block, args, shared_mem, self.max_dynamic_shared_size_bytes))

    class RawModule:
        def __init__(self, *, code, options, name_expressions):
            cupy.made.append((code, options, name_expressions))

        def get_function(self, name):
            return Kernel(name)

    cupy.RawModule = RawModule
    device = types.SimpleNamespace(id=0, attributes={"MultiProcessorCount": 132})
    cupy.cuda = types.SimpleNamespace(
        Device=lambda: device, get_current_stream=lambda: types.SimpleNamespace(ptr=77)
    )
    cupy.empty = lambda shape, dtype: np.empty(shape, dtype).view(DeviceArray)
    cupy.float64, cupy.float32, cupy.int64, cupy.ndarray = np.float64, np.float32, np.int64, DeviceArray
    return cupy


def test_a_launch_by_number():
    module = FakeModule(["other", "sgd<float>"])
    x = np.zeros(3, np.float32)
    Module(module, np).launch("sgd<float>", (2, 3), 32, (x, None, 5, 0.5), 64)
    assert module.launched == [(1, 2, 3, 1, 32, 1, 64, 0, (x.ctypes.data, 0, 5, 0.5))]


def test_nothing_to_launch():
    module = FakeModule(["f"])
    Module(module, np).launch("f", (4, 0), 32, ())
    assert module.launched == []


def test_what_is_refused():
    host = Module(FakeModule(["f"]), np)
    with pytest.raises(LaunchError, match=r"\[g\] the module has no such kernel"):
        host.launch("g", 1, 32, ())
    with pytest.raises(LaunchError, match="a grid within"):
        host.launch("f", (1, 70000), 32, ())


def test_what_the_module_lacks_goes_to_nvrtc():
    cupy = fake_cupy()
    host = Module(FakeModule(["f"]), cupy, Nvrtc(cupy))
    for _ in range(2):
        host.launch("adam<double, true>", 7, (8, 16), (3, 0.5), 50000)
    (code, options, names), *rest = cupy.made
    assert not rest
    assert names == ["adam<double, true>"]
    assert '#include "cuda/optimizer.cuh"' in code
    assert f"-I{sources()}" in options
    assert cupy.ran == [("adam<double, true>", (7, 1, 1), (8, 16, 1), (3, 0.5), 50000, 50000)] * 2


def test_cupy_arrays_and_streams():
    cupy = fake_cupy()
    module = FakeModule(["softmax<float, true, true>"])
    x = np.zeros((5, 7), np.float32).view(DeviceArray)
    out = losses.softmax(Module(module, cupy), x)
    (index, *geometry, stream, args) = module.launched[0]
    assert (index, stream) == (0, 77)
    assert geometry == [2, 1, 1, 128, 1, 4 * 48]
    assert args == (x.ctypes.data, out.ctypes.data, 5, 7, 0)


def test_the_host_for_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    built = types.ModuleType("tensorflowlite_bp._native_cuda")
    built.kernels = lambda: [("f", "p")]
    monkeypatch.setitem(sys.modules, "tensorflowlite_bp._native_cuda", built)
    host = cuda_host.__wrapped__()
    assert isinstance(host, Module)
    assert host.module is built
    monkeypatch.setitem(sys.modules, "tensorflowlite_bp._native_cuda", None)
    host = cuda_host.__wrapped__()
    assert isinstance(host, Nvrtc)
    assert "compiled by NVRTC" in host.note


@pytest.mark.skipif(not KERNELS.exists(), reason="not a source tree")
def test_the_source_for_nvrtc_names_its_contents():
    """CuPy's cache goes by the text: another kernel file must make another text."""
    digest = Nvrtc.source().splitlines()[0]
    assert len(digest) == 3 + 64
    for path in KERNELS.glob("cuda/*.cuh"):
        assert f'#include "cuda/{path.name}"' in Nvrtc.source()
