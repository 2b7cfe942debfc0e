"""The operators of Tensor; they and the methods (array_methods.py) are bound here, at import.

A binary operator with a Tensor on both sides is the hot path: one isinstance, one call.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.record import apply1, apply2, lift
from ..autograd.tensor import Tensor
from ..backend.batched import Batched
from . import array_methods, bits, floating, inplace, linalg
from . import elementwise as e

_NUMBERS = (int, float, complex, bool, np.generic, np.ndarray, list, tuple, Batched)


def _operator(function: Callable) -> tuple[Callable, Callable]:
    """`x op y` and its reflection."""
    op = function.op  # type: ignore[attr-defined]

    def forward(self: Tensor, other: Any) -> Tensor:
        if isinstance(other, Tensor):
            return apply2(op, self, other)
        if isinstance(other, _NUMBERS) or hasattr(other, "__cuda_array_interface__"):
            return apply2(op, self, lift(other, self))
        return NotImplemented

    def reflected(self: Tensor, other: Any) -> Tensor:
        if isinstance(other, _NUMBERS) or hasattr(other, "__cuda_array_interface__"):
            return apply2(op, lift(other, self), self)
        return NotImplemented

    return forward, reflected


def _plain(function: Callable) -> tuple[Callable, Callable]:
    """The same for functions that are not one op (comparisons, matmul)."""

    def forward(self: Tensor, other: Any) -> Any:
        return (
            function(self, other)
            if isinstance(other, (Tensor, *_NUMBERS)) or hasattr(other, "__array__")
            else NotImplemented
        )

    def reflected(self: Tensor, other: Any) -> Any:
        return (
            function(other, self)
            if isinstance(other, _NUMBERS) or hasattr(other, "__array__")
            else NotImplemented
        )

    return forward, reflected


_SHORTCUTS = {2: e.square, 1: e.positive, 0.5: e.sqrt, -1: e.reciprocal}


def _pow(self: Tensor, other: Any) -> Tensor:
    if type(other) in (int, float) and other in _SHORTCUTS and self.data.dtype.kind in "fc":
        return _SHORTCUTS[other](self)
    return _power(self, other)


_power, _rpow = _operator(e.power)

for _name, _function in {
    "add": e.add,
    "sub": e.subtract,
    "mul": e.multiply,
    "truediv": e.divide,
    "mod": e.remainder,
}.items():
    _forward, _reflected = _operator(_function)
    setattr(Tensor, f"__{_name}__", _forward)
    setattr(Tensor, f"__r{_name}__", _reflected)
for _name, _function in {
    "matmul": linalg.matmul, "floordiv": e.floor_divide, "divmod": floating.divmod,
}.items():  # fmt: skip
    _forward, _reflected = _plain(_function)
    setattr(Tensor, f"__{_name}__", _forward)
    setattr(Tensor, f"__r{_name}__", _reflected)
for _name, _function in {
    "eq": e.equal, "ne": e.not_equal, "lt": e.less, "le": e.less_equal, "gt": e.greater, "ge":
    e.greater_equal,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", _plain(_function)[0])
Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]  # __eq__ compares elements; identity hashes, as torch's


def _bitwise(name: str) -> tuple[Callable, Callable]:
    method, reflected = f"__{name}__", f"__r{name}__"

    def forward(self: Tensor, other: Any) -> Any:
        out = getattr(self.data, method)(other.data if isinstance(other, Tensor) else other)
        return out if out is NotImplemented else lift(out)

    def backward(self: Tensor, other: Any) -> Any:
        out = getattr(self.data, reflected)(other)
        return out if out is NotImplemented else lift(out)

    return forward, backward


for _name in ("and", "or", "xor", "lshift", "rshift"):
    _forward, _reflected = _bitwise(_name)
    setattr(Tensor, f"__{_name}__", _forward)
    setattr(Tensor, f"__r{_name}__", _reflected)


# ------------------------------------------------------------------ writing in place
for _name, (_function, _ufunc) in {
    "iadd": (e.add, "add"), "isub": (e.subtract, "subtract"), "imul": (e.multiply, "multiply"),
    "itruediv": (e.divide, "divide"), "ipow": (e.power, "power"), "imod": (e.remainder, "remainder"),
    "ifloordiv": (e.floor_divide, None), "imatmul": (linalg.matmul, "matmul"),
    "iand": (bits.bitwise_and, "bitwise_and"), "ior": (bits.bitwise_or, "bitwise_or"),
    "ixor": (bits.bitwise_xor, "bitwise_xor"), "ilshift": (bits.left_shift, "left_shift"),
    "irshift": (bits.right_shift, "right_shift"),
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", inplace.operator(_function, _ufunc))


# ------------------------------------------------------------------ the rest
def _iter(self: Tensor) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d Tensor")
    return (self[k] for k in range(self.data.shape[0]))


def _float_or_int(self: Tensor, ndigits: int | None = None) -> Any:
    return round(self.data.item(), ndigits)


METHODS: dict[str, Callable] = {
    "__neg__": lambda self: apply1(e.negative.op, self),  # type: ignore[attr-defined]
    "__pos__": e.positive,
    "__abs__": e.absolute,
    "__invert__": lambda self: lift(~self.data),
    "__pow__": _pow,
    "__rpow__": _rpow,
    "__round__": _float_or_int,
    "__iter__": _iter,
    "__getitem__": inplace.getitem,
    "__setitem__": inplace.setitem,
}
for _name, _function in (METHODS | array_methods.METHODS).items():
    # a plain function as class attribute binds; the wrapper's name and documentation stay the op's
    setattr(Tensor, _name, _function)
for _name, _property in array_methods.PROPERTIES.items():
    setattr(Tensor, _name, _property)
