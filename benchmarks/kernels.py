"""Kernels, forward and backward, and Adam, through the public functions: ours, torch eager, and JAX jit.

    python -m benchmarks.kernels [--quick] [--threads 1] [--clock cpu] [--only conv]

Equal arrays in, and a sum of every gradient is compared before anything is timed. Convolution, pooling and
batch norm: channels last in all three (torch's memory format). The JSON also holds the least time of each
case at this core's limits: the FMA peak for products, else the copy bandwidth for the bytes that must move.
On a busy machine use one thread and --clock cpu.
"""

import dataclasses
import os

import numpy as np

from tensorflowlite_bp.profiling.ceilings import measure

from . import _common

FRAMEWORKS = ["ours", "torch", "jax"]


# ------------------------------------------------------------------ arrays: leaves, constants, cotangent
def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def arrays(kind, shape):
    """(leaves, constants, the shape of the result, or () for a loss)."""
    draw = np.random.default_rng(1)
    if kind == "cross_entropy":
        return [normal(*shape)], [draw.integers(0, shape[1], shape[0])], ()
    if kind in ("batch_norm", "layer_norm"):
        return [normal(*shape), normal(shape[-1], seed=1), normal(shape[-1], seed=2)], [], shape
    if kind in ("gelu", "silu", "softmax"):
        return [normal(*shape)], [], shape
    if kind == "embedding":
        rows, features, count = shape
        return [normal(rows, features)], [draw.integers(0, rows, count)], (count, features)
    if kind == "max_pool":
        batch, high, wide, channels = shape
        return [normal(*shape)], [], (batch, high // 2, wide // 2, channels)
    if kind == "conv":
        batch, high, wide, channels, filters = shape
        x, w, b = normal(*shape[:4]), normal(3, 3, channels, filters, seed=1), normal(filters, seed=2)
        return [x, w, b], [], (batch, high - 2, wide - 2, filters)
    if kind == "attention":
        return [normal(*shape, seed=i) for i in range(3)], [], shape
    m, k, n = shape
    leaves = [normal(m, k), normal(k, n, seed=1)]
    return (leaves, [], (m, n)) if kind == "matmul" else ([*leaves, normal(n, seed=2)], [], (m, n))


def flops(kind, shape):
    """Of forward and backward products; 0 for what memory limits."""
    if kind in ("matmul", "linear"):
        return 6 * shape[0] * shape[1] * shape[2]
    if kind == "conv":
        batch, high, wide, channels, filters = shape
        return 6 * batch * (high - 2) * (wide - 2) * 9 * channels * filters
    # seven products of the causal half of the square
    return 7 * shape[0] * shape[1] * shape[2] ** 2 * shape[3] if kind == "attention" else 0


def moved(kind, shape):
    """The least bytes that forward and backward must read and write."""
    size = 4 * int(np.prod(shape))
    if kind == "embedding":
        return 4 * shape[0] * shape[1] + 3 * 4 * shape[1] * shape[2]
    passes = {
        "cross_entropy": 2,
        "batch_norm": 8,
        "layer_norm": 5,
        "gelu": 5,
        "silu": 5,
        "softmax": 5,
        "max_pool": 2.5,
        "adam": 7,
    }
    return int(passes.get(kind, 0) * size)


# ------------------------------------------------------------------ the same function three times
def ours(kind, bp):
    nn = bp.nn
    return {
        "cross_entropy": nn.softmax_cross_entropy,
        "batch_norm": lambda x, w, b: nn.batch_norm(x, w, b, *_running(w.shape), training=True)[0],
        "layer_norm": nn.layer_norm,
        "gelu": nn.gelu,
        "silu": nn.silu,
        "softmax": nn.softmax,
        "embedding": lambda w, i: nn.embedding(i, w),
        "max_pool": lambda x: nn.max_pool(x, 2),
        "conv": nn.conv,
        "attention": lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=True),
        "matmul": bp.matmul,
        "linear": lambda x, w, b: nn.linear(x, w, b, activation="relu"),
    }[kind]


def _running(shape):
    return np.zeros(shape, np.float32), np.ones(shape, np.float32)


def theirs(kind, torch):
    f = torch.nn.functional
    last = lambda x: x.permute(0, *range(2, x.ndim), 1)
    first = lambda x: x.permute(0, -1, *range(1, x.ndim - 1))
    return {
        "cross_entropy": f.cross_entropy,
        "batch_norm": lambda x, w, b: last(f.batch_norm(first(x), None, None, w, b, training=True, eps=1e-3)),
        "layer_norm": lambda x, w, b: f.layer_norm(x, w.shape, w, b),
        "gelu": f.gelu,
        "silu": f.silu,
        "softmax": lambda x: f.softmax(x, -1),
        "embedding": lambda w, i: f.embedding(i, w),
        "max_pool": lambda x: last(f.max_pool2d(first(x), 2)),
        "conv": lambda x, w, b: last(f.conv2d(first(x), w.permute(3, 2, 0, 1), b)),
        "attention": lambda q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True),
        "matmul": torch.matmul,
        "linear": lambda x, w, b: torch.relu(x @ w + b),
    }[kind]


def jaxs(kind, jax):
    jnp, nn = jax.numpy, jax.nn

    def normalised(x, w, b, axes, eps):
        x = x - x.mean(axes, keepdims=True)
        return x / jnp.sqrt((x * x).mean(axes, keepdims=True) + eps) * w + b

    def attention(q, k, v):
        s = jnp.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(q.shape[-1])
        seen = np.tril(np.ones(s.shape[-2:], bool))
        return jnp.einsum("bhqk,bhkd->bhqd", nn.softmax(jnp.where(seen, s, -jnp.inf)), v)

    windows = (1, 2, 2, 1)
    how = {"window_strides": (1, 1), "padding": "VALID", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    return {
        "cross_entropy": lambda z, y: -jnp.take_along_axis(nn.log_softmax(z), y[:, None], 1).mean(),
        "batch_norm": lambda x, w, b: normalised(x, w, b, tuple(range(x.ndim - 1)), 1e-3),
        "layer_norm": lambda x, w, b: normalised(x, w, b, -1, 1e-5),
        "gelu": lambda x: nn.gelu(x, approximate=False),
        "silu": nn.silu,
        "softmax": nn.softmax,
        "embedding": lambda w, i: w[i],
        "max_pool": lambda x: jax.lax.reduce_window(x, -np.inf, jax.lax.max, windows, windows, "VALID"),
        "conv": lambda x, w, b: jax.lax.conv_general_dilated(x, w, **how) + b,
        "attention": attention,
        "matmul": jnp.matmul,
        "linear": lambda x, w, b: nn.relu(x @ w + b),
    }[kind]


# ------------------------------------------------------------------ steps
def taped(function, leaves, constants, g):
    """For ours and torch, whose tapes are used alike."""

    def grads():
        out = function(*leaves, *constants)
        out.backward() if g is None else out.backward(g)
        found = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return found

    return grads, lambda: [float(g.sum()) / g.shape[0] ** 0.5 / 1e3 for g in grads()]


def adam(framework, size):
    """One update of a parameter; torch's default, which is a loop of operations."""
    start, g = normal(size), normal(size, seed=1)
    if framework == "ours":
        import tensorflowlite_bp as bp

        p, g = bp.tensor(start, requires_grad=True), bp.tensor(g)
        optimizer = bp.optimizers.Adam(1e-3, epsilon=1e-8)
        step = lambda: optimizer.apply([g], [p])
    else:
        import torch

        torch.set_num_threads(_common.threads())
        p = torch.tensor(start, requires_grad=True)
        p.grad = torch.tensor(g)
        step = torch.optim.Adam([p], lr=1e-3, eps=1e-8).step

    def check():
        step()
        return [float(p.detach().sum()) / size**0.5]

    return step, check


def prepare(framework, kind, shape):
    if kind == "adam":
        return adam(framework, *shape)
    leaves, constants, result = arrays(kind, tuple(shape))
    g = normal(*result, seed=9) if result else None
    if framework == "ours":
        import tensorflowlite_bp as bp

        tensors = [bp.tensor(x, requires_grad=True) for x in leaves]
        return taped(ours(kind, bp), tensors, constants, None if g is None else bp.asarray(g))
    if framework == "torch":
        import torch

        torch.set_num_threads(_common.threads())
        tensors = [torch.tensor(x, requires_grad=True) for x in leaves]
        given = None if g is None else torch.tensor(g)
        return taped(theirs(kind, torch), tensors, [torch.tensor(c) for c in constants], given)
    if _common.threads() == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax

    function = jaxs(kind, jax)

    def both(leaves, g):
        out, pull = jax.vjp(lambda *x: function(*x, *constants), *leaves)
        return out, pull(jax.numpy.ones(()) if g is None else g)

    run = jax.jit(both)
    leaves = [jax.numpy.asarray(x) for x in leaves]
    step = lambda: jax.block_until_ready(run(leaves, g))
    return step, lambda: [float(i.sum()) / i.shape[0] ** 0.5 / 1e3 for i in step()[1]]


CASES = {
    "softmax cross-entropy 128 x 10": ("cross_entropy", (128, 10)),
    "softmax cross-entropy 1024 x 1000": ("cross_entropy", (1024, 1000)),
    "softmax cross-entropy 4096 x 32000": ("cross_entropy", (4096, 32000)),
    "batch norm 64 x 28 x 28 x 64": ("batch_norm", (64, 28, 28, 64)),
    "batch norm 32 x 14 x 14 x 256": ("batch_norm", (32, 14, 14, 256)),
    "batch norm 128 x 1024": ("batch_norm", (128, 1024)),
    "layer norm 4096 x 768": ("layer_norm", (4096, 768)),
    "GELU 4M": ("gelu", (2048, 2048)),
    "SiLU 4M": ("silu", (2048, 2048)),
    "softmax 1024 x 1000": ("softmax", (1024, 1000)),
    "embedding 1024 of 8192 x 256": ("embedding", (8192, 256, 1024)),
    "max pooling 64 x 24 x 24 x 64": ("max_pool", (64, 24, 24, 64)),
    "convolution 64 x 26 x 26 x 32 to 64": ("conv", (64, 26, 26, 32, 64)),
    "convolution 16 x 56 x 56 x 64 to 64": ("conv", (16, 56, 56, 64, 64)),
    "attention, causal, 4 x 8 x 128 x 64": ("attention", (4, 8, 128, 64)),
    "attention, causal, 1 x 8 x 1024 x 64": ("attention", (1, 8, 1024, 64)),
    "linear + relu 32 x 784 x 128": ("linear", (32, 784, 128)),
    "linear + relu 128 x 784 x 128": ("linear", (128, 784, 128)),
    "linear + relu 1024 x 784 x 128": ("linear", (1024, 784, 128)),
    "matrix product 512^3": ("matmul", (512, 512, 512)),
    "matrix product 1024 x 256 x 1024": ("matmul", (1024, 256, 1024)),
    "matrix product 2048^3": ("matmul", (2048, 2048, 2048)),
    "Adam, 10M": ("adam", (10_000_000,)),
}


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    if options.worker:
        _common.serve(options.worker, prepare)
        return
    frameworks = [f for f in FRAMEWORKS if f == "ours" or _common.versions(f)[f] != "absent"]
    cases = {name: {"kind": kind, "shape": shape} for name, (kind, shape) in CASES.items()}
    limits = measure(0.05 if options.quick else 1.0)
    extra = {
        "ceilings": dataclasses.asdict(limits),
        "least_seconds": {
            name: limits.least_seconds(flops(*case), moved(*case), itemsize=4, threads=1)
            for name, case in CASES.items()
        },
    }
    per = lambda case, framework: 1
    _common.run(
        "kernels",
        frameworks,
        cases,
        options,
        "torch",
        frameworks[1:],
        per,
        rounds=3,
        seconds=0.08,
        extra=extra,
        takes=lambda framework, case: case["kind"] != "adam" or framework != "jax",
    )


if __name__ == "__main__":
    main()
