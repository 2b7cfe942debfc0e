"""Linear algebra: the `linalg` extension of the array API standard and the rest of numpy.linalg.

Everything is stacked: the last two axes are matrices, those before them a batch.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda a: bp.linalg.slogdet(a)[1])(np.array([[2.0, 0.0], [0.0, 4.0]]))
array([[0.5 , 0.  ],
       [0.  , 0.25]])
"""

from typing import Any

from numpy.linalg import LinAlgError

from .autograd.tensor import Tensor
from .ops.decompositions import (
    cholesky,
    eigh,
    eigvalsh,
    qr,
    svd,
    svdvals,
)
from .ops.decompositions import eig as _eig
from .ops.decompositions import eigvals as _eigvals
from .ops.indexing import diagonal as _diagonal
from .ops.indexing import trace as _trace
from .ops.linalg import matmul, outer, tensordot, vecdot
from .ops.norms import cond, matrix_norm, norm, vector_norm
from .ops.norms import cross as _cross
from .ops.shape import matrix_transpose
from .ops.solve import (
    det,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    multi_dot,
    pinv,
    slogdet,
    solve,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "inv", "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot",
    "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv",
    "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of 3 entries along `axis`.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.cross([1, 0, 0], [0, 1, 0])
    Tensor([0, 0, 1])
    """
    return _cross(x1, x2, axis=axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonal of each matrix.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.diagonal([[1, 2], [3, 4]])
    Tensor([1, 4])
    """
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonal of each matrix.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.trace([[1, 2], [3, 4]])
    Tensor(5)
    """
    out = _trace(x, offset, -2, -1)
    return out if dtype is None else out.astype(dtype)


def eig(x: Any, /) -> Any:
    """(eigenvalues, eigenvectors as columns) of each matrix, always complex.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.eig([[0.0, 1.0], [-1.0, 0.0]]).eigenvalues
    Tensor([0.+1.j, 0.-1.j], dtype=complex128)
    """
    return _eig(x, always_complex=True)


def eigvals(x: Any, /) -> Tensor:
    """The eigenvalues of each matrix, always complex.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.eigvals([[2.0, 1.0], [0.0, 2.0]])
    Tensor([2.+0.j, 2.+0.j], dtype=complex128)
    """
    return _eigvals(x, always_complex=True)
