"""vmap of functions with rules of their own, of kernels that need memory, of checkpoints, of random ops."""

import ctypes

import numpy as np
import pytest

import tensorflowlite_bp as bp

X = np.random.default_rng(0).normal(size=(4, 3))


def loop(f, *args):
    return np.stack([np.asarray(f(*a)) for a in zip(*args, strict=True)])


def close(got, want, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(got), want, rtol=rtol, atol=1e-13)


def traced():
    """sum of sin(a x) with a wrong-by-design factor in the backward rule, so that a lost rule shows."""
    f = bp.custom_vjp(lambda a, x: bp.sin(a * x))
    f.defvjp(
        lambda a, x: (bp.sin(a * x), (a, x)),
        lambda r, g: ((g * r[1] * bp.cos(r[0] * r[1]) * 2.0).sum(), g * r[0] * bp.cos(r[0] * r[1]) * 2.0),
    )
    return lambda x: f(bp.sum(x), x)


def forward_rule():
    f = bp.custom_jvp(lambda a, x: bp.sin(a * x))
    f.defjvp(lambda p, t: (bp.sin(p[0] * p[1]), 3.0 * bp.cos(p[0] * p[1]) * (p[0] * t[1] + p[1] * t[0])))
    return lambda x: f(bp.sum(x), x)


class Calls:
    """What a CuPy RawKernel, or a C library, looks like: memory addresses in and out."""

    def __init__(self):
        self.count = 0

    def __call__(self, function, *arrays):
        self.count += 1
        out = np.empty_like(arrays[0])
        n = out.size
        pointers = [ctypes.cast(a.ctypes.data, ctypes.POINTER(ctypes.c_double)) for a in (*arrays, out)]
        for i in range(n):
            pointers[-1][i] = function(*[p[i] for p in pointers[:-1]])
        return bp.asarray(out)


def on_memory(calls=None):
    calls = calls or Calls()
    f = bp.custom_vjp(lambda x: calls(np.sin, np.ascontiguousarray(x.data)))
    f.defvjp(
        lambda x: (calls(np.sin, np.ascontiguousarray(x.data)), x.numpy().copy()),
        lambda r, g: (calls(lambda x, g: np.cos(x) * g * 2.0, r, np.ascontiguousarray(g.data)),),
    )
    return lambda x: f(x * 1.0) * x


FUNCTIONS = {"vjp": traced, "jvp": forward_rule, "memory": on_memory}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_every_order_with_the_transforms(name):
    f = FUNCTIONS[name]()
    total = lambda x: bp.sum(f(x))
    close(bp.vmap(f)(X), loop(f, X))
    want = loop(bp.grad(total), X)
    close(bp.vmap(bp.grad(total))(X), want)
    close(bp.grad(lambda x: bp.sum(bp.vmap(f)(x)))(X), want)
    close(bp.vmap(bp.vmap(bp.grad(total)))(X.reshape(2, 2, 3)), want.reshape(2, 2, 3))
    close(bp.vmap(bp.grad(lambda x: bp.sum(bp.vmap(f)(x))))(X.reshape(2, 2, 3)), want.reshape(2, 2, 3))
    close(bp.vmap(bp.jacobian(f))(X), loop(bp.jacobian(f), X))
    close(bp.jacobian(f, mode="rev")(X[0]), bp.jacobian(f, chunk_size=1)(X[0]))
    if name == "memory":
        return  # its rule cannot be differentiated
    ones = np.ones(3)
    along = lambda x: bp.jvp(f, (x,), (ones,))[1]
    close(bp.vmap(along)(X), loop(along, X))
    close(bp.jvp(bp.vmap(f), (X,), (np.ones_like(X),))[1], loop(along, X))
    close(bp.vmap(bp.hessian(total))(X), loop(bp.hessian(total), X))


def test_a_kernel_is_called_once_per_sample():
    calls = Calls()
    f = on_memory(calls)
    bp.vmap(bp.grad(lambda x: bp.sum(f(x))))(X)
    assert calls.count == 2 * len(X)


def test_custom_rules_see_what_they_close_over_as_constant():
    f = bp.custom_vjp(lambda x: x * 2.0)
    f.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g * 5.0,))
    close(bp.grad(lambda w: bp.sum(bp.vmap(lambda x: f(w) * x)(X)))(np.ones(3)), 5 * X.sum(0))
    close(bp.vmap(bp.grad(lambda w, x: bp.sum(f(w) * x)), (None, 0))(np.ones(3), X), 5 * X)


# ------------------------------------------------------------------ checkpoints
def block(x, w):
    return bp.tanh(x @ w)


def plain(x, w):
    return bp.sum(block(block(x, w), w) ** 2)


def saved(x, w):
    inner = lambda x: bp.checkpoint(block)(bp.checkpoint(block)(x, w), w)
    return bp.sum(bp.checkpoint(inner)(x) ** 2)


@pytest.mark.parametrize("argnums", [0, 1])
@pytest.mark.parametrize("second", [False, True])
def test_checkpoints(second, argnums):
    w = np.random.default_rng(1).normal(size=(3, 3))

    def total(f):
        return f if not second else lambda x, w: bp.sum(bp.grad(f)(x, w) ** 2)

    want = loop(lambda x: bp.grad(total(plain), argnums)(x, w), X)
    close(bp.vmap(bp.grad(total(saved), argnums), (0, None))(X, w), want)
    outside = bp.grad(lambda x, w: bp.sum(bp.vmap(total(saved), (0, None))(x, w)), argnums)(X, w)
    close(outside, want if argnums == 0 else want.sum(0))
    along = lambda f: lambda x: bp.jvp(lambda x: total(f)(x, w), (x,), (np.ones(3),))[1]
    close(bp.vmap(along(saved))(X), loop(along(plain), X))


@pytest.mark.parametrize("inside", [False, True])
def test_checkpoints_draw_the_same_numbers_again(inside):
    """Bit for bit, nested and under vmap and jvp."""
    drop = lambda x: bp.nn.dropout(x, 0.5)
    plain = lambda x: bp.sum(drop(bp.sin(drop(x))) ** 2)
    saved = lambda x: bp.sum(bp.checkpoint(lambda x: drop(bp.sin(bp.checkpoint(drop)(x))))(x) ** 2)
    x = np.linspace(0.1, 2.0, 40).reshape(4, 10)
    along = lambda f: bp.jvp(f, (x,), (x,))[1]
    runs = [lambda f: bp.grad(f)(x), lambda f: bp.hvp(f, (x,), (x,))]
    if inside:
        runs += [lambda f: bp.vmap(bp.grad(f))(x), lambda f: bp.vmap(lambda x: bp.jvp(f, (x,), (x,))[1])(x)]
    else:
        runs += [lambda f: bp.grad(lambda x: bp.sum(bp.vmap(f)(x)))(x), lambda f: along(bp.vmap(f))]
    for run in runs:
        results = []
        for f in (plain, saved):
            bp.random.seed(3)
            results.append(run(f))
        np.testing.assert_array_equal(*results)
        assert np.count_nonzero(results[0])


# ------------------------------------------------------------------ random numbers
def test_randomness():
    noisy = lambda x: x + bp.asarray(bp.random.default_generator().normal((3,)))
    different = bp.vmap(noisy)(np.zeros((50, 3)))
    assert len(np.unique(different)) == 150
    assert abs(different.std() - 1) < 0.3
    same = bp.vmap(noisy, randomness="same")(np.zeros((50, 3)))
    assert len(np.unique(same)) == 3
    with pytest.raises(RuntimeError, match="randomness"):
        bp.vmap(noisy, randomness="error")(np.zeros((50, 3)))
    bp.random.seed(1)
    first = bp.vmap(noisy)(np.zeros((5, 3)))
    bp.random.seed(1)
    np.testing.assert_array_equal(first, bp.vmap(noisy)(np.zeros((5, 3))))


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: g.uniform((3,), -1.0, 2.0),
        lambda g: g.normal((3,), 1.0, 2.0, dtype="float32"),
        lambda g: g.truncated_normal((3,)),
        lambda g: g.integers(10, shape=(3,)),
        lambda g: g.permutation(6),
        lambda g: g.keep_mask((8,), 0.5, np.dtype("float64")),
    ],
)
def test_every_distribution_differs_between_samples(draw):
    generator = bp.random.Generator(7)
    nested = bp.vmap(bp.vmap(lambda x: bp.asarray(draw(generator)) + 0 * x.astype(int)))(np.zeros((4, 5)))
    rows = nested.reshape(20, -1)
    assert len(np.unique(rows, axis=0)) > 15
    want = draw(bp.random.Generator(7))
    assert rows.dtype == np.result_type(want.dtype, int) or rows.dtype == want.dtype
