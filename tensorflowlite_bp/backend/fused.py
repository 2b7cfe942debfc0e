"""Fused functions on NumPy arrays: the compiled kernel where one fits, else the composition.

A kernel reads C-contiguous float32 and float64: other strides are copied first, 16-bit floats widened.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._typing import Array
from . import activations, common, conv, erf, pool, recurrent, row_norms
from .common import is_narrow
from .narrow import widened
from .native import native

FLOATS = (np.dtype("float32"), np.dtype("float64"))


def plain(x: Any) -> Any:
    """x as a kernel can read it, or None; None stays None."""
    if x is None or x.dtype in FLOATS:
        return None if x is None else np.asarray(x, order="C")
    return x.astype(np.float32, order="C") if is_narrow(x.dtype) else None


def fits(x: Any) -> bool:
    return native is not None and (x.dtype in FLOATS or is_narrow(x.dtype))


# ------------------------------------------------------------------ activations
def _elementwise(composed: Callable, kernel: str, kind: str) -> Callable:
    """f(x), or f(g, kept): kernel `kind`, else the composition."""
    if native is None:
        return composed
    number, run = native.ACTIVATIONS.index(kind), getattr(native, kernel)

    def function(*args: Array) -> Array:
        out = run(number, *args)
        if out is not None:
            return out
        first, last = args[0], args[-1]
        if not fits(first) or first.dtype != last.dtype or first.shape != last.shape:
            return composed(*args)  # in the walks of a Jacobian many cotangents meet one `kept`
        return run(number, *map(plain, args)).astype(args[0].dtype, copy=False)

    return function


def _bound(name: str, library: Any) -> Callable:
    """A composition on NumPy arrays; 16-bit floats are widened here too."""
    return widened(partial(activations.COMPOSED[name], library))  # 90 ns less than handing the library on


def activations_of(library: Any) -> dict[str, Callable]:
    """The functions of `activations`, and those that NumPy lacks, with a kernel where there is one.

    library: the backend, for the compositions.
    """
    forwards: dict[str, Callable] = {
        "sigmoid": lambda x: common.sigmoid(np, x),
        "softplus": lambda x: common.softplus(np, x),
        "log_sigmoid": lambda x: -common.softplus(np, -x),
        "erf": lambda x: erf.erf(np, x),
    }
    found = {name: _elementwise(f, "activation", name) for name, f in forwards.items()}
    for name in activations.COMPOSED:
        kind, back, _ = name.partition("_backward")
        kernel = "activation_backward" if back else "activation"
        if kind == "gelu":
            found[name] = _gelu(name, kernel, library)
        elif "softmax" in kind:
            found[name] = _softmax_backward(name, library)
        else:
            found[name] = _elementwise(_bound(name, library), kernel, kind)
    return found


def _gelu(name: str, kernel: str, library: Any) -> Callable:
    exact, rough = [
        _elementwise(lambda *args, a=approximate: _bound(name, library)(*args, approximate=a), kernel, kind)
        for approximate, kind in ((False, "gelu"), (True, "gelu_tanh"))
    ]
    return lambda *args, approximate: (rough if approximate else exact)(*args)


def _softmax_backward(name: str, library: Any) -> Callable:
    composed, log = _bound(name, library), name.startswith("log")

    def backward(g: Array, out: Array, *, axis: int) -> Array:
        if native is not None and axis in (-1, g.ndim - 1):
            dx = native.softmax_backward(g, out, log)
            if dx is not None:
                return dx
        return composed(g, out, axis=axis)

    return backward


# ------------------------------------------------------------------ optimiser steps
def _step(name: str) -> Callable:
    """All parameters in one call; what a kernel does not take (float16, say) goes by the composition."""
    composed, kernel = getattr(common, name), getattr(native, name, None)

    def step(*args: Any) -> None:
        if kernel is None or kernel(*args) is None:
            composed(np, *args)

    return step


rmsprop_step = _step("rmsprop_step")
lion_step = _step("lion_step")


# ------------------------------------------------------------------ rows of a table
def scatter_rows(x: Array, index: Array, shape: Any) -> Array | None:
    """zeros(shape) with x added at the rows `index`, or None."""
    if not fits(x) or index.dtype.kind not in "iu":
        return None
    out = native.scatter_rows(plain(x), np.asarray(index, np.int64, order="C"), shape)  # type: ignore[union-attr]
    return None if out is None else out.astype(x.dtype, copy=False)


# ------------------------------------------------------------------ convolution of one group
def _conv_forward(x: Array, w: Array, b: Any, relu: bool, *how: Any) -> Array | None:
    return native.conv_forward(plain(x), plain(w), plain(b), relu, *how) if fits(x) else None  # type: ignore[union-attr]


def _conv_backward(g: Array, x: Array, w: Any, out: Any, needs: Any, *how: Any) -> tuple | None:
    if not fits(x):
        return None
    given = plain(g), plain(x), w if type(w) is tuple else plain(w), plain(out)
    found = native.conv_backward(*given, *needs, *how)  # type: ignore[union-attr]
    if found is None or not is_narrow(x.dtype):
        return found
    return tuple([None if i is None else i.astype(x.dtype) for i in found])


DIRECT = conv.NONE
if native is not None:
    DIRECT = conv.Direct(_conv_forward, _conv_backward)


# ------------------------------------------------------------------ attention
def attention_forward(q: Array, k: Array, v: Array, mask: Any, causal: bool, scale: float) -> tuple | None:
    """As attention.forward; None where there is no kernel."""
    if not fits(q):
        return None
    lead = q.shape[:-2]
    given = [_batch_heads(x) for x in (q, k, v, _spelled_out(mask, lead))]
    found = native.attention_forward(*given, causal, scale)  # type: ignore[union-attr]
    if found is None:
        return None
    out, lse = [x if x.shape[:-2] == lead else x.reshape(lead + x.shape[2:]) for x in found]
    return out.astype(q.dtype, copy=False), (out, lse)


def attention_backward(
    g: Array, q: Array, k: Array, v: Array, mask: Any, causal: bool, scale: float, kept: tuple
) -> tuple | None:
    """As attention.backward; None where there is no kernel."""
    if not fits(q):
        return None
    given = [_batch_heads(x) for x in (g, q, k, v, _spelled_out(mask, q.shape[:-2]), kept[0])]
    found = native.attention_backward(*given, kept[1], causal, scale)  # type: ignore[union-attr]
    if found is None:
        return None
    return tuple(
        [i.reshape(x.shape).astype(q.dtype, copy=False) for i, x in zip(found, (q, k, v), strict=True)]
    )


def _spelled_out(mask: Any, lead: tuple[int, ...]) -> Any:
    """A mask whose axes before the heads are all whole, or all of length 1: they become one."""
    if mask is None or mask.ndim <= 4 or mask.shape[:-3] in (lead[:-1], (1,) * (len(lead) - 1)):
        return mask
    return np.broadcast_to(mask, lead[:-1] + mask.shape[-3:])


def _batch_heads(x: Any) -> Any:
    """(batch, heads, rows, columns), in place where rows are dense; 16-bit floats widened."""
    if x is None:
        return None
    if is_narrow(x.dtype):
        x = x.astype(np.float32)
    elif x.strides[-1] != x.itemsize and x.dtype.kind != "b":
        x = x.copy()
    return (
        x if x.ndim == 4 else x.reshape((-1, *x.shape[-3:]) if x.ndim > 4 else (1,) * (4 - x.ndim) + x.shape)
    )


# ------------------------------------------------------------------ pooling
def max_pool_forward(x: Array, *, window, strides, pads, want_index: bool = True) -> tuple:
    if fits(x):
        found = native.max_pool_forward(plain(x), window, strides, pads, want_index)  # type: ignore[union-attr]
        if found is not None:
            return found[0].astype(x.dtype, copy=False), found[1]
    return pool.max_forward(np, x, window, strides, pads, want_index)


def max_pool_input_grad(g: Array, *, index, x_shape, window, strides, pads) -> Array:
    if fits(g):
        dx = native.pool_input_grad(plain(g), np.asarray(index, order="C"), x_shape, window, strides, pads)  # type: ignore[union-attr]
        if dx is not None:
            return dx.astype(g.dtype, copy=False)
    return pool.max_input_grad(np, g, index, x_shape, window, strides, pads)


def avg_pool_forward(x: Array, *, window, strides, pads) -> Array:
    out = native.avg_pool_forward(plain(x), window, strides, pads) if fits(x) else None  # type: ignore[union-attr]
    return pool.avg_forward(np, x, window, strides, pads) if out is None else out.astype(x.dtype, copy=False)


def avg_pool_input_grad(g: Array, *, x_shape, window, strides, pads) -> Array:
    if fits(g):
        dx = native.pool_input_grad(plain(g), None, x_shape, window, strides, pads)  # type: ignore[union-attr]
        if dx is not None:
            return dx.astype(g.dtype, copy=False)
    return pool.avg_input_grad(np, g, x_shape, window, strides, pads)


# ------------------------------------------------------------------ normalisation of rows and groups
def row_norm(x: Array, weight: Any, bias: Any, *, eps: float, axes: int, centred: bool) -> tuple:
    if fits(x) and x.size:
        features = int(np.prod(x.shape[x.ndim - axes :]))
        out = native.row_norm_forward(plain(x), plain(weight), plain(bias), eps, features, centred)  # type: ignore[union-attr]
        if out is not None:
            return out[0].astype(x.dtype, copy=False), *out[1:]
    return row_norms.row_norm(np, x, weight, bias, eps=eps, axes=axes, centred=centred)


def row_norm_backward(g: Array, x: Array, weight: Any, mean: Any, inv_std: Array, *, axes: int) -> tuple:
    if fits(x) and x.size:
        found = native.row_norm_backward(plain(g), plain(x), plain(weight), mean, inv_std)  # type: ignore[union-attr]
        if found is not None:
            return tuple([None if i is None else i.astype(x.dtype, copy=False) for i in found])
    return row_norms.row_norm_backward(np, g, x, weight, mean, inv_std, axes=axes)


def group_norm(x: Array, weight: Any, bias: Any, *, groups: int, eps: float) -> tuple:
    if fits(x):
        out = native.group_norm_forward(plain(x), plain(weight), plain(bias), eps, groups)  # type: ignore[union-attr]
        if out is not None:
            return out[0].astype(x.dtype, copy=False), *out[1:]
    return row_norms.group_norm(np, x, weight, bias, groups=groups, eps=eps)


def group_norm_backward(
    g: Array, x: Array, weight: Any, mean: Array, inv_std: Array, *, groups: int
) -> tuple:
    if fits(x):
        found = native.group_norm_backward(plain(g), plain(x), plain(weight), mean, inv_std, groups)  # type: ignore[union-attr]
        if found is not None:
            return tuple([i.astype(x.dtype, copy=False) for i in found])
    return row_norms.group_norm_backward(np, g, x, weight, mean, inv_std, groups=groups)


# ------------------------------------------------------------------ recurrent layers
def recurrent_forward(
    x: Array, states: tuple, w: Array, u: Array, b: Any, *, kind, mask, reverse, sequences, keeps
) -> tuple:
    """As recurrent.forward; the kernel keeps (gates, h, c or None), each of all steps."""
    if fits(x):
        number, given = recurrent.KINDS.index(kind), [plain(a) for a in (x, *(*states, None)[:2], w, u, b)]
        found = native.recurrent_forward(number, *given, _rows_of(mask), reverse, sequences, keeps)  # type: ignore[union-attr]
        if found is not None:
            out, *last = [None if i is None else i.astype(x.dtype, copy=False) for i in found[:3]]
            return out, tuple(last[: len(states)]), found[3]
    return recurrent.forward(
        np, x, states, w, u, b, kind=kind, mask=mask, reverse=reverse, sequences=sequences, keeps=keeps
    )


def recurrent_backward(
    gs: tuple, x: Array, states: tuple, w: Array, u: Array, b: Any, *, kind, mask, reverse, kept, needs
) -> tuple:
    if type(kept) is not tuple:
        return recurrent.backward(
            np, gs, x, states, w, u, b, kind=kind, mask=mask, reverse=reverse, kept=kept, needs=needs
        )
    one = len(states) == 1
    wanted = ((*needs[:2], False, *needs[2:]) if one else needs) + (False,)
    cotangents, given = [plain(g) for g in (*gs, None)[:3]], [plain(a) for a in (x, w, u)]
    found: Any = native.recurrent_backward(  # type: ignore[union-attr]
        recurrent.KINDS.index(kind), *cotangents, *given, _rows_of(mask), reverse, *kept, wanted[:6]
    )
    found = [None if i is None else i.astype(x.dtype, copy=False) for i in found]
    return tuple([*found[:2], *found[3:]] if one else found)


def _rows_of(mask: Any) -> Any:
    return None if mask is None else np.asarray(mask, order="C")
