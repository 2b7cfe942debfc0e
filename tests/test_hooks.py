"""Hooks on gradients, and gradients kept on results: torch's semantics, with torch as the oracle."""

import gc
import weakref

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import GradientError

torch = pytest.importorskip("torch")


class Numpy:
    """The few names that the scripts below use, for both libraries."""

    def __init__(self, lib):
        self.lib = lib

    def leaf(self, value):
        if self.lib is torch:
            return torch.tensor(value, dtype=torch.float64, requires_grad=True)
        return bp.tensor(value, dtype="float64", requires_grad=True)


def read(x):
    return None if x is None else np.asarray(x.detach().numpy()).tolist()


def order_of_calls(n, log):
    x = n.leaf([1.0, 2.0, 3.0])
    y = x * 2
    z = y * y
    for name, t in (("x", x), ("y", y), ("z", z)):
        t.register_hook(lambda g, name=name: log.append((name, 1, read(g))))
        t.register_hook(lambda g, name=name: log.append((name, 2, read(g))))
    (z + y).sum().backward()
    return x.grad


def replacements(n, log):
    x = n.leaf([1.0, 2.0])
    x.register_hook(lambda g: g * 3)
    x.register_hook(lambda g: log.append(read(g)))
    x.register_hook(lambda g: g + 1)
    y = x * x
    y.register_hook(lambda g: g * 10)
    (y * 2 + y).sum().backward()
    (x * 5).sum().backward()  # accumulates; the leaf's hooks run once per backward, on its own part
    return x.grad


def registered_after_use(n, log):
    x = n.leaf([1.0, 2.0])
    y = x * 3
    z = y * y + y
    y.register_hook(lambda g: log.append(read(g)))
    y.register_hook(lambda g: -g)
    z.sum().backward()
    return x.grad


def removed(n, log):
    x = n.leaf([1.0, 2.0])
    y = x * 3
    first = y.register_hook(lambda g: g * 2)
    second = y.register_hook(lambda g: g * 5)
    third = x.register_hook(lambda g: g * 7)
    first.remove()
    y.sum().backward(retain_graph=True)
    log.append(read(x.grad))
    second.remove()
    third.remove()
    third.remove()
    y.sum().backward()
    return x.grad


def kept(n, log):
    x = n.leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 2)  # kept is what the hooks leave, whatever the order
    log.append((y.retains_grad, x.retains_grad))
    z = y * 3
    z.sum().backward(retain_graph=True)
    log.append(read(y.grad))
    z.sum().backward()
    log.append(read(y.grad))
    x.retain_grad()
    log.append(x.retains_grad)
    return x.grad


def written_afterwards(n, log):
    x = n.leaf([1.0, 2.0])
    y = x * 3
    y.register_hook(lambda g: log.append(("old", read(g))))
    y.retain_grad()
    y *= 4
    y.register_hook(lambda g: log.append(("new", read(g))))
    (y * y).sum().backward()
    log.append(read(y.grad))
    return x.grad


def after_accumulation(n, log):
    x = n.leaf([1.0, 2.0])
    x.register_hook(lambda g: g * 2)
    handle = x.register_post_accumulate_grad_hook(lambda t: log.append((t is x, read(t.grad))))
    (x * x).sum().backward()
    (x * x).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    return x.grad


def recorded(n, log):
    x = n.leaf([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: g * g * x)
    x.register_hook(lambda g: g * 2)
    (y * y).sum().backward(create_graph=True)
    first = x.grad
    log.append(read(first))
    x.grad = None
    first.sum().backward()
    return x.grad


def several_results(n, log):
    x = n.leaf([[2.0, 1.0], [0.5, 3.0]])
    if n.lib is torch:
        _, logdet = torch.linalg.slogdet(x)
    else:
        _, logdet = bp.linalg.slogdet(x)
    logdet.register_hook(lambda g: g * 4)
    logdet.retain_grad()
    (logdet * 2).backward()
    log.append(read(logdet.grad))
    return x.grad


def roots(n, log):
    x = n.leaf([1.0])
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 2)
    y.backward()
    log.append(read(y.grad))
    x.backward()
    return x.grad


def gradients_of_gradients(n, log):
    x = n.leaf([0.3, 0.5])
    inner = x * 1.0
    inner.register_hook(lambda g: g * 3)
    y = inner * inner
    y.register_hook(lambda g: log.append(read(g)) or g * y)
    (y * inner).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    first.sum().backward()
    return x.grad


SCRIPTS = [
    gradients_of_gradients,
    order_of_calls, replacements, registered_after_use, removed, kept, written_afterwards, after_accumulation,
    recorded, several_results, roots,
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_as_torch(script):
    logs = [], []
    ours, theirs = (script(Numpy(lib), log) for lib, log in zip((bp, torch), logs, strict=True))
    assert flat(logs[0]) == pytest.approx(flat(logs[1]), rel=1e-12)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12)


def flat(log):
    if isinstance(log, (list, tuple)):
        return [y for x in log for y in flat(x)]
    return [
        float(log) if isinstance(log, (bool, float)) else sum(map(ord, log)) if isinstance(log, str) else log
    ]


# ------------------------------------------------------------------ what torch does not have
def test_a_handle_is_a_context_manager():
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    with x.register_hook(lambda g: g * 0):
        (x * x).sum().backward()
    assert x.grad.tolist() == [0, 0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_within_the_transforms():
    seen = []

    def f(x):
        x.register_hook(lambda g: g * 3)
        y = bp.sin(x)
        y.register_hook(lambda g: seen.append(g) or g * y)
        return (y * 2).sum()

    x = np.array([0.3, 0.5])
    want = 6 * np.sin(x) * np.cos(x)
    np.testing.assert_allclose(bp.grad(f)(x), want, rtol=1e-15)
    np.testing.assert_allclose(seen[0].numpy(), [2.0, 2.0])
    np.testing.assert_allclose(bp.vjp(f, x)[1](1.0)[0], want, rtol=1e-15)
    np.testing.assert_allclose(bp.vmap(bp.grad(f))(x[:, None])[:, 0], want, rtol=1e-15)
    np.testing.assert_allclose(bp.jvp(f, (x,), (np.ones(2),))[1], 2 * np.cos(x).sum(), rtol=1e-15)


def test_on_the_result_of_a_checkpoint():
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    y = bp.checkpoint(lambda x: bp.exp(x))(x)
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0, 2.0]), rtol=1e-15)


def test_writing_through_a_hooked_view_is_still_refused():
    x = bp.tensor([[1.0, 2.0]], requires_grad=True) * 1.0
    y = x.reshape(-1)
    y.register_hook(lambda g: g)
    with pytest.raises(GradientError, match="view"):
        y += 1.0


def test_refusals():
    constant = bp.tensor([1.0])
    for call in (lambda: constant.register_hook(print), constant.retain_grad):
        with pytest.raises(GradientError, match="requires grad"):
            call()
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)
    with x.register_hook(lambda g: g.sum()), pytest.raises(GradientError, match="same shape"):
        (x * x).sum().backward()


def test_nothing_is_kept_alive():
    """Neither hooks nor kept gradients close a circle."""
    gc.collect()
    gc.disable()
    try:
        x = bp.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        (y * y).sum().backward(create_graph=True)
        ends = [weakref.ref(y), weakref.ref(y.grad)]
        x.grad = None
        del y
        assert [e() for e in ends] == [None, None]
    finally:
        gc.enable()
