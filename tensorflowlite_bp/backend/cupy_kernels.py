"""The CUDA kernels in front of the CuPy backend's compositions: each takes what it can."""

from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from .._config import config
from .._typing import Array, Shape
from .attention import over_heads
from .cuda import (
    Module,
    activations,
    attention,
    conv,
    cuda_host,
    losses,
    lt,
    norms,
    optimizers,
    pooling,
    products,
    random,
    recurrent,
)
from .cuda.host import NAMES, Host

DTYPES = frozenset(np.dtype(getattr(ml_dtypes, name, name)) for name in NAMES)


def host(xp: Any) -> Host | None:
    """Where kernels run on CuPy's arrays; None: compositions only (TFLBP_KERNELS=reference)."""
    if config.kernels == "reference":
        return None
    found = cuda_host()
    return found if isinstance(found, Module) or hasattr(xp, "RawModule") else None


def described(host: Host | None) -> str:
    """What `bp.show_config()` says of them."""
    if host is None:
        return "none: TFLBP_KERNELS=reference, or no NVRTC; expressions of CuPy's"
    products = "cublasLt" if lt.available(host) else "CuPy's cuBLAS"
    return f"{host.note or 'compiled'}; matrix products by {products}"


def fits(*arrays: Array | None) -> bool:
    """Whether these have one dtype, and one that kernels know."""
    known = {a.dtype for a in arrays if a is not None}
    return len(known) == 1 and known <= DTYPES


def over(lib: Any, host: Host) -> dict[str, Callable]:
    """The functions of `lib` that have kernels, kernels in front."""
    made = {}
    for group in (_losses, _activations, _norms, _attention, _convolution, _pooling, _optimizers, _recurrent):
        made.update(group(lib, host))
    if lt.available(host):
        made.update(_products(lib, host))
    made.update(_random(lib, host))
    return made


def _random(lib: Any, host: Host) -> dict[str, Callable]:
    """The CPU's numbers, bit for bit; normal ones but for what two libraries' logarithms and sines differ."""
    uniform, normal, keep_mask, plain_dropped = lib.uniform, lib.normal, lib.keep_mask, lib.dropped

    def in_front(kernel: Callable, plain: Callable) -> Callable:
        def run(shape: Shape, *how: Any, **place: Any) -> Array:  # the dtype is the last of `how`
            return (partial(kernel, host) if how[-1] in DTYPES else plain)(shape, *how, **place)

        return run

    def dropped(x: Array, *, rate: float, **place: int) -> Array:
        return random.dropout(host, x, rate, **place) if fits(x) else plain_dropped(x, rate=rate, **place)

    return {
        "dropped": dropped,
        "philox": partial(random.words, host),
        "uniform": in_front(random.uniform, uniform),
        "normal": in_front(random.normal, normal),
        "keep_mask": in_front(random.keep_mask, keep_mask),
    }


def _losses(lib: Any, host: Host) -> dict[str, Callable]:
    plain, plain_log, entropy = lib.softmax, lib.log_softmax, lib.softmax_cross_entropy
    back, back_log, plain_ctc = lib.softmax_backward, lib.log_softmax_backward, lib.ctc_loss

    def last(x: Array, axis: int) -> bool:
        return axis in (-1, x.ndim - 1) and x.ndim > 0

    def softmax(x: Array, *, axis: int = -1) -> Array:
        return losses.softmax(host, x) if last(x, axis) and fits(x) else plain(x, axis=axis)

    def log_softmax(x: Array, *, axis: int = -1) -> Array:
        return losses.softmax(host, x, log=True) if last(x, axis) and fits(x) else plain_log(x, axis=axis)

    def softmax_backward(g: Array, out: Array, *, axis: int) -> Array:
        if last(g, axis) and fits(g, out):
            return losses.softmax_backward(host, g, out)
        return back(g, out, axis=axis)

    def log_softmax_backward(g: Array, out: Array, *, axis: int) -> Array:
        if last(g, axis) and fits(g, out):
            return losses.softmax_backward(host, g, out, log=True)
        return back_log(g, out, axis=axis)

    def softmax_cross_entropy(z: Array, labels: Array, *how: Any, in_place: bool = False) -> tuple:
        return losses.softmax_cross_entropy(host, z, labels, *how) if fits(z) else entropy(z, labels, *how)

    def ctc_loss(logits: Array, *, labels: Array, steps: Array, lengths: Array, blank: int) -> tuple:
        if logits.size and fits(logits) and losses.ctc_fits(labels, logits.dtype):
            return losses.ctc(host, logits, labels, steps, lengths, blank)
        return plain_ctc(logits, labels=labels, steps=steps, lengths=lengths, blank=blank)

    return {
        "softmax": softmax, "log_softmax": log_softmax, "softmax_backward": softmax_backward,
        "log_softmax_backward": log_softmax_backward, "softmax_cross_entropy": softmax_cross_entropy,
        "ctc_loss": ctc_loss,
    }  # fmt: skip


def _activations(lib: Any, host: Host) -> dict[str, Callable]:
    def forward(kind: str, plain: Callable) -> Callable:
        return lambda x: activations.activation(host, kind, x) if fits(x) else plain(x)

    def backward(kind: str, plain: Callable) -> Callable:
        def run(g: Array, x: Array) -> Array:
            if g.shape == x.shape and fits(g, x):
                return activations.activation_backward(host, kind, g, x)
            return plain(g, x)

        return run

    made = {f: forward(f, getattr(lib, f)) for f in ("silu", "softplus")}
    for kind in ("relu", "silu", "softplus"):
        made[f"{kind}_backward"] = backward(kind, getattr(lib, f"{kind}_backward"))
    gelu, gelu_backward = lib.gelu, lib.gelu_backward
    exact, rough = [
        (
            forward(kind, lambda x, a=approximate: gelu(x, approximate=a)),
            backward(kind, lambda g, x, a=approximate: gelu_backward(g, x, approximate=a)),
        )
        for kind, approximate in (("gelu", False), ("gelu_tanh", True))
    ]
    made["gelu"] = lambda x, *, approximate: (rough if approximate else exact)[0](x)
    made["gelu_backward"] = lambda g, x, *, approximate: (rough if approximate else exact)[1](g, x)
    return made


def _norms(lib: Any, host: Host) -> dict[str, Callable]:
    batch, batch_back, row, row_back = (
        lib.batch_norm,
        lib.batch_norm_backward,
        lib.row_norm,
        lib.row_norm_backward,
    )
    group, group_back, plain_sum = lib.group_norm, lib.group_norm_backward, lib.sum_to

    def batch_norm(x: Array, weight: Any, bias: Any, *, eps: float, axis: int, relu: bool = False) -> tuple:
        if x.size and fits(x, weight, bias):  # the backward tells ReLU's mask from x
            return *norms.batch_norm(host, x, weight, bias, eps, axis, relu=relu), relu or None
        return batch(x, weight, bias, eps=eps, axis=axis, relu=relu)

    def batch_norm_backward(
        g: Array,
        x: Array,
        weight: Any,
        bias: Any,
        mean: Array,
        inv_std: Array,
        *,
        axis: int,
        relu: Any = None,
    ) -> tuple:
        if x.size and fits(g, x, weight, bias):
            through = relu is not None
            return norms.batch_norm_backward(host, g, x, weight, mean, inv_std, axis, relu=through, bias=bias)
        return batch_back(g, x, weight, bias, mean, inv_std, axis=axis, relu=relu)

    def row_norm(x: Array, weight: Any, bias: Any, *, eps: float, axes: int, centred: bool) -> tuple:
        if not (x.size and fits(x, weight, bias)):
            return row(x, weight, bias, eps=eps, axes=axes, centred=centred)
        weight, bias = [None if p is None else p.reshape(-1) for p in (weight, bias)]
        out, mean, inv_std = norms.layer_norm(host, _rows(x, axes), weight, bias, eps=eps, rms=not centred)
        return out.reshape(x.shape), mean, inv_std

    def row_norm_backward(g: Array, x: Array, weight: Any, mean: Any, inv_std: Array, *, axes: int) -> tuple:
        if not (x.size and fits(g, x, weight)):
            return row_back(g, x, weight, mean, inv_std, axes=axes)
        flat = None if weight is None else weight.reshape(-1)
        dx, dw, db = norms.layer_norm_backward(host, _rows(g, axes), _rows(x, axes), flat, mean, inv_std)
        if weight is None:
            return dx.reshape(x.shape), None, None
        return dx.reshape(x.shape), dw.reshape(weight.shape), db.reshape(weight.shape)

    def group_norm(x: Array, weight: Any, bias: Any, *, groups: int, eps: float) -> tuple:
        if x.size and fits(x, weight, bias):
            return norms.group_norm(host, x, groups, weight, bias, eps=eps)
        return group(x, weight, bias, groups=groups, eps=eps)

    def group_norm_backward(
        g: Array, x: Array, weight: Any, mean: Array, inv_std: Array, *, groups: int
    ) -> tuple:
        if x.size and fits(g, x, weight):
            return norms.group_norm_backward(host, g, x, weight, mean, inv_std)
        return group_back(g, x, weight, mean, inv_std, groups=groups)

    def sum_to(x: Array, *, shape: Shape) -> Array:
        if len(shape) == 1 < x.ndim and shape == x.shape[-1:] and x.size and fits(x):  # a bias's gradient
            return norms.column_sums(host, x)
        return plain_sum(x, shape=shape)

    return {
        "batch_norm": batch_norm, "batch_norm_backward": batch_norm_backward, "row_norm": row_norm,
        "row_norm_backward": row_norm_backward, "group_norm": group_norm,
        "group_norm_backward": group_norm_backward, "sum_to": sum_to,
    }  # fmt: skip


def _rows(x: Array, axes: int) -> Array:
    lead = x.shape[: x.ndim - axes]
    size = 1
    for n in lead:
        size *= n
    return x.reshape(size, -1)


def _attention(lib: Any, host: Host) -> dict[str, Callable]:
    plain, back = lib.attention_forward, lib.attention_backward
    fused, fused_back = over_heads(
        host.xp, partial(attention.forward, host), partial(attention.backward, host)
    )

    def takes(q: Array, k: Array, v: Array) -> bool:
        return bool(q.size and k.size and v.size) and fits(q, k, v) and attention.fits(q, v)

    def attention_forward(q: Array, k: Array, v: Array, **how: Any) -> tuple:
        return (fused if takes(q, k, v) else plain)(q, k, v, **how)

    def attention_backward(g: Array, q: Array, k: Array, v: Array, **how: Any) -> tuple:
        return (fused_back if takes(q, k, v) else back)(g, q, k, v, **how)

    return {"attention_forward": attention_forward, "attention_backward": attention_backward}


def _convolution(lib: Any, host: Host) -> dict[str, Callable]:
    plain, back, back_weight = lib.conv_forward, lib.conv_input_grad, lib.conv_weight_grad
    plain_fused = lib.conv

    def conv_forward(x: Array, w: Array, **how: Any) -> Array:
        return conv.forward(host, x, w, **how) if fits(x, w) and x.ndim <= 5 else plain(x, w, **how)

    def fused(x: Array, w: Array, b: Array | None, *, relu: bool, **how: Any) -> Array:
        if fits(x, w, b) and x.ndim <= 5:
            return conv.forward(host, x, w, **how, bias=b, relu=relu)
        return plain_fused(x, w, b, relu=relu, **how)

    def conv_input_grad(g: Array, w: Array, **how: Any) -> Array:
        return conv.input_grad(host, g, w, **how) if fits(g, w) and g.ndim <= 5 else back(g, w, **how)

    def conv_weight_grad(g: Array, x: Array, **how: Any) -> Array:
        return conv.weight_grad(host, g, x, **how) if fits(g, x) and g.ndim <= 5 else back_weight(g, x, **how)

    return {
        "conv": fused,
        "conv_forward": conv_forward,
        "conv_input_grad": conv_input_grad,
        "conv_weight_grad": conv_weight_grad,
    }


def _pooling(lib: Any, host: Host) -> dict[str, Callable]:
    def in_front(kernel: Callable, plain: Callable) -> Callable:
        def run(x: Array, **how: Any) -> Any:
            return kernel(host, x, **how) if fits(x) and x.ndim <= 5 else plain(x, **how)

        return run

    def max_pool_forward(x: Array, *, want_index: bool = True, **how: Any) -> tuple:
        return largest(x, want_index=want_index, **how)

    largest = in_front(pooling.max_forward, lib.max_pool_forward)
    return {
        "max_pool_forward": max_pool_forward,
        "max_pool_input_grad": in_front(pooling.max_input_grad, lib.max_pool_input_grad),
        "max_pool_gather": in_front(pooling.max_gather, lib.max_pool_gather),
        "avg_pool_forward": in_front(pooling.avg_forward, lib.avg_pool_forward),
        "avg_pool_input_grad": in_front(pooling.avg_input_grad, lib.avg_pool_input_grad),
    }


def _recurrent(lib: Any, host: Host) -> dict[str, Callable]:
    plain, back = lib.recurrent_forward, lib.recurrent_backward

    def takes(x: Array, states: tuple, *weights: Array | None) -> bool:
        return bool(x.size and states[0].size) and fits(x, *states, *weights)

    def recurrent_forward(*args: Any, **how: Any) -> tuple:
        return recurrent.forward(host, *args, **how) if takes(*args) else plain(*args, **how)

    def recurrent_backward(gs: tuple, *args: Any, **how: Any) -> tuple:
        return recurrent.backward(host, gs, *args, **how) if takes(*args) else back(gs, *args, **how)

    return {"recurrent_forward": recurrent_forward, "recurrent_backward": recurrent_backward}


def _optimizers(lib: Any, host: Host) -> dict[str, Callable]:
    """One launch for all parameters, and one or two of a single block that say what the step begins with."""
    plain = {f: getattr(lib, f) for f in ("sgd_step", "adam_step", "rmsprop_step", "lion_step")}
    plain_sum, kept = lib.sum_of_squares, {}

    def found(key: tuple, params: list, grads: list, states: list) -> tuple:
        """The table and hyper of the same step as `key`, pointed at these gradients."""
        key = (host.device(), host.stream(), params[0].dtype, *key, *[p.size for p in params])
        pair = kept.pop(key, None)
        if pair is None:
            pair = optimizers.Table(host, params, grads, states), host.empty((3,), np.float64)
            while len(kept) >= 16:
                kept.pop(next(iter(kept)))
        else:
            pair[0].point_at(grads)
        kept[key] = pair
        return pair

    def ready(params: list, grads: list, states: list, lr: float, step: Any, scale: Any) -> Any:
        """(table, hyper), or None where the kernels do not take these arrays."""
        arrays = [*params, *grads, *[a for column in states for a in column]]
        if not params or not fits(*arrays) or not all(a.flags.c_contiguous for a in arrays):
            return None
        places = [host.value(a) for column in (params, *states) for a in column]
        table, hyper = found(tuple(places), params, grads, states)
        optimizers.begin(host, hyper, lr, step, scale)
        return table, hyper

    def sgd_step(params, grads, velocities, lr, momentum, nesterov, weight_decay, scale) -> None:
        its = ready(params, grads, [] if velocities is None else [velocities], lr, 1, scale)
        if its is None:
            plain["sgd_step"](params, grads, velocities, lr, momentum, nesterov, weight_decay, scale)
        else:
            optimizers.sgd(*its, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def adam_step(params, grads, ms, vs, lr, beta1, beta2, eps, step, decay, scale, vhats=None) -> None:
        its = ready(params, grads, [ms, vs] if vhats is None else [ms, vs, vhats], lr, step, scale)
        if its is None:
            plain["adam_step"](params, grads, ms, vs, lr, beta1, beta2, eps, step, decay, scale, vhats)
        else:
            optimizers.adam(*its, beta1=beta1, beta2=beta2, eps=eps, weight_decay=decay)

    def rmsprop_step(params, grads, squares, means, velocities, lr, rho, momentum, eps, decay, scale) -> None:
        states = [s for s in (squares, velocities, means) if s is not None]
        its = ready(params, grads, states, lr, 1, scale)
        if its is None:
            how = (lr, rho, momentum, eps, decay, scale)
            plain["rmsprop_step"](params, grads, squares, means, velocities, *how)
        else:
            how = dict(rho=rho, eps=eps, centered=means is not None, weight_decay=decay)
            optimizers.rmsprop(*its, momentum=momentum if velocities is not None else 0.0, **how)

    def lion_step(params, grads, ms, lr, beta1, beta2, weight_decay, scale) -> None:
        its = ready(params, grads, [ms], lr, 1, scale)
        if its is None:
            plain["lion_step"](params, grads, ms, lr, beta1, beta2, weight_decay, scale)
        else:
            optimizers.lion(*its, beta1=beta1, beta2=beta2, weight_decay=weight_decay)

    def sum_of_squares(arrays: list[Array]) -> Array:
        if not arrays or not fits(*arrays) or not all(a.flags.c_contiguous for a in arrays):
            return plain_sum(arrays)
        return optimizers.norm(found(("norm",), arrays, arrays, [])[0])[0]

    return {
        "sgd_step": sgd_step, "adam_step": adam_step, "rmsprop_step": rmsprop_step, "lion_step": lion_step,
        "sum_of_squares": sum_of_squares, "scale_step": partial(optimizers.scale_step, host),
        "clip_scale": partial(optimizers.clip_scale, host),
    }  # fmt: skip


def _products(lib: Any, host: Host) -> dict[str, Callable]:
    """Through cublasLt, which fuses bias and activation and can be captured; CuPy's cuBLAS else."""
    plain, plain_back, product = lib.linear, lib.linear_backward, lib.matmul

    def linear(x: Array, w: Array, b: Array | None, *, relu: bool) -> Array:
        if x.size and fits(x, w, b):
            return products.linear(host, x, w, b, relu)
        return plain(x, w, b, relu=relu)

    def linear_backward(g: Array, x: Array, w: Array, mask: Any, needs: tuple) -> tuple:
        if g.size and fits(g, x, w, mask):
            return products.linear_backward(host, g, x, w, mask, needs)
        return plain_back(g, x, w, mask, needs)

    def matmul(x: Array, y: Array) -> Array:
        if x.ndim > 1 and y.ndim > 1 and x.size and y.size and x.dtype == y.dtype and fits(x, y):
            return products.matmul(host, x, y)
        return product(x, y)

    return {"linear": linear, "linear_backward": linear_backward, "matmul": matmul}
