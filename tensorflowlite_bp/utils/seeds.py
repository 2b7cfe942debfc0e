"""One seed for everything random."""

import random as python_random

import numpy as np

from ..errors import message
from ..ops import random


def set_random_seed(seed: int) -> None:
    """Make everything random that follows reproducible: weights, shuffling, dropout.

    Seeds this package's generators, and `random` and `numpy.random` of the user's own code, as Keras does.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(message("set_random_seed", "an integer was expected.", received=f"seed={seed!r}"))
    random.seed(int(seed))
    python_random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)  # noqa: NPY002  scripts call the legacy generator
