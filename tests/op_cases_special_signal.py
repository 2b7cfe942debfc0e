"""Sample inputs of SciPy's linear maps: convolution, recursion, cosine transforms, and maps given as functions."""

import numpy as np
import scipy.fft
import scipy.signal
from opcase import OpCase, grid, normal

import tensorflowlite_bp.scipy.signal  # noqa: F401  (declares them)

WEIGHTS = np.random.default_rng(0).normal(size=(5, 3))


def weighed(B, x):
    return B.matmul(x, B.asarray(WEIGHTS).astype(np.empty(0, x.dtype).real.dtype))


CASES = [
    OpCase("convolve_full", normal((4, 5), (2, 3)), grid(mode=["full", "valid"], method=["direct", "fft"]), numpy=scipy.signal.convolve, complex=True, narrow="float32"),
    OpCase("recursion", lambda r: [r.uniform(-0.4, 0.4, 3), r.normal(size=(2, 7))], numpy=lambda a, v: scipy.signal.lfilter([1.0], np.r_[1.0, a], v), complex=True, narrow="float32"),
    *[OpCase("orthonormal", normal((3, 5)), [{"name": n, "type": k, "axis": a} for k in (1, 2, 3, 4) for a in (0, -1)], complex=True, narrow="float32", id=f"orthonormal {n}",
             numpy=lambda x, name, type, axis: getattr(scipy.fft, name)(x, type, axis=axis, norm="ortho")) for n in ("dct", "dst")],
    OpCase("linear_map", normal((2, 5)), [{"function": weighed}], numpy=lambda x, function: x @ WEIGHTS, complex=True, narrow="float32"),
    OpCase("linear_map_transposed", normal((2, 3)), [{"function": weighed, "length": 5}], numpy=lambda g, function, length: g @ WEIGHTS.T, complex=True, narrow="float32"),
]  # fmt: skip
