"""Sample inputs of linear algebra. Decompositions are made into functions that their free phases do not change."""

import numpy as np
from opcase import OpCase, beside, grid, normal

SQUARE = normal((2, 3, 3))
PAIR = normal((2, 3, 3), (2, 3, 2))


def separated(*shape):
    """Matrices whose singular values are well apart."""
    return lambda r: [r.normal(size=shape) + np.eye(*shape[-2:]) * np.arange(1.0, shape[-1] + 1)]


def symmetric(x):
    return x + x.swapaxes(-1, -2).conj()


def positive(x):
    return x @ x.swapaxes(-1, -2).conj() + 3 * beside(np.eye(x.shape[-1], dtype=x.dtype), x)


def of(make, function=None):
    """f(make(x)): a matrix of the right kind from any matrix."""
    return lambda f, x, **kwargs: (function or (lambda y: y))(f(make(x), **kwargs))


def size(a):
    return (a * a.conj()).real


def vectors(result):
    """The absolute values of the entries of decompositions: no phase, no sign."""
    parts = list(result)
    out = size(parts[0]).sum(-1)
    for p in parts[1:]:
        out = out + size(p).sum(-1 if p.ndim == out.ndim + 1 else None).sum()
    return out


def cube(u, s, vh):
    """x x^H x by singular values."""
    return u @ (s[..., None] ** 3 * vh)


AXES = grid(axis=[None, 0, (0, 2)], keepdims=[False, True])

CASES = [
    OpCase("linalg.solve", PAIR, complex=True),
    OpCase("linalg.solve_matrix", PAIR, numpy=np.linalg.solve, complex=True),
    OpCase("linalg.solve", normal((3, 3), (3,)), complex=True, id="linalg.solve of a vector"),
    OpCase("linalg.solve", normal((3, 3), (2, 3, 2)), complex=True, id="linalg.solve broadcasting"),
    OpCase("linalg.inv", SQUARE, complex=True),
    OpCase("linalg.det", SQUARE, complex=True),
    OpCase("linalg.det", normal((5, 5)), complex=True, id="linalg.det of 5 by 5"),
    OpCase(
        "linalg.det",
        lambda r: [np.outer([1.0, 2, 3], [1, 0, -1]) + np.diag([0.0, 1, 0])],
        id="linalg.det singular",
    ),
    OpCase(
        "linalg.det",
        lambda r: [np.outer(np.arange(5.0), np.ones(5)) + np.diag([0, 0, 1.0, 2, 3])],
        id="linalg.det singular 5",
    ),
    OpCase(
        "linalg.slogdet",
        SQUARE,
        call=lambda f, x: f(x)[1] + size(f(x)[0] - 2),
        numpy=lambda x: np.linalg.slogdet(x)[1] + size(np.linalg.slogdet(x)[0] - 2),
        complex=True,
    ),
    *[
        OpCase("linalg.pinv", normal(s), complex=True, id=f"linalg.pinv {s}")
        for s in ((2, 3, 3), (4, 3), (3, 4))
    ],
    *[
        OpCase(
            "linalg.lstsq",
            normal((5, 3), b),
            call=lambda f, a, b: f(a, b)[0],
            numpy=lambda a, b: np.linalg.lstsq(a, b)[0],
            complex=True,
            id=f"linalg.lstsq {b}",
        )
        for b in ((5,), (5, 2))
    ],
    OpCase(
        "linalg.lstsq",
        normal((5, 3), (5, 2)),
        call=lambda f, a, b: f(a, b)[1],
        numpy=lambda a, b: np.linalg.lstsq(a, b)[1],
        complex=True,
        id="linalg.lstsq residuals",
    ),
    OpCase("linalg.tensorinv", lambda r: [r.normal(size=(2, 3, 6))], complex=True),
    OpCase("linalg.tensorsolve", lambda r: [r.normal(size=(2, 3, 6)), r.normal(size=(2, 3))], complex=True),
    OpCase("linalg.matrix_power", SQUARE, grid(n=[-2, 0, 1, 3]), complex=True),
    OpCase(
        "linalg.multi_dot",
        normal((2, 5), (5, 3), (3, 4)),
        call=lambda f, *xs: f(xs),
        numpy=lambda *xs: np.linalg.multi_dot(xs),
        complex=True,
    ),
    OpCase(
        "linalg.cholesky",
        SQUARE,
        call=of(positive),
        numpy=lambda x: np.linalg.cholesky(positive(x)),
        complex=True,
    ),
    OpCase(
        "linalg.cholesky",
        SQUARE,
        [{"upper": True}],
        call=of(positive),
        numpy=lambda x, upper: np.linalg.cholesky(positive(x), upper=upper),
        complex=True,
        id="linalg.cholesky upper",
    ),
    OpCase("linalg.cholesky_lower", SQUARE, call=of(positive), complex=True),
    *[
        OpCase(
            "linalg.qr",
            normal(s),
            call=lambda f, x: f(x)[0] @ beside(np.ones(min(x.shape[-2:]), x.dtype), x),
            numpy=lambda x: np.linalg.qr(x)[0] @ np.ones(min(x.shape[-2:])),
            complex=True,
            id=f"linalg.qr {s} Q",
        )
        for s in ((2, 3, 3), (4, 3), (3, 4))
    ],
    *[
        OpCase("linalg.qr", normal(s), [{"mode": "r"}], complex=True, id=f"linalg.qr {s} R")
        for s in ((2, 3, 3), (4, 3), (3, 4))
    ],
    OpCase("linalg.qr_tall", normal((4, 3)), call=lambda f, x: f(x)[1], complex=True),
    *[
        OpCase(
            "linalg.svd",
            separated(*s),
            [{"full_matrices": False}],
            call=lambda f, x, **k: vectors(f(x, **k)),
            numpy=lambda x, **k: vectors(np.linalg.svd(x, **k)),
            complex=True,
            id=f"linalg.svd {s}",
        )
        for s in ((3, 3), (4, 3), (3, 4))
    ],
    OpCase(
        "linalg.svd",
        separated(2, 4, 3),
        [{"full_matrices": False}],
        call=lambda f, x, **k: cube(*f(x, **k)),
        numpy=lambda x, full_matrices: cube(*np.linalg.svd(x, full_matrices)),
        complex=True,
        id="linalg.svd function of a matrix",
    ),
    OpCase("linalg.svd_reduced", separated(4, 3), call=lambda f, x: vectors(f(x)), complex=True),
    OpCase("linalg.svdvals", separated(2, 4, 3), complex=True),
    OpCase(
        "linalg.eigh",
        separated(2, 3, 3),
        call=of(symmetric, lambda r: size(r[1]) * r[0][..., None, :]),
        numpy=lambda x: (lambda w, v: size(v) * w[..., None, :])(*np.linalg.eigh(symmetric(x))),
        complex=True,
    ),
    OpCase(
        "linalg.eigvalsh",
        separated(2, 3, 3),
        grid(UPLO=["L", "U"]),
        call=of(symmetric),
        numpy=lambda x, UPLO: np.linalg.eigvalsh(symmetric(x), UPLO),
        complex=True,
    ),
    OpCase(
        "linalg.eig",
        lambda r: [r.normal(size=(2, 3, 3)) + np.diag([1.0, 5, 9])],
        call=lambda f, x: size(f(x)[1]) * size(f(x)[0])[..., None, :],
        numpy=lambda x: size(np.linalg.eig(x)[1]) * size(np.linalg.eig(x)[0])[..., None, :],
        complex=True,
    ),
    OpCase(
        "linalg.eig_complex",
        lambda r: [r.normal(size=(3, 3)) + np.diag([1.0, 5, 9])],
        call=lambda f, x: size(f(x.astype(np.result_type(x.dtype, np.complex64)))[0]),
        complex=True,
        narrow="float32",
    ),
    OpCase(
        "linalg.eigvals",
        lambda r: [r.normal(size=(2, 3, 3)) + np.diag([1.0, 5, 9])],
        call=lambda f, x: size(f(x)).sum(),
        numpy=lambda x: size(np.linalg.eigvals(x)).sum(),
        complex=True,
    ),
    OpCase(
        "norm2",
        normal((2, 3, 4)),
        AXES,
        numpy=lambda x, axis, keepdims: np.sqrt((abs(x) ** 2).sum(axis, keepdims=keepdims)),
        complex=True,
    ),
    OpCase(
        "linalg.vector_norm",
        normal((2, 3, 4)),
        grid(axis=[None, 1, (0, 2)], keepdims=[False, True], ord=[2, 1, 3, 2.5, np.inf, -np.inf, -1, 0.5]),
        numpy=lambda x, **k: np.linalg.vector_norm(x, **k),
        complex=True,
    ),
    OpCase(
        "linalg.matrix_norm",
        separated(2, 3, 4),
        grid(ord=["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf], keepdims=[False, True]),
        numpy=lambda x, **k: np.linalg.matrix_norm(x, **k),
        complex=True,
    ),
    OpCase(
        "linalg.norm",
        separated(4, 4),
        [
            *grid(ord=[None, "fro", "nuc", 1, -2, np.inf]),
            *grid(ord=[None, 1, 3], axis=[0, -1], keepdims=[False, True]),
            {"axis": (1, 0), "ord": 1},
        ],
        complex=True,
    ),
    OpCase("linalg.cond", separated(3, 3), grid(p=[None, 1, -2, "fro", np.inf]), complex=True),
    OpCase("cross", normal((4, 3), (4, 3)), complex=True),
    OpCase("cross", normal((3, 4), (3, 4)), [{"axis": 0}], complex=True, id="cross axis"),
    OpCase("kron", normal((2, 3), (4, 2)), complex=True),
    OpCase("kron", normal((3,), (2, 2)), complex=True, id="kron of a vector"),
]

for _case in CASES:
    _case.half = not _case.name.startswith("linalg.") or _case.name.endswith(
        ("norm", "multi_dot", "eig_complex")
    )
