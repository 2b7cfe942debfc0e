"""Cross-entropies: one fused node from logits to loss. The kernel gives loss and gradient in a single pass
over the logits.
"""

from typing import Any

import numpy as np

from .. import backend
from ..autograd.autocast import wide
from ..autograd.op import Op, helper, public
from ..autograd.record import agree_all, applyn, constant, lift
from ..autograd.tensor import Tensor, wrap
from ..backend.batched import always, at_hand
from ..errors import DTypeError, ShapeError, message
from .activations import log_softmax, softplus
from .elementwise import absolute, exp, log1p, maximum, where
from .indexing import take_along_axis
from .reductions import mean, sum

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def reduction_code(name: str, reduction: str) -> int:
    """0, 1 or 2; ValueError for any other word."""
    code = _REDUCTIONS.get(reduction)
    if code is None:
        raise ValueError(
            message(name, 'reduction must be "mean", "sum" or "none".', received=repr(reduction))
        )
    return code


# ------------------------------------------------------------------ softmax
def _softmax_reference(
    logits: Tensor,
    *,
    labels: Any,
    weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: int,
) -> Tensor:
    """loss_i = -sum_c q_ic w_c log p_ic with q = (1 - s) one_hot(label) + s / C; the mean divides by the sum
    of w[label].
    """
    logp = log_softmax(logits, -1)
    dtype = logits.dtype
    lib = backend.of(labels)
    kept = lib.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    safe = lib.where(kept, labels, 0)
    scale = kept.astype(dtype) if weight is None else lib.where(kept, weight.astype(dtype)[safe], 0)
    picked = take_along_axis(logp, safe[..., None], -1)[..., 0]
    loss = -(picked * wrap(((1 - label_smoothing) * scale).astype(dtype)))
    if label_smoothing:
        row = logp if weight is None else logp * wrap(weight.astype(dtype))
        smooth = -sum(row, -1) * wrap((kept * (label_smoothing / logits.shape[-1])).astype(dtype))
        loss = loss + smooth
    # ignored rows are cut out, not multiplied by 0: their logits may be infinite
    loss = loss if ignore_index is None else where(kept, loss, 0.0)
    if reduction == 0:
        return loss
    total = sum(loss)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total if reduction == 2 else total / wrap(lib.asarray(scale.sum(), dtype))


def _softmax_forward(B: Any) -> Any:
    return lambda z, *, labels, weight, ignore_index, label_smoothing, reduction: B.softmax_cross_entropy(
        z, labels, weight, ignore_index, label_smoothing, reduction, True
    )


def _softmax_back(F: Any, g: Any, grad: Any, needs: Any, logits: Any, **params: Any) -> list[Any]:
    if params["reduction"] == 0:
        return [grad * g[..., None]]
    one = g.item() == 1 if type(g) is np.ndarray else at_hand(g) and always(g == 1)
    return [grad if one else grad * g]


_SOFTMAX = Op(
    "softmax_cross_entropy",
    vjp_all=_softmax_back,
    reference=_softmax_reference,
    saves=("x",),
    aux=True,
    forward=_softmax_forward,
)


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy between labels and softmax(logits).

    logits: (..., classes) float. labels: (...) int in [0, classes), or (..., classes) probabilities. weight:
    (classes). Gives a scalar, or (...) for reduction="none". loss = logsumexp(logits) - logits[label]; its
    gradient is softmax(logits) - one_hot(label), over the count (the sum of the labels' weights) for "mean".
    Rows with label ignore_index have loss and gradient 0 and do not count. label_smoothing s mixes the label
    with the uniform distribution, s / classes each. Raises ShapeError when the shapes do not fit, ValueError
    naming the first label out of range.

    >>> import tensorflowlite_bp as bp
    >>> float(bp.nn.softmax_cross_entropy(bp.asarray([[0.0, 0.0]]), bp.asarray([1])))
    0.6931471805599453
    """
    name = "softmax_cross_entropy"
    x = wide(lift(logits))
    code = _REDUCTIONS.get(reduction)
    if code is None:
        reduction_code(name, reduction)
    if not x.ndim:
        raise ShapeError(
            message(name, "logits of shape (..., classes) were expected.", received=f"{x.shape}")
        )
    raw_weight = None if weight is None else backend.of(x.data).asarray(constant(name, weight), x.dtype)
    if raw_weight is not None and raw_weight.shape != x.shape[-1:]:
        raise ShapeError(
            message(name, f"the weight must have shape ({x.shape[-1]},).", received=f"{raw_weight.shape}")
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(message(name, "label_smoothing must be in [0, 1].", received=str(label_smoothing)))
    soft = labels if isinstance(labels, Tensor) else lift(labels)
    if soft.data.dtype.kind in "fcV" and soft.shape == x.shape:
        return _soft_labels(x, soft, raw_weight, label_smoothing, code)  # type: ignore[arg-type]
    y = constant(name, labels)
    if y.dtype.kind not in "iu":
        raise DTypeError(
            message(
                name,
                f"integer labels of shape {x.shape[:-1]} or probabilities of shape {x.shape} were expected.",
                received=f"{y.dtype}, {y.shape}",
                hint="labels.astype(int) for class numbers stored as floats.",
            )
        )
    if y.shape != x.shape[:-1]:
        hint = "drop the last axis, labels[..., 0]." if y.shape == x.shape[:-1] + (1,) else None
        raise ShapeError(
            message(
                name,
                "labels must have the logits' shape without the last axis.",
                received=f"logits {x.shape}, labels {y.shape}",
                hint=hint,
            )
        )
    params = {
        "labels": y, "weight": raw_weight, "ignore_index": ignore_index, "label_smoothing":
        float(label_smoothing), "reduction": code,
    }  # fmt: skip
    return applyn(_SOFTMAX, (x,), params)


def _soft_labels(x: Tensor, q: Tensor, weight: Any, smoothing: float, code: int) -> Tensor:
    """Labels as probabilities: plain ops, so that the labels get gradients as well."""
    x, q = agree_all([x, q])
    if smoothing:
        q = q * (1 - smoothing) + smoothing / x.shape[-1]
    terms = q * log_softmax(x, -1)
    if weight is not None:
        terms = terms * wrap(weight)
    loss = -sum(terms, -1)
    return loss if code == 0 else sum(loss) if code == 2 else mean(loss)


public(_SOFTMAX, softmax_cross_entropy)


# ------------------------------------------------------------------ sigmoid
def _sigmoid_reference(z: Tensor, y: Tensor) -> Tensor:
    return maximum(z, 0.0) - z * y + log1p(exp(-absolute(z)))


def _sigmoid_forward(B: Any) -> Any:
    return lambda z, y: B.sigmoid_cross_entropy(z, y, True)


def _sigmoid_back(F: Any, g: Any, grad: Any, needs: Any, z: Any, y: Any) -> list[Any]:
    return [g * grad if needs[0] else None, -g * z if needs[1] else None]


_SIGMOID = Op(
    "sigmoid_cross_entropy_terms",
    vjp_all=_sigmoid_back,
    reference=_sigmoid_reference,
    saves=("x", "y"),
    aux=True,
    broadcasts=True,
    forward=_sigmoid_forward,
)


def sigmoid_cross_entropy_terms(z: Any, y: Any) -> Tensor:
    """Element-wise -y log sigmoid(z) - (1 - y) log(1 - sigmoid(z)), without overflow, for y in [0, 1]."""
    return applyn(_SIGMOID, agree_all([wide(lift(z)), wide(lift(y))]), {})


public(_SIGMOID, sigmoid_cross_entropy_terms)


@helper
def sigmoid_cross_entropy(
    logits: Any, labels: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy between labels in [0, 1] and sigmoid(logits), element by element.

    logits, labels: one shape. weight: broadcasts against it. pos_weight multiplies the positive term. Gives
    a scalar, or the elements for reduction="none". Stable for logits of any size.

    >>> import tensorflowlite_bp as bp
    >>> float(bp.nn.sigmoid_cross_entropy(bp.asarray([0.0]), bp.asarray([1.0])))
    0.6931471805599453
    """
    name = "sigmoid_cross_entropy"
    code = reduction_code(name, reduction)
    z = wide(lift(logits))
    y = lift(labels, z)
    if z.shape != y.shape:
        raise ShapeError(
            message(
                name, "labels must have the logits' shape.", received=f"logits {z.shape}, labels {y.shape}"
            )
        )
    if y.dtype != z.dtype and y.dtype.kind in "biu":
        y = wrap(y.data.astype(z.dtype))
    if pos_weight is None:
        loss = sigmoid_cross_entropy_terms(z, y)
    else:
        # (1 - y) z + (1 + (p - 1) y) softplus(-z)
        loss = (1 - y) * z + (1 + (lift(pos_weight, z) - 1) * y) * softplus(-z)
    if weight is not None:
        loss = loss * (
            weight if isinstance(weight, Tensor) else wrap(backend.of(z.data).asarray(weight, z.dtype))
        )
    return loss if code == 0 else sum(loss) if code == 2 else mean(loss)
