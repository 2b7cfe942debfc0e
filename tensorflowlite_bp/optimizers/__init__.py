"""Optimizers under Keras' names, and `schedules` for their learning rates."""

from .._registry import Registry
from . import schedules
from .algorithms import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Lion, Nadam, RMSprop
from .base import Optimizer

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "register",
    "schedules",
    "serialize",
]

_registry = Registry("optimizer")
for _cls in (SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop):
    _registry.register(_cls, _cls.__name__.lower())
get = _registry.get
register = _registry.register
serialize = _registry.serialize
deserialize = _registry.deserialize
