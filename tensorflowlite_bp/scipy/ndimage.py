"""scipy.ndimage: interpolation at coordinates, and the filters that are linear.

>>> import numpy as np, tensorflowlite_bp as bp
>>> image = np.arange(6.0).reshape(2, 3)
>>> bp.grad(lambda c: bp.scipy.ndimage.map_coordinates(image, c, order=1).sum())(np.array([[0.5], [0.5]]))
array([[3.],
       [1.]])
"""

import itertools
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from ..ops.elementwise import where
from ..ops.linear_maps import along
from ..ops.special import floats
from ._namespace import names

_MODES = ("constant", "grid-constant", "nearest", "mirror", "grid-mirror", "reflect", "grid-wrap")


def _indices(i: np.ndarray, n: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Where index i of an axis of n reads, and whether it is inside."""
    inside = (i >= 0) & (i < n)
    if mode == "mirror":
        period = max(2 * (n - 1), 1)
        i = (n - 1) - np.abs(i % period - (n - 1))
    elif mode in ("reflect", "grid-mirror"):
        i = i % (2 * n)
        i = np.minimum(i, 2 * n - 1 - i)
    elif mode == "grid-wrap":
        i = i % n
    return np.clip(i, 0, n - 1), inside if mode.endswith("constant") else np.ones_like(inside)


def map_coordinates(
    input: Any,
    coordinates: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: float = 0.0,
    prefilter: bool = True,
) -> Tensor:
    """The values of an array at coordinates (one row per axis), nearest (order 0) or linear between (order
    1).

    Differentiable in the array and, for order 1, in the coordinates. Splines of a higher order are refused.
    """
    if order not in (0, 1):
        expected = "orders 0 and 1 are differentiable here."
        raise TypeError(
            message("ndimage.map_coordinates", expected, received=f"order={order}", hint="order=1.")
        )
    if mode not in _MODES:
        expected = f"mode is one of {', '.join(_MODES)}."
        raise ValueError(message("ndimage.map_coordinates", expected, received=repr(mode)))
    (x,) = floats(input)
    (at,) = floats(coordinates)
    if at.shape[0] != x.ndim:
        received = f"{at.shape} for {x.shape}"
        raise ShapeError(
            message("ndimage.map_coordinates", "one row of coordinates per axis.", received=received)
        )
    raw = at.data
    outside = np.zeros(raw.shape[1:], bool)
    corners: list[list[tuple[np.ndarray, np.ndarray, Any]]] = []
    for k, n in enumerate(x.shape):
        if mode == "constant":
            outside |= (raw[k] < 0) | (raw[k] > n - 1)
        low = np.floor(raw[k] + 0.5 if order == 0 else raw[k])
        share = at[k] - low
        places = [(low, None)] if order == 0 else [(low, 1.0 - share), (low + 1, share)]
        corners.append([(*_indices(i.astype(np.intp), n, mode), weight) for i, weight in places])
    total: Any = None
    for corner in itertools.product(*corners):
        value: Any = x[tuple([index for index, _, _ in corner])]
        inside = np.logical_and.reduce([within for _, within, _ in corner])
        if not inside.all() and mode == "grid-constant":
            value = where(inside, value, cval)
        for _, _, weight in corner:
            value = value if weight is None else value * weight
        total = value if total is None else total + value
    return where(outside, cval, total) if outside.any() else total


# ------------------------------------------------------------------ linear filters
def _filter_1d(name: str, doc: str) -> Any:
    def function(input: Any, *args: Any, axis: int = -1, **options: Any) -> Tensor:
        if options.pop("cval", 0.0) or options.pop("output", None) is not None:
            raise TypeError(message(f"ndimage.{name}", "without cval and output it is differentiable."))
        fixed = [a.numpy() if isinstance(a, Tensor) and a.node is None else a for a in args]
        if any(isinstance(a, Tensor) for a in (*fixed, *options.values())):
            raise TypeError(message(f"ndimage.{name}", "the parameters of the filter are constants."))

        def run(B: Any, rows: Any) -> Any:
            return getattr(B.scipy("ndimage"), name)(rows, *fixed, axis=-1, **options)

        return along(input, axis, run)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


gaussian_filter1d = _filter_1d(
    "gaussian_filter1d", "A Gaussian filter along an axis; its parameters are constants."
)
uniform_filter1d = _filter_1d(
    "uniform_filter1d", "A running mean along an axis; its parameters are constants."
)
convolve1d = _filter_1d("convolve1d", "A convolution along an axis with constant weights.")
correlate1d = _filter_1d("correlate1d", "A correlation along an axis with constant weights.")


def gaussian_filter(input: Any, sigma: Any, order: Any = 0, **options: Any) -> Tensor:
    """A Gaussian filter over all axes; its parameters are constants."""
    (x,) = floats(input)
    sigmas, orders = (np.broadcast_to(v, (x.ndim,)).tolist() for v in (sigma, order))
    for axis, (s, o) in enumerate(zip(sigmas, orders, strict=True)):
        if s > 1e-15:
            x = gaussian_filter1d(x, s, axis=axis, order=o, **options)
    return x


def uniform_filter(input: Any, size: Any = 3, **options: Any) -> Tensor:
    """A running mean over all axes."""
    (x,) = floats(input)
    for axis, n in enumerate(np.broadcast_to(size, (x.ndim,)).tolist()):
        if n > 1:
            x = uniform_filter1d(x, n, axis=axis, **options)
    return x


OURS = {
    f.__name__: f
    for f in (
        map_coordinates, gaussian_filter1d, uniform_filter1d, convolve1d, correlate1d, gaussian_filter,
        uniform_filter,
    )
}  # fmt: skip

__getattr__, __dir__ = names("ndimage", OURS, globals())
