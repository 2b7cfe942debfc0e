"""Layer: weights made on the first call, and a pure `call`. `tracking.py` holds what concerns weights.

The hot path of a built leaf layer is one comparison chain in `__call__`; everything else (first call, arrays
instead of Tensors, `training`, masks, symbolic inputs, sublayers) goes through `_full_call`.
"""

import inspect
from contextvars import ContextVar

import numpy as np

from .. import ops, regularizers
from .._floatx import dtype_name, np_dtype
from .._naming import auto_name
from .._registry import Registry
from ..autograd.op import is_float
from ..autograd.tensor import Tensor
from .symbolic import SymbolicTensor
from .tracking import Tracked
from .tracking import no_initializers as no_initializers
from .trees import any_symbolic, leaves, map_shapes, map_tensors, numbers_only

layer_registry = Registry("layer")
register = layer_registry.register

# (the outermost layer being called, its `training`): inner layers that are not told take it from here
_context: ContextVar = ContextVar("tensorflowlite_bp.layer_call", default=None)


class Layer(Tracked):
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
    _penalties: list  # of add_loss, in the last call
    _takes: dict[str, int] = {}  # noqa: RUF012  position of `training` and `mask` among call's arguments: set once per class
    supports_masking = False
    _hands_masks_on = False  # compute_mask gives none where none came
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
        self._begin_tracking(trainable)
        object.__setattr__(self, "_penalties", [])  # of add_loss
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
        self._np_dtype = np_dtype(self.dtype)

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
        shapes = map_shapes(lambda s: tuple(2 if n is None else n for n in s), input_shape)
        out = self(map_shapes(lambda s: ops.zeros(s, dtype=self._np_dtype), shapes))
        return map_tensors(lambda t: (None, *t.shape[1:]) if t.ndim else (), out)

    def compute_mask(self, inputs, previous_mask=None):
        """Which time steps of the output count; those of the input in layers that support masking."""
        return previous_mask if self.supports_masking else None

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
        if (
            self._ready
            and inputs.__class__ is Tensor
            and inputs.data.dtype is self._np_dtype
            and (not kwargs or (len(kwargs) == 1 and "training" in kwargs))
        ):
            if not self._takes:
                return self.call(inputs, *args)
            training = kwargs.get("training")
            if training is None:
                outer = _context.get()
                training = None if outer is None else outer[1]
            if not args:
                return self.call(inputs) if training is None else self.call(inputs, training=training)  # type: ignore[call-arg]
        return self._full_call(inputs, args, kwargs)

    def _full_call(self, inputs, args, kwargs):
        if inputs.__class__ is not Tensor or inputs.data.dtype is not self._np_dtype:
            if any_symbolic(inputs):
                return self._symbolic_call(inputs, args, kwargs)
            inputs = self._as_tensors(inputs)
        if not self.built:
            self._build_for(map_tensors(lambda t: t.shape, inputs))
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
        if self._ready is None:
            plain = self.activity_regularizer is None and self._takes.keys() <= {"training"}
            object.__setattr__(self, "_ready", plain and not self._composite())
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
        for t in leaves(out):
            if isinstance(t, Tensor):
                self.add_loss(self.activity_regularizer(t) / (t.shape[0] if t.ndim else 1))

    def _as_tensors(self, inputs):
        """Arrays, lists of numbers and scalars as Tensors; floats in the layer's dtype."""
        if isinstance(inputs, (list, tuple)):
            if inputs and all(isinstance(x, (int, float, list)) for x in inputs) and numbers_only(inputs):
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

    def _symbolic_shapes(self, shapes, kwargs):
        """The shapes of what a call with these keywords gives."""
        return self.compute_output_shape(shapes)

    def _symbolic_call(self, inputs, args, kwargs):
        """A node of a functional model: shapes are computed, nothing runs."""
        shapes = map_tensors(lambda t: t.shape, inputs)
        if not self.built:
            self._build_for(shapes)
        out = self._symbolic_shapes(shapes, kwargs)
        made = []

        def symbol(shape):
            made.append(
                SymbolicTensor(shape, self.dtype, layer=self, inputs=inputs, args=args, kwargs=kwargs)
            )
            made[-1].index = len(made) - 1
            return made[-1]

        return map_shapes(symbol, out)

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

    def _has_build(self):
        return type(self).build is not Layer.build

    def _label(self):
        return f'{type(self).__name__} "{self.name}"'

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _marking_built(build):
    """`build` that also sets `built`, as Keras does for layers that do not call super().build()."""

    def wrapped(self, *args, **kwargs):
        result = build(self, *args, **kwargs)
        self.built = True
        return result

    wrapped.__doc__ = build.__doc__
    wrapped.__wrapped__ = build
    return wrapped
