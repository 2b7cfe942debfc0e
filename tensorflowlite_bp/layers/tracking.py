"""Tracked: the weights of a layer, and of the layers, lists and dicts of layers that are its attributes."""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar

import numpy as np

from .. import constraints, initializers, ops, regularizers
from .._floatx import np_dtype
from .._registry import Configurable
from ..autograd.op import is_float
from ..autograd.tensor import Tensor
from ..errors import NotBuiltError, ShapeError, message
from .variable import Variable, changes

_skip_initializers: ContextVar = ContextVar("tensorflowlite_bp.skip_initializers", default=False)


@contextlib.contextmanager
def no_initializers():
    """Weights made inside are zeros, whatever their initializers: for models whose values are about to be
    loaded.
    """
    token = _skip_initializers.set(True)
    try:
        yield
    finally:
        _skip_initializers.reset(token)


class Tracked(Configurable):
    """What owns weights: Variables made by `add_weight` or assigned to attributes, and those of sublayers."""

    name: str
    dtype: str
    built: bool
    _ready: (
        bool | None
    )  # whether a call may take the short way; None: a child was attached since it was decided
    _own: list[Variable]  # of this layer, in the order they were made
    _children: dict  # attribute name -> layer, or a container that may hold some
    _trainable: bool
    _about_a_run = frozenset[str]()  # attributes that say nothing about what there is to train
    _label: Callable[[], str]  # these two are Layer's methods
    _has_build: Callable[[], bool]

    def _begin_tracking(self, trainable):
        put = super().__setattr__
        put("_ready", None)
        put("_own", [])
        put("_children", {})
        put("_trainable", bool(trainable))

    def add_weight(
        self,
        shape=(),
        initializer=None,
        dtype=None,
        trainable=True,
        regularizer=None,
        constraint=None,
        name=None,
        **ignored,
    ):
        """A new Variable of this layer. Raises NotBuiltError when `super().__init__()` was forgotten,
        ValueError for unknown initializers, regularizers and constraints.
        """
        dtype = np_dtype(dtype or self.dtype)
        if initializer is None:
            initializer = "glorot_uniform" if is_float(dtype) else "zeros"
        initializer = ops.zeros if _skip_initializers.get() else initializers.get(initializer)
        value = initializer(tuple(int(n) for n in shape), dtype=dtype)
        value = (value.data if isinstance(value, Tensor) else ops.asarray(value).data).astype(
            dtype, copy=False
        )
        name = name or "variable"
        variable = Variable(value, name=name, trainable=trainable, path=f"{self.name}/{name}")
        variable.trainable = trainable and self._trainable
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own.append(variable)
        return variable

    def __setattr__(self, name, value):
        if name not in self._about_a_run:
            changes[0] += 1
        if isinstance(value, _TRACKED):
            self._track(name, value)
        elif "_children" in self.__dict__ and name in self._children:
            del self._children[name]
        super().__setattr__(name, value)

    def __delattr__(self, name):
        changes[0] += 1
        self._children.pop(name, None)
        old = self.__dict__.get(name)
        if isinstance(old, Variable):
            self._own[:] = [v for v in self._own if v is not old]
        super().__delattr__(name)

    def _track(self, name, value):
        if "_children" not in self.__dict__:
            raise NotBuiltError(
                message(
                    type(self).__name__,
                    f"super().__init__() must be called before {name!r} is set.",
                    hint="call it first in __init__.",
                )
            )
        if isinstance(value, Variable):
            old = self.__dict__.get(name)
            kept = [v for v in self._own if v is not old and v is not value]
            at = next((i for i, v in enumerate(self._own) if v is value or v is old), len(kept))
            self._own[:] = [*kept[:at], value, *kept[at:]]
        elif isinstance(value, (Tracked, list, dict)) or any(isinstance(v, _TRACKED) for v in value):
            self._children[name] = value
            super().__setattr__("_ready", None)

    def _layers_and_variables(self):
        """Direct sublayers, and Variables kept in containers, in the order they were attached."""
        layers, variables = [], []

        def walk(value):
            if isinstance(value, Tracked):
                if value is not self and all(value is not known for known in layers):
                    layers.append(value)
            elif isinstance(value, Variable):
                variables.append(value)
            elif isinstance(value, dict):
                for v in value.values():
                    walk(v)
            elif isinstance(value, (list, tuple)):
                for v in value:
                    walk(v)

        for child in self._children.values():
            walk(child)
        return layers, variables

    def _sublayers(self):
        """Direct sublayers; a model whose sublayers are kept elsewhere overrides this."""
        return self._layers_and_variables()[0]

    def _flatten_layers(self, include_self=True):
        """This layer and all below it, each once, parents first."""
        seen, out, stack = set(), [], [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                out.append(layer)
                stack.extend(reversed(layer._sublayers()))
        return out if include_self else out[1:]

    @property
    def weights(self):
        """All Variables: this layer's trainable ones, its others, then those of the sublayers."""
        own = self._own + self._layers_and_variables()[1]
        # as Keras: by what a weight was made as, so that freezing never reorders
        found = [v for v in own if v.made_trainable] + [v for v in own if not v.made_trainable]
        for layer in self._sublayers():
            found.extend(layer.weights)
        seen = set()
        return [v for v in found if not (id(v) in seen or seen.add(id(v)))]

    variables = weights

    @property
    def trainable_weights(self):
        """The Variables that training changes; none of a frozen layer."""
        if not self._trainable:
            return []
        return [v for v in self.weights if v.trainable]

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self):
        """All other Variables."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self):
        """Whether training changes this layer's weights. Setting it sets all sublayers too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        value = bool(value)
        changes[0] += 1
        super().__setattr__("_trainable", value)
        own = self._own + self._layers_and_variables()[1]
        for v in own:
            if v.made_trainable:
                v.trainable = value
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self):
        """The values of `weights` as NumPy arrays."""
        return [v.numpy().copy() for v in self.weights]

    def set_weights(self, weights):
        """Set all weights from arrays in the order of `weights`. Nothing changes when one does not fit
        (ShapeError).
        """
        own = self.weights
        arrays = [w.numpy() if isinstance(w, Tensor) else np.asarray(w) for w in weights]
        if len(arrays) != len(own):
            raise ShapeError(
                message(
                    self._label(),
                    "as many arrays as weights were expected.",
                    received=f"{len(arrays)} arrays, {len(own)} weights",
                    hint=None if self.built else "the layer has no weights before it is built or called.",
                )
            )
        for variable, array in zip(own, arrays, strict=True):
            if array.shape != variable.shape:
                raise ShapeError(
                    message(
                        self._label(),
                        "every array must have its weight's shape.",
                        received=f"array {array.shape} for {variable.path} {variable.shape}",
                    )
                )
        for variable, array in zip(own, arrays, strict=True):
            variable.assign(array)

    def count_params(self):
        """How many numbers the weights hold. Raises NotBuiltError before there are any."""
        if not self.built and self._has_build():
            raise NotBuiltError(
                message(
                    self._label(),
                    "the weights do not exist yet.",
                    hint="call the layer on data, or build(input_shape).",
                )
            )
        return sum(v.size for v in self.weights)


_TRACKED = (Tracked, Variable, list, tuple, dict)
