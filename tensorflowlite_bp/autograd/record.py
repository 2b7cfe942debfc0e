"""Running an op: forward, then a node if anything wants a gradient.

Three copies of one idea, side by side because it pays: flat `apply1` and `apply2` cost 400 ns less per op
forward, and 350 backward, than going through tuples (benchmarks/op_overhead.py). `applyn` serves everything
else. No policy here: no hooks, no checks beyond dtype and device; TFLBP_DEBUG swaps in checked versions.
"""

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NoReturn

import numpy as np

from .. import backend
from .._config import config
from ..errors import DeviceError, DTypeError, ShapeError, message
from .batching import Batched, inside, together
from .modes import recording
from .node import Node, NodeN, next_seq
from .op import Op, Spec, graph, is_float, offer
from .outputs import project
from .tensor import Tensor, new, to_array, wrap


def apply1(op: Op, s: Tensor) -> Tensor:
    """An op of one tensor."""
    x = s.data
    cls = type(x)
    a = op.forward[cls](x)
    if type(a) is not cls:
        a = as_array(a, cls)
    t = new(Tensor)
    t.data = a
    p = s.node
    if p is None or not recording():
        t.node = None
        return t
    t.node = n = new(Node)
    n.op = op
    n.p0 = p
    n.p1 = n.x1 = None
    n.x0 = x if op.s0 else None
    n.out = a if op.so else None
    n.shape = a.shape
    n.seq = next_seq()
    return t


def apply2(op: Op, s: Tensor, o: Tensor) -> Tensor:
    """An op of two tensors."""
    x = s.data
    y = o.data
    cls = type(x)
    if x.dtype is not y.dtype or type(y) is not cls:
        s, o = agree(op, s, o)
        x = s.data
        y = o.data
        cls = type(x)
    try:  # free until it raises: Python 3.11 keeps handlers out of the way
        a = op.forward[cls](x, y)
    except ValueError as error:
        raise_shapes(op.name, [x, y], error, core=0 if op.elementwise else 2)
    if type(a) is not cls:
        a = as_array(a, cls)
    t = new(Tensor)
    t.data = a
    p = s.node
    q = o.node
    if (p is None and q is None) or not recording():
        t.node = None
        return t
    t.node = n = new(Node)
    n.op = op
    n.p0 = p
    n.p1 = q
    kx, ky, ko = op.keeps[0 if q is None else 1 if p is None else 2]
    n.x0 = x if kx else None
    n.x1 = y if ky else None
    n.out = a if ko else None
    n.shape = a.shape
    n.seq = next_seq()
    return t


def applyn(op: Op, args: tuple[Tensor, ...], params: dict[str, Any]) -> Tensor:
    """An op of any number of tensors, with parameters."""
    return apply_aux(op, args, params)[0]


def apply_aux(op: Op, args: tuple[Tensor, ...], params: dict[str, Any]) -> tuple[Tensor, Any]:
    """applyn that also gives what the forward computed on the side (None for ops without)."""
    data = [s.data for s in args]
    cls = type(data[0])
    for s in data:
        if type(s) is not cls:
            return apply_aux(op, one_class(op, args, params), params)
    try:
        a = op.forward[cls](*data, **params)
        aux = None
        if op.aux:
            a, aux = a
        if type(a) is not cls:
            a = as_array(a, cls)
    except Exception as error:
        deeper = together(
            args, params
        )  # under vmap, a parameter may differ between samples where args do not
        if deeper is not None:
            return apply_aux(op, deeper, params)
        if op.elementwise and isinstance(error, ValueError):
            raise_shapes(op.name, data, error)
        if isinstance(error, TypeError) and cls is not np.ndarray:
            for value in params.values():
                if type(value) is np.ndarray and cls is not Batched:  # a mask, labels, exponents
                    raise_devices(op.name, [data[0], value])
        raise
    t = new(Tensor)
    t.data = a
    t.node = None
    if recording():
        parents = tuple([s.node for s in args])
        if parents.count(None) != len(parents):
            t.node = n = new(NodeN)  # NodeN(...) would cost another 300 ns
            n.op = op
            n.parents = parents
            n.saved = tuple(data) if op.saves_all else _kept(op, data)
            n.params = params
            n.out = aux if op.aux else a if op.so else None
            n.shape = a.shape
            n.seq = next_seq()
    return t, aux


def apply_many(op: Op, args: tuple[Tensor, ...], params: dict[str, Any]) -> tuple[Tensor, ...]:
    """An op of several results. One with `aux` gives (results, aux)."""
    data = [s.data for s in args]
    cls = type(data[0])
    for s in data:
        if type(s) is not cls:
            return apply_many(op, one_class(op, args, params), params)
    found = op.forward[cls](*data, **params)
    aux = None
    if op.aux:
        found, aux = found
    outs = tuple([a if type(a) is cls else as_array(a, cls) for a in found])
    values = [wrap(a) for a in outs]
    parents = tuple([s.node for s in args])
    if recording() and parents.count(None) != len(parents):
        shape = tuple([Spec(a) for a in outs])
        out = aux if op.aux else outs if op.so else None
        project(values, NodeN(op, parents, _kept(op, data), params, out, shape))
    return tuple(values)


def _kept(op: Op, data: list[Any]) -> tuple[Any, ...]:
    """What the node keeps of its arguments."""
    kept = op.saves if len(data) <= 3 else op.saves + op.saves[2:] * (len(data) - 3)
    return tuple([x if k == 1 else Spec(x) if k else None for x, k in zip(data, kept, strict=False)])


# ------------------------------------------------------------ arguments that are not Tensors, or do not agree
def as_array(a: Any, cls: type) -> Any:
    """NumPy gives scalars for 0-d results; a Tensor always holds an array. One that was moved stays there."""
    other = type(a)
    if cls is not Batched and (other is np.ndarray or other.__module__.partition(".")[0] == "cupy"):
        return a
    a = backend.by_type[cls].asarray(a)
    return a if type(a) is cls else inside(wrap(a)).data


def lift(value: Any, like: Tensor | None = None) -> Tensor:
    """A Tensor from anything: a Tensor as it is, a Python number in `like`'s dtype (NEP 50), an array
    without a copy.
    """
    if isinstance(value, Tensor):
        return value
    cls = type(value)
    if cls is np.ndarray:
        return wrap(value)
    if like is not None and (cls is float or cls is int or cls is bool or cls is complex):
        dtype = like.data.dtype
        if cls is complex or not is_float(dtype):
            dtype = np.result_type(dtype, value)
        return wrap(backend.of(like.data).asarray(value, dtype=dtype))
    if (cls is list or cls is tuple) and holds_tensor(value):
        return graph.stack([lift(v) for v in value])
    data = to_array(value)
    if like is not None and type(data) is np.ndarray and type(like.data) is not np.ndarray and data.ndim == 0:
        data = backend.of(like.data).asarray(data)
    return wrap(data)


def holds_tensor(value: Any) -> bool:
    """Whether a Tensor is among nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_tensor, value))
    return isinstance(value, Tensor)


def agree(op: Op, s: Tensor, o: Tensor) -> tuple[Tensor, Tensor]:
    """Bring two operands to NumPy's common dtype, recorded, so that every rule sees one dtype."""
    x, y = s.data, o.data
    if type(x) is not type(y):
        s, o = one_class(op, (s, o))
        x, y = s.data, o.data
    if op.promotes and x.dtype != y.dtype:
        dtype = np.result_type(x.dtype, y.dtype)
        if x.dtype != dtype:
            s = graph.astype(s, dtype)
        if y.dtype != dtype:
            o = graph.astype(o, dtype)
    return s, o


def one_class(op: Op, args: tuple[Tensor, ...], params: Any = None) -> tuple[Tensor, ...]:
    """Arguments whose arrays are of several classes: under vmap brought to one depth, else on two devices."""
    deeper = together(args, params)
    if deeper is None or len({type(a.data) for a in deeper}) > 1:
        raise_devices(op.name, [a.data for a in args])
    return deeper  # type: ignore[return-value]


def agree_all(args: list[Tensor]) -> tuple[Tensor, ...]:
    """The same for any number of operands."""
    first = args[0].data.dtype
    for a in args:
        if a.data.dtype is not first:
            dtype = np.result_type(*[a.data.dtype for a in args])
            return tuple([a if a.data.dtype == dtype else graph.astype(a, dtype) for a in args])
    return tuple(args)


def raise_shapes(name: str, data: list[Any], error: ValueError, core: int = 0) -> NoReturn:
    """An error that names the operation and the axis; the library's own where the shapes do broadcast.

    core: how many of the last axes do not broadcast (2 for matrix products).
    """
    shapes = [tuple(x.shape) for x in data if hasattr(x, "shape")]
    for axis in range(-1 - core, -max([len(s) for s in shapes], default=0) - 1, -1):
        lengths = [s[axis] for s in shapes if len(s) >= -axis]
        if len({n for n in lengths if n != 1}) > 1:
            raise ShapeError(
                message(
                    name,
                    f"the shapes do not broadcast: axis {axis} has {' and '.join(map(str, lengths))}.",
                    received=" and ".join(map(str, shapes)),
                    hint="lengths must be equal, or 1; axes count from the last.",
                )
            ) from None
    raise error


def raise_devices(name: str, data: list[Any]) -> None:
    devices = [backend.of(x).device(x) for x in data]
    raise DeviceError(
        message(
            name,
            "all arrays must be on one device.",
            received=", ".join(devices),
            hint='move one of them with .to("cpu") or .to("cuda").',
        )
    )


def constant(name: str, value: Any) -> Any:
    """The raw array of an argument that is never differentiated: labels, masks, indices."""
    if isinstance(value, Tensor):
        if value.node is not None:
            raise DTypeError(message(name, "this argument is not differentiable.", hint="pass t.detach()."))
        return value.data
    return to_array(value)


def on_host(name: str, value: Any) -> np.ndarray:
    """The same in host memory, for what decides shapes and places: widths, counts, shifts, indices in lists.
    Python's own numbers never see a device.
    """
    raw = constant(name, value) if isinstance(value, Tensor) else value
    return raw.get() if hasattr(raw, "get") else np.asarray(raw)


# ------------------------------------------------------------------ ops without a derivative
def nondiff(
    name: str, function: Callable[..., Any] | None = None, *, arrays: int = 1, doc: str | None = None
) -> Callable[..., Any]:
    """An op that has no derivative by decision (comparisons, argmax, rounding): its result is a constant.

    `function(backend, *raw arguments, **params)`, or the backend's function of that name. The first `arrays`
    arguments are arrays, the others (axes, counts) are handed on as they are.
    """

    def call(*args: Any, **params: Any) -> Tensor:
        like = next((a for a in args[:arrays] if isinstance(a, Tensor)), None)
        data = [_raw(a, like) for a in args[:arrays]] + list(args[arrays:])
        first = next((a for a in data if hasattr(a, "dtype")), None)
        lib = backend.current() if first is None else backend.by_type[type(first)]
        try:
            out = function(lib, *data, **params) if function else attrgetter(name)(lib)(*data, **params)
        except ValueError as error:
            if arrays < 2:
                raise
            raise_shapes(name, data, error)
        return wrap(out if type(out) is lib.ndarray or isinstance(out, Batched) else lib.asarray(out))

    call.__name__ = call.__qualname__ = name.rpartition(".")[2]
    call.__doc__ = doc
    call.nondiff = True  # type: ignore[attr-defined]
    if function is not None:  # what editors show, without the backend
        given = inspect.signature(function)
        call.__signature__ = given.replace(parameters=list(given.parameters.values())[1:])  # type: ignore[attr-defined]
    offer(name, call)
    NONDIFF[name] = call
    return call


NONDIFF: dict[str, Callable[..., Any]] = {}


def _raw(value: Any, like: Tensor | None) -> Any:
    if isinstance(value, Tensor):
        return value.data
    if like is not None and type(value) in (int, float, bool, complex):
        return value  # weak scalars keep NumPy's promotion
    return to_array(value)


if config.debug:
    from . import debug

    apply1, apply2, apply_aux, apply_many = debug.checked(apply1, apply2, apply_aux, apply_many)
