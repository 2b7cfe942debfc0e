"""Declaring special functions: how an op of SciPy's (and CuPy's) `special` is written.

    erfc = one("erfc", rule)                         f(x)
    beta = many("beta", rule_a, rule_b)              f(a, b), differentiable in every argument
    jv = ordered("jv", rule, "v")                    f(v, x): v is a constant, and says so
    fresnel = several("fresnel", slopes)             f(x) of several results

SciPy's dtypes: integers become float64, 16-bit floats float32; Python numbers take the others' dtype. Rules
call special functions as `F.special.name`, which is SciPy's own on raw arrays and the op here on Tensors;
hence every order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op, graph, public
from ..autograd.outputs import joint_jvp, joint_vjp
from ..autograd.record import apply1, apply2, apply_many, applyn, constant, lift
from ..autograd.tensor import Tensor
from ..errors import DTypeError, message
from .elementwise import astype

_WIDE = frozenset(map(np.dtype, ("float32", "float64", "complex64", "complex128")))


def floating(x: Any) -> Tensor:
    """A Tensor of the dtype in which SciPy computes."""
    return x if type(x) is Tensor and x.data.dtype.char in "dfDF" else floats(x)[0]


def floats(*values: Any) -> list[Tensor]:
    """Tensors of one floating dtype, as SciPy's functions see them."""
    like = next((v for v in values if isinstance(v, Tensor)), None)
    if like is None:
        like = next((lift(v) for v in values if hasattr(v, "dtype")), None)
    xs = [v if isinstance(v, Tensor) else lift(v, like) for v in values]
    first = xs[0].dtype
    if first in _WIDE and all(x.dtype is first for x in xs):
        return xs
    dtype = np.result_type(*[x.dtype for x in xs])
    if dtype not in _WIDE:
        dtype = np.dtype("float64" if dtype.kind in "biu" else "float32")
    return [x if x.dtype == dtype else astype(x, dtype) for x in xs]


def complexes(x: Any) -> Tensor:
    """The same, and complex: for functions whose result is."""
    x = floating(x)
    return x if x.dtype.kind == "c" else astype(x, "complex64" if x.dtype == "float32" else "complex128")


_SINGLE = {np.dtype("float64"): np.dtype("float32"), np.dtype("complex128"): np.dtype("complex64")}
_SINGLES = frozenset(_SINGLE.values())


def as_precise(out: Any, x: Any) -> Any:
    """A result in x's precision: many of SciPy's functions compute in double only."""
    if type(out) is tuple:
        return tuple([as_precise(o, x) for o in out])
    return out.astype(_SINGLE[out.dtype]) if x.dtype in _SINGLES and out.dtype in _SINGLE else out


# ------------------------------------------------------------------ declarations
def run(F: Any, function: Any, *args: Any) -> Any:
    """What rules use for functions that SciPy lacks, or has otherwise: ours, on Tensors or on raw arrays."""
    return function(*args) if F is graph else on_arrays(F, function.raw, *args)


def on_arrays(lib: Any, make: Callable, *args: Any) -> Any:
    """make(lib)(*args), element-wise or on stacks; under vmap on the arrays that hold the samples."""
    return lib.each(make, *args) if lib.name == "batched" else make(lib)(*args)


def declared(op: Op, call: Any, raw: Callable | None, doc: str | None = None) -> Any:
    """Bind an op to its public function, and its forward on raw arrays to that."""
    last = op.name.rpartition(".")[2]
    call.raw = raw or (lambda B: getattr(B.special, last))
    return public(op, call, doc)


def one(
    name: str,
    vjp: Callable,
    saves: tuple[str, ...] = ("x",),
    *,
    doc: str,
    make: Callable = floats,
    **more: Any,
) -> Callable[..., Tensor]:
    """f(x). make: how the argument becomes a Tensor."""
    op = Op(f"special.{name}", vjp=(vjp,), saves=saves, elementwise=True, **more)
    if make is complexes:
        return declared(op, lambda x, /: apply1(op, complexes(x)), more.get("forward"), doc)
    return declared(op, lambda x, /: apply1(op, floating(x)), more.get("forward"), doc)


def many(
    name: str, *vjp: Callable, saves: tuple[str, ...] = ("x", "y", "z"), doc: str, **more: Any
) -> Callable[..., Tensor]:
    """f(x, y, ...), which broadcast."""
    op = Op(f"special.{name}", vjp=vjp, saves=saves, elementwise=True, broadcasts=True, **more)
    if len(vjp) == 2:
        return declared(op, lambda x, y, /: apply2(op, *floats(x, y)), more.get("forward"), doc)

    def call(*args: Any) -> Tensor:
        if len(args) != len(vjp):
            raise TypeError(message(name, f"{len(vjp)} arguments were expected.", received=str(len(args))))
        return applyn(op, tuple(floats(*args)), {})

    return declared(op, call, more.get("forward"), doc)


def fixed(name: str, argument: str, value: Any) -> Any:
    """A parameter without a derivative: a raw array of a dtype that leaves x's alone, or a Python number.

    Raises DTypeError naming function and argument where it records.
    """
    if isinstance(value, Tensor) and value.node is not None:
        raise DTypeError(
            message(
                f"special.{name}",
                f"no derivative with respect to {argument!r} is known here.",
                received="a recording Tensor",
                hint=f"pass {argument}.detach(): the function is differentiable in its other arguments.",
            )
        )
    return value if isinstance(value, (int, float)) else constant(name, value)


def ordered(
    name: str,
    vjp: Callable,
    *parameters: str,
    saves: tuple[str, ...] = ("x",),
    doc: str,
    make: Callable | None = None,
    forward: Callable | None = None,
    **more: Any,
) -> Callable[..., Tensor]:
    """f(parameters..., x), differentiable in x alone; the rule gets the parameters as the tuple `at`."""
    raw = forward or (lambda B: getattr(B.special, name))

    def find(B: Any) -> Callable:
        f = raw(B)
        return lambda x, *, at: as_precise(f(*at, x), x)

    def rule(F: Any, g: Any, out: Any, x: Any, *, at: Any) -> Any:
        return as_precise(vjp(F, g, out, x, at=at), x)

    op = Op(
        f"special.{name}", vjp=(rule,), saves=saves, elementwise=True, broadcasts=True, forward=find, **more
    )

    def call(*args: Any) -> Tensor:
        if len(args) != len(parameters) + 1:
            raise TypeError(
                message(
                    name, f"the arguments are {', '.join(parameters)} and x.", received=f"{len(args)} of them"
                )
            )
        x = complexes(args[-1]) if make is complexes else floating(args[-1])
        at = tuple([fixed(name, n, v) for n, v in zip(parameters, args, strict=False)])
        wide = [v.dtype for v in at if hasattr(v, "dtype") and v.ndim]
        if wide and (dtype := np.result_type(x.dtype, *wide)) != x.dtype:
            x = astype(x, dtype)
        return applyn(op, (x,), {"at": at})

    return declared(op, call, raw, doc)


def several(name: str, slopes: Callable, *, doc: str) -> Callable[..., tuple[Tensor, ...]]:
    """f(x) of several results; slopes(F, outs, x) are their derivatives."""

    def vjp(F: Any, gs: Any, outs: Any, needs: Any, x: Any) -> list[Any]:
        total = None
        for g, slope in zip(gs, slopes(F, outs, x), strict=True):
            total = g * slope if total is None else total + g * slope
        return [total]

    def jvp(F: Any, ts: Any, outs: Any, x: Any) -> list[Any]:
        return [ts[0] * slope for slope in slopes(F, outs, x)]

    op = Op(f"special.{name}", vjp_all=joint_vjp(vjp), jvp=joint_jvp(jvp), saves=("x", "out"))
    return public(op, lambda x, /: apply_many(op, tuple(floats(x)), {}), doc)


# ------------------------------------------------------------------ small tools of rules
def sign_of(F: Any, x: Any) -> Any:
    """-1, 0 or 1: of the real part where x is complex."""
    return F.sign(F.real(x)) if x.dtype.kind == "c" else F.sign(x)


def horner(coefficients: Any, x: Any) -> Any:
    """c0 + c1 x + c2 x^2 + ..., highest first in the evaluation."""
    out = x * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        out = (out + c) * x
    return out + coefficients[0]


def scaled(
    name: str, rate: Callable, inner: Callable, *parameters: str, doc: str, whole: Callable | None = None
) -> Callable[..., Tensor]:
    """A function times exp(-|part of x|), which is no analytic function of a complex x.

    inner(F, out, x, at): the derivative of the function behind the factor, scaled likewise. rate(F, x): the
    part (real or imaginary) whose absolute value is in the factor. One rule for both directions: the first
    term multiplies, the second multiplies the part alone. whole(F, x, slope, at): the derivative where x is
    real, given what follows from `inner`.
    """

    def vjp(F: Any, g: Any, out: Any, x: Any, *, at: Any = ()) -> Any:
        if x.dtype.kind != "c":
            part = rate(F, x)
            slope = inner(F, out, x, at) if part is None else inner(F, out, x, at) - F.sign(part) * out
            return g * (whole(F, x, slope, at) if whole else slope)
        part = rate(F, x)
        moved = F.astype(F.real(g * out) * F.sign(part), dtype=x.dtype)
        return g * inner(F, out, x, at) - (moved if rate is real_part else moved * -1j)

    def jvp(F: Any, ts: Any, out: Any, x: Any, *, at: Any = ()) -> Any:
        if x.dtype.kind != "c":
            return vjp(F, ts[0], out, x, at=at)
        return ts[0] * inner(F, out, x, at) - rate(F, ts[0]) * F.sign(rate(F, x)) * out

    if parameters:
        return ordered(name, vjp, *parameters, saves=("x", "out"), jvp=jvp, doc=doc)
    return one(name, vjp, ("x", "out"), jvp=jvp, doc=doc)


def real_part(F: Any, x: Any) -> Any:
    return F.real(x) if x.dtype.kind == "c" else x


def imaginary_part(F: Any, x: Any) -> Any:
    return F.imag(x) if x.dtype.kind == "c" else None
