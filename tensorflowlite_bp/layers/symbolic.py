"""Input, InputLayer and SymbolicTensor: the description of data that is not there yet."""

from .._floatx import dtype_name
from ..errors import ShapeError, message


class SymbolicTensor:
    """A shape and a dtype, and where it comes from: the layer that would compute it and that layer's inputs.

    shape: with the batch axis, None where unknown. index: which of the layer's outputs it is. Calling a layer
    on one gives another; a functional model is the graph between two sets of them. It holds no values:
    operators on it are errors.
    """

    __slots__ = ("args", "dtype", "index", "inputs", "kwargs", "layer", "name", "shape")

    def __init__(self, shape, dtype=None, *, name=None, layer=None, inputs=None, args=(), kwargs=None):
        self.shape = tuple(shape)
        self.dtype = dtype_name(dtype)
        self.layer = layer
        self.inputs = inputs
        self.args = args
        self.kwargs = kwargs or {}
        self.index = 0
        self.name = name or (layer.name if layer is not None else "input")

    @property
    def ndim(self):
        return len(self.shape)

    def __repr__(self):
        return f"<SymbolicTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _no_values(self, *_):
        raise TypeError(
            message(
                "Input",
                "a symbolic input has no values to compute with.",
                received=repr(self),
                hint="use layers (Add, Concatenate, ...) between Input and Model, or a subclass of Model.",
            )
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _no_values
    __matmul__ = __rmatmul__ = __neg__ = __pow__ = __getitem__ = __bool__ = __float__ = __len__ = _no_values
    __array__ = __array_ufunc__ = __array_function__ = __iter__ = _no_values


def check_shape(where, shape):
    """A shape of one sample as a tuple of ints and None."""
    if isinstance(shape, int):
        shape = (shape,)
    if not all(n is None or (isinstance(n, int) and n > 0) for n in shape):
        raise ShapeError(
            message(where, "a shape of positive integers (or None) was expected.", received=repr(shape))
        )
    return tuple(shape)
