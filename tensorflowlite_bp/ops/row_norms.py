"""Layer, RMS and group normalisation: by the statistics of each example."""

import math
from typing import Any

from .. import backend
from ..autograd.autocast import wide
from ..autograd.op import Op, helper, is_float, public
from ..autograd.record import agree_all, applyn, lift
from ..autograd.tensor import Tensor, wrap
from ..errors import ShapeError, message
from .elementwise import sqrt, square
from .reductions import mean


def _aux(run: Any) -> Any:
    """(out, what backward needs)."""
    return lambda *args, **params: (lambda r: (r[0], r[1:]))(run(*args, **params))


def _normalised(x: Tensor, axes: tuple[int, ...], eps: float, centred: bool) -> Tensor:
    if centred:
        x = x - mean(x, axes, keepdims=True)
    return x / sqrt(mean(square(x), axes, keepdims=True) + eps)


def _scale_shift(out: Tensor, weight: Tensor | None, bias: Tensor | None, axes: tuple[int, ...]) -> Tensor:
    places = {a % out.ndim for a in axes}
    shape = tuple(n if i in places else 1 for i, n in enumerate(out.shape))
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


# ------------------------------------------------------------------ rows
def _row_reference(
    x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *, eps: float, axes: int, centred: bool
) -> Tensor:
    last = tuple(range(-axes, 0))
    return _scale_shift(_normalised(x, last, eps, centred), w, b, last)


def _row_back(
    F: Any, g: Any, aux: Any, needs: Any, x: Any, w: Any = None, b: Any = None, **params: Any
) -> Any:
    return F.row_norm_backward(g, x, w, *aux, axes=params["axes"])[: len(needs)]


def _row_forward(B: Any) -> Any:
    run = _aux(B.row_norm)
    return lambda x, w=None, b=None, **params: run(x, w, b, **params)


_ROW = Op(
    "row_norm",
    vjp_all=_row_back,
    reference=_row_reference,
    saves=("x", "y", "z"),
    aux=True,
    forward=_row_forward,
)


def row_norm(
    x: Any, weight: Any, bias: Any, *, axis: Any, eps: float, centred: bool, name: str = "row_norm"
) -> Tensor:
    """Rows brought to mean 0 (if `centred`) and mean square 1, times weight, plus bias."""
    x = wide(lift(x))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -x.ndim <= a < x.ndim for a in axes):
        raise ShapeError(
            message(name, "axis must name axes of the input.", received=f"axis {axis}, input {x.shape}")
        )
    places = sorted(a % x.ndim for a in axes)
    shape = tuple(x.shape[a] for a in places)
    params = [None if p is None else lift(p) for p in (weight, bias)]
    for p, what in zip(params, ("weight", "bias"), strict=True):
        if p is not None and p.shape != shape:
            raise ShapeError(
                message(
                    name,
                    f"the {what} must have shape {shape}, that of the normalised axes.",
                    received=f"{p.shape}",
                )
            )
    if params[0] is None and params[1] is not None:
        params[0] = wrap(backend.of(x.data).ones(shape, x.dtype))
    trailing = places == list(range(x.ndim - len(places), x.ndim)) and places
    args = agree_all([x, *[p for p in params if p is not None]])
    if trailing and is_float(args[0].dtype) and args[0].dtype.kind != "c" and x.size:
        return applyn(_ROW, args, {"eps": float(eps), "axes": len(places), "centred": centred})
    w, b = (*args[1:], None, None)[:2]
    return _scale_shift(_normalised(args[0], axes, eps, centred), w, b, axes)


public(_ROW, row_norm)


@helper
def layer_norm(x: Any, weight: Any = None, bias: Any = None, *, axis: Any = -1, eps: float = 1e-5) -> Tensor:
    """Normalise each example over `axis` (Ba, Kiros and Hinton 2016): mean 0, variance 1.

    weight, bias: the shape of the normalised axes, or None. Raises ShapeError when they have another.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.layer_norm(np.array([[1.0, 3.0]]), eps=0.0)
    Tensor([[-1.,  1.]])
    """
    return row_norm(x, weight, bias, axis=axis, eps=eps, centred=True, name="layer_norm")


@helper
def rms_norm(x: Any, weight: Any = None, *, axis: Any = -1, eps: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x^2) + eps) over `axis`, times weight (Zhang and Sennrich 2019).

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.rms_norm(np.array([[2.0, -2.0]]), eps=0.0)
    Tensor([[ 1., -1.]])
    """
    return row_norm(x, weight, None, axis=axis, eps=eps, centred=False, name="rms_norm")


# ------------------------------------------------------------------ groups of channels
def _group_reference(
    x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *, groups: int, eps: float
) -> Tensor:
    split = x.reshape((x.shape[0], math.prod(x.shape[1:-1]), groups, x.shape[-1] // groups))
    return _scale_shift(_normalised(split, (1, 3), eps, True).reshape(x.shape), w, b, (-1,))


def _group_back(
    F: Any, g: Any, aux: Any, needs: Any, x: Any, w: Any = None, b: Any = None, **params: Any
) -> Any:
    return F.group_norm_backward(g, x, w, *aux, groups=params["groups"])[: len(needs)]


def _group_forward(B: Any) -> Any:
    run = _aux(B.group_norm)
    return lambda x, w=None, b=None, **params: run(x, w, b, **params)


_GROUP = Op(
    "group_norm",
    vjp_all=_group_back,
    reference=_group_reference,
    saves=("x", "y", "z"),
    aux=True,
    forward=_group_forward,
)


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, *, eps: float = 1e-5) -> Tensor:
    """Normalise groups of channels of each example (Wu and He 2018).

    x: (batch, *space, channels). weight, bias: (channels) or None. Raises ShapeError when the groups do not
    divide the channels, or a parameter has another shape.
    """
    x = wide(lift(x))
    if x.ndim < 2 or groups < 1 or x.shape[-1] % groups:
        raise ShapeError(
            message(
                "group_norm",
                f"an input (batch, *space, channels) was expected whose channels {groups} groups divide.",
                received=f"{x.shape}",
            )
        )
    channels = x.shape[-1:]
    params = [None if p is None else lift(p) for p in (weight, bias)]
    for p, what in zip(params, ("weight", "bias"), strict=True):
        if p is not None and p.shape != channels:
            raise ShapeError(
                message("group_norm", f"the {what} must have shape {channels}.", received=f"{p.shape}")
            )
    if params[0] is None and params[1] is not None:
        params[0] = wrap(backend.of(x.data).ones(channels, x.dtype))
    args = agree_all([x, *[p for p in params if p is not None]])
    if not is_float(args[0].dtype) or args[0].dtype.kind == "c" or not x.size:
        return _group_reference(*args, groups=groups, eps=eps)
    return applyn(_GROUP, args, {"groups": int(groups), "eps": float(eps)})


public(_GROUP, group_norm)
