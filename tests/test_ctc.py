"""CTC against torch's, for random batches; empty labels, impossible ones, lengths."""

import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError, ShapeError


def batch(seed, samples=5, time=9, classes=6, length=4, blank=0):
    r = np.random.default_rng(seed)
    logits = r.normal(size=(samples, time, classes)) * 2
    characters = [c for c in range(classes) if c != blank]
    labels = r.choice(characters, (samples, length))
    return logits, labels, r.integers(1, time + 1, samples), r.integers(0, length + 1, samples)


def torch_loss(logits, labels, steps, lengths, blank):
    t = torch()
    x = t.tensor(logits, requires_grad=True)
    logp = x.log_softmax(-1).transpose(0, 1)
    args = [t.tensor(a) for a in (labels, steps, lengths)]
    return x, t.nn.functional.ctc_loss(logp, *args, blank=blank, reduction="none")


@pytest.mark.parametrize("blank", [0, 5, 2])
@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_torch(seed, blank):
    logits, labels, steps, lengths = batch(seed, blank=blank)
    x = bp.tensor(logits, requires_grad=True)
    loss = bp.nn.ctc_loss(x, labels, steps, lengths, blank=blank, reduction="none")
    theirs, expected = torch_loss(logits, labels, steps, lengths, blank)
    np.testing.assert_allclose(loss.numpy(), expected.detach().numpy(), rtol=1e-10)
    possible = np.isfinite(loss.numpy())
    assert possible.any()
    g = np.where(possible, np.random.default_rng(seed).normal(size=len(possible)), 0.0)
    loss.backward(g)
    expected[torch().tensor(possible)].backward(torch().tensor(g[possible]))
    np.testing.assert_allclose(x.grad.numpy()[possible], theirs.grad.numpy()[possible], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(x.grad.numpy()[~possible], 0)


def test_reductions():
    logits, labels, steps, lengths = batch(0)
    lengths = np.minimum(lengths, 1)
    each = bp.nn.ctc_loss(logits, labels, steps, lengths, reduction="none").numpy()
    assert bp.nn.ctc_loss(logits, labels, steps, lengths).item() == pytest.approx(each.mean(), rel=1e-14)
    assert bp.nn.ctc_loss(logits, labels, steps, lengths, reduction="sum").item() == pytest.approx(each.sum())


def test_an_impossible_label_has_infinite_loss_and_no_gradient():
    x = bp.tensor(np.zeros((2, 2, 3)), requires_grad=True)
    loss = bp.nn.ctc_loss(x, np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 2]), reduction="none")
    assert np.isinf(loss.numpy()).tolist() == [True, False]
    loss.backward(np.ones(2))
    assert not x.grad.numpy()[0].any()
    assert np.isfinite(x.grad.numpy()).all()


def test_float32_and_what_lies_behind_the_lengths_does_not_matter():
    logits, labels, steps, lengths = batch(3)
    lengths = np.minimum(lengths, (steps + 1) // 2)
    exact = bp.nn.ctc_loss(logits, labels, steps, lengths, reduction="none").numpy()
    for k in range(len(logits)):
        logits[k, steps[k] :] = 1e3
        labels[k, lengths[k] :] = -1
    narrow = bp.nn.ctc_loss(logits.astype("float32"), labels, steps, lengths, reduction="none")
    assert narrow.dtype == "float32"
    np.testing.assert_allclose(narrow.numpy(), exact, rtol=1e-5)


def test_errors_say_what_was_expected():
    logits, labels, steps, lengths = batch(0)
    with pytest.raises(ShapeError, match="batch"):
        bp.nn.ctc_loss(logits, labels[:2], steps, lengths)
    with pytest.raises(DTypeError, match="float64"):
        bp.nn.ctc_loss(logits, labels.astype(float), steps, lengths)
    with pytest.raises(ValueError, match=r"logit_lengths must be in \[0, 10\)"):
        bp.nn.ctc_loss(logits, labels, steps + 20, lengths)
    with pytest.raises(ValueError, match=r"labels must be in \[0, 6\)"):
        bp.nn.ctc_loss(logits, labels + 6, steps, np.full(5, 4))
    with pytest.raises(ValueError, match="must not hold the blank"):
        bp.nn.ctc_loss(logits, np.zeros_like(labels), steps, np.full(5, 4))
