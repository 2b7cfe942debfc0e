"""Arrays of many samples that look like one: what `bp.vmap` computes with, over any other backend."""

from .array import Batched, Level, collapse, enter, env_of, holds, leave, ordered, spread

__all__ = ["Batched", "Level", "collapse", "enter", "env_of", "holds", "leave", "ordered", "spread"]
