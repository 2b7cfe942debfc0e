"""scipy.fft: Fourier, cosine and sine transforms, linear and differentiable.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda x: (bp.scipy.fft.dct(x, norm="ortho") ** 2).sum())(np.array([1.0, 2.0, 3.0]))
array([2., 4., 6.])
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import fft as transforms
from ..ops.elementwise import conjugate
from ..ops.linear_maps import TURNED, orthonormal
from ..ops.special import floats
from ._namespace import names

_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


# ------------------------------------------------------------------ Fourier
def _one(name: str) -> Callable[..., Tensor]:
    function = getattr(transforms, name)

    def transform(
        x: Any, n: int | None = None, axis: int = -1, norm: Any = None, *_: Any, **__: Any
    ) -> Tensor:
        return function(x, n, axis, norm)

    return _named(transform, name, function.__doc__)


def _many(name: str, default: Any) -> Callable[..., Tensor]:
    function = getattr(transforms, name)

    def transform(x: Any, s: Any = None, axes: Any = default, norm: Any = None, *_: Any, **__: Any) -> Tensor:
        return function(x, s, axes, norm)

    return _named(transform, name, function.__doc__)


def _named(function: Callable, name: str, doc: Any) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (doc or "").partition("\n")[0]
    return function


def _hermitian(name: str, default: Any) -> Callable[..., Tensor]:
    """The transforms of signals that are conjugate-symmetric in time, over several axes."""

    def transform(x: Any, s: Any = None, axes: Any = default, norm: Any = None, *_: Any, **__: Any) -> Tensor:
        (x,) = floats(x)
        norm = _SWAPPED[norm or "backward"]
        if name.startswith("i"):
            return conjugate(transforms.rfftn(x, s, axes, norm))
        return transforms.irfftn(conjugate(x) if x.dtype.kind == "c" else x, s, axes, norm)

    return _named(transform, name, f"`{name[:-1]}` over several axes.")


# ------------------------------------------------------------------ cosines and sines
def _scaled(x: Tensor, axis: int, ends: tuple[int, ...], factor: float) -> Tensor:
    """Entries at the ends of an axis times a factor."""
    n = x.shape[axis]
    weights = np.ones(n, x.dtype)
    weights[list(ends)] = factor
    return x * weights.reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim))


def _ends(name: str, type: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which entries of the input, and of the result, the orthonormal transform weighs by sqrt(1/2)."""
    end = (0,) if name == "dct" else (-1,)
    if type == 1:
        return ((0, -1), (0, -1)) if name == "dct" else ((), ())
    return {2: ((), end), 3: (end, ()), 4: ((), ())}[type]


def _cosine(
    name: str, x: Any, type: int, n: int | None, axis: int, norm: str | None, orthogonalize: bool | None
) -> Tensor:
    """By the orthonormal transform, whose transpose is known: sqrt(N) times it, but for the weights of the
    ends.
    """
    (x,) = floats(x)
    norm = norm or "backward"
    if norm not in _SWAPPED or type not in TURNED:
        raise ValueError(
            message(name, "types are 1 to 4, norms backward, ortho, forward.", received=f"{type}, {norm}")
        )
    x = transforms._fit(x, x.shape[axis] if n is None else int(n), axis)
    size = x.shape[axis]
    total = 2 * (size + {("dct", 1): -1, ("dst", 1): 1}.get((name, type), 0))
    plain = not (norm == "ortho" if orthogonalize is None else orthogonalize)
    before, after = _ends(name, type)
    if plain and before:
        x = _scaled(x, axis, before, math.sqrt(0.5))
    out = orthonormal(x, name, type, axis)
    if plain and after:
        out = _scaled(out, axis, after, math.sqrt(2))
    return out * {"backward": math.sqrt(total), "ortho": 1.0, "forward": 1 / math.sqrt(total)}[norm]


def _cosine_pair(name: str) -> None:
    def forth(
        x: Any,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: Any = None,
        overwrite_x: bool = False,
        workers: Any = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Tensor:
        return _cosine(name, x, type, n, axis, norm, orthogonalize)

    def back(
        x: Any,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: Any = None,
        overwrite_x: bool = False,
        workers: Any = None,
        orthogonalize: bool | None = None,
    ) -> Tensor:
        ortho = norm == "ortho" if orthogonalize is None else orthogonalize
        return _cosine(name, x, TURNED[type], n, axis, _SWAPPED[norm or "backward"], ortho)

    def several(one: Callable) -> Callable[..., Tensor]:
        def transform(
            x: Any,
            type: int = 2,
            s: Sequence[int] | None = None,
            axes: Any = None,
            norm: Any = None,
            overwrite_x: bool = False,
            workers: Any = None,
            *,
            orthogonalize: bool | None = None,
        ) -> Tensor:
            (x,) = floats(x)
            if axes is None:
                axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
            axes = [axes] if isinstance(axes, int) else list(axes)
            lengths = [None] * len(axes) if s is None else list(s)
            for length, axis in zip(lengths, axes, strict=True):
                x = one(x, type, length, axis, norm, orthogonalize=orthogonalize)
            return x

        return transform

    what = "cosine" if name == "dct" else "sine"
    OURS[name] = _named(forth, name, f"The discrete {what} transform of types 1 to 4.")
    OURS[f"i{name}"] = _named(back, f"i{name}", f"The inverse of `{name}`.")
    OURS[f"{name}n"] = _named(several(forth), f"{name}n", f"`{name}` over several axes.")
    OURS[f"i{name}n"] = _named(several(back), f"i{name}n", f"`i{name}` over several axes.")


OURS: dict[str, Callable[..., Any]] = {n: _one(n) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")}
OURS |= {n: _many(n, None) for n in ("fftn", "ifftn", "rfftn", "irfftn")}
OURS |= {n: _many(n, (-2, -1)) for n in ("fft2", "ifft2", "rfft2", "irfft2")}
OURS |= {
    n: _hermitian(n, None if n.endswith("n") else (-2, -1)) for n in ("hfft2", "ihfft2", "hfftn", "ihfftn")
}
OURS |= {"fftshift": transforms.fftshift, "ifftshift": transforms.ifftshift}
_cosine_pair("dct")
_cosine_pair("dst")

__getattr__, __dir__ = names("fft", OURS, globals())
