"""CuPy's modules of functions. What they lack is computed on the host, by NumPy or SciPy, and says so."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._typing import Array
from ..errors import HostFallbackWarning, message
from . import numpy_backend


class Namespace:
    """`module` of CuPy's, with `host`, a module of NumPy's or SciPy's, behind it."""

    def __init__(self, xp: Any, module: str, host: str) -> None:
        self._xp, self._module, self._host = xp, module, host

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(self._module), name, None)
        if found is None:
            found = self.on_host(name)
        setattr(self, name, found)
        return found

    def on_host(self, name: str) -> Callable:
        """The host's function on copies: it waits for the device, which a stream that is captured refuses.
        Warns at its first call.
        """
        library, _, path = self._host.partition(".")
        module = numpy_backend.scipy(path) if library == "scipy" else getattr(np, path)
        function = getattr(module, name)
        xp, told = self._xp, False

        def to_host(a: Any) -> Any:
            return a.get() if isinstance(a, xp.ndarray) else a

        def to_device(a: Any) -> Any:
            if isinstance(a, tuple):
                parts = map(to_device, a)
                return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
            return xp.asarray(a) if isinstance(a, (np.ndarray, np.generic)) else a

        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal told
            if not told:
                told = True
                warnings.warn(_said(self._module, self._host, name), HostFallbackWarning, stacklevel=2)
            return to_device(function(*map(to_host, args), **{k: to_host(v) for k, v in kwargs.items()}))

        return run


def _said(module: str, host: str, name: str) -> str:
    return message(
        f"{host.rpartition('.')[2]}.{name}",
        f"{module} has no such function: it is computed on the host, with a copy there and back.",
        hint="said once; errors.HostFallbackWarning is the category to filter.",
    )


class Linalg(Namespace):
    """`cupy.linalg`, with NumPy 2's parameters where CuPy has NumPy 1's."""

    def svdvals(self, x: Array) -> Array:
        return self.svd(x, full_matrices=False, compute_uv=False)

    def _sizes(self, x: Array, hermitian: bool) -> Array:
        """The singular values, rising or falling."""
        return self._xp.absolute(self.eigvalsh(x)) if hermitian else self.svdvals(x)

    def matrix_rank(self, x: Array, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
        xp = self._xp
        if x.ndim < 2:
            return (x != 0).any().astype(np.int64)
        sizes = self._sizes(x, hermitian)
        if tol is None:
            share = max(x.shape[-2:]) * np.finfo(sizes.dtype).eps if rtol is None else rtol
            tol = sizes.max(axis=-1, keepdims=True) * share if sizes.size else 0.0
        elif getattr(tol, "ndim", 0):
            tol = tol[..., None]
        return xp.count_nonzero(sizes > tol, axis=-1)

    def pinv(self, x: Array, rtol: Any, hermitian: bool = False) -> Array:
        """By singular values, which `hermitian` would only find faster."""
        xp = self._xp
        if not x.size:
            return xp.empty(x.shape[:-2] + (x.shape[-1], x.shape[-2]), x.dtype)
        u, s, vh = self.svd(x.conj(), full_matrices=False)
        cut = s.max(axis=-1, keepdims=True) * (rtol[..., None] if getattr(rtol, "ndim", 0) else rtol)
        kept = s > cut
        inverse = xp.where(kept, 1 / xp.where(kept, s, 1), 0).astype(s.dtype)
        return xp.matmul(vh.swapaxes(-1, -2), inverse[..., None] * u.swapaxes(-1, -2))
