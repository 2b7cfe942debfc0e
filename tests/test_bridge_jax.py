"""bp.bridge.jax: our functions inside JAX and JAX's on our tape, against JAX alone, to every order."""

import gc
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads as jax_check_grads

import tensorflowlite_bp as bp
from tensorflowlite_bp.bridge.jax import from_jax, to_jax
from tensorflowlite_bp.errors import DTypeError, GradientError
from tensorflowlite_bp.testing import check_grads

R = np.random.default_rng(0)
X, Y, Z = R.normal(size=(2, 3)), R.normal(size=3), R.normal(size=2) + 1j * R.normal(size=2)


@pytest.fixture(autouse=True)
def x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def close(a, b, rtol=1e-11):
    a, b = (v if isinstance(v, (tuple, list)) else [v] for v in (a, b))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-13)


# (ours, JAX's, arguments): one function written twice
PAIRS = {
    "one result": (lambda x: bp.sum(bp.sin(x) * x**2), lambda x: (jnp.sin(x) * x**2).sum(), [X]),
    "two arguments": (lambda x, y: x * bp.exp(y), lambda x, y: x * jnp.exp(y), [X, Y]),
    "linear": (lambda x, y: x @ y, lambda x, y: x @ y, [X, Y]),
    "reversed": (lambda x: bp.flip(x * x, axis=0), lambda x: jnp.flip(x * x, 0), [X]),
    "broadcast": (lambda y: bp.broadcast_to(y, (2, 3)), lambda y: jnp.broadcast_to(y, (2, 3)), [Y]),
    "identity": (lambda x: x, lambda x: x, [X]),
    "0-d": (lambda x: x**3, lambda x: x**3, [np.float64(1.5)]),
    "size 0": (lambda x: bp.exp(x), jnp.exp, [np.zeros((0, 2))]),
    "several results": (
        lambda x, y: (bp.sin(x), bp.sum(x * y, axis=1)),
        lambda x, y: (jnp.sin(x), (x * y).sum(1)),
        [X, Y],
    ),
    "holomorphic": (lambda z: bp.exp(z) * z[0], lambda z: jnp.exp(z) * z[0], [Z]),
    "not holomorphic": (lambda z: bp.conj(z) * bp.exp(z), lambda z: z.conj() * jnp.exp(z), [Z]),
    "complex to real": (lambda z: bp.abs(z) + bp.real(z), lambda z: abs(z) + z.real, [Z]),
    "real to complex": (lambda x: bp.exp(1j * x), lambda x: jnp.exp(1j * x), [X]),
}


# ------------------------------------------------------------------ our functions inside JAX
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", PAIRS)
def test_to_jax(name, compiled):
    ours, theirs, args = PAIRS[name]
    f = jax.jit(to_jax(ours)) if compiled else to_jax(ours)
    out, pull = jax.vjp(f, *args)
    want, want_pull = jax.vjp(theirs, *args)
    close(out, want)
    close(pull(want), want_pull(want))
    assert [o.dtype for o in jax.tree.leaves(out)] == [o.dtype for o in jax.tree.leaves(want)]
    if args[0].size and not compiled:
        jax_check_grads(f, args, order=2)


TRANSFORMS = {
    "grad": jax.grad,
    "hessian": jax.hessian,
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
    "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f)),
    "third order": lambda f: jax.jacfwd(jax.grad(lambda x: jax.grad(f)(x).sum())),
    "linearize": lambda f: lambda x: jax.linearize(f, x)[1](x),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f)),
    "vmap": jax.vmap,
    "vmap of vmap": lambda f: lambda x: jax.vmap(jax.vmap(f))(jnp.stack([x, 2 * x])),
    "vmap along another axis": lambda f: jax.vmap(f, in_axes=1),
    "vmap of grad": lambda f: jax.vmap(jax.grad(f)),
    "grad of vmap": lambda f: jax.grad(lambda x: jax.vmap(f)(x).prod()),
    "hessian of vmap": lambda f: jax.hessian(lambda x: jax.vmap(f)(x).prod()),
    "vmap of hessian": lambda f: jax.vmap(jax.hessian(f)),
    "scan": lambda f: jax.grad(lambda x: jax.lax.scan(lambda c, r: (c * f(r), c), 1.0, x)[0]),
}


@pytest.mark.parametrize(
    ("name", "compiled"),  # but for the thousands of single calls of one, which take seconds
    [(n, c) for n in TRANSFORMS for c in (False, True) if (n, c) != ("hessian of vmap", False)],
)
def test_to_jax_under_transforms(name, compiled):
    ours, theirs, (x,) = PAIRS["one result"]
    found, want = TRANSFORMS[name](to_jax(ours)), TRANSFORMS[name](theirs)
    close((jax.jit(found) if compiled else found)(x), want(x))


def test_the_transpose_of_a_batched_linear_map():
    """vmap of a linearized call, transposed: what no plain gradient asks for."""
    ours, theirs, (x,) = PAIRS["one result"]

    def back(f):
        push = jax.linearize(f, x)[1]
        batch = lambda scale, t: jax.vmap(lambda s, t: push(s * t), in_axes=(0, None))(scale, t)
        one = jax.linear_transpose(jax.vmap(push), jnp.stack([x, x]))(jnp.asarray([1.0, 2.0]))
        shared = jax.vmap(push, in_axes=None, axis_size=2)
        return (
            *one,
            *jax.linear_transpose(shared, x)(jnp.asarray([1.0, 2.0])),
            jax.grad(lambda t: batch(jnp.asarray([1.0, 2.0]), t).prod())(x),
        )

    close(back(to_jax(ours)), back(theirs))


def test_a_tangent_differentiates_where_its_primal_is_a_constant():
    ours, theirs, (x,) = PAIRS["one result"]
    slope = lambda f: jax.grad(lambda t: jax.jvp(f, (x,), (t,))[1] ** 2)(2 * x)
    close(slope(to_jax(ours)), slope(theirs))


def test_to_jax_of_trees_and_constants():
    def f(weights, x, n, *, label):
        assert (n, label) == (2, "a")
        assert x.dtype == bp.int64
        return {"out": weights["w"] ** n * x, "index": bp.argmax(weights["w"]), "pair": (weights["b"], 1.5)}

    bridged = to_jax(f)
    weights, count = {"w": Y, "b": X}, jnp.arange(3)
    out = jax.jit(lambda w, x: bridged(w, x, 2, label="a"))(weights, count)
    assert out["index"].dtype == jnp.int64
    assert float(out["pair"][1]) == 1.5
    g = jax.grad(lambda w: bridged(w, count, 2, label="a")["out"].sum())(weights)
    close(g["w"], 2 * Y * np.arange(3))
    assert not g["b"].any()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64"])
def test_to_jax_keeps_dtypes(dtype):
    x = jnp.ones(3, dtype)
    out, pull = jax.vjp(jax.jit(to_jax(lambda x: x * 2)), x)
    assert out.dtype == x.dtype == pull(out)[0].dtype
    assert pull(x)[0].tolist() == [2, 2, 2]


def test_without_x64_results_are_what_jax_makes_of_them():
    jax.config.update("jax_enable_x64", False)
    out, pull = jax.vjp(to_jax(lambda x: x * np.arange(2.0)), 3.0)
    assert (out.dtype, pull(out)[0].dtype) == (jnp.float32, jnp.float32)
    assert float(pull(out)[0]) == 3
    with pytest.raises(DTypeError, match="jax_enable_x64"):
        from_jax(jnp.sin)(Y)
    assert from_jax(jnp.sin)(Y.astype("float32")).dtype == bp.float32
    assert from_jax(lambda x: x + 1)(np.arange(3)).dtype == bp.int32


def test_shapes_where_ones_do_not_say():
    """jit must know the results before f runs; a function that fails on ones needs `out`."""
    spd = X @ X.T + np.eye(2)
    f = lambda a: bp.linalg.cholesky(a)
    want = np.linalg.cholesky(spd)
    close(to_jax(f)(spd), want)  # no question without jit
    with pytest.raises(GradientError, match=r"out=jax\.ShapeDtypeStruct"):
        jax.jit(to_jax(f))(spd)
    shape = jax.ShapeDtypeStruct((2, 2), "float64")
    for out in (shape, lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype)):
        close(jax.jit(to_jax(f, out=out))(spd), want)
    g = jax.jit(jax.grad(lambda a: to_jax(f, out=shape)(a).sum()))(spd)
    w = jax.grad(lambda a: jnp.linalg.cholesky(a, symmetrize_input=False).sum())(jnp.asarray(spd))
    close(g + g.T, w + w.T)
    tree = {"a": jax.ShapeDtypeStruct((), "float64")}
    assert float(jax.jit(to_jax(lambda x: {"a": bp.sum(x)}, out=tree))(np.ones(3))["a"]) == 3


def test_large_arrays_in_a_compiled_loop():
    """Callbacks that hold JAX's thread for long enough to deadlock, would they wait for it."""
    f = to_jax(lambda x: bp.tanh(x) + 1.0)
    x = jnp.ones((1000, 1000))
    out = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda _, v: f(v) @ v / 1000, x))(x)
    assert bool(jnp.isfinite(out).all())


def test_memory_is_the_results_own():
    constant = np.zeros(64)
    f = to_jax(lambda x: bp.asarray(constant))
    out = f(1.0)
    constant += 1
    assert float(out.sum()) == 0


def test_a_recording_tensor_from_outside_is_an_error():
    w = bp.tensor(Y, requires_grad=True)
    with pytest.raises(GradientError, match="pass it as an argument"):
        to_jax(lambda x: x * w)(Y)
    close(to_jax(lambda x: x * w.detach())(Y), Y * Y)


# ------------------------------------------------------------------ JAX functions on our tape
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", PAIRS)
def test_from_jax(name, compiled):
    ours, theirs, args = PAIRS[name]
    f = from_jax(jax.jit(theirs) if compiled else theirs)
    outs, pull = bp.vjp(f, *args)
    wants, want_pull = bp.vjp(ours, *args)
    close(outs, wants)
    close(pull(wants), want_pull(wants))
    for a, b in zip(
        jax.tree.leaves((outs, pull(wants))), jax.tree.leaves((wants, want_pull(wants))), strict=True
    ):
        assert np.asarray(a).dtype == np.asarray(b).dtype
    if args[0].size and compiled:
        check_grads(f, args, order=2)


def test_from_jax_to_third_order():
    f, g = from_jax(lambda x: jnp.exp(jnp.sin(x))), lambda x: bp.exp(bp.sin(x))
    want = bp.grad(bp.grad(bp.grad(g)))(0.7)
    forward = lambda h: lambda x: bp.jvp(h, (x,), (1.0,))[1]
    for derivative in (
        bp.grad(bp.grad(bp.grad(f))),
        forward(forward(forward(f))),
        forward(bp.grad(forward(f))),
        bp.grad(forward(bp.grad(f))),
    ):
        close(derivative(0.7), want)
    theirs, (x,) = PAIRS["one result"][1:]
    close(bp.hessian(from_jax(theirs))(x), jax.hessian(theirs)(x))


def test_from_jax_under_vmap():
    """One sample after the other, mixed with ops that take all at once; derivatives inside and outside."""
    f = from_jax(lambda x, y: {"a": jnp.sin(x) * y, "name": "n"})
    g = lambda x, y: {"a": bp.sin(x) * y}
    loss = lambda f: lambda x, y: bp.sum(bp.exp(f(bp.tanh(x), y)["a"]))
    for transform in (
        lambda f: bp.vmap(loss(f)),
        lambda f: bp.vmap(bp.grad(loss(f), argnums=(0, 1))),
        lambda f: bp.grad(lambda x, y: bp.sum(bp.vmap(loss(f))(x, y) ** 2), argnums=(0, 1)),
        lambda f: bp.vmap(bp.hessian(loss(f))),
        lambda f: bp.jacobian(bp.grad(lambda x, y: bp.sum(bp.vmap(loss(f))(x, y) ** 2))),
        lambda f: lambda x, y: bp.vmap(bp.vmap(loss(f), in_axes=(0, None)), in_axes=(None, 0))(x, y),
        lambda f: lambda x, y: bp.jvp(lambda x: bp.vmap(loss(f))(x, y), (x,), (x,))[1],
    ):
        found, want = transform(f)(X, 2 * X), transform(g)(X, 2 * X)
        for a, b in zip(*[v if isinstance(v, tuple) else (v,) for v in (found, want)], strict=True):
            close(a, b)


def test_there_and_back():
    check_grads(from_jax(to_jax(lambda x: bp.sin(x) ** 3)), [Y], order=2)
    jax_check_grads(jax.jit(to_jax(from_jax(lambda x: jnp.sin(x) ** 3))), [Y], order=2)


def test_from_jax_of_trees_and_constants():
    def f(weights, x, n, *, label):
        assert (n, label, x.dtype) == (2, "a", jnp.int64)
        return {"out": weights["w"] ** n * x, "index": weights["w"].argmax(), "label": label}

    w = bp.tensor(Y, requires_grad=True)
    for weights in (w, w.detach()):
        out = from_jax(f)({"w": weights}, np.arange(3), 2, label="a")
        assert out["label"] == "a"
        assert out["index"].dtype == bp.int64
        assert not out["index"].requires_grad
        assert out["out"].requires_grad == weights.requires_grad
    bp.sum(from_jax(f)({"w": w}, np.arange(3), 2, label="a")["out"]).backward()
    close(w.grad, 2 * Y * np.arange(3))
    w.grad *= 2.0  # its own memory, to be written to


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64"])
def test_from_jax_keeps_dtypes(dtype):
    x = bp.tensor([1, 1, 1], dtype=getattr(bp, dtype), requires_grad=True)
    out = from_jax(lambda x: x * 2)(x)
    assert out.dtype == x.dtype
    bp.sum(bp.abs(out) if dtype == "complex64" else out).backward()
    assert x.grad.dtype == x.dtype
    assert [float(g) for g in bp.real(x.grad)] == [2, 2, 2]


def test_from_jax_shares_memory():
    seen = []

    def f(x):
        seen.append(x.unsafe_buffer_pointer())
        y = x + 1
        seen.append(y.unsafe_buffer_pointer())
        return y

    room = bp.zeros(72, dtype="float64")
    x = room[-room.data.ctypes.data % 64 // 8 :][:64]
    out = from_jax(f)(x)
    assert seen == [x.data.ctypes.data, out.data.ctypes.data]
    for y in (x, bp.tensor(x.data, requires_grad=True)):
        assert not np.may_share_memory(from_jax(lambda x: x)(y).data, x.data)
    for strided in (x[::2], bp.broadcast_to(x, (2, 64))):
        close(from_jax(lambda x: x + 1)(strided), np.ones(strided.shape))


def test_from_jax_without_gradients():
    x = bp.tensor(Y, requires_grad=True)
    f = from_jax(jnp.sin)
    with bp.no_grad():
        assert not f(x).requires_grad
    assert f(x).requires_grad
    assert not f(x.detach()).requires_grad
    out = f(x)
    bp.sum(out).backward()
    with pytest.raises(GradientError, match="freed"):
        bp.sum(out).backward()


def test_a_node_dies_with_its_graph():
    class Watched:
        def __call__(self, x):
            return jnp.sin(x)

    fn = Watched()
    x = bp.tensor(Y, requires_grad=True)
    out = from_jax(fn)(x)
    gone = weakref.ref(fn)
    del fn
    assert gone() is not None
    bp.sum(out).backward()
    del out
    gc.collect()
    assert gone() is None


def test_a_mixed_training_loop_equals_jaxs():
    first, second = R.normal(size=(4, 8)) * 0.5, R.normal(size=(8, 3)) * 0.5
    data, labels = R.normal(size=(32, 4)), R.integers(0, 3, 32)

    def alone(weights):
        logits = jnp.tanh(data @ weights[0]) @ weights[1]
        return -jnp.mean(jax.nn.log_softmax(logits)[np.arange(32), labels])

    theirs = [jnp.asarray(first), jnp.asarray(second)]
    head = from_jax(jax.jit(lambda h, w: h @ w))
    ours = [bp.tensor(first.copy(), requires_grad=True), bp.tensor(second.copy(), requires_grad=True)]
    for _ in range(5):
        theirs = [w - 0.1 * g for w, g in zip(theirs, jax.grad(alone)(theirs), strict=True)]
        loss = bp.nn.softmax_cross_entropy(head(bp.tanh(bp.asarray(data) @ ours[0]), ours[1]), labels)
        loss.backward()
        with bp.no_grad():
            for w in ours:
                w -= 0.1 * w.grad
                w.grad = None
    for w, t in zip(ours, theirs, strict=True):
        close(w.numpy(), t)


def test_a_missing_library_is_one_clear_error():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "import tensorflowlite_bp as bp\n"
        "try: bp.bridge.jax\n"
        "except ImportError as e: assert 'tensorflowlite-bp[jax]' in str(e), e\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
