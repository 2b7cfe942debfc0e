"""NumPy's polynomials: coefficients from the highest power down."""

import operator
import warnings
from typing import Any

import numpy as np

from ..autograd.op import is_float
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import decompositions, signal, solve
from ..ops import shape as s
from ..ops.creation import zeros
from ..ops.elementwise import astype, real, sqrt
from ..ops.indexing import scatter_add
from ._indexing import _vander
from ._table import implements


def _coefficients(p: Any) -> Tensor:
    """The coefficients of a list, an array or a poly1d."""
    return s.atleast_1d(lift(np.asarray(p) if isinstance(p, np.poly1d) else p))


def _trimmed(p: Tensor) -> Tensor:
    """Without the leading coefficients that are 0; at least one is left."""
    there = p.data.nonzero()[0]
    return p[int(there[0]) :] if there.size else p[-1:]


def _zeros(n: int, p: Tensor) -> Tensor:
    return zeros((n,), p.dtype, like=p)


@implements("polyval")
def _polyval(p: Any, x: Any) -> Tensor:
    """Horner's scheme."""
    p, x = _coefficients(p), lift(x)
    out: Tensor = lift(np.zeros_like(x.data))
    for k in range(p.shape[0]):
        out = out * x + p[k]
    return out


def _aligned(a1: Any, a2: Any) -> tuple[Tensor, Tensor]:
    a1, a2 = _coefficients(a1), _coefficients(a2)
    missing = a1.size - a2.size
    return (
        s.concatenate([_zeros(-missing, a1), a1]) if missing < 0 else a1,
        s.concatenate([_zeros(missing, a2), a2]) if missing > 0 else a2,
    )


@implements("polyadd")
def _polyadd(a1: Any, a2: Any) -> Tensor:
    a1, a2 = _aligned(a1, a2)
    return a1 + a2


@implements("polysub")
def _polysub(a1: Any, a2: Any) -> Tensor:
    a1, a2 = _aligned(a1, a2)
    return a1 - a2


@implements("polymul")
def _polymul(a1: Any, a2: Any) -> Tensor:
    return signal.convolve(_trimmed(_coefficients(a1)), _trimmed(_coefficients(a2)))


@implements("polydiv")
def _polydiv(u: Any, v: Any) -> tuple[Tensor, Tensor]:
    u, v = agree_all([_coefficients(u) + 0.0, _coefficients(v) + 0.0])
    steps = u.size - v.size + 1
    rest, quotient = u, []
    for k in range(steps):
        q = rest[k] / v[0]
        quotient.append(q)
        rest = rest - s.concatenate([_zeros(k, v), q * v, _zeros(u.size - v.size - k, v)])
    while rest.size > 1 and np.allclose(rest.data[0], 0, rtol=1e-14):
        rest = rest[1:]
    return (s.stack(quotient) if quotient else _zeros(1, u)), rest


@implements("polyder")
def _polyder(p: Any, m: int = 1) -> Tensor:
    m, p = operator.index(m), _coefficients(p)
    if m < 0:
        raise ValueError(message("polyder", "the order of the derivative is not negative.", received=str(m)))
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1)
    return p


@implements("polyint")
def _polyint(p: Any, m: int = 1, k: Any = None) -> Tensor:
    m, p = operator.index(m), _coefficients(p)
    if m < 0:
        raise ValueError(message("polyint", "the order of the integral is not negative.", received=str(m)))
    constants = s.atleast_1d(lift(np.zeros(m) if k is None else k))
    if constants.size == 1 < m:
        constants = s.repeat(constants, m)
    if constants.size < m:
        raise ValueError(
            message("polyint", f"1 or {m} integration constants were expected.", received=str(constants.size))
        )
    for j in range(m):
        p = s.concatenate([p / np.arange(p.size, 0, -1), constants[j : j + 1]])
    return p


@implements("poly")
def _poly(seq_of_zeros: Any) -> Tensor:
    """From the roots, or from a square matrix, whose eigenvalues they are."""
    zeros, pairs = _coefficients(seq_of_zeros), False
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] != 0:
        pairs = zeros.dtype.kind != "c"
        zeros = decompositions.eigvals(zeros)
    elif zeros.ndim != 1:
        raise ValueError(
            message("poly", "roots, or a square matrix, were expected.", received=f"shape {zeros.shape}")
        )
    zeros = zeros if is_float(zeros.dtype) else astype(zeros, np.float64)
    out: Tensor = lift(np.ones_like(zeros.data, shape=(1,)))
    for k in range(zeros.size):
        out = signal.convolve(out, s.stack([zeros.dtype.type(1), -zeros[k]]))
    if out.dtype.kind != "c":
        return out
    pairs = pairs or bool(np.all(np.sort(zeros.data) == np.sort(zeros.data.conj())))
    return real(out) if pairs else out


@implements("roots")
def _roots(p: Any) -> Tensor:
    """The eigenvalues of the companion matrix; roots that coincide have no derivative."""
    p = _coefficients(p)
    if p.ndim != 1:
        raise ValueError(message("roots", "a vector was expected.", received=f"shape {p.shape}"))
    there = p.data.nonzero()[0]
    if not there.size:
        return lift(np.array([]))
    at_zero = p.size - 1 - int(there[-1])
    p = p[int(there[0]) : int(there[-1]) + 1]
    p = p if is_float(p.dtype) else astype(p, np.float64)
    n = p.size - 1
    if not n:
        return _zeros(at_zero, p)
    below = lift(np.eye(n, k=-1, dtype=p.dtype))
    top = scatter_add(-p[1:] / p[0], (np.zeros(n, np.intp), np.arange(n)), (n, n))
    found = decompositions.eigvals(below + top)
    return s.concatenate([found, _zeros(at_zero, found)]) if at_zero else found


@implements("polyfit")
def _polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """Least squares on the columns of the Vandermonde matrix, scaled to length 1."""
    order, x, y = operator.index(deg) + 1, lift(x) + 0.0, lift(y) + 0.0
    if order < 1:
        raise ValueError(message("polyfit", "deg >= 0 was expected.", received=str(deg)))
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or y.shape[0] != x.size:
        raise TypeError(
            message("polyfit", "a vector x, and as many y, were expected.", received=f"{x.shape}, {y.shape}")
        )
    left, right = _vander(x, order), y
    if w is not None:
        w = lift(w) + 0.0
        if w.shape != x.shape:
            raise TypeError(
                message("polyfit", "a weight for each point was expected.", received=str(w.shape))
            )
        left, right = left * w[:, None], right * (w[:, None] if y.ndim == 2 else w)
    scale = sqrt((left * left).sum(0))
    left = left / scale
    rcond = x.size * np.finfo(x.dtype).eps if rcond is None else rcond
    found, residuals, rank, singular = solve.lstsq(left, right, rcond)
    out = (found.T / scale).T
    if rank != order and not full:
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=4)
    if full:
        return out, residuals, rank, singular, rcond
    if not cov:
        return out
    base = solve.inv(left.T @ left) / (scale[:, None] * scale)
    if cov != "unscaled":
        if x.size <= order:
            raise ValueError(message("polyfit", "the covariance needs more points than coefficients."))
        factor = residuals / (x.size - order)
        return out, base * factor if y.ndim == 1 else base[:, :, None] * factor
    return out, base if y.ndim == 1 else base[:, :, None] * 1.0
