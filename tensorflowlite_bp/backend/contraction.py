"""An einsum of two arrays as one stack of matrix products, on views of the operands and of the result.

Labels fall into four groups: in both operands and the result (the stack), in the result and the left or the
right operand (rows, columns), and in the operands alone (summed over). NumPy's own einsum walks element by
element unless asked to optimize, and then copies.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from .._typing import Array

SMALL = 1 << 13  # multiply-adds: below, np.einsum is done before the views are made


class Plan(NamedTuple):
    """Axes of each array in the order (stack, rows or inner, inner or columns), and how many of each."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    out: tuple[int, ...]
    stack: int
    rows: int
    inner: int
    joined: bool  # rows, and columns, lie side by side in the result: it can be written in place


@lru_cache(1024)
def plan(left: str, right: str, result: str) -> Plan | None:
    """The plan for labels that occur once in each array; None where nothing is summed over."""
    stack = [n for n in result if n in left and n in right]
    rows = [n for n in result if n in left and n not in right]
    columns = [n for n in result if n in right and n not in left]
    inner = [n for n in left if n in right and n not in result]
    if not inner or len(left) != len(stack + rows + inner) or len(right) != len(stack + inner + columns):
        return None
    axes = lambda names, order: tuple([names.index(n) for n in order])
    return Plan(
        axes(left, stack + rows + inner),
        axes(right, stack + inner + columns),
        axes(result, stack + rows + columns),
        len(stack),
        len(rows),
        len(inner),
        all("".join(group) in result for group in (rows, columns)),
    )


def contract(product: Callable, x: Array, y: Array, labels: tuple[str, ...], result: str) -> Array | None:
    """The einsum of x and y, or None where it is not one product, or a small one.

    product: (a, b, out or None) to a @ b for stacks of matrices; None where it does not take their strides.
    """
    found = plan(*labels, result)
    if found is None:
        return None
    left, right, order, stack, rows, inner, joined = found
    a, b = x.transpose(left), y.transpose(right)
    over, m = a.shape[:stack], a.shape[stack : stack + rows]
    k, n = a.shape[stack + rows :], b.shape[stack + inner :]
    if b.shape[: stack + inner] != over + k:  # a label of length 1 in one of them
        return None
    count, high, deep, wide = prod(over), prod(m), prod(k), prod(n)
    if count * high * deep * wide < SMALL:
        return None
    a, b = a.reshape((*over, high, deep)), b.reshape((*over, deep, wide))
    full = (*over, *m, *n)
    back = sorted(range(len(order)), key=order.__getitem__)
    if joined:
        out = np.empty([full[i] for i in back], x.dtype)
        return None if product(a, b, out.transpose(order).reshape((*over, high, wide))) is None else out
    out = product(a, b, None)
    return None if out is None else out.reshape(full).transpose(back)
