"""Reductions: sums, means, extremes, products. `axis` is None, an int or a tuple; `keepdims` keeps reduced
axes with length 1.
"""

import math
from typing import Any

from .._typing import Axis, Shape
from ..autograd.declare import Arguments, operation
from ..autograd.op import helper, is_float
from ..autograd.record import lift, nondiff
from ..autograd.tensor import Tensor
from ..backend import common
from ..backend.batched import always
from . import shape as s
from .elementwise import astype, sqrt


def kept(shape: Shape, axis: Axis) -> Shape:
    """The shape after a reduction with keepdims=True."""
    if axis is None or not shape:  # a scalar has an axis 0 to NumPy's reductions
        return (1,) * len(shape)
    axes = {a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis)}
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def as_axes(axis: Any) -> Axis:
    return (
        axis if axis is None or type(axis) is int else tuple(axis) if hasattr(axis, "__iter__") else int(axis)
    )


def _spread(F: Any, g: Any, x: Any, axis: Axis) -> Any:
    """A cotangent of the reduced shape, as a broadcast view of x's."""
    return F.broadcast_to(g.reshape(kept(x.shape, axis)), x.shape)


def _over(F: Any, g: Any, n: float) -> Any:
    """g / n in g's dtype, which ml_dtypes' floats lose to a Python number; NaN for a mean of nothing."""
    out = g * (1.0 / n if n else math.nan)
    return out if out.dtype == g.dtype else F.astype(out, dtype=g.dtype)


# ------------------------------------------------------------------ sums
@operation(
    vjp=(lambda F, g, out, x, *, axis, keepdims, dtype=None: _spread(F, g, x, axis),),
    saves=("x.shape",),
    linear="joint",
    widens=True,
)
def sum(x: Any, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Arguments:
    """The sum over `axis`. 16-bit floats accumulate in float32, narrow integers in 64 bits. dtype: convert
    to it first.
    """
    if dtype is None:
        return (x,), {"axis": as_axes(axis), "keepdims": keepdims}
    return _converted(x, axis, dtype, keepdims)


def _converted(x: Any, axis: Any, dtype: Any, keepdims: bool) -> Arguments:
    """Integers are added up in the dtype asked for, which NumPy would widen; floats have it already."""
    x = astype(x, dtype)
    params = {"axis": as_axes(axis), "keepdims": keepdims}
    return (x,), params if is_float(x.dtype) else {**params, "dtype": x.dtype}


def _mean_back(F: Any, g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return _spread(F, _over(F, g, common.count(x.shape, axis)), x, axis)


@operation(vjp=(_mean_back,), saves=("x.shape",), linear="joint", widens=True)
def mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Arguments:
    """The mean over `axis`. Raises nothing for an empty axis: the result is NaN, as NumPy's."""
    return (x,), {"axis": as_axes(axis), "keepdims": keepdims}


def _sum_to_back(F: Any, g: Any, out: Any, x: Any, *, shape: Shape) -> Any:
    return F.broadcast_to(g.reshape((1,) * (len(x.shape) - len(shape)) + shape), x.shape)


@operation(vjp=(_sum_to_back,), saves=("x.shape",), linear="joint")
def sum_to(x: Any, shape: Shape) -> Arguments:
    """Sum over the axes along which `shape` was broadcast to x's: the transpose of broadcast_to."""
    return (x,), {"shape": tuple(shape)}


def _var_back(F: Any, g: Any, out: Any, x: Any, *, axis: Axis, correction: float, keepdims: bool) -> Any:
    n = common.count(x.shape, axis)
    centred = x - F.mean(x, axis=axis, keepdims=True)
    if x.dtype.kind == "c":
        centred = F.conjugate(centred)
    return _spread(F, _over(F, g + g, n - correction), x, axis) * centred


def _var_tangent(F: Any, ts: Any, out: Any, x: Any, *, axis: Axis, correction: float, keepdims: bool) -> Any:
    centred = x - F.mean(x, axis=axis, keepdims=True)
    product = F.real(F.conjugate(centred) * ts[0]) if x.dtype.kind == "c" else centred * ts[0]
    total = F.sum(product, axis=axis, keepdims=keepdims)
    return _over(F, total + total, common.count(x.shape, axis) - correction)


@operation(vjp=(_var_back,), saves=("x",), jvp=_var_tangent, widens=True)
def var(x: Any, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Arguments:
    """The variance: the mean of |x - mean(x)|^2, with n - correction in the denominator."""
    return (x,), {"axis": as_axes(axis), "correction": correction, "keepdims": keepdims}


@helper
def std(x: Any, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation, sqrt(var). Its gradient is not finite where several elements deviate by 0."""
    x = lift(x)
    square = var(x, axis, correction=correction, keepdims=keepdims)
    return sqrt(square) if common.count(x.shape, as_axes(axis)) != 1 else square  # of one element: always 0


# ------------------------------------------------------------------ extremes: ties share evenly
def _extreme_back(F: Any, g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    best = F.astype(F.equal(x, out.reshape(kept(x.shape, axis))), dtype=x.dtype)
    share = F.sum(best, axis=axis, keepdims=True)
    return best * (g.reshape(kept(x.shape, axis)) / share)


def _extreme_tangent(F: Any, ts: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    best = F.astype(F.equal(x, out.reshape(kept(x.shape, axis))), dtype=x.dtype)
    return F.sum(best * ts[0], axis=axis, keepdims=keepdims) / F.sum(best, axis=axis, keepdims=keepdims)


@operation(vjp=(_extreme_back,), jvp=_extreme_tangent, saves=("x", "out"))
def max(x: Any, axis: Any = None, *, keepdims: bool = False) -> Arguments:
    """The largest element over `axis`; equal ones share the gradient evenly. NaN propagates."""
    return (x,), {"axis": as_axes(axis), "keepdims": keepdims}


@operation(vjp=(_extreme_back,), jvp=_extreme_tangent, saves=("x", "out"))
def min(x: Any, axis: Any = None, *, keepdims: bool = False) -> Arguments:
    """The smallest element over `axis`; equal ones share the gradient evenly. NaN propagates."""
    return (x,), {"axis": as_axes(axis), "keepdims": keepdims}


def _logsumexp_back(F: Any, g: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    shape = kept(x.shape, axis)
    top = out.reshape(shape)
    return g.reshape(shape) * F.exp(x - F.where(F.isfinite(top), top, F.zeros_like(top)))


def _logsumexp_tangent(F: Any, ts: Any, out: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    top = out.reshape(kept(x.shape, axis))
    weights = F.exp(x - F.where(F.isfinite(top), top, F.zeros_like(top)))
    return F.sum(weights * ts[0], axis=axis, keepdims=keepdims)


@operation(vjp=(_logsumexp_back,), jvp=_logsumexp_tangent, saves=("x", "out"), widens=True)
def logsumexp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Arguments:
    """log(sum(exp(x))) without overflow; -inf for an empty axis. Its gradient is the softmax.

    >>> import tensorflowlite_bp as bp
    >>> bp.nn.logsumexp(bp.asarray([1000.0, 1000.0])).item()
    1000.6931471805599
    """
    return (x,), {"axis": as_axes(axis), "keepdims": keepdims}


# ------------------------------------------------------------------ products
def _prod_reference(x: Any, *, axis: Axis, keepdims: bool) -> Tensor:
    """Halving: log2(n) element-wise products, whose derivative is right with any number of zeros, to any
    order.
    """
    axes = (
        tuple(range(x.ndim))
        if axis is None or not x.ndim
        else tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    )
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    n = common.count(x.shape, axes)
    out = s.reshape(s.transpose(x, rest + axes), tuple(x.shape[i] for i in rest) + (n,))
    while n > 1:
        half = n // 2
        product = out[..., :half] * out[..., half : 2 * half]
        out = s.concatenate([product, out[..., 2 * half :]], axis=-1) if n % 2 else product
        n = half + n % 2
    shape = kept(x.shape, axes) if keepdims else tuple(x.shape[i] for i in rest)
    if n == 0:
        return sum(out, axis=-1).reshape(shape) + 1.0
    return s.reshape(out, shape)


def _plain_products(F: Any, out: Any) -> bool:
    """Whether no product has vanished or overflowed: out / x then is the product of the other factors."""
    return always(F.all(F.logical_and(F.isfinite(out), F.not_equal(out, 0))))


def _prod_back(F: Any, g: Any, out: Any, needs: Any, x: Any, *, axis: Axis, keepdims: bool) -> list[Any]:
    """On raw arrays: out / x, or (with zeros among the factors) the product of the others by running
    products from both ends.
    """
    if _plain_products(F, out):
        return [_spread(F, g * out, x, axis) / x]
    axes = (
        tuple(range(x.ndim))
        if axis is None or not x.ndim
        else tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    )
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    flat = x.transpose(rest + axes).reshape(tuple(x.shape[i] for i in rest) + (-1,))
    before, after = F.ones_like(flat), F.ones_like(flat)
    before[..., 1:] = F.cumprod(flat[..., :-1], axis=-1)
    after[..., :-1] = F.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
    others = (before * after).reshape(tuple(x.shape[i] for i in rest + axes)).transpose(_inverse(rest + axes))
    return [_spread(F, g, x, axis) * others]


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(axes)
    for i, a in enumerate(axes):
        out[a] = i
    return tuple(out)


@operation(vjp_all=_prod_back, reference=_prod_reference, saves=("x", "out"), widens=True)
def prod(x: Any, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Arguments:
    """The product over `axis`; right gradients with zeros among the factors too. dtype: convert to it
    first.
    """
    if dtype is None:
        return (x,), {"axis": as_axes(axis), "keepdims": keepdims}
    return _converted(x, axis, dtype, keepdims)


# ------------------------------------------------------------------ running
def _cumsum_back(F: Any, g: Any, out: Any, x: Any, *, axis: int) -> Any:
    return F.flip(F.cumsum(F.flip(g, axis=axis), axis=axis), axis=axis)


@operation(vjp=(_cumsum_back,), linear="joint", widens=True)
def _cumsum(x: Any, axis: int) -> Arguments:
    return (x,), {"axis": axis}


@helper
def cumsum(x: Any, axis: int | None = None) -> Tensor:
    """The running sum along `axis`; None: of the flattened array."""
    return _cumsum(*_along(x, axis))


def _along(x: Any, axis: int | None) -> tuple[Tensor, int]:
    """None: the flattened array. A 0-d array has one element to run over, as in NumPy."""
    x = lift(x)
    return (x.reshape(-1), 0) if axis is None or (x.ndim == 0 and axis in (0, -1)) else (x, axis)


def _recurrence(F: Any, a: Any, b: Any, axis: int) -> Any:
    """h[k] = a[k] h[k-1] + b[k] along an axis, from h[-1] = 0.

    By doubling, log2(n) steps: after each, h[k] holds the terms of the last 2, 4, 8, ... places.
    """
    lead = (slice(None),) * (axis % len(b.shape))
    step = 1
    while step < b.shape[axis]:
        head, tail, earlier = (*lead, slice(step)), (*lead, slice(step, None)), (*lead, slice(-step))
        b = F.concatenate([b[head], b[tail] + a[tail] * b[earlier]], axis=axis)
        a = F.concatenate([a[head], a[tail] * a[earlier]], axis=axis)
        step *= 2
    return b


def _shifted(F: Any, x: Any, axis: int) -> Any:
    """x moved one place up an axis, a one moving in."""
    lead = (slice(None),) * (axis % len(x.shape))
    return F.concatenate([F.ones_like(x[(*lead, slice(0, 1))]), x[(*lead, slice(-1))]], axis=axis)


def _backwards(F: Any, running: Any, axis: int, *xs: Any) -> Any:
    """A running function from the far end of an axis."""
    return F.flip(running(*[F.flip(x, axis=axis) for x in xs]), axis=axis)


def _cumprod_back(F: Any, g: Any, out: Any, needs: Any, x: Any, *, axis: int) -> list[Any]:
    """On raw arrays: sum(g[k] out[k], k >= i) / x[i]; or, where a product vanishes or overflows, out[i-1]
    times r[i] = g[i] + x[i+1] r[i+1].
    """
    if _plain_products(F, out):
        return [_backwards(F, lambda y: F.cumsum(y, axis=axis), axis, g * out) / x]
    rest = _backwards(F, lambda a, b: _recurrence(F, _shifted(F, a, axis), b, axis), axis, x, g)
    return [_shifted(F, out, axis) * rest]


def _cumprod_reference(x: Any, *, axis: int) -> Tensor:
    """By doubling: log2(n) element-wise products, whose derivatives hold for any factors, to any order."""
    lead = (slice(None),) * (axis % x.ndim)
    step = 1
    while step < x.shape[axis]:
        head, tail, earlier = (*lead, slice(step)), (*lead, slice(step, None)), (*lead, slice(-step))
        x = s.concatenate([x[head], x[tail] * x[earlier]], axis)
        step *= 2
    return x


@operation(vjp_all=_cumprod_back, reference=_cumprod_reference, saves=("x", "out"), widens=True)
def _cumprod(x: Any, axis: int) -> Arguments:
    return (x,), {"axis": axis}


@helper
def cumprod(x: Any, axis: int | None = None) -> Tensor:
    """The running product along `axis` (None: of the flattened array); right gradients, to any order, with
    zeros among the factors too.

    The gradient takes time linear in the length; with zeros, and in higher orders, log2(n) times that.
    """
    return _cumprod(*_along(x, axis))


# ------------------------------------------------------------------ without a derivative
argmax = nondiff(
    "argmax",
    lambda B, x, axis=None, *, keepdims=False: B.argmax(x, axis=axis, keepdims=keepdims),
    doc="The index of the first largest element.",
)
argmin = nondiff(
    "argmin",
    lambda B, x, axis=None, *, keepdims=False: B.argmin(x, axis=axis, keepdims=keepdims),
    doc="The index of the first smallest element.",
)
any = nondiff(
    "any",
    lambda B, x, axis=None, *, keepdims=False: B.any(x, axis=axis, keepdims=keepdims),
    doc="Whether any element is true.",
)
all = nondiff(
    "all",
    lambda B, x, axis=None, *, keepdims=False: B.all(x, axis=axis, keepdims=keepdims),
    doc="Whether all elements are true.",
)
count_nonzero = nondiff(
    "count_nonzero",
    lambda B, x, axis=None, *, keepdims=False: B.count_nonzero(x, axis=axis, keepdims=keepdims),
    doc="How many elements are not zero.",
)

amax = max
amin = min
