"""Multi-tensor optimiser kernels on the emulator, against the NumPy references in float64."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named, offset

from tensorflowlite_bp.backend import common, cupy_steps
from tensorflowlite_bp.backend.cuda import optimizers
from tensorflowlite_bp.optimizers.loss_scale import DynamicLossScale

host = hosts

SHAPES = [(3, 5), (1,), (0, 4), (16384 + 7,), (4, 64), (40000,)]
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)


def drawn(rng, dtype, positive=False):
    values = [rng.normal(size=s) for s in SHAPES]
    return [offset((abs(v) if positive else v).astype(dtype), i % 3) for i, v in enumerate(values)]


def wide(arrays):
    return [a.astype(np.float64) for a in arrays]


def same(got, want, factor=4):
    for one, other in zip(got, want, strict=True):
        close(one, other, factor)


def hyper_of(host, *numbers):
    hyper = host.empty((3,), np.float64)
    optimizers.begin(host, hyper, *numbers, *[1.0] * (3 - len(numbers)))
    return hyper


@dtypes
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize(("decay", "scale"), [(0.0, 1.0), (0.01, 0.5)])
def test_sgd(host, dtype, momentum, nesterov, decay, scale):
    rng = np.random.default_rng(0)
    p, g = drawn(rng, dtype), drawn(rng, dtype)
    v = drawn(rng, dtype) if momentum else None
    want_p, want_v = wide(p), None if v is None else wide(v)
    common.sgd_step(np, want_p, wide(g), want_v, 0.1, momentum, nesterov, decay, scale)
    table = optimizers.Table(host, p, g, [] if v is None else [v])
    hyper = hyper_of(host, 0.1, 1, scale)
    optimizers.sgd(table, hyper, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    same(p, want_p)
    if v is not None:
        same(v, want_v)


@dtypes
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize(("decay", "scale"), [(0.0, 1.0), (0.01, 0.5)])
def test_adam(host, dtype, amsgrad, decay, scale):
    rng = np.random.default_rng(1)
    p, g, m = drawn(rng, dtype), drawn(rng, dtype), drawn(rng, dtype)
    v, hat = drawn(rng, dtype, True), drawn(rng, dtype, True) if amsgrad else None
    want = [wide(a) if a is not None else None for a in (p, g, m, v, hat)]
    common.adam_step(np, *want[:4], 0.1, 0.9, 0.99, 1e-3, 7, decay, scale, want[4])
    table = optimizers.Table(host, p, g, [m, v] + ([hat] if amsgrad else []))
    hyper = hyper_of(host, 0.1, 7, scale)
    optimizers.adam(table, hyper, beta1=0.9, beta2=0.99, eps=1e-3, weight_decay=decay)
    for got, wanted in zip((p, m, v, hat), (want[0], *want[2:]), strict=True):
        if got is not None:
            same(got, wanted, 8)


@dtypes
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(host, dtype, momentum, centered):
    rng = np.random.default_rng(2)
    p, g, v = drawn(rng, dtype), drawn(rng, dtype), [a + dtype(30) for a in drawn(rng, dtype, True)]
    states = [v] + [drawn(rng, dtype) for _ in range((momentum > 0) + centered)]
    want_p, want = wide(p), [wide(s) for s in states]
    velocity, *rest = want
    average = rest[-1] if centered else None
    moments = rest[0] if momentum else None
    common.rmsprop_step(
        np,
        want_p,
        wide(g),
        velocity,
        average,
        moments,
        0.1,
        0.9,
        momentum,
        1e-3,
        0.01,
        0.5,
    )
    table = optimizers.Table(host, p, g, states)
    hyper = hyper_of(host, 0.1, 1, 0.5)
    optimizers.rmsprop(
        table, hyper, rho=0.9, momentum=momentum, eps=1e-3, centered=centered, weight_decay=0.01
    )
    same(p, want_p, 8)
    for one, other in zip(states, want, strict=True):
        same(one, other, 8)


@dtypes
def test_lion(host, dtype):
    rng = np.random.default_rng(3)
    p, g, m = drawn(rng, dtype), drawn(rng, dtype), drawn(rng, dtype)
    for arrays in (g, m):
        arrays[0][0, :2] = 0
    want_p, want_m = wide(p), wide(m)
    common.lion_step(np, want_p, wide(g), want_m, 0.1, 0.9, 0.99, 0.01, 0.5)
    table = optimizers.Table(host, p, g, [m])
    hyper = hyper_of(host, 0.1, 1, 0.5)
    optimizers.lion(table, hyper, beta1=0.9, beta2=0.99, weight_decay=0.01)
    same(p, want_p, 8)
    same(m, want_m, 8)


@dtypes
def test_norm_and_clipping(host, dtype):
    rng = np.random.default_rng(4)
    p, g = drawn(rng, dtype), drawn(rng, dtype)
    table = optimizers.Table(host, p, g)
    total = sum(float((a * a).sum()) for a in wide(g))
    found = optimizers.norm(table)
    np.testing.assert_allclose(found, [total, 0], rtol=1e-6)
    hyper = hyper_of(host, 0.1, 1, 0.5)
    optimizers.norm(table, hyper, global_clipnorm=1e9)
    assert hyper[2] == 0.5
    optimizers.norm(table, hyper, global_clipnorm=2.0)
    np.testing.assert_allclose(hyper[2], 2.0 / np.sqrt(total), rtol=1e-6)
    before = [a.copy() for a in p]
    g[3][5] = np.inf
    assert optimizers.norm(table, hyper, skip_non_finite=True)[1] == 1
    assert hyper[2] == 0
    optimizers.sgd(table, hyper, momentum=0.0, nesterov=False, weight_decay=0.1)
    for one, other in zip(p, before, strict=True):
        np.testing.assert_array_equal(one, other)
    optimizers.next_step(host, hyper)
    assert hyper[1] == 1
    hyper[2] = 1
    optimizers.norm(table, hyper, global_clipnorm=2.0)
    assert np.isnan(hyper[2])
    optimizers.next_step(host, hyper)
    assert hyper[1] == 2


def test_tiny_and_huge_gradients(host):
    """Squares that float32 cannot hold."""
    g = [np.full(1001, 1e-30, np.float32), np.full(5, 1e25, np.float32)]
    total = 1001 * float(g[0][0]) ** 2 + 5 * float(g[1][0]) ** 2
    np.testing.assert_allclose(optimizers.norm(optimizers.Table(host, g, g))[0], total, rtol=1e-6)
    small = optimizers.norm(optimizers.Table(host, g[:1], g[:1]))[0]
    np.testing.assert_allclose(small, 1001 * float(g[0][0]) ** 2, rtol=1e-6)


def test_table(host):
    rng = np.random.default_rng(5)
    p = [rng.normal(size=3).astype(np.float32) for _ in range(40)]
    g, other = [np.ones_like(a) for a in p], [np.full_like(a, 2) for a in p]
    want = [a - np.float32(0.1) for a in p], [a - np.float32(0.1) * 3 for a in p]
    table, hyper = optimizers.Table(host, p, g), hyper_of(host, 0.1)
    optimizers.sgd(table, hyper, momentum=0.0, nesterov=False, weight_decay=0.0)
    same(p, wide(want[0]))
    table.point_at(other)
    optimizers.sgd(table, hyper, momentum=0.0, nesterov=False, weight_decay=0.0)
    same(p, wide(want[1]))
    with pytest.raises(ValueError, match="contiguous"):
        optimizers.Table(host, [np.ones((2, 3), np.float32).T], g[:1])
    nothing = optimizers.Table(host, [], [])
    optimizers.sgd(nothing, hyper, momentum=0.0, nesterov=False, weight_decay=0.0)


def test_what_only_the_device_knows(host):
    hyper, step, scale = host.empty((3,), np.float64), np.array(7.0), np.array(0.25)
    optimizers.begin(host, hyper, 0.1, step, scale, 2.0)
    assert hyper.tolist() == [0.1, 7.0, 0.5]
    optimizers.begin(host, hyper, 0.1, 3, 0.25, 2.0)
    assert hyper.tolist() == [0.1, 3.0, 0.5]


def test_a_loss_scale_moves_as_on_the_host(host):
    """Growth, backing off, the largest, over steps with and without what is not finite."""
    rule = {"initial_scale": 2.0**126, "growth_factor": 2.0, "backoff_factor": 0.25, "growth_interval": 3}
    own = DynamicLossScale(**rule)
    state = [np.array(v) for v in (2.0**126, 0.0, 0.0)]
    for total in [1.0, 0.0, 2.0] * 3 + [np.inf, 1.0, 1.0, np.nan] + [5.0] * 8:
        factor = optimizers.scale_step(host, np.array(total), *state, 2.0, 0.25, 3, float(np.finfo("f4").max))
        assert float(factor) == own.examine([np.array([np.sqrt(total)])])
        assert [float(v) for v in state] == [float(v.data) for v in own.variables]


@pytest.mark.parametrize(
    "scale", [0.5, np.array(0.5), np.array(0.0)], ids=["known", "on the device", "skipped"]
)
@pytest.mark.parametrize("infinite", [np.nan, np.inf])
def test_a_clipped_scale(host, scale, infinite):
    """As in CuPy's expressions, for norms below and above the limit, and without bound."""
    for total in (0.0, 1.0, 16.0, 400.0, np.inf, np.nan):
        given = np.array(total)
        with np.errstate(invalid="ignore", divide="ignore"):
            want = cupy_steps.clip_scale(np, given, scale, 2.0, infinite)
        found = optimizers.clip_scale(host, given, scale, 2.0, infinite)
        np.testing.assert_array_equal(found, want)
