"""Convolution and pooling over 1 to 3 axes, channels last.

A convolution is linear in x and in w. Its three maps (forward, gradient of x, gradient of w) are three ops whose rules are each
other, so every order and both modes come from the same raw code. Max pooling saves where each maximum was; the map along these
places is linear, and its transpose gathers.
"""

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

from .._typing import Shape
from ..autograd.declare import operation
from ..autograd.op import Op, is_float, public
from ..autograd.record import agree_all, apply_aux, lift
from ..autograd.tensor import Tensor
from ..backend.conv import Ints, Pairs, positions
from ..errors import DTypeError, ShapeError, message
from .elementwise import add, astype
from .nn import activate

# ------------------------------------------------------------------ convolution: three maps


@operation(
    vjp=(
        lambda F, g, out, x, w, **how: F.conv_input_grad(g, w, x_shape=x.shape, **how),
        lambda F, g, out, x, w, **how: F.conv_weight_grad(g, x, w_shape=w.shape, **how),
    ),
    saves=("x", "y"),
    linear="each",
)
def conv_forward(x: Any, w: Any, *, strides: Ints, pads: Pairs, dilation: Ints, groups: int) -> Tensor:
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
def conv_input_grad(g: Any, w: Any, *, x_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int) -> Tensor:
    """The transpose of conv_forward in x. g: (batch, *out, filters). Gives x_shape."""
    return (g, w), {"x_shape": tuple(x_shape), "strides": strides, "pads": pads, "dilation": dilation, "groups": groups}


@operation(
    vjp=(
        lambda F, t, out, g, x, *, w_shape, **how: F.conv_forward(x, t, **how),
        lambda F, t, out, g, x, *, w_shape, **how: F.conv_input_grad(g, t, x_shape=x.shape, **how),
    ),
    saves=("x", "y"),
    linear="each",
)
def conv_weight_grad(g: Any, x: Any, *, w_shape: Shape, strides: Ints, pads: Pairs, dilation: Ints, groups: int) -> Tensor:
    """The transpose of conv_forward in w. g: (batch, *out, filters), x: (batch, *space, channels). Gives w_shape."""
    return (g, x), {"w_shape": tuple(w_shape), "strides": strides, "pads": pads, "dilation": dilation, "groups": groups}


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
    """activation(x * weight + bias), * the cross-correlation that deep learning calls convolution.

    x: (batch, *space, in), 1 to 3 space axes. weight: (*window, in / groups, out). bias: (out). Gives (batch, *new, out).
    padding: "valid" (none); "same": ceil(n / stride) positions, the odd zero at the end, as Keras and TensorFlow;
    "causal": zeros only before the first space axis, so that nothing sees its future, and "same" on the others;
    an int for both ends of every axis; or a (low, high) pair per axis.
    Raises ShapeError for ranks, channels, groups or windows that do not fit, ValueError for bad strides or padding.
    Formulas: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.conv(np.ones((1, 4, 1)), np.ones((3, 1, 1)), padding="same").reshape(-1)
    Tensor([2., 3., 3., 2.])
    """
    x, w = lift(x), lift(weight)
    xs, ws = x.data.shape, w.data.shape
    d = _rank("conv", xs, ws)
    strides, dilation = _per_axis("conv", "strides", strides, d), _per_axis("conv", "dilation", dilation, d)
    groups = _positive("conv", "groups", groups)
    if ws[-2] * groups != xs[-1]:
        _raise_channels("conv", xs, ws, groups, -2)
    if ws[-1] % groups:
        _raise_filters("conv", ws, groups, -1)
    pads = _pads("conv", padding, xs[1:-1], ws[:-2], strides, dilation)
    _check_windows("conv", xs, ws[:-2], strides, pads, dilation)
    args = _agree("conv", x, w, bias, ws[-1])
    out = conv_forward(args[0], args[1], strides=strides, pads=pads, dilation=dilation, groups=groups)
    if bias is not None:
        out = add(out, args[2])
    return out if activation is None else activate("conv", out, activation)


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
    """The transpose of `conv` in its input: each element of x times the window, added up where windows overlap.

    x: (batch, *space, in). weight: (*window, out / groups, in), the kernel of the `conv` whose gradient this is, as in Keras.
    bias: (out). Gives (batch, *new, out), with r = (window - 1) * dilation + 1 and n the length of an axis:
    "valid": new = (n - 1) * stride + max(r, stride); "same": new = n * stride; an int or pairs, which are cut off:
    new = (n - 1) * stride + r - low - high. output_padding adds to the end; with it "valid" and "same" are Keras':
    (n - 1) * stride + r + output_padding, for "same" less 2 * (r // 2).
    Raises as `conv` does.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.conv_transpose(np.ones((1, 2, 1)), np.ones((3, 1, 1)), strides=2).reshape(-1)
    Tensor([1., 1., 2., 1., 1.])
    """
    name = "conv_transpose"
    x, w = lift(x), lift(weight)
    xs, ws = x.data.shape, w.data.shape
    d = _rank(name, xs, ws)
    strides, dilation = _per_axis(name, "strides", strides, d), _per_axis(name, "dilation", dilation, d)
    groups = _positive(name, "groups", groups)
    if ws[-1] != xs[-1]:
        _raise_channels(name, xs, ws, 1, -1)
    if ws[-1] % groups:
        _raise_filters(name, ws, groups, -1)
    extra = (None,) * d if output_padding is None else _per_axis(name, "output_padding", output_padding, d, least=0)
    space, pads = _transposed(name, padding, xs[1:-1], ws[:-2], strides, dilation, extra)
    shape = (xs[0], *space, ws[-2] * groups)
    args = _agree(name, x, w, bias, shape[-1])
    out = conv_input_grad(args[0], args[1], x_shape=shape, strides=strides, pads=pads, dilation=dilation, groups=groups)
    if bias is not None:
        out = add(out, args[2])
    return out if activation is None else activate(name, out, activation)


# ------------------------------------------------------------------ pooling
@operation(
    vjp=(lambda F, t, out, g, *, index, x_shape, **how: F.max_pool_gather(t, index=index, **how),),
    linear="joint",
    saves=("x.shape",),
)
def max_pool_input_grad(g: Any, *, index: Any, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Tensor:
    """g at the places of their windows that `index` names, zero elsewhere. Gives x_shape."""
    return (g,), {"index": index, "x_shape": tuple(x_shape), "window": window, "strides": strides, "pads": pads}


@operation(
    vjp=(lambda F, g, out, x, *, index, **how: F.max_pool_input_grad(g, index=index, x_shape=x.shape, **how),),
    linear="joint",
    saves=("x.shape",),
)
def max_pool_gather(x: Any, *, index: Any, window: Ints, strides: Ints, pads: Pairs) -> Tensor:
    """The elements of x that `index` names, one per window: the transpose of max_pool_input_grad."""
    return (x,), {"index": index, "window": window, "strides": strides, "pads": pads}


_MAX_POOL = Op(
    "max_pool",
    vjp=(lambda F, g, index, x, **how: F.max_pool_input_grad(g, index=index, x_shape=x.shape, **how),),
    saves=("x.shape",),
    aux=True,
    forward=lambda B: B.max_pool_forward,
)


def max_pool(x: Any, pool_size: int | Sequence[int], *, strides: Any = None, padding: Any = "valid") -> Tensor:
    """The maximum over windows; padding never wins. NaN does.

    x: (batch, *space, channels), 1 to 3 space axes. strides: those of pool_size unless given. padding: as `conv`'s, less than the
    window. Gives (batch, *new, channels). The derivative goes to the first maximum of a window, in row-major order.
    Raises ShapeError for windows that do not fit, ValueError for bad strides or padding.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.max_pool(np.asarray([1.0, 4.0, 2.0, 3.0]).reshape(1, 4, 1), 2).reshape(-1)
    Tensor([4., 3.])
    """
    x = lift(x)
    if x.data.dtype.kind == "c":
        raise DTypeError(message("max_pool", "complex numbers have no maximum.", received=str(x.data.dtype)))
    how = _pooling("max_pool", x.data.shape, pool_size, strides, padding)
    return apply_aux(_MAX_POOL, (x,), how)[0]


public(_MAX_POOL, max_pool)


@operation(
    vjp=(lambda F, g, out, x, **how: F.avg_pool_input_grad(g, x_shape=x.shape, **how),), linear="joint", saves=("x.shape",)
)
def avg_pool_forward(x: Any, *, window: Ints, strides: Ints, pads: Pairs) -> Tensor:
    """The mean of each window over what is inside x."""
    return (x,), {"window": window, "strides": strides, "pads": pads}


@operation(vjp=(lambda F, t, out, g, *, x_shape, **how: F.avg_pool_forward(t, **how),), linear="joint", saves=("x.shape",))
def avg_pool_input_grad(g: Any, *, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Tensor:
    """The transpose of avg_pool_forward. Gives x_shape."""
    return (g,), {"x_shape": tuple(x_shape), "window": window, "strides": strides, "pads": pads}


def avg_pool(x: Any, pool_size: int | Sequence[int], *, strides: Any = None, padding: Any = "valid") -> Tensor:
    """The mean over windows; padding is never counted. Arguments and errors as `max_pool`.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.avg_pool(np.asarray([1.0, 4.0, 2.0]).reshape(1, 3, 1), 2, padding="same").reshape(-1)
    Tensor([2.5, 2. ])
    """
    x = lift(x)
    if not is_float(x.data.dtype):
        x = astype(x, float)
    return avg_pool_forward(x, **_pooling("avg_pool", x.data.shape, pool_size, strides, padding))


# ------------------------------------------------------------------ arguments
def _positive(name: str, what: str, value: Any, least: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(message(name, f"{what} must be whole numbers of at least {least}.", received=repr(value)))
    return number


def _per_axis(name: str, what: str, value: Any, d: int, least: int = 1) -> Ints:
    """One int per space axis, from an int or a sequence."""
    if not hasattr(value, "__len__"):
        return (_positive(name, what, value, least),) * d
    if len(value) != d:
        raise ValueError(message(name, f"{what} must be one number, or {d}, one per space axis.", received=repr(value)))
    return tuple([_positive(name, what, v, least) for v in value])


def _reach(window: Ints, dilation: Ints) -> Ints:
    """How many elements of the input each window spans."""
    return tuple([(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)])


def _pads(name: str, padding: Any, space: Ints, window: Ints, strides: Ints, dilation: Ints) -> Pairs:
    """(low, high) per axis, from any form of the argument."""
    if padding == "valid":
        return ((0, 0),) * len(space)
    if isinstance(padding, str):
        if padding not in ("same", "causal"):
            _raise_padding(name, padding, len(space))
        total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(space, strides, _reach(window, dilation), strict=True)]
        pads = tuple([(t // 2, t - t // 2) for t in total])
        return pads if padding == "same" else ((dilation[0] * (window[0] - 1), 0), *pads[1:])
    return _explicit(name, padding, len(space))


def _explicit(name: str, padding: Any, d: int) -> Pairs:
    try:
        if not hasattr(padding, "__len__"):
            pads = ((operator.index(padding),) * 2,) * d
        else:
            pads = tuple([(operator.index(low), operator.index(high)) for low, high in padding])
    except (TypeError, ValueError):
        pads = ()
    if len(pads) != d or min(map(min, pads)) < 0:
        _raise_padding(name, padding, d)
    return pads


def _transposed(
    name: str, padding: Any, space: Ints, window: Ints, strides: Ints, dilation: Ints, extra: Sequence[int | None]
) -> tuple[Ints, Pairs]:
    """New lengths and pads of conv_transpose; the pads are those of a conv that leads exactly back to `space`."""
    cut: Sequence[tuple[int, int]] = ()
    if padding not in ("valid", "same"):
        if isinstance(padding, str):
            _raise_padding(name, padding, len(space))
        cut = _explicit(name, padding, len(space))
    lengths, pads = [], []
    for i, (n, s, r, more) in enumerate(zip(space, strides, _reach(window, dilation), extra, strict=True)):
        if padding == "valid":
            low, length = 0, (n - 1) * s + (max(r, s) if more is None else r + more)
        elif padding == "same":
            total = r + s - 2 if more is None else r + s - r % 2 - 2 + more  # zeros around x in the equivalent conv, as Keras has it
            before = min(total - total // 2, r - 1)
            low, length = r - 1 - before, (n - 1) * s + 2 + total - r
        else:
            low, length = cut[i][0], (n - 1) * s + r - sum(cut[i]) + (more or 0)
        if length < 1:
            _raise_empty(name, space, window, padding)
        lengths.append(length)
        pads.append((low, (n - 1) * s + r - length - low))
    return tuple(lengths), tuple(pads)


def _pooling(name: str, xs: Shape, pool_size: Any, strides: Any, padding: Any) -> dict[str, Any]:
    """The parameters of a pooling op."""
    d = len(xs) - 2
    if not 1 <= d <= 3:
        raise ShapeError(message(name, "an input (batch, *space, channels) with 1 to 3 space axes was expected.", received=f"{xs}"))
    window = _per_axis(name, "pool_size", pool_size, d)
    strides = window if strides is None else _per_axis(name, "strides", strides, d)
    pads = _pads(name, padding, xs[1:-1], window, strides, (1,) * d)
    if any(max(pad) >= k for pad, k in zip(pads, window, strict=True) if max(pad)):
        raise ValueError(
            message(name, "padding must be less than the window.", received=f"padding {padding!r}, pool_size {window}")
        )
    _check_windows(name, xs, window, strides, pads, (1,) * d)
    return {"window": window, "strides": strides, "pads": pads}


def _agree(name: str, x: Tensor, w: Tensor, bias: Any, filters: int) -> tuple[Tensor, ...]:
    if bias is None:
        return agree_all([x, w])
    b = lift(bias)
    if b.data.shape != (filters,):
        raise ShapeError(
            message(name, f"the bias must have shape ({filters},), one per output channel.", received=f"bias {b.data.shape}, weight {w.data.shape}")
        )
    return agree_all([x, w, b])


def _rank(name: str, xs: Shape, ws: Shape) -> int:
    if not 3 <= len(xs) <= 5 or len(ws) != len(xs):
        _raise_rank(name, xs, ws)
    return len(xs) - 2


def _check_windows(name: str, xs: Shape, window: Ints, strides: Ints, pads: Pairs, dilation: Ints) -> None:
    for axis, args in enumerate(zip(xs[1:-1], window, strides, pads, dilation, strict=True), 1):
        if positions(*args) < 1 or args[1] < 1:
            _raise_window(name, xs, window, pads, dilation, axis)


# ------------------------------------------------------------------ errors
def _raise_rank(name: str, xs: Shape, ws: Shape) -> NoReturn:
    hint = None
    if len(ws) == len(xs) + 1:
        hint = "add the axis of channels, x[..., None], or of the batch, x[None]."
    kind = "out, in" if name == "conv_transpose" else "in, out"
    raise ShapeError(
        message(
            name,
            f"an input (batch, *space, in) and a weight (*window, {kind}) with the same 1 to 3 space axes were expected.",
            received=f"input {xs}, weight {ws}",
            hint=hint,
        )
    )


def _raise_channels(name: str, xs: Shape, ws: Shape, groups: int, axis: int) -> NoReturn:
    times = f" times {groups} groups" if groups > 1 else ""
    hint = None
    if xs[1] == ws[axis] * groups:
        hint = "the input seems to have its channels first: bp.moveaxis(x, 1, -1)."
    raise ShapeError(
        message(
            name,
            f"the input's last axis ({xs[-1]} channels) must equal the weight's axis {axis} ({ws[axis]}){times}.",
            received=f"input {xs}, weight {ws}",
            hint=hint,
        )
    )


def _raise_filters(name: str, ws: Shape, groups: int, axis: int) -> NoReturn:
    raise ShapeError(
        message(name, f"{groups} groups must divide the weight's axis {axis} ({ws[axis]}).", received=f"weight {ws}, groups {groups}")
    )


def _raise_padding(name: str, padding: Any, d: int) -> NoReturn:
    names = '"valid" or "same"' if name == "conv_transpose" else '"valid", "same" or "causal"'
    pairs = "((1, 1),)" if d == 1 else "(" + ", ".join(["(1, 1)"] * d) + ")"
    raise ValueError(
        message(
            name,
            f"padding must be {names}, an int, or {d} (low, high) pair{'s' if d > 1 else ''}, none negative.",
            received=repr(padding),
            hint=f"pairs are written {pairs}.",
        )
    )


def _raise_window(name: str, xs: Shape, window: Ints, pads: Pairs, dilation: Ints, axis: int) -> NoReturn:
    reach = _reach(window, dilation)[axis - 1]
    raise ShapeError(
        message(
            name,
            f"the window does not fit into axis {axis}: it spans {reach}, the padded input has {xs[axis] + sum(pads[axis - 1])}.",
            received=f"input {xs}, window {window}, dilation {dilation}, padding {pads}",
            hint='padding="same", a smaller window, or fewer layers that shrink the input.',
        )
    )


def _raise_empty(name: str, space: Ints, window: Ints, padding: Any) -> NoReturn:
    raise ShapeError(message(name, "the padding cuts off the whole output.", received=f"space {space}, window {window}, padding {padding!r}"))


