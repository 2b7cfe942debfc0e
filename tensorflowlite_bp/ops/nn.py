"""Linear layers, normalisation, regularisation, look-up: the functional neural ops beside the activations.

Channels last. Fused ops carry their composition in plain ops as `reference`: used in every order beyond the
first, in forward mode, and as the oracle of their tests.
"""

from typing import Any

import numpy as np

from .._floatx import floatx
from ..autograd.autocast import lowered, narrow, wide
from ..autograd.batching import active
from ..autograd.declare import Arguments, operation
from ..autograd.op import Op, helper, public
from ..autograd.record import agree_all, apply_aux, applyn, constant, lift
from ..autograd.tensor import Tensor, wrap
from ..backend import by_type
from ..backend.batched import at_hand, ever
from ..errors import DTypeError, ShapeError, message
from . import activations, random
from .elementwise import sqrt
from .reductions import mean


# ------------------------------------------------------------------ linear
def _linear_reference(x: Tensor, w: Tensor, b: Tensor | None = None, *, relu: bool) -> Tensor:
    out = x @ w
    if b is not None:
        out = out + b
    return activations.relu(out) if relu else out


def _linear_back(F: Any, g: Any, out: Any, needs: Any, x: Any, w: Any, b: Any = None, *, relu: bool) -> Any:
    return F.linear_backward(g, x, w, out, (*needs, False)[:3])[: len(needs)]


def _make_linear() -> Op:
    def forward(B: Any) -> Any:
        return lambda x, w, b=None, *, relu: (out := B.linear(x, w, b, relu=relu), out if relu else None)

    return Op(
        "linear",
        vjp_all=_linear_back,
        reference=_linear_reference,
        saves=("x", "y", "z"),
        aux=True,
        forward=forward,
    )


_LINEAR = _make_linear()


def linear(x: Any, weight: Any, bias: Any = None, *, activation: Any = None) -> Tensor:
    """activation(x @ weight + bias), as one node; relu is fused into the product.

    x: (..., in). weight: (in, out). bias: (out). Gives (..., out).
    Raises ShapeError naming the axes that differ.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.linear(np.ones((1, 2)), np.ones((2, 1)), np.ones(1), activation="relu")
    Tensor([[3.]])
    """
    x = x if isinstance(x, Tensor) else lift(x)
    w = weight if isinstance(weight, Tensor) else lift(weight)
    xs, ws = x.data.shape, w.data.shape
    if len(ws) != 2 or not xs or xs[-1] != ws[0]:
        _raise_linear(xs, ws)
    fused = activation == "relu" or activation is activations.relu
    if lowered() is not None:
        x, w, bias = *narrow(x, w), None if bias is None else narrow(lift(bias))[0]
    dtype = x.data.dtype
    agree = dtype is w.data.dtype
    args: tuple[Tensor, ...] = (x, w)
    if bias is not None:
        b = bias if isinstance(bias, Tensor) else lift(bias)
        if b.data.shape != ws[1:]:
            _raise_bias(b.data.shape, ws)
        agree = agree and dtype is b.data.dtype
        args = (x, w, b)
    if not agree:
        args = agree_all(list(args))
    out = applyn(_LINEAR, args, _FUSED if fused else _UNFUSED)
    return out if fused or activation is None else activations.activate("linear", out, activation)


_FUSED, _UNFUSED = {"relu": True}, {"relu": False}
public(_LINEAR, linear)


def _raise_linear(xs: tuple, ws: tuple) -> None:
    raise ShapeError(
        message(
            "linear",
            "the input's last axis must match the weight's first.",
            received=f"input {xs}, weight {ws}",
        )
    )


def _raise_bias(bs: tuple, ws: tuple) -> None:
    raise ShapeError(
        message(
            "linear",
            f"the bias must have shape ({ws[1]},), the weight's last axis.",
            received=f"bias {bs}, weight {ws}",
        )
    )


# ------------------------------------------------------------------ normalisation
def _batch_norm_reference(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, eps: float, axis: int, relu: bool
) -> Tensor:
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    centred = x - mean(x, others, keepdims=True)
    out = centred / sqrt(mean(centred * centred, others, keepdims=True) + eps)
    out = _affine(out, weight, bias, axis)
    return activations.relu(out) if relu else out


def _affine(out: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int) -> Tensor:
    shape = tuple(n if i == axis % out.ndim else 1 for i, n in enumerate(out.shape))
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def _batch_norm_back(
    F: Any,
    g: Any,
    aux: Any,
    needs: Any,
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    eps: float,
    axis: int,
    relu: bool,
) -> Any:
    mean, _, inv_std, kept = aux
    return F.batch_norm_backward(g, x, weight, bias, mean, inv_std, axis=axis, relu=kept)[: len(needs)]


_BATCH_NORM = Op(
    "batch_norm",
    vjp_all=_batch_norm_back,
    reference=_batch_norm_reference,
    saves=("x", "y", "z"),
    aux=True,
    forward=lambda B: (
        lambda x, w=None, b=None, **how: (lambda r: (r[0], r[1:]))(B.batch_norm(x, w, b, **how))
    ),
)


def batch_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    *,
    training: bool,
    momentum: float = 0.99,
    eps: float = 1e-3,
    axis: int = -1,
    activation: Any = None,
) -> tuple[Tensor, Any, Any]:
    """Normalise each channel over the batch (Ioffe and Szegedy 2015); gives (out, new running mean, new
    running variance).

    x: any shape with `channels` along `axis`; weight, bias, running_mean, running_var: (channels), weight
    and bias may be None. Training uses the batch's mean and (biased) variance and moves the running ones:
    `momentum * old + (1 - momentum) * batch`; otherwise the running ones are used and given back. The
    running statistics are constants, out of the way of gradients. activation: applied to the result; relu is
    fused, in training.
    """
    fused = activation == "relu" or activation is activations.relu
    x = wide(lift(x))
    if not x.ndim or not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            message("batch_norm", f"axis {axis} must be an axis of the input.", received=f"input {x.shape}")
        )
    channels = x.shape[axis]
    args = [x]
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None:
            p = lift(p)
            if p.shape != (channels,):
                raise ShapeError(
                    message(
                        "batch_norm",
                        f"the {name} must have shape ({channels},).",
                        received=f"{p.shape} for input {x.shape}",
                    )
                )
            args.append(p)
    if weight is None and bias is not None:
        args = [x, wrap(by_type[type(x.data)].ones(channels, x.dtype)), args[1]]
    agreed = agree_all(args)
    x = agreed[0]
    old_mean, old_var = _statistic(running_mean), _statistic(running_var)
    if not training:
        shape = tuple(n if i == axis % x.ndim else 1 for i, n in enumerate(x.shape))
        scale = 1 / np.sqrt(old_var + old_var.dtype.type(eps))
        out = (x - wrap(old_mean.astype(x.dtype, copy=False).reshape(shape))) * wrap(
            scale.astype(x.dtype, copy=False).reshape(shape)
        )
        out = _affine(
            out, agreed[1] if len(agreed) > 1 else None, agreed[2] if len(agreed) > 2 else None, axis
        )
        out = out if activation is None else activations.activate("batch_norm", out, activation)
        return out, old_mean, old_var
    if x.size == 0:
        raise ShapeError(
            message(
                "batch_norm",
                "at least one example is needed for the batch's statistics.",
                received=f"input {x.shape}",
            )
        )
    how = {"eps": eps, "axis": axis % x.ndim, "relu": fused}
    out, (batch_mean, batch_var, *_) = apply_aux(_BATCH_NORM, agreed, how)
    if activation is not None and not fused:
        out = activations.activate("batch_norm", out, activation)
    keep = old_mean.dtype.type(momentum)
    rest = old_mean.dtype.type(1 - momentum)
    return (
        out,
        old_mean * keep + batch_mean.astype(old_mean.dtype, copy=False) * rest,
        (old_var * keep + batch_var.astype(old_var.dtype, copy=False) * rest),
    )


def _statistic(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else lift(x).data


public(_BATCH_NORM, batch_norm)


# ------------------------------------------------------------------ regularisation, look-up
@operation(vjp=(lambda F, g, out, x, **place: F.dropped(g, **place),), linear="joint")
def dropped(x: Any, rate: float, *, seed: int, offset: int) -> Arguments:
    """x / (1 - rate) where the words from a place in a Philox stream keep an element, else 0.

    The mask is drawn again in the backward, not kept.
    """
    return (x,), {"rate": rate, "seed": seed, "offset": offset}


@helper
def dropout(x: Any, rate: float, *, training: bool = True, generator: Any = None) -> Tensor:
    """Zero each element with probability `rate` and scale the others by 1 / (1 - rate) (Srivastava et al.
    2014).
    """
    if not 0 <= rate <= 1:
        raise ValueError(message("dropout", "the rate must be in [0, 1].", received=str(rate)))
    x = lift(x)
    if not training or rate == 0:
        return x
    if rate == 1:
        return x * 0.0
    generator = generator or random.default_generator()
    if active():  # each sample of a vmap has a mask of its own
        return x * wrap(generator.keep_mask(x.shape, rate, x.dtype))
    return dropped(x, rate, **generator.place(x.size))


@helper
def one_hot(x: Any, num_classes: int, *, axis: int = -1, dtype: Any = None) -> Tensor:
    """Integer labels as rows with a single 1; a label outside [0, num_classes) gives a row of zeros.

    x: (...) int. Gives (..., num_classes) of `dtype` (default: bp.floatx()).
    """
    labels = constant("one_hot", x)
    if labels.dtype.kind not in "iu":
        raise DTypeError(message("one_hot", "integer labels were expected.", received=str(labels.dtype)))
    classes = by_type[type(labels)].arange(num_classes)
    axis %= labels.ndim + 1
    shape = [1] * (labels.ndim + 1)
    shape[axis] = num_classes
    expanded = labels.reshape(labels.shape[:axis] + (1,) + labels.shape[axis:])
    return wrap((expanded == classes.reshape(shape)).astype(dtype or floatx()))


@helper
def embedding(indices: Any, weight: Any) -> Tensor:
    """Rows of a table. indices: (...) int in [0, rows). weight: (rows, *features). Gives (..., *features).

    Raises ValueError naming the first index out of range, where they are on the host: a device would have to
    be waited for.
    """
    w = lift(weight)
    raw = constant("embedding", indices)
    if raw.dtype.kind not in "iu":
        raise DTypeError(message("embedding", "integer indices were expected.", received=str(raw.dtype)))
    if raw.size and at_hand(raw) and (ever(raw.min() < 0) or ever(raw.max() >= w.shape[0])):
        bad = np.flatnonzero((raw.reshape(-1) < 0) | (raw.reshape(-1) >= w.shape[0]))[0]
        raise ValueError(
            message(
                "embedding",
                f"indices must be in [0, {w.shape[0]}).",
                received=f"index {raw.reshape(-1)[bad]} at flat position {bad}",
            )
        )
    return w[raw]
