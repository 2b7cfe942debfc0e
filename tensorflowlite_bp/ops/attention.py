"""Attention."""

import math
from typing import Any

import numpy as np

from ..autograd.autocast import lowered, narrow
from ..autograd.op import Op, helper, public
from ..autograd.record import agree_all, applyn, lift
from ..autograd.tensor import Tensor, wrap
from ..backend.batched import always
from ..errors import DTypeError, ShapeError, message
from .activations import softmax
from .elementwise import where
from .linalg import matmul
from .nn import dropout as drop
from .shape import broadcast_to, swapaxes

_NAME = "scaled_dot_product_attention"


def _weights(q: Tensor, k: Tensor, mask: Any, causal: bool, scale: float) -> Tensor:
    """softmax(scale q k^T + mask), and zeros in a row that may look nowhere."""
    return _masked_softmax(matmul(q * scale, swapaxes(k, -1, -2)), mask, causal)


def _masked_softmax(s: Tensor, mask: Any, causal: bool) -> Tensor:
    """Of scores (..., time, keys)."""
    allowed = np.ones((), bool)
    if mask is not None:
        if mask.dtype.kind == "b":
            allowed = mask.data if isinstance(mask, Tensor) else mask
        else:
            s = s + mask
            allowed = (mask.data if isinstance(mask, Tensor) else mask) > -np.inf
    if causal:
        allowed = allowed & np.tri(*s.shape[-2:], dtype=bool)
    some = allowed.any(-1, keepdims=True) if allowed.ndim else allowed
    # a row without any key keeps its scores, and its weights are cut afterwards: no NaN on either way
    s = where(allowed | ~some, where(allowed | ~some, s, 0.0), -np.inf)
    return softmax(s, -1) if always(some.all()) else where(some, softmax(where(some, s, 0.0), -1), 0.0)


def _reference(q: Tensor, k: Tensor, v: Tensor, *, mask: Any, causal: bool, scale: float) -> Tensor:
    return matmul(_weights(q, k, None if mask is None else wrap(mask), causal, scale), v)


def _back(F: Any, g: Any, kept: Any, needs: Any, q: Any, k: Any, v: Any, **params: Any) -> list[Any]:
    return list(F.attention_backward(g, q, k, v, kept=kept, **params))


_ATTENTION = Op(
    "dot_product_attention",
    vjp_all=_back,
    reference=_reference,
    saves=("x", "y", "z"),
    aux=True,
    forward=lambda B: B.attention_forward,
)


def _dot_product_attention(
    q: Any, k: Any, v: Any, *, mask: Any = None, causal: bool = False, scale: float = 1.0
) -> Tensor:
    """Attention of arrays (..., time, depth) with equal leading axes.

    mask: bool or to be added, with as many axes as the scores (..., time, keys), whole or of length 1.
    """
    q, k, v = agree_all([lift(q), lift(k), lift(v)])
    return applyn(_ATTENTION, (q, k, v), {"mask": mask, "causal": causal, "scale": scale})


public(_ATTENTION, _dot_product_attention)


@helper
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    generator: Any = None,
) -> Tensor:
    """softmax(scale query key^T + mask) value (Vaswani et al. 2017), never holding the matrix of scores.

    query: (batch, heads, time, depth). key: (batch, heads, keys, depth). value: (batch, heads, keys, width).
    Gives (batch, heads, time, width); the leading axes broadcast, and may be any number. mask: (time, keys),
    or broadcasting to (batch, heads, time, keys): bool, True where a query may look, or floats to be added to
    the scores (a recording Tensor gets a gradient). causal: query i sees keys 0 to i. scale: 1 / sqrt(depth)
    unless given. dropout: on the weights, drawn from `generator`. A query that may look nowhere gives zeros.
    Raises ShapeError when depths or keys differ, DTypeError for an integer mask.

    With dropout, or a mask that records, the scores are held: those cases run as plain operations.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> q = k = np.zeros((1, 1, 2, 4)); v = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> bp.nn.scaled_dot_product_attention(q, k, v, causal=True)
    Tensor([[[[0., 1.],
              [1., 2.]]]])
    """
    q, k, v = lift(query), lift(key), lift(value)
    q, k, v = agree_all(list(narrow(q, k, v)) if lowered() is not None else [q, k, v])
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            message(
                _NAME,
                "query (..., time, depth), key (..., keys, depth), value (..., keys, width) were expected.",
                received=f"{q.shape}, {k.shape}, {v.shape}",
            )
        )
    if not 0 <= dropout < 1:
        raise ValueError(message(_NAME, "dropout must be in [0, 1).", received=str(dropout)))
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None and q.shape[-1] else 1.0 if scale is None else scale
    lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    mask = _checked_mask(mask, lead + (q.shape[-2], k.shape[-2]), q.dtype)
    if dropout or (isinstance(mask, Tensor) and mask.node is not None):
        return matmul(drop(_weights(q, k, mask, causal, scale), dropout, generator=generator), v)
    q, k, v = [x if x.shape[:-2] == lead else broadcast_to(x, lead + x.shape[-2:]) for x in (q, k, v)]
    raw = None if mask is None else mask.data.reshape((1,) * (len(lead) + 2 - mask.ndim) + mask.shape)
    return _dot_product_attention(q, k, v, mask=raw, causal=causal, scale=float(scale))


def attention_weights(
    query: Any, key: Any, *, mask: Any = None, causal: bool = False, scale: float = 1.0
) -> Tensor:
    """The weights of `scaled_dot_product_attention`, (..., time, keys). key None: `query` is the scores."""
    q = lift(query)
    if key is None:
        return _masked_softmax(q, _checked_mask(mask, q.shape, q.dtype), causal)
    k = lift(key)
    return _weights(q, k, _checked_mask(mask, (*q.shape[:-1], k.shape[-2]), q.dtype), causal, scale)


def _checked_mask(mask: Any, shape: tuple[int, ...], dtype: Any) -> Tensor | None:
    if mask is None:
        return None
    mask = lift(mask)
    if mask.dtype.kind in "iu":
        raise DTypeError(
            message(
                _NAME,
                "a mask is bool (True: look), or floats that are added to the scores.",
                received=f"{mask.dtype}",
                hint="mask.astype(bool).",
            )
        )
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            message(_NAME, f"the mask must broadcast to {shape}.", received=f"a mask of shape {mask.shape}")
        )
    return mask if mask.dtype.kind == "b" or mask.dtype == dtype else mask.astype(dtype)
