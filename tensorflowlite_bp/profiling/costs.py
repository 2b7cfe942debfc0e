"""How much work an operation is: bytes that must move, and floating-point operations.

Bytes: every array that is read, once, and every array that is written; none for a view. Operations: two per
multiply-add of a product; one per element of the result of an element-wise operation, whichever it is, and
one per element that a reduction takes. What is in no table has bytes only.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Arrays = list[Any]


def arrays(values: Iterable[Any]) -> Arrays:
    """The arrays among arguments, each once; those in tuples, lists and dicts too."""
    found: dict[int, Any] = {}
    for v in values:
        if isinstance(v, (tuple, list)):
            found.update((id(a), a) for a in arrays(v))
        elif isinstance(v, dict):
            found.update((id(a), a) for a in arrays(v.values()))
        else:
            v = getattr(v, "data", v) if hasattr(v, "node") else v  # a Tensor's
            if hasattr(v, "nbytes") and hasattr(v, "dtype"):
                found[id(v)] = v
    return list(found.values())


def owner(array: Any) -> Any:
    """The array whose memory this one shows."""
    while type(base := getattr(array, "base", None)) is type(array):
        array = base
    return array


def moved(inputs: Arrays, outputs: Arrays) -> int:
    """Bytes read and written."""
    known = {id(owner(a)) for a in inputs}
    made = [a for a in outputs if id(owner(a)) not in known]
    if outputs and not made:
        return 0
    return sum(a.nbytes for a in inputs) + sum(a.nbytes for a in made)


def read_by_rule(op: Any, k: int, out: Any, args: tuple[Any, ...]) -> list[Any]:
    """What the rule for argument k looks at, of what it is given."""
    if len(op.vjp) == 2 and len(args) == 2 and op.elementwise:
        x, y, o = op.keeps[k]
        return [args[0] if x else None, args[1] if y else None, out if o else None]
    if op.linear == "each":  # linear in this argument: the others decide
        return [out, *args[:k], *args[k + 1 :]]
    return [out, *args]


def read_by_rules(op: Any, out: Any, args: tuple[Any, ...]) -> list[Any]:
    """The same for a rule of all arguments: the bias of a linear layer or a convolution is not looked at."""
    return [out, *(args[:2] if op.name in ("linear", "conv") else args)]


# ------------------------------------------------------------------ products
def _matmul(x: Any, y: Any, out: Any) -> int:
    return 2 * out.size * x.shape[-1]


def _einsum(params: dict[str, Any], args: tuple[Any, ...]) -> int:
    lengths: dict[str, int] = {}
    for labels, a in zip(params["labels"], args, strict=True):
        lengths.update(zip(labels, a.shape, strict=True))
    return len(args) * math.prod(lengths.values())


def _window(w_shape: tuple[int, ...]) -> int:
    return math.prod(w_shape[:-1])


def _attention(q: Any, k: Any, causal: bool) -> int:
    """One product of the scores' size; of the causal half where causal."""
    whole = 2 * q.size * k.shape[-2]
    return whole // 2 if causal else whole


def _recurrent(args: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any, Any]:
    """x, and what multiplies it and the state; between them the states, two of an LSTM."""
    first = 3 if params["kind"] == "lstm" else 2
    return args[0], args[first], args[first + 1]


def forward_flops(op: Any, args: tuple[Any, ...], params: dict[str, Any], out: Any) -> int:
    """Of an operation on raw arrays."""
    name = op.name
    if name == "matmul":
        return _matmul(args[0], args[1], out)
    if name == "linear":
        return _matmul(args[0], args[1], out[0])
    if name == "einsum_labelled":
        return _einsum(params, args)
    if name in ("conv", "conv_forward"):
        return 2 * (out if name == "conv_forward" else out[0]).size * _window(args[1].shape)
    if name == "conv_input_grad":
        return 2 * args[0].size * _window(args[1].shape)
    if name == "conv_weight_grad":
        return 2 * args[0].size * _window(params["w_shape"])
    if name == "dot_product_attention":
        return 2 * _attention(args[0], args[1], params["causal"])
    if name == "linear_softmax_cross_entropy":
        return 2 * args[0].size * args[1].shape[-1] * (3 if params["grads"] and params["reduction"] else 1)
    if name in RECURRENT:
        x, w, u = _recurrent(args, params)
        return 2 * math.prod(x.shape[:2]) * (w.size + u.size)
    if op.elementwise:
        return out.size if hasattr(out, "size") else 1
    return args[0].size if name in REDUCTIONS else 0


def rule_flops(op: Any, k: int, g: Any, args: tuple[Any, ...], params: dict[str, Any], result: Any) -> int:
    """Of the rule for argument k."""
    name = op.name
    if name == "matmul":
        x, y = args
        inner = x.shape[-1] if x is not None else y.shape[-2 if y.ndim > 1 else 0]
        return 2 * g.size * inner
    if name == "conv_forward":
        return 2 * g.size * _window(args[1].shape)
    if name == "conv_input_grad":
        return 2 * args[0].size * _window(args[1].shape)
    if name == "conv_weight_grad":
        return 2 * args[0].size * _window(params["w_shape"])
    return getattr(result, "size", 1) if op.elementwise else 0


def rules_flops(
    op: Any, needs: tuple[bool, ...], g: Any, args: tuple[Any, ...], params: dict[str, Any]
) -> int:
    """Of a rule of all arguments."""
    if op.name == "linear":
        return 2 * g.size * args[1].shape[0] * sum(needs[:2])
    if op.name == "conv":
        return 2 * g.size * _window(args[1].shape) * sum(needs[:2])
    if op.name == "einsum_labelled":  # the same axes each time
        return _einsum(params, args) * sum(needs)
    if op.name in RECURRENT:  # the state's cotangent goes back through u whatever is asked for
        x, w, u = _recurrent(args, params)
        of_w = needs[0] + needs[3 if params["kind"] == "lstm" else 2]
        return 2 * math.prod(x.shape[:2]) * (of_w * w.size + 2 * u.size)
    if op.name == "dot_product_attention":
        return 5 * _attention(args[0], args[1], params["causal"])
    if op.name == "linear_softmax_cross_entropy" and not params["reduction"]:
        return 6 * args[0].size * args[1].shape[-1]
    return 0


RECURRENT = ("lstm", "gru", "simple_rnn")
REDUCTIONS = frozenset("sum mean prod max min var norm2 logsumexp".split())

# functions of a backend that change arrays in place: how often each array of the lists they get is moved
IN_PLACE: dict[str, Callable[[tuple[Any, ...]], int]] = {
    "sgd_step": lambda a: 3 * _total(a[0]) + 2 * _total(a[2]),
    "adam_step": lambda a: 7 * _total(a[0]) + 2 * _total(a[11] if len(a) > 11 else None),
    "rmsprop_step": lambda a: 5 * _total(a[0]) + 2 * (_total(a[3]) + _total(a[4])),
    "lion_step": lambda a: 5 * _total(a[0]),
}


def _total(group: Any) -> int:
    return sum(a.nbytes for a in group) if group else 0


def itemsize(found: Arrays) -> int:
    """The widest real number among the arrays, in bytes."""
    sizes = [a.dtype.itemsize // (2 if a.dtype.kind == "c" else 1) for a in found if a.dtype.kind in "fcV"]
    return max(sizes, default=4)


def on_host(found: Arrays) -> bool:
    """Whether this is work of the CPU: the ceilings are the CPU's."""
    return all(isinstance(a, (np.ndarray, np.generic)) for a in found)
