"""scipy.integrate: quadrature of samples, differentiable in the samples and in the places.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(bp.scipy.integrate.trapezoid)(np.array([1.0, 2.0, 3.0]))
array([0.5, 1. , 0.5])

`odeint` differentiates by its adjoint equation. What else calls a function of the user's (quad, solve_ivp)
refuses recording Tensors by name.
"""

from typing import Any

from ..autograd.tensor import Tensor
from ..errors import ShapeError, message
from ..ops.reductions import cumsum
from ..ops.shape import concatenate, moveaxis
from ..ops.special import floats
from ._namespace import names
from ._odeint import odeint


def _steps(name: str, y: Any, x: Any, dx: Any, axis: int) -> tuple[Tensor, Any]:
    """The samples with their axis last, and the distances between them."""
    if x is None:
        (y,) = floats(y)
        return moveaxis(y, axis, -1), dx
    y, x = floats(y, x)
    if x.ndim == 1:
        if x.shape[0] != y.shape[axis]:
            raise ShapeError(message(name, "x must be as long as y.", received=f"{x.shape}, {y.shape}"))
        return moveaxis(y, axis, -1), x[1:] - x[:-1]
    x = moveaxis(x, axis, -1)
    return moveaxis(y, axis, -1), x[..., 1:] - x[..., :-1]


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral of samples by the trapezoidal rule."""
    y, steps = _steps("trapezoid", y, x, dx, axis)
    return ((y[..., 1:] + y[..., :-1]) * 0.5 * steps).sum(-1)


def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Tensor:
    """The running integral by the trapezoidal rule; initial=0 puts a 0 in front."""
    y, steps = _steps("cumulative_trapezoid", y, x, dx, axis)
    out = cumsum((y[..., 1:] + y[..., :-1]) * 0.5 * steps, -1)
    if initial is not None:
        if initial != 0:
            raise ValueError(
                message("cumulative_trapezoid", "initial must be None or 0.", received=repr(initial))
            )
        out = concatenate([out[..., :1] * 0.0, out], axis=-1)
    return moveaxis(out, -1, axis)


def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral of samples by Simpson's rule; of an even number of them the last interval by the parabola
    through the last three (Cartwright 2017).
    """
    y, steps = _steps("simpson", y, x, dx, axis)
    n = y.shape[-1]
    if n < 3:
        return ((y[..., 1:] + y[..., :-1]) * 0.5 * steps).sum(-1)
    even = x is None
    whole = n - 1 if n % 2 == 0 else n
    h0, h1 = (dx, dx) if even else (steps[..., 0 : whole - 1 : 2], steps[..., 1 : whole - 1 : 2])
    a, b, c = (y[..., k : whole - 2 + k : 2] for k in range(3))
    sums, ratio = h0 + h1, h0 / h1
    out = (sums / 6.0 * (a * (2.0 - 1.0 / ratio) + b * (sums * (sums / (h0 * h1))) + c * (2.0 - ratio))).sum(
        -1
    )
    if n % 2 == 0:
        h0, h1 = (dx, dx) if even else (steps[..., -2], steps[..., -1])
        out = out + y[..., -1] * ((2 * h1**2 + 3 * h0 * h1) / (6 * (h1 + h0)))
        out = (
            out
            + y[..., -2] * ((h1**2 + 3.0 * h0 * h1) / (6 * h0))
            - y[..., -3] * (h1**3 / (6 * h0 * (h0 + h1)))
        )
    return out


def romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Tensor:
    """The integral of 2^k + 1 equally spaced samples by Romberg's extrapolation."""
    (y,) = floats(y)
    y = moveaxis(y, axis, -1)
    intervals = y.shape[-1] - 1
    if intervals < 1 or intervals & (intervals - 1):
        raise ValueError(message("romb", "2^k + 1 samples were expected.", received=str(y.shape[-1])))
    row = [(y[..., 0] + y[..., -1]) * 0.5 * intervals * dx]
    step = intervals
    while step > 1:
        half = step // 2
        now = [row[0] * 0.5 + y[..., half::step].sum(-1) * half * dx]
        for k, before in enumerate(row, 1):
            now.append(now[-1] + (now[-1] - before) / (4.0**k - 1))
        row, step = now, half
    return row[-1]


OURS = {f.__name__: f for f in (trapezoid, cumulative_trapezoid, simpson, romb, odeint)}

__getattr__, __dir__ = names("integrate", OURS, globals())
