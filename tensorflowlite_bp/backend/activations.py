"""Activations and their derivatives in plain functions of a library `F`.

F is a backend, or the recorded ops where a gradient is itself differentiated: one text serves as what runs
without a kernel, as the rule of higher order, and as the oracle of the kernels' tests. A derivative takes the
cotangent and what the op keeps: the result of relu, tanh, sigmoid and the softmaxes, else x.
"""

import math
from collections.abc import Callable
from typing import Any


def relu_backward(F: Any, g: Any, out: Any) -> Any:
    return g * F.greater(out, 0)


def tanh_backward(F: Any, g: Any, out: Any) -> Any:
    return g - g * out * out


def sigmoid_backward(F: Any, g: Any, out: Any) -> Any:
    return g * out * (1 - out)


def softplus_backward(F: Any, g: Any, x: Any) -> Any:
    return g * F.sigmoid(x)


def log_sigmoid_backward(F: Any, g: Any, x: Any) -> Any:
    return g * F.sigmoid(-x)


def silu(F: Any, x: Any) -> Any:
    return x * F.sigmoid(x)


def silu_backward(F: Any, g: Any, x: Any) -> Any:
    s = F.sigmoid(x)
    return g * s * (1 + x * (1 - s))


def gelu(F: Any, x: Any, *, approximate: bool) -> Any:
    return x * (F.sigmoid(_twice_inner(x)) if approximate else _normal_cdf(F, x))


def gelu_backward(F: Any, g: Any, x: Any, *, approximate: bool) -> Any:
    if approximate:
        s = F.sigmoid(_twice_inner(x))
        slope = (3 * 0.044715) * (x * x) + 1.0
        return g * (s + x * s * (1 - s) * (slope * (2 * math.sqrt(2 / math.pi))))
    return g * (_normal_cdf(F, x) + x * (F.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))))


def _twice_inner(x: Any) -> Any:
    """0.5 (1 + tanh(u)) is sigmoid(2 u)."""
    return (x + 0.044715 * (x * x * x)) * (2 * math.sqrt(2 / math.pi))


def _normal_cdf(F: Any, x: Any) -> Any:
    return 0.5 * (1.0 + F.erf(x * math.sqrt(0.5)))


def mish(F: Any, x: Any) -> Any:
    return x * F.tanh(F.softplus(x))


def mish_backward(F: Any, g: Any, x: Any) -> Any:
    t = F.tanh(F.softplus(x))
    return g * (t + x * (1 - t * t) * F.sigmoid(x))


def erf_backward(F: Any, g: Any, x: Any) -> Any:
    return g * F.exp(-(x * x)) * (2 / math.sqrt(math.pi))


def softmax_backward(F: Any, g: Any, out: Any, *, axis: int) -> Any:
    weighted = g * out
    return weighted - out * F.sum(weighted, axis=axis, keepdims=True)


def log_softmax_backward(F: Any, g: Any, out: Any, *, axis: int) -> Any:
    return g - F.exp(out) * F.sum(g, axis=axis, keepdims=True)


COMPOSED: dict[str, Callable] = {
    f.__name__: f
    for f in (
        relu_backward, tanh_backward, sigmoid_backward, softplus_backward, log_sigmoid_backward,
        silu, silu_backward, gelu, gelu_backward, mish, mish_backward, erf_backward, softmax_backward,
        log_softmax_backward,
    )
}  # fmt: skip
BACKWARD = [name for name in COMPOSED if name.endswith("_backward")]  # what `graph` offers to rules
