"""Embedding gradients and pooling on the emulator, against the NumPy references."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named

from tensorflowlite_bp.backend import pool
from tensorflowlite_bp.backend.cuda import lookup, pooling

host = hosts
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)


@dtypes
@pytest.mark.parametrize("features", [1, 5, 300])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 128, 700])
@pytest.mark.parametrize("rows", [1, 2, 9, 1000])
def test_embedding_gradient(host, dtype, features, n, rows):
    rng = np.random.default_rng(n + rows)
    indices = np.minimum(rng.geometric(0.3, n) - 1, rows - 1) if rows == 9 else rng.integers(0, rows, n)
    g = rng.normal(size=(n, features)).astype(dtype)
    want = np.zeros((rows, features))
    np.add.at(want, indices, g.astype(np.float64))
    got = lookup.embedding_gradient(host, g, indices.astype(np.int32), (rows, features))
    close(got, want, 16)


POOLS = [  # space, window, strides, pads
    ((7,), (3,), (2,), ((0, 0),)),
    ((6, 5), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((5, 8), (3, 2), (1, 3), ((1, 1), (0, 1))),
    ((4, 4), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((9, 9), (2, 2), (4, 3), ((0, 0), (0, 0))),
    ((3, 4, 5), (2, 3, 2), (1, 2, 2), ((0, 1), (1, 1), (0, 0))),
    ((17, 17), (16, 17), (1, 1), ((0, 0), (0, 0))),
]


@dtypes
@pytest.mark.parametrize("case", POOLS, ids=str)
@pytest.mark.parametrize(("batch", "channels"), [(2, 3), (1, 40)])
def test_pooling(host, dtype, case, batch, channels):
    space, window, strides, pads = case
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, (batch, *space, channels)).astype(dtype)  # with ties
    out, index = pooling.max_forward(host, x, window, strides, pads, True)
    wide = np.float32 if np.dtype(dtype).itemsize == 2 else dtype
    want, where = pool.max_forward(np, x.astype(wide), window, strides, pads, True)
    np.testing.assert_array_equal(out.astype(wide), want)
    np.testing.assert_array_equal(index, where)
    assert index.dtype == where.dtype
    assert pooling.max_forward(host, x, window, strides, pads, False)[1] is None

    g = rng.normal(size=out.shape).astype(dtype)
    args = (x.shape, window, strides, pads)
    close(
        pooling.max_input_grad(host, g, index, *args),
        pool.max_input_grad(np, g.astype(np.float64), where, *args),
    )
    got = pooling.max_gather(host, x, index, window, strides, pads)
    np.testing.assert_array_equal(got, out)
    close(
        pooling.avg_forward(host, x, window, strides, pads),
        pool.avg_forward(np, x.astype(np.float64), window, strides, pads),
    )
    close(pooling.avg_input_grad(host, g, *args), pool.avg_input_grad(np, g.astype(np.float64), *args), 2)


def test_pooling_nan_and_infinity(host):
    values = [np.nan, -np.inf, 1.0]
    x = np.array(list(itertools.product(values, repeat=3)), np.float32).reshape(27, 3, 1)
    out, index = pooling.max_forward(host, x, (3,), (3,), ((0, 0),), True)
    want, where = pool.max_forward(np, x, (3,), (3,), ((0, 0),), True)
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(index, where)


def test_nothing_to_do(host):
    x = np.empty((0, 4, 4, 3), ml_dtypes.bfloat16)
    out, _ = pooling.max_forward(host, x, (2, 2), (2, 2), ((0, 0), (0, 0)), True)
    assert out.shape == (0, 2, 2, 3)
    assert pooling.avg_forward(host, x, (2, 2), (2, 2), ((0, 0), (0, 0))).shape == (0, 2, 2, 3)
