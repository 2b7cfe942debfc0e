"""Error functions, the normal distribution, exponential, sine and Fresnel integrals."""

import math
from typing import Any

from ..autograd.op import helper
from ..autograd.tensor import Tensor
from ..backend.batched import ever
from .elementwise import LN10
from .special import complexes, floats, horner, many, one, ordered, several

SQRT_PI = math.sqrt(math.pi)
SQRT_2PI = math.sqrt(2 * math.pi)
# (2k - 1)!!, of the expansions at infinity of erfcx, dawsn and wofz
_ODD = [1.0, *[float(math.prod(range(1, 2 * k, 2))) for k in range(1, 24)]]


def _at_infinity(F: Any, square: Any, near: Any) -> Any:
    """sum_(k > 0) (2k - 1)!! y^k with y = 1 / (2 square); where `near`, anything."""
    y = 0.5 / F.where(near, F.ones_like(square) * 1e3, square)
    return horner([0.0, *_ODD[1:]], y)


# ------------------------------------------------------------------ error functions
erf = one(
    "erf",
    lambda F, g, out, x: g * F.exp(-(x * x)) * (2 / SQRT_PI),
    doc="The error function; real or complex.",
)
erfc = one(
    "erfc", lambda F, g, out, x: g * F.exp(-(x * x)) * (-2 / SQRT_PI), doc="1 - erf(x), without cancellation."
)


def _beyond(F: Any, side: Any, power: Any) -> Any:
    """exp(power) on one side of the complex plane, 0 on the other: what expansions at infinity leave out."""
    none = F.zeros_like(power)
    return F.where(side, F.exp(F.where(side, power, none)), none)


def _erfcx(F: Any, g: Any, out: Any, x: Any) -> Any:
    if x.dtype.kind == "c":
        near = F.less(F.absolute(x), 7)
        far = _at_infinity(F, -F.square(x), near) * (2 / SQRT_PI)
        left = F.logical_and(F.logical_not(near), F.less(F.real(x), 0))
        far = far + 4 * x * _beyond(F, left, F.square(x))
        return g * F.where(near, 2 * x * out - 2 / SQRT_PI, far)
    near = F.less(x, 7)  # beyond, 2 x out is 2 / sqrt(pi) up to a few digits
    far = _at_infinity(F, -F.square(x), near) * (2 / SQRT_PI)
    return g * F.where(near, 2 * F.where(near, x, F.zeros_like(x)) * out - 2 / SQRT_PI, far)


erfcx = one("erfcx", _erfcx, ("x", "out"), doc="exp(x^2) erfc(x): erfc without its factor, which underflows.")
erfi = one("erfi", lambda F, g, out, x: g * F.exp(x * x) * (2 / SQRT_PI), doc="-i erf(i x).")


def _dawsn(F: Any, g: Any, out: Any, x: Any) -> Any:
    near = F.less(F.absolute(x), 7)
    far = -_at_infinity(F, F.square(x), near)
    if x.dtype.kind == "c":
        away = F.logical_not(near)
        above = _beyond(F, F.logical_and(away, F.less(0, F.imag(x))), -F.square(x))
        below = _beyond(F, F.logical_and(away, F.less(F.imag(x), 0)), -F.square(x))
        far = far - 1j * SQRT_PI * x * (above - below)
    return g * F.where(near, 1 - 2 * F.where(near, x, F.zeros_like(x)) * out, far)


dawsn = one("dawsn", _dawsn, ("x", "out"), doc="Dawson's integral, exp(-x^2) int_0^x exp(t^2) dt.")


def _wofz(F: Any, g: Any, out: Any, x: Any) -> Any:
    near = F.less(F.absolute(x), 7)
    far = _at_infinity(F, F.square(x), near) * (-2j / SQRT_PI)
    below = F.logical_and(F.logical_not(near), F.less(F.imag(x), 0))
    far = far - 4 * x * _beyond(F, below, -F.square(x))
    return g * F.where(near, -2 * x * out + 2j / SQRT_PI, far)


wofz = one("wofz", _wofz, ("x", "out"), make=complexes, doc="The Faddeeva function exp(-z^2) erfc(-i z).")


def _over_density(F: Any, x: Any, below: Any, above: Any) -> Any:
    """exp(x^2) from the numbers erfc(-x) and erfc(x): far out by the smaller, which knows x^2 better."""
    tail, size = F.minimum(below, above), F.absolute(x)
    near = F.logical_or(F.less(size, 2), F.equal(tail, 0))
    ones = F.ones_like(x)
    far = F.special.erfcx(F.where(near, ones, size)) / F.where(near, ones, tail)
    return F.where(near, F.exp(F.square(F.where(near, x, ones))), far)


erfinv = one(
    "erfinv", lambda F, g, out, x: g * F.exp(out * out) * (SQRT_PI / 2), ("out",), doc="The inverse of erf."
)
erfcinv = one(
    "erfcinv",
    lambda F, g, out, x: g * _over_density(F, out, 2 - x, x) * (-SQRT_PI / 2),
    ("x", "out"),
    doc="The inverse of erfc.",
)


def _voigt(F: Any, x: Any, sigma: Any, gamma: Any, order: int) -> Any:
    """The first or second derivative of wofz(z) in z = (x + i gamma) / (sigma sqrt(2))."""
    z = (x + gamma * 1j) / (sigma * math.sqrt(2))
    out = F.special.wofz(z)
    first = _wofz(F, F.ones_like(z), out, z)
    if order == 1:
        return first
    near = F.less(F.absolute(z), 7)
    y = 0.5 / F.where(near, F.ones_like(z) * 1e3, F.square(z))
    far = horner([0.0, *[k * odd for k, odd in enumerate(_ODD) if k]], y) / F.where(near, F.ones_like(z), z)
    return F.where(near, -2 * (out + z * first), far * (4j / SQRT_PI))


# in sigma by the equation of heat, d/d sigma = sigma d^2/dx^2: wofz and z times its derivative nearly cancel
voigt_profile = many(
    "voigt_profile",
    lambda F, g, out, x, s, gamma: g * F.real(_voigt(F, x, s, gamma, 1)) / (s * s * (2 * SQRT_PI)),
    lambda F, g, out, x, s, gamma: g * F.real(_voigt(F, x, s, gamma, 2)) / (s * s * (2 * SQRT_2PI)),
    lambda F, g, out, x, s, gamma: g * F.imag(_voigt(F, x, s, gamma, 1)) / (s * s * (-2 * SQRT_PI)),
    doc="The convolution of a normal density of deviation sigma and a Cauchy density of half width gamma.",
)


# ------------------------------------------------------------------ the normal distribution
def _mills(F: Any, x: Any, log_cdf: Any) -> Any:
    """density(x) / cdf(x), to full precision on both sides."""
    left = F.less(x, 0)
    below = math.sqrt(2 / math.pi) / F.special.erfcx(F.where(left, x, F.zeros_like(x)) * -math.sqrt(0.5))
    return F.where(left, below, F.exp(x * x * -0.5 - F.where(left, F.zeros_like(x), log_cdf)) / SQRT_2PI)


ndtr = one(
    "ndtr", lambda F, g, out, x: g * F.exp(x * x * -0.5) / SQRT_2PI, doc="The normal distribution function."
)
log_ndtr = one(
    "log_ndtr",
    lambda F, g, out, x: g * _mills(F, x, out),
    ("x", "out"),
    doc="log(ndtr(x)), to full precision far to the left.",
)
ndtri = one(
    "ndtri",
    lambda F, g, out, x: g * _over_density(F, out * math.sqrt(0.5), 2 * x, 2 - 2 * x) * SQRT_2PI,
    ("x", "out"),
    doc="The inverse of ndtr.",
)
ndtri_exp = one(
    "ndtri_exp", lambda F, g, out, x: g / _mills(F, out, x), ("x", "out"), doc="The inverse of log_ndtr."
)
owens_t = many(
    "owens_t",
    lambda F, g, out, h, a: (
        g * F.exp(h * h * -0.5) * F.special.erf(a * h * math.sqrt(0.5)) * (-0.5 / SQRT_2PI)
    ),
    lambda F, g, out, h, a: g * F.exp(h * h * (1 + a * a) * -0.5) / (2 * math.pi * (1 + a * a)),
    doc="Owen's T function.",
)

# ------------------------------------------------------------------ integrals
expi = one("expi", lambda F, g, out, x: g * F.exp(x) / x, doc="The exponential integral Ei.")
exp1 = one("exp1", lambda F, g, out, x: -g * F.exp(-x) / x, doc="The exponential integral E1.")


def _expn(F: Any, g: Any, out: Any, x: Any, *, at: Any) -> Any:
    (n,) = at
    if not ever((n == 0).any() if hasattr(n, "any") else n == 0):
        return -g * F.special.expn(n - 1, x)
    zero = F.equal(F.ones_like(x) * n, 0)
    return -g * F.where(
        zero, out * (1 + 1 / x), F.special.expn(F.where(zero, 0, F.ones_like(x) * (n - 1)), x)
    )


expn = ordered("expn", _expn, "n", saves=("x", "out"), doc="The exponential integral of order n.")
sici = several(
    "sici",
    lambda F, outs, x: (_sinc(F, x), F.cos(x) / x),
    doc="(Si(x), Ci(x)): the integrals of sin(t) / t and cos(t) / t.",
)
shichi = several(
    "shichi",
    lambda F, outs, x: (_sinhc(F, x), F.cosh(x) / x),
    doc="(Shi(x), Chi(x)): the integrals of sinh(t) / t and cosh(t) / t.",
)
fresnel = several(
    "fresnel",
    lambda F, outs, x: (F.sin(x * x * (math.pi / 2)), F.cos(x * x * (math.pi / 2))),
    doc="(S(x), C(x)): Fresnel's integrals of sin(pi t^2 / 2) and cos(pi t^2 / 2).",
)


def _near_zero(F: Any, x: Any, small: Any, sign: float, direct: Any) -> Any:
    """sum_k (sign x^2)^k / (2k + 1)! where small, else direct(x) / x."""
    series = horner([sign**k / math.factorial(2 * k + 1) for k in range(9)], F.square(x))
    safe = F.where(small, F.ones_like(x), x)
    return F.where(small, series, direct(safe) / safe)


def _sinc(F: Any, x: Any) -> Any:
    return _near_zero(F, x, F.less(F.absolute(x), 0.5), -1.0, F.sin)


def _sinhc(F: Any, x: Any) -> Any:
    return _near_zero(F, x, F.less(F.absolute(x), 0.5), 1.0, F.sinh)


def _spence(F: Any, g: Any, out: Any, x: Any) -> Any:
    d = x - 1
    small = F.less(F.absolute(d), 0.02)
    series = horner([(-1) ** (k + 1) / (k + 1) for k in range(14)], d)
    safe = F.where(small, F.ones_like(d), d)
    return g * F.where(small, series, -F.log(F.where(small, F.ones_like(x), x)) / safe)


spence = one("spence", _spence, doc="Spence's function, the dilogarithm of 1 - x.")

# ------------------------------------------------------------------ powers, angles in degrees
_DEGREE = math.pi / 180
exp10 = one("exp10", lambda F, g, out, x: g * out * LN10, ("out",), doc="10 ** x.")
cosm1 = one("cosm1", lambda F, g, out, x: -g * F.sin(x), doc="cos(x) - 1, accurate near 0.")
sindg = one(
    "sindg", lambda F, g, out, x: g * F.special.cosdg(x) * _DEGREE, doc="The sine of an angle in degrees."
)
cosdg = one(
    "cosdg", lambda F, g, out, x: g * F.special.sindg(x) * -_DEGREE, doc="The cosine of an angle in degrees."
)
tandg = one(
    "tandg",
    lambda F, g, out, x: g * (1 + out * out) * _DEGREE,
    ("out",),
    doc="The tangent of an angle in degrees.",
)
cotdg = one(
    "cotdg",
    lambda F, g, out, x: g * (1 + out * out) * -_DEGREE,
    ("out",),
    doc="The cotangent of an angle in degrees.",
)


@helper(name="special.radian")
def radian(d: Any, m: Any, s: Any) -> Tensor:
    """Degrees, minutes and seconds as radians."""
    d, m, s = floats(d, m, s)
    return (d + m / 60.0 + s / 3600.0) * _DEGREE
