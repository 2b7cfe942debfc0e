"""Systems of equations and factorisations under SciPy's names and signatures."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import backend
from ...autograd.op import graph
from ...autograd.record import agree_all, constant
from ...autograd.tensor import Tensor, wrap
from ...errors import DTypeError, message
from ...ops import decompositions, norms
from ...ops import solve as systems
from ...ops.elementwise import astype
from ...ops.indexing import on_host, take_along_axis
from ...ops.linalg import matmul
from ...ops.padding import pad
from ...ops.scipy_calls import sampled
from ...ops.solve import check_matrix, floating, h, t
from ...ops.triangular import lu_packed, lu_parts, solve_triangular

# ------------------------------------------------------------------ solve
_TRIANGULAR = {"upper triangular": False, "lower triangular": True}
_SYMMETRIC = {
    "sym": False, "symmetric": False, "her": True, "hermitian": True, "pos": True, "positive definite": True,
}  # fmt: skip


def _completed(a: Tensor, lower: bool, hermitian: bool) -> Tensor:
    """The matrix of which one triangle is read."""
    half = graph.tril(a, -1) if lower else graph.triu(a, 1)
    middle = a - graph.tril(a, -1) - graph.triu(a, 1)
    return half + middle + (h(graph, half) if hermitian else t(half))


def solve(
    a: Any, b: Any, lower: bool = False, assume_a: Any = None, transposed: bool = False, **_: Any
) -> Tensor:
    """x with a @ x = b. assume_a: what a is known to be, "gen", "sym", "her", "pos", "upper triangular", ...;
    only what SciPy would read then counts, and only that gets a gradient.
    """
    a, b = floating(a), floating(b)
    check_matrix("solve", a)
    kind = assume_a or "gen"
    if kind in _TRIANGULAR:
        return solve_triangular(a, b, int(transposed), _TRIANGULAR[kind])
    if kind in _SYMMETRIC:
        a = _completed(a, lower, _SYMMETRIC[kind])
    elif kind == "diagonal":
        a = a * np.eye(a.shape[-1], dtype=a.dtype)
    elif kind == "tridiagonal":
        a = graph.tril(graph.triu(a, -1), 1)
    elif kind not in ("gen", "general", "banded"):
        raise ValueError(message("solve", "assume_a names a kind of matrix.", received=repr(assume_a)))
    return systems.solve(t(a) if transposed else a, b)


def inv(a: Any, **_: Any) -> Tensor:
    """The inverse of each matrix."""
    return systems.inv(a)


def det(a: Any, **_: Any) -> Tensor:
    """The determinant of each matrix."""
    return systems.det(a)


def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, **_: Any) -> Any:
    """The pseudo-inverse of each matrix; singular values up to atol + rtol times the largest count as 0."""
    a = floating(a)
    s = decompositions.svdvals(a.detach()).data
    largest = s.max(axis=-1) if s.shape[-1] else s.sum(axis=-1)
    if rtol is None:
        rtol = max(a.shape[-2:]) * float(np.finfo(s.dtype).eps) if atol is None else 0.0
    cut = rtol + (atol or 0.0) / np.where(largest > 0, largest, 1)
    out = systems.pinv(a, rtol=cut if cut.ndim else float(cut))
    return (out, (s > (cut * largest)[..., None]).sum(-1)) if return_rank else out


def lstsq(a: Any, b: Any, cond: Any = None, **_: Any) -> tuple[Any, Any, int, Any]:
    """(x, residuals, rank, singular values) of the least-squares solution."""
    return systems.lstsq(a, b, cond)


def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, **_: Any) -> Tensor:
    """A norm of vectors or matrices, as numpy.linalg.norm."""
    return norms.norm(a, ord, axis, keepdims)


# ------------------------------------------------------------------ LU
def lu(a: Any, permute_l: bool = False, *_: Any, p_indices: bool = False, **__: Any) -> Any:
    """(P, L, U) with a = P @ L @ U; (P @ L, U) with permute_l; with p_indices P as an array of indices."""
    lower, upper, rows = lu_parts(a)
    back = np.argsort(rows, axis=-1)
    if permute_l:
        index = np.broadcast_to(back[..., None], lower.shape)
        return take_along_axis(lower, index, -2), upper
    if p_indices:
        return back, lower, upper
    ones = back[..., None] == backend.of(back).arange(rows.shape[-1])
    return wrap(ones.astype(np.empty(0, lower.dtype).real.dtype)), lower, upper


def lu_factor(a: Any, **_: Any) -> tuple[Tensor, np.ndarray]:
    """(LU in one matrix, pivots) of square matrices, for lu_solve; the pivots are constants."""
    a = floating(a)
    check_matrix("lu_factor", a)
    packed, rows = lu_packed(a)
    return packed, _exchanges(backend.of(rows))(rows)


@sampled
def _exchanges(B: Any) -> Callable:
    """LAPACK's successive exchanges that lead to an order of rows."""

    def forward(rows: Any) -> Any:
        flat = on_host(rows).reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
        out: Any = np.empty(flat.shape, np.int32)
        for pivots, order in zip(out, flat, strict=True):
            now = list(range(len(order)))
            for i, row in enumerate(order.tolist()):
                pivots[i] = j = now.index(row)
                now[i], now[j] = now[j], now[i]
        return B.asarray(out.reshape(rows.shape))

    return forward


@sampled
def _order(B: Any) -> Callable:
    """The order of rows that exchanges lead to."""

    def forward(pivots: Any) -> Any:
        order = np.arange(pivots.shape[-1])
        for i, j in enumerate(pivots.tolist()):
            order[i], order[j] = order[j], order[i]
        return B.asarray(order)

    return forward


def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0, **_: Any) -> Tensor:
    """x with a @ x = b (trans 0), a^T @ x = b (1), a^H @ x = b (2), from lu_factor(a)."""
    packed, pivots = lu_and_piv
    packed, b = agree_all([floating(packed), floating(b)])
    pivots = constant("lu_solve", pivots)
    rows = _order(backend.of(pivots))(pivots)
    if not trans:
        return solve_triangular(packed, solve_triangular(packed, _reordered(b, rows), 0, True, True))
    out = solve_triangular(packed, solve_triangular(packed, b, trans), trans, True, True)
    return _reordered(out, np.argsort(rows, axis=-1))


def _reordered(x: Tensor, rows: Any) -> Tensor:
    """The rows of one matrix, or the entries of a vector, in another order."""
    return take_along_axis(x, np.broadcast_to(rows[:, None], x.shape) if x.ndim == 2 else rows, 0)


# ------------------------------------------------------------------ Cholesky
def cholesky(a: Any, lower: bool = False, **_: Any) -> Tensor:
    """The Cholesky factor, upper unless `lower`; only that triangle of a is read."""
    return decompositions.cholesky(a, upper=not lower)


def cho_factor(a: Any, lower: bool = False, **_: Any) -> tuple[Tensor, bool]:
    """(factor, lower), for cho_solve. The other triangle holds zeros."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: Any, b: Any, **_: Any) -> Tensor:
    """x with a @ x = b, from cho_factor(a)."""
    c, lower = c_and_lower
    first, second = (0, 2) if lower else (2, 0)
    return solve_triangular(c, solve_triangular(c, b, first, lower), second, lower)


# ------------------------------------------------------------------ QR
def qr(
    a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False, **_: Any
) -> Any:
    """(Q, R), with `pivoting` (Q, R, P) for a[:, P], P a constant; mode "r" leaves Q out, "economic" cuts off
    what is 0.

    The last columns of a "full" Q are not determined by a: GradientError where it records and has more rows
    than columns.
    """
    a = floating(a)
    check_matrix("qr", a, square=False)
    if mode not in ("full", "r", "economic"):
        raise ValueError(message("qr", 'mode must be "full", "r" or "economic".', received=repr(mode)))
    extra: tuple[Any, ...] = ()
    if pivoting:
        columns = _column_order(a.data)
        a, extra = take_along_axis(a, np.broadcast_to(columns[..., None, :], a.shape), -1), (columns,)
    if mode == "r":
        r = decompositions.qr(a, "reduced")[1]
        missing = a.shape[-2] - r.shape[-2]
        return (pad(r, [(0, 0)] * (r.ndim - 2) + [(0, missing), (0, 0)]) if missing else r, *extra)
    q, r = decompositions.qr(a, "reduced" if mode == "economic" else "complete")
    return (q, r, *extra)


def _column_order(x: Any) -> Any:
    from .._namespace import module  # SciPy is imported here, where it is needed

    found = [
        module("linalg").qr(m, mode="r", pivoting=True)[1]
        for m in x.reshape((math.prod(x.shape[:-2]), *x.shape[-2:]))
    ]
    return np.stack(found).reshape(x.shape[:-2] + (x.shape[-1],))


# ------------------------------------------------------------------ singular values, eigenvalues
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, **_: Any) -> Any:
    """(U, s, Vh), or the singular values alone."""
    out = decompositions.svd(a, full_matrices, compute_uv)
    return tuple(out) if compute_uv else out


def svdvals(a: Any, **_: Any) -> Tensor:
    """The singular values of each matrix, falling."""
    return decompositions.svdvals(a)


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    type: int = 1,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    **_: Any,
) -> Any:
    """(eigenvalues rising, eigenvectors) of Hermitian matrices, or of a pencil: type 1 a v = w b v, 2 a b v =
    w v, 3 b a v = w v, b positive definite (reduced by its Cholesky factor).
    """
    a = floating(a)
    check_matrix("eigh", a)
    factor = None
    if b is not None:
        a, b = agree_all([_completed(a, lower, True), _completed(floating(b), lower, True)])
        factor = decompositions.cholesky(b)
        if type == 1:
            half = solve_triangular(factor, a, 0, True)
            a = h(graph, solve_triangular(factor, h(graph, half), 0, True))
        else:
            a = matmul(matmul(h(graph, factor), a), factor)
    w, v = decompositions.eigh(a, "L" if lower else "U")
    kept: Any = slice(None)
    if subset_by_index is not None:
        low, high = subset_by_index
        kept = slice(int(low), int(high) + 1)
    elif subset_by_value is not None:
        low, high = subset_by_value
        kept = np.flatnonzero((w.data > low) & (w.data <= high))
    w = w[..., kept]
    if eigvals_only:
        return w
    v = v[..., kept]
    if factor is not None:
        v = matmul(factor, v) if type == 3 else solve_triangular(factor, v, 2, True)
    return w, v


def eigvalsh(a: Any, b: Any = None, **options: Any) -> Tensor:
    """The eigenvalues alone, as `eigh`."""
    return eigh(a, b, eigvals_only=True, **options)


def eig(a: Any, b: Any = None, left: bool = False, right: bool = True, **options: Any) -> Any:
    """(eigenvalues, [left vectors,] [right vectors]), complex, the vectors of length 1; b not singular."""
    if options.get("homogeneous_eigvals"):
        raise TypeError(message("eig", "homogeneous eigenvalues have no derivative here."))
    a = floating(a)
    if b is not None:
        a = systems.solve(b, a)
        if left:
            expected = "left vectors of a pencil have no derivative here."
            raise DTypeError(message("eig", expected, hint="left=False."))
    if not left and not right:
        return _complexes(decompositions.eigvals(a, always_complex=True))
    w, v = decompositions.eig(a, always_complex=True)
    vectors = []
    if left:
        inverse = h(graph, systems.inv(v))
        vectors.append(inverse / norms.norm2(inverse, -2, keepdims=True))
    return (w, *vectors, v) if right else (w, *vectors)


def _complexes(w: Tensor) -> Tensor:
    return w if w.dtype.kind == "c" else astype(w, "complex128")


def eigvals(a: Any, b: Any = None, **_: Any) -> Tensor:
    """The eigenvalues alone, complex."""
    return eig(a, b, right=False)


FUNCTIONS = {
    f.__name__: f
    for f in (
        solve, solve_triangular, inv, det, pinv, lstsq, norm, lu, lu_factor, lu_solve, cholesky, cho_factor,
        cho_solve, qr, svd, svdvals, eigh, eigvalsh, eig, eigvals,
    )
}  # fmt: skip
