"""Linear algebra against JAX and torch; numpy.linalg on Tensors; repeated values, singular matrices."""

import numpy as np
import pytest
from oracles import quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import GradientError, ShapeError
from tensorflowlite_bp.testing import check_grads


@pytest.fixture(scope="module")
def jax():
    with quiet():
        import jax

        jax.config.update("jax_enable_x64", True)
    return jax


def matrices(*shape, dtype="float64", seed=0):
    r = np.random.default_rng(seed)
    x = r.normal(size=shape)
    return x + 1j * r.normal(size=shape) if dtype == "complex128" else x


def hermitian(xp, x):
    return x + xp.conj(xp.swapaxes(x, -1, -2))


def definite(xp, x):
    return xp.matmul(x, xp.conj(xp.swapaxes(x, -1, -2))) + 2 * np.eye(x.shape[-1])


# functions of matrices that no free sign or phase of a decomposition changes, written once for both
FUNCTIONS = {
    "solve": lambda xp, x: xp.linalg.solve(x, x[..., :2] + 1),
    "inv": lambda xp, x: xp.linalg.inv(x),
    "det": lambda xp, x: xp.linalg.det(x),
    "slogdet": lambda xp, x: xp.linalg.slogdet(x)[1],
    "sign of slogdet": lambda xp, x: xp.linalg.slogdet(x)[0],
    "pinv": lambda xp, x: xp.linalg.pinv(x),
    "matrix_power": lambda xp, x: xp.linalg.matrix_power(x, 3),
    "cholesky": lambda xp, x: xp.linalg.cholesky(definite(xp, x)),
    "qr": lambda xp, x: xp.linalg.qr(x)[1],
    "eigvalsh": lambda xp, x: xp.linalg.eigvalsh(hermitian(xp, x)),
    "eigh": lambda xp, x: abs(xp.linalg.eigh(hermitian(xp, x))[1]) ** 2,
    "svd": lambda xp, x: xp.linalg.svd(x, full_matrices=False)[1],
    "vectors of svd": lambda xp, x: abs(xp.linalg.svd(x, full_matrices=False)[0]) ** 2,
    "norm": lambda xp, x: xp.linalg.norm(x, axis=(-2, -1)),
    "nuclear norm": lambda xp, x: xp.linalg.norm(x, "nuc", axis=(-2, -1)),
    "spectral norm": lambda xp, x: xp.linalg.norm(x, 2, axis=(-2, -1)),
    "cond": lambda xp, x: xp.linalg.cond(x),
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_agrees_with_jax(jax, name, dtype):
    f = FUNCTIONS[name]
    x = matrices(2, 3, 3, dtype=dtype)
    out, pull = bp.vjp(lambda a: f(bp, a), x)
    expected, pull_jax = jax.vjp(lambda a: f(jax.numpy, a), x)
    if name == "qr":  # the sign of each row of R is free: LAPACK's choice is the same, but say so
        np.testing.assert_allclose(abs(out), abs(expected), rtol=1e-10, atol=1e-12)
    else:
        np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-12)
    g = matrices(*out.shape, dtype=str(out.dtype), seed=1)
    np.testing.assert_allclose(pull(g)[0], pull_jax(g)[0], rtol=1e-10, atol=1e-13)
    t = matrices(2, 3, 3, dtype=dtype, seed=2)
    moved = bp.jvp(lambda a: f(bp, a), (x,), (t,))[1]
    moved_jax = jax.jvp(lambda a: f(jax.numpy, a), (x,), (t,))[1]
    np.testing.assert_allclose(moved, moved_jax, rtol=1e-10, atol=1e-13)


LEAST_SQUARES = {
    "pinv": (lambda a, b: bp.linalg.pinv(a), lambda t, a, b: t.linalg.pinv(a)),
    "lstsq": (lambda a, b: bp.linalg.lstsq(a, b)[0], lambda t, a, b: t.linalg.lstsq(a, b).solution),
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [("pinv", (5, 3)), ("pinv", (3, 5)), ("pinv", (4, 4)), ("lstsq", (5, 3)), ("lstsq", (4, 4))],
)
def test_pinv_and_lstsq_agree_with_torch(name, shape):
    t = torch()
    mine, theirs = LEAST_SQUARES[name]
    x, b = matrices(*shape), matrices(shape[0], 2, seed=3)
    leaves = [bp.tensor(v, requires_grad=True) for v in (x, b)]
    others = [t.tensor(v, requires_grad=True) for v in (x, b)]
    out, expected = mine(*leaves), theirs(t, *others)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-13)
    g = matrices(*out.shape, seed=4)
    out.backward(g)
    expected.backward(t.tensor(g))
    np.testing.assert_allclose(leaves[0].grad.numpy(), others[0].grad.numpy(), rtol=1e-10, atol=1e-13)


def test_gradient_of_det_of_singular_matrices():
    rank_two = np.outer([1.0, 2, 3], [1, 0, -1]) + np.outer([0.0, 1, 1], [1, 1, 1])
    g = bp.grad(bp.linalg.det)(rank_two)
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(rank_two, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(g, cofactors, atol=1e-12)
    big = np.random.default_rng(0).normal(size=(7, 7))
    big[3] = big[5]
    check_grads(bp.linalg.det, [big])
    np.testing.assert_array_equal(bp.grad(bp.linalg.det)(np.zeros((3, 3))), 0)


def test_repeated_eigenvalues_have_a_gradient():
    x = np.diag([2.0, 2, 2, 5])
    g = bp.grad(lambda a: bp.sum(bp.linalg.eigvalsh(a) ** 2))(x)
    np.testing.assert_allclose(g, 2 * x, atol=1e-12)
    g = bp.grad(lambda a: bp.sum(bp.linalg.svdvals(a)))(np.eye(3))
    np.testing.assert_allclose(g, np.eye(3), atol=1e-12)


def test_norm_at_zero_has_gradient_zero():
    for ord in (None, 2, 3, "fro"):
        x = np.zeros((3, 3)) if ord == "fro" else np.zeros(3)
        np.testing.assert_array_equal(bp.grad(lambda a, ord=ord: bp.linalg.norm(a, ord))(x), 0)


def test_numpys_own_functions():
    x = matrices(3, 3)
    t = bp.tensor(x, requires_grad=True)
    for name in ("inv", "det", "pinv", "cholesky", "eigvalsh", "norm", "cond", "svdvals"):
        function = getattr(np.linalg, name)
        argument = (t @ t.T + bp.eye(3), x @ x.T + np.eye(3)) if name in ("cholesky", "eigvalsh") else (t, x)
        out = function(argument[0])
        assert out.requires_grad, name
        np.testing.assert_allclose(out.numpy(), function(argument[1]), rtol=1e-10)
    for name in ("slogdet", "svd", "eigh", "qr", "eig"):
        out, expected = getattr(np.linalg, name)(t), getattr(np.linalg, name)(x)
        assert type(out) is type(expected)
        assert out._fields == expected._fields
    assert int(np.linalg.matrix_rank(t)) == 3
    assert np.einsum(t, [0, 1], t, [1, 2], [0, 2]).requires_grad
    np.testing.assert_allclose(np.einsum("ij,jk,kl", t, t, t, optimize=True).numpy(), x @ x @ x)
    np.testing.assert_allclose(np.kron(t, x).numpy(), np.kron(x, x))


def test_errors_say_what_was_expected():
    wide = bp.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ShapeError, match=r"(?s)\[inv\] square matrices.*\(2, 3\)"):
        bp.linalg.inv(wide)
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        np.linalg.det(wide)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        bp.linalg.inv(np.zeros((2, 2)))
    with pytest.raises(GradientError, match="full_matrices=False"):
        np.linalg.svd(wide)
    with pytest.raises(GradientError, match="complete"):
        bp.linalg.qr(wide.T, mode="complete")
    with pytest.raises(ShapeError, match="as many rows"):
        bp.linalg.solve(np.eye(2), np.ones(3))
    with pytest.raises(ValueError, match="ord"):
        bp.linalg.matrix_norm(wide, ord=3)
