"""Products of matrices and tensors."""

import math
from typing import Any

import numpy as np

from ..autograd.autocast import lowered, narrow
from ..autograd.declare import Arguments, binary, operation, pair
from ..autograd.op import helper
from ..autograd.record import agree_all, apply2, lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from . import inplace
from .elementwise import conjugate
from .indexing import diagonal
from .shape import moveaxis

# ------------------------------------------------------------------ matmul


def _matmul_x(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    if len(x.shape) == 1:
        if y.ndim == 1:
            return g * y
        return F.matmul(y, g[..., None])[..., 0]  # the engine sums over y's leading axes
    return g[..., None] * y if y.ndim == 1 else F.matmul(g, y.swapaxes(-1, -2))


def _matmul_y(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    if x.ndim == 1:
        return g * x if len(y.shape) == 1 else x[:, None] * g[..., None, :]
    if len(y.shape) == 2 and x.ndim > 2:  # the rows of all at once, not a stack of products to be summed
        count = math.prod(x.shape[:-1])
        rows, g = x.reshape((count, x.shape[-1])), g.reshape((count, g.shape[-1]))
        return F.matmul(rows.swapaxes(-1, -2), g)
    return (
        F.matmul(x.swapaxes(-1, -2), g[..., None])[..., 0]
        if len(y.shape) == 1
        else F.matmul(x.swapaxes(-1, -2), g)
    )


_matmul = binary("matmul", vjp=(_matmul_x, _matmul_y), saves=("x", "y"), elementwise=False, linear="each")
_MATMUL = _matmul.op  # type: ignore[attr-defined]


@helper
def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product x1 @ x2; axes before the last two broadcast, a vector is a row on the left and a
    column on the right.

    Raises ShapeError naming the two axes that differ.

    >>> import tensorflowlite_bp as bp
    >>> bp.matmul([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7])
    """
    x1, x2 = pair(x1, x2)
    if not x1.ndim or not x2.ndim or x1.data.shape[-1] != x2.data.shape[-2 if x2.ndim > 1 else 0]:
        _raise_inner("matmul", x1, x2)
    if lowered() is not None:
        x1, x2 = narrow(x1, x2)
    return apply2(_MATMUL, x1, x2)


def _raise_inner(name: str, x1: Tensor, x2: Tensor) -> None:
    a = x1.shape[-1] if x1.ndim else "none"
    b = (x2.shape[-2] if x2.ndim > 1 else x2.shape[0]) if x2.ndim else "none"
    raise ShapeError(
        message(
            name,
            f"the last axis of the first operand ({a}) must equal "
            f"the {'second to last' if x2.ndim > 1 else 'first'} of the second ({b}).",
            received=f"{x1.shape} and {x2.shape}",
        )
    )


@helper
def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's dot: a product with a scalar, of matrices, or over x1's last and x2's second to last axis.

    >>> import tensorflowlite_bp as bp
    >>> bp.dot([1, 2], [3, 4])
    Tensor(11)
    """
    x1, x2 = pair(x1, x2)
    if not x1.ndim or not x2.ndim:
        return x1 * x2
    if x1.ndim <= 2 and x2.ndim <= 2:
        return matmul(x1, x2)
    return tensordot(x1, x2, ((x1.ndim - 1,), (max(x2.ndim - 2, 0),)))


@helper
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The sum of products over the given axes: an int (the last of x1, the first of x2), or a pair of
    sequences.

    >>> import tensorflowlite_bp as bp
    >>> bp.tensordot(bp.ones((2, 3)), bp.ones((3, 2)), axes=1)
    Tensor([[3., 3.],
            [3., 3.]])
    """
    x1, x2 = pair(x1, x2)
    if isinstance(axes, int):
        left, right = tuple(range(x1.ndim - axes, x1.ndim)), tuple(range(axes))
    else:
        left, right = [(a,) if isinstance(a, int) else tuple(a) for a in axes]
    left, right = tuple(a % x1.ndim for a in left), tuple(a % x2.ndim for a in right)
    sizes = [x1.shape[a] for a in left], [x2.shape[a] for a in right]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            message(
                "tensordot",
                f"the contracted axes must agree, {sizes[0]} and {sizes[1]}.",
                received=f"{x1.shape} and {x2.shape}",
            )
        )
    rest1 = tuple(i for i in range(x1.ndim) if i not in left)
    rest2 = tuple(i for i in range(x2.ndim) if i not in right)
    inner = 1
    for n in sizes[0]:
        inner *= n
    shape1, shape2 = tuple(x1.shape[i] for i in rest1), tuple(x2.shape[i] for i in rest2)
    count1, count2 = _count(shape1), _count(shape2)
    a = x1.transpose(rest1 + left).reshape((count1, inner))
    b = x2.transpose(right + rest2).reshape((inner, count2))
    return matmul(a, b).reshape(shape1 + shape2)


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for k in shape:
        n *= k
    return n


@helper
def inner(x1: Any, x2: Any) -> Tensor:
    """The sum of products over the last axes.

    >>> import tensorflowlite_bp as bp
    >>> bp.inner([1, 2], [3, 4])
    Tensor(11)
    """
    x1, x2 = pair(x1, x2)
    return x1 * x2 if not x1.ndim or not x2.ndim else tensordot(x1, x2, ((-1,), (-1,)))


@helper
def outer(x1: Any, x2: Any) -> Tensor:
    """All products of the elements of two flattened arrays.

    >>> import tensorflowlite_bp as bp
    >>> bp.outer([1, 2], [3, 4])
    Tensor([[3, 4],
            [6, 8]])
    """
    x1, x2 = pair(x1, x2)
    return x1.reshape(-1, 1) * x2.reshape(1, -1)


@helper
def vdot(x1: Any, x2: Any) -> Tensor:
    """The sum of conj(x1) * x2 over all elements.

    >>> import tensorflowlite_bp as bp
    >>> bp.vdot([1j], [1j])
    Tensor(1.+0.j, dtype=complex128)
    """
    x1, x2 = pair(x1, x2)
    return matmul((conjugate(x1) if x1.dtype.kind == "c" else x1).reshape(-1), x2.reshape(-1))


@helper
def vecdot(x1: Any, x2: Any, axis: int = -1) -> Tensor:
    """The sum of conj(x1) * x2 along an axis, which has one length in both; the others broadcast.

    >>> import tensorflowlite_bp as bp
    >>> bp.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    Tensor([3., 7.])
    """
    x1, x2 = pair(x1, x2)
    x1 = moveaxis(conjugate(x1) if x1.dtype.kind == "c" else x1, axis, -1)
    x2 = moveaxis(x2, axis, -1)
    out = matmul(x1.reshape((*x1.shape[:-1], 1, x1.shape[-1])), x2.reshape((*x2.shape, 1)))
    return out.reshape(out.shape[:-2])


@helper
def matvec(x1: Any, x2: Any, /) -> Tensor:
    """The products of matrices (..., m, n) and vectors (..., n); leading axes broadcast."""
    x1, x2 = pair(x1, x2)
    return matmul(x1, x2.reshape((*x2.shape, 1)))[..., 0]


@helper
def vecmat(x1: Any, x2: Any, /) -> Tensor:
    """The products of vectors (..., n), conjugated, and matrices (..., n, m); leading axes broadcast."""
    x1, x2 = pair(x1, x2)
    x1 = conjugate(x1) if x1.dtype.kind == "c" else x1
    return matmul(x1.reshape((*x1.shape[:-1], 1, x1.shape[-1])), x2)[..., 0, :]


# ------------------------------------------------------------------ einsum


def _einsum_back(
    F: Any, g: Any, out: Any, needs: Any, *xs: Any, labels: tuple[str, ...], result: str
) -> list[Any]:
    pulled = []
    for k, need in enumerate(needs):
        if not need:
            pulled.append(None)
            continue
        rest = [(x, n) for j, (x, n) in enumerate(zip(xs, labels, strict=True)) if j != k]
        part = F.einsum_labelled(
            g, *[x for x, _ in rest], labels=(result, *[n for _, n in rest]), result=labels[k]
        )
        # a label may have length 1 in all the others: what was summed over here came from one element there
        shape = np.broadcast_shapes(part.shape, xs[k].shape)
        pulled.append(part if part.shape == shape else F.broadcast_to(part, shape))
    return pulled


@operation(vjp_all=_einsum_back, saves=("x", "y", "z"), linear="each", broadcasts=True, promotes=True)
def einsum_labelled(*xs: Any, labels: tuple[str, ...], result: str) -> Arguments:
    """einsum with every label at most once per operand, and none that stands in one operand alone and not in
    the result.
    """
    return xs, {"labels": labels, "result": result}


@helper
def einsum(subscripts: str, *operands: Any, optimize: Any = None) -> Tensor:
    """Einstein summation, any expression NumPy takes in subscript form.

    Repeated labels in an operand take its diagonal; "..." stands for broadcast axes; without "->" the result
    has the labels that occur once, sorted.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.einsum("ij,ij->i", np.ones((2, 3)), np.ones((2, 3)))
    Tensor([3., 3.])
    """
    xs = [lift(x) for x in operands]
    xs = list(agree_all(list(narrow(*xs)) if lowered() is not None else xs))
    inputs, result = _parse(subscripts, xs)
    if len(xs) == 1 and len(result) < len(inputs[0]) and set(inputs[0]) == set(result) and _plain(xs[0]):
        # diagonals: a view that can be written to, as NumPy's
        return inplace.viewing(xs[0], lambda a: np.einsum(f"{inputs[0]}->{result}", a))
    labels = []
    for k, names in enumerate(inputs):
        x, names = _unique(xs[k], names)
        elsewhere = set(result).union(*[n for j, n in enumerate(inputs) if j != k])
        alone = tuple([i for i, n in enumerate(names) if n not in elsewhere])
        if alone:
            x, names = x.sum(alone), "".join(n for n in names if n in elsewhere)
        xs[k] = x
        labels.append(names)
    return einsum_labelled(*xs, labels=tuple(labels), result=result)


def _plain(x: Tensor) -> bool:
    return type(x.data) is np.ndarray


def _parse(subscripts: str, xs: list[Tensor]) -> tuple[list[str], str]:
    """Labels per operand and of the result, with "..." written out."""
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(xs):
        raise ShapeError(
            message("einsum", f"{subscripts!r} needs {len(inputs)} operands.", received=str(len(xs)))
        )
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in text]
    widest = max([x.ndim - (len(n) - 3) for n, x in zip(inputs, xs, strict=True) if "..." in n], default=0)
    dots = "".join(free[:widest])
    written = []
    for names, x in zip(inputs, xs, strict=True):
        extra = x.ndim - len(names.replace("...", ""))
        if extra < 0 or (extra and "..." not in names):
            raise ShapeError(
                message(
                    "einsum", f"{names!r} names {len(names)} axes.", received=f"an operand of shape {x.shape}"
                )
            )
        written.append(names.replace("...", dots[len(dots) - extra :] if extra else ""))
    if arrow:
        result = result.replace("...", dots)
    else:
        every = "".join(written)
        result = dots + "".join(sorted(n for n in set(every) if every.count(n) == 1 and n not in dots))
    for n in result:
        if not any(n in names for names in written) or result.count(n) > 1:
            raise ShapeError(
                message(
                    "einsum",
                    f"the result label {n!r} must stand in an operand, and once in the result.",
                    received=text,
                )
            )
    return written, result


def _unique(x: Tensor, names: str) -> tuple[Tensor, str]:
    """Repeated labels of one operand replaced by its diagonal."""
    for n in dict.fromkeys(names):
        while names.count(n) > 1:
            i = names.index(n)
            j = names.index(n, i + 1)
            x = diagonal(x, 0, i, j)
            names = names[:i] + names[i + 1 : j] + names[j + 1 :] + n
    return x, names
