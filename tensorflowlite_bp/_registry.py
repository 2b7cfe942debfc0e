"""Objects made from names and configs: one registry per kind, closed to what was registered, no pickle.

`Configurable` remembers how an object was made, so that `get_config` needs no code in the classes: the names
are those of the constructor's arguments, the values those of the attributes of the same name.
"""

import difflib
import functools
import inspect
from typing import Any

import numpy as np

from ._naming import to_snake_case
from .errors import message


class Configurable:
    """An object that can be written as a JSON-able dict and made again from it:
    `cls.from_config(obj.get_config())`.

    Convention: the argument `rate` of a constructor is kept as the attribute `rate`.
    """

    _init: tuple[tuple, dict]  # the arguments of the constructor
    _base_config: tuple[str, ...] = ()  # attributes that every object of the family also writes
    _alias_config: frozenset[str] = frozenset()  # arguments that only spell another one: never written

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        object.__setattr__(self, "_init", (args, kwargs))
        return self

    def get_config(self) -> dict:
        """The constructor's arguments with the values they have now, as strings, numbers, lists and dicts."""
        args, kwargs = self._init
        bound = _signature(type(self)).bind(None, *args, **kwargs)
        bound.apply_defaults()
        given = {}
        for parameter in list(bound.signature.parameters.values())[1:]:
            value = bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(value)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                if value:
                    raise NotImplementedError(
                        message(type(self).__name__, "a class with *args must define get_config itself.")
                    )
            else:
                given[parameter.name] = value
        config = {name: serialize(getattr(self, name)) for name in self._base_config}
        for name, value in given.items():
            if name not in self._alias_config:
                config[name] = serialize(getattr(self, name, value))
        return config

    @classmethod
    def from_config(cls, config: dict):
        """Make an object from what `get_config` gave."""
        return cls(**config)


@functools.cache
def _signature(cls):
    return inspect.signature(cls.__init__)


def serialize(value) -> Any:
    """A value in JSON's terms (tuples stay tuples). Raises TypeError for what has no such form."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(serialize(v) for v in value)
    if isinstance(value, dict):
        return {k: serialize(v) for k, v in value.items()}
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    raise TypeError(
        message(
            "get_config",
            "a value has no form in JSON.",
            received=repr(value),
            hint="define get_config in the class, or keep plain values as attributes.",
        )
    )


class Registry:
    """Classes (or functions) of one kind by name. Lookup takes the class name, its snake case, and aliases.

    >>> colours = Registry("colour")
    >>> class DarkRed(Configurable): pass
    >>> _ = colours.register(DarkRed, "maroon")
    >>> type(colours.get("dark_red")).__name__, type(colours.get("maroon")).__name__
    ('DarkRed', 'DarkRed')
    """

    def __init__(self, kind: str):
        self.kind = kind
        self.by_name: dict[str, Any] = {}

    def register(self, entry, *aliases: str):
        """Add a class or function under its name, its name in snake case and the aliases; gives it back (a
        decorator).
        """
        name = entry.__name__
        for key in (name, to_snake_case(name), *aliases):
            known = self.by_name.get(key)
            if (
                known is not None
                and known is not entry
                and getattr(known, "__module__", "") != entry.__module__
            ):
                raise ValueError(
                    message(self.kind, f"the name {key!r} is taken by {known!r}.", received=repr(entry))
                )
            self.by_name[key] = entry
        return entry

    def lookup(self, name: str):
        """What is registered under a name. Raises ValueError listing the nearest names."""
        try:
            return self.by_name[name]
        except KeyError:
            raise ValueError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.by_name, n=3, cutoff=0.5)
        lower = {key.lower(): key for key in self.by_name}
        if name.lower() in lower:
            near = [lower[name.lower()]]
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"known names: {', '.join(sorted(self.by_name))}."
        )
        return message(self.kind, f"there is no {self.kind} of that name.", received=repr(name), hint=hint)

    def get(self, identifier) -> Any:
        """An object from a name, a config {"class_name", "config"}, a class, or the object itself; None gives
        None.

        Raises ValueError for an unknown name (with the nearest ones), TypeError for what is none of these.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            identifier = self.lookup(identifier)
        elif isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier) or hasattr(identifier, "get_config"):
            return identifier
        raise TypeError(
            message(
                self.kind,
                f"a name, a config, a class or an object of kind {self.kind} was expected.",
                received=repr(identifier),
            )
        )

    def serialize(self, entry):
        """The object as {"class_name", "config"}, a function as its name, None as None."""
        return serialize(entry)

    def deserialize(self, config) -> Any:
        """The reverse of `serialize`. Only registered names are made."""
        if not isinstance(config, dict):
            return self.get(config)
        if "class_name" not in config:
            raise ValueError(
                message(
                    self.kind,
                    'a dict {"class_name": ..., "config": {...}} was expected.',
                    received=repr(config),
                )
            )
        entry = self.lookup(config["class_name"])
        if not isinstance(entry, type):
            return entry
        return entry.from_config(dict(config.get("config", {})))
