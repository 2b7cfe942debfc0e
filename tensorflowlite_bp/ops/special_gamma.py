"""The gamma family: factorials, logarithmic derivatives, beta functions, Hurwitz' zeta function, complex
polygamma.
"""

import math
from typing import Any

import numpy as np

from ..autograd.op import helper
from ..autograd.record import nondiff
from ..autograd.tensor import Tensor
from ..backend import by_type
from ..backend.batched import at_hand, ever
from ..errors import message
from .elementwise import equal, greater_equal, logical_and, where
from .special import fixed, floats, many, one, ordered, run

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
        cot = B.where(left, 1 / B.tan(math.pi * B.where(left, z, 0.5)), 0)
        slope = np.array([0.0, -math.pi])  # the derivatives of -pi cot(pi z), polynomials of the cotangent
        for _ in range(n):
            d = np.polynomial.polynomial.polyder(slope)
            slope = np.polynomial.polynomial.polymul(d, [-math.pi, 0, -math.pi])
        value = sum(c * cot**k for k, c in enumerate(slope))
        out = B.where(left, value + (-1) ** n * out, out)
    return out.astype(z.dtype)


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

# ------------------------------------------------------------------ beta


def _either(F: Any, a: Any, b: Any) -> Any:
    return F.special.psi(a) - F.special.psi(a + b)


beta = many(
    "beta",
    lambda F, g, out, a, b: g * out * _either(F, a, b),
    lambda F, g, out, a, b: g * out * _either(F, b, a),
    saves=("x", "y", "out"),
    doc="gamma(a) gamma(b) / gamma(a + b).",
)
betaln = many(
    "betaln",
    lambda F, g, out, a, b: g * _either(F, a, b),
    lambda F, g, out, a, b: g * _either(F, b, a),
    doc="log |beta(a, b)|.",
)


# ------------------------------------------------------------------ factorials
def _slope(F: Any, x: Any, y: Any) -> Any:
    """psi(x) - psi(y)."""
    return F.special.psi(x) - F.special.psi(y)


def _poch_z(F: Any, g: Any, out: Any, z: Any, m: Any) -> Any:
    """out (psi(z + m) - psi(z)); at its poles by 1 / gamma, whose derivative is finite."""
    pole = F.logical_and(F.less_equal(z, 0), F.equal(z, F.rint(z)))
    safe = F.where(pole, F.ones_like(z), z)
    plain = out * _slope(F, F.where(pole, F.ones_like(z), z + m), safe)
    at = F.where(pole, z, F.zeros_like(z))
    nearest = F.special.gamma(1 - at) * (1 - 2 * F.remainder(at, 2))  # (1 / gamma)' at the poles
    return g * F.where(pole, nearest * F.special.gamma(F.where(pole, z + m, F.ones_like(z))), plain)


poch = many(
    "poch",
    _poch_z,
    lambda F, g, out, z, m: g * out * F.special.psi(z + m),
    saves=("x", "y", "out"),
    doc="Pochhammer's symbol gamma(z + m) / gamma(z).",
)
binom = many(
    "binom",
    lambda F, g, out, n, k: g * out * _slope(F, n + 1, n - k + 1),
    lambda F, g, out, n, k: g * out * _slope(F, n - k + 1, k + 1),
    saves=("x", "y", "out"),
    doc="The binomial coefficient of real numbers.",
)


@helper(name="special.multigammaln")
def multigammaln(a: Any, d: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension d; a > (d - 1) / 2."""
    (a,) = floats(a)
    d = int(d)
    if d < 1 or (at_hand(a) and ever((a.data <= 0.5 * (d - 1)).any())):
        raise ValueError(message("multigammaln", f"a > (d - 1) / 2 and d >= 1 were expected, d is {d}."))
    halves = by_type[type(a.data)].asarray(np.arange(d) * 0.5, dtype=a.dtype)
    total = gammaln(a[..., None] - halves).sum(-1)
    return total + 0.25 * d * (d - 1) * math.log(math.pi)


@helper(name="special.factorial")
def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Tensor:
    """gamma(n + 1), and 0 for n < 0. exact is refused: exact integers are no floats."""
    _inexact("factorial", exact)
    if extend != "zero":
        raise ValueError(
            message("factorial", "only extend='zero' is taken for Tensors.", received=repr(extend))
        )
    (n,) = floats(n)
    inside = greater_equal(n, 0)
    return where(inside, gamma(where(inside, n, 1.0) + 1.0), 0.0)


def _chosen(N: Any, k: Any) -> tuple[Tensor, Tensor, Any]:
    N, k = floats(N, k)
    return N, k, logical_and(logical_and(greater_equal(N, k), greater_equal(N, 0)), greater_equal(k, 0))


@helper(name="special.comb")
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Tensor:
    """How many ways there are to choose k of N; 0 unless 0 <= k <= N."""
    _inexact("comb", exact)
    if repetition:
        N, k = floats(N, k)
        none = logical_and(equal(N, 0), equal(k, 0))
        return where(none, 1.0, comb(where(none, 1.0, N) + k - 1.0, k))
    N, k, inside = _chosen(N, k)
    return where(inside, binom(where(inside, N, 1.0), where(inside, k, 0.0)), 0.0)


@helper(name="special.perm")
def perm(N: Any, k: Any, exact: bool = False) -> Tensor:
    """How many ordered choices of k of N there are; 0 unless 0 <= k <= N."""
    _inexact("perm", exact)
    N, k, inside = _chosen(N, k)
    safe, taken = where(inside, N, 1.0), where(inside, k, 0.0)
    return where(inside, poch(safe - taken + 1.0, taken), 0.0)


def _inexact(name: str, exact: bool) -> None:
    if exact:
        raise TypeError(
            message(
                name,
                "exact integers have no derivative.",
                received="exact=True and a Tensor",
                hint="exact=False.",
            )
        )
