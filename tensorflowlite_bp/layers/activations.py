"""Activation functions by name: those of `bp.nn`, under Keras' names and with Keras' default arguments."""

from .. import nn, ops
from .._registry import Registry

_registry = Registry("activation")

relu = nn.relu
relu6 = nn.relu6
selu = nn.selu
gelu = nn.gelu
silu = swish = nn.silu
mish = nn.mish
sigmoid = nn.sigmoid
hard_sigmoid = nn.hard_sigmoid
softplus = nn.softplus
softsign = nn.softsign
tanh = nn.tanh
glu = nn.glu
softmax = nn.softmax
log_softmax = nn.log_softmax


def linear(x):
    """x itself."""
    return x


def exponential(x):
    """exp(x)."""
    return ops.exp(x)


def leaky_relu(x, negative_slope=0.2):
    """x where positive, negative_slope * x elsewhere."""
    return nn.leaky_relu(x, negative_slope)


def elu(x, alpha=1.0):
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return nn.elu(x, alpha)


def celu(x, alpha=1.0):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return nn.celu(x, alpha)


def log_sigmoid(x):
    """log(sigmoid(x)) = -softplus(-x)."""
    return -nn.softplus(-x)


def hard_silu(x):
    """x * hard_sigmoid(x)."""
    return x * nn.hard_sigmoid(x)


hard_swish = hard_silu
_FUNCTIONS = {
    "linear": linear,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "gelu": gelu,
    "silu": silu,
    "swish": silu,
    "mish": mish,
    "sigmoid": sigmoid,
    "log_sigmoid": log_sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "softplus": softplus,
    "softsign": softsign,
    "tanh": tanh,
    "glu": glu,
    "exponential": exponential,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
_registry.by_name.update(_FUNCTIONS)
_NAMES = {id(function): name for name, function in reversed(_FUNCTIONS.items())}
register = _registry.register


def get(identifier):
    """A function from a name, a layer, or any function of a Tensor. None gives `linear`.

    >>> get(None) is linear, get("tanh") is tanh
    (True, True)
    """
    return linear if identifier is None else _registry.get(identifier)


def serialize(activation):
    """The name of a function, the config of a layer.

    >>> serialize(get("swish"))
    'silu'
    """
    return _NAMES.get(id(activation)) or _registry.serialize(activation)


deserialize = get
