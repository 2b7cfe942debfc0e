"""LSTM of 128 units over the 28 rows of 28x28 digits, and a dense layer of 10 on its last state.

0.86 GFLOP a step at batch 64, without the gradient of the inputs. Adam.
"""

import numpy as np

from .parameter import Draw, zeros

STEPS = 10
RATE = {"adam": 1e-3}
CASES = {f"LSTM, batch {batch}": {"batch_size": batch, "optimizer": "adam"} for batch in (64, 256)}
TIME, FEATURES, UNITS, CLASSES = 28, 28, 128, 10


def parameters(batch_size):
    draw = Draw()
    return {
        "kernel": draw.normal((FEATURES, 4 * UNITS), "linear", FEATURES**-0.5),
        "recurrent_kernel": draw.normal((UNITS, 4 * UNITS), "linear", UNITS**-0.5),
        "bias": zeros(4 * UNITS),
        "w": draw.normal((UNITS, CLASSES), "linear"),
        "b": zeros(CLASSES),
    }


def batch(batch_size):
    r = np.random.default_rng(1)
    return r.normal(size=(batch_size, TIME, FEATURES)).astype(np.float32), r.integers(0, CLASSES, batch_size)


def loss(F, p, x, y, batch_size):
    h = F.lstm(x, p["kernel"], p["recurrent_kernel"], p["bias"])
    return F.cross_entropy(F.linear(h, p["w"], p["b"]), y)


def keras(keras, batch_size):
    layers = keras.layers
    return keras.models.Sequential(
        [layers.Input((TIME, FEATURES)), layers.LSTM(UNITS), layers.Dense(CLASSES)]
    )
