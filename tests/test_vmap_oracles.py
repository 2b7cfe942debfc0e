"""vmap against JAX and torch.func: axes, trees, orders, per-sample gradients of networks; writing; errors."""

import dataclasses

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import ShapeError

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy
R = np.random.default_rng(0)
A, B, V = R.normal(size=(4, 3, 5)), R.normal(size=(5, 4, 2)), R.normal(size=5)


def close(got, want, rtol=1e-10):
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w)
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=rtol, atol=1e-12)


# ------------------------------------------------------------------ axes and trees
CASES = {
    "axes": (lambda np: lambda a, b: np.tanh(a) @ b, (0, 1), 0, (A, B)),
    "negative": (lambda np: lambda a, b: np.tanh(a) @ b, (-3, -2), -1, (A, B)),
    "last out": (lambda np: lambda a: (a.sum(0), a * 2), 0, (1, 2), (A,)),
    "shared": (lambda np: lambda a, v: (a @ v, v), (0, None), (0, None), (A, V)),
    "inner axis": (lambda np: lambda a: np.sin(a).sum(1), 2, 0, (A,)),
    "trees": (
        lambda np: lambda t, x: {"y": t["w"] @ x + t["b"], "z": (x, t["b"])},
        ({"w": 0, "b": None}, 1),
        {"y": 0, "z": (1, None)},
        ({"w": A, "b": R.normal(size=3)}, B[:, :, 0]),
    ),
    "list": (lambda np: lambda xs: xs[0] * xs[1], ([0, None],), 0, ([A, A[0]],)),
}


@pytest.mark.parametrize("name", CASES)
def test_axes_as_jax(name):
    make, in_axes, out_axes, args = CASES[name]
    close(bp.vmap(make(bp), in_axes, out_axes)(*args), jax.vmap(make(jnp), in_axes, out_axes)(*args))


def test_keyword_arguments():
    f = lambda x, *, scale, mode="a", n=2: x * scale * n if mode == "a" else x
    got = bp.vmap(f)(A, scale=np.arange(4.0), mode="a", n=3)
    np.testing.assert_allclose(got, A * np.arange(4.0)[:, None, None] * 3)


def test_dataclasses_and_closures():
    @dataclasses.dataclass
    class Point:
        x: object
        y: object

    f = lambda p: Point(p.x * p.y, bp.sum(p.y) * V[0])
    out = bp.vmap(f, (Point(0, None),))(Point(V, np.ones(2)))
    np.testing.assert_allclose(out.x, V[:, None] * np.ones(2))
    np.testing.assert_allclose(out.y, np.full(5, 2 * V[0]))
    w = bp.tensor(V, requires_grad=True)
    bp.vmap(lambda a: bp.sum(bp.sin(a @ w)))(A).sum().backward()
    close(w.grad.numpy(), jax.grad(lambda w: jax.vmap(lambda a: jnp.sin(a @ w).sum())(A).sum())(V))


def test_tensors_in_tensors_out():
    assert isinstance(bp.vmap(bp.sin)(bp.asarray(V)), bp.Tensor)
    assert isinstance(bp.vmap(bp.sin)(V), np.ndarray)
    out = bp.vmap(lambda x: x)(V)
    out[0] = 7.0
    assert V[0] != 7.0


# ------------------------------------------------------------------ orders
def g(np):
    return lambda x: np.sin(x @ np.cos(x)) * np.exp(-(x * x).sum())


@pytest.mark.parametrize(
    "build",
    [
        lambda t, np: t.vmap(t.hessian(g(np))),
        lambda t, np: t.hessian(lambda x: np.sum(t.vmap(g(np))(x) ** 2)),
        lambda t, np: t.vmap(t.grad(lambda x: np.sum(t.grad(g(np))(x) ** 2))),
        lambda t, np: t.grad(lambda x: np.sum(t.vmap(t.grad(g(np)))(x) ** 3)),
        lambda t, np: lambda x: t.jvp(t.vmap(t.grad(g(np))), (x,), (x * x,))[1],
        lambda t, np: t.vmap(lambda x: t.jvp(t.grad(g(np)), (x,), (x * x,))[1]),
        lambda t, np: lambda x: t.vmap(lambda v: t.vjp(t.vmap(g(np)), x)[1](v)[0])(x[:, :1] * x[:, 0]),
        lambda t, np: lambda x: t.vmap(lambda a: t.vmap(lambda b: t.grad(lambda c: g(np)(c * b))(a))(x))(x),
        lambda t, np: t.grad(
            lambda x: np.sum(
                t.vmap(lambda a: t.grad(lambda c: np.sum(t.vmap(lambda b: g(np)(b * c))(x)))(a))(x)
            )
        ),
    ],
)
def test_orders_as_jax(build):
    x = R.normal(size=(4, 3)) * 0.4
    close(build(bp, bp)(x), build(jax, jnp)(x))


@pytest.mark.parametrize("steps", [(a, b, c, d) for a in "rf" for b in "rf" for c in "rf" for d in "rf"])
def test_fourth_order_in_every_mode(steps):
    """Derivatives of a scalar function, each step reverse or forward, some of them under vmap."""

    def build(t, np):
        f = lambda x: np.sin(x) * np.exp(x * 0.5) / (1 + x * x)
        for step in steps:
            f = t.grad(f) if step == "r" else (lambda x, f=f: t.jvp(f, (x,), (np.ones_like(x),))[1])
        return t.vmap(f)

    x = np.array([0.3, -0.7, 1.1])
    close(
        build(bp, bp)(x),
        build(jax, jnp)(x),
    )


# ------------------------------------------------------------------ per-sample gradients of networks
X, IMAGES, LABELS = R.normal(size=(6, 8)), R.normal(size=(6, 6, 6, 2)), R.integers(0, 3, 6)


def mlp():
    params = [R.normal(size=(8, 5)), R.normal(size=5), R.normal(size=(5, 3)), R.normal(size=3)]

    def ours(p, x, y):
        h = bp.nn.linear(x, p[0], p[1], activation="relu")
        return bp.nn.softmax_cross_entropy(bp.nn.linear(h, p[2], p[3]), y)

    def theirs(p, x, y):
        z = torch.relu(x @ p[0] + p[1]) @ p[2] + p[3]
        return torch.nn.functional.cross_entropy(z[None], y[None])

    return params, X, ours, theirs


def cnn():
    params = [R.normal(size=(3, 3, 2, 4)), R.normal(size=4), R.normal(size=(16, 3))]

    def ours(p, x, y):
        h = bp.nn.max_pool(bp.nn.conv(x[None], p[0], p[1], activation="relu"), 2)
        return bp.nn.softmax_cross_entropy(h.reshape(1, -1) @ p[2], y[None])

    def theirs(p, x, y):
        h = torch.nn.functional.conv2d(x.permute(2, 0, 1)[None], p[0].permute(3, 2, 0, 1), p[1])
        h = torch.nn.functional.max_pool2d(torch.relu(h), 2).permute(0, 2, 3, 1)
        return torch.nn.functional.cross_entropy(h.reshape(1, -1) @ p[2], y[None])

    return params, IMAGES, ours, theirs


def attention():
    params = [R.normal(size=(4, 4)) for _ in range(3)] + [R.normal(size=(4, 3))]
    tokens = R.normal(size=(6, 5, 4))

    def ours(p, x, y):
        q, k, v = (x @ w for w in p[:3])
        h = bp.nn.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], causal=True)
        return bp.nn.softmax_cross_entropy(bp.nn.layer_norm(h[0, 0]).mean(0) @ p[3], y)

    def theirs(p, x, y):
        q, k, v = (x @ w for w in p[:3])
        scores = (q @ k.T) / 2 + torch.triu(torch.full((5, 5), -torch.inf, dtype=q.dtype), 1)
        h = torch.nn.functional.layer_norm(torch.softmax(scores, -1) @ v, (4,))
        return torch.nn.functional.cross_entropy((h.mean(0) @ p[3])[None], y[None])

    return params, tokens, ours, theirs


torch = pytest.importorskip("torch")


@pytest.mark.parametrize("net", [mlp, cnn, attention])
def test_per_sample_gradients_as_torch(net):
    params, data, ours, theirs = net()
    got = bp.vmap(bp.grad(ours), in_axes=(None, 0, 0))(params, data, LABELS)
    loop = [bp.grad(ours)(params, x, y) for x, y in zip(data, LABELS, strict=True)]
    close(got, [np.stack(p) for p in zip(*loop, strict=True)], rtol=1e-11)
    tensors = [torch.tensor(p) for p in params]
    want = torch.func.vmap(torch.func.grad(theirs), (None, 0, 0))(
        tensors, torch.tensor(data), torch.tensor(LABELS)
    )
    close(got, [w.numpy() for w in want])
    models = [np.stack([p, p * 0.5]) for p in params]  # an ensemble: every model on every sample
    both = bp.vmap(bp.vmap(bp.grad(ours), (None, 0, 0)), (0, None, None))(models, data, LABELS)
    close([b[0] for b in both], got, rtol=1e-11)


# ------------------------------------------------------------------ writing
def test_writing_in_place():
    def f(x, i):
        y = x * 2.0
        y[1] = x[0] * x[2]
        y[i] += 3.0
        row = y[2:]
        row *= x[0]
        out = bp.zeros(4)
        out[1:] = y
        out[0] = bp.sum(x)
        return out

    x, i = R.normal(size=(5, 3)), np.array([0, 1, 2, 1, 0])
    want = np.stack([f(bp.asarray(a), k).numpy() for a, k in zip(x, i, strict=True)])
    np.testing.assert_allclose(bp.vmap(f)(x, i), want, rtol=1e-15)
    loop = np.stack([bp.grad(lambda a, k=k: bp.sum(f(a, k) ** 2))(a) for a, k in zip(x, i, strict=True)])
    np.testing.assert_allclose(bp.vmap(bp.grad(lambda a, k: bp.sum(f(a, k) ** 2)))(x, i), loop, rtol=1e-14)


# ------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    "use",
    [bool, float, int, lambda x: x.item(), lambda x: x.numpy(), np.asarray, lambda x: x if x > 0 else -x],
)
def test_values_decide_nothing(use):
    with pytest.raises(TypeError, match="every sample"):
        bp.vmap(lambda x: use(x) * x)(V)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: bp.vmap(lambda x: x)(3.0), ShapeError, "axis 0, which it does not have"),
        (lambda: bp.vmap(lambda x, y: x)(A, B), ShapeError, "argument 0: 4, argument 1: 5"),
        (lambda: bp.vmap(lambda x: x, in_axes=None)(A), ValueError, "at least one argument"),
        (lambda: bp.vmap(lambda x: x, in_axes=(0, 0))(A), ValueError, "one per positional argument"),
        (lambda: bp.vmap(lambda x: x, in_axes=({"a": 0},))(A), ValueError, "in_axes must be"),
        (
            lambda: bp.vmap(lambda x: x, out_axes=None)(A),
            ValueError,
            "does not depend on the sample|this one does",
        ),
        (lambda: bp.vmap(lambda x: "x")(A), TypeError, "must return arrays"),
        (lambda: bp.vmap(lambda x: x, randomness="many")(A), ValueError, "randomness"),
        (lambda: bp.vmap(lambda x: x[x > 0])(A), TypeError, "boolean index"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_representation_in_a_debugger():
    seen = []
    bp.vmap(lambda x: seen.append(repr(x)) or x)(A)
    assert seen == ["Tensor(Batched(4 samples of shape (3, 5), dtype=float64))"]
