"""Recurrent operations against torch's with equal weights, masks, halves, cells, errors."""

import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import recurrent
from tensorflowlite_bp.errors import DTypeError, ShapeError

KINDS = ["lstm", "gru", "tanh", "relu"]
OURS = {"lstm": bp.nn.lstm, "gru": bp.nn.gru, "tanh": bp.nn.simple_rnn, "relu": bp.nn.simple_rnn}


def problem(kind, batch=3, steps=5, features=4, units=6, dtype=np.float64, seed=0):
    """x, states, weights (kernel, recurrent kernel, bias)."""
    r = np.random.default_rng(seed)
    n = recurrent.COLUMNS[kind] * units
    make = lambda *s: r.normal(size=s).astype(dtype)
    states = [make(batch, units) for _ in range(2 if kind == "lstm" else 1)]
    weights = [make(features, n), make(units, n) / 2, make(*((2, n) if kind == "gru" else (n,)))]
    return make(batch, steps, features), states, weights


def call(kind, x, states, weights, **how):
    if kind == "relu":
        how["activation"] = "relu"
    if kind == "gru_before":
        kind, how["reset_after"] = "gru", False
    return OURS[kind](x, *weights, initial_state=states, **how)


def of_torch(kind, units, w, u, b):
    """torch's layout of our weights: rows for columns, its order of the gates, two biases."""
    t = torch()
    order = [1, 0, 2] if kind == "gru" else range(recurrent.COLUMNS[kind])

    def turned(a):
        gates = np.split(a, recurrent.COLUMNS[kind], -1)
        return np.concatenate([gates[k] for k in order], -1).T.copy()

    biases = (b[0], b[1]) if kind == "gru" else (b, 0 * b)
    return [t.tensor(turned(a), requires_grad=True) for a in (w, u, *biases)], turned


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_torch(kind, dtype):
    t, units = torch(), 6
    x, states, weights = problem(kind, dtype=dtype)
    r = np.random.default_rng(5)
    ours = [bp.tensor(a, requires_grad=True) for a in (x, *states, *weights)]
    n = 1 + len(states)
    out, *last = call(kind, ours[0], ours[1:n], ours[n:])
    gs = [r.normal(size=o.shape).astype(dtype) for o in (out, *last)]
    bp.sum(bp.stack([bp.sum(o * g) for o, g in zip((out, *last), gs, strict=True)])).backward()

    made = {"lstm": t.nn.LSTM, "gru": t.nn.GRU}.get(kind, t.nn.RNN)
    how = {} if kind in ("lstm", "gru") else {"nonlinearity": kind}
    how["dtype"] = t.float64 if dtype == np.float64 else t.float32
    theirs = made(x.shape[-1], units, batch_first=True, **how)
    ws, turned = of_torch(kind, units, *weights)
    given = [t.tensor(a, requires_grad=True) for a in (x, *states)]
    first = tuple(s[None] for s in given[1:])
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    result = t.func.functional_call(
        theirs, dict(zip(names, ws, strict=True)), (given[0], first if kind == "lstm" else first[0])
    )
    expected = [result[0], *[s[0] for s in (result[1] if kind == "lstm" else (result[1],))]]
    sum((e * t.tensor(g)).sum() for e, g in zip(expected, gs, strict=True)).backward()

    tol = {"rtol": 1e-10, "atol": 1e-10} if dtype == np.float64 else {"rtol": 2e-5, "atol": 2e-5}
    for a, b in zip((out, *last), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), **tol)
    for a, b in zip(ours[:n], given, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **tol)
    dw, du, db = [a.grad.numpy() for a in ours[n:]]
    rows = (*db,) if kind == "gru" else (db, db)
    for a, b in zip((dw, du, *rows), ws, strict=True):
        np.testing.assert_allclose(turned(a), b.grad.numpy(), **tol)


EVERY = [*KINDS, "gru_before"]
OURS["gru_before"] = bp.nn.gru


@pytest.mark.parametrize("kind", EVERY)
def test_a_sequence_in_two_halves(kind):
    x, states, weights = problem(kind)
    out, *last = call(kind, x, states, weights)
    first, *between = call(kind, x[:, :2], states, weights)
    second, *end = call(kind, x[:, 2:], between, weights)
    np.testing.assert_allclose(np.concatenate([first, second], 1), out.numpy(), rtol=1e-14, atol=1e-15)
    for a, b in zip(last, end, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14, atol=1e-15)
    only, *same = call(kind, x, states, weights, return_sequences=False)
    for a, b in zip((only, *same), (out[:, -1], *last), strict=True):
        assert (a.numpy() == b.numpy()).all()


@pytest.mark.parametrize("kind", EVERY)
def test_a_mask_is_a_shorter_sequence(kind):
    """Values and gradients; what is behind the mask has no part in either."""
    x, states, weights = problem(kind)
    lengths = [5, 2, 0]
    mask = np.arange(5) < np.array(lengths)[:, None]
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, *weights)]
    out, h, *_ = call(kind, leaves[0], states, leaves[1:], mask=mask)
    (out[:, -1] * h).sum().backward()
    other = [bp.tensor(a, requires_grad=True) for a in (x, *weights)]
    total = 0.0
    for k, n in enumerate(lengths):
        own, last, *_ = call(kind, other[0][k : k + 1, :n], [s[k : k + 1] for s in states], other[1:])
        np.testing.assert_allclose(h.numpy()[k], last.numpy()[0], rtol=1e-13)
        np.testing.assert_allclose(out.numpy()[k, :n], own.numpy()[0], rtol=1e-13)
        total = total + (last * last).sum()
    total.backward()
    for a, b in zip(leaves, other, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-11, atol=1e-13)
    assert not leaves[0].grad.numpy()[~mask].any()
    ints = call(kind, x, states, weights, mask=mask.astype(int))[0]
    assert (ints.numpy() == out.numpy()).all()


@pytest.mark.parametrize("kind", EVERY)
def test_backwards_is_the_reversed_sequence(kind):
    x, states, weights = problem(kind)
    mask = np.random.default_rng(1).random(x.shape[:2]) > 0.3
    for m in (None, mask):
        one = call(kind, x, states, weights, mask=m, go_backwards=True)
        two = call(kind, x[:, ::-1].copy(), states, weights, mask=None if m is None else m[:, ::-1].copy())
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14, atol=1e-15)


def test_cells_are_sequences_of_one_step():
    for kind, cell in (("lstm", bp.nn.lstm_cell), ("gru", bp.nn.gru_cell), ("tanh", bp.nn.simple_rnn_cell)):
        x, states, weights = problem(kind, steps=1)
        found = cell(x[:, 0], *states, *weights)
        expected = call(kind, x, states, weights)[1:]
        for a, b in zip(found if kind == "lstm" else (found,), expected, strict=True):
            assert (a.numpy() == b.numpy()).all()


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_is_nothing(kind):
    for batch, steps, features in ((0, 3, 2), (2, 0, 2), (2, 3, 0)):
        x, states, weights = problem(kind, batch, steps, features)
        leaves = [bp.tensor(a, requires_grad=True) for a in (x, *states, *weights)]
        n = 1 + len(states)
        out, h, *_ = call(kind, leaves[0], leaves[1:n], leaves[n:])
        assert out.shape == (batch, steps, 6)
        if not steps:
            assert (h.numpy() == states[0]).all()
        (out.sum() + h.sum()).backward()
        assert all(a.grad is None or a.grad.shape == a.shape for a in leaves)


@pytest.mark.parametrize("kind", EVERY)
def test_vmap_over_samples_masks_and_weights(kind):
    x, states, weights = problem(kind)
    two = lambda a: np.stack([a, 0.5 * a])
    masks = np.random.default_rng(1).random((2, *x.shape[:2])) > 0.3
    f = lambda x, mask, *w: call(kind, x, states, w, mask=mask)[0]
    g = bp.grad(lambda w, x, mask: bp.sum(f(x, mask, w, *weights[1:]) ** 2))
    for axes, xs, w in (((0, 0, None), two(x), weights[0]), ((0, 0, 0), two(x), two(weights[0]))):
        wk = lambda k, w=w, axes=axes: w if axes[2] is None else w[k]
        found = bp.vmap(lambda x, m, w: f(x, m, w, *weights[1:]), axes)(xs, masks, w)
        found_g = bp.vmap(lambda x, m, w: g(w, x, m), axes)(xs, masks, w)
        for k in range(2):
            np.testing.assert_allclose(found[k], f(xs[k], masks[k], wk(k), *weights[1:]).numpy(), rtol=1e-13)
            np.testing.assert_allclose(found_g[k], g(wk(k), xs[k], masks[k]), rtol=1e-12)


def test_what_is_kept_is_freed():
    x, _, weights = problem("lstm")
    w = bp.tensor(weights[0], requires_grad=True)
    out, *_ = bp.nn.lstm(x, w, *weights[1:])
    total = out.sum()
    total.backward()
    with pytest.raises(bp.errors.GradientError, match="freed"):
        total.backward()


def test_errors_say_what_was_expected():
    x, (h, _), (w, u, b) = problem("lstm")
    with pytest.raises(ShapeError, match=r"4 units[\s\S]*kernel \(4, 24\), recurrent_kernel \(6, 23\)"):
        bp.nn.lstm(x, w, u[:, :-1], b)
    with pytest.raises(ShapeError, match=r"\(batch, steps, in\)"):
        bp.nn.lstm(x[0], w, u, b)
    with pytest.raises(ShapeError, match=r"bias \(2, 3 units\)"):
        bp.nn.gru(x, w[:, :18], u[:, :18], b[:18])
    with pytest.raises(ShapeError, match=r"\(h, c\), each of shape \(3, 6\)"):
        bp.nn.lstm(x, w, u, b, initial_state=h)
    with pytest.raises(ShapeError, match=r"mask must have shape \(3, 5\)"):
        bp.nn.lstm(x, w, u, b, mask=np.ones((5, 3), bool))
    with pytest.raises(DTypeError, match="a mask is bool"):
        bp.nn.lstm(x, w, u, b, mask=np.ones((3, 5)))
    with pytest.raises(ValueError, match="'tanh' or 'relu'"):
        bp.nn.simple_rnn(x, w[:, :6], u[:, :6], b[:6], activation="sigmoid")
