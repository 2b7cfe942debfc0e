"""Convolution without patches: the kernels against the composition in float64, on every instruction set."""

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import conv, numpy_backend
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

HOW = (1, 1), ((0, 0), (0, 0)), (1, 1)

# (x, window, filters, strides, pads, dilation)
CASES = [
    ((2, 9, 8, 16), (3, 3), 24, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 7, 30, 5), (3, 3), 7, (1, 1), ((1, 1), (2, 0)), (1, 1)),
    ((3, 8, 9, 13), (2, 4), 33, (2, 3), ((0, 1), (1, 1)), (1, 1)),
    ((2, 10, 11, 12), (3, 2), 65, (1, 1), ((0, 0), (0, 0)), (2, 3)),
    ((2, 6, 5, 40), (1, 1), 17, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 6, 6, 64), (3, 3), 100, (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((4, 33, 15), (4,), 20, (2,), ((3, 0),), (1,)),
    ((1, 4, 5, 6, 12), (2, 3, 2), 9, (1, 2, 1), ((0, 0), (1, 1), (0, 1)), (1, 1, 2)),
    ((1, 3, 3, 300), (3, 3), 2, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((9, 12, 12, 32), (3, 3), 64, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((3, 6, 6, 1), (3, 3), 6, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 7, 7, 3), (5, 5), 1, (1, 1), ((4, 4), (4, 0)), (1, 1)),
    ((2, 9, 1), (3,), 18, (1,), ((2, 2),), (2,)),
    ((2, 1, 1, 3), (1, 1), 5, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 3, 40, 700), (3, 3), 36, (1, 1), ((0, 0), (0, 0)), (1, 1)),  # a window deeper than the cache's share
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "filters", "strides", "pads", "dilation"), CASES)
def test_against_the_composition(isa, threads, dtype, shape, window, filters, strides, pads, dilation):
    r = np.random.default_rng(1)
    how = (strides, pads, dilation)
    x, w = (
        r.integers(-4, 5, shape).astype(dtype),
        r.integers(-4, 5, (*window, shape[-1], filters)).astype(dtype),
    )
    want = conv.forward(np, np.dot, x, w, *how, 1)
    g = r.integers(-4, 5, want.shape).astype(dtype)
    dw = conv.weight_grad(np, np.dot, g, x, w.shape, *how, 1)
    dx = conv.input_grad(np, np.dot, g, w, x.shape, *how, 1)
    named = dict(zip(("strides", "pads", "dilation"), how, strict=True), groups=1)
    b = r.integers(-40, 40, filters).astype(dtype)
    out = np.maximum(want + b, 0)
    masked = g * (out > 0)
    fused = {
        "dx": conv.input_grad(np, np.dot, masked, w, x.shape, *how, 1),
        "dw": conv.weight_grad(np, np.dot, masked, x, w.shape, *how, 1),
        "db": masked.reshape(-1, filters).sum(0),
    }
    flows = max(strides) == 1
    for count in (1, 3):  # sums of whole numbers are exact in any order
        threads(count)
        assert (native.conv_forward(x, w, None, False, *how) == want).all()
        assert (native.conv_forward(x, w, b, False, *how) == want + b).all()
        assert (native.conv_forward(x, w, b, True, *how) == out).all()
        assert (native.conv_backward(g, x, w.shape, None, False, True, False, *how)[1] == dw).all()
        assert flows or native.conv_backward(g, x, w, None, True, True, True, *how) is None
        for needs in [(flows, True, True), (False, True, True), (flows, False, False), (False, False, True)]:
            found = native.conv_backward(g, x, w, out, *needs, *how)
            for need, got, expected in zip(needs, found, fused.values(), strict=True):
                assert got is None if not need else (got == expected).all()
        for got, expected in zip(
            numpy_backend.conv_backward(g, x, w, out, (True,) * 3, **named), fused.values(), strict=True
        ):
            assert (got == expected).all()
        assert (numpy_backend.conv_weight_grad(g, x, w_shape=w.shape, **named) == dw).all()
        assert (numpy_backend.conv_input_grad(g, w, x_shape=x.shape, **named) == dx).all()


# (x, window, filters, groups, strides, pads, dilation)
GROUPED = [
    ((2, 7, 8, 12), (3, 3), 8, 2, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((3, 9, 6, 64), (3, 2), 64, 4, (1, 1), ((0, 1), (0, 0)), (1, 1)),
    ((2, 6, 9, 40), (2, 3), 60, 2, (2, 1), ((1, 0), (1, 1)), (1, 2)),
    ((2, 13, 6), (3,), 45, 3, (1,), ((2, 0),), (2,)),
    ((2, 5, 5, 48), (3, 3), 48, 12, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((2, 5, 5, 8), (3, 3), 16, 8, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((9, 12, 12, 66), (3, 3), 99, 3, (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "filters", "groups", "strides", "pads", "dilation"), GROUPED)
def test_groups_against_the_composition(
    isa, threads, dtype, shape, window, filters, groups, strides, pads, dilation
):
    r = np.random.default_rng(3)
    how, part = (strides, pads, dilation), shape[-1] // groups
    x, w = (r.integers(-4, 5, s).astype(dtype) for s in (shape, (*window, part, filters)))
    b = r.integers(-40, 40, filters).astype(dtype)
    out = conv.forward(np, np.dot, x, w, *how, groups, bias=b, relu=True)
    g = r.integers(-4, 5, out.shape).astype(dtype)
    masked = g * (out > 0)
    dx = conv.input_grad(np, np.dot, masked, w, x.shape, *how, groups)
    dw = conv.weight_grad(np, np.dot, masked, x, w.shape, *how, groups)
    db = masked.reshape(-1, filters).sum(0)
    named = dict(zip(("strides", "pads", "dilation"), how, strict=True), groups=groups)
    for count in (1, 3):
        threads(count)
        assert (native.conv_forward(x, w, b, True, *how) == out).all()
        flows = max(strides) == 1
        found = native.conv_backward(g, x, w, out, flows, True, True, *how)
        assert not flows or (found[0] == dx).all()
        assert (found[1] == dw).all()
        assert (found[2] == db).all()
        assert (numpy_backend.conv(x, w, b, relu=True, **named) == out).all()
        found = numpy_backend.conv_backward(g, x, w, out, (True, True, True), **named)
        for got, want in zip(found, (dx, dw, db), strict=True):
            assert (got == want).all()
        assert (numpy_backend.conv_input_grad(masked, w, x_shape=x.shape, **named) == dx).all()
        assert (numpy_backend.conv_weight_grad(masked, x, w_shape=w.shape, **named) == dw).all()


def test_bits_do_not_depend_on_threads(threads):
    r = np.random.default_rng(2)
    x, w = (
        r.normal(size=(11, 14, 13, 20)).astype(np.float32),
        r.normal(size=(3, 3, 20, 40)).astype(np.float32),
    )
    b = r.normal(size=40).astype(np.float32)
    how = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = []
    for count in (1, 2, 5):
        threads(count)
        out = native.conv_forward(x, w, b, True, *how)
        found.append((out, *native.conv_backward(out - 1, x, w, out, True, True, True, *how)))
    for run in found[1:]:
        assert all((a == b).all() for a, b in zip(run, found[0], strict=True))


def test_what_the_kernel_does_not_take():
    x, w, how = np.ones((1, 6, 6, 16)), np.ones((3, 3, 16, 4)), ((1, 1), ((0, 0), (0, 0)), (1, 1))
    forward = lambda x, w, b=None, how=how: native.conv_forward(x, w, b, False, *how)
    assert forward(x, w) is not None
    assert forward(x.astype(int), w) is None
    assert forward(x, w.astype(np.float32)) is None
    assert forward(x.transpose(0, 2, 1, 3), w) is None
    assert forward(x, w, how=((1, 1), ((-1, 0), (0, 0)), (1, 1))) is None  # crops
    assert forward(x[:, :2], w) is None  # smaller than the window
    assert forward(x, w, np.ones(5)) is None
    assert forward(x, w, np.ones(4, np.float32)) is None
    backward = lambda g, x, w, out=None, need=False, how=how: native.conv_backward(
        g, x, w, out, need, True, False, *how
    )
    g = np.ones((1, 4, 4, 4))
    assert backward(g, x, w.shape) is not None
    assert backward(np.ones((1, 4, 4, 5)), x, w.shape) is None
    assert forward(x, np.ones((3, 3, 3, 4))) is None  # groups of 3 of 16 channels
    assert forward(x, np.ones((3, 3, 4, 6))) is None  # 6 filters of 4 groups
    assert backward(g, x, w.shape, need=True) is None  # dx needs the weights
    assert backward(g, x, w, out=np.ones((1, 4, 4, 5))) is None
    wide = ((1, 1), ((3, 3), (0, 0)), (1, 1))  # the gradient of x is cropped
    assert backward(np.ones((1, 10, 4, 4)), x, w, how=wide) is not None
    assert backward(np.ones((1, 10, 4, 4)), x, w, need=True, how=wide) is None


def test_infinities_and_nan_go_where_they_belong():
    """Also where the filters are fewer than a vector's lanes, and the cotangent's next position is read."""
    x = np.ones((1, 5, 5, 16), np.float32)
    x[0, 2, 2, 3] = np.nan
    x[0, 0, 0, 0] = np.inf
    w = np.ones((3, 3, 16, 4), np.float32)
    out = native.conv_forward(x, w, None, False, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert np.isnan(out).all()
    assert np.isnan(native.conv_forward(x, w, np.ones(4, np.float32), True, *HOW)).all()
    x[0, 2, 2, 3] = 1
    g = np.ones((1, 3, 3, 4), np.float32)
    g[0, 1, 1, 3], g[0, 2, 2, 3] = np.nan, np.inf
    dw, db = native.conv_backward(g, np.ones_like(x), w, None, False, True, True, *HOW)[1:]
    assert np.isnan(dw[..., 3]).all()
    assert (dw[..., :3] == 9).all()
    assert np.isnan(db[3])
    assert (db[:3] == 9).all()
    out = native.conv_forward(x, w, None, False, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert np.isinf(out[0, 0, 0]).all()
    assert np.isfinite(out[0, 1:]).all()


# ------------------------------------------------------------------ one filter per channel
DEPTHWISE = [
    ((2, 9, 8, 33), (3, 3), (1, 1), ((1, 1), (0, 2)), (1, 1)),
    ((3, 7, 9, 64), (2, 3), (2, 1), ((0, 0), (0, 0)), (1, 2)),
    ((1, 12, 5), (4,), (1,), ((3, 0),), (1,)),
    ((2, 4, 5, 6, 40), (2, 2, 2), (1, 1, 2), ((0, 0), (1, 0), (0, 1)), (1, 2, 1)),
    ((9, 20, 20, 40), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 8, 7, 19), (5, 5), (2, 3), ((2, 2), (1, 2)), (1, 1)),
    ((2, 3, 9, 2), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 1, 1, 16), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 11, 70, 23), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 2)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "strides", "pads", "dilation"), DEPTHWISE)
def test_depthwise_against_the_composition(isa, threads, dtype, shape, window, strides, pads, dilation):
    r = np.random.default_rng(6)
    how, channels = (strides, pads, dilation), shape[-1]
    x, w = r.integers(-4, 5, shape).astype(dtype), r.integers(-4, 5, (*window, 1, channels)).astype(dtype)
    b = r.integers(-20, 20, channels).astype(dtype)
    out = conv.forward(np, np.dot, x, w, *how, channels, bias=b, relu=True)
    g = r.integers(-4, 5, out.shape).astype(dtype)
    masked = g * (out > 0)
    dw = conv.weight_grad(np, np.dot, masked, x, w.shape, *how, channels)
    dx = conv.input_grad(np, np.dot, masked, w, x.shape, *how, channels)
    named = dict(zip(("strides", "pads", "dilation"), how, strict=True), groups=channels)
    for count in (1, 3):
        threads(count)
        assert (native.conv_forward(x, w, b, True, *how) == out).all()
        assert (numpy_backend.conv(x, w, b, relu=True, **named) == out).all()
        found = numpy_backend.conv_backward(g, x, w, out, (True, True, True), **named)
        for got, want in zip(found, (dx, dw, masked.reshape(-1, channels).sum(0)), strict=True):
            assert (got == want).all()
        if max(strides) == 1:
            found = native.conv_backward(g, x, w, out, True, True, True, *how)
            assert (found[0] == dx).all()
            assert (found[1] == dw).all()
        assert (numpy_backend.conv_weight_grad(masked, x, w_shape=w.shape, **named) == dw).all()
        assert (numpy_backend.conv_input_grad(masked, w, x_shape=x.shape, **named) == dx).all()


def test_depthwise_does_not_depend_on_threads(threads):
    r = np.random.default_rng(7)
    x, w = r.normal(size=(5, 15, 16, 40)).astype(np.float32), r.normal(size=(3, 3, 1, 40)).astype(np.float32)
    found = []
    for count in (1, 2, 5):
        threads(count)
        out = native.conv_forward(x, w, None, True, *HOW)
        found.append((out, *native.conv_backward(out - 1, x, w, out, True, True, True, *HOW)))
    for run in found[1:]:
        assert all((a == b).all() for a, b in zip(run, found[0], strict=True))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_depthwise_through_tensors_against_torch(dtype, strides):
    torch = pytest.importorskip("torch")
    r = np.random.default_rng(8)
    shapes = [(2, 9, 8, 21), (3, 3, 1, 21), (21,)]
    kind = bp.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    raw = [r.normal(size=s).astype(kind) for s in shapes]
    ours = [bp.tensor(a, requires_grad=True) for a in raw]
    x, w, b = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in raw]
    out = bp.nn.conv(*ours, strides=strides, padding=1, groups=21, activation="relu")
    theirs = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), b, strides, 1, groups=21
    ).relu()
    out.backward(bp.ones_like(out))
    theirs.backward(torch.ones_like(theirs))
    tol = {"float32": 1e-5, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}[dtype]
    close = lambda got, want: np.testing.assert_allclose(
        got.numpy().astype(float), want, rtol=tol, atol=tol * max(1, np.abs(want).max())
    )
    close(out, theirs.detach().permute(0, 2, 3, 1).numpy())
    for got, want in zip(ours, (x, w, b), strict=True):
        assert got.grad.dtype == got.dtype
        close(got.grad, want.grad.numpy())
