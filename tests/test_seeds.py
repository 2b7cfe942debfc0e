"""The two texts that this project started from: their class, their formulas, their script."""

import inspect
import runpy

import numpy as np
import pytest

from tensorflowlite_bp import models, optimizers
from tensorflowlite_bp.examples import neural_network

# The script as it was published; only its import lines may differ.
SCRIPT = """\
from keras.models import Sequential
from keras.layers import Dense
from keras.optimizers import SGD

# 生成数据
import numpy as np
X_train = np.random.random((1000, 20))
y_train = np.random.randint(2, size=(1000, 1))

# 构建模型
model = Sequential()
model.add(Dense(64, input_dim=20, activation='relu'))
model.add(Dense(1, activation='sigmoid'))

# 编译模型
model.compile(loss='binary_crossentropy',
              optimizer=SGD(lr=0.01),
              metrics=['accuracy'])

# 训练模型
model.fit(X_train, y_train, epochs=20, batch_size=32)
"""


@pytest.fixture(scope="module")
def script_path():
    return inspect.getfile(neural_network).replace("neural_network.py", "keras_script.py")


def test_only_the_import_lines_of_the_script_differ(script_path):
    with open(script_path, encoding="utf-8", newline="") as file:
        text = file.read()
    assert text == SCRIPT.replace("from keras.", "from tensorflowlite_bp.")


def test_the_script_runs(script_path, capsys):
    names = runpy.run_path(script_path)
    model, lines = names["model"], capsys.readouterr().out.splitlines()
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    assert isinstance(model.optimizer, optimizers.SGD)
    assert [layer.units for layer in model.layers] == [64, 1]
    assert model.input_shape == (None, 20)
    assert int(model.optimizer.iterations) == 20 * 32
    assert len(model.history.history["loss"]) == 20
    assert model.history.history["loss"][-1] < model.history.history["loss"][0]
    assert lines[0] == "Epoch 1/20"
    assert lines[-1].startswith("32/32 ")
    assert " - accuracy: 0." in lines[-1]
    assert " - loss: 0." in lines[-1]


def test_lr_is_really_the_step():
    """One step from known weights: exactly w - 0.01 * gradient."""
    from tensorflowlite_bp.layers import Dense
    from tensorflowlite_bp.optimizers import SGD

    model = models.Sequential([Dense(1, input_dim=2, use_bias=False)])
    model.compile(loss="mse", optimizer=SGD(lr=0.01))
    w = model.get_weights()[0].astype(np.float64)
    x, y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0], [2.0]])
    model.train_on_batch(x, y)
    gradient = 2 * x.T @ (x @ w - y) / 2
    assert np.allclose(model.get_weights()[0], w - 0.01 * gradient, rtol=1e-6)


def test_the_network_by_hand_has_the_interface_of_the_text():
    network = neural_network.NeuralNetwork
    assert list(inspect.signature(network.forward).parameters) == ["self", "x"]
    assert list(inspect.signature(network.backward).parameters) == ["self", "y_true", "y_pred"]
    assert list(inspect.signature(network.update_parameters).parameters) == ["self", "learning_rate"]
    model = network(input_size=784, hidden_size=128, output_size=10)
    x, y_true = np.random.default_rng(0).uniform(size=(4, 784)), np.eye(10)[[1, 2, 3, 4]]
    y_pred = model.forward(x)
    assert np.allclose(y_pred.sum(axis=1), 1)

    def loss():
        return -np.log((model.forward(x) * y_true).sum(axis=1)).mean()

    before = loss()
    for _ in range(20):
        model.backward(y_true, model.forward(x))
        model.update_parameters(0.1)
    assert loss() < 0.5 * before


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_by_hand_and_by_the_library_are_equal(seed, capsys):
    assert neural_network.compare_784_128_10(seed=seed) <= 1e-12
    assert neural_network.compare_3_2_1(seed=seed) <= 1e-12
    assert "dL/dw_jk" in capsys.readouterr().out


def test_a_wrong_gradient_is_noticed():
    with pytest.raises(AssertionError, match="differ"):
        neural_network.check("wrong", np.ones(3), np.ones(3) + 1e-9)


def test_both_networks_learn_real_digits_alike():
    by_hand, by_library = neural_network.train_784_128_10(num_epochs=3, batch_size=64, learning_rate=0.2)
    assert abs(by_hand - by_library) < 0.01  # rounding may turn a digit or two
    assert by_hand > 0.85
