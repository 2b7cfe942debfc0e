"""Sample inputs of the linear algebra that SciPy has and NumPy lacks."""

import numpy as np
import scipy.linalg as sp
from opcase import OpCase, beside, grid, normal

import tensorflowlite_bp.scipy.linalg  # noqa: F401  (declares them)


def near_one(x):
    """A matrix whose logarithm and root are real."""
    return 0.2 * x + 2 * beside(np.eye(x.shape[-1], dtype=x.dtype), x)


def through(make, f=None):
    return lambda g, *xs, **kw: g(*[make(x) for x in xs], **kw)


def stacked(f):
    """f on every matrix of a stack."""
    return lambda x: (
        np.stack([f(m) for m in x.reshape((-1,) + x.shape[-2:])]).reshape(x.shape) if x.ndim > 2 else f(x)
    )


def triangular(a, b, *, lower, transposed, unit):
    parts = np.broadcast_arrays(a[..., :1, :1], b[..., :1, :1])[0].shape[:-2]
    a, b = np.broadcast_to(a, parts + a.shape[-2:]), np.broadcast_to(b, parts + b.shape[-2:])
    flat = zip(a.reshape((-1,) + a.shape[-2:]), b.reshape((-1,) + b.shape[-2:]), strict=True)
    solved = [
        sp.solve_triangular(x, y, lower=lower, trans=int(transposed), unit_diagonal=unit) for x, y in flat
    ]
    return np.stack(solved).reshape(parts + b.shape[-2:])


CASES = [
    OpCase("linalg.triangular_matrix", lambda r: [r.normal(size=(2, 3, 3)) + 2 * np.eye(3), r.normal(size=(2, 3, 2))],
           grid(lower=[False, True], transposed=[False, True], unit=[False, True]), numpy=triangular, complex=True, narrow="float32"),
    OpCase("linalg.triangular_matrix", lambda r: [r.normal(size=(3, 3)) + 2 * np.eye(3), r.normal(size=(2, 3, 2))],
           [dict(lower=True, transposed=False, unit=False)], numpy=triangular, complex=True, narrow="float32", id="linalg.triangular_matrix broadcasting"),
    *[OpCase("linalg.lu_parts", normal(s), call=lambda f, x: f(x)[0].sum(-1) + (f(x)[1] ** 2).sum(-1).sum(), narrow="float32",
             numpy=lambda x: sp.lu(x, p_indices=True)[1].sum(-1) + (sp.lu(x)[2] ** 2).sum(-1).sum(), complex=True, id=f"linalg.lu_parts {s}") for s in ((3, 3), (4, 3), (3, 4))],
    OpCase("linalg.lu_packed", normal((2, 3, 3)), call=lambda f, x: f(x)[0], numpy=stacked(lambda x: sp.lu_factor(x)[0]), complex=True, narrow="float32"),
    OpCase("linalg.expm", normal((2, 3, 3)), numpy=sp.expm, complex=True, narrow="float32"),
    OpCase("linalg.log_matrix", normal((2, 3, 3)), call=through(near_one), numpy=lambda x: stacked(sp.logm)(near_one(x)), complex=True, narrow="float32"),
    OpCase("linalg.sqrt_matrix", normal((2, 3, 3)), call=through(near_one), numpy=lambda x: stacked(sp.sqrtm)(near_one(x)), complex=True, narrow="float32"),
    OpCase("linalg.sylvester", normal((3, 3), (2, 2), (3, 2)), numpy=sp.solve_sylvester, complex=True, narrow="float32"),
]  # fmt: skip
