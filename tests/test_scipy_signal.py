"""bp.scipy.signal, fft, integrate, ndimage: values and differences against SciPy itself (raw arrays go to it), and JAX."""
# ruff: noqa: E501  (tables, one case a line)

import itertools

import numpy as np
import pytest
import scipy.fft as real_fft
import scipy.integrate as real_integrate
import scipy.ndimage as real_ndimage
import scipy.optimize
import scipy.signal as real_signal
from oracles import check_slopes, quiet

import tensorflowlite_bp as bp
from tensorflowlite_bp.testing import check_grads

S, F, N, Q = bp.scipy.signal, bp.scipy.fft, bp.scipy.ndimage, bp.scipy.integrate


def real(*shape, seed=0):
    return np.random.default_rng(sum(shape) + 100 * seed).normal(size=shape)


def mixed(*shape, seed=0):
    return real(*shape, seed=seed) + 1j * real(*shape, seed=seed + 50)


def check(f, mine, theirs, args, order=2, rtol=1e-10):
    out = f(mine, *[bp.asarray(a) for a in args])
    want = f(theirs, *args)
    assert out.shape == np.shape(want)
    np.testing.assert_allclose(out.numpy(), want, rtol=rtol, atol=1e-13)
    check_grads(lambda *xs: f(mine, *xs), args, order=order)
    check_slopes(lambda *xs: f(mine, *xs), lambda *xs: f(theirs, *xs), args)


# ------------------------------------------------------------------ convolution
SHAPES = [((5,), (3,)), ((3,), (5,)), ((4, 5), (2, 3)), ((2, 3, 4), (2, 2, 2))]
NAMES = ("convolve", "correlate", "fftconvolve", "oaconvolve")


@pytest.mark.parametrize("make", [real, mixed])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", NAMES)
def test_convolution(name, mode, make):
    for x, y in SHAPES:
        check(
            lambda m, a, b: getattr(m, name)(a, b, mode=mode),
            S,
            real_signal,
            [make(*x), make(*y, seed=1)],
            order=1 + (x == (5,)),
        )


def test_convolution_over_some_axes():
    for mode in ("full", "same", "valid"):
        for axes in ([1], 1, [0, 2]):
            x, y = (real(2, 4, 5), real(1, 3, 5) if axes != [0, 2] else real(2, 1, 3))
            f = lambda m, a, b, mode=mode, axes=axes: m.fftconvolve(a, b, mode=mode, axes=axes)
            check(f, S, real_signal, [x, y[:, :, :1] if axes != [0, 2] else y], order=1)


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
def test_images(name, boundary):
    for mode, (x, y) in itertools.product(("full", "same", "valid"), [((4, 5), (3, 2)), ((5, 5), (2, 2))]):
        f = lambda m, a, b, mode=mode: getattr(m, name)(a, b, mode=mode, boundary=boundary)
        check(f, S, real_signal, [real(*x), real(*y, seed=1)], order=1)
    check(
        lambda m, a, b: getattr(m, name)(a, b, fillvalue=2.0),
        S,
        real_signal,
        [real(3, 4), real(2, 2)],
        order=1,
    )


def test_convolution_agrees_with_jax():
    with quiet():
        import jax
        import jax.scipy.signal as theirs

        jax.config.update("jax_enable_x64", True)
    x, y = real(6), real(3, seed=1)
    for mode in ("full", "same", "valid"):
        out, pull = bp.vjp(lambda a, b, mode=mode: S.convolve(a, b, mode=mode), x, y)
        _, pull_jax = jax.vjp(lambda a, b, mode=mode: theirs.convolve(a, b, mode=mode), x, y)
        for a, b in zip(pull(real(*out.shape)), pull_jax(real(*out.shape)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------ filters
B, A = np.array([0.4, 0.2, -0.1]), np.array([1.5, -0.5, 0.2, 0.1])
SOS = real_signal.butter(4, 0.3, output="sos")
LEAD = np.arange(6) == 3
LONG = real(2, 60)


def led(sections):
    """Sections with 1 where SciPy wants it."""
    return sections * ~LEAD + LEAD


FILTERS = {
    "lfilter": (lambda m, b, a, x: m.lfilter(b, a, x), (B, A, real(2, 7))),
    "lfilter along": (lambda m, b, a, x: m.lfilter(b, a, x, axis=0), (B, A, real(7, 2))),
    "lfilter shorter than its order": (lambda m, b, a, x: m.lfilter(b, a, x), (B, A, real(2))),
    "lfilter FIR": (lambda m, b, x: m.lfilter(b, [2.0], x), (B, real(7))),
    "lfilter all-pole": (lambda m, a, x: m.lfilter([1.0], a, x), (A, real(7))),
    "lfilter with a state": (lambda m, b, a, x, z: m.lfilter(b, a, x, zi=z)[0], (B, A, real(2, 7), real(2, 3))),
    "lfilter's last state": (lambda m, b, a, x, z: m.lfilter(b, a, x, zi=z)[1], (B, A, real(7), real(3))),
    "lfilter's last state, short": (lambda m, b, a, x, z: m.lfilter(b, a, x, zi=z)[1], (B, A, real(2), real(3))),
    "lfilter's last state, long numerator": (lambda m, b, a, x, z: m.lfilter(b, a, x, zi=z)[1], (A, B + 1, real(5), real(3))),
    "sosfilt": (lambda m, s, x: m.sosfilt(led(s), x), (SOS, real(2, 9))),
    "sosfilt with a state": (lambda m, s, x, z: m.sosfilt(led(s), x, zi=z)[0] + m.sosfilt(led(s), x, zi=z)[1].sum(), (SOS, real(9), real(2, 2))),
    "lfilter_zi": (lambda m, b, a: m.lfilter_zi(b, a), (B, A)),
    "filtfilt": (lambda m, x: m.filtfilt(B, A, x), (LONG,)),
    "sosfiltfilt": (lambda m, x: m.sosfiltfilt(SOS, x, axis=0), (LONG.T.copy(),)),
    "upfirdn": (lambda m, x: m.upfirdn([1.0, 2, 1], x, up=2, down=3), (LONG,)),
    "savgol_filter": (lambda m, x: m.savgol_filter(x, 7, 3), (LONG,)),
    "savgol_filter slope": (lambda m, x: m.savgol_filter(x, 5, 2, deriv=1, mode="nearest"), (LONG,)),
    "resample": (lambda m, x: m.resample(x, 37, axis=1), (LONG,)),
    "resample_poly": (lambda m, x: m.resample_poly(x, 3, 2, axis=-1), (LONG,)),
    "decimate": (lambda m, x: m.decimate(x, 3), (LONG,)),
    "detrend": (lambda m, x: m.detrend(x), (LONG,)),
    "detrend in parts": (lambda m, x: m.detrend(x, axis=0, bp=[3, 5]), (real(9, 2),)),
    "detrend constant": (lambda m, x: m.detrend(x, type="constant"), (LONG,)),
    "hilbert": (lambda m, x: m.hilbert(x), (LONG,)),
    "hilbert odd, axis 0": (lambda m, x: m.hilbert(x, axis=0), (real(7, 2),)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_filters(name):
    f, args = FILTERS[name]
    check(f, S, real_signal, list(args), order=2 if "lfilter" in name else 1)


# ------------------------------------------------------------------ spectra
X, Y, LEFT = real(3, 100), real(3, 100, seed=1), mixed(90)
SPECTRA = {
    "welch": lambda m, x: m.welch(x, nperseg=32)[1],
    "welch, all the options": lambda m, x: m.welch(x.T, fs=7.0, window="hamming", nperseg=20, noverlap=5, nfft=33, detrend="linear", scaling="spectrum", axis=0)[1],
    "welch, two sides": lambda m, x: m.welch(x, nperseg=32, return_onesided=False, detrend=False)[1],
    "welch of a short signal": lambda m, x: m.welch(x[:, :31], nperseg=31)[1],
    "periodogram": lambda m, x: m.periodogram(x, 2.0)[1],
    "periodogram, window": lambda m, x: m.periodogram(x, 2.0, "hann", nfft=64, scaling="spectrum")[1],
    "spectrogram": lambda m, x: m.spectrogram(x, nperseg=32)[2],
    "spectrogram magnitude": lambda m, x: m.spectrogram(x, nperseg=32, mode="magnitude", window="hann")[2],
    "stft": lambda m, x: m.stft(x, nperseg=32)[2],
    "stft, even": lambda m, x: m.stft(x.T, nperseg=25, noverlap=10, boundary="even", axis=0, scaling="psd", detrend="constant")[2],
    "stft, odd": lambda m, x: m.stft(x, nperseg=32, boundary="odd", padded=False)[2],
    "stft, bare": lambda m, x: m.stft(x, nperseg=32, boundary=None, window=np.hanning(32))[2],
    "there and back": lambda m, x: m.istft(m.stft(x, nperseg=32)[2], nperseg=32)[1],
    "there and back, two sides": lambda m, x: m.istft(m.stft(x, nperseg=30, return_onesided=False)[2], nperseg=30, input_onesided=False)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra(name):
    check(SPECTRA[name], S, real_signal, [X], order=1)


def test_spectra_of_two_signals_and_of_complex_ones():
    check(lambda m, x, y: m.csd(x, y, nperseg=32)[1], S, real_signal, [X, Y], order=1)
    check(lambda m, x, y: m.csd(x, y[:, :70], nperseg=32)[1], S, real_signal, [X, Y], order=1)
    check(lambda m, x, y: m.coherence(x, y, nperseg=32)[1], S, real_signal, [X, Y], order=1)
    with quiet():  # SciPy warns that a complex spectrum has two sides
        check(lambda m, x: m.stft(x, nperseg=30, return_onesided=False)[2], S, real_signal, [LEFT], order=1)
        check(lambda m, x: m.welch(x, nperseg=30, return_onesided=False)[1], S, real_signal, [LEFT], order=1)
    for name in ("welch", "stft", "periodogram", "spectrogram"):
        given = {} if name == "periodogram" else {"nperseg": 40}
        for ours, theirs in zip(
            getattr(S, name)(bp.asarray(X), **given)[:-1],
            getattr(real_signal, name)(X, **given)[:-1],
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs)


# ------------------------------------------------------------------ Fourier, cosines, sines
@pytest.mark.parametrize("name", ["dct", "dst", "idct", "idst"])
def test_cosines(name):
    for kind, norm, n in itertools.product((1, 2, 3, 4), (None, "ortho", "forward"), (5, 6)):
        check(lambda m, x, k=kind, o=norm: getattr(m, name)(x, k, norm=o), F, real_fft, [real(2, n)], order=1)
    for arguments in (
        {"n": 4},
        {"n": 8},
        {"axis": 0},
        {"norm": "ortho", "orthogonalize": False},
        {"orthogonalize": True},
    ):
        for kind in (1, 2, 3):
            check(
                lambda m, x, k=kind, a=arguments: getattr(m, name)(x, k, **a),
                F,
                real_fft,
                [real(3, 6)],
                order=1,
            )
    several = f"{name}n"
    check(
        lambda m, x: getattr(m, several)(x, axes=[0, 2], norm="ortho"), F, real_fft, [real(3, 2, 4)], order=2
    )
    check(lambda m, x: getattr(m, several)(x, 3, s=(3, 5)), F, real_fft, [real(2, 4, 4)], order=1)


@pytest.mark.parametrize(
    "name",
    [
        "fft",
        "ifft",
        "rfft",
        "irfft",
        "hfft",
        "ihfft",
        "fft2",
        "ifftn",
        "rfftn",
        "irfft2",
        "hfft2",
        "ihfft2",
        "hfftn",
        "ihfftn",
        "fftshift",
        "ifftshift",
    ],
)
def test_fourier(name):
    make = real if name in ("rfft", "ihfft", "rfftn", "ihfft2", "ihfftn") else mixed
    check(lambda m, x: getattr(m, name)(x), F, real_fft, [make(3, 4)], order=1)
    if "shift" not in name:
        check(lambda m, x: getattr(m, name)(x, norm="ortho", workers=1), F, real_fft, [make(3, 5)], order=1)
    assert F.fftfreq(4).tolist() == [0, 0.25, -0.5, -0.25]


# ------------------------------------------------------------------ integrals of samples
@pytest.mark.parametrize("n", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("name", ["trapezoid", "simpson", "cumulative_trapezoid"])
def test_integrals(name, n):
    y, x = real(2, n), np.cumsum(np.abs(real(n)) + 0.3)
    f = lambda m, *a, **k: getattr(m, name)(*a, **k)
    check(lambda m, y: f(m, y, dx=0.3), Q, real_integrate, [y])
    check(lambda m, y, x: f(m, y, x=x), Q, real_integrate, [y, x])
    check(
        lambda m, y, x: f(m, y, x=x, axis=0),
        Q,
        real_integrate,
        [y.T.copy(), np.stack([x, x + x**2], 1)],
        order=1,
    )


def test_more_integrals():
    check(lambda m, y: m.romb(y, dx=0.3), Q, real_integrate, [real(2, 9)])
    check(lambda m, y: m.cumulative_trapezoid(y, initial=0), Q, real_integrate, [real(2, 9)])
    with pytest.raises(TypeError, match=r"scipy\.integrate\.solve_ivp"):
        Q.solve_ivp(lambda t, y: -y, (0, 1), bp.tensor([1.0], requires_grad=True))


# ------------------------------------------------------------------ images
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", ["constant", "grid-constant", "nearest", "mirror", "reflect", "grid-wrap"])
def test_map_coordinates(mode, order):
    at = np.random.default_rng(0).uniform(-4, 8, (2, 30))
    at = np.floor(2 * at) / 2 + 0.1 + 0.6 * (at % 0.5)  # away from the kinks at half integers
    f = lambda m, x, c: m.map_coordinates(x, c, order=order, mode=mode, cval=0.7)
    check(f, N, real_ndimage, [real(4, 5), at], order=2)


def test_linear_filters_of_images():
    x = real(6, 7)
    for f in (
        lambda m, x: m.gaussian_filter(x, 1.3),
        lambda m, x: m.gaussian_filter(x, (1.0, 0), order=(1, 0), mode="wrap"),
        lambda m, x: m.uniform_filter(x, 3),
        lambda m, x: m.convolve1d(x, np.array([1.0, 2, 4]), axis=0),
        lambda m, x: m.correlate1d(x, [1.0, 2, 4], mode="nearest"),
    ):
        check(f, N, real_ndimage, [x])


# ------------------------------------------------------------------ what is refused; SciPy's optimisers
def test_what_has_no_derivative_refuses_by_name():
    t = bp.tensor(real(9), requires_grad=True)
    for call, match in (
        (lambda: S.medfilt(t), r"scipy\.signal\.medfilt"),
        (lambda: N.map_coordinates(t, [[0.5]]), "order=3"),
        (lambda: S.filtfilt(t, [1.0], real(60)), "not differentiable"),
        (lambda: S.welch(t, nperseg=4, average="median"), "average='mean'"),
        (lambda: N.median_filter(t, 3), r"scipy\.ndimage\.median_filter"),
        (lambda: F.fht(t, 0.1, 0.2), r"scipy\.fft\.fht"),
        (lambda: S.savgol_filter(t, 5, 2, mode="constant", cval=3.0), "cval"),
    ):
        with pytest.raises(TypeError, match=match):
            call()
    assert S.find_peaks(np.array([0.0, 1, 0]))[0].tolist() == [1]
    assert S.windows.hann(3)[1] == 1
    with pytest.raises(ValueError, match="valid"):
        S.convolve(bp.asarray(real(2, 5)), real(3, 4), mode="valid")


def test_scipys_optimiser_takes_our_gradients():
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    start = np.zeros(6)
    found = scipy.optimize.minimize(
        bp.value_and_grad(rosenbrock), start, jac=True, method="L-BFGS-B", tol=1e-12
    )
    np.testing.assert_allclose(found.x, 1, atol=1e-5)
    newton = scipy.optimize.minimize(
        rosenbrock, start, jac=bp.grad(rosenbrock), hessp=lambda x, v: bp.hvp(rosenbrock, (x,), (v,)), method="trust-ncg", tol=1e-10
    )  # fmt: skip
    np.testing.assert_allclose(newton.x, 1, atol=1e-8)
    root = scipy.optimize.root(lambda x: x**3 - 2, [1.0], jac=bp.jacobian(lambda x: x**3 - 2))
    assert root.x[0] == pytest.approx(2 ** (1 / 3))


# ------------------------------------------------------------------ differential equations
def motion(y, t, arg, more):
    return -np.sqrt(t) - y + arg - np.mean((y + more["shift"]) ** 2)


def test_odeint():
    y0, t, arg, more = real(3), np.array([0.1, 0.15, 0.3]), real(3, seed=1), {"shift": real(3, seed=2)}
    f = lambda y0, t, arg, more: Q.odeint(motion, y0, t, (arg, more), rtol=1e-11, atol=1e-11)
    want = real_integrate.odeint(motion, y0, t, (arg, more), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f(bp.asarray(y0), t, arg, more).numpy(), want, rtol=1e-10)
    check_grads(
        f, [y0, t, arg, more], modes=("rev",)
    )  # each mode by itself: they agree to the solver's accuracy
    check_grads(f, [y0, t, arg, more], modes=("fwd",))
    hidden = bp.tensor(2.0, requires_grad=True)
    with pytest.raises(bp.GradientError, match="args"):
        Q.odeint(lambda y, t: -hidden * y, bp.asarray(y0), t)
