"""Attention kernels on the emulator, against the NumPy reference in float64."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named

from tensorflowlite_bp.backend import attention
from tensorflowlite_bp.backend.cuda import attention as cuda_attention

host = hosts

SHAPES = [  # heads, rows, keys, depth, width
    (1, 1, 1, 1, 1),
    (2, 5, 7, 3, 4),
    (3, 17, 33, 16, 8),
    (1, 40, 70, 64, 65),
    (2, 35, 35, 130, 33),
    (1, 3, 0, 4, 5),
    (0, 3, 4, 4, 5),
]


def wide(*arrays):
    return [None if a is None else a.astype(np.float64) if a.dtype != bool else a for a in arrays]


@pytest.mark.parametrize("dtype", FLOATS, ids=named)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [None, "bool", "added", "whole"])
def test_attention(host, dtype, shape, causal, masked):
    heads, rows, keys, depth, width = shape
    rng = np.random.default_rng(0)
    q, k, v, g = [
        rng.normal(size=(heads, *s)).astype(dtype)
        for s in ((rows, depth), (keys, depth), (keys, width), (rows, width))
    ]
    mask = None
    if masked == "bool":
        mask = rng.random((1, rows, keys)) < 0.6
        mask[:, 0] = False  # a row that may look nowhere
    elif masked == "added":
        mask = rng.normal(size=(max(heads, 1), 1, keys)).astype(dtype)
    elif masked == "whole":
        mask = rng.random((max(heads, 1), rows, keys)) < 0.8
    scale = depth**-0.5
    out, kept = cuda_attention.forward(host, q, k, v, mask, causal, scale)
    want, want_kept = attention.forward(np, *wide(q, k, v, mask), causal, scale)
    close(out, want, 8, terms=1.0)
    lse = want_kept[1][..., 0]
    assert kept[1].dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(kept[1], lse, rtol=1e-5, atol=1e-5)
    got = cuda_attention.backward(host, g, q, k, v, mask, causal, scale, kept)
    wanted = attention.backward(np, *wide(g, q, k, v, mask), causal, scale, want_kept)
    for one, other in zip(got, wanted, strict=True):
        close(one, other, 16, terms=1.0)


def test_the_widest_and_what_is_too_wide(host):
    rng = np.random.default_rng(1)
    q, k, v = [rng.normal(size=(1, 6, 256)).astype(np.float32) for _ in range(3)]
    assert cuda_attention.fits(q, v)
    assert not cuda_attention.fits(rng.normal(size=(1, 6, 257)).astype(np.float32), v)
    assert not cuda_attention.fits(q.astype(np.float64), v.astype(np.float64))
    out, kept = cuda_attention.forward(host, q, k, v, None, False, 0.1)
    want, want_kept = attention.forward(np, *wide(q, k, v), None, False, 0.1)
    close(out, want, 8)
    got = cuda_attention.backward(host, v, q, k, v, None, False, 0.1, kept)
    wanted = attention.backward(np, *wide(v, q, k, v), None, False, 0.1, want_kept)
    for one, other in zip(got, wanted, strict=True):
        close(one, other, 16)
