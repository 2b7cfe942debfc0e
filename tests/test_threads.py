"""Threads: concurrent recording, backward over one graph, accumulation, and modes that do not leak."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import GradientError

THREADS = 8


@pytest.fixture(autouse=True)
def _often_switched():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work):
    """work(k) in every thread at once; what they raised."""
    gate, errors = threading.Barrier(THREADS), []

    def run(k):
        gate.wait()
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return errors


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


def graph(w):
    y = w
    for k in range(20):
        y = np.tanh(y * w) + y.reshape(-1)[::-1] * 0.5 if k % 3 else y / (w + 2.0)
    return (y * y).sum()


def test_backward_over_one_graph():
    w = leaf([0.5, 0.7, -0.2])
    graph(w).backward()
    once = w.grad.numpy()
    for _ in range(20):
        w.grad = None
        loss = graph(w)
        assert not together(lambda k, loss=loss: loss.backward(retain_graph=True))
        np.testing.assert_allclose(w.grad.numpy(), THREADS * once, rtol=1e-12)


def test_losses_over_one_trunk():
    for _ in range(20):
        w = leaf([0.5, 0.7, -0.2])
        trunk = np.exp(w * w) * w
        losses = [(trunk * float(k)).sum() for k in range(THREADS)]
        assert not together(lambda k, losses=losses: losses[k].backward(retain_graph=True))
        v = w.numpy()
        want = sum(range(THREADS)) * np.exp(v * v) * (1 + 2 * v * v)
        np.testing.assert_allclose(w.grad.numpy(), want, rtol=1e-12)


def test_freeing_backwards_over_one_graph_raise_or_are_whole():
    for _ in range(50):
        w = leaf([0.5, 0.7, -0.2])
        graph(w).backward()
        once, w.grad = w.grad.numpy(), None
        loss = graph(w)
        errors = together(lambda k, loss=loss: loss.backward())
        whole = THREADS - len(errors)
        assert whole >= 0
        if whole:
            np.testing.assert_allclose(w.grad.numpy(), whole * once, rtol=1e-12)
        else:
            assert w.grad is None
        assert any(isinstance(e, GradientError) for e in errors) or not errors


def test_recording_and_accumulation():
    w = leaf(np.ones(3))

    def work(k):
        for _ in range(50):
            (w * float(k + 1)).sum().backward()

    assert not together(work)
    np.testing.assert_array_equal(w.grad.numpy(), np.full(3, 50.0 * sum(range(1, THREADS + 1))))


def test_recorded_gradients_accumulate():
    w = leaf(np.ones(3))
    assert not together(lambda k: [(w**2).sum().backward(create_graph=True) for _ in range(10)])
    np.testing.assert_array_equal(w.grad.numpy(), np.full(3, 2.0 * 10 * THREADS))


def test_modes_stay_in_their_thread():
    w, seen = leaf(1.0), []
    mode = bp.no_grad()

    def work(k):
        for _ in range(100):
            if k % 2:
                with mode:
                    seen.append((w * 2).requires_grad)
            elif not (w * 2).requires_grad:
                raise AssertionError("no_grad leaked")

    assert not together(work)
    assert not any(seen)
    with bp.no_grad():
        inside = []
        thread = threading.Thread(target=lambda: inside.append((w * 2).requires_grad))
        thread.start()
        thread.join()
    assert inside == [True] or getattr(sys.flags, "thread_inherit_context", 0)


def test_transforms_in_threads():
    f = lambda x: (np.sin(x) * x).sum()
    x = np.linspace(0, 1, 5)
    want = bp.hessian(f)(x)

    def work(k):
        for _ in range(5):
            np.testing.assert_array_equal(bp.hessian(f)(x), want)

    assert not together(work)


def test_checkpointed_dropout_draws_the_same_while_others_draw():
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            bp.random.default_generator().bits(4)

    other = threading.Thread(target=disturb)
    other.start()
    try:
        for _ in range(20):
            x = leaf(np.ones(100))
            out = bp.checkpoint(lambda y: bp.nn.dropout(y, 0.5) * bp.nn.dropout(y, 0.2))(x)
            out.sum().backward()
            np.testing.assert_allclose(x.grad.numpy(), 2 * out.numpy())
    finally:
        stop.set()
        other.join()


def test_vmap_is_per_thread():
    """Levels are of the context: two threads at once, nested in one and not in the other."""
    x = np.random.default_rng(0).normal(size=(6, 5, 3))

    def once(k):
        f = lambda x: bp.sum(bp.sin(x) * bp.cos(x) ** k)
        for _ in range(20):
            if k % 2:
                out = bp.vmap(bp.vmap(bp.grad(f)))(x)
            else:
                out = bp.grad(f)(x)
        return out

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(once, range(1, 9)))
    for k, out in enumerate(found, 1):
        want = np.cos(x) ** (k + 1) - k * np.sin(x) ** 2 * np.cos(x) ** (k - 1)
        np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------ the pool of the compiled kernels
def _kernels(k):
    """Bytes of a step of several kernels, each large enough to be cut."""
    rng = np.random.default_rng(k)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in [(130, 300), (300, 129), (129,)])
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = bp.nn.gelu(bp.nn.linear(*leaves, activation="relu"))
    q = bp.matmul(bp.reshape(out, (10, 13, 129)), bp.asarray(w[:129, :65]))
    out = bp.nn.batch_norm(q, *(np.ones(65, np.float32) for _ in range(4)), training=True)[0]
    (out * out * out).sum().backward()
    return b"".join(leaf.grad.numpy().tobytes() for leaf in leaves)


def test_kernels_beside_other_callers_and_numpys_own_threads(threads):
    """One caller has the pool, the others run alone; NumPy's BLAS has a pool of its own: the same bits."""
    threads(1)
    want = [_kernels(k) for k in range(THREADS)]
    stop = threading.Event()

    def multiply():
        a = np.ones((200, 200))
        while not stop.is_set():
            a.dot(a)

    other = threading.Thread(target=multiply)
    other.start()
    try:
        for n in (2, 3):
            threads(n)
            for _ in range(3):
                found = [b""] * THREADS

                def work(k, found=found):
                    found[k] = _kernels(k)

                assert not together(work)
                assert found == want
    finally:
        stop.set()
        other.join()


def test_kernels_beside_processes_that_hold_every_core(threads):
    """The pool rests where its helpers only keep the caller waiting: nothing changes but the time."""
    threads(1)
    want = _kernels(0)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        threads(2)
        assert [_kernels(0) for _ in range(40)] == [want] * 40
    finally:
        for other in others:
            other.kill()
            other.wait()
