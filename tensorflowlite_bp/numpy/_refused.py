"""NumPy's functions that have no place in a namespace that differentiates: each says what to use instead."""

from collections.abc import Callable
from typing import Any

from ..errors import message

REFUSED = {
    **dict.fromkeys(
        ("matrix", "asmatrix", "bmat"), "2-D arrays and `@`; NumPy itself advises against matrices"
    ),
    **dict.fromkeys(("save", "savez", "savez_compressed", "savetxt"), "numpy's own, on t.numpy()"),
    **dict.fromkeys(
        ("load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap"), "numpy's own function"
    ),
}


def refuse(name: str) -> Callable[..., Any]:
    """A function of that name which raises TypeError."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            message(
                f"bp.numpy.{name}",
                "this function is not part of this namespace.",
                hint=f"use {REFUSED[name]}.",
            )
        )

    refused.__name__ = refused.__qualname__ = name
    return refused
