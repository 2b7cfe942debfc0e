"""The cases that arithmetic limits: matrix products, linear layers, attention, convolution."""

from tensorflowlite_bp.backend import common

from .cases import Work, case, pulled, size_of

PRODUCTS = [
    (8192, 8192, 8192, "bfloat16"),
    (4096, 4096, 4096, "float32"),
    (4096, 4096, 4096, "float16"),
    (512, 1024, 1024, "bfloat16"),
    (128, 784, 128, "float32"),
    (2048, 2048, 2048, "float64"),
]


def matmul(which):
    def make(lab, m, k, n, dtype):
        (x, tx), (w, tw), (g, tg) = [lab.normal(*s, dtype=dtype) for s in ((m, k), (k, n), (m, n))]
        a, b = {"forward": (x, w), "dX": (g, w.T), "dW": (x.T, g)}[which]
        ta, tb = (None, None)
        if lab.torch is not None:
            ta, tb = {"forward": (tx, tw), "dX": (tg, tw.T), "dW": (tx.T, tg)}[which]
        return Work(
            lambda: [lab.lib.matmul(a, b)],
            lambda wrap: lambda: [ta @ tb],
            lambda: [lab.cupy.matmul(a, b)],
            flops=2 * m * k * n,
        )

    return make


for _which in ("forward", "dX", "dW"):
    case(f"matrix product {_which}", PRODUCTS, (4, 5, 3, "float32"), torch=0.97)(matmul(_which))


def linear_backward(epilogues):
    def make(lab, m, k, n, dtype):
        shapes = ((m, k), (k, n), (n,), (m, n))
        (x, tx), (w, tw), (b, tb), (g, tg) = [lab.normal(*s, dtype=dtype) for s in shapes]
        out = lab.lib.linear(x, w, b, relu=True)
        args = (g, x, w, out, (True, True, True))
        f = lambda x, w, b: lab.torch.relu(lab.torch.addmm(b, x, w))

        def ours():
            lab.host.epilogues = epilogues
            try:
                return list(lab.lib.linear_backward(*args))
            finally:
                lab.host.epilogues = frozenset()

        return Work(
            ours,
            lambda wrap: pulled(lab.torch, wrap(f), [tx, tw, tb], tg, backward=True),
            lambda: list(common.linear_backward(lab.cupy, *args)),
            flops=4 * m * k * n,
        )

    return make


for _how, _epilogues in (("", frozenset()), (", summed by cublasLt", frozenset(["bgrad"]))):
    case(
        f"linear backward with ReLU's mask and bias gradient{_how}",
        PRODUCTS[:1] + PRODUCTS[3:5],
        (4, 5, 3, "float32"),
        torch=1.0,
        compiled=1.0,
        with_compile=True,
    )(linear_backward(_epilogues))


def attention(backward):
    def make(lab, heads, time, depth, dtype):
        arrays = [lab.normal(heads, time, depth, dtype=dtype) for _ in range(4)]
        (q, k, v, g), theirs = [a for a, _ in arrays], [t for _, t in arrays]
        how = {"mask": None, "causal": True, "scale": depth**-0.5}
        _, kept = lab.lib.attention_forward(q, k, v, **how)

        def f(q, k, v):
            run = lab.torch.nn.functional.scaled_dot_product_attention
            return run(q[None], k[None], v[None], is_causal=True)[0]

        torch = lambda wrap: pulled(lab.torch, wrap(f), theirs[:3], theirs[3], backward=backward)
        half = heads * time * time * depth
        if backward:
            ours = lambda: list(lab.lib.attention_backward(g, q, k, v, kept=kept, **how))
            return Work(ours, torch, flops=5 * half)
        return Work(lambda: [lab.lib.attention_forward(q, k, v, **how)[0]], torch, flops=2 * half)

    return make


HEADS = [(64, 2048, 64, "bfloat16"), (32, 1024, 128, "float32")]
case("attention forward, causal", HEADS, (2, 5, 4, "float32"))(attention(False))
case("attention backward, causal", HEADS, (2, 5, 4, "float32"))(attention(True))


def convolution(which, depthwise=False):
    def make(lab, batch, size, channels, filters, dtype):
        groups, inner = (channels, 1) if depthwise else (1, channels)
        shapes = ((batch, size, size, channels), (3, 3, inner, filters), (batch, size, size, filters))
        (x, tx), (w, tw), (g, tg) = [lab.normal(*s, dtype=dtype) for s in shapes]
        how = {"strides": (1, 1), "pads": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": groups}
        ours = {
            "forward": lambda: [lab.lib.conv_forward(x, w, **how)],
            "input gradient": lambda: [lab.lib.conv_input_grad(g, w, x_shape=x.shape, **how)],
            "weight gradient": lambda: [lab.lib.conv_weight_grad(g, x, w_shape=w.shape, **how)],
        }[which]

        def f(x, w):
            f = lab.torch.nn.functional.conv2d
            x, w = x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1)
            return f(x, w, padding=1, groups=groups).permute(0, 2, 3, 1)

        def torch(wrap):
            own, other = {"weight gradient": (tw, tx)}.get(which, (tx, tw))
            run = (lambda w: f(other, w)) if which == "weight gradient" else (lambda x: f(x, other))
            return pulled(lab.torch, wrap(run), [own], tg, backward=which != "forward")

        if depthwise:
            return Work(ours, torch, bytes=size_of(x, g))
        return Work(ours, torch, flops=2 * batch * size * size * 9 * channels * filters)

    return make


for _which in ("forward", "input gradient", "weight gradient"):
    case(
        f"convolution {_which}",
        [(64, 56, 64, 64, "float32"), (64, 28, 128, 128, "bfloat16")],
        (1, 4, 2, 3, "float32"),
    )(convolution(_which))
    case(f"depthwise convolution {_which}", [(64, 56, 128, 128, "float32")], (1, 4, 2, 2, "float32"))(
        convolution(_which, depthwise=True)
    )
