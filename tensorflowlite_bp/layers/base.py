"""Layer: weights made on the first call, a pure `call`, and the tracking of both.

The hot path of a built leaf layer is one comparison chain in `__call__`; everything else (first call, arrays
instead of Tensors, `training`, masks, symbolic inputs, sublayers) goes through `_full_call`.
"""

import contextlib
import inspect
from contextvars import ContextVar

import numpy as np

from .. import constraints, initializers, ops, regularizers
from .._floatx import dtype_name, np_dtype
from .._naming import auto_name
from .._registry import Configurable, Registry
from ..autograd.op import is_float
from ..autograd.tensor import Tensor
from ..errors import NotBuiltError, ShapeError, message
from .symbolic import SymbolicTensor
from .variable import Variable

layer_registry = Registry("layer")
register = layer_registry.register

# (the outermost layer being called, its `training`): inner layers that are not told take it from here
_context: ContextVar = ContextVar("tensorflowlite_bp.layer_call", default=None)

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


class Layer(Configurable):
    """Base class of all layers and models.

    A subclass takes its configuration in `__init__`, makes weights in `build(input_shape)` with `add_weight`,
    and computes in `call(inputs)`, which may also take `training` and `mask`. Layers, Variables, and lists or
    dicts of them that are assigned to attributes are tracked.

    trainable: False freezes all weights. name: numbered automatically. dtype: of the weights (`bp.set_floatx`
    by default); floating inputs are cast to it. input_shape, input_dim: the shape of one sample, as older
    scripts give it to the first layer. activity_regularizer: a penalty on the output, divided by the batch
    size.

    >>> class Double(Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> Double(name="twice")(np.ones(2)).numpy().tolist()
    [2.0, 2.0]
    """

    _base_config = ("name", "trainable", "dtype")
    _alias_config = frozenset({"input_dim", "batch_input_shape", "batch_size"})
    _takes: dict[str, int] = {}  # noqa: RUF012  position of `training` and `mask` among call's arguments: set once per class
    supports_masking = False
    autocast = True  # floating inputs are cast to the layer's dtype
    casts_integers = False  # so are integers and booleans

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable=True,
        dtype=None,
        name=None,
        input_shape=None,
        input_dim=None,
        batch_input_shape=None,
    ):
        put = super().__setattr__
        put("_ready", False)
        put("_own", [])  # Variables of this layer, in the order they were made
        put("_children", {})  # attribute name -> Layer, or a container that may hold some
        put("_penalties", [])  # of add_loss
        put("_trainable", bool(trainable))
        self.name = name or auto_name(type(self).__name__)
        self.dtype = dtype_name(dtype)
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if input_dim is not None:
            input_shape = (input_dim,)
        if batch_input_shape is not None:
            input_shape = tuple(batch_input_shape)[1:]
        if isinstance(input_shape, int):
            input_shape = (input_shape,)
        self._input_shape_arg = None if input_shape is None else tuple(input_shape)
        put("_np_dtype", np_dtype(self.dtype))

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__:
            names = list(inspect.signature(cls.call).parameters)[2:]
            cls._takes = {name: names.index(name) for name in ("training", "mask") if name in names}
        if "build" in cls.__dict__:
            cls.build = _marking_built(cls.build)

    # ------------------------------------------------------------------ to override
    def build(self, input_shape):
        """Make the weights for inputs of this shape (batch first, None where unknown)."""
        self.built = True

    def call(self, inputs):
        """The layer's function, in plain ops."""
        raise NotImplementedError(f"{type(self).__name__} must define call(inputs)")

    def compute_output_shape(self, input_shape):
        """The shape of the output for inputs of this shape; by default found by a trial call with zeros (a
        batch of 2).
        """
        shapes = _map(lambda s: tuple(2 if n is None else n for n in s), input_shape)
        out = self(_map(lambda s: ops.zeros(s, dtype=self._np_dtype), shapes))
        return _map_tensors(lambda t: (None, *t.shape[1:]) if t.ndim else (), out)

    def compute_mask(self, inputs, previous_mask=None):
        """Which time steps of the output count; by default those of the input."""
        return previous_mask

    # --------------------------------------------------------------------- weights
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
        if isinstance(value, _TRACKED):
            self._track(name, value)
        elif "_children" in self.__dict__ and name in self._children:
            del self._children[name]
        super().__setattr__(name, value)

    def __delattr__(self, name):
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
        elif isinstance(value, (Layer, list, dict)) or any(isinstance(v, _TRACKED) for v in value):
            self._children[name] = value
            super().__setattr__("_ready", False)

    def _layers_and_variables(self):
        """Direct sublayers, and Variables kept in containers, in the order they were attached."""
        layers, variables = [], []

        def walk(value):
            if isinstance(value, Layer):
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
        if not self.built and type(self).build is not Layer.build:
            raise NotBuiltError(
                message(
                    self._label(),
                    "the weights do not exist yet.",
                    hint="call the layer on data, or build(input_shape).",
                )
            )
        return sum(v.size for v in self.weights)

    # ---------------------------------------------------------------------- losses
    def add_loss(self, loss):
        """Add a scalar (or several) to the losses of this call; from within `call`."""
        call = _context.get()
        root = self if call is None else call[0]
        self._penalties.extend(loss if isinstance(loss, (list, tuple)) else [loss])
        object.__setattr__(root, "_has_penalties", True)

    @property
    def losses(self):
        """What was added in the last call, and the penalties of the regularised trainable weights: scalar
        Tensors.
        """
        found = [p for layer in self._flatten_layers() for p in layer._penalties]
        return found + [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]

    def _clear_losses(self):
        for layer in self._flatten_layers():
            layer._penalties.clear()
        object.__setattr__(self, "_has_penalties", False)

    _has_penalties = False

    # ---------------------------------------------------------------------- calling
    def __call__(self, inputs, *args, **kwargs):
        """The layer's output; the first call builds. Raises ShapeError naming the layer when shapes do not
        fit.
        """
        if self._ready and inputs.__class__ is Tensor and inputs.data.dtype is self._np_dtype and not kwargs:
            return self.call(inputs, *args)
        return self._full_call(inputs, args, kwargs)

    def _full_call(self, inputs, args, kwargs):
        if _any_symbolic(inputs):
            return self._symbolic_call(inputs, args, kwargs)
        inputs = self._as_tensors(inputs)
        if not self.built:
            self._build_for(_map_tensors(lambda t: t.shape, inputs))
        outer = _context.get()
        if outer is None and self._has_penalties:
            self._clear_losses()
        training = self._resolve_training(args, kwargs, outer)
        if "mask" in kwargs and "mask" not in self._takes:
            del kwargs["mask"]
        if self._children or self.activity_regularizer is not None or outer is None:
            token = _context.set((self if outer is None else outer[0], training))
            try:
                out = self.call(inputs, *args, **kwargs)
                if self.activity_regularizer is not None:
                    self._penalise(out)
            finally:
                _context.reset(token)
        else:
            out = self.call(inputs, *args, **kwargs)
        if (
            not self._ready
            and not self._takes
            and self.activity_regularizer is None
            and not self._composite()
        ):
            object.__setattr__(self, "_ready", True)
        return out

    def _composite(self):
        """Whether there are sublayers, or containers that may still get some."""
        holders = [child for child in self._children.values() if isinstance(child, Layer) or not child]
        return bool(holders or self._sublayers())

    def _resolve_training(self, args, kwargs, outer):
        """As Keras: what the caller says, else what the outer layer was told, else the default of `call`."""
        position = self._takes.get("training")
        given = kwargs.pop("training", None)
        if position is not None and len(args) > position:
            return args[position]
        if given is None and outer is not None:
            given = outer[1]
        if position is not None and given is not None:
            kwargs["training"] = given
        return given

    def _penalise(self, out):
        for t in _leaves(out):
            if isinstance(t, Tensor):
                self.add_loss(self.activity_regularizer(t) / (t.shape[0] if t.ndim else 1))

    def _as_tensors(self, inputs):
        """Arrays, lists of numbers and scalars as Tensors; floats in the layer's dtype."""
        if isinstance(inputs, (list, tuple)):
            if inputs and all(isinstance(x, (int, float, list)) for x in inputs) and _numbers_only(inputs):
                return self._as_tensors(np.asarray(inputs))
            return type(inputs)(self._as_tensors(x) for x in inputs)
        if isinstance(inputs, dict):
            return {k: self._as_tensors(x) for k, x in inputs.items()}
        if inputs is None:
            return None
        t = inputs if isinstance(inputs, Tensor) else ops.asarray(inputs)
        if t.dtype != self._np_dtype and self._casts(t.dtype):
            t = ops.astype(t, self._np_dtype)
        return t

    def _casts(self, dtype):
        return (
            self.casts_integers
            if dtype.kind in "biu"
            else self.autocast and is_float(dtype) and dtype.kind != "c"
        )

    def _build_for(self, shapes):
        self.build(shapes)
        self.built = True
        object.__setattr__(self, "_build_shape", shapes)  # for summary()

    def _symbolic_call(self, inputs, args, kwargs):
        """A node of a functional model: shapes are computed, nothing runs."""
        shapes = _map_tensors(lambda t: t.shape, inputs)
        if not self.built:
            self._build_for(shapes)
        out = self.compute_output_shape(shapes)
        made = []

        def symbol(shape):
            made.append(
                SymbolicTensor(shape, self.dtype, layer=self, inputs=inputs, args=args, kwargs=kwargs)
            )
            made[-1].index = len(made) - 1
            return made[-1]

        return _map(symbol, out)

    # ------------------------------------------------------------------- description
    @property
    def compute_dtype(self):
        return self.dtype

    variable_dtype = compute_dtype

    def get_config(self):
        config = super().get_config()
        config.pop("input_shape", None)
        if self._input_shape_arg is not None:
            config["input_shape"] = self._input_shape_arg
        if config.get("activity_regularizer", 0) is None:
            del config["activity_regularizer"]
        return config

    def _label(self):
        return f'{type(self).__name__} "{self.name}"'

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


_TRACKED = (Layer, Variable, list, tuple, dict)


def _marking_built(build):
    """`build` that also sets `built`, as Keras does for layers that do not call super().build()."""

    def wrapped(self, *args, **kwargs):
        result = build(self, *args, **kwargs)
        self.built = True
        return result

    wrapped.__doc__ = build.__doc__
    wrapped.__wrapped__ = build
    return wrapped


# -------------------------------------------------------------- trees of inputs, of shapes
def _is_shape(value):
    return isinstance(value, tuple) and all(n is None or isinstance(n, (int, np.integer)) for n in value)


def _map(function, shapes):
    """Apply to every shape of a tree of shapes."""
    if _is_shape(shapes):
        return function(shapes)
    if isinstance(shapes, dict):
        return {k: _map(function, s) for k, s in shapes.items()}
    return type(shapes)(_map(function, s) for s in shapes)


def _map_tensors(function, tree):
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map_tensors(function, t) for t in tree)
    if isinstance(tree, dict):
        return {k: _map_tensors(function, t) for k, t in tree.items()}
    return None if tree is None else function(tree)


def _leaves(tree):
    if isinstance(tree, (list, tuple)):
        return [leaf for t in tree for leaf in _leaves(t)]
    if isinstance(tree, dict):
        return [leaf for t in tree.values() for leaf in _leaves(t)]
    return [tree]


def _any_symbolic(tree):
    if isinstance(tree, (list, tuple, dict)):
        return any(isinstance(leaf, SymbolicTensor) for leaf in _leaves(tree))
    return isinstance(tree, SymbolicTensor)


def _numbers_only(tree):
    return all(isinstance(leaf, (int, float)) for leaf in _leaves(tree))
