"""Functions of matrices under SciPy's names."""

from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.record import agree_all
from ...autograd.tensor import Tensor
from ...ops.elementwise import imag, real
from ...ops.linalg import matmul
from ...ops.matrix_functions import corner, expm, logm, sqrtm, sylvester
from ...ops.norms import kron
from ...ops.shape import reshape
from ...ops.solve import check_matrix, floating, h, solve


def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: bool = True, **_: Any) -> Any:
    """(expm(A), its derivative at A in the direction E), or the derivative alone."""
    A, E = agree_all([floating(A), floating(E)])
    check_matrix("expm_frechet", A)
    along = corner(graph, expm, A, E)
    return (expm(A), along) if compute_expm else along


# ------------------------------------------------------------------ trigonometric, hyperbolic
def _turned(A: Any) -> tuple[Tensor, Tensor | None]:
    """exp(i A), and for complex A exp(-i A)."""
    A = floating(A)
    return expm(1j * A), expm(-1j * A) if A.dtype.kind == "c" else None


def cosm(A: Any) -> Tensor:
    """The cosine of each matrix."""
    up, down = _turned(A)
    return real(up) if down is None else 0.5 * (up + down)


def sinm(A: Any) -> Tensor:
    """The sine of each matrix."""
    up, down = _turned(A)
    return imag(up) if down is None else -0.5j * (up - down)


def tanm(A: Any) -> Tensor:
    """The tangent of each matrix."""
    return solve(cosm(A), sinm(A))


def coshm(A: Any) -> Tensor:
    """The hyperbolic cosine of each matrix."""
    A = floating(A)
    return 0.5 * (expm(A) + expm(-A))


def sinhm(A: Any) -> Tensor:
    """The hyperbolic sine of each matrix."""
    A = floating(A)
    return 0.5 * (expm(A) - expm(-A))


def tanhm(A: Any) -> Tensor:
    """The hyperbolic tangent of each matrix."""
    return solve(coshm(A), sinhm(A))


# ------------------------------------------------------------------ matrix equations
def solve_sylvester(a: Any, b: Any, q: Any) -> Tensor:
    """X with a X + X b = q; differentiable in all three."""
    return sylvester(a, b, q)


def solve_continuous_lyapunov(a: Any, q: Any) -> Tensor:
    """X with a X + X a^H = q."""
    a = floating(a)
    return sylvester(a, h(graph, a), q)


def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Tensor:
    """X with a X a^H - X + q = 0, as one system of n^2 equations."""
    a, q = agree_all([floating(a), floating(q)])
    check_matrix("solve_discrete_lyapunov", a)
    n = a.shape[-1]
    system = np.eye(n * n, dtype=a.dtype) - kron(a, graph.conjugate(a) if a.dtype.kind == "c" else a)
    return reshape(solve(system, reshape(q, -1)), (n, n))


# ------------------------------------------------------------------ polar decomposition
def polar(a: Any, side: str = "right") -> tuple[Tensor, Tensor]:
    """(u, p) with a = u p ("right") or a = p u ("left"), u unitary, p Hermitian and positive; a of full rank.

    p is a square root whose derivative is an equation of Sylvester's, so that equal singular values do no
    harm.
    """
    a = floating(a)
    check_matrix("polar", a, square=False)
    adjoint = h(graph, a)
    if a.shape[-2] >= a.shape[-1]:
        p = sqrtm(matmul(adjoint, a))
        u = h(graph, solve(p, adjoint))
        return (u, p) if side == "right" else (u, matmul(a, h(graph, u)))
    p = sqrtm(matmul(a, adjoint))
    u = solve(p, a)
    return (u, p) if side == "left" else (u, matmul(h(graph, u), a))


def orthogonal_procrustes(A: Any, B: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """(R, scale): the orthogonal R that takes A nearest to B, and the sum of the singular values of A^H B."""
    A, B = agree_all([floating(A), floating(B)])
    u, p = polar(matmul(h(graph, A), B))
    return u, real(graph.trace(p, 0, -2, -1))


FUNCTIONS = {
    f.__name__: f
    for f in (
        expm, expm_frechet, logm, sqrtm, cosm, sinm, tanm, coshm, sinhm, tanhm, solve_sylvester,
        solve_continuous_lyapunov, solve_discrete_lyapunov, polar, orthogonal_procrustes,
    )
}  # fmt: skip
FUNCTIONS["solve_lyapunov"] = solve_continuous_lyapunov
