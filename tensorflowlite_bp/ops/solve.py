"""Systems of linear equations, inverses, determinants. Stacked: every axis before the last two is a batch.

Rules transpose and do not conjugate (the convention of elementwise.py); where a formula is known for the
conjugate gradient, `flip` turns both ends of it. Sources: Giles 2008, "An extended collection of matrix
derivative results"; Golub and Pereyra 1973 for the pseudo-inverse.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.autocast import wide
from ..autograd.declare import Arguments, operation, operations
from ..autograd.op import graph, helper
from ..autograd.record import agree_all, lift, nondiff
from ..autograd.tensor import Tensor, wrap
from ..backend import by_type
from ..backend.batched import Batched, always
from ..errors import ShapeError, message
from .elementwise import absolute, astype
from .linalg import matmul
from .reductions import sum
from .shape import moveaxis, reshape


def t(x: Any) -> Any:
    """The transpose of each matrix."""
    return x.swapaxes(-1, -2)


def flip(F: Any, x: Any) -> Any:
    """The complex conjugate; nothing for real arrays."""
    return F.conjugate(x) if x.dtype.kind == "c" else x


def h(F: Any, x: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return flip(F, t(x))


def floating(x: Any) -> Tensor:
    """Integers become float64, as in NumPy's linear algebra; 16-bit floats stay, for what takes them."""
    x = wide(lift(x))
    return x if x.dtype.kind in "fc" else astype(x, "float64")


class SquareError(ShapeError, np.linalg.LinAlgError):
    """What NumPy calls a LinAlgError."""


def check_matrix(name: str, x: Tensor, square: bool = True) -> None:
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        what = "square matrices" if square else "matrices"
        raise SquareError(
            message(
                name, f"{what} were expected, in the last two axes.", received=f"an array of shape {x.shape}"
            )
        )


# ------------------------------------------------------------------ solve, inverse
def _solve_b(F: Any, g: Any, out: Any, a: Any, b: Any) -> Any:
    return F.linalg.solve(t(a), g)


def _solve_a(F: Any, g: Any, out: Any, a: Any, b: Any) -> Any:
    return -F.matmul(F.linalg.solve(t(a), g), t(out))


@operation(
    vjp=(_solve_a, _solve_b), saves=("x", "out"), broadcasts=True, promotes=True, name="linalg.solve_matrix",
    forward=lambda B: B.linalg.solve,
)  # fmt: skip
def solve_matrix(a: Any, b: Any) -> Arguments:
    """x with a @ x = b, b a stack of matrices (..., n, k)."""
    return (a, b), {}


@helper(name="linalg.solve")
def solve(a: Any, b: Any) -> Tensor:
    """x with a @ x = b. a: (..., n, n). b: (n) or (..., n, k). Raises LinAlgError for a singular matrix.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
    Tensor([1. , 0.5])
    """
    a, b = floating(a), floating(b)
    check_matrix("solve", a)
    vector = b.ndim == 1
    if not b.ndim or b.shape[0 if vector else -2] != a.shape[-1]:
        raise ShapeError(
            message("solve", "b must have as many rows as a.", received=f"a {a.shape}, b {b.shape}")
        )
    out = solve_matrix(a, reshape(b, (*b.shape, 1)) if vector else b)
    return out[..., 0] if vector else out


@operation(
    vjp=(lambda F, g, out, x: -F.matmul(F.matmul(t(out), g), t(out)),), saves=("out",), name="linalg.inv"
)
def inv(x: Any) -> Arguments:
    """The inverse of each matrix. Raises LinAlgError for a singular one.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    x = floating(x)
    check_matrix("inv", x)
    return (x,), {}


# ------------------------------------------------------------------ determinants
def _cofactors(F: Any, x: Any, out: Any) -> Any:
    """d det / d x, which exists for singular matrices too: det(x) x^-T where x is regular enough."""
    raw, det = (v.data if isinstance(v, Tensor) else v for v in (x, out))
    scale = abs(raw).max(axis=(-1, -2)) if raw.shape[-1] else abs(det)
    tiny = np.finfo(raw.dtype).eps ** 0.5 * scale ** raw.shape[-1]
    if always((abs(det) > tiny).all()):
        return out[..., None, None] * t(F.linalg.inv(x))
    if F is graph or raw.shape[-1] <= 4:
        return _adjugate(F, x)
    u, s, vh = F.linalg.svd(x, full_matrices=False)
    n = s.shape[-1]
    others = [F.prod(s[..., [j for j in range(n) if j != i]], axis=-1) for i in range(n)]
    phase = F.linalg.det(u) * F.linalg.det(vh)
    return phase[..., None, None] * F.matmul(flip(F, u) * F.stack(others, axis=-1)[..., None, :], flip(F, vh))


def _adjugate(F: Any, x: Any) -> Any:
    """The cofactors as a polynomial of x, right to every order (Faddeev and LeVerrier)."""
    n = x.shape[-1]
    one = F.eye(n, dtype=x.dtype) if F is not graph else lift(by_type[type(x.data)].eye(n, dtype=x.dtype))
    power = one
    for k in range(1, n):
        product = F.matmul(x, power)
        trace = F.sum(product * one, axis=(-1, -2), keepdims=True)
        power = product - trace * one * (1.0 / k)
    return t(power) * (-1.0) ** (n - 1) if n > 1 else power + x * 0


@operation(
    vjp=(lambda F, g, out, x: g[..., None, None] * _cofactors(F, x, out),),
    saves=("x", "out"), name="linalg.det",
)  # fmt: skip
def det(x: Any) -> Arguments:
    """The determinant of each matrix; its gradient is the matrix of cofactors, also where it is 0.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.det([[1.0, 2.0], [3.0, 5.0]]).item()
    -1.0000000000000004
    """
    x = floating(x)
    check_matrix("det", x)
    return (x,), {}


def _slogdet_back(F: Any, gs: Any, outs: Any, needs: Any, x: Any) -> list[Any]:
    sign, _ = outs
    g = gs[1]
    if x.dtype.kind == "c":  # sign = exp(i Im log det): only its phase moves
        g = g - 1j * F.real(1j * gs[0] * sign)
    return [g[..., None, None] * t(F.linalg.inv(x))]


@operations(vjp=_slogdet_back, name="linalg.slogdet", result=lambda r: SlogdetResult(*r))
def slogdet(x: Any) -> Arguments:
    """(sign, log |det|) of each matrix: no overflow.

    >>> import tensorflowlite_bp as bp
    >>> sign, logdet = bp.linalg.slogdet([[-1e200, 0.0], [0.0, 1e200]])
    >>> sign.item(), logdet.item()
    (-1.0, 921.0340371976183)
    """
    x = floating(x)
    check_matrix("slogdet", x)
    return (x,), {}


SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


# ------------------------------------------------------------------ pseudo-inverse, least squares
def _pinv_back(F: Any, g: Any, out: Any, x: Any, **_: Any) -> Any:
    g = flip(F, g)
    ph, gh = h(F, out), h(F, g)
    one = -F.matmul(F.matmul(ph, g), ph)
    two = F.matmul(F.matmul(gh, out), ph)
    three = F.matmul(F.matmul(ph, out), gh)
    two = two - F.matmul(F.matmul(x, out), two)
    three = three - F.matmul(F.matmul(three, out), x)
    return flip(F, one + two + three)


@operation(
    vjp=(_pinv_back,), saves=("x", "out"), name="linalg.pinv",
    forward=lambda B: lambda x, *, rtol, hermitian: B.linalg.pinv(x, rtol, hermitian),
)  # fmt: skip
def pinv(x: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Arguments:
    """The Moore-Penrose pseudo-inverse of each matrix; singular values below rtol times the largest count as
    0. The gradient holds while the rank does not change.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.pinv([[2.0], [0.0]])
    Tensor([[0.5, 0. ]])
    """
    x = floating(x)
    check_matrix("pinv", x, square=False)
    cut = rcond if rtol is None else rtol
    if cut is None:
        cut = 1e-15 if x.dtype.itemsize > 4 and x.dtype != "complex64" else 1e-6
        cut = max(cut, max(x.shape[-2:], default=0) * float(np.finfo(x.dtype).eps))
    return (x,), {"rtol": cut.data if isinstance(cut, Tensor) else cut, "hermitian": hermitian}


@helper(name="linalg.lstsq")
def lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Tensor, Tensor, int, Tensor]:
    """(x, residuals, rank, singular values) of the least-squares solution of a @ x = b, as NumPy's.

    >>> import tensorflowlite_bp as bp
    >>> x, *_ = bp.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])
    >>> x
    Tensor([2.])
    """
    a, b = agree_all([floating(a), floating(b)])
    check_matrix("lstsq", a, square=False)
    m, n = a.shape
    if not b.ndim or b.shape[0] != m:
        raise ShapeError(message("lstsq", f"b must have {m} rows.", received=f"a {a.shape}, b {b.shape}"))
    cut = float(np.finfo(a.dtype).eps) * max(m, n) if rcond is None else rcond
    s = graph.linalg.svdvals(a)
    rank: Any = (s.data > cut * (s.data.max() if s.size else 0.0)).sum()
    full = always(rank == n) and m > n
    rank = wrap(rank) if isinstance(rank, Batched) else int(rank)
    x = matmul(pinv(a, rtol=max(cut, 0.0)), b)
    columns = b if b.ndim == 2 else reshape(b, (m, 1))
    if full:
        misfit = columns - matmul(a, x if x.ndim == 2 else reshape(x, (n, 1)))
        residuals = sum(absolute(misfit) ** 2, 0)
    else:
        residuals = absolute(columns[:0].reshape(-1))
    return x, residuals, rank, s


# ------------------------------------------------------------------ made of these
@helper(name="linalg.tensorinv")
def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """The inverse of a tensor, as a matrix of its first `ind` axes against the others.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.tensorinv(bp.reshape(bp.eye(6), (6, 2, 3)), ind=1).shape
    (2, 3, 6)
    """
    a = floating(a)
    if ind <= 0:
        raise ValueError(message("tensorinv", "ind must be positive.", received=str(ind)))
    rows, columns = a.shape[:ind], a.shape[ind:]
    size = int(np.prod(columns))
    return reshape(inv(reshape(a, (-1, size))), columns + rows)


@helper(name="linalg.tensorsolve")
def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Tensor:
    """x with tensordot(a, x, x.ndim) = b.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.tensorsolve(2 * bp.reshape(bp.eye(4), (2, 2, 4)), [[2.0, 4.0], [6.0, 8.0]])
    Tensor([1., 2., 3., 4.])
    """
    a, b = floating(a), floating(b)
    if axes is not None:
        a = moveaxis(a, list(axes), list(range(a.ndim - len(axes), a.ndim)))
    shape = a.shape[b.ndim :]
    return reshape(solve(reshape(a, (b.size, -1)), reshape(b, -1)), shape)


@helper(name="linalg.matrix_power")
def matrix_power(x: Any, n: int) -> Tensor:
    """The n-th power of each matrix, by repeated squaring; of the inverse for n < 0.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.matrix_power([[1, 1], [0, 1]], 5)
    Tensor([[1, 5],
            [0, 1]])
    """
    x = lift(x)
    check_matrix("matrix_power", x)
    if n == 0:
        lib = by_type[type(x.data)]
        return lift(lib.broadcast_to(lib.eye(x.shape[-1], dtype=x.dtype), x.shape).copy())
    if n < 0:
        x, n = inv(x), -n
    out = None
    while n:
        if n & 1:
            out = x if out is None else matmul(out, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return out  # type: ignore[return-value]


@helper(name="linalg.multi_dot")
def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """The product of two or more matrices, in the cheapest order; the first and last may be vectors.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.multi_dot([bp.ones((2, 3)), bp.ones((3, 4)), bp.ones(4)])
    Tensor([12., 12.])
    """
    xs = [lift(a) for a in arrays]
    if len(xs) < 2:
        raise ValueError(message("multi_dot", "at least two arrays were expected.", received=str(len(xs))))
    first, last = xs[0].ndim == 1, xs[-1].ndim == 1
    xs[0] = reshape(xs[0], (1, -1)) if first else xs[0]
    xs[-1] = reshape(xs[-1], (-1, 1)) if last else xs[-1]
    for x in xs:
        check_matrix("multi_dot", x, square=False)
    out = _chain(xs, _cheapest([*[x.shape[0] for x in xs], xs[-1].shape[1]]), 0, len(xs) - 1)
    if first or last:
        out = reshape(out, tuple(n for n, gone in zip(out.shape, (first, last), strict=True) if not gone))
    return out


def _cheapest(sizes: list[int]) -> Callable[[int, int], int]:
    """Where to split each run of factors (Cormen et al., matrix-chain multiplication)."""
    n = len(sizes) - 1
    cost = [[0.0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for run in range(1, n):
        for i in range(n - run):
            j = i + run
            choices = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            ]
            cost[i][j], split[i][j] = min(choices)
    return lambda i, j: split[i][j]


def _chain(xs: list[Tensor], split: Callable[[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return xs[i]
    k = split(i, j)
    return matmul(_chain(xs, split, i, k), _chain(xs, split, k + 1, j))


matrix_rank = nondiff(
    "linalg.matrix_rank",
    lambda B, a, tol=None, hermitian=False, *, rtol=None: B.linalg.matrix_rank(a, tol, hermitian, rtol=rtol),
    doc="""The number of singular values above rtol times the largest: a constant.

    >>> import tensorflowlite_bp as bp
    >>> bp.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    Tensor(1)
    """,
)
