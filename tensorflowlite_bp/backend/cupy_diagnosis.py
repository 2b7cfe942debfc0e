"""Why CuPy cannot run here, and what to do: asked when somebody wants the backend and does not get it."""

import importlib
from typing import Any

DRIVERS = {12: "525", 13: "580"}  # the oldest that runs a CUDA of that major version, on Linux
ON_CPU = "TFLBP_BACKEND=numpy runs without a GPU."


def unusable() -> tuple[str, str] | None:
    """(cause, fix), or None where CuPy runs."""
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        return (
            f"CuPy is not installed ({error}).",
            'pip install "tensorflowlite-bp[cuda13]" (driver 580 or newer) or "tensorflowlite-bp[cuda12]" '
            f"(driver 525 or newer); {ON_CPU}",
        )
    except ImportError as error:
        return (
            f"CuPy is installed, but a CUDA library that it needs cannot be loaded: {error}",
            "a cupy-cuda12x wheel needs libraries of CUDA 12, a cupy-cuda13x wheel those of CUDA 13: pip "
            'uninstall the other one, and pip install "tensorflowlite-bp[cuda13]" (or [cuda12]) brings both.',
        )
    return None if cupy.is_available() else _no_device(cupy.cuda.runtime)


def _no_device(runtime: Any) -> tuple[str, str]:
    driver, built = runtime.driverGetVersion(), runtime.runtimeGetVersion()  # 1000 major + 10 minor
    if not driver:
        return (
            "CuPy is installed, but there is no NVIDIA driver (libcuda is not found).",
            "nvidia-smi must list a GPU: install the driver; in a container start it with --gpus all, in WSL "
            f"install the driver on Windows. {ON_CPU}",
        )
    major, needed = driver // 1000, built // 1000
    if major < needed:
        versions = f"the driver runs CUDA {_version(driver)} and older, CuPy is built for {_version(built)}"
        if major in DRIVERS:
            return (
                f"{versions}: the wrong major version.",
                f'pip uninstall cupy-cuda{needed}x; pip install "tensorflowlite-bp[cuda{major}]"; or update '
                f"the driver to {DRIVERS.get(needed, 'a newer one')}.",
            )
        return (
            f"{versions}: the driver is too old.",
            f"update the NVIDIA driver: CUDA 12 needs {DRIVERS[12]}, CUDA 13 {DRIVERS[13]}.",
        )
    return (
        f"CuPy and the driver (CUDA {_version(driver)}) are there, but no GPU is visible.",
        f"nvidia-smi -L lists the GPUs; CUDA_VISIBLE_DEVICES must not hide all of them. {ON_CPU}",
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
