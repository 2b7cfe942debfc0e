"""bp.numpy: every name of NumPy's is there, raw arrays stay raw, Tensors are recorded."""

import numpy as real
import pytest

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as np
from tensorflowlite_bp.numpy._refused import REFUSED


def test_every_public_name_is_there():
    for name in real.__all__:
        assert hasattr(np, name), name
    for module in ("linalg", "fft", "random"):
        assert all(hasattr(getattr(np, module), name) for name in getattr(real, module).__all__), module
    assert set(real.__all__) <= set(dir(np))
    with pytest.raises(AttributeError, match="no attribute 'cosinus'"):
        _ = np.cosinus


def test_raw_arrays_stay_raw():
    assert type(np.where(real.array([True]), 1.0, real.zeros(1))) is real.ndarray
    assert np.exp is real.exp
    assert type(np.sum(real.ones(2))) is real.float64
    for made in (np.zeros((2, 3)), np.ones(2), np.full(2, 3.0), np.arange(3), np.eye(2), np.identity(2)):
        assert type(made) is real.ndarray
    assert type(np.array([1.0, 2.0])) is real.ndarray
    assert type(np.asarray([[1]])) is real.ndarray
    assert np.empty(3, "float32").dtype == "float32"
    x = real.ones(3)
    assert np.asarray(x) is x
    assert np.array(x) is not x


def test_arrays_of_tensors_are_recorded():
    x, y = (bp.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    out = np.array([[x, y], [x * y, 1.0]])
    assert out.shape == (2, 2)
    (out * real.array([[1.0, 10], [100, 1000]])).sum().backward()
    assert (x.grad.item(), y.grad.item()) == (301.0, 210.0)
    assert np.array([x, 1], dtype="float32").dtype == "float32"
    assert np.array(x, ndmin=2).shape == (1, 1)
    assert np.asarray(x) is x
    assert np.array(x) is not x
    assert np.ascontiguousarray(x).shape == (1,)
    assert np.full((2,), x).requires_grad


def test_the_gradient_of_numpy_code():
    def tanh(x):
        y = np.exp(-2.0 * x)
        return (1.0 - y) / (1.0 + y)

    grad_tanh = bp.grad(tanh)
    assert grad_tanh(1.0) == pytest.approx(0.41997434161402614, abs=1e-15)
    assert bp.grad(bp.grad(tanh))(1.0) == pytest.approx(-0.6397000084492246, rel=1e-12)
    x = real.linspace(-7, 7, 20)
    real.testing.assert_allclose(bp.elementwise_grad(tanh)(x), 1 / real.cosh(x) ** 2, rtol=1e-10)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_makes_no_sense_says_so(name):
    with pytest.raises(TypeError, match=rf"bp\.numpy\.{name}\].*"):
        getattr(np, name)("file")


def test_nested_lists_of_tensors_are_arrays():
    """As in autograd: d/dx sqrt(x^2 + (x + 2)^2) at 0 is 1."""
    assert bp.grad(lambda x: np.linalg.norm([x, x + 2]))(0.0) == 1.0
    assert bp.grad(lambda x: np.linalg.det([[x, 2.0], [1.0, x]]))(3.0) == pytest.approx(6.0)
    assert bp.grad(lambda x: np.sum(np.append([x, 2 * x], x)))(1.0) == 4.0
    assert bp.grad(lambda x: abs(np.fft.fft([x, x * x])[1]))(3.0) == pytest.approx(5.0)
    x = bp.tensor(real.float32(2.0), requires_grad=True)
    assert np.array([x, 1.0]).dtype == real.array([real.float32(2.0), 1.0]).dtype
    assert bp.concatenate([[x, 1.0], [2.0]]).tolist() == [2.0, 1.0, 2.0]


def test_submodules_are_imported_as_those_of_autograd():
    import tensorflowlite_bp.numpy.fft as fft
    import tensorflowlite_bp.numpy.linalg as linalg
    import tensorflowlite_bp.numpy.random as npr

    assert npr.RandomState(0).randn(2, 3).shape == (2, 3)
    assert npr.randn is real.random.randn
    assert linalg.LinAlgError is real.linalg.LinAlgError
    assert type(fft.fftfreq(4)) is real.ndarray
    assert {"linalg", "fft", "random"} <= set(vars(np))


@pytest.mark.parametrize(
    "f",
    [
        lambda np, t, u: np.diag([t, u]),
        lambda np, t, u: np.dot([t, u], [1.0, 2.0]),
        lambda np, t, u: np.outer((t, u), [t, t]),
        lambda np, t, u: np.where([True, False], [t, u], [u, 1.0]),
        lambda np, t, u: np.concatenate([[t], [u, 2.0]]),
        lambda np, t, u: np.vstack(([t, u], [u, t])),
        lambda np, t, u: np.block([[[t, u], [u, t]]]),
        lambda np, t, u: np.linalg.norm([[t, u], [u, u]]),
        lambda np, t, u: np.interp(t, [0.0, 5.0], [u, 1.0]),
        lambda np, t, u: np.einsum("i,i", [t, u], [u, u]),
        lambda np, t, u: np.polyval([t, u, 1.0], u),
        lambda np, t, u: np.fft.fft([t, u]).real,
        lambda np, t, u: np.select([[True, False]], [[t, u]], 0.5),
        lambda np, t, u: np.cross([t, u, 1.0], [u, 1.0, t]),
        lambda np, t, u: np.linalg.multi_dot([[[t, u]], [[u, t], [t, t]], [[t], [u]]]),
        lambda np, t, u: np.array([np.sin(t), u]),
    ],
)
def test_lists_of_tensors_are_arrays(f):
    t, u = (bp.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    value = f(bp.numpy, t, u)
    np.testing.assert_allclose(value.numpy(), f(np, 2.0, 3.0), rtol=1e-14)
    bp.sum(value).backward()
    for k, x in enumerate((t, u)):
        ends = [[2.0 + (k == 0) * h, 3.0 + (k == 1) * h] for h in (1e-6, -1e-6)]
        slope = (np.sum(f(np, *ends[0])) - np.sum(f(np, *ends[1]))) / 2e-6
        np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-7, atol=1e-8)
