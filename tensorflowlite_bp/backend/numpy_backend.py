"""The protocol on NumPy. Where NumPy's own function has the right meaning, it *is* the attribute."""

import functools
import importlib
import math
import sys
from functools import partial
from typing import Any

import numpy as np

# fmt: off
# isort: off
from numpy import (
    absolute, add, all, any, arange, array, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh,
    argmax, argmin, argsort, asarray, cbrt, ceil, concatenate, conjugate, copysign, copyto, cos, cosh,
    count_nonzero, cumprod, cumsum, deg2rad, divide, dot, empty, empty_like, equal, exp, exp2, expand_dims,
    expm1, eye, flip, floor, floor_divide, fmax, fmin, fmod, full, full_like, greater, greater_equal, hypot,
    imag, isfinite, isinf, isnan, less, less_equal, linspace, log, log1p, log2, log10, logaddexp, logaddexp2,
    logical_and, logical_not, logical_or, logical_xor, maximum, minimum, moveaxis, multiply, ndarray,
    negative, nextafter, not_equal, ones, ones_like, pad, positive, power, rad2deg, real, reciprocal,
    remainder, repeat, result_type, rint, roll, searchsorted, sign, signbit, sin, sinh, sqrt, square,
    squeeze, stack, subtract, swapaxes, take, take_along_axis, tan, tanh, tensordot, tile, tril, triu,
    trunc, where, zeros, zeros_like,
    fabs, heaviside,
)
# isort: on
# fmt: on

from .._typing import Array, Axis, Shape
from ..errors import message
from . import attention, chunked, common, ctc, draws, fused, pool, products, series
from . import conv as convolution
from .fused import (
    DIRECT,
    avg_pool_forward,
    avg_pool_input_grad,
    group_norm,
    group_norm_backward,
    lion_step,
    max_pool_forward,
    max_pool_input_grad,
    recurrent_backward,
    recurrent_forward,
    rmsprop_step,
    row_norm,
    row_norm_backward,
)
from .native import native
from .products import add_product, einsum_labelled, linear, matmul, product

name = "numpy"
fft = np.fft
linalg = np.linalg

_this = sys.modules[__name__]
_SMALL = 1 << 14  # elements: below, NumPy's sum costs less than what a product with ones saves
_add_reduce = np.add.reduce  # np.sum is this with 900 ns of wrapper around it


def device(x: Array) -> str:
    return "cpu"


# ------------------------------------------------------------------ reductions
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array:
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return _add_reduce(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)
    return _add_reduce(x, axis=axis, keepdims=keepdims, dtype=dtype)


def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    kind = x.dtype.kind
    if common.is_narrow(x.dtype):
        return np.mean(x.astype(np.float32), axis=axis, keepdims=keepdims).astype(x.dtype)
    if kind not in "fc":
        return np.mean(x, axis=axis, keepdims=keepdims)
    total = np.asarray(_add_reduce(x, axis=axis, keepdims=keepdims))
    count = common.count(x.shape, axis)
    if count == 0:
        return np.full(total.shape, np.nan, total.dtype)
    return total / np.asarray(count, total.dtype)


def prod(x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array:
    return np.multiply.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype)


def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


def sum_to(x: Array, *, shape: Shape) -> Array:
    if x.shape == shape:
        return x
    if x.ndim > len(shape) and x.shape[x.ndim - len(shape) :] == shape:  # a bias gradient, the commonest case
        if products.OWN and x.size > _SMALL and x.dtype in fused.FLOATS and x.flags.c_contiguous:
            columns = math.prod(shape)
            if columns >= 8:  # a product with ones: 5 times as fast as NumPy's sum of rows, and in blocks
                ones = np.ones((1, x.size // columns), x.dtype)
                total = native.gemm(ones, x.reshape(-1, columns))  # type: ignore[union-attr]
                if total is not None:
                    return total.reshape(shape)
        if x.ndim == len(shape) + 1:
            return sum(x, axis=0)
    return common.sum_to(_this, x, shape)


def var(x: Array, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    return common.var(_this, x, axis, correction, keepdims)


def kept(out: Any, x: Array) -> Any:
    """A result in x's dtype: NumPy answers in float32 or float64 for ml_dtypes' floats."""
    return out.astype(x.dtype) if x.dtype.kind == "V" and out.dtype != x.dtype else out


def clip(x: Array, low: Any, high: Any) -> Array:
    return kept(np.clip(x, low, high), x)


def ldexp(x: Array, exponent: Any) -> Array:
    return kept(np.ldexp(x, exponent), x)


def norm2(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return kept(common.norm2(np, x, axis=axis, keepdims=keepdims), x)


def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return common.logsumexp(np, x, axis=axis, keepdims=keepdims)


# ------------------------------------------------------------------ shape, indexing
def reshape(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


def broadcast_to(x: Array, shape: Shape) -> Array:
    if math.prod(shape) > 4096:
        return np.broadcast_to(x, shape)  # a view; but 4 us of Python, the time to write as many elements
    out = np.empty(shape, x.dtype)
    out[...] = x
    return out


def transpose(x: Array, *, axes: tuple[int, ...]) -> Array:
    return x.transpose(axes)


def astype(x: Array, *, dtype: Any) -> Array:
    if x.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        x = x.real
    return x.astype(dtype)


def copy(x: Array) -> Array:
    return x.copy()


def getitem(x: Array, *, index: Any) -> Array:
    if type(index) is ndarray and index.ndim and x.ndim > 1 and native is not None:
        rows = native.take_rows([x], index)
        if rows is not None:
            return rows[0]
    return x[index]


def take_rows(arrays: list[Array], index: Array) -> list[Array]:
    if native is not None:
        rows = native.take_rows(arrays, index)
        if rows is not None:
            return rows
    return [a.take(index, 0) for a in arrays]


def setitem(x: Array, value: Array, *, index: Any) -> Array:
    out = np.array(x)  # x may be a scalar: what NumPy gives for a 0-d cotangent
    out[index] = value
    return out


def scatter_add(x: Array, *, index: Any, shape: Shape) -> Array:
    if type(index) is ndarray and len(shape) > 1:
        rows = fused.scatter_rows(x, index, shape)
        if rows is not None:
            return rows
    out = np.zeros(shape, x.dtype)
    if common.is_basic(index):
        out[index] = x
    elif type(index) is ndarray and index.dtype.kind == "b":
        out[index] = x  # a mask names each place once
    else:
        common.add_at_rows(np, out, index, x)
    return out


def take_along(x: Array, *, indices: Array, axis: int) -> Array:
    return np.take_along_axis(x, indices, axis)


def put_along_axis(x: Array, *, indices: Array, axis: int, shape: Shape) -> Array:
    out = np.zeros(shape, x.dtype)
    index = common.along_axis(np, indices, axis, shape)
    if x.ndim < 2 or x.size < 4096:
        np.add.at(out, index, x)
    else:  # add.at has a fast loop for one index, 2 to 9 times that for several
        flat = np.ravel_multi_index(index, shape, mode="wrap").reshape(-1)
        np.add.at(out.reshape(-1), flat, x.reshape(-1))
    return out


def convolve(x: Array, y: Array, *, mode: str) -> Array:
    return kept(np.convolve(x, y, mode), x)  # type: ignore[call-overload]


def sinc(x: Array, *, order: int = 0) -> Array:
    return series.sinc(np, x, order)


def i0(x: Array, *, order: int = 0) -> Array:
    largest = float(np.max(np.where(np.isfinite(x), np.abs(x), 0), initial=0.0)) if order else 0.0
    return series.i0(np, x, order, largest)


def argsort_stable(x: Array, *, axis: int = -1) -> Array:
    return np.argsort(x, axis=axis, kind="stable")


# ---------------------------------------------------------- fused: a kernel where it fits, else a composition
def softmax(x: Array, *, axis: int = -1) -> Array:
    if native is not None and (axis == -1 or axis == x.ndim - 1):
        out = native.softmax(x, False)
        if out is not None:
            return out
    return common.softmax(np, x, axis)


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    if native is not None and (axis == -1 or axis == x.ndim - 1):
        out = native.softmax(x, True)
        if out is not None:
            return out
    return common.log_softmax(np, x, axis)


def linear_backward(
    g: Array, x: Array, w: Array, mask: Array | None, needs: tuple[bool, bool, bool]
) -> tuple:
    if native is not None:
        out = native.linear_backward(g, x, w, mask, *needs)
        if out is not None:
            return out
    return common.linear_backward(_this, g, x, w, mask, needs)


def softmax_cross_entropy(
    logits, labels, weight, ignore_index, label_smoothing, reduction, want_grad, in_place=False
) -> tuple:
    args = (logits, labels, weight, ignore_index, label_smoothing, reduction, want_grad)
    if native is not None:
        out = native.softmax_cross_entropy(*args, in_place)
        if out is not None:
            return out
    common.check_labels(labels, logits.shape[-1], ignore_index)
    return common.softmax_cross_entropy(np, *args)


def sigmoid_cross_entropy(logits, labels, want_grad):
    if native is not None:
        out = native.sigmoid_cross_entropy(logits, labels, want_grad)
        if out is not None:
            return out
    return common.sigmoid_cross_entropy(np, logits, labels, want_grad)


def batch_norm(x: Array, weight: Any, bias: Any, *, eps: float, axis: int, relu: bool = False) -> tuple:
    if native is not None:
        out: Any = native.batch_norm_forward(x, weight, bias, eps, axis, relu)
        if out is not None:
            return out if relu else (*out, None)
    return common.batch_norm(np, x, weight, bias, eps, axis, relu)


def batch_norm_backward(g, x, weight, bias, mean, inv_std, *, axis: int, relu: Any = None) -> tuple:
    if native is not None:
        g = np.asarray(g, order="C")  # what the kernel kept of ReLU it alone can read
        out = native.batch_norm_backward(g, x, weight, mean, inv_std, axis, relu)
        if out is not None:
            return out
    return common.batch_norm_backward(np, g, x, weight, mean, inv_std, axis, relu)


def sgd_step(params, grads, velocities, lr, momentum, nesterov, weight_decay, scale) -> None:
    args = (params, grads, velocities, lr, momentum, nesterov, weight_decay, scale)
    if native is None or native.sgd_step(*args) is None:
        common.sgd_step(np, *args)


def adam_step(params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats=None) -> None:
    args = (params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats)
    if native is None or native.adam_step(*args) is None:
        common.adam_step(np, *args)


def sum_of_squares(arrays: list[Array]) -> float:
    if native is not None:
        total = native.sum_of_squares(arrays)
        if total is not None:
            return total
    return common.sum_of_squares(np, arrays)


def philox(n: int, *, seed: int, offset: int) -> Array:
    if native is not None:
        return native.philox(n, seed, offset)
    return common.philox(np, n, seed, offset)


uniform = functools.partial(draws.uniform, _this)
normal = functools.partial(draws.normal, _this)
keep_mask = functools.partial(draws.keep_mask, _this)


def dropped(x: Array, *, rate: float, seed: int, offset: int) -> Array:
    if native is not None:
        out = native.dropped(x, draws.threshold(rate), 1 / (1 - rate), seed, offset)
        if out is not None:
            return out
    return draws.dropped(_this, x, rate=rate, seed=seed, offset=offset)


# ------------------------------------------------------------------ activations: fused.py, activations.py
globals().update(fused.activations_of(_this))


# ------------------------------------------------------------------ losses: chunked.py, ctc.py
def linear_softmax_cross_entropy(x, w, b, **how) -> tuple:
    return chunked.forward(_this, x, w, b, **how)


def linear_softmax_cross_entropy_backward(g, x, w, b, **how) -> tuple:
    return chunked.backward(_this, g, x, w, b, **how)


def ctc_loss(logits, *, labels, steps, lengths, blank) -> tuple:
    return ctc.loss_and_grad(np, np.add.at, logits, labels, steps, lengths, blank)


# ------------------------------------------------------------------ attention: attention.py
_attention, _attention_backward = attention.over_heads(
    np, partial(attention.forward, np), partial(attention.backward, np)
)


def attention_forward(q: Array, k: Array, v: Array, *, mask, causal, scale) -> tuple:
    out = fused.attention_forward(q, k, v, mask, causal, scale)
    return _attention(q, k, v, mask=mask, causal=causal, scale=scale) if out is None else out


def attention_backward(g: Array, q: Array, k: Array, v: Array, *, mask, causal, scale, kept) -> tuple:
    found = fused.attention_backward(g, q, k, v, mask, causal, scale, kept)
    if found is not None:
        return found
    return _attention_backward(g, q, k, v, mask=mask, causal=causal, scale=scale, kept=kept)


# ------------------------------------------------------------------ convolution, pooling: conv.py, pool.py
def conv(x: Array, w: Array, b: Array | None, *, relu, strides, pads, dilation, groups) -> Array:
    return convolution.forward(np, product, x, w, strides, pads, dilation, groups, DIRECT, b, relu)


conv_backward = partial(convolution.fused_backward, _this, direct=DIRECT)
conv_forward = partial(convolution.forward, np, product, direct=DIRECT)
conv_input_grad = partial(convolution.input_grad, np, product, direct=DIRECT)
conv_weight_grad = partial(convolution.weight_grad, np, product, direct=DIRECT)


def max_pool_gather(x: Array, *, index, window, strides, pads) -> Array:
    return pool.max_gather(np, x, index, window, strides, pads)


def scipy(path: str) -> Any:
    try:
        return importlib.import_module(f"scipy.{path}")
    except ImportError as error:
        raise ImportError(
            message(
                f"scipy.{path}",
                f"SciPy is needed for this function and could not be imported ({error}).",
                hint='pip install "tensorflowlite-bp[scipy]"',
            )
        ) from error


def __getattr__(name: str) -> Any:
    if name != "special":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return scipy("special")
