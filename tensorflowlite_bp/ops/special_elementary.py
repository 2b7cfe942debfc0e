"""Logarithms and exponentials that behave at their ends: entropies, logits, power transforms, losses,
softmax.
"""

from typing import Any

import numpy as np

from ..autograd.record import lift
from ..autograd.tensor import Tensor
from . import activations, reductions
from .elementwise import absolute, exp, isfinite, log, logaddexp, real, where
from .elementwise import sign as sign_of_tensor
from .shape import broadcast_to, reshape
from .special import floats, many, one, ordered, run
from .special_ratios import excess


def _over(F: Any, x: Any, y: Any) -> Any:
    """x / y, and 0 where x is."""
    none = F.equal(x, 0)
    return F.where(none, F.zeros_like(y), x / F.where(none, F.ones_like(y), y))


# ------------------------------------------------------------------ entropies
xlogy = many(
    "xlogy",
    lambda F, g, out, x, y: g * F.log(y),
    lambda F, g, out, x, y: g * _over(F, x, y),
    doc="x log(y), and 0 where x is 0.",
)
xlog1py = many(
    "xlog1py",
    lambda F, g, out, x, y: g * F.log1p(y),
    lambda F, g, out, x, y: g * _over(F, x, 1 + y),
    doc="x log(1 + y), and 0 where x is 0.",
)
entr = one("entr", lambda F, g, out, x: -g * (F.log(x) + 1), doc="-x log(x), 0 at 0, -inf for negative x.")
rel_entr = many(
    "rel_entr",
    lambda F, g, out, x, y: g * (F.log(x / y) + 1),
    lambda F, g, out, x, y: -g * _over(F, x, y),
    doc="x log(x / y), and 0 where x is 0.",
)


def _kl_div(B: Any) -> Any:
    def forward(x: Any, y: Any) -> Any:
        """SciPy's, and where x is near y not as a difference of larger numbers."""
        out = B.special.kl_div(x, y)
        with np.errstate(all="ignore"):
            near = (x > 0) & (B.absolute(y - x) < 0.1 * x)
            safe = B.where(near, x, 1.0)
            return B.where(near, safe * excess(B, (y - safe) / safe, y / safe), out).astype(out.dtype)

    return forward


kl_div = many(
    "kl_div",
    lambda F, g, out, x, y: g * F.log(x / y),
    lambda F, g, out, x, y: g * ((y - x) / y),
    forward=_kl_div,
    doc="x log(x / y) - x + y.",
)

# ------------------------------------------------------------------ the logistic function
# expit(x) expit(-x), not out (1 - out): 1 - out is 0 long before the derivative is
expit = one(
    "expit",
    lambda F, g, out, x: g * out * F.special.expit(-x),
    ("x", "out"),
    doc="1 / (1 + exp(-x)), without overflow.",
)
logit = one("logit", lambda F, g, out, x: g / (x * (1 - x)), doc="log(x / (1 - x)), the inverse of expit.")
log_expit = one(
    "log_expit", lambda F, g, out, x: g * F.special.expit(-x), doc="log(expit(x)), without overflow."
)


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    return logaddexp(*floats(0.0, x))


# ------------------------------------------------------------------ power transforms
def _mean_exp(F: Any, x: Any) -> Any:
    """int_0^1 t exp(x t) dt: the derivative of exprel."""
    return run(F, exprel_moment, 1, x)


boxcox = many(
    "boxcox",
    lambda F, g, out, x, y: g * F.power(x, y - 1),
    lambda F, g, out, x, y: g * F.square(F.log(x)) * _mean_exp(F, y * F.log(x)),
    doc="(x^y - 1) / y, and log(x) where y is 0.",
)
boxcox1p = many(
    "boxcox1p",
    lambda F, g, out, x, y: g * F.exp((y - 1) * F.log1p(x)),
    lambda F, g, out, x, y: g * F.square(F.log1p(x)) * _mean_exp(F, y * F.log1p(x)),
    doc="boxcox(1 + x, y).",
)


def _inverse(name: str, log_of: Any, doc: str) -> Any:
    def in_x(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
        return g * F.exp((1 - y) * log_of(F, out, x, y))

    def in_y(F: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
        lx = log_of(F, out, x, y)
        return -g * F.square(lx) * _mean_exp(F, y * lx) * F.exp((1 - y) * lx)

    return many(name, in_x, in_y, saves=("x", "y", "out"), doc=doc)


# the logarithm of inv_boxcox through inv_boxcox1p: near 1 it has no digits of its own
inv_boxcox = _inverse(
    "inv_boxcox", lambda F, out, x, y: F.log1p(F.special.inv_boxcox1p(x, y)), "The x with boxcox(x, y) given."
)
inv_boxcox1p = _inverse("inv_boxcox1p", lambda F, out, x, y: F.log1p(out), "The x with boxcox1p(x, y) given.")
powm1 = many(
    "powm1",
    lambda F, g, out, x, y: g * y * F.power(x, y - 1),
    lambda F, g, out, x, y: g * F.log(x) * F.power(x, y),
    doc="x^y - 1, accurate where it is small.",
)


def _moment(B: Any, n: int, x: Any) -> Any:
    """int_0^1 t^n exp(x t) dt: by its series near 0, else by parts."""
    small = B.absolute(x) < n + 4
    y = B.where(small, x, 0.0)
    term, total = B.ones_like(x), 1 / (n + 1) + B.zeros_like(x)
    for k in range(1, 40 + 2 * n):
        term = term * y / k
        total = total + term / (n + k + 1)
    z = B.where(small, 1.0, x)
    with np.errstate(over="ignore", invalid="ignore"):
        grown = B.exp(z)
        direct = (grown - 1) / z
        for k in range(1, n + 1):
            direct = (grown - k * direct) / z
    return B.where(small, total, direct).astype(x.dtype)


exprel_moment = ordered(
    "exprel_moment",
    lambda F, g, out, x, *, at: g * run(F, exprel_moment, at[0] + 1, x),
    "n",
    forward=lambda B: lambda n, x: _moment(B, n, x),
    doc="int_0^1 t^n exp(x t) dt: the n-th derivative of exprel.",
)
exprel = one("exprel", lambda F, g, out, x: g * _mean_exp(F, x), doc="(exp(x) - 1) / x, and 1 at 0.")

# ------------------------------------------------------------------ losses
huber = many(
    "huber",
    lambda F, g, out, d, r: g * F.maximum(F.absolute(r) - d, 0),
    lambda F, g, out, d, r: g * F.clip(r, -d, d),
    doc="r^2 / 2 where |r| <= delta, delta (|r| - delta / 2) beyond; delta >= 0.",
)
pseudo_huber = many(
    "pseudo_huber",
    lambda F, g, out, d, r: g * F.square(r * r / (F.hypot(d, r) + d)) / F.hypot(d, r),
    lambda F, g, out, d, r: g * r * d / F.hypot(d, r),
    doc="delta^2 (sqrt(1 + (r / delta)^2) - 1), a smooth huber; delta > 0.",
)


# ------------------------------------------------------------------ softmax, as SciPy has it
def _axes(x: Tensor, axis: Any) -> Any:
    return axis if axis is None or isinstance(axis, tuple) else int(axis)


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """log(sum(b exp(a))) over `axis`, without overflow; -inf for an empty axis.

    b: factors, of any sign. return_sign: also the sign of the sum (the phase, where it is complex), and the
    logarithm of its absolute value; else a negative sum gives NaN.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.grad(bp.scipy.special.logsumexp)(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    a, *rest = floats(a) if b is None else floats(a, b)
    axis = _axes(a, axis)
    if not rest and a.dtype.kind != "c":
        out = reductions.logsumexp(a, axis, keepdims=keepdims)
        return (out, lift(np.ones(out.shape, out.dtype))) if return_sign else out
    if rest:
        shape = np.broadcast_shapes(a.shape, rest[0].shape)
        a, factors = broadcast_to(a, shape), broadcast_to(rest[0], shape)
    size = real(a).detach()
    if rest:  # what is multiplied by 0 does not count, but its factor may have a derivative
        size = where(factors.data == 0, -np.inf, size)
    top = reductions.max(size, axis, keepdims=True) if a.size else reductions.sum(size, axis, keepdims=True)
    top = where(isfinite(top), top, 0.0)
    if rest:
        most = float(np.log(np.finfo(a.dtype).max))
        a = where((factors.data == 0) & ((real(a) - top).data > most), -np.inf, a)
    terms = exp(a - top)
    total = reductions.sum(terms * factors if rest else terms, axis, keepdims=True)
    if not keepdims:
        shape = reductions.sum(size, axis).shape
        total, top = reshape(total, shape), reshape(top, shape)
    if not return_sign:
        return log(total) + top
    length = absolute(total)
    sign = total / where(length.data == 0, 1.0, length) if total.dtype.kind == "c" else sign_of_tensor(total)
    return log(length) + top, sign


def softmax(x: Any, axis: Any = None) -> Tensor:
    """exp(x) over its sum along `axis`: None, an int or a tuple of ints."""
    return _along(activations.softmax, x, axis)


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """log(softmax(x, axis)), without overflow."""
    return _along(activations.log_softmax, x, axis)


def _along(function: Any, x: Any, axis: Any) -> Tensor:
    (x,) = floats(x)
    if axis is None or not x.ndim:
        return reshape(function(reshape(x, -1)), x.shape)
    if not isinstance(axis, tuple):
        return function(x, int(axis))
    if x.dtype.kind != "c":
        out = x - reductions.logsumexp(x, axis, keepdims=True)
    else:
        out = x - logsumexp(x, axis, keepdims=True)
    return out if function is activations.log_softmax else exp(out)
