"""Sample inputs, one entry per op: each gives value, vjp, jvp, second order, dtypes, strides, broadcasting and empty arrays."""

import math

import numpy as np
from opcase import OpCase, away_from_0, beside, binary, distinct, grid, normal, unary, uniform

from tensorflowlite_bp.backend import numpy_backend

AXES = grid(axis=[None, 0, -1, (0, 2)], keepdims=[False, True])
sigmoid = lambda x: 1 / (1 + np.exp(-x))


def np_softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def np_logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def scatter(x, *, index, shape):
    out = np.zeros(shape)
    np.add.at(out, index, x)
    return out


def set_item(x, v, *, index):
    out = x.copy()
    out[index] = v
    return out


def put_along(x, *, indices, axis, shape):
    out = np.zeros(shape)
    for place in np.ndindex(*indices.shape):
        to = list(place)
        to[axis] = indices[place]
        out[tuple(to)] += x[place]
    return out


def np_batch_norm(x, w=None, b=None, *, axis=-1, eps=1e-3, activation=None):
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    shape = [x.shape[i] if i == axis % x.ndim else 1 for i in range(x.ndim)]
    out = (x - x.mean(others, keepdims=True)) / np.sqrt(x.var(others, keepdims=True) + eps)
    out = (out if w is None else out * w.reshape(shape)) + (0 if b is None else b.reshape(shape))
    return (
        out if activation is None else {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh}[activation](out)
    )


def batch_norm(f, x, w=None, b=None, *, axis=-1, **how):
    n = x.shape[axis]
    return f(x, w, b, beside(np.zeros(n), x), beside(np.ones(n), x), training=True, axis=axis, **how)[0]


def np_cross_entropy(z, *, labels, weight=None, ignore_index=None, label_smoothing=0.0, reduction="mean"):
    classes = z.shape[-1]
    logp = np.log(np_softmax(z)).reshape(-1, classes)
    w = np.ones(classes) if weight is None else weight
    losses, total = [], 0.0
    for row, label in zip(logp, np.ravel(labels), strict=True):
        if label == ignore_index:
            losses.append(0.0)
            continue
        q = np.full(classes, label_smoothing / classes)
        q[label] += 1 - label_smoothing
        losses.append(-(q * w * row).sum())
        total += w[label]
    losses = np.reshape(losses, labels.shape)
    return losses if reduction == "none" else losses.sum() / (total if reduction == "mean" else 1.0)


def np_bce(z, y, *, reduction="mean", pos_weight=1.0, weight=1.0):
    p = sigmoid(z)
    loss = -(pos_weight * y * np.log(p) + (1 - y) * np.log(1 - p)) * weight
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


LABELS = np.array([1, 0, 3, 2, 3])
REDUCTIONS = ["mean", "sum", "none"]
ROWS = np.array([2, 0, 2, 1])
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, True]])
CONV = dict(strides=(1, 1), pads=((0, 1), (1, 1)), dilation=(1, 1), groups=2)
POOL = dict(window=(2, 2), strides=(2, 2), pads=((0, 0), (0, 0)))
POOL_INDEX = np.random.default_rng(0).integers(0, 4, (1, 2, 2, 2)).astype(np.uint8)

CASES = [
    # ------------------------------------------------------------------ arithmetic
    binary("add", complex=True),
    binary("subtract", complex=True),
    binary("multiply", complex=True),
    binary("divide", lambda r: [r.normal(size=(3, 4)), *away_from_0((3, 4))(r)], complex=True),
    binary("remainder", lambda r: [r.uniform(0.1, 0.9, (3, 4)) + r.integers(-3, 4, (3, 4)), np.ones((3, 4))]),
    binary("fmod", lambda r: [r.uniform(0.1, 0.9, (3, 4)) + 2, np.ones((3, 4))]),
    binary("power", lambda r: [r.uniform(0.5, 2, (3, 4)), r.normal(size=(3, 4))]),
    unary("negative", complex=True),
    unary("positive", complex=True),
    unary("reciprocal", away_from_0((3, 4)), complex=True),
    unary("square", complex=True),
    unary("sqrt", uniform(0.3, 3), complex=True),
    unary("cbrt", away_from_0((3, 4))),
    # ------------------------------------------------------------------ exponentials, logarithms
    unary("exp", complex=True),
    unary("exp2"),
    unary("expm1", complex=True),
    unary("log", uniform(0.3, 3), complex=True),
    unary("log2", uniform(0.3, 3)),
    unary("log10", uniform(0.3, 3)),
    unary("log1p", uniform(-0.7, 3)),
    binary("logaddexp"),
    binary("logaddexp2"),
    # ------------------------------------------------------------------ trigonometry, hyperbolic
    unary("sin", complex=True),
    unary("cos", complex=True),
    unary("tan", uniform(-1, 1), complex=True),
    unary("arcsin", uniform(-0.8, 0.8)),
    unary("arccos", uniform(-0.8, 0.8)),
    unary("arctan"),
    binary("arctan2", away_from_0((3, 4), (3, 4))),
    unary("sinh", complex=True),
    unary("cosh", complex=True),
    unary("tanh", complex=True),
    unary("arcsinh"),
    unary("arccosh", uniform(1.3, 3)),
    unary("arctanh", uniform(-0.8, 0.8)),
    unary("deg2rad"),
    unary("rad2deg"),
    binary("hypot", away_from_0((3, 4), (3, 4))),
    # ------------------------------------------------------------------ kinks, choices
    unary("absolute", away_from_0((3, 4)), complex=True),
    binary("maximum"),
    binary("minimum"),
    binary("fmax"),
    binary("fmin"),
    binary("copysign", away_from_0((3, 4), (3, 4))),
    OpCase(
        "where", normal((3, 4), (4,)), complex=True, call=lambda f, x, y: f(beside(MASK, x), x, y), numpy=lambda x, y: np.where(MASK, x, y)
    ),
    OpCase(
        "clip",
        lambda r: [r.permutation(12).reshape(3, 4) / 4.0 - 1.4],
        grid(min=[None, -0.5], max=[1.0]),
        numpy=lambda x, min, max: np.clip(x, min, max),
    ),
    OpCase(
        "clip",
        lambda r: [distinct(3, 4)(r)[0], np.full(4, -0.1), np.full((3, 1), 1.5)],
        call=lambda f, x, lo, hi: f(x, lo, hi),
        id="clip-array-bounds",
    ),
    # ------------------------------------------------------------------ complex, dtype
    unary("conjugate", complex=True),
    unary("real", complex=True),
    unary("imag", complex=True),
    OpCase("astype", normal((3, 4)), [{"dtype": np.float64}], numpy=lambda x, dtype: x.astype(dtype), complex=False),
    OpCase("copy", normal((3, 4)), complex=True),
    # ------------------------------------------------------------------ reductions
    OpCase("sum", normal((2, 3, 4)), AXES, complex=True),
    OpCase("mean", normal((2, 3, 4)), AXES, complex=True),
    OpCase(
        "var",
        normal((2, 3, 4)),
        [dict(a, correction=c) for a in AXES for c in (0, 1)],
        numpy=lambda x, axis, keepdims, correction: np.var(x, axis=axis, keepdims=keepdims, ddof=correction),
        complex=True,
    ),
    OpCase(
        "std",
        normal((2, 3, 4)),
        [dict(a, correction=1) for a in AXES],
        numpy=lambda x, axis, keepdims, correction: np.std(x, axis=axis, keepdims=keepdims, ddof=correction),
    ),
    OpCase("max", distinct(2, 3, 4), AXES),
    OpCase("min", distinct(2, 3, 4), AXES),
    OpCase("logsumexp", normal((2, 3, 4)), AXES, numpy=np_logsumexp, complex=True),
    OpCase("prod", normal((2, 3, 4)), AXES, complex=True),
    OpCase("prod", lambda r: [r.normal(size=(4, 3)) * (r.uniform(size=(4, 3)) > 0.4)], AXES[:6], id="prod-zeros"),
    OpCase("cumsum", normal((2, 3)), grid(axis=[None, 0, 1]), complex=True),
    OpCase("sum_to", normal((2, 3, 4)), [{"shape": s} for s in [(), (4,), (3, 1), (1, 3, 1), (2, 3, 4)]],
           numpy=lambda x, shape: x.sum(tuple(range(3 - len(shape))) + tuple(i + 3 - len(shape) for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)),
    # ------------------------------------------------------------------ shape
    OpCase("reshape", normal((2, 6)), [{"shape": (3, 4)}, {"shape": (-1,)}, {"shape": (4, -1)}], complex=True),
    OpCase("transpose", normal((2, 3, 4)), [{}, {"axes": (1, 2, 0)}, {"axes": (-1, 0, 1)}]),
    OpCase("swapaxes", normal((2, 3, 4)), [{"axis1": 0, "axis2": -1}]),
    OpCase("matrix_transpose", normal((2, 3, 4)), numpy=lambda x: x.swapaxes(-1, -2)),
    OpCase("moveaxis", normal((2, 3, 4)), [{"source": 0, "destination": -1}, {"source": (0, 1), "destination": (2, 0)}]),
    OpCase("expand_dims", normal((2, 3)), [{"axis": 0}, {"axis": (0, -1)}]),
    OpCase("squeeze", normal((2, 1, 3, 1)), [{}, {"axis": 1}, {"axis": (1, -1)}]),
    OpCase("broadcast_to", normal((3, 1)), [{"shape": (2, 3, 4)}]),
    OpCase("broadcast_arrays", normal((3, 1), (4,)), call=lambda f, x, y: (lambda p: p[0] * p[1])(f(x, y)), numpy=lambda x, y: x * y),
    OpCase("ravel", normal((2, 3))),
    OpCase("atleast_1d", normal(())),
    OpCase("atleast_2d", normal((3,))),
    OpCase("concatenate", normal((2, 3), (1, 3), (4, 3), (2, 3)), call=lambda f, *xs, **k: f(xs, **k),
           numpy=lambda *xs, **k: np.concatenate(xs, **k), complex=True),
    OpCase("stack", normal((2, 3), (2, 3)), grid(axis=[0, 1, -1]), call=lambda f, *xs, **k: f(xs, **k), numpy=lambda *xs, **k: np.stack(xs, **k)),
    OpCase("split", normal((6, 2)), call=lambda f, x: f(x, [1, 4])[1], numpy=lambda x: np.split(x, [1, 4])[1]),
    OpCase("array_split", normal((5, 2)), call=lambda f, x: f(x, 3)[2], numpy=lambda x: np.array_split(x, 3)[2]),
    OpCase("unstack", normal((3, 2)), call=lambda f, x: f(x, 1)[1], numpy=lambda x: x[:, 1]),
    OpCase("flip", normal((2, 3)), [{}, {"axis": 0}, {"axis": (0, 1)}]),
    OpCase("roll", normal((2, 3)), [{"shift": 1}, {"shift": -2, "axis": 1}, {"shift": (1, 2), "axis": (0, 1)}]),
    OpCase("tile", normal((2, 3)), [{"reps": 2}, {"reps": (2, 1, 3)}]),
    OpCase("repeat", normal((2, 3)), [{"repeats": 2}, {"repeats": 2, "axis": 0}, {"repeats": [1, 0, 2], "axis": 1}]),
    OpCase("pad", normal((2, 3)), [{"pad_width": 1}, {"pad_width": ((0, 1), (2, 0)), "constant_values": 5.0}]
           + [{"pad_width": ((1, 0), (2, 1)), "mode": m} for m in ("edge", "reflect", "symmetric", "wrap")]),
    OpCase("tril", normal((3, 4)), grid(k=[0, 1])),
    OpCase("triu", normal((2, 3, 4)), grid(k=[0, -1])),
    # ------------------------------------------------------------------ indexing
    OpCase("getitem", normal((3, 4)), [{"index": i} for i in [
        1, -1, slice(None, None, -2), (slice(1, 3), 2), (None, ..., 1), ROWS, (ROWS, ROWS), MASK, (MASK[:, 0], 1), (slice(None), ROWS), ([0, 0],), ()]],
        numpy=lambda x, index: x[index], complex=True),
    OpCase("scatter_add", normal((4, 3)), [{"index": ROWS, "shape": (5, 3)}], numpy=scatter),
    OpCase("scatter_add", normal((4,)), [{"index": (ROWS, ROWS), "shape": (3, 4)}], numpy=scatter, id="scatter_add-two-axes"),
    OpCase("setitem", normal((3, 4), (4,)), [{"index": 1}, {"index": slice(0, 2)}, {"index": (slice(None), ROWS % 4)}, {"index": np.array([2, 0, 2])}],
           numpy=set_item),
    OpCase("setitem", normal((3, 4), ()), [{"index": MASK}], numpy=set_item, id="setitem-mask"),
    OpCase("take_along_axis", normal((3, 4)), [{"indices": np.array([[0, 0, 2, 1]]), "axis": 0}, {"indices": np.array([[0], [3], [3]]), "axis": 1},
           {"indices": np.array([3, 0, 0]), "axis": None}]),
    OpCase("take_along", normal((3, 4)), [{"indices": np.array([[0, 0, 2, 1]]), "axis": 0}], numpy=np.take_along_axis),
    OpCase("put_along_axis", normal((3, 4)), [{"indices": np.array([[0, 1, 1, 0]] * 3), "axis": 1, "shape": (3, 2)}], numpy=put_along),
    OpCase("take", normal((3, 4)), [{"indices": ROWS}, {"indices": ROWS, "axis": 0}, {"indices": [[0, 1]], "axis": 1}]),
    OpCase("sort", distinct(3, 4), grid(axis=[-1, 0, None])),
    OpCase("diagonal", normal((3, 4, 2)), [{}, {"offset": 1}, {"offset": -1, "axis1": 1, "axis2": 0}]),
    OpCase("trace", normal((3, 3)), grid(offset=[0, 1])),
    # ------------------------------------------------------------------ linear algebra
    *[OpCase("matmul", normal(a, b), complex=len(a) == 2, id=f"matmul-{a}-{b}") for a, b in [
        ((3, 4), (4, 2)), ((4,), (4,)), ((4,), (4, 2)), ((3, 4), (4,)), ((2, 3, 4), (4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,))]],
    OpCase("dot", normal((2, 3, 4), (4, 5))),
    OpCase("dot", normal((), (3,)), id="dot-scalar"),
    OpCase("tensordot", normal((2, 3, 4), (3, 4, 5)), [{}, {"axes": ((1, 2), (0, 1))}, {"axes": ((2,), (1,))}]),
    OpCase("inner", normal((2, 3), (4, 3))),
    OpCase("outer", normal((2,), (3,))),
    OpCase("vdot", normal((2, 3), (2, 3)), complex=True),
    OpCase("vecdot", normal((2, 3), (2, 3)), complex=True),
    *[OpCase("einsum", normal(*shapes), call=lambda f, *xs, e=e: f(e, *xs), numpy=lambda *xs, e=e: np.einsum(e, *xs), complex=k < 3, id=f"einsum-{e}")
      for k, (e, *shapes) in enumerate([
        ("ij,jk->ik", (2, 3), (3, 4)), ("ij,ij->i", (2, 3), (2, 3)), ("ii->i", (3, 3)), ("ii", (3, 3)), ("ij->j", (2, 3)), ("ij->ji", (2, 3)),
        ("...ij,...jk->...ik", (2, 2, 3), (3, 4)), ("i,j,k->kji", (2,), (3,), (4,)), ("ijk,k", (2, 3, 4), (4,)), ("iij,jk->ik", (2, 2, 3), (3, 2)),
        ("ij,kj->", (2, 3), (4, 3)), ("i...->...", (2, 3, 4)), ("ij,jk,kl,lm->im", (2, 3), (3, 2), (2, 3), (3, 2)), ("ij,ij->ij", (1, 3), (2, 3))])],
    OpCase("einsum_labelled", normal((2, 3), (3, 4)), [{"labels": ("ij", "jk"), "result": "ik"}], numpy=lambda x, y, labels, result: x @ y),
    # ------------------------------------------------------------------ activations
    unary("relu", away_from_0((3, 4)), numpy=lambda x: np.maximum(x, 0)),
    unary("relu6", lambda r: [r.permutation(12).reshape(3, 4) * 0.9 - 1.7], numpy=lambda x: np.clip(x, 0, 6)),
    unary("sigmoid", numpy=sigmoid, complex=True),
    unary("softplus", numpy=lambda x: np.log1p(np.exp(x)), complex=True),
    unary("log_sigmoid", numpy=lambda x: np.log(sigmoid(x)), complex=True),
    unary("silu", numpy=lambda x: x * sigmoid(x), complex=True),
    unary("erf", numpy=np.vectorize(math.erf, otypes=[float])),
    unary("softsign", away_from_0((3, 4)), numpy=lambda x: x / (1 + abs(x)), complex=True),
    OpCase("leaky_relu", away_from_0((3, 4)), grid(negative_slope=[0.2, 0.01]), numpy=lambda x, negative_slope: np.where(x > 0, x, negative_slope * x)),
    OpCase("elu", away_from_0((3, 4)), grid(alpha=[1.0, 0.7]), numpy=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x))),
    OpCase("selu", away_from_0((3, 4)), numpy=lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    OpCase("celu", away_from_0((3, 4)), grid(alpha=[0.7]), numpy=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x / alpha))),
    OpCase("gelu", normal((3, 4)), grid(approximate=[False, True]), numpy=lambda x, approximate: 0.5 * x * (1 + (
        np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)) if approximate else np.vectorize(math.erf)(x / np.sqrt(2))))),
    OpCase("mish", normal((3, 4)), numpy=lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    OpCase("hard_sigmoid", normal((3, 4)), numpy=lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    OpCase("hard_silu", normal((3, 4)), numpy=lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    OpCase("glu", normal((3, 4)), grid(axis=[-1]), numpy=lambda x, axis: x[:, :2] * sigmoid(x[:, 2:])),
    OpCase("softmax", normal((3, 4)), grid(axis=[-1, 0]), numpy=np_softmax),
    OpCase("log_softmax", normal((3, 4)), grid(axis=[-1, 0]), numpy=lambda x, axis: np.log(np_softmax(x, axis))),
    # ------------------------------------------------------------------ layers
    OpCase("linear", normal((5, 3), (3, 2), (2,)), call=lambda f, *a: f(*a), numpy=lambda x, w, b: x @ w + b),
    OpCase("linear", normal((2, 5, 3), (3, 2), (2,)), [{"activation": "relu"}], numpy=lambda x, w, b, activation: np.maximum(x @ w + b, 0), id="linear-relu"),
    OpCase("linear", normal((3,), (3, 2)), [{"activation": "tanh"}], numpy=lambda x, w, activation: np.tanh(x @ w), id="linear-tanh"),
    OpCase("batch_norm", normal((6, 3), (3,), (3,)), call=batch_norm, numpy=np_batch_norm),
    OpCase("batch_norm", normal((6, 3), (3,), (3,)), grid(activation=["relu", "tanh"]), call=batch_norm, numpy=np_batch_norm, id="batch_norm-activation"),
    OpCase("batch_norm", normal((3, 4, 2)), [{"axis": 1, "activation": "relu"}], call=batch_norm, numpy=np_batch_norm, id="batch_norm-plain-relu"),
    OpCase("batch_norm", normal((2, 4, 3, 2), (3,)), [{"axis": 2}], call=batch_norm, numpy=np_batch_norm, id="batch_norm-axis"),
    OpCase("batch_norm", normal((2, 5, 3)), [{"axis": 1, "eps": 0.1}], call=batch_norm, numpy=np_batch_norm, id="batch_norm-plain"),
    OpCase("layer_norm", normal((3, 4), (4,), (4,)), numpy=lambda x, w, b: np_batch_norm(x, axis=0, eps=1e-5) * w + b),
    OpCase("rms_norm", normal((3, 4), (4,)), numpy=lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w),
    OpCase("group_norm", normal((2, 3, 4)), [{"groups": 2}]),
    OpCase("embedding", normal((5, 3)), call=lambda f, w: f(ROWS, w), numpy=lambda w: w[ROWS]),
    OpCase(
        "dropped",
        normal((3, 4)),
        [{"rate": r, "seed": 5, "offset": 3} for r in (0.25, 0.6)],
        numpy=lambda x, rate, **place: x * numpy_backend.keep_mask(x.shape, rate, x.dtype, **place),
    ),
    OpCase("dropout", normal((3, 4)), [{"rate": 0.4, "training": False}], numpy=lambda x, **_: x),
    # ------------------------------------------------------------------ convolution, pooling (values: tests/test_conv.py)
    OpCase("conv", normal((2, 6, 5, 4), (3, 2, 4, 6), (6,)), grid(strides=[1, 2], padding=["valid", "same"])),
    OpCase("conv", normal((2, 6, 5, 4), (3, 2, 2, 6), (6,)), grid(activation=["relu"], groups=[2], dilation=[1, 2]), id="conv-relu"),
    OpCase("conv_forward", normal((2, 6, 5, 4), (3, 2, 2, 6)), [dict(CONV, strides=s, dilation=d) for s, d in [((1, 1), (1, 1)), ((2, 1), (1, 2))]]),
    OpCase("conv_input_grad", normal((2, 5, 6, 3), (3, 2, 4, 3)), [dict(CONV, x_shape=(2, 6, 5, 4), groups=1)]),
    OpCase("conv_weight_grad", normal((2, 5, 6, 6), (2, 6, 5, 4)), [dict(CONV, w_shape=(3, 2, 2, 6))]),
    OpCase("max_pool", distinct(1, 5, 4, 2), [{"pool_size": 2}, {"pool_size": (3, 2), "strides": 1, "padding": "same"}]),
    OpCase("max_pool_gather", normal((1, 4, 4, 2)), [dict(POOL, index=POOL_INDEX)]),
    OpCase("max_pool_input_grad", normal((1, 2, 2, 2)), [dict(POOL, index=POOL_INDEX, x_shape=(1, 4, 4, 2))]),
    OpCase("avg_pool_forward", normal((2, 5, 4, 2)), [dict(POOL, pads=((1, 0), (0, 1)))]),
    OpCase("avg_pool_input_grad", normal((1, 2, 2, 2)), [dict(POOL, x_shape=(1, 4, 4, 2))]),
    # ------------------------------------------------------------------ losses
    OpCase("softmax_cross_entropy", normal((5, 4)), [dict(k, labels=LABELS) for k in grid(label_smoothing=[0.0, 0.1], reduction=REDUCTIONS,
           weight=[None, np.array([0.5, 1.0, 2.0, 1.5])], ignore_index=[None, 3])], numpy=np_cross_entropy),
    OpCase("softmax_cross_entropy", normal((1, 5, 4)), [{"labels": LABELS[None], "reduction": "none"}], numpy=np_cross_entropy, id="softmax_cross_entropy-3d"),
    OpCase("softmax_cross_entropy", lambda r: [r.normal(size=(5, 4)), r.dirichlet(np.ones(4), 5)], grid(reduction=REDUCTIONS, label_smoothing=[0.0, 0.2]),
           numpy=None, id="softmax_cross_entropy-soft"),
    OpCase("sigmoid_cross_entropy", lambda r: [r.normal(size=(3, 4)), r.uniform(size=(3, 4))], grid(reduction=REDUCTIONS), numpy=np_bce),
    OpCase("sigmoid_cross_entropy", lambda r: [r.normal(size=(3, 4)), r.uniform(size=(3, 4))], [{"pos_weight": 2.5, "weight": np.arange(4.0)}],
           numpy=np_bce, id="sigmoid_cross_entropy-weights"),
    OpCase("sigmoid_cross_entropy_terms", lambda r: [r.normal(size=(3, 4)), r.uniform(size=(3, 4))], numpy=lambda z, y: np_bce(z, y, reduction="none")),
]  # fmt: skip
