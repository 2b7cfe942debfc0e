"""Norms of vectors and matrices, condition numbers, cross products."""

import math
from typing import Any

import numpy as np

from ..autograd.declare import Arguments, operation
from ..autograd.op import graph, helper, is_float
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..backend.batched import ever
from ..errors import ShapeError, message
from .elementwise import absolute, astype, not_equal, power, where
from .reductions import kept, max, min, sum
from .shape import concatenate, expand_dims, moveaxis, reshape, stack
from .solve import check_matrix, flip, floating, inv


def _norm2_back(F: Any, g: Any, out: Any, x: Any, *, axis: Any, keepdims: bool) -> Any:
    shape = kept(x.shape, axis)
    length = out.reshape(shape)
    zero = F.equal(length, 0)
    safe = F.where(zero, F.ones_like(length), length)
    return F.where(zero, F.zeros_like(length), g.reshape(shape) / safe) * flip(F, x)


@operation(vjp=(_norm2_back,), saves=("x", "out"), widens=True)
def norm2(x: Any, axis: Any = None, *, keepdims: bool = False) -> Arguments:
    """The Euclidean length over `axis`; its gradient at 0 is 0."""
    axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
    x = lift(x)
    return (x if is_float(x.dtype) else floating(x),), {"axis": axis, "keepdims": keepdims}


def _order(name: str, value: Any) -> float:
    if isinstance(value, (int, float, np.number)):
        return float(value)
    raise ValueError(message(name, "the order must be a number, for these axes.", received=repr(value)))


@helper(name="linalg.vector_norm")
def vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """sum(|x|^ord)^(1 / ord) over `axis`; inf the largest, -inf the smallest, 0 how many are not 0.

    The gradient is 0 where the norm is 0, and for ord < 1 in entries that are 0; equal largest or smallest
    entries share it.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.vector_norm([3.0, 4.0]).item(), bp.linalg.vector_norm([3.0, 4.0], ord=1).item()
    (5.0, 7.0)
    """
    x = floating(x)
    axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
    ord = _order("vector_norm", ord)
    if ord == 2:
        return norm2(x, axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(not_equal(x, 0), absolute(x.detach()).dtype), axis, keepdims=keepdims)
    size = absolute(x)
    if ord == math.inf:
        return max(size, axis, keepdims=keepdims)
    if ord == -math.inf:
        return min(size, axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis, keepdims=keepdims)
    nothing = 0.0 if ord > 0 else math.inf  # 0 ** ord
    terms = _power(size, ord, 0.0, nothing) if ord < 1 else power(size, ord)
    return _power(sum(terms, axis, keepdims=keepdims), 1 / ord, nothing, 0.0)


def _power(x: Tensor, exponent: float, special: float, value: float) -> Tensor:
    """x ** exponent; `value`, without a gradient, where x is `special`."""
    found = x.data == special
    if not ever(found.any()):
        return power(x, exponent)
    return where(found, value, power(where(found, 1.0, x), exponent))


@helper(name="linalg.matrix_norm")
def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """A norm of each matrix: "fro", "nuc", 1, -1 (columns), inf, -inf (rows), 2, -2 (singular values).

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.matrix_norm([[3.0, 4.0], [0.0, 0.0]]).item()
    5.0
    """
    x = floating(x)
    check_matrix("matrix_norm", x, square=False)
    if ord in ("fro", "f", None):
        return norm2(x, (-2, -1), keepdims=keepdims)
    if ord == "nuc" or ord in (2, -2):
        s = graph.linalg.svdvals(x)
        out = sum(s, -1) if ord == "nuc" else max(s, -1) if ord == 2 else min(s, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = sum(absolute(x), -2 if abs(ord) == 1 else -1)
        out = max(sums, -1) if ord > 0 else min(sums, -1)
    else:
        raise ValueError(
            message("matrix_norm", 'ord must be "fro", "nuc", 1, -1, 2, -2, inf or -inf.', received=repr(ord))
        )
    return expand_dims(out, (-2, -1)) if keepdims else out


@helper(name="linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """numpy.linalg.norm: of all elements, of vectors (one axis), or of matrices (two axes).

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.norm([[3.0, 4.0], [6.0, 8.0]], axis=1)
    Tensor([ 5., 10.])
    """
    x = floating(x)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return norm2(x, None, keepdims=keepdims)
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    axes = tuple(int(a) for a in axes)
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise np.exceptions.AxisError(a, x.ndim)
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2 or len({a % x.ndim for a in axes}) != 2:
        raise ValueError(
            message("norm", "one axis, or two different ones, were expected.", received=str(axis))
        )
    out = matrix_norm(moveaxis(x, axes, (-2, -1)), ord=ord)
    return reshape(out, kept(x.shape, axes)) if keepdims else out


@helper(name="linalg.cond")
def cond(x: Any, p: Any = None) -> Tensor:
    """The condition number of each matrix: its norm times its inverse's; None and 2 by singular values.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.cond([[4.0, 0.0], [0.0, 2.0]]).item()
    2.0
    """
    x = floating(x)
    check_matrix("cond", x, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        s = graph.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)


@helper
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The cross product of vectors of 3 (or, as NumPy had it, 2) entries."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = agree_all([lift(a), lift(b)])
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise ShapeError(
            message(
                "cross", "vectors of 3 entries were expected.", received=f"{a.shape[-1]} and {b.shape[-1]}"
            )
        )
    if a.shape[-1] == b.shape[-1] == 2:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    a, b = [_three(x) for x in (a, b)]
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return stack(parts, axis=axisc)


def _three(x: Tensor) -> Tensor:
    return x if x.shape[-1] == 3 else concatenate([x, x[..., :1] * 0], axis=-1)


@helper
def kron(a: Any, b: Any) -> Tensor:
    """The Kronecker product: every element of a times the whole of b."""
    a, b = agree_all([lift(a), lift(b)])
    n = a.ndim if a.ndim > b.ndim else b.ndim
    sa, sb = (1,) * (n - a.ndim) + a.shape, (1,) * (n - b.ndim) + b.shape
    left = reshape(a, tuple(m for k in sa for m in (k, 1)))
    right = reshape(b, tuple(m for k in sb for m in (1, k)))
    return reshape(left * right, tuple(i * j for i, j in zip(sa, sb, strict=True)))
