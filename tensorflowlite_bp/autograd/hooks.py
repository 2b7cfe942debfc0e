"""Hooks: functions of the user's that see a gradient when it is complete, and may replace it.

A hook on the result of an operation is a node of the tape: the tensor's node becomes an identity whose parent
is the node it was, so that what used the tensor before goes through it too, and a backward without hooks pays
nothing. A leaf keeps its hooks itself, and `backward` looks for them where any leaf ever had one.
"""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import GradientError, message
from .modes import no_grad
from .node import Leaf, Node
from .op import Op
from .tensor import Tensor, to_array, wrap

leaves_with_hooks = [0]  # how many were registered: `backward` looks at leaves only then


class Hooks:
    """The hooks of one tensor, in their order; then where its gradient is kept, if it is."""

    __slots__ = ("after", "before", "kept")

    def __init__(self) -> None:
        self.before: list[Callable] = []  # new lists, never changed: another thread may be walking
        self.after: list[Callable] = []
        self.kept: Callable[[], Kept | None] = _nowhere

    def run(self, g: Tensor) -> Tensor:
        for hook in self.before:
            given = hook(g)
            if given is not None:
                g = _replacement(given, g)
        kept = self.kept()
        if kept is not None:
            kept.grad = wrap(g.data.copy(), g.node) if kept.grad is None else kept.grad + g
        return g


class Kept:
    """The gradient of a tensor that is no leaf."""

    __slots__ = ("__weakref__", "grad")

    def __init__(self) -> None:
        self.grad: Tensor | None = None


def _nowhere() -> None:
    return None


def _replacement(given: Any, g: Tensor) -> Tensor:
    t = given if isinstance(given, Tensor) else wrap(to_array(given))
    if t.shape != g.shape or t.dtype != g.dtype:
        raise GradientError(
            message(
                "register_hook",
                "a hook must return None, or a gradient of the same shape and dtype.",
                received=f"{t.dtype} {t.shape} for {g.dtype} {g.shape}",
            )
        )
    return t


def _pass(F: Any, g: Any, hooks: Any, x: Any) -> Any:
    if isinstance(g, Tensor):
        return hooks.run(g)  # recorded: what the hook does is differentiated too
    with no_grad():
        return hooks.run(wrap(np.asarray(g) if isinstance(g, np.generic) else g)).data


def _hook_op(view: bool) -> Op:
    return Op(
        "hook",
        vjp=(_pass,),
        jvp=lambda F, ts, hooks, x: ts[0],
        aux=True,
        elementwise=True,
        view=view,
        forward=lambda _: lambda x: x,
        register=False,
    )


_HOOK, _HOOK_OF_VIEW = _hook_op(False), _hook_op(True)  # writing through a view is still refused


# ------------------------------------------------------------------ where hooks are
def _hooks_of(name: str, t: Tensor) -> Hooks:
    """A tensor's hooks; room for them is made in the tape."""
    n = t.node
    if n is None:
        raise GradientError(
            message(
                name,
                "only a tensor that requires grad, or depends on one that does, has a gradient.",
                received=f"a constant of shape {t.shape}",
            )
        )
    if isinstance(n, Leaf):
        if n.hooks is None:
            n.hooks = Hooks()
            leaves_with_hooks[0] += 1
        return n.hooks
    if n.op is not _HOOK and n.op is not _HOOK_OF_VIEW:
        _make_room(n)
    return n.out


def _make_room(n: Any) -> None:
    """Turn a node into an identity on a copy of itself."""
    copy: Any = object.__new__(type(n))
    for slot in type(n).__slots__:
        if hasattr(n, slot):
            setattr(copy, slot, getattr(n, slot))
    copy.seq = n.seq - 0.5  # between its parents and itself
    op = _HOOK_OF_VIEW if n.op.view else _HOOK
    if type(n) is Node:
        n.p0, n.p1, n.x0, n.x1 = copy, None, None, None
    else:
        n.parents, n.saved, n.params = (copy,), (None,), {}
    n.out, n.op = Hooks(), op


def received(nodes: list[Any], grads: list[Any]) -> list[Any]:
    """What the hooks of the nodes that a walk was for make of their gradients (Tensors, or None)."""
    return [g if g is None else _at(n, g) for n, g in zip(nodes, grads, strict=True)]


def _at(n: Any, g: Tensor) -> Tensor:
    hooks = n.hooks if isinstance(n, Leaf) else n.out if n.op is _HOOK or n.op is _HOOK_OF_VIEW else None
    return g if hooks is None else hooks.run(g)


def receive(found: list[tuple[Leaf, Any]]) -> list[tuple[Leaf, Any]]:
    """The same for the raw gradients that `backward` accumulates."""
    return [(n, g if n.hooks is None else _pass(None, g, n.hooks, None)) for n, g in found]


def accumulated(leaf: Leaf) -> None:
    """Call what is to be called after the gradient has been added."""
    if leaf.hooks is not None:
        for hook in leaf.hooks.after:
            hook()


# ------------------------------------------------------------------ the methods
class Handle:
    """A registered hook: `remove` it, or leave the `with` block."""

    __slots__ = ("hook", "hooks")

    def __init__(self, hooks: Hooks, hook: Callable) -> None:
        self.hooks, self.hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away. Once more does nothing."""
        self.hooks.before = [h for h in self.hooks.before if h is not self.hook]
        self.hooks.after = [h for h in self.hooks.after if h is not self.hook]

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Handle:
    """Have `hook(gradient)` called in every backward, when the gradient of this tensor is complete.

    It may return another gradient of the same shape and dtype, to go on with; it must not write into the one
    it gets. Several are called in their order, before the gradient is added to a leaf's `.grad`. With
    create_graph the gradient records, and what the hook makes of it is differentiated. Writing to the tensor
    leaves its hooks with the value it had. Gives a handle with `.remove()`, which `with` calls too.
    Raises GradientError for a constant.

    >>> import tensorflowlite_bp as bp
    >>> x = bp.tensor([1.0, 2.0], requires_grad=True)
    >>> with x.register_hook(lambda g: g * 10):
    ...     (x * x).sum().backward()
    >>> x.grad
    Tensor([20., 40.])
    """
    hooks = _hooks_of("register_hook", self)
    once = lambda g: hook(g)
    hooks.before = [*hooks.before, once]
    return Handle(hooks, once)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Handle:
    """Have `hook(tensor)` called after backward has added to this leaf's `.grad`: an optimiser's step, say.

    Raises GradientError for a tensor that is no leaf.
    """
    if not isinstance(self.node, Leaf):
        raise GradientError(
            message("register_post_accumulate_grad_hook", "only a leaf that requires grad accumulates.")
        )
    hooks, tensor = _hooks_of("register_post_accumulate_grad_hook", self), weakref.ref(self)

    def call() -> None:
        t = tensor()
        if t is not None:
            hook(t)

    hooks.after = [*hooks.after, call]
    return Handle(hooks, call)


# ------------------------------------------------------------------ gradients of results
_kept: dict[int, tuple[Any, Kept]] = {}  # id of a Tensor -> (weak reference, its gradient)


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this tensor, no leaf, in its `.grad` too, as its hooks leave it. Does nothing for
    a leaf. Where the tensor is written to, the gradient is that of its new value.

    >>> import tensorflowlite_bp as bp
    >>> x = bp.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> y.retain_grad()
    >>> (2 * y).backward()
    >>> y.grad
    Tensor(2.)
    """
    if isinstance(self.node, Leaf) or self.retains_grad:
        return
    hooks, key = _hooks_of("retain_grad", self), id(self)
    kept = Kept()
    hooks.kept = weakref.ref(kept)  # weak: with create_graph the gradient holds this very node
    _kept[key] = weakref.ref(self, lambda _: _kept.pop(key, None)), kept


def gradient(t: Tensor) -> Tensor | None:
    """What `t.grad` reads: a leaf's own, or the one kept."""
    n = t.node
    if type(n) is Leaf:
        return n.grad
    here = kept(t)
    return None if here is None else here.grad


def kept(t: Tensor) -> Kept | None:
    entry = _kept.get(id(t)) if _kept else None
    return None if entry is None else entry[1]


def moved(t: Tensor, before: Any) -> None:
    """After a write: the gradient that a tensor keeps is that of its new version alone."""
    here = kept(t)
    if here is None:
        return
    if before is not None and before.op in (_HOOK, _HOOK_OF_VIEW):
        before.out.kept = _nowhere
    if t.node is not None:
        _hooks_of("retain_grad", t).kept = weakref.ref(here)
