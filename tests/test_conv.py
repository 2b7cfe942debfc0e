"""Convolution and pooling against torch, JAX and Keras' arithmetic, to second order, in both modes."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import keras, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp import nn
from tensorflowlite_bp.backend import conv as raw_conv
from tensorflowlite_bp.backend import numpy_backend as F
from tensorflowlite_bp.errors import DTypeError, ShapeError
from tensorflowlite_bp.testing import check_grads

COMMON = dict(deadline=None, derandomize=True)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """torch's threads wait for each other, which costs more than these small convolutions."""
    threads = torch().get_num_threads()
    torch().set_num_threads(1)
    yield
    torch().set_num_threads(threads)


def first(x):
    """Channels first, a torch leaf."""
    return torch().tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)), requires_grad=True)


def last(t):
    return np.moveaxis(t.detach().numpy(), 1, -1)


def torch_weight(w):
    """(*window, in, out) as torch's (out, in, *window)."""
    axes = (w.ndim - 1, w.ndim - 2, *range(w.ndim - 2))
    return torch().tensor(np.ascontiguousarray(w.transpose(axes)), requires_grad=True)


def our_weight(t):
    d = t.ndim - 2
    return t.detach().numpy().transpose((*range(2, d + 2), 1, 0))


def torch_pad(x, pads, value=0.0):
    return torch().nn.functional.pad(x, [p for pair in reversed(pads) for p in pair], value=value)


def torch_conv(x, w, b, strides, pads, dilation, groups, g=None):
    """Value, and for a cotangent the three gradients."""
    t = torch()
    tx, tw, tb = first(x), torch_weight(w), t.tensor(b, requires_grad=True)
    f = (t.nn.functional.conv1d, t.nn.functional.conv2d, t.nn.functional.conv3d)[x.ndim - 3]
    out = f(torch_pad(tx, pads), tw, tb, stride=strides, dilation=dilation, groups=groups)
    if g is None:
        return last(out)
    dx, dw, db = t.autograd.grad(out, [tx, tw, tb], t.tensor(np.ascontiguousarray(np.moveaxis(g, -1, 1))))
    return last(out), last(dx), our_weight(dw), db.numpy()


def same(n, k, s, d):
    total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
    return total // 2, total - total // 2


def close(ours, theirs, tol=1e-11):
    ours = ours.numpy() if isinstance(ours, bp.Tensor) else ours
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tol, atol=tol * max(1.0, np.abs(theirs).max(initial=0)))


@st.composite
def geometries(draw, most=3):
    d = draw(st.integers(1, most))
    axis = lambda low, high: tuple(draw(st.lists(st.integers(low, high), min_size=d, max_size=d)))
    window, strides, dilation = axis(1, 3), axis(1, 3), axis(1, 2)
    kind = draw(st.sampled_from(["valid", "same", "causal", 2, "pairs"]))
    if kind == "pairs":
        kind = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 2))) for _ in range(d))
    spans = [(k - 1) * r + 1 for k, r in zip(window, dilation, strict=True)]
    space = tuple(n + draw(st.integers(0, 4)) for n in spans)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(st.sampled_from([1, 2, 7])), groups * draw(st.integers(1, 3))
    return dict(
        space=space,
        window=window,
        strides=strides,
        dilation=dilation,
        padding=kind,
        groups=groups,
        channels=channels,
        filters=filters,
        batch=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 99)),
    )


def explicit(padding, space, window, strides, dilation):
    pads = [same(*args) for args in zip(space, window, strides, dilation, strict=True)]
    if padding == "valid":
        return [(0, 0)] * len(space)
    if padding == "same":
        return pads
    if padding == "causal":
        return [((window[0] - 1) * dilation[0], 0), *pads[1:]]
    return [(padding, padding)] * len(space) if isinstance(padding, int) else list(padding)


def inputs(case):
    r = np.random.default_rng(case["seed"])
    x = r.normal(size=(case["batch"], *case["space"], case["channels"]))
    w = r.normal(size=(*case["window"], case["channels"] // case["groups"], case["filters"]))
    return r, x, w, r.normal(size=case["filters"])


def options(case):
    return {k: case[k] for k in ("strides", "padding", "dilation", "groups")}


# ------------------------------------------------------------------ convolution
@settings(max_examples=150, **COMMON)
@given(geometries())
def test_conv_and_its_gradients_agree_with_torch(case):
    r, x, w, b = inputs(case)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = nn.conv(*leaves, **options(case))
    pads = explicit(case["padding"], case["space"], case["window"], case["strides"], case["dilation"])
    g = r.normal(size=out.shape)
    out.backward(g)
    theirs = torch_conv(x, w, b, case["strides"], pads, case["dilation"], case["groups"], g)
    for a, e in zip((out, *[t.grad for t in leaves]), theirs, strict=True):
        close(a, e)


@pytest.mark.parametrize("block", [1, 700, 5000])
def test_patches_in_many_blocks(monkeypatch, block):
    """Blocks of one row, of a few rows, of a few examples: the same numbers."""
    monkeypatch.setattr(raw_conv, "BLOCK", block)
    r = np.random.default_rng(0)
    for channels, filters, strides in itertools.product((1, 2, 9), (1, 8), ((1, 1), (2, 1), (3, 2))):
        x, w, b = (
            r.normal(size=(3, 8, 7, channels)),
            r.normal(size=(3, 2, channels, filters)),
            r.normal(size=filters),
        )
        leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
        out = nn.conv(*leaves, strides=strides, padding=((2, 0), (1, 1)))
        g = r.normal(size=out.shape)
        out.backward(g)
        theirs = torch_conv(x, w, b, strides, [(2, 0), (1, 1)], (1, 1), 1, g)
        for a, e in zip((out, *[t.grad for t in leaves]), theirs, strict=True):
            close(a, e)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("strides", "dilation"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3)), ((3, 2), (2, 1))]
)
def test_conv_agrees_with_jax(strides, dilation, padding, groups):
    jax = pytest.importorskip("jax")
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 9, 8, 4)).astype("f"), r.normal(size=(3, 2, 4 // groups, 8)).astype("f")
    theirs = jax.lax.conv_general_dilated(
        x,
        w,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    ours = nn.conv(x, w, strides=strides, padding=padding.lower(), dilation=dilation, groups=groups)
    assert ours.dtype == np.float32
    close(ours, np.asarray(theirs), 1e-5)


def test_causal_sees_no_future():
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 10, 3)), r.normal(size=(4, 3, 2))
    changed = x.copy()
    changed[:, 6:] = 7.0
    ours = [nn.conv(a, w, padding="causal", dilation=2).numpy() for a in (x, changed)]
    assert ours[0].shape == (2, 10, 2)
    np.testing.assert_array_equal(ours[0][:, :6], ours[1][:, :6])
    assert (ours[0][:, 6:] != ours[1][:, 6:]).all()
    images = nn.conv(r.normal(size=(1, 5, 6, 1)), r.normal(size=(3, 3, 1, 1)), padding="causal")
    assert images.shape == (1, 5, 6, 1)


@settings(max_examples=25, **COMMON)
@given(geometries(most=2))
def test_conv_to_second_order_in_both_modes(case):
    case = {
        **case,
        "batch": 1,
        "space": tuple(min(n, 5) for n in case["space"]),
        "channels": min(case["channels"], 4),
    }
    if case["channels"] % case["groups"] or any(
        n < (k - 1) * d + 1 for n, k, d in zip(case["space"], case["window"], case["dilation"], strict=True)
    ):
        return
    _, x, w, _ = inputs(case)
    check_grads(functools.partial(nn.conv, **options(case)), (x, w))


GEOMETRY = dict(strides=(2, 1), pads=((1, 0), (0, 2)), dilation=(1, 2), groups=2)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w, g: bp.autograd.op.graph.conv_forward(x, w, **GEOMETRY),
        lambda x, w, g: bp.autograd.op.graph.conv_input_grad(g, w, x_shape=x.shape, **GEOMETRY),
        lambda x, w, g: bp.autograd.op.graph.conv_weight_grad(g, x, w_shape=w.shape, **GEOMETRY),
    ],
    ids=["forward", "input_grad", "weight_grad"],
)
def test_the_three_maps_to_third_order(f):
    r = np.random.default_rng(0)
    x, w, g = r.normal(size=(2, 3, 3, 2)), r.normal(size=(2, 2, 1, 2)), r.normal(size=(2, 2, 3, 2))
    check_grads(f, (x, w, g), order=2)
    cube = lambda x, w, g: (f(x, w, g) ** 3).sum()
    check_grads(lambda *a: bp.grad(lambda *b: cube(*b), argnums=(0, 1, 2))(*a), (x, w, g), order=1)


def test_the_three_maps_are_transposes():
    r = np.random.default_rng(0)
    for groups, strides in itertools.product((1, 2, 4), ((1, 1), (2, 3))):
        how = dict(strides=strides, pads=((1, 2), (0, 1)), dilation=(1, 2), groups=groups)
        x, w = r.normal(size=(2, 7, 8, 4)), r.normal(size=(3, 2, 4 // groups, 8))
        out = F.conv_forward(x, w, **how)
        g = r.normal(size=out.shape)
        value = np.vdot(out, g)
        np.testing.assert_allclose(np.vdot(F.conv_input_grad(g, w, x_shape=x.shape, **how), x), value)
        np.testing.assert_allclose(np.vdot(F.conv_weight_grad(g, x, w_shape=w.shape, **how), w), value)


def test_second_derivatives_agree_with_torch():
    t = torch()
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 6, 5, 3)), r.normal(size=(3, 2, 3, 4))
    tx, tw = first(x), torch_weight(w)
    inner = t.autograd.grad(
        (t.nn.functional.conv2d(tx, tw, stride=2, padding=1) ** 3).sum(), [tx, tw], create_graph=True
    )
    theirs = t.autograd.grad(sum((i**2).sum() for i in inner), [tx, tw])

    def penalty(x, w):
        inner = bp.grad(lambda x, w: (nn.conv(x, w, strides=2, padding=1) ** 3).sum(), argnums=(0, 1))(x, w)
        return sum((i**2).sum() for i in inner)

    ours = bp.grad(penalty, argnums=(0, 1))(x, w)
    close(ours[0], last(theirs[0]))
    close(ours[1], our_weight(theirs[1]))


def test_many_channels_to_few_filters():
    """The transposed way (products first, then added) of forward and weight gradient; many groups;
    multipliers.
    """
    r = np.random.default_rng(0)
    for channels, filters, groups in ((40, 2, 1), (3, 40, 1), (64, 8, 4), (6, 12, 6), (6, 6, 6)):
        for strides, dilation in (((1, 1), (1, 2)), ((2, 2), (1, 1))):
            x, w = r.normal(size=(2, 6, 7, channels)), r.normal(size=(3, 2, channels // groups, filters))
            leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, r.normal(size=filters))]
            out = nn.conv(
                *leaves, strides=strides, dilation=dilation, groups=groups, padding=((1, 3), (3, 0))
            )
            g = r.normal(size=out.shape)
            out.backward(g)
            theirs = torch_conv(x, w, leaves[2].numpy(), strides, [(1, 3), (3, 0)], dilation, groups, g)
            for a, e in zip((out, *[t.grad for t in leaves]), theirs, strict=True):
                close(a, e)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize("groups", [1, 4])
def test_dtypes(dtype, groups):
    r = np.random.default_rng(0)
    make = lambda *s: (r.normal(size=s) + (1j * r.normal(size=s) if "complex" in dtype else 0)).astype(dtype)
    x, w, b = make(2, 6, 6, 4), make(3, 3, 4 // groups, 4), make(4)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = nn.conv(*leaves, padding="same", groups=groups, strides=(2, 1))
    wide = [
        bp.tensor(a.astype("complex128" if "complex" in dtype else "float64"), requires_grad=True)
        for a in (x, w, b)
    ]
    exact = nn.conv(*wide, padding="same", groups=groups, strides=(2, 1))
    assert out.dtype == dtype
    tol = {"float16": 4e-3, "float32": 1e-5, "complex64": 1e-5, "complex128": 1e-13}[dtype]
    close(out, exact.numpy(), tol)
    g = make(*out.shape)
    out.backward(g)
    exact.backward(g.astype(exact.dtype))
    for a, e in zip(leaves, wide, strict=True):
        assert a.grad.dtype == dtype
        close(a.grad, e.grad.numpy(), tol)


def test_float16_accumulates_in_float32():
    x, w = np.full((1, 1, 5000), 1.0, np.float16), np.full((1, 5000, 1), 1.0, np.float16)
    assert nn.conv(x, w).item() == 5000


def test_mixed_dtypes_promote():
    out = nn.conv(np.ones((1, 3, 1), np.float32), np.ones((2, 1, 1)), np.ones(1, np.float16))
    assert out.dtype == np.float64


def test_strides_of_memory_do_not_matter():
    r = np.random.default_rng(0)
    x, w = r.normal(size=(6, 5, 4, 3)), r.normal(size=(8, 6, 2, 2))
    x, w = x.transpose(2, 1, 3, 0)[::-1], w.transpose(2, 3, 1, 0)[:, ::-1]
    assert x.shape == (4, 5, 3, 6)
    for groups in (1, 6):
        of = w if groups == 1 else w[:, :, :1, :6]
        leaves = [bp.tensor(x, requires_grad=True), bp.tensor(of, requires_grad=True)]
        out = nn.conv(*leaves, groups=groups, padding=1)
        out.sum().backward()  # a cotangent without strides
        g = np.ones(out.shape)
        theirs = torch_conv(
            x.copy(), of.copy(), np.zeros(of.shape[-1]), (1, 1), [(1, 1), (1, 1)], (1, 1), groups, g
        )
        for a, e in zip((out, *[t.grad for t in leaves]), theirs[:3], strict=True):
            close(a, e)


@pytest.mark.parametrize("groups", [1, 2])
def test_empty_batches_and_no_filters(groups):
    x, w = (
        bp.tensor(np.empty((0, 5, 4)), requires_grad=True),
        bp.tensor(np.ones((3, 4 // groups, 6)), requires_grad=True),
    )
    out = nn.conv(x, w, np.ones(6), groups=groups)
    assert out.shape == (0, 3, 6)
    out.sum().backward()
    assert x.grad.shape == (0, 5, 4)
    np.testing.assert_array_equal(w.grad.numpy(), np.zeros(w.shape))
    assert nn.conv(np.ones((2, 5, 4)), np.ones((3, 4 // groups, 0)), groups=groups).shape == (2, 3, 0)
    assert nn.max_pool(np.empty((0, 4, 4, 2)), 2).shape == (0, 2, 2, 2)
    assert nn.avg_pool(np.empty((0, 4, 4, 2)), 2).shape == (0, 2, 2, 2)
    assert nn.conv_transpose(np.empty((0, 4, 2)), np.ones((3, 5, 2)), strides=2).shape == (0, 9, 5)


def test_strides_beyond_the_window_leave_gaps():
    x = bp.tensor(np.arange(10.0).reshape(1, 10, 1), requires_grad=True)
    out = nn.conv(x, np.ones((1, 1, 1)), strides=4)
    np.testing.assert_array_equal(out.numpy().ravel(), [0, 4, 8])
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().ravel(), [1, 0, 0, 0, 1, 0, 0, 0, 1, 0])


def test_activation_and_bias_are_ops():
    r = np.random.default_rng(0)
    x, w, b = r.normal(size=(2, 5, 3)), r.normal(size=(2, 3, 4)), r.normal(size=4)
    plain = nn.conv(x, w).numpy() + b
    close(nn.conv(x, w, b, activation="relu"), np.maximum(plain, 0))
    close(nn.conv(x, w, b, activation=bp.tanh), np.tanh(plain))


@pytest.mark.parametrize("space", [(1,), (1, 5), (1, 1, 1)])
def test_axes_of_one_element(space):
    r = np.random.default_rng(0)
    d = len(space)
    x, w, b = r.normal(size=(2, *space, 3)), r.normal(size=(*(1, 3, 2)[:d], 3, 4)), r.normal(size=4)
    pads = explicit("same", space, w.shape[:-2], (2,) * d, (1,) * d)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = nn.conv(*leaves, strides=2, padding="same")
    g = r.normal(size=out.shape)
    out.backward(g)
    theirs = torch_conv(x, w, b, (2,) * d, pads, (1,) * d, 1, g)
    for a, e in zip((out, *[t.grad for t in leaves]), theirs, strict=True):
        close(a, e)


# ------------------------------------------------------------------ transposed convolution
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "pad", "extra", "dilation", "groups"),
    [
        (1, 0, 0, 1, 1),
        (2, 1, 1, 1, 1),
        (3, 0, 2, 1, 2),
        (1, 1, 0, 2, 1),
        (2, 2, 0, 2, 2),
    ],
)
def test_conv_transpose_agrees_with_torch(d, stride, pad, extra, dilation, groups):
    t = torch()
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, *(4, 3, 5)[:d], 4)), r.normal(size=(*(3, 2, 3)[:d], 6 // groups, 4))
    b = r.normal(size=6)
    leaves = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    how = dict(dilation=dilation, groups=groups)
    out = nn.conv_transpose(*leaves, strides=stride, padding=pad, output_padding=extra, **how)
    f = (
        t.nn.functional.conv_transpose1d,
        t.nn.functional.conv_transpose2d,
        t.nn.functional.conv_transpose3d,
    )[d - 1]
    tx, tw, tb = first(x), torch_weight(w), t.tensor(b, requires_grad=True)
    theirs = f(tx, tw, tb, stride=stride, padding=pad, output_padding=extra, **how)
    close(out, last(theirs))
    g = r.normal(size=out.shape)
    out.backward(g)
    grads = t.autograd.grad(theirs, [tx, tw, tb], t.tensor(np.ascontiguousarray(np.moveaxis(g, -1, 1))))
    for a, e in zip(leaves, (last(grads[0]), our_weight(grads[1]), grads[2].numpy()), strict=True):
        close(a.grad, e)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_conv_transpose_agrees_with_jax(k, stride, padding):
    jax = pytest.importorskip("jax")
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 4, 3)).astype("f"), r.normal(size=(k, 5, 3)).astype("f")
    theirs = jax.lax.conv_transpose(
        x, w, (stride,), padding.upper(), dimension_numbers=("NWC", "WIO", "NWC"), transpose_kernel=True
    )
    close(nn.conv_transpose(x, w, strides=stride, padding=padding), np.asarray(theirs), 1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv_transpose_pads_as_keras(padding):
    pads = keras().src.backend.common.backend_utils._convert_conv_transpose_padding_args_from_keras_to_jax
    r = np.random.default_rng(0)
    for n, k, s, d, extra in itertools.product((1, 4), (1, 2, 3, 5), (1, 2, 4), (1, 2), (None, 0, 1)):
        x, w = r.normal(size=(2, n, 3)), r.normal(size=(k, 2, 3))
        low, high = pads(k, s, d, padding, extra)
        if (n - 1) * s + low + high < (k - 1) * d:
            continue  # nothing is left
        spread = np.zeros((2, (n - 1) * s + 1, 3))
        spread[:, ::s] = x
        theirs = torch_conv(spread, w[::-1].swapaxes(1, 2).copy(), np.zeros(2), (1,), [(low, high)], (d,), 1)
        ours = nn.conv_transpose(x, w, strides=s, padding=padding, output_padding=extra, dilation=d)
        close(ours, theirs)


@pytest.mark.parametrize("padding", ["valid", "same", 1])
def test_conv_transpose_is_the_gradient_of_conv(padding):
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 9, 6, 3)), r.normal(size=(3, 2, 3, 4))
    out, back = bp.vjp(lambda x: nn.conv(x, w, strides=(2, 1), padding=padding), x)
    g = r.normal(size=out.shape)
    ours = nn.conv_transpose(g, w, strides=(2, 1), padding=padding)
    if padding != "same":  # 9 is odd: the transpose of "same" gives 10
        close(ours, np.asarray(back(g)[0]))
    check_grads(functools.partial(nn.conv_transpose, strides=(2, 1), padding=padding), (g[:1, :2, :3], w))


# ------------------------------------------------------------------ pooling
@st.composite
def pools(draw):
    d = draw(st.integers(1, 3))
    axis = lambda low, high: tuple(draw(st.lists(st.integers(low, high), min_size=d, max_size=d)))
    window, strides = axis(1, 3), axis(1, 3)
    space = tuple(k + draw(st.integers(0, 4)) for k in window)
    padding = draw(st.sampled_from(["valid", "same", "pairs"]))
    if padding == "pairs":
        padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in window)
    return dict(space=space, window=window, strides=strides, padding=padding, seed=draw(st.integers(0, 99)))


@settings(max_examples=100, **COMMON)
@given(pools())
def test_pooling_agrees_with_torch(case):
    t = torch()
    r = np.random.default_rng(case["seed"])
    shape = (2, *case["space"], 3)
    ones = (1,) * len(case["space"])
    x = r.permutation(np.prod(shape)).reshape(shape) / 7.0 - 3
    pads = explicit(case["padding"], case["space"], case["window"], case["strides"], ones)
    for ours, name, value in ((nn.max_pool, "max_pool", -np.inf), (nn.avg_pool, "avg_pool", 0.0)):
        leaf, tx = bp.tensor(x, requires_grad=True), first(x)
        out = ours(leaf, case["window"], strides=case["strides"], padding=case["padding"])
        f = getattr(t.nn.functional, f"{name}{len(case['space'])}d")
        theirs = f(torch_pad(tx, pads, value), case["window"], case["strides"])
        if name == "avg_pool":
            theirs = theirs / f(torch_pad(t.ones_like(tx), pads), case["window"], case["strides"]).detach()
        close(out, last(theirs))
        g = r.normal(size=out.shape)
        out.backward(g)
        close(
            leaf.grad,
            last(t.autograd.grad(theirs, tx, t.tensor(np.ascontiguousarray(np.moveaxis(g, -1, 1))))[0]),
        )


@pytest.mark.parametrize("pool", [nn.max_pool, nn.avg_pool])
@pytest.mark.parametrize(
    "how",
    [dict(), dict(strides=1), dict(strides=(1, 3), padding="same"), dict(padding=((0, 1), (1, 0)))],
    ids=str,
)
def test_pooling_to_second_order_in_both_modes(pool, how):
    x = np.random.default_rng(0).permutation(40).reshape(1, 5, 4, 2) * 0.37 - 1
    check_grads(lambda x: pool(bp.sin(x) * 3, (2, 2), **how) ** 2, (x,))


def test_maximum_goes_to_the_first():
    x = bp.tensor(np.array([[1.0, 3, 3, 2], [3, 3, 2, 2]]).reshape(1, 2, 4, 1), requires_grad=True)
    nn.max_pool(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().reshape(2, 4), [[0, 1, 1, 0], [0, 0, 0, 0]])
    y = bp.tensor(np.zeros((1, 5, 1)), requires_grad=True)
    nn.max_pool(y, 3, strides=1).sum().backward()
    np.testing.assert_array_equal(y.grad.numpy().ravel(), [1, 1, 1, 0, 0])


def test_nan_and_infinity_in_pooling():
    nan, inf = np.nan, np.inf
    x = bp.tensor(np.array([1.0, nan, nan, 2, 5, 4, -inf, -inf, inf]).reshape(1, 9, 1), requires_grad=True)
    out = nn.max_pool(x, 3)
    np.testing.assert_array_equal(out.numpy().ravel(), [nan, 5, inf])
    out.backward(np.array([2.0, inf, nan]).reshape(1, 3, 1))
    np.testing.assert_array_equal(x.grad.numpy().ravel(), [0, 2, 0, 0, inf, 0, 0, 0, nan])
    lows = bp.tensor(np.full((1, 3, 1), -inf), requires_grad=True)  # not taken for padding
    nn.max_pool(lows, 2, strides=2, padding=1).sum().backward()
    np.testing.assert_array_equal(lows.grad.numpy().ravel(), [1, 1, 0])
    pair = np.array([1.0, nan, 3, 4]).reshape(1, 4, 1)
    np.testing.assert_array_equal(nn.avg_pool(pair, 2).numpy().ravel(), [nan, 3.5])


def test_pooling_dtypes_and_large_windows():
    r = np.random.default_rng(0)
    x = r.normal(size=(1, 18, 17, 2)).astype(np.float32)
    leaf = bp.tensor(x, requires_grad=True)
    out = nn.max_pool(leaf, (18, 17))  # more places than 8 bits count
    np.testing.assert_array_equal(out.numpy(), x.max((1, 2), keepdims=True))
    out.sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), x == x.max((1, 2), keepdims=True))
    whole = r.integers(-9, 9, (1, 6, 2))
    np.testing.assert_array_equal(
        nn.max_pool(whole, 2, padding="same").numpy(), whole.reshape(1, 3, 2, 2).max(2)
    )
    np.testing.assert_allclose(nn.avg_pool(whole, 2).numpy(), whole.reshape(1, 3, 2, 2).mean(2))
    half = np.full((1, 4096, 1), 3, np.float16)
    ours = bp.tensor(half, requires_grad=True)
    mean = nn.avg_pool(ours, 4096)
    assert mean.dtype == np.float16
    assert mean.item() == 3
    mean.sum().backward()
    assert ours.grad.dtype == np.float16
    z = r.normal(size=(1, 4, 2)) + 1j
    np.testing.assert_allclose(nn.avg_pool(z, 2).numpy(), z.reshape(1, 2, 2, 2).mean(2))
    assert nn.max_pool(x.transpose(0, 2, 1, 3), 3).shape == (1, 5, 6, 2)
    with bp.no_grad():
        np.testing.assert_array_equal(nn.max_pool(leaf, (18, 17)).numpy(), out.numpy())


def test_the_input_is_never_handed_back():
    x = np.ones((1, 3, 2))
    for out in (nn.max_pool(x, 1), nn.avg_pool(x, 1)):
        out.data[...] = 5
    np.testing.assert_array_equal(x, np.ones((1, 3, 2)))


# ------------------------------------------------------------------ errors
def z(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: nn.conv(z(4, 3), z(2, 3, 1)), ShapeError, ["[conv]", "(4, 3)", "(2, 3, 1)", "Hint"]),
        (lambda: nn.conv(z(28, 28, 1), z(3, 3, 1, 8)), ShapeError, ["[conv]", "x[..., None]"]),
        (lambda: nn.conv(z(1, 2, 2, 2, 2, 3), z(1, 1, 1, 1, 3, 3)), ShapeError, ["1 to 3"]),
        (
            lambda: nn.conv(z(2, 8, 8, 3), z(3, 3, 4, 8)),
            ShapeError,
            ["(2, 8, 8, 3)", "(3, 3, 4, 8)", "axis -2", "3 channels"],
        ),
        (lambda: nn.conv(z(2, 3, 8, 8), z(3, 3, 3, 8)), ShapeError, ["moveaxis"]),
        (lambda: nn.conv(z(2, 8, 6), z(3, 3, 4), groups=3), ShapeError, ["3 groups"]),
        (lambda: nn.conv(z(2, 8, 6), z(3, 2, 4), groups=3), ShapeError, ["3 groups must divide", "(4)"]),
        (lambda: nn.conv(z(2, 8, 6), z(3, 6, 4), groups=0), ValueError, ["groups", "0"]),
        (
            lambda: nn.conv(z(1, 3, 9, 1), z(2, 5, 1, 1), dilation=(3, 1)),
            ShapeError,
            ["axis 1", "spans 4", "has 3", "Hint"],
        ),
        (
            lambda: nn.conv(z(1, 3, 1), z(2, 1, 1), padding="full"),
            ValueError,
            ["'full'", '"valid", "same" or "causal"'],
        ),
        (
            lambda: nn.conv(z(1, 3, 3, 1), z(2, 2, 1, 1), padding=(1, 2)),
            ValueError,
            ["(1, 2)", "((1, 1), (1, 1))"],
        ),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 1), padding=-1), ValueError, ["negative"]),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 1), strides=0), ValueError, ["strides", "at least 1", "0"]),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 1), strides=1.5), ValueError, ["strides", "1.5"]),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 1), strides=(1, 2)), ValueError, ["strides", "(1, 2)"]),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 4), z(3)), ShapeError, ["bias", "(4,)", "(3,)"]),
        (lambda: nn.conv(z(1, 3, 1), z(2, 1, 4), activation="rellu"), ValueError, ["rellu", "relu"]),
        (lambda: nn.conv_transpose(z(1, 3, 4), z(2, 4, 5)), ShapeError, ["[conv_transpose]", "axis -1"]),
        (
            lambda: nn.conv_transpose(z(1, 3, 4), z(2, 4, 4), padding="causal"),
            ValueError,
            ['"valid" or "same"'],
        ),
        (lambda: nn.conv_transpose(z(1, 1, 4), z(2, 4, 4), padding=2), ShapeError, ["whole output"]),
        (lambda: nn.max_pool(z(3, 4), 2), ShapeError, ["[max_pool]", "(3, 4)"]),
        (lambda: nn.max_pool(z(1, 3, 3, 1), (2, 4)), ShapeError, ["axis 2", "has 3"]),
        (lambda: nn.avg_pool(z(1, 3, 1), 0), ValueError, ["[avg_pool]", "pool_size"]),
        (lambda: nn.avg_pool(z(1, 3, 1), 2, padding=2), ValueError, ["less than the window"]),
        (lambda: nn.max_pool(z(1, 3, 1) + 1j, 2), DTypeError, ["complex"]),
    ],
)
def test_errors_say_what_to_do(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
