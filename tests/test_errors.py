"""Every error has the one form, names the op, and derives from the builtin that a caller would catch."""

import re

import numpy as np
import numpy.lib.recfunctions as recfunctions
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import errors

FORM = re.compile(r"\[[^\]]+\] \S.*[.:](\n  Received: .*\.)?(\n  Hint: .+)?", re.DOTALL)


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


def freed():
    y = (leaf([1.0]) ** 2).sum()
    y.backward()
    y.backward()


def through_a_view():
    y = leaf([[1.0]]) * 1
    y.T[0] = 2.0


X = np.ones((2, 3))
TABLE = {
    "reshape": (lambda: bp.reshape(X, (4, 2)), ValueError, r"\(2, 3\) to \(4, 2\)"),
    "matmul": (lambda: bp.matmul(X, X), ValueError, r"\(2, 3\) and \(2, 3\)"),
    "tensordot": (lambda: bp.tensordot(X, X, 1), ValueError, r"\(2, 3\) and \(2, 3\)"),
    "concatenate": (lambda: bp.concatenate([X, np.ones((3, 2))]), ValueError, "array"),
    "stack": (lambda: bp.stack([X, X[0]]), ValueError, "one shape"),
    "squeeze": (lambda: bp.squeeze(X, 0), ValueError, "length 1"),
    "split": (lambda: bp.split(X, 2, axis=1), ValueError, "array_split"),
    "pad": (lambda: bp.pad(X, 1, mode="mirror"), ValueError, "mirror"),
    "einsum": (lambda: bp.einsum("ijk->i", X), ValueError, "ijk"),
    "requires_grad": (lambda: bp.tensor([1], requires_grad=True), TypeError, "int64"),
    "asarray": (lambda: bp.asarray([[1], [1, 2]]), (TypeError, ValueError), ""),
    "where": (lambda: bp.where(leaf([1.0]), 1.0, 2.0), TypeError, "differentiable"),
    "backward": (lambda: bp.asarray(1.0).backward(), RuntimeError, "requires_grad=True"),
    "backward freed": (freed, RuntimeError, "retain_graph"),
    "backward shape": (lambda: (leaf(X) * 2).backward(), ValueError, r"\(2, 3\)"),
    "grad": (lambda: bp.grad(lambda x: x * 2)(X), ValueError, "jacobian"),
    "grad integers": (lambda: bp.grad(lambda x: x)(3), TypeError, "astype"),
    "jvp": (lambda: bp.jvp(np.sin, (X,), (X[0],)), ValueError, r"\(3,\)"),
    "in-place": (lambda: leaf([1.0]).__setitem__(0, 2.0), RuntimeError, "no_grad"),
    "in-place view": (through_a_view, RuntimeError, "copy"),
    "numpy.asarray": (lambda: np.asarray(leaf([1.0])), TypeError, r"\.numpy\(\)"),
    "bp.numpy.save": (lambda: np.save("x.npy", leaf([1.0])), TypeError, r"\.numpy\(\)"),
    "numpy.lib.recfunctions": (lambda: recfunctions.drop_fields(leaf([1.0]), "a"), TypeError, r"\.numpy\(\)"),
    "to": (lambda: bp.asarray(1.0).to("tpu"), RuntimeError, "tpu"),
    "backend": (lambda: bp.set_backend("torch"), RuntimeError, "torch"),
    "softmax_cross_entropy": (lambda: bp.nn.softmax_cross_entropy(X, [0, 3]), ValueError, "3"),
    "softmax_cross_entropy shape": (lambda: bp.nn.softmax_cross_entropy(X, [0, 1, 2]), ValueError, r"\(3,\)"),
    "linear": (lambda: bp.nn.linear(X, X), ValueError, r"\(2, 3\)"),
    "pickle": (lambda: __import__("pickle").dumps(leaf([1.0])), TypeError, "saving"),
    "deepcopy": (lambda: __import__("copy").deepcopy(leaf([1.0]) * 2), RuntimeError, "detach"),
    "cut": (lambda: setattr(leaf([1.0]) * 2, "requires_grad", False), RuntimeError, "detach"),
}


@pytest.mark.parametrize("name", TABLE)
def test_form(name):
    fails, builtin, says = TABLE[name]
    with pytest.raises(builtin) as raised:
        fails()
    text = str(raised.value)
    if isinstance(raised.value, errors.TFLBPError) or not name.startswith("asarray"):
        assert FORM.fullmatch(text), text
    assert re.search(says, text), text


def test_classes():
    for cls, builtin in (
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.DeviceError, RuntimeError),
        (errors.GradientError, RuntimeError),
        (errors.NumericsError, ArithmeticError),
        (errors.NotBuiltError, RuntimeError),
        (errors.SavingError, ValueError),
    ):
        assert issubclass(cls, builtin)
        assert issubclass(cls, errors.TFLBPError)


def test_a_failed_backward_leaves_no_gradients():
    x, y = leaf([1.0]), leaf([2.0])
    h = x * y
    h.sum().backward()
    x.grad = y.grad = None
    with pytest.raises(bp.GradientError):
        (h * 2 + y * y).sum().backward()
    assert x.grad is None
    assert y.grad is None


def test_a_failed_write_changes_nothing():
    y = leaf([1.0, 2.0]) * 1
    node = y.node
    for write in (
        lambda: y.__iadd__(np.ones((3, 2))),
        lambda: y.__setitem__(0, np.ones(3)),
        lambda: y.__iadd__(np.array([1j, 0.0])),
    ):
        with pytest.raises((ValueError, TypeError)):
            write()
        assert y.node is node
        assert y.tolist() == [1.0, 2.0]
