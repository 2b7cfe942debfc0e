"""Convolution over 1 to 3 axes, channels last. Pooling stands in pool.py, the checks of both in windows.py.

A convolution is linear in x and in w. Its three maps (forward, gradient of x, gradient of w) are three ops
whose rules are each other, so every order and both modes come from the same raw code. With a bias or ReLU it
is one op more, whose reference is made of these.
"""

from collections.abc import Sequence
from typing import Any

from .._typing import Shape
from ..autograd.declare import Arguments, operation
from ..autograd.op import Op, public
from ..autograd.record import applyn, lift
from ..autograd.tensor import Tensor
from ..backend.windows import Ints, Pairs
from .activations import activate
from .activations import relu as positive_part
from .elementwise import add
from .pool import avg_pool, max_pool
from .windows import (
    agree,
    check_windows,
    pads_of,
    per_axis,
    positive,
    raise_channels,
    raise_filters,
    rank,
    transposed,
)

__all__ = ["avg_pool", "conv", "conv_transpose", "max_pool"]


# ------------------------------------------------------------------ three maps
@operation(
    vjp=(
        lambda F, g, out, x, w, **how: F.conv_input_grad(g, w, x_shape=x.shape, **how),
        lambda F, g, out, x, w, **how: F.conv_weight_grad(g, x, w_shape=w.shape, **how),
    ),
    saves=("x", "y"),
    linear="each",
)
def conv_forward(x: Any, w: Any, *, strides: Ints, pads: Pairs, dilation: Ints, groups: int) -> Arguments:
    """out[o, f] = sum over k, c of x[o * stride + k * dilation - low, c] w[k, c, f], with zeros outside x."""
    return (x, w), {"strides": strides, "pads": pads, "dilation": dilation, "groups": groups}


@operation(
    vjp=(
        lambda F, t, out, g, w, *, x_shape, **how: F.conv_forward(t, w, **how),
        lambda F, t, out, g, w, *, x_shape, **how: F.conv_weight_grad(g, t, w_shape=w.shape, **how),
    ),
    saves=("x", "y"),
    linear="each",
)
def conv_input_grad(
    g: Any, w: Any, *, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Arguments:
    """The transpose of conv_forward in x. g: (batch, *out, filters). Gives x_shape."""
    return (g, w), {
        "x_shape": tuple(x_shape),
        "strides": strides,
        "pads": pads,
        "dilation": dilation,
        "groups": groups,
    }


@operation(
    vjp=(
        lambda F, t, out, g, x, *, w_shape, **how: F.conv_forward(x, t, **how),
        lambda F, t, out, g, x, *, w_shape, **how: F.conv_input_grad(g, t, x_shape=x.shape, **how),
    ),
    saves=("x", "y"),
    linear="each",
)
def conv_weight_grad(
    g: Any, x: Any, *, w_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int
) -> Arguments:
    """The transpose of conv_forward in w. g: (batch, *out, filters), x: (batch, *space, channels). Gives
    w_shape.
    """
    return (g, x), {
        "w_shape": tuple(w_shape),
        "strides": strides,
        "pads": pads,
        "dilation": dilation,
        "groups": groups,
    }


# ------------------------------------------------------------------ with bias and ReLU
def _reference(x: Tensor, w: Tensor, b: Tensor | None = None, *, relu: bool, **how: Any) -> Tensor:
    out = conv_forward(x, w, **how)
    out = out if b is None else add(out, b)
    return positive_part(out) if relu else out


def _back(
    F: Any, g: Any, out: Any, needs: Any, x: Any, w: Any, b: Any = None, *, relu: bool, **how: Any
) -> Any:
    return F.conv_backward(g, x, w, out, (*needs, False)[:3], **how)[: len(needs)]


def _forward(B: Any) -> Any:
    return lambda x, w, b=None, **how: (out := B.conv(x, w, b, **how), out if how["relu"] else None)


_CONV = Op("conv", vjp_all=_back, reference=_reference, saves=("x", "y", "z"), aux=True, forward=_forward)


def conv(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    activation: Any = None,
) -> Tensor:
    """activation(x * weight + bias), * the cross-correlation that deep learning calls convolution; as one
    node with relu or without an activation.

    x: (batch, *space, in), 1 to 3 space axes. weight: (*window, in / groups, out). bias: (out). Gives (batch,
    *new, out).
    padding: "valid" (none); "same": ceil(n / stride) positions, the odd zero at the end, as Keras and
    TensorFlow; "causal": zeros only before the first space axis, so that nothing sees its future, and "same"
    on the others; an int for both ends of every axis; or a (low, high) pair per axis.
    Raises ShapeError for ranks, channels, groups or windows that do not fit, ValueError for bad strides or
    padding.
    Formulas: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.conv(np.ones((1, 4, 1)), np.ones((3, 1, 1)), padding="same").reshape(-1)
    Tensor([2., 3., 3., 2.])
    """
    x, w = lift(x), lift(weight)
    xs, ws = x.data.shape, w.data.shape
    d = rank("conv", xs, ws)
    strides, dilation = per_axis("conv", "strides", strides, d), per_axis("conv", "dilation", dilation, d)
    groups = positive("conv", "groups", groups)
    if ws[-2] * groups != xs[-1]:
        raise_channels("conv", xs, ws, groups, -2)
    if ws[-1] % groups:
        raise_filters("conv", ws, groups, -1)
    pads = pads_of("conv", padding, xs[1:-1], ws[:-2], strides, dilation)
    check_windows("conv", xs, ws[:-2], strides, pads, dilation)
    args = agree("conv", x, w, bias, ws[-1])
    how = {"strides": strides, "pads": pads, "dilation": dilation, "groups": groups}
    fused = activation == "relu" or activation is positive_part
    if bias is None and not fused:
        out = conv_forward(*args, **how)
    else:
        out = applyn(_CONV, args, {"relu": fused, **how})
    return out if fused or activation is None else activate("conv", out, activation)


public(_CONV, conv)


def conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    output_padding: int | Sequence[int] | None = None,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    activation: Any = None,
) -> Tensor:
    """The transpose of `conv` in its input: each element of x times the window, added up where windows
    overlap.

    x: (batch, *space, in). weight: (*window, out / groups, in), the kernel of the `conv` whose gradient this
    is, as in Keras.
    bias: (out). Gives (batch, *new, out), with r = (window - 1) * dilation + 1 and n the length of an axis:
    "valid": new = (n - 1) * stride + max(r, stride); "same": new = n * stride; an int or pairs, which are cut
    off:
    new = (n - 1) * stride + r - low - high. output_padding adds to the end; with it "valid" and "same" are
    Keras':
    (n - 1) * stride + r + output_padding, for "same" less 2 * (r // 2).
    Raises as `conv` does.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.conv_transpose(np.ones((1, 2, 1)), np.ones((3, 1, 1)), strides=2).reshape(-1)
    Tensor([1., 1., 2., 1., 1.])
    """
    name = "conv_transpose"
    x, w = lift(x), lift(weight)
    xs, ws = x.data.shape, w.data.shape
    d = rank(name, xs, ws)
    strides, dilation = per_axis(name, "strides", strides, d), per_axis(name, "dilation", dilation, d)
    groups = positive(name, "groups", groups)
    if ws[-1] != xs[-1]:
        raise_channels(name, xs, ws, 1, -1)
    if ws[-1] % groups:
        raise_filters(name, ws, groups, -1)
    extra = (
        (None,) * d
        if output_padding is None
        else per_axis(name, "output_padding", output_padding, d, least=0)
    )
    space, pads = transposed(name, padding, xs[1:-1], ws[:-2], strides, dilation, extra)
    shape = (xs[0], *space, ws[-2] * groups)
    args = agree(name, x, w, bias, shape[-1])
    out = conv_input_grad(
        args[0], args[1], x_shape=shape, strides=strides, pads=pads, dilation=dilation, groups=groups
    )
    if bias is not None:
        out = add(out, args[2])
    return out if activation is None else activate(name, out, activation)
