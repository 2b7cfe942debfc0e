"""JAX functions on our tape, and our functions inside JAX. Needs JAX.

>>> import jax, tensorflowlite_bp as bp
>>> softplus = bp.bridge.jax.from_jax(jax.jit(jax.nn.softplus))
>>> bp.grad(lambda x: bp.sum(softplus(x)))(bp.zeros(2, dtype="float32"))
Tensor([0.5, 0.5], dtype=float32)
>>> cube = bp.bridge.jax.to_jax(lambda x: x ** 3)
>>> float(jax.jit(jax.hessian(cube))(2.0))
12.0
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import tree
from ..autograd.custom import attach, function_op
from ..autograd.modes import enable_grad, recording
from ..autograd.op import is_float
from ..autograd.tensor import Tensor, unshared, wrap
from ..errors import DTypeError, GradientError, message
from ..ops.elementwise import astype
from ..ops.reductions import sum as total
from ..ops.shape import moveaxis
from ..utils.optional import optional
from ._calls import Flat, Function, batched, check_closed, each_sample, pulled, pushed, shares, tensors

jax: Any = optional("jax", extra="jax")
jnp: Any = optional("jax.numpy", extra="jax")
ad: Any = optional("jax.interpreters.ad", extra="jax")
batching: Any = optional("jax.interpreters.batching", extra="jax")
mlir: Any = optional("jax.interpreters.mlir", extra="jax")

__all__ = ["from_jax", "to_jax"]


# ------------------------------------------------------------------ memory
def _ours(x: Any) -> Tensor:
    return wrap(np.asarray(x))  # JAX's own memory on the CPU, read-only; this waits until x is computed


def _theirs(x: Tensor) -> Any:
    raw = x.data
    if _dtype(x) != raw.dtype:
        if is_float(raw.dtype):
            _raise_narrow(x)
        return jnp.asarray(raw)
    flags = raw.flags
    if flags.writeable and (flags.c_contiguous or flags.f_contiguous):
        return jax.dlpack.from_dlpack(x.detach())
    return jnp.asarray(raw)  # JAX takes neither read-only nor strided memory


def _dtype(x: Any) -> np.dtype:
    """x's dtype as JAX has it: of 32 bits unless jax_enable_x64 is on."""
    return jax.dtypes.canonicalize_dtype(x.dtype)


def _described(x: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, _dtype(x))


# ------------------------------------------------------------------ our functions inside JAX
def to_jax(f: Callable, *, out: Any = None) -> Callable:
    """A function of ours as a function of JAX: JAX arrays in and out.

    Works under `jit`, `grad`, `jvp`, `vmap` and what is made of them, to any order: our tape takes the
    derivatives, forward and reverse. f runs on the host, once per call (under `vmap` by
    `bp.vmap`, or once per example where f asks for values), and must be pure. Arguments and results may be
    trees; JAX and NumPy arrays and floats reach f as Tensors, everything else as it is.

    out: what f gives, for `jit`, which has to know before f runs: a tree of `jax.ShapeDtypeStruct`, or a
    function that makes one of the arguments. If not given, f is run on ones when it is traced, to see.

    Raises GradientError when f's result depends on a recording Tensor that is not among its arguments, or
    when f fails on ones.

    >>> import jax, numpy as np, tensorflowlite_bp as bp
    >>> f = bp.bridge.jax.to_jax(lambda w, x: bp.sum(bp.tanh(x @ w["kernel"])))
    >>> w = {"kernel": np.zeros((3, 2), np.float32)}
    >>> jax.jit(jax.grad(f))(w, np.ones((4, 3), np.float32))["kernel"].shape
    (3, 2)
    """

    @functools.wraps(f)
    def bridged(*args: Any, **kwargs: Any) -> Any:
        flat = Flat(f, args, kwargs, _is_operand)
        outs = None
        if out is not None:
            leaves, flat.out_spec = tree.flatten(out(*args, **kwargs) if callable(out) else out)
            outs = [_described(o) for o in leaves]
        return flat.build(
            _CALL.bind(*map(jnp.asarray, flat.arrays), call=_Call(tensors(flat), outs, users=True))
        )

    return bridged


def _is_operand(x: Any) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic, float, complex))


class _Call:
    """A flat function of ours as JAX sees it.

    outs: shapes and dtypes of its results, once known. held: where it is linear in its last arguments, the
    number of the others; `transposed` is then its transpose, of those others and the cotangents.
    """

    def __init__(
        self,
        f: Function,
        outs: Sequence[Any] | None = None,
        held: int | None = None,
        transposed: Function | None = None,
        *,
        users: bool = False,
    ) -> None:
        self.f, self.outs, self.held, self.transposed = f, outs, held, transposed
        self.users = users  # the user's function, no derivative of it

    def run(self, *xs: Any) -> list[Tensor]:
        with enable_grad():
            outs = self.f(*[_ours(x) for x in xs])
        if self.users:
            check_closed("to_jax", outs)
        outs = [o if o.dtype == _dtype(o) else astype(o, _dtype(o)) for o in outs]
        if self.outs is None:
            self.outs = [_described(o) for o in outs]
        return outs

    def describe(self, xs: Sequence[Any]) -> Sequence[Any]:
        """What the results will be, for arguments of which shapes and dtypes are known."""
        if self.outs is None:
            try:
                with np.errstate(all="ignore"):
                    self.run(*[np.ones(x.shape, x.dtype) for x in xs])
            except Exception as error:
                _raise_undescribed(error)
        return self.outs  # type: ignore[return-value]


_CALL = optional("jax.extend.core", extra="jax").Primitive("tensorflowlite_bp")
_CALL.multiple_results = True


@_CALL.def_impl
def _evaluate(*xs: Any, call: _Call) -> list[Any]:
    return [_theirs(o) if unshared(o) else jnp.array(o.data) for o in call.run(*xs)]


@_CALL.def_abstract_eval
def _abstract(*xs: Any, call: _Call) -> list[Any]:
    return [jax.core.ShapedArray(o.shape, o.dtype) for o in call.describe(xs)]


def _lowered(*xs: Any, call: _Call) -> Any:
    return jax.pure_callback(lambda *values: [o.data for o in call.run(*values)], call.describe(xs), *xs)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, call: _Call) -> tuple[list[Any], list[Any]]:
    outs = _CALL.bind(*primals, call=call)
    places = [k for k, t in enumerate(tangents) if type(t) is not ad.Zero]
    floats = [k for k, o in enumerate(outs) if _inexact(o)]
    zeros = [ad.Zero(jax.typeof(o).to_tangent_aval()) for o in outs]
    if not places or not floats:
        return outs, zeros
    if call.held is not None and places[0] >= call.held:  # linear in all that moves
        moving = [ad.instantiate_zeros(t) for t in tangents[call.held :]]
        return outs, _CALL.bind(*primals[: call.held], *moving, call=call)
    push = _Call(
        pushed(call.f, places, len(primals)),
        [_described(outs[k]) for k in floats],
        len(primals),
        pulled(call.f, places, len(primals)),
    )
    moved = iter(_CALL.bind(*primals, *[tangents[k] for k in places], call=push))
    return outs, [next(moved) if k in floats else z for k, z in enumerate(zeros)]


def _transpose(cotangents: Sequence[Any], *xs: Any, call: _Call) -> list[Any]:
    held, moving = xs[: call.held], [_described(x.aval) for x in xs[call.held :]]
    back = _Call(call.transposed, moving, call.held, call.f)  # type: ignore[arg-type]
    return [None] * len(held) + _CALL.bind(*held, *map(ad.instantiate_zeros, cotangents), call=back)


def _batched(xs: Sequence[Any], axes: Sequence[Any], *, call: _Call) -> tuple[list[Any], list[int]]:
    """vmap: f for the whole batch is again a function of ours."""
    size = next(x.shape[a] for x, a in zip(xs, axes, strict=True) if a is not None)
    held, moving = axes[: call.held], axes[call.held :]

    def transposed(*values: Any) -> list[Any]:
        back = batched(call.transposed, (*held, *[0] * (len(values) - len(held))), size)  # type: ignore[arg-type]
        return [
            total(i, 0) if a is None else moveaxis(i, 0, a)
            for i, a in zip(back(*values), moving, strict=True)
        ]

    outs = call.outs and [jax.ShapeDtypeStruct((size, *o.shape), o.dtype) for o in call.outs]
    f = batched(call.f, axes, size)
    found = _CALL.bind(*xs, call=_Call(f, outs, call.held, call.transposed and transposed, users=call.users))
    return found, [0] * len(found)


ad.primitive_jvps[_CALL] = _jvp
ad.primitive_transposes[_CALL] = _transpose
batching.primitive_batchers[_CALL] = _batched
mlir.register_lowering(_CALL, mlir.lower_fun(_lowered, multiple_results=True))


def _inexact(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


# ------------------------------------------------------------------ JAX functions on our tape
def from_jax(fn: Callable) -> Callable:
    """A JAX function as a function of ours: one node on the tape. A jitted one stays compiled, both ways.

    Arguments and results may be trees. Tensors and NumPy arrays become JAX arrays, without a copy where JAX
    can use the memory (on 64 bytes, as ours is, contiguous and writable); everything else is handed to fn as
    it is. Results are Tensors on JAX's memory, which is read-only. `jax.vjp` and `jax.jvp` take the
    derivatives, to any order; nothing is recorded under `bp.no_grad()`.

    Raises DTypeError for float64 and complex128 unless JAX's `jax_enable_x64` is on.

    >>> import jax.numpy as jnp, tensorflowlite_bp as bp
    >>> f = bp.bridge.jax.from_jax(lambda x: {"norm": jnp.linalg.norm(x)})
    >>> bp.grad(lambda x: f(x)["norm"])(bp.asarray([3.0, 4.0], dtype="float32"))
    Tensor([0.6, 0.8], dtype=float32)
    """

    @functools.wraps(fn)
    def bridged(*args: Any, **kwargs: Any) -> Any:
        flat = Flat(fn, args, kwargs, lambda x: isinstance(x, (Tensor, np.ndarray, np.generic)))
        return flat.build(_apply(flat, [x if isinstance(x, Tensor) else Tensor(x) for x in flat.arrays]))

    return bridged


def _apply(fn: Function, xs: list[Tensor]) -> list[Any]:
    return each_sample(lambda xs: _called(fn, xs), xs)


def _called(fn: Function, xs: list[Tensor]) -> list[Any]:
    """fn(*xs), recorded as one node where an argument is."""
    values = [_theirs(x) for x in xs]
    places = [k for k, x in enumerate(xs) if x.node is not None] if recording() else []
    if not places:
        return [_result(o, xs) if isinstance(o, jax.Array) else o for o in fn(*values)]
    split = _Split(fn, values, places)
    results, pull, rest = jax.vjp(split, *[values[k] for k in places], has_aux=True)
    jax.block_until_ready(pull)  # what it keeps is computed from our memory
    outs = split.merge(results, rest)
    arrays = [k for k, o in enumerate(outs) if isinstance(o, jax.Array)]
    made = attach(
        _OP,
        xs,
        {"owner": _Vjp(fn, places, pull, [outs[k] for k in arrays])},
        [_result(outs[k], xs) for k in arrays],
    )
    for k, o in zip(arrays, made, strict=True):
        outs[k] = o
    return outs


def _result(o: Any, xs: list[Tensor]) -> Tensor:
    """A JAX function may give back an argument, which is our memory."""
    out = _ours(o)
    return wrap(out.data.copy()) if shares(out, xs) else out


class _Split:
    """fn as JAX differentiates it: of the arguments in `places`, the floating results apart from the rest."""

    def __init__(self, fn: Function, values: Sequence[Any], places: Sequence[int]) -> None:
        self.fn, self.values, self.places = fn, values, places
        self.outs: list[Any] = []  # of the last call: what is no array, else whether it is a floating one
        self.floats: list[bool | None] = []

    def __call__(self, *chosen: Any) -> tuple[list[Any], list[Any]]:
        filled = list(self.values)
        for k, x in zip(self.places, chosen, strict=True):
            filled[k] = x
        outs = self.fn(*filled)
        self.floats = [_inexact(o) if isinstance(o, jax.Array) else None for o in outs]
        self.outs = [o if kind is None else None for o, kind in zip(outs, self.floats, strict=True)]
        parts = [[o for o, kind in zip(outs, self.floats, strict=True) if kind is k] for k in (True, False)]
        return parts[0], parts[1]

    def merge(self, floats: Sequence[Any], rest: Sequence[Any]) -> list[Any]:
        each: dict[Any, Any] = {True: iter(floats), False: iter(rest)}
        return [
            o if kind is None else next(each[kind]) for kind, o in zip(self.floats, self.outs, strict=True)
        ]


class _Vjp:
    """The rules of one call's node: `back` is what jax.vjp gave."""

    def __init__(self, fn: Function, places: list[int], back: Callable, outs: list[Any]) -> None:
        self.fn, self.places, self.back = fn, places, back
        self.outs = [_described(o) if _inexact(o) else None for o in outs]

    def pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        given = [
            wrap(np.zeros(o.shape, o.dtype)) if g is None else g
            for g, o in zip(gs, self.outs, strict=True)
            if o is not None
        ]
        if record:
            places = [k for k, need in enumerate(needs) if need]
            found = _apply(_pulled(self.fn, places, len(args)), [*args, *given])
        else:
            places, found = self.places, each_sample(self._back, given)
        by_place = dict(zip(places, found, strict=True))
        return [by_place[k] if need else None for k, need in enumerate(needs)]

    def _back(self, gs: list[Any]) -> list[Any]:
        return [_ours(i) for i in self.back([_theirs(g) for g in gs])]

    def push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        places = [k for k, t in enumerate(ts) if t is not None]
        forward = _pushed(self.fn, places, len(args))
        moved = iter(_apply(forward, [*args, *[ts[k] for k in places]]))
        return [None if o is None else next(moved) for o in self.outs]


def _pulled(fn: Function, places: Sequence[int], count: int) -> Function:
    """In JAX: (*arguments, *cotangents of the floating results) -> cotangents of those in `places`."""

    def back(*values: Any) -> list[Any]:
        split = _Split(fn, values[:count], places)
        return list(jax.vjp(split, *[values[k] for k in places], has_aux=True)[1](list(values[count:])))

    return back


def _pushed(fn: Function, places: Sequence[int], count: int) -> Function:
    """In JAX: (*arguments, *tangents of those in `places`) -> tangents of the floating results."""

    def forward(*values: Any) -> list[Any]:
        split = _Split(fn, values[:count], places)
        return jax.jvp(lambda *xs: split(*xs)[0], tuple([values[k] for k in places]), values[count:])[1]

    return forward


_OP = function_op("from_jax")


# ------------------------------------------------------------------ errors
def _raise_narrow(x: Tensor) -> None:
    raise DTypeError(
        message(
            "bridge.jax",
            "JAX computes in 32 bits here, which would lose digits silently.",
            received=f"{x.dtype}, shape {x.shape}",
            hint='jax.config.update("jax_enable_x64", True), or convert with .astype("float32").',
        )
    )


def _raise_undescribed(error: Exception) -> None:
    raise GradientError(
        message(
            "to_jax",
            "JAX has to know the results' shapes before the function runs, and it fails on ones.",
            received=f"{type(error).__name__}: {error}",
            hint="say what it gives: to_jax(f, out=jax.ShapeDtypeStruct(shape, dtype)).",
        )
    ) from error
