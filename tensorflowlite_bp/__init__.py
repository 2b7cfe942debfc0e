"""tensorflowlite_bp: reverse-mode automatic differentiation and training for NumPy and CuPy.

>>> import tensorflowlite_bp as bp
>>> bp.grad(lambda x: bp.sum(x ** 2))(bp.asarray([1.0, 2.0]))
Tensor([2., 4.])

Three faces on one core: arrays and derivatives (this namespace), functional neural ops
(`bp.nn`), and Keras-style training (`bp.models`, `bp.layers`, ...). `TFLBP_BACKEND` chooses where new
tensors live; `bp.show_config()` says what is running.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import _protocols, _ufuncs, errors, nn
from ._floatx import floatx, set_floatx
from .autograd.autocast import mixed_precision, set_mixed_precision
from .autograd.checkpoint import checkpoint
from .autograd.custom import custom_jvp, custom_vjp
from .autograd.jacobians import hessian, hvp, jacobian
from .autograd.modes import enable_grad, no_grad
from .autograd.tensor import Tensor
from .autograd.transforms import elementwise_grad, grad, jvp, stop_gradient, value_and_grad, vjp
from .autograd.vmap import vmap
from .backend import set_backend
from .errors import DeviceError, DTypeError, GradientError, NumericsError, SavingError, ShapeError, TFLBPError
from .ops import random

# fmt: off
# isort: off
from numpy import (
    bool, complex64, complex128, e, float16, float32, float64, inf, int8, int16, int32, int64, nan, newaxis,
    pi, uint8, uint16, uint32, uint64,
)

from ._array_api import (
    __array_api_version__, __array_namespace_info__, astype, can_cast, cumulative_prod, cumulative_sum, diff,
    finfo, iinfo, isdtype, result_type,
)
from .ops.bits import (
    bitwise_and, bitwise_invert, bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor, invert,
    left_shift, right_shift,
)
from .ops.creation import (
    arange, asarray, empty, empty_like, eye, full, full_like, linspace, meshgrid, ones, ones_like, tensor,
    zeros, zeros_like,
)
from .ops.elementwise import (
    abs, absolute, add, cbrt, ceil, clip, conj, conjugate, copy, copysign, divide, equal, exp, exp2, expm1,
    floor, floor_divide, fmax, fmin, fmod, greater, greater_equal, imag, isfinite, isinf, isnan, less,
    less_equal, log, log1p, log2, log10, logaddexp, logaddexp2, logical_and, logical_not, logical_or,
    logical_xor, maximum, minimum, mod, multiply, negative, not_equal, positive, pow, power, real,
    reciprocal, remainder, rint, round, sign, signbit, sqrt, square, subtract, true_divide, trunc, where,
)
from .ops.floating import nextafter
from .ops.indexing import (
    argsort, diagonal, nonzero, searchsorted, sort, take, take_along_axis, trace,
)
from .ops.interchange import from_dlpack
from .ops.linalg import dot, einsum, inner, matmul, outer, tensordot, vdot, vecdot
from .ops.padding import pad
from .ops.reductions import (
    all, amax, amin, any, argmax, argmin, count_nonzero, cumsum, logsumexp, max, mean, min, prod, std, sum,
    var,
)
from .ops.sets import unique_all, unique_counts, unique_inverse, unique_values
from .ops.shape import (
    array_split, atleast_1d, atleast_2d, broadcast_arrays, broadcast_to, concat, concatenate, expand_dims,
    flip, matrix_transpose, moveaxis, permute_dims, ravel, repeat, reshape, roll, split, squeeze, stack,
    swapaxes, tile, transpose, tril, triu, unstack,
)
from .ops.trigonometric import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cos, cosh, deg2rad, hypot, rad2deg, sin, sinh,
    tan, tanh,
)
from .ops.trigonometric import (
    arccos as acos, arccosh as acosh, arcsin as asin, arcsinh as asinh, arctan as atan, arctan2 as atan2,
    arctanh as atanh,
)
# isort: on
# fmt: on

__version__ = "0.1.0"

# imported when first asked for: array users do not pay for the training stack
_LAZY = frozenset(
    "bridge callbacks constraints data datasets fft initializers layers linalg losses metrics models numpy "
    "optimizers profiling regularizers saving scipy testing utils".split()
)

_PROFILING = ("memory_stats", "profile", "trim_memory")

if TYPE_CHECKING:
    from . import callbacks, constraints, data, datasets, fft, initializers, layers, losses, metrics  # isort: skip
    from . import models, optimizers, profiling, regularizers, saving, testing, utils  # isort: skip
    from .profiling import memory_stats, profile, trim_memory


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    if name == "show_config":
        return importlib.import_module("._diagnosis", __name__).show_config
    if name in _PROFILING:
        return getattr(importlib.import_module(".profiling", __name__), name)
    if name == "bfloat16":  # NumPy has none of its own; its home is imported when asked for
        return importlib.import_module("ml_dtypes").bfloat16
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_PROFILING, "bfloat16", "show_config"})
