"""Function transforms against JAX and mathematics: trees, argument numbers, nesting, what raises."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError, ShapeError

jax.config.update("jax_enable_x64", True)


@dataclasses.dataclass
class Point:
    x: object
    y: object


def close(ours, theirs, rtol=1e-10):
    a, b = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(a) == len(b)
    for i, j in zip(a, b, strict=True):
        np.testing.assert_allclose(np.asarray(i), np.asarray(j), rtol=rtol, atol=1e-12)


X = np.array([0.3, -0.7, 1.1])


# ------------------------------------------------------------------ forms
def test_trees_against_jax():
    tree = {"a": X, "b": [np.array(2.0), (X * 2, None)]}

    def f(p, library):
        return library.sum(library.sin(p["a"]) * p["b"][0] + p["b"][1][0] ** 2)

    close(bp.grad(lambda p: f(p, np))(tree), jax.grad(lambda p: f(p, jnp))(tree))
    value, grads = bp.value_and_grad(lambda p: f(p, np))(tree)
    assert isinstance(value, np.float64)
    assert type(grads["b"]) is list
    assert type(grads["b"][1]) is tuple
    assert grads["b"][1][1] is None
    tangent = {"a": X * 3, "b": [np.array(1.0), (X, None)]}
    close(bp.jvp(lambda p: f(p, np), (tree,), (tangent,)), jax.jvp(lambda p: f(p, jnp), (tree,), (tangent,)))
    close(bp.hvp(lambda p: f(p, np), (tree,), (tangent,)),
          jax.jvp(jax.grad(lambda p: f(p, jnp)), (tree,), (tangent,))[1])  # fmt: skip


def test_dataclasses():
    g = bp.grad(lambda p: p.x * p.y**2)(Point(2.0, 3.0))
    assert g == Point(9.0, 12.0)
    assert isinstance(g, Point)


def test_argnums_and_keywords():
    def f(x, y, z, *, scale):
        return np.sum(x * y**2) * z * scale

    args = (X, X + 2, 3.0)
    for argnums in (0, -1, (0, 2), (2, 0), (1,), [0, 1]):
        theirs = argnums if isinstance(argnums, int) else tuple(argnums)
        ours = bp.grad(f, argnums)(*args, scale=2.0)
        close(ours, jax.grad(lambda *a: jnp.sum(a[0] * a[1] ** 2) * a[2] * 2.0, theirs)(*args))
        assert isinstance(ours, tuple) == (not isinstance(argnums, int))
    with pytest.raises(TypeError, match="argnums"):
        bp.grad(f, 3)(*args, scale=1.0)
    with pytest.raises(TypeError, match="argnums"):
        bp.grad(f, -4)(*args, scale=1.0)


def test_auxiliary_results():
    def f(x):
        return (x**2).sum(), {"twice": x * 2, "name": "f"}

    (value, aux), g = bp.value_and_grad(f, has_aux=True)(X)
    assert value == pytest.approx(1.79)
    assert aux["name"] == "f"
    assert type(aux["twice"]) is np.ndarray
    close((aux["twice"], g), (X * 2, X * 2))
    g, aux = bp.grad(f, has_aux=True)(X)
    close(g, X * 2)


def test_an_auxiliary_result_stays_connected_to_the_outside():
    w = bp.tensor(3.0, requires_grad=True)

    def f(x):
        y = x * x
        return y.sum(), (y * w).sum()

    _, aux = bp.grad(f, has_aux=True)(X)
    aux.backward()
    assert w.grad.item() == pytest.approx((X * X).sum())


def test_raw_in_raw_out_tensors_in_tensors_out():
    f = lambda x, y: (x * y).sum()
    assert type(bp.grad(f)(X, X)) is np.ndarray
    assert isinstance(bp.grad(lambda x: x * x)(2.0), np.float64)
    assert isinstance(bp.grad(f)(bp.asarray(X), X), bp.Tensor)
    g = bp.grad(f, (0, 1))(bp.asarray(X), X)
    assert isinstance(g[0], bp.Tensor)
    assert type(g[1]) is np.ndarray
    out, pull = bp.vjp(np.sin, X)
    assert type(out) is np.ndarray
    assert type(pull(np.ones(3))[0]) is np.ndarray
    out, moved = bp.jvp(np.sin, (bp.asarray(X),), (X,))
    assert isinstance(out, bp.Tensor)
    assert isinstance(moved, bp.Tensor)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_dtypes(dtype):
    x = X.astype(dtype)
    g = bp.grad(lambda x: abs(x * x).sum())(x)
    assert g.dtype == dtype
    assert bp.grad(lambda x: abs(x * 2.0 + 1))(x[0]).dtype == dtype
    out, pull = bp.vjp(lambda x: x[0] * x[1], x)
    assert out.dtype == dtype
    assert pull(1.0)[0].dtype == dtype


@pytest.mark.parametrize(
    "f", [lambda z, n: n.sin(z) * z, lambda z, n: n.exp(1j * z), lambda z, n: z**3 / (1 + z * z)]
)
def test_complex_convention(f):
    z, t, g = np.array([0.3 + 0.4j, -1.2 + 0.1j]), np.array([1 + 2j, -1j]), np.array([2 - 1j, 0.5 + 0.5j])
    out, pull = bp.vjp(lambda z: f(z, np), z)
    want, jax_pull = jax.vjp(lambda z: f(z, jnp), z)
    close((out, pull(g)), (want, jax_pull(g)))
    close(bp.jvp(lambda z: f(z, np), (z,), (t,)), jax.jvp(lambda z: f(z, jnp), (z,), (t,)))
    size = lambda n: lambda z: n.sum(n.abs(f(z, n)) ** 2)
    close(bp.grad(size(np))(z), jax.grad(size(jnp))(z))


@pytest.mark.parametrize("mode", ["rev", "fwd", None])
def test_jacobians(mode):
    def f(x, y, n):
        return n.stack([n.sum(x * y), x[0] ** 2, y[1] * x[2], n.sin(x[1])])

    ours = bp.jacobian(lambda x, y: f(x, y, np), (0, 1), mode)(X, X + 1)
    close(ours, jax.jacrev(lambda x, y: f(x, y, jnp), (0, 1))(X, X + 1))
    tree = lambda n: lambda p: {"u": n.outer(p["a"], p["a"]), "v": n.sum(p["a"]) * p["b"]}
    p = {"a": X, "b": np.array(2.0)}
    ours = bp.jacobian(tree(np), mode=mode)(p)
    close(ours, jax.jacrev(tree(jnp))(p))
    assert ours["u"]["a"].shape == (3, 3, 3)
    assert type(ours["u"]["a"]) is np.ndarray
    assert bp.jacobian(lambda x: np.ones(2), mode=mode)(X).tolist() == [[0.0] * 3] * 2
    assert bp.jacobian(lambda x: x[:0] * 2, mode=mode)(X).shape == (0, 3)


def test_hessians():
    f = lambda n: lambda p: n.sum(n.sin(p["a"]) ** 2) * p["b"] ** 3
    p = {"a": X, "b": np.array(2.0)}
    ours = bp.hessian(f(np))(p)
    close(ours, jax.hessian(f(jnp))(p))
    assert type(ours["a"]["b"]) is np.ndarray
    g = lambda n: lambda x, y: n.sum(x**2 * y)
    close(bp.hessian(g(np), (0, 1))(X, X), jax.hessian(g(jnp), (0, 1))(X, X))
    v = np.array([1.0, 2.0, 3.0])
    close(bp.hvp(g(np), (X, X), (v, v)), jax.jvp(jax.grad(g(jnp), (0, 1)), (X, X), (v, v))[1])


def test_elementwise_grad():
    close(bp.elementwise_grad(lambda x: np.tanh(x) * 3)(X), 3 / np.cosh(X) ** 2)
    twice = bp.elementwise_grad(bp.elementwise_grad(np.sin))
    close(twice(X), -np.sin(X))


def test_vjp_can_be_pulled_again_and_keeps_its_values():
    x, g = X.copy(), np.ones(3)
    out, pull = bp.vjp(lambda x: np.exp(x) * x, x)
    first = pull(g)[0]
    want = first.copy()
    out *= 5
    x *= 7
    first *= 9
    close(pull(g)[0], want)
    assert not np.shares_memory(bp.vjp(lambda x: x + 0.0, X)[1](g)[0], g)


def test_results_share_nothing_and_can_be_written():
    a, b = bp.grad(lambda x, y: (x + y).sum(), (0, 1))(X, X)
    a *= 2
    assert b.tolist() == [1.0] * 3
    x = bp.asarray(X)
    a, b = bp.grad(lambda x, y: (x + y).sum(), (0, 1))(x, x)
    a *= 2
    assert b.tolist() == [1.0] * 3


# ------------------------------------------------------------------ nesting
def derive_rev(f):
    return bp.grad(f)


def derive_fwd(f):
    return lambda x: bp.jvp(f, (x,), (1.0,))[1]


@pytest.mark.parametrize("modes", ["".join(m) for m in itertools.product("rf", repeat=4)])
def test_order_four_in_every_combination(modes):
    f, want = lambda x: np.sin(2 * x) * np.exp(-x), lambda x: jnp.sin(2 * x) * jnp.exp(-x)
    for mode in modes:
        f, want = (derive_rev if mode == "r" else derive_fwd)(f), jax.grad(want)
        np.testing.assert_allclose(f(0.7), want(0.7), rtol=1e-10)


BOTH = pytest.mark.parametrize(
    ("outer", "inner"),
    list(itertools.product((derive_rev, derive_fwd), repeat=2)),
    ids=["rr", "rf", "fr", "ff"],
)


@BOTH
def test_perturbations_are_not_confused(outer, inner):
    # Siskind and Pearlmutter 2008; Manzyuk et al. 2019
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0) == 6.0
    assert outer(lambda x: inner(lambda y: x * x * y)(x))(4.0) == 8.0
    assert outer(lambda x: inner(lambda y: y * y * y * x)(x))(2.0) == 36.0
    shift = lambda u: lambda f: lambda x: f(x + u)  # the amazing bug
    assert outer(lambda u: inner(shift(u)(lambda y: y**3))(2.0))(0.0) == 12.0


@BOTH
def test_closures(outer, inner):
    def f(x):
        g = lambda y: np.sin(x * y) * x
        return inner(g)(x) + inner(lambda y: inner(lambda z: x * y * z * z)(y))(x)

    def want(x):
        g = lambda y: jnp.sin(x * y) * x
        return jax.grad(g)(x) + jax.grad(lambda y: jax.grad(lambda z: x * y * z * z)(y))(x)

    np.testing.assert_allclose(outer(f)(0.6), jax.grad(want)(0.6), rtol=1e-12)


def test_a_gradient_inside_a_loss_reaches_captured_weights():
    w = bp.tensor([0.5, -0.25, 2.0], requires_grad=True)
    force = bp.grad(lambda x: (np.tanh(x * w) ** 2).sum())(X)
    (force * force).sum().backward()
    loss = lambda w: (jax.grad(lambda x: (jnp.tanh(x * w) ** 2).sum())(X) ** 2).sum()
    close(w.grad.numpy(), jax.grad(loss)(w.numpy()))


def test_stop_gradient():
    tree = bp.stop_gradient({"a": bp.tensor(1.0, requires_grad=True), "b": 2})
    assert not tree["a"].requires_grad
    assert bp.grad(lambda x: x * bp.stop_gradient(x * x))(3.0) == 9.0
    assert bp.jvp(lambda x: x * bp.stop_gradient(x), (3.0,), (1.0,))[1] == 3.0


# ------------------------------------------------------------------ nothing depends
def test_constants_and_unused_arguments_have_zero_gradients():
    for f in (lambda x: 3.0, lambda x: np.float64(2.0), lambda x: bp.asarray(1.0), lambda x: 7):
        assert bp.grad(f)(X).tolist() == [0.0] * 3
        assert bp.jvp(f, (2.0,), (1.0,))[1] == 0.0
    g = bp.grad(lambda x, y: (x * x).sum(), (0, 1))(X, X.astype("float32"))
    assert g[1].tolist() == [0.0] * 3
    assert g[1].dtype == np.float32
    assert bp.vjp(lambda x, y: x, X, 2.0)[1](X)[1] == 0.0
    assert bp.grad(bp.grad(lambda x: 3 * x))(1.0) == 0.0
    assert bp.grad(lambda x: x.detach() * x.detach())(2.0) == 0.0


def test_nothing_is_recorded_under_no_grad():
    w = bp.tensor(X, requires_grad=True)
    with bp.no_grad():
        value, g = bp.value_and_grad(lambda w: (w * w).sum())(w)
    assert not value.requires_grad
    assert not g.requires_grad
    close(g.numpy(), 2 * X)


def test_conversion_to_integers_cuts():
    f = lambda x: ((x * 2).astype(int) * 1.0 * x).sum()
    close(bp.grad(f)(np.array([1.6, 2.2])), np.array([3.0, 4.0]))


# ------------------------------------------------------------------ what raises
@pytest.mark.parametrize(
    "x", [3, True, np.arange(3), np.array([True]), {"a": np.arange(2)}, "text"], ids=repr
)
def test_arguments_without_a_derivative(x):
    for call in (
        lambda: bp.grad(lambda x: 0.0)(x),
        lambda: bp.vjp(lambda x: x, x),
        lambda: bp.jvp(lambda x: x, (x,), (x,)),
        lambda: bp.jacobian(lambda x: 0.0)(x),
    ):
        with pytest.raises(DTypeError):
            call()


def test_results_without_a_gradient():
    with pytest.raises(ShapeError, match=r"(?s)scalar.*jacobian"):
        bp.grad(lambda x: x * 2)(X)
    with pytest.raises(DTypeError, match="real"):
        bp.grad(lambda x: (x * 1j).sum())(X)
    for f in (
        lambda x: (x > 0).sum(),
        lambda x: x[0] > 0,
        lambda x: np.argmax(x),
        lambda x: np.allclose(x, x),
    ):
        with pytest.raises(DTypeError, match="floating"):
            bp.grad(f)(X)
    with pytest.raises(TypeError, match="scalar"):
        bp.grad(lambda x: (x, x))(X)
    with pytest.raises(TypeError, match="scalar"):
        bp.grad(lambda x: None)(X)


def test_cotangents_and_tangents_must_fit():
    _, pull = bp.vjp(lambda x: {"u": x, "v": x * 2}, X)
    for wrong in ({"u": X}, {"u": X, "w": X}, [X, X], X, {"u": X, "v": np.ones(2)}):
        with pytest.raises(ShapeError):
            pull(wrong)
    with pytest.raises(DTypeError):
        pull({"u": X * 1j, "v": X})
    for wrong in (np.ones(2), [X], {"a": X}):
        with pytest.raises(ShapeError):
            bp.jvp(np.sin, (X,), (wrong,))
    with pytest.raises(TypeError):
        bp.jvp(np.sin, (X,), (X, X))
    with pytest.raises(TypeError):
        bp.jvp(np.sin, X, X[0])
    with pytest.raises(ValueError, match="mode"):
        bp.jacobian(np.sin, mode="reverse")


def test_arguments_cannot_be_written():
    def f(x):
        x[0] = 1.0
        return x.sum()

    with pytest.raises(bp.GradientError, match="copy"):
        bp.grad(f)(X)


# ------------------------------------------------------------------ NumPy code unchanged
def test_numpy_code():
    def cost(w):
        h = np.tanh(np.einsum("ij,j->i", np.outer(X, X), w))
        parts = np.concatenate([h, np.where(w > 0, w, w * 0.1), np.stack([w[0], np.mean(h)])])
        return np.sum(np.clip(parts, -0.5, 0.9) ** 2) + np.max(w) - np.std(h) + math.pi

    def same(w):
        h = jnp.tanh(jnp.einsum("ij,j->i", jnp.outer(X, X), w))
        parts = jnp.concatenate([h, jnp.where(w > 0, w, w * 0.1), jnp.stack([w[0], jnp.mean(h)])])
        return jnp.sum(jnp.clip(parts, -0.5, 0.9) ** 2) + jnp.max(w) - jnp.std(h) + math.pi

    w = np.array([0.2, -0.4, 0.8])
    assert cost(w) == pytest.approx(float(same(w)))
    close(bp.grad(cost)(w), jax.grad(same)(w))
    close(bp.hessian(cost)(w), jax.hessian(same)(w), rtol=1e-8)


def test_mixed_derivatives_of_raw_arrays_are_raw():
    """The arguments of a transform that is done are constants to an outer one."""
    x, w = np.array([0.3, 0.5]), np.array([[1.0, 2.0], [0.5, -1.0]])
    f = lambda x, w: bp.sum(bp.tanh(x @ w))
    inner = lambda x: bp.sum(bp.grad(f, 1)(x, w) ** 2)
    for got in (
        bp.grad(inner)(x),
        bp.vjp(inner, x)[1](1.0)[0],
        bp.jvp(inner, (x,), (x,))[1],
        bp.jacobian(lambda x: bp.jacobian(f, 1)(x, w))(x),
        bp.grad(lambda x: bp.jvp(lambda w: f(x, w), (w,), (w,))[1])(x),
        bp.grad(lambda x: bp.sum(bp.vjp(lambda w: f(x, w), w)[1](1.0)[0]))(x),
    ):
        assert isinstance(got, (np.ndarray, np.floating))
    want = bp.jacobian(lambda x: bp.sum((bp.reshape(x, (2, 1)) * (1 - bp.tanh(x @ w) ** 2)) ** 2))(x)
    np.testing.assert_allclose(bp.grad(inner)(x), want, rtol=1e-13)
