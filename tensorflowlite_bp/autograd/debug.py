"""TFLBP_DEBUG: checked versions of the record functions, put in place of the plain ones at import; off, they
cost nothing.

nan: the first op whose result holds a NaN or an infinity (that its inputs did not) raises, with the line of
user code that called it; in backward, the op whose rule made it, and where that op was called. shape: every
rule's result is held to its argument's shape and dtype. sync: waits for the device after every op, so that
an asynchronous CUDA error shows at its cause.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from .._config import config
from ..errors import GradientError, NumericsError, message
from .op import Op

_PACKAGE = str(Path(__file__).resolve().parent.parent)


def user_line() -> str:
    """The innermost frame outside this package, as file:line."""
    frame = sys._getframe(1)
    while (
        frame is not None
        and frame.f_code.co_filename.startswith(_PACKAGE)
        and "examples" not in frame.f_code.co_filename
    ):
        frame = frame.f_back  # type: ignore[assignment]
    return (
        "unknown"
        if frame is None
        else f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    )


def _bad(x: Any) -> str | None:
    if not hasattr(x, "dtype") or x.dtype.kind not in "fc":
        return None
    lib = backend.by_type[type(x)]
    if bool(lib.all(lib.isfinite(x))):
        return None
    return "NaN" if bool(lib.any(lib.isnan(x))) else "an infinity"


def _describe(x: Any) -> str:
    host = np.asarray(x.get() if hasattr(x, "get") else x)
    finite = host[np.isfinite(host)]
    span = (
        f"finite values {finite.min():.4g} to {finite.max():.4g}"
        if finite.size and host.dtype.kind == "f"
        else "no finite value"
    )
    return (
        f"{host.dtype} {host.shape}, {int(np.isnan(host).sum())} NaN, {int(np.isinf(host).sum())} inf, {span}"
    )


def check_forward(name: str, args: list[Any], out: Any) -> None:
    found = _bad(out)
    if found is None:
        return
    first = "inputs were finite" if all(_bad(a) is None for a in args) else "an input held it already"
    raise NumericsError(
        message(
            name,
            f"the result holds {found}; {first}.",
            received="; ".join(_describe(a) for a in args if hasattr(a, "dtype")) or "no arrays",
            hint=f"called at {user_line()}.{_within()}",
        )
    )


class Watched(list):
    """The nodes of a walk. It remembers at which one the walk is, for the error that its rule may raise."""

    at: Any = None

    def __iter__(self) -> Iterator[Any]:
        return _watch(super().__iter__())

    def __reversed__(self) -> Iterator[Any]:
        return _watch(super().__reversed__())


def _watch(nodes: Iterator[Any]) -> Iterator[Any]:
    before = Watched.at
    try:
        for Watched.at in nodes:
            yield Watched.at
    finally:
        Watched.at = before


def _origin() -> str:
    return f"the op was called at {getattr(Watched.at, 'where', 'an unknown place')}."


def _within() -> str:
    """For an op that a derivative is made of: whose derivative."""
    op = getattr(Watched.at, "op", None)
    return "" if op is None else f" It is part of the [backward of {op.name}]: {_origin()}"


def _checked_rule(op: Op, k: int, rule: Callable) -> Callable:
    def checked_vjp(F: Any, g: Any, out: Any, *args: Any, **params: Any) -> Any:
        i = rule(F, g, out, *args, **params)
        _check_cotangent(op, k, g, i, args[k])
        return i

    return checked_vjp


def _check_cotangent(op: Op, k: int, g: Any, i: Any, argument: Any) -> None:
    raw = getattr(i, "data", None) if hasattr(i, "node") else i
    if "nan" in config.debug:
        found = _bad(raw)
        if found is not None:
            g_raw = getattr(g, "data", None) if hasattr(g, "node") else g
            first = "its cotangent was finite" if _bad(g_raw) is None else "its cotangent held it already"
            raise NumericsError(
                message(
                    f"backward of {op.name}",
                    f"the gradient of argument {k} holds {found}; {first}.",
                    received=f"cotangent {_describe(g_raw)}" if hasattr(g_raw, "dtype") else None,
                    hint=_origin(),
                )
            )
    if "shape" in config.debug and hasattr(g, "dtype") and hasattr(raw, "dtype") and not op.elementwise:
        given = getattr(argument, "dtype", None)  # None: the node kept nothing of this argument
        if raw.dtype != given if given is not None else _parts(raw.dtype) != _parts(g.dtype):
            raise GradientError(
                message(
                    f"backward of {op.name}",
                    f"the gradient of argument {k} has another dtype than the argument.",
                    received=f"{raw.dtype} for {given or g.dtype}",
                    hint=_origin(),
                )
            )


def _parts(dtype: Any) -> Any:
    """The dtype of a complex number's parts; a real one as it is."""
    return np.empty(0, dtype).real.dtype


def _sync() -> None:
    if "sync" in config.debug and backend.current().name == "cupy":
        backend.current().synchronize()


def instrument(op: Op) -> None:
    """Put checks around an op's rules, once."""
    if op.checked:
        return
    op.checked = True
    op.vjp = tuple([_checked_rule(op, k, rule) for k, rule in enumerate(op.vjp)])
    op.v0 = op.vjp[0] if op.vjp else None
    op.v1 = op.vjp[1] if len(op.vjp) > 1 else None
    if op.vjp_all is not None:
        joint = op.vjp_all

        def checked_all(F: Any, g: Any, out: Any, needs: tuple[bool, ...], *args: Any, **params: Any) -> Any:
            pulled = joint(F, g, out, needs, *args, **params)
            for k, i in enumerate(pulled):
                if i is not None:
                    _check_cotangent(op, k, g, i, args[k])
            return pulled

        op.vjp_all = checked_all


def watched(*walks: Callable) -> list[Callable]:
    """The functions that order a walk, with their order (the first of several results) watched."""

    def watch(walk: Callable) -> Callable:
        def order(*args: Any) -> Any:
            found = walk(*args)
            return Watched(found) if isinstance(found, list) else (Watched(found[0]), *found[1:])

        return order

    return [watch(w) for w in walks]


def checked(*functions: Callable) -> tuple[Callable, ...]:
    """apply1, apply2, apply_aux and apply_many, with what TFLBP_DEBUG asks for around them."""
    apply1, apply2, apply_aux, apply_many = functions

    def watch(op: Op, args: tuple, out: Any) -> None:
        instrument(op)
        _sync()
        if "nan" in config.debug:
            with np.errstate(all="ignore"):
                check_forward(op.name, [a.data for a in args], out.data)
        if hasattr(type(out.node), "where") and not hasattr(out.node, "where"):
            out.node.where = user_line()

    def checked1(op: Op, s: Any) -> Any:
        out = apply1(op, s)
        watch(op, (s,), out)
        return out

    def checked2(op: Op, s: Any, o: Any) -> Any:
        out = apply2(op, s, o)
        watch(op, (s, o), out)
        return out

    def checked_aux(op: Op, args: tuple, params: dict[str, Any]) -> Any:
        out, aux = apply_aux(op, args, params)
        watch(op, args, out)
        return out, aux

    def checked_many(op: Op, args: tuple, params: dict[str, Any]) -> tuple:
        outs = apply_many(op, args, params)
        for out in outs:
            watch(op, args, out)
        return outs

    return checked1, checked2, checked_aux, checked_many
