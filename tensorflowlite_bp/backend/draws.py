"""Distributions made of Philox words, for every backend: the references of the kernels.

seed and offset are the place in the stream (`common.philox`); shape and dtype those of the result.
"""

import math
from typing import Any

import numpy as np

from .._typing import Array, Shape


def words(shape: Shape, dtype: np.dtype) -> int:
    """How many words `uniform` takes; `normal` takes four for every two numbers, `keep_mask` one each."""
    return math.prod(shape) * (1 if dtype.itemsize < 8 else 2)


def uniform(lib: Any, shape: Shape, dtype: np.dtype, *, seed: int, offset: int) -> Array:
    """In [0, 1), with as many random bits as the dtype has digits; float64 for what is wider than 4 bytes."""
    found = lib.philox(words(shape, dtype), seed=seed, offset=offset)
    if dtype.itemsize < 8:
        digits = {"float16": 11, "bfloat16": 8}.get(dtype.name, 24)  # one more would round up to 1
        whole = (found >> (32 - digits)).astype(np.float32)
        return (whole * np.float32(2.0**-digits)).astype(dtype, copy=False).reshape(shape)
    high, low = found[0::2] >> 5, found[1::2] >> 6
    return ((high * 67108864.0 + low) * (1.0 / 9007199254740992.0)).reshape(shape)


def normal(
    lib: Any, shape: Shape, dtype: np.dtype, *, mean: float, std: float, seed: int, offset: int
) -> Array:
    """By Box and Muller's transform in float64."""
    n = math.prod(shape)
    half = -(-n // 2)
    u = uniform(lib, (2 * half,), np.dtype("float64"), seed=seed, offset=offset)
    radius = lib.sqrt(-2.0 * lib.log1p(-u[:half]))
    angle = u[half:] * (2 * math.pi)
    z = lib.concatenate([radius * lib.cos(angle), radius * lib.sin(angle)])[:n].reshape(shape)
    return (z * std + mean).astype(dtype, copy=False)


def keep_mask(lib: Any, shape: Shape, rate: float, dtype: np.dtype, *, seed: int, offset: int) -> Array:
    """1 / (1 - rate) with probability 1 - rate, else 0: dropout's factor."""
    return _kept(lib, shape, rate, seed, offset) * dtype.type(1 / (1 - rate))


def dropped(lib: Any, x: Array, *, rate: float, seed: int, offset: int) -> Array:
    """x with what `keep_mask` is 0 for set to 0, the rest scaled."""
    kept = _kept(lib, x.shape, rate, seed, offset)
    return lib.where(kept, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))


def threshold(rate: float) -> int:
    """Of a word that keeps its element."""
    return min(round(rate * 2**32), 2**32 - 1)


def _kept(lib: Any, shape: Shape, rate: float, seed: int, offset: int) -> Array:
    found = lib.philox(math.prod(shape), seed=seed, offset=offset).reshape(shape)
    return found >= np.uint32(threshold(rate))
