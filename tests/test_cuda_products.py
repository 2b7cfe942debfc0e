"""Matrix products, linear layers and convolutions on the emulator, against NumPy and the references in
float64.
"""

import itertools

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named

from tensorflowlite_bp.backend import common, conv
from tensorflowlite_bp.backend.cuda import conv as cuda_conv
from tensorflowlite_bp.backend.cuda import products

host = hosts
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)
TURNS = list(itertools.product([False, True], repeat=2))


def drawn(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


def wide(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


@dtypes
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (5, 7, 3), (64, 16, 64), (65, 33, 70), (3, 700, 5), (4, 0, 5)]
)
@pytest.mark.parametrize(("ta", "tb"), TURNS)
def test_gemm(host, dtype, m, k, n, ta, tb):
    rng = np.random.default_rng(0)
    a = drawn(rng, dtype, 2, k, m).swapaxes(1, 2) if ta else drawn(rng, dtype, 2, m, k)
    b = drawn(rng, dtype, 1, n, k).swapaxes(1, 2) if tb else drawn(rng, dtype, 1, k, n)
    aw, bw = wide(a, b)
    want = np.matmul(aw, bw)
    close(products.gemm(host, a, b), want, 8)
    bias, old, aux = drawn(rng, dtype, n), drawn(rng, dtype, 2, m, n), drawn(rng, dtype, 2, m, n)
    out = products.gemm(host, a, b, bias=bias, out=old.copy(), alpha=0.5, beta=2.0, kind="relu")
    sums = 0.5 * want + 2 * wide(old)[0] + wide(bias)[0]
    close(out, np.maximum(sums, 0), 8)
    close(products.gemm(host, a, b, aux=aux, kind="times_relu"), want * (aux > 0), 8)


@dtypes
@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh"])
def test_gelu_around_a_product(host, dtype, kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    a, b, bias = drawn(rng, dtype, 1, 5, 9), drawn(rng, dtype, 1, 9, 6), drawn(rng, dtype, 6)
    pre = np.empty((1, 5, 6), dtype)
    out = products.gemm(host, a, b, bias=bias, kind=kind, aux=pre)
    aw, bw, cw = wide(a, b, bias)
    z = torch.tensor(aw @ bw + cw, requires_grad=True)
    want = torch.nn.functional.gelu(z, approximate="tanh" if kind == "gelu_tanh" else "none")
    close(out, want.detach().numpy(), 8)
    close(pre, z.detach().numpy(), 8)
    z = torch.tensor(wide(pre)[0], requires_grad=True)
    torch.nn.functional.gelu(z, approximate="tanh" if kind == "gelu_tanh" else "none").sum().backward()
    got = products.gemm(host, a, b, kind=f"times_{kind}", aux=pre)
    close(got, (aw @ bw) * z.grad.numpy(), 8)


@pytest.mark.parametrize(("ta", "tb"), TURNS)
def test_large_tiles(host, ta, tb):
    rng = np.random.default_rng(2)
    a = drawn(rng, np.float32, 20, 1025).T if ta else drawn(rng, np.float32, 1025, 20)
    b = drawn(rng, np.float32, 1030, 20).T if tb else drawn(rng, np.float32, 20, 1030)
    close(products.gemm(host, a[None], b[None])[0], wide(a)[0] @ wide(b)[0], 8)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 5)),
        ((0, 3, 4), (4, 5)),
        ((2, 3, 0), (2, 0, 5)), ((3, 0), (0, 5)),
    ],
)  # fmt: skip
def test_matmul(host, x, y):
    rng = np.random.default_rng(3)
    a, b = drawn(rng, np.float64, *x), drawn(rng, np.float64, *y)
    close(products.matmul(host, a, b), np.matmul(a, b))
    close(products.matmul(host, a[..., ::-1, :], b), np.matmul(a[..., ::-1, :], b))


@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (70, 33, 65), (600, 4, 9), (0, 3, 2)])
@pytest.mark.parametrize("relu", [False, True])
def test_linear(host, dtype, shape, relu):
    rows, ins, outs = shape
    rng = np.random.default_rng(4)
    x, w, b = drawn(rng, dtype, rows, ins), drawn(rng, dtype, ins, outs), drawn(rng, dtype, outs)
    out = products.linear(host, x, w, b, relu)
    close(out, common.linear(np, *wide(x, w, b), relu), 8)
    g, mask = drawn(rng, dtype, rows, outs), out if relu else None
    want = common.linear_backward(np, *wide(g, x, w, mask), (True, True, True))
    for got, wanted in zip(
        products.linear_backward(host, g, x, w, mask, (True, True, True)), want, strict=True
    ):
        close(got, wanted, 16)
    assert products.linear_backward(host, g, x, w, mask, (False, False, False)) == (None, None, None)


CONVS = [  # space, window, channels, filters, strides, pads, dilation, groups
    ((9,), (3,), 4, 5, (1,), ((1, 1),), (1,), 1),
    ((8, 7), (3, 2), 3, 70, (2, 1), ((1, 0), (0, 2)), (1, 2), 1),
    ((6, 6), (1, 1), 66, 4, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((7, 9), (3, 3), 6, 4, (3, 2), ((2, 1), (1, 1)), (2, 1), 2),
    ((5, 5), (3, 3), 6, 6, (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    ((7, 6), (3, 2), 35, 70, (2, 3), ((1, 2), (0, 1)), (1, 2), 35),
    ((4, 3, 5), (2, 1, 3), 3, 3, (1, 1, 2), ((0, 1), (0, 0), (-1, 3)), (2, 1, 1), 3),
    ((4, 5, 6), (2, 3, 2), 2, 3, (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 2), 1),
    ((30, 30), (3, 3), 2, 3, (1, 1), ((-1, 1), (1, -1)), (1, 1), 1),
]


@dtypes
@pytest.mark.parametrize("case", CONVS, ids=str)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_convolution(host, dtype, case, batch):
    space, window, channels, filters, *geometry = case
    groups = geometry[-1]
    rng = np.random.default_rng(5)
    x, w = drawn(rng, dtype, batch, *space, channels), drawn(rng, dtype, *window, channels // groups, filters)
    out = cuda_conv.forward(host, x, w, *geometry)
    xw, ww = wide(x, w)
    want = conv.forward(np, np.dot, xw, ww, *geometry)
    close(out, want, 8)
    b = drawn(rng, dtype, filters)
    for relu in (False, True):
        out = cuda_conv.forward(host, x, w, *geometry, bias=b if batch != 1 else None, relu=relu)
        sums = want + wide(b)[0] if batch != 1 else want
        close(out, np.maximum(sums, 0) if relu else sums, 8)
    g = drawn(rng, dtype, *out.shape)
    gw = wide(g)[0]
    got = cuda_conv.input_grad(host, g, w, x.shape, *geometry)
    close(got, conv.input_grad(np, np.dot, gw, ww, x.shape, *geometry), 8)
    got = cuda_conv.weight_grad(host, g, x, w.shape, *geometry)
    close(got, conv.weight_grad(np, np.dot, gw, xw, w.shape, *geometry), 16)
