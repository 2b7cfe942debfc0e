"""User data to trees of plain arrays: one place that knows what `fit` accepts."""

from typing import Any

import numpy as np
import optree

from .._floatx import np_dtype
from ..autograd.tensor import Tensor
from ..errors import DTypeError, ShapeError, message


def to_array(value, *, where="data", name="x"):
    """One array of NumPy or CuPy from anything array-like (Tensor, list of numbers, pandas, torch on the
    CPU).

    Floats become `floatx()`, as in Keras; integers and booleans keep their dtype. No copy where none is
    needed. Raises DTypeError for objects that are not numbers.
    """
    if isinstance(value, Tensor):
        value = value.data
    elif not hasattr(value, "__cuda_array_interface__"):
        value = np.asarray(value)
    kind = value.dtype.kind
    if kind == "O" and isinstance(value, np.ndarray):
        value = _from_objects(value, where, name)
        kind = value.dtype.kind
    if kind in "biu":
        return value
    if kind == "c":
        return value
    if kind == "f" or value.dtype.name == "bfloat16":
        return value if value.dtype == np_dtype(None) else value.astype(np_dtype(None))
    raise DTypeError(
        message(
            where,
            f"numbers were expected in {name}.",
            received=f"an array of dtype {value.dtype}",
            hint="turn text and categories into integers first, as np.unique(return_inverse=True) does.",
        )
    )


def to_arrays(tree, *, where="data", name="x"):
    """The same tree with arrays for leaves. Lists of plain numbers count as one array, not as many inputs."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: to_arrays(part, where=where, name=f"{name}[{key!r}]") for key, part in tree.items()}
    if isinstance(tree, (list, tuple)) and not _only_numbers(tree):
        return type(tree)(to_arrays(part, where=where, name=name) for part in tree)
    return to_array(tree, where=where, name=name)


def lengths(tree) -> list[Any]:
    """The number of samples of every leaf, in order."""
    if type(tree) is np.ndarray:
        return [tree.shape[0] if tree.ndim else None]
    return [leaf.shape[0] if leaf.ndim else None for leaf in optree.tree_leaves(tree)]


def check_lengths(where, **parts) -> int:
    """The one number of samples that all parts share.

    Raises ShapeError when an array is 0-d, when lengths differ (naming all), or when there are no samples.
    """
    found = {n for part in parts.values() if part is not None for n in lengths(part)}
    if len(found) == 1 and None not in found and 0 not in found:
        return found.pop()
    described = ", ".join(
        f"{name} {' and '.join(str(tuple(leaf.shape)) for leaf in optree.tree_leaves(part))}"
        for name, part in parts.items()
        if part is not None
    )
    if None in found:
        raise ShapeError(
            message(where, "arrays with a sample axis in front were expected.", received=described)
        )
    if len(found) > 1:
        raise ShapeError(
            message(
                where,
                "all arrays must hold the same number of samples (their first axis).",
                received=described,
            )
        )
    raise ShapeError(
        message(
            where,
            "at least one sample was expected.",
            received=described or "no data",
            hint="the data is empty: look at the file path or at the filter that selected it.",
        )
    )


def unpack_x_y_sample_weight(data):
    """`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` as a triple, None where absent. As in Keras."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if 1 <= len(data) <= 3:
        return data + (None,) * (3 - len(data))
    raise ShapeError(
        message(
            "data",
            "x, (x, y) or (x, y, sample_weight) was expected.",
            received=f"a tuple of {len(data)}",
            hint="several inputs go in a list or dict of their own: ([x1, x2], y).",
        )
    )


def is_nested(tree):
    """Whether several arrays, for several inputs or outputs, rather than one."""
    return isinstance(tree, (list, tuple, dict))


def is_array_like(value):
    """Whether `value` is data itself, rather than an iterable of batches."""
    if value is None or isinstance(value, (Tensor, np.ndarray, list, tuple, dict, int, float, np.generic)):
        return True
    return hasattr(value, "__array__") or hasattr(value, "__cuda_array_interface__")


def _only_numbers(tree):
    leaves = optree.tree_leaves(tree)
    return bool(leaves) and all(isinstance(leaf, (int, float, np.number, np.bool_)) for leaf in leaves)


def _from_objects(value, where, name):
    """pandas with mixed columns gives object arrays; whatever is numbers inside becomes floats."""
    if value.size and not all(isinstance(v, (int, float, np.number, np.bool_)) for v in value.flat):
        bad = next(v for v in value.flat if not isinstance(v, (int, float, np.number, np.bool_)))
        raise DTypeError(
            message(
                where,
                f"numbers were expected in {name}.",
                received=f"{bad!r} of type {type(bad).__name__}",
                hint="arrays of unequal lengths do not stack: pad them first (ragged data)."
                if hasattr(bad, "__len__") and not isinstance(bad, str)
                else "turn text and categories into integers first.",
            )
        )
    return value.astype(np_dtype(None))
