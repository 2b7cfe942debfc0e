"""Activations with a bias before them, forward and backward. References: `ops/activations.py`."""

from ..._typing import Array
from .geometry import blocks_for, ceil_div, type_name
from .host import Host

KINDS = {"relu": 0, "gelu": 1, "gelu_tanh": 2, "silu": 3, "softplus": 4}  # as in activation.cuh


def activation(
    host: Host, kind: str, x: Array, bias: Array | None = None, *, out: Array | None = None
) -> Array:
    """f(x + bias); bias along the last axis. out: dense, may be x."""
    x = host.dense(x)
    out = host.empty(x.shape, x.dtype) if out is None else out
    _launch(host, f"activation<{type_name(x)}, {KINDS[kind]}>", x, bias, (x, bias, out))
    return out


def activation_backward(
    host: Host, kind: str, g: Array, x: Array, bias: Array | None = None, *, out: Array | None = None
) -> Array:
    """g f'(x + bias): the cotangent of x; that of the bias is its `norms.column_sums`. out: dense, may be
    g.
    """
    g, x = host.dense(g), host.dense(x)
    dx = host.empty(x.shape, x.dtype) if out is None else out
    _launch(host, f"activation_backward<{type_name(x)}, {KINDS[kind]}>", x, bias, (g, x, bias, dx))
    return dx


def _launch(host: Host, name: str, x: Array, bias: Array | None, args: tuple) -> None:
    n = x.size if bias is None else x.shape[-1]
    rows = x.size // n if n else 0
    packs = ceil_div(n * x.itemsize, 16)
    block = min(256, ceil_div(packs, 32) * 32) if packs else 32
    down = min(rows, 65535)
    across = max(1, min(ceil_div(packs, block), blocks_for(host, x.size, 1, 16)))
    host.launch(name, (across, down), block, (*args, rows, n))
