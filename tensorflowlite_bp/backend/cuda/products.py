"""Matrix products and linear layers. References: `numpy.matmul`, `backend/common.py`.

`gemm` is the one interface: cublasLt serves it where the host has it (`lt.py`), our own tiled kernel
elsewhere.
"""

import math
from typing import Any

from ..._typing import Array
from . import activations, lt, norms
from .geometry import accumulator, ceil_div, type_name
from .host import Host

DEPTH, MOST_BATCH = 256, 60000  # a split along k is at least that deep; blocks of a grid's z
KINDS = {  # as in gemm.cuh: what happens to the product
    None: 0,
    "relu": 1,
    "gelu": 2,
    "gelu_tanh": 3,
    "times_relu": 4,
    "times_gelu": 5,
    "times_gelu_tanh": 6,
}


def _operand(host: Host, x: Array) -> tuple[Array, bool, int, int]:
    """(array, whether its transpose lies in memory row by row, from row to row, from matrix to matrix) of a
    stack of matrices (batch, rows, columns).
    """
    size = x.itemsize
    for turned in (False, True):
        rows, columns = x.shape[1:] if not turned else x.shape[:0:-1]
        row, column = x.strides[1:] if not turned else x.strides[:0:-1]
        if (
            (columns <= 1 or column == size)
            and (rows <= 1 or row >= columns * size)
            and x.strides[0] % size == 0
        ):
            return (
                x,
                turned,
                max(row // size, columns, 1) if rows > 1 else max(columns, 1),
                x.strides[0] // size,
            )
    x = host.xp.ascontiguousarray(x)
    return x, False, max(x.shape[2], 1), x.shape[1] * x.shape[2]


def _splits(host: Host, blocks: int, k: int) -> int:
    return max(1, min(2 * host.processors // max(blocks, 1), k // DEPTH, 64))


def gemm(
    host: Host,
    a: Array,
    b: Array,
    *,
    bias: Array | None = None,
    kind: str | None = None,
    aux: Array | None = None,
    out: Array | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    tf32: bool = False,
) -> Array:
    """f(alpha a @ b + beta out + bias) of stacks of matrices, (batch, m, k) and (batch, k, n); a batch of 1
    serves all.

    Transposed views are taken as they are. kind: None, an activation ("relu", "gelu", "gelu_tanh": aux, if
    given, gets the value before it), or "times_" one: times its slope at aux. aux and out are dense (batch,
    m, n). tf32: whether float32 operands may be rounded to 10 bits, as the host's `tf32` lets all be.
    """
    batch = max(a.shape[0], b.shape[0]) if a.shape[0] and b.shape[0] else 0
    m, k, n = a.shape[1], a.shape[2], b.shape[2]
    if out is None:
        out, beta = host.empty((batch, m, n), a.dtype), 0.0
    if not out.size:
        return out
    left, right = _operand(host, a), _operand(host, b)
    if _by_lt(host, left, right, (m, n, k), bias, kind, aux, out, alpha, beta, tf32):
        return out
    a, ta, lda, step_a = left
    b, tb, ldb, step_b = right
    step_a, step_b = step_a if a.shape[0] > 1 else 0, step_b if b.shape[0] > 1 else 0
    t = type_name(out)
    r = 8 if t == "float" and min(m, n) >= 1024 else 4
    tiles = ceil_div(m, 16 * r), ceil_div(n, 16 * r)
    name = f"gemm<{t}, {r}, {str(ta).lower()}, {str(tb).lower()}>"
    for start in range(0, batch, MOST_BATCH):
        count = min(MOST_BATCH, batch - start)
        splits = _splits(host, tiles[0] * tiles[1] * count, k) if count <= 512 else 1
        part = host.empty((splits, count, m, n), accumulator(host.xp, out.dtype)) if splits > 1 else None
        at = slice(start, start + count)
        own_a, own_b = a[at] if step_a else a, b[at] if step_b else b
        own_aux = None if aux is None else aux[at]
        tail = (splits, float(alpha), float(beta), KINDS[kind])
        args: tuple[Any, ...] = (own_a, own_b, out[at], bias, own_aux, part, m, n, k)
        args = (*args, lda, ldb, n, step_a, step_b, m * n, *tail)
        host.launch(name, (*tiles, count * splits), 256, args)
        if part is not None:
            args = (part, out[at], bias, own_aux, count, m, n, n, m * n, *tail)
            host.launch(f"gemm_finish<{t}>", ceil_div(count * m * n, 256), 256, args)
    return out


def _by_lt(
    host: Host,
    a: tuple,
    b: tuple,
    sizes: tuple[int, int, int],
    bias: Array | None,
    kind: str | None,
    aux: Array | None,
    out: Array,
    alpha: float,
    beta: float,
    tf32: bool,
) -> bool:
    """Whether cublasLt took the product; an activation that it lacks, or whose epilogue is not chosen, goes
    behind it.
    """
    with_bias = lt.BIAS if bias is not None else 0
    inside = {None: 0, "relu": lt.RELU, "gelu_tanh": lt.GELU_TANH}.get(kind) if aux is None else None
    if (
        "aux" in host.epilogues
        and aux is not None
        and not beta
        and (kind != "times_gelu_tanh" or bias is None)
    ):
        fused = {"gelu_tanh": lt.GELU_TANH | lt.AUX | with_bias, "times_gelu_tanh": lt.DGELU}.get(kind or "")
        if fused and lt.product(host, a, b, sizes, fused, bias, aux, out, alpha, 0.0, tf32):
            return True
    to = out if inside is not None or kind is None or kind.startswith("times_") or aux is None else aux
    if to is not out and beta:
        return False
    epilogue = (inside or 0) | with_bias or lt.PLAIN
    if not lt.product(host, a, b, sizes, epilogue, bias, None, to, alpha, beta, tf32):
        return False
    if inside is None and kind is not None:
        if kind.startswith("times_"):
            activations.activation_backward(host, kind[6:], out, aux, out=out)
        else:
            activations.activation(host, kind, to, out=out)
    return True


def matmul(host: Host, x: Array, y: Array) -> Array:
    """numpy.matmul of arrays with at least two axes."""
    if y.ndim == 2 and x.flags.c_contiguous:  # one product of all rows
        out = gemm(host, _rows(host, x), y[None])
        return out.reshape(x.shape[:-1] + y.shape[-1:])
    xp = host.xp
    lead = xp.broadcast(xp.empty(x.shape[:-2] + (0,)), xp.empty(y.shape[:-2] + (0,))).shape[:-1]
    x, y = [a if math.prod(a.shape[:-2]) == 1 else xp.broadcast_to(a, lead + a.shape[-2:]) for a in (x, y)]
    out = gemm(host, *[a.reshape((math.prod(a.shape[:-2]),) + a.shape[-2:]) for a in (x, y)])
    return out.reshape(lead + out.shape[1:])


def _rows(host: Host, x: Array) -> Array:
    """x as one matrix, in a stack of one."""
    return host.dense(x).reshape(1, math.prod(x.shape[:-1]), x.shape[-1])


def linear(host: Host, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
    """x @ w + b, x (..., in), w (in, out); with `relu`, max(that, 0)."""
    rows = _rows(host, x)
    out = gemm(host, rows, w[None], bias=b, kind="relu" if relu else None)
    return out.reshape(x.shape[:-1] + w.shape[1:])


def linear_backward(
    host: Host, g: Array, x: Array, w: Array, mask: Array | None, needs: tuple[bool, bool, bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """(dx, dw, db); with a mask, the layer's output, through the ReLU behind it."""
    if mask is not None:
        g = activations.activation_backward(host, "relu", g, mask)
    rows = _rows(host, g)
    dx = gemm(host, rows, w.T[None]).reshape(x.shape) if needs[0] else None
    turned = _rows(host, x).swapaxes(1, 2)
    if needs[1] and needs[2] and "bgrad" in host.epilogues:
        dw, db = host.empty(w.shape, w.dtype), host.empty(w.shape[1:], w.dtype)
        sizes = (*w.shape, rows.shape[1])
        sides = _operand(host, turned), _operand(host, rows)
        if lt.product(host, *sides, sizes, lt.BGRADA, db, None, dw[None], 1.0, 0.0, False):
            return dx, dw, db
    dw = gemm(host, turned, rows)[0] if needs[1] else None
    return dx, dw, norms.column_sums(host, rows) if needs[2] else None
