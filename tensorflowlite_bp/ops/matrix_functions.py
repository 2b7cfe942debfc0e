"""Functions of matrices (exponential, logarithm, square root) and Sylvester's equation.

The derivative of f at A in the direction E is the corner of f([[A, E], [0, A]]) (Mathias 1996): a matrix
function of twice the size, so that every order follows from the function itself. The transpose of that map
is the map of A^T.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd.declare import Arguments, operation
from ..autograd.op import Op, graph, public
from ..autograd.record import apply1
from ..autograd.tensor import Tensor, wrap
from ..backend.batched import Batched
from ..errors import ShapeError, message
from .elementwise import astype
from .indexing import on_host
from .scipy_calls import each, stacked
from .solve import check_matrix, t
from .special import as_precise, floats


# ------------------------------------------------------------------ through blocks of twice the size
def corner(F: Any, function: Callable, a: Any, e: Any) -> Any:
    """The derivative of `function` at a in the direction e, whose size must not dominate that of a."""
    raw = e.data if isinstance(e, Tensor) else e
    size: Any = 1.0
    if raw.size:
        B = backend.of(raw)
        top = B.max(B.absolute(raw), axis=(-2, -1), keepdims=True)
        size = B.where(top > 0, top, B.ones_like(top))
        size = wrap(size) if e is not raw else size
        e = e / size
    n = a.shape[-1]
    below = F.zeros_like(a)
    block = F.concatenate([F.concatenate([a, e], axis=-1), F.concatenate([below, a], axis=-1)], axis=-2)
    return function(block)[..., :n, n:] * size


def _matrix_function(name: str, forward: Callable, doc: str) -> Callable[[Any], Tensor]:
    def of(F: Any) -> Callable:
        return graph_call if F is graph else forward(F)

    op = Op(
        f"linalg.{name}",
        vjp=(lambda F, g, out, x: corner(F, of(F), t(x), g),),
        jvp=lambda F, ts, out, x: corner(F, of(F), x, ts[0]),
        saves=("x",),
        forward=forward,
    )

    def graph_call(x: Any) -> Tensor:
        (x,) = floats(x)
        check_matrix(name, x)
        return apply1(op, x)

    return public(op, graph_call, doc)


@stacked
def _expm(B: Any) -> Callable:
    def forward(x: Any) -> Any:
        f = B.scipy("linalg").expm
        out = x.copy() if not x.size else each(B, f, x) if B.name == "cupy" else f(x)  # SciPy's takes stacks
        return out.astype(x.dtype, copy=False)

    return forward


@stacked
def _logm(B: Any) -> Callable:
    def forward(x: Any) -> Any:
        wide = x.astype(
            "complex128" if x.dtype.kind == "c" else "float64"
        )  # SciPy's own check is made for it
        out = each(B, B.scipy("linalg").logm, wide) if x.size else wide
        return as_precise(out, x)

    return forward


expm = _matrix_function("expm", _expm, "The exponential of each matrix.")
log_matrix = _matrix_function(
    "log_matrix", _logm, "The logarithm of each matrix, in the dtype of its argument."
)


def _complex_where_needed(x: Tensor, result: Callable[[Any], Any]) -> Tensor:
    """A real matrix as a complex one where the function's value is complex."""
    if x.dtype.kind == "c" or result(x.data).dtype.kind != "c":
        return x
    return astype(x, "complex64" if x.dtype == "float32" else "complex128")


def logm(A: Any, **_: Any) -> Tensor:
    """The principal logarithm of each matrix; complex where a real matrix has none that is real.

    Then an eigenvalue is negative: on the cut, where rounding would send the two copies of the derivative's
    block to different sides. The cut is turned away first, past no other eigenvalue.
    """
    (x,) = floats(A)
    check_matrix("logm", x)
    z = _complex_where_needed(x, _logm(backend.of(x.data)))
    if z is x:
        return log_matrix(x)
    values = on_host(x.data.data if isinstance(x.data, Batched) else x.data)
    angles = np.pi - np.abs(np.angle(np.linalg.eigvals(values)))
    turn = 0.5 * float(angles[angles > 1e-6].min(initial=1.0))
    one = wrap(backend.of(z.data).eye(x.shape[-1], dtype=z.dtype))
    return log_matrix(z * complex(np.exp(-1j * turn))) + 1j * turn * one


# ------------------------------------------------------------------ Sylvester
@stacked
def _sylvester(B: Any) -> Callable:
    def forward(a: Any, b: Any, q: Any) -> Any:
        return each(B, B.scipy("linalg").solve_sylvester, a, b, q) if q.size else q.copy()

    return forward


def sylvester_in(F: Any, a: Any, b: Any, q: Any) -> Any:
    """sylvester on raw arrays or on Tensors."""
    return sylvester(a, b, q) if F is graph else _sylvester(F)(a, b, q)


def _sylvester_back(F: Any, g: Any, out: Any, needs: Any, a: Any, b: Any, q: Any) -> list[Any]:
    y = sylvester_in(F, t(a), t(b), g)
    return [
        -F.matmul(y, t(out)) if needs[0] else None,
        -F.matmul(t(out), y) if needs[1] else None,
        y if needs[2] else None,
    ]


@operation(
    vjp_all=_sylvester_back, saves=("x", "y", "out"), broadcasts=True, promotes=True, name="linalg.sylvester",
    forward=_sylvester,
)  # fmt: skip
def sylvester(a: Any, b: Any, q: Any) -> Arguments:
    """X with a X + X b = q."""
    a, b, q = floats(a, b, q)
    check_matrix("solve_sylvester", a)
    check_matrix("solve_sylvester", b)
    if q.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise ShapeError(
            message("solve_sylvester", "q must be (n, m).", received=f"a {a.shape}, b {b.shape}, q {q.shape}")
        )
    return (a, b, q), {}


@stacked
def _sqrtm(B: Any) -> Callable:
    def forward(x: Any) -> Any:
        out = each(B, B.scipy("linalg").sqrtm, x) if x.size else x.copy()
        return as_precise(out.astype(x.dtype, copy=False) if x.dtype.kind == "c" else out, x)

    return forward


@operation(
    vjp=(lambda F, g, out, x: sylvester_in(F, t(out), t(out), g),),
    jvp=lambda F, ts, out, x: sylvester_in(F, out, out, ts[0]),
    saves=("out",),
    name="linalg.sqrt_matrix",
    forward=_sqrtm,
)
def sqrt_matrix(x: Any) -> Arguments:
    """The principal square root of each matrix, in the dtype of its argument."""
    return tuple(floats(x)), {}


def sqrtm(A: Any, **_: Any) -> Tensor:
    """The principal square root of each matrix; complex where a real matrix has none that is real."""
    (x,) = floats(A)
    check_matrix("sqrtm", x)
    return sqrt_matrix(_complex_where_needed(x, _sqrtm(backend.of(x.data))))
