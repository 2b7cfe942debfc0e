"""Operands that do not broadcast: the operation, the shapes and the axis that differs."""

import numpy as np
import pytest

import tensorflowlite_bp as bp

X = np.ones((3, 4))


@pytest.mark.parametrize(
    ("call", "name", "axis"),
    [
        (lambda x: x + np.ones((3, 5)), "add", "axis -1 has 4 and 5"),
        (lambda x: np.ones((2, 4)) * x, "multiply", "axis -2 has 2 and 3"),
        (lambda x: x < np.ones(3), "less", "axis -1 has 4 and 3"),
        (lambda x: bp.where(X > 0, x, np.ones(3)), "where", "axis -1 has 4 and 3"),
        (lambda x: x.reshape(3, 2, 2) @ np.ones((4, 2, 5)), "matmul", "axis -3 has 3 and 4"),
    ],
)
def test_shapes_that_do_not_broadcast(call, name, axis):
    with pytest.raises(bp.ShapeError) as caught:
        call(bp.tensor(X, requires_grad=True))
    text = str(caught.value)
    assert text.startswith(f"[{name}] the shapes do not broadcast: {axis}.")
    assert "Received: (" in text
    assert isinstance(caught.value, ValueError)


def test_other_errors_stay_as_they_are():
    with pytest.raises(ValueError, match="Integers to negative"):
        bp.asarray(np.array([2])) ** bp.asarray(np.array([-1]))
