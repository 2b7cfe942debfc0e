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
def multiply_adds(rounds: int, float64: bool) -> int: ...

API: int  # counts up when what is bound changes

# ---------------------------------------------------------------- allocator
class _AllocatorStats(TypedDict):
    installed: bool
    hits: int
    misses: int
    cached_bytes: int
    live_bytes: int
    peak_bytes: int
    cap_bytes: int
    trims: int
    classes: list[tuple[int, int, int, int]]  # bytes of a block, blocks kept, hits, misses

def install_allocator(cap_bytes: int | None = None) -> None: ...
def uninstall_allocator() -> None: ...
def trim_allocator() -> int: ...
def allocator_stats() -> _AllocatorStats: ...
def make_room(bytes: int) -> int: ...
def memory_available() -> int: ...
def live_bytes() -> int: ...
def reset_peak(to: int = 0) -> int: ...

# ------------------------------------------------------------------- losses
def softmax_cross_entropy(
    logits: _Array,
    labels: _Array,
    weight: _Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: int,
    want_grad: bool,
    in_place: bool = False,
) -> tuple[_Array, _Array | None] | None:
    """Loss and d loss / d logits, in_place written over the logits. reduction: 0 none, 1 mean, 2 sum.
    ValueError for a label out of range.
    """

def sigmoid_cross_entropy(
    logits: _Array, labels: _Array, want_grad: bool
) -> tuple[_Array, _Array | None] | None:
    """Elementwise loss and gradient."""

def softmax(x: _Array, log: bool) -> _Array | None: ...
def softmax_backward(g: _Array, out: _Array, log: bool) -> _Array | None: ...

# ------------------------------------------------------------ normalisation
def batch_norm_forward(
    x: _Array, weight: _Array | None, bias: _Array | None, eps: float, axis: int, relu: bool = False
) -> tuple[object, ...] | None:
    """out, mean, var (biased), inv_std; with relu (scale, offset) as well. None for an empty x as well."""

def batch_norm_backward(
    g: _Array,
    x: _Array,
    weight: _Array | None,
    mean: _Array,
    inv_std: _Array,
    axis: int,
    relu: tuple[_Array, _Array] | None = None,
) -> tuple[_Array, _Array, _Array] | None:
    """dx, dweight, dbias. relu: the (scale, offset) that the forward gave when it applied ReLU."""

def row_norm_forward(
    x: _Array, weight: _Array | None, bias: _Array | None, eps: float, features: int, centred: bool
) -> tuple[_Array, _Array | None, _Array] | None:
    """Rows of the last `features` elements: out, mean (None unless centred), inv_std."""

def row_norm_backward(
    g: _Array, x: _Array, weight: _Array | None, mean: _Array | None, inv_std: _Array
) -> tuple[_Array, _Array | None, _Array | None] | None:
    """dx, dweight, dbias; the last two None without a weight."""

def group_norm_forward(
    x: _Array, weight: _Array | None, bias: _Array | None, eps: float, groups: int
) -> tuple[_Array, _Array, _Array] | None:
    """x (batch, *space, channels): out, mean and inv_std (batch, groups)."""

def group_norm_backward(
    g: _Array, x: _Array, weight: _Array | None, mean: _Array, inv_std: _Array, groups: int
) -> tuple[_Array, _Array, _Array] | None:
    """dx, dweight, dbias."""

# -------------------------------------------------------------- activations
ACTIVATIONS: tuple[str, ...]  # kind is a position in it

def activation(kind: int, x: _Array) -> _Array | None: ...
def activation_backward(kind: int, g: _Array, kept: _Array) -> _Array | None:
    """kept: the result of relu, tanh and sigmoid, else x."""

# ----------------------------------------------------- pooling, rows of a table
_Ints = tuple[int, ...]
_Pairs = tuple[tuple[int, int], ...]

def max_pool_forward(
    x: _Array, window: _Ints, strides: _Ints, pads: _Pairs, want_index: bool
) -> tuple[_Array, NDArray[np.uint8] | None] | None: ...
def avg_pool_forward(x: _Array, window: _Ints, strides: _Ints, pads: _Pairs) -> _Array | None: ...
def pool_input_grad(
    g: _Array, index: _Array | None, x_shape: _Ints, window: _Ints, strides: _Ints, pads: _Pairs
) -> _Array | None:
    """index None: the mean's."""

def scatter_rows(x: _Array, index: _Array, shape: _Ints) -> _Array | None:
    """zeros(shape) with x added at the rows that index names, in its order."""

# --------------------------------------------------- convolution, attention
def conv_forward(
    x: _Array, w: _Array, b: _Array | None, relu: bool, strides: _Ints, pads: _Pairs, dilation: _Ints
) -> _Array | None: ...
def conv_backward(
    g: _Array,
    x: _Array,
    w: _Array | _Ints,
    out: _Array | None,
    need_dx: bool,
    need_dw: bool,
    need_db: bool,
    strides: _Ints,
    pads: _Pairs,
    dilation: _Ints,
) -> tuple[_Array | None, _Array | None, _Array | None] | None: ...
def attention_forward(
    q: _Array, k: _Array, v: _Array, mask: _Array | None, causal: bool, scale: float
) -> tuple[_Array, _Array] | None:
    """(batch, heads, rows, width), and each row's logsumexp. The last axis is dense, the others of any
    strides; mask bool or of q's dtype, its axes whole or of length 1.
    """

def attention_backward(
    g: _Array,
    q: _Array,
    k: _Array,
    v: _Array,
    mask: _Array | None,
    out: _Array,
    lse: _Array,
    causal: bool,
    scale: float,
) -> tuple[_Array, _Array, _Array] | None: ...

# ------------------------------------------------------- recurrent layers
RECURRENTS: tuple[str, ...]  # kind is a position in it; gru has its reset gate after the product
_Kept = tuple[_Array, _Array, _Array | None]  # gates, h and c (LSTM only) of all steps, steps first

def recurrent_forward(
    kind: int,
    x: _Array,
    h0: _Array,
    c0: _Array | None,
    w: _Array,
    u: _Array,
    b: _Array | None,
    mask: NDArray[np.bool_] | None,
    reverse: bool,
    sequences: bool,
    keeps: bool,
) -> tuple[_Array | None, _Array, _Array | None, _Kept | None] | None:
    """x (batch, steps, features): the outputs, if `sequences`; the last h and c; what backward needs."""

def recurrent_backward(
    kind: int,
    g_out: _Array | None,
    g_h: _Array | None,
    g_c: _Array | None,
    x: _Array,
    w: _Array,
    u: _Array,
    mask: NDArray[np.bool_] | None,
    reverse: bool,
    gates: _Array,
    hs: _Array,
    cs: _Array | None,
    needs: tuple[bool, ...],
) -> tuple[_Array | None, ...] | None:
    """The gradients of x, h0, c0, w, u and b, where needed."""

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

def rmsprop_step(
    params: _Arrays,
    grads: _Arrays,
    squares: _Arrays,
    means: _Arrays | None,
    velocities: _Arrays | None,
    lr: float,
    rho: float,
    momentum: float,
    eps: float,
    weight_decay: float,
    scale: float,
) -> bool | None: ...
def lion_step(
    params: _Arrays,
    grads: _Arrays,
    ms: _Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    scale: float,
) -> bool | None: ...
def sum_of_squares(arrays: _Arrays) -> float | None: ...

# ------------------------------------------------------------------- random
def philox(n: int, seed: int, offset: int) -> NDArray[np.uint32]:
    """n words of Philox4x32-10: word i is word i % 4 of block offset + i // 4, the key is the seed."""

def philox_uniform(n: int, seed: int, offset: int, dtype: Any) -> _Array | None:
    """[0, 1). float32: (w >> 8) / 2^24; float64: ((w0 >> 5) * 2^26 + (w1 >> 6)) / 2^53, from two words."""

def dropped(x: _Array, threshold: int, scale: float, seed: int, offset: int) -> _Array | None:
    """x scale where its word is threshold or more, else 0."""

# ------------------------------------------------------------------- linear
def gemm(a: _Array, b: _Array, out: _Array | None = None, add: bool = False) -> _Array | None:
    """a @ b, or out = a @ b, or out += a @ b, of stacks of matrices whose rows or columns have no gaps."""

def gemm_choice(blas: str) -> str: ...
def linear(*args: Any, **kwargs: Any) -> _Array | None: ...
def linear_backward(*args: Any, **kwargs: Any) -> tuple[_Array | None, ...] | None: ...
