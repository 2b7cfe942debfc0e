"""The gamma family: its logarithmic derivatives, real and complex, and Hurwitz' zeta function."""

import math
from typing import Any

import numpy as np

from ..autograd.op import helper
from ..autograd.record import nondiff
from ..autograd.tensor import Tensor
from .special import fixed, one, ordered, run

# ------------------------------------------------------------------ gamma
gamma = one(
    "gamma",
    lambda F, g, out, x: g * out * F.special.psi(x),
    ("x", "out"),
    doc="The gamma function; real or complex.",
)
gammaln = one("gammaln", lambda F, g, out, x: g * F.special.psi(x), doc="log |gamma(x)|.")
loggamma = one(
    "loggamma",
    lambda F, g, out, x: g * F.special.psi(x),
    doc="The principal branch of the logarithm of the gamma function; NaN for negative real numbers.",
)
gammasgn = nondiff("special.gammasgn", doc="The sign of gamma(x): a constant.")


def _rgamma(F: Any, g: Any, out: Any, x: Any) -> Any:
    """On the left by reflection: there psi and gamma have poles, 1 / gamma has none."""
    left = F.less(F.real(x) if x.dtype.kind == "c" else x, 0.5)
    y = F.where(left, x, F.zeros_like(x))
    nearest = F.rint(F.real(y) if x.dtype.kind == "c" else y)
    angle = (y - nearest) * math.pi
    sign = 1 - 2 * F.remainder(nearest, 2)
    slope = (
        F.special.gamma(1 - y) * sign * (F.cos(angle) - F.special.psi(1 - y) * F.sin(angle) * (1 / math.pi))
    )
    right = F.where(left, F.ones_like(x), x)
    return g * F.where(left, slope, -out * F.special.psi(right))


rgamma = one("rgamma", _rgamma, ("x", "out"), doc="1 / gamma(x), which is defined everywhere.")

# ------------------------------------------------------------------ logarithmic derivatives

psi = one(
    "psi", lambda F, g, out, x: g * run(F, polygamma, 1, x), doc="The logarithmic derivative of gamma(x)."
)
digamma = psi


def _polygamma(B: Any, n: Any, x: Any) -> Any:
    """The n-th derivative of psi, in x's own dtype."""
    if x.dtype.kind == "c":
        return _complex_polygamma(B, n, x)
    order = B.asarray(n, dtype=x.dtype)
    factor = (2 * B.remainder(order, 2) - 1) * B.special.gamma(order + 1)
    if not bool(B.any(B.equal(order, 0))):
        return factor * B.special.zeta(order + 1, x)
    return B.where(B.equal(order, 0), B.special.psi(x), factor * B.special.zeta(order + 1, x))


polygamma = ordered(
    "polygamma",
    lambda F, g, out, x, *, at: g * run(F, polygamma, at[0] + 1, x),
    "n",
    forward=lambda B: lambda n, x: _polygamma(B, n, x),
    doc="The n-th derivative of psi(x).",
)

_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
)


def _complex_polygamma(B: Any, n: Any, z: Any) -> Any:
    """Reflection to the right half plane, shifts to Re z > 16, the expansion at infinity (DLMF 5.15.8)."""
    n = int(n)
    if n == 0:
        return B.special.psi(z)
    left = z.real < 0
    w = B.where(left, 1 - z, z).astype("complex128")
    total = B.zeros_like(w)
    for _ in range(16):
        total = total + w ** (-n - 1.0) * math.factorial(n)
        w = w + 1
    tail = math.factorial(n - 1) * w**-n + 0.5 * math.factorial(n) * w ** (-n - 1.0)
    for k, b in enumerate(_BERNOULLI, 1):
        tail = tail + b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) * w ** (-2.0 * k - n)
    out = (-1) ** (n + 1) * (total + tail)
    if bool(left.any()):
        out = B.where(
            left, _cotangent_slope(B, n, B.where(left, z, 0.5).astype("complex128")) + (-1) ** n * out, out
        )
    return out.astype(z.dtype)


def _cotangent_slope(B: Any, n: int, z: Any) -> Any:
    """The n-th derivative of -pi cot(pi z). Away from the real axis the cotangent is a constant and powers of
    exp(2 pi i z), whose polynomials would cancel; near it the derivatives are those polynomials.
    """
    away = B.absolute(z.imag) > 0.3
    side = B.where(z.imag > 0, 1.0, -1.0)
    power = q = B.exp(2j * math.pi * side * B.where(away, z, 1j * side))
    series = B.zeros_like(z)
    for k in range(1, 24 + 3 * n):
        series = series + k**n * power
        power = power * q
    series = series * (2j * math.pi * side) ** (n + 1)
    cot = 1 / B.tan(math.pi * B.where(away, 0.25, z))
    slope = np.array([0.0, -math.pi])
    for _ in range(n):
        slope = np.polynomial.polynomial.polymul(
            np.polynomial.polynomial.polyder(slope), [-math.pi, 0, -math.pi]
        )
    return B.where(away, series, sum(c * cot**k for k, c in enumerate(slope)))


# ------------------------------------------------------------------ zeta
zeta_hurwitz = ordered(
    "zeta_hurwitz",
    lambda F, g, out, x, *, at: -g * at[0] * run(F, zeta_hurwitz, at[0] + 1, x),
    "x",
    forward=lambda B: B.special.zeta,
    doc="sum_k (q + k)^-x.",
)


@helper(name="special.zeta")
def zeta(x: Any, q: Any = None) -> Tensor:
    """Riemann's zeta function, or Hurwitz' with q: sum_k (q + k)^-x. Differentiable in q.

    Raises DTypeError where x records: its derivative has no closed form.
    """
    order = fixed("zeta", "x", x)
    return riemann_zeta(order) if q is None else zeta_hurwitz(order, q)


riemann_zeta = nondiff(
    "special.riemann_zeta", lambda B, x: B.special.zeta(x), doc="Riemann's zeta function: a constant."
)
zetac = nondiff("special.zetac", doc="zeta(x) - 1: a constant.")
