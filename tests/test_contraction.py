"""An einsum of two arrays as a stack of products: every grouping of labels, against np.einsum and torch."""

import itertools

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import contraction, numpy_backend

SIZES = {"a": 2, "b": 5, "i": 17, "j": 3, "k": 33, "l": 4}
CASES = [
    ("ik", "kj", "ij"),
    ("ki", "kj", "ij"),
    ("ik", "jk", "ji"),
    ("aik", "akj", "aij"),
    ("ika", "kja", "ija"),  # the stack last: no strides for a product
    ("iak", "jak", "aij"),
    ("aik", "akj", "iaj"),
    ("bik", "kj", "bij"),
    ("ikl", "klj", "ij"),
    ("ilk", "klj", "ij"),  # what is summed over stands in another order
    ("abik", "abkj", "abij"),
    ("abik", "abkj", "iajb"),  # rows and columns apart in the result
    ("aibk", "akj", "baji"),
    ("ik", "k", "i"),
    ("k", "kj", "j"),
    ("ak", "ak", "a"),
]


def array(rng, names, dtype):
    return rng.normal(size=[SIZES[n] for n in names]).astype(dtype)


@pytest.fixture(params=["as it is", "always"])
def _small(request, monkeypatch):
    if request.param == "always":
        monkeypatch.setattr(contraction, "SMALL", 0)
        monkeypatch.setitem(SIZES, "k", 40)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(("left", "right", "result"), CASES)
def test_values(left, right, result, dtype):
    rng = np.random.default_rng(0)
    x, y = array(rng, left, dtype), array(rng, right, dtype)
    big = np.repeat(x, 2, -1)[..., ::2]  # gaps between elements
    for a in (x, big, np.asfortranarray(x)):
        want = np.einsum(f"{left},{right}->{result}", a, y)
        got = numpy_backend.einsum_labelled(a, y, labels=(left, right), result=result)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
        direct = contraction.contract(lambda p, q, out: np.matmul(p, q, out=out), a, y, (left, right), result)
        if direct is not None:
            assert direct.shape == want.shape
            np.testing.assert_allclose(direct, want, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)


def test_what_is_no_product():
    assert contraction.plan("ij", "ij", "ij") is None  # nothing is summed over
    assert contraction.plan("i", "j", "ij") is None
    x, y = np.ones((64, 1)), np.ones((64, 64))
    assert contraction.contract(np.matmul, x, y, ("ij", "jk"), "ik") is None  # an axis of length 1 broadcasts
    out = numpy_backend.einsum_labelled(x, y, labels=("ij", "jk"), result="ik")
    np.testing.assert_array_equal(out, np.full((64, 64), 64.0))


def test_sizes_of_none():
    for m, k, n in itertools.product((0, 1, 3), repeat=3):
        x, y = np.ones((300, m, k), np.float32), np.ones((300, k, n), np.float32)
        out = numpy_backend.einsum_labelled(x, y, labels=("aik", "akj"), result="iaj")
        np.testing.assert_array_equal(out, np.full((m, 300, n), k))


@pytest.mark.parametrize("subscripts", ["bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "btd,de->bte", "bthd,hde->bte"])
def test_gradients_against_torch(subscripts):
    torch = pytest.importorskip("torch")
    sizes = {"b": 3, "q": 17, "k": 33, "h": 2, "d": 16, "t": 17, "e": 20}
    rng = np.random.default_rng(1)
    labels, result = subscripts.split("->")
    arrays = [rng.normal(size=[sizes[n] for n in names]) for names in labels.split(",")]
    g = rng.normal(size=[sizes[n] for n in result])
    mine = [bp.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, want = bp.einsum(subscripts, *mine), torch.einsum(subscripts, *theirs)
    out.backward(bp.asarray(g)), want.backward(torch.tensor(g))
    np.testing.assert_allclose(out.numpy(), want.detach(), rtol=1e-12, atol=1e-12)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 17, 33), (33, 20)),
        ((3, 17, 33), (3, 33, 20)),
        ((2, 3, 5, 17), (3, 17, 33)),
        ((17, 33), (3, 33, 20)),
        ((3, 0, 5), (5, 4)),
        ((3, 4, 0), (0, 5)),
    ],
)
@pytest.mark.parametrize("turn", [False, True])
def test_gradients_of_stacks_against_torch(left, right, turn):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=left), rng.normal(size=right)]
    mine = [bp.tensor(a.swapaxes(-1, -2) if turn else a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = bp.matmul(*[bp.matrix_transpose(a) for a in mine]) if turn else bp.matmul(*mine)
    want = torch.matmul(*theirs)
    g = rng.normal(size=want.shape)
    out.backward(bp.asarray(g)), want.backward(torch.tensor(g))
    np.testing.assert_allclose(out.numpy(), want.detach(), rtol=1e-12, atol=1e-12)
    for a, b in zip(mine, theirs, strict=True):
        grad = a.grad.numpy()
        np.testing.assert_allclose(grad.swapaxes(-1, -2) if turn else grad, b.grad, rtol=1e-12, atol=1e-12)
