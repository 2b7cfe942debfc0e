"""Implementations that nobody here wrote, loaded on first use and without their warnings."""

import functools
import os
import warnings

import numpy as np


def quiet():
    """A context in which the warnings of others are not errors."""
    return warnings.catch_warnings(action="ignore")


@functools.cache
def keras():
    """Keras 3 on its torch backend."""
    os.environ["KERAS_BACKEND"] = "torch"
    with quiet():
        import keras as module
    return module


@functools.cache
def torch():
    """torch, on the CPU."""
    with quiet():
        import torch as module
    return module


def array(x):
    """A Keras or torch tensor as a NumPy array."""
    x = getattr(x, "value", x)
    return x.detach().numpy().copy() if hasattr(x, "detach") else np.array(x)


def keras_call(layer, inputs, weights=(), *, cotangent=None, **kwargs):
    """A Keras layer's output for given weights, and with a cotangent the gradients of inputs and weights."""
    t = torch()
    given = inputs if isinstance(inputs, list) else [inputs]
    xs = [t.tensor(x, requires_grad=cotangent is not None and x.dtype.kind == "f") for x in given]
    with quiet():
        layer.build([x.shape for x in given] if isinstance(inputs, list) else given[0].shape)
        if len(weights):
            layer.set_weights(list(weights))
        out = layer(xs if isinstance(inputs, list) else xs[0], **kwargs)
        if cotangent is None:
            return array(out)
        variables = [v.value for v in layer.trainable_weights]
        wanted = [x for x in xs if x.requires_grad] + variables
        grads = t.autograd.grad(out, wanted, t.tensor(cotangent))
    return array(out), [array(g) for g in grads]
