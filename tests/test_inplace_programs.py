"""Random programs of in-place and pure operations: torch runs the same text to the same gradients."""

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensorflowlite_bp as bp


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


def kept(t):
    """t itself. For torch, which refuses to differentiate overwritten factors where we keep them, a clone."""
    return t.clone() if isinstance(t, torch.Tensor) else t


SHAPES = st.sampled_from(["x", "y", "z"])
INDICES = st.sampled_from(
    [0, 2, -1, slice(0, 2), slice(1, None), slice(None, None, 2), (1, 0), (slice(None), 1), (Ellipsis, 0)]
)
NUMBERS = st.sampled_from([0.5, -1.25, 2.0])
STEP = st.one_of(
    st.tuples(st.just("pure"), SHAPES, SHAPES, SHAPES),
    st.tuples(st.just("iadd"), SHAPES, SHAPES),
    st.tuples(st.just("imul"), SHAPES, NUMBERS),
    st.tuples(st.just("set"), SHAPES, INDICES, SHAPES),
    st.tuples(st.just("set_number"), SHAPES, INDICES, NUMBERS),
    st.tuples(st.just("slice_iadd"), SHAPES, INDICES, SHAPES),
    st.tuples(st.just("slice_imul"), SHAPES, INDICES, NUMBERS),
    st.tuples(st.just("named"), SHAPES, INDICES, NUMBERS),
    st.tuples(st.just("tanh"), SHAPES, SHAPES),
)


def run(program, leaves, library):
    """The same text for both libraries."""
    names = dict(zip("xyz", [t * 1.0 for t in leaves], strict=True))
    for kind, target, *rest in program:
        t = names[target]
        if kind == "pure":
            names[target] = kept(names[rest[0]]) * kept(names[rest[1]]) * 0.5
        elif kind == "tanh":
            names[target] = kept(library.tanh(kept(names[rest[0]])))
        elif kind == "iadd":
            t += kept(names[rest[0]])
        elif kind == "imul":
            t *= rest[0]
        elif kind == "set":
            t[rest[0]] = kept(names[rest[1]][rest[0]]) * 2.0
        elif kind == "set_number":
            t[rest[0]] = rest[1]
        elif kind == "slice_iadd":
            t[rest[0]] += kept(names[rest[1]][rest[0]])
        elif kind == "slice_imul":
            t[rest[0]] *= rest[1]
        elif kind == "named":
            part = t[rest[0]]
            part *= rest[1]
            part += 0.25
            if isinstance(rest[0], tuple) and all(isinstance(i, int) for i in rest[0]):
                t[rest[0]] = part  # a single element is a copy in NumPy, a view in torch
    return sum((t * w).sum() for t, w in zip(names.values(), (1.0, 2.0, 3.0), strict=True))


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=1, max_size=8))
def test_random_programs(program):
    arrays = [np.random.default_rng(k).uniform(-1, 1, (3, 3)) for k in range(3)]
    ours = [leaf(a) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, want = run(program, ours, bp), run(program, theirs, torch)
    np.testing.assert_allclose(out.item(), want.item(), rtol=1e-10, atol=1e-12)
    out.backward()
    want.backward()
    for a, b in zip(ours, theirs, strict=True):
        got = np.zeros((3, 3)) if a.grad is None else a.grad.numpy()
        expected = np.zeros((3, 3)) if b.grad is None else b.grad.numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)
