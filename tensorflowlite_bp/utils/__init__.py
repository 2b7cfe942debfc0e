"""Helpers under Keras' names: seeds, one-hot labels, the progress bar; optional imports."""

from .numerical import normalize, to_categorical
from .optional import optional
from .progbar import Progbar
from .seeds import set_random_seed

__all__ = ["Progbar", "normalize", "optional", "set_random_seed", "to_categorical"]
