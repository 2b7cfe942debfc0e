"""The methods of numpy.ndarray on Tensors, with ndarray's own signatures.

What an op does without options goes straight to it; everything else is NumPy's function of that name, which
comes back to the table of `numpy/` with all its options.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.record import applyn, lift
from ..autograd.tensor import Tensor, wrap
from ..errors import DTypeError, message
from . import creation, floating, indexing, inplace, linalg, writes
from . import elementwise as e
from . import reductions as r
from . import shape as s

NOT_GIVEN = np._NoValue  # what NumPy's own signatures say


# ------------------------------------------------------------------ reductions
def _sum_like(function: Callable) -> Callable:
    """sum, prod: with dtype and initial."""
    op, numpys = function.op, getattr(np, function.__name__)  # type: ignore[attr-defined]

    def method(
        self: Tensor,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NOT_GIVEN,
        where: Any = True,
    ) -> Tensor:
        if dtype is None and out is None and initial is NOT_GIVEN and where is True:
            return applyn(op, (self,), {"axis": r.as_axes(axis), "keepdims": keepdims})
        return numpys(self, axis, dtype, out, keepdims, initial, where)

    return method


def _max_like(function: Callable) -> Callable:
    """max, min: with initial."""
    op, numpys = function.op, getattr(np, function.__name__)  # type: ignore[attr-defined]

    def method(
        self: Tensor,
        axis: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NOT_GIVEN,
        where: Any = True,
    ) -> Tensor:
        if out is None and initial is NOT_GIVEN and where is True:
            return applyn(op, (self,), {"axis": r.as_axes(axis), "keepdims": keepdims})
        return numpys(self, axis, out, keepdims, initial, where)

    return method


_MEAN = r.mean.op  # type: ignore[attr-defined]


def mean(
    self: Tensor,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = True,
) -> Tensor:
    """The mean over an axis, or several."""
    if dtype is None and out is None and where is True:
        return applyn(_MEAN, (self,), {"axis": r.as_axes(axis), "keepdims": keepdims})
    return np.mean(self, axis, dtype, out, keepdims, where=where)  # type: ignore[arg-type, return-value]


def _deviation(function: Callable, numpys: Callable) -> Callable:
    """var, std: ddof and correction are two names of one thing."""

    def method(
        self: Tensor,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: float = 0,
        keepdims: bool = False,
        *,
        where: Any = True,
        mean: Any = NOT_GIVEN,
        correction: Any = NOT_GIVEN,
    ) -> Tensor:
        if (
            dtype is None
            and out is None
            and where is True
            and mean is NOT_GIVEN
            and not (ddof and correction)
        ):
            ddof = ddof if correction is NOT_GIVEN else correction
            return function(self, axis, correction=ddof, keepdims=keepdims)
        return numpys(self, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)

    return method


def _any_like(function: Callable, numpys: Callable) -> Callable:
    """any, all."""

    def method(
        self: Tensor, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
    ) -> Tensor:
        if out is None and where is True:
            return function(self, axis, keepdims=keepdims)
        return numpys(self, axis, out, keepdims, where=where)

    return method


def _argmax_like(function: Callable, numpys: Callable) -> Callable:
    """argmax, argmin."""

    def method(self: Tensor, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Tensor:
        if out is None:
            return function(self, axis, keepdims=keepdims)
        return numpys(self, axis, out, keepdims=keepdims)

    return method


# ------------------------------------------------------------------ what NumPy's function of that name does
def _numpys(name: str) -> Callable:
    function = getattr(np, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__wrapped__ = function  # type: ignore[attr-defined]  # its signature and documentation
    method.__doc__ = f"numpy.{name}, as a method."
    return method


def take(self: Tensor, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Tensor:
    """Slices at integer indices along an axis (None: of the flattened array)."""
    if out is None and mode == "raise" and axis is not None and self.data.ndim:
        return indexing.take(self, indices, axis)
    return np.take(self, indices, axis, out, mode=mode)  # type: ignore[call-overload]


def put(self: Tensor, indices: Any, values: Any, mode: str = "raise") -> None:
    """self.flat[indices] = values, which are repeated, or cut, to as many as there are indices."""
    np.put(self, indices, values, mode)  # type: ignore[arg-type]


def compress(self: Tensor, condition: Any, axis: int | None = None, out: Any = None) -> Tensor:
    """The slices along an axis that a 1-D condition names."""
    return np.compress(condition, self, axis, out)  # type: ignore[call-overload]


def dot(self: Tensor, b: Any, out: Any = None) -> Tensor:
    """numpy.dot, as a method."""
    return linalg.dot(self, b) if out is None else np.dot(self, b, out)  # type: ignore[arg-type, return-value]


def clip(self: Tensor, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> Tensor:
    """Held within [min, max]."""
    if out is None and not options:
        return e.clip(self, min, max)
    return np.clip(self, min, max, out, **options)  # type: ignore[call-overload]


def round(self: Tensor, decimals: int = 0, out: Any = None) -> Tensor:
    """Rounded to so many places: a constant."""
    return e.round(self, decimals) if out is None else np.round(self, decimals, out)  # type: ignore[call-overload]


# ------------------------------------------------------------------ shape
def reshape(self: Tensor, *shape: Any, order: str = "C", copy: bool | None = None) -> Tensor:
    """The same elements in another shape, given as a tuple or as numbers."""
    given = shape[0] if len(shape) == 1 else shape
    if order == "C" and copy is None:
        return s.reshape(self, given)
    return np.reshape(self, given, order, copy=copy)  # type: ignore[call-overload]


def transpose(self: Tensor, *axes: Any) -> Tensor:
    """The axes in another order, given as a tuple or as numbers; in reverse without."""
    return s.transpose(self, (axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes) or None)


def ravel(self: Tensor, order: str = "C") -> Tensor:
    """One axis: a view where the memory allows it."""
    return s.ravel(self) if order == "C" else np.ravel(self, order)  # type: ignore[call-overload]


def flatten(self: Tensor, order: str = "C") -> Tensor:
    """One axis, in memory of its own."""
    return ravel(e.copy(self), order)


def copy(self: Tensor, order: str = "C") -> Tensor:
    """The same values in memory of their own."""
    return e.copy(self) if order == "C" else laid_out(e.copy(self), order)


def laid_out(x: Tensor, order: str) -> Tensor:
    """A fresh tensor with its memory in an order: no part of its history."""
    if order in "CF" and x.ndim > 1:
        x.data = x.data.copy(order)
    elif order not in ("C", "F", "A", "K"):
        raise ValueError(message("copy", "order must be K, A, C or F.", received=repr(order)))
    return x


# ------------------------------------------------------------------ dtype
def astype(
    self: Tensor, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
) -> Tensor:
    """Convert to a dtype. copy=False gives the tensor itself where nothing is to change."""
    if casting != "unsafe" and not np.can_cast(self.data.dtype, dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(
            message(
                "astype", f"the rule casting={casting!r} forbids it.", received=f"{self.dtype} to {dtype}"
            )
        )
    if not copy and self.data.dtype == dtype and order in ("K", "A"):
        return self
    return e.astype(self, dtype) if order == "K" else laid_out(e.astype(self, dtype), order)


def view(self: Tensor, dtype: Any = None, type: Any = None) -> Tensor:
    """The same memory: as it is, or its bytes read as another dtype. Of recording tensors only complex
    numbers as pairs of reals, and back.
    """
    if type is not None:
        raise TypeError(message("view", "a Tensor is of no other type.", received=repr(type)))
    if dtype is None or self.data.dtype == dtype:
        return inplace.getitem(self, ...)
    if self.node is None:
        return wrap(self.data.view(dtype))
    return floating.reinterpret(self, dtype)


def real(self: Tensor) -> Tensor:
    return e.real(self) if self.data.dtype.kind == "c" else self


def set_real(self: Tensor, value: Any) -> None:
    if self.data.dtype.kind != "c":
        self[...] = value
    else:
        _set_parts(self, lambda data: data.real, value, lambda v: (v, e.imag(self)))


def set_imag(self: Tensor, value: Any) -> None:
    if self.data.dtype.kind != "c":
        raise TypeError(message("imag", "a real tensor has no imaginary part to set."))
    _set_parts(self, lambda data: data.imag, value, lambda v: (e.real(self), v))


def _set_parts(self: Tensor, part: Callable, value: Any, parts: Callable) -> None:
    """Write one part of complex numbers; parts: both of them, from the value broadcast to a real one."""
    value = lift(value)
    if value.dtype.kind == "c":
        raise DTypeError(message("in-place", "a real value was expected.", received=str(value.dtype)))

    def raw_write(data: Any) -> None:
        part(data)[...] = value.data

    def result() -> Tensor:
        real, imag = parts(s.broadcast_to(e.astype(value, self.data.real.dtype), self.shape))
        return floating.reinterpret(s.stack([real, imag], -1), self.dtype)[..., 0]

    inplace.write(self, raw_write, result, value.node is not None)


# ------------------------------------------------------------------ leaving the graph
def tobytes(self: Tensor, order: str = "C") -> bytes:
    """The values as bytes."""
    return self._host().tobytes(order)  # type: ignore[arg-type]


def tofile(self: Tensor, fid: Any, sep: str = "", format: str = "%s") -> None:
    """The values into a file, as numpy.ndarray.tofile writes them."""
    self._host().tofile(fid, sep, format)


METHODS: dict[str, Callable] = {
    "sum": _sum_like(r.sum),
    "prod": _sum_like(r.prod),
    "max": _max_like(r.max),
    "min": _max_like(r.min),
    "mean": mean,
    "var": _deviation(r.var, np.var),
    "std": _deviation(r.std, np.std),
    "any": _any_like(r.any, np.any),
    "all": _any_like(r.all, np.all),
    "argmax": _argmax_like(r.argmax, np.argmax),
    "argmin": _argmax_like(r.argmin, np.argmin),
    **{
        name: _numpys(name)
        for name in (
            "cumsum cumprod argsort argpartition searchsorted nonzero choose repeat diagonal trace"
        ).split()
    },
    "take": take,
    "put": put,
    "compress": compress,
    "dot": dot,
    "clip": clip,
    "round": round,
    "conj": e.conjugate,
    "conjugate": e.conjugate,
    "fill": writes.fill,
    "sort": writes.sort,
    "partition": writes.partition,
    "reshape": reshape,
    "transpose": transpose,
    "swapaxes": s.swapaxes,
    "squeeze": s.squeeze,
    "ravel": ravel,
    "flatten": flatten,
    "copy": copy,
    "astype": astype,
    "view": view,
    "to": creation.to,
    "tobytes": tobytes,
    "tofile": tofile,
}

PROPERTIES = {
    "T": property(s.transpose, doc="The axes in reverse order."),
    "mT": property(s.matrix_transpose, doc="The last two axes exchanged."),
    "real": property(real, set_real, doc="The real part."),
    "imag": property(e.imag, set_imag, doc="The imaginary part."),
    "flat": property(
        writes.Flat, lambda self, values: writes.Flat(self).fill(values), doc="The elements in C order."
    ),
    "flags": property(lambda self: self.data.flags, doc="How the memory is laid out."),
}

# what ndarray has and a Tensor has not, and what to do instead
ABSENT = {
    "resize": "bp.numpy.resize gives a tensor of another size",
    "setflags": "t.numpy().setflags, before the array becomes a Tensor",
    "setfield": "t.real and t.imag can be assigned",
    "getfield": "t.view(dtype), t.real, t.imag",
    "byteswap": "t.numpy().byteswap()",
    "ctypes": "t.numpy().ctypes",
    "base": "t.numpy().base",
    "dump": "bp.saving; nothing here is pickled",
    "dumps": "bp.saving; nothing here is pickled",
    "ptp": "np.ptp(t)",
    "itemset": "t[index] = value",
    "newbyteorder": "t.view(dtype)",
}


def _absent(name: str, hint: str) -> property:
    """A property, not Tensor.__getattr__, which would cost every attribute of every Tensor 10 ns more."""

    def refuse(self: Tensor) -> Any:
        raise AttributeError(message(f"Tensor.{name}", "a Tensor has no such attribute.", hint=f"{hint}."))

    return property(refuse)


PROPERTIES |= {name: _absent(name, hint) for name, hint in ABSENT.items()}
