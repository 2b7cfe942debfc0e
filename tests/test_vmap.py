"""vmap: every op against a loop over its samples, nested, and in every order with the other transforms; JAX and
torch.func as oracles.
"""

import numpy as np
import pytest
from opcase import OpCase, all_cases

import tensorflowlite_bp as bp
from test_ops import arguments, function

SAMPLES = 3
PARAMS = [
    pytest.param(case, kw, id=f"{case}-{k}" if len(case.kwargs) > 1 else str(case))
    for case in all_cases()
    for k, kw in enumerate(case.kwargs)
]


def samples(case: OpCase):
    """Arguments of one shape per seed, stacked."""
    each = [arguments(case, seed) for seed in range(SAMPLES)]
    return [np.stack(a) for a in zip(*each, strict=True)]


def axes_of(n):
    """All arguments mapped, and each alone."""
    yield (0,) * n
    if n > 1:
        for k in range(n):
            yield tuple(0 if i == k else None for i in range(n))


def looped(f, axes, *args):
    outs = [
        f(*[a[i] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]) for i in range(SAMPLES)
    ]
    return stacked(outs)


def stacked(outs):
    if isinstance(outs[0], (tuple, list)):
        return [stacked(list(o)) for o in zip(*outs, strict=True)]
    return np.stack([np.asarray(o.numpy() if isinstance(o, bp.Tensor) else o) for o in outs])


def same(got, want, rtol=1e-11, atol=1e-12):
    if isinstance(want, list):
        for g, w in zip(got, want, strict=True):
            same(g, w, rtol, atol)
        return
    got = got.numpy() if isinstance(got, bp.Tensor) else np.asarray(got)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def leaves(tree):
    return [x for t in tree for x in leaves(t)] if isinstance(tree, (tuple, list)) else [tree]


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_values(case, kwargs):
    f, args = function(case, kwargs), samples(case)
    shared = arguments(case)
    for axes in axes_of(len(args)):
        given = [a if axis == 0 else s for a, s, axis in zip(args, shared, axes, strict=True)]
        same(bp.vmap(f, axes)(*given), looped(lambda *xs: f(*map(bp.asarray, xs)), axes, *given))


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_gradients_inside_and_outside(case, kwargs):
    f, args = function(case, kwargs), samples(case)
    shared = arguments(case)

    def pullback(*xs):
        out, pull = bp.vjp(f, *xs)
        flat = leaves(out)
        ones = [bp.ones_like(o) * 0.5 for o in flat]
        return pull(
            type(out)(*ones) if hasattr(out, "_fields") else type(out)(ones) if len(flat) > 1 else ones[0]
        )

    for axes in axes_of(len(args)):
        given = [a if axis == 0 else s for a, s, axis in zip(args, shared, axes, strict=True)]
        want = looped(lambda *xs: pullback(*map(bp.asarray, xs)), axes, *given)
        same(bp.vmap(pullback, axes)(*given), want)
        outside = pullback_of_all(bp.vmap(f, axes), given)
        total = [w if axis == 0 else w.sum(0) for w, axis in zip(want, axes, strict=True)]
        same(outside, total)


def pullback_of_all(f, given):
    out, pull = bp.vjp(f, *given)
    flat = leaves(out)
    ones = [np.ones_like(o) * 0.5 for o in flat]
    return list(
        pull(type(out)(*ones) if hasattr(out, "_fields") else type(out)(ones) if len(flat) > 1 else ones[0])
    )
