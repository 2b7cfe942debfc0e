"""Questions about arrays, which have no gradient to lose: NumPy answers them on the values."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor, wrap
from ._table import TABLE

# of shapes, dtypes, memory, truth, order, text; integers and dates
_QUESTIONS = (
    "shape ndim size iscomplexobj isrealobj iscomplex isreal isneginf isposinf common_type min_scalar_type "
    "result_type can_cast isclose allclose array_equal array_equiv array_repr array_str array2string "
    "may_share_memory shares_memory argwhere flatnonzero tril_indices_from triu_indices_from "
    "diag_indices_from ravel_multi_index unravel_index packbits unpackbits isin lexsort digitize "
    "datetime_as_string busday_count busday_offset is_busday"
).split()


def raw(value: Any) -> Any:
    """Lists, tuples and dictionaries with raw arrays in place of Tensors."""
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, (list, tuple)):
        return type(value)([raw(v) for v in value])
    return {k: raw(v) for k, v in value.items()} if isinstance(value, dict) else value


def wrapped(answer: Any) -> Any:
    """Arrays of an answer as Tensors."""
    if isinstance(answer, tuple):
        return tuple([wrapped(a) for a in answer])
    return wrap(answer) if isinstance(answer, np.ndarray) else answer


def _ask(question: Callable[..., Any]) -> Callable[..., Any]:
    def answer(*args: Any, **kwargs: Any) -> Any:
        return wrapped(question(*raw(args), **raw(kwargs)))

    answer.__wrapped__ = question  # type: ignore[attr-defined]  # its signature
    return answer


for _name in _QUESTIONS:
    _function = getattr(np, _name, None)
    if _function is not None:
        TABLE.given[_function] = _ask(_function)
