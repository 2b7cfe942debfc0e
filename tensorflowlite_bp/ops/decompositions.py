"""Matrix decompositions: Cholesky, QR, singular values, eigenvalues. Stacked, real and complex.

Each formula is the one for the conjugate gradient, as its source states it; `flip` turns both of its ends
into the convention of elementwise.py. Sources: Murray 2016 (Cholesky), Walter and Lehmann 2012 (QR), Townsend
2016 (SVD), Giles 2008 and Boeddeker et al. 2017 (eigenvalues, complex cases).
"""

from typing import Any

import numpy as np

from ..autograd.declare import Arguments, operation, operations
from ..autograd.op import graph, helper
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..backend import by_type
from ..backend.batched import ever
from ..errors import GradientError, message
from .elementwise import astype, real
from .shape import concatenate
from .solve import check_matrix, flip, floating, h, t

EighResult: Any = type(np.linalg.eigh(np.eye(1)))
EigResult: Any = type(np.linalg.eig(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))


def _eye(F: Any, n: int, like: Any) -> Any:
    raw = like.data if F is graph else like
    eye = by_type[type(raw)].eye(n, dtype=raw.dtype)
    return lift(eye) if F is graph else eye


def _linalg(x: Tensor) -> Any:
    """The array library's module, for results that have no derivative."""
    return by_type[type(x.data)].linalg


def _inverse_of_differences(F: Any, x: Any, y: Any) -> Any:
    """1 / (x - y), and 0 where they are equal: what belongs to one eigenspace does not mix."""
    d = x - y
    same = F.equal(d, 0)
    return F.where(same, F.zeros_like(d), 1 / F.where(same, F.ones_like(d), d))


def _reciprocal(F: Any, s: Any) -> Any:
    zero = F.equal(s, 0)
    return F.where(zero, F.zeros_like(s), 1 / F.where(zero, F.ones_like(s), s))


# ------------------------------------------------------------------ Cholesky
def _cholesky_back(F: Any, g: Any, out: Any, x: Any) -> Any:
    lower = out
    middle = F.tril(F.matmul(h(F, lower), flip(F, g)))
    middle = middle - 0.5 * middle * _eye(F, x.shape[-1], middle)
    half = F.linalg.solve(h(F, lower), middle)
    a = t(F.linalg.solve(t(lower), t(half)))
    return flip(F, 0.5 * (a + h(F, a)))


@operation(vjp=(_cholesky_back,), saves=("x.shape", "out"), name="linalg.cholesky_lower",
           forward=lambda B: B.linalg.cholesky)  # fmt: skip
def cholesky_lower(x: Any) -> Arguments:
    """The lower triangular factor of each positive definite matrix; only the lower triangle is read."""
    x = floating(x)
    check_matrix("cholesky", x)
    return (x,), {}


@helper(name="linalg.cholesky")
def cholesky(x: Any, upper: bool = False) -> Tensor:
    """L with x = L @ L^H, or with `upper` U with x = U^H @ U. x: (..., n, n) Hermitian, positive definite.

    Its gradient is Hermitian: it moves both triangles alike. Raises LinAlgError where x is not positive
    definite.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.cholesky([[4.0, 0.0], [0.0, 9.0]])
    Tensor([[2., 0.],
            [0., 3.]])
    """
    if not upper:
        return cholesky_lower(x)
    x = graph.swapaxes(floating(x), -1, -2)
    return graph.swapaxes(cholesky_lower(x), -1, -2)


# ------------------------------------------------------------------ QR
def _qr_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any) -> list[Any]:
    q, r = outs
    gq, gr = flip(F, gs[0]), flip(F, gs[1])
    m = F.triu(F.matmul(gr, h(F, r)) - F.matmul(h(F, q), gq))
    both = m + h(F, m)
    both = both - 0.5 * both * _eye(F, r.shape[-1], both)
    a = F.matmul(q, both) + gq
    return [flip(F, h(F, F.linalg.solve(r, h(F, a))))]


@operations(
    vjp=_qr_back, name="linalg.qr_tall", forward=lambda B: lambda x: tuple(B.linalg.qr(x, mode="reduced"))
)
def qr_tall(x: Any) -> Arguments:
    """QR of matrices with at least as many rows as columns."""
    return (x,), {}


@helper(name="linalg.qr")
def qr(x: Any, mode: str = "reduced") -> Any:
    """(Q, R) with x = Q @ R, Q orthonormal, R upper triangular. mode: "reduced", "complete", or "r", R alone.

    Raises GradientError where x records and mode is "complete" for more rows than columns: the columns that
    fill up Q are not determined by x.

    >>> import tensorflowlite_bp as bp
    >>> q, r = bp.linalg.qr([[0.0, 2.0], [1.0, 0.0]])
    >>> bp.all(q @ r == bp.asarray([[0.0, 2.0], [1.0, 0.0]])).item()
    True
    """
    x = floating(x)
    check_matrix("qr", x, square=False)
    rows, columns = x.shape[-2:]
    if mode == "r":
        return qr(x)[1]
    if mode not in ("reduced", "complete"):
        raise ValueError(message("qr", 'mode must be "reduced", "complete" or "r".', received=repr(mode)))
    if mode == "complete" and rows > columns:
        if x.node is not None:
            raise GradientError(
                message(
                    "qr",
                    "the last columns of a complete Q are not determined by the matrix.",
                    received=f"mode='complete' for {rows} rows and {columns} columns",
                    hint="mode='reduced' has a derivative.",
                )
            )
        return QRResult(*[lift(a) for a in _linalg(x).qr(x.data, mode="complete")])
    if rows >= columns:
        return QRResult(*qr_tall(x))
    q, r = qr_tall(x[..., :rows])
    rest = graph.matmul(_adjoint(q), x[..., rows:])
    return QRResult(q, concatenate([r, rest], axis=-1))


def _adjoint(x: Tensor) -> Tensor:
    return h(graph, x)


# ------------------------------------------------------------------ singular values
def _svd_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any) -> list[Any]:
    u, s, vh = outs
    gu, gvh = flip(F, gs[0]), flip(F, gs[2])
    one = _eye(F, s.shape[-1], u)
    inverse = _inverse_of_differences(F, s[..., None, :] ** 2, s[..., :, None] ** 2)
    a, b = F.matmul(h(F, u), gu), F.matmul(vh, h(F, gvh))
    a, b = a - h(F, a), b - h(F, b)
    middle = (a * inverse) * s[..., None, :] + s[..., :, None] * (b * inverse) + gs[1][..., None] * one
    over = _reciprocal(F, s)
    if x.dtype.kind == "c":  # the phase that u and v share
        middle = middle + 0.5 * (a * over[..., None, :]) * one
    out = F.matmul(F.matmul(u, middle), vh)
    if x.shape[-2] > s.shape[-1]:
        part = gu * over[..., None, :]
        out = out + F.matmul(part - F.matmul(u, F.matmul(h(F, u), part)), vh)
    if x.shape[-1] > s.shape[-1]:
        part = over[..., :, None] * gvh
        out = out + F.matmul(u, part - F.matmul(F.matmul(part, h(F, vh)), vh))
    return [flip(F, out)]


@operations(
    vjp=_svd_back, name="linalg.svd_reduced",
    forward=lambda B: lambda x: tuple(B.linalg.svd(x, full_matrices=False)),
)  # fmt: skip
def svd_reduced(x: Any) -> Arguments:
    """u, s, vh with as many columns and rows as there are singular values."""
    x = floating(x)
    check_matrix("svd", x, square=False)
    return (x,), {}


@helper(name="linalg.svd")
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """(U, S, Vh) with x = U[..., :k] * S @ Vh[..., :k, :], S falling. compute_uv=False gives S alone.

    Vectors have a derivative as far as it does not depend on their free phase, and where singular values
    differ. Raises GradientError where x records, is not square, and full_matrices is set: the vectors that
    fill up U or Vh are not determined by x.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.])
    """
    x = floating(x)
    if not compute_uv:
        return svdvals(x)
    check_matrix("svd", x, square=False)
    if not full_matrices or x.shape[-1] == x.shape[-2]:
        return SVDResult(*svd_reduced(x))
    if x.node is not None:
        raise GradientError(
            message(
                "svd",
                "the vectors that full_matrices=True adds are not determined by the matrix.",
                received=f"a recording Tensor of shape {x.shape}",
                hint="full_matrices=False has a derivative; compute_uv=False gives the singular values.",
            )
        )
    return SVDResult(*[lift(a) for a in _linalg(x).svd(x.data)])


@helper(name="linalg.svdvals")
def svdvals(x: Any) -> Tensor:
    """The singular values of each matrix, falling.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.])
    """
    x = floating(x)
    check_matrix("svdvals", x, square=False)
    return svd_reduced(x)[1] if x.node is not None else lift(_linalg(x).svdvals(x.data))


# ------------------------------------------------------------------ eigenvalues of Hermitian matrices
def _eigh_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any, *, uplo: str) -> list[Any]:
    w, v = outs
    gv = flip(F, gs[1])
    inverse = _inverse_of_differences(F, w[..., None, :], w[..., :, None])
    middle = F.matmul(h(F, v), gv) * inverse + gs[0][..., None] * _eye(F, w.shape[-1], v)
    a = F.matmul(F.matmul(v, middle), h(F, v))
    return [flip(F, 0.5 * (a + h(F, a)))]


@operations(
    vjp=_eigh_back, name="linalg.eigh", saves=("x.shape", "out"), result=lambda r: EighResult(*r),
    forward=lambda B: lambda x, *, uplo: tuple(B.linalg.eigh(x, uplo)),
)  # fmt: skip
def eigh(x: Any, UPLO: str = "L") -> Arguments:
    """(eigenvalues rising, eigenvectors as columns) of each Hermitian matrix, of which one triangle is read.

    The gradient is Hermitian. Vectors have a derivative as far as it does not depend on their free phase, and
    where eigenvalues differ; eigenvalues always.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
    Tensor([1., 2.])
    """
    x = floating(x)
    check_matrix("eigh", x)
    return (x,), {"uplo": UPLO}


@helper(name="linalg.eigvalsh")
def eigvalsh(x: Any, UPLO: Any = "L") -> Tensor:
    """The eigenvalues of each Hermitian matrix, rising.

    >>> import tensorflowlite_bp as bp
    >>> bp.grad(lambda a: bp.linalg.eigvalsh(a)[0])(bp.asarray([[2.0, 0.0], [0.0, 1.0]]))
    Tensor([[0., 0.],
            [0., 1.]])
    """
    x = floating(x)
    check_matrix("eigvalsh", x)
    return eigh(x, UPLO)[0] if x.node is not None else lift(_linalg(x).eigvalsh(x.data, UPLO))


# ------------------------------------------------------------------ eigenvalues in general
def _eig_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any, *, real: bool) -> list[Any]:
    w, v = outs
    gw, gv = flip(F, gs[0]), flip(F, gs[1])
    vh = h(F, v)
    along = F.matmul(vh, gv)
    one = _eye(F, w.shape[-1], v)
    share = F.real(F.sum(along * one, axis=-2, keepdims=True))  # the vectors have length 1
    inverse = _inverse_of_differences(F, w[..., None, :], w[..., :, None])
    middle = (along - F.matmul(vh, v) * share) * flip(F, inverse) + gw[..., None] * one
    return [flip(F, F.linalg.solve(vh, F.matmul(middle, vh)))]


def _eig(B: Any) -> Any:
    def forward(x: Any, *, real: bool) -> tuple[Any, ...]:
        return tuple([part.astype(x.dtype, copy=False) for part in B.linalg.eig(x.real if real else x)])

    return forward


@operations(vjp=_eig_back, name="linalg.eig_complex", forward=_eig)
def eig_complex(x: Any, real: bool = False) -> Arguments:
    """(eigenvalues, eigenvectors as columns) of each complex matrix. real: no entry has an imaginary part,
    and the order of the eigenvalues is that of real matrices.
    """
    return (x,), {"real": real}


def _complex(name: str, x: Any) -> tuple[Tensor, bool]:
    x = floating(x)
    check_matrix(name, x)
    if x.dtype.kind == "c":
        return x, False
    if x.dtype.itemsize == 2:
        np.linalg.eigvals(x.data)  # raises what NumPy raises for 16-bit floats
    return astype(x, "complex64" if x.dtype == "float32" else "complex128"), True


@helper(name="linalg.eig")
def eig(x: Any, *, always_complex: bool = False) -> Any:
    """(eigenvalues, eigenvectors as columns) of each matrix; the vectors have length 1 and a free phase.

    Where a real matrix has only real eigenvalues the result is real, as NumPy's, unless always_complex.
    """
    x, was_real = _complex("eig", x)
    w, v = eig_complex(x, was_real)
    if was_real and not always_complex and not ever(w.data.imag.any()) and not ever(v.data.imag.any()):
        w, v = real(w), real(v)
    return EigResult(w, v)


@helper(name="linalg.eigvals")
def eigvals(x: Any, *, always_complex: bool = False) -> Tensor:
    """The eigenvalues of each matrix; real where all are, as NumPy's, unless always_complex."""
    x, was_real = _complex("eigvals", x)
    if x.node is not None:
        w = eig_complex(x, was_real)[0]
    else:
        w = lift(_linalg(x).eigvals(x.data.real if was_real else x.data))
    if w.dtype.kind != "c":
        w = astype(w, x.dtype)
    return real(w) if was_real and not always_complex and not ever(w.data.imag.any()) else w
