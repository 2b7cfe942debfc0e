"""The real `numpy` on Tensors: its functions, `np.concatenate([t, u])`. Its ufuncs: `_ufuncs.py`.

NumPy hands every call that sees a Tensor to this hook, which finds ours in the table of `numpy/_table.py`. A
function that is not there raises TypeError naming it; nothing is ever detached silently.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from .autograd.tensor import Tensor
from .errors import message
from .ops import methods  # noqa: F401  (binds the operators)


def array_function(self: Tensor, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a Tensor among its arguments."""
    table = _table()
    if func not in table:
        _raise_unknown(func)
    return table[func](*args, **kwargs)


@functools.cache
def _table() -> dict[Any, Callable[..., Any]]:
    """NumPy's functions and ours, loaded with the first call that needs them."""
    return importlib.import_module(f"{__package__}.numpy").TABLE


def _raise_unknown(func: Any) -> None:
    raise TypeError(
        message(
            f"{func.__module__}.{func.__name__}",
            "this function does not take Tensors.",
            hint="use .numpy() (a copy outside the graph) where no gradient is needed.",
        )
    )


Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
