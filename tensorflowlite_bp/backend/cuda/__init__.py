"""The CUDA kernels' launch layer: what to launch, with which geometry and arguments, written once.

A `Host` runs kernels by name on arrays: `_native_cuda` (nvcc) or NVRTC on CuPy's arrays, and in tests the
emulator on NumPy's. The functions of the other modules take a host first and arrays after it, allocate their
results on the host, and launch on its current stream; none of them synchronises. Names and arguments are
those of `backend/common.py`, which holds their references.
"""

from .host import Host, LaunchError, Module, Nvrtc, cuda_host

__all__ = ["Host", "LaunchError", "Module", "Nvrtc", "cuda_host"]
