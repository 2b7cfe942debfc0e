"""Triangular systems and the LU factorisation, stacked, real and complex: SciPy's, which NumPy lacks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd.declare import Arguments, operation
from ..autograd.op import Op, graph, helper
from ..autograd.outputs import joint_vjp
from ..autograd.record import apply_many, lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from .elementwise import conjugate
from .indexing import take_along_axis
from .scipy_calls import each, stacked
from .shape import concatenate, reshape
from .solve import check_matrix, t
from .special import floats


# ------------------------------------------------------------------ triangular systems
@stacked
def _solved(B: Any) -> Callable:
    def forward(a: Any, b: Any, *, lower: bool, transposed: bool, unit: bool) -> Any:
        def one(a: Any, b: Any) -> Any:
            if not b.size:
                return B.zeros(b.shape, b.dtype)
            return B.scipy("linalg").solve_triangular(
                a, b, lower=lower, trans=int(transposed), unit_diagonal=unit, check_finite=False
            )

        return each(B, one, a, b)

    return forward


def triangle(F: Any, x: Any, lower: bool, unit: bool) -> Any:
    """The part of a matrix that a triangular solver reads."""
    return F.tril(x, -1 if unit else 0) if lower else F.triu(x, 1 if unit else 0)


def solve_in(F: Any, a: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    """triangular_matrix on raw arrays or on Tensors."""
    if F is graph:
        return triangular_matrix(a, b, lower, transposed, unit)
    return _solved(F)(a, b, lower=lower, transposed=transposed, unit=unit)


def _triangular_b(F: Any, g: Any, out: Any, a: Any, b: Any, *, lower: Any, transposed: Any, unit: Any) -> Any:
    return solve_in(F, a, g, lower, not transposed, unit)


def _triangular_a(F: Any, g: Any, out: Any, a: Any, b: Any, *, lower: Any, transposed: Any, unit: Any) -> Any:
    back = solve_in(F, a, g, lower, not transposed, unit)
    full = F.matmul(out, t(back)) if transposed else F.matmul(back, t(out))
    return -triangle(F, full, lower, unit)


@operation(
    vjp=(_triangular_a, _triangular_b),
    saves=("x", "out"),
    broadcasts=True,
    promotes=True,
    name="linalg.triangular_matrix",
    forward=_solved,
)
def triangular_matrix(
    a: Any, b: Any, lower: bool = False, transposed: bool = False, unit: bool = False
) -> Arguments:
    """x with tri(a) @ x = b, or with tri(a)^T; b a stack of matrices. unit: the diagonal counts as 1."""
    return tuple(floats(a, b)), {"lower": bool(lower), "transposed": bool(transposed), "unit": bool(unit)}


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, **_: Any
) -> Tensor:
    """x with a @ x = b for a triangular a, of which the other triangle is not read; b is (n) or (..., n, k).

    trans: 0 or "N", 1 or "T" for a^T, 2 or "C" for its conjugate. The gradient has the same triangle.
    """
    a, b = floats(a, b)
    check_matrix("solve_triangular", a)
    vector = b.ndim == 1
    if not b.ndim or b.shape[0 if vector else -2] != a.shape[-1]:
        expected = "b must have as many rows as a."
        raise ShapeError(message("solve_triangular", expected, received=f"a {a.shape}, b {b.shape}"))
    code = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    if code == 2 and a.dtype.kind == "c":
        a = conjugate(a)
    out = triangular_matrix(a, reshape(b, (*b.shape, 1)) if vector else b, lower, code != 0, unit_diagonal)
    return out[..., 0] if vector else out


# ------------------------------------------------------------------ LU
@stacked
def _packed(B: Any) -> Callable:
    def forward(x: Any) -> tuple[Any, Any]:
        n = x.shape[-1]
        if not x.size:
            return x.copy(), B.zeros(x.shape[:-1], "int64")
        lus, rows = [], []
        for a in x.reshape((-1, n, n)):
            p, lower, upper = B.scipy("linalg").lu(a, check_finite=False)
            lus.append(B.tril(lower, -1) + upper)
            rows.append(B.argmax(p, axis=0))
        return B.stack(lus).reshape(x.shape), B.stack(rows).reshape(x.shape[:-1])

    return forward


def _packed_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any) -> list[Any]:
    lu, rows = outs
    g = gs[0]
    upper = F.triu(lu)
    lower_t_g = F.matmul(t(F.tril(lu, -1)), F.tril(g, -1)) + F.tril(g, -1)
    middle = F.tril(lower_t_g, -1) + F.triu(F.matmul(F.triu(g), t(upper)))
    left = solve_in(F, lu, middle, True, True, True)
    both = t(solve_in(F, lu, t(left), False, False, False))
    order = np.argsort(rows.data if isinstance(rows, Tensor) else rows, axis=-1)
    order = np.broadcast_to(order[..., None], x.shape)
    return [take_along_axis(both, order, -2) if F is graph else F.take_along_axis(both, order, -2)]


_LU = Op(
    "linalg.lu_packed", vjp_all=joint_vjp(_packed_back), saves=("x.shape", "out"), forward=_packed,
)  # fmt: skip


def lu_packed(x: Any) -> tuple[Tensor, np.ndarray]:
    """L (unit, below the diagonal) and U of row-permuted square matrices in one matrix, and the order of the
    rows.
    """
    lu, rows = apply_many(_LU, tuple(floats(x)), {})
    return lu, rows.data


_LU.call = lu_packed
graph.linalg.lu_packed = lu_packed


@helper(name="linalg.lu_parts")
def lu_parts(x: Any) -> tuple[Tensor, Tensor, np.ndarray]:
    """(L, U, order of rows) with x[order] = L @ U, of matrices (..., m, n)."""
    (x,) = floats(x)
    check_matrix("lu", x, square=False)
    m, n = x.shape[-2:]
    k = min(m, n)
    if m == n:
        lu, rows = lu_packed(x)
        top = x
    else:
        rows = _orders(backend.of(x.data))(x.data)
        top = take_along_axis(x, np.broadcast_to(rows[..., None], x.shape), -2)
        lu, _ = lu_packed(top[..., :k, :k])
    one = lift(backend.of(lu.data).eye(k, dtype=x.dtype))
    lower, upper = graph.tril(lu, -1) + one, graph.triu(lu)
    if m > n:
        rest = t(triangular_matrix(lu, t(top[..., n:, :]), False, True, False))
        lower = concatenate([lower, rest], axis=-2)
    if n > m:
        rest = triangular_matrix(lu, top[..., :, m:], True, False, True)
        upper = concatenate([upper, rest], axis=-1)
    return lower, upper, rows


@stacked
def _orders(B: Any) -> Callable:
    """The order of rows of each rectangular matrix."""

    def one(a: Any) -> Any:
        return B.argmax(B.scipy("linalg").lu(a, check_finite=False)[0], axis=0)[None]

    return lambda x: each(B, one, x)[..., 0, :] if x.size else B.zeros(x.shape[:-1], "int64")
