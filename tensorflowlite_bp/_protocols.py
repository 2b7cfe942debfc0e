"""The real `numpy` on Tensors: `np.sin(t)`, `np.add(a, b, out=t)`, `np.concatenate([t, u])`.

NumPy hands every call that sees a Tensor to these two hooks. They look the name up among our ops; a function
without a derivative here raises TypeError naming it, and nothing is ever detached silently.
"""

from typing import Any

import numpy as np

from .autograd.op import graph
from .autograd.tensor import Tensor, wrap
from .errors import message
from .ops import inplace, methods  # noqa: F401  (binds the operators)

_UFUNCS = {
    "true_divide": "divide",
    "conj": "conjugate",
    "mod": "remainder",
    "abs": "absolute",
    "bitwise_and": "",
    "matvec": "",
    "vecmat": "",
}
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}


def array_ufunc(
    self: Tensor,
    ufunc: np.ufunc,
    method: str,
    *inputs: Any,
    out: Any = None,
    where: Any = True,
    **kwargs: Any,
) -> Any:
    """np.<ufunc>(...) with a Tensor among inputs or outputs. dtype=, casting= and the like are refused
    rather than ignored.
    """
    if kwargs.pop("dtype", None) is not None or (method == "__call__" and kwargs):
        _raise_unsupported(ufunc.__name__, f"the arguments {sorted(kwargs) or ['dtype']}")
    if method == "__call__":
        function = getattr(graph, _UFUNCS.get(ufunc.__name__, ufunc.__name__), None)
        if function is None:
            return _plain_ufunc(ufunc, inputs)
        result = function(*inputs)
    elif method == "reduce" and ufunc.__name__ in _REDUCTIONS and kwargs.pop("initial", None) is None:
        axis = kwargs.pop("axis", 0)
        result = getattr(graph, _REDUCTIONS[ufunc.__name__])(
            inputs[0], axis, keepdims=kwargs.pop("keepdims", False)
        )
    elif method == "accumulate" and ufunc is np.add:
        result = graph.cumsum(inputs[0], kwargs.pop("axis", 0))
    elif method == "outer" and ufunc is np.multiply:
        x, y = (wrap(np.asarray(a)) if not isinstance(a, Tensor) else a for a in inputs)
        result = x.reshape(x.shape + (1,) * y.ndim) * y
    else:
        return _raise_unsupported(ufunc.__name__, f"method {method!r}")
    if where is not True:
        base = out[0] if out else None
        if base is None:
            return _raise_unsupported(ufunc.__name__, "where= without out=")
        result = graph.where(where, result, base)
    return result if out is None else _write_out(ufunc.__name__, out, result)


def _write_out(name: str, out: tuple[Any, ...], result: Tensor) -> Any:
    (target,) = out
    if isinstance(target, Tensor):
        inplace.write_all(target, result)
        return target
    if result.node is not None:
        raise TypeError(
            message(
                name,
                "a recording result cannot be written into a plain array, its gradient would be lost.",
                hint="out= a Tensor.",
            )
        )
    target[...] = result.data
    return target


def _plain_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """Integer-only ufuncs (bitwise_and, gcd, ...) work on constants; anything that records is refused."""
    if any(isinstance(i, Tensor) and i.node is not None for i in inputs):
        _raise_unsupported(ufunc.__name__, "a recording Tensor")
    out = ufunc(*[i.data if isinstance(i, Tensor) else i for i in inputs])
    return tuple(wrap(np.asarray(o)) for o in out) if isinstance(out, tuple) else wrap(np.asarray(out))


_ALIASES = {
    "amax": "max",
    "amin": "min",
    "absolute": "abs",
    "concat": "concatenate",
    "permute_dims": "transpose",
    "round_": "round",
}


def array_function(self: Tensor, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a Tensor among its arguments."""
    name = func.__name__
    where = func.__module__ or ""
    found = getattr(graph, _ALIASES.get(name, name), None)
    if found is None or not where.startswith("numpy") or where.startswith(("numpy.linalg", "numpy.fft")):
        _raise_unsupported(f"{where}.{name}".replace("numpy.numpy", "numpy"), "a Tensor")
    if "ddof" in kwargs:
        kwargs["correction"] = kwargs.pop("ddof")
    if "out" in kwargs:
        target = kwargs.pop("out")
        return (
            found(*args, **kwargs) if target is None else _write_out(name, (target,), found(*args, **kwargs))
        )
    return found(*args, **kwargs)


def _raise_unsupported(name: str, what: str) -> Any:
    raise TypeError(
        message(
            name,
            "this NumPy function has no differentiable version here.",
            received=what,
            hint="use .numpy() (a copy outside the graph) where no gradient is needed.",
        )
    )


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
