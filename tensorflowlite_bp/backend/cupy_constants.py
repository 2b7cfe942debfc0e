"""Host arrays that operations index with, on the device: uploaded once, then found again.

`take`, `diagonal`, `pad` and their kin make the same small indices in every training step; a copy from the
host stalls the stream's queue, and cannot be captured into a graph.
"""

from typing import Any

import numpy as np

from .._typing import Array

MOST_BYTES = 1 << 16  # of an array that is kept: longer ones are data
MOST_KEPT = 256


class Constants:
    """A device's copy of a host array, by its content. Nothing writes into what this gives."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._kept: dict[tuple, Array] = {}

    def __call__(self, a: np.ndarray) -> Array:
        if a.nbytes > MOST_BYTES:
            return self._xp.asarray(a)
        cuda = self._xp.cuda  # on another stream, the copy might not have ended
        key = cuda.Device().id, cuda.get_current_stream().ptr, a.dtype.str, a.shape, a.tobytes()
        found = self._kept.pop(key, None)
        if found is None:
            found = self._xp.asarray(a)
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
        self._kept[key] = found  # the last one used is the last one dropped
        return found

    def index(self, index: Any) -> Any:
        """An index, its host arrays on the device."""
        if type(index) is tuple:
            return tuple([self.index(i) for i in index])
        return self(index) if type(index) is np.ndarray and index.ndim else index
