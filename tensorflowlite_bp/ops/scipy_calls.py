"""Calling SciPy (or CuPy's version of it) as the forward of an op: on one array, on stacks, under vmap."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def sampled(make: Callable) -> Callable:
    """make(B), the forward of an op; under vmap called sample by sample."""

    @functools.wraps(make)
    def find(lib: Any) -> Callable:
        return functools.partial(lib.per_sample, make) if lib.name == "batched" else make(lib)

    return find


def stacked(make: Callable) -> Callable:
    """The same for a forward that takes stacks: under vmap the samples are one more axis in front."""

    @functools.wraps(make)
    def find(lib: Any) -> Callable:
        return functools.partial(lib.each, make) if lib.name == "batched" else make(lib)

    return find


def each(B: Any, f: Callable, *arrays: Any) -> Any:
    """f on every matrix of broadcast stacks; for functions that take one matrix at a time."""
    if all(a.ndim == 2 for a in arrays):
        return f(*arrays)
    batch = np.broadcast_shapes(*[a.shape[:-2] for a in arrays])
    flat = [
        B.broadcast_to(a, batch + a.shape[-2:]).reshape((math.prod(batch), *a.shape[-2:])) for a in arrays
    ]
    if not flat[0].shape[0]:
        like = f(*[B.eye(*a.shape[-2:], dtype=a.dtype) for a in arrays])
        return B.empty(batch + like.shape, like.dtype)
    results = [f(*parts) for parts in zip(*flat, strict=True)]
    return B.stack(results).reshape(batch + results[0].shape)
