"""Pooling, embedding gradients, optimiser steps: kernels against the compositions they replace, and torch."""

import itertools

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import common, numpy_backend, pool
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

torch = pytest.importorskip("torch")
FLOATS = [np.float32, np.float64]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# (shape, window, strides, pads)
WINDOWS = [
    ((2, 6, 6, 8), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((3, 7, 5, 33), (3, 2), (1, 2), ((1, 1), (0, 1))),
    ((2, 9, 8, 31), (2, 3), (3, 3), ((0, 0), (0, 0))),
    ((1, 5, 6, 64), (3, 3), (2, 2), ((1, 0), (2, 1))),
    ((2, 11, 65), (4,), (2,), ((3, 0),)),
    ((2, 4, 3, 5, 9), (2, 3, 2), (2, 1, 1), ((0, 0), (1, 1), (0, 1))),
    ((40, 12, 12, 40), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((1, 1, 1, 8), (1, 1), (1, 1), ((0, 0), (0, 0))),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "window", "strides", "pads"), WINDOWS)
def test_pooling_is_what_the_composition_gives(isa, threads, rng, dtype, shape, window, strides, pads):
    how = (window, strides, pads)
    x = rng.integers(-9, 9, shape).astype(dtype)  # whole numbers: ties are common, sums exact
    x.reshape(-1)[:: max(1, x.size // 5)] = -np.inf
    out, index = pool.max_forward(np, x, *how, True)
    g = rng.integers(-9, 9, out.shape).astype(dtype)
    y = rng.integers(-9, 9, shape).astype(dtype)
    for count in (1, 3):
        threads(count)
        got, at = native.max_pool_forward(x, *how, True)
        assert (got == out).all()
        assert (at == index).all()
        assert native.max_pool_forward(x, *how, False)[1] is None
        assert (
            native.pool_input_grad(g, at, shape, *how) == pool.max_input_grad(np, g, index, shape, *how)
        ).all()
        tol = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(native.avg_pool_forward(y, *how), pool.avg_forward(np, y, *how), rtol=tol)
        np.testing.assert_allclose(
            native.pool_input_grad(g, None, shape, *how),
            pool.avg_input_grad(np, g, shape, *how),
            rtol=10 * tol,
            atol=20 * tol,
        )


def test_the_first_nan_of_a_window_wins(isa):
    x = np.ones((1, 2, 4, 8), np.float32)
    x[0, 0, 1], x[0, 1, 0], x[0, 1, 3] = np.nan, np.nan, 5
    out, index = native.max_pool_forward(x, (2, 2), (2, 2), ((0, 0), (0, 0)), True)
    assert np.isnan(out[0, 0, 0]).all()
    assert (index[0, 0, 0] == 1).all()
    assert (index[0, 0, 1] == 3).all()


def test_what_the_kernel_does_not_take_is_composed(rng):
    """Few channels, whole numbers, a window in the padding alone, more places than a byte counts."""
    none = ((0, 0), (0, 0))
    assert native.max_pool_forward(np.ones((1, 4, 4, 3)), (2, 2), (2, 2), none, True) is None
    assert native.max_pool_forward(np.ones((1, 4, 4, 8), int), (2, 2), (2, 2), none, True) is None
    assert native.max_pool_forward(np.ones((1, 4, 4, 8)), (2, 2), (2, 2), ((2, 0), (0, 0)), True) is None
    assert native.max_pool_forward(np.ones((1, 40, 40, 8)), (16, 16), (1, 1), none, True) is None
    x = rng.normal(size=(1, 40, 40, 8))
    out = numpy_backend.max_pool_forward(x, window=(16, 16), strides=(8, 8), pads=none)[0]
    assert out[0, 1, 1, 3] == x[0, 8:24, 8:24, 3].max()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_pooling_through_tensors_against_torch(dtype, rng):
    x = rng.normal(size=(2, 7, 6, 16)).astype(dtype)
    for ours, theirs in (
        (bp.nn.max_pool, torch.max_pool2d),
        (bp.nn.avg_pool, torch.nn.functional.avg_pool2d),
    ):
        a = bp.tensor(x, requires_grad=True)
        b = torch.tensor(x.astype(np.float32), requires_grad=True)
        out = ours(a, 3, strides=2)
        want = theirs(b.permute(0, 3, 1, 2), 3, 2).permute(0, 2, 3, 1)
        out.sum().backward()
        want.sum().backward()
        tol = 1e-6 if dtype == np.float32 else 2e-3
        assert out.dtype == a.grad.dtype == dtype
        np.testing.assert_allclose(out.numpy().astype(float), want.detach().numpy(), rtol=tol, atol=tol)
        np.testing.assert_allclose(a.grad.numpy().astype(float), b.grad.numpy(), rtol=tol, atol=tol)


# ------------------------------------------------------------------ rows of a table
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("rows", "features", "count"), [(1, 1, 1), (5, 3, 40), (300, 257, 64), (1000, 64, 5000), (7, 0, 3)]
)
def test_scatter_rows_adds_in_order(isa, threads, rng, dtype, rows, features, count):
    index = rng.integers(-rows, rows, count)
    x = rng.normal(size=(count, features)).astype(dtype)
    want = np.zeros((rows, features), dtype)
    for i, row in zip(index, x, strict=True):
        want[i] += row
    for n in (1, 3):
        threads(n)
        for kind in (np.int64, np.int32):
            assert (native.scatter_rows(x, index.astype(kind), (rows, features)) == want).all()


def test_scatter_rows_of_several_axes(rng):
    index, x = rng.integers(0, 4, (3, 5)), rng.normal(size=(3, 5, 2, 6))
    want = np.zeros((4, 2, 6))
    np.add.at(want, index, x)
    np.testing.assert_allclose(numpy_backend.scatter_add(x, index=index, shape=(4, 2, 6)), want, rtol=1e-14)
    assert native.scatter_rows(x, np.full((3, 5), 4), (4, 2, 6)) is None
    with pytest.raises(IndexError):
        numpy_backend.scatter_add(x, index=np.full((3, 5), 4), shape=(4, 2, 6))


# ------------------------------------------------------------------ optimiser steps
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["rmsprop_step", "lion_step"])
def test_steps_are_the_composition(isa, threads, rng, dtype, name):
    shapes = [(3,), (40, 50), (), (20000,), (0,)]
    draw = lambda low: [np.asarray(rng.uniform(low, low + 3, s)).astype(dtype) for s in shapes]
    forms = [()] if name == "lion_step" else list(itertools.product([False, True], repeat=2))
    for form in forms:
        params, grads = draw(-2), draw(-2)
        states = [draw(-2)] if not form else [draw(4), *[draw(-1) if given else None for given in form]]
        rates = (0.1, 0.9, 0.8, 0.05, 0.5) if not form else (0.1, 0.9, 0.7, 1e-3, 0.05, 0.5)
        copies = []
        for count in (1, 2):
            threads(count)
            own = [[a.copy() for a in arrays] if arrays else None for arrays in (params, *states)]
            assert getattr(native, name)(own[0], grads, *own[1:], *rates)
            copies.append(own)
        want = [[a.astype(float) for a in arrays] if arrays else None for arrays in (params, *states)]
        getattr(common, name)(np, want[0], [g.astype(float) for g in grads], *want[1:], *rates)
        for one, two, exact in zip(*copies, want, strict=True):
            for a, b, c in zip(one or [], two or [], exact or [], strict=True):
                assert (a == b).all()
                np.testing.assert_allclose(a, c, rtol=60 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)
