"""odeint with gradients by the adjoint equation (Pontryagin; Chen et al. 2018), solved backwards by odeint
itself.

Hence every order, and no memory of the steps. The derivatives have the accuracy of the solver: rtol and
atol.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import tree
from ..autograd.custom import custom_vjp
from ..autograd.modes import enable_grad
from ..autograd.op import graph
from ..autograd.tensor import Tensor
from ..autograd.transforms import vjp
from ..errors import GradientError, message
from ..ops.shape import concatenate, reshape, stack
from ..ops.special import floats
from ._namespace import module


def odeint(func: Callable, y0: Any, t: Any, args: Any = (), **options: Any) -> Tensor:
    """The solution of dy / dt = func(y, t, *args) at the times t, y(t[0]) = y0; differentiable in y0, t and
    args.

    Raises GradientError where func depends on recording Tensors that are not among args.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> odeint, times = bp.scipy.integrate.odeint, np.array([0.0, 1.0])
    >>> decayed = lambda rate: odeint(lambda y, t, r: -r * y, [1.0], times, (rate,))[1, 0]
    >>> float(bp.grad(decayed)(0.5).round(6))  # -exp(-0.5)
    -0.606531
    """
    leaves, spec = tree.flatten(tuple(args) if isinstance(args, (list, tuple)) else (args,))
    y0, t, *leaves = floats(y0, t, *leaves)

    def slope(y: Any, s: Any, *p: Any) -> Any:
        return func(y, s, *spec.unflatten(list(p)))

    with enable_grad():
        probe = slope(y0.detach(), t.detach()[0], *[p.detach() for p in leaves])
    if isinstance(probe, Tensor) and probe.node is not None:
        raise GradientError(
            message(
                "integrate.odeint",
                "func depends on a recording Tensor that it was not given.",
                hint="pass it through args: their gradients are computed, those of a closure are not.",
            )
        )
    return _solver(slope, options)(y0, t, *leaves)


def _solver(slope: Callable, options: dict[str, Any]) -> Callable[..., Tensor]:
    def run(y0: Tensor, t: Tensor, *p: Tensor) -> Any:
        raw = [x.data for x in p]

        def plain(y: np.ndarray, s: float) -> Any:
            out = slope(y, s, *raw)
            return out.data if isinstance(out, Tensor) else out

        return module("integrate").odeint(plain, y0.data, t.data, **options).astype(y0.dtype, copy=False)

    def forward(y0: Tensor, t: Tensor, *p: Tensor) -> Any:
        # differentiated again, the solution that the rule looks at is a node of its own
        recorded = any(x.node is not None for x in (y0, t, *p))
        out = solve(y0, t, *p) if recorded else run(y0, t, *p)
        return out, (out, t, p)

    def backward(kept: Any, g: Tensor) -> tuple[Any, ...]:
        ys, t, p = floats(kept[0])[0], kept[1], kept[2]
        n = ys.shape[1]
        moved = [graph.zeros_like(x) for x in p]
        a, in_t = graph.zeros_like(g[0]), []
        for k in range(t.shape[0] - 1, 0, -1):
            in_t.insert(0, (slope(ys[k], t[k], *p) * g[k]).sum())
            start = _packed([ys[k], a + g[k], *moved])
            back = odeint(_adjoint(slope, n), start, stack([t[k], t[k - 1]]), tuple(p), **options)[1]
            a, *moved = _unpacked(back[n:], [ys[k], *p])
        in_t.insert(0, -(slope(ys[0], t[0], *p) * a).sum())
        return (a + g[0], stack(in_t), *moved)

    solve = custom_vjp(run)
    solve.defvjp(forward, backward)
    return solve  # type: ignore[return-value]


def _adjoint(slope: Callable, n: int) -> Callable:
    """The motion of (y, a, gradients in p), where a is the gradient in y."""

    def motion(state: Any, s: Any, *p: Any) -> Any:
        (state,) = floats(state)
        rate, pull = vjp(lambda y, *q: slope(y, s, *q), state[:n], *floats(*p))
        return _packed([rate, *[-i for i in pull(state[n : 2 * n])]])

    return motion


def _packed(parts: list[Any]) -> Tensor:
    return concatenate([reshape(x, (-1,)) for x in parts])


def _unpacked(flat: Tensor, like: list[Any]) -> list[Tensor]:
    out, start = [], 0
    for x in like:
        out.append(reshape(flat[start : start + x.size], x.shape))
        start += x.size
    return out
