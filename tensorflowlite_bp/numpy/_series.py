"""numpy.polynomial: series in six families of polynomials, coefficients from the lowest degree up.

Values come from each family's recurrence (Abramowitz and Stegun, table 22.7), so that every order of
derivative follows; what is linear in the coefficients is NumPy's own matrix of it, applied.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import is_float
from ..autograd.record import agree_all, lift
from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import shape as s
from ..ops.elementwise import astype
from ..ops.linalg import einsum, tensordot
from ._table import implements

Step = Callable[[Any, Any, Any, int], Any]

# prefix: (module, P_(k+1) from x, P_k, P_(k-1) and k; P_(-1) is 0)
FAMILIES: dict[str, tuple[str, Step]] = {
    "poly": ("polynomial", lambda x, p, q, k: x * p),
    "cheb": ("chebyshev", lambda x, p, q, k: 2 * x * p - q if k else x * p),
    "leg": ("legendre", lambda x, p, q, k: ((2 * k + 1) * x * p - k * q) / (k + 1)),
    "herm": ("hermite", lambda x, p, q, k: 2 * (x * p - k * q)),
    "herme": ("hermite_e", lambda x, p, q, k: x * p - k * q),
    "lag": ("laguerre", lambda x, p, q, k: ((2 * k + 1 - x) * p - k * q) / (k + 1)),
}


def _floating(x: Any) -> Tensor:
    x = lift(x)
    return x if is_float(x.dtype) else astype(x, np.float64)


def _basis(step: Step, x: Tensor, count: int) -> list[Tensor]:
    """P_0(x) ... P_(count - 1)(x)."""
    out, before = [x * 0 + 1], x * 0
    for k in range(count - 1):
        out.append(step(x, out[-1], out[-2] if k else before, k))
    return out[:count]


def _trimmed(c: Tensor) -> Tensor:
    """Without the highest coefficients that are 0; at least one is left."""
    there = c.data.nonzero()[0]
    return c[: int(there[-1]) + 1] if there.size else c[:1]


def _series(c: Any) -> Tensor:
    c = s.atleast_1d(_floating(c))
    if c.ndim != 1 or not c.size:
        raise ValueError(
            message("polynomial", "a vector of coefficients was expected.", received=f"shape {c.shape}")
        )
    return _trimmed(c)


def _family(prefix: str, module: str, step: Step) -> None:
    """The entries of one family."""
    theirs = getattr(np.polynomial, module)

    def entry(name: str) -> Callable[[Callable], Callable]:
        return implements(f"polynomial.{module}.{prefix}{name}")

    # -------------------------------------------------------------- values
    @entry("val")
    def val(x: Any, c: Any, tensor: bool = True) -> Tensor:
        x, c = agree_all([_floating(x), s.atleast_1d(_floating(c))])
        c = s.reshape(c, c.shape + (1,) * x.ndim) if tensor else c
        terms = [c[k] * p for k, p in enumerate(_basis(step, x, c.shape[0]))]
        out = terms[0]
        for term in terms[1:]:
            out = out + term
        return out

    def nested(c: Any, points: tuple[Any, ...], grid: bool) -> Tensor:
        shapes = {lift(p).shape for p in points}
        if not grid and len(shapes) > 1:
            raise ValueError(
                message(f"{prefix}val", "points of one shape were expected.", received=str(shapes))
            )
        for k, p in enumerate(points):
            c = val(p, c, grid or not k)
        return c

    @entry("val2d")
    def val2d(x: Any, y: Any, c: Any) -> Tensor:
        return nested(c, (x, y), grid=False)

    @entry("val3d")
    def val3d(x: Any, y: Any, z: Any, c: Any) -> Tensor:
        return nested(c, (x, y, z), grid=False)

    @entry("grid2d")
    def grid2d(x: Any, y: Any, c: Any) -> Tensor:
        return nested(c, (x, y), grid=True)

    @entry("grid3d")
    def grid3d(x: Any, y: Any, z: Any, c: Any) -> Tensor:
        return nested(c, (x, y, z), grid=True)

    @entry("vander")
    def vander(x: Any, deg: int) -> Tensor:
        count = operator.index(deg) + 1
        if count < 1:
            raise ValueError(message(f"{prefix}vander", "deg is not negative.", received=str(deg)))
        return s.stack(_basis(step, s.atleast_1d(_floating(x)), count), -1)

    @entry("vander2d")
    def vander2d(x: Any, y: Any, deg: Any) -> Tensor:
        out = vander(x, deg[0])[..., :, None] * vander(y, deg[1])[..., None, :]
        return s.reshape(out, (*out.shape[:-2], -1))

    @entry("vander3d")
    def vander3d(x: Any, y: Any, z: Any, deg: Any) -> Tensor:
        out = vander2d(x, y, deg[:2])[..., :, None] * vander(z, deg[2])[..., None, :]
        return s.reshape(out, (*out.shape[:-2], -1))

    # -------------------------------------------------------------- linear in the coefficients
    def applied(matrix: np.ndarray, c: Tensor) -> Tensor:
        return tensordot(astype(lift(matrix), c.dtype), c, 1)

    @entry("der")
    def der(c: Any, m: int = 1, scl: Any = 1, axis: int = 0) -> Tensor:
        c = s.moveaxis(s.atleast_1d(_floating(c)), axis, 0)
        out = applied(getattr(theirs, prefix + "der")(np.eye(c.shape[0]), m), c)
        return s.moveaxis(out * lift(scl, c) ** m if m else c, 0, axis)

    @entry("int")
    def integral(c: Any, m: int = 1, k: Any = (), lbnd: Any = 0, scl: Any = 1, axis: int = 0) -> Tensor:
        c, k = s.moveaxis(s.atleast_1d(_floating(c)), axis, 0), list(k) if np.iterable(k) else [k]
        if operator.index(m) < 0 or len(k) > m:
            raise ValueError(
                message(
                    f"{prefix}int", "m >= 0, and no more than m constants were expected.", received=f"{m}"
                )
            )
        for j in range(m):
            constant = k[j] if j < len(k) else 0
            c = c * lift(scl, c)
            if c.shape[0] == 1 and not c.data.any():
                c = c + constant
                continue
            c = applied(getattr(theirs, prefix + "int")(np.eye(c.shape[0])), c)
            c = s.concatenate([c[:1] + (lift(constant, c) - val(lbnd, c)), c[1:]])
        return s.moveaxis(c, 0, axis)

    @entry("mulx")
    def mulx(c: Any) -> Tensor:
        c = _series(c)
        n = c.size
        if n == 1 and not c.data.any():
            return c
        matrix = np.zeros((n + 1, n))
        for k in range(n):
            matrix[: k + 2, k] = getattr(theirs, prefix + "mulx")(np.eye(n)[k, : k + 1])
        return applied(matrix, c)

    # -------------------------------------------------------------- of two series
    def aligned(c1: Any, c2: Any) -> tuple[Tensor, Tensor]:
        c1, c2 = agree_all([_series(c1), _series(c2)])
        n = max(c1.size, c2.size)
        return tuple([s.concatenate([c, np.zeros(n - c.size, c.dtype)]) for c in (c1, c2)])

    @entry("add")
    def add(c1: Any, c2: Any) -> Tensor:
        c1, c2 = aligned(c1, c2)
        return _trimmed(c1 + c2)

    @entry("sub")
    def sub(c1: Any, c2: Any) -> Tensor:
        c1, c2 = aligned(c1, c2)
        return _trimmed(c1 - c2)

    @entry("mul")
    def mul(c1: Any, c2: Any) -> Tensor:
        """By the products of all pairs of the family's polynomials, as series."""
        c1, c2 = agree_all([_series(c1), _series(c2)])
        table = np.zeros((c1.size, c2.size, c1.size + c2.size - 1))
        for i, j in np.ndindex(c1.size, c2.size):
            product = getattr(theirs, prefix + "mul")(np.eye(c1.size)[i], np.eye(c2.size)[j])
            table[i, j, : product.size] = product
        return _trimmed(einsum("i,j,ijk->k", c1, c2, astype(lift(table), c1.dtype)))


for _prefix, (_module, _step) in FAMILIES.items():
    _family(_prefix, _module, _step)
