"""Attention by blocks in C++ against the composition in float64, on every instruction set."""

from functools import partial

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


MASKS = {
    "none": lambda r, s: None,
    "bool": lambda r, s: r.random(s) < 0.6,
    "added": lambda r, s: r.normal(size=s),
    "hides": lambda r, s: np.where(r.random(s) < 0.6, r.normal(size=s), -np.inf),
    "padding": lambda r, s: np.arange(s[-1]) < r.integers(0, s[-1] + 1, (s[0], 1, 1, 1)),
    "of heads": lambda r, s: r.normal(size=(1, s[1], 1, s[3])),
    "of rows": lambda r, s: r.random((s[2], 1)) < 0.6,
    "one": lambda r, s: np.zeros((1, 1), bool),
}


def four_axes(mask, dtype):
    """As the kernel takes it."""
    if mask is None:
        return None
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    return mask if mask.dtype == bool else mask.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_against_the_composition(isa, threads, dtype, causal, mask):
    r = np.random.default_rng(4)
    for heads, rows, keys, depth, width in SHAPES:
        lead = (2, heads)
        shapes = (rows, depth), (keys, depth), (keys, width), (rows, width)
        q, k, v, g = [r.normal(size=(*lead, *s)).astype(dtype) for s in shapes]
        scale = -1.0 if mask == "none" else 0.3
        made = four_axes(MASKS[mask](r, (*lead, rows, keys)), dtype)
        wide = [a.astype(float) for a in (q, k, v)]
        how = dict(mask=made, causal=causal, scale=scale)
        forward, backward = attention.over_heads(
            np, partial(attention.forward, np), partial(attention.backward, np)
        )
        want, kept = forward(*wide, **how)
        grads = backward(g.astype(float), *wide, **how, kept=kept)
        found = []
        for count in (1, 3):
            threads(count)
            out, lse = native.attention_forward(q, k, v, made, causal, scale)
            found.append((out, lse, *native.attention_backward(g, q, k, v, made, out, lse, causal, scale)))
        tol = (200 if dtype == np.float32 else 400) * np.finfo(dtype).eps
        for one, three, exact in zip(*found, (want, kept[1], *grads), strict=True):
            assert (one == three).all()
            finite = np.isfinite(exact)
            assert (finite == np.isfinite(one)).all()
            most = max(1, np.abs(exact, where=finite, out=np.zeros(exact.shape)).max())
            np.testing.assert_allclose(one, exact, rtol=tol, atol=tol * most)


@pytest.mark.parametrize("causal", [False, True])
def test_heads_are_read_and_written_where_they_are(isa, causal):
    """q, k and v as parts of one projection (batch, time, 3, heads, depth): no copy, the same bits."""
    r = np.random.default_rng(5)
    qkv = r.normal(size=(2, 37, 3, 4, 16)).astype(np.float32)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    mask = np.asfortranarray(r.random((2, 4, 37, 37)) < 0.7)
    g = r.normal(size=(2, 37, 4, 16)).astype(np.float32).swapaxes(1, 2)
    out, lse = native.attention_forward(q, k, v, mask, causal, 0.25)
    grads = native.attention_backward(g, q, k, v, mask, out, lse, causal, 0.25)
    for a in (out, *grads):
        assert a.swapaxes(1, 2).flags.c_contiguous
    plain = [np.ascontiguousarray(a) for a in (g, q, k, v, mask)]
    want, want_lse = native.attention_forward(*plain[1:], causal, 0.25)
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(lse, want_lse)
    wanted = native.attention_backward(*plain, want, want_lse, causal, 0.25)
    for one, other in zip(grads, wanted, strict=True):
        assert other.flags.c_contiguous
        np.testing.assert_array_equal(one, other)


def test_one_key_value_head_for_all(isa):
    r = np.random.default_rng(6)
    q, k, v = [r.normal(size=(2, n, 9, 8)) for n in (3, 1, 1)]
    shared = [np.broadcast_to(a, q.shape) for a in (k, v)]
    out, _ = native.attention_forward(q, *shared, None, False, 0.3)
    want, _ = native.attention_forward(q, *[a.copy() for a in shared], None, False, 0.3)
    np.testing.assert_array_equal(out, want)


def test_large_scores_do_not_overflow(isa):
    q = np.full((1, 1, 3, 4), 40.0, np.float32)
    k = np.concatenate([q, -q], 2)
    v = np.arange(12, dtype=np.float32).reshape(1, 1, 6, 2)
    out, lse = native.attention_forward(q, k, v, None, False, 1.0)
    np.testing.assert_allclose(out, np.broadcast_to(v[:, :, :3].mean(2, keepdims=True), out.shape), rtol=1e-6)
    assert np.isfinite(lse).all()


def test_what_the_kernel_does_not_take():
    q = np.ones((1, 2, 3, 4))
    mask = np.ones((1, 1, 3, 3), bool)

    def taken(q, k, v, mask=None):
        return native.attention_forward(q, k, v, mask, False, 1.0) is not None

    assert taken(q, q, q)
    assert taken(q, q, q, mask)
    assert taken(q.swapaxes(1, 2), q.swapaxes(1, 2), q.swapaxes(1, 2))
    assert not taken(q[0], q[0], q[0])
    assert not taken(q, q.astype(np.float32), q)
    assert not taken(q, q[..., :2].copy(), q)
    assert not taken(q, q[:, :, :0].copy(), q[:, :, :0].copy())
    assert not taken(q[..., ::2], q[..., ::2], q)
    assert not taken(q, q, q, mask[0])
    assert not taken(q, q, q, mask[..., :2])
    assert not taken(q, q, q, mask.astype(np.float32))


def test_not_a_number_stays_where_it_is_seen():
    q = np.ones((1, 1, 6, 4), np.float32)
    k = q.copy()
    k[0, 0, 3] = np.nan
    out, _ = native.attention_forward(q, k, q, None, True, 1.0)
    assert np.isfinite(out[0, 0, :3]).all()
    assert np.isnan(out[0, 0, 3:]).all()
