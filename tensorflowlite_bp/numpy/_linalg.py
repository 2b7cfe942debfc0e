"""numpy.linalg on Tensors, and NumPy's products of arrays."""

from typing import Any

import numpy as np

from ..autograd.record import constant, lift
from ..autograd.tensor import Tensor
from ..ops import decompositions, norms, solve
from ..ops import linalg as products
from ..ops.elementwise import astype
from ..ops.indexing import diagonal as _diagonal
from ..ops.indexing import trace as _trace
from ..ops.shape import matrix_transpose
from ._table import implements

for _module, _names in {
    decompositions: "cholesky eig eigvals eigh eigvalsh qr svd svdvals",
    solve: "det inv lstsq matrix_power multi_dot pinv slogdet solve tensorinv tensorsolve",
    norms: "cond norm",
}.items():
    for _name in _names.split():
        implements(f"linalg.{_name}")(getattr(_module, _name))

implements("matrix_transpose", "linalg.matrix_transpose")(matrix_transpose)
implements("kron")(norms.kron)
implements("cross")(norms.cross)
implements("dot")(products.dot)
implements("vdot")(products.vdot)
implements("inner")(products.inner)
implements("outer")(products.outer)
implements("tensordot", "linalg.tensordot")(products.tensordot)
implements("linalg.matmul")(products.matmul)
implements("linalg.outer")(products.outer)


# ------------------------------------------------------------------ numpy.linalg, the standard's spellings
@implements("linalg.matrix_norm")
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    return norms.matrix_norm(x, keepdims=keepdims, ord=ord)


@implements("linalg.vector_norm")
def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    return norms.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)


@implements("linalg.cross")
def _linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    return norms.cross(x1, x2, axis=axis)


@implements("linalg.diagonal")
def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    return _diagonal(x, offset, -2, -1)


@implements("linalg.trace")
def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    out = _trace(x, offset, -2, -1)
    return out if dtype is None else astype(out, dtype)


@implements("linalg.vecdot")
def _linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    return products.vecdot(x1, x2, axis)


@implements("linalg.matrix_rank")
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    return solve.matrix_rank(A, tol, hermitian, rtol=rtol)


# ------------------------------------------------------------------ the main namespace
@implements("trace")
def _np_trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    a = lift(a)
    return _trace(a if dtype is None else astype(a, dtype), offset, axis1, axis2)


@implements("diagonal")
def _np_diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return _diagonal(a, offset, axis1, axis2)


@implements("einsum")
def _einsum(
    *operands: Any, optimize: Any = False, dtype: Any = None, order: str = "K", casting: str = "safe"
) -> Tensor:
    """Subscripts first, or operands and their sublists in turn: einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    if not isinstance(operands[0], str):
        operands = _from_sublists(operands)
    subscripts, *xs = operands
    if dtype is not None:
        xs = [astype(lift(x), dtype) for x in xs]
    return products.einsum(subscripts, *xs, optimize=optimize)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_sublists(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Any hashable labels; Ellipsis stands for the axes that are left."""
    arrays = list(operands[: len(operands) // 2 * 2 : 2])
    lists = list(operands[1::2])
    result = operands[-1] if len(operands) % 2 else None
    labels = sorted(
        {n for names in lists for n in names if n is not Ellipsis}, key=lambda n: (str(type(n)), n)
    )
    letter = dict(zip(labels, _LETTERS, strict=False))

    def written(names: Any) -> str:
        return "".join("..." if n is Ellipsis else letter[n] for n in names)

    text = ",".join(written(names) for names in lists)
    return (text if result is None else f"{text}->{written(result)}", *arrays)


@implements("einsum_path")
def _einsum_path(*operands: Any, **options: Any) -> Any:
    """A question about shapes: answered by NumPy."""
    raw = [constant("einsum_path", x.detach()) if isinstance(x, Tensor) else x for x in operands]
    return np.einsum_path(*raw, **options)
