"""What is measured: a kernel, its sizes, the least it must move or compute, and the same work by others.

A case makes its arrays and gives a `Work`. `ours` calls the backend's function, as the operations do; `cupy`
is the composition in CuPy's own functions that the kernel replaces; `torch(wrap)` prepares torch's, wrap
being identity or torch.compile. All return the arrays that are compared before anything is timed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tensorflowlite_bp.backend import activations, common, row_norms

MEAN = 1


@dataclass
class Work:
    """bytes: what must be read and written at least; flops: multiplications and additions, where these
    limit.
    """

    ours: Callable[[], list]
    torch: Callable[[Callable], Callable[[], list]] | None = None
    cupy: Callable[[], list] | None = None
    bytes: int = 0
    flops: int = 0
    others: dict[str, Callable[[], list]] = field(default_factory=dict)  # of torch's
    compared: bool = True
    kept: tuple = ()  # what an optimiser's table names by address, and does not keep alive


@dataclass(frozen=True)
class Case:
    """share: the part of the copy bandwidth, or of torch's rate, to reach; torch, compiled: how many
    times faster.
    """

    name: str
    make: Callable[..., Work]
    sizes: list[tuple]
    tiny: tuple
    share: float | None = None
    torch: float | None = None
    compiled: float | None = None
    with_compile: bool = False


CASES: list[Case] = []


def case(name: str, sizes: list[tuple], tiny: tuple, **how: Any) -> Callable:
    """Registers a function (lab, *size) -> Work; the first size is that of --quick and of torch.compile."""

    def register(make: Callable) -> Callable:
        CASES.append(Case(name, make, sizes, tiny, **how))
        return make

    return register


def size_of(*arrays: Any) -> int:
    return sum(a.nbytes for a in arrays)


def pulled(torch: Any, f: Callable, leaves: list, g: Any, *, backward: bool) -> Callable[[], list]:
    """The forward of f alone, or its backward alone."""
    leaves = [leaf.detach().requires_grad_(leaf.is_floating_point()) for leaf in leaves]
    if not backward:
        return lambda: [f(*leaves)]
    out, wanted = f(*leaves), [leaf for leaf in leaves if leaf.requires_grad]
    return lambda: list(torch.autograd.grad(out, wanted, g, retain_graph=True))


# ------------------------------------------------------------------ losses
@case(
    "softmax cross-entropy, forward and gradient",
    [
        (1024, 131072, "bfloat16"),
        (32768, 4096, "bfloat16"),
        (4096, 32768, "bfloat16"),
        (512, 262144, "bfloat16"),
        (4096, 32768, "float32"),
        (65536, 1000, "float32"),
    ],
    (3, 17, "float32"),
    share=3.85 / 4.3,
    torch=3.0,
    compiled=1.5,
    with_compile=True,
)
def cross_entropy(lab, rows, classes, dtype):
    z, tz = lab.normal(rows, classes, dtype=dtype)
    y, ty = lab.integers(classes, rows)
    how = (y, None, None, 0.0, MEAN, True)

    def torch(wrap):
        leaf = tz.detach().requires_grad_()
        f = wrap(lambda z: lab.torch.nn.functional.cross_entropy(z, ty))

        def step():
            loss = f(leaf)
            return [loss, *lab.torch.autograd.grad(loss, leaf)]

        return step

    return Work(
        lambda: list(lab.lib.softmax_cross_entropy(z, *how)),
        torch,
        lambda: list(common.softmax_cross_entropy(lab.cupy, z, *how)),
        bytes=2 * size_of(z),
    )


@case(
    "softmax",
    [(16384, 8192, "float32"), (2048, 131072, "bfloat16"), (65536, 1024, "float32")],
    (3, 17, "float32"),
    share=3.85 / 4.3,
)
def softmax(lab, rows, classes, dtype):
    x, tx = lab.normal(rows, classes, dtype=dtype)
    return Work(
        lambda: [lab.lib.softmax(x, axis=-1)],
        lambda wrap: pulled(lab.torch, wrap(lambda x: x.softmax(-1)), [tx], None, backward=False),
        lambda: [common.softmax(lab.cupy, x, -1)],
        bytes=2 * size_of(x),
    )


# ------------------------------------------------------------------ normalisation
def batch_norm(backward, axis):
    def make(lab, *shape):
        shape = shape if axis == -1 else (shape[0], shape[-1], *shape[1:-1])
        (x, tx), (g, tg) = lab.normal(*shape), lab.normal(*shape)
        (w, tw), (b, tb) = lab.normal(shape[axis]), lab.normal(shape[axis])
        order = (0, 3, 1, 2) if axis == -1 else (0, 1, 2, 3)
        inverse = (0, 2, 3, 1) if axis == -1 else (0, 1, 2, 3)

        def f(x, w, b):
            f = lab.torch.nn.functional.batch_norm
            return f(x.permute(order), None, None, w, b, training=True, eps=1e-3).permute(inverse)

        how = {"eps": 1e-3, "axis": axis}
        _, mean, _, inv_std, _ = lab.lib.batch_norm(x, w, b, **how)
        torch = lambda wrap: pulled(lab.torch, wrap(f), [tx, tw, tb], tg, backward=backward)
        if backward:
            return Work(
                lambda: list(lab.lib.batch_norm_backward(g, x, w, b, mean, inv_std, axis=axis)),
                torch,
                lambda: list(common.batch_norm_backward(lab.cupy, g, x, w, mean, inv_std, axis)),
                bytes=5 * size_of(x),
            )
        return Work(
            lambda: [lab.lib.batch_norm(x, w, b, **how)[0]],
            torch,
            lambda: [common.batch_norm(lab.cupy, x, w, b, 1e-3, axis)[0]],
            bytes=3 * size_of(x),
        )

    return make


BATCHES = [(64, 56, 56, 256), (128, 28, 28, 128), (32, 112, 112, 64)]
for _axis, _where in ((-1, "channels last"), (1, "channels first")):
    for _back in (True, False):
        _how = {"share": 3.65 / 4.3, "torch": 1.3 if _axis == -1 else 2.0, "compiled": 1.2} if _back else {}
        case(
            f"batch norm {'backward' if _back else 'forward'}, {_where}",
            BATCHES,
            (2, 3, 3, 4),
            with_compile=_back,
            **_how,
        )(batch_norm(_back, _axis))


def row_norm(backward, centred):
    def make(lab, rows, features, dtype):
        (x, tx), (g, tg) = [lab.normal(rows, features, dtype=dtype) for _ in range(2)]
        (w, tw), (b, tb) = [lab.normal(features, dtype=dtype) for _ in range(2)]
        b = b if centred else None
        how = {"eps": 1e-5, "axes": 1, "centred": centred}
        _, mean, inv_std = lab.lib.row_norm(x, w, b, **how)

        def torch(wrap):
            f = lab.torch.nn.functional
            run = (
                (lambda x, w, b: f.layer_norm(x, (features,), w, b))
                if centred
                else (lambda x, w: f.rms_norm(x, (features,), w, 1e-5))
            )
            leaves = [tx, tw, tb] if centred else [tx, tw]
            return pulled(lab.torch, wrap(run), leaves, tg, backward=backward)

        back = (g, x, w, mean, inv_std)
        grads = 3 if centred else 2
        if backward:
            return Work(
                lambda: list(lab.lib.row_norm_backward(*back, axes=1))[:grads],
                torch,
                lambda: list(row_norms.row_norm_backward(lab.cupy, *back, axes=1))[:grads],
                bytes=3 * size_of(x),
            )
        return Work(
            lambda: [lab.lib.row_norm(x, w, b, **how)[0]],
            torch,
            lambda: [row_norms.row_norm(lab.cupy, x, w, b, **how)[0]],
            bytes=2 * size_of(x),
        )

    return make


ROWS = [(16384, 4096, "float32"), (16384, 8192, "bfloat16"), (65536, 768, "float32")]
for _centred, _kind in ((True, "layer norm"), (False, "RMS norm")):
    case(
        f"{_kind} forward",
        ROWS,
        (3, 17, "float32"),
        share=3.85 / 4.3,
        torch=1.5,
        compiled=1.0,
        with_compile=_centred,
    )(row_norm(False, _centred))
    case(
        f"{_kind} backward",
        ROWS,
        (3, 17, "float32"),
        share=3.2 / 4.3,
        torch=2.0,
        compiled=1.3,
        with_compile=_centred,
    )(row_norm(True, _centred))


@case(
    "column sums (bias gradient)",
    [(65536, 1024, "float32"), (32768, 4096, "bfloat16")],
    (9, 5, "float32"),
    share=3.6 / 4.3,
    torch=1.2,
)
def column_sums(lab, rows, features, dtype):
    from tensorflowlite_bp.backend.cuda import norms

    x, tx = lab.normal(rows, features, dtype=dtype)
    return Work(
        lambda: [norms.column_sums(lab.host, x)],
        lambda wrap: lambda: [tx.sum(0)],
        lambda: [x.sum(0)],
        bytes=size_of(x),
    )


# ------------------------------------------------------------------ optimisers
def gpt2(layers, width, words):
    """Shapes of GPT-2's parameters: 148 arrays, 124 million numbers for (12, 768, 50257)."""
    block = [(width, 3 * width), (3 * width,), (width, width), (width,), (width, 4 * width), (4 * width,)]
    block += [(4 * width, width), *[(width,)] * 5]
    return [(words, width), (1024, width), *layers * block, (width,), (width,)]


@case("AdamW, all parameters of GPT-2", [(12, 768, 50257)], (1, 4, 5), share=3.85 / 4.3, torch=1.0)
def adamw(lab, *model):
    from tensorflowlite_bp.backend.cuda import optimizers

    shapes = gpt2(*model)
    params = [lab.normal(*s) for s in shapes]
    grads, means = [[lab.normal(*s)[0] for s in shapes] for _ in range(2)]
    squares = [abs(lab.normal(*s)[0]) for s in shapes]
    ours = [p.copy() for p, _ in params]
    table = optimizers.Table(lab.host, ours, grads, [means, squares])
    hyper = lab.host.empty((3,), lab.cupy.float64)
    optimizers.begin(lab.host, hyper, 1e-3, 3, 1.0)
    work = Work(
        lambda: optimizers.adam(table, hyper, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01) or [],
        bytes=7 * sum(size_of(g) for g in grads),
        compared=False,  # tests/test_cuda_optimizers.py: states differ in what they are called
        kept=(ours, grads, means, squares),
    )
    if lab.torch is not None:
        leaves = [p.detach().clone().requires_grad_() for _, p in params]
        for leaf, g in zip(leaves, grads, strict=True):
            leaf.grad = lab.tensor(g)
        fused = lab.torch.optim.AdamW(leaves, 1e-3, fused=True)
        work.torch = lambda wrap: lambda: fused.step() or []
        each = lab.torch.optim.AdamW(
            [p.detach().clone().requires_grad_() for p in leaves], 1e-3, foreach=True
        )
        for leaf, g in zip(each.param_groups[0]["params"], grads, strict=True):
            leaf.grad = lab.tensor(g)
        work.others["torch foreach"] = lambda: each.step() or []
    public = [lab.bp.layers.Variable(p) for p in ours]
    for leaf, g in zip(public, grads, strict=True):
        leaf.grad = lab.bp.tensor(g)
    optimizer = lab.bp.optimizers.AdamW(1e-3)
    optimizer.build(public)
    work.others["ours, optimizers.AdamW"] = lambda: optimizer.step() or []
    return work


@case("norm of all gradients of GPT-2", [(12, 768, 50257)], (1, 4, 5), share=3.6 / 4.3)
def gradient_norm(lab, *model):
    from tensorflowlite_bp.backend.cuda import optimizers

    grads = [lab.normal(*s) for s in gpt2(*model)]
    table = optimizers.Table(lab.host, [g for g, _ in grads], [g for g, _ in grads])
    theirs = [t for _, t in grads]
    norm = lambda: [
        lab.torch.linalg.vector_norm(lab.torch.stack(lab.torch._foreach_norm(theirs))).double() ** 2
    ]
    return Work(
        lambda: [optimizers.norm(table)[0]],
        lambda wrap: norm,
        lambda: [sum((g * g).sum() for g, _ in grads)],
        bytes=sum(size_of(g) for g, _ in grads),
        kept=(grads,),
    )


# ------------------------------------------------------------------ elementwise, look-ups, pooling
def gelu(backward):
    def make(lab, n, dtype):
        (x, tx), (g, tg) = [lab.normal(n, dtype=dtype) for _ in range(2)]
        torch = lambda wrap: pulled(
            lab.torch, wrap(lab.torch.nn.functional.gelu), [tx], tg, backward=backward
        )
        if backward:
            return Work(
                lambda: [lab.lib.gelu_backward(g, x, approximate=False)],
                torch,
                lambda: [activations.gelu_backward(lab.lib, g, x, approximate=False)],
                bytes=3 * size_of(x),
            )
        return Work(
            lambda: [lab.lib.gelu(x, approximate=False)],
            torch,
            lambda: [activations.gelu(lab.lib, x, approximate=False)],
            bytes=2 * size_of(x),
        )

    return make


FLAT = [(1 << 27, "bfloat16"), (1 << 26, "float32"), (1 << 22, "float32")]
case("GELU forward", FLAT, (33, "float32"), share=0.9)(gelu(False))
case("GELU backward", FLAT, (33, "float32"), share=0.9)(gelu(True))


@case("dropout", FLAT, (33, "float32"), share=0.9)
def dropout(lab, n, dtype):
    from tensorflowlite_bp.backend.cuda import random

    x, tx = lab.normal(n, dtype=dtype)
    return Work(
        lambda: [random.dropout(lab.host, x, 0.1, seed=1, offset=0)],
        lambda wrap: lambda: [lab.torch.nn.functional.dropout(tx, 0.1)],
        bytes=2 * size_of(x),
        compared=False,  # other random numbers; ours are the CPU's, bit for bit, in the tests
    )


@case("embedding gradient", [(50257, 768, 32768), (8192, 256, 65536)], (7, 3, 11))
def embedding(lab, rows, features, n):
    (g, tg), (i, ti) = lab.normal(n, features), lab.integers(rows, n)
    torch = lambda wrap: pulled(
        lab.torch,
        wrap(lambda w: lab.torch.nn.functional.embedding(ti, w)),
        [lab.torch.zeros((rows, features), device=tg.device)],
        tg,
        backward=True,
    )
    return Work(
        lambda: [lab.lib.scatter_add(g, index=i, shape=(rows, features))],
        torch,
        bytes=size_of(g) + 4 * rows * features,
    )


def max_pool(backward):
    def make(lab, *shape):
        x, tx = lab.normal(*shape)
        how = {"window": (2, 2), "strides": (2, 2), "pads": ((0, 0), (0, 0))}
        out, index = lab.lib.max_pool_forward(x, **how)
        g, tg = lab.normal(*out.shape)
        pool = lambda x: lab.torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        torch = lambda wrap: pulled(lab.torch, wrap(pool), [tx], tg, backward=backward)
        if backward:
            return Work(
                lambda: [lab.lib.max_pool_input_grad(g, index=index, x_shape=x.shape, **how)],
                torch,
                bytes=size_of(x, g, index),
            )
        return Work(lambda: [lab.lib.max_pool_forward(x, **how)[0]], torch, bytes=size_of(x, out, index))

    return make


POOLS = [(64, 112, 112, 64), (32, 28, 28, 256)]
case("max pooling forward", POOLS, (2, 4, 4, 3))(max_pool(False))
case("max pooling backward", POOLS, (2, 4, 4, 3))(max_pool(True))
