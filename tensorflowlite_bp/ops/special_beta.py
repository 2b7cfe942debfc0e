"""Beta functions, factorials, binomial coefficients: their logarithmic derivatives are differences of psi."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import helper
from ..autograd.tensor import Tensor
from ..backend import by_type
from ..backend.batched import at_hand, ever
from ..errors import message
from .elementwise import equal, greater_equal, logical_and, where
from .special import floats, many
from .special_gamma import gamma, gammaln
from .special_ratios import LARGE, psi_step, step, stirling


# ------------------------------------------------------------------ beta
def _log_beta(B: Any) -> Callable:
    """SciPy's, but where log gamma of a large argument cancels: Stirling's series for both, or for one."""

    def forward(a: Any, b: Any) -> Any:
        out = B.special.betaln(a, b)
        large = (B.maximum(a, b) >= LARGE) & (B.minimum(a, b) > 0) & B.isfinite(a) & B.isfinite(b)
        if not bool(large.any()):
            return out
        x = B.where(large, B.maximum(a, b), LARGE).astype("float64")
        d = B.where(large, B.minimum(a, b), 1.0).astype("float64")
        one = B.special.gammaln(d) - step(B, 0, x, d)
        s = B.maximum(d, LARGE)
        two = (
            0.5 * math.log(2 * math.pi) - 0.5 * B.log(s)
            - (x - 0.5) * B.log1p(s / x) - s * B.log1p(x / s)
            + stirling(x) + stirling(s) - stirling(x + s)
        )  # fmt: skip
        return B.where(large, B.where(d >= LARGE, two, one), out).astype(out.dtype)

    return forward


beta = many(
    "beta",
    lambda F, g, out, a, b: -g * out * psi_step(F, a, b),
    lambda F, g, out, a, b: -g * out * psi_step(F, b, a),
    saves=("x", "y", "out"),
    doc="gamma(a) gamma(b) / gamma(a + b).",
)
betaln = many(
    "betaln",
    lambda F, g, out, a, b: -g * psi_step(F, a, b),
    lambda F, g, out, a, b: -g * psi_step(F, b, a),
    forward=_log_beta,
    doc="log |beta(a, b)|.",
)


# ------------------------------------------------------------------ factorials
def _poch_z(F: Any, g: Any, out: Any, z: Any, m: Any) -> Any:
    """out (psi(z + m) - psi(z)); at its poles by 1 / gamma, whose derivative is finite."""
    pole = F.logical_and(F.less_equal(z, 0), F.equal(z, F.rint(z)))
    plain = out * psi_step(F, F.where(pole, F.ones_like(z), z), F.where(pole, F.zeros_like(m), m))
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
    lambda F, g, out, n, k: g * out * psi_step(F, n - k + 1, k),
    lambda F, g, out, n, k: g * out * psi_step(F, k + 1, n - 2 * k),
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
