"""Activations and the softmax family."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..autograd.declare import Arguments, operation, unary
from ..autograd.op import graph, helper, offer
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..backend.activations import BACKWARD, COMPOSED
from ..errors import ShapeError, message
from .elementwise import absolute, clip, exp, expm1, minimum, positive, where
from .trigonometric import tanh

# ------------------------------------------------------------------ derivatives, as rules name them
for _name in BACKWARD:
    offer(_name, partial(COMPOSED[_name], graph))


# ------------------------------------------------------------------ activations
relu = unary(
    "relu",
    vjp=lambda F, g, out, x: F.relu_backward(g, out),
    saves=("out",),
    forward=lambda B: lambda x: B.maximum(x, 0),
    doc="max(x, 0); the derivative at 0 is 0. NaN stays NaN.",
)
sigmoid = unary(
    "sigmoid",
    vjp=lambda F, g, out, x: F.sigmoid_backward(g, out),
    saves=("out",),
    doc="1 / (1 + exp(-x)), without overflow.",
)
softplus = unary(
    "softplus",
    vjp=lambda F, g, out, x: F.softplus_backward(g, x),
    saves=("x",),
    widens=True,
    doc="log(1 + exp(x)), without overflow: a smooth relu.",
)
log_sigmoid = unary(
    "log_sigmoid",
    vjp=lambda F, g, out, x: F.log_sigmoid_backward(g, x),
    saves=("x",),
    widens=True,
    doc="log(sigmoid(x)), without overflow.",
)
silu = unary(
    "silu",
    vjp=lambda F, g, out, x: F.silu_backward(g, x),
    saves=("x",),
    doc="x * sigmoid(x), also called swish.",
)
erf = unary(
    "erf",
    vjp=lambda F, g, out, x: F.erf_backward(g, x),
    saves=("x",),
    doc="The error function.",
)
_softsign = unary(
    "softsign",
    vjp=lambda F, g, out, x: g / F.square(1 + F.absolute(x)),
    saves=("x",),
    forward=lambda B: lambda x: x / (1 + B.absolute(x)),
)


@helper
def softsign(x: Any, /) -> Tensor:
    """x / (1 + |x|)."""
    x = lift(x)
    return x / (1 + absolute(x)) if x.dtype.kind == "c" else _softsign(x)


@helper
def relu6(x: Any) -> Tensor:
    """min(max(x, 0), 6)."""
    return clip(relu(x), None, 6.0)


@operation(
    vjp=(
        lambda F, g, out, x, *, negative_slope: (
            g * F.where(F.greater(x, 0), F.ones_like(x), negative_slope * F.ones_like(x))
        ),
    ),
    saves=("x",),
    elementwise=True,
    forward=lambda B: lambda x, *, negative_slope: B.where(x > 0, x, x * x.dtype.type(negative_slope)),
)
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Arguments:
    """x where positive, negative_slope * x elsewhere."""
    return (x,), {"negative_slope": negative_slope}


def _exponential_tail(x: Tensor, alpha: float, rate: float = 1.0) -> Tensor:
    """x where positive, alpha (exp(x / rate) - 1) elsewhere; exp never sees the positive side, where it
    would overflow.
    """
    tail = minimum(x, 0.0)
    return where(x.data > 0, x, expm1(tail if rate == 1.0 else tail / rate) * alpha)


@helper
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return _exponential_tail(lift(x), alpha)


@helper
def selu(x: Any) -> Tensor:
    """Scaled elu with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _exponential_tail(lift(x), 1.6732632423543772) * 1.0507009873554805


@helper
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return _exponential_tail(lift(x), alpha, alpha)


@operation(
    vjp=(lambda F, g, out, x, *, approximate: F.gelu_backward(g, x, approximate=approximate),),
    saves=("x",),
    elementwise=True,
)
def gelu(x: Any, *, approximate: bool = False) -> Arguments:
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016); approximate: by tanh.

    >>> import tensorflowlite_bp as bp
    >>> float(bp.nn.gelu(bp.asarray(1.0)))
    0.8413447460685429
    """
    return (x,), {"approximate": bool(approximate)}


mish = unary(
    "mish", vjp=lambda F, g, out, x: F.mish_backward(g, x), saves=("x",), doc="x * tanh(softplus(x))."
)


@helper
def hard_sigmoid(x: Any) -> Tensor:
    """clip(x / 6 + 1/2, 0, 1)."""
    return clip(lift(x) / 6.0 + 0.5, 0.0, 1.0)


@helper
def hard_silu(x: Any) -> Tensor:
    """x * hard_sigmoid(x)."""
    x = lift(x)
    return x * hard_sigmoid(x)


@helper
def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second."""
    x = lift(x)
    if x.shape[axis] % 2:
        raise ShapeError(message("glu", f"axis {axis} must have an even length.", received=f"{x.shape}"))
    half = x.shape[axis] // 2
    lead = (slice(None),) * (axis % x.ndim)
    return x[(*lead, slice(0, half))] * sigmoid(x[(*lead, slice(half, None))])


# ------------------------------------------------------------------ softmax family
@operation(
    vjp=(lambda F, g, out, x, *, axis: F.softmax_backward(g, out, axis=axis),),
    jvp=lambda F, ts, out, x, *, axis: F.softmax_backward(ts[0], out, axis=axis),  # the Jacobian is symmetric
    saves=("out",),
    widens=True,
)
def softmax(x: Any, axis: int = -1) -> Arguments:
    """exp(x) / sum(exp(x)) along `axis`, without overflow."""
    return (x,), {"axis": axis}


@operation(
    vjp=(lambda F, g, out, x, *, axis: F.log_softmax_backward(g, out, axis=axis),),
    jvp=lambda F, ts, out, x, *, axis: ts[0] - F.sum(F.exp(out) * ts[0], axis=axis, keepdims=True),
    saves=("out",),
    widens=True,
)
def log_softmax(x: Any, axis: int = -1) -> Arguments:
    """log(softmax(x)), without overflow."""
    return (x,), {"axis": axis}


# ------------------------------------------------------------------ by name
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": relu, "relu6": relu6, "leaky_relu": leaky_relu, "elu": elu, "selu": selu, "celu": celu,
    "gelu": gelu, "silu": silu, "mish": mish, "sigmoid": sigmoid, "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu, "softplus": softplus, "softsign": softsign, "tanh": tanh, "softmax": softmax,
    "log_softmax": log_softmax, "glu": glu, "log_sigmoid": log_sigmoid, "swish": silu, "exponential": exp,
    "linear": positive,
}  # fmt: skip


def activate(name: str, x: Tensor, activation: Any) -> Tensor:
    """Apply an activation given as None, a name or a function."""
    if activation is None or activation == "linear":
        return x
    if not isinstance(activation, str):
        return activation(x)
    found = _ACTIVATIONS.get(activation)
    if found is None:
        raise ValueError(
            message(
                name, f"unknown activation {activation!r}.", hint=f"one of {', '.join(sorted(_ACTIVATIONS))}."
            )
        )
    return found(x)
