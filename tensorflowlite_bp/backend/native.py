"""The compiled kernels, if they are there. `native` is the module or None, `why_not` says why it is None.

Only `numpy_backend` imports this module.
"""

from importlib import import_module

from .._config import config
from ..errors import TFLBPError, message

__all__ = ["NativeError", "available", "native", "why_not"]


class NativeError(TFLBPError, ImportError):
    """TFLBP_KERNELS=native, and the compiled kernels cannot be loaded."""


native = None
why_not = ""

if config.kernels == "reference":
    why_not = "TFLBP_KERNELS=reference"
else:
    try:
        # Not `from .. import _native`: that cannot tell absent from broken.
        native = import_module("tensorflowlite_bp._native")
    except ModuleNotFoundError:
        why_not = "they were not built: no working C++ compiler when the package was installed"
    except ImportError as error:  # built for another Python, or a library is missing
        why_not = f"they cannot be loaded: {error}"

API = 16  # what kernels/bindings/bind.cpp offers: both count up when it changes

if native is not None and getattr(native, "API", 1) != API:
    why_not = "they were built from other sources (python setup.py build_ext --inplace builds them again)"
    native = None

available = native is not None

if native is not None:
    if config.num_threads:
        native.set_num_threads(config.num_threads)
    if config.alloc == "cache":
        native.install_allocator()
elif config.kernels == "native":
    raise NativeError(
        message(
            "TFLBP_KERNELS",
            "the compiled kernels are required by TFLBP_KERNELS=native.",
            received=why_not,
            hint="install a C++17 compiler (Debian: apt install g++) and reinstall this package, "
            "or set TFLBP_KERNELS=auto to run on the NumPy reference.",
        )
    )
