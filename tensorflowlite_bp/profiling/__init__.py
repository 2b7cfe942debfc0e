"""Where time and memory go: `bp.profile`, `bp.memory_stats`, and the limits of this machine."""

from .ceilings import Ceilings, ceilings
from .memory import MemoryStats, SizeClass, memory_stats, trim_memory
from .profile import Row, profile

__all__ = [
    "Ceilings",
    "MemoryStats",
    "Row",
    "SizeClass",
    "ceilings",
    "memory_stats",
    "profile",
    "trim_memory",
]
