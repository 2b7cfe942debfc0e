"""A classifier's last layer and its loss in one node: softmax cross-entropy that never holds the logits."""

import math
from typing import Any

import numpy as np

from .. import backend
from ..autograd.autocast import lowered, wide
from ..autograd.modes import recording
from ..autograd.op import Op, public
from ..autograd.record import agree_all, applyn, constant, lift
from ..autograd.tensor import Tensor
from ..backend.batched import always, at_hand, ever
from ..errors import DTypeError, ShapeError, message
from .elementwise import astype
from .losses import reduction_code, softmax_cross_entropy
from .nn import linear
from .shape import reshape

_NAME = "linear_softmax_cross_entropy"
_CODES = ("none", "mean", "sum")


def _reference(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    labels: Any,
    loss: Any,
    reduction: int,
    grads: Any,
    lower: Any,
):
    dtype = x.dtype
    if lower is not None:
        x, w, b = astype(x, lower), astype(w, lower), None if b is None else astype(b, lower)
    z = linear(x, w, b)
    z = z if lower is None else astype(z, dtype)
    return softmax_cross_entropy(z, labels, reduction=_CODES[reduction], **loss)


def _forward(B: Any) -> Any:
    return lambda x, w, b=None, **params: B.linear_softmax_cross_entropy(x, w, b, **params)


def _back(
    F: Any,
    g: Any,
    kept: Any,
    needs: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    labels: Any,
    loss: Any,
    lower: Any,
    **params: Any,
) -> list[Any]:
    if kept is None:
        how = {"labels": labels, "loss": loss, "lower": lower}
        found = F.linear_softmax_cross_entropy_backward(g, x, w, b, **how)
    else:
        found = kept if at_hand(g) and always(g == 1) else [None if i is None else i * g for i in kept]
    return list(found[: len(needs)])


_OP = Op(
    _NAME, vjp_all=_back, reference=_reference, saves=("x", "y", "z"), aux=True, forward=_forward
)  # fmt: skip


def linear_softmax_cross_entropy(
    x: Any,
    weight: Any,
    bias: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """softmax_cross_entropy(x @ weight + bias, labels), made and differentiated some rows at a time.

    x: (..., in). weight: (in, classes). bias: (classes) or None. labels: (...) int in [0, classes). Gives a
    scalar, or (...) for reduction="none". Memory: one chunk of logits (8 MB in float32, or 128 rows) in
    place of three arrays (..., classes). The other arguments are `softmax_cross_entropy`'s, its `weight`
    called class_weight here. Raises ShapeError when the shapes do not fit, DTypeError for labels that are no
    integers, ValueError naming the first label out of range. Derivatives of any order and mode. Under
    `mixed_precision` the products are in 16 bits, all else in float32.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> loss = bp.nn.linear_softmax_cross_entropy(np.ones((1, 3)), np.zeros((3, 2)), None, np.array([1]))
    >>> float(loss)
    0.6931471805599453
    """
    code = reduction_code(_NAME, reduction)
    args = agree_all([lift(x), lift(weight), *([] if bias is None else [lift(bias)])])
    lower = lowered()
    if lower is not None:
        args = tuple(map(wide, args))
    x, w = args[:2]
    y = constant(_NAME, labels)
    _check(x, w, args[2] if bias is not None else None, y, ignore_index)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(message(_NAME, "label_smoothing must be in [0, 1].", received=str(label_smoothing)))
    lead = x.shape[:-1]
    per_class = (
        None if class_weight is None else backend.of(x.data).asarray(constant(_NAME, class_weight), x.dtype)
    )
    if per_class is not None and per_class.shape != w.shape[1:]:
        raise ShapeError(
            message(_NAME, f"class_weight must have shape ({w.shape[1]},).", received=f"{per_class.shape}")
        )
    params = {
        "labels": y.reshape(-1),
        "loss": {
            "weight": per_class,
            "ignore_index": ignore_index,
            "label_smoothing": float(label_smoothing),
        },
        "reduction": code,
        "grads": recording() and any(a.node is not None for a in args),
        "lower": lower if args[0].dtype == np.float32 else None,
    }
    out = applyn(_OP, (reshape(x, (math.prod(lead), x.shape[-1])), *args[1:]), params)
    return reshape(out, lead) if code == 0 else out


public(_OP, linear_softmax_cross_entropy)


def _check(x: Tensor, w: Tensor, b: Tensor | None, y: Any, ignore_index: int | None) -> None:
    if not x.ndim or w.ndim != 2 or x.shape[-1] != w.shape[0] or (b is not None and b.shape != w.shape[1:]):
        raise ShapeError(
            message(
                _NAME,
                "x (..., in), weight (in, classes) and bias (classes) were expected.",
                received=f"x {x.shape}, weight {w.shape}, bias {None if b is None else b.shape}",
            )
        )
    if y.dtype.kind not in "iu":
        raise DTypeError(
            message(
                _NAME,
                "integer labels were expected.",
                received=str(y.dtype),
                hint="for probabilities use softmax_cross_entropy(linear(x, weight, bias), labels).",
            )
        )
    if y.shape != x.shape[:-1]:
        raise ShapeError(
            message(
                _NAME,
                "labels must have x's shape without the last axis.",
                received=f"x {x.shape}, labels {y.shape}",
            )
        )
    outside = (y < 0) | (y >= w.shape[1])
    if ignore_index is not None:
        outside &= y != ignore_index
    if at_hand(outside) and ever(outside.any()):
        at = int(outside.reshape(-1).argmax())
        raise ValueError(
            message(
                _NAME,
                f"labels must be in [0, {w.shape[1]}).",
                received=f"label {int(y.reshape(-1)[at])} at position {at}",
                hint="ignore_index names a label to leave out.",
            )
        )
