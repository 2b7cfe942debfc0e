"""What a sample of a differentiable function is."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

R = np.random.default_rng(20)
X = R.normal(size=(2, 3))
Y = R.normal(size=(2, 3))
P = R.uniform(0.3, 0.9, (2, 3))  # inside (0, 1)
V = np.array([0.3, -1.2, 2.1, 0.7])
W = np.array([1.5, 0.4, -0.6, 0.9])
S = np.array(0.7)
M = R.normal(size=(3, 3))
D = R.permutation(6).reshape(2, 3) * 0.37 - 0.8  # no two close to each other
C = X + 1j * Y


@dataclass(frozen=True)
class Sample:
    """Functions of NumPy by name, one call for all of them, and where to differentiate it.

    call: called with the function, then the arrays; its parameters' names are the arguments listed.
    """

    names: tuple[str, ...]
    call: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    note: str = ""
    order: int = 2

    @property
    def arguments(self) -> list[str]:
        """The names of the differentiated arguments."""
        return [n.strip("_") for n in list(inspect.signature(self.call).parameters)[1:]]


def sample(names: str, call: Callable[..., Any], *arrays: Any, note: str = "", order: int = 2) -> Sample:
    """sample("sin cos", lambda f, x: f(x), X)."""
    return Sample(tuple(names.split()), call, tuple(map(np.asarray, arrays)), note, order)
