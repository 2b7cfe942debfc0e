"""Models and weights in files: safetensors with a JSON header, written atomically, never executed."""

from .weights import load_weights, named_weights, save_weights
from .whole_model import load_model, save_model

__all__ = ["load_model", "load_weights", "named_weights", "save_model", "save_weights"]
