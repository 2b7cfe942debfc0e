"""Layers of several inputs: a list in, one Tensor out."""

import functools
from collections.abc import Callable
from typing import Any

from .. import ops
from ..errors import ShapeError, message
from .base import Layer


class _Merge(Layer):
    """Base: `_combine` folds the list from the left; shapes broadcast against each other."""

    supports_masking = _hands_masks_on = True
    _combine: Callable[[Any, Any], Any]
    _least = 2

    def call(self, inputs):
        self._check(inputs, [x.shape for x in inputs] if isinstance(inputs, (list, tuple)) else None)
        return self._merge(list(inputs))

    def _merge(self, inputs):
        return functools.reduce(type(self)._combine, inputs)

    def _check(self, inputs, shapes):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < self._least:
            raise ValueError(
                message(
                    self._label(),
                    f"a list of at least {self._least} inputs was expected.",
                    received=type(inputs).__name__
                    if not isinstance(inputs, (list, tuple))
                    else f"{len(inputs)}",
                )
            )
        self.compute_output_shape(list(shapes))

    def compute_mask(self, inputs, previous_mask=None):
        """As in Keras: the steps that count in any input; all, where one has no mask."""
        masks = previous_mask or (None,)
        return None if any(m is None for m in masks) else functools.reduce(ops.logical_or, masks)

    def compute_output_shape(self, input_shape):
        out = list(input_shape[0])
        for shape in input_shape[1:]:
            if len(shape) != len(out):
                _raise_shapes(self, input_shape)
            for i, n in enumerate(shape):
                if out[i] == 1 or out[i] is None:
                    out[i] = n if out[i] == 1 or n is None or n > 1 else out[i]
                elif n not in (1, None, out[i]):
                    _raise_shapes(self, input_shape)
        return tuple(out)


class Add(_Merge):
    """The sum of the inputs.

    >>> import numpy as np
    >>> Add()([np.ones(2), np.ones(2), np.ones(2)]).numpy().tolist()
    [3.0, 3.0]
    """

    _combine = staticmethod(ops.add)


class Multiply(_Merge):
    """The product of the inputs."""

    _combine = staticmethod(ops.multiply)


class Maximum(_Merge):
    """The largest of the inputs, element by element."""

    _combine = staticmethod(ops.maximum)


class Minimum(_Merge):
    """The smallest of the inputs, element by element."""

    _combine = staticmethod(ops.minimum)


class Average(Add):
    """The mean of the inputs."""

    def _merge(self, inputs):
        return super()._merge(inputs) / len(inputs)


class Subtract(_Merge):
    """The first input minus the second."""

    _combine = staticmethod(ops.subtract)

    def _check(self, inputs, shapes):
        super()._check(inputs, shapes)
        if len(inputs) != 2:
            raise ValueError(message(self._label(), "two inputs were expected.", received=f"{len(inputs)}"))


class Concatenate(_Merge):
    """The inputs one after the other along `axis`; the other axes must agree."""

    _least = 1

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def _merge(self, inputs):
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs, previous_mask=None):
        """As in other merges; along the steps, the masks one after the other."""
        masks = previous_mask or []
        if self.axis % inputs[0].ndim != 1 or all(m is None for m in masks):
            return super().compute_mask(inputs, previous_mask)
        pairs = zip(inputs, masks, strict=True)
        return ops.concatenate(
            [ops.ones(x.shape[:2], dtype=bool) if m is None else m for x, m in pairs], axis=1
        )

    def compute_output_shape(self, input_shape):
        first = list(input_shape[0])
        if not -len(first) <= self.axis < len(first):
            _raise_shapes(self, input_shape)
        axis = self.axis % len(first)
        total = 0
        for shape in input_shape:
            rest = [n for i, n in enumerate(shape) if i != axis]
            if len(shape) != len(first) or any(
                a != b and None not in (a, b)
                for a, b in zip(rest, (n for i, n in enumerate(first) if i != axis), strict=True)
            ):
                _raise_shapes(self, input_shape)
            total = None if total is None or shape[axis] is None else total + shape[axis]
        first[axis] = total
        return tuple(first)


class Dot(_Merge):
    """The inner product of two inputs along `axes` (one number, or one per input), normalised to a cosine on
    request.
    """

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        self.axes = axes
        self.normalize = normalize

    def _own_axes(self, ranks):
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)
        return tuple(a % r for a, r in zip(axes, ranks, strict=True))

    def _merge(self, inputs):
        axes = self._own_axes([x.ndim for x in inputs])
        x, y = (ops.moveaxis(t, a, -1) for t, a in zip(inputs, axes, strict=True))
        if self.normalize:
            x, y = (t / ops.sqrt(ops.maximum(ops.sum(t * t, axis=-1, keepdims=True), 1e-12)) for t in (x, y))
        batch, kept = x.shape[0], (*x.shape[1:-1], *y.shape[1:-1])
        x = ops.reshape(x, (batch, -1, x.shape[-1]))
        y = ops.reshape(y, (batch, -1, y.shape[-1]))
        return ops.reshape(ops.matmul(x, ops.swapaxes(y, 1, 2)), (batch, *(kept or (1,))))

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 2:
            _raise_shapes(self, input_shape)
        axes = self._own_axes([len(s) for s in input_shape])
        lengths = [s[a] for s, a in zip(input_shape, axes, strict=True)]
        if 0 in axes or (lengths[0] != lengths[1] and None not in lengths):
            _raise_shapes(self, input_shape)
        kept = [n for s, a in zip(input_shape, axes, strict=True) for i, n in enumerate(s) if i not in (0, a)]
        return (input_shape[0][0], *(kept or (1,)))


def _raise_shapes(layer, shapes):
    raise ShapeError(
        message(
            layer._label(),
            "the inputs' shapes do not fit each other.",
            received=", ".join(str(tuple(s)) for s in shapes)
            + (f", axis {layer.axis}" if hasattr(layer, "axis") else "")
            + (f", axes {layer.axes}" if hasattr(layer, "axes") else ""),
        )
    )


def add(inputs, **kwargs):
    """`Add()(inputs)`."""
    return Add(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """`Multiply()(inputs)`."""
    return Multiply(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """`Concatenate(axis)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)
