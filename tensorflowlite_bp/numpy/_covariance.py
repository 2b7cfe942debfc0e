"""NumPy's covariances and correlations."""

import warnings
from typing import Any

import numpy as np

from .. import backend
from ..autograd.record import lift
from ..autograd.tensor import Tensor, wrap
from ..backend.batched import ever
from ..errors import message
from ..ops import elementwise as e
from ..ops.indexing import diagonal
from ..ops.linalg import matmul
from ..ops.shape import concatenate, reshape, squeeze, transpose
from ._plain import differentiable, raw, some
from ._reductions import average, converted


def _variables(name: str, a: Any, dtype: Any, rowvar: bool) -> Tensor:
    """A variable a row."""
    x = lift(a)
    if x.ndim > 2:
        raise ValueError(message("cov", f"{name} has more than 2 dimensions.", received=f"shape {x.shape}"))
    rows = converted(reshape(x, (1,) * (2 - x.ndim) + x.shape), dtype)
    one = x.ndim == 1 if name == "m" else rows.shape[0] == 1
    return rows if rowvar or one else transpose(rows)


def _weights(name: str, weights: Any, samples: int) -> Tensor:
    w = converted(weights, np.float64)
    if w.ndim != 1 or w.shape[0] != samples:
        raise RuntimeError(message("cov", f"{name} must be 1-d, one a sample.", received=str(w.shape)))
    if name == "fweights" and some(raw(w) != raw(w).round()):
        raise TypeError(message("cov", "fweights must be integers."))
    if some(raw(w) < 0):
        raise ValueError(message("cov", f"{name} cannot be negative."))
    return w


@differentiable("cov")
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Tensor:  # fmt: skip
    if ddof is not None and ddof != int(ddof):
        raise ValueError(message("cov", "ddof must be an integer.", received=repr(ddof)))
    if dtype is None:
        dtype = np.result_type(*[lift(a).dtype for a in (m, y) if a is not None], np.float64)
    x = _variables("m", m, dtype, rowvar)
    if not x.shape[0]:
        return wrap(backend.of(x.data).zeros((0, 0)))
    if y is not None:
        x = concatenate([x, _variables("y", y, dtype, rowvar)], 0)
    if ddof is None:
        ddof = 0 if bias else 1
    f = None if fweights is None else _weights("fweights", fweights, x.shape[1])
    a = None if aweights is None else _weights("aweights", aweights, x.shape[1])
    w = a if f is None else f if a is None else f * a
    centre, total = average(x, 1, w, returned=True)
    total = total[0]
    freedom: Any = x.shape[1] - ddof
    if w is not None:
        freedom = total if ddof == 0 else total - ddof * (1 if a is None else (w * a).sum() / total)
    if ever(raw(e.real(freedom) if w is not None else freedom) <= 0):
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=4)
        freedom = np.float64(0)
    x = x - centre[:, None]
    product = matmul(x, e.conjugate(transpose(x if w is None else x * w)))
    scale = 1 / lift(freedom) if w is not None else np.true_divide(1, freedom)
    return squeeze(converted(product * scale, dtype))


@differentiable("corrcoef")
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = e.sqrt(e.real(diagonal(c)))
    c = c / deviation[:, None] / deviation[None, :]
    if c.dtype.kind != "c":
        return e.clip(c, -1, 1)
    return e.clip(e.real(c), -1, 1) + e.clip(e.imag(c), -1, 1) * 1j
