"""Softmax and cross-entropy kernels on the emulator, against the NumPy references in float64."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named, offset

from tensorflowlite_bp.backend import common
from tensorflowlite_bp.backend.cuda import losses

host = hosts


ROWS = [(1, 1), (3, 7), (5, 10), (2, 1000), (3, 1025), (1, 9000), (2, 25000)]


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
