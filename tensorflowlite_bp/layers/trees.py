"""Trees of Tensors and of shapes: lists, tuples and dicts. A tuple of numbers (and None) is a shape."""

import numpy as np

from .symbolic import SymbolicTensor


def is_shape(value):
    """Whether this is a shape rather than a tree of shapes."""
    return isinstance(value, tuple) and all(n is None or isinstance(n, (int, np.integer)) for n in value)


def map_shapes(function, shapes):
    """Apply to every shape of a tree of shapes."""
    if is_shape(shapes):
        return function(shapes)
    if isinstance(shapes, dict):
        return {k: map_shapes(function, s) for k, s in shapes.items()}
    return type(shapes)(map_shapes(function, s) for s in shapes)


def map_tensors(function, tree):
    """Apply to every leaf that is not None."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(function, t) for t in tree)
    if isinstance(tree, dict):
        return {k: map_tensors(function, t) for k, t in tree.items()}
    return None if tree is None else function(tree)


def leaves(tree):
    """All leaves in order."""
    if isinstance(tree, (list, tuple)):
        return [leaf for t in tree for leaf in leaves(t)]
    if isinstance(tree, dict):
        return [leaf for t in tree.values() for leaf in leaves(t)]
    return [tree]


def any_symbolic(tree):
    """Whether a leaf is a SymbolicTensor."""
    if isinstance(tree, (list, tuple, dict)):
        return any(isinstance(leaf, SymbolicTensor) for leaf in leaves(tree))
    return isinstance(tree, SymbolicTensor)


def numbers_only(tree):
    """Whether all leaves are Python numbers: nested lists that make one array."""
    return all(isinstance(leaf, (int, float)) for leaf in leaves(tree))
