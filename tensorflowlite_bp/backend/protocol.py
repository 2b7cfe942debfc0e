"""What an array library must offer: every function an op's forward, or a rule on raw arrays, may call.

Names and semantics are NumPy's unless a docstring says more. Common to all of them:

- arrays in, arrays out, on one device; nothing here knows of Tensors, nothing copies between host and device;
- `axis` is None, an int or a tuple of ints; `keepdims` a bool; both are passed by keyword;
- sums and means of 16-bit floats accumulate in float32, and the result has the input's dtype;
- results are deterministic: the same bits for the same input, whatever the number of threads.

A backend is a module, so that its attributes can *be* the library's own functions: `multiply =
numpy.multiply` costs nothing. `tests/test_backend.py` checks that every name below is there, and that
nothing else is used.
"""

from typing import Any, Protocol

from .._typing import Array, Axis, Shape

# Functions taken from the library under NumPy's name and with NumPy's meaning.
ELEMENTWISE = (
    "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil conjugate cos cosh "
    "deg2rad divide exp exp2 expm1 floor floor_divide fmod hypot log log10 log1p log2 logaddexp "
    "logaddexp2 maximum minimum multiply negative positive power rad2deg reciprocal remainder rint sign "
    "sin sinh sqrt square subtract tan tanh trunc fmax fmin copysign nextafter fabs "
    "heaviside"
).split()
PREDICATES = (
    "equal not_equal less less_equal greater greater_equal isfinite isinf isnan logical_and logical_or "
    "logical_not logical_xor signbit"
).split()
OTHER = (
    "array asarray arange zeros ones full empty eye zeros_like ones_like full_like empty_like where "
    "concatenate stack broadcast_to reshape transpose swapaxes moveaxis expand_dims squeeze flip roll tile "
    "repeat pad take take_along_axis argsort argmax argmin matmul dot tensordot cumsum any all tril triu "
    "clip ldexp real imag result_type copyto cumprod searchsorted linspace count_nonzero"
).split()

# The forward of the op of that name in ops/, with its parameters as keywords.
OPS = (
    "copy argsort_stable take_along einsum_labelled var norm2 logsumexp erf sigmoid softplus log_sigmoid "
    "convolve i0 sinc"
).split()

# Activations and derivatives: `activations.py` has the compositions, which a backend may bind as they are.
ACTIVATIONS = (
    "relu_backward tanh_backward sigmoid_backward softplus_backward log_sigmoid_backward silu silu_backward "
    "gelu gelu_backward mish mish_backward erf_backward softmax_backward log_softmax_backward"
).split()

# Fused: a compiled kernel where one fits, else a composition. Arguments as in `numpy_backend`.
FUSED = (
    "softmax log_softmax linear linear_backward softmax_cross_entropy sigmoid_cross_entropy batch_norm "
    "batch_norm_backward row_norm row_norm_backward group_norm group_norm_backward conv "
    "conv_backward conv_forward conv_input_grad conv_weight_grad max_pool_forward max_pool_gather "
    "max_pool_input_grad "
    "avg_pool_forward avg_pool_input_grad attention_forward attention_backward "
    "linear_softmax_cross_entropy linear_softmax_cross_entropy_backward ctc_loss "
    "recurrent_forward recurrent_backward"
).split()


class Backend(Protocol):
    """The functions whose meaning NumPy does not fix, or that NumPy lacks."""

    name: str  # "numpy" | "cupy"
    ndarray: type
    fft: Any  # the library's modules of these names; an op "fft.rfft" runs fft.rfft
    linalg: Any
    special: Any  # scipy.special, cupyx.scipy.special: imported when asked for

    def scipy(self, path: str) -> Any:
        """The module scipy.<path>, or its counterpart. Raises ImportError with the pip line."""
        ...

    # dtype: of a sum of integers, where not the library's choice
    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array: ...
    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def max(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def min(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def prod(self, x: Array, *, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array: ...

    def sum_to(self, x: Array, *, shape: Shape) -> Array:
        """Sum over the axes along which `shape` was broadcast to `x.shape`: the transpose of broadcast_to."""
        ...

    def astype(self, x: Array, *, dtype: Any) -> Array:
        """Convert; from complex to real the real part is taken, without a warning."""
        ...

    def getitem(self, x: Array, *, index: Any) -> Array:
        """x[index]: a view for a basic index, a copy for an advanced one."""
        ...

    def add_product(self, out: Array, a: Array, b: Array) -> None:
        """out += a @ b, of matrices; a may be a transposed view."""
        ...

    def take_rows(self, arrays: list[Array], index: Array) -> list[Array]:
        """[a[index] for a in arrays], for an array of integers that are not negative."""
        ...

    def setitem(self, x: Array, value: Array, *, index: Any) -> Array:
        """A copy of x with x[index] = value."""
        ...

    def scatter_add(self, x: Array, *, index: Any, shape: Shape) -> Array:
        """zeros(shape) with x added at index; repeated indices add up, in their order (deterministic)."""
        ...

    def put_along_axis(self, x: Array, *, indices: Array, axis: int, shape: Shape) -> Array:
        """zeros(shape) with x added at indices along axis: the transpose of take_along_axis."""
        ...

    def device(self, x: Array) -> str:
        """ "cpu", "cuda:0", ..."""
        ...

    # Fused operations: a compiled kernel where one fits, else a composition. See the function of the same
    # name in ops/. scale, and Adam's step, may be 0-d float64 arrays on a device; a scale of 0 there skips
    # the step.
    def sgd_step(self, params, grads, velocities, lr, momentum, nesterov, weight_decay, scale) -> None: ...
    def adam_step(
        self, params, grads, ms, vs, lr, beta1, beta2, eps, step, weight_decay, scale, vhats
    ) -> None: ...
    def rmsprop_step(
        self, params, grads, squares, means, velocities, lr, rho, momentum, eps, weight_decay, scale
    ) -> None: ...
    def lion_step(self, params, grads, ms, lr, beta1, beta2, weight_decay, scale) -> None: ...
    # Random numbers (draws.py): seed and offset are the place in a Philox stream, the same on every backend.
    def philox(self, n: int, *, seed: int, offset: int) -> Array: ...
    def uniform(self, shape: Shape, dtype: Any, *, seed: int, offset: int) -> Array: ...
    def normal(
        self, shape: Shape, dtype: Any, *, mean: float, std: float, seed: int, offset: int
    ) -> Array: ...
    def keep_mask(self, shape: Shape, rate: float, dtype: Any, *, seed: int, offset: int) -> Array: ...
    def dropped(self, x: Array, *, rate: float, seed: int, offset: int) -> Array: ...

    def sum_of_squares(self, arrays: list[Array]) -> Any:
        """Of all elements, in float64: a float, or a 0-d array on a device that is not waited for."""
        ...
