"""How a name of SciPy's becomes one of ours: SciPy's function on raw arrays, ours where a Tensor is among
the arguments.

A name that is not ours is SciPy's: raw arrays pass through, a recording Tensor is refused by name.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..autograd.tensor import Tensor, wrap
from ..errors import DeviceError, message
from ..ops import inplace
from ..utils.optional import optional


class _Kinds(dict[type, int]):
    """By class: 0 goes to SciPy, 1 a Tensor, 2 a container to look into, 3 an array of CuPy's. Found once per
    class.
    """

    def __missing__(self, cls: type) -> int:
        if issubclass(cls, Tensor):
            kind = 1
        elif issubclass(cls, (list, tuple, dict)):
            kind = 2
        else:
            kind = 3 if cls.__module__.partition(".")[0] == "cupy" else 0
        self[cls] = kind
        return kind


_kinds = _Kinds()


def module(path: str) -> ModuleType:
    """SciPy's module of that name, "special"; or an ImportError that names the pip line."""
    return optional(f"scipy.{path}", extra="scipy")


def _inside(value: Any) -> int:
    """1 where a Tensor is somewhere in the value, else 3 where one of CuPy's arrays is, else 0."""
    kind = _kinds[type(value)]
    if kind != 2:
        return kind
    found = {_inside(v) for v in (value.values() if isinstance(value, dict) else value)}
    return 1 if 1 in found else 3 if 3 in found else 0


def _chosen(path: str, name: str, theirs: Callable, ours: Callable | None, args: Any, kwargs: Any) -> Any:
    """The call, where an argument is no plain array."""
    kind = _inside((args, kwargs))
    if kind == 0:
        return theirs(*args, **kwargs)
    if kind == 3:
        return _cupy(path, name)(*args, **kwargs)
    if ours is None:
        return _unrecorded(f"scipy.{path}.{name}", theirs, args, kwargs)
    out = kwargs.pop("out", None)
    result = ours(*args, **kwargs)
    return (
        result if out is None else inplace.write_out(name, out if isinstance(out, tuple) else (out,), result)
    )


def _unrecorded(name: str, theirs: Callable, args: Any, kwargs: Any) -> Any:
    """SciPy's function on Tensors that record nothing; a Tensor for an array."""
    out = theirs(*[_raw(name, a) for a in args], **{k: _raw(name, v) for k, v in kwargs.items()})
    return _wrapped(out)


def _raw(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.node is not None:
            raise TypeError(
                message(
                    name,
                    "this SciPy function has no differentiable version here.",
                    received="a recording Tensor",
                    hint="use .numpy() (a copy outside the graph) where no gradient is needed.",
                )
            )
        return value.data
    if isinstance(value, dict):
        return {k: _raw(name, v) for k, v in value.items()}
    return type(value)([_raw(name, v) for v in value]) if type(value) in (list, tuple) else value


def _wrapped(value: Any) -> Any:
    if type(value) is tuple:
        return tuple([_wrapped(v) for v in value])
    return wrap(value) if hasattr(value, "ndim") and hasattr(value, "dtype") and value.ndim else value


def _cupy(path: str, name: str) -> Callable:
    """CuPy's function of that name. Raises DeviceError where CuPy has none."""
    found = getattr(importlib.import_module(f"cupyx.scipy.{path}"), name, None)
    if found is None:
        raise DeviceError(
            message(
                f"scipy.{path}.{name}",
                "CuPy has no such function.",
                received="an array on a GPU",
                hint="move it to the CPU, .get() for an array of CuPy's.",
            )
        )
    return found


def dispatching(path: str, name: str, theirs: Callable, ours: Callable | None) -> Callable:
    """One function of the namespace. A call with plain arrays costs two look-ups by class more than SciPy's
    own.
    """
    kinds = _kinds

    def call(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            kind = kinds[type(a)]
            if kind:
                if kind == 1 and ours is not None and not kwargs:
                    return ours(*args)
                return _chosen(path, name, theirs, ours, args, kwargs)
        if kwargs:
            for a in kwargs.values():
                if kinds[type(a)]:
                    return _chosen(path, name, theirs, ours, args, kwargs)
        return theirs(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = getattr(theirs if ours is None else ours, "__module__", None) or f"scipy.{path}"
    call.__doc__ = (ours or theirs).__doc__
    call.__wrapped__ = theirs  # type: ignore[attr-defined]
    return call


def names(path: str, ours: dict[str, Callable], into: dict[str, Any]) -> tuple[Callable, Callable]:
    """`__getattr__` and `__dir__` of the module that mirrors scipy.<path>; what is found stays in `into`."""

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {into['__name__']!r} has no attribute {name!r}")
        theirs = getattr(module(path), name, None)
        if theirs is None:
            if name not in ours:
                raise AttributeError(f"module 'scipy.{path}' has no attribute {name!r}")
            theirs = functools.partial(_absent, f"scipy.{path}.{name}")
        if isinstance(theirs, (type, ModuleType)) or not callable(theirs):
            return theirs
        into[name] = found = dispatching(path, name, theirs, ours.get(name))
        return found

    def listed() -> list[str]:
        return sorted({*ours, *(n for n in dir(module(path)) if not n.startswith("_"))})

    return find, listed


def _absent(name: str, *args: Any, **kwargs: Any) -> Any:
    raise AttributeError(message(name, "this SciPy has no such function; it is there for Tensors."))


def mirror(path: str) -> ModuleType:
    """A module that guards scipy.<path>, none of whose functions has a version here."""
    full = f"{__package__}.{path}"
    if full not in sys.modules:
        module(path)
        made = ModuleType(
            full, f"scipy.{path}: raw arrays pass through, recording Tensors are refused by name."
        )
        made.__getattr__, made.__dir__ = names(path, {}, made.__dict__)  # type: ignore[assignment]
        sys.modules[full] = made
    return sys.modules[full]
