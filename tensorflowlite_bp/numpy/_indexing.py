"""NumPy's functions that choose elements, and those that write into arrays in place.

Writing follows the rules of `ops/inplace.py`: a recording Tensor moves to a new version, a constant one is
written in memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.record import constant, lift
from ..autograd.tensor import Tensor
from ..errors import message
from ..ops import elementwise, indexing, inplace
from ..ops import shape as s
from ..ops.elementwise import astype, where
from ..ops.shape import axis_index
from ._questions import raw
from ._table import implements


# ------------------------------------------------------------------ taking
def _bounded(indices: Any, n: int, mode: str) -> Any:
    """Indices outside [0, n) brought in, for the modes "wrap" and "clip"."""
    if mode == "raise":
        return indices
    if mode not in ("wrap", "clip"):
        raise ValueError(message("take", "mode is 'raise', 'wrap' or 'clip'.", received=repr(mode)))
    return indices % n if mode == "wrap" else indices.clip(0, n - 1)


@implements("take")
def _take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Tensor:
    a = lift(a)
    if not a.ndim or axis is None:  # NumPy takes a 0-d array for one of one element here
        a, axis = s.ravel(a), 0 if axis is None else axis
    axis = axis_index(axis, a.ndim)
    return s.gather(a, _bounded(constant("take", indices), a.shape[axis], mode), axis)


@implements("take_along_axis")
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Tensor:
    return indexing.take_along_axis(arr, indices, axis)


@implements("choose")
def _choose(a: Any, choices: Any, mode: str = "raise") -> Tensor:
    arrays = s.unstack(choices) if isinstance(choices, Tensor) else tuple([lift(c) for c in choices])
    which = _host(constant("choose", a))
    return indexing.by_numbers(lambda *numbers: np.choose(which, numbers, mode=mode), *arrays)  # type: ignore[call-overload]


def _host(raw: Any) -> np.ndarray:
    return np.asarray(raw.get() if hasattr(raw, "get") else raw)


@implements("compress")
def _compress(condition: Any, a: Any, axis: int | None = None) -> Tensor:
    a = s.atleast_1d(a)  # as NumPy has it
    a, axis = (s.ravel(a), 0) if axis is None else (a, axis_index(axis, a.ndim))
    mask = constant("compress", condition)
    if mask.ndim != 1:
        raise ValueError(message("compress", "a 1-D condition was expected.", received=f"shape {mask.shape}"))
    return s.gather(a, mask.nonzero()[0], axis)


@implements("extract")
def _extract(condition: Any, arr: Any) -> Tensor:
    return s.ravel(arr)[constant("extract", condition).reshape(-1).nonzero()[0]]


@implements("where")
def _where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    if x is None and y is None:
        return indexing.nonzero(condition)
    if x is None or y is None:
        raise ValueError(message("where", "either both or neither of x and y should be given."))
    return where(condition, x, y)


@implements("select")
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            message(
                "select",
                "as many conditions as choices were expected, and at least one.",
                received=f"{len(condlist)} and {len(choicelist)}",
            )
        )
    conditions = [constant("select", c) for c in condlist]
    for k, c in enumerate(conditions):
        if c.dtype != bool:
            raise TypeError(message("select", f"condition {k} should be boolean.", received=str(c.dtype)))
    given = [*choicelist, default]
    dtype = np.result_type(*[v if type(v) in (int, float, complex) else lift(v).dtype for v in given])
    *choices, out = [astype(x, dtype) if x.dtype != dtype else x for x in map(lift, given)]
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        out = where(condition, choice, out)
    return out


@implements("piecewise")
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Tensor:
    """Each function sees only the elements its condition holds for, so that none meets a foreign domain."""
    x = lift(x)
    functions, given = list(funclist), raw(condlist)
    if np.ndim(given) == 0 or (not isinstance(given[0], (list, np.ndarray)) and x.ndim):  # one, by itself
        given = [given]
    conditions = [_host(c).astype(bool) for c in given]
    if len(functions) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    if len(functions) != len(conditions):
        raise ValueError(
            message(
                "piecewise",
                f"{len(conditions)} or {len(conditions) + 1} functions were expected.",
                received=str(len(functions)),
            )
        )
    out: Tensor = lift(np.zeros_like(x.data))
    for condition, function in zip(conditions, functions, strict=True):
        if not callable(function):
            out = indexing.setitem(out, function, condition)
        elif condition.any():
            out = indexing.setitem(out, function(x[condition], *args, **kw), condition)
    return out


# ------------------------------------------------------------------ diagonals, triangles
@implements("diag")
def _diag(v: Any, k: int = 0) -> Tensor:
    v = lift(v)
    if v.ndim not in (1, 2):
        raise ValueError(message("diag", "one or two axes were expected.", received=f"shape {v.shape}"))
    if v.ndim == 2:
        return indexing.diagonal(v, k)
    i = np.arange(v.size)
    n = v.size + abs(k)
    return indexing.scatter_add(v, (i + max(-k, 0), i + max(k, 0)), (n, n))


@implements("diagflat")
def _diagflat(v: Any, k: int = 0) -> Tensor:
    return _diag(s.ravel(v), k)


def _triangle(name: str) -> None:
    function = getattr(s, name)

    @implements(name)
    def entry(m: Any, k: int = 0) -> Tensor:
        m = lift(m)
        return function(s.broadcast_to(m, (m.size, m.size)) if m.ndim == 1 else m, k)


_triangle("tril")
_triangle("triu")


@implements("vander")
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    x = lift(x)
    if x.ndim != 1:
        raise ValueError(message("vander", "a 1-D array was expected.", received=f"shape {x.shape}"))
    x = astype(x, np.promote_types(x.dtype, int)) if x.dtype.kind in "bui" else x
    powers = [x * 0 + 1]
    for _ in range(1, x.size if N is None else N):
        powers.append(powers[-1] * x)
    if N == 0 or (N is None and not x.size):
        return s.stack(powers, 1)[:, :0]
    return s.stack(powers if increasing else powers[::-1], 1)


@implements("ix_")
def _ix(*args: Any) -> tuple[Tensor, ...]:
    vectors = [lift(a) for a in args]
    if any(v.ndim != 1 for v in vectors):
        raise ValueError(message("ix_", "1-D sequences were expected."))
    vectors = [indexing.nonzero(v)[0] if v.dtype == bool else v for v in vectors]
    shapes = [(1,) * k + (-1,) + (1,) * (len(vectors) - k - 1) for k in range(len(vectors))]
    return tuple([s.reshape(v, shape) for v, shape in zip(vectors, shapes, strict=True)])


# ------------------------------------------------------------------ writing in place
def _write(name: str, target: Any, values: Any, function: Callable[[Any, Any], None]) -> None:
    """`function(array, values)` writes values, in NumPy's way, into a Tensor or an array."""
    new = lift(values)
    records = new.node is not None
    if not isinstance(target, Tensor):
        if records:
            raise TypeError(
                message(
                    name,
                    "a recording value cannot be written into a plain array, its gradient would be lost.",
                    hint="write into a Tensor.",
                )
            )
        function(target, new.data)
        return

    def numbers(places: Any, values: Any) -> Any:
        function(places, values)
        return places

    if new.dtype != target.dtype:
        new = astype(new, target.dtype)
    inplace.write(
        target,
        lambda data: function(data, new.data),
        lambda: indexing.by_numbers(numbers, target, new),
        records,
    )


@implements("put")
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    places = constant("put", ind)
    _write("put", a, v, lambda a, v: np.put(a, places, v, mode=mode))  # type: ignore[call-overload]


@implements("put_along_axis")
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    places = constant("put_along_axis", indices)
    _write("put_along_axis", arr, values, lambda a, v: np.put_along_axis(a, places, v, axis))


@implements("place")
def _place(arr: Any, mask: Any, vals: Any) -> None:
    where = constant("place", mask)
    _write("place", arr, vals, lambda a, v: np.place(a, where, v))


@implements("putmask")
def _putmask(a: Any, /, mask: Any, values: Any) -> None:
    where = constant("putmask", mask)
    _write("putmask", a, values, lambda a, v: np.putmask(a, where, v))


@implements("fill_diagonal")
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    _write("fill_diagonal", a, val, lambda a, v: np.fill_diagonal(a, v, wrap))


@implements("copyto")
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    source, mask = lift(src), constant("copyto", where)
    if not np.can_cast(source.dtype, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeError(
            message("copyto", f"{source.dtype} cannot be cast to {dst.dtype} by the rule {casting!r}.")
        )
    if isinstance(dst, Tensor):
        source = source if source.dtype == dst.dtype else astype(source, dst.dtype)
        dst[...] = source if where is True else elementwise.where(mask, source, dst)
    else:
        _write("copyto", dst, source, lambda a, v: np.copyto(a, v, casting="unsafe", where=mask))


@implements("clip")
def _clip(
    a: Any,
    a_min: Any = np._NoValue,  # type: ignore[attr-defined]
    a_max: Any = np._NoValue,  # type: ignore[attr-defined]
    out: Any = None,
    *,
    min: Any = np._NoValue,  # type: ignore[attr-defined]
    max: Any = np._NoValue,  # type: ignore[attr-defined]
    dtype: Any = None,
    where: Any = True,
    **kwargs: Any,
) -> Tensor:
    if kwargs:
        raise TypeError(message("clip", "this keyword is not taken here.", received=", ".join(kwargs)))
    low, high = [
        new if old is np._NoValue else old  # type: ignore[attr-defined]
        for old, new in ((a_min, min), (a_max, max))
    ]
    low, high = [None if bound is np._NoValue else bound for bound in (low, high)]  # type: ignore[attr-defined]
    result = elementwise.clip(a if dtype is None else astype(a, dtype), low, high)
    if where is not True:
        result = elementwise.where(where, result, lift(a if out is None else out))
    return result if out is None else inplace.write_out("clip", out, result)
