"""A distribution: SciPy's own on raw arrays, and on Tensors compositions of ops that differentiate in every
parameter.

A continuous distribution is declared by functions of the standard variable y = (x - loc) / scale and its
shape parameters: `logpdf`, and what else is known of `cdf`, `sf`, `logcdf`, `logsf`, `ppf`, `isf`. The
others follow from those.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd.record import constant
from ...autograd.tensor import Tensor
from ...backend.batched import always
from ...ops.elementwise import exp, log, where
from ...ops.special import floats
from .._namespace import dispatching, module

Core = Callable[..., Tensor]


class Distribution:
    """Methods of scipy.stats' distribution of that name; those that take Tensors are in `ours`."""

    name: str
    ours: dict[str, Callable]

    def __getattr__(self, method: str) -> Any:
        if method.startswith("__"):
            raise AttributeError(method)
        theirs = getattr(getattr(module("stats"), self.name), method)
        if not callable(theirs):
            return theirs
        found = dispatching("stats", f"{self.name}.{method}", theirs, self.ours.get(method))
        setattr(self, method, found)
        return found

    def __dir__(self) -> list[str]:
        return dir(getattr(module("stats"), self.name))

    def __call__(self, *args: Any, **kwargs: Any) -> "Frozen":
        return Frozen(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<distribution {self.name}>"


class Frozen:
    """A distribution with its parameters given: norm(loc, scale).logpdf(x)."""

    def __init__(self, distribution: Distribution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._distribution, self._args, self._kwargs = distribution, args, kwargs

    def __getattr__(self, method: str) -> Any:
        d = self._distribution
        if method in d.ours:
            return lambda x, *more: getattr(d, method)(x, *self._args, *more, **self._kwargs)
        made = dispatching("stats", d.name, getattr(module("stats"), d.name), None)
        return getattr(made(*self._args, **self._kwargs), method)


class Guarded(Distribution):
    """A distribution without a version here: its methods refuse recording Tensors by name."""

    def __init__(self, name: str) -> None:
        self.name, self.ours = name, {}


# ------------------------------------------------------------------ continuous
class Continuous(Distribution):
    """x, shape parameters, loc and scale, as SciPy's `rv_continuous` takes them.

    support: (low, high) of the standard variable, or a function of the shapes that gives them. ends: whether
    they belong to it. valid: what the shapes must satisfy, on raw arrays; all are positive if not given.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...] = (),
        *,
        support: Any = (-math.inf, math.inf),
        ends: bool = True,
        valid: Callable | None = None,
        **cores: Core,
    ) -> None:
        self.name, self.shapes, self.ends = name, shapes, ends
        self._support: Any = support if callable(support) else lambda *_: support
        self._valid = valid or (_all_positive)
        self._cores = _completed(cores)
        self.ours = {"logpdf": self._logpdf, "pdf": lambda *a, **k: exp(self._logpdf(*a, **k))}
        for method, (below, above) in _ENDS.items():
            if method in self._cores:
                self.ours[method] = self._along(self._cores[method], below, above)
        for method in ("ppf", "isf"):
            if method in self._cores:
                self.ours[method] = self._quantile(self._cores[method], method == "isf")

    def _standard(self, x: Any, args: Any, kwargs: Any) -> tuple[Tensor, list[Tensor], Tensor, Tensor, Any]:
        """x, shapes, loc, scale, and where the parameters are valid."""
        given = dict(zip((*self.shapes, "loc", "scale"), args, strict=False)) | kwargs
        unknown = set(given) - {*self.shapes, "loc", "scale"}
        if unknown or len(args) > len(self.shapes) + 2 or any(s not in given for s in self.shapes):
            raise TypeError(
                f"{self.name} takes {', '.join((*self.shapes, 'loc=0', 'scale=1'))}, not {sorted(given)}"
            )
        order = [given[s] for s in self.shapes]
        x, *shapes, loc, scale = floats(x, *order, given.get("loc", 0.0), given.get("scale", 1.0))
        valid = (scale.data > 0) & self._valid(*[s.data for s in shapes])
        return x, shapes, loc, scale, valid

    def _inside(self, y: Tensor, shapes: list[Tensor]) -> tuple[Any, Any, Any, Tensor]:
        """Where y is in the support, its ends, and y with something harmless where it is not."""
        low, high = self._support(*shapes)
        raw = y.data
        a, b = _raw(low), _raw(high)
        within = (raw >= a) & (raw <= b) if self.ends else (raw > a) & (raw < b)
        within = within | np.isnan(raw)
        if always(within.all()):
            return within, a, b, y
        with np.errstate(invalid="ignore"):
            middle = np.where(
                np.isfinite(a),
                np.where(np.isfinite(b), (a + b) / 2, a + 1.0),
                np.where(np.isfinite(b), b - 1.0, 0.0),
            )
        return within, a, b, where(within, y, middle.astype(raw.dtype))

    def _logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        x, shapes, loc, scale, valid = self._standard(x, args, kwargs)
        within, _, _, y = self._inside((x - loc) / scale, shapes)
        out = self._cores["logpdf"](y, *shapes) - log(scale)
        return _masked(_masked(out, within, -math.inf), valid, math.nan)

    def _along(self, core: Core, below: float, above: float) -> Core:
        def method(x: Any, *args: Any, **kwargs: Any) -> Tensor:
            x, shapes, loc, scale, valid = self._standard(x, args, kwargs)
            y = (x - loc) / scale
            within, _, high, inner = self._inside(y, shapes)
            out = core(inner, *shapes)
            if not always(within.all()):
                raw = y.data
                out = where(within, out, np.where(raw >= high, above, below).astype(raw.dtype))
            return _masked(out, valid, math.nan)

        return method

    def _quantile(self, core: Core, upper: bool) -> Core:
        def method(q: Any, *args: Any, **kwargs: Any) -> Tensor:
            q, shapes, loc, scale, valid = self._standard(q, args, kwargs)
            raw = q.data
            between = (raw > 0) & (raw < 1)
            whole = always(between.all())
            out = core(q if whole else where(between, q, 0.5), *shapes)
            if not whole:
                low, high = self._support(*shapes)
                at_0, at_1 = (high, low) if upper else (low, high)
                out = where(between, out, where(raw == 0, at_0, where(raw == 1, at_1, math.nan)))
            return _masked(out * scale + loc, valid, math.nan)

        return method


# what each method gives below and above the support
_ENDS = {"cdf": (0.0, 1.0), "sf": (1.0, 0.0), "logcdf": (-math.inf, 0.0), "logsf": (0.0, -math.inf)}


def _completed(cores: dict[str, Core]) -> dict[str, Core]:
    """The methods that follow from those given."""
    found = dict(cores)
    for mine, other in (("cdf", "sf"), ("sf", "cdf")):
        if mine not in found and other in found:
            found[mine] = lambda *a, f=found[other]: 1.0 - f(*a)
    for mine in ("cdf", "sf"):
        if f"log{mine}" not in found and mine in found:
            found[f"log{mine}"] = lambda *a, f=found[mine]: log(f(*a))
    for mine, other in (("ppf", "isf"), ("isf", "ppf")):
        if mine not in found and other in found:
            found[mine] = lambda q, *a, f=found[other]: f(1.0 - q, *a)
    return found


def _all_positive(*shapes: Any) -> Any:
    valid: Any = True
    for s in shapes:
        valid = (s > 0) & valid
    return valid


def _raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def _masked(out: Tensor, condition: Any, otherwise: Any) -> Tensor:
    every = condition if isinstance(condition, bool) else condition.all()
    return out if always(every) else where(condition, out, otherwise)


# ------------------------------------------------------------------ discrete
class Discrete(Distribution):
    """k, shape parameters and loc. k and loc are constants: a probability at integers alone has no
    derivative in them.

    logpmf(k, *shapes), and cdf(k, *shapes) where known, of integers k within [low, high(*shapes)].
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...],
        *,
        valid: Callable,
        support: Callable,
        logpmf: Core,
        cdf: Core | None = None,
        sf: Core | None = None,
    ) -> None:
        self.name, self.shapes = name, shapes
        self._valid, self._support, self._core = valid, support, logpmf
        self.ours = {"logpmf": self._logpmf, "pmf": lambda *a, **k: exp(self._logpmf(*a, **k))}
        cores = _completed({k: f for k, f in (("cdf", cdf), ("sf", sf)) if f is not None})
        for method, core in cores.items():
            self.ours[method] = self._along(core, *_ENDS[method])

    def _standard(self, k: Any, args: Any, kwargs: Any) -> tuple[Any, list[Tensor], Any]:
        given = dict(zip((*self.shapes, "loc"), args, strict=False)) | kwargs
        if set(given) - {*self.shapes, "loc"} or any(s not in given for s in self.shapes):
            raise TypeError(f"{self.name} takes {', '.join((*self.shapes, 'loc=0'))}, not {sorted(given)}")
        shapes = floats(*[given[s] for s in self.shapes])
        name = f"stats.{self.name}"
        at = np.asarray(constant(name, k)) - np.asarray(constant(name, given.get("loc", 0)))
        return at.astype(shapes[0].dtype), shapes, self._valid(*[s.data for s in shapes])

    def _logpmf(self, k: Any, *args: Any, **kwargs: Any) -> Tensor:
        k, shapes, valid = self._standard(k, args, kwargs)
        low, high = self._support(*[s.data for s in shapes])
        within = (k >= low) & (k <= high) & (k == np.floor(k))
        out = self._core(np.where(within, k, low).astype(k.dtype), *shapes)
        return _masked(_masked(out, within | np.isnan(k), -math.inf), valid, math.nan)

    def _along(self, core: Core, below: float, above: float) -> Core:
        def method(k: Any, *args: Any, **kwargs: Any) -> Tensor:
            k, shapes, valid = self._standard(k, args, kwargs)
            low, high = self._support(*[s.data for s in shapes])
            k = np.floor(k)
            within = (k >= low) & (k < high)
            out = core(np.where(within, k, low).astype(k.dtype), *shapes)
            out = _masked(out, within, np.where(k >= high, above, below).astype(k.dtype))
            return _masked(out, valid, math.nan)

        return method
