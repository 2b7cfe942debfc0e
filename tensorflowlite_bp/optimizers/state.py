"""What an optimizer remembers about its variables, and how that is saved and restored."""

import re
from typing import Any

import numpy as np

from .. import backend
from .._registry import Configurable
from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from ..layers.variable import Variable


def path_of(variable, place):
    """What to call a variable: its path, else its place among those the optimizer was built with."""
    return getattr(variable, "path", f"variable_{place}")


class State(Configurable):
    """The variables an optimizer was built with, and per variable a Variable for each of its states."""

    _slots: tuple[str, ...] = ()  # names of the per-variable states, zero at first
    name: str
    use_ema: bool
    gradient_accumulation_steps: int | None
    _iterations: Variable
    _rate: Variable
    loss_scale: Any  # a DynamicLossScale, or None
    _schedule: Any  # a schedule, a function without arguments, or None

    def _begin_state(self):
        self.built = False
        self._trainable: list[Tensor] = []
        self._active: list[int] = []  # which of them the present step is about
        self._index: dict[int, int] = {}
        self._state: dict[str, list[Variable]] = {}
        self._excluded: list[bool] | None = None
        self._exclude: tuple[tuple, tuple] = ((), ())

    def build(self, variables):
        """Make the state for these variables (once); gives the optimizer back.

        variables: Variables, or leaf Tensors that require gradients. Raises TypeError for anything else.
        """
        if self.built:
            return self
        given = list(variables)
        for i, v in enumerate(given):
            if not isinstance(v, Variable) and not (isinstance(v, Tensor) and v.is_leaf and v.requires_grad):
                raise TypeError(
                    message(
                        self.name,
                        "an optimizer updates Variables, or leaf Tensors that require gradients.",
                        received=f"{v!r:.60} at {i}",
                        hint="bp.tensor(array, requires_grad=True); layer.trainable_weights.",
                    )
                )
        self._trainable = given
        self._index = {id(v): i for i, v in enumerate(self._trainable)}
        if self.use_ema:
            self._add_state("average")
        if self.gradient_accumulation_steps:
            self._add_state("gradient_accumulator")
        for slot in self._slots_wanted():
            self._add_state(slot)
        variables, names = self._exclude
        if variables or names:
            ids = {id(v) for v in variables}
            pattern = re.compile("|".join(names)) if names else None
            self._excluded = [
                id(v) in ids or (pattern is not None and pattern.search(path_of(v, i)) is not None)
                for i, v in enumerate(self._trainable)
            ]
        self.built = True
        return self

    def _slots_wanted(self):
        return self._slots

    def _add_state(self, name, value=0.0):
        self._state[name] = [
            Variable(
                backend.of(v.data).full(v.shape, value, dtype=v.dtype),
                name=name,
                trainable=False,
                path=f"{path_of(v, i).replace('/', '_')}_{name}",
            )
            for i, v in enumerate(self._trainable)
        ]

    def _raw(self, name):
        """The raw arrays of one state, for the variables of this step, to be written in place."""
        return [self._state[name][i]._writable() for i in self._active]

    @property
    def variables(self):
        """All state as Variables: the iteration, the learning rate (unless a schedule gives it), and the
        states per variable.
        """
        own = [self._iterations] if self._schedule is not None else [self._iterations, self._rate]
        groups = list(self._state.items())
        own += [] if self.loss_scale is None else self.loss_scale.variables
        return own + [v for _, group in groups for v in group]

    def get_weights(self):
        """The values of `variables` as NumPy arrays."""
        return [v.numpy().copy() for v in self.variables]

    def set_weights(self, weights):
        """The reverse of `get_weights`, after `build`. Nothing changes when a shape does not fit
        (ShapeError).
        """
        own = self.variables
        shapes = [tuple(np.shape(w)) for w in weights]
        if shapes != [v.shape for v in own]:
            raise ShapeError(
                message(
                    self.name,
                    "the weights of an optimizer must match its variables.",
                    received=f"shapes {shapes}, expected {[v.shape for v in own]}",
                    hint=None if self.built else "call optimizer.build(trainable_variables) first.",
                )
            )
        for variable, weight in zip(own, weights, strict=True):
            variable.assign(weight)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Spare these variables, and those whose path contains one of the names, from weight decay. Before
        `build`.
        """
        if self.built:
            raise ValueError(
                message(self.name, "exclude_from_weight_decay must be called before the optimizer is built.")
            )
        self._exclude = (tuple(var_list or ()), tuple(var_names or ()))
