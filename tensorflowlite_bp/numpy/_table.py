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

from ..autograd.record import holds_tensor as has_tensor
from ..autograd.record import lift
from ..ops import inplace


class Table(dict[Any, Callable[..., Any]]):
    """NumPy's function object -> ours. An entry is fitted to NumPy's signature when first asked for: all of
    them at import would take as long as the rest of the import.
    """

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[Any, Callable[..., Any]] = {}

    def __missing__(self, theirs: Any) -> Callable[..., Any]:
        self[theirs] = entry = _fitted(self.given[theirs], theirs)
        return entry

    def __contains__(self, theirs: object) -> bool:
        return theirs in self.given


TABLE = Table()


def implements(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function for NumPy's of these names ("sum", "linalg.solve"), as far as this NumPy has them."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            try:
                theirs = attrgetter(name)(np)
            except AttributeError:
                continue
            TABLE.given[theirs] = function
        return function

    return enter


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _fitted(function: Callable[..., Any], theirs: Any) -> Callable[..., Any]:
    """The entry under NumPy's names for its parameters, and with NumPy's `out` where it has none."""
    signature = inspect.signature(function)
    try:
        expected = list(inspect.signature(theirs).parameters.values())
    except ValueError:  # some functions in C have no signature to compare
        return function
    out = next((p for p in expected if p.name == "out" and "out" not in signature.parameters), None)
    ours = list(signature.parameters.values())
    places = [p for p in expected if p.kind in _POSITIONAL and p is not out]
    names = {
        t.name: o.name
        for t, o in zip(places, ours, strict=False)
        if t.name != o.name and o.kind in _POSITIONAL
    }
    if out is None and not names:
        return function
    place = expected.index(out) if out is not None and out.kind in _POSITIONAL else None

    @functools.wraps(function)
    def entry(*args: Any, **kwargs: Any) -> Any:
        if place is not None and len(args) > place:
            target, args = args[place], args[:place] + args[place + 1 :]
        else:
            target = None if out is None else kwargs.pop("out", None)
        result = function(*args, **{names.get(k, k): v for k, v in kwargs.items()})
        return result if target is None else inplace.write_out(theirs.__name__, target, result)

    theirs_of = {o: t for t, o in names.items()}
    ours = [p.replace(name=theirs_of.get(p.name, p.name)) for p in ours]
    if out is not None:
        rest = [k for k, p in enumerate(ours) if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
        ours.insert(place if place is not None else rest[0] if rest else len(ours), out)
    entry.__signature__ = signature.replace(parameters=ours)  # type: ignore[attr-defined]
    return entry


# Functions whose lists are several arrays; of block any number of lists deep.
_SEVERAL = set("concatenate concat stack vstack hstack dstack column_stack multi_dot select choose".split())
_DEEP = {"block", "piecewise"}


def by_any_argument(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, and ours where a Tensor is among arguments that NumPy does not look at. Lists of
    Tensors are arrays, as lists of numbers are.
    """
    name = theirs.__name__
    array = {**dict.fromkeys(_SEVERAL, _each_array), **dict.fromkeys(_DEEP, _as_it_is)}.get(name, _one_array)

    @functools.wraps(theirs)
    def call(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()) if kwargs else args:
            if type(value) is not np.ndarray and has_tensor(value):
                return TABLE[theirs](*map(array, args), **{k: array(v) for k, v in kwargs.items()})
        return theirs(*args, **kwargs)

    return call


def _as_it_is(value: Any) -> Any:
    return value


def _one_array(value: Any) -> Any:
    return lift(value) if isinstance(value, (list, tuple)) and has_tensor(value) else value


def _each_array(value: Any) -> Any:
    return [_one_array(v) for v in value] if isinstance(value, (list, tuple)) else value


def mirrored(module: Any) -> dict[str, Any]:
    """The names of a module of NumPy's, its functions as `by_any_argument` has them."""
    found = {name: getattr(module, name) for name in module.__all__}
    ours = {name for name, value in found.items() if callable(value) and value in TABLE}
    return {name: by_any_argument(value) if name in ours else value for name, value in found.items()}
