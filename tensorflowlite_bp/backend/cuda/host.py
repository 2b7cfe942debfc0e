"""Where kernels run. A launch is a name expression, a geometry and a list of arrays and numbers: the same
everywhere.
"""

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from ..._typing import Array, Shape
from ...errors import TFLBPError, message

Grid = int | tuple[int, ...]

NAMES = {"float32": "float", "float64": "double", "float16": "float16", "bfloat16": "bfloat16"}
MOST_BLOCKS = (2**31 - 1, 65535, 65535)


class LaunchError(TFLBPError, RuntimeError):
    """A kernel that the host does not have, or a geometry that CUDA does not allow."""


def sources() -> Path:
    """The folder that holds `cuda/*.cuh`: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent.parent
    inside = package / "kernels"
    return inside if inside.exists() else package.parent / "kernels"


class Host:
    """Kernels and memory of one kind. `xp` is numpy or cupy; subclasses launch."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.note = ""
        self.kept: dict[Any, Any] = {}  # by others, for as long as the host lives: cublasLt's workspaces
        self.tf32 = (
            False  # whether float32 products may round their operands to 10 bits, as CUPY_TF32 lets CuPy's
        )
        # epilogues of cublasLt that only timing can recommend: "bgrad", "aux"; benchmarks.gpu times both ways
        self.epilogues: frozenset[str] = frozenset()
        self._cupy = self.on_device = xp.__name__ == "cupy"  # on_device: where NVIDIA's libraries reach

    # ------------------------------------------------------------------ arrays
    def empty(self, shape: Shape | int, dtype: Any) -> Array:
        return self.xp.empty(shape, dtype)

    def dense(self, x: Array) -> Array:
        """x, C-contiguous."""
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def value(self, x: Any) -> Any:
        """An argument as the number that the kernel gets: an array's address, 0 for None."""
        if x is None:
            return 0
        if isinstance(x, int | float):
            return x
        return x.data.ptr if self._cupy else x.__array_interface__["data"][0]

    def stream(self) -> int:
        return self.xp.cuda.get_current_stream().ptr if self._cupy else 0

    def device(self) -> int:
        return self.xp.cuda.Device().id if self._cupy else 0

    @cached_property
    def processors(self) -> int:
        """Streaming multiprocessors of the device: what persistent grids are sized by. 2 under the
        emulator.
        """
        return self.xp.cuda.Device().attributes["MultiProcessorCount"] if self._cupy else 2

    @cached_property
    def clusters(self) -> bool:
        """Whether blocks of a cluster share their memory: from sm_90 on, and under the emulator."""
        return not self._cupy or self.xp.cuda.Device().attributes["ComputeCapabilityMajor"] >= 9

    # ------------------------------------------------------------------ launches
    def launch(self, name: str, grid: Grid, block: Grid, args: Sequence[Any], shared: int = 0) -> None:
        """name: as in C++, `softmax<float, true, true>`. grid, block: up to three and two sizes. args:
        arrays, None, ints and floats, in the kernel's order. An empty grid launches nothing.

        Raises LaunchError for an unknown kernel or a grid beyond CUDA's limits.
        """
        g = (*((grid,) if isinstance(grid, int) else grid), 1, 1)[:3]
        b = (*((block,) if isinstance(block, int) else block), 1)[:2]
        if 0 in g:
            return
        if any(n > most for n, most in zip(g, MOST_BLOCKS, strict=True)):
            raise LaunchError(message(name, f"a grid within {MOST_BLOCKS} was expected.", received=str(g)))
        self._launch(name, g, b, shared, [self.value(a) for a in args])

    def _launch(self, name: str, grid: tuple, block: tuple, shared: int, values: list) -> None:
        raise NotImplementedError


class Module(Host):
    """Kernels that were compiled ahead: `_native_cuda`, or the emulator. A kernel it lacks goes to
    `fallback`.
    """

    def __init__(self, module: Any, xp: Any, fallback: Host | None = None) -> None:
        super().__init__(xp)
        self.module = module
        self.index = {name: i for i, (name, _) in enumerate(module.kernels())}
        self.fallback = fallback

    def _launch(self, name: str, grid: tuple, block: tuple, shared: int, values: list) -> None:
        index = self.index.get(name)
        if index is not None:
            self.module.launch(index, *grid, *block, shared, self.stream(), tuple(values))
        elif self.fallback is not None:
            self.fallback._launch(name, grid, block, shared, values)
        else:
            raise LaunchError(message(name, "the module has no such kernel.", received=self.module.__name__))


class Nvrtc(Host):
    """Kernels compiled when first used, to machine code of the device, and kept in CuPy's cache on disk."""

    OPTIONS = ("-std=c++17", "--device-as-default-execution-space")

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self._known: dict[tuple[int, str], Any] = {}

    @staticmethod
    def source() -> str:
        """One translation unit with every kernel: templates cost nothing until they are named. CuPy's cache
        goes by the text alone, so a digest of what is included is part of it.
        """
        folder = sources() / "cuda"
        paths = [*sorted(folder.glob("*.cuh")), folder / "portable.h"]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
        includes = "".join(f'#include "cuda/{path.name}"\n' for path in paths)
        return f"// {digest}\n{includes}"

    def _kernel(self, name: str) -> Any:
        key = self.xp.cuda.Device().id, name
        if key not in self._known:
            module = self.xp.RawModule(
                code=self.source(),
                options=(*self.OPTIONS, f"-I{sources()}"),
                name_expressions=[name],
            )
            self._known[key] = module.get_function(name)
        return self._known[key]

    def _launch(self, name: str, grid: tuple, block: tuple, shared: int, values: list) -> None:
        kernel = self._kernel(name)
        if shared > 40 * 1024:
            kernel.max_dynamic_shared_size_bytes = shared
        kernel(grid, (*block, 1), tuple(values), shared_mem=shared)


@cache
def cuda_host() -> Host:
    """The host for CuPy's arrays: the compiled module where it was built, with NVRTC for what it lacks. Its
    `note` says why there is no module.
    """
    cupy = import_module("cupy")
    nvrtc = Nvrtc(cupy)
    try:
        return Module(import_module("tensorflowlite_bp._native_cuda"), cupy, nvrtc)
    except ModuleNotFoundError:
        nvrtc.note = "no nvcc when the package was installed: kernels are compiled by NVRTC when first used"
    except ImportError as error:
        nvrtc.note = f"tensorflowlite_bp._native_cuda cannot be loaded: {error}"
    return nvrtc
