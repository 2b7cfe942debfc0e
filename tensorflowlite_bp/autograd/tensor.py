"""Tensor: a raw array and the node that made it. No mathematics here: `ops/methods.py` binds the operators
and methods.
"""

import dis
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from .._typing import Array
from ..backend.batched import Batched
from ..errors import DTypeError, GradientError, message
from .node import Leaf
from .op import graph, is_float

if TYPE_CHECKING:
    from .signatures import TensorMethods
else:
    TensorMethods = object

new = object.__new__


class Tensor(TensorMethods):
    """An array with NumPy's semantics that can record what is done to it.

    Make one with `bp.tensor` or `bp.asarray`. `data` is the raw array (NumPy's or CuPy's), `node` its place
    in the graph (None: a constant).

    >>> import tensorflowlite_bp as bp
    >>> x = bp.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "data", "node")

    data: Array
    node: Any

    __array_priority__ = 1000  # for libraries that still ask; NumPy itself uses __array_ufunc__

    def __init__(self, data: Any, *, requires_grad: bool = False) -> None:
        """Wrap without copying. Raises DTypeError when an integer array is to require grad."""
        self.data = data if type(data) is np.ndarray else to_array(data)
        self.node = None
        if requires_grad:
            self.requires_grad = True

    # ------------------------------------------------------------------ what it is
    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    @property
    def itemsize(self) -> int:
        return self.data.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return self.data.strides

    @property
    def device(self) -> str:
        """ "cpu", "cuda:0", ..."""
        return backend.of(self.data).device(self.data)

    def __len__(self) -> int:
        if not self.data.ndim:
            raise TypeError("len() of a 0-d Tensor")
        return self.data.shape[0]

    def __repr__(self) -> str:
        if isinstance(self.data, Batched):
            return f"Tensor({self.data!r})"
        text = np.array2string(self._host(), separator=", ", prefix="Tensor(")
        dtype = "" if self.data.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self.data.dtype}"
        device = "" if self.device == "cpu" else f", device={self.device!r}"
        grad = (
            ", requires_grad=True"
            if type(self.node) is Leaf
            else f", op={self.node.op.name}"
            if self.node is not None
            else ""
        )
        return f"Tensor({text}{dtype}{device}{grad})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self._host()[()], spec) if not self.data.ndim else format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __int__(self) -> int:
        if self.node is not None:
            _check_not_stored(self)
        return int(self.data)

    def __float__(self) -> float:
        if self.node is not None:
            _check_not_stored(self)
        return float(self.data)

    def __complex__(self) -> complex:
        if self.node is not None:
            _check_not_stored(self)
        return complex(self.data)

    def __index__(self) -> int:
        return self.data.__index__()

    def __contains__(self, value: Any) -> bool:
        return value in self.data

    __hash__ = object.__hash__  # type: ignore[assignment]

    # ------------------------------------------------------------------ leaving the tape
    def numpy(self) -> np.ndarray:
        """The values as a NumPy array, without the graph: the same memory on the CPU, a copy from a GPU."""
        return self._host()

    def _host(self) -> np.ndarray:
        return self.data if isinstance(self.data, np.ndarray) else self.data.get()

    def item(self, *index: int) -> Any:
        """The value as a Python number."""
        return self.data.item(*index)

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.data.tolist()

    def detach(self) -> "Tensor":
        """A constant with the same memory."""
        out = new(Tensor)
        out.data = self.data
        out.node = None
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = dtype is not None and np.dtype(dtype).kind in "biu"  # constants, as astype makes them
        if self.node is not None and not whole:
            raise TypeError(
                message(
                    "numpy.asarray",
                    "a recording Tensor is not turned into an array silently, its gradient would be lost.",
                    received=f"a Tensor of shape {self.shape}",
                    hint="use .numpy() (or .detach()) to leave the graph; bp.stack(...) makes a list of "
                    "Tensors one.",
                )
            )
        return np.array(self._host(), dtype=dtype, copy=copy)

    # ------------------------------------------------------------------ gradients
    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. Settable on leaves."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.node is not None and type(self.node) is not Leaf:
            if not value:
                raise GradientError(
                    message(
                        "requires_grad",
                        "only a leaf can be switched off.",
                        hint="use .detach() for a constant copy.",
                    )
                )
            return
        if not value:
            self.node = None
        elif self.node is None:
            if not is_float(self.data.dtype):
                raise DTypeError(
                    message(
                        "requires_grad",
                        "only floating and complex tensors carry gradients.",
                        received=str(self.data.dtype),
                        hint='convert first, e.g. .astype("float64").',
                    )
                )
            self.node = Leaf(self.data.shape, self.data.dtype)

    @property
    def is_leaf(self) -> bool:
        """True for constants and for tensors on which requires_grad was set: nothing computed them."""
        return self.node is None or type(self.node) is Leaf

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward` accumulated into this leaf; None before, and on every other tensor
        (but see retain_grad).
        """
        return self.node.grad if type(self.node) is Leaf else None  # hooks.py adds the kept ones

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if type(self.node) is not Leaf:
            raise GradientError(message("grad", "only a leaf that requires grad has a gradient to set."))
        if value is not None:
            value = value if isinstance(value, Tensor) else Tensor(value)
            if value.shape != self.shape:
                raise GradientError(
                    message(
                        "grad",
                        "a gradient has its tensor's shape.",
                        received=f"gradient {value.shape}, tensor {self.shape}",
                    )
                )
        self.node.grad = value

    if TYPE_CHECKING:  # bound by autograd/__init__.py: engine and hooks stand above this module
        retains_grad: bool

        def register_hook(self, hook: Any) -> Any: ...
        def register_post_accumulate_grad_hook(self, hook: Any) -> Any: ...
        def retain_grad(self) -> None: ...
        def backward(
            self, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False
        ) -> None: ...

    # ------------------------------------------------------------------ writing
    def _writable(self) -> Array:
        """The raw array, to be written in place: a fresh copy first when something else (a live graph, a
        view) holds it.
        """
        if not unshared(self):
            self.data = self.data.copy()
        return self.data

    def __copy__(self) -> "Tensor":
        return graph.copy(self)

    def __deepcopy__(self, memo: dict) -> "Tensor":
        out = new(Tensor)
        memo[id(self)] = out
        out.data = self.data.copy()
        out.node = None
        if type(self.node) is Leaf:
            out.node = Leaf(self.data.shape, self.data.dtype)
        elif self.node is not None:
            raise GradientError(
                message("deepcopy", "only leaves can be deep-copied.", hint="use .detach() first.")
            )
        return out

    def __reduce__(self) -> Any:
        raise TypeError(
            message("pickle", "Tensors are not pickled.", hint="save arrays with bp.saving, or .numpy().")
        )


_STORES = {code for name, code in dis.opmap.items() if name in ("STORE_SUBSCR", "STORE_SLICE")}


def _check_not_stored(tensor: Tensor) -> None:
    """Raise for `array[i] = tensor`: NumPy asks a 0-d tensor for its float: its gradient would be lost."""
    frame = sys._getframe(2)
    if frame.f_code.co_code[frame.f_lasti] in _STORES:
        raise TypeError(
            message(
                "setitem",
                "a recording Tensor is not stored in a plain array silently, its gradient would be lost.",
                received=f"a Tensor of shape {tensor.shape}",
                hint="store float(x) where no gradient is needed, else make the array a Tensor.",
            )
        )


def unshared(tensor: Tensor) -> bool:
    """Whether this Tensor is the only holder of its array's memory, so that writing to it shows nowhere else.

    Reference counts are exact in CPython: the saved arrays of a live graph, NumPy views and other Tensors
    all hold one.
    """
    data = tensor.data
    return data.base is None and sys.getrefcount(data) <= _SOLE


def _count_of_sole_holder() -> int:
    tensor = new(Tensor)
    tensor.data = np.empty(1)
    data = tensor.data
    return sys.getrefcount(
        data
    )  # what this interpreter counts for an array that one Tensor and one local hold


_SOLE = _count_of_sole_holder()


def to_array(data: Any, dtype: Any = None) -> Array:
    """A raw array: arrays as they are, everything else through the current backend's asarray."""
    if isinstance(data, Tensor):
        data = data.data
    cls = type(data)
    if cls is np.ndarray or cls.__module__.partition(".")[0] == "cupy" or isinstance(data, Batched):
        return data if dtype is None or data.dtype == dtype else backend.of(data).astype(data, dtype=dtype)
    out = backend.current().asarray(data, dtype=dtype)
    if out.dtype == object:
        raise DTypeError(
            message(
                "asarray",
                "numbers, or nested lists of numbers of equal lengths, were expected.",
                received=f"{cls.__name__} that NumPy reads as objects",
                hint="to build an array from Tensors use bp.stack.",
            )
        )
    return out


def lifted(x: Any) -> "Tensor | None":
    """A Tensor, from anything but None."""
    return x if x is None or isinstance(x, Tensor) else wrap(to_array(x))


def wrap(data: Array, node: Any = None) -> Tensor:
    """A Tensor around a raw array, without any check."""
    out = new(Tensor)
    out.data = data
    out.node = node
    return out
