"""Bessel, Hankel, Airy and Struve functions: differentiable in the argument; the order is a constant and says
so.
"""

import cmath
import math
from collections.abc import Callable
from typing import Any

from ..autograd.tensor import Tensor
from .special import complexes, imaginary_part, one, ordered, real_part, run, scaled, several


def _neighbours(name: str, below: float, above: float) -> Any:
    """The derivative as a combination of orders v - 1 and v + 1."""

    def inner(F: Any, out: Any, x: Any, at: Any) -> Any:
        f = getattr(F.special, name)
        return f(at[0] - 1, x) * below + f(at[0] + 1, x) * above

    return inner


def _unscaled(name: str, below: float, above: float, doc: str, make: Any = None, order: str = "v") -> Any:
    inner = _neighbours(name, below, above)
    return ordered(name, lambda F, g, out, x, *, at: g * inner(F, out, x, at), order, make=make, doc=doc)


def _fading(F: Any, v: Any, x: Any, slope: Any, sign: float) -> Any:
    """The derivative of ive(v, x), sign = -1, or kve(v, x), sign = 1: `slope`, but for a large real x, where
    that is what is left of two larger numbers, by the expansion at infinity (DLMF 10.40.1, 10.40.2).
    """
    if x.dtype.kind == "c":
        return slope
    size = F.absolute(x) if sign < 0 else x
    near = F.less(size, F.ones_like(x) * (50 + 4.0 * v * v))
    y = F.where(near, F.ones_like(x), 1 / F.where(near, F.ones_like(x), size))
    term = F.ones_like(x) * (math.sqrt(0.5 / math.pi) if sign < 0 else math.sqrt(0.5 * math.pi))
    total = -0.5 * term
    for k in range(1, 16):
        term = term * y * (sign * (4 * v * v - (2 * k - 1) ** 2) / (8 * k))
        total = total - (k + 0.5) * term
    far = total * y * F.sqrt(y)
    if sign < 0:  # even orders are even, odd orders odd; only whole ones have negative arguments
        far = far * F.where(F.less(x, 0), F.ones_like(x) * (1 - 2 * ((v + 1) % 2)), F.ones_like(x))
    return F.where(near, slope, far)


# ------------------------------------------------------------------ any order
jv = _unscaled("jv", 0.5, -0.5, "The Bessel function of the first kind, of real order.")
yv = _unscaled("yv", 0.5, -0.5, "The Bessel function of the second kind, of real order.")
iv = _unscaled("iv", 0.5, 0.5, "The modified Bessel function of the first kind, of real order.")
kv = _unscaled("kv", -0.5, -0.5, "The modified Bessel function of the second kind, of real order.")
yn = _unscaled("yn", 0.5, -0.5, "The Bessel function of the second kind, of integer order.", order="n")
kn = _unscaled(
    "kn", -0.5, -0.5, "The modified Bessel function of the second kind, of integer order.", order="n"
)
jn = jv
hankel1 = _unscaled("hankel1", 0.5, -0.5, "The Hankel function of the first kind, jv + i yv.", complexes)
hankel2 = _unscaled("hankel2", 0.5, -0.5, "The Hankel function of the second kind, jv - i yv.", complexes)


def _turned(
    name: str, factor: complex, below: float, above: float, doc: str, make: Any = None, fades: float = 0.0
) -> Any:
    """A function times exp(-factor x)."""
    inner = _neighbours(name, below, above)

    def rule(F: Any, g: Any, out: Any, x: Any, *, at: Any) -> Any:
        slope = inner(F, out, x, at) + out * factor
        return g * (_fading(F, at[0], x, slope, fades) if fades else slope)

    return ordered(name, rule, "v", saves=("x", "out"), make=make, doc=doc)


kve = _turned("kve", 1.0, -0.5, -0.5, "kv(v, x) exp(x).", fades=1.0)
hankel1e = _turned("hankel1e", -1j, 0.5, -0.5, "hankel1(v, z) exp(-i z).", complexes)
hankel2e = _turned("hankel2e", 1j, 0.5, -0.5, "hankel2(v, z) exp(i z).", complexes)
ive = scaled(
    "ive", real_part, _neighbours("ive", 0.5, 0.5), "v", doc="iv(v, x) exp(-|Re x|).",
    whole=lambda F, x, slope, at: _fading(F, at[0], x, slope, -1.0),
)  # fmt: skip
jve = scaled("jve", imaginary_part, _neighbours("jve", 0.5, -0.5), "v", doc="jv(v, x) exp(-|Im x|).")
yve = scaled("yve", imaginary_part, _neighbours("yve", 0.5, -0.5), "v", doc="yv(v, x) exp(-|Im x|).")

# ------------------------------------------------------------------ orders 0 and 1
j0 = one("j0", lambda F, g, out, x: -g * F.special.j1(x), doc="jv(0, x), for real x.")
j1 = one(
    "j1", lambda F, g, out, x: g * (F.special.j0(x) - F.special.jv(2.0, x)) * 0.5, doc="jv(1, x), for real x."
)
y0 = one("y0", lambda F, g, out, x: -g * F.special.y1(x), doc="yv(0, x), for real x.")
y1 = one(
    "y1", lambda F, g, out, x: g * (F.special.y0(x) - F.special.yv(2.0, x)) * 0.5, doc="yv(1, x), for real x."
)
i0 = one("i0", lambda F, g, out, x: g * F.special.i1(x), doc="iv(0, x), for real x.")
i1 = one(
    "i1", lambda F, g, out, x: g * (F.special.i0(x) + F.special.iv(2.0, x)) * 0.5, doc="iv(1, x), for real x."
)
i0e = one(
    "i0e",
    lambda F, g, out, x: g * _fading(F, 0, x, F.special.i1e(x) - F.sign(x) * out, -1.0),
    ("x", "out"),
    doc="i0(x) exp(-|x|); the derivative at 0 is taken as 0.",
)
i1e = one(
    "i1e",
    lambda F, g, out, x: (
        g * _fading(F, 1, x, (F.special.i0e(x) + F.special.ive(2.0, x)) * 0.5 - F.sign(x) * out, -1.0)
    ),
    ("x", "out"),
    doc="i1(x) exp(-|x|).",
)
k0 = one("k0", lambda F, g, out, x: -g * F.special.k1(x), doc="kv(0, x), for real x.")
k1 = one(
    "k1",
    lambda F, g, out, x: (F.special.k0(x) + F.special.kv(2.0, x)) * g * -0.5,
    doc="kv(1, x), for real x.",
)
k0e = one(
    "k0e",
    lambda F, g, out, x: g * _fading(F, 0, x, out - F.special.k1e(x), 1.0),
    ("x", "out"),
    doc="k0(x) exp(x).",
)
k1e = one(
    "k1e",
    lambda F, g, out, x: g * _fading(F, 1, x, out - (F.special.k0e(x) + F.special.kve(2.0, x)) * 0.5, 1.0),
    ("x", "out"),
    doc="k1(x) exp(x).",
)


# ------------------------------------------------------------------ spherical
def _spherical(name: str, below: float, above: float, doc: str) -> Any:
    """f_n' = (below n f_(n - 1) + above (n + 1) f_(n + 1)) / (2 n + 1) (DLMF 10.51): no division by x."""

    def slope(f: Any, n: Any, x: Any) -> Any:
        lower = n - 1 if not hasattr(n, "clip") else n.clip(1) - 1
        first = f(max(lower, 0) if not hasattr(lower, "clip") else lower, x) * (below * n / (2 * n + 1))
        return first + f(n + 1, x) * (above * (n + 1) / (2 * n + 1))

    base = ordered(
        name, lambda F, g, out, x, *, at: g * slope(getattr(F.special, name), at[0], x), "n", doc=doc
    )

    def function(n: Any, z: Any, derivative: bool = False) -> Tensor:
        return slope(base, n.data if isinstance(n, Tensor) else n, z) if derivative else base(n, z)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + " derivative: its derivative."
    return function


spherical_jn = _spherical("spherical_jn", 1.0, -1.0, "The spherical Bessel function of the first kind.")
spherical_yn = _spherical("spherical_yn", 1.0, -1.0, "The spherical Bessel function of the second kind.")
spherical_in = _spherical(
    "spherical_in", 1.0, 1.0, "The modified spherical Bessel function of the first kind."
)
spherical_kn = _spherical(
    "spherical_kn", -1.0, -1.0, "The modified spherical Bessel function of the second kind."
)

# ------------------------------------------------------------------ Airy, Kelvin, Struve
airy = several(
    "airy",
    lambda F, outs, x: (outs[1], x * outs[0], outs[3], x * outs[2]),
    doc="(Ai, Ai', Bi, Bi'): the Airy functions and their derivatives.",
)


def _struve(name: str, doc: str) -> Any:
    def rule(F: Any, g: Any, out: Any, x: Any, *, at: Any) -> Any:
        return g * (getattr(F.special, name)(at[0] - 1, x) - out * at[0] / x)

    return ordered(name, rule, "v", saves=("x", "out"), doc=doc)


struve = _struve("struve", "The Struve function of order v.")
modstruve = _struve("modstruve", "The modified Struve function of order v.")


def _kelvin(name: str, slope: Callable, imaginary: bool, kind: str, doc: str) -> Any:
    """ber + i bei = J0(x exp(3 pi i / 4)), ker + i kei = K0(x exp(pi i / 4)) (DLMF 10.61), and derivatives;
    near 0 SciPy's own, which have 10 digits near 12.
    """
    turn = cmath.exp((0.75j if kind[0] == "j" else 0.25j) * math.pi)
    first, order = kind[0] + "v", int(kind[1])

    def make(B: Any) -> Callable:
        def forward(x: Any) -> Any:
            z = x.astype("complex128") * turn
            value = getattr(B.special, first)(order, z) * (-turn if order else 1.0)
            out = value.imag if imaginary else value.real
            out = B.where(B.absolute(x) < 3, getattr(B.special, name)(x), out)
            return (out if kind[0] == "j" else B.where(x < 0, math.nan, out)).astype(x.dtype)

        return forward

    return one(name, slope, ("x", "out") if order else ("x",), forward=make, doc=doc)


ber = _kelvin("ber", lambda F, g, out, x: g * run(F, berp, x), False, "j0", "The Kelvin function ber.")
bei = _kelvin("bei", lambda F, g, out, x: g * run(F, beip, x), True, "j0", "The Kelvin function bei.")
ker = _kelvin("ker", lambda F, g, out, x: g * run(F, kerp, x), False, "k0", "The Kelvin function ker.")
kei = _kelvin("kei", lambda F, g, out, x: g * run(F, keip, x), True, "k0", "The Kelvin function kei.")
berp = _kelvin(
    "berp", lambda F, g, out, x: -g * (run(F, bei, x) + out / x), False, "j1", "The derivative of ber."
)
beip = _kelvin(
    "beip", lambda F, g, out, x: g * (run(F, ber, x) - out / x), True, "j1", "The derivative of bei."
)
kerp = _kelvin(
    "kerp", lambda F, g, out, x: -g * (run(F, kei, x) + out / x), False, "k1", "The derivative of ker."
)
keip = _kelvin(
    "keip", lambda F, g, out, x: g * (run(F, ker, x) - out / x), True, "k1", "The derivative of kei."
)


# ------------------------------------------------------------------ n-th derivatives
def _derivative(name: str, base: Any, sign: float, outer: float = 1.0) -> Any:
    def function(v: Any, z: Any, n: int = 1) -> Tensor:
        total = None
        for k in range(n + 1):  # DLMF 10.6.7, 10.29.5
            part = base(v - n + 2 * k, z) * (outer**n * sign**k * math.comb(n, k) / 2**n)
            total = part if total is None else total + part
        return total  # type: ignore[return-value]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The n-th derivative of {base.__name__}(v, z)."
    return function


jvp = _derivative("jvp", jv, -1.0)
yvp = _derivative("yvp", yv, -1.0)
h1vp = _derivative("h1vp", hankel1, -1.0)
h2vp = _derivative("h2vp", hankel2, -1.0)
ivp = _derivative("ivp", iv, 1.0)
kvp = _derivative("kvp", kv, 1.0, -1.0)
