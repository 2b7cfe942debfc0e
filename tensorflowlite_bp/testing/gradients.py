"""Checking derivatives against differences, in both modes, to any order.

A gradient is tested as the number <g, J t> for random g and t: J^T g . t from reverse mode, g . (J t) from
forward mode, and the central difference g . (f(x + h t) - f(x - h t)) / 2h must agree. Order 2 does the same
to the function's own derivative, and so on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import tree
from ..autograd.tensor import Tensor, to_array
from ..autograd.transforms import jvp, vjp

_STEP = {8: 6e-6, 4: 4e-3}  # about eps ** (1/3), by the bytes of the real part
_TOLERANCE = {8: 1e-6, 4: 1e-2}


def check_grads(
    f: Callable,
    args: Sequence[Any],
    *,
    modes: Sequence[str] = ("rev", "fwd"),
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    step: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of `f` at `args` against central differences.

    f: arrays (or trees of them) to an array or tree; args: floating or complex arrays, float64 for tight
    tolerances.
    modes: "rev", "fwd" or both. order: how often to differentiate. rtol, atol: default 1e-6 in float64, 1e-2
    in float32, relative to the size of the terms. Raises AssertionError naming the mode, the order and both
    numbers.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> bp.testing.check_grads(bp.sin, (np.linspace(0, 1, 5),))
    """
    rng = np.random.default_rng((seed, 71))  # not the stream of default_rng(seed), which args may come from
    args = tuple(tree.flatten(args)[1].unflatten([np.asarray(_raw(a)) for a in tree.flatten(tuple(args))[0]]))
    _check(f, args, tuple(modes), order, rtol, atol, step, rng, 1)


def _check(
    f: Any, args: Any, modes: Any, order: int, rtol: Any, atol: Any, step: Any, rng: Any, level: int
) -> None:
    tangents = _random_like(args, rng)
    out = f(*args)
    cotangent = _random_like(out, rng)
    width = min(_width(a) for a in tree.flatten(args)[0])
    h = step or _STEP.get(width, 4e-3)
    expected = _difference(f, args, tangents, cotangent, h)
    rtol = _TOLERANCE.get(width, 1e-2) if rtol is None else rtol
    atol = rtol if atol is None else atol
    found = {}
    if "rev" in modes:
        _, pull = vjp(f, *args)
        found["rev"] = _dot(pull(cotangent), tangents)
    if "fwd" in modes:
        found["fwd"] = _dot(cotangent, jvp(f, args, tangents)[1])
    scale = max(abs(expected), _size(cotangent) * _size(tangents) * 1e-3)
    for mode, value in found.items():
        if not abs(value - expected) <= atol * scale + rtol * abs(expected) + 1e-12 and not (
            np.isnan(value) and np.isnan(expected)
        ):
            raise AssertionError(
                f"[check_grads] {mode} mode, order {level}: the derivative is {value!r}, "
                f"the difference quotient {expected!r} "
                f"(relative difference {abs(value - expected) / max(scale, 1e-300):.3g}, step {h:g})."
            )
    if "rev" in modes and "fwd" in modes:
        tight = 1e-9 if width == 8 else 1e-3
        if not abs(found["rev"] - found["fwd"]) <= tight * max(scale, abs(found["rev"])) and not np.isnan(
            expected
        ):
            raise AssertionError(
                f"[check_grads] order {level}: reverse mode gives {found['rev']!r}, "
                f"forward mode {found['fwd']!r}."
            )
    if order > level:
        for mode in modes:
            g = cotangent

            def reverse(*xs: Any, g: Any = g) -> Any:
                return vjp(f, *xs)[1](g)

            def forward(*xs: Any) -> Any:
                return jvp(f, xs, tangents)[1]

            _check(
                reverse if mode == "rev" else forward, args, modes, order, rtol, atol, step, rng, level + 1
            )


def _raw(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else to_array(x)


def _width(x: Any) -> int:
    dtype = np.asarray(_raw(x)).dtype
    return dtype.itemsize // (2 if dtype.kind == "c" else 1)


def _random_like(values: Any, rng: np.random.Generator) -> Any:
    leaves, spec = tree.flatten(values)
    out = []
    for x in leaves:
        a = np.asarray(_raw(x))
        t = rng.standard_normal(a.shape)
        if a.dtype.kind == "c":
            t = t + 1j * rng.standard_normal(a.shape)
        out.append(np.asarray(t).astype(a.dtype if a.dtype.kind in "fc" else np.float64))
    return spec.unflatten(out)


def _difference(f: Any, args: Any, tangents: Any, cotangent: Any, h: float) -> float:
    leaves, spec = tree.flatten(args)
    ts, _ = tree.flatten(tangents)
    up = f(*spec.unflatten([a + a.dtype.type(h) * t for a, t in zip(leaves, ts, strict=True)]))
    down = f(*spec.unflatten([a - a.dtype.type(h) * t for a, t in zip(leaves, ts, strict=True)]))
    steps = [
        (np.asarray(_raw(u), dtype=_wide(u)) - np.asarray(_raw(d))) / (2 * h)
        for u, d in zip(tree.flatten(up)[0], tree.flatten(down)[0], strict=True)
    ]
    return sum(
        float(np.sum(np.asarray(_raw(g)) * s).real)
        for g, s in zip(tree.flatten(cotangent)[0], steps, strict=True)
    )


def _wide(x: Any) -> Any:
    return np.complex128 if np.asarray(_raw(x)).dtype.kind == "c" else np.float64


def _dot(a: Any, b: Any) -> float:
    """Re(sum of products), without conjugation: the pairing of the complex convention."""
    return sum(
        float(np.sum(np.asarray(_raw(x)).astype(_wide(x)) * np.asarray(_raw(y)).astype(_wide(y))).real)
        for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True)
    )


def _size(a: Any) -> float:
    return float(
        np.sqrt(
            sum(float(np.sum(np.abs(np.asarray(_raw(x), dtype=_wide(x))) ** 2)) for x in tree.flatten(a)[0])
        )
    )
