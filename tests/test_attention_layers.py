"""Attention layers against Keras 3 with equal weights: outputs, scores, gradients, masks; one learns."""

import inspect

import numpy as np
import pytest
from oracles import array, keras, quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp import layers, models
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.errors import ShapeError

R = np.random.default_rng(0)


def normal(*shape):
    return R.normal(size=shape).astype(np.float32)


def triangle(*shape):
    return np.tri(shape[-2], shape[-1], dtype=bool) | np.zeros(shape, bool)


Q, V = (2, 5, 6), (2, 7, 6)
MULTI = dict(num_heads=3, key_dim=4)
GROUP = dict(head_dim=4, num_query_heads=6, num_key_value_heads=2)
PROJECTED = {
    "self": ("MultiHeadAttention", MULTI, [Q], {}),
    "self, causal": ("MultiHeadAttention", MULTI, [Q], dict(use_causal_mask=True)),
    "self, window": ("MultiHeadAttention", dict(MULTI, sliding_window=2), [Q], dict(use_causal_mask=True)),
    "query and value": ("MultiHeadAttention", MULTI, [Q, V], {}),
    "key apart": ("MultiHeadAttention", MULTI, [(2, 5, 3), V, (2, 7, 2)], {}),
    "value_dim": ("MultiHeadAttention", dict(MULTI, value_dim=5, use_bias=False), [Q], {}),
    "output_shape": ("MultiHeadAttention", dict(MULTI, output_shape=(2, 9)), [Q, V], {}),
    "gate": ("MultiHeadAttention", dict(MULTI, use_gate=True, value_dim=2), [Q, V], {}),
    "mask": ("MultiHeadAttention", MULTI, [Q, V], dict(attention_mask=triangle(2, 5, 7))),
    "mask of heads": ("MultiHeadAttention", MULTI, [Q, V], dict(attention_mask=triangle(2, 3, 5, 7))),
    "mask, causal": (
        "MultiHeadAttention",
        MULTI,
        [Q, V],
        dict(attention_mask=np.arange(7) % 3 < np.ones((2, 5, 1)), use_causal_mask=True),
    ),
    "all axes": ("MultiHeadAttention", MULTI, [(2, 3, 4, 6)], {}),
    "first axis": ("MultiHeadAttention", dict(MULTI, attention_axes=1), [(2, 3, 4, 6)], {}),
    "second axis": ("MultiHeadAttention", dict(MULTI, attention_axes=(2,)), [(2, 3, 4, 6), (2, 3, 5, 6)], {}),
    "counted from the end": ("MultiHeadAttention", dict(MULTI, attention_axes=(-2,)), [(2, 3, 4, 6)], {}),
    "axes, mask": (
        "MultiHeadAttention",
        dict(MULTI, attention_axes=(1, 2)),
        [(2, 3, 4, 6)],
        dict(attention_mask=triangle(2, 12, 12).reshape(2, 3, 4, 3, 4)),
    ),
    "groups": ("GroupQueryAttention", GROUP, [Q], {}),
    "groups, causal": ("GroupQueryAttention", GROUP, [Q], dict(use_causal_mask=True)),
    "groups, mask": ("GroupQueryAttention", GROUP, [Q, V], dict(attention_mask=triangle(2, 5, 7))),
    "one group": (
        "GroupQueryAttention",
        dict(GROUP, num_key_value_heads=1, use_bias=False, use_gate=True, sliding_window=3),
        [Q, V],
        {},
    ),
}
LISTED = {
    "dot": ("Attention", {}, {}),
    "dot, scale": ("Attention", dict(use_scale=True), {}),
    "dot, causal": ("Attention", dict(use_scale=True), dict(use_causal_mask=True)),
    "concat": ("Attention", dict(score_mode="concat"), {}),
    "concat, scale": ("Attention", dict(score_mode="concat", use_scale=True), {}),
    "additive": ("AdditiveAttention", {}, {}),
    "additive, no scale": ("AdditiveAttention", dict(use_scale=False), dict(use_causal_mask=True)),
}


def keras_run(layer, weights, call, arrays, cotangents):
    """Outputs, and gradients of inputs and weights, of a Keras layer that is built by its first call."""
    t = torch()
    with quiet():
        xs = [t.tensor(a, requires_grad=True) for a in arrays]
        call(layer, xs)
        layer.set_weights(weights)
        out = call(layer, xs)
        outs = out if isinstance(out, (list, tuple)) else [out]
        loss = sum((o * t.tensor(c)).sum() for o, c in zip(outs, cotangents, strict=True))
        grads = t.autograd.grad(loss, xs + [v.value for v in layer.trainable_weights])
    return [array(o) for o in outs], [array(g) for g in grads]


def compare(name, options, call, arrays, scores):
    mine, theirs = getattr(layers, name)(**options), getattr(keras().layers, name)(**options)
    xs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    call(mine, xs)
    weights = [normal(*w.shape) * 0.5 for w in mine.weights]
    mine.set_weights(weights)
    out = call(mine, xs)
    outs = list(out) if scores else [out]
    cotangents = [normal(*o.shape) for o in outs]
    expected, grads = keras_run(theirs, weights, call, arrays, cotangents)
    assert [(w.name, w.shape) for w in mine.weights] == [(w.name, tuple(w.shape)) for w in theirs.weights]
    if "Query" in name or "Head" in name:
        owners = [[w.path.split("/")[-2] for w in layer.weights] for layer in (mine, theirs)]
        assert owners[0] == owners[1]
    for one, other in zip(outs, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=2e-5, atol=2e-5)
    sum((o * c).sum() for o, c in zip(outs, cotangents, strict=True)).backward()
    found = [x.grad for x in xs] + [w.grad for w in mine.trainable_weights]
    for one, other in zip(found, grads, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize("scores", [False, True], ids=["", "with scores"])
@pytest.mark.parametrize("case", PROJECTED)
def test_heads_as_keras(case, scores):
    name, options, shapes, how = PROJECTED[case]
    how = dict(how, return_attention_scores=True) if scores else how

    def call(layer, xs):
        return layer(xs[0], xs[1] if len(xs) > 1 else xs[0], **({"key": xs[2]} if len(xs) > 2 else {}), **how)

    compare(name, options, call, [normal(*s) for s in shapes], scores)


@pytest.mark.parametrize("scores", [False, True], ids=["", "with scores"])
@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("case", LISTED)
def test_lists_as_keras(case, inputs, scores):
    name, options, how = LISTED[case]
    masks = [R.random((2, 5)) < 0.7, np.arange(7) < np.array([[4], [7]])]
    for given in (None, [None, masks[1]], masks):
        given = given if given is None or inputs == 2 else [*given, None]

        def call(layer, xs, given=given):
            mask = given
            if given is not None and layer.__module__.startswith("keras"):
                mask = [None if m is None else torch().tensor(m) for m in given]
            return layer(list(xs), mask=mask, return_attention_scores=scores, **how)

        compare(name, options, call, [normal(2, 5, 6), normal(2, 7, 6), normal(2, 7, 6)][:inputs], scores)


@pytest.mark.parametrize(
    "name", ["MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"]
)
def test_signatures_are_those_of_keras(name):
    mine = inspect.signature(getattr(layers, name).__init__).parameters
    theirs = inspect.signature(getattr(keras().layers, name).__init__).parameters
    assert list(mine) == list(theirs)
    for key in mine:
        assert mine[key].default == theirs[key].default
    if "Query" in name or "Head" in name:
        mine = list(inspect.signature(getattr(layers, name).__call__).parameters)
        assert mine[1:11] == list(inspect.signature(getattr(keras().layers, name).call).parameters)[1:]


def weights_like(layer, seed=3):
    r = np.random.default_rng(seed)
    return [r.normal(size=w.shape).astype(np.float32) * 0.5 for w in layer.weights]


def masked_model(library):
    L = library.layers
    x = library.Input((6,), dtype="int32")
    h = L.Embedding(9, 8, mask_zero=True)(x)
    out = L.MultiHeadAttention(2, 4)(h, h)
    return library.Model(x, out)


def test_masks_of_a_model_hide_keys_as_in_keras():
    """Padded queries look nowhere; what Keras finds there depends on its backend."""
    words = np.array([[3, 1, 4, 1, 0, 0], [5, 0, 2, 6, 5, 0]], np.int32)

    class Bp:
        layers, Input, Model = layers, staticmethod(layers.Input), models.Model

    mine = masked_model(Bp)
    with quiet():
        theirs = masked_model(keras())
        weights = weights_like(mine)
        mine.set_weights(weights)
        theirs.set_weights(weights)
        expected = array(theirs(words))
    found = mine(words).numpy()
    seen = words != 0
    np.testing.assert_allclose(found[seen], expected[seen], rtol=2e-5, atol=2e-5)
    bias = mine.layers[-1].output_dense.bias.numpy()
    np.testing.assert_allclose(found[~seen], np.broadcast_to(bias, found[~seen].shape), rtol=1e-6)


def test_masks_given_by_hand_are_those_of_layers():
    x = normal(2, 6, 8)
    layer = layers.MultiHeadAttention(2, 4)
    mask = np.arange(6) < np.array([[4], [6]])
    out = layer(x, x, query_mask=mask, value_mask=mask).numpy()
    whole = layer(x, x, attention_mask=mask[:, None, :] & mask[:, :, None]).numpy()
    np.testing.assert_allclose(out, whole, rtol=1e-6)
    by_key = layer(x, x, x, key_mask=mask).numpy()
    np.testing.assert_allclose(by_key[mask], out[mask], rtol=1e-5, atol=1e-6)


def test_one_product_is_three():
    x = Tensor(normal(2, 5, 6), requires_grad=True)
    layer = layers.MultiHeadAttention(3, 4)
    out = layer(x, x)
    apart = layer(x, x * 1.0)
    np.testing.assert_allclose(out.numpy(), apart.numpy(), rtol=1e-5, atol=1e-6)
    assert [w.shape for w in layer.weights] == [(6, 3, 4), (3, 4)] * 3 + [(3, 4, 6), (6,)]


def test_dropout_only_in_training():
    x = np.ones((2, 40, 8), np.float32)
    layer = layers.MultiHeadAttention(2, 4, dropout=0.5, seed=1)
    np.testing.assert_array_equal(layer(x, x).numpy(), layer(x, x).numpy())
    assert (layer(x, x, training=True).numpy() != layer(x, x).numpy()).any()
    _, scores = layer(x, x, return_attention_scores=True, training=True)
    np.testing.assert_allclose(scores.numpy().sum(-1), 1, rtol=1e-5)


def test_activity_is_that_of_the_projections():
    x = normal(2, 5, 6)
    mine, theirs = [m.layers.MultiHeadAttention(3, 4, activity_regularizer="l2") for m in (bp, keras())]
    mine(x, x)
    with quiet():
        theirs(x, x)
        theirs.set_weights(mine.get_weights())
        theirs(x, x)
        expected = sum(array(loss) for loss in theirs.losses)
    mine(x, x)
    assert sum(loss.item() for loss in mine.losses) == pytest.approx(float(expected), rel=1e-5)


# ------------------------------------------------------------------ models
class Positions(layers.Layer):
    """Learned places, added to what they are places of."""

    def build(self, input_shape):
        self.table = self.add_weight(input_shape[1:], name="places", initializer="uniform")

    def call(self, x):
        return x + self.table


def transformer(words=8, time=6, features=16, **options):
    x = layers.Input((time,), dtype="int32")
    h = Positions()(layers.Embedding(words, features)(x))
    a = layers.LayerNormalization()(h)
    a = layers.MultiHeadAttention(2, features // 2, **options)(a, a, use_causal_mask=True)
    h = layers.Add()([h, a])
    a = layers.Dense(4 * features, activation="gelu")(layers.LayerNormalization()(h))
    h = layers.Add()([h, layers.Dense(features)(a)])
    return models.Model(x, layers.Dense(words)(layers.LayerNormalization()(h)))


def test_a_transformer_learns_to_copy_the_word_before():
    """What stands one place to the left can only be known by attention."""
    bp.random.seed(0)
    words = np.random.default_rng(1).integers(0, 8, (512, 6)).astype(np.int32)
    targets = np.roll(words, 1, axis=1)
    targets[:, 0] = words[:, 0]
    model = transformer()
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(bp.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    history = model.fit(words, targets, epochs=12, batch_size=32, verbose=0).history
    assert history["accuracy"][0] < 0.6
    assert history["accuracy"][-1] > 0.97
    later = words.copy()
    later[:, -1] = (later[:, -1] + 1) % 8
    np.testing.assert_array_equal(model(words).numpy()[:, :-1], model(later).numpy()[:, :-1])


def test_saving(tmp_path):
    layers.register(Positions)
    model = transformer(dropout=0.1, seed=3)
    words = np.arange(12, dtype=np.int32).reshape(2, 6) % 8
    model.save(tmp_path / "model.tflbp")
    again = models.load_model(tmp_path / "model.tflbp")
    np.testing.assert_array_equal(model(words).numpy(), again(words).numpy())


def test_scores_and_masks_in_a_functional_model(tmp_path):
    q, v = layers.Input((5, 6)), layers.Input((7, 6))
    mask = layers.Input((5, 7), dtype="bool")
    out, scores = layers.MultiHeadAttention(3, 4)(q, v, attention_mask=mask, return_attention_scores=True)
    mixed, weights = layers.Attention()([q, v], return_attention_scores=True)
    assert (out.shape, scores.shape) == ((None, 5, 6), (None, 3, 5, 7))
    assert (mixed.shape, weights.shape) == ((None, 5, 6), (None, 5, 7))
    model = models.Model([q, v, mask], [out, scores, mixed, weights])
    given = [normal(2, 5, 6), normal(2, 7, 6), triangle(2, 5, 7)]
    found = [x.numpy() for x in model(given)]
    assert (found[1][~np.broadcast_to(given[2][:, None], found[1].shape)] == 0).all()
    model.save(tmp_path / "model.tflbp")
    for one, other in zip(found, models.load_model(tmp_path / "model.tflbp")(given), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def test_errors_say_what_was_expected():
    x = normal(2, 5, 6)
    with pytest.raises(TypeError, match="query and value"):
        layers.MultiHeadAttention(2, 4)(x)
    with pytest.raises(ValueError, match="num_heads"):
        layers.MultiHeadAttention(0, 4)
    with pytest.raises(ValueError, match="multiple"):
        layers.GroupQueryAttention(4, 3, 2)
    with pytest.raises(ShapeError, match="value and key must agree"):
        layers.MultiHeadAttention(2, 4)(x, x, x[:, :3])
    layer = layers.MultiHeadAttention(2, 4)
    layer(x, x)
    with pytest.raises(ShapeError, match="features"):
        layer(x[..., :4], x)
    y = normal(2, 3, 4, 6)
    with pytest.raises(ShapeError, match="one attended axis"):
        layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    with pytest.raises(ValueError, match=r"\[query, value\]"):
        layers.Attention()([x])
    with pytest.raises(ValueError, match="score_mode"):
        layers.Attention(score_mode="cosine")
