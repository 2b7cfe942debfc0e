"""Layers' outputs and gradients against Keras 3 with equal weights; augmentation by its definition."""

import numpy as np
import pytest
from oracles import array, keras, keras_call

from tensorflowlite_bp import layers, ops
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.ops import random

R = np.random.default_rng(0)


def normal(*shape):
    return R.normal(size=shape).astype(np.float32)


CASES = [
    ("Dense", dict(units=4), [(3, 5)]),
    ("Dense", dict(units=4, activation="relu", use_bias=False), [(2, 3, 5)]),
    *[("Dense", dict(units=4, activation=name), [(3, 5)]) for name in (
        "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "hard_sigmoid", "hard_silu", "softplus",
        "softsign",
        "tanh", "softmax", "log_softmax", "leaky_relu", "relu6", "exponential", "log_sigmoid", "linear")],
    ("Activation", dict(activation="swish"), [(3, 5)]),
    ("ReLU", {}, [(3, 5)]),
    ("ReLU", dict(max_value=0.5, negative_slope=0.2), [(3, 5)]),
    ("ReLU", dict(max_value=0.9, negative_slope=0.2, threshold=0.3), [(3, 5)]),
    ("LeakyReLU", {}, [(3, 5)]),
    ("ELU", dict(alpha=0.5), [(3, 5)]),
    ("Softmax", dict(axis=1), [(3, 5, 2)]),
    ("PReLU", dict(alpha_initializer="ones"), [(3, 5, 2)]),
    ("PReLU", dict(shared_axes=[1]), [(3, 5, 2)]),
    ("Flatten", {}, [(3, 5, 2)]),
    ("Flatten", dict(data_format="channels_first"), [(3, 5, 2)]),
    ("Reshape", dict(target_shape=(2, -1)), [(3, 5, 2)]),
    ("Permute", dict(dims=(2, 3, 1)), [(3, 5, 2, 4)]),
    ("RepeatVector", dict(n=3), [(3, 5)]),
    ("Conv1D", dict(filters=4, kernel_size=3), [(2, 9, 3)]),
    ("Conv1D", dict(filters=4, kernel_size=3, padding="causal", dilation_rate=2), [(2, 9, 3)]),
    ("Conv1D", dict(filters=4, kernel_size=3, padding="same", strides=2, activation="relu"), [(2, 9, 3)]),
    ("Conv2D", dict(filters=4, kernel_size=3), [(2, 7, 6, 3)]),
    ("Conv2D", dict(filters=4, kernel_size=(2, 3), strides=(2, 1), padding="same"), [(2, 7, 6, 3)]),
    ("Conv2D", dict(filters=4, kernel_size=2, dilation_rate=2, activation="tanh"), [(2, 7, 6, 3)]),
    ("Conv2D", dict(filters=4, kernel_size=3, groups=2, use_bias=False), [(2, 7, 6, 4)]),
    ("Conv2D", dict(filters=4, kernel_size=3, data_format="channels_first"), [(2, 3, 7, 6)]),
    ("Conv3D", dict(filters=2, kernel_size=2, strides=2), [(2, 4, 5, 4, 2)]),
    ("MaxPooling1D", {}, [(2, 7, 3)]),
    ("MaxPooling2D", {}, [(2, 7, 6, 3)]),
    ("MaxPooling2D", dict(pool_size=3, strides=2, padding="same"), [(2, 7, 6, 3)]),
    ("MaxPooling2D", dict(pool_size=(2, 3), data_format="channels_first"), [(2, 3, 7, 6)]),
    ("MaxPooling3D", {}, [(2, 4, 5, 4, 2)]),
    ("AveragePooling1D", dict(pool_size=3, strides=1), [(2, 7, 3)]),
    ("AveragePooling2D", dict(pool_size=3, strides=2, padding="same"), [(2, 7, 9, 3)]),
    ("AveragePooling3D", dict(pool_size=2), [(2, 4, 5, 4, 2)]),
    ("GlobalMaxPooling1D", {}, [(2, 7, 3)]),
    ("GlobalMaxPooling2D", dict(keepdims=True), [(2, 7, 6, 3)]),
    ("GlobalMaxPooling3D", {}, [(2, 4, 5, 4, 2)]),
    ("GlobalAveragePooling1D", {}, [(2, 7, 3)]),
    ("GlobalAveragePooling2D", dict(data_format="channels_first"), [(2, 7, 6, 3)]),
    ("GlobalAveragePooling3D", dict(keepdims=True), [(2, 4, 5, 4, 2)]),
    ("BatchNormalization", {}, [(6, 3)]),
    ("BatchNormalization", dict(axis=1, scale=False), [(4, 3, 5)]),
    ("BatchNormalization", dict(center=False, epsilon=0.1), [(2, 4, 5, 3)]),
    ("LayerNormalization", {}, [(6, 3)]),
    ("LayerNormalization", dict(axis=[1, 2], epsilon=1e-5), [(4, 3, 5)]),
    ("LayerNormalization", dict(center=False, scale=False), [(4, 3, 5)]),
    ("RMSNormalization", {}, [(6, 3)]),
    ("ZeroPadding1D", dict(padding=(1, 2)), [(2, 4, 3)]),
    ("ZeroPadding2D", dict(padding=((1, 0), (2, 3))), [(2, 4, 5, 3)]),
    ("ZeroPadding2D", dict(padding=(1, 2), data_format="channels_first"), [(2, 3, 4, 5)]),
    ("ZeroPadding3D", dict(padding=1), [(2, 2, 3, 2, 2)]),
    ("Cropping1D", dict(cropping=1), [(2, 4, 3)]),
    ("Cropping2D", dict(cropping=((1, 0), (2, 1))), [(2, 4, 5, 3)]),
    ("Cropping3D", dict(cropping=1), [(2, 3, 4, 5, 2)]),
    ("UpSampling1D", dict(size=3), [(2, 4, 3)]),
    ("UpSampling2D", dict(size=(2, 3)), [(2, 4, 5, 3)]),
    ("UpSampling3D", dict(size=2), [(2, 2, 3, 2, 2)]),
    ("Add", {}, [(3, 5), (3, 5), (3, 5)]),
    ("Add", {}, [(3, 4, 5), (3, 1, 5)]),
    ("Subtract", {}, [(3, 5), (3, 5)]),
    ("Multiply", {}, [(3, 5), (3, 1)]),
    ("Average", {}, [(3, 5), (3, 5), (3, 5)]),
    ("Maximum", {}, [(3, 5), (3, 5)]),
    ("Minimum", {}, [(3, 5), (3, 5)]),
    ("Concatenate", {}, [(3, 5), (3, 2)]),
    ("Concatenate", dict(axis=1), [(3, 5, 2), (3, 1, 2)]),
    ("Dot", dict(axes=1), [(3, 5), (3, 5)]),
    ("Dot", dict(axes=(2, 1)), [(3, 4, 5), (3, 5, 2)]),
    ("Dot", dict(axes=1, normalize=True), [(3, 5), (3, 5)]),
    ("Rescaling", dict(scale=0.5, offset=-1.0), [(3, 5)]),
    ("Normalization", dict(mean=[1.0, 2.0], variance=[4.0, 9.0]), [(3, 2)]),
    ("Normalization", dict(mean=[1.0, 2.0], variance=[4.0, 9.0], invert=True), [(3, 2)]),
    ("Identity", {}, [(3, 5)]),
]  # fmt: skip


def make_both(name, options):
    return getattr(layers, name)(**options), getattr(keras().layers, name)(**options)


@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES])
def test_output_and_gradients_as_keras(name, options, shapes):
    mine, theirs = make_both(name, options)
    arrays = [normal(*s) for s in shapes]
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    several = len(arrays) > 1
    given = tensors if several else tensors[0]
    assert mine.compute_output_shape(list(shapes) if several else shapes[0]) is not None
    first = mine(given)
    weights = [abs(normal(*w.shape)) + 0.1 for w in mine.weights]
    mine.set_weights(weights)
    out = mine(given)
    assert out.shape == first.shape
    cotangent = normal(*out.shape)
    expected, grads = keras_call(theirs, arrays if several else arrays[0], weights, cotangent=cotangent)
    tolerance = dict(rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(out.numpy(), expected, **tolerance)
    out.backward(Tensor(cotangent))
    found = [t.grad for t in tensors] + [w.grad for w in mine.trainable_weights]
    assert len(found) == len(grads)
    for ours_now, theirs_now in zip(found, grads, strict=True):
        np.testing.assert_allclose(ours_now.numpy(), theirs_now, **tolerance)


@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES])
def test_output_shape(name, options, shapes):
    mine, theirs = make_both(name, options)
    unknown = [(None, *s[1:]) for s in shapes]
    given = unknown if len(shapes) > 1 else unknown[0]
    expected = mine([normal(*s) for s in shapes] if len(shapes) > 1 else normal(*shapes[0])).shape
    assert tuple(mine.compute_output_shape(given)) == (None, *expected[1:])
    if name != "Normalization":
        assert tuple(mine.compute_output_shape(given)) == tuple(theirs.compute_output_shape(given))


@pytest.mark.parametrize(
    "name", ["Dense", "Conv2D", "BatchNormalization", "Embedding", "LayerNormalization", "PReLU"]
)
def test_weights_have_keras_names_and_shapes(name):
    options, shape = {
        "Dense": (dict(units=3), (2, 5)),
        "Conv2D": (dict(filters=3, kernel_size=2), (2, 5, 5, 2)),
        "BatchNormalization": ({}, (2, 5)),
        "Embedding": (dict(input_dim=4, output_dim=3), (2, 5)),
        "LayerNormalization": ({}, (2, 5)),
        "PReLU": ({}, (2, 5)),
    }[name]
    mine, theirs = make_both(name, options)
    mine.build(shape)
    theirs.build(shape)
    assert [(w.name, w.shape, w.trainable) for w in mine.weights] == [
        (w.name, tuple(w.shape), w.trainable) for w in theirs.weights
    ]


def test_defaults_are_those_of_keras():
    import inspect

    for name in {name for name, _, _ in CASES} | {"Dropout", "Embedding", "GaussianNoise", "RandomFlip"}:
        mine = inspect.signature(getattr(layers, name).__init__).parameters
        theirs = inspect.signature(getattr(keras().layers, name).__init__).parameters
        for key in mine.keys() & theirs.keys() - {"self", "kwargs", "dtype"}:
            a, b = mine[key].default, theirs[key].default
            same = a == b or str(a).lower() == str(b).lower()
            same = same or (isinstance(a, int) and b in ((a,) * n for n in (1, 2, 3)))
            same = same or (key in ("padding", "cropping") and b in (((a, a),) * 2, ((a, a),) * 3, (a, a)))
            assert same or key in ("keepdims", "data_format") or b is inspect.Parameter.empty, (
                name,
                key,
                a,
                b,
            )


# ------------------------------------------------------------ batch normalisation
@pytest.mark.parametrize(("shape", "axis"), [((8, 3), -1), ((4, 3, 5), 1), ((2, 4, 4, 3), -1)])
def test_batch_normalization_training(shape, axis):
    mine, theirs = make_both("BatchNormalization", dict(axis=axis, momentum=0.8))
    x = normal(*shape) * 2 + 1
    mine.build(shape)
    weights = [abs(normal(*w.shape)) + 0.1 for w in mine.weights]
    mine.set_weights(weights)
    t = Tensor(x.copy(), requires_grad=True)
    out = mine(t, training=True)
    cotangent = normal(*shape)
    expected, grads = keras_call(theirs, x, weights, cotangent=cotangent, training=True)
    np.testing.assert_allclose(out.numpy(), expected, rtol=2e-5, atol=2e-5)
    out.backward(Tensor(cotangent))
    for mine_now, theirs_now in zip([t.grad, *(w.grad for w in mine.trainable_weights)], grads, strict=True):
        np.testing.assert_allclose(mine_now.numpy(), theirs_now, rtol=5e-5, atol=5e-5)
    for a, b in zip(mine.get_weights(), map(array, theirs.weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_frozen_batch_normalization_uses_moving_statistics():
    layer = layers.BatchNormalization()
    layer.build((None, 2))
    layer.trainable = False
    x = normal(8, 2) + 5
    np.testing.assert_allclose(layer(x, training=True).numpy(), layer(x).numpy())
    assert layer.moving_mean.numpy().tolist() == [0, 0]


def test_average_pooling_never_counts_padding():
    """Also where "same" pads one side more: only Keras' torch backend repeats the border there."""
    import jax

    x = normal(2, 7, 6, 3)
    sums, counts = (
        jax.lax.reduce_window(a, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for a in (x, np.ones_like(x))
    )
    out = layers.AveragePooling2D(3, 2, "same")(x).numpy()
    np.testing.assert_allclose(out, np.asarray(sums / counts), rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------ differences
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.Dense(3, "gelu", dtype="float64"), (4, 5)),
        (
            lambda: layers.Conv2D(2, 2, padding="same", strides=2, activation="softplus", dtype="float64"),
            (2, 5, 4, 3),
        ),
        (lambda: layers.BatchNormalization(dtype="float64"), (6, 3)),
        (lambda: layers.LayerNormalization(dtype="float64"), (6, 3)),
        (lambda: layers.PReLU("ones", dtype="float64"), (3, 4)),
        (lambda: layers.Dot(1, normalize=True, dtype="float64"), [(3, 4), (3, 4)]),
    ],
)
def test_gradients_by_differences(make, shape):
    layer = make()
    r = np.random.default_rng(3)
    arrays = [r.normal(size=s) for s in (shape if isinstance(shape, list) else [shape])]
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]

    def value(xs):
        out = layer(xs if len(xs) > 1 else xs[0], training=True)
        return ops.sum(ops.square(out) * ops.asarray(np.cos(np.arange(out.size)).reshape(out.shape)))

    value(tensors).backward()
    for which in [*tensors, *layer.trainable_weights]:
        direction = r.normal(size=which.shape)
        slope = float((which.grad.numpy() * direction).sum())
        start, h = which.numpy().copy(), 1e-6
        ends = []
        for sign in (1, -1):
            if isinstance(which, layers.Variable):
                which.assign(start + sign * h * direction)
                ends.append(value([Tensor(a) for a in arrays]).item())
            else:
                moved = [start + sign * h * direction if t is which else t.numpy() for t in tensors]
                ends.append(value([Tensor(a) for a in moved]).item())
        if isinstance(which, layers.Variable):
            which.assign(start)
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-6, abs=1e-7)


# ------------------------------------------------------------------------ look-up
def test_embedding():
    layer = layers.Embedding(5, 3, mask_zero=True)
    indices = np.array([[0, 1, 1], [4, 0, 2]])
    out = layer(indices)
    table = layer.embeddings.numpy()
    np.testing.assert_array_equal(out.numpy(), table[indices])
    cotangent = normal(2, 3, 3)
    out.backward(Tensor(cotangent))
    expected = np.zeros((5, 3), np.float32)
    np.add.at(expected, indices, cotangent)
    np.testing.assert_allclose(layer.embeddings.grad.numpy(), expected, rtol=1e-6)
    assert ops.asarray(layer.compute_mask(ops.asarray(indices))).numpy().tolist() == (indices != 0).tolist()
    assert layer(indices.astype(np.float32)).shape == (2, 3, 3)
    assert layer.compute_output_shape((None, 7)) == (None, 7, 3)
    assert abs(table).max() <= 0.05


# ------------------------------------------------------------------------- random
def test_dropout():
    layer = layers.Dropout(0.25, seed=1)
    x = np.ones((200, 50), np.float32)
    assert layer(x).numpy() is not None
    assert (layer(x).numpy() == 1).all()
    t = Tensor(x, requires_grad=True)
    out = layer(t, training=True)
    np.testing.assert_allclose(np.unique(out.numpy()), [0, 1 / 0.75], rtol=1e-6)
    assert (out.numpy() == 0).mean() == pytest.approx(0.25, abs=0.02)
    out.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), out.numpy())
    assert (layer(x, training=True).numpy() != out.numpy()).any()
    again = layers.Dropout(0.25, seed=1)
    np.testing.assert_array_equal(again(x, training=True).numpy(), out.numpy())
    assert (layers.Dropout(1.0)(x, training=True).numpy() == 0).all()
    shared = layers.Dropout(0.5, noise_shape=(None, 1), seed=2)(x, training=True).numpy()
    assert (shared == shared[:, :1]).all()
    assert 0.3 < (shared[:, 0] == 0).mean() < 0.7


def test_the_global_seed_decides():
    results = []
    for _ in range(2):
        random.seed(7)
        dense = layers.Dense(3)
        out = layers.Dropout(0.5)(dense(np.ones((4, 2))), training=True).numpy()
        results.append((dense.kernel.numpy().copy(), out))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_spatial_dropout():
    out = layers.SpatialDropout2D(0.5, seed=1)(np.ones((20, 3, 4, 5), np.float32), training=True).numpy()
    assert (out == out[:, :1, :1]).all()
    assert 0.3 < (out[:, 0, 0] == 0).mean() < 0.7
    out = layers.SpatialDropout1D(0.5, seed=1)(np.ones((20, 3, 5), np.float32), training=True).numpy()
    assert (out == out[:, :1]).all()


def test_gaussian_noise_and_dropout():
    x = np.ones((200, 100), np.float32)
    noisy = layers.GaussianNoise(0.3, seed=1)(x, training=True).numpy()
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(1, abs=0.01)
    assert noisy.std() == pytest.approx(0.3, rel=0.02)
    noisy = layers.GaussianDropout(0.2, seed=1)(2 * x, training=True).numpy()
    assert noisy.mean() == pytest.approx(2, abs=0.02)
    assert noisy.std() == pytest.approx(2 * 0.5, rel=0.02)
    for layer in (layers.GaussianNoise(0.3), layers.GaussianDropout(0.3)):
        assert (layer(x).numpy() == 1).all()


def test_checkpoint_draws_the_same_mask_again():
    from tensorflowlite_bp import checkpoint

    for seed in (None, 3):
        layer = layers.Dropout(0.5, seed=seed)
        x = Tensor(np.ones((50, 50), np.float32), requires_grad=True)
        out = checkpoint(lambda t, layer=layer: layer(t, training=True))(x)
        out.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), out.numpy())


# ------------------------------------------------------------------- augmentation
def test_random_flip():
    x = normal(40, 3, 4, 2)
    out = layers.RandomFlip("horizontal", seed=1)(x, training=True).numpy()
    flipped = [(o == i[:, ::-1]).all() for o, i in zip(out, x, strict=True)]
    same = [(o == i).all() for o, i in zip(out, x, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 8 < sum(flipped) < 32
    out = layers.RandomFlip("vertical", seed=1)(x, training=True).numpy()
    assert all((o == i).all() or (o == i[::-1]).all() for o, i in zip(out, x, strict=True))
    out = layers.RandomFlip(seed=1)(x, training=True).numpy()
    kinds = {
        next(k for k, v in enumerate([i, i[::-1], i[:, ::-1], i[::-1, ::-1]]) if (v == o).all())
        for o, i in zip(out, x, strict=True)
    }
    assert kinds == {0, 1, 2, 3}
    assert (layers.RandomFlip()(x).numpy() == x).all()
    assert layers.RandomFlip(seed=1)(x[0], training=True).shape == x[0].shape


@pytest.mark.parametrize(
    ("mode", "pad"),
    [("constant", "constant"), ("reflect", "symmetric"), ("wrap", "wrap"), ("nearest", "edge")],
)
def test_random_translation(mode, pad):
    x = normal(30, 6, 5, 2)
    layer = layers.RandomTranslation(0.5, 0.4, fill_mode=mode, seed=4)
    out = layer(x, training=True).numpy()
    seen = set()
    padded = np.pad(x, ((0, 0), (3, 3), (2, 2), (0, 0)), mode=pad)
    for o, i in zip(out, padded, strict=True):
        shifts = [(a, b) for a in range(7) for b in range(5) if np.array_equal(i[a : a + 6, b : b + 5], o)]
        assert shifts
        seen.update(shifts[:1])
    assert len(seen) > 8
    assert (layer(x).numpy() == x).all()
    down = layers.RandomTranslation((0.5, 0.5), 0.0, "constant", fill_value=7.0)(x, training=True).numpy()
    assert (down[:, :3] == 7).all()
    np.testing.assert_array_equal(down[:, 3:], x[:, :3])


def test_translation_has_a_gradient():
    x = Tensor(normal(2, 4, 4, 1), requires_grad=True)
    layers.RandomTranslation(0.0, (0.5, 0.5), "constant")(x, training=True).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[:, :, :2], 1)
    np.testing.assert_array_equal(x.grad.numpy()[:, :, 2:], 0)


def test_normalization_adapts():
    x = normal(50, 3) * 4 + 2
    layer = layers.Normalization()
    layer.adapt(x)
    np.testing.assert_allclose(layer(x).numpy(), (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    batched = layers.Normalization()
    batched.adapt(x[i : i + 8] for i in range(0, 50, 8))
    np.testing.assert_allclose(batched.adapt_mean.numpy(), layer.adapt_mean.numpy(), rtol=1e-6)
    np.testing.assert_allclose(batched.adapt_variance.numpy(), layer.adapt_variance.numpy(), rtol=1e-6)
    back = layers.Normalization(invert=True)
    back.adapt(x)
    np.testing.assert_allclose(back(layer(x)).numpy(), x, rtol=1e-4, atol=1e-5)
    whole = layers.Normalization(axis=None)
    whole.adapt(x)
    np.testing.assert_allclose(whole(x).numpy(), (x - x.mean()) / x.std(), rtol=1e-4, atol=1e-5)
    images = normal(4, 3, 3, 2)
    channel = layers.Normalization()
    channel.adapt(images)
    assert channel(images).numpy().mean(axis=(0, 1, 2)) == pytest.approx(np.zeros(2), abs=1e-5)
    fresh = layers.Normalization()
    fresh.build((None, 3))
    fresh.set_weights(layer.get_weights())
    np.testing.assert_array_equal(fresh(x).numpy(), layer(x).numpy())
