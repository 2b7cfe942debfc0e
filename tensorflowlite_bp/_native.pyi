"""Compiled kernels. A function that gives None was not made for its input: the caller runs the reference.

Not made for it: another dtype than float32 and float64, not C-contiguous, misaligned, foreign byte order, a
subclass of ndarray, shapes that do not fit. Nothing is copied silently. Results do not depend on the number
of threads.
"""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[Any]
_Arrays = list[_Array] | tuple[_Array, ...]

# ------------------------------------------------------------------ runtime
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def build_info() -> dict[str, str]: ...

# ---------------------------------------------------------------- allocator
class _AllocatorStats(TypedDict):
    installed: bool
    hits: int
    misses: int
    cached_bytes: int
    live_bytes: int
    peak_bytes: int
    cap_bytes: int

def install_allocator(cap_bytes: int | None = None) -> None: ...
def uninstall_allocator() -> None: ...
def trim_allocator() -> int: ...
def allocator_stats() -> _AllocatorStats: ...
def reset_peak() -> None: ...

# ------------------------------------------------------------------- losses
def softmax_cross_entropy(
    logits: _Array,
    labels: _Array,
    weight: _Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: int,
    want_grad: bool,
) -> tuple[_Array, _Array | None] | None:
    """Loss and d loss / d logits. reduction: 0 none, 1 mean, 2 sum. ValueError for a label out of range."""

def sigmoid_cross_entropy(
    logits: _Array, labels: _Array, want_grad: bool
) -> tuple[_Array, _Array | None] | None:
    """Elementwise loss and gradient."""

def softmax(x: _Array, log: bool) -> _Array | None: ...
def softmax_backward(g: _Array, out: _Array, log: bool) -> _Array | None: ...

# ------------------------------------------------------------ normalisation
def batch_norm_forward(
    x: _Array, weight: _Array | None, bias: _Array | None, eps: float, axis: int
) -> tuple[_Array, _Array, _Array, _Array] | None:
    """out, mean, var (biased), inv_std. None for an empty x as well."""

def batch_norm_backward(
    g: _Array, x: _Array, weight: _Array | None, mean: _Array, inv_std: _Array, axis: int
) -> tuple[_Array, _Array, _Array] | None:
    """dx, dweight, dbias."""

# --------------------------------------------------------------- optimisers
def sgd_step(
    params: _Arrays,
    grads: _Arrays,
    velocities: _Arrays | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    scale: float,
) -> bool | None:
    """In place. True when all was done, None with nothing touched if any array is unsuitable."""

def adam_step(
    params: _Arrays,
    grads: _Arrays,
    ms: _Arrays,
    vs: _Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    step: int,
    weight_decay: float,
    scale: float,
    vhats: _Arrays | None,
) -> bool | None:
    """In place. `step` counts from 1."""

def sum_of_squares(arrays: _Arrays) -> float | None: ...

# ------------------------------------------------------------------- random
def philox(n: int, seed: int, offset: int) -> NDArray[np.uint32]:
    """n words of Philox4x32-10: word i is word i % 4 of block offset + i // 4, the key is the seed."""

def philox_uniform(n: int, seed: int, offset: int, dtype: Any) -> _Array | None:
    """[0, 1). float32: (w >> 8) / 2^24; float64: ((w0 >> 5) * 2^26 + (w1 >> 6)) / 2^53, from two words."""

# ------------------------------------------------------------------- linear
def gemm(*args: Any, **kwargs: Any) -> _Array | None: ...
def gemm_choice() -> str: ...
def linear(*args: Any, **kwargs: Any) -> _Array | None: ...
def linear_backward(*args: Any, **kwargs: Any) -> tuple[_Array | None, ...] | None: ...
