"""What is running here: versions, backend, kernels, memory, environment; what is missing, how to get it."""

import importlib.metadata
import os
import platform
import sys
from typing import Any

import numpy as np

from . import __version__, backend
from ._config import config
from .backend import native as kernels
from .backend import products
from .errors import DeviceError
from .profiling.memory import memory_stats, size


def show_config() -> dict[str, Any]:
    """Print what is in use, and why what is missing is missing; gives the same as a dict of sections.

    >>> sections = show_config()  # doctest: +ELLIPSIS
    tensorflowlite_bp ...
    >>> sections["backend"]["in use"]
    'numpy'
    """
    sections = {
        "versions": _versions(),
        "backend": _backend(),
        "kernels": _kernels(),
        "memory": _memory(),
        "environment": _environment(),
    }
    print(f"tensorflowlite_bp {__version__}")
    for title, entries in sections.items():
        print(f"\n{title}")
        width = max(map(len, entries), default=0)
        for key, value in entries.items():
            print(f"  {key:<{width}}  {value}")
        if not entries:
            print("  (the compiled kernels keep these figures)")
    return sections


def _memory() -> dict[str, str]:
    if kernels.native is None:
        return {}
    found = memory_stats()
    return {
        "caching allocator": "in use" if found.installed else "off",
        "live": f"{size(found.live_bytes)}, at most {size(found.peak_bytes)}",
        "kept for reuse": f"{size(found.cached_bytes)}, at most {size(found.cap_bytes)}",
    }


def _versions() -> dict[str, str]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index,call-overload]
    found = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": f"{np.__version__}, BLAS {blas.get('name', 'unknown')} {blas.get('version', '')}".rstrip(),
    }
    for name in ("optree", "safetensors", "ml_dtypes", "rich"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing: pip install " + name
    return found


def _backend() -> dict[str, str]:
    try:
        found = {"in use": backend.current().name}
    except DeviceError:
        found = {"in use": f"none: TFLBP_BACKEND={config.backend} was asked for"}
    unusable = backend.cupy_diagnosis.unusable()
    if unusable is None:
        found["cupy"] = "usable"
        found["CUDA kernels"] = backend.named("cupy").about_kernels
    else:
        cause, fix = unusable
        found["cupy"] = f"not usable: {cause}"
        found["to use it"] = fix
    return found


def _kernels() -> dict[str, str | int]:
    native = kernels.native
    if native is None:
        return {
            "compiled": f"no: {kernels.why_not}",
            "to have them": "install a C++17 compiler (Debian: apt install g++) and reinstall this package",
        }
    info = native.build_info()
    return {
        "compiled": f"yes, {info['version']}, compiler {info['compiler']}",
        "instruction set": f"{native.isa()} (of {', '.join(native.isas())})",
        "matrix products": _products(native),
        "threads": f"{native.get_num_threads()} (processors: {_processors()})",
        "flags": info["flags"],
        "file": os.path.basename(native.__file__ or sys.executable),
    }


def _products(native: Any) -> str:
    blas = f"NumPy's BLAS ({products.BLAS})"
    if products.OWN:
        return f"these kernels; of fewer than 16 columns {blas}"
    return f"{blas}: {'no fused multiply-add here' if native.isa() == 'baseline' else 'the faster one here'}"


def _environment() -> dict[str, str]:
    """The settings in force, under the names of the variables that change them."""
    return {
        "TFLBP_BACKEND": config.backend,
        "TFLBP_KERNELS": config.kernels,
        "TFLBP_ALLOC": config.alloc,
        "TFLBP_DEBUG": ",".join(sorted(config.debug)) or "off",
        "TFLBP_NUM_THREADS": str(config.num_threads or "one per processor"),
    }


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
