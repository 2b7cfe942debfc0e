"""A strict stand-in for CuPy on NumPy's memory: GPU code runs, and is judged, on a machine without a GPU.

It refuses what CuPy refuses (NumPy arrays as operands, `np.asarray` of a device array, lists, names that CuPy
lacks, host arrays in assignments) and what is undefined there (several values for one place, float sums by
atomics); memory from `empty` is NaN. It counts what costs: synchronisations, copies, allocations, launches.
It knows two devices, and which calls a stream that is being captured does not allow. It says nothing of
speed, and nothing about kernels unless it is given a module that executes them.

>>> import numpy as np, tensorflowlite_bp as bp
>>> from tensorflowlite_bp.testing import fake_cupy
>>> with fake_cupy.installed() as cupy:
...     x = cupy.asarray(np.ones(3))
...     with fake_cupy.at_most(syncs=0):
...         g = bp.grad(lambda x: (x * x).sum())(x)
...     g.get().tolist()
[2.0, 2.0, 2.0]
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import backend
from ...autograd.op import OPS
from ...backend.cuda import cuda_host
from .array import ndarray
from .library import Kernels, library, modules
from .machine import CaptureError, Counts, OutOfMemoryError, at_most, machine

__all__ = ["CaptureError", "Counts", "OutOfMemoryError", "at_most", "installed", "machine", "ndarray"]

_BACKEND = "tensorflowlite_bp.backend.cupy_backend"
_KERNELS = "tensorflowlite_bp._native_cuda"


@contextmanager
def installed(kernels: Any = None, *, current: bool = False) -> Iterator[Any]:
    """`import cupy` gives the stand-in, until the block ends; counts begin at 0. Gives the module.

    kernels: a module like `_native_cuda` that runs on host addresses (the emulator); without one the backend
    composes. current: also make "cupy" the backend of new tensors.
    """
    saved = {name: sys.modules.get(name) for name in [*modules(), _BACKEND, _KERNELS]}
    before = backend._current
    _forget()
    for name in saved:
        sys.modules.pop(name, None)
    sys.modules.update(modules())
    sys.modules[_KERNELS] = kernels and Kernels(kernels)  # type: ignore[assignment]
    machine.counts, machine.device, machine.stream, machine.memory = Counts(), 0, None, None
    try:
        if current:
            backend.set_backend("cupy")
        yield library()
    finally:
        _forget()
        for name, module in saved.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        backend._current = before


def _forget() -> None:
    """What was resolved by class or name for one CuPy does not serve another."""
    cuda_host.cache_clear()
    backend.__dict__.pop("cupy_backend", None)
    for op in OPS.values():
        dict.pop(op.forward, ndarray, None)
    backend.by_type.pop(ndarray, None)
