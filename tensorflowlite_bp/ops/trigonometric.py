"""Trigonometric and hyperbolic functions: one declaration per op, as in elementwise.py.

Derivatives keep their digits where the argument is near a pole or far from 0: (1 - x)(1 + x) for 1 - x^2,
hypot(x, 1) for sqrt(x^2 + 1).
"""

import math
from typing import Any

from ..autograd.declare import binary, unary

sin = unary("sin", vjp=lambda F, g, out, x: g * F.cos(x), saves=("x",), doc="The sine.")
cos = unary("cos", vjp=lambda F, g, out, x: -(g * F.sin(x)), saves=("x",), doc="The cosine.")
tan = unary("tan", vjp=lambda F, g, out, x: g * (1 + out * out), saves=("out",), doc="The tangent.")


def _chord(F: Any, x: Any) -> Any:
    """sqrt(1 - x^2). Of complex numbers by two roots, whose cuts are those of arcsin and arccos; 1 - x would
    lose the sign of a zero imaginary part, which says on which side of a cut x is.
    """
    if x.dtype.kind == "c":
        return F.sqrt(-(x - 1)) * F.sqrt(-(-x - 1))
    return F.sqrt((1 - x) * (1 + x))


arcsin = unary(
    "arcsin",
    vjp=lambda F, g, out, x: g / _chord(F, x),
    saves=("x",),
    domain=(-1, 1),
    doc="The inverse sine.",
)
arccos = unary(
    "arccos",
    vjp=lambda F, g, out, x: -g / _chord(F, x),
    saves=("x",),
    domain=(-1, 1),
    doc="The inverse cosine.",
)
arctan = unary("arctan", vjp=lambda F, g, out, x: g / (1 + x * x), saves=("x",), doc="The inverse tangent.")
arctan2 = binary(
    "arctan2",
    vjp=(lambda F, g, out, x, y: g * _turn(F, x, y, y), lambda F, g, out, x, y: -(g * _turn(F, x, y, x))),
    saves=("x", "y"),
    doc="The angle of the point (x2, x1). The derivative at (0, 0) is taken as 0.",
)
sinh = unary("sinh", vjp=lambda F, g, out, x: g * F.cosh(x), saves=("x",), doc="The hyperbolic sine.")
cosh = unary("cosh", vjp=lambda F, g, out, x: g * F.sinh(x), saves=("x",), doc="The hyperbolic cosine.")
# g - (g out) out instead of g (1 - out out): a Python scalar among the operands would cost as much as two
# array products
tanh = unary(
    "tanh", vjp=lambda F, g, out, x: F.tanh_backward(g, out), saves=("out",), doc="The hyperbolic tangent."
)
arcsinh = unary(
    "arcsinh",
    vjp=lambda F, g, out, x: (
        g / (F.sqrt((1 + 1j * x) * (1 - 1j * x)) if x.dtype.kind == "c" else F.hypot(x, 1.0))
    ),
    saves=("x",),
    doc="The inverse hyperbolic sine.",
)
arccosh = unary(
    "arccosh",
    vjp=lambda F, g, out, x: g / (F.sqrt(x - 1) * F.sqrt(x + 1)),
    saves=("x",),
    domain=(1, math.inf),
    doc="The inverse hyperbolic cosine.",
)
arctanh = unary(
    "arctanh",
    vjp=lambda F, g, out, x: g / ((1 - x) * (1 + x)),
    saves=("x",),
    domain=(-1, 1),
    doc="The inverse hyperbolic tangent.",
)
deg2rad = unary("deg2rad", vjp=lambda F, g, out, x: g * (math.pi / 180), doc="Degrees to radians.")
rad2deg = unary("rad2deg", vjp=lambda F, g, out, x: g * (180 / math.pi), doc="Radians to degrees.")
hypot = binary(
    "hypot",
    vjp=(lambda F, g, out, x, y: g * _over(F, x, out), lambda F, g, out, x, y: g * _over(F, y, out)),
    saves=("x", "y", "out"),
    doc="sqrt(x1**2 + x2**2), without overflow. The derivative at (0, 0) is taken as 0.",
)


def _over(F: Any, x: Any, r: Any) -> Any:
    return x / F.where(F.equal(r, 0), F.ones_like(r), r)


def _turn(F: Any, x: Any, y: Any, part: Any) -> Any:
    """part / (x^2 + y^2), without overflow."""
    r = F.hypot(x, y)
    r = F.where(F.equal(r, 0), F.ones_like(r), r)
    return part / r / r
