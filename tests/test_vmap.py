"""vmap: every op against a loop over its samples, nested, and in every order with the other transforms.

Further oracles: JAX and torch.func.
"""

import importlib

import numpy as np
import pytest
from opcase import OpCase, all_cases
from test_ops import arguments, function

import tensorflowlite_bp as bp

importlib.import_module("tensorflowlite_bp.scipy.stats")  # declares ops of its own
SAMPLES = 3
COUNTING = {"unique_values"}  # the size of the result depends on the values: refused
CASES = [case for case in all_cases() if case.name not in COUNTING]
PARAMS = [
    pytest.param(case, kw, id=f"{case}-{k}" if len(case.kwargs) > 1 else str(case))
    for case in CASES
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


def given(case):
    """(axes, arguments) for each choice of what is mapped."""
    args, shared = samples(case), arguments(case)
    for axes in axes_of(len(args)):
        yield axes, [a if axis == 0 else s for a, s, axis in zip(args, shared, axes, strict=True)]


def pullback(f):
    """The vjp for a cotangent of 0.5 everywhere."""

    def pulled(*xs):
        out, pull = bp.vjp(f, *xs)
        half = [bp.ones_like(o) * 0.5 for o in leaves(out)]
        return pull(rebuilt(out, half))

    return pulled


def pushforward(f):
    def pushed(*xs):
        return leaves(bp.jvp(f, xs, tuple([bp.ones_like(x) * 0.5 for x in xs]))[1])

    return pushed


def rebuilt(tree, parts):
    if isinstance(tree, bp.Tensor) or not isinstance(tree, (tuple, list)):
        return parts[0]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def by_loop(f):
    return lambda *xs: f(*map(bp.asarray, xs))


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_values(case, kwargs):
    f = function(case, kwargs)
    for axes, args in given(case):
        same(bp.vmap(f, axes)(*args), looped(by_loop(f), axes, *args))


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_gradients_inside_and_outside(case, kwargs):
    f = function(case, kwargs)
    for axes, args in given(case):
        want = looped(by_loop(pullback(f)), axes, *args)
        same(bp.vmap(pullback(f), axes)(*args), want)
        outside = pullback(bp.vmap(f, axes))(*map(bp.asarray, args))
        same(outside, [w if axis == 0 else w.sum(0) for w, axis in zip(want, axes, strict=True)])


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_tangents_inside_and_outside(case, kwargs):
    f = function(case, kwargs)
    for axes, args in given(case):
        want = looped(by_loop(pushforward(f)), axes, *args)
        same(bp.vmap(pushforward(f), axes)(*args), want)
        same(pushforward(bp.vmap(f, axes))(*map(bp.asarray, args)), want)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_second_order(case):
    """Gradients of gradients: both inside, both outside, and one each."""
    f = function(case, case.kwargs[0])

    def total(*xs):
        return sum((bp.abs(o) ** 2).sum() for o in leaves(f(*xs)))

    def total_of_gradients(*xs):
        n = tuple(range(len(xs)))
        return sum((bp.abs(g) ** 2).sum() for g in bp.grad(total, n)(*xs))

    args = samples(case)
    n = tuple(range(len(args)))
    want = looped(by_loop(bp.grad(total_of_gradients, n)), (0,) * len(args), *args)
    close = {"rtol": 1e-9, "atol": 1e-9}
    same(bp.vmap(bp.grad(total_of_gradients, n))(*args), want, **close)
    same(bp.grad(lambda *xs: bp.sum(bp.vmap(total_of_gradients)(*xs)), n)(*args), want, **close)

    def outside(*xs):
        inner = bp.grad(lambda *ys: bp.sum(bp.vmap(total)(*ys)), n)(*xs)
        return sum((bp.abs(g) ** 2).sum() for g in inner)

    same(bp.grad(outside, n)(*args), want, **close)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nested_twice(case):
    f = function(case, case.kwargs[0])
    args = samples(case)
    twice = [np.stack([a, a[::-1]]) for a in args]  # (2, 3, ...)
    want = [looped(by_loop(f), (0,) * len(args), *[t[k] for t in twice]) for k in range(2)]
    want = [np.stack(w) for w in zip(*want, strict=True)] if isinstance(want[0], list) else np.stack(want)
    same(bp.vmap(bp.vmap(f))(*twice), want)
    pulled = [
        np.stack(w)
        for w in zip(
            *[looped(by_loop(pullback(f)), (0,) * len(args), *[t[k] for t in twice]) for k in range(2)],
            strict=True,
        )
    ]
    same(bp.vmap(bp.vmap(pullback(f)))(*twice), pulled)
    same(bp.vmap(pullback(bp.vmap(f)))(*twice), pulled)
    same(pullback(bp.vmap(bp.vmap(f)))(*map(bp.asarray, twice)), pulled)
    if len(args) > 1:  # every argument in a level of its own
        rest = [a[0] for a in args[2:]]
        pairs = lambda x, y: f(x, y, *map(bp.asarray, rest))
        product = (
            stacked([looped(by_loop(lambda y, x=x: pairs(bp.asarray(x), y)), (0,), args[1]) for x in args[0]])
            if not isinstance(want, list)
            else None
        )
        if product is not None:
            same(bp.vmap(bp.vmap(pairs, (None, 0)), (0, None))(args[0], args[1]), product)


def test_only_the_declared_functions_are_called_sample_by_sample():
    library = importlib.import_module("tensorflowlite_bp.backend.batched.library")
    for case in CASES:
        for kwargs in case.kwargs:
            bp.vmap(pullback(function(case, kwargs)))(*samples(case))
    names = {
        prefix + name
        for prefix, space in (
            ("", library.batched),
            *((f"{n}.", getattr(library.batched, n)) for n in ("linalg", "fft", "special")),
        )
        for name, entry in vars(space).items()
        if callable(entry) and vars(entry).get("looped", False)
    }
    assert names <= library.LOOPED


@pytest.mark.parametrize("name", sorted(COUNTING))
def test_what_cannot_be_batched_says_so(name):
    case = next(c for c in all_cases() if c.name == name)
    with pytest.raises(TypeError, match="vmap"):
        bp.vmap(function(case, case.kwargs[0]))(*samples(case))
