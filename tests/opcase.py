"""What a sample of an op is, and short ways to write one. The tables are the `op_cases*.py` beside it.

`args(r)` makes the differentiated arguments from a random generator; `kwargs` is a list of parameter sets
(see `grid`). `numpy` is the reference for values, found by name where NumPy has the function.
"""

import importlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tensorflowlite_bp as bp


@dataclass
class OpCase:
    name: str
    args: Callable[[np.random.Generator], list]
    kwargs: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    numpy: Callable | None = None
    complex: bool = False  # also check complex128 arguments
    elementwise: bool = False  # also run 0-d and empty arrays, and broadcasting for two arguments
    order: int = 2
    call: Callable | None = None  # how to call it, when not f(*args, **kwargs)
    id: str = ""
    half: bool = True  # False: 16-bit floats are refused, as NumPy refuses them
    narrow: str = ""  # the result's dtype for float32 and float16, where it is not theirs

    def __str__(self) -> str:
        return self.id or self.name


def beside(constant: np.ndarray, x: Any) -> Any:
    """A constant inside a case, on the device of x, which is an array or a Tensor."""
    return constant if str(x.device) == "cpu" else bp.tensor(constant).to(str(x.device))


def grid(**choices: list) -> list[dict[str, Any]]:
    """All combinations of keyword values."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def normal(*shapes):
    return lambda r: [r.normal(size=s) for s in shapes]


def uniform(low, high, *shapes):
    return lambda r: [r.uniform(low, high, s) for s in shapes or ((3, 4),)]


def distinct(*shape):
    """Values well apart, so that differences do not cross a kink of max or sort."""
    return lambda r: [r.permutation(math.prod(shape)).reshape(shape) * 0.37 - 1.0]


def away_from_0(*shapes):
    return lambda r: [r.uniform(0.3, 2, s) * r.choice([-1, 1], s) for s in shapes]


def unary(name, args=None, **more):
    return OpCase(name, args or normal((3, 4)), elementwise=True, **more)


def binary(name, args=None, **more):
    return OpCase(name, args or normal((3, 4), (3, 4)), elementwise=True, **more)


def all_cases() -> list[OpCase]:
    """Every sample of every table."""
    tables = sorted(Path(__file__).parent.glob("op_cases*.py"))
    return [case for table in tables for case in importlib.import_module(table.stem).CASES]
