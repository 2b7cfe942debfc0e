"""Automatic names as Keras gives them: dense, dense_1, dense_2."""

import re
from collections import Counter

_used: Counter[str] = Counter()


def to_snake_case(name: str) -> str:
    """
    >>> to_snake_case("LayerNormalization"), to_snake_case("Conv2D")
    ('layer_normalization', 'conv2d')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(class_name: str) -> str:
    """The next free name for an object of this class: its snake-case name, then numbered from 1."""
    prefix = to_snake_case(class_name)
    number = _used[prefix]
    _used[prefix] += 1
    return f"{prefix}_{number}" if number else prefix


def reset_names() -> None:
    """Start the numbering afresh (`clear_session`)."""
    _used.clear()
