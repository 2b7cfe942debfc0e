"""Linear layer and cross-entropy in chunks: against torch, whatever the chunk, and the memory it is for."""

import tracemalloc

import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import chunked
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
