"""Linear layer and cross-entropy in chunks: against torch, whatever the chunk, and the memory it is for."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import chunked, numpy_backend
from tensorflowlite_bp.backend.native import native
from tensorflowlite_bp.errors import DTypeError, ShapeError

loss_of = bp.nn.linear_softmax_cross_entropy


def problem(rows=(4, 6), features=5, classes=7, dtype=np.float64):
    r = np.random.default_rng(0)
    x, w, b = (r.normal(size=s).astype(dtype) for s in ((*rows, features), (features, classes), (classes,)))
    return x, w, b, r.integers(0, classes, rows)


@pytest.mark.parametrize("chunk", [7, 30, 1 << 21], ids=["a row", "some rows", "all"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "extra", [{}, {"label_smoothing": 0.2}, {"ignore_index": 3}, {"weighted": True}], ids=str
)
def test_agrees_with_torch(monkeypatch, chunk, reduction, extra):
    monkeypatch.setattr(chunked, "CHUNK", chunk)
    monkeypatch.setattr(chunked, "FEWEST", 1)
    x, w, b, y = problem()
    options = dict(extra)
    weights = np.linspace(0.5, 2, 7) if options.pop("weighted", False) else None
    mine = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = loss_of(*mine, y, class_weight=weights, reduction=reduction, **options)
    t = torch()
    theirs = [t.tensor(a, requires_grad=True) for a in (x, w, b)]
    logits = (theirs[0] @ theirs[1] + theirs[2]).reshape(-1, 7)
    expected = t.nn.functional.cross_entropy(
        logits,
        t.tensor(y.reshape(-1)),
        weight=None if weights is None else t.tensor(weights),
        reduction=reduction,
        **options,
    )
    np.testing.assert_allclose(out.numpy().reshape(-1), expected.detach().numpy().reshape(-1), rtol=1e-12)
    g = np.random.default_rng(1).normal(size=out.shape)
    out.backward(g)
    expected.backward(t.tensor(g.reshape(expected.shape)))
    for a, e in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), e.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_the_logits_are_never_held():
    rows, features, classes = 1024, 16, 20000
    x, w, b, y = problem((rows,), features, classes, np.float32)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    tracemalloc.start()
    loss_of(*leaves, y).backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows * classes * 4 / 2, peak


def test_without_recording_no_gradient_is_computed(monkeypatch):
    x, w, b, y = problem()
    monkeypatch.setattr(chunked, "_pull", None)
    recording = loss_of(x, w, b, y)
    with bp.no_grad():
        held = loss_of(bp.tensor(x, requires_grad=True), w, b, y)
    assert recording.item() == held.item()


def test_no_rows():
    x, w, b, _ = problem((0,))
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    none = np.zeros(0, int)
    assert loss_of(*leaves, none, reduction="none").shape == (0,)
    loss_of(*leaves, none, reduction="sum").backward()
    assert leaves[1].grad.shape == w.shape
    assert not leaves[1].grad.numpy().any()


def test_errors_say_what_was_expected():
    x, w, b, y = problem()
    with pytest.raises(ShapeError, match=r"x \(4, 6, 5\), weight \(7, 5\)"):
        loss_of(x, w.T, b, y)
    with pytest.raises(ShapeError, match="labels must have"):
        loss_of(x, w, b, y[0])
    with pytest.raises(DTypeError, match="softmax_cross_entropy"):
        loss_of(x, w, b, y.astype(float))
    with pytest.raises(ValueError, match=r"label 7 at position 23"):
        loss_of(x, w, b, np.where(np.arange(24).reshape(4, 6) == 23, 7, y))
    with pytest.raises(ValueError, match="reduction"):
        loss_of(x, w, b, y, reduction="max")


@pytest.mark.skipif(native is None, reason="no compiled kernels")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [7, 100, 600_000], ids=["narrow", "usual", "long"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_may_replace_the_logits(dtype, classes, smoothing, weighted):
    r = np.random.default_rng(0)
    z, y = r.normal(size=(3, classes)).astype(dtype) * 3, np.array([0, -5, classes - 1])
    w = np.linspace(0.5, 2, classes).astype(dtype) if weighted else None
    loss, grad = native.softmax_cross_entropy(z, y, w, -5, smoothing, 1, True)
    before = z.copy()
    assert (native.softmax_cross_entropy(z, y, w, -5, smoothing, 1, False, True)[0] == loss).all()
    assert (z == before).all()  # nothing is written without a gradient
    again, over = native.softmax_cross_entropy(z, y, w, -5, smoothing, 1, True, True)
    assert over is z
    assert (again == loss).all()
    assert (over == grad).all()


def test_products_are_added_in_place():
    r = np.random.default_rng(0)
    for a, b in ((r.normal(size=(9, 5)), r.normal(size=(9, 7))), (np.ones((0, 5)), np.ones((0, 7)))):
        out = r.normal(size=(5, 7))
        expected, at = out + a.T @ b, out.ctypes.data
        numpy_backend.add_product(out, a.T, b)
        np.testing.assert_allclose(out, expected, rtol=1e-14)
        assert out.ctypes.data == at
    view = np.zeros((14, 5))[::2]  # rows with gaps
    numpy_backend.add_product(view, np.ones((7, 3)), np.ones((3, 5)))
    assert (view == 3).all()


def test_sums_over_chunks_are_wider_than_16_bits(monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK", 1)
    monkeypatch.setattr(chunked, "FEWEST", 1)
    rows = 600
    x, w = np.ones((rows, 1), ml_dtypes.bfloat16), np.zeros((1, 2), ml_dtypes.bfloat16)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w)]
    loss_of(*leaves, None, np.zeros(rows, int), reduction="sum").backward()
    assert leaves[1].grad.dtype == ml_dtypes.bfloat16
    assert leaves[1].grad.numpy().astype(float).tolist() == [[-300.0, 300.0]]  # 256 + 0.5 is 256 in 16 bits
