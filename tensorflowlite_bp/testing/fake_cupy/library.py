"""The modules `cupy`, `cupy.cuda`, `cupy.linalg`, ...: NumPy's functions with CuPy's rules around them."""

import functools
import importlib
import types
from typing import Any

import numpy as np

from . import array, signatures
from .array import ndarray, usable, wrap
from .machine import CaptureError, OutOfMemoryError, machine
from .names import ATOMIC, CREATION, CUBLAS, FFT, HOST, LACKS, LINALG, MANY, SPECIAL, UFUNCS, WAITS


class ufunc:
    """An elementwise function. CuPy's `reduce` and its kin know sums and products only."""

    __module__ = "cupy"

    def __init__(self, function: np.ufunc) -> None:
        self._of, self.__name__ = function, function.__name__
        self.nin, self.nout, self.nargs = function.nin, function.nout, function.nargs

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.__name__}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, (list, tuple)) or a is None for a in args[: self.nin]):
            raise TypeError(f"Unsupported type in the arguments of {self.__name__}: {list(map(type, args))}")
        return call(self.__name__, self._of, args, kwargs)

    def _sums(self, what: str) -> None:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.__name__}.{what}` is not supported yet")

    def reduce(
        self, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        self._sums("reduce")
        return call(self.__name__, self._of.reduce, (a, axis, dtype, out, keepdims), {})

    def accumulate(self, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        self._sums("accumulate")
        return call(self.__name__, self._of.accumulate, (a, axis, dtype, out), {})

    def reduceat(self, a: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ != "add":
            raise NotImplementedError(f"`{self.__name__}.reduceat` is not supported yet")
        return call(self.__name__, self._of.reduceat, (a, indices, axis, dtype, out), {})

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """Atomic on a device: of floats, repeated indices add up in any order, which is refused here."""
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.__name__}.at` is not supported yet")
        raw = array._raw_index(indices)
        sums = self.__name__ in ("add", "subtract")
        if sums and a.dtype.kind in "fc" and array.names_twice(a._a, raw):
            raise RuntimeError(f"the order in which {self.__name__}.at takes floats is undefined in CuPy")
        if a.dtype.name not in ATOMIC and not (sums and a.dtype.kind == "c"):
            raise TypeError(f"{self.__name__}.at does not support {a.dtype}")
        to, value = usable(a), usable(b)
        machine.run(lambda: self._of.at(to, raw, value))

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        return call(self.__name__, self._of.outer, (a, b), kwargs)


def call(name: str, function: Any, args: Any, kwargs: Any) -> Any:
    """One function on the pretended device: arguments checked, work counted, results wrapped."""
    if name in WAITS:
        machine.sync(name)
    if name in CUBLAS and machine.capturing:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    arrays = [a for a in [*args, *kwargs.values()] if isinstance(a, ndarray)]
    parts = [b for a in args if isinstance(a, (list, tuple)) for b in a if isinstance(b, ndarray)]
    raw = [usable(a) for a in args]
    out = kwargs.get("out")
    named = {k: usable(v) for k, v in kwargs.items()}

    def work() -> Any:
        with np.errstate(all="ignore"):
            return function(*raw, **named)

    found = machine.run(work)
    return out if out is not None else wrap(found, *arrays, *parts)


def _function(name: str, function: Any, table: dict[str, list[str]] = signatures.FUNCTIONS) -> Any:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        signatures.check(table, name, args, kwargs)
        if args and isinstance(args[0], list) and name not in MANY and name not in CREATION:
            raise TypeError(f"cupy.{name} takes device arrays, not lists")
        if name not in CREATION and name not in HOST and not _touches(args, kwargs):
            raise TypeError(f"cupy.{name} takes device arrays. Received: {list(map(type, args))}")
        if name in HOST:
            kinds = [
                a.dtype if isinstance(a, ndarray) and name not in ("ndim", "shape", "size") else a
                for a in args
            ]
            return function(*[k._a if isinstance(k, ndarray) else k for k in kinds], **kwargs)
        return call(name, function, args, kwargs)

    return run


def _touches(args: Any, kwargs: Any) -> bool:
    for a in (*args, *kwargs.values()):
        if isinstance(a, (list, tuple)) and any(isinstance(b, ndarray) for b in a):
            return True
        if isinstance(a, ndarray):
            return True
    return False


class Library(types.ModuleType):
    """A module whose attributes are made from another's when first asked for, if it has them."""

    def __init__(self, name: str, source: Any, has: Any) -> None:
        super().__init__(name)
        self.__dict__["_source"], self.__dict__["_has"] = source, has

    def __getattr__(self, name: str) -> Any:
        if isinstance(self._source, str):  # SciPy's, imported by the first who asks
            self.__dict__["_source"] = importlib.import_module(self._source)
        if name.startswith("_") or not self._has(name) or not hasattr(self._source, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(self._source, name)
        if isinstance(found, np.ufunc):
            known = found.__name__ in UFUNCS or self._source is not np
            if not known:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            found = ufunc(found)
        elif callable(found) and not isinstance(found, type):
            found = _function(name, found, signatures.MODULES.get(self.__name__, {}))
        setattr(self, name, found)
        return found


def _of_matrices(name: str) -> Any:
    """A function of one matrix that reads its status, or a norm, from the device."""

    def run(a: Any, *args: Any, **kwargs: Any) -> Any:
        if a.ndim != 2:
            raise np.linalg.LinAlgError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")
        machine.sync(name)
        return call(name, getattr(importlib.import_module("scipy.linalg"), name), (a, *args), kwargs)

    return run


def _cosines(name: str) -> Any:
    def run(x: Any, type: int = 2, *args: Any, **kwargs: Any) -> Any:
        if type not in (2, 3):
            raise NotImplementedError("Only DCT-II and DCT-III have been implemented.")
        return call(name, getattr(importlib.import_module("scipy.fft"), name), (x, type, *args), kwargs)

    return run


# ------------------------------------------------------------------ devices and streams
class Device:
    """`cupy.cuda.Device`."""

    def __init__(self, device: Any = None) -> None:
        self.id = machine.device if device is None else int(getattr(device, "id", device))
        self.attributes = {"MultiProcessorCount": 2, "ComputeCapabilityMajor": 9}

    def __enter__(self) -> "Device":
        self._before, machine.device = machine.device, self.id
        return self

    def __exit__(self, *_: Any) -> None:
        machine.device = self._before

    def use(self) -> None:
        machine.device = self.id

    def synchronize(self) -> None:
        machine.sync("Device.synchronize")

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Graph:
    """What a capture gives: `nodes` launches, which `launch` makes again on the same memory. The stand-in,
    unlike a device, has also done once what it has captured.
    """

    def __init__(self) -> None:
        self.nodes = 0
        self.work: list[Any] = []
        self.memory: list[Any] = []

    def launch(self, stream: Any = None) -> None:
        for again in self.work:
            again()


class Stream:
    """`cupy.cuda.Stream`."""

    null: "Stream"

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.ptr = 0 if null else id(self)
        self.captured: Graph | None = None
        self.pending: list[Any] = []  # copies on their way
        self.made = 0  # how many were made

    def __enter__(self) -> "Stream":
        self._before, machine.stream = machine.stream, self
        return self

    def __exit__(self, *_: Any) -> None:
        machine.stream = self._before

    def finish(self, count: int) -> None:
        """Make the copies that are due, up to the one of that number."""
        while self.made < count:
            self.pending.pop(0)()
            self.made += 1

    def synchronize(self) -> None:
        machine.sync("Stream.synchronize")
        self.finish(self.made + len(self.pending))

    def record(self, event: Any = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Kernels are done at once here, copies when waited for."""
        event.finish()

    def begin_capture(self, mode: Any = None) -> None:
        if not self.ptr:
            raise CaptureError("the default stream cannot be captured")
        self.captured = Graph()

    def end_capture(self) -> Graph:
        made, self.captured = self.captured, None
        return made or Graph()

    def is_capturing(self) -> bool:
        return self.captured is not None


Stream.null = Stream(null=True)


class Event:
    """`cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self._stream, self._count = Stream.null, 0

    def record(self, stream: Any = None) -> None:
        self._stream = stream or machine.stream or Stream.null
        self._count = self._stream.made + len(self._stream.pending)

    @property
    def done(self) -> bool:
        return self._stream.made >= self._count

    def finish(self) -> None:
        self._stream.finish(self._count)

    def synchronize(self) -> None:
        machine.sync("Event.synchronize")
        self.finish()


class Kernels:
    """A module of kernels, whose launches are counted. `ran` names the kernels."""

    __name__ = "tensorflowlite_bp._native_cuda"

    def __init__(self, module: Any) -> None:
        self._module = module
        self._names = [name for name, _ in module.kernels()]
        self.ran: set[str] = set()
        machine.kernels = self.ran

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def launch(self, index: int, *args: Any) -> None:
        machine.run(lambda: self._module.launch(index, *args))
        self.ran.add(self._names[index])


# ------------------------------------------------------------------ the modules
def _asarray(data: Any, dtype: Any = None, order: Any = None, *, copy: bool = False) -> Any:
    if isinstance(data, ndarray):
        if data._device != machine.device:
            with Device(data._device):
                data = wrap(data._a.copy())
            data._device = machine.device
        same = dtype is None or data.dtype == dtype
        return data.copy() if same and copy else data if same else data.astype(dtype)
    if isinstance(data, (list, tuple)) and any(isinstance(i, ndarray) for i in data):
        return library().stack(list(data))
    machine.to_device("asarray")
    return wrap(np.array(data, dtype))


def _made(name: str) -> Any:
    """zeros, ones, full: kernels that write a number, no copy from the host."""
    function = getattr(np, name)

    def make(shape: Any, *args: Any, **kwargs: Any) -> Any:
        raw, named = [*map(usable, args)], {k: usable(v) for k, v in kwargs.items()}
        return wrap(machine.run(lambda: function(shape, *raw, **named)))

    return make


def _empty_like(
    a: ndarray, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    return ndarray(a.shape if shape is None else shape, dtype or a.dtype)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        machine.sync("where")
        return tuple(map(wrap, np.nonzero(usable(condition))))
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    if any(isinstance(i, (list, tuple)) for i in (x, y)):
        raise TypeError("Unsupported type <class 'list'>")
    return call("where", np.where, (condition, x, y), {})


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, ndarray):
        machine.from_device("repeat")
    return call("repeat", np.repeat, (a, repeats._a if isinstance(repeats, ndarray) else repeats, axis), {})


def _asnumpy(a: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


@functools.cache
def library() -> Any:
    """The module `cupy`."""
    cupy: Any = Library("cupy", np, lambda name: name not in LACKS)
    cupy.__version__ = "14.2.0"
    cupy.__path__ = []
    cupy.ndarray, cupy.ufunc = ndarray, ufunc
    cupy.asarray, cupy.array, cupy.ascontiguousarray = (
        _asarray,
        functools.partial(_asarray, copy=True),
        _dense,
    )
    cupy.asnumpy, cupy.where, cupy.repeat = _asnumpy, _where, _repeat
    cupy.empty, cupy.empty_like = ndarray, _empty_like
    for name in ("zeros", "ones", "full"):
        setattr(cupy, name, _made(name))
    cupy.is_available = lambda: True
    cupy.get_array_module = lambda *args: cupy if any(isinstance(a, ndarray) for a in args) else np
    cupy.may_share_memory = lambda a, b, max_work=None: np.may_share_memory(a._a, b._a)
    cupy.shares_memory = lambda a, b, max_work=None: np.shares_memory(a._a, b._a)
    for name in ("i0", "sinc"):
        setattr(cupy, name, _function(name, getattr(np, name)))
    linalg: Any = Library("cupy.linalg", np.linalg, LINALG.__contains__)
    linalg.LinAlgError = np.linalg.LinAlgError
    cupy.linalg = linalg
    cupy.fft = Library("cupy.fft", np.fft, FFT.__contains__)
    lib: Any = types.ModuleType("cupy.lib")
    lib.stride_tricks = Library(
        "cupy.lib.stride_tricks", np.lib.stride_tricks, ("as_strided", "sliding_window_view").__contains__
    )
    cupy.lib = lib
    cuda: Any = types.ModuleType("cupy.cuda")
    cuda.Device, cuda.Stream, cuda.Event, cuda.Graph = Device, Stream, Event, Graph
    cuda.get_current_stream = lambda: machine.stream or Stream.null
    cuda.is_available = lambda: True
    memory: Any = types.ModuleType("cupy.cuda.memory")
    cuda.memory = memory
    memory.OutOfMemoryError = OutOfMemoryError
    cuda.runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 2, driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13020
    )
    cupy.cuda = cuda
    machine.library = cupy
    return cupy


def _dense(a: Any, dtype: Any = None) -> Any:
    a = _asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy()


def modules() -> dict[str, Any]:
    """What `import` finds while the stand-in is installed."""
    cupy = library()
    cupyx: Any = types.ModuleType("cupyx")
    cupyx.empty_pinned = lambda shape, dtype=float: np.empty(shape, dtype).view(array.Pinned)
    scipy: Any = types.ModuleType("cupyx.scipy")
    cupyx.scipy = scipy
    for name in ("special", "linalg", "fft", "signal"):
        whole = f"cupyx.scipy.{name}"
        has = SPECIAL if name == "special" else signatures.MODULES[whole]
        setattr(scipy, name, Library(whole, f"scipy.{name}", has.__contains__))
    for name in ("lu", "lu_factor", "expm"):
        setattr(scipy.linalg, name, _of_matrices(name))
    for name in ("dct", "dst", "idct", "idst"):
        setattr(scipy.fft, name, _cosines(name))
    return {
        "cupyx": cupyx, "cupyx.scipy": cupyx.scipy, "cupyx.scipy.special": scipy.special,
        "cupyx.scipy.linalg": scipy.linalg, "cupyx.scipy.fft": scipy.fft, "cupyx.scipy.signal": scipy.signal,
        "cupy": cupy, "cupy.cuda": cupy.cuda, "cupy.linalg": cupy.linalg, "cupy.fft": cupy.fft,
        "cupy.lib": cupy.lib, "cupy.lib.stride_tricks": cupy.lib.stride_tricks,
        "cupy.cuda.memory": cupy.cuda.memory,
    }  # fmt: skip


array.bind_operators()
