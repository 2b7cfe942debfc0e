"""The real `numpy` on Tensors: its functions, `np.concatenate([t, u])`. Its ufuncs: `_ufuncs.py`.

NumPy hands every call that sees a Tensor to this hook. It looks the name up among our ops; a function
without a derivative here raises TypeError naming it, and nothing is ever detached silently.
"""

import functools
import importlib
import inspect
from typing import Any

import numpy as np

from .autograd.op import graph
from .autograd.tensor import Tensor, wrap
from .errors import message
from .ops import inplace, methods  # noqa: F401  (binds the operators)

# NumPy's name -> ours, where they differ; names that mean something else here
_ALIASES = {
    "amax": "max",
    "amin": "min",
    "absolute": "abs",
    "concat": "concatenate",
    "permute_dims": "transpose",
    "round_": "round",
}
_OTHERS = {"put_along_axis", "to", "sum_to", "scatter_add", "getitem", "setitem"}
# what is asked about arrays and has no gradient to lose: answered on the raw ones
_QUESTIONS = set(
    "shape ndim size iscomplexobj isrealobj result_type can_cast isclose allclose array_equal array_equiv "
    "array_repr array_str array2string may_share_memory shares_memory".split()
)
_FIRST = ("a", "x", "m", "A", "arr", "ary", "array")  # how NumPy's functions call their first argument
_WITH_DTYPE = {"sum", "prod", "mean", "cumsum", "concatenate", "stack"}


def array_function(self: Tensor, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a Tensor among its arguments."""
    name = func.__name__
    entry = _table().get(func)
    if entry is not None:
        return entry(*args, **kwargs)
    where = func.__module__ or ""
    if name in _QUESTIONS and where.startswith("numpy"):
        answer = func(*_raw(args), **{k: _raw(v) for k, v in kwargs.items()})
        return wrap(answer) if isinstance(answer, np.ndarray) else answer
    found = None if name in _OTHERS else getattr(graph, _ALIASES.get(name, name), None)
    if found is None or not where.startswith("numpy") or where.startswith(("numpy.linalg", "numpy.fft")):
        _raise_unsupported(f"{where}.{name}".replace("numpy.numpy", "numpy"), "a Tensor")
    if name == "where" and len(args) == 1:
        return graph.nonzero(*args)
    target = kwargs.pop("out", None)
    if kwargs or not args:
        args, kwargs = _arguments(name, found, args, kwargs)
    result = found(*args, **kwargs)
    return result if target is None else inplace.write_out(name, (target,), result)


@functools.cache
def _table() -> dict[Any, Any]:
    """NumPy's functions and ours, loaded with the first call that needs them."""
    return importlib.import_module(f"{__package__}.numpy").TABLE


def _arguments(name: str, found: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """NumPy's keywords as ours. Raises TypeError naming the function for what it does not take here."""
    for first in _FIRST if not args else ():
        if first in kwargs:
            args = (kwargs.pop(first),)
            break
    for theirs, ours in (("ddof", "correction"), ("a_min", "min"), ("a_max", "max")):
        if theirs in kwargs:
            kwargs[ours] = kwargs.pop(theirs)
    if kwargs.get("order") in ("C", "K", "A"):
        del kwargs["order"]
    if name in ("sort", "argsort"):
        kwargs.pop("kind", None)
    unset = (None, np._NoValue)
    kwargs = {
        k: v for k, v in kwargs.items() if k in ("axis", "min", "max") or not any(v is u for u in unset)
    }
    if "dtype" in kwargs and name in _WITH_DTYPE:
        dtype, first = kwargs.pop("dtype"), args[0]
        many = isinstance(first, (list, tuple))
        args = ([graph.astype(x, dtype) for x in first] if many else graph.astype(first, dtype), *args[1:])
    try:
        inspect.signature(found).bind(*args, **kwargs)
    except TypeError as error:
        _raise_unsupported(f"numpy.{name}", f"these arguments ({error})")
    return args, kwargs


def _raw(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)([_raw(v) for v in value])
    return value.data if isinstance(value, Tensor) else value


def _raise_unsupported(name: str, what: str) -> Any:
    raise TypeError(
        message(
            name,
            "this NumPy function has no differentiable version here.",
            received=what,
            hint="use .numpy() (a copy outside the graph) where no gradient is needed.",
        )
    )


Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
