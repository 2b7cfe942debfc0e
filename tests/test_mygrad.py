"""What MyGrad's README shows, on our Tensors: the programs stay, the import line and the way leaves are made
change. Gradients against torch, or by hand where torch refuses to overwrite.
"""

import numpy as np
import pytest
from oracles import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import GradientError


def leaf(x):
    return bp.tensor(np.asarray(x, float), requires_grad=True)


def test_numpys_functions_differentiate():
    x = leaf([1.0, 2.0, 3.0])
    f = np.sum(x * x)
    f.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_where_and_out():
    x = leaf([1.0, 2.0, 3.0])
    y = bp.zeros_like(x)
    np.multiply(x, x, where=[True, False, True], out=y)
    assert y.tolist() == [1.0, 0.0, 9.0]
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 6.0]


def test_a_diagonal_is_a_view_that_writes():
    x = leaf(np.arange(9.0).reshape(3, 3))
    y = +x
    diagonal = np.einsum("ii->i", y)
    assert np.shares_memory(y, diagonal)
    diagonal *= -1
    assert y.tolist() == [[0.0, 1.0, 2.0], [3.0, -4.0, 5.0], [6.0, 7.0, -8.0]]
    diagonal += 1
    diagonal[1] = 7.0
    assert np.shares_memory(y, diagonal)
    assert [y[i, i].item() for i in range(3)] == diagonal.tolist() == [1.0, 7.0, -7.0]
    (y**2).sum().backward()
    want = 2 * np.arange(9.0).reshape(3, 3)
    want[[0, 1, 2], [0, 1, 2]] = [-2.0, 0.0, 14.0]
    np.testing.assert_array_equal(x.grad.numpy(), want)


def test_a_diagonal_of_a_constant_writes_to_its_memory():
    a = np.arange(8.0).reshape(2, 2, 2)
    np.einsum("iij->ji", bp.asarray(a))[0] = -1.0
    assert a[[0, 1], [0, 1], 0].tolist() == [-1.0, -1.0]
    w = leaf([2.0, 3.0])
    t = bp.zeros((2, 2))
    np.einsum("ii->i", t)[...] = w
    (t * t).sum().backward()
    assert w.grad.tolist() == [4.0, 6.0]
    old = np.einsum("ii->i", t)
    t[0] = 0.0
    with pytest.raises(GradientError, match="earlier version"):
        old += 1.0
    bp.testing.check_grads(
        lambda x: np.einsum("iij->ji", x), [np.random.default_rng(0).normal(size=(3, 3, 2))]
    )


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,ij->j", [(3, 2), (1, 2)]),
        ("ij,ij->", [(3, 1), (1, 2)]),
        ("ij,kj->k", [(3, 2), (4, 1)]),
        ("i,i,i->", [(1,), (3,), (1,)]),
        ("...i,...i->...", [(2, 1, 3), (4, 1)]),
    ],
)
def test_einsum_broadcasts_axes_of_length_1(subscripts, shapes):
    args = [np.random.default_rng(k).normal(size=s) for k, s in enumerate(shapes)]
    np.testing.assert_allclose(bp.einsum(subscripts, *args).numpy(), np.einsum(subscripts, *args))
    bp.testing.check_grads(lambda *xs: np.einsum(subscripts, *map(bp.asarray, xs)), args)


def test_indexing():
    x = leaf(np.arange(9.0).reshape(3, 3))
    (x[:2, :2] ** 2).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0, 0.0], [6.0, 8.0, 0.0], [0.0, 0.0, 0.0]]
    x.grad = None
    (x[x < 4] ** 2).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0, 4.0], [6.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_arrays_are_constants():
    x = leaf([1.0, 2.0, 3.0])
    y = np.array([-1.0, 0.0, 10.0])
    (x * y).sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_hinge_loss():
    r = np.random.default_rng(0)
    values, labels = 10 * r.random((20, 5)), r.integers(0, 5, 20)
    scores = leaf(values)
    where = (range(len(labels)), labels)
    margins = scores - scores[where][:, np.newaxis] + 1.0
    margins[margins <= 0] = 0
    margins[where] = 0
    loss = margins.sum() / scores.shape[0]
    loss.backward()
    t = torch().tensor(values, requires_grad=True)
    theirs = torch().nn.functional.multi_margin_loss(t, torch().tensor(labels)) * 5
    theirs.backward()
    np.testing.assert_allclose(loss.item(), theirs.item())
    np.testing.assert_allclose(scores.grad.numpy(), t.grad.numpy(), atol=1e-15)


@pytest.mark.parametrize(
    ("update", "dx", "dy"),
    [
        (lambda t, y: t.__imul__(y), 2.0, np.arange(4.0)),
        (lambda t, y: t.__iadd__(y), 1.0, np.ones(4)),
        (lambda t, y: t.__isub__(y), 1.0, -np.ones(4)),
        (lambda t, y: t.__itruediv__(y), 0.5, -np.arange(4.0) / 4),
    ],
    ids=["multiply", "add", "subtract", "divide"],
)
def test_augmented_updates_through_a_mask(update, dx, dy):
    x, y = leaf(np.arange(9.0).reshape(3, 3)), leaf(np.full(4, 2.0))
    t = +x
    t[t < 4] = update(t[t < 4], y)
    t.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(x.numpy() < 4, dx, 1.0))
    np.testing.assert_allclose(y.grad.numpy(), dy)
