"""numpy.fft on Tensors, with NumPy's own signatures."""

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.tensor import Tensor
from ..ops import fft
from ._table import implements


def _one(name: str, function: Callable) -> None:
    """A transform along one axis."""

    @implements(f"fft.{name}")
    def entry(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
        return function(a, n, axis, norm)


def _many(name: str, function: Callable, default: tuple[int, ...] | None) -> None:
    """A transform over several axes."""

    @implements(f"fft.{name}")
    def entry(
        a: Any,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = default,
        norm: str | None = None,
    ) -> Tensor:
        return function(a, s, axes, norm)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _one(_name, getattr(fft, _name))
for _name in ("fftn", "ifftn", "rfftn", "irfftn"):
    _many(_name, getattr(fft, _name), None)
    _many(_name[:-1] + "2", getattr(fft, _name[:-1] + "2"), (-2, -1))
implements("fft.fftshift")(fft.fftshift)
implements("fft.ifftshift")(fft.ifftshift)
