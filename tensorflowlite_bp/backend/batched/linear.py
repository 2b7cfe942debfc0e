"""Products and linear algebra on Batched arrays: leading axes are stacks, and shared factors one product."""

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import by_type
from .array import Batched, aligned, made, scope
from .shape import flat, unflat

RULES: dict[str, Callable] = {}
_FEW = 16  # columns per sample: fewer are multiplied faster as rows of one product


def _lib(*xs: Any) -> Any:
    return by_type[type(next((x.data for x in xs if isinstance(x, Batched)), xs[0]))]


def _shared(x: Any, ndim: int) -> bool:
    return x.ndim == ndim and not (isinstance(x, Batched) and x.levels)


def _memory(x: Any) -> Any:
    return x.data if isinstance(x, Batched) else x


def matmul(x: Any, y: Any) -> Any:
    """x @ y. A matrix that all samples share is multiplied once, with every sample's rows."""
    levels, env = scope((x, y))
    lib = _lib(x, y)
    if not env:
        return lib.matmul(x, y)
    if _shared(y, 2) and isinstance(x, Batched) and x.ndim >= 1:
        data, w = x.data, _memory(y)
        out = lib.matmul(data.reshape(-1, data.shape[-1]), w)
        return made(out.reshape(data.shape[:-1] + w.shape[1:]), levels, env)
    if _shared(x, 2) and isinstance(y, Batched) and (y.ndim == 1 or y.shape[-1] < _FEW):
        data, w = y.data if y.ndim == 1 else y.data.swapaxes(-1, -2), _memory(x)
        out = lib.matmul(data.reshape(-1, data.shape[-1]), w.T)
        out = out.reshape(data.shape[:-1] + w.shape[:1])
        return made(out if y.ndim == 1 else out.swapaxes(-1, -2), levels, env)
    left, right = x.ndim == 1, y.ndim == 1
    x = x[None, :] if left else x
    y = y[:, None] if right else y
    ndim = max(x.ndim, y.ndim)
    out = lib.matmul(aligned(x, levels, ndim), aligned(y, levels, ndim))
    if left:
        out = out[..., 0, :]
    if right:
        out = out[..., 0]
    return made(out, levels, env)


def dot(x: Any, y: Any) -> Any:
    if not getattr(x, "ndim", 0) or not getattr(y, "ndim", 0):
        return x * y
    if y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, ((x.ndim - 1,), (y.ndim - 2,)))


def _einsum(terms: list[str], result: str, xs: Any, call: Callable) -> Any:
    """The samples' axes as further labels, of the operands that differ in them and of the result."""
    levels, env = scope(xs)
    if not env:
        return call(xs, terms, result)
    free = [c for c in string.ascii_letters if c not in result and not any(c in t for t in terms)]
    label = dict(zip(levels, free, strict=False))
    memory, wide = [], []
    for x, term in zip(xs, terms, strict=True):
        memory.append(_memory(x))
        wide.append("".join(label[i] for i in x.levels) + term if isinstance(x, Batched) else term)
    return made(call(memory, wide, "".join(label[i] for i in levels) + result), levels, env)


def einsum_labelled(*xs: Any, labels: tuple[str, ...], result: str) -> Any:
    lib = _lib(*xs)
    return _einsum(
        list(labels), result, xs, lambda m, t, r: lib.einsum_labelled(*m, labels=tuple(t), result=r)
    )


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        pairs = list(zip(range(x.ndim - axes, x.ndim), range(axes), strict=True))
    else:
        left, right = [(a,) if isinstance(a, int) else a for a in axes]
        pairs = [(a % x.ndim, b % y.ndim) for a, b in zip(left, right, strict=True)]
    one, two = list(string.ascii_lowercase[: x.ndim]), list(string.ascii_uppercase[: y.ndim])
    for a, b in pairs:
        two[b] = one[a]
    gone = {one[a] for a, _ in pairs}
    result = "".join([c for c in one + two if c not in gone])
    return _einsum(
        ["".join(one), "".join(two)],
        result,
        (x, y),
        lambda m, t, r: np.einsum(f"{t[0]},{t[1]}->{r}", *m, optimize=True),
    )


def convolve(x: Any, y: Any, mode: str = "full") -> Any:
    """Of vectors: the windows of the longer one times the shorter one turned round."""
    if x.shape[0] < y.shape[0]:
        x, y = y, x
    levels, env = scope((x, y))
    if not env:
        return _lib(x).convolve(x, y, mode)
    n, m = x.shape[0], y.shape[0]
    x, y = aligned(x, levels, 1), aligned(y, levels, 1)
    if mode != "valid":
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(m - 1, m - 1)])
    windows = np.lib.stride_tricks.sliding_window_view(x, m, axis=-1)
    out = (windows @ y[..., ::-1, None])[..., 0]
    if mode == "same":
        out = out[..., (m - 1) // 2 :][..., :n]
    return made(out, levels, env)


# ------------------------------------------------------------------ linear algebra
def solve(a: Any, b: Any) -> Any:
    levels, env = scope((a, b))
    lib = _lib(a, b)
    if not env:
        return lib.linalg.solve(a, b)
    vector = b.ndim == 1
    b = b[:, None] if vector else b
    ndim = max(a.ndim, b.ndim)
    out = lib.linalg.solve(aligned(a, levels, ndim), aligned(b, levels, ndim))
    return made(out[..., 0] if vector else out, levels, env)


# ------------------------------------------------------------------ the layer
def linear(x: Any, w: Any, b: Any = None, *, relu: bool) -> Any:
    levels, env = scope((x, w, b))
    if not env:
        return _lib(x).linear(x, w, b, relu=relu)
    if isinstance(x, Batched) and _shared(w, 2) and (b is None or _shared(b, 1)):
        out = _lib(x).linear(x.data, _memory(w), None if b is None else _memory(b), relu=relu)
        return made(out, levels, env)
    out = matmul(x, w)
    out = out if b is None else out + b
    return np.maximum(out, out.dtype.type(0)) if relu else out


def linear_backward(g: Any, x: Any, w: Any, mask: Any, needs: tuple[bool, bool, bool]) -> tuple:
    if not scope((g, x, w, mask))[1]:
        return _lib(g).linear_backward(g, x, w, mask, needs)
    if mask is not None:
        g = g * (mask > 0)
    rows = g.reshape((-1, w.shape[1]))
    dx = matmul(g, w.swapaxes(-1, -2)) if needs[0] else None
    dw = matmul(x.reshape((-1, w.shape[0])).swapaxes(-1, -2), rows) if needs[1] else None
    return dx, dw, rows.sum(axis=0) if needs[2] else None


# ------------------------------------------------------------------ attention: samples are a further axis
def _mask(mask: Any, levels: Any) -> Any:
    if isinstance(mask, Batched) and mask.levels:
        return flat(mask, levels)
    return None if mask is None else _memory(mask)[None]


def attention_forward(q: Any, k: Any, v: Any, *, mask: Any, **how: Any) -> tuple:
    levels, env = scope((q, k, v, mask))
    given = [flat(x, levels) for x in (q, k, v)]
    found, kept = _lib(q, k, v).attention_forward(*given, mask=_mask(mask, levels), **how)
    back = [unflat(x, levels, env) for x in (found, *kept)]
    return back[0], tuple(back[1:])


def attention_backward(g: Any, q: Any, k: Any, v: Any, *, mask: Any, kept: tuple, **how: Any) -> tuple:
    levels, env = scope((g, q, k, v, mask, *kept))
    given = [flat(x, levels) for x in (g, q, k, v)]
    flat_kept = tuple([flat(x, levels) for x in kept])
    found = _lib(g, q, k, v).attention_backward(*given, mask=_mask(mask, levels), kept=flat_kept, **how)
    return tuple([unflat(x, levels, env) for x in found])


RULES.update(
    {
        "matmul": matmul, "dot": dot, "tensordot": tensordot, "einsum_labelled": einsum_labelled,
        "convolve": convolve,
        "linalg.solve": solve, "linear": linear, "linear_backward": linear_backward,
        "attention_forward": attention_forward, "attention_backward": attention_backward,
    }
)  # fmt: skip
