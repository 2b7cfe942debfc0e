"""Random numbers, the same as the CPU's: Philox4x32-10. Reference: `ops/random.py`.

`advance`: an int64 array of one element on the device, added to the offset, or None.
"""

import math
from typing import Any

from ..._typing import Array, Shape
from .geometry import blocks_for, ceil_div, type_name
from .host import Host

THREADS = 256


def words(host: Host, n: int, *, seed: int, offset: int, advance: Array | None = None) -> Array:
    """n uint32 words, 4 to a block of the stream."""
    out = host.empty((n,), host.xp.uint32)
    _launch(host, "random_words", ceil_div(n, 4), (out, n), seed, offset, advance)
    return out


def uniform(
    host: Host, shape: Shape, dtype: Any, *, seed: int, offset: int, advance: Array | None = None
) -> Array:
    """In [0, 1), with as many random bits as the dtype has digits. float64 takes two words, the others
    one.
    """
    out = host.empty(shape, dtype)
    count = ceil_div(out.size, 2 if out.itemsize == 8 else 4)
    _launch(host, f"random_uniform<{type_name(out)}>", count, (out, out.size), seed, offset, advance)
    return out


def normal(
    host: Host,
    shape: Shape,
    dtype: Any,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    seed: int,
    offset: int,
    advance: Array | None = None,
) -> Array:
    """Box and Muller's transform in float64; takes two words for each number, of an even count."""
    out = host.empty(shape, dtype)
    half = ceil_div(out.size, 2)
    numbers = (out, out.size, half, float(mean), float(std))
    _launch(host, f"random_normal<{type_name(out)}>", half, numbers, seed, offset, advance)
    return out


def dropout(
    host: Host, x: Array, rate: float, *, seed: int, offset: int, advance: Array | None = None
) -> Array:
    """x / (1 - rate) where the element's word keeps it, else 0. Backward: the same of g, with the same
    place.
    """
    x = host.dense(x)
    out = host.empty(x.shape, x.dtype)
    _dropout(host, x, out, rate, seed, offset, advance)
    return out


def keep_mask(
    host: Host, shape: Shape, rate: float, dtype: Any, *, seed: int, offset: int, advance: Array | None = None
) -> Array:
    """1 / (1 - rate) with probability 1 - rate, else 0."""
    out = host.empty(shape, dtype)
    _dropout(host, None, out, rate, seed, offset, advance)
    return out


def _dropout(
    host: Host, x: Array | None, out: Array, rate: float, seed: int, offset: int, advance: Array | None
) -> None:
    threshold = min(round(rate * 2**32), 2**32 - 1)
    numbers = (x, out, out.size, threshold, 1 / (1 - rate))
    count = ceil_div(out.size, 8 if out.itemsize == 2 else 4)
    _launch(host, f"dropout<{type_name(out)}>", count, numbers, seed, offset, advance)


def _launch(
    host: Host, name: str, count: int, args: tuple[Any, ...], seed: int, offset: int, advance: Array | None
) -> None:
    place = [_signed(seed), _signed(offset)]
    host.launch(name, blocks_for(host, count, THREADS), THREADS, (*args, *place, advance))


def _signed(word: int) -> int:
    """The int64 with the bits of a uint64."""
    word &= 2**64 - 1
    return word - 2**64 if word >> 63 else word


def words_taken(shape: Shape, dtype: Any) -> int:
    """How many words `uniform` takes from a stream; `normal` takes 4 for every two numbers."""
    n = math.prod(shape)
    return 2 * n if dtype.itemsize == 8 else n
