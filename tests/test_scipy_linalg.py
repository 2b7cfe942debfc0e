"""bp.scipy.linalg: values and differences against SciPy itself (raw arrays go to it), JAX, hard matrices."""
# ruff: noqa: E501  (tables, one case a line)

import numpy as np
import pytest
import scipy.linalg as sp
from oracles import check_slopes, quiet, slope

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError, GradientError, ShapeError
from tensorflowlite_bp.testing import check_grads

L = bp.scipy.linalg
R = np.random.default_rng(0)


def real(*shape, seed=0):
    return np.random.default_rng(sum(shape) + 100 * seed).normal(size=shape)


def mixed(*shape, seed=0):
    return real(*shape, seed=seed) + 1j * real(*shape, seed=seed + 50)


def definite(x):
    """A Hermitian matrix from any, by functions that both libraries have."""
    return x @ x.conj().T + 3 * np.eye(x.shape[-1])


def near_one(x):
    return 0.2 * x + 2 * np.eye(x.shape[-1])


def total(*parts):
    """One number that the phases of vectors do not change."""
    return sum((abs(p) ** 2).sum() * (k + 1) for k, p in enumerate(parts))


A3, B32, V3 = (3, 3), (3, 2), (3,)
# name: a function of the namespace and of matrices, their shapes, whether complex ones too
CASES = {
    "solve": (lambda m, a, b: m.solve(a, b), (A3, B32)),
    "solve of a vector": (lambda m, a, b: m.solve(a, b), (A3, V3)),
    "solve transposed": (lambda m, a, b: m.solve(a, b, transposed=True), (A3, B32)),
    "solve positive": (lambda m, a, b: m.solve(definite(a), b, assume_a="pos"), (A3, B32)),
    "solve symmetric, lower": (lambda m, a, b: m.solve(definite(a), b, assume_a="her", lower=True), (A3, B32)),
    "solve triangular by name": (lambda m, a, b: m.solve(a, b, assume_a="upper triangular"), (A3, B32)),
    "solve diagonal": (lambda m, a, b: m.solve(a * np.eye(3), b, assume_a="diagonal"), (A3, B32)),
    **{f"solve_triangular {t} {low} {unit}": (lambda m, a, b, t=t, low=low, unit=unit: m.solve_triangular(near_one(a), b, trans=t, lower=low, unit_diagonal=unit), (A3, B32))
       for t, low, unit in ((0, False, False), ("T", True, False), (2, True, True), ("C", False, False))},
    "solve_triangular of a vector": (lambda m, a, b: m.solve_triangular(near_one(a), b), (A3, V3)),
    "inv": (lambda m, a: m.inv(a), (A3,)),
    "det": (lambda m, a: m.det(a), (A3,)),
    "pinv": (lambda m, a: m.pinv(a), ((4, 3),)),
    "lstsq": (lambda m, a, b: m.lstsq(a, b)[0], ((5, 3), (5, 2))),
    "norm": (lambda m, a: m.norm(a), (A3,)),
    "norm of rows": (lambda m, a: m.norm(a, 1, axis=1), (A3,)),
    **{f"lu {s}": (lambda m, a: total(*m.lu(a)), (s,)) for s in (A3, (4, 3), (3, 4))},
    "lu permuted": (lambda m, a: m.lu(a, permute_l=True)[0] ** 2, ((4, 3),)),
    "lu_factor": (lambda m, a: m.lu_factor(a)[0], (A3,)),
    **{f"lu_solve {t}": (lambda m, a, b, t=t: m.lu_solve(m.lu_factor(a), b, trans=t), (A3, B32)) for t in (0, 1, 2)},
    "cholesky": (lambda m, a: m.cholesky(definite(a)), (A3,)),
    "cholesky lower": (lambda m, a: m.cholesky(definite(a), lower=True), (A3,)),
    **{f"cho_solve {low}": (lambda m, a, b, low=low: m.cho_solve(m.cho_factor(definite(a), lower=low), b), (A3, B32)) for low in (False, True)},
    "qr": (lambda m, a: total(*m.qr(a)), (A3,)),
    "qr economic": (lambda m, a: total(*m.qr(a, mode="economic")), ((4, 3),)),
    "qr r": (lambda m, a: total(*m.qr(a, mode="r")), ((4, 3),)),
    "qr pivoting": (lambda m, a: total(*m.qr(a, mode="economic", pivoting=True)[:2]), ((4, 3),)),
    "svd": (lambda m, a: total(*m.svd(a, full_matrices=False)), ((4, 3),)),
    "svdvals": (lambda m, a: m.svdvals(a), ((4, 3),)),
    "eigh": (lambda m, a: total(*m.eigh(definite(a))), (A3,)),
    **{f"eigh of a pencil, {t}": (lambda m, a, b, t=t: total(*m.eigh(definite(a), definite(b), type=t)), (A3, A3)) for t in (1, 2, 3)},
    "eigh subset": (lambda m, a: total(*m.eigh(definite(a), subset_by_index=[1, 2])), (A3,)),
    "eigh by value": (lambda m, a: total(*m.eigh(definite(a), subset_by_value=[5, 100])), (A3,)),
    "eigvalsh of a pencil": (lambda m, a, b: m.eigvalsh(definite(a), definite(b)), (A3, A3)),
    "eig": (lambda m, a: total(*m.eig(a)), (A3,)),
    "eig left": (lambda m, a: total(*m.eig(a, left=True)), (A3,)),
    "eigvals": (lambda m, a: (m.eigvals(a) ** 3).sum(), (A3,)),
    "eigvals of a pencil": (lambda m, a, b: (m.eigvals(a, definite(b)) ** 2).sum(), (A3, A3)),
    "expm": (lambda m, a: m.expm(a), (A3,)),
    "expm of a stack": (lambda m, a: m.expm(a), ((2, 3, 3),)),
    "expm_frechet": (lambda m, a, e: m.expm_frechet(a, e)[1], (A3, A3)),
    "logm": (lambda m, a: m.logm(near_one(a)), (A3,)),
    "sqrtm": (lambda m, a: m.sqrtm(near_one(a)), (A3,)),
    **{n: (lambda m, a, n=n: getattr(m, n)(a), (A3,)) for n in ("cosm", "sinm", "coshm", "sinhm", "tanhm")},
    "tanm": (lambda m, a: m.tanm(0.3 * a), (A3,)),
    "solve_sylvester": (lambda m, a, b, q: m.solve_sylvester(a, b, q), (A3, (2, 2), B32)),
    "solve_continuous_lyapunov": (lambda m, a, q: m.solve_continuous_lyapunov(a, q), (A3, A3)),
    "solve_discrete_lyapunov": (lambda m, a, q: m.solve_discrete_lyapunov(0.3 * a, q), (A3, A3)),
    **{f"polar {s} {k}": (lambda m, a, s=s, k=k: m.polar(a, s)[k], (shape,)) for s, k, shape in (("right", 0, (4, 3)), ("right", 1, (4, 3)), ("left", 1, (4, 3)), ("left", 1, (3, 4)), ("right", 1, (3, 4)))},
    "orthogonal_procrustes": (lambda m, a, b: m.orthogonal_procrustes(a, b)[0], ((4, 3), (4, 3))),
    "toeplitz": (lambda m, c, r: m.toeplitz(c, r), ((3,), (4,))),
    "toeplitz of one": (lambda m, c: m.toeplitz(c), ((3,),)),
    "circulant": (lambda m, c: m.circulant(c), ((3,),)),
    "hankel": (lambda m, c, r: m.hankel(c, r), ((3,), (4,))),
    "hankel of one": (lambda m, c: m.hankel(c), ((3,),)),
    "block_diag": (lambda m, a, b, v: m.block_diag(a, b, v), (A3, B32, (2,))),
    "companion": (lambda m, c: m.companion(c), ((4,),)),
    "fiedler": (lambda m, c: m.fiedler(c), ((4,),)),
    "leslie": (lambda m, f, s: m.leslie(f, s), ((4,), (3,))),
    "khatri_rao": (lambda m, a, b: m.khatri_rao(a, b), ((3, 2), (4, 2))),
    **{f"convolution_matrix {k}": (lambda m, c, k=k: m.convolution_matrix(c, 5, mode=k), ((3,),)) for k in ("full", "same", "valid")},
    "solve_toeplitz": (lambda m, c, r, b: m.solve_toeplitz((c, r), b), ((3,), (3,), B32)),
    "matmul_toeplitz": (lambda m, c, r, b: m.matmul_toeplitz((c, r), b), ((3,), (4,), (4, 2))),
    "solve_circulant": (lambda m, c, b: m.solve_circulant(c, b), ((3,), B32)),
    "solve_banded": (lambda m, ab, b: m.solve_banded((1, 2), ab + 3 * (np.arange(4) == 2)[:, None], b), ((4, 5), (5, 2))),
    **{f"solveh_banded {low}": (lambda m, ab, b, low=low: m.solveh_banded(0.3 * ab + 3 * (np.arange(2) == (0 if low else 1))[:, None], b, lower=low), ((2, 5), (5,))) for low in (False, True)},
    "eigh_tridiagonal": (lambda m, d, e: total(*m.eigh_tridiagonal(d, e)), ((4,), (3,))),
    "eigvalsh_tridiagonal": (lambda m, d, e: m.eigvalsh_tridiagonal(d, e, select="i", select_range=(1, 2)), ((4,), (3,))),
}  # fmt: skip
REAL = {
    "solve transposed",
    "fiedler",
    "leslie",
    "eigh_tridiagonal",
    "eigvalsh_tridiagonal",
    "solveh_banded True",
    "solveh_banded False",
}


@pytest.mark.parametrize("make", [real, mixed])
@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name, make):
    if make is mixed and name in REAL:
        pytest.skip("of real arguments")
    f, shapes = CASES[name]
    args = [make(*s, seed=k) for k, s in enumerate(shapes)]
    out = f(L, *[bp.asarray(a) for a in args])
    want = f(sp, *args)
    assert out.shape == np.shape(want)
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-10, atol=1e-13)
    check_grads(lambda *xs: f(L, *xs), args)
    check_slopes(lambda *xs: f(L, *xs), lambda *xs: f(sp, *xs), args)


def test_every_function_is_scipys_too():
    assert [n for n in L.OURS if not hasattr(sp, n)] in ([], ["khatri_rao"])
    assert L.solve(np.eye(2), np.ones(2)).tolist() == [1, 1]
    assert type(L.expm(np.eye(2))) is np.ndarray
    assert L.hilbert(2)[1, 1] == pytest.approx(1 / 3)


def test_jax_agrees():
    with quiet():
        import jax
        import jax.scipy.linalg as theirs

        jax.config.update("jax_enable_x64", True)
    a, b = real(3, 3), real(3, 2)
    for f in (
        lambda m, a, b: m.expm(a),
        lambda m, a, b: m.solve_triangular(a, b, lower=True),
        lambda m, a, b: m.lu(a)[1] + m.lu(a)[2],
        lambda m, a, b: m.cho_solve(m.cho_factor(definite(a), lower=True), b),
    ):
        out, pull = bp.vjp(lambda *xs, f=f: f(L, *xs), a, b)
        expected, pull_jax = jax.vjp(lambda *xs, f=f: f(theirs, *xs), a, b)
        np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-12)
        g = real(*out.shape)
        for x, y in zip(pull(g), pull_jax(g), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13)


def test_hard_matrices():
    jordan = np.diag([2.0, 2, 2]) + np.diag([1.0, 1], 1)  # one eigenvalue, no basis of eigenvectors
    for f in (L.expm, L.logm, L.sqrtm):
        check_grads(f, [jordan])
    check_grads(L.expm, [np.zeros((3, 3))])
    check_grads(lambda x: L.polar(x)[0], [np.eye(3)], order=1)  # equal singular values
    big = 40 * real(4, 4)
    g = bp.grad(lambda a: bp.log(bp.sum(bp.abs(L.expm(a)))))(big)
    assert np.isfinite(g).all()
    e = real(4, 4, seed=1)
    want = slope(lambda a: np.log(abs(sp.expm(a)).sum()), [big], [e], 1e-3)
    assert (g * e).sum() == pytest.approx(want, rel=1e-10)
    wide = 1e8 * real(3, 3)  # the direction does not spoil the scaling
    np.testing.assert_allclose(
        L.expm_frechet(bp.asarray(real(3, 3)), wide, compute_expm=False).numpy(),
        1e8 * sp.expm_frechet(real(3, 3), real(3, 3), compute_expm=False),
        rtol=1e-12,
    )


def test_real_matrices_with_complex_functions():
    x = np.array([[-1.0, 0.3], [0.2, 2.0]])
    for name in ("logm", "sqrtm"):
        f = getattr(L, name)
        out = f(bp.asarray(x))
        assert out.dtype == "complex128"
        np.testing.assert_allclose(out.numpy(), getattr(sp, name)(x), rtol=1e-12)
        check_grads(f, [x])


def test_under_vmap():
    x, b = real(4, 3, 3), real(3, 2)
    for f in (
        lambda a: L.expm(a),
        lambda a: L.solve_triangular(a, b),
        lambda a: L.lu(a)[2],
        lambda a: L.lu_solve(L.lu_factor(a), b),
        lambda a: L.logm(definite(a)),
        lambda a: L.eigh(definite(a), eigvals_only=True),
    ):
        g = lambda a, f=f: (f(a) ** 2).sum()
        np.testing.assert_allclose(
            bp.vmap(bp.grad(g))(x), np.stack([bp.grad(g)(m) for m in x]), rtol=1e-10, atol=1e-13
        )


def test_empty_matrices():
    x = bp.tensor(np.empty((0, 0)), requires_grad=True)
    for f in (
        L.expm,
        L.sqrtm,
        L.inv,
        lambda a: L.solve_triangular(a, np.empty((0, 2))),
        lambda a: L.lu_factor(a)[0],
    ):
        f(x).sum().backward()
        assert x.grad.shape == (0, 0)


def test_errors():
    t = bp.tensor(real(3, 3), requires_grad=True)
    for name in ("schur", "hessenberg", "null_space", "orth", "ldl", "funm"):
        with pytest.raises(TypeError, match=rf"scipy\.linalg\.{name}"):
            getattr(L, name)(t, np.sin) if name == "funm" else getattr(L, name)(t)
    with pytest.raises(ShapeError, match="square"):
        L.expm(bp.tensor(real(2, 3)))
    with pytest.raises(ShapeError, match="as many rows"):
        L.solve_triangular(t, np.ones(2))
    with pytest.raises(ShapeError, match=r"\(n, m\)"):
        L.solve_sylvester(t, np.eye(2), np.eye(3))
    with pytest.raises(GradientError, match="complete"):
        L.qr(bp.tensor(real(4, 3), requires_grad=True))
    with pytest.raises(DTypeError, match="left"):
        L.eig(t, np.eye(3), left=True)
    with pytest.raises(ValueError, match="assume_a"):
        L.solve(t, np.ones(3), assume_a="nice")
    with pytest.raises(np.linalg.LinAlgError):
        L.cholesky(-t @ t.T)
