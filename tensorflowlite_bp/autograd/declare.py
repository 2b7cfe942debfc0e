"""The ways to declare an op. Each gives its public function.

multiply = binary("multiply", vjp=(rule_x, rule_y), saves=("x", "y"))       two tensors, broadcasting
exp = unary("exp", vjp=rule, saves=("out",))                                one tensor
@operation(vjp=(rule,), saves=("x.shape",), linear="joint")                 anything with parameters
def sum(x, axis=None, keepdims=False):
    return (x,), {"axis": axis, "keepdims": keepdims}                       (tensors, parameters of forward
    and rules)
"""

import functools
from collections.abc import Callable
from typing import Any

from .autocast import lowered, wide
from .op import Op, public
from .outputs import joint_jvp, joint_vjp
from .record import agree_all, apply1, apply2, apply_many, applyn, lift
from .tensor import Tensor

Arguments = tuple[
    tuple[Any, ...], dict[str, Any]
]  # what a declaration gives: the tensors, and the parameters


def unary(
    name: str,
    vjp: Callable,
    saves: tuple[str, ...] = (),
    *,
    doc: str | None = None,
    domain: tuple[float, float] | None = None,
    real_result: bool = False,
    widens: bool = False,
    **more: Any,
) -> Callable[[Any], Tensor]:
    """An element-wise op of one tensor. real_result: complex in, real out (the tangent is then the rule's
    real part). widens: computes in float32 under mixed precision.
    """
    if real_result:
        more["jvp"] = lambda F, ts, out, x: (
            F.real(vjp(F, ts[0], out, x)) if ts[0].dtype.kind == "c" else vjp(F, ts[0], out, x)
        )
    op = Op(name, vjp=(vjp,), saves=saves, elementwise=True, domain=domain, **more)

    def call(x: Any, /) -> Tensor:
        return apply1(op, x if isinstance(x, Tensor) else lift(x))

    def widening(x: Any, /) -> Tensor:
        x = x if isinstance(x, Tensor) else lift(x)
        return apply1(op, x if lowered() is None else wide(x))

    return public(op, widening if widens else call, doc)


def binary(
    name: str,
    vjp: tuple[Callable, Callable],
    saves: tuple[str, ...] = (),
    *,
    doc: str | None = None,
    domain: tuple[float, float] | None = None,
    elementwise: bool = True,
    promotes: bool = True,
    **more: Any,
) -> Callable[[Any, Any], Tensor]:
    """An op of two tensors that broadcasts; operands of different dtypes are brought to their common one
    first.
    """
    op = Op(
        name,
        vjp=vjp,
        saves=saves,
        elementwise=elementwise,
        broadcasts=True,
        promotes=promotes,
        domain=domain,
        **more,
    )

    def call(x1: Any, x2: Any, /) -> Tensor:
        return apply2(op, *pair(x1, x2))

    return public(op, call, doc)


def pair(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two operands as Tensors; a Python number takes the other's dtype."""
    if isinstance(x1, Tensor):
        return x1, x2 if isinstance(x2, Tensor) else lift(x2, x1)
    if isinstance(x2, Tensor):
        return lift(x1, x2), x2
    if hasattr(x1, "dtype"):
        x1 = lift(x1)
        return x1, lift(x2, x1)
    x2 = lift(x2)
    return lift(x1, x2), x2


def operation(
    *,
    vjp: tuple[Callable, ...] = (),
    saves: tuple[str, ...] = (),
    promotes: bool = False,
    name: str | None = None,
    widens: bool = False,
    **more: Any,
) -> Callable[[Callable], Callable[..., Tensor]]:
    """An op with parameters. The decorated function gives (tensors, parameters); its docstring is the
    op's. name: where the function's own will not do, "linalg.solve" for one of a namespace. widens: computes
    in float32 under mixed precision.
    """

    def declare(arguments: Callable[..., Arguments]) -> Callable[..., Tensor]:
        op = Op(name or arguments.__name__.strip("_"), vjp=vjp, saves=saves, **more)

        @functools.wraps(arguments)
        def call(*args: Any, **kwargs: Any) -> Tensor:
            tensors, params = arguments(*args, **kwargs)
            lifted = [t if isinstance(t, Tensor) else lift(t) for t in tensors]
            if widens and lowered() is not None:
                lifted = [wide(t) for t in lifted]
            return applyn(op, agree_all(lifted) if promotes else tuple(lifted), params)

        return public(op, call)

    return declare


def operations(
    *,
    vjp: Callable,
    jvp: Callable | None = None,
    saves: tuple[str, ...] = ("x", "out"),
    promotes: bool = False,
    name: str | None = None,
    result: Callable = tuple,
    **more: Any,
) -> Callable[[Callable], Callable[..., Any]]:
    """An op of several results (svd, qr, slogdet), declared as `operation`; its forward gives a tuple.

    vjp(F, gs, outs, needs, *args, **params) gives one cotangent per argument, with one in `gs` per result
    (zeros where none came); jvp(F, ts, outs, *args, **params) one tangent per result. `saves` must hold
    "out". result: makes what the caller gets from the tuple of Tensors, a named tuple perhaps.
    """

    def declare(arguments: Callable[..., Arguments]) -> Callable[..., Any]:
        op = Op(
            name or arguments.__name__.strip("_"),
            vjp_all=joint_vjp(vjp),
            jvp=None if jvp is None else joint_jvp(jvp),
            saves=saves,
            **more,
        )

        @functools.wraps(arguments)
        def call(*args: Any, **kwargs: Any) -> Any:
            tensors, params = arguments(*args, **kwargs)
            lifted = [t if isinstance(t, Tensor) else lift(t) for t in tensors]
            return result(apply_many(op, agree_all(lifted) if promotes else tuple(lifted), params))

        return public(op, call)

    return declare
