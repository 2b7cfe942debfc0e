"""The Layer protocol: names, building, tracking, freezing, losses, `training`, configs, errors."""

import inspect
import json

import numpy as np
import pytest

from tensorflowlite_bp import layers, losses, nn, ops, regularizers
from tensorflowlite_bp._floatx import floatx, set_floatx
from tensorflowlite_bp._naming import reset_names
from tensorflowlite_bp.autograd.tensor import Tensor
from tensorflowlite_bp.errors import DTypeError, NotBuiltError, ShapeError
from tensorflowlite_bp.layers import Dense, Layer, Variable
from tensorflowlite_bp.ops import random


class Block(Layer):
    """Two dense layers and a dropout: a layer of layers."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = Dense(units, activation="relu")
        self.more = [Dense(units), {"last": Dense(2)}]
        self.drop = layers.Dropout(0.5, seed=1)

    def call(self, x):
        x = self.drop(self.first(x))
        return self.more[1]["last"](self.more[0](x))


# ------------------------------------------------------------------------- names
def test_names_are_numbered_as_in_keras():
    reset_names()
    assert [Dense(1).name, Dense(1).name, Dense(1, name="own").name, Dense(1).name] == [
        "dense",
        "dense_1",
        "own",
        "dense_2",
    ]
    assert layers.Conv2D(1, 1).name == "conv2d"
    assert layers.BatchNormalization().name == "batch_normalization"
    assert layers.GlobalAveragePooling1D().name == "global_average_pooling1d"


# ---------------------------------------------------------------------- building
def test_weights_exist_after_the_first_call():
    layer = Dense(4)
    assert not layer.built
    assert layer.weights == []
    layer(np.ones((2, 3)))
    assert layer.built
    assert [w.path for w in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]
    assert [w.dtype for w in layer.weights] == [np.float32] * 2
    assert layer.count_params() == 16
    kernel = layer.kernel
    layer(np.ones((5, 3)))
    assert layer.kernel is kernel


def test_build_by_hand_marks_built():
    class Bare(Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],), name="w")

        def call(self, x):
            return x * self.w

    layer = Bare()
    layer.build((None, 3))
    assert layer.built
    assert layer.w.shape == (3,)


def test_old_style_input_shapes():
    assert Dense(2, input_dim=20)._input_shape_arg == (20,)
    assert Dense(2, input_shape=(20,))._input_shape_arg == (20,)
    assert layers.Conv2D(2, 3, input_shape=(8, 8, 1))._input_shape_arg == (8, 8, 1)
    assert Dense(2, batch_input_shape=(None, 7))._input_shape_arg == (7,)
    assert Dense(2, input_dim=20).get_config()["input_shape"] == (20,)
    assert Dense.from_config(Dense(2, input_dim=20).get_config())._input_shape_arg == (20,)


def test_inputs_are_cast():
    layer = Dense(2)
    assert layer(np.ones((1, 3), np.float64)).dtype == np.float32
    assert layer(np.ones((1, 3), np.uint8)).dtype == np.float32
    assert layer([[1.0, 2.0, 3.0]]).shape == (1, 2)
    assert Dense(2, dtype="float64")(np.ones((1, 3), np.float32)).dtype == np.float64
    x = Tensor(np.ones((1, 3)), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.dtype == np.float64
    assert layers.Flatten()(np.ones((2, 2), np.int32)).dtype == np.int32


def test_floatx():
    assert floatx() == "float32"
    set_floatx("float64")
    try:
        layer = Dense(2)
        assert layer(np.ones((1, 3))).dtype == np.float64
        assert layer.kernel.dtype == np.float64
    finally:
        set_floatx("float32")
    with pytest.raises(DTypeError, match="float16, bfloat16, float32, float64"):
        set_floatx("int32")


# ---------------------------------------------------------------------- tracking
def test_sublayers_in_attributes_lists_and_dicts():
    block = Block()
    block(np.ones((2, 5)))
    assert [w.path.split("/")[1] for w in block.weights] == ["kernel", "bias"] * 3
    assert len(block._flatten_layers()) == 5
    block.more.append(Dense(7))
    block.more[-1].build((None, 2))
    assert len(block.weights) == 8
    block.first = Dense(3)
    assert len(block.weights) == 6
    del block.more
    assert len(block._flatten_layers()) == 3


def test_variables_as_attributes():
    class Scale(Layer):
        def __init__(self):
            super().__init__()
            self.scale = Variable(np.ones(1, np.float32), name="scale")
            self.steps = Variable(np.zeros(1, np.float32), name="steps", trainable=False)

        def call(self, x):
            return x * self.scale

    layer = Scale()
    assert [v.name for v in layer.weights] == ["scale", "steps"]
    layer.scale = Variable(np.zeros(1, np.float32), name="other")
    assert [v.name for v in layer.weights] == ["other", "steps"]
    shared = layers.Dense(1)
    both = Block()
    both.a = both.b = shared
    both(np.ones((1, 2)))
    shared(np.ones((1, 2)))
    assert len({id(v) for v in both.weights}) == len(both.weights) == 8


def test_super_init_forgotten():
    class Wrong(Layer):
        def __init__(self):
            self.inner = Dense(1)

    with pytest.raises(NotBuiltError, match="super"):
        Wrong()


def test_weights_order_is_trainable_first():
    layer = layers.BatchNormalization()
    layer.build((None, 2))
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert [w.name for w in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]


def test_freezing():
    block = Block()
    block(np.ones((2, 5)))
    order = [id(w) for w in block.weights]
    block.first.trainable = False
    assert len(block.trainable_weights) == 4
    assert len(block.non_trainable_weights) == 2
    out = block(np.ones((2, 5)))
    out.sum().backward()
    assert block.first.kernel.grad is None
    assert block.more[0].kernel.grad is not None
    block.trainable = False
    assert block.trainable_weights == []
    assert not block(np.ones((2, 5))).requires_grad
    block.trainable = True
    assert len(block.trainable_weights) == 6
    assert [id(w) for w in block.weights] == order
    frozen = Dense(2, trainable=False)
    frozen(np.ones((1, 2)))
    assert frozen.trainable_weights == []
    assert not frozen.kernel.requires_grad
    batch_norm = layers.BatchNormalization()
    batch_norm.build((None, 2))
    batch_norm.trainable = False
    batch_norm.trainable = True
    assert [w.name for w in batch_norm.trainable_weights] == ["gamma", "beta"]


def test_get_and_set_weights():
    a, b = Block(), Block()
    a(np.ones((1, 5)))
    b(np.ones((1, 5)))
    b.set_weights(a.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert (a(x).numpy() == b(x).numpy()).all()
    kept = a.get_weights()[0]
    a.weights[0].assign_add(np.ones_like(kept))
    assert (kept == b.weights[0].numpy()).all()
    before = b.get_weights()
    with pytest.raises(ShapeError, match=r"array \(9,\) for .*/bias \(2,\)"):
        b.set_weights([*(w + 1 for w in before[:-1]), np.ones(9)])
    with pytest.raises(ShapeError, match="1 arrays, 6 weights"):
        b.set_weights([np.ones(1)])
    assert all((x == y).all() for x, y in zip(before, b.get_weights(), strict=True))


def test_count_params_before_build():
    with pytest.raises(NotBuiltError, match="do not exist yet"):
        Dense(3).count_params()


# ---------------------------------------------------------------------- training
def test_training_reaches_inner_layers():
    random.seed(0)
    block = Block()
    x = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    quiet = block(x).numpy()
    assert (block(x).numpy() == quiet).all()
    assert (block(x, training=False).numpy() == quiet).all()
    assert (block(x, training=True).numpy() != quiet).any()
    assert (block(x).numpy() == quiet).all()


def test_training_given_inside_wins():
    class Always(Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, x, training=None):
            self.seen = training
            return self.drop(x, training=True)

    layer = Always()
    assert (layer(np.ones((8, 8)), training=False).numpy() == 0).any()
    assert layer.seen is False
    layer(np.ones((8, 8)))
    assert layer.seen is None
    layer(np.ones((8, 8)), True)
    assert layer.seen is True


def test_training_is_dropped_where_not_taken():
    assert Dense(2)(np.ones((1, 3)), training=True).shape == (1, 2)
    built = Dense(2)
    built(np.ones((1, 3)))
    assert built(np.ones((1, 3)), training=True).shape == (1, 2)


def test_failing_call_leaves_no_context():
    class Fails(Layer):
        def call(self, x, training=None):
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        Fails()(np.ones(1), training=True)
    drop = layers.Dropout(0.5)
    assert (drop(np.ones(100)).numpy() == 1).all()


def test_mask_argument():
    softmax = layers.Softmax()
    out = softmax(np.zeros((1, 4)), mask=np.array([[True, True, False, False]])).numpy()
    np.testing.assert_allclose(out, [[0.5, 0.5, 0, 0]])
    assert Dense(1)(np.ones((1, 2)), mask=None).shape == (1, 1)


def test_fast_path_is_taken_and_is_the_same():
    layer = Dense(4, activation="tanh")
    x = Tensor(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))
    first = layer(x).numpy()
    assert layer._ready
    assert (layer(x).numpy() == first).all()
    assert not layers.Dropout(0.5)._ready


# ------------------------------------------------------------------------ losses
def test_regularization_losses():
    layer = Dense(2, kernel_regularizer="l2", bias_regularizer=regularizers.L1(0.5))
    layer(np.ones((1, 3)))
    layer.bias.assign([1.0, -1.0])
    kernel, bias = layer.losses
    assert float(kernel) == pytest.approx(0.01 * (layer.kernel.numpy() ** 2).sum(), rel=1e-6)
    assert float(bias) == 1.0
    layer.trainable = False
    assert layer.losses == []


def test_added_losses_are_those_of_the_last_call():
    class Penalised(Layer):
        def __init__(self):
            super().__init__()
            self.inner = Dense(1)

        def call(self, x):
            self.add_loss(ops.sum(x))
            return self.inner(x)

    class Outer(Layer):
        def __init__(self):
            super().__init__()
            self.a, self.b = Penalised(), Penalised()

        def call(self, x):
            return self.a(x) + self.b(x)

    outer = Outer()
    for _ in range(3):
        outer(np.ones((2, 3)))
        assert [float(v) for v in outer.losses] == [6.0, 6.0]
    alone = Penalised()
    for _ in range(3):
        alone(np.ones((2, 3)))
        assert [float(v) for v in alone.losses] == [6.0]


def test_activity_regularizer():
    layer = Dense(2, activity_regularizer="l2", kernel_initializer="ones")
    for _ in range(2):
        layer(np.ones((4, 3)))
        assert [float(v) for v in layer.losses] == [pytest.approx(0.01 * 9 * 8 / 4)]
    layer = layers.ActivityRegularization(l1=0.5)
    layer(np.ones((4, 3)))
    assert float(layer.losses[0]) == 1.5


# -------------------------------------------------------------------- symbolic
def test_symbolic_inputs():
    x = layers.Input((8,), name="x")
    assert x.shape == (None, 8)
    dense = Dense(3)
    y = dense(x)
    assert y.shape == (None, 3)
    assert y.layer is dense
    assert y.inputs is x
    z = layers.Concatenate()([y, layers.Dense(2)(x)])
    assert z.shape == (None, 5)
    with pytest.raises(TypeError, match="no values"):
        x + 1
    with pytest.raises(TypeError, match="no values"):
        np.add(np.ones(3), x)
    with pytest.raises(ShapeError, match="positive integers"):
        layers.Input((0,))
    assert Block()(x).shape == (None, 2)


def test_input_layer():
    layer = layers.InputLayer((3,), batch_size=2)
    assert layer.batch_shape == (2, 3)
    assert layers.InputLayer.from_config(layer.get_config()).batch_shape == (2, 3)
    assert layers.InputLayer(input_shape=(4,)).batch_shape == (None, 4)
    with pytest.raises(ValueError, match="either shape or batch_shape"):
        layers.InputLayer()


# ---------------------------------------------------------------------- configs
MADE = [
    Dense(3),
    Dense(
        3,
        "relu",
        use_bias=False,
        kernel_regularizer="l2",
        kernel_constraint="max_norm",
        name="own",
        dtype="float64",
    ),
    Dense(3, activity_regularizer="l1", trainable=False),
    layers.Embedding(5, 3, mask_zero=True, embeddings_regularizer="l1"),
    layers.Activation("swish"),
    layers.ReLU(6.0, 0.1, 0.2),
    layers.LeakyReLU(alpha=0.2),
    layers.ELU(0.5),
    layers.Softmax(1),
    layers.PReLU("ones", shared_axes=[1]),
    layers.Identity(),
    layers.InputLayer((3,)),
    layers.Conv1D(2, 3, padding="causal", dilation_rate=2),
    layers.Conv2D(4, (2, 3), strides=2, groups=2, activation="gelu", kernel_initializer="he_normal"),
    layers.Conv3D(2, 2, data_format="channels_first"),
    layers.MaxPooling1D(3, 2, "same"),
    layers.MaxPooling2D((2, 3)),
    layers.AveragePooling3D(2),
    layers.GlobalMaxPooling2D(keepdims=True),
    layers.GlobalAveragePooling1D(),
    layers.BatchNormalization(momentum=0.9, scale=False, beta_regularizer="l2"),
    layers.LayerNormalization(axis=[1, 2], epsilon=1e-5),
    layers.RMSNormalization(),
    layers.Dropout(0.3, noise_shape=(None, 1), seed=4),
    layers.SpatialDropout1D(0.3),
    layers.SpatialDropout2D(0.3, seed=1),
    layers.GaussianNoise(0.2),
    layers.GaussianDropout(0.2, seed=3),
    layers.ActivityRegularization(0.1, 0.2),
    layers.Flatten(),
    layers.Reshape((2, -1)),
    layers.Permute((2, 1)),
    layers.RepeatVector(3),
    layers.ZeroPadding1D((1, 2)),
    layers.ZeroPadding2D(((1, 0), (2, 3))),
    layers.ZeroPadding3D(1),
    layers.Cropping1D(1),
    layers.Cropping2D((1, 2)),
    layers.Cropping3D(1),
    layers.UpSampling1D(3),
    layers.UpSampling2D((2, 3)),
    layers.UpSampling3D(2),
    layers.Add(),
    layers.Subtract(),
    layers.Multiply(),
    layers.Average(),
    layers.Maximum(),
    layers.Minimum(),
    layers.Concatenate(1),
    layers.Dot((1, 2), normalize=True),
    layers.Masking(-1.0),
    layers.MultiHeadAttention(2, 3, 4, output_shape=5, attention_axes=-2, kernel_regularizer="l2", seed=1),
    layers.MultiHeadAttention(2, 3, dropout=0.1, activity_regularizer="l1", sliding_window=2, use_gate=True),
    layers.GroupQueryAttention(4, 6, 2, use_bias=False, kernel_initializer="he_normal"),
    layers.Attention(use_scale=True, score_mode="concat", dropout=0.1, seed=3),
    layers.AdditiveAttention(use_scale=False, dropout=0.2),
    layers.SimpleRNN(3, "relu", recurrent_regularizer="l2", go_backwards=True),
    layers.LSTM(3, unit_forget_bias=False, return_sequences=True, recurrent_dropout=0.1, seed=2),
    layers.GRU(3, reset_after=False, stateful=True, dtype="float64", use_cudnn=False),
    layers.SimpleRNNCell(2, use_bias=False),
    layers.LSTMCell(2, kernel_constraint="max_norm"),
    layers.GRUCell(2, recurrent_activation="hard_sigmoid"),
    layers.StackedRNNCells([layers.LSTMCell(2), layers.GRUCell(3)]),
    layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], zero_output_for_mask=True),
    layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="ave"),
    layers.Bidirectional(layers.GRU(2), backward_layer=layers.LSTM(2, go_backwards=True)),
    layers.TimeDistributed(layers.Dense(3, "relu")),
    layers.Rescaling(1 / 255, -0.5),
    layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 4.0]),
    layers.RandomFlip("horizontal", seed=2),
    layers.RandomTranslation(0.1, (-0.2, 0.3), "wrap"),
]


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: layer.name)
def test_config_round_trip(layer):
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert type(again) is type(layer)
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(layer.get_config(), sort_keys=True)


def test_every_layer_has_a_config_test():
    classes = {
        c for c in vars(layers).values() if inspect.isclass(c) and issubclass(c, Layer) and c is not Layer
    }
    ranks = {"AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "MaxPooling"}
    missing = {c.__name__ for c in classes - {type(m) for m in MADE}}
    assert {name for name in missing if name[:-2] not in ranks} == set()


def test_config_follows_attributes():
    layer = layers.Dropout(0.3)
    layer.rate = 0.1
    assert layer.get_config()["rate"] == 0.1
    layer.trainable = False
    assert layer.get_config()["trainable"] is False


def test_users_layers():
    @layers.register
    class Affine(Layer):
        def __init__(self, factor, shift=0.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor
            self.shift = shift

        def call(self, x):
            return self.factor * x + self.shift

    @layers.register
    class WideDense(Dense):
        def __init__(self, extra, **kwargs):
            super().__init__(extra + 10, **kwargs)
            self.extra = extra

    layer = layers.deserialize(layers.serialize(Affine(2.0, shift=1.0)))
    assert layer(np.ones(2)).numpy().tolist() == [3.0, 3.0]
    wide = layers.deserialize(layers.serialize(WideDense(3, activation="relu")))
    assert wide.units == 13
    assert wide.activation is nn.relu
    with pytest.raises(ValueError, match="the name 'Affine' is taken"):
        layers.register(type("Affine", (Layer,), {"__module__": "elsewhere"}))
    with pytest.raises(ValueError, match="did you mean 'Dense'"):
        layers.deserialize({"class_name": "Denze", "config": {}})


def test_default_output_shape_is_found_by_a_trial_call():
    class Stack(Layer):
        def call(self, x):
            return [ops.concatenate([x, x], axis=-1), x]

    assert Stack().compute_output_shape((None, 3)) == [(None, 6), (None, 3)]


# ------------------------------------------------------------------------ Variable
def test_variable():
    v = Variable(np.zeros(3, np.float32), name="v")
    assert v.requires_grad
    assert v.value is v
    v.assign([1, 2, 3])
    v.assign_sub(np.ones(3))
    assert v.numpy().tolist() == [0, 1, 2]
    assert v.dtype == np.float32
    with pytest.raises(ShapeError, match=r'Variable "v".*\n.*value \(2,\), variable \(3,\)'):
        v.assign([1, 2])
    counter = Variable(np.zeros((), np.int64), trainable=True)
    assert not counter.requires_grad
    assert "path=v" in repr(v)


def test_assign_spares_what_a_graph_needs():
    v = Variable(np.array([2.0]))
    y = v * v
    v.assign([5.0])
    y.backward()
    assert v.grad.item() == 4.0


# ------------------------------------------------------------------------ errors
def test_last_axis_names_the_layer_both_shapes_and_the_cause():
    layer = Dense(128, name="hidden")
    layer(np.ones((1, 784)))
    with pytest.raises(ShapeError) as caught:
        layer(np.ones((32, 783)))
    assert str(caught.value) == (
        "[Dense \"hidden\"] the input's last axis must match the kernel's first.\n"
        "  Received: input (32, 783), kernel (784, 128).\n"
        "  Hint: the layer was built for 784 features; the data has 783. Was a column dropped?"
    )
    with pytest.raises(ShapeError, match="batch axis"):
        layer(np.ones(783))
    with pytest.raises(ShapeError, match="must be known"):
        Dense(3).build((None, None))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dense(0), "units must be a whole number above 0"),
        (lambda: Dense(2.5), "units"),
        (lambda: Dense(2, activation="rleu"), "did you mean 'relu'"),
        (lambda: Dense(2, kernel_initializer="he"), "initializer"),
        (lambda: layers.Conv2D(2, (1, 2, 3)), "kernel_size must be a whole number or 2 of them"),
        (lambda: layers.Conv2D(2, 3, padding="causal"), "padding must be one of valid, same"),
        (lambda: layers.Conv2D(3, 3, groups=2), "divisible by groups"),
        (lambda: layers.Conv2D(3, 3, data_format="NHWC"), "channels_last"),
        (lambda: layers.Dropout(1.5), "rate must be within"),
        (lambda: layers.Permute((0, 1)), "permutation"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding must be"),
        (lambda: layers.RandomFlip("diagonal"), "mode must be"),
        (lambda: layers.RandomTranslation(2.0, 0.1), "height_factor"),
        (lambda: layers.RandomTranslation(0.1, 0.1, "mirror"), "fill_mode"),
        (lambda: layers.GaussianNoise(-1.0), "stddev"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def ones(*shape):
    return np.ones(shape, np.float32)


def built(layer, *shape):
    layer(ones(*shape))
    return layer


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: layers.Conv2D(2, 3, name="c")(ones(1, 8, 8)),
            r'\[Conv2D "c"\].*\(batch, height, width, channels\)',
        ),
        (lambda: layers.Conv2D(2, 3)(ones(1, 8, 8)), r"x\[..., None\]"),
        (lambda: built(layers.Conv2D(2, 3), 1, 8, 8, 3)(ones(1, 8, 8, 1)), "built for 3 channels"),
        (lambda: layers.Conv2D(2, 3).compute_output_shape((None, 2, 8, 1)), "smaller than one window"),
        (lambda: layers.MaxPooling2D(4)(ones(1, 3, 3, 1)), "smaller than one window"),
        (lambda: layers.GlobalMaxPooling2D()(ones(1, 3)), "was expected"),
        (lambda: built(layers.BatchNormalization(), 2, 3)(ones(2, 4)), r"input \(2, 4\), statistics \(3,\)"),
        (lambda: layers.LayerNormalization(axis=3)(ones(2, 4)), "axis 3"),
        (lambda: layers.Reshape((3,))(ones(2, 4)), r"input \(2, 4\), target_shape \(3,\)"),
        (lambda: layers.Permute((2, 1))(ones(2, 4)), "3 axes"),
        (lambda: layers.Add()([ones(2, 3), ones(2, 4)]), r"\(2, 3\), \(2, 4\)"),
        (lambda: layers.Concatenate()([ones(2, 3), ones(3, 3)]), r"\(2, 3\), \(3, 3\), axis -1"),
        (lambda: layers.Cropping2D(2)(ones(1, 4, 4, 1)), "leave something"),
        (lambda: layers.RandomFlip()(ones(2, 2), training=True), "images"),
    ],
)
def test_shape_errors(call, text):
    with pytest.raises(ShapeError, match=text):
        call()


def test_other_errors():
    with pytest.raises(ValueError, match="at least 2 inputs"):
        layers.Add()([ones(2)])
    with pytest.raises(ValueError, match="at least 2 inputs"):
        layers.Add()(ones(2))
    with pytest.raises(ValueError, match="two inputs"):
        layers.Subtract()([ones(2)] * 3)
    with pytest.raises(ValueError, match=r"indices from 0 to 4.*\n.*index 5"):
        layers.Embedding(5, 2)(np.array([0, 5]))
    with pytest.raises(NotBuiltError, match="adapt"):
        layers.Normalization()(ones(2, 2))
    with pytest.raises(NotImplementedError, match="must define call"):
        Layer()(ones(1))


def test_training_with_layers_alone():
    """A small net by hand, two classes: the loss falls."""
    from tensorflowlite_bp.optimizers import Adam

    r = np.random.default_rng(0)
    x = r.normal(size=(64, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    hidden, out = Dense(16, "tanh"), Dense(2)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    out(hidden(x))
    optimizer = Adam(0.05).build(hidden.trainable_weights + out.trainable_weights)
    values = []
    for _ in range(100):
        optimizer.zero_grad()
        value = loss(y, out(hidden(x)))
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.2 * values[0]
