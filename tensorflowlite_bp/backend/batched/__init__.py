"""Arrays of many samples that look like one: what `bp.vmap` computes with, over any other backend."""

from .array import (
    Batched,
    Level,
    MappedValueError,
    always,
    at_hand,
    collapse,
    enter,
    env_of,
    ever,
    leave,
    ordered,
    spread,
)

__all__ = [
    "Batched", "Level", "MappedValueError", "always", "at_hand", "collapse", "enter", "env_of", "ever",
    "leave", "ordered", "spread",
]  # fmt: skip
