"""Recurrent layers in C++ against the composition in float64, on every instruction set."""

import itertools

import numpy as np
import pytest

from tensorflowlite_bp.backend import recurrent
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

# batch, steps, features, units: one of each, narrower and wider than a vector, several pieces of the batch
SHAPES = [(1, 1, 1, 1), (3, 4, 2, 5), (1, 7, 3, 16), (2, 3, 17, 33), (70, 5, 9, 24), (129, 2, 40, 31)]


def problem(kind, shape, dtype, masked, seed=0):
    batch, steps, features, units = shape
    r = np.random.default_rng(seed)
    n = recurrent.COLUMNS[kind] * units
    make = lambda *s, scale=1.0: (scale * r.normal(size=s)).astype(dtype)
    states = tuple([make(batch, units) for _ in range(2 if kind == "lstm" else 1)])
    b = make(2, n) if kind == "gru" else make(n)
    weights = make(features, n, scale=features**-0.5), make(units, n, scale=units**-0.5), b
    mask = r.random((batch, steps)) > 0.4 if masked else None
    gs = make(batch, steps, units), *[make(batch, units) for _ in states]
    return make(batch, steps, features), states, weights, mask, gs


def with_kernels(kind, x, states, weights, mask, gs, *, reverse, needs=(True,) * 6, sequences=True):
    number, one = recurrent.KINDS.index(kind), len(states) == 1
    out, h, c, kept = native.recurrent_forward(
        number, x, *(*states, None)[:2], *weights, mask, reverse, sequences, True
    )
    back = native.recurrent_backward(number, *(*gs, None)[:3], x, *weights[:2], mask, reverse, *kept, needs)
    return [out, h, *([] if one else [c])], [b for k, b in enumerate(back) if k != 2 or not one]


def composed(kind, x, states, weights, mask, gs, *, reverse):
    wide = lambda tree: tuple([None if a is None else a.astype(float) for a in tree])
    x, states, weights, gs = x.astype(float), wide(states), wide(weights), wide(gs)
    how = {"kind": kind, "mask": mask, "reverse": reverse}
    out, last, kept = recurrent.forward(np, x, states, *weights, sequences=True, keeps=True, **how)
    return [out, *last], recurrent.backward(np, gs, x, states, *weights, kept=kept, needs=(True,) * 6, **how)


def close(found, exact, dtype, steps):
    tol = (20 + 10 * steps) * np.finfo(dtype).eps
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * max(1, np.abs(b).max()))


def test_the_kinds_have_one_order():
    assert native.RECURRENTS == recurrent.KINDS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("masked", "reverse"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("kind", recurrent.KINDS)
def test_against_the_composition(isa, threads, kind, masked, reverse, dtype):
    for shape in SHAPES:
        given = problem(kind, shape, dtype, masked)
        exact = composed(kind, *given, reverse=reverse)
        runs = []
        for count in (1, 2, 3):
            threads(count)
            runs.append(with_kernels(kind, *given, reverse=reverse))
        for part in (0, 1):
            for other in runs[1:]:
                for a, b in zip(runs[0][part], other[part], strict=True):
                    assert (a == b).all()
            close(runs[0][part], exact[part], dtype, shape[1])


@pytest.mark.parametrize("kind", recurrent.KINDS)
def test_cotangents_that_are_not_there_are_zeros(kind):
    x, states, weights, mask, gs = problem(kind, (5, 4, 3, 6), np.float64, True)
    for present in itertools.product([False, True], repeat=len(gs)):
        some = tuple([g if p else None for g, p in zip(gs, present, strict=True)])
        zeros = tuple([g if p else np.zeros_like(g) for g, p in zip(gs, present, strict=True)])
        found = with_kernels(kind, x, states, weights, mask, some, reverse=False)[1]
        exact = composed(kind, x, states, weights, mask, zeros, reverse=False)[1]
        close(found, exact, np.float64, 4)
        close(composed(kind, x, states, weights, mask, some, reverse=False)[1], exact, np.float64, 4)


@pytest.mark.parametrize("kind", recurrent.KINDS)
def test_gradients_that_are_not_wanted_are_left_out(kind):
    given = problem(kind, (5, 4, 3, 6), np.float64, False)
    every = with_kernels(kind, *given, reverse=True)[1]
    lstm = kind == "lstm"
    for k in range(6):
        if k == 2 and not lstm:
            continue
        needs = tuple([i == k for i in range(6)])
        found = with_kernels(kind, *given, reverse=True, needs=needs)[1]
        at = k if lstm or k < 2 else k - 1
        assert [f is not None for f in found] == [i == at for i in range(len(found))]
        assert (found[at] == every[at]).all()


@pytest.mark.parametrize("kind", recurrent.KINDS)
def test_without_backward_only_two_states_are_held(kind):
    x, states, weights, mask, _ = problem(kind, (20, 5, 3, 6), np.float32, True)
    number = recurrent.KINDS.index(kind)
    for steps in (4, 5):
        given = x[:, :steps].copy(), *(*states, None)[:2], *weights, mask[:, :steps].copy(), False
        kept = native.recurrent_forward(number, *given, True, True)
        free = native.recurrent_forward(number, *given, True, False)
        assert free[3] is None
        for a, b in zip(kept[:3], free[:3], strict=True):
            assert (a is None and b is None) or (a == b).all()
        assert native.recurrent_forward(number, *given, False, False)[0] is None


def test_tanh_and_sigmoid_to_the_last_digits(isa):
    """Through cells whose products are 0: h = tanh(b); and z h + (1 - z) g with h = 1 and g = 0."""
    spread = np.concatenate([10.0 ** np.arange(-30, 2), np.linspace(0, 30, 3000), [np.inf]])
    for dtype, ulps in ((np.float32, 4), (np.float64, 4)):
        b = np.concatenate([-spread, spread]).astype(dtype)
        n, x, zeros = b.size, np.zeros((1, 1, 1), dtype), np.zeros((1, b.size), dtype)
        u = np.zeros((n, n), dtype)
        found = native.recurrent_forward(3, x, zeros, None, zeros, u, b, None, False, False, False)[1][0]
        np.testing.assert_array_max_ulp(found, np.tanh(b.astype(float)).astype(dtype), ulps)
        assert np.signbit(found[:10]).all()
        bias = np.concatenate([b, np.zeros(2 * n, dtype)])
        wide = np.zeros((1, 3 * n), dtype), np.zeros((n, 3 * n), dtype)
        found = native.recurrent_forward(2, x, zeros + 1, None, *wide, bias, None, False, False, False)[1][0]
        with np.errstate(over="ignore"):
            exact = (1 / (1 + np.exp(-b.astype(np.longdouble)))).astype(dtype)
        keep = exact > np.finfo(dtype).tiny * 4
        np.testing.assert_array_max_ulp(found[keep], exact[keep], ulps)


def test_not_a_number_stays_in_its_row(isa):
    for kind in recurrent.KINDS:
        x, states, weights, mask, _ = problem(kind, (20, 3, 4, 6), np.float32, False)
        x[3, 1] = np.nan
        out = native.recurrent_forward(
            recurrent.KINDS.index(kind), x, *(*states, None)[:2], *weights, mask, False, True, False
        )[0]
        assert np.isnan(out[3, 1:]).all()
        assert np.isfinite(np.delete(out, 3, 0)).all()
        assert np.isfinite(out[3, 0]).all()


def test_what_the_kernel_does_not_take():
    x, (h, c), (w, u, b), _, _ = problem("lstm", (3, 4, 2, 5), np.float32, False)
    run = lambda x=x, h=h, c=c, w=w, u=u, b=b, mask=None: native.recurrent_forward(
        0, x, h, c, w, u, b, mask, False, True, True
    )
    assert run() is not None
    assert run(b=None) is not None
    assert run(mask=np.ones((3, 4), bool)) is not None
    assert run(x=x.astype(float)) is None
    assert run(x=x[:, ::2]) is None
    assert run(x=x[:, :0].copy()) is None
    assert run(c=None) is None
    assert run(w=w[:, :-1].copy()) is None
    assert run(u=u[:-1].copy()) is None
    assert run(b=b[:-1].copy()) is None
    assert run(mask=np.ones((3, 4))) is None
    assert run(mask=np.ones((4, 3), bool)) is None
