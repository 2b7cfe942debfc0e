"""`cupy.ndarray` on NumPy's memory: the same methods, the same refusals."""

from typing import Any

import numpy as np

from . import signatures
from .machine import machine

Array = Any
PLAIN = ("shape", "dtype", "ndim", "size", "nbytes", "strides", "itemsize", "flags")
VIEWS = ("reshape", "ravel", "swapaxes", "squeeze", "transpose", "diagonal", "view")
REDUCTIONS = ("sum", "prod", "max", "min", "mean", "var", "std", "all", "any", "argmax", "argmin", "ptp")
OTHERS = (
    "argsort argpartition choose clip compress conj conjugate cumprod cumsum dot flatten "
    "repeat round searchsorted take trace"
).split()
MASKED = ("compress",)  # as long as their data say: CuPy has to wait for it


class Pinned(np.ndarray):
    """Host memory that the device reads by itself: what `cupyx.empty_pinned` gives."""


class Pointer:
    """`ndarray.data`: the address, of host memory here."""

    __slots__ = ("device_id", "mem", "ptr")

    def __init__(self, owner: "ndarray") -> None:
        self.ptr = owner._a.__array_interface__["data"][0]
        self.mem, self.device_id = owner, owner._device


class ndarray:
    """A device array. What CuPy would do on the device or wait for is counted; what it refuses is refused."""

    __slots__ = ("__weakref__", "_a", "_base", "_device")
    _a: Any
    _base: "ndarray | None"
    _device: int
    shape: tuple[int, ...]
    dtype: Any
    ndim: int
    size: int
    flags: Any
    __module__ = "cupy"
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float, order: str = "C") -> None:
        a = np.empty(shape, dtype, order)  # type: ignore[call-overload]
        machine.allocate(a.nbytes)
        if a.size:  # what nobody wrote is NaN, or -1
            a.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
        machine.keep(a)
        self._a, self._base, self._device = a, None, machine.device

    # ------------------------------------------------------------------ what it is
    @property
    def data(self) -> Pointer:
        return Pointer(self)

    @property
    def device(self) -> Any:
        return machine.library.cuda.Device(self._device)

    @property
    def base(self) -> Any:
        return self._base

    @property
    def T(self) -> "ndarray":
        return view(self._a.T, self)

    @property
    def mT(self) -> "ndarray":
        return view(self._a.mT, self)

    @property
    def real(self) -> "ndarray":
        return view(self._a.real, self) if self._a.dtype.kind == "c" else self

    @property
    def imag(self) -> "ndarray":
        return wrap(self._a.imag, self)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        found = dict(self._a.__array_interface__)
        return {**found, "version": 3, "stream": 1}

    def __len__(self) -> int:
        return len(self._a)

    # ------------------------------------------------------------------ the way to the host
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        machine.from_device("get")
        if out is not None:
            out[...] = self._a
            return out
        return np.array(self._a, order=order)  # type: ignore[arg-type]

    def set(self, values: np.ndarray, stream: Any = None) -> None:
        if stream is not None and stream.ptr and isinstance(values, Pinned):
            machine.upload(stream, lambda: self._a.__setitem__(..., values))
            return
        machine.to_device("set")
        self._a[...] = values

    def item(self, *index: int) -> Any:
        machine.from_device("item")
        return self._a.item(*index)

    def tolist(self) -> Any:
        machine.from_device("tolist")
        return self._a.tolist()

    def __float__(self) -> float:
        machine.from_device("float()")
        return float(self._a)

    def __int__(self) -> int:
        machine.from_device("int()")
        return int(self._a)

    def __complex__(self) -> complex:
        machine.from_device("complex()")
        return complex(self._a)

    def __bool__(self) -> bool:
        machine.from_device("bool()")
        return bool(self._a)

    def __repr__(self) -> str:
        machine.from_device("repr")
        return repr(self._a)

    def __str__(self) -> str:
        machine.from_device("str")
        return str(self._a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self._a)))

    # ------------------------------------------------------------------ NumPy's protocols
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        mine = getattr(machine.library, ufunc.__name__, None)
        if mine is None:
            return NotImplemented
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"] = out[0] if len(out) == 1 else out
        return (mine if method == "__call__" else getattr(mine, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        module: Any = machine.library
        for part in function.__module__.split(".")[1:]:
            module = getattr(module, part, None)
        mine = getattr(module, function.__name__, None)
        return NotImplemented if mine is None else mine(*args, **kwargs)

    # ------------------------------------------------------------------ indexing
    def __getitem__(self, index: Any) -> "ndarray":
        if _has_mask(index):
            machine.sync("boolean mask")
        own, raw = usable(self), _raw_index(index)
        return wrap(machine.run(lambda: np.asarray(own[raw]), counts=False), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (np.ndarray, list, tuple)):
            raise TypeError(f"Unsupported type {type(value)}: a host array is not assigned to a device array")
        raw, new = _raw_index(index), usable(value)
        if np.ndim(new) and _has_mask(index):
            machine.sync("boolean mask with an array")
        with np.errstate(all="ignore"):
            machine.run(lambda: self._a.__setitem__(raw, new))
            if np.ndim(new) and names_twice(self._a, raw):
                want = np.broadcast_to(np.asarray(new), self._a[raw].shape).astype(self.dtype)
                if not np.array_equal(self._a[raw], want, equal_nan=want.dtype.kind in "fc"):
                    raise RuntimeError("of several values for one place, CuPy may store any")

    # ------------------------------------------------------------------ methods
    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True):
        if not copy and self._a.dtype == dtype and order in "KA":
            return self
        own = usable(self)
        with np.errstate(all="ignore"):
            return wrap(machine.run(lambda: own.astype(dtype, order=order)))

    def copy(self, order: str = "C") -> "ndarray":
        own = usable(self)
        return wrap(machine.run(lambda: own.copy(order)))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.copy()

    def fill(self, value: Any) -> None:
        raw = usable(value)
        machine.run(lambda: self._a.fill(raw))

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        machine.run(lambda: self._a.sort(axis))

    def put(self, indices: Any, values: Any, mode: str = "wrap") -> None:
        places, raw = usable(indices), usable(values)
        machine.run(lambda: self._a.put(places, raw, mode="wrap"))

    def nonzero(self) -> tuple["ndarray", ...]:
        machine.sync("nonzero")
        return tuple(map(wrap, self._a.nonzero()))

    def scatter_add(self, index: Any, value: Any) -> None:
        machine.library.add.at(self, index, value)

    __hash__ = None  # type: ignore[assignment]


def _forwarded(name: str, is_view: bool) -> Any:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        signatures.check(signatures.METHODS, name, args, kwargs)
        if name in MASKED:
            machine.sync(name)
        out = kwargs.pop("out", None)
        own, raw, named = usable(self), [*map(usable, args)], {k: usable(v) for k, v in kwargs.items()}

        def work() -> Any:
            with np.errstate(all="ignore"):
                found = np.asarray(getattr(own, name)(*raw, **named))
            if out is None:
                return found
            out._a[...] = found
            return None

        found = machine.run(work, counts=not is_view)
        return wrap(found, self) if out is None else out

    method.__name__ = name
    return method


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self._a, name))


for _name in PLAIN:
    setattr(ndarray, _name, _attribute(_name))
for _name in VIEWS:
    setattr(ndarray, _name, _forwarded(_name, True))
for _name in (*REDUCTIONS, *OTHERS):
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _forwarded(_name, False))

_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "matmul": "matmul", "mod": "remainder", "floordiv": "floor_divide", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARE = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


def _operator(name: str, how: str) -> Any:
    def method(self: ndarray, *other: Any) -> Any:
        if other and getattr(type(other[0]), "__array_ufunc__", ...) is None:
            return NotImplemented
        if other and not known(other[0]):
            return NotImplemented
        function = getattr(machine.library, name)
        if how == "in place":
            return function(self, *other, out=self)
        return function(*other, self) if how == "reflected" else function(self, *other)

    return method


def bind_operators() -> None:
    for short, name in _BINARY.items():
        setattr(ndarray, f"__{short}__", _operator(name, ""))
        setattr(ndarray, f"__r{short}__", _operator(name, "reflected"))
        if short != "matmul":
            setattr(ndarray, f"__i{short}__", _operator(name, "in place"))
    for short, name in {**_COMPARE, **_UNARY}.items():
        setattr(ndarray, f"__{short}__", _operator(name, ""))


# ------------------------------------------------------------------ between the two kinds of array
def known(x: Any) -> bool:
    """Whether an operator of CuPy takes x, or leaves it to x's own operator."""
    return isinstance(x, (ndarray, np.ndarray, np.generic, int, float, complex, list, tuple)) or x is None


def view(a: np.ndarray, parent: ndarray) -> ndarray:
    out = object.__new__(ndarray)
    out._a, out._device = a, parent._device
    out._base = parent if parent._base is None else parent._base
    return out


def wrap(a: Any, *parents: Any) -> Any:
    """What NumPy gave, on the device: a view of the parent whose memory it has, else new memory."""
    if isinstance(a, tuple):
        return (
            type(a)(*[wrap(i, *parents) for i in a])
            if hasattr(a, "_fields")
            else tuple([wrap(i, *parents) for i in a])
        )
    if isinstance(a, list):
        return [wrap(i, *parents) for i in a]
    if not isinstance(a, (np.ndarray, np.generic)):
        return a
    a = np.asarray(a)
    for parent in parents:
        if isinstance(parent, ndarray) and a.size and np.may_share_memory(a, parent._a):
            return view(a, parent)
    machine.allocate(a.nbytes)
    out = object.__new__(ndarray)
    out._a, out._base, out._device = a, None, machine.device
    return out


def usable(x: Any) -> Any:
    """An argument as NumPy gets it. Raises for what CuPy does not take."""
    if isinstance(x, ndarray):
        if x._device != machine.device:
            raise ValueError(
                f"The device where the array resides ({x._device}) is different from the current device "
                f"({machine.device})."
            )
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)) and any(isinstance(i, (ndarray, np.ndarray)) for i in x):
        return type(x)(map(usable, x))
    return x


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(_kind(i) == "b" and getattr(i, "ndim", 0) for i in parts)


def _raw_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_raw_index, index))
    if isinstance(index, ndarray):
        return usable(index)
    if isinstance(index, (list, np.ndarray)):
        machine.to_device("index from the host")
    return index


def _kind(x: Any) -> str:
    return getattr(getattr(x, "dtype", None), "kind", "")


def names_twice(a: np.ndarray, index: Any) -> bool:
    """Whether an index names a place of a more than once."""
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(i, (np.ndarray, list)) and _kind(i) != "b" for i in parts):
        return False
    places = np.arange(a.size).reshape(a.shape)[index].ravel()
    return len(np.unique(places)) != len(places)
