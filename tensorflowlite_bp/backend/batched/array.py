"""Batched: an array that stands for one sample and holds all of them, as `bp.vmap` hands it to a function.

Its shape, dtype and axes are those of one sample. In memory the samples lie along leading axes, one per
`Level` (one call of vmap) that the value differs in; nothing is repeated for levels that it does not differ
in. The classes go by how many levels surround an array (`env`), so that arrays of different depth, and plain
ones, differ in type: that is where the tape notices that one of them has to be brought in.
"""

import importlib
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..._typing import Array, Shape
from ...errors import message

_number = itertools.count().__next__
functions: Any = None  # library.py's, from the first Batched array on


class Level:
    """One call of vmap: how many samples it has, and whether they draw different random numbers."""

    __slots__ = ("number", "randomness", "size")

    def __init__(self, size: int, randomness: str = "different") -> None:
        self.size = size
        self.randomness = randomness
        self.number = _number()

    def __repr__(self) -> str:
        return f"<level {self.number} of {self.size} samples>"


Levels = tuple[Level, ...]
_by_number = operator.attrgetter("number")


def ordered(levels: Iterable[Level]) -> Levels:
    """Outer levels first."""
    return tuple(sorted(set(levels), key=_by_number))


class MappedValueError(TypeError, AttributeError):
    """A mapped value was asked for a number, or for memory, of its own. (An AttributeError, so that asking
    with hasattr is answered.)
    """


class Batched:
    """data: the samples, one leading axis for each of `levels`. env: all levels around it. base: NumPy's."""

    __slots__ = ("base", "data", "env", "levels")

    __array_priority__ = 500

    data: Array
    levels: Levels
    env: Levels
    base: Any

    # ------------------------------------------------------------------ what it is
    @property
    def shape(self) -> Shape:
        return self.data.shape[len(self.levels) :]

    @property
    def ndim(self) -> int:
        return self.data.ndim - len(self.levels)

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def itemsize(self) -> int:
        return self.data.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return self.data.strides[len(self.levels) :]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        per = " x ".join(str(level.size) for level in self.levels) or "1"
        return f"Batched({per} samples of shape {self.shape}, dtype={self.dtype})"

    # ------------------------------------------------------------------ what one sample cannot tell
    def _one_value(self, *_: Any, **__: Any) -> Any:
        raise MappedValueError(
            message(
                "vmap",
                "a mapped value has no single number or array: it stands for every sample at once.",
                received=repr(self),
                hint="choose with bp.where instead of `if`, keep to bp functions instead of float(), .item() "
                "or .numpy(), or loop over the samples.",
            )
        )

    __bool__ = __int__ = __float__ = __complex__ = __index__ = __contains__ = _one_value
    __array__ = __dlpack__ = __dlpack_device__ = item = tolist = tobytes = get = nonzero = _one_value
    flags = ctypes = __array_interface__ = __cuda_array_interface__ = property(_one_value)

    # ------------------------------------------------------------------ NumPy's functions on it
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if any(hasattr(type(x), "node") for x in inputs):
            return NotImplemented  # a Tensor: its turn
        found = functions.ufunc(ufunc, method, inputs, kwargs)
        if out is None or found is NotImplemented:
            return found
        write(out[0], found)
        return out[0]

    def __array_function__(self, func: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if any(hasattr(cls, "node") for cls in types):
            return NotImplemented
        return functions.function(func)(*args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return functions.getitem(self, index=index)

    def __setitem__(self, index: Any, value: Any) -> None:
        fresh = functions.setitem(self, value, index=index)
        write(self, fresh)

    # ------------------------------------------------------------------ NumPy's methods
    def reshape(self, *shape: Any, **_: Any) -> Any:
        return functions.reshape(self, shape=shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return functions.transpose(self, axes=axes or None)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Any:
        if not copy and self.dtype == dtype:
            return self
        return made(self.data.astype(dtype), self.levels, self.env)

    def copy(self) -> Any:
        return made(self.data.copy(), self.levels, self.env)

    def view(self, dtype: Any) -> Any:
        return viewing(self.data.view(dtype), self)

    def flatten(self) -> Any:
        return self.copy().reshape(-1)

    def ravel(self) -> Any:
        return self.reshape(-1)

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return functions.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        return viewing(self.data.real, self)

    @real.setter
    def real(self, value: Any) -> None:
        write(self.real, value)

    @property
    def imag(self) -> Any:
        return viewing(self.data.imag, self)

    @imag.setter
    def imag(self, value: Any) -> None:
        write(self.imag, value)


# ------------------------------------------------------------------ the classes
def _binary(function: Callable, reflected: bool = False) -> Callable:
    def method(self: Any, other: Any) -> Any:
        if hasattr(type(other), "node"):
            return NotImplemented
        return functions.ufunc(function, "__call__", (other, self) if reflected else (self, other), {})

    return method


for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "mod": np.remainder,
    "pow": np.power, "floordiv": np.floor_divide, "matmul": np.matmul, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}.items():  # fmt: skip
    setattr(Batched, f"__{_name}__", _binary(_function))
    setattr(Batched, f"__r{_name}__", _binary(_function, reflected=True))
for _name, _function in {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge":
    np.greater_equal,
}.items():  # fmt: skip
    setattr(Batched, f"__{_name}__", _binary(_function))
for _name, _function in {
    "neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert
}.items():  # fmt: skip
    setattr(Batched, f"__{_name}__", lambda self, f=_function: functions.ufunc(f, "__call__", (self,), {}))
Batched.__hash__ = object.__hash__  # type: ignore[method-assign]


def _method(name: str) -> Callable:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(functions, name)(self, *args, **kwargs)

    return method


for _name in (
    "sum mean max min prod any all argmax argmin cumsum cumprod var argsort squeeze swapaxes repeat take "
    "clip conjugate round dot"
).split():
    setattr(Batched, _name, _method(_name))
Batched.conj = Batched.conjugate  # type: ignore[attr-defined]

_CLASSES: list[type] = [Batched]


def _class(depth: int) -> type:
    importlib.import_module(".library", __package__)
    while len(_CLASSES) <= depth:
        _CLASSES.append(
            type(f"Batched{len(_CLASSES)}", (Batched,), {"__slots__": (), "__module__": __name__})
        )
    return _CLASSES[depth]


def made(data: Any, levels: Levels, env: Levels, base: Any = None) -> Batched:
    """A Batched around an array whose leading axes are those of `levels`."""
    n = len(env)
    out = object.__new__(_CLASSES[n] if n < len(_CLASSES) else _class(n))
    out.data = data if hasattr(data, "base") and not isinstance(data, np.generic) else np.asarray(data)
    out.levels = levels
    out.env = env
    out.base = base
    return out


def viewing(data: Any, x: Batched) -> Batched:
    """The result of a function of x alone; where it shares x's memory, its base says so."""
    out = made(data, x.levels, x.env)
    owner = out.data.base
    if owner is not None and (owner is x.data or owner is x.data.base):
        out.base = x if x.base is None else x.base
    return out


# ------------------------------------------------------------------ several of them
def scope(values: Iterable[Any]) -> tuple[Levels, Levels]:
    """(levels in which a function of these differs, levels around it)."""
    levels: Levels = ()
    env: Levels = ()
    for x in values:
        if isinstance(x, Batched):
            if x.levels != levels:
                levels = x.levels if not levels else levels if not x.levels else ordered(levels + x.levels)
            if x.env != env:
                env = x.env if not env else ordered(env + x.env)
    return levels, env


def env_of(x: Any) -> Levels:
    return x.env if isinstance(x, Batched) else ()


def aligned(x: Any, levels: Levels, ndim: int) -> Any:
    """x's memory with one axis per level (of length 1 where it does not differ) and `ndim` further axes."""
    if not isinstance(x, Batched):
        return x
    data, own = x.data, x.levels
    k = len(own)
    if not k or (own == levels and data.ndim == k + ndim):
        return data
    shape = data.shape
    front = tuple([level.size if level in own else 1 for level in levels])
    return data.reshape(front + (1,) * (ndim - data.ndim + k) + shape[k:])


def whole(x: Any, levels: Levels) -> Any:
    """x's memory with one full axis per level, repeated where it does not differ (a view)."""
    if isinstance(x, Batched) and x.levels == levels:
        return x.data
    data = aligned(x, levels, x.ndim)
    return np.broadcast_to(data, sizes(levels) + tuple(x.shape)) if levels else data


def sizes(levels: Levels) -> Shape:
    return tuple([level.size for level in levels])


def write(target: Any, value: Any) -> None:
    """target[...] = value in place."""
    levels, _ = scope((target, value))
    if not isinstance(target, Batched) or levels != target.levels:
        raise MappedValueError(
            message(
                "vmap",
                "a value that differs between samples cannot be written into an array that they share.",
                received=f"{value!r} into {target!r}",
                hint="make the array from a mapped one (bp.zeros_like(x)), or build it with bp.stack.",
            )
        )
    target.data[...] = aligned(value, levels, target.ndim)


def always(condition: Any) -> bool:
    """Whether a condition holds, for every sample: for choices between ways that are right for all."""
    condition = _values(condition)
    return bool(condition.data.all() if isinstance(condition, Batched) else condition)


def ever(condition: Any) -> bool:
    """Whether a condition holds, for any sample."""
    condition = _values(condition)
    return bool(condition.data.any() if isinstance(condition, Batched) else condition)


def at_hand(x: Any) -> bool:
    """Whether a value can be looked at for nothing: a device would have to be waited for."""
    if type(x) is np.ndarray:  # by far the most common, and every metric of every batch asks
        return True
    x = _values(x)
    while isinstance(x, Batched):
        x = x.data
    return type(x).__module__.partition(".")[0] != "cupy"


def _values(x: Any) -> Any:
    return x.data if hasattr(type(x), "node") else x  # a Tensor's


# ------------------------------------------------------------------ crossing a level
def enter(x: Any, level: Level) -> Batched:
    """(samples, ...) as one sample."""
    if not isinstance(x, Batched):
        return made(x, (level,), (level,))
    levels = ordered((*x.levels, level))
    k, place = len(x.levels), levels.index(level)
    data = x.data if k == place else np.moveaxis(x.data, k, place)
    return made(data, levels, ordered((*x.env, level)))


def leave(x: Any, level: Level) -> Any:
    """One sample as (samples, ...): the inverse and the transpose of `enter`."""
    inside = x.levels if isinstance(x, Batched) else ()
    if level not in inside:
        x = x if isinstance(x, Batched) else made(x, (), (level,))
        n = len(inside)
        data = np.broadcast_to(np.expand_dims(x.data, n), x.data.shape[:n] + (level.size,) + x.data.shape[n:])
    else:
        k, place = len(inside) - 1, inside.index(level)
        data = x.data if k == place else np.moveaxis(x.data, place, k)
    return _outside(x, data, level)


def spread(x: Any, level: Level) -> Batched:
    """The same value for all samples."""
    return (
        made(x, (), (level,))
        if not isinstance(x, Batched)
        else made(x.data, x.levels, ordered((*x.env, level)))
    )


def collapse(x: Any, level: Level) -> Any:
    """The sum over the samples: the transpose of `spread`."""
    inside = x.levels if isinstance(x, Batched) else ()
    x = x if isinstance(x, Batched) else made(x, (), (level,))
    if level not in inside:
        return _outside(x, x.data * x.dtype.type(level.size), level)
    return _outside(x, functions.lib(x).sum(x.data, axis=inside.index(level)), level)


def _outside(x: Batched, data: Any, level: Level) -> Any:
    env = tuple([e for e in x.env if e is not level])
    if env:
        return made(data, tuple([e for e in x.levels if e is not level]), env)
    return data if not isinstance(data, np.generic) else np.asarray(data)
