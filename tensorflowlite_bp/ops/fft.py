"""Discrete Fourier transforms: four linear ops along one axis; everything else is made of them.

The matrix of the complex transform is symmetric, so that it is its own transpose: no conjugation enters the
rules. The real transforms drop, or restore, the half of the spectrum that is the other's conjugate.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd.declare import Arguments, operation
from ..autograd.op import helper
from ..autograd.record import lift
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from .elementwise import astype, conjugate
from .padding import pad
from .shape import roll

_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


# ------------------------------------------------------------------ one axis
def _complex_dtype(dtype: Any) -> Any:
    if dtype.kind in "fV" and dtype.itemsize <= 4:
        return np.dtype("complex64")
    return np.result_type(dtype, "complex128")


def _spectrum(x: Any) -> Tensor:
    """The argument of a complex transform: complex of its own precision."""
    x = lift(x)
    return x if x.dtype.kind == "c" else astype(x, _complex_dtype(x.dtype))


def _real(name: str, x: Any) -> Tensor:
    x = lift(x)
    if x.dtype.kind == "c":
        raise TypeError(message(name, "a real array was expected.", received=str(x.dtype), hint="use fft."))
    if x.dtype.kind != "f":
        return astype(x, "float32" if x.dtype.kind == "V" else "float64")
    return astype(x, "float32") if x.dtype.itemsize == 2 else x


def _fit(x: Tensor, n: int, axis: int) -> Tensor:
    """Cut off, or filled up with zeros, to n along an axis."""
    have = x.shape[axis]
    if have == n:
        return x
    if have > n:
        return x[(slice(None),) * (axis % x.ndim) + (slice(n),)]
    return pad(x, [(0, n - have) if i == axis % x.ndim else (0, 0) for i in range(x.ndim)])


def _length(name: str, n: Any, default: int) -> int:
    n = default if n is None else int(n)
    if n < 1:
        raise ValueError(message(name, "the number of points must be positive.", received=str(n)))
    return n


def _checked(name: str, x: Tensor, axis: int, norm: str | None) -> str:
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    norm = norm or "backward"
    if norm not in _SWAPPED:
        raise ValueError(message(name, 'norm must be "backward", "ortho" or "forward".', received=repr(norm)))
    return norm


def _along(name: str) -> Callable:
    """The complex transform `name`: its own transpose."""

    def back(F: Any, g: Any, out: Any, x: Any, *, axis: int, norm: str) -> Any:
        return getattr(F.fft, name)(g, axis=axis, norm=norm)

    def declared(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Arguments:
        x = _spectrum(x)
        norm = _checked(name, x, axis, norm)
        return (_fit(x, _length(name, n, x.shape[axis]), axis),), {"axis": axis, "norm": norm}

    declared.__name__ = name
    return operation(vjp=(back,), linear="joint", name=f"fft.{name}")(declared)


fft = _along("fft")
fft.__doc__ = """The discrete Fourier transform along one axis, X_k = sum_j x_j exp(-2 pi i j k / n).

x: any float or complex array; float32 gives complex64. n: cut or zero-padded to so many points. norm:
"backward" scales the inverse by 1 / n, "forward" this transform, "ortho" both by 1 / sqrt(n).

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.fft.fft(np.array([1.0, 0.0]))
Tensor([1.+0.j, 1.+0.j], dtype=complex128)
"""
ifft = _along("ifft")
ifft.__doc__ = """The inverse of `fft`.

>>> import tensorflowlite_bp as bp
>>> bp.fft.ifft([2.0, 0.0])
Tensor([1.+0.j, 1.+0.j], dtype=complex128)
"""


def _rfft_back(F: Any, g: Any, out: Any, x: Any, *, axis: int, norm: str) -> Any:
    return F.real(F.fft.fft(g, n=x.shape[axis], axis=axis, norm=norm))  # what was dropped counts as 0


@operation(vjp=(_rfft_back,), saves=("x.shape",), linear="joint", name="fft.rfft")
def rfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Arguments:
    """The first n // 2 + 1 entries of the transform of a real array; the others are their conjugates.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.rfft([1.0, 0.0, 0.0, 0.0])
    Tensor([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex128)
    """
    x = _real("rfft", x)
    norm = _checked("rfft", x, axis, norm)
    return (_fit(x, _length("rfft", n, x.shape[axis]), axis),), {"axis": axis, "norm": norm}


def _irfft_back(F: Any, g: Any, out: Any, x: Any, *, n: int, axis: int, norm: str) -> Any:
    half = F.conjugate(F.fft.rfft(g, axis=axis, norm=_SWAPPED[norm]))
    twice = np.full(n // 2 + 1, 2.0, g.dtype)  # each entry stands for its conjugate too
    twice[0] = 1
    if n % 2 == 0:
        twice[-1] = 1
    shape = [1] * len(g.shape)
    shape[axis] = -1
    lib = backend.of(g.data if isinstance(g, Tensor) else g)
    return half * lib.asarray(twice.reshape(shape))


@operation(vjp=(_irfft_back,), linear="joint", name="fft.irfft")
def irfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Arguments:
    """The inverse of `rfft`: n real points, 2 (m - 1) unless given, from m entries of a spectrum.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.irfft([1.0, 1.0, 1.0])
    Tensor([1., 0., 0., 0.])
    """
    x = _spectrum(x)
    norm = _checked("irfft", x, axis, norm)
    n = _length("irfft", n, 2 * (x.shape[axis] - 1))
    return (_fit(x, n // 2 + 1, axis),), {"n": n, "axis": axis, "norm": norm}


@helper(name="fft.hfft")
def hfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The transform of a signal that is conjugate-symmetric in time: a real spectrum of n points.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.hfft([1.0, 1.0, 1.0])
    Tensor([4., 0., 0., 0.])
    """
    norm = _checked("hfft", lift(x), axis, norm)
    return irfft(conjugate(_spectrum(x)), n, axis, _SWAPPED[norm])


@helper(name="fft.ihfft")
def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of `hfft`.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.ihfft([1.0, 0.0, 0.0, 0.0])
    Tensor([0.25-0.j, 0.25-0.j, 0.25-0.j], dtype=complex128)
    """
    norm = _checked("ihfft", lift(x), axis, norm)
    return conjugate(rfft(x, n, axis, _SWAPPED[norm]))


# ------------------------------------------------------------------ several axes
def _axes(name: str, x: Tensor, s: Any, axes: Any) -> tuple[list[int | None], list[int]]:
    """Lengths (None: as they are) and axes, one each."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    axes = [int(a) for a in axes]
    if any(not -x.ndim <= a < x.ndim for a in axes):
        raise np.exceptions.AxisError(next(a for a in axes if not -x.ndim <= a < x.ndim), x.ndim)
    given = [None] * len(axes) if s is None else list(s)
    if not axes and "rfft" in name:
        raise ShapeError(message(name, "an axis was expected.", received=f"shape {x.shape}, axes ()"))
    if len(given) != len(axes):
        raise ShapeError(
            message(name, "one length per axis was expected.", received=f"s={given}, axes={tuple(axes)}")
        )
    lengths: list[int | None] = [None if n is None or n == -1 else int(n) for n in given]
    return lengths, axes


def _over(name: str, one: Callable) -> Callable:
    def transform(
        x: Any,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = None,
        norm: str | None = "backward",
    ) -> Tensor:
        x = _spectrum(x)
        lengths, axes = _axes(name, x, s, axes)
        for n, axis in zip(reversed(lengths), reversed(axes), strict=True):
            x = one(x, n, axis, norm)
        return x

    transform.__name__ = transform.__qualname__ = name
    return helper(transform, name=f"fft.{name}")


fftn = _over("fftn", fft)
fftn.__doc__ = """`fft` over several axes: all, the last len(s), or those named; an axis named twice, twice.

>>> import tensorflowlite_bp as bp
>>> bp.fft.fftn([[1.0, 0.0], [0.0, 0.0]]).real
Tensor([[1., 1.],
        [1., 1.]])
"""
ifftn = _over("ifftn", ifft)
ifftn.__doc__ = """The inverse of `fftn`.

>>> import tensorflowlite_bp as bp
>>> bp.fft.ifftn([[4.0, 0.0], [0.0, 0.0]]).real
Tensor([[1., 1.],
        [1., 1.]])
"""


@helper(name="fft.rfftn")
def rfftn(
    x: Any, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """`rfft` over the last of several axes, then `fft` over the others.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.rfftn([[1.0, 0.0], [0.0, 0.0]])
    Tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]], dtype=complex128)
    """
    x = _real("rfftn", x)
    lengths, axes = _axes("rfftn", x, s, axes)
    x = rfft(x, lengths[-1], axes[-1], norm)
    for n, axis in zip(lengths[:-1], axes[:-1], strict=True):
        x = fft(x, n, axis, norm)
    return x


@helper(name="fft.irfftn")
def irfftn(
    x: Any, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """The inverse of `rfftn`; s is the shape of the result over the axes.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.irfftn([[4.0, 0.0], [0.0, 0.0]], s=(2, 2))
    Tensor([[1., 1.],
            [1., 1.]])
    """
    x = _spectrum(x)
    lengths, axes = _axes("irfftn", x, s, axes)
    for n, axis in zip(lengths[:-1], axes[:-1], strict=True):
        x = ifft(x, n, axis, norm)
    return irfft(x, lengths[-1], axes[-1], norm)


def _two(name: str, several: Callable) -> Callable:
    def transform(
        x: Any,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = (-2, -1),
        norm: str | None = "backward",
    ) -> Tensor:
        return several(x, s, axes, norm)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"`{several.__name__}` over the last two axes."
    return helper(transform, name=f"fft.{name}")


fft2, ifft2 = _two("fft2", fftn), _two("ifft2", ifftn)
rfft2, irfft2 = _two("rfft2", rfftn), _two("irfft2", irfftn)


# ------------------------------------------------------------------ order of the frequencies
def _shifted(x: Any, axes: Any, half: Callable[[int], int]) -> Tensor:
    x = lift(x)
    axes = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    axes = tuple(axes)
    return roll(x, tuple(half(x.shape[a]) for a in axes), axes)


@helper(name="fft.fftshift")
def fftshift(x: Any, axes: int | Sequence[int] | None = None) -> Tensor:
    """The zero frequency moved to the middle.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.fftshift(bp.fft.fftfreq(4))
    Tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shifted(x, axes, lambda n: n // 2)


@helper(name="fft.ifftshift")
def ifftshift(x: Any, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`.

    >>> import tensorflowlite_bp as bp
    >>> bp.fft.ifftshift(bp.fft.fftshift([0, 1, 2]))
    Tensor([0, 1, 2])
    """
    return _shifted(x, axes, lambda n: -(n // 2))
