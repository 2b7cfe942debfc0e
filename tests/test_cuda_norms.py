"""Norm kernels on the emulator, against the NumPy references in float64 and torch."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named, offset

from tensorflowlite_bp.backend import common
from tensorflowlite_bp.backend.cuda import norms

host = hosts
torch = pytest.importorskip("torch")

dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)


def drawn(rng, shape, dtype, by=0, mean=0.0):
    return offset((rng.normal(size=shape) + mean).astype(dtype), by)


def wide(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


@dtypes
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (300, 8), (70, 40), (129, 264), (5, 1000)])
@pytest.mark.parametrize("by", [0, 1])
def test_column_sums(host, dtype, shape, by):
    rng = np.random.default_rng(0)
    x, mask = drawn(rng, shape, dtype, by), drawn(rng, shape, dtype, by)
    close(norms.column_sums(host, x), wide(x)[0].sum(0), 4)
    close(norms.column_sums(host, x, mask), (wide(x)[0] * (mask > 0)).sum(0), 4)


@dtypes
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 1), -1), ((5, 3), -1), ((130, 16), -1), ((3, 9, 40), -1), ((64, 264), -1),
        ((4, 3, 5), 1), ((2, 5, 7, 8), 1), ((2, 2, 2100), 1), ((9, 6, 1, 1), 1), ((3, 4), 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm(host, dtype, shape, axis, affine):
    rng = np.random.default_rng(3)
    x, g = drawn(rng, shape, dtype, 0, 5.0), drawn(rng, shape, dtype)
    w = drawn(rng, shape[axis], dtype) if affine else None
    b = drawn(rng, shape[axis], dtype) if affine else None
    out, mean, var, inv = norms.batch_norm(host, x, w, b, 1e-3, axis)
    want = common.batch_norm(np, *wide(x, w, b), 1e-3, axis)
    close(out, want[0], 8)
    close(mean, want[1])
    close(var, want[2], 8)
    close(inv, want[3], 8)
    got = norms.batch_norm_backward(host, g, x, w, mean, inv, axis)
    wanted = common.batch_norm_backward(np, *wide(g, x, w), want[1], want[3], axis)
    for one, other in zip(got, wanted, strict=True):
        close(one, other, 16)

    fused, *_ = norms.batch_norm(host, x, w, b, 1e-3, axis, relu=True)
    np.testing.assert_array_equal(fused, np.maximum(out, 0))
    masked = g * (fused > 0).astype(dtype)
    plain = norms.batch_norm_backward(host, masked, x, w, mean, inv, axis)
    through = norms.batch_norm_backward(host, g, x, w, mean, inv, axis, relu=True, bias=b)
    for one, other in zip(through, plain, strict=True):
        close(one, other, 4)


def test_batch_norm_far_from_zero(host):
    """The variance of values around ten thousand, in float32: sums of squares would lose it."""
    x = (np.random.default_rng(0).normal(size=(500, 4)) + 1e4).astype(np.float32)
    for values, axis in ((x, -1), (np.ascontiguousarray(x.T[None]), 1)):
        _, _, var, _ = norms.batch_norm(host, values, None, None, 1e-3, axis)
        np.testing.assert_allclose(var, x.astype(np.float64).var(0), rtol=1e-3)


@dtypes
@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 5, 8), 2), ((3, 4, 4, 6), 3), ((2, 7, 16), 16), ((1, 33, 5), 1)]
)
def test_group_norm(host, dtype, shape, groups):
    rng = np.random.default_rng(4)
    x, g = drawn(rng, shape, dtype, 0, 2.0), drawn(rng, shape, dtype)
    w, b = drawn(rng, shape[-1], dtype), drawn(rng, shape[-1], dtype)
    out, mean, inv = norms.group_norm(host, x, groups, w, b, eps=1e-5)
    dx, dw, db = norms.group_norm_backward(host, g, x, w, mean, inv)

    tx, tw, tb = [torch.tensor(a, requires_grad=True) for a in wide(x, w, b)]
    want = torch.nn.functional.group_norm(tx.movedim(-1, 1), groups, tw, tb, 1e-5).movedim(1, -1)
    want.backward(torch.tensor(wide(g)[0]))
    close(out, want.detach().numpy(), 8)
    close(dx, tx.grad.numpy(), 16)
    close(dw, tw.grad.numpy(), 16)
    close(db, tb.grad.numpy(), 16)


ROWS = [(1, 1), (5, 7), (9, 64), (3, 1030), (2, 5000), (2, 50001)]


@dtypes
@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("rms", [False, True])
def test_layer_norm(host, dtype, shape, affine, rms):
    rng = np.random.default_rng(5)
    x, g = drawn(rng, shape, dtype, 1, 1.0), drawn(rng, shape, dtype, 1)
    w = drawn(rng, shape[-1], dtype, shape[0] % 2) if affine else None
    b = drawn(rng, shape[-1], dtype, 1) if affine and not rms else None
    out, mean, inv = norms.layer_norm(host, x, w, b, eps=1e-3, rms=rms)
    dx, dw, db = norms.layer_norm_backward(host, g, x, w, mean, inv)

    tx, tw, tb = [None if a is None else torch.tensor(a, requires_grad=True) for a in wide(x, w, b)]
    if tw is None:
        tw = torch.ones(shape[-1], dtype=torch.float64, requires_grad=True)
    if rms:
        want = torch.nn.functional.rms_norm(tx, shape[-1:], tw, 1e-3)
    else:
        want = torch.nn.functional.layer_norm(tx, shape[-1:], tw, tb, 1e-3)
    want.backward(torch.tensor(wide(g)[0]))
    close(out, want.detach().numpy(), 8)
    close(dx, tx.grad.numpy(), 16, terms=1.0)
    close(dw, tw.grad.numpy(), 16, terms=1.0)
    close(db, wide(g)[0].sum(0), 8)


def test_nothing_to_do(host):
    x = np.empty((0, 4), np.float32)
    out, _, inv = norms.layer_norm(host, x, None, None, eps=1e-5)
    assert out.shape == (0, 4)
    dx, dw, db = norms.layer_norm_backward(host, x, x, None, inv, inv)
    assert dx.shape == (0, 4)
    assert not dw.any()
    assert not db.any()
    assert not norms.column_sums(host, x).any()
    assert norms.column_sums(host, np.empty((3, 0), np.float32)).shape == (0,)
