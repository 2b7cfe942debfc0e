"""backward: accumulation, graph life, ownership of gradients, recorded gradients; the modes."""

import asyncio
import math
import threading
import tracemalloc

import numpy as np
import pytest
import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.autograd import ownership
from tensorflowlite_bp.errors import DTypeError, GradientError, ShapeError
from tensorflowlite_bp.testing import check_grads


def leaf(data, dtype=float):
    return bp.tensor(np.asarray(data, dtype), requires_grad=True)


# ------------------------------------------------------------------ accumulation
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
def test_gradients_accumulate(shape):
    w = leaf(np.full(shape, 2.0))
    for k in range(1, 4):
        (w * w).sum().backward()
        np.testing.assert_array_equal(w.grad.numpy(), np.full(shape, 4.0 * k))
        assert type(w.grad.data) is np.ndarray
    w.grad = None
    assert w.grad is None


def test_diamonds_and_shared_parts():
    x = leaf([1.0, 2.0])
    t = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def program(x):
        a = x * x
        b, c = a * 3, a / x
        d = b * c + a
        return (d * d + c * b - d).sum()

    program(x).backward()
    program(t).backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())


def test_several_losses_over_one_part():
    x = leaf([1.0, 2.0])
    h = x * x
    h.sum().backward(retain_graph=True)
    (h * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 12.0])
    with pytest.raises(GradientError, match=r"(?s)freed.*retain_graph"):
        (h * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 12.0])


def test_second_backward():
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        loss.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        loss.backward(create_graph=True)


# ------------------------------------------------------------------ what backward is called on, and with
def test_the_gradient_argument():
    x = leaf([1.0, 2.0])
    y = x * x
    y.backward([10.0, 100.0], retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), [20.0, 400.0])
    y.backward(bp.asarray(np.array([1, 1])), retain_graph=True)
    assert x.grad.dtype == np.float64
    for wrong in (np.ones(3), 1.0, np.ones((1, 2))):
        with pytest.raises(ShapeError, match="shape"):
            y.backward(wrong, retain_graph=True)
    with pytest.raises(ShapeError, match="one element"):
        y.backward()
    (x[:1] * 2).backward()


def test_float32_stays_float32():
    x = leaf(3.0, "float32")
    (x * 2.0 + x.sum() / 3).backward(np.float64(1.0))
    assert x.grad.dtype == np.float32


def test_constants_and_leaves():
    with pytest.raises(GradientError, match="requires_grad=True"):
        bp.asarray([1.0]).backward()
    with pytest.raises(GradientError, match="requires grad"):
        (leaf([1.0]) > 0).backward()
    x, g = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    x.backward(g)
    x.backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 8.0])


def test_integers_do_not_require_grad():
    for data in ([1, 2], [True], np.arange(3, dtype="int8")):
        with pytest.raises(DTypeError, match="floating"):
            bp.tensor(data, requires_grad=True)


# ------------------------------------------------------------------ who owns a gradient
LOSSES = {
    "add": lambda a, b: a + b,
    "add a number": lambda a, b: a + 1.0 + b * 0.0,
    "reshape": lambda a, b: a.reshape(4) + b.reshape(-1),
    "transpose": lambda a, b: a.T + b,
    "matmul": lambda a, b: a @ b.T,
    "index": lambda a, b: a[0] + b[:, 1],
    "sum": lambda a, b: a.sum() + b.mean(),
    "broadcast": lambda a, b: np.broadcast_to(a, (3, 2, 2)) + b,
    "copy": lambda a, b: a.copy() + b,
    "concatenate": lambda a, b: np.concatenate([a, b, a]),
    "itself": lambda a, b: a,
}


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_have_memory_of_their_own(name, retain, create):
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[5.0, 6.0], [7.0, 8.0]])
    out = LOSSES[name](a, b)
    cotangent = np.random.default_rng(0).normal(size=out.shape)
    kept = cotangent.copy()
    out.backward(cotangent, retain_graph=retain, create_graph=create)
    grads = [t.grad for t in (a, b) if t.grad is not None]
    values = [g.numpy().copy() for g in grads]
    for g in grads:
        assert g.data.base is None
        assert g.data.flags.writeable
        assert not np.shares_memory(g.data, cotangent)
        assert not any(np.shares_memory(g.data, t.data) for t in (a, b))
    for k, g in enumerate(grads):
        with bp.no_grad():
            g *= 2
        for j, other in enumerate(grads):
            np.testing.assert_array_equal(other.numpy(), values[j] * (2 if j <= k else 1))
    np.testing.assert_array_equal(cotangent, kept)
    if retain and not create:
        out.backward(cotangent)
        for g, value, t in zip(grads, values, (a, b), strict=False):
            np.testing.assert_allclose(t.grad.numpy() if name != "itself" else a.grad.numpy(), 3 * value)
            assert t.grad is not g


# ------------------------------------------------------------------ recorded gradients
def test_gradient_penalty():
    r = np.random.default_rng(0)
    w0, x0 = r.normal(size=(3, 2)), r.normal(size=(4, 3))

    def ours():
        w, x = leaf(w0), leaf(x0)
        score = np.tanh(x @ w).sum()
        score.backward(create_graph=True)
        norm = (x.grad * x.grad).sum()
        w.grad = None
        norm.backward()
        return w.grad.numpy()

    def theirs():
        w, x = torch.tensor(w0, requires_grad=True), torch.tensor(x0, requires_grad=True)
        (g,) = torch.autograd.grad(torch.tanh(x @ w).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return w.grad.numpy()

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-12)


def test_recorded_gradients_accumulate_in_the_graph():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    (x**2).backward(create_graph=True)
    g = x.grad
    assert g.item() == 27.0 + 6.0
    x.grad = None
    g.backward()
    assert x.grad.item() == 18.0 + 2.0


# ------------------------------------------------------------------ modes
def test_modes_nest_and_survive_exceptions():
    x = leaf(1.0)
    mode = bp.no_grad()
    with mode, mode:
        assert not (x * 2).requires_grad
        with bp.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), mode:
        1 / 0
    assert (x * 2).requires_grad


def test_modes_as_decorators():
    x = leaf(1.0)

    @bp.no_grad()
    def quiet(depth):
        """Says."""
        return [(x * 2).requires_grad] + (quiet(depth - 1) if depth else [])

    assert quiet(2) == [False] * 3
    assert quiet.__doc__ == "Says."
    assert (x * 2).requires_grad

    @bp.no_grad()
    def steps():
        while True:
            got = yield (x * 2).requires_grad
            if got == "stop":
                return

    walk = steps()
    assert next(walk) is False
    assert (x * 2).requires_grad
    assert next(walk) is False
    with pytest.raises(StopIteration):
        walk.send("stop")


def test_modes_in_tasks():
    x = leaf(1.0)

    @bp.no_grad()
    async def quiet():
        await asyncio.sleep(0.001)
        return (x * 2).requires_grad

    async def loud():
        with bp.enable_grad():
            await asyncio.sleep(0.002)
        return (x * 2).requires_grad

    async def both():
        return await asyncio.gather(*[quiet(), loud()] * 1, quiet(), loud())

    assert asyncio.run(both()) == [False, True, False, True]


def test_no_grad_results_are_constants():
    x = leaf([1.0, 2.0])
    with bp.no_grad():
        y = np.sin(x) * x + x[0]
        y[0] = x[1]
        y += x
    assert not y.requires_grad
    assert y.is_leaf


# ------------------------------------------------------------------ tensors
def test_requires_grad_is_a_property_of_leaves():
    x = bp.asarray([1.0])
    x.requires_grad = True
    y = x * 2
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(GradientError, match="leaf"):
        y.grad = np.ones(1)
    z = leaf([1.0, 2.0])
    with pytest.raises(GradientError, match="shape"):
        z.grad = np.ones(3)
    assert y.grad is None


def test_detached_values_are_constants():
    x = leaf([2.0])
    d = (x * x).detach()
    (x * d).sum().backward()
    assert x.grad.item() == 4.0
    assert math.isclose(float(x.detach()[0]), 2.0)


# ------------------------------------------------------------------ slices of one tensor
SLICES = {
    "all of an axis": lambda x: [x[:, k] for k in range(4)],
    "some of an axis": lambda x: [x[:, 0], x[:, -1]],
    "one twice": lambda x: [x[:, 1], x[:, 1], x[:, 0], x[:, 2], x[:, 3]],
    "pieces": lambda x: [x[..., :2], x[..., 2:2], x[..., 2:]],
    "pieces that overlap": lambda x: [x[..., :3], x[..., 2:]],
    "every other": lambda x: [x[:, ::2], x[:, 1::2]],
    "boxes": lambda x: [x[0, :2], x[0, 2:], x[1:]],
    "new axes": lambda x: [x[None, 0], x[1, ..., None]],
    "single elements": lambda x: [x[0, 1, 2], x[1, 3, 4]],
    "whole": lambda x: [x[...], x[:]],
    "and itself": lambda x: [x[:, 0], x * 2.0, x[:, 1]],
    "itself first": lambda x: [x[0], x[1], x[:, [0, 0]], x.T],
    "split": lambda x: bp.numpy.split(x, [1, 3], axis=2),
    "unstack": lambda x: list(bp.unstack(x, axis=1)),
    "turned": lambda x: [part.T for part in bp.unstack(x.transpose(2, 0, 1))],
}


@pytest.mark.parametrize("computed", [False, True], ids=["leaf", "computed"])
@pytest.mark.parametrize("case", SLICES)
def test_cotangents_of_slices_are_one_array(case, computed):
    """Equal to the sum of what each slice gives by itself, in every walk, and the walk may be repeated."""
    r = np.random.default_rng(0)
    x = r.normal(size=(2, 4, 5))
    weights = [r.normal(size=p.shape) for p in SLICES[case](bp.tensor(x))]
    expected = np.zeros_like(x)
    for k, w in enumerate(weights):
        leaf = bp.tensor(x, requires_grad=True)
        (SLICES[case](leaf)[k] * w).sum().backward()
        expected += leaf.grad.numpy() * (3.0 if computed else 1.0)

    def f(leaf):
        whole = leaf * 3.0 if computed else leaf
        return sum((p * w).sum() for p, w in zip(SLICES[case](whole), weights, strict=True))

    leaf = bp.tensor(x, requires_grad=True)
    out = f(leaf)
    out.backward(retain_graph=True)
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-13)
    out.backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 2 * expected, rtol=1e-13)
    np.testing.assert_allclose(bp.grad(f)(x), expected, rtol=1e-13)
    check_grads(lambda v: f(v * v), [x], order=2)


def test_slices_do_not_cost_an_array_each():
    x = bp.tensor(np.ones((50, 40, 100)), requires_grad=True)

    def run():
        x.grad = None
        whole = x * 2.0
        sum(part * float(k) for k, part in enumerate(bp.unstack(whole))).sum().backward()

    run()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * x.nbytes, peak


# ------------------------------------------------------------------ sums of cotangents in place
def handed_on(kind):
    """An operation whose rule hands on what others hold: its cotangent, something kept, a view of that."""
    kept = np.array([10.0, 20.0, 30.0])

    @bp.custom_vjp
    def op(x):
        return x * 1.0

    rules = {"cotangent": lambda g: g, "kept": lambda g: kept, "view": lambda g: kept[:]}
    op.defvjp(lambda x: (x * 1.0, None), lambda residuals, g: (bp.asarray(rules[kind](g.data)),))
    return op, kept


@pytest.mark.parametrize("kind", ["cotangent", "kept", "view"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_sums_leave_alone_what_others_hold(kind, times):
    op, kept = handed_on(kind)
    x = bp.tensor(np.ones(3), requires_grad=True)
    for tensor in (x, x * 1.0):  # summed in the leaf's entry, and in that of a node
        x.grad = None
        seed = np.array([1.0, 2.0, 3.0])
        total = op(tensor)
        for _ in range(times):
            total = total + op(tensor) + tensor
        total.backward(seed, retain_graph=True)
        share = seed if kind == "cotangent" else np.array([10.0, 20.0, 30.0])
        expected = (times + 1) * share + times * seed
        assert (x.grad.numpy() == expected).all()
        assert (seed == [1, 2, 3]).all()
        assert (kept == [10, 20, 30]).all()
        total.backward(seed)  # what was kept is as it was
        assert (x.grad.numpy() == 2 * expected).all()


def test_a_hook_may_keep_the_gradient_it_saw():
    x = bp.tensor(np.ones(3), requires_grad=True)
    seen = []
    y = x * 2.0
    y.register_hook(lambda g: seen.append(g.data) or g)
    (y * 3.0 + x * 5.0 + x * 7.0).sum().backward()
    assert seen[0].tolist() == [3.0] * 3
    assert x.grad.tolist() == [18.0] * 3


def test_gradients_accumulate_in_place_unless_somebody_holds_them():
    x = bp.tensor(np.ones(3), requires_grad=True)
    (x * 2.0).sum().backward()
    at = x.grad.data.ctypes.data
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3
    assert x.grad.data.ctypes.data == at
    holders = [
        lambda: x.grad,
        lambda: x.grad.data,
        lambda: x.grad.numpy()[1:],
        lambda: memoryview(x.grad.data),
    ]
    for holder in holders:
        held = holder()
        before = np.array(held.numpy() if isinstance(held, bp.Tensor) else held)
        x.sum().backward()
        assert (np.array(held.numpy() if isinstance(held, bp.Tensor) else held) == before).all()
        del held
    assert x.grad.tolist() == [9.0] * 3


def test_gradients_of_another_dtype_and_recorded_ones_are_not_written_to():
    x = bp.tensor(np.ones(3), requires_grad=True)
    x.grad = bp.Tensor(np.ones(3, np.float32))
    x.sum().backward()
    assert x.grad.dtype == np.float64
    assert x.grad.tolist() == [2.0] * 3
    x.grad = None
    (x * x * x).sum().backward(create_graph=True)
    slope = (x.grad * 1.0).sum()
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3
    x.grad = None
    slope.backward()
    assert x.grad.tolist() == [6.0] * 3


def test_what_only_the_walk_holds_is_added_to():
    grads = {0: np.ones(3), 1: np.ones(3), 2: np.ones((2, 3))[0], 3: np.ones(3, np.float32), 4: np.float64(1)}
    i = np.arange(3.0)
    r = grads.get(0)
    assert ownership.added(r, i) is r
    assert r.tolist() == [1, 2, 3]
    held = r = grads.get(1)
    for at in (1, 2, 3):
        r = grads.get(at)
        assert ownership.added(r, i) is not r
        assert (r == 1).all()
    assert (held == 1).all()
    r = grads.get(4)
    assert ownership.added(r, r) == 2
    assert grads[4] == 1


def test_threads_add_in_place_on_one_graph():
    x = bp.tensor(np.ones(1000), requires_grad=True)
    out = x
    for _ in range(30):
        out = out + out * 0.5
    out.backward(np.ones(1000), retain_graph=True)
    expected, x.grad = x.grad.numpy(), None
    threads = [
        threading.Thread(target=lambda: out.backward(np.ones(1000), retain_graph=True)) for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (x.grad.numpy() == 4 * expected).all()
