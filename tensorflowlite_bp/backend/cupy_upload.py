"""Batches to the device ahead of their use: through pinned memory, on a stream of their own."""

from typing import Any

import numpy as np

from .._typing import Array

SLOTS = 3  # batches whose copies may be on their way; the host waits where it is further ahead


class Upload:
    """Copies lists of host arrays; what is on the device already stays where it is.

    The copy of one batch runs while the device works on the batch before: call this for batch k + 1 before
    the work on batch k is launched, `wait` before the work that reads it. Memory comes from the pool of the
    copying stream, which first waits for all work launched so far: nothing still reads what it takes.
    """

    def __init__(self, xp: Any, pinned: Any) -> None:
        """pinned: `cupyx.empty_pinned`."""
        self._xp, self._pinned = xp, pinned
        self._stream = xp.cuda.Stream(non_blocking=True)
        self._slots: list[tuple[list[np.ndarray], Any]] = [([], None) for _ in range(SLOTS)]
        self._turn = 0

    def __call__(self, arrays: list[Any]) -> tuple[list[Array], Any]:
        """(device arrays, the event of their arrival)."""
        xp, turn = self._xp, self._turn
        buffers, event = self._slots[turn]
        if event is not None and not event.done:
            event.synchronize()
        self._stream.wait_event(xp.cuda.get_current_stream().record())
        with self._stream:
            found = [
                a if isinstance(a, xp.ndarray) else self._copied(buffers, i, np.asarray(a))
                for i, a in enumerate(arrays)
            ]
        event = self._stream.record()
        self._slots[turn] = buffers, event
        self._turn = (turn + 1) % SLOTS
        return found, event

    def _copied(self, buffers: list[np.ndarray], i: int, a: np.ndarray) -> Array:
        while len(buffers) <= i:
            buffers.append(self._pinned(0, np.uint8))
        if buffers[i].nbytes < a.nbytes:
            buffers[i] = self._pinned(a.nbytes, np.uint8)
        source = buffers[i][: a.nbytes].view(a.dtype).reshape(a.shape)
        np.copyto(source, a)
        out = self._xp.empty(a.shape, a.dtype)
        out.set(source, stream=self._stream)
        return out

    def wait(self, event: Any) -> None:
        """What is launched from here on sees the arrays."""
        self._xp.cuda.get_current_stream().wait_event(event)
