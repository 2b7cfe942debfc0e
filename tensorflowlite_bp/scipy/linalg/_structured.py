"""Matrices made of vectors, and systems whose matrix is: Toeplitz, circulant, banded, block diagonal."""

from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.record import agree_all, lift
from ...autograd.tensor import Tensor
from ...errors import ShapeError, message
from ...ops.elementwise import conjugate
from ...ops.linalg import matmul
from ...ops.padding import pad
from ...ops.shape import concatenate, reshape
from ...ops.solve import floating, h
from ...ops.solve import solve as solve_dense


# ------------------------------------------------------------------ made of vectors
def toeplitz(c: Any, r: Any = None) -> Tensor:
    """The matrix with constant diagonals: first column c, first row r (conj(c) unless given)."""
    c = floating(c)
    r = (conjugate(c) if c.dtype.kind == "c" else c) if r is None else r
    c, r = agree_all([c, floating(r)])
    m, n = c.shape[-1], r.shape[-1]
    values = concatenate([graph.flip(c, -1), r[..., 1:]], axis=-1)
    return values[..., np.arange(n)[None, :] - np.arange(m)[:, None] + m - 1]


def circulant(c: Any) -> Tensor:
    """The matrix each of whose columns is the one before, rolled down by one."""
    c = lift(c)
    n = c.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)[None, :]) % max(n, 1)]


def hankel(c: Any, r: Any = None) -> Tensor:
    """The matrix with constant anti-diagonals: first column c, last row r (zeros unless given)."""
    c = lift(c)
    c, r = agree_all([c, lift(np.zeros(c.shape, c.dtype)) if r is None else lift(r)])
    m, n = c.shape[-1], r.shape[-1]
    values = concatenate([c, r[..., 1:]], axis=-1)
    return values[..., np.arange(m)[:, None] + np.arange(n)[None, :]]


def block_diag(*arrs: Any) -> Tensor:
    """The arrays, as matrices, along the diagonal; zeros elsewhere. Axes before the last two broadcast."""
    found = [x if x.ndim >= 2 else reshape(x, (1, -1)) for x in map(lift, arrs)]
    xs = agree_all(found) if found else (lift(np.empty((1, 0))),)
    batch = np.broadcast_shapes(*[x.shape[:-2] for x in xs])
    total = sum(x.shape[-1] for x in xs)
    rows, before = [], 0
    for x in xs:
        x = graph.broadcast_to(x, batch + x.shape[-2:]) if x.shape[:-2] != batch else x
        after = total - before - x.shape[-1]
        rows.append(pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)]))
        before += x.shape[-1]
    return concatenate(rows, axis=-2)


def companion(a: Any) -> Tensor:
    """The companion matrix of a polynomial with coefficients a, highest first."""
    a = floating(a)
    n = a.shape[-1] - 1
    first = -a[..., 1:] / a[..., :1]
    below = np.broadcast_to(np.eye(n - 1, n, dtype=a.dtype), a.shape[:-1] + (n - 1, n))
    return concatenate([reshape(first, (*first.shape[:-1], 1, n)), lift(below)], axis=-2)


def fiedler(a: Any) -> Tensor:
    """|a_i - a_j|."""
    a = lift(a)
    return graph.absolute(a[..., :, None] - a[..., None, :])


def leslie(f: Any, s: Any) -> Tensor:
    """The matrix of a population model: fecundities in the first row, survival below the diagonal."""
    f, s = agree_all([floating(f), floating(s)])
    n = f.shape[-1]
    if s.shape[-1] != n - 1:
        raise ShapeError(message("leslie", "s must be one shorter than f.", received=f"{f.shape}, {s.shape}"))
    below = s[..., :, None] * np.eye(n - 1, n, dtype=s.dtype)
    return concatenate([f[..., None, :], below], axis=-2)


def khatri_rao(a: Any, b: Any) -> Tensor:
    """The Kronecker products of the columns."""
    a, b = agree_all([lift(a), lift(b)])
    out = a[..., :, None, :] * b[..., None, :, :]
    return reshape(out, (*out.shape[:-3], out.shape[-3] * out.shape[-2], out.shape[-1]))


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Tensor:
    """The matrix of the convolution of a with vectors of n entries."""
    a = lift(a)
    m = a.shape[-1]
    k = np.arange(m + n - 1)[:, None] - np.arange(n)[None, :]
    full = a[..., np.clip(k, 0, m - 1)] * ((k >= 0) & (k < m)).astype(a.dtype)
    if mode == "full":
        return full
    length = max(m, n) if mode == "same" else max(m, n) - min(m, n) + 1
    start = (m + n - 1 - length) // 2 if mode == "same" else min(m, n) - 1
    return full[..., start : start + length, :]


# ------------------------------------------------------------------ systems
def _columns(c_or_cr: Any) -> Tensor:
    return toeplitz(*c_or_cr) if isinstance(c_or_cr, tuple) else toeplitz(c_or_cr)


def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Tensor:
    """x with toeplitz(c, r) @ x = b, as a dense system."""
    return solve_dense(_columns(c_or_cr), b)


def matmul_toeplitz(c_or_cr: Any, x: Any, **_: Any) -> Tensor:
    """toeplitz(c, r) @ x."""
    return matmul(_columns(c_or_cr), x)


def solve_circulant(c: Any, b: Any, singular: str = "raise", **options: Any) -> Tensor:
    """x with circulant(c) @ x = b, c and b one vector, or b a matrix."""
    if singular != "raise" or options:
        raise TypeError(message("solve_circulant", "only the default axes are differentiable here."))
    return solve_dense(circulant(floating(c)), b)


def _from_bands(low: int, high: int, ab: Tensor) -> Tensor:
    """The dense matrix of SciPy's diagonal-ordered form: ab[high + i - j, j]."""
    n = ab.shape[-1]
    row = np.arange(n)[:, None] - np.arange(n)[None, :] + high
    inside = (row >= 0) & (row <= low + high)
    picked = ab[..., np.clip(row, 0, low + high), np.broadcast_to(np.arange(n), (n, n))]
    return graph.where(inside, picked, 0.0)


def solve_banded(l_and_u: tuple[int, int], ab: Any, b: Any, **_: Any) -> Tensor:
    """x with a @ x = b for a banded a in diagonal-ordered form; as a dense system."""
    low, high = l_and_u
    return solve_dense(_from_bands(int(low), int(high), floating(ab)), b)


def solveh_banded(
    ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, lower: bool = False, **_: Any
) -> Tensor:
    """x with a @ x = b for a Hermitian banded a, of which one half is given; as a dense system."""
    ab = floating(ab)
    width = ab.shape[-2] - 1
    half = _from_bands(width, 0, ab) if lower else _from_bands(0, width, ab)
    off = graph.tril(half, -1) if lower else graph.triu(half, 1)
    return solve_dense(half + h(graph, off), b)


def _tridiagonal(d: Any, e: Any) -> Tensor:
    d, e = agree_all([floating(d), floating(e)])
    n = d.shape[-1]
    above = pad(e[:, None] * np.eye(n - 1, dtype=d.dtype), [(0, 1), (1, 0)])
    return d[:, None] * np.eye(n, dtype=d.dtype) + above + above.T


def eigvalsh_tridiagonal(d: Any, e: Any, **options: Any) -> Tensor:
    """The eigenvalues of a symmetric matrix with diagonal d and off-diagonal e."""
    return eigh_tridiagonal(d, e, True, **options)


def eigh_tridiagonal(
    d: Any, e: Any, eigvals_only: bool = False, select: str = "a", select_range: Any = None, **_: Any
) -> Any:
    """(eigenvalues, eigenvectors) of a symmetric matrix with diagonal d and off-diagonal e; as a dense
    matrix.
    """
    whole = _tridiagonal(d, e)
    w, v = graph.linalg.eigh(whole)
    if select in ("i", "index"):
        kept: Any = slice(int(select_range[0]), int(select_range[1]) + 1)
    elif select in ("v", "value"):
        kept = np.flatnonzero((w.data > select_range[0]) & (w.data <= select_range[1]))
    else:
        kept = slice(None)
    return w[kept] if eigvals_only else (w[kept], v[:, kept])


FUNCTIONS = {
    f.__name__: f
    for f in (
        toeplitz, circulant, hankel, block_diag, companion, fiedler, leslie, khatri_rao, convolution_matrix,
        solve_toeplitz, matmul_toeplitz, solve_circulant, solve_banded, solveh_banded, eigh_tridiagonal,
        eigvalsh_tridiagonal,
    )
}  # fmt: skip
