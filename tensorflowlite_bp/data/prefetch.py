"""prefetch: batches made in a thread while the model trains on the ones before."""

import contextvars
import queue
import threading

from .batches import check_count, one_pass


class Prefetched:
    """What `prefetch` gives: to be iterated once per epoch, like the batches it was given."""

    def __init__(self, batches, depth):
        self.source = batches
        self.depth = depth

    def __iter__(self):
        ready = queue.Queue(self.depth)
        stop = threading.Event()
        # grad mode and the like are per context: the loader sees those of whoever iterates
        run = contextvars.copy_context().run
        thread = threading.Thread(
            target=run, args=(_fill, self.source, ready, stop), name="prefetch", daemon=True
        )
        thread.start()
        try:
            while True:
                batch, error = ready.get()
                if error is not None:
                    raise error
                if batch is _END:
                    return
                yield batch
        finally:  # also when the iteration is given up: the loader must be at rest afterwards
            stop.set()
            while not ready.empty():  # a thread that waits to put finds room, and sees `stop`
                ready.get_nowait()
            thread.join()

    def on_epoch_end(self):
        """Called by `fit` after the last batch of a pass."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()


class SizedPrefetched(Prefetched):
    """Of batches that know how many they are."""

    def __len__(self):
        return len(self.source)


_END = object()


def _fill(source, ready, stop):
    """The thread: every batch of one pass into the queue, then the end or what went wrong."""
    try:
        for batch in one_pass(source):
            ready.put((batch, None))
            if stop.is_set():
                return
        ready.put((_END, None))
    except BaseException as error:
        ready.put((None, error))


def prefetch(batches, depth=2):
    """The same batches, made in a thread: reading files and augmenting go on while the model trains.

    batches: what `fit` takes as an iterable: a generator, a DataLoader, an object with `__len__` and
    `__getitem__`. depth: how many may wait; one more is being made. An error of the loader is raised where
    its batch was expected. When training ends early, the thread has stopped before `fit` returns; a generator
    has then been read up to depth + 1 batches further than was trained on. Random numbers: let the loader
    have a generator of its own, `bp.random`'s is also drawn from by the model. Raises ValueError unless depth
    is at least 1.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> batches = ((np.full((2, 1), i), np.zeros(2)) for i in range(3))
    >>> [int(x[0, 0]) for x, y in bp.data.prefetch(batches)]
    [0, 1, 2]
    """
    check_count(depth, "prefetch", "depth")
    kind = SizedPrefetched if hasattr(batches, "__len__") else Prefetched
    return kind(batches, int(depth))
