"""Data on its way to a model: arrays or iterables in, batches out."""

from .batches import ArrayBatches, Epochs, IterableBatches, as_epochs, prepare, train_validation_split
from .convert import is_array_like, to_array, to_arrays, unpack_x_y_sample_weight
from .prefetch import prefetch

__all__ = [
    "ArrayBatches",
    "Epochs",
    "IterableBatches",
    "as_epochs",
    "is_array_like",
    "prefetch",
    "prepare",
    "to_array",
    "to_arrays",
    "train_validation_split",
    "unpack_x_y_sample_weight",
]
