"""Variable: the leaf Tensor that holds a weight, or the state of an optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd.op import is_float
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message

changes = [0]  # how often a layer was given an attribute, or a weight frozen: what was looked up may be stale


class Variable(Tensor):
    """A named leaf Tensor whose value is replaced in place: `assign`, `assign_add`, `assign_sub`.

    trainable: whether it records and receives gradients (floats only). path: "layer/name". regularizer,
    constraint: functions of the value, or None. A graph that still needs the old value keeps it: writing
    copies first.

    >>> v = Variable(np.zeros(2), name="bias")
    >>> v.assign_add([1.0, 2.0]).numpy().tolist()
    [1.0, 2.0]
    """

    __slots__ = ("_trainable", "constraint", "made_trainable", "name", "path", "regularizer")

    def __init__(
        self, value: Any, *, name: str = "variable", trainable: bool = True, path: str | None = None
    ) -> None:
        super().__init__(value)
        self.name = name
        self.path = path or name
        self.regularizer: Any = None
        self.constraint: Any = None
        self.made_trainable = bool(trainable)  # what freezing and thawing its layer returns to
        self.trainable = trainable

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        changes[0] += 1
        self._trainable = bool(value)
        self.requires_grad = self._trainable and is_float(self.data.dtype)

    @property
    def value(self) -> Tensor:
        """Itself, under Keras' name."""
        return self

    def assign(self, value: Any) -> Variable:
        """Replace the value, cast to this dtype. Raises ShapeError when the shapes differ."""
        new = self._raw(value)
        if new.shape != self.data.shape:
            raise ShapeError(
                message(
                    f'Variable "{self.path}"',
                    "a new value must have the variable's shape.",
                    received=f"value {tuple(new.shape)}, variable {self.shape}",
                )
            )
        target = self._writable()
        target[...] = new
        return self

    def _raw(self, value: Any) -> Any:
        """A value as a raw array on this variable's device."""
        raw = value.data if isinstance(value, Tensor) else value
        if type(raw) is type(self.data):
            return raw
        if isinstance(self.data, np.ndarray) and hasattr(raw, "get"):
            return raw.get()
        return backend.of(self.data).asarray(raw)

    def assign_add(self, value: Any) -> Variable:
        """Add to the value in place."""
        return self.assign(self.data + self._raw(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value in place."""
        return self.assign(self.data - self._raw(value))

    def __deepcopy__(self, memo: dict) -> Variable:
        out = Variable(self.data.copy(), name=self.name, trainable=self.made_trainable, path=self.path)
        out.trainable = self._trainable
        out.regularizer, out.constraint = self.regularizer, self.constraint
        memo[id(self)] = out
        return out

    def __repr__(self) -> str:
        text = np.array2string(self._host(), separator=", ", threshold=20, prefix="  ")
        about = f"path={self.path}, shape={self.shape}, dtype={self.dtype}, trainable={self._trainable}"
        return f"<Variable {about}>\n  {text}"

    __str__ = __repr__
