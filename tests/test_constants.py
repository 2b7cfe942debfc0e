"""Ops without a derivative, and the functions that make tensors: values as NumPy's, results constants."""

from operator import attrgetter

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.autograd.record import NONDIFF

R = np.random.default_rng(0)
X, Y = R.normal(size=(3, 4)), R.normal(size=(3, 4))
X[0, 0], X[1, 1], Y[2, 2] = np.nan, np.inf, X[2, 2]
INTS = np.array([0, 1, -3, 12, 255, -128])
SORTED = np.array([0.0, 1.0, 1.0, 3.0])

CALLS = {
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"), (X, Y)),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), (X > 0, Y > 0)),
    **dict.fromkeys(
        ("isfinite", "isinf", "isnan", "signbit", "sign", "floor", "ceil", "trunc", "rint"), (X,)
    ),
    **dict.fromkeys(("logical_not", "any", "all", "count_nonzero"), (X > 0,)),
    **dict.fromkeys(("argmax", "argmin", "argsort", "round"), (Y,)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (INTS, INTS[::-1])),
    **dict.fromkeys(("left_shift", "right_shift"), (INTS, np.arange(6) % 3)),
    "invert": (INTS,),
    "linalg.matrix_rank": (np.outer(np.arange(4.0), np.ones(4)),),
    "floor_divide": (Y, np.abs(X[2]) + 1),
    "nextafter": (Y, X),
    "searchsorted": (SORTED, np.array([-1.0, 1.0, 2.0, 9.0])),
}


def test_every_function_without_a_derivative_is_here():
    # those of bp.scipy come with its import: tests/test_scipy_special.py
    assert {name for name in NONDIFF if not name.startswith("special.")} == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_values_as_numpy(name):
    args = CALLS[name]
    recording = [bp.tensor(a, requires_grad=a.dtype.kind == "f") for a in args]
    out = attrgetter(name)(bp)(*recording)
    want = np.asarray(attrgetter(name)(np)(*args))
    assert out.node is None
    assert out.dtype == want.dtype
    np.testing.assert_array_equal(out.numpy(), want)


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin", "any", "all"])
def test_axes(name, axis):
    np.testing.assert_array_equal(getattr(bp, name)(bp.asarray(Y), axis).numpy(), getattr(np, name)(Y, axis))


def test_argsort_is_stable_also_downwards():
    x = np.array([2.0, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(bp.argsort(bp.asarray(x)).numpy(), [1, 3, 0, 2])
    np.testing.assert_array_equal(bp.argsort(bp.asarray(x), descending=True).numpy(), [0, 2, 1, 3])
    np.testing.assert_array_equal(bp.sort(bp.asarray(x), descending=True).numpy(), [2, 2, 1, 1])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("zeros", ((2, 3),)),
        ("ones", (4,)),
        ("full", ((2, 2), 7.5)),
        ("full", ((2,), 3)),
        ("arange", (5,)),
        ("arange", (1.0, 2.0, 0.25)),
        ("linspace", (0, 1, 5)),
        ("eye", (3,)),
        ("eye", (2, 4)),
        ("zeros_like", (Y,)),
        ("ones_like", (Y > 0,)),
        ("full_like", (Y, 2)),
    ],
)
def test_creation_as_numpy(name, args):
    out, want = getattr(bp, name)(*args), getattr(np, name)(*args)
    assert isinstance(out, bp.Tensor)
    assert out.dtype == want.dtype
    np.testing.assert_array_equal(out.numpy(), want)


def test_empty_and_meshgrid():
    assert bp.empty((2, 3), "float32").shape == bp.empty_like(np.ones((2, 3), "float32")).shape == (2, 3)
    for indexing in ("xy", "ij"):
        mine = bp.meshgrid(np.arange(3.0), np.arange(2.0), np.arange(4.0), indexing=indexing)
        want = np.meshgrid(np.arange(3.0), np.arange(2.0), np.arange(4.0), indexing=indexing)
        for a, b in zip(mine, want, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


def test_asarray_copies_when_asked():
    a = np.arange(3.0)
    assert bp.asarray(a).data is a
    assert bp.asarray(a, copy=True).data is not a
    with pytest.raises(ValueError, match="copy is needed"):
        bp.asarray([1, 2], copy=False)
    with pytest.raises(ValueError, match="dtype differs"):
        bp.asarray(bp.asarray(a), dtype="float32", copy=False)


def test_one_hot():
    labels = np.array([[0, 2], [3, -1]])
    out = bp.nn.one_hot(labels, 3)
    assert out.dtype == "float32"
    np.testing.assert_array_equal(
        out.numpy(), [[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]]
    )  # a label outside gives a row of zeros
    np.testing.assert_array_equal(bp.nn.one_hot(labels, 3, axis=0).numpy(), np.moveaxis(out.numpy(), -1, 0))
    with pytest.raises(TypeError, match="integer labels"):
        bp.nn.one_hot(np.array([0.5]), 3)


def test_nonzero():
    for a, b in zip(bp.nonzero(bp.asarray(Y > 0)), np.nonzero(Y > 0), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
