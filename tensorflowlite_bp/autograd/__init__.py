"""The tape: tensors, ops, the engine and the transforms. Knows no mathematics."""

from . import engine, hooks
from .tensor import Tensor

Tensor.backward = engine.backward  # type: ignore[method-assign]
Tensor.register_hook = hooks.register_hook  # type: ignore[method-assign]
Tensor.register_post_accumulate_grad_hook = hooks.register_post_accumulate_grad_hook  # type: ignore[method-assign]
Tensor.retain_grad = hooks.retain_grad  # type: ignore[method-assign]
Tensor.retains_grad = property(lambda t: hooks.kept(t) is not None, doc="Whether retain_grad was called.")  # type: ignore[assignment]
Tensor.grad = Tensor.grad.getter(hooks.gradient)  # type: ignore[attr-defined]
