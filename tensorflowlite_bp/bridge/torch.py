"""torch functions on our tape, and our functions on torch's. Needs torch.

>>> import torch, tensorflowlite_bp as bp
>>> softplus = bp.bridge.torch.from_torch(torch.nn.functional.softplus)
>>> bp.grad(softplus)(0.0)
np.float64(0.5)
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> bp.bridge.torch.to_torch(lambda x: bp.sum(x ** 3))(x).backward()
>>> x.grad
tensor([ 3., 12.])
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.custom import attach, function_op
from ..autograd.modes import enable_grad, recording
from ..autograd.node import Leaf, next_seq
from ..autograd.tensor import Tensor, wrap
from ..autograd.transforms import vjp
from ..errors import GradientError, message
from ..ops.interchange import from_dlpack
from ..utils.optional import optional
from ._calls import (
    Flat,
    Function,
    batched,
    check_closed,
    conjugated,
    each_sample,
    in_places,
    pulled,
    pushed,
    shares,
    tensors,
)

torch: Any = optional("torch", extra="torch")

__all__ = ["from_torch", "to_torch"]


# ------------------------------------------------------------------ memory
def _ours(t: Any) -> Tensor:
    return from_dlpack(t.detach().resolve_conj().resolve_neg())


def _theirs(x: Tensor) -> Any:
    return torch.from_dlpack(x.detach())


def _writable(x: Tensor) -> bool:
    return not isinstance(x.data, np.ndarray) or x.data.flags.writeable


def _is_float(t: Any) -> bool:
    return t.is_floating_point() or t.is_complex()


def _storage(t: Any) -> int:
    return t.untyped_storage().data_ptr()


# ------------------------------------------------------------------ our functions on torch's tape
def to_torch(f: Callable) -> Callable:
    """A function of ours as a function of torch: torch tensors in and out, differentiable by torch.

    Arguments and results may be trees; what is no torch tensor is handed to f as it is. Works under
    `backward` (also with create_graph, to any order), forward-mode AD and torch.func's transforms (vmap
    by `bp.vmap`, or one example after another where f asks for values). Memory is shared both ways: f must
    not write to its arguments, and gets a tensor on the GPU through CuPy.

    Raises GradientError when f's result depends on a recording Tensor that is not among its arguments:
    torch could not carry its gradient.

    >>> import torch, tensorflowlite_bp as bp
    >>> f = bp.bridge.torch.to_torch(lambda x, n: {"power": x ** n})
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(f(x, 3)["power"], x, create_graph=True)
    >>> slope.item(), torch.autograd.grad(slope, x)
    (27.0, (tensor(18.),))
    """

    @functools.wraps(f)
    def bridged(*args: Any, **kwargs: Any) -> Any:
        flat = Flat(f, args, kwargs, torch.is_tensor)
        return flat.build(_apply(tensors(flat), flat.arrays, users=True))

    return bridged


def _apply(f: Function, xs: Sequence[Any], users: bool = False) -> list[Any]:
    recorded = torch.is_grad_enabled() and [k for k, x in enumerate(xs) if x.requires_grad]
    return list(_OnTorch.apply(_Call(f, recorded or [], users), *xs))


class _Call:
    """One call of a function of ours from torch, and what its backward needs."""

    def __init__(self, f: Function, recorded: list[int], users: bool) -> None:
        self.f = f
        self.users = users  # the user's function, no derivative of it
        self.recorded = recorded  # the places of arguments that require grad
        self.pull: Callable | None = None

    def run(self, xs: Sequence[Any]) -> tuple[Any, ...]:
        ours = [_ours(x) for x in xs]
        outs: list[Tensor] = []

        def all_results(*values: Any) -> list[Any]:
            outs[:] = self.f(*values)
            return outs

        inner = in_places(all_results, self.recorded, ours)
        if self.recorded:
            results, self.pull = vjp(inner, *[ours[k] for k in self.recorded])
        else:
            with enable_grad():
                results = inner()
        if self.users:
            check_closed("to_torch", results)
        # a result has a version counter of its own: its memory must not be another tensor's
        own = [_writable(o) and not shares(o, [*ours, *outs[:k]]) for k, o in enumerate(outs)]
        return tuple([_theirs(o) if mine else _theirs(o).clone() for o, mine in zip(outs, own, strict=True)])


class _OnTorch(torch.autograd.Function):
    """A `_Call` as one node of torch's graph. Its derivatives are `_Call`s in their turn, hence any order."""

    @staticmethod
    def forward(call: _Call, *xs: Any) -> tuple[Any, ...]:
        return call.run(xs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.call, *xs = inputs
        ctx.count, ctx.outs = len(xs), len(output)
        ctx.floats = [k for k, o in enumerate(output) if _is_float(o)]
        ctx.save_for_backward(*xs, *output)  # the results too, so that torch sees when one is written to
        ctx.save_for_forward(*xs)
        ctx.mark_non_differentiable(*[o for k, o in enumerate(output) if k not in ctx.floats])

    @staticmethod
    def backward(ctx: Any, *gs: Any) -> tuple[Any, ...]:
        call, xs = ctx.call, ctx.saved_tensors[: ctx.count]
        gs = tuple([gs[k] for k in ctx.floats])
        places = [k for k in range(ctx.count) if ctx.needs_input_grad[k + 1]]
        if call.pull is not None and not _differentiated([*xs, *gs]):
            found = call.pull([conjugated(_ours(g)) for g in gs])
            by_place = {k: _theirs(conjugated(i)) for k, i in zip(call.recorded, found, strict=True)}
        else:
            back = _conjugated(pulled(call.f, places, ctx.count), ctx.count)
            by_place = dict(zip(places, _apply(back, [*xs, *gs]), strict=True))
        return None, *[by_place.get(k) for k in range(ctx.count)]

    @staticmethod
    def jvp(ctx: Any, _: None, *ts: Any) -> tuple[Any, ...]:
        call, xs = ctx.call, ctx.saved_tensors[: ctx.count]
        places = [k for k, t in enumerate(ts) if t is not None and _is_float(xs[k])]
        moved = iter(_apply(pushed(call.f, places, ctx.count), [*xs, *[ts[k] for k in places]]))
        return tuple([next(moved) if k in ctx.floats else None for k in range(ctx.outs)])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: _Call, *xs: Any) -> tuple[Any, Any]:
        outs = tuple(_apply(batched(call.f, in_dims[1:], info.batch_size), xs, call.users))
        return outs, (0,) * len(outs)


def _differentiated(ts: Sequence[Any]) -> bool:
    """Whether torch differentiates the backward itself, or runs it on batches."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return True
    return any(torch.autograd.forward_ad.unpack_dual(t).tangent is not None for t in ts)


def _conjugated(back: Function, count: int) -> Function:
    """A pull in torch's convention."""
    return lambda *values: [
        conjugated(i) for i in back(*values[:count], *[conjugated(g) for g in values[count:]])
    ]


# ------------------------------------------------------------------ torch functions on our tape
def from_torch(fn: Callable) -> Callable:
    """A torch function or `nn.Module` as a function of ours: one node on the tape.

    Arguments and results may be trees. Tensors and NumPy arrays become torch tensors that share their memory,
    everything else is handed to fn as it is. Derivatives of every order, forward mode included, are taken by
    torch, on the graph of this one call.

    Parameters of modules, and whatever else in torch requires grad, take part: `loss.backward()` adds into
    their `.grad` as torch does (without post-accumulate hooks); `bp.grad` and the other transforms leave it
    alone. Nothing is recorded under `bp.no_grad()` or `torch.no_grad()`.

    Raises GradientError when fn writes to its arguments.

    >>> import torch, tensorflowlite_bp as bp
    >>> layer = torch.nn.Linear(3, 2)
    >>> loss = bp.sum(bp.bridge.torch.from_torch(layer)(bp.ones((4, 3), dtype="float32")) ** 2)
    >>> loss.backward()
    >>> layer.weight.grad.shape
    torch.Size([2, 3])
    """

    @functools.wraps(fn, updated=())  # a module's __dict__ is its own
    def bridged(*args: Any, **kwargs: Any) -> Any:
        flat = Flat(fn, args, kwargs, _is_array)
        xs = [x if isinstance(x, Tensor) else Tensor(x) for x in flat.arrays]
        return flat.build(each_sample(lambda xs: _called(flat, xs), xs))

    return bridged


def _called(fn: Function, xs: list[Tensor]) -> list[Any]:
    """fn(*xs), recorded as one node where an argument or something of torch's is."""
    leaves = [_theirs(x) for x in xs]
    record = recording() and torch.is_grad_enabled()
    for x, leaf in zip(xs, leaves, strict=True):
        leaf.requires_grad_(record and x.node is not None)
    with torch.set_grad_enabled(record):
        outs = fn(*leaves)
    if any(leaf._version for leaf in leaves):
        _raise_written()
    places = [k for k, o in enumerate(outs) if torch.is_tensor(o)]
    given = [outs[k] for k in places]
    parameters = _parameters(given, leaves) if record else []
    held = [(p, _ours(p).data) for p in parameters]
    args = [*xs, *[wrap(data, _Parameter(p, data)) for p, data in held]]
    for k, o in zip(places, _attach(args, [*leaves, *parameters], given), strict=True):
        outs[k] = o
    return outs


def _is_array(x: Any) -> bool:
    return isinstance(x, Tensor) or (
        hasattr(x, "dtype") and hasattr(x, "__array__") and not torch.is_tensor(x)
    )


class _Parameter(Leaf):
    """A torch tensor that requires grad, as a leaf of our tape: `backward` accumulates into its `.grad`."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any, data: Any) -> None:
        self.variable = variable
        self.shape, self.dtype = data.shape, data.dtype
        self.hooks = None
        self.seq = next_seq()

    @property
    def grad(self) -> Tensor | None:  # type: ignore[override]
        g = self.variable.grad
        return None if g is None else conjugated(_ours(g))

    @grad.setter
    def grad(self, value: Tensor) -> None:
        self.variable.grad = _theirs(conjugated(value))


def _parameters(outs: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    """The leaves of torch's graph below `outs` that are not among `known`."""
    ids = {id(x) for x in known}
    found = {}
    stack = [o.grad_fn for o in outs if o.grad_fn is not None]
    for o in outs:
        if o.requires_grad and o.grad_fn is None and id(o) not in ids:
            found[id(o)] = o
    seen = set(stack)
    while stack:
        node = stack.pop()
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in ids:
            found[id(variable)] = variable
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                stack.append(below)
    return list(found.values())


class _Segment:
    """A piece of torch's graph, from leaves to results, as one node of our tape: an argument per leaf."""

    __slots__ = ("leaves", "outs")

    def __init__(self, leaves: list[Any], outs: list[Any]) -> None:
        self.leaves = leaves
        self.outs = outs

    def pull(
        self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], params: dict[str, Any], record: bool
    ) -> list[Any]:
        n = len(args)
        return each_sample(lambda xs: self._pull(xs[:n], xs[n:], needs, record), [*args, *gs])

    def _pull(self, args: list[Any], gs: list[Any], needs: tuple[bool, ...], record: bool) -> list[Any]:
        pairs = [(o, g) for o, g in zip(self.outs, gs, strict=True) if g is not None and o.requires_grad]
        if not pairs:
            return [None] * len(needs)
        cotangents = [_theirs(g).requires_grad_(record) for _, g in pairs]
        with torch.set_grad_enabled(record):
            found = _grad(
                [o for o, _ in pairs],
                [leaf for leaf, need in zip(self.leaves, needs, strict=True) if need],
                [c.conj() for c in cotangents],
                record,
            )
            found = [i if i is None else i.conj() for i in found]
        each = iter(self._results(args, [g for _, g in pairs], cotangents, found))
        return [next(each) if need else None for need in needs]

    def push(self, args: list[Any], ts: list[Any], params: dict[str, Any]) -> list[Any]:
        n = len(args)
        return each_sample(lambda xs: self._push(xs[:n], xs[n:]), [*args, *ts])

    def _push(self, args: list[Any], ts: list[Any]) -> list[Any]:
        """J t, by transposing the cotangent map: torch's graph of the values is all it takes."""
        record = recording() and any(x is not None and x.node is not None for x in [*args, *ts])
        moving = [(leaf, t) for leaf, t in zip(self.leaves, ts, strict=True) if t is not None]
        outs = [o for o in self.outs if o.requires_grad]
        with torch.enable_grad():
            probes = [torch.zeros_like(o, requires_grad=True) for o in outs]
            back = _grad(outs, [leaf for leaf, _ in moving], probes, True)
            pairs = [
                (i, t) for i, (_, t) in zip(back, moving, strict=True) if i is not None and i.requires_grad
            ]
            tangents = [_theirs(t).requires_grad_(record) for _, t in pairs]
            moved = _grad([i for i, _ in pairs], probes, tangents, record) if pairs else [None] * len(outs)
        each = iter(self._results(args, [t for _, t in pairs], tangents, moved))
        return [
            _zeros(o) if m is None else m
            for o, m in ((o, next(each) if o.requires_grad else None) for o in self.outs)
        ]

    def _results(
        self, args: list[Any], more: list[Any], leaves: list[Any], found: Sequence[Any]
    ) -> list[Any]:
        """What was found, on our tape as a segment from this one's leaves and the new ones."""
        given = [i for i in found if i is not None]
        each = iter(_attach([*args, *more], [*self.leaves, *leaves], given))
        return [None if i is None else next(each) for i in found]


_OP = function_op("from_torch")


def _attach(args: list[Tensor], leaves: list[Any], outs: list[Any]) -> list[Tensor]:
    """torch's results as Tensors: on our tape where they depend on something that requires grad."""
    taken = {_storage(x) for x in leaves}
    values = []
    for o in outs:
        values.append(_ours(o.clone() if o.grad_fn is None or _storage(o) in taken else o))
        taken.add(_storage(o))
    if any(o.requires_grad for o in outs):
        values = attach(_OP, args, {"owner": _Segment(leaves, outs)}, values)
        for value, o in zip(values, outs, strict=True):
            if not o.requires_grad:
                value.node = None
    return values


def _grad(outs: list[Any], leaves: list[Any], gs: list[Any], record: bool) -> tuple[Any, ...]:
    # the graph dies with our node: until then it may be walked again
    return torch.autograd.grad(outs, leaves, gs, retain_graph=True, create_graph=record, allow_unused=True)


def _zeros(o: Any) -> Tensor:
    return _ours(torch.zeros_like(o))


def _raise_written() -> None:
    raise GradientError(
        message(
            "from_torch",
            "the torch function wrote to one of its arguments, whose memory is ours.",
            hint="let it work on a clone: x.clone().",
        )
    )
