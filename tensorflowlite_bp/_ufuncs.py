"""NumPy's ufuncs on Tensors: `np.sin(t)`, `np.add(a, b, out=t)`, `np.multiply.reduce(t, axis=1)`, ...

NumPy hands every ufunc that sees a Tensor to `array_ufunc`. A call without options goes straight to our
function of the same meaning. With options there are two ways: what records is composed of our ops; everything
else is NumPy's own ufunc on the raw arrays, hence NumPy's to the last detail.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .autograd.modes import recording
from .autograd.op import is_float
from .autograd.record import lift
from .autograd.tensor import Tensor, wrap
from .errors import DTypeError, message
from .ops import elementwise as e
from .ops import indexing, inplace, ufuncs, writes
from .ops import reductions as r
from .ops.shape import broadcast_to, expand_dims, moveaxis
from .ops.ufuncs import FUNCTIONS, NOT_GIVEN, RECORDED

Result = Any  # a Tensor, or a tuple of them for the ufuncs of several results


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Result:
    """np.<ufunc>(...) or np.<ufunc>.<method>(...) with a Tensor among the inputs or in out=."""
    if method == "__call__":
        function = FUNCTIONS.get(ufunc)
        if not options and function is not None:
            return function(*inputs)
        if function is None:
            _meet(ufunc, inputs)
    elif method == "reduce" and ufunc in _PLAIN and not options.keys() - _AXIS and self.data.ndim:
        # constants too: narrow floats are added up in float32
        return _PLAIN[ufunc](self, options.get("axis", 0), keepdims=options.get("keepdims", False))
    elif method == "at":
        _meet(ufunc, inputs)
        return writes.at(ufunc, *inputs)
    out = options.pop("out", None)
    if method == "__call__":
        result = _call(ufunc, inputs, out, **options)
    elif ufunc in RECORDED and _wants_ops(ufunc, inputs, options):
        if method != "outer" and (ufunc.nin, ufunc.nout, ufunc.signature) != (2, 1, None):
            getattr(ufunc, method)(np.ones(1))  # NumPy's own error
        result = _METHODS[method](ufunc, *inputs, **options)
    else:
        _meet(ufunc, inputs)
        result = _constant(getattr(ufunc, method), options)(*inputs)
    if out is None:
        return result
    return _written(ufunc.__name__, out, result, options.get("casting", "same_kind"))


def _meet(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> None:
    """Take up a ufunc that is not NumPy's: scipy.special's have functions here. Raises TypeError for others
    with recording arguments, whose gradient would be lost.
    """
    if ufunc in FUNCTIONS or ufunc in _NUMPYS:
        return
    name = ufunc.__name__
    if getattr(sys.modules.get("scipy.special"), name, None) is ufunc:
        function = importlib.import_module(f"{__package__}.scipy.special").OURS.get(name)
        if function is not None:
            FUNCTIONS[ufunc] = function
            RECORDED.add(ufunc)
            return
    if _records(inputs):
        raise TypeError(
            message(
                name,
                "this function has no differentiable version here.",
                received="a recording Tensor",
                hint="pass t.detach() where no gradient is needed, or give it a derivative by bp.custom_vjp.",
            )
        )


_NUMPYS = {u for u in vars(np).values() if isinstance(u, np.ufunc)}


def _records(values: Any) -> bool:
    return recording() and any(isinstance(v, Tensor) and v.node is not None for v in values)


def _composed(values: Any) -> bool:
    """Whether a call is made of our ops: where something records, and for arrays of other libraries (and of
    vmap), which know the plain calls of ufuncs only.
    """
    return _records(values) or any(isinstance(v, Tensor) and type(v.data) is not np.ndarray for v in values)


def _constant(function: Callable, options: dict[str, Any]) -> Callable[..., Result]:
    """NumPy's function on the raw arrays; its results are constants."""
    raw_options = {k: v.data if isinstance(v, Tensor) else v for k, v in options.items()}

    def call(*inputs: Any) -> Result:
        out = function(*[x.data if isinstance(x, Tensor) else x for x in inputs], **raw_options)
        return tuple([_wrapped(o) for o in out]) if isinstance(out, tuple) else _wrapped(out)

    return call


def _wrapped(value: Any) -> Tensor:
    return wrap(np.asarray(value) if isinstance(value, (np.generic, bool, int, float)) else value)


# ------------------------------------------------------------------ calls
def _call(ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any, *, where: Any = True, **options: Any) -> Result:
    if ufunc in RECORDED and _composed(inputs):
        call = _recorded(ufunc, **options)
    else:
        call = _constant(ufunc, options)
    if where is True:
        return call(*inputs)
    if ufunc.signature is not None:
        raise TypeError(message(ufunc.__name__, "where= is for elementwise ufuncs.", hint="use np.where."))
    return _masked(ufunc, call, inputs, where, out)


def _recorded(
    ufunc: np.ufunc,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
    signature: Any = None,
    order: str = "K",
    subok: bool = True,
    **core: Any,
) -> Callable[..., Result]:
    """Our function with NumPy's options. subok changes nothing: a result is a Tensor."""
    function = FUNCTIONS[ufunc] if ufunc.signature is None else _along(ufunc, **core)
    if ufunc.signature is None and core:
        raise TypeError(message(ufunc.__name__, "an unknown argument.", received=", ".join(core)))
    if order not in ("K", "A", "C", "F"):
        raise ValueError(message(ufunc.__name__, "order must be K, A, C or F.", received=repr(order)))

    def call(*inputs: Any) -> Result:
        loop = None
        if dtype is not None or signature is not None or casting != "same_kind":
            loop = _loop(ufunc, inputs, dtype, signature, casting)
            inputs = tuple([_cast(lift(x), d) for x, d in zip(inputs, loop, strict=False)])
        result = function(*inputs)
        many = isinstance(result, tuple)
        results = result if many else (result,)
        if loop is not None:
            results = [_cast(t, d) for t, d in zip(results, loop[ufunc.nin :], strict=True)]
        if order in "CF":
            for t in results:  # where it lies in memory is no part of its history
                t.data = t.data.copy(order) if t.ndim > 1 else t.data
        return tuple(results) if many else results[0]

    return call


def _loop(ufunc: np.ufunc, inputs: Any, dtype: Any, signature: Any, casting: str) -> tuple[np.dtype, ...]:
    """The dtypes NumPy computes in, and the error it raises where there are none."""
    weak = (int, float, complex)
    kinds = [
        type(x) if type(x) in weak else np.dtype(type(x)) if type(x) is bool else lift(x).dtype
        for x in inputs
    ]
    if signature is None:
        signature = None if dtype is None else (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    elif isinstance(signature, str):
        left, arrow, right = signature.partition("->")
        signature = [*(left if arrow else (None,) * ufunc.nin), *(right if arrow else left)]
    fixed: Any = {} if signature is None else {"signature": tuple([s and np.dtype(s) for s in signature])}
    return ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), casting=casting, **fixed)  # type: ignore[arg-type]


def _cast(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else e.astype(x, dtype)


def _along(
    ufunc: np.ufunc, *, axes: Any = None, axis: int | None = None, keepdims: bool = False
) -> Callable[..., Tensor]:
    """A product (matmul, vecdot, matvec, vecmat) whose core axes need not be the last ones."""
    function = FUNCTIONS[ufunc]
    if axes is None and axis is None and not keepdims:
        return function
    if (axis is not None or keepdims) and ufunc is not np.vecdot:
        raise TypeError(message(ufunc.__name__, "axis= and keepdims= are vecdot's.", hint="use axes=."))
    if axes is None:
        axes = [-1 if axis is None else axis] * 2
    places = [(a,) if isinstance(a, int) else tuple(a) for a in axes]

    def call(*inputs: Any) -> Tensor:
        moved = [moveaxis(x, p, tuple(range(-len(p), 0))) for x, p in zip(inputs, places, strict=False)]
        out = function(*moved)
        if keepdims:
            return expand_dims(out, places[-1])
        last = places[2] if len(places) > 2 else ()
        return moveaxis(out, tuple(range(-len(last), 0)), last) if last else out

    return call


def _masked(ufunc: np.ufunc, call: Callable, inputs: tuple[Any, ...], where: Any, out: Any) -> Result:
    """Only the elements that the mask names are computed, so that no NaN of the others reaches a gradient.
    The others keep what `out` holds; without out, where NumPy leaves them as they come, they are 0.
    """
    arrays = [None if np.ndim(x) == 0 and not isinstance(x, Tensor) else lift(x) for x in inputs]
    outs = (None,) * ufunc.nout if out is None else out
    mask = ufuncs.mask_of(ufunc, where)
    given = [a.shape for a in (*arrays, *outs) if a is not None]
    shape = np.broadcast_shapes(mask.shape, *given)
    if type(mask) is not np.ndarray:
        return _chosen(call, inputs, arrays, outs, mask, shape)
    mask = np.broadcast_to(mask, shape)
    picked = [x if a is None else broadcast_to(a, shape)[mask] for x, a in zip(inputs, arrays, strict=True)]
    result = call(*picked)
    whole = []
    for value, target in zip(result if isinstance(result, tuple) else (result,), outs, strict=True):
        base = wrap(np.zeros(shape, value.dtype)) if target is None else lift(target)
        whole.append(indexing.setitem(base, value, mask))
    return tuple(whole) if isinstance(result, tuple) else whole[0]


def _chosen(
    call: Callable, inputs: Any, arrays: list[Tensor | None], outs: Any, mask: Any, shape: tuple[int, ...]
) -> Result:
    """The same for masks that pick another number of elements from each sample of a vmap: what is left out
    is computed from ones, whose derivatives are dropped.
    """
    safe = [x if a is None else e.where(mask, a, 1) for x, a in zip(inputs, arrays, strict=True)]
    result = call(*safe)
    whole = [
        broadcast_to(e.where(mask, v, 0 if target is None else lift(target)), shape)
        for v, target in zip(result if isinstance(result, tuple) else (result,), outs, strict=True)
    ]
    return tuple(whole) if isinstance(result, tuple) else whole[0]


# ------------------------------------------------------------------ results into out=
def _written(name: str, out: Any, result: Result, casting: str) -> Result:
    results = result if isinstance(result, tuple) else (result,)
    fitted = []
    for value, target in zip(results, out, strict=True):
        if target is not None and value.dtype != target.dtype:
            if not np.can_cast(value.dtype, target.dtype, casting):  # type: ignore[arg-type]
                _raise_casting(name, value.dtype, target.dtype, casting)
            value = e.astype(value, target.dtype) if is_float(target.dtype) or value.node is None else value
        fitted.append(value)
    return inplace.write_out(name, out, tuple(fitted) if len(fitted) > 1 else fitted[0])


def _raise_casting(name: str, found: Any, target: Any, casting: str) -> None:
    raise DTypeError(
        message(
            name,
            f"the result does not fit out= by the rule casting={casting!r}.",
            received=f"a result of {found}, out= of {target}",
            hint='out= of the result\'s dtype, or casting="unsafe".',
        )
    )


# ------------------------------------------------------------------ methods
_PLAIN: dict[Any, Callable] = {np.add: r.sum, np.multiply: r.prod, np.maximum: r.max, np.minimum: r.min}
_AXIS = {"axis", "keepdims"}


_IN_ORDER = {np.power, np.arctan2}  # NumPy 2.4 takes their contiguous arguments out of order


def _wants_ops(ufunc: np.ufunc, inputs: tuple[Any, ...], options: dict[str, Any]) -> bool:
    dtype = options.get("dtype")
    if dtype is not None and not is_float(np.dtype(dtype)):
        return False
    return _composed((*inputs, options.get("initial"))) or (
        ufunc in _IN_ORDER and is_float(lift(inputs[0]).dtype)
    )


def _reduce(
    ufunc: np.ufunc,
    x: Any,
    *,
    axis: Any = 0,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = NOT_GIVEN,
    where: Any = True,
) -> Tensor:
    return ufuncs.reduce(ufunc, _to(ufunc, x, dtype), axis, keepdims=keepdims, initial=initial, where=where)


def _accumulate(ufunc: np.ufunc, x: Any, *, axis: int = 0, dtype: Any = None) -> Tensor:
    return ufuncs.accumulate(ufunc, _to(ufunc, x, dtype), axis)


def _reduceat(ufunc: np.ufunc, x: Any, indices: Any, *, axis: int = 0, dtype: Any = None) -> Tensor:
    return ufuncs.reduceat(ufunc, _to(ufunc, x, dtype), indices, axis)


def _outer(ufunc: np.ufunc, x: Any, y: Any, **options: Any) -> Result:
    return _call(ufunc, ufuncs.outer(x, y), None, **options)


def _to(ufunc: np.ufunc, x: Any, dtype: Any) -> Tensor:
    """The argument of a reduction in the dtype that NumPy computes in when asked for this one."""
    x = lift(x)
    if dtype is None:
        return x
    dtype = np.dtype(dtype)
    loop = ufunc.resolve_dtypes(
        (None, x.dtype, None), signature=(dtype, None, None), casting="unsafe", reduction=True
    )  # type: ignore[arg-type]
    return _cast(x, loop[0])


_METHODS: dict[str, Callable] = {
    "reduce": _reduce,
    "accumulate": _accumulate,
    "reduceat": _reduceat,
    "outer": _outer,
}

Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
