"""The protocol on CuPy (13.6 to 14.x). Where CuPy's function has the right meaning, it *is* the attribute.

Everything runs on the caller's current device and stream. Nothing here waits for the device or copies to or
from it, but a boolean mask as an index, whose length is data, and functions that CuPy lacks, which run on the
host and say so (`cupy_modules.py`). Fused functions launch the kernels of
`backend/cuda` where these take the arrays (`cupy_kernels.py`), else they are the compositions that every
backend shares.
"""

import functools
import importlib
import sys
from typing import Any

import cupy as xp  # type: ignore[import-not-found]
import numpy as np

from .._typing import Array, Axis, Shape
from ..errors import DeviceError, message
from . import (
    activations,
    attention,
    chunked,
    common,
    ctc,
    cupy_kernels,
    cupy_scatter,
    cupy_steps,
    draws,
    pool,
    protocol,
    recurrent,
    row_norms,
    series,
)
from . import conv as convolution
from .cupy_constants import Constants
from .cupy_modules import Linalg, Namespace
from .cupy_upload import Upload
from .erf import erf as composed_erf

name = "cupy"
ndarray = xp.ndarray


@functools.cache
def scipy(path: str) -> Namespace:
    """`cupyx.scipy.<path>`, SciPy's on the host for what it lacks."""
    return Namespace(xp, f"cupyx.scipy.{path}", f"scipy.{path}")


fft = Namespace(xp, "cupy.fft", "numpy.fft")
linalg = Linalg(xp, "cupy.linalg", "numpy.linalg")
special = scipy("special")  # imported by the first that asks for it

_constants = Constants(xp)
_this = sys.modules[__name__]
globals().update(
    {
        f: getattr(xp, f)
        for names in (protocol.ELEMENTWISE, protocol.PREDICATES, protocol.OTHER)
        for f in names
    }
)


def device(x: Array) -> str:
    return f"cuda:{x.device.id}"


def placed(x: Any, device: str) -> Array:
    """x, of the host or of any device, on "cuda" (the current one) or "cuda:N".

    Raises DeviceError for a device that is not there.
    """
    number = device.partition(":")[2]
    if not number:
        return xp.asarray(x)
    count = xp.cuda.runtime.getDeviceCount()
    if not number.isdigit() or int(number) >= count:
        raise DeviceError(
            message("to", f"there are {count} CUDA devices, counted from 0.", received=repr(device))
        )
    with xp.cuda.Device(int(number)):
        return xp.asarray(x)


def synchronize() -> None:
    """Wait for what was launched on the current stream: TFLBP_DEBUG=sync."""
    xp.cuda.get_current_stream().synchronize()


def upload() -> Upload:
    """What copies batches ahead of their use."""
    return Upload(xp, importlib.import_module("cupyx").empty_pinned)


def asarray(x: Any, dtype: Any = None) -> Array:
    """Numbers are written by a kernel: a copy from the host would cost ten times as much."""
    if isinstance(x, (bool, int, float, complex, np.generic)) or (type(x) is np.ndarray and not x.ndim):
        value = np.asarray(x, dtype)
        return xp.full((), value.item(), value.dtype)
    return xp.asarray(x, dtype=dtype)


# ------------------------------------------------------------------ reductions
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array:
    if common.is_narrow(x.dtype):
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)
    return x.sum(axis=axis, keepdims=keepdims, dtype=dtype)


def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    if common.is_narrow(x.dtype):
        return x.astype(np.float32).mean(axis=axis, keepdims=keepdims).astype(x.dtype)
    if not common.count(x.shape, axis):
        total = x.sum(axis=axis, keepdims=keepdims)
        return xp.full(total.shape, np.nan, total.dtype if total.dtype.kind in "fc" else np.float64)
    return x.mean(axis=axis, keepdims=keepdims)


def prod(x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array:
    return x.prod(axis=axis, keepdims=keepdims, dtype=dtype)


def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return x.max(axis=axis, keepdims=keepdims)


def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return x.min(axis=axis, keepdims=keepdims)


def sum_to(x: Array, *, shape: Shape) -> Array:
    return x if x.shape == shape else common.sum_to(_this, x, shape)


def var(x: Array, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    return common.var(_this, x, axis, correction, keepdims)


def norm2(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return common.norm2(xp, x, axis=axis, keepdims=keepdims)


def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return common.logsumexp(xp, x, axis=axis, keepdims=keepdims)


# ------------------------------------------------------------------ bfloat16 stays bfloat16
def clip(x: Array, low: Any, high: Any) -> Array:
    return xp.clip(x, low, high).astype(x.dtype, copy=False) if _is_bfloat16(x) else xp.clip(x, low, high)


def ldexp(x: Array, exponent: Any) -> Array:
    return xp.ldexp(x, exponent).astype(x.dtype, copy=False) if _is_bfloat16(x) else xp.ldexp(x, exponent)


def matmul(x: Array, y: Array) -> Array:
    if _is_bfloat16(x):  # where cublasLt is not at hand
        return xp.matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    return xp.matmul(x, y)


def einsum_labelled(*xs: Array, labels: tuple[str, ...], result: str) -> Array:
    dtype = xs[0].dtype
    if _is_bfloat16(xs[0]):
        xs = tuple([x.astype(np.float32) for x in xs])
    out = xp.einsum(f"{','.join(labels)}->{result}", *xs, optimize=len(xs) > 2)
    return out.astype(dtype, copy=False)


def _is_bfloat16(x: Array) -> bool:
    return x.dtype.kind == "V"


# ------------------------------------------------------------------ shape, indexing
def reshape(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


def astype(x: Array, *, dtype: Any) -> Array:
    if x.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        x = x.real
    return x.astype(dtype)


def copy(x: Array) -> Array:
    return x.copy()


def getitem(x: Array, *, index: Any) -> Array:
    return x[_constants.index(index)]


def take_rows(arrays: list[Array], index: Array) -> list[Array]:
    return [a.take(index, 0) for a in arrays]


def setitem(x: Array, value: Array, *, index: Any) -> Array:
    return cupy_scatter.setitem(xp, x, value, _constants.index(index))


def scatter_add(x: Array, *, index: Any, shape: Shape) -> Array:
    return cupy_scatter.scatter_add(_HOST, xp, x, _constants.index(index), shape)


def take_along(x: Array, *, indices: Array, axis: int) -> Array:
    return xp.take_along_axis(x, _constants.index(indices), axis)


def put_along_axis(x: Array, *, indices: Array, axis: int, shape: Shape) -> Array:
    return cupy_scatter.put_along_axis(_HOST, xp, x, _constants.index(indices), axis, shape)


def convolve(x: Array, y: Array, *, mode: str) -> Array:
    return xp.convolve(x, y, mode)


def sinc(x: Array, *, order: int = 0) -> Array:
    return series.sinc(xp, x, order)


def i0(x: Array, *, order: int = 0) -> Array:
    return series.i0(xp, x, order, 720.0)  # the points that the largest argument needs


def argsort_stable(x: Array, *, axis: int = -1) -> Array:
    return xp.argsort(x, axis=axis, kind="stable")


# ------------------------------------------------------------------ fused: the compositions
def softmax(x: Array, *, axis: int = -1) -> Array:
    return common.softmax(xp, x, axis)


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    return common.log_softmax(xp, x, axis)


def linear(x: Array, w: Array, b: Array | None, *, relu: bool) -> Array:
    return common.linear(xp, x, w, b, relu)


def linear_backward(
    g: Array, x: Array, w: Array, mask: Array | None, needs: tuple[bool, bool, bool]
) -> tuple:
    return common.linear_backward(xp, g, x, w, mask, needs)


def softmax_cross_entropy(
    logits, labels, weight, ignore_index, label_smoothing, reduction, want_grad, in_place=False
) -> tuple:
    """A label out of range gives NaN: to find it would wait for the device."""
    args = (logits, labels, weight, ignore_index, label_smoothing, reduction, want_grad)
    return common.softmax_cross_entropy(xp, *args)


def sigmoid_cross_entropy(logits, labels, want_grad) -> tuple:
    return common.sigmoid_cross_entropy(xp, logits, labels, want_grad)


def batch_norm(x: Array, weight: Any, bias: Any, *, eps: float, axis: int, relu: bool = False) -> tuple:
    return common.batch_norm(xp, x, weight, bias, eps, axis, relu)


def batch_norm_backward(g, x, weight, bias, mean, inv_std, *, axis: int, relu: Any = None) -> tuple:
    return common.batch_norm_backward(xp, g, x, weight, mean, inv_std, axis, relu)


def row_norm(x: Array, weight: Any, bias: Any, *, eps: float, axes: int, centred: bool) -> tuple:
    return row_norms.row_norm(xp, x, weight, bias, eps=eps, axes=axes, centred=centred)


def row_norm_backward(g: Array, x: Array, weight: Any, mean: Any, inv_std: Array, *, axes: int) -> tuple:
    return row_norms.row_norm_backward(xp, g, x, weight, mean, inv_std, axes=axes)


def group_norm(x: Array, weight: Any, bias: Any, *, groups: int, eps: float) -> tuple:
    return row_norms.group_norm(xp, x, weight, bias, groups=groups, eps=eps)


def group_norm_backward(
    g: Array, x: Array, weight: Any, mean: Array, inv_std: Array, *, groups: int
) -> tuple:
    return row_norms.group_norm_backward(xp, g, x, weight, mean, inv_std, groups=groups)


sgd_step = functools.partial(cupy_steps.sgd_step, xp)
adam_step = functools.partial(cupy_steps.adam_step, xp)
rmsprop_step = functools.partial(cupy_steps.rmsprop_step, xp)
lion_step = functools.partial(cupy_steps.lion_step, xp)
unless = functools.partial(cupy_steps.unless, xp)
sum_of_squares = functools.partial(cupy_steps.sum_of_squares, xp)
clip_scale = functools.partial(cupy_steps.clip_scale, xp)
scale_step = functools.partial(cupy_steps.scale_step, xp)


def philox(n: int, *, seed: int, offset: int) -> Array:
    return common.philox(xp, n, seed, offset)


uniform = functools.partial(draws.uniform, _this)
normal = functools.partial(draws.normal, _this)
keep_mask = functools.partial(draws.keep_mask, _this)
dropped = functools.partial(draws.dropped, _this)


# ------------------------------------------------------------------ activations
def sigmoid(x: Array) -> Array:
    return common.sigmoid(xp, x)


def softplus(x: Array) -> Array:
    return common.softplus(xp, x)


def log_sigmoid(x: Array) -> Array:
    return -common.softplus(xp, -x)


def erf(x: Array) -> Array:
    return composed_erf(xp, x)


def _bound(composed: Any) -> Any:
    return lambda *args, **params: composed(_this, *args, **params)


globals().update({f: _bound(composed) for f, composed in activations.COMPOSED.items()})


# ------------------------------------------------------------------ losses: chunked.py, ctc.py
def add_product(out: Array, a: Array, b: Array) -> None:
    out += a @ b


def linear_softmax_cross_entropy(x, w, b, **how) -> tuple:
    return chunked.forward(_this, x, w, b, **how)


def linear_softmax_cross_entropy_backward(g, x, w, b, **how) -> tuple:
    return chunked.backward(_this, g, x, w, b, **how)


def ctc_loss(logits, *, labels, steps, lengths, blank) -> tuple:
    def add_at(out: Array, index: Any, x: Array) -> None:
        out += cupy_scatter.scatter_add(_HOST, xp, x, index, out.shape)

    return ctc.loss_and_grad(xp, add_at, logits, labels, steps, lengths, blank)


# ------------------------------------------------------------------ attention, convolution, pooling
attention_forward, attention_backward = attention.over_heads(
    xp, functools.partial(attention.forward, xp), functools.partial(attention.backward, xp)
)


conv = functools.partial(convolution.fused_forward, _this)
conv_backward = functools.partial(convolution.fused_backward, _this)


def conv_forward(x: Array, w: Array, *, strides, pads, dilation, groups) -> Array:
    return convolution.forward(xp, xp.dot, x, w, strides, pads, dilation, groups)


def conv_input_grad(g: Array, w: Array, *, x_shape, strides, pads, dilation, groups) -> Array:
    return convolution.input_grad(xp, xp.dot, g, w, x_shape, strides, pads, dilation, groups)


def conv_weight_grad(g: Array, x: Array, *, w_shape, strides, pads, dilation, groups) -> Array:
    return convolution.weight_grad(xp, xp.dot, g, x, w_shape, strides, pads, dilation, groups)


def max_pool_forward(x: Array, *, window, strides, pads, want_index: bool = True) -> tuple:
    return pool.max_forward(xp, x, window, strides, pads, want_index)


def max_pool_input_grad(g: Array, *, index, x_shape, window, strides, pads) -> Array:
    return pool.max_input_grad(xp, g, index, x_shape, window, strides, pads)


def max_pool_gather(x: Array, *, index, window, strides, pads) -> Array:
    return pool.max_gather(xp, x, index, window, strides, pads)


def avg_pool_forward(x: Array, *, window, strides, pads) -> Array:
    return pool.avg_forward(xp, x, window, strides, pads)


def avg_pool_input_grad(g: Array, *, x_shape, window, strides, pads) -> Array:
    return pool.avg_input_grad(xp, g, x_shape, window, strides, pads)


def recurrent_forward(*args: Any, **params: Any) -> tuple:
    return recurrent.forward(xp, *args, **params)


def recurrent_backward(*args: Any, **params: Any) -> tuple:
    return recurrent.backward(xp, *args, **params)


# the kernels, in front of the compositions above, which they call for what they do not take
_HOST = cupy_kernels.host(xp)
about_kernels = cupy_kernels.described(_HOST)
if _HOST is not None:
    globals().update(cupy_kernels.over(_this, _HOST))
