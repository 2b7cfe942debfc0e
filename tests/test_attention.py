"""Attention against torch's: values and gradients, masks, rows that may look nowhere, blocks, memory."""

import tracemalloc

import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import attention
from tensorflowlite_bp.errors import DTypeError, ShapeError
from tensorflowlite_bp.testing import check_grads

attend = bp.nn.scaled_dot_product_attention


def arrays(*shapes, seed=0, dtype=np.float64):
    r = np.random.default_rng(seed)
    return [r.normal(size=s).astype(dtype) for s in shapes]


def both(q, k, v, mask=None, **options):
    """(output, gradients of q, k, v and a float mask) of ours and of torch's, for one random cotangent."""
    given = [q, k, v] if mask is None or mask.dtype == bool else [q, k, v, mask]
    ours = [bp.tensor(x, requires_grad=True) for x in given]
    out = attend(*ours[:3], mask=ours[3] if len(ours) > 3 else mask, **options)
    g = np.random.default_rng(9).normal(size=out.shape)
    out.backward(g)
    t = torch()
    theirs = [t.tensor(x, requires_grad=True) for x in given]
    attn_mask = theirs[3] if len(theirs) > 3 else None if mask is None else t.tensor(mask)
    torch_options = {"is_causal": options.get("causal", False), "scale": options.get("scale")}
    expected = t.nn.functional.scaled_dot_product_attention(*theirs[:3], attn_mask=attn_mask, **torch_options)
    expected.backward(t.tensor(g))
    return [out, *[x.grad for x in ours]], [expected, *[x.grad for x in theirs]]


def assert_agree(mine, theirs, rtol=1e-10):
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=rtol, atol=rtol)


SHAPES = [((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)), ((2, 1, 7, 8), (2, 1, 3, 8), (2, 1, 3, 6))]
MASKS = {"none": None, "bool": lambda r, s: r.random(s) > 0.3, "added": lambda r, s: r.normal(size=s)}


@pytest.mark.parametrize("block", [attention.BLOCK, 8], ids=["one block", "many blocks"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_agrees_with_torch(monkeypatch, shapes, mask, block):
    monkeypatch.setattr(attention, "BLOCK", block)
    q, k, v = arrays(*shapes)
    made = MASKS[mask] and MASKS[mask](np.random.default_rng(3), (q.shape[0], 1, q.shape[2], k.shape[2]))
    if mask == "bool":
        made[..., 0] = True
    assert_agree(*both(q, k, v, made, scale=0.3))


@pytest.mark.parametrize("block", [attention.BLOCK, 8])
def test_causal(monkeypatch, block):
    monkeypatch.setattr(attention, "BLOCK", block)
    assert_agree(*both(*arrays((2, 2, 6, 4), (2, 2, 6, 4), (2, 2, 6, 4)), causal=True))
    assert_agree(*both(*arrays((1, 2, 3, 4), (1, 2, 6, 4), (1, 2, 6, 4)), causal=True))


def test_a_row_that_may_look_nowhere_gives_zeros():
    q, k, v = (bp.tensor(x, requires_grad=True) for x in arrays((1, 3, 4), (1, 5, 4), (1, 5, 2)))
    mask = np.ones((3, 5), bool)
    mask[1] = False
    for given in (
        mask,
        np.where(mask, 0.0, -np.inf),
        bp.tensor(np.where(mask, 0.0, -np.inf), requires_grad=True),
    ):
        out = attend(q, k, v, mask=given)
        np.testing.assert_array_equal(out.numpy()[0, 1], 0)
        for leaf in (q, k, v):
            leaf.grad = None
        out.sum().backward()
        np.testing.assert_array_equal(q.grad.numpy()[0, 1], 0)
        assert all(np.isfinite(x.grad.numpy()).all() for x in (q, k, v))
    check_grads(lambda a, b, c: attend(a, b, c, mask=mask), [q.numpy(), k.numpy(), v.numpy()])


def test_leading_axes_broadcast():
    q, k, v = arrays((3, 2, 4, 5), (2, 6, 5), (1, 1, 6, 2))
    out = attend(q, k, v)
    assert out.shape == (3, 2, 4, 2)
    one = attend(q[1, 0], k[0], v[0, 0])
    np.testing.assert_allclose(out.numpy()[1, 0], one.numpy(), rtol=1e-12)
    check_grads(attend, [q, k, v], order=1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_narrow_floats(dtype):
    q, k, v = arrays((2, 9, 8), (2, 9, 8), (2, 9, 8), dtype=dtype)
    out = attend(*[bp.tensor(x, requires_grad=True) for x in (q, k, v)], causal=True)
    exact = attend(*[x.astype(float) for x in (q, k, v)], causal=True)
    assert out.dtype == dtype
    np.testing.assert_allclose(
        out.numpy(), exact.numpy(), rtol=2e-6 if dtype == "float32" else 2e-3, atol=1e-3
    )


def test_the_scores_are_never_held():
    time = 2048
    q, k, v = (bp.tensor(x, requires_grad=True) for x in arrays(*[(1, time, 16)] * 3, dtype=np.float32))
    attend(q, k, v).sum().backward()
    tracemalloc.start()
    attend(q, k, v).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < time * time * 4 / 3, peak


def test_dropout_draws_on_the_weights():
    q, k = arrays((1, 4, 8), (1, 50, 8))
    out = attend(q, k, np.eye(50)[None], dropout=0.5, generator=bp.random.Generator(0)).numpy()
    whole = attend(q, k, np.eye(50)[None]).numpy()
    kept = out != 0
    assert 0.35 < kept.mean() < 0.65
    np.testing.assert_allclose(out[kept], 2 * whole[kept], rtol=1e-12)


def test_empty():
    assert attend(np.ones((2, 0, 3)), np.ones((2, 4, 3)), np.ones((2, 4, 5))).shape == (2, 0, 5)
    np.testing.assert_array_equal(
        attend(np.ones((2, 3, 3)), np.ones((2, 0, 3)), np.ones((2, 0, 5))).numpy(), 0
    )


def test_errors_say_what_was_expected():
    q = np.ones((2, 3, 4))
    with pytest.raises(ShapeError, match=r"Received: \(2, 3, 4\), \(2, 3, 5\)"):
        attend(q, np.ones((2, 3, 5)), q)
    with pytest.raises(ShapeError, match=r"broadcast to \(2, 3, 3\)"):
        attend(q, q, q, mask=np.ones((3, 4), bool))
    with pytest.raises(DTypeError, match="bool"):
        attend(q, q, q, mask=np.ones((3, 3), int))
    with pytest.raises(ValueError, match="dropout"):
        attend(q, q, q, dropout=1.0)
