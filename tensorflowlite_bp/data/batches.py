"""Batches for fit, evaluate and predict: arrays cut up, or an iterable of the user's own batches.

Both kinds are iterated once per epoch, give triples `(x, y, sample_weight)` of trees of plain arrays, and
know `num_batches` (None while unknown).
"""

import math
import warnings
from typing import cast

import numpy as np
import optree

from .. import backend
from .._typing import Tree
from ..errors import ShapeError, message
from ..ops import random
from .convert import check_lengths, is_array_like, is_nested, to_arrays, unpack_x_y_sample_weight
from .weights import check_sample_weight, class_count, class_weight_to_sample_weight


class ArrayBatches:
    """Arrays in memory, cut along their first axis; the last batch may be smaller.

    shuffle: True permutes the samples of every epoch with `bp.random`'s generator; "batch" permutes whole
    batches. batch_size: 32 unless given, or what makes `steps` batches.
    """

    def __init__(
        self, x, y=None, sample_weight=None, *, batch_size=None, steps=None, shuffle=False, where="fit"
    ):
        self.num_samples = check_lengths(where, x=x, y=y, sample_weight=sample_weight)
        if batch_size is None:
            batch_size = math.ceil(self.num_samples / steps) if steps else 32
        check_count(batch_size, where, "batch_size")
        self.batch_size = int(batch_size)
        self.num_batches = math.ceil(self.num_samples / self.batch_size)
        self.shuffle = shuffle
        self._leaves, self._spec = optree.tree_flatten(cast(Tree, (x, y, sample_weight)))

    def __iter__(self):
        leaves, unflatten, size = self._leaves, self._spec.unflatten, self.batch_size
        libs = [backend.of(a) for a in leaves]
        orders = self._orders(libs)
        for start in range(0, self.num_samples, size):
            rows = slice(start, start + size)
            if orders is None:
                yield unflatten([a[rows] for a in leaves])
            elif len(orders) == 1:
                ((lib, order),) = orders.items()
                yield unflatten(lib.take_rows(leaves, order[rows]))
            else:
                yield unflatten([lib.take_rows([a], orders[lib][rows])[0] for lib, a in zip(libs, leaves)])  # noqa: B905

    def _orders(self, libs):
        """The order of this epoch's samples, by the library that holds arrays; None for as they stand."""
        if not self.shuffle:
            return None
        if self.shuffle == "batch":
            size = self.batch_size
            whole = self.num_samples // size
            rows = np.arange(self.num_samples)
            order = np.concatenate(
                [rows[: whole * size].reshape(whole, size)[_permutation(whole)].ravel(), rows[whole * size :]]
            )
        else:
            order = _permutation(self.num_samples)
        return {lib: lib.asarray(order) for lib in libs}


def _permutation(count):
    """A permutation of range(count) from the global generator, on the host."""
    order = random.default_generator().permutation(count)
    return order if isinstance(order, np.ndarray) else order.get()


class IterableBatches:
    """An iterable of `x`, `(x, y)` or `(x, y, sample_weight)` batches: a generator, a list-like, a
    DataLoader.

    An iterable that can be started anew is, once per epoch; a generator goes on where it stopped. Objects
    with `__len__` and `__getitem__` but no `__iter__` are indexed from 0; their `on_epoch_end` is called.
    """

    def __init__(self, batches, *, class_weight=None, where="fit"):
        self.source = batches
        self.class_weight = class_weight
        self.where = where
        self.shuffle = False
        self.num_batches = len(batches) if hasattr(batches, "__len__") else None
        if self.num_batches == 0:
            raise ShapeError(
                message(where, "at least one batch was expected.", received="an iterable of length 0")
            )

    def __iter__(self):
        yield from map(self._arrays, one_pass(self.source))
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def _arrays(self, batch):
        x, y, weight = unpack_x_y_sample_weight(batch)
        where = self.where
        x, y, weight = (
            to_arrays(part, where=where, name=name)
            for part, name in ((x, "x"), (y, "y"), (weight, "sample_weight"))
        )
        check_lengths(where, x=x, y=y, sample_weight=weight)
        weight = check_sample_weight(weight, y, where)
        if self.class_weight is not None and weight is None:
            known = max((k for k in self.class_weight if isinstance(k, int)), default=0) + 1
            weight = class_weight_to_sample_weight(y, self.class_weight, where, known=known)
        return x, y, weight


def one_pass(source):
    """The batches of one epoch, in order. Giving it up does not close a generator: the next epoch goes on
    with it.
    """
    if hasattr(source, "__iter__"):
        for batch in source:  # noqa: UP028  `yield from` would close it
            yield batch
    else:
        for index in range(len(source)):
            yield source[index]


class Epochs:
    """Epoch after epoch of one source, `steps` batches each where that was asked for.

    Without `steps` an epoch is one pass. With it, passes follow one another seamlessly, and a source that
    ends for good ends the training with a warning, as in Keras.
    """

    def __init__(self, source, steps=None, where="fit"):
        if steps is not None:
            check_count(steps, where, "steps_per_epoch" if where == "fit" else "steps")
        self.source = source
        self.steps = steps
        self.num_batches = steps or source.num_batches
        self.exhausted = False
        self._where = where
        self._running = None

    def __iter__(self):
        count = 0
        if self.steps is None:
            for batch in self.source:
                count += 1
                yield batch
            self.num_batches = count or self.num_batches
        else:
            while count < self.steps:
                batch = self._next()
                if batch is None:
                    break
                count += 1
                yield batch
        if count < (self.steps or 1):
            self._ran_out(count)

    def restart(self):
        """Begin the next epoch at the first batch (a generator goes on where it is)."""
        self._running = None

    def _next(self):
        """The next batch, starting the source anew where it ended; None when there is nothing more."""
        for _ in range(2):
            if self._running is None:
                self._running = iter(self.source)
            batch = next(self._running, None)
            if batch is not None:
                return batch
            self._running = None
        return None

    def _ran_out(self, count):
        self.exhausted = True
        if count == 0 and self.source.num_batches is None and self._where != "fit":
            raise ShapeError(
                message(self._where, "at least one batch was expected.", received="an empty iterable")
            )
        warnings.warn(
            message(
                self._where,
                "the data ran out before the epoch ended; stopping here.",
                received=f"{count} batches" + (f" of {self.steps}" if self.steps else ""),
                hint="a generator is used up once read: make it endless and pass steps_per_epoch, "
                "or pass an object that can be iterated again.",
            ),
            stacklevel=4,
        )


def as_epochs(
    x,
    y=None,
    sample_weight=None,
    *,
    batch_size=None,
    steps=None,
    shuffle=False,
    class_weight=None,
    where="fit",
):
    """The Epochs of whatever the user passed to fit, evaluate or predict."""
    if x is None:
        raise ValueError(message(where, "input data x was expected.", received="x=None"))
    if isinstance(x, Epochs):
        return x
    if not is_array_like(x):
        for name, given in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
            if given is not None:
                raise ValueError(
                    message(
                        where,
                        f"{name} must not be given when x is an iterable of batches: the batches carry it.",
                        received=f"x of type {type(x).__name__}",
                    )
                )
        if not hasattr(x, "__iter__") and not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
            raise TypeError(
                message(
                    where, "arrays or an iterable of batches was expected.", received=f"x={type(x).__name__}"
                )
            )
        return Epochs(IterableBatches(x, class_weight=class_weight, where=where), steps, where)
    x, y, sample_weight = prepare(x, y, sample_weight, class_weight=class_weight, where=where)
    arrays = ArrayBatches(
        x, y, sample_weight, batch_size=batch_size, steps=steps, shuffle=shuffle, where=where
    )
    return Epochs(arrays, steps, where)


def prepare(x, y=None, sample_weight=None, *, class_weight=None, where="fit"):
    """Arrays checked and cast: `(x, y, sample_weight)`, with class weights folded into the sample weights."""
    x = to_arrays(x, where=where, name="x")
    y = to_arrays(y, where=where, name="y")
    sample_weight = to_arrays(sample_weight, where=where, name="sample_weight")
    check_lengths(where, x=x, y=y, sample_weight=sample_weight)
    sample_weight = check_sample_weight(sample_weight, y, where)
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError(message(where, "either class_weight or sample_weight was expected, not both."))
        known = None if y is None or is_nested(y) else class_count(y)
        sample_weight = class_weight_to_sample_weight(y, class_weight, where, known=known)
    return x, y, sample_weight


def train_validation_split(x, y, sample_weight, validation_split, where="fit"):
    """The first part of the samples for training, the last `validation_split` of them for validation, as
    Keras cuts.

    Raises ValueError when either part would be empty.
    """
    count = check_lengths(where, x=x, y=y, sample_weight=sample_weight)
    cut = math.floor(count * (1.0 - validation_split))
    if not 0 < validation_split < 1 or cut in (0, count):
        raise ValueError(
            message(
                where,
                "validation_split must leave samples for training and for validation.",
                received=f"validation_split={validation_split} with {count} samples",
            )
        )
    parts = cast(Tree, (x, y, sample_weight))
    return (
        optree.tree_map(lambda a: a[:cut], parts),
        optree.tree_map(lambda a: a[cut:], parts),
    )


def check_count(value, where, name):
    """Raise ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(
            message(where, f"{name} must be a whole number of at least 1.", received=f"{name}={value!r}")
        )
