"""The arguments of convolution and pooling, in any of their forms, as what the ops take; and the errors."""

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

from .._typing import Shape
from ..autograd.autocast import lowered, narrow
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..backend.windows import Ints, Pairs, positions
from ..errors import ShapeError, message


def positive(name: str, what: str, value: Any, least: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            message(name, f"{what} must be whole numbers of at least {least}.", received=repr(value))
        )
    return number


def per_axis(name: str, what: str, value: Any, d: int, least: int = 1) -> Ints:
    """One int per space axis, from an int or a sequence."""
    if not hasattr(value, "__len__"):
        return (positive(name, what, value, least),) * d
    if len(value) != d:
        raise ValueError(
            message(name, f"{what} must be one number, or {d}, one per space axis.", received=repr(value))
        )
    return tuple([positive(name, what, v, least) for v in value])


def _reach(window: Ints, dilation: Ints) -> Ints:
    """How many elements of the input each window spans."""
    return tuple([(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)])


def pads_of(name: str, padding: Any, space: Ints, window: Ints, strides: Ints, dilation: Ints) -> Pairs:
    """(low, high) per axis, from any form of the argument."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(space)
        if padding not in ("same", "causal"):
            _raise_padding(name, padding, len(space))
        total = [
            max((-(-n // s) - 1) * s + r - n, 0)
            for n, s, r in zip(space, strides, _reach(window, dilation), strict=True)
        ]
        pads = tuple([(t // 2, t - t // 2) for t in total])
        return pads if padding == "same" else ((dilation[0] * (window[0] - 1), 0), *pads[1:])
    return _explicit(name, padding, len(space))


def _explicit(name: str, padding: Any, d: int) -> Pairs:
    try:
        if not hasattr(padding, "__len__"):
            both = operator.index(padding)
            pads = ((both, both),) * d
        else:
            pads = tuple([(operator.index(low), operator.index(high)) for low, high in padding])
    except (TypeError, ValueError):
        pads = ()
    if len(pads) != d or min(map(min, pads)) < 0:
        _raise_padding(name, padding, d)
    return pads


def transposed(
    name: str,
    padding: Any,
    space: Ints,
    window: Ints,
    strides: Ints,
    dilation: Ints,
    extra: Sequence[int | None],
) -> tuple[Ints, Pairs]:
    """New lengths and pads of conv_transpose; the pads are those of a conv that leads exactly back to
    `space`.
    """
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
            # zeros around x in the equivalent conv of the spread x, as Keras has it
            total = r + (s - 2 if more is None else r % 2 - 2 + more)
            before = min(total - total // 2, r - 1)
            low, length = r - 1 - before, (n - 1) * s + 2 + total - r
        else:
            low, length = cut[i][0], (n - 1) * s + r - sum(cut[i]) + (more or 0)
        if length < 1:
            _raise_empty(name, space, window, padding)
        lengths.append(length)
        pads.append((low, (n - 1) * s + r - length - low))
    return tuple(lengths), tuple(pads)


def pooling(name: str, xs: Shape, pool_size: Any, strides: Any, padding: Any) -> dict[str, Any]:
    """The parameters of a pooling op."""
    d = len(xs) - 2
    if not 1 <= d <= 3:
        raise ShapeError(
            message(
                name,
                "an input (batch, *space, channels) with 1 to 3 space axes was expected.",
                received=f"{xs}",
            )
        )
    window = per_axis(name, "pool_size", pool_size, d)
    strides = window if strides is None else per_axis(name, "strides", strides, d)
    pads = pads_of(name, padding, xs[1:-1], window, strides, (1,) * d)
    if any(max(pad) >= k for pad, k in zip(pads, window, strict=True) if max(pad)):
        raise ValueError(
            message(
                name,
                "padding must be less than the window.",
                received=f"padding {padding!r}, pool_size {window}",
            )
        )
    check_windows(name, xs, window, strides, pads, (1,) * d)
    return {"window": window, "strides": strides, "pads": pads}


def agree(name: str, x: Tensor, w: Tensor, bias: Any, filters: int) -> tuple[Tensor, ...]:
    if lowered() is not None:
        x, w = narrow(x, w)
    if bias is None:
        return agree_all([x, w])
    b = lift(bias) if lowered() is None else narrow(lift(bias))[0]
    if b.data.shape != (filters,):
        raise ShapeError(
            message(
                name,
                f"the bias must have shape ({filters},), one per output channel.",
                received=f"bias {b.data.shape}, weight {w.data.shape}",
            )
        )
    return agree_all([x, w, b])


def rank(name: str, xs: Shape, ws: Shape) -> int:
    if not 3 <= len(xs) <= 5 or len(ws) != len(xs):
        _raise_rank(name, xs, ws)
    return len(xs) - 2


def check_windows(name: str, xs: Shape, window: Ints, strides: Ints, pads: Pairs, dilation: Ints) -> None:
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
            f"an input (batch, *space, in) and a weight (*window, {kind}) with the same 1 to 3 space axes "
            "were expected.",
            received=f"input {xs}, weight {ws}",
            hint=hint,
        )
    )


def raise_channels(name: str, xs: Shape, ws: Shape, groups: int, axis: int) -> NoReturn:
    times = f" times {groups} groups" if groups > 1 else ""
    hint = None
    if xs[1] == ws[axis] * groups:
        hint = "the input seems to have its channels first: bp.moveaxis(x, 1, -1)."
    raise ShapeError(
        message(
            name,
            f"the input's last axis ({xs[-1]} channels) must equal the weight's axis {axis} "
            f"({ws[axis]}){times}.",
            received=f"input {xs}, weight {ws}",
            hint=hint,
        )
    )


def raise_filters(name: str, ws: Shape, groups: int, axis: int) -> NoReturn:
    raise ShapeError(
        message(
            name,
            f"{groups} groups must divide the weight's axis {axis} ({ws[axis]}).",
            received=f"weight {ws}, groups {groups}",
        )
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
            f"the window does not fit into axis {axis}: it spans {reach}, "
            f"the padded input has {xs[axis] + sum(pads[axis - 1])}.",
            received=f"input {xs}, window {window}, dilation {dilation}, padding {pads}",
            hint='padding="same", a smaller window, or fewer layers that shrink the input.',
        )
    )


def _raise_empty(name: str, space: Ints, window: Ints, padding: Any) -> NoReturn:
    raise ShapeError(
        message(
            name,
            "the padding cuts off the whole output.",
            received=f"space {space}, window {window}, padding {padding!r}",
        )
    )
