"""custom_vjp, custom_jvp and checkpoint: rules of the user's own, and functions that run twice."""

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import GradientError

X = np.array([0.3, -0.7, 1.1])


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


def vjp_rule(f, fwd, bwd, **more):
    made = bp.custom_vjp(f, **more)
    made.defvjp(fwd, bwd)
    return made


def jvp_rule(f, rule, **more):
    made = bp.custom_jvp(f, **more)
    made.defjvp(rule)
    return made


cube_vjp = vjp_rule(lambda x: x**3, lambda x: (x**3, x), lambda x, g: (3 * x * x * g,))
cube_jvp = jvp_rule(lambda x: x**3, lambda p, t: (p[0] ** 3, 3 * p[0] ** 2 * t[0]))
BOTH = pytest.mark.parametrize("cube", [cube_vjp, cube_jvp], ids=["vjp", "jvp"])


@BOTH
def test_every_transform(cube):
    f = lambda x: (cube(np.sin(x)) * x).sum()
    want = lambda x: (np.sin(x) ** 3 * x).sum()
    for transform in (bp.grad, bp.hessian, bp.jacobian, lambda f: bp.jacobian(bp.grad(f), mode="rev")):
        np.testing.assert_allclose(transform(f)(X), transform(want)(X), rtol=1e-12)
    third = lambda f: bp.grad(lambda x: bp.jvp(bp.grad(f), (x,), (X,))[1].sum())
    np.testing.assert_allclose(third(f)(X), third(want)(X), rtol=1e-12)
    bp.testing.check_grads(cube, (X,), order=3)
    np.testing.assert_allclose(bp.grad(bp.checkpoint(f))(X), bp.grad(want)(X), rtol=1e-12)
    x = leaf(X)
    cube(x).sum().backward(create_graph=True)
    g, x.grad = x.grad, None
    g.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * X)


@BOTH
def test_outside_of_a_differentiation(cube):
    np.testing.assert_allclose(cube(X).numpy(), X**3)
    with bp.no_grad():
        assert not cube(leaf(X)).requires_grad


def test_the_rule_is_the_one_given():
    odd = vjp_rule(lambda x: x * 1, lambda x: (x * 1, None), lambda _, g: (g * 7,))
    assert bp.grad(odd)(1.0) == 7.0
    assert bp.jvp(odd, (1.0,), (2.0,))[1] == 14.0
    odd = jvp_rule(lambda x: x * 1, lambda p, t: (p[0] * 1, t[0] * 7))
    assert bp.grad(odd)(1.0) == 7.0
    assert bp.jvp(odd, (1.0,), (2.0,))[1] == 14.0


def test_trees_in_and_out():
    def f(p, y):
        return {"u": p["a"] * y, "v": (p["b"] * 2, y * y)}

    def bwd(residuals, g):
        p, y = residuals
        return {"a": g["u"] * y, "b": g["v"][0] * 2}, g["u"] * p["a"] + g["v"][1] * 2 * y

    made = vjp_rule(f, lambda p, y: (f(p, y), (p, y)), bwd)
    p = {"a": X, "b": X * 2}
    for pick in (lambda o: o["u"], lambda o: o["v"][1], lambda o: o["u"] * o["v"][0] + o["v"][1]):
        loss = lambda h, pick=pick: lambda p, y: np.sin(pick(h(p, y))).sum()
        for order in (lambda f: bp.grad(f, (0, 1)), lambda f: bp.hessian(f, (0, 1))):
            ours, want = order(loss(made))(p, X + 1), order(loss(f))(p, X + 1)
            for a, b in zip(_leaves(ours), _leaves(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    out, moved = bp.jvp(made, (p, X), (p, X))
    np.testing.assert_allclose(moved["u"], 2 * X * X)
    np.testing.assert_allclose(out["v"][1], X * X)


def _leaves(tree):
    if isinstance(tree, dict):
        return [x for k in sorted(tree) for x in _leaves(tree[k])]
    return [x for t in tree for x in _leaves(t)] if isinstance(tree, tuple) else [tree]


def test_arguments_that_are_not_differentiated():
    def f(kind, x, n):
        return x**n if kind == "power" else x

    made = vjp_rule(
        f,
        lambda kind, x, n: (f(kind, x, n), x),
        lambda kind, n, x, g: (g * n * x ** (n - 1),),
        nondiff_argnums=(0, -1),
    )
    assert bp.grad(made, 1)("power", 2.0, 3) == 12.0
    assert bp.grad(lambda x: made("power", n=3, x=x))(2.0) == 12.0
    made = jvp_rule(
        f, lambda kind, n, p, t: (f(kind, p[0], n), n * p[0] ** (n - 1) * t[0]), nondiff_argnums=(0, 2)
    )
    assert bp.grad(made, 1)("power", 2.0, 3) == 12.0
    assert bp.jvp(lambda x: made("power", x, 3), (2.0,), (1.0,))[1] == 12.0


def test_none_means_zero_and_dtypes_are_kept():
    made = vjp_rule(lambda x, y: x * y, lambda x, y: (x * y, y), lambda y, g: (g.astype("float64") * y, None))
    a, b = bp.grad(lambda x, y: made(x, y).sum(), (0, 1))(X.astype("float32"), X)
    assert a.dtype == np.float32
    assert b.tolist() == [0.0] * 3
    indexed = vjp_rule(lambda x, i: x[i], lambda x, i: (x[i], (x, i)), lambda r, g: (bp.zeros(3) + g, None))
    assert bp.grad(lambda x: indexed(x, 1))(X).tolist() == [1.0] * 3


def test_rules_that_do_not_fit():
    f = lambda x, y: x * y
    fwd = lambda x, y: (x * y, None)
    for bwd, what in (
        (lambda _, g: g, "tuple"),
        (lambda _, g: (g,), "2 cotangents"),
        (lambda _, g: (g, g[:1]), "shape"),
        (lambda _, g: (g, {"a": g}), "form"),
    ):
        with pytest.raises(GradientError, match=what):
            bp.grad(lambda x, bwd=bwd: vjp_rule(f, fwd, bwd)(x, x).sum())(X)
    with pytest.raises(GradientError, match="pair"):
        bp.grad(lambda x: vjp_rule(f, lambda x, y: x * y, lambda _, g: (g, g))(x, x).sum())(X)
    with pytest.raises(GradientError, match="defvjp"):
        bp.custom_vjp(f)(X, X)
    with pytest.raises(GradientError, match="defjvp"):
        bp.custom_jvp(f)(X, X)
    for rule, what in (
        (lambda p, t: t[0], "pair"),
        (lambda p, t: (p[0], t[0][:1]), "shape"),
        (lambda p, t: (p[0], t), "form"),
    ):
        with pytest.raises(GradientError, match=what):
            bp.grad(lambda x, rule=rule: jvp_rule(f, rule)(x, x).sum())(X)


def test_kernels_on_raw_arrays():
    wave = vjp_rule(
        lambda x: bp.asarray(np.sin(x.data)),
        lambda x: (bp.asarray(np.sin(x.data)), x.data),
        lambda x, g: (bp.asarray(g.data * np.cos(x)),),
    )
    np.testing.assert_allclose(bp.grad(lambda x: wave(x).sum())(X), np.cos(X))
    np.testing.assert_allclose(wave(X).numpy(), np.sin(X))
    for lost in (
        lambda: bp.jvp(wave, (X,), (X,)),
        lambda: bp.hessian(lambda x: wave(x).sum())(X),
        lambda: bp.grad(lambda x: bp.grad(lambda x: wave(x).sum())(x).sum())(X),
        lambda: wave(leaf(X)).sum().backward(create_graph=True),
    ):
        with pytest.raises(GradientError, match="differentiable ops"):
            lost()
    tangent = jvp_rule(lambda x: x * 2, lambda p, t: (p[0] * 2, bp.asarray(t[0].data * 2)))
    np.testing.assert_allclose(bp.jvp(tangent, (X,), (X,))[1], 2 * X)
    with pytest.raises(GradientError, match="differentiable ops"):
        bp.grad(lambda x: tangent(x).sum())(X)


# ------------------------------------------------------------------ checkpoint
def test_checkpoint_in_every_transform():
    w = leaf([0.5, -0.25, 2.0])

    def block(x, y):
        return np.tanh(x * w) * y, {"s": (x * y).sum()}

    def loss(block):
        def f(x, y):
            a, b = block(x, y)
            return (a * a).sum() * b["s"] + a[0]

        return f

    ours, want = loss(bp.checkpoint(block)), loss(block)
    value = lambda t: t.numpy() if isinstance(t, bp.Tensor) else t
    for transform in (
        lambda f: bp.grad(f, (0, 1)),
        lambda f: bp.jacobian(bp.grad(f), mode="rev"),
        bp.hessian,
        lambda f: lambda *args: bp.jvp(f, args, args)[1],
    ):
        for a, b in zip(_leaves(transform(ours)(X, X + 1)), _leaves(transform(want)(X, X + 1)), strict=True):
            np.testing.assert_allclose(value(a), value(b), rtol=1e-12)
    grads = []
    for f in (ours, want):
        w.grad, x = None, leaf(X)
        f(x, bp.asarray(X + 1)).backward()
        grads.append((w.grad.numpy(), x.grad.numpy()))
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)


def test_nested_checkpoints_and_random_numbers():
    drop = lambda x: bp.nn.dropout(x, 0.5)
    own = bp.random.Generator(3)

    def block(x):
        inner = bp.checkpoint(lambda y: drop(y) * bp.nn.dropout(y, 0.3, generator=own))
        return drop(inner(x)) + inner(x) * 0.0

    x = leaf(np.ones(200))
    out = bp.checkpoint(block)(bp.checkpoint(drop)(x))
    before = bp.random.default_generator().state
    out.sum().backward()
    assert bp.random.default_generator().state == before
    np.testing.assert_allclose(x.grad.numpy(), 2 * out.numpy())
    assert 0 < (out.numpy() != 0).mean() < 0.5


def test_checkpoint_takes_any_argument():
    f = bp.checkpoint(lambda x, kind, n, table, *, flag=None: (x * n if kind == "times" else x) * table["w"])
    assert bp.grad(lambda x: f(x, "times", 3, {"w": np.array(2.0)}, flag=True))(1.0) == 6.0
    assert bp.grad(lambda x: bp.checkpoint(lambda y: y)(x))(1.0) == 1.0
    out = bp.checkpoint(lambda x: {"value": x * 2, "name": "n", "none": None})(leaf(1.0))
    assert out["name"] == "n"
    out["value"].backward()


def test_checkpoint_notices_what_changed():
    w = leaf([1.0, 2.0])
    loss = bp.checkpoint(lambda x: (x * w).sum())(bp.asarray([3.0, 4.0]))
    with bp.no_grad():
        w += 1
    with pytest.raises(GradientError, match="another result"):
        loss.backward()
    count = []

    def counted(x):
        count.append(1)
        return x * float(len(count))

    with pytest.raises(GradientError, match="another result"):
        bp.checkpoint(counted)(leaf(1.0)).backward()


def test_checkpoint_raises_what_its_function_raises():
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        bp.checkpoint(fails)(leaf(1.0))
    assert (leaf(1.0) * 2).requires_grad
