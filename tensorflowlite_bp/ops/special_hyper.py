"""Hypergeometric functions, orthogonal polynomials, spherical harmonics, Lambert's W."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.record import applyn
from ..autograd.tensor import Tensor
from ..backend import by_type
from ..backend.batched import Batched, ever
from .elementwise import exp, where
from .special import as_precise, complexes, declared, fixed, floats, one, ordered, run
from .special_incomplete import in_blocks, largest, width_of

# ------------------------------------------------------------------ hypergeometric
hyp0f1 = ordered(
    "hyp0f1",
    lambda F, g, out, x, *, at: g * F.special.hyp0f1(at[0] + 1, x) / at[0],
    "v",
    doc="The confluent hypergeometric limit function, in its argument.",
)
hyp2f1 = ordered(
    "hyp2f1",
    lambda F, g, out, x, *, at: g * F.special.hyp2f1(*[p + 1 for p in at], x) * (at[0] * at[1] / at[2]),
    "a",
    "b",
    "c",
    doc="Gauss' hypergeometric function, in its argument.",
)


def _tricomi(B: Any, a: Any, b: Any, x: Any) -> Any:
    """U(a, b, x) for a, x > 0: the trapezoidal rule for int exp(a u - x e^u + c log(1 + e^u)) du / gamma(a),
    c = b - a - 1 (DLMF 13.4.4): analytic, with one peak, and left of the nodes a geometric series.
    """
    c = b - a - 1
    p = b - 1 - x
    root = B.sqrt(p * p + 4 * a * x)
    t = B.where(p < 0, 2 * a / (root - p), (root + p) / (2 * x))
    top = B.log(t)

    def depth(w: Any) -> Any:
        """How far the logarithm of the integrand is below its peak, w away from it."""
        return x * t * B.expm1(w) - a * w - c * B.log1p(t / (1 + t) * B.expm1(w))

    end = -B.log(1e18 * (1 + x + B.absolute(c)))  # to the left of it the integrand is exp(a u)
    reach = B.maximum(top - end, 1.0)
    left = width_of(B, lambda w: depth(-w), reach)
    right = width_of(B, depth, B.maximum(B.log(2000 / x) - top, 0.0) + 10.0)
    bend = 1 + x * t + B.absolute(c) * t / (1 + t) ** 2
    n = int(largest((left + right) * B.sqrt(bend)) / 0.3) + 1
    step = (left + right) / n
    w = step[:, None] * B.arange(n + 1) - left[:, None]
    fall = (x * t)[:, None] * B.expm1(w) - a[:, None] * w
    values = B.exp(c[:, None] * B.log1p((t / (1 + t))[:, None] * B.expm1(w)) - fall)
    beyond = B.where(left == reach, values[:, 0] / B.expm1(a * step), 0.0)
    peak = a * top - x * t + c * B.log1p(t) - B.special.gammaln(a)
    return step * (values.sum(1) + beyond) * B.exp(peak)


def _hyperu(B: Any) -> Callable:
    """By the integral, in either of Kummer's forms, or, where it has none, by SciPy, which loses digits."""

    def forward(a: Any, b: Any, x: Any) -> Any:
        dtype = x.dtype
        shape = np.broadcast_shapes(np.shape(a), np.shape(b), x.shape)
        a, b, x = (B.broadcast_to(B.asarray(v, dtype="float64"), shape) for v in (a, b, x))
        out = B.special.hyperu(a, b, x)
        turned = a <= 0
        p, q = B.where(turned, a - b + 1, a), B.where(turned, 2 - b, b)
        inside = (p > 0) & (x > 0) & B.isfinite(x)
        safe = [B.where(inside, v, 1.0) for v in (p, q, x)]
        with np.errstate(all="ignore"):
            value = in_blocks(B, _tricomi, *safe) * B.where(turned & inside, x, 1.0) ** (1 - b)
        return B.where(inside, value, out).astype(dtype)

    return forward


hyperu = ordered(
    "hyperu",
    lambda F, g, out, x, *, at: -g * run(F, hyperu, at[0] + 1, at[1] + 1, x) * at[0],
    "a",
    "b",
    forward=_hyperu,
    doc="Tricomi's confluent hypergeometric function, in its argument.",
)


def _series(B: Any, a: Any, b: Any, x: Any, i: int, j: int) -> Any:
    """The derivative of 1F1(a, b, x), i times in a and j times in b, by its power series: all terms of the
    derivatives are carried along. For x < 0 the terms cancel; the rules apply Kummer's transformation first.
    """
    dtype = x.dtype
    shape = np.broadcast_shapes(a.shape, b.shape, x.shape)
    a, b, x = (B.broadcast_to(v, shape).astype("float64") for v in (a, b, x))
    zero = B.zeros_like(x)
    terms = [[zero + (k == m == 0) for m in range(j + 1)] for k in range(i + 1)]
    total = terms[i][j]
    with np.errstate(all="ignore"):
        for n in range(3000):
            inverse = [(-1.0) ** m * math.factorial(m) / (b + n) ** (m + 1) for m in range(j + 1)]
            raised = [
                [terms[k][m] * (a + n) + (k * terms[k - 1][m] if k else 0.0) for m in range(j + 1)]
                for k in range(i + 1)
            ]
            terms = [
                [
                    sum((math.comb(m, q) * raised[k][m - q] * inverse[q] for q in range(m + 1)), zero)
                    * (x / (n + 1))
                    for m in range(j + 1)
                ]
                for k in range(i + 1)
            ]
            total = total + terms[i][j]
            if n > i + j and not bool(B.any(B.absolute(terms[i][j]) > 1e-17 * B.absolute(total))):
                break
    return total.astype(dtype)


_HYP1F1 = Op(
    "special.hyp1f1_series",
    vjp=(
        lambda F, g, out, a, b, x, *, i, j: g * run(F, hyp1f1_series, a, b, x, i + 1, j),
        lambda F, g, out, a, b, x, *, i, j: g * run(F, hyp1f1_series, a, b, x, i, j + 1),
        lambda F, g, out, a, b, x, *, i, j: g * _in_x(F, a, b, x, i, j),
    ),
    saves=("x", "y", "z"),
    elementwise=True,
    broadcasts=True,
    forward=lambda B: lambda a, b, x, *, i, j: _series(B, a, b, x, i, j),
)


def _hyp1f1_series(a: Any, b: Any, x: Any, i: int = 0, j: int = 0) -> Tensor:
    """The derivative of hyp1f1, i times in a and j times in b, by its power series."""
    return applyn(_HYP1F1, tuple(floats(a, b, x)), {"i": i, "j": j})


hyp1f1_series = declared(_HYP1F1, _hyp1f1_series, lambda B: lambda a, b, x, i, j: _series(B, a, b, x, i, j))


def _in_x(F: Any, a: Any, b: Any, x: Any, i: int, j: int) -> Any:
    """d/dx of it: Leibniz' rule for (a / b) 1F1(a + 1, b + 1, x)."""
    total = None
    for k in range(min(i, 1) + 1):
        for m in range(j + 1):
            factor = i if k else a
            weight = math.comb(j, m) * (-1.0) ** m * math.factorial(m)
            part = run(F, hyp1f1_series, a + 1, b + 1, x, i - k, j - m) * (weight * factor / b ** (m + 1))
            total = part if total is None else total + part
    return total


_hyp1f1_x = ordered(
    "hyp1f1",
    lambda F, g, out, x, *, at: g * F.special.hyp1f1(at[0] + 1, at[1] + 1, x) * (at[0] / at[1]),
    "a",
    "b",
    doc="Kummer's confluent hypergeometric function, in its argument.",
)


def hyp1f1(a: Any, b: Any, x: Any) -> Tensor:
    """Kummer's confluent hypergeometric function 1F1(a, b, x), differentiable in all three for real
    arguments.
    """
    if not any(isinstance(p, Tensor) and p.node is not None for p in (a, b)):
        return _hyp1f1_x(a, b, x)
    a, b, x = floats(a, b, x)
    fixed("hyp1f1", "a", a if a.dtype.kind == "c" else 0.0)
    negative = x.data < 0
    if not ever(negative.any()):
        return hyp1f1_series(a, b, x)
    from_left = exp(where(negative, x, 0.0)) * hyp1f1_series(b - a, b, -where(negative, x, 0.0))
    return where(negative, from_left, hyp1f1_series(a, b, where(negative, 0.0, x)))


# ------------------------------------------------------------------ orthogonal polynomials


def _lower(n: Any) -> Any:
    """n - 1, but not below 0: the factor of the rules is 0 there."""
    return n.clip(1) - 1 if hasattr(n, "clip") else max(n, 1) - 1


def _some(n: Any) -> Any:
    return (n > 0) * 1.0


def _polynomial(name: str, factor: Callable, target: str, move: Callable, *parameters: str, doc: str) -> Any:
    """p_n' = factor(n, ...) target_(n - 1), with the parameters that move(...) gives after the degree."""

    def rule(F: Any, g: Any, out: Any, x: Any, *, at: Any) -> Any:
        n, *rest = at
        slope = getattr(F.special, target)(_lower(n), *move(*rest), x)
        return g * slope * (factor(n, *rest) * _some(n))

    return ordered(name, rule, "n", *parameters, doc=f"{doc} of degree n at x.")


eval_jacobi = _polynomial(
    "eval_jacobi", lambda n, a, b: (n + a + b + 1) * 0.5, "eval_jacobi", lambda a, b: (a + 1, b + 1),
    "alpha", "beta", doc="The Jacobi polynomial",
)  # fmt: skip
eval_sh_jacobi = _polynomial(
    "eval_sh_jacobi", lambda n, p, q: n + 0.0 * p, "eval_sh_jacobi", lambda p, q: (p + 2, q + 1), "p", "q",
    doc="The shifted Jacobi polynomial",
)  # fmt: skip
eval_gegenbauer = _polynomial(
    "eval_gegenbauer", lambda n, a: 2 * a, "eval_gegenbauer", lambda a: (a + 1,), "alpha",
    doc="The Gegenbauer polynomial",
)  # fmt: skip
eval_genlaguerre = _polynomial(
    "eval_genlaguerre", lambda n, a: -1.0, "eval_genlaguerre", lambda a: (a + 1,), "alpha",
    doc="The generalised Laguerre polynomial",
)  # fmt: skip
eval_legendre = _polynomial(
    "eval_legendre", lambda n: 1.0, "eval_gegenbauer", lambda: (1.5,), doc="The Legendre polynomial"
)
eval_sh_legendre = ordered(
    "eval_sh_legendre",
    lambda F, g, out, x, *, at: (
        g * F.special.eval_gegenbauer(_lower(at[0]), 1.5, 2 * x - 1) * (2.0 * _some(at[0]))
    ),
    "n",
    doc="The shifted Legendre polynomial of degree n at x.",
)
eval_chebyt = _polynomial(
    "eval_chebyt", lambda n: n, "eval_chebyu", lambda: (), doc="The Chebyshev polynomial of the first kind"
)
eval_chebyu = _polynomial(
    "eval_chebyu",
    lambda n: 2.0,
    "eval_gegenbauer",
    lambda: (2.0,),
    doc="The Chebyshev polynomial of the second kind",
)
eval_hermite = _polynomial(
    "eval_hermite", lambda n: 2 * n, "eval_hermite", lambda: (), doc="The (physicist's) Hermite polynomial"
)
eval_hermitenorm = _polynomial(
    "eval_hermitenorm",
    lambda n: n,
    "eval_hermitenorm",
    lambda: (),
    doc="The (probabilist's) Hermite polynomial",
)
eval_laguerre = _polynomial(
    "eval_laguerre", lambda n: -1.0, "eval_genlaguerre", lambda: (1.0,), doc="The Laguerre polynomial"
)


# ------------------------------------------------------------------ spherical harmonics
def _harmonic(B: Any) -> Callable:
    def forward(theta: Any, phi: Any, *, n: Any, m: Any) -> Any:
        return as_precise(B.special.sph_harm_y(n, m, theta, phi), theta)

    return forward


def _slopes(
    F: Any, out: Any, theta: Any, phi: Any, n: Any, m: Any
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The derivatives in theta, by the neighbouring orders (no division by its sine), and in phi."""

    def in_theta() -> Any:
        up, down = np.sqrt((n - m) * (n + m + 1.0)), np.sqrt((n + m) * (n - m + 1.0))
        turn = F.exp(phi * 1j)
        slope = up * _y(F, n, m + 1, theta, phi) / turn - down * _y(F, n, m - 1, theta, phi) * turn
        return as_precise(slope * 0.5, theta)

    return in_theta, lambda: as_precise(out * (1j * m), theta)


def _y(F: Any, n: Any, m: Any, theta: Any, phi: Any) -> Any:
    inside = np.abs(m) <= n  # beyond, the factor is 0
    return run(F, sph_harm_y, n, np.where(inside, m, 0), theta, phi) * (inside * 1.0)


def _harmonic_along(F: Any, ts: Any, out: Any, theta: Any, phi: Any, *, n: Any, m: Any) -> Any:
    parts = [
        t * slope() for t, slope in zip(ts, _slopes(F, out, theta, phi, n, m), strict=True) if t is not None
    ]
    return sum(parts[1:], parts[0])


def _harmonic_back(k: int) -> Callable:
    return lambda F, g, out, theta, phi, *, n, m: F.real(g * _slopes(F, out, theta, phi, n, m)[k]())


_SPH_HARM = Op(
    "special.sph_harm_y",
    vjp=(_harmonic_back(0), _harmonic_back(1)),
    jvp=_harmonic_along,
    saves=("x", "y", "out"),
    broadcasts=True,
    forward=_harmonic,
)


def _sph_harm_y(n: Any, m: Any, theta: Any, phi: Any) -> Tensor:
    """The spherical harmonic of degree n and order m at the polar angle theta and the azimuth phi."""
    angles = floats(theta, phi)
    asarray = np.asarray if isinstance(angles[0].data, Batched) else by_type[type(angles[0].data)].asarray
    n, m = (asarray(fixed("sph_harm_y", name, v)) for name, v in (("n", n), ("m", m)))
    return applyn(_SPH_HARM, tuple(angles), {"n": n, "m": m})


sph_harm_y = declared(_SPH_HARM, _sph_harm_y, lambda B: lambda n, m, t, p: _harmonic(B)(t, p, n=n, m=m))


# ------------------------------------------------------------------ Lambert's W
def _lambert_rule(F: Any, g: Any, out: Any, x: Any, *, k: int, tol: float) -> Any:
    return g * F.exp(-out) / (1 + out)


_LAMBERT = Op(
    "special.lambertw",
    vjp=(_lambert_rule,),
    saves=("out",),
    elementwise=True,
    forward=lambda B: lambda x, *, k, tol: as_precise(B.special.lambertw(x, k, tol), x),
)


def _lambertw(z: Any, k: int = 0, tol: float = 1e-8) -> Tensor:
    """The branch k of the inverse of w exp(w); complex."""
    return applyn(_LAMBERT, (complexes(z),), {"k": k, "tol": tol})


lambertw = declared(_LAMBERT, _lambertw, None)
wrightomega = one(
    "wrightomega",
    lambda F, g, out, x: g * out / (1 + out),
    ("out",),
    doc="The solution of w + log(w) = z; real or complex.",
)
