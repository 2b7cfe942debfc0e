"""Convolution without patches: the kernels against the composition in float64, on every instruction set."""

import numpy as np
import pytest

from tensorflowlite_bp.backend import conv, numpy_backend
from tensorflowlite_bp.backend.native import native, why_not
from tensorflowlite_bp.backend.windows import padded

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

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
    for count in (1, 3):  # sums of whole numbers are exact in any order
        threads(count)
        assert (native.conv_forward(x, w, *how) == want).all()
        assert filters < 16 or (native.conv_weight_grad(g, x, w.shape, *how) == dw).all()
        assert (numpy_backend.conv_weight_grad(g, x, w_shape=w.shape, **named) == dw).all()
        assert (numpy_backend.conv_input_grad(g, w, x_shape=x.shape, **named) == dx).all()


def test_bits_do_not_depend_on_threads(threads):
    r = np.random.default_rng(2)
    x, w = (
        r.normal(size=(11, 14, 13, 20)).astype(np.float32),
        r.normal(size=(3, 3, 20, 40)).astype(np.float32),
    )
    how = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = []
    for count in (1, 2, 5):
        threads(count)
        out = native.conv_forward(x, w, *how)
        found.append((out, native.conv_weight_grad(out, x, w.shape, *how)))
    for out, dw in found[1:]:
        assert (out == found[0][0]).all()
        assert (dw == found[0][1]).all()


def test_what_the_kernel_does_not_take():
    x, w, how = np.ones((1, 6, 6, 16)), np.ones((3, 3, 16, 4)), ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert native.conv_forward(x, w, *how) is not None
    assert native.conv_forward(x.astype(int), w, *how) is None
    assert native.conv_forward(x, w.astype(np.float32), *how) is None
    assert native.conv_forward(x.transpose(0, 2, 1, 3), w, *how) is None
    assert native.conv_forward(x, w, (1, 1), ((-1, 0), (0, 0)), (1, 1)) is None  # crops
    assert native.conv_forward(np.ones((1, 6, 6, 1)), np.ones((3, 3, 1, 4)), *how) is None  # short runs
    assert native.conv_forward(x[:, :2], w, *how) is None  # smaller than the window
    assert (
        native.conv_weight_grad(np.ones((1, 4, 4, 4)), x, w.shape, *how) is None
    )  # fewer filters than a vector
    assert native.conv_weight_grad(np.ones((1, 4, 4, 5)), x, (3, 3, 16, 20), *how) is None


def test_infinities_and_nan_go_where_they_belong():
    x = np.ones((1, 5, 5, 16), np.float32)
    x[0, 2, 2, 3] = np.nan
    x[0, 0, 0, 0] = np.inf
    w = np.ones((3, 3, 16, 4), np.float32)
    out = native.conv_forward(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert np.isnan(out).all()
    x[0, 2, 2, 3] = 1
    out = native.conv_forward(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert np.isinf(out[0, 0, 0]).all()
    assert np.isfinite(out[0, 1:]).all()


# ------------------------------------------------------------------ one filter per channel
DEPTHWISE = [
    ((2, 9, 8, 33), (3, 3), (1, 1), ((1, 1), (0, 2)), (1, 1)),
    ((3, 7, 9, 64), (2, 3), (2, 1), ((0, 0), (0, 0)), (1, 2)),
    ((1, 12, 5), (4,), (1,), ((3, 0),), (1,)),
    ((2, 4, 5, 6, 40), (2, 2, 2), (1, 1, 2), ((0, 0), (1, 0), (0, 1)), (1, 2, 1)),
    ((9, 20, 20, 40), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "window", "strides", "pads", "dilation"), DEPTHWISE)
def test_depthwise_against_the_composition(isa, threads, dtype, shape, window, strides, pads, dilation):
    r = np.random.default_rng(6)
    how, channels = (strides, pads, dilation), shape[-1]
    x, w = r.integers(-4, 5, shape).astype(dtype), r.integers(-4, 5, (*window, 1, channels)).astype(dtype)
    want = conv.forward(np, np.dot, x, w, *how, channels)
    g = r.integers(-4, 5, want.shape).astype(dtype)
    dw = conv.weight_grad(np, np.dot, g, x, w.shape, *how, channels)
    dx = conv.input_grad(np, np.dot, g, w, x.shape, *how, channels)
    named = dict(zip(("strides", "pads", "dilation"), how, strict=True), groups=channels)
    for count in (1, 3):
        threads(count)
        assert (native.depthwise_forward(padded(np, x, pads), w, strides, dilation) == want).all()
        assert (numpy_backend.conv_forward(x, w, **named) == want).all()
        assert (numpy_backend.conv_weight_grad(g, x, w_shape=w.shape, **named) == dw).all()
        assert (numpy_backend.conv_input_grad(g, w, x_shape=x.shape, **named) == dx).all()


def test_depthwise_does_not_depend_on_threads(threads):
    r = np.random.default_rng(7)
    x, w = r.normal(size=(5, 15, 16, 40)).astype(np.float32), r.normal(size=(3, 3, 1, 40)).astype(np.float32)
    found = []
    for count in (1, 2, 5):
        threads(count)
        out = native.depthwise_forward(x, w, (1, 1), (1, 1))
        found.append((out, native.depthwise_weight_grad(out, x, w.shape, (1, 1), (1, 1))))
    for out, dw in found[1:]:
        assert (out == found[0][0]).all()
        assert (dw == found[0][1]).all()
