"""Recursive filters, differentiable in their coefficients; filters and resampling with constant ones;
trends.
"""

import itertools
from typing import Any

import numpy as np

from ...autograd.op import graph
from ...autograd.record import constant
from ...autograd.tensor import Tensor
from ...errors import message
from ...ops import fft
from ...ops.linear_maps import along, convolve_full, recursion
from ...ops.padding import pad
from ...ops.shape import concatenate, moveaxis, reshape, stack
from ...ops.special import complexes, floats


# ------------------------------------------------------------------ recursive filters
def _filtered(b: Tensor, a: Tensor, x: Tensor, zi: Any) -> Any:
    """Along the last axis, a[0] = 1: the moving average of x and zi, then the recursion."""
    n, order = x.shape[-1], max(a.shape[0], b.shape[0]) - 1
    if not n:
        return x if zi is None else (x, zi)
    v = convolve_full(x, reshape(b, (1,) * (x.ndim - 1) + (-1,)))
    extended = pad(v, [(0, 0)] * (x.ndim - 1) + [(0, max(order + n - v.shape[-1], 0))])
    if zi is not None:
        head = pad(zi, [(0, 0)] * (zi.ndim - 1) + [(0, extended.shape[-1] - zi.shape[-1])])
        extended = extended + head
    y = recursion(a[1:], extended[..., :n])
    if zi is None:
        return y
    # what is left to come out: the rest of the moving average, less the recursion's share of past results
    rest = extended[..., n : n + order]
    tail = convolve_full(y, reshape(concatenate([a[:1] * 0.0, a[1:]]), (1,) * (y.ndim - 1) + (-1,)))
    tail = pad(tail, [(0, 0)] * (x.ndim - 1) + [(0, max(order + n - tail.shape[-1], 0))])
    return y, rest - tail[..., n : n + order]


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """The filter with numerator b and denominator a along an axis of x; differentiable in all, and in the
    state zi.

    With zi the result is (y, final state), as SciPy's.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> pulse = np.array([1.0, 0.0, 0.0])
    >>> bp.grad(lambda a: bp.scipy.signal.lfilter([1.0], [1.0, a], pulse)[2])(0.5)  # a^2
    np.float64(1.0)
    """
    b, a = (concatenate([reshape(v, (1,)) for v in p]) if _listed(p) else p for p in (b, a))
    given = [] if zi is None else [zi]
    b, a, x, *rest = floats(b, a, x, *given)
    b, a = reshape(b, (-1,)), reshape(a, (-1,))
    lead = a[:1]
    b, a = b / lead, a / lead
    x = moveaxis(x, axis, -1)
    if not rest:
        return moveaxis(_filtered(b, a, x, None), -1, axis)
    y, final = _filtered(b, a, x, moveaxis(rest[0], axis, -1))
    return moveaxis(y, -1, axis), moveaxis(final, -1, axis)


def _listed(p: Any) -> bool:
    return isinstance(p, (list, tuple)) and any(isinstance(v, Tensor) for v in p)


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """The filter of second-order sections (n, 6), one after the other; differentiable in all of them."""
    sos, x = floats(sos, x)
    states = []
    for k in range(sos.shape[0]):
        state = None if zi is None else floats(zi)[0][k]
        out = lfilter(sos[k, :3], sos[k, 3:], x, axis, state)
        x, *final = (out,) if zi is None else out
        states += final
    return x if zi is None else (x, stack(states))


def lfilter_zi(b: Any, a: Any) -> Tensor:
    """The state of a filter whose answer to a step is already steady."""
    b, a = floats(b, a)
    b, a = b / a[:1], a / a[:1]
    n = max(a.shape[0], b.shape[0])
    a, b = pad(a, [(0, n - a.shape[0])]), pad(b, [(0, n - b.shape[0])])
    below = np.eye(n - 1, k=1, dtype=a.dtype)
    first = np.eye(1, n - 1, dtype=a.dtype)
    system = np.eye(n - 1, dtype=a.dtype) - below + a[1:, None] * first
    return graph.linalg.solve(system, b[1:] - a[1:] * b[:1])


# ------------------------------------------------------------------ with constant coefficients: linear in x
def _linear(name: str, doc: str, before: tuple[str, ...], *after: str) -> Any:
    """SciPy's function of that name, x between its other parameters; they are constants."""
    order = (*before, "x", *after)

    def function(*args: Any, axis: int = -1, **options: Any) -> Tensor:
        given = dict(zip(order, args, strict=False)) | options
        unknown = set(given) - set(order)
        if unknown or "x" not in given or len(args) > len(order):
            expected = f"the parameters are {', '.join(order)} and axis."
            raise TypeError(message(f"signal.{name}", expected, received=str(sorted(unknown) or list(given))))
        x = given.pop("x")
        for key, value in given.items():
            if isinstance(value, Tensor):
                given[key] = constant(f"signal.{name}", value)
        first = [given.pop(n) for n in before]
        return along(
            x, axis, lambda B, rows: getattr(B.scipy("signal"), name)(*first, rows, axis=-1, **given)
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


filtfilt = _linear(
    "filtfilt", "The filter forwards and backwards.", ("b", "a"), "padtype", "padlen", "method", "irlen"
)
sosfiltfilt = _linear("sosfiltfilt", "Sections forwards and backwards.", ("sos",), "padtype", "padlen")
upfirdn = _linear("upfirdn", "Upsample, filter with h, downsample.", ("h",), "up", "down")
savgol_filter = _linear(
    "savgol_filter", "The Savitzky-Golay filter.", (), "window_length", "polyorder", "deriv", "delta", "mode"
)
resample = _linear("resample", "Fourier resampling to `num` samples.", (), "num", "window")
resample_poly = _linear("resample_poly", "Polyphase resampling.", (), "up", "down", "window", "padtype")
decimate = _linear("decimate", "Every q-th sample, after a filter.", (), "q", "n", "ftype", "zero_phase")


# ------------------------------------------------------------------ trends, analytic signal
def detrend(
    data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: bool = False
) -> Tensor:
    """The signal less its mean ("constant"), or less its line of least squares between the breaks bp
    ("linear").
    """
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError(message("detrend", 'type is "linear" or "constant".', received=repr(type)))
    (x,) = floats(data)
    x = moveaxis(x, axis, -1)
    if type in ("constant", "c"):
        return moveaxis(x - x.mean(-1, keepdims=True), -1, axis)
    breaks = sorted({0, x.shape[-1], *np.atleast_1d(bp).tolist()})
    parts = [x[..., i:j] for i, j in itertools.pairwise(breaks)]
    return moveaxis(concatenate([part - _line(part) for part in parts], axis=-1), -1, axis)


def _line(x: Tensor) -> Tensor:
    """The line of least squares, by an orthonormal basis of lines."""
    n = x.shape[-1]
    basis = np.linalg.qr(np.stack([np.ones(n), np.arange(1.0, n + 1)], axis=1))[0].astype(x.dtype)
    return graph.matmul(graph.matmul(x, basis), basis.T.copy())


def hilbert(x: Any, N: int | None = None, axis: int = -1) -> Tensor:
    """The analytic signal of a real one."""
    (x,) = floats(x)
    if x.dtype.kind == "c":
        raise ValueError(message("hilbert", "a real signal was expected.", received=str(x.dtype)))
    n = x.shape[axis] if N is None else int(N)
    weights = np.zeros(n, x.dtype)
    weights[0] = 1
    weights[1 : (n + 1) // 2] = 2
    if n % 2 == 0:
        weights[n // 2] = 1
    spectrum = fft.fft(complexes(x), n, axis)
    return fft.ifft(spectrum * weights.reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim)), None, axis)


FUNCTIONS = {
    f.__name__: f
    for f in (
        lfilter, sosfilt, lfilter_zi, filtfilt, sosfiltfilt, upfirdn, savgol_filter, resample, resample_poly,
        decimate, detrend, hilbert,
    )
}  # fmt: skip
