"""Pooling over 1 to 3 axes, channels last.

Max pooling saves where each maximum was. The map along these places is linear, and its transpose gathers; so
is the mean.
"""

from collections.abc import Sequence
from typing import Any

from .._typing import Shape
from ..autograd.declare import Arguments, operation
from ..autograd.modes import recording
from ..autograd.op import Op, is_float, public
from ..autograd.record import apply_aux, lift
from ..autograd.tensor import Tensor, wrap
from ..backend import by_type
from ..backend.windows import Ints, Pairs
from ..errors import DTypeError, message
from .elementwise import astype
from .windows import pooling


# ------------------------------------------------------------------ maximum
@operation(
    vjp=(lambda F, t, out, g, *, index, x_shape, **how: F.max_pool_gather(t, index=index, **how),),
    linear="joint",
    saves=("x.shape",),
)
def max_pool_input_grad(
    g: Any, *, index: Any, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs
) -> Arguments:
    """g at the places of their windows that `index` names, zero elsewhere. Gives x_shape."""
    return (g,), {
        "index": index,
        "x_shape": tuple(x_shape),
        "window": window,
        "strides": strides,
        "pads": pads,
    }


@operation(
    vjp=(
        lambda F, g, out, x, *, index, **how: F.max_pool_input_grad(g, index=index, x_shape=x.shape, **how),
    ),
    linear="joint",
    saves=("x.shape",),
)
def max_pool_gather(x: Any, *, index: Any, window: Ints, strides: Ints, pads: Pairs) -> Arguments:
    """The elements of x that `index` names, one per window: the transpose of max_pool_input_grad."""
    return (x,), {"index": index, "window": window, "strides": strides, "pads": pads}


_MAX_POOL = Op(
    "max_pool",
    vjp=(lambda F, g, index, x, **how: F.max_pool_input_grad(g, index=index, x_shape=x.shape, **how),),
    saves=("x.shape",),
    aux=True,
    forward=lambda B: B.max_pool_forward,
)


def max_pool(
    x: Any, pool_size: int | Sequence[int], *, strides: Any = None, padding: Any = "valid"
) -> Tensor:
    """The maximum over windows; padding never wins. NaN does.

    x: (batch, *space, channels), 1 to 3 space axes. strides: those of pool_size unless given. padding: as
    `conv`'s, less than the window. Gives (batch, *new, channels). The derivative goes to the first maximum of
    a window, in row-major order.
    Raises ShapeError for windows that do not fit, ValueError for bad strides or padding.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.max_pool(np.asarray([1.0, 4.0, 2.0, 3.0]).reshape(1, 4, 1), 2).reshape(-1)
    Tensor([4., 3.])
    """
    x = lift(x)
    if x.data.dtype.kind == "c":
        raise DTypeError(message("max_pool", "complex numbers have no maximum.", received=str(x.data.dtype)))
    how = pooling("max_pool", x.data.shape, pool_size, strides, padding)
    if x.node is None or not recording():  # the index is as much work as the maximum
        return wrap(by_type[type(x.data)].max_pool_forward(x.data, **how, want_index=False)[0])
    return apply_aux(_MAX_POOL, (x,), how)[0]


public(_MAX_POOL, max_pool)


@operation(
    vjp=(lambda F, g, out, x, **how: F.avg_pool_input_grad(g, x_shape=x.shape, **how),),
    linear="joint",
    saves=("x.shape",),
)
def avg_pool_forward(x: Any, *, window: Ints, strides: Ints, pads: Pairs) -> Arguments:
    """The mean of each window over what is inside x."""
    return (x,), {"window": window, "strides": strides, "pads": pads}


@operation(
    vjp=(lambda F, t, out, g, *, x_shape, **how: F.avg_pool_forward(t, **how),),
    linear="joint",
    saves=("x.shape",),
)
def avg_pool_input_grad(g: Any, *, x_shape: Shape, window: Ints, strides: Ints, pads: Pairs) -> Arguments:
    """The transpose of avg_pool_forward. Gives x_shape."""
    return (g,), {"x_shape": tuple(x_shape), "window": window, "strides": strides, "pads": pads}


def avg_pool(
    x: Any, pool_size: int | Sequence[int], *, strides: Any = None, padding: Any = "valid"
) -> Tensor:
    """The mean over windows; padding is never counted. Arguments and errors as `max_pool`.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.nn.avg_pool(np.asarray([1.0, 4.0, 2.0]).reshape(1, 3, 1), 2, padding="same").reshape(-1)
    Tensor([2.5, 2. ])
    """
    x = lift(x)
    if not is_float(x.data.dtype):
        x = astype(x, float)
    return avg_pool_forward(x, **pooling("avg_pool", x.data.shape, pool_size, strides, padding))
