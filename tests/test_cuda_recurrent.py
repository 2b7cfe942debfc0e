"""Recurrent layers' kernels on the emulator, against the composition in float64."""

import itertools

import numpy as np
import pytest
from cuda_hosts import FLOATS, hosts, named

from tensorflowlite_bp.backend import recurrent as reference
from tensorflowlite_bp.backend.cuda import recurrent

host = hosts
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)
kinds = pytest.mark.parametrize("kind", reference.KINDS)
# batch, steps, features, units
SHAPES = [(1, 1, 1, 1), (3, 4, 2, 5), (2, 3, 17, 33), (9, 2, 5, 70)]


def problem(kind, shape, dtype, masked, seed=0):
    """(x, states, w, u, b), mask, cotangents."""
    batch, steps, features, units = shape
    r = np.random.default_rng(seed)
    n = reference.COLUMNS[kind] * units
    make = lambda *s, scale=1.0: (scale * r.normal(size=s)).astype(dtype)
    states = tuple([make(batch, units) for _ in range(2 if kind == "lstm" else 1)])
    b = make(2, n) if kind == "gru" else make(n)
    args = make(batch, steps, features), states, make(features, n, scale=features**-0.5)
    mask = r.random((batch, steps)) > 0.4 if masked else None
    gs = (make(batch, steps, units), *[make(batch, units) for _ in states])
    return (*args, make(units, n, scale=units**-0.5), b), mask, gs


def wide(tree):
    return tuple([None if a is None else wide(a) if isinstance(a, tuple) else a.astype(float) for a in tree])


def exact(args, gs, **how):
    """Forward and backward of the composition, in float64."""
    out, last, kept = reference.forward(np, *wide(args), sequences=True, keeps=True, **how)
    needs = (True,) * (4 + len(last))
    return [out, *last], reference.backward(np, wide(gs), *wide(args), kept=kept, needs=needs, **how)


def close(found, want, dtype, steps):
    """16-bit results are rounded once; what is computed between them is float32."""
    wide = np.float32 if np.dtype(dtype).itemsize == 2 else dtype
    tol = (20 + 10 * steps) * np.finfo(wide).eps
    own = {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(np.dtype(dtype).name, 0)
    for a, b in zip(found, want, strict=True):
        assert a.dtype == dtype
        atol = tol * max(1, np.abs(b).max())
        np.testing.assert_allclose(a.astype(float), b, rtol=tol + own, atol=atol + own * 1e-3)


@dtypes
@pytest.mark.parametrize(("masked", "reverse"), list(itertools.product([False, True], repeat=2)))
@kinds
def test_against_the_composition(host, kind, masked, reverse, dtype):
    for shape in SHAPES if dtype == np.float32 else SHAPES[1:3]:
        args, mask, gs = problem(kind, shape, dtype, masked)
        how = {"kind": kind, "mask": mask, "reverse": reverse}
        want, want_back = exact(args, gs, **how)
        out, last, kept = recurrent.forward(host, *args, sequences=True, keeps=True, **how)
        close([out, *last], want, dtype, shape[1])
        none, again, nothing = recurrent.forward(host, *args, sequences=False, keeps=False, **how)
        assert (none, nothing) == (None, None)
        for a, b in zip(last, again, strict=True):
            np.testing.assert_array_equal(a, b)
        needs = (True,) * len(want_back)
        back = recurrent.backward(host, gs, *args, kept=kept, needs=needs, **how)
        close(back, want_back, dtype, 2 * shape[1])
        repeated = recurrent.backward(host, gs, *args, kept=kept, needs=needs, **how)  # a graph that is kept
        for a, b in zip(back, repeated, strict=True):
            np.testing.assert_array_equal(a, b)


@kinds
def test_parts(host, kind):
    """No bias, cotangents that are not there, gradients that are not wanted."""
    (*args, _), mask, gs = problem(kind, (3, 4, 2, 5), np.float64, True)
    how = {"kind": kind, "mask": mask, "reverse": True}
    out, last, kept = recurrent.forward(host, *args, None, sequences=True, keeps=True, **how)
    want, _ = exact((*args, None), gs, **how)
    close([out, *last], want, np.float64, 4)
    for present in itertools.product([False, True], repeat=len(gs)):
        some = tuple([g if p else None for g, p in zip(gs, present, strict=True)])
        _, want = exact(
            (*args, None),
            tuple([np.zeros_like(g) if s is None else g for g, s in zip(gs, some, strict=True)]),
            **how,
        )
        for k in range(len(want) - 1):
            needs = tuple([i == k for i in range(len(want))])
            back = recurrent.backward(host, some, *args, None, kept=kept, needs=needs, **how)
            assert [i for i, a in enumerate(back) if a is not None] == [k]
            close([back[k]], [want[k]], np.float64, 8)
