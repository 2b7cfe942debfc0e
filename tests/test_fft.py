"""Fourier transforms: NumPy's values, JAX's derivatives, NumPy's functions on Tensors, errors."""

import numpy as np
import pytest
from oracles import quiet

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import ShapeError

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]
REAL_INPUT = {"rfft", "ihfft", "rfftn", "rfft2"}


@pytest.fixture(scope="module")
def jax():
    with quiet():
        import jax

        jax.config.update("jax_enable_x64", True)
    return jax


def argument(name, shape, seed=0):
    r = np.random.default_rng(seed)
    x = r.normal(size=shape)
    return x if name in REAL_INPUT else x + 1j * r.normal(size=shape)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("options", [{}, {"n": 4}, {"n": 9}, {"axis": 0}], ids=str)
@pytest.mark.parametrize("name", ONE)
def test_one_axis_agrees_with_jax(jax, name, options, norm):
    check(jax, name, argument(name, (5, 6)), {**options, "norm": norm})


@pytest.mark.parametrize(
    "options", [{}, {"s": (3, 8)}, {"s": (4, 4), "axes": (0, 2), "norm": "ortho"}], ids=str
)
@pytest.mark.parametrize("name", MANY)
def test_several_axes_agree_with_jax(jax, name, options):
    if "s" in options and "axes" not in options:
        options = {**options, "axes": (-2, -1)}
    check(jax, name, argument(name, (3, 4, 5)), options)


def check(jax, name, x, options):
    """Value, cotangent and tangent."""
    out, pull = bp.vjp(lambda a: getattr(bp.fft, name)(a, **options), x)
    expected, pull_jax = jax.vjp(lambda a: getattr(jax.numpy.fft, name)(a, **options), x)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    r = np.random.default_rng(1)
    g = r.normal(size=out.shape) + (1j * r.normal(size=out.shape) if out.dtype.kind == "c" else 0)
    np.testing.assert_allclose(pull(g)[0], pull_jax(g)[0], rtol=1e-10, atol=1e-12)
    t = argument(name, x.shape, seed=2)
    _, moved = bp.jvp(lambda a: getattr(bp.fft, name)(a, **options), (x,), (t,))
    _, moved_jax = jax.jvp(lambda a: getattr(jax.numpy.fft, name)(a, **options), (x,), (t,))
    np.testing.assert_allclose(moved, moved_jax, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [*ONE, *MANY])
def test_numpys_own_functions(name):
    x = argument(name, (4, 6))
    function = getattr(np.fft, name)
    out = function(bp.tensor(x, requires_grad=True))
    assert out.requires_grad
    np.testing.assert_allclose(out.numpy(), function(x), rtol=1e-13, atol=1e-13)


def test_numpys_out_argument():
    x = np.arange(4.0)
    out = bp.asarray(np.empty(4, complex))
    assert np.fft.fft(bp.asarray(x), out=out) is out
    np.testing.assert_allclose(out.numpy(), np.fft.fft(x))


def test_real_input_of_a_complex_transform_gets_a_real_gradient():
    x = bp.tensor(np.arange(5.0), requires_grad=True)
    (abs(bp.fft.fft(x)) ** 2).sum().backward()
    assert x.grad.dtype == "float64"
    np.testing.assert_allclose(x.grad.numpy(), 2 * 5 * np.arange(5.0), rtol=1e-12)


def test_precision_is_kept():
    x = np.ones(4, "float32")
    assert bp.fft.fft(x).dtype == "complex64"
    assert bp.fft.rfft(x).dtype == "complex64"
    assert bp.fft.irfft(x.astype("complex64")).dtype == "float32"
    assert bp.fft.fft(np.arange(4)).dtype == "complex128"


def test_frequencies_and_shifts():
    np.testing.assert_array_equal(bp.fft.fftfreq(5, d=0.5).numpy(), np.fft.fftfreq(5, 0.5))
    assert bp.fft.rfftfreq(6, dtype="float32").dtype == "float32"
    x = np.arange(5.0)
    np.testing.assert_array_equal(np.fft.ifftshift(np.fft.fftshift(bp.asarray(x))).numpy(), x)


def test_errors_say_what_was_expected():
    x = np.ones((3, 4))
    with pytest.raises(ValueError, match="norm"):
        bp.fft.fft(x, norm="orthogonal")
    with pytest.raises(ValueError, match="positive"):
        bp.fft.fft(x, 0)
    with pytest.raises(np.exceptions.AxisError):
        bp.fft.fft(x, axis=2)
    with pytest.raises(TypeError, match="real array"):
        bp.fft.rfft(x + 1j)
    with pytest.raises(ShapeError, match="one length per axis"):
        bp.fft.fftn(x, s=(2, 2, 2), axes=(0, 1))
