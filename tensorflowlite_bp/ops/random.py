"""Random numbers from a counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).

A number depends on the seed and its position alone, so one seed gives the same numbers on every device and
with any number of threads, and a stream can be wound back (`state`), which is how `bp.checkpoint` draws the
same dropout mask twice.
"""

import functools
import inspect
import math
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from .._typing import Array, Shape
from ..autograd.batching import active, env
from ..autograd.checkpoint import draws
from ..backend import numpy_backend
from ..backend.batched import Level, array
from ..backend.draws import words
from ..errors import message

_LOCK = threading.Lock()  # drawing moves the counter: two threads must not get the same block


def _per_sample(draw: Callable[..., Array]) -> Callable[..., Array]:
    """A method that draws: inside vmap numbers for every sample at once, as its `randomness` says."""
    given = inspect.signature(draw)

    @functools.wraps(draw)
    def method(self: "Generator", *args: Any, **kwargs: Any) -> Array:
        around = active()
        if not around:
            return draw(self, *args, **kwargs)
        levels = _differing(around, draw.__name__)
        token = env.set(())
        try:
            bound = given.bind(self, *args, **kwargs)
            bound.apply_defaults()
            sizes = array.sizes(levels)
            if "shape" in bound.arguments:
                bound.arguments["shape"] = sizes + tuple(bound.arguments["shape"])
                data = draw(*bound.args, **bound.kwargs)
            else:
                rows = [draw(self, *args, **kwargs) for _ in range(math.prod(sizes))]
                data = backend.current().stack(rows).reshape(sizes + rows[0].shape)
            return array.made(data, levels, around)
        finally:
            env.reset(token)

    return method


def _differing(levels: tuple[Level, ...], name: str) -> tuple[Level, ...]:
    if any(level.randomness == "error" for level in levels):
        raise RuntimeError(
            message(
                f"random.{name}",
                'random numbers are drawn inside a vmap with randomness="error".',
                hint='vmap(f, randomness="different"), or "same" for all samples.',
            )
        )
    return tuple([level for level in levels if level.randomness == "different"])


class Generator:
    """A stream of random numbers. Arrays come out raw, on the current backend.

    Inside `bp.vmap` each sample gets numbers of its own: not those that a loop over the samples would draw.

    >>> from tensorflowlite_bp import random
    >>> a, b = random.Generator(7), random.Generator(7)
    >>> bool((a.uniform((3,)) == b.uniform((3,))).all())
    True
    """

    __slots__ = ("offset", "seed")

    def __init__(self, seed: int | None = None) -> None:
        """seed: any integer; None takes one from the operating system."""
        if seed is None:
            seed = int.from_bytes(os.urandom(8))
        self.seed = int(seed) & 0xFFFFFFFFFFFFFFFF
        self.offset = 0

    @property
    def state(self) -> tuple[int, int]:
        """(seed, position); settable."""
        return self.seed, self.offset

    @state.setter
    def state(self, value: tuple[int, int]) -> None:
        self.seed, self.offset = value

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, offset={self.offset})"

    def place(self, words: int) -> dict[str, int]:
        """Where the next `words` words are; the stream moves on behind them."""
        tape = draws.get()  # of a checkpointed function: a second run draws what the first one drew
        place = None if tape is None else tape.place()
        if place is None:
            with _LOCK:
                place = self.seed, self.offset
                self.offset += -(-words // 4)
        if tape is not None:
            tape.past.append(place)
        return {"seed": place[0], "offset": place[1]}

    def bits(self, n: int) -> Array:
        """n independent uint32 words."""
        return backend.current().philox(n, **self.place(n))

    def spawn(self) -> "Generator":
        """A generator with a seed drawn from this one."""
        low, high = numpy_backend.philox(2, **self.place(2)).tolist()  # a device would have to be waited for
        return Generator(low | high << 32)

    @_per_sample
    def uniform(self, shape: Shape = (), low: float = 0.0, high: float = 1.0, dtype: Any = None) -> Array:
        """Uniform in [low, high), with as many random bits as the dtype has digits."""
        dtype = np.dtype(dtype or "float64")
        u = self._unit(shape, dtype)
        if low == 0.0 and high == 1.0:
            return u
        out = (u * u.dtype.type(high - low) + u.dtype.type(low)).astype(dtype, copy=False)
        # rounding may reach the end of the range
        return out if dtype.kind != "f" else np.minimum(out, np.nextafter(dtype.type(high), dtype.type(low)))

    def _unit(self, shape: Shape, dtype: np.dtype) -> Array:
        return backend.current().uniform(shape, dtype, **self.place(words(shape, dtype)))

    @_per_sample
    def normal(self, shape: Shape = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None) -> Array:
        """Normal, by Box and Muller's transform in float64."""
        dtype = np.dtype(dtype or "float64")
        place = self.place(4 * -(-math.prod(shape) // 2))
        return backend.current().normal(shape, dtype, mean=mean, std=std, **place)

    @_per_sample
    def truncated_normal(
        self, shape: Shape = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None
    ) -> Array:
        """Normal, with values beyond two deviations drawn again."""
        n = math.prod(shape)
        z = self.normal((n,))
        while True:
            out = np.flatnonzero(np.abs(z) > 2.0)
            if not out.size:
                break
            z[out] = self.normal((out.size,))
        return (z.reshape(shape) * std + mean).astype(np.dtype(dtype or "float64"), copy=False)

    @_per_sample
    def integers(self, low: int, high: int | None = None, shape: Shape = (), dtype: Any = np.int64) -> Array:
        """Integers in [low, high), or [0, low). Unbiased to 2**-64 of the range."""
        if high is None:
            low, high = 0, low
        span = high - low
        if span <= 0:
            raise ValueError(f"[random.integers] low must be below high. Received: {low}, {high}.")
        n = math.prod(shape)
        if span <= 2**20:  # the product of 53 bits and the span keeps at least 33 bits of fairness
            out = np.floor(self._unit((n,), np.dtype("float64")) * span).astype(np.int64)
        else:
            drawn = self.bits(2 * n).astype(np.uint64)
            out = ((drawn[0::2] << np.uint64(32) | drawn[1::2]) % np.uint64(span)).astype(np.int64)
        return (out + low).astype(dtype, copy=False).reshape(shape)

    @_per_sample
    def permutation(self, n: int) -> Array:
        """0 .. n-1 in random order: the order that sorts n random 64-bit keys."""
        drawn = self.bits(2 * n).astype(np.uint64)
        return np.argsort(drawn[0::2] << np.uint64(32) | drawn[1::2], kind="stable")

    @_per_sample
    def keep_mask(self, shape: Shape, rate: float, dtype: Any) -> Array:
        """1 / (1 - rate) with probability 1 - rate, else 0: dropout's factor."""
        place = self.place(math.prod(shape))
        return backend.current().keep_mask(shape, rate, np.dtype(dtype), **place)


_default = Generator()


def default_generator() -> Generator:
    """The stream behind everything that was not given one of its own."""
    return _default


def seed(value: int) -> None:
    """Start the default stream again from a seed."""
    _default.state = (int(value) & 0xFFFFFFFFFFFFFFFF, 0)


def spawn() -> Generator:
    """A generator of its own, seeded from the default stream."""
    return _default.spawn()
