"""NumPy's functions and what takes their place when a Tensor is among the arguments.

An entry has NumPy's own signature, every parameter of it, and gives Tensors. `np.sum(t)` finds it through
`__array_function__`, `bp.numpy.sum(t)` as well: there is one table. `out=` is handled here, for the entries
that do not name it themselves.
"""

import functools
import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..ops import inplace

TABLE: dict[Any, Callable[..., Any]] = {}  # NumPy's function object -> ours


def implements(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function for NumPy's of these names ("sum", "linalg.solve"), as far as this NumPy has them."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            try:
                theirs = attrgetter(name)(np)
            except AttributeError:
                continue
            TABLE[theirs] = _with_out(function, theirs)
        return function

    return enter


def _with_out(function: Callable[..., Any], theirs: Any) -> Callable[..., Any]:
    """The entry with NumPy's `out` at NumPy's place, where NumPy has one and the function has not."""
    signature = inspect.signature(function)
    try:
        expected = list(inspect.signature(theirs).parameters.values())
    except ValueError:
        return function
    names = [p.name for p in expected]
    if "out" not in names or "out" in signature.parameters:
        return function
    parameter = expected[names.index("out")]
    place = names.index("out") if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else None

    @functools.wraps(function)
    def entry(*args: Any, **kwargs: Any) -> Any:
        if place is not None and len(args) > place:
            out, args = args[place], args[:place] + args[place + 1 :]
        else:
            out = kwargs.pop("out", None)
        result = function(*args, **kwargs)
        return result if out is None else inplace.write_out(theirs.__name__, out, result)

    ours = list(signature.parameters.values())
    rest = [k for k, p in enumerate(ours) if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    ours.insert(rest[0] if place is None and rest else len(ours) if place is None else place, parameter)
    entry.__signature__ = signature.replace(parameters=ours)  # type: ignore[attr-defined]
    return entry


def has_tensor(value: Any) -> bool:
    """Whether a Tensor is among nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return any(has_tensor(v) for v in value)
    return isinstance(value, Tensor)
