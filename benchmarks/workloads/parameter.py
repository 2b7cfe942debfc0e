"""Initial weights, and how frameworks with another layout must turn them."""

from typing import NamedTuple

import numpy as np


class Parameter(NamedTuple):
    """kind: "linear" (in, out), "filter" (*window, in, out), "table" (rows, features), "vector".

    image: of a "linear" that follows flattened images: their (high, wide, channels).
    """

    array: np.ndarray
    kind: str
    image: tuple[int, ...] | None = None


class Draw:
    """Initial weights from one seed: He's normal for what relu follows, else as given."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)

    def normal(self, shape, kind, deviation=None, image=None):
        deviation = (2 / np.prod(shape[:-1])) ** 0.5 if deviation is None else deviation
        return Parameter(self.random.normal(0, deviation, shape).astype(np.float32), kind, image)


def zeros(n):
    return Parameter(np.zeros(n, np.float32), "vector")


def ones(n):
    return Parameter(np.ones(n, np.float32), "vector")
