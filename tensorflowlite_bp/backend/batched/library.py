"""The protocol on Batched arrays: every function by its kind, over the library that holds the samples.

Elementwise functions align the axes of the samples; functions of an axis count it from the last; stacked ones
(linear algebra) take leading axes as they are; shape, indexing and the fused ones have rules of their own in
the modules beside. What has no rule is called sample by sample: `LOOPED` lists what does so by decision.
"""

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from .. import by_type, current
from ..protocol import ACTIVATIONS, ELEMENTWISE, PREDICATES
from . import array, indexing, linear, nn, shape
from .array import Batched, MappedValueError, aligned, made, scope, sizes, viewing
from .shape import from_last

_EVERY = {*ELEMENTWISE, *PREDICATES, *ACTIVATIONS} | set(
    "where clip erf sigmoid softplus log_sigmoid isclose invert bitwise_and bitwise_or bitwise_xor "
    "left_shift right_shift nan_to_num round around abs true_divide mod conj sinc i0 heaviside gcd lcm "
    "float_power divmod frexp ldexp modf isneginf isposinf angle".split()
)  # element by element, with broadcasting
_OWN = {"real", "imag", "copy"}  # of one array, whatever its axes
_REDUCE = set(
    "sum mean max min prod any all amax amin var std norm2 logsumexp count_nonzero ptp median nansum nanmean "
    "nanmax nanmin nanprod nanvar nanstd nanmedian average percentile quantile".split()
)  # axis=None: all of them
_FLATTEN = set(
    "argmax argmin nanargmax nanargmin cumsum cumprod nancumsum nancumprod".split()
)  # axis=None: of the flattened array
_ALONG = set(
    "softmax log_softmax argsort argsort_stable sort flip fliplr flipud diff".split()
)  # axis=-1, or all
_STACKED = set(
    "inv det slogdet cholesky qr svd svdvals eigh eig eigvalsh eigvals pinv matrix_rank matrix_power".split()
)
_PLAIN = set("zeros ones full empty eye arange linspace finfo iinfo tri".split())  # made of no array
_LIKE = set("zeros_like ones_like full_like empty_like".split())

LOOPED = set(
    "linear_softmax_cross_entropy linear_softmax_cross_entropy_backward searchsorted linalg.lstsq "
    "convolve_full linear_map linear_map_transposed recursion".split()
)
_MODULES = {"numpy.linalg": "linalg.", "numpy.fft": "fft."}
_NUMPYS = {"initial", "where", "ddof"}  # keywords that the backends' own functions do not take


def lib(*values: Any) -> Any:
    """The backend that holds the samples."""
    for x in values:
        if isinstance(x, Batched):
            return by_type[type(x.data)]
    for x in values:
        if hasattr(x, "dtype"):
            return by_type[type(x)]
    return current()


def unbatched(x: Any) -> bool:
    return not isinstance(x, Batched)


# ------------------------------------------------------------------ the kinds
def elementwise(call: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Every argument aligned; keywords may be arrays too, or tuples of them."""
    values = (*args, *_leaves(kwargs)) if kwargs else args
    levels, env = scope(values)
    ndim = 0
    for x in values:
        n = getattr(x, "ndim", 0)
        if n > ndim:
            ndim = n
    if kwargs:
        kwargs = _walk(kwargs, lambda x: aligned(x, levels, ndim))
    found = call(*[aligned(x, levels, ndim) for x in args], **kwargs)
    if isinstance(found, tuple):
        return tuple([made(f, levels, env) for f in found])
    return made(found, levels, env)


def _of_one(call: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
    return viewing(call(x.data, *args, **kwargs), x)


def _reduction(call: Callable, x: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
    axis = tuple(range(-x.ndim, 0)) if axis is None else from_last(axis, x.ndim)
    where = kwargs.pop("where", None)
    if where is not None:
        return _looped(call, x, axis, *args, where=where, **kwargs)
    return made(call(x.data, *args, axis=axis, **kwargs), x.levels, x.env)


def _flattening(call: Callable, x: Any, axis: Any = None, keepdims: bool = False, **kwargs: Any) -> Any:
    if keepdims:
        kwargs["keepdims"] = True
    if axis is not None:
        return made(call(x.data, axis=from_last(axis, x.ndim), **kwargs), x.levels, x.env)
    ndim = x.ndim
    out = made(call(x.reshape(-1).data, axis=-1, **kwargs), x.levels, x.env)
    return out.reshape((1,) * ndim) if keepdims else out


def _along(call: Callable, x: Any, *args: Any, axis: Any = -1, **kwargs: Any) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), -1
    return made(call(x.data, *args, axis=from_last(axis, x.ndim), **kwargs), x.levels, x.env)


def _flip(call: Callable, x: Any, axis: Any = None) -> Any:
    axis = tuple(range(-x.ndim, 0)) if axis is None else from_last(axis, x.ndim)
    return viewing(call(x.data, axis=axis), x)


def _stacked(call: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
    found = call(x.data, *args, **kwargs)
    if not isinstance(found, tuple):
        return made(found, x.levels, x.env)
    parts = [made(f, x.levels, x.env) for f in found]
    return tuple(parts) if type(found) is tuple else type(found)(*parts)


def _like(call: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
    return made(call(x.data, *args, **kwargs), x.levels, x.env)


# ------------------------------------------------------------------ sample by sample
def _looped(call: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """The declared fallback: one call per sample, the results stacked."""
    found: list[Batched] = []
    _walk((args, kwargs), lambda x: found.append(x) or x)
    levels, env = scope(found)
    results = []
    for place in np.ndindex(*sizes(levels)):
        index = dict(zip(levels, place, strict=True))
        part = _walk((args, kwargs), lambda x, i=index: x.data[tuple([i[level] for level in x.levels])])
        results.append(call(*part[0], **part[1]))
    if not results:
        raise ValueError("[vmap] this function is called sample by sample, and there is no sample.")
    return _stack(results, levels, env)


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for t in tree for x in _leaves(t)] if isinstance(tree, (tuple, list)) else [tree]


def _walk(tree: Any, function: Callable) -> Any:
    if isinstance(tree, Batched):
        return function(tree)
    if isinstance(tree, (tuple, list)):
        return type(tree)([_walk(t, function) for t in tree])
    if isinstance(tree, dict):
        return {k: _walk(v, function) for k, v in tree.items()}
    return tree


def _stack(results: list[Any], levels: Any, env: Any) -> Any:
    first = results[0]
    if isinstance(first, (tuple, list)):
        return type(first)([_stack(list(r), levels, env) for r in zip(*results, strict=True)])
    if not hasattr(first, "shape"):
        return first
    return made(np.stack(results).reshape(sizes(levels) + first.shape), levels, env)


# ------------------------------------------------------------------ the library
_RULES: dict[str, Callable] = {**shape.RULES, **indexing.RULES, **linear.RULES, **nn.RULES}


def _kind(name: str) -> Callable | None:
    """How a function is called that has no rule of its own."""
    space, _, last = name.rpartition(".")
    if space == "linalg":
        return _stacked if last in _STACKED else _looped
    if space == "special" or (not space and last in _EVERY):
        return elementwise
    if not space:
        for names, how in (
            (_OWN, _of_one), (_REDUCE, _reduction), (_FLATTEN, _flattening), (_LIKE, _like), (_ALONG, _along),
        ):  # fmt: skip
            if last in names:
                return _flip if last == "flip" else how
    return _looped


class Namespace:
    """Functions found by name, once each."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        function = _function(self._prefix + name)
        setattr(self, name, function)
        return function


def _function(name: str) -> Callable:
    rule = _RULES.get(name)
    if rule is not None:
        return rule
    find = attrgetter(name)
    if name in _PLAIN:
        return lambda *args, **kwargs: find(lib(*args))(*args, **kwargs)
    how = _kind(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        base = lib(*args, *kwargs.values())
        there = hasattr(base, name.partition(".")[0]) and not _NUMPYS & kwargs.keys()
        plain = find(base) if there else attrgetter(name)(np)
        if unbatched(args[0]) and how is not elementwise and how is not _looped:
            return plain(*args, **kwargs)
        return how(plain, *args, **kwargs)  # type: ignore[misc]

    if how is _looped:
        batched.looped.add(name)
    return call


class Library(Namespace):
    """The backend of every Batched class."""

    name = "batched"
    ndarray = Batched
    lib = staticmethod(lib)
    errstate = staticmethod(np.errstate)

    def __init__(self) -> None:
        super().__init__()
        self.looped: set[str] = set()  # what has been called sample by sample
        self.linalg, self.fft, self.special = (Namespace(n) for n in ("linalg.", "fft.", "special."))

    def device(self, x: Any) -> str:
        return lib(x).device(x.data if isinstance(x, Batched) else x)

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        if isinstance(x, Batched):
            return x if dtype is None or x.dtype == dtype else x.astype(dtype)
        return lib(x).asarray(x, dtype=dtype)

    array = asarray

    def astype(self, x: Any, *, dtype: Any) -> Any:
        return (
            _of_one(functools.partial(lib(x).astype, dtype=dtype), x)
            if isinstance(x, Batched)
            else lib(x).astype(x, dtype=dtype)
        )

    def result_type(self, *xs: Any) -> Any:
        return np.result_type(*[x.dtype if hasattr(x, "dtype") else x for x in xs])

    def each(self, make: Callable, /, *args: Any, **kwargs: Any) -> Any:
        """A function of elements, or of stacks of matrices, made for the backend that holds the samples."""
        return elementwise(make(lib(*args)), *args, **kwargs)

    def or_looped(self, find: Callable, name: str) -> Callable:
        """An op's forward; one that needs real arrays (SciPy's own code) is called sample by sample."""
        forward = find(self)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return forward(*args, **kwargs)
            except MappedValueError:
                self.looped.add(name)
                return _looped(find(lib(*args, *kwargs.values())), *args, **kwargs)

        return call

    def rule_looped(self, name: str, rule: Callable, /, *args: Any, **params: Any) -> Any:
        """The same for a rule(F, ...), when it has raised MappedValueError."""
        self.looped.add(name)
        return _looped(functools.partial(rule, lib(*args)), *args, **params)

    def per_sample(self, make: Callable, *args: Any, **kwargs: Any) -> Any:
        """A function made for the backend that holds the samples, called for one after the other."""
        if not any(isinstance(x, Batched) for x in args):
            return make(lib(*args))(*args, **kwargs)
        return _looped(make(lib(*args)), *args, **kwargs)

    # ------------------------------------------------------------------ NumPy's protocols
    def ufunc(self, function: Any, method: str, inputs: tuple, kwargs: dict[str, Any]) -> Any:
        if function is np.matmul and method == "__call__":
            return linear.matmul(*inputs)
        if method == "__call__":
            return elementwise(function, *inputs, **kwargs)
        if method in ("reduce", "accumulate") and not kwargs.get("initial"):
            x = inputs[0]
            axis = kwargs.pop("axis", inputs[1] if len(inputs) > 1 else 0)
            kwargs.pop("initial", None)
            how = getattr(function, method)
            return _reduction(how, x, axis, **kwargs) if method == "reduce" else _along(how, x, axis=axis)
        return NotImplemented

    def function(self, func: Any) -> Callable:
        """What stands for one of NumPy's functions."""
        return getattr_path(self, _MODULES.get(func.__module__, "") + func.__name__)


def getattr_path(root: Any, path: str) -> Any:
    return attrgetter(path)(root)


batched = Library()
array.functions = batched
