"""Graph life: what a graph holds, and that it goes without the garbage collector."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tensorflowlite_bp as bp

MB = 1 << 20


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


@pytest.fixture(autouse=True)
def _without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def traced(run):
    """Bytes of arrays alive after run(), while its result is."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = run()
        return tracemalloc.get_traced_memory()[0] - before, kept
    finally:
        tracemalloc.stop()


def chain(step, n=50):
    x = leaf(np.ones(MB // 8))

    def run():
        y = x
        for _ in range(n):
            y = step(y)
        return y

    run()  # fills caches
    return traced(run)[0]


needs_system_memory = pytest.mark.skipif(
    chain(lambda y: y * y, 4) < 2 * MB, reason="the allocator's memory is not traced"
)


@needs_system_memory
def test_chained_adds_keep_one_array():
    assert chain(lambda y: y + 1.0) < 2 * MB
    assert chain(lambda y: y - y.detach()) < 2 * MB
    assert chain(lambda y: -y) < 2 * MB


@needs_system_memory
def test_products_with_constants_keep_the_constants_only():
    assert chain(lambda y: y * 1.01) < 2 * MB
    assert chain(lambda y: 0.5 * y / 3.0) < 2 * MB
    assert chain(lambda y: y % 2.0) < 2 * MB


def test_saved_arrays_die_in_backward():
    x = leaf(np.ones(1000))
    y = np.exp(x)
    saved = weakref.ref(y.data)
    z = (y * y).sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None


def test_retained_graphs_die_with_their_tensor():
    x = leaf(np.ones(1000))
    y = np.exp(x)
    saved = weakref.ref(y.data)
    z = (y * y).sum()
    del y
    z.backward(retain_graph=True)
    assert saved() is not None
    del z
    assert saved() is None


@bp.custom_vjp
def cube(x):
    return x * x * x


cube.defvjp(lambda x: (x * x * x, x), lambda x, g: (3 * x * x * g,))


@bp.custom_jvp
def double(x):
    return x * 2


double.defjvp(lambda p, t: (p[0] * 2, t[0] * 2))


def local_custom(x):
    f = bp.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), lambda x, g: (g * 2,))
    return f(x)


def written(x):
    y = x * 1
    y[1:] += y[:-1]
    part = y[2:]
    part *= 3.0
    return y


def twice(x):
    (g,) = bp.vjp(lambda x: (x**3).sum(), x)[1](1.0)
    return g


def recorded(x):
    (x**3).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    return g


FUNCTIONS = {
    "elementwise": lambda x: np.tanh(x * 2) / x,
    "reductions": lambda x: x * x.max() + x.var() + np.prod(x[:3]) + bp.logsumexp(x),
    "shapes": lambda x: np.concatenate([x.reshape(2, -1).T.ravel(), np.pad(x, 1)]),
    "indexing": lambda x: x[np.array([0, 1, 1])] + np.sort(x)[:3],
    "matmul": lambda x: x.reshape(-1, 2) @ x.reshape(2, -1),
    "softmax": lambda x: bp.nn.softmax_cross_entropy(x.reshape(2, -1), np.array([0, 1])),
    "custom_vjp": cube,
    "custom_jvp": double,
    "local custom": local_custom,
    "checkpoint": lambda x: bp.checkpoint(lambda y: np.sin(y) * x)(x * 2),
    "two results": lambda x: sum(bp.checkpoint(lambda y: (y * y, np.cos(y)))(x)),
    "in place": written,
    "inner gradient": twice,
    "create_graph": recorded,
    "grad": lambda x: bp.grad(lambda y: (y * x).sum())(x) * x,
}


@pytest.mark.parametrize("backward", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_reference_cycles(name, backward):
    x = leaf(np.linspace(0.5, 1.5, 6))
    keep = leaf(np.ones(()))
    out = FUNCTIONS[name](x)
    total = out.sum() * keep
    watched = [weakref.ref(x.data), weakref.ref(out.data), weakref.ref(out)]
    if backward:
        total.backward()
        watched.append(weakref.ref(x.grad))
    del x, out, total
    assert [w() for w in watched] == [None] * len(watched)


def test_a_checkpointed_function_dies_with_its_graph():
    weights = np.ones(10)
    alive = weakref.ref(weights)
    x = leaf(np.ones(10))

    def step(weights):
        return bp.checkpoint(lambda y: (y * weights).sum())(x)

    loss = step(weights)
    del weights
    assert alive() is not None
    loss.backward()
    del loss
    assert alive() is None


def test_checkpoint_keeps_only_its_arguments():
    x = leaf(np.ones(1000))
    inside = []

    def block(y):
        h = np.exp(y)
        inside.append(weakref.ref(h.data))
        return np.sin(h)

    plain = block(x)
    assert inside.pop()() is not None
    del plain
    out = bp.checkpoint(block)(x)
    assert inside.pop()() is None
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(np.e) * np.e)
    assert inside.pop()() is None


def test_leaf_gradients_die():
    x = leaf(np.ones(10))
    (x * x).sum().backward()
    g = weakref.ref(x.grad.data)
    x.grad = None
    assert g() is None


@pytest.mark.parametrize("differentiate", [True, False])
def test_300_000_ops_deep(differentiate):
    limit = sys.getrecursionlimit()
    x = leaf(1.0)
    y = x
    for _ in range(300_000):
        y = y + 1.0
    if differentiate:
        y.backward()
        assert x.grad.item() == 1.0
    del y
    assert sys.getrecursionlimit() == limit


def test_deep_chains_of_larger_nodes():
    x = leaf([1.0, 1.0])
    y = x
    for _ in range(30_000):
        y = y.reshape(2)
    y.sum().backward(retain_graph=True)
    pulled = bp.grad(lambda a, y: (a * y).sum())(np.ones(2), y)
    assert pulled.tolist() == [1.0, 1.0]


def test_vmap_leaves_nothing_to_the_collector():
    """Neither the samples nor the graph of a batched call are in a circle."""
    x = leaf(np.ones((4, 3)))
    f = bp.vmap(bp.grad(lambda x: bp.sum(bp.sin(x) ** 2)))
    f(x)
    gc.collect()
    out = f(x)
    end = weakref.ref(out)
    bp.jacobian(lambda x: bp.tanh(x @ np.ones((3, 2))))(np.ones(3))
    out.sum().backward()
    del out
    assert end() is None
    assert gc.collect() == 0


def test_saved_arrays_are_gone_before_the_next_rule_runs():
    seen, alive = [], []

    @bp.custom_vjp
    def op(x):
        return x * 1.0

    op.defvjp(
        lambda x: (x * 1.0, None), lambda residuals, g: (alive.extend(r() is not None for r in seen), (g,))[1]
    )

    def loss(x):
        y = bp.tanh(op(x))  # saves its result
        z = y * bp.tanh(y)  # and this both arguments
        seen[:] = [weakref.ref(y.data), weakref.ref(z.data)]
        return bp.sum(z)

    x = leaf(np.ones(1000))
    loss(x).backward()
    assert alive == [False, False]
    assert x.grad is not None
