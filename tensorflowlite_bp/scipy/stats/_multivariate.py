"""Distributions of vectors and matrices."""

import math
from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.record import constant, lift
from ...autograd.tensor import Tensor
from ...backend.batched import always
from ...errors import ShapeError, message
from ...ops.elementwise import exp, log, square, where
from ...ops.shape import concatenate, moveaxis, reshape
from ...ops.special import floats
from ...ops.special_beta import multigammaln
from ...ops.special_elementary import xlogy
from ...ops.special_gamma import gammaln
from ...ops.special_student import log_density
from ._distribution import Distribution
from ._normal import LOG_2PI


class Multivariate(Distribution):
    """logpdf(x, parameters...) and its exponential."""

    def __init__(self, name: str, log_density: Any, suffix: str = "pdf") -> None:
        self.name = name
        self.ours = {f"log{suffix}": log_density, suffix: lambda *a, **k: exp(log_density(*a, **k))}


# ------------------------------------------------------------------ normal, Student's t
def _centred(name: str, x: Any, mean: Any, cov: Any) -> tuple[Tensor, Tensor]:
    """x - mean (..., d) and the covariance (d, d), from what SciPy takes: scalars, diagonals, matrices."""
    x, mean, cov = floats(x, 0.0 if mean is None else mean, cov)
    d = max(1, mean.size if mean.ndim else 1, cov.shape[0] if cov.ndim else 1)
    if not mean.ndim and not cov.ndim and d == 1 and x.ndim > 1:
        d = x.shape[-1]
    one = np.eye(d, dtype=x.dtype)
    if cov.ndim < 2:
        cov = one * cov
    if cov.shape != (d, d):
        raise ShapeError(
            message(name, f"the covariance must be ({d}, {d}).", received=f"{cov.shape}, mean {mean.shape}")
        )
    if not x.ndim:
        x = reshape(x, (1,))
    elif x.ndim == 1 and d == 1:
        x = reshape(x, (-1, 1))
    if x.shape[-1] != d:
        raise ShapeError(message(name, f"the last axis of x must be {d}.", received=f"x {x.shape}"))
    return x - mean, cov


def _squared_length(
    name: str, centred: Tensor, cov: Tensor, allow_singular: bool
) -> tuple[Tensor, Tensor, int]:
    """(squared Mahalanobis length, log-determinant, rank)."""
    if allow_singular:
        w, v = graph.linalg.eigh(cov)
        cut = (
            1e6 * float(np.finfo(w.dtype).eps) if w.dtype == "float64" else 1e3 * float(np.finfo(w.dtype).eps)
        )
        kept = abs(w.data) > cut * abs(w.data).max()
        safe = where(kept, w, 1.0)
        along = graph.matmul(centred, v)
        return (square(along) * where(kept, 1.0 / safe, 0.0)).sum(-1), log(safe).sum(), int(kept.sum())
    lower = graph.linalg.cholesky(cov)
    flat = reshape(centred, (-1, centred.shape[-1]))
    z = graph.linalg.solve(lower, flat.T)
    diagonal = graph.diagonal(lower, 0, -2, -1)
    return reshape(square(z).sum(0), centred.shape[:-1]), 2.0 * log(diagonal).sum(), cov.shape[0]


def _normal(x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Tensor:
    """The log-density of the normal distribution of mean (d) and covariance (d, d) at x (..., d)."""
    centred, cov = _centred("multivariate_normal", x, mean, cov)
    length, log_det, rank = _squared_length("multivariate_normal", centred, cov, allow_singular)
    return _squeezed(-0.5 * (length + log_det + rank * LOG_2PI))


def _student(x: Any, loc: Any = None, shape: Any = 1, df: Any = 1, allow_singular: bool = False) -> Tensor:
    """The log-density of the multivariate t distribution."""
    centred, cov = _centred("multivariate_t", x, loc, shape)
    length, log_det, _ = _squared_length("multivariate_t", centred, cov, allow_singular)
    (df,) = floats(df)
    return _squeezed(log_density(graph, df, length, log_det, cov.shape[0]))


def _squeezed(x: Tensor) -> Tensor:
    return reshape(x, ()) if x.size == 1 else x


def _entropy(mean: Any = None, cov: Any = 1) -> Tensor:
    """The entropy of the normal distribution."""
    centred, cov = _centred("multivariate_normal", 0.0 if mean is None else mean, mean, cov)
    _, log_det, rank = _squared_length("multivariate_normal", centred, cov, False)
    return 0.5 * (rank * (1.0 + LOG_2PI) + log_det)


multivariate_normal = Multivariate("multivariate_normal", _normal)
multivariate_normal.ours["entropy"] = _entropy
multivariate_t = Multivariate("multivariate_t", _student)


# ------------------------------------------------------------------ simplex, counts
def _dirichlet(x: Any, alpha: Any) -> Tensor:
    """The log-density at x (k) or (k, n), whose columns sum to 1; the last row may be left out."""
    x, alpha = floats(x, alpha)
    if x.shape[0] == alpha.shape[0] - 1:
        x = concatenate([x, 1.0 - x.sum(0, keepdims=True)], axis=0)
    if alpha.ndim != 1 or x.shape[0] != alpha.shape[0]:
        raise ShapeError(
            message(
                "dirichlet", "x must have an entry per entry of alpha.", received=f"{x.shape}, {alpha.shape}"
            )
        )
    total = gammaln(alpha.sum()) - gammaln(alpha).sum()
    powers = reshape(alpha - 1.0, (-1,) + (1,) * (x.ndim - 1))
    return total + xlogy(powers, x).sum(0)


def _multinomial(x: Any, n: Any, p: Any) -> Tensor:
    """The log-probability of counts x (..., k), constants, in n trials of probabilities p (..., k)."""
    (p,) = floats(p)
    at = np.asarray(constant("stats.multinomial", x)).astype(p.dtype)
    trials = np.asarray(constant("stats.multinomial", n)).astype(p.dtype)
    out = gammaln(trials + 1) + (xlogy(at, p) - gammaln(at + 1)).sum(-1)
    right = (at >= 0).all(-1) & (at == np.floor(at)).all(-1) & (at.sum(-1) == trials)
    return out if always(right.all()) else where(right, out, -math.inf)


dirichlet = Multivariate("dirichlet", _dirichlet)
multinomial = Multivariate("multinomial", _multinomial, "pmf")


# ------------------------------------------------------------------ matrices
def _wishart(x: Any, df: Any, scale: Any) -> Tensor:
    """The log-density at x (p, p) or (p, p, n), the last axis a batch as SciPy has it."""
    x, df, scale = floats(x, df, scale)
    if scale.ndim < 2:
        scale = np.eye(scale.size, dtype=x.dtype) * scale
    p = scale.shape[0]
    if x.ndim < 2:
        x = reshape(x, (1, 1, -1)) if p == 1 and x.ndim else np.eye(p, dtype=x.dtype) * x
    x = lift(x)
    stacked = moveaxis(x, -1, 0) if x.ndim == 3 else x
    _, log_x = graph.linalg.slogdet(stacked)
    _, log_scale = graph.linalg.slogdet(scale)
    trace = graph.trace(graph.linalg.solve(scale, stacked), 0, -2, -1)
    out = 0.5 * (df - p - 1.0) * log_x - 0.5 * trace - 0.5 * df * (p * math.log(2) + log_scale)
    return _squeezed(out - multigammaln(0.5 * df, p))


wishart = Multivariate("wishart", _wishart)
