"""Element-wise mathematics: one declaration per op.

A rule is linear in the cotangent `g` and is written against `F`: the raw array library in an ordinary
backward, the recorded ops when the gradient is itself differentiated. The engine undoes broadcasting. For
complex arguments a rule multiplies by the derivative, without conjugation (the convention of JAX and HIPS
autograd).
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from ..autograd.declare import Arguments, binary, operation, unary
from ..autograd.op import helper, is_float
from ..autograd.record import constant, lift, nondiff
from ..autograd.tensor import Tensor

LN2 = 0.6931471805599453
LN10 = 2.302585092994046

# ------------------------------------------------------------------ arithmetic
add = binary("add", vjp=(lambda F, g, out, x, y: g, lambda F, g, out, x, y: g), doc="x1 + x2.")
subtract = binary("subtract", vjp=(lambda F, g, out, x, y: g, lambda F, g, out, x, y: -g), doc="x1 - x2.")
multiply = binary(
    "multiply",
    vjp=(lambda F, g, out, x, y: g * y, lambda F, g, out, x, y: g * x),
    saves=("x", "y"),
    reads=(("y",), ("x",)),
    doc="x1 * x2.",
)
divide = binary(
    "divide",
    vjp=(lambda F, g, out, x, y: g / y, lambda F, g, out, x, y: -(g * out) / y),
    saves=("y", "out"),
    reads=(("y",), ("y", "out")),
    doc="x1 / x2.",
)
remainder = binary(
    "remainder",
    vjp=(lambda F, g, out, x, y: g, lambda F, g, out, x, y: -g * F.floor_divide(x, y)),
    saves=("x", "y"),
    reads=((), ("x", "y")),
    doc="x1 - floor(x1 / x2) * x2. At the jumps the derivative is that of the branch taken.",
)
fmod = binary(
    "fmod",
    vjp=(lambda F, g, out, x, y: g, lambda F, g, out, x, y: -g * F.rint((x - out) / y)),
    saves=("x", "y", "out"),
    reads=((), ("x", "y", "out")),
    doc="x1 - trunc(x1 / x2) * x2. At the jumps the derivative is that of the branch taken.",
)


def _power_x(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    # y x^(y-1), and 0 where y is 0, also at x = 0
    zero = F.equal(y, 0)
    return g * y * F.power(F.where(zero, F.ones_like(x), x), F.where(zero, F.ones_like(y), y) - 1)


def _power_y(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    # log(x) x^y, and 0 at x = 0 (the limit for y > 0)
    zero = F.equal(x, 0)
    return g * F.where(zero, F.zeros_like(out), out) * F.log(F.where(zero, F.ones_like(x), x))


power = binary(
    "power",
    vjp=(_power_x, _power_y),
    saves=("x", "y", "out"),
    reads=(("x", "y"), ("x", "y", "out")),
    doc="x1 ** x2.",
    domain=(0, inf),
)
negative = unary("negative", vjp=lambda F, g, out, x: -g, doc="-x.")
positive = unary("positive", vjp=lambda F, g, out, x: g, doc="+x.")
reciprocal = unary("reciprocal", vjp=lambda F, g, out, x: -(g * out) * out, saves=("out",), doc="1 / x.")
square = unary("square", vjp=lambda F, g, out, x: g * (x + x), saves=("x",), doc="x * x.")
sqrt = unary(
    "sqrt", vjp=lambda F, g, out, x: g / (out + out), saves=("out",), domain=(0, inf), doc="The square root."
)
cbrt = unary("cbrt", vjp=lambda F, g, out, x: g / (3 * out * out), saves=("out",), doc="The real cube root.")

# ------------------------------------------------------------------ exponentials, logarithms
exp = unary("exp", vjp=lambda F, g, out, x: g * out, saves=("out",), widens=True, doc="e ** x.")
exp2 = unary("exp2", vjp=lambda F, g, out, x: g * out * LN2, saves=("out",), widens=True, doc="2 ** x.")


def _expm1(B: Any) -> Callable:
    def forward(x: Any) -> Any:
        if x.dtype.kind != "c":
            return B.expm1(x)
        finite = B.isfinite(x)  # at infinities NumPy's gives NaN, exp what C and the array API ask for
        out = B.asarray(B.where(finite, B.expm1(B.where(finite, x, 0)), B.exp(x) - 1))
        out.real += 0.0  # -0 + 0j gives 0 + 0j
        return out

    return forward


expm1 = unary(
    "expm1",
    vjp=lambda F, g, out, x: g * F.exp(x),  # out + 1 has no digits left where out is near -1
    saves=("x",),
    forward=_expm1,
    widens=True,
    doc="exp(x) - 1, accurate near 0.",
)
log = unary(
    "log",
    vjp=lambda F, g, out, x: g / x,
    saves=("x",),
    domain=(0, inf),
    widens=True,
    doc="The natural logarithm.",
)
log2 = unary(
    "log2",
    vjp=lambda F, g, out, x: g / (x * LN2),
    saves=("x",),
    domain=(0, inf),
    widens=True,
    doc="The logarithm to base 2.",
)
log10 = unary(
    "log10",
    vjp=lambda F, g, out, x: g / (x * LN10),
    saves=("x",),
    domain=(0, inf),
    widens=True,
    doc="The logarithm to base 10.",
)
log1p = unary(
    "log1p",
    vjp=lambda F, g, out, x: g / (1 + x),
    saves=("x",),
    domain=(-1, inf),
    widens=True,
    doc="log(1 + x), accurate near 0.",
)
logaddexp = binary(
    "logaddexp",
    vjp=(lambda F, g, out, x, y: g * _ratio(F, x, y), lambda F, g, out, x, y: g * _ratio(F, y, x)),
    saves=("x", "y"),
    doc="log(exp(x1) + exp(x2)), without overflow.",
)
logaddexp2 = binary(
    "logaddexp2",
    vjp=(
        lambda F, g, out, x, y: g * _ratio(F, x * LN2, y * LN2),
        lambda F, g, out, x, y: g * _ratio(F, y * LN2, x * LN2),
    ),
    saves=("x", "y"),
    doc="log2(2 ** x1 + 2 ** x2), without overflow.",
)


def _ratio(F: Any, x: Any, y: Any) -> Any:
    """exp(x) / (exp(x) + exp(y)); equal infinities count half."""
    same = F.logical_and(F.equal(x, y), F.isinf(x))
    return F.sigmoid(F.where(same, 0.0, x) - F.where(same, 0.0, y))


# ------------------------------------------------------------ kinks: 0 at the kink of abs, ties shared evenly
absolute = unary(
    "absolute",
    vjp=lambda F, g, out, x: (
        g * F.sign(x)
        if x.dtype.kind != "c"
        else g * F.conjugate(x / F.where(F.equal(out, 0), F.ones_like(out), out))
    ),
    saves=("x", "out"),
    real_result=True,
    doc="The absolute value; the derivative at 0 is taken as 0.",
)


def _wins(F: Any, g: Any, x: Any, y: Any, out: Any) -> Any:
    return F.where(F.equal(x, y), g * 0.5, g * F.equal(x, out))


def _extreme(name: str, doc: str) -> Callable[[Any, Any], Tensor]:
    return binary(
        name,
        vjp=(lambda F, g, out, x, y: _wins(F, g, x, y, out), lambda F, g, out, x, y: _wins(F, g, y, x, out)),
        saves=("x", "y", "out"),
        doc=doc,
    )


maximum = _extreme("maximum", "The larger one, or NaN; at ties each side gets half of the gradient.")
minimum = _extreme("minimum", "The smaller one, or NaN; at ties each side gets half of the gradient.")
fmax = _extreme("fmax", "The larger one, ignoring NaN.")
fmin = _extreme("fmin", "The smaller one, ignoring NaN.")
copysign = binary(
    "copysign",
    vjp=(lambda F, g, out, x, y: g * F.sign(x) * F.sign(out), lambda F, g, out, x, y: F.zeros_like(g)),
    saves=("x", "out"),
    doc="|x1| with the sign of x2.",
)


@operation(
    vjp=(
        lambda F, g, out, x, y, *, condition: F.where(condition, g, F.zeros_like(g)),
        lambda F, g, out, x, y, *, condition: F.where(condition, F.zeros_like(g), g),
    ),
    broadcasts=True,
    promotes=True,
    elementwise=True,
    forward=lambda B: lambda x, y, *, condition: B.where(condition, x, y),
)
def where(condition: Any, x: Any, y: Any) -> Arguments:
    """x where the condition holds, else y; they broadcast together.

    The side that was not chosen gets a zero gradient; but a NaN made inside it by an earlier op's derivative
    stays a NaN (0 * NaN).
    """
    if not isinstance(x, Tensor):
        x = lift(x, y if isinstance(y, Tensor) else None)
    if not isinstance(y, Tensor):
        y = lift(y, x)
    return (x, y), {"condition": constant("where", condition)}


@operation(
    vjp=(lambda F, g, out, x, *, low, high: g * _inside(F, x, low, high),),
    saves=("x",),
    elementwise=True,
    forward=lambda B: lambda x, *, low, high: B.clip(x, low, high),
)
def _clip(x: Any, low: Any, high: Any) -> Arguments:
    return (x,), {"low": low, "high": high}


def _inside(F: Any, x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return 1 if high is None else F.less_equal(x, high)
    above = F.greater_equal(x, low)
    return above if high is None else F.logical_and(above, F.less_equal(x, high))


@helper
def clip(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """x held within [min, max]; None leaves a side open. The gradient passes where min <= x <= max.

    Array bounds get gradients of their own (as maximum and minimum).
    """
    x = lift(x)
    if _plain(min) and _plain(max):
        return _clip(x, min, max)
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


def _plain(bound: Any) -> bool:
    return bound is None or isinstance(bound, (int, float))


# ------------------------------------------------------------------ complex
conjugate = unary("conjugate", vjp=lambda F, g, out, x: F.conjugate(g), doc="The complex conjugate.")


@operation(
    vjp=(lambda F, g, out, x: F.astype(g, dtype=x.dtype),),
    jvp=lambda F, ts, out, x: F.real(ts[0]),
    saves=("x.shape",),
    view=True,
)
def real(x: Any) -> Arguments:
    """The real part."""
    return (x,), {}


@operation(
    vjp=(lambda F, g, out, x: g * -1j if x.dtype.kind == "c" else F.zeros_like(g),),
    jvp=lambda F, ts, out, x: F.imag(ts[0]),
    saves=("x.shape",),
    view=True,
)
def imag(x: Any) -> Arguments:
    """The imaginary part."""
    return (x,), {}


# ------------------------------------------------------------------ dtype


def _cast_back(F: Any, g: Any, out: Any, x: Any, *, dtype: Any) -> Any:
    return F.astype(g, dtype=x.dtype)


@operation(vjp=(_cast_back,), saves=("x.shape",), linear="joint")
def astype(x: Any, dtype: Any, *, copy: bool = True) -> Arguments:
    """Convert to a dtype. From complex to real the real part is taken. The gradient comes back in x's
    dtype; integers and bools are constants: none comes back from them.
    """
    dtype = np.dtype(dtype)
    return (x if is_float(dtype) else lift(x).detach(),), {"dtype": dtype}


@operation(vjp=(lambda F, g, out, x: g,), linear="joint")
def copy(x: Any) -> Arguments:
    """The same values in memory of their own."""
    return (x,), {}


# ------------------------------------------------------------------ without a derivative
equal = nondiff("equal", arrays=2, doc="x1 == x2.")
not_equal = nondiff("not_equal", arrays=2, doc="x1 != x2.")
less = nondiff("less", arrays=2, doc="x1 < x2.")
less_equal = nondiff("less_equal", arrays=2, doc="x1 <= x2.")
greater = nondiff("greater", arrays=2, doc="x1 > x2.")
greater_equal = nondiff("greater_equal", arrays=2, doc="x1 >= x2.")
logical_and = nondiff("logical_and", arrays=2, doc="x1 and x2, element by element.")
logical_or = nondiff("logical_or", arrays=2, doc="x1 or x2, element by element.")
logical_xor = nondiff("logical_xor", arrays=2, doc="Either x1 or x2, element by element.")
logical_not = nondiff("logical_not", doc="not x, element by element.")
isfinite = nondiff("isfinite", doc="Neither infinite nor NaN.")
isinf = nondiff("isinf", doc="Infinite.")
isnan = nondiff("isnan", doc="Not a number.")
signbit = nondiff("signbit", doc="The sign bit: True for -0.0.")
_sign = nondiff("sign")
floor = nondiff("floor", doc="The largest integer not above x.")
ceil = nondiff("ceil", doc="The smallest integer not below x.")
trunc = nondiff("trunc", doc="The integer next to x towards 0.")
rint = nondiff("rint", doc="The nearest integer, halves to even.")


def _floor_divide(B: Any, x: Any, y: Any) -> Any:
    out = B.floor_divide(x, y)
    return B.where(B.isinf(x) != B.isinf(y), x / y, out) if is_float(out.dtype) else out


floor_divide = nondiff(
    "floor_divide",
    _floor_divide,
    arrays=2,
    doc="floor(x1 / x2). With one infinity x1 / x2, as the array API standard has it: inf // 2 is inf, and\n"
    "    1 // -inf is -0, where Python and NumPy give nan and -1.",
)
round = nondiff("round", lambda B, x, decimals=0: x.round(decimals), doc="Rounded to `decimals` places.")


@helper
def sign(x: Any, /) -> Tensor:
    """-1, 0 or 1, a constant; z / |z| of complex numbers, which has a derivative (0 at 0)."""
    x = lift(x)
    if x.node is None or x.dtype.kind != "c":
        return _sign(x)
    size = absolute(x)
    return x / where(equal(size, 0), 1.0, size)


abs = absolute
pow = power
mod = remainder
true_divide = divide
conj = conjugate
