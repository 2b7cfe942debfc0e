"""Short-time Fourier transforms and spectra, with SciPy's own signatures and defaults."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.record import on_host
from ...autograd.tensor import Tensor
from ...errors import message
from ...ops import fft
from ...ops.elementwise import absolute, conjugate, real
from ...ops.padding import pad
from ...ops.shape import concatenate, flip, moveaxis
from ...ops.special import complexes, floats
from .._namespace import module
from ._filters import _line

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Called as SciPy's function of that name is; the function gets all parameters by name, filled in."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(getattr(module("signal"), name)).bind(*args, **kwargs)
        bound.apply_defaults()
        return function(**bound.arguments)

    FUNCTIONS[name] = call
    return call


def _window(name: str, window: Any, nperseg: Any, length: int) -> np.ndarray:
    """The window's values; nperseg is 256 unless given or the window's length, and no longer than the
    signal.
    """
    if isinstance(window, (str, tuple)):
        return module("signal").get_window(window, min(256 if nperseg is None else int(nperseg), length))
    values = on_host(f"signal.{name}", window)
    if values.ndim != 1 or values.size > length or nperseg not in (None, values.size):
        raise ValueError(
            message(f"signal.{name}", "the window must be a vector of nperseg values, no longer than x.")
        )
    return values


def _frames(x: Tensor, nperseg: int, noverlap: int) -> Tensor:
    step = nperseg - noverlap
    starts = np.arange(0, x.shape[-1] - nperseg + 1, step)
    return x[..., starts[:, None] + np.arange(nperseg)]


def _detrended(frames: Tensor, detrend: Any) -> Any:
    if not detrend:
        return frames
    if callable(detrend):
        return detrend(frames)
    if detrend == "constant":
        return frames - frames.mean(-1, keepdims=True)
    return frames - _line(frames)


def _spectra(x: Tensor, win: np.ndarray, noverlap: int, nfft: int, detrend: Any, onesided: bool) -> Tensor:
    """(..., segments, frequencies)."""
    frames = _detrended(_frames(x, win.size, noverlap), detrend) * win.astype(np.empty(0, x.dtype).real.dtype)
    return fft.rfft(frames, nfft) if onesided else fft.fft(complexes(frames), nfft)


def _frequencies(fs: float, nfft: int, onesided: bool) -> np.ndarray:
    return (np.fft.rfftfreq if onesided else np.fft.fftfreq)(nfft, 1 / fs)


def _scale(win: np.ndarray, fs: float, scaling: str) -> float:
    if scaling in ("density", "psd"):
        return 1 / (fs * float((win * win).sum()))
    if scaling == "spectrum":
        return 1 / float(win.sum()) ** 2
    raise ValueError(message("signal", 'scaling is "density" or "spectrum".', received=repr(scaling)))


def _densities(
    name: str,
    x: Any,
    y: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend: Any,
    return_onesided: bool,
    scaling: str,
    axis: int,
    share: int = 2,
) -> tuple[np.ndarray, Tensor, np.ndarray, int]:
    """(frequencies, cross spectra of each segment (..., frequencies, segments), window, overlap)."""
    xs = floats(x) if y is None else floats(x, y)
    xs = [moveaxis(v, axis, -1) for v in xs]
    longest = max(v.shape[-1] for v in xs)
    xs = [pad(v, [(0, 0)] * (v.ndim - 1) + [(0, longest - v.shape[-1])]) for v in xs]
    win = _window(name, window, nperseg, longest)
    noverlap = win.size // share if noverlap is None else int(noverlap)
    nfft = win.size if nfft is None else int(nfft)
    onesided = return_onesided and xs[0].dtype.kind != "c"
    parts = [_spectra(v, win, noverlap, nfft, detrend, onesided) for v in xs]
    out = conjugate(parts[0]) * parts[-1] * _scale(win, fs, scaling)
    if onesided:
        twice = np.full(nfft // 2 + 1, 2.0, np.empty(0, out.dtype).real.dtype)
        twice[0] = 1
        if nfft % 2 == 0:
            twice[-1] = 1
        out = out * twice
    out = graph.swapaxes(out, -1, -2)
    return _frequencies(fs, nfft, onesided), real(out) if y is None else out, win, noverlap


def _averaged(out: Tensor, average: str) -> Tensor:
    if average != "mean":
        raise TypeError(
            message("signal.welch", "only average='mean' is differentiable.", received=repr(average))
        )
    return out.mean(-1)


@_signature
def csd(
    x: Any,
    y: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend: Any,
    return_onesided: bool,
    scaling: str,
    axis: int,
    average: str,
) -> tuple[np.ndarray, Tensor]:
    """(frequencies, cross power spectral density of x and y) by Welch's method."""
    args = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    f, out, _, _ = _densities("csd", x, y, *args)
    return f, moveaxis(_averaged(out, average), -1, axis)


@_signature
def welch(
    x: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend: Any,
    return_onesided: bool,
    scaling: str,
    axis: int,
    average: str,
) -> tuple[np.ndarray, Tensor]:
    """(frequencies, power spectral density) by Welch's method."""
    args = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    f, out, _, _ = _densities("welch", x, None, *args)
    return f, moveaxis(_averaged(out, average), -1, axis)


@_signature
def periodogram(
    x: Any, fs: float, window: Any, nfft: Any, detrend: Any, return_onesided: bool, scaling: str, axis: int
) -> tuple[np.ndarray, Tensor]:
    """(frequencies, power spectral density) of the whole signal."""
    (x,) = floats(x)
    n = x.shape[axis]
    nperseg = n
    if nfft is not None and nfft < n:
        x, nperseg = moveaxis(moveaxis(x, axis, -1)[..., :nfft], -1, axis), int(nfft)
    window = "boxcar" if window is None else window
    args = (fs, window, nperseg, 0, nfft, detrend, return_onesided, scaling, axis)
    f, out, _, _ = _densities("periodogram", x, None, *args)
    return f, moveaxis(out[..., 0], -1, axis)


@_signature
def coherence(
    x: Any, y: Any, fs: float, window: Any, nperseg: Any, noverlap: Any, nfft: Any, detrend: Any, axis: int
) -> tuple[np.ndarray, Tensor]:
    """(frequencies, magnitude squared coherence of x and y)."""
    args = (fs, window, nperseg, noverlap, nfft, detrend, True, "density", axis)
    f, across, _, _ = _densities("coherence", x, y, *args)
    ones = [_densities("coherence", v, None, *args)[1].mean(-1) for v in (x, y)]
    out = absolute(across.mean(-1)) ** 2 / (ones[0] * ones[1])
    return f, moveaxis(out, -1, axis)


@_signature
def spectrogram(
    x: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend: Any,
    return_onesided: bool,
    scaling: str,
    axis: int,
    mode: str,
) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """(frequencies, times, power densities of the segments); mode "psd", "complex" or "magnitude"."""
    if mode not in ("psd", "complex", "magnitude"):
        raise TypeError(
            message("signal.spectrogram", "an angle has no derivative here.", received=repr(mode))
        )
    args = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    f, out, win, noverlap = _densities("spectrogram", x, None, *args, share=8)
    count = out.shape[-1]
    times = (np.arange(count) * (win.size - noverlap) + win.size / 2) / fs
    if mode != "psd":
        (x,) = floats(x)
        onesided = return_onesided and x.dtype.kind != "c"
        parts = _spectra(
            moveaxis(x, axis, -1), win, noverlap, win.size if nfft is None else int(nfft), detrend, onesided
        )
        out = graph.swapaxes(parts, -1, -2) * _scale(win, fs, scaling) ** 0.5
        out = absolute(out) if mode == "magnitude" else out
    return f, times, moveaxis(out, -2, axis - 1 if axis < 0 else axis)


# ------------------------------------------------------------------ there and back
def _extended(x: Tensor, half: int, boundary: Any) -> Tensor:
    if not boundary:
        return x
    if boundary == "zeros":
        return pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)])
    left, right = x[..., 1 : half + 1], x[..., -half - 1 : -1]
    if boundary == "even":
        ends = flip(left, -1), flip(right, -1)
    elif boundary == "odd":
        ends = 2.0 * x[..., :1] - flip(left, -1), 2.0 * x[..., -1:] - flip(right, -1)
    elif boundary == "constant":
        ends = x[..., :1] + 0.0 * left, x[..., -1:] + 0.0 * right
    else:
        expected = 'boundary is "zeros", "even", "odd", "constant" or None.'
        raise ValueError(message("signal.stft", expected, received=repr(boundary)))
    return concatenate([ends[0], x, ends[1]], axis=-1)


@_signature
def stft(
    x: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    detrend: Any,
    return_onesided: bool,
    boundary: Any,
    padded: bool,
    axis: int,
    scaling: str,
) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """(frequencies, times, short-time Fourier transform)."""
    (x,) = floats(x)
    x = moveaxis(x, axis, -1)
    win = _window("stft", window, nperseg, x.shape[-1])
    n = win.size
    noverlap = n // 2 if noverlap is None else int(noverlap)
    nfft = n if nfft is None else int(nfft)
    x = _extended(x, n // 2, boundary)
    if padded:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(0, (-(x.shape[-1] - n) % (n - noverlap)) % n)])
    onesided = return_onesided and x.dtype.kind != "c"
    out = (
        graph.swapaxes(_spectra(x, win, noverlap, nfft, detrend, onesided), -1, -2)
        * _scale(win, fs, scaling) ** 0.5
    )
    times = (np.arange(out.shape[-1]) * (n - noverlap) + n / 2) / fs
    if boundary:
        times = times - n / 2 / fs
    return _frequencies(fs, nfft, onesided), times, moveaxis(out, -2, axis - 1 if axis < 0 else axis)


@_signature
def istft(
    Zxx: Any,
    fs: float,
    window: Any,
    nperseg: Any,
    noverlap: Any,
    nfft: Any,
    input_onesided: bool,
    boundary: bool,
    time_axis: int,
    freq_axis: int,
    scaling: str,
) -> tuple[np.ndarray, Tensor]:
    """(times, signal): the segments transformed back, weighed by the window, added up where they overlap."""
    z = moveaxis(complexes(Zxx), (freq_axis, time_axis), (-2, -1))
    bins, count = z.shape[-2:]
    default = 2 * (bins - 1) if input_onesided else bins
    n = default if nperseg is None else int(nperseg)
    if nfft is None:
        nfft = n if input_onesided and n == default + 1 else default
    win = _window("istft", window, n, n)
    step = n - (n // 2 if noverlap is None else int(noverlap))
    z = graph.swapaxes(z, -1, -2)
    frames = (fft.irfft(z, int(nfft)) if input_onesided else fft.ifft(z, int(nfft)))[..., :n]
    frames = frames * (win / _scale(win, fs, scaling) ** 0.5).astype(np.empty(0, frames.dtype).real.dtype)
    places = np.arange(count)[:, None] * step + np.arange(n)
    length = n + (count - 1) * step
    total = graph.scatter_add(frames, (Ellipsis, places), (*frames.shape[:-2], length))
    weights = np.zeros(length)
    np.add.at(weights, places, np.broadcast_to(win * win, places.shape))
    if boundary:
        total, weights = total[..., n // 2 : -(n // 2)], weights[n // 2 : -(n // 2)]
    out = total / np.where(weights > 1e-10, weights, 1.0).astype(np.empty(0, total.dtype).real.dtype)
    return np.arange(out.shape[-1]) / float(fs), out
