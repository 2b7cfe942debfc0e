"""Elliptic integrals, differentiable in every argument to any order through Carlson's symmetric integrals.

int_0^inf prod_k (t + x_k)^-p_k dt has derivatives of its own kind, with one p_k raised by 1, and no
singularity where arguments meet: Legendre's formulas, whose derivatives cancel at m = 0 and m = 1, are not
used. SciPy gives the values.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op, graph
from ..autograd.outputs import joint_jvp, joint_vjp
from ..autograd.record import apply_many, applyn
from ..autograd.tensor import Tensor
from ..backend.batched import ever
from .special import as_precise, declared, fixed, floats, many, on_arrays, one

_STEP = 0.4  # of the trapezoidal rule in log t: the error is exp(-2 pi^2 / step)


def _carlson(B: Any, xs: tuple[Any, ...], powers: tuple[float, ...]) -> Any:
    """The trapezoidal rule in u = log t, between the ends where nothing is left of the integrand."""
    dtype = xs[0].dtype
    shape = np.broadcast_shapes(*[x.shape for x in xs])
    wide = "complex128" if dtype.kind == "c" else "float64"
    flat = [B.broadcast_to(x, shape).reshape(-1).astype(wide) for x in xs]
    out = B.empty(flat[0].shape, wide)
    with np.errstate(all="ignore"):
        for k in range(0, out.size, 1024):
            part = [x[k : k + 1024] for x in flat]
            sizes = [B.where(B.equal(x, 0), 1.0, B.absolute(x)) for x in part]
            low = B.log(
                _extreme(
                    B.minimum, [B.where(B.equal(x, 0), math.inf, s) for x, s in zip(part, sizes, strict=True)]
                )
            )
            zero = [B.where(B.equal(x, 0), p, 0.0) for x, p in zip(part, powers, strict=True)]
            rise = 1 - sum(zero[1:], zero[0])  # the integrand in u grows as exp(rise u)
            fall = sum(powers) - 1
            low = low - 40.0 / B.where(rise > 0, rise, 1.0)
            high = B.log(_extreme(B.maximum, sizes)) + 40.0 / fall
            n = math.ceil(max(1.0, float((high - low).max())) / _STEP) + 1
            step = (high - low) / n
            u = low[:, None] + step[:, None] * B.arange(n + 1)
            t = B.exp(u)
            total = u
            for x, p in zip(part, powers, strict=True):
                total = total - p * B.log(t + x[:, None])
            value = B.sum(B.exp(total), axis=1) * step
            out[k : k + 1024] = B.where(rise > 0, value, math.inf)
    return out.reshape(shape).astype(dtype)


def _extreme(function: Callable, xs: list[Any]) -> Any:
    out = xs[0]
    for x in xs[1:]:
        out = function(out, x)
    return out


def _carlson_back(F: Any, g: Any, out: Any, needs: Any, *xs: Any, powers: tuple[float, ...]) -> list[Any]:
    return [
        -powers[k] * g * integral(F, xs, _raised(powers, k)) if need else None for k, need in enumerate(needs)
    ]


def _carlson_along(F: Any, ts: Any, out: Any, *xs: Any, powers: tuple[float, ...]) -> Any:
    total = None
    for k, t in enumerate(ts):
        if t is not None:
            part = -powers[k] * t * integral(F, xs, _raised(powers, k))
            total = part if total is None else total + part
    return total


def _raised(powers: tuple[float, ...], k: int) -> tuple[float, ...]:
    return tuple([p + 1 if j == k else p for j, p in enumerate(powers)])


_CARLSON = Op(
    "special.carlson",
    vjp_all=_carlson_back,
    jvp=_carlson_along,
    saves=("x", "y", "z"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: lambda *xs, powers: _carlson(B, xs, powers),
)


def _symmetric(*xs: Any, powers: tuple[float, ...]) -> Tensor:
    """int_0^inf prod_k (t + x_k)^-p_k dt."""
    return applyn(_CARLSON, tuple(floats(*xs)), {"powers": tuple(powers)})


carlson = declared(_CARLSON, _symmetric, None)


def integral(F: Any, xs: Any, powers: tuple[float, ...]) -> Any:
    """`carlson` on raw arrays or on Tensors."""
    if F is graph:
        return carlson(*xs, powers=powers)
    return on_arrays(F, lambda B: lambda *xs: _carlson(B, xs, powers), *xs)


# ------------------------------------------------------------------ complete integrals


def _complete(F: Any, rest: Any, powers: tuple[float, float, float]) -> Any:
    """The integral of arguments 0, 1 - m, 1."""
    return integral(F, (F.zeros_like(rest), rest, F.ones_like(rest)), powers)


ellipk = one(
    "ellipk",
    lambda F, g, out, x: g * 0.25 * _complete(F, 1 - x, (0.5, 1.5, 0.5)),
    doc="The complete elliptic integral of the first kind, of the parameter m = k^2.",
)
ellipkm1 = one(
    "ellipkm1",
    lambda F, g, out, x: g * -0.25 * _complete(F, x, (0.5, 1.5, 0.5)),
    doc="ellipk(1 - x), accurate near x = 0.",
)
ellipe = one(
    "ellipe",
    lambda F, g, out, x: g * -0.25 * _complete(F, 1 - x, (0.5, 0.5, 1.5)),
    doc="The complete elliptic integral of the second kind, of the parameter m = k^2.",
)


# ------------------------------------------------------------------ incomplete integrals
def _incomplete(F: Any, phi: Any, m: Any, powers: tuple[float, float, float], whole: Any) -> Any:
    """sin^3 times the integral of cos^2, 1 - m sin^2, 1; half turns add the complete integral."""
    turns = F.rint(phi / math.pi)
    angle = phi - turns * math.pi
    s, c = F.sin(angle), F.cos(angle)
    part = s * s * s * integral(F, (c * c, 1 - m * s * s, F.ones_like(s * m)), powers)
    if not ever(turns.any()):
        return part
    return part + 2 * turns * F.where(F.equal(turns, 0), F.zeros_like(m * turns), whole(F))


def _speed(F: Any, phi: Any, m: Any) -> Any:
    return F.sqrt(1 - m * F.square(F.sin(phi)))


ellipkinc = many(
    "ellipkinc",
    lambda F, g, out, phi, m: g / _speed(F, phi, m),
    lambda F, g, out, phi, m: (
        g * 0.25 * _incomplete(F, phi, m, (0.5, 1.5, 0.5), lambda F: _complete(F, 1 - m, (0.5, 1.5, 0.5)))
    ),
    doc="The incomplete elliptic integral of the first kind, of angle phi and parameter m.",
)
ellipeinc = many(
    "ellipeinc",
    lambda F, g, out, phi, m: g * _speed(F, phi, m),
    lambda F, g, out, phi, m: (
        g * -0.25 * _incomplete(F, phi, m, (0.5, 0.5, 1.5), lambda F: _complete(F, 1 - m, (0.5, 0.5, 1.5)))
    ),
    doc="The incomplete elliptic integral of the second kind, of angle phi and parameter m.",
)

# ------------------------------------------------------------------ Carlson's own


def _own(name: str, factor: float, powers: tuple[float, ...], doc: str) -> Callable[..., Tensor]:
    def rule(k: int) -> Callable:
        raised = _raised(powers, k)
        return lambda F, g, out, *xs: g * (-powers[k] * factor) * integral(F, xs, raised)

    return many(name, *[rule(k) for k in range(len(powers))], saves=("x", "y", "z"), doc=doc)


elliprf = _own("elliprf", 0.5, (0.5, 0.5, 0.5), "Carlson's completely symmetric integral of the first kind.")
elliprd = _own("elliprd", 1.5, (0.5, 0.5, 1.5), "Carlson's integral of the second kind, R_D.")
elliprj = _own("elliprj", 1.5, (0.5, 0.5, 0.5, 1.0), "Carlson's symmetric integral of the third kind.")
elliprc = _own("elliprc", 0.5, (0.5, 1.0), "Carlson's degenerate integral R_C(x, y), y > 0.")


def _elliprg(k: int) -> Callable:
    def rule(F: Any, g: Any, out: Any, *xs: Any) -> Any:
        """d R_G / d x = (1/8) int t (t + x)^-1 prod (t + .)^(-1/2) dt (DLMF 19.16.3), t as (t + x) - x."""
        half = (0.5, 0.5, 0.5)
        return g * 0.125 * (integral(F, xs, half) - xs[k] * integral(F, xs, _raised(half, k)))

    return rule


elliprg = many(
    "elliprg",
    _elliprg(0),
    _elliprg(1),
    _elliprg(2),
    doc="Carlson's completely symmetric integral of the second kind.",
)


# ------------------------------------------------------------------ Jacobi's functions
def _jacobi(F: Any, outs: Any, m: Any) -> tuple[Any, ...]:
    sn, cn, dn, _ = outs
    return cn * dn, -sn * dn, -m * sn * cn, dn


_ELLIPJ = Op(
    "special.ellipj",
    vjp_all=joint_vjp(
        lambda F, gs, outs, needs, u, *, m: [
            sum(
                [g * s for g, s in zip(gs[1:], _jacobi(F, outs, m)[1:], strict=True)],
                gs[0] * _jacobi(F, outs, m)[0],
            )
        ]
    ),
    jvp=joint_jvp(lambda F, ts, outs, u, *, m: [ts[0] * s for s in _jacobi(F, outs, m)]),
    saves=("x.shape", "out"),
    broadcasts=True,
    forward=lambda B: lambda u, *, m: as_precise(B.special.ellipj(u, m), u),
)


def _ellipj(u: Any, m: Any) -> tuple[Tensor, ...]:
    """(sn, cn, dn, am): Jacobi's elliptic functions of u; the parameter m is a constant."""
    return apply_many(_ELLIPJ, tuple(floats(u)), {"m": fixed("ellipj", "m", m)})


ellipj = declared(_ELLIPJ, _ellipj, None)
