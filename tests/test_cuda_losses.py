"""Softmax and cross-entropy kernels on the emulator, against the NumPy references in float64."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named, offset

from tensorflowlite_bp.backend import common
from tensorflowlite_bp.backend import ctc as reference
from tensorflowlite_bp.backend.cuda import losses

host = hosts


# the longest: more than a block keeps, in every dtype
ROWS = [(1, 1), (3, 7), (5, 10), (2, 1000), (3, 1025), (1, 9000), (2, 25000), (2, 50001)]


@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("log", [False, True])
def test_softmax(host, dtype, shape, log):
    rng = np.random.default_rng(1)
    x = offset(rng.normal(size=shape).astype(dtype) * 4, shape[0] % 4)
    wide = x.astype(np.float64)
    out = losses.softmax(host, x, log=log)
    want = (common.log_softmax if log else common.softmax)(np, wide, -1)
    close(out, want)
    g = offset(rng.normal(size=shape).astype(dtype), 1)
    dx = losses.softmax_backward(host, g, out, log=log)
    y, gw = out.astype(np.float64), g.astype(np.float64)
    if log:
        close(dx, gw - np.exp(y) * gw.sum(-1, keepdims=True), 4)
    else:
        close(dx, y * (gw - (y * gw).sum(-1, keepdims=True)), 4)


@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("reduction", [0, 1, 2])
@pytest.mark.parametrize("extras", [False, True])
def test_cross_entropy(host, dtype, shape, reduction, extras):
    rng = np.random.default_rng(2)
    z = offset(rng.normal(size=shape).astype(dtype) * 4, 1)
    labels = rng.integers(0, shape[1], shape[0])
    weight, ignored, smoothing = None, None, 0.0
    if extras:
        weight = rng.uniform(0.5, 2, shape[1]).astype(np.float64 if dtype == np.float64 else np.float32)
        ignored, smoothing = -100, 0.1
        labels[::3] = -100
        labels[-1] = 0
    args = labels, None if weight is None else weight.astype(np.float64), ignored, smoothing, reduction, True
    want_loss, want_grad = common.softmax_cross_entropy(np, z.astype(np.float64), *args)
    loss, grad = losses.softmax_cross_entropy(host, z, labels, weight, ignored, smoothing, reduction, True)
    assert loss.dtype == z.dtype
    close(loss, want_loss)
    close(grad, want_grad, 4)
    again, none = losses.softmax_cross_entropy(host, z, labels, weight, ignored, smoothing, reduction, False)
    assert none is None
    np.testing.assert_array_equal(again, loss)
    kept = offset(z, 1)
    _, same = losses.softmax_cross_entropy(
        host, kept, labels, weight, ignored, smoothing, reduction, True, in_place=True
    )
    assert same is kept
    np.testing.assert_array_equal(same, grad)


def test_cross_entropy_at_the_edges(host):
    z = np.array([[0, np.nan, 1], [np.inf, 0, 1], [0, 1, 2], [-np.inf, 0, 0], [1, 2, 3]], np.float32)
    loss, grad = losses.softmax_cross_entropy(host, z, np.array([0, 1, 3, 1, -1]), None, -1, 0.0, 0, True)
    assert np.isnan(loss[:3]).all()  # NaN, infinity, and a label out of range
    assert np.isnan(grad[:3]).all()
    assert loss[3] == pytest.approx(np.log(2))
    assert grad[3, 0] == 0
    assert loss[4] == 0
    assert not grad[4].any()


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (0, 0)])
def test_nothing_to_do(host, shape):
    x = np.empty(shape, np.float32)
    assert losses.softmax(host, x).shape == shape
    assert losses.softmax_backward(host, x, x).shape == shape
    if shape[0] == 0:
        loss, grad = losses.softmax_cross_entropy(host, x, np.empty(0, int), None, None, 0.0, 2, True)
        assert loss == 0
        assert grad.shape == shape


@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("extras", [False, True])
def test_long_rows_without_clusters(host, dtype, extras):
    """GPUs before sm_90: a block reads them twice."""
    had, host.clusters = host.clusters, False
    try:
        test_cross_entropy(host, dtype, (2, 50001), 1, extras)
    finally:
        host.clusters = had


# samples, time, classes, longest label
SPELLINGS = [(1, 1, 2, 1), (4, 9, 6, 4), (3, 40, 5, 30), (2, 11, 300, 5), (2, 7, 3, 0), (2, 260, 4, 200)]


@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("shape", SPELLINGS)
def test_ctc(host, dtype, shape):
    """Lengths of all kinds, labels that no path spells, samples without steps, repeated characters."""
    samples, time, classes, most = shape
    r = np.random.default_rng(3)
    blank = classes // 2
    logits = (2 * r.normal(size=(samples, time, classes))).astype(dtype)
    labels = r.choice([c for c in range(classes) if c != blank], (samples, most))
    steps, lengths = r.integers(0, time + 1, samples), r.integers(0, most + 1, samples)
    steps[0], lengths[0] = time, most if samples > 1 else 0
    loss, grad = losses.ctc(host, logits, labels, steps, lengths, blank)
    args = logits.astype(float), labels, steps, lengths, blank
    want, want_grad = reference.loss_and_grad(np, np.add.at, *args)
    assert (loss.dtype, grad.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(np.isinf(loss.astype(float)), np.isinf(want))
    some = np.isfinite(want)
    close(loss[some], want[some], 16)
    close(grad, want_grad, 64, terms=1.0)
    again = losses.ctc(host, logits, labels, steps, lengths, blank)[1]
    assert again.tobytes() == grad.tobytes()


def test_ctc_of_torch(host):
    torch = pytest.importorskip("torch")
    r = np.random.default_rng(4)
    logits, labels = r.normal(size=(6, 50, 7)), r.integers(1, 7, (6, 20))
    steps, lengths = np.array([50, 50, 49, 33, 50, 41]), np.array([20, 3, 7, 0, 19, 12])
    loss, grad = losses.ctc(host, logits, labels, steps, lengths, 0)
    x = torch.tensor(logits, requires_grad=True)
    logp = x.log_softmax(-1).transpose(0, 1)
    t = [torch.tensor(a) for a in (labels, steps, lengths)]
    want = torch.nn.functional.ctc_loss(logp, *t, reduction="none")
    want.sum().backward()
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_ctc_of_what_is_no_class_is_nan(host):
    logits, labels = np.zeros((3, 4, 3), np.float32), np.array([[1, 2], [1, 3], [-1, 2]])
    loss, grad = losses.ctc(host, logits, labels, np.full(3, 4), np.full(3, 2), 0)
    assert np.isnan(loss).tolist() == [False, True, True]
    assert np.isfinite(grad).all()
    lengths = np.array([3, 2, 2]), np.array([2, 5, -1])
    loss, grad = losses.ctc(host, logits, np.ones((3, 2), int), lengths[1], lengths[0], 0)
    assert np.isnan(loss).all()
    assert not grad.any()
