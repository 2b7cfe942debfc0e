"""SciPy's functions that are linear in a signal: their own forward, and the transpose of it.

A transpose that is known (convolution, filters, cosine transforms) is written down. Where it is not
(Savitzky-Golay, resampling, zero-phase filters), the map is applied to unit vectors, a block at a time: n
applications, exact.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.declare import Arguments, operation
from ..autograd.op import graph
from ..autograd.tensor import Tensor
from .scipy_calls import sampled, stacked
from .special import as_precise, floats

_BLOCK = 256


# ------------------------------------------------------------------ any linear map along the last axis
@stacked
def _applied(B: Any) -> Callable:
    return lambda x, *, function, length: as_precise(function(B, x), x)


@stacked
def _transposed(B: Any) -> Callable:
    def forward(g: Any, *, function: Any, length: int) -> Any:
        out = B.empty(g.shape[:-1] + (length,), g.dtype)
        real = np.empty(0, g.dtype).real.dtype
        for k in range(0, length, _BLOCK):
            rows = np.eye(min(_BLOCK, length - k), length, k, dtype=real)
            out[..., k : k + _BLOCK] = B.matmul(g, function(B, B.asarray(rows)).astype(g.dtype, copy=False).T)
        return out

    return forward


@operation(
    vjp=(lambda F, g, out, x, *, function, length: _back(F, g, function, length),),
    saves=("x.shape",),
    linear="joint",
    forward=_applied,
)
def linear_map(x: Any, function: Callable, length: int = 0) -> Arguments:
    """function(backend, x), linear along the last axis of x, alike for every row, real for real rows."""
    (x,) = floats(x)
    return (x,), {"function": function, "length": x.shape[-1]}


@operation(
    vjp=(lambda F, g, out, x, *, function, length: _forth(F, g, function, length),),
    saves=("x.shape",),
    linear="joint",
    forward=_transposed,
)
def linear_map_transposed(x: Any, function: Callable, length: int) -> Arguments:
    """The transpose of `linear_map` for rows of that length."""
    return tuple(floats(x)), {"function": function, "length": length}


def _back(F: Any, g: Any, function: Any, length: int) -> Any:
    if F is graph:
        return linear_map_transposed(g, function, length)
    return _transposed(F)(g, function=function, length=length)


def _forth(F: Any, g: Any, function: Any, length: int) -> Any:
    return linear_map(g, function) if F is graph else _applied(F)(g, function=function, length=length)


def along(x: Any, axis: int, function: Callable) -> Tensor:
    """A linear map of SciPy's along any axis: function(backend, rows)."""
    (x,) = floats(x)
    if x.ndim == 1 or axis in (-1, x.ndim - 1):
        return linear_map(x, function)
    return graph.moveaxis(linear_map(graph.moveaxis(x, axis, -1), function), -1, axis)


# ------------------------------------------------------------------ convolution in any number of dimensions
@sampled
def _convolved(B: Any) -> Callable:
    def forward(x: Any, y: Any, *, mode: str, method: str) -> Any:
        if not (x.size and y.size):
            return B.zeros(tuple(max(m + n - 1, 0) for m, n in zip(x.shape, y.shape, strict=True)), x.dtype)
        return as_precise(B.scipy("signal").convolve(x, y, mode, method), x)

    return forward


def flipped(x: Any) -> Any:
    """Every axis backwards."""
    return x[(slice(None, None, -1),) * len(x.shape)]


def _convolve_in(F: Any, x: Any, y: Any, mode: str, method: str) -> Any:
    return convolve_full(x, y, mode, method) if F is graph else _convolved(F)(x, y, mode=mode, method=method)


def _convolve_x(F: Any, g: Any, out: Any, x: Any, y: Any, *, mode: str, method: str) -> Any:
    return _convolve_in(F, g, flipped(y), "valid" if mode == "full" else "full", method)


def _convolve_y(F: Any, g: Any, out: Any, x: Any, y: Any, *, mode: str, method: str) -> Any:
    if mode == "full":
        return _convolve_in(F, g, flipped(x), "valid", method)
    return flipped(_convolve_in(F, x, flipped(g), "valid", method))


@operation(
    vjp=(_convolve_x, _convolve_y), saves=("x", "y"), linear="each", promotes=True, forward=_convolved,
)  # fmt: skip
def convolve_full(x: Any, y: Any, mode: str = "full", method: str = "auto") -> Arguments:
    """The convolution over all axes: "full", or "valid" for a y that is nowhere longer than x."""
    return tuple(floats(x, y)), {"mode": mode, "method": method}


# ------------------------------------------------------------------ recursive filters
@sampled
def _recursion(B: Any) -> Callable:
    def forward(a: Any, v: Any) -> Any:
        one = B.ones(1, a.dtype)
        whole = B.concatenate([one, a])
        return as_precise(B.scipy("signal").lfilter(one, whole, v), v) if v.size else v.copy()

    return forward


def _recursion_v(F: Any, g: Any, out: Any, a: Any, v: Any) -> Any:
    back = g[..., ::-1]
    return (recursion(a, back) if F is graph else _recursion(F)(a, back))[..., ::-1]


def _recursion_a(F: Any, g: Any, out: Any, a: Any, v: Any) -> Any:
    u = _recursion_v(F, g, out, a, v)
    n = g.shape[-1]
    parts = [F.sum(u[..., k:] * out[..., : max(n - k, 0)], axis=None) for k in range(1, a.shape[-1] + 1)]
    return -F.stack(parts, axis=0) if parts else F.zeros_like(a)


@operation(vjp=(_recursion_a, _recursion_v), saves=("x", "out"), promotes=True, forward=_recursion)
def recursion(a: Any, v: Any) -> Arguments:
    """y with y[n] = v[n] - sum_k a[k - 1] y[n - k], along the last axis of v."""
    return tuple(floats(a, v)), {}


# ------------------------------------------------------------------ orthonormal cosine and sine transforms
TURNED = {1: 1, 2: 3, 3: 2, 4: 4}  # the type of the transpose, and of the inverse


@sampled
def _cosines(B: Any) -> Callable:
    def forward(x: Any, *, name: str, type: int, axis: int) -> Any:
        if not x.size:
            return x.copy()
        if B.name == "cupy" and type in (1, 4):  # CuPy has types 2 and 3
            return _by_fft(B, x, name, type, axis)
        return getattr(B.scipy("fft"), name)(x, type, axis=axis, norm="ortho")

    return forward


def _by_fft(B: Any, x: Any, name: str, type: int, axis: int) -> Any:
    """sqrt(2 / m) sum over j of x[j] f(pi (j + s) (k + s) / m), f cos or sin: the real part, or minus the
    imaginary one, of a Fourier transform of length 2 m between two rotations.
    """
    if x.dtype.kind == "c":
        return _by_fft(B, x.real, name, type, axis) + 1j * _by_fft(B, x.imag, name, type, axis)
    x = B.moveaxis(x, axis, -1)
    n = x.shape[-1]
    m, s = (n, 0.5) if type == 4 else (n - 1, 0.0) if name == "dct" else (n + 1, 1.0)
    j = B.arange(n)
    ends = 1.0
    if type == 1 and name == "dct":  # the first and the last count half, to both sides alike
        ends = B.where((j == 0) | (j == n - 1), 0.5**0.5, 1.0)
    turn = np.pi * s / m * j
    out = B.fft.fft(x * (ends * B.exp(-1j * turn)), 2 * m)[..., :n] * B.exp(-1j * (turn + np.pi * s * s / m))
    out = ((out.real if name == "dct" else -out.imag) * (2 / m) ** 0.5 * ends).astype(x.dtype)
    return B.moveaxis(out, -1, axis)


def _cosines_back(F: Any, g: Any, out: Any, x: Any, *, name: str, type: int, axis: int) -> Any:
    if F is graph:
        return orthonormal(g, name, TURNED[type], axis)
    return _cosines(F)(g, name=name, type=TURNED[type], axis=axis)


@operation(vjp=(_cosines_back,), linear="joint", forward=_cosines)
def orthonormal(x: Any, name: str, type: int, axis: int = -1) -> Arguments:
    """The orthonormal cosine ("dct") or sine ("dst") transform of types 1 to 4."""
    return tuple(floats(x)), {"name": name, "type": int(type), "axis": int(axis)}
