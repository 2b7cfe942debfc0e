"""Sample weights, and class weights turned into sample weights."""

import numpy as np
import optree

from .._floatx import np_dtype
from ..errors import ShapeError, message
from .convert import is_nested


def check_sample_weight(sample_weight, y, where):
    """Sample weights that fit `y`: one per sample, or one per element of the leading axes of `y`.

    Several outputs and a single array: the same weights for each, as in Keras. Raises ShapeError naming both
    shapes.
    """
    if sample_weight is None:
        return None
    if is_nested(y) and not is_nested(sample_weight):
        return optree.tree_map(lambda _: sample_weight, y)
    if optree.tree_structure(sample_weight) != optree.tree_structure(y):
        raise ShapeError(
            message(
                where,
                "sample_weight must have the structure of y: one array per output.",
                received=f"{optree.tree_structure(sample_weight)} for {optree.tree_structure(y)}",
            )
        )
    for w, target in zip(optree.tree_leaves(sample_weight), optree.tree_leaves(y), strict=True):
        if w.ndim == 0 or w.shape[0] != target.shape[0]:
            _raise_weight_shape(where, w, target)
        if w.shape == (target.shape[0], 1) or w.shape == target.shape[: w.ndim]:
            continue
        _raise_weight_shape(where, w, target)
    return sample_weight


def class_weight_to_sample_weight(y, class_weight, where, known=None):
    """One weight per sample from `{class: weight}`; a class that is not named weighs 1, as in Keras.

    y: (n,), (n, 1) integer classes, or (n, classes) one-hot. `known` is how many classes there are, where the
    caller knows better than this piece of `y`. Raises ValueError for a key that cannot be a class of `y`.
    """
    if y is None or is_nested(y):
        raise ValueError(
            message(
                where,
                "class_weight needs a model with one output.",
                hint="pass sample_weight, one array per output.",
            )
        )
    classes = class_indices(y)
    known = class_count(y) if known is None else known
    for key in class_weight:
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < known:
            raise ValueError(
                message(
                    where,
                    f"class_weight names classes by integers from 0 to {known - 1}, as y does.",
                    received=f"class {key!r}",
                )
            )
    table = np.ones(max(known, int(classes.max()) + 1), dtype=np_dtype(None))
    for key, weight in class_weight.items():
        table[key] = weight
    return table[classes]


def class_indices(y):
    """(n,) integers: the class of each sample."""
    y = np.asarray(y.get() if hasattr(y, "get") else y)
    if y.ndim > 1:
        y = y.reshape(len(y)) if y[0].size == 1 else y.argmax(axis=-1)
    return np.rint(y).astype(np.int64)


def class_count(y):
    """How many classes `y` can name: its width when one-hot, else its largest label plus one."""
    if y.ndim > 1 and y.shape[-1] > 1:
        return int(y.shape[-1])
    return int(y.max()) + 1


def _raise_weight_shape(where, weight, target):
    raise ShapeError(
        message(
            where,
            "sample_weight must hold one weight per sample, or match the leading axes of y.",
            received=f"sample_weight {tuple(weight.shape)}, y {tuple(target.shape)}",
        )
    )
