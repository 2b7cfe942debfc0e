"""Attention by blocks in C++ against the composition in float64, on every instruction set."""

import numpy as np
import pytest

from tensorflowlite_bp.backend import attention
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

# heads, rows, keys, depth, width: whole heads, several blocks, more keys than rows and fewer
SHAPES = [
    (1, 1, 1, 1, 1),
    (3, 7, 5, 4, 6),
    (2, 5, 9, 3, 33),
    (2, 130, 130, 16, 16),
    (1, 300, 700, 8, 5),
    (5, 129, 64, 17, 32),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [0.3, -1.0])
def test_against_the_composition(isa, threads, dtype, causal, scale):
    r = np.random.default_rng(4)
    for heads, rows, keys, depth, width in SHAPES:
        shapes = (heads, rows, depth), (heads, keys, depth), (heads, keys, width), (heads, rows, width)
        q, k, v, g = [r.normal(size=s).astype(dtype) for s in shapes]
        wide = [a.astype(float) for a in (q, k, v)]
        want, kept = attention.forward(np, *wide, None, causal, scale)
        grads = attention.backward(np, g.astype(float), *wide, None, causal, scale, kept)
        found = []
        for count in (1, 3):
            threads(count)
            out, lse = native.attention_forward(q, k, v, causal, scale)
            found.append((out, lse, *native.attention_backward(g, q, k, v, out, lse, causal, scale)))
        tol = (200 if dtype == np.float32 else 400) * np.finfo(dtype).eps
        for one, three, exact in zip(*found, (want, kept[1], *grads), strict=True):
            assert (one == three).all()
            np.testing.assert_allclose(one, exact, rtol=tol, atol=tol * max(1, np.abs(exact).max()))


def test_large_scores_do_not_overflow(isa):
    q = np.full((1, 3, 4), 40.0, np.float32)
    k = np.concatenate([q, -q], 1)
    v = np.arange(12, dtype=np.float32).reshape(1, 6, 2)
    out, lse = native.attention_forward(q, k, v, False, 1.0)
    np.testing.assert_allclose(out, np.broadcast_to(v[:, :3].mean(1, keepdims=True), out.shape), rtol=1e-6)
    assert np.isfinite(lse).all()


def test_what_the_kernel_does_not_take():
    q = np.ones((2, 3, 4))
    assert native.attention_forward(q, q, q, False, 1.0) is not None
    assert native.attention_forward(q, q.astype(np.float32), q, False, 1.0) is None
    assert native.attention_forward(q, q[:, :, :2].copy(), q, False, 1.0) is None
    assert native.attention_forward(q, q[:, :0].copy(), q[:, :0].copy(), False, 1.0) is None
    assert native.attention_forward(q.swapaxes(0, 1), q, q, False, 1.0) is None


def test_not_a_number_stays_where_it_is_seen():
    q = np.ones((1, 6, 4), np.float32)
    k = q.copy()
    k[0, 3] = np.nan
    out, _ = native.attention_forward(q, k, q, True, 1.0)
    assert np.isfinite(out[0, :3]).all()
    assert np.isnan(out[0, 3:]).all()
