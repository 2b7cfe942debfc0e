"""How functions and their derivatives are compared with mpmath's: over wide domains, at points drawn once.

A derivative is a central difference over 2^-70 of the argument: of 50 digits some 28 are right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
from mpmath import mp, mpc, mpf

import tensorflowlite_bp as bp

TIGHT = 1e-10
LAST_PLACES = 8  # or within what the result does when each argument moves by so many of its last places


# ------------------------------------------------------------------ where arguments lie
def lin(low, high):
    return lambda r, n: r.uniform(low, high, n)


def log(low, high):
    """The logarithm uniform."""
    return lambda r, n: 10 ** r.uniform(np.log10(low), np.log10(high), n)


def both(low, high):
    """The same, of either sign."""
    return lambda r, n: log(low, high)(r, n) * r.choice([-1, 1], n)


def of(*choices):
    return lambda r, n: r.choice(choices, n)


def plane(low, high, start=-3.1, stop=3.1):
    """Complex numbers, the logarithm of the size uniform, and the angle."""
    return lambda r, n: log(low, high)(r, n) * np.exp(1j * r.uniform(start, stop, n))


def right(low, high):
    return plane(low, high, -1.5, 1.5)


# ------------------------------------------------------------------ cases
@dataclass
class Case:
    name: str
    exact: Callable  # of mpmath's numbers
    domain: tuple | Callable  # one of the above per argument, or all arguments at once
    fixed: int = 0  # how many leading arguments are constants
    tail: Callable | None = None  # what has the same derivatives and does not cancel
    keep: Callable | None = None  # which points are meant
    f: Callable | None = None  # the function, if it is not scipy.special's of that name
    n: int = 8
    digits: int = 50
    id: str = ""

    def __str__(self):
        return self.id or self.name

    def points(self, n=None, seed=0):
        r = np.random.default_rng(seed)
        n = n or self.n
        args = self.domain(r, n) if callable(self.domain) else [d(r, n) for d in self.domain]
        kept = np.ones(n, bool) if self.keep is None else self.keep(*args)
        return [a[kept] for a in args]

    def slope(self, k):
        """The exact derivative in argument k."""
        source = self.tail or self.exact
        return source.slope(k) if hasattr(source, "slope") else lambda *args: slope(source, args, k)


def slope(f, args, k):
    x = args[k]
    h = mpmath.ldexp(abs(x) or mpf(1), -70)
    up, down = (f(*args[:k], v, *args[k + 1 :]) for v in (x + h, x - h))
    return (up - down) / (2 * h)


class Inverse:
    """The last argument x with f(..., x) = y, by Newton's method from a start; derivatives are implicit."""

    def __init__(self, f, start):
        self.f, self.start = f, start

    def __call__(self, *args):
        *at, y = args
        x = mpf(float(self.start(*[float(a) for a in args])))
        for _ in range(4):
            step = (self.f(*at, x) - y) / slope(self.f, (*at, x), len(at))
            x = x - step
            if abs(step) < abs(x) * mpf(10) ** -15:
                break
        return x

    def slope(self, k):
        def derivative(*args):
            at = (*args[:-1], self(*args))
            last = len(args) - 1
            return (1 if k == last else -slope(self.f, at, k)) / slope(self.f, at, last)

        return derivative


# ------------------------------------------------------------------ the comparison
def exactly(x):
    x = x.item() if hasattr(x, "item") else x
    return mpc(x) if isinstance(x, complex) else mpf(x)


def number(x):
    return complex(x) if isinstance(x, mpc) else float(x)


def rows(case, n=None):
    """Of value and derivatives at every point: (which, point, ours, exact, relative error, last places)."""
    f = case.f or getattr(bp.scipy.special, case.name)
    args, k0 = case.points(n), case.fixed
    assert args[0].size
    with np.errstate(all="ignore"):
        out, pull = bp.vjp(lambda *xs: f(*args[:k0], *xs), *args[k0:])
        grads = pull(np.ones(out.shape, out.dtype))
    for i, point in enumerate(zip(*args, strict=True)):
        for which, got in (("value", out), *enumerate(grads, k0)):
            exact = case.exact if which == "value" else case.slope(which)
            yield which, point, *compare(got[i], exact, [exactly(x) for x in point], case.digits)


def compare(got, exact, args, digits):
    with mp.workdps(digits):
        want, got = exact(*args), exactly(got)
        error = abs(got - want)
        if not mpmath.isfinite(got):
            return number(got), number(want), np.inf, np.inf
        if error < 1e-300:  # the smallest doubles have few digits
            return number(got), number(want), 0.0, 0.0
        relative = float(error / abs(want)) if want else np.inf
        if relative < TIGHT:
            return number(got), number(want), relative, 0.0
        ulp = mpf(2) ** -52
        moved = sum(abs(exact(*args[:k], x * (1 + ulp), *args[k + 1 :]) - want) for k, x in enumerate(args))
        return number(got), number(want), relative, float(error / moved) if moved else np.inf
