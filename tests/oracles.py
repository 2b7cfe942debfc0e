"""Implementations that nobody here wrote, loaded on first use and without their warnings."""

import functools
import os
import warnings

import numpy as np

import tensorflowlite_bp as bp


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


# ------------------------------------------------------------------ derivatives of libraries that have none
_STENCIL = (5 / 6, -5 / 21, 5 / 84, -5 / 504, 1 / 1260)  # of order 10: for a step of 4e-3, some 12 digits


def slope(f, args, tangents, step):
    """The derivative of f along tangents, by differences of its values."""
    moved = lambda s: np.asarray(f(*[a + s * t for a, t in zip(args, tangents, strict=True)]))
    return sum(w * (moved(k * step) - moved(-k * step)) for k, w in enumerate(_STENCIL, 1)) / step


def check_slopes(mine, theirs, args, *, rtol=1e-10, step=4e-3, seed=0):
    """Both modes of differentiation of `mine` against differences of `theirs`, over the largest entry."""
    r = np.random.default_rng(seed)
    draw = lambda a: r.normal(size=a.shape) + (1j * r.normal(size=a.shape) if np.iscomplexobj(a) else 0)
    tangents = [draw(a) for a in args]
    want = slope(theirs, args, tangents, step)
    out, along = bp.jvp(mine, tuple(args), tuple(tangents))
    np.testing.assert_allclose(along, want, rtol=0, atol=rtol * abs(want).max())
    g = draw(np.asarray(out))
    back = sum(np.sum(b * t).real for b, t in zip(bp.vjp(mine, *args)[1](g), tangents, strict=True))
    assert abs(back - np.sum(g * want).real) <= rtol * np.linalg.norm(g) * np.linalg.norm(want)
