"""CNN for 28x28 images: conv 3x3 to 32, conv 3x3 to 64, max pooling 2, dense 128, dense 10.

4.6 GFLOP a step at batch 64. With batch norm: after each convolution, before its relu. The functional forms
normalise by the batch's own statistics and keep no running means; the layers keep them, as layers do.
"""

import numpy as np

from .parameter import Draw, ones, zeros

STEPS = 5
RATE = {"sgd": 1e-3}
FLAT = (12, 12, 64)
CASES = {
    f"CNN, batch 64{', batch norm' if norm else ''}": {"norm": norm, "optimizer": "sgd"}
    for norm in (False, True)
}
BATCH = 64


def parameters(norm):
    draw, p = Draw(), {}
    for i, (channels, filters) in enumerate(((1, 32), (32, 64)), 1):
        p[f"filter{i}"] = draw.normal((3, 3, channels, filters), "filter")
        p[f"bias{i}"] = zeros(filters)
        if norm:
            p[f"scale{i}"], p[f"offset{i}"] = ones(filters), zeros(filters)
    p["w3"], p["b3"] = draw.normal((int(np.prod(FLAT)), 128), "linear", image=FLAT), zeros(128)
    p["w4"], p["b4"] = draw.normal((128, 10), "linear"), zeros(10)
    return p


def batch(norm):
    r = np.random.default_rng(1)
    return r.normal(size=(BATCH, 28, 28, 1)).astype(np.float32), r.integers(0, 10, BATCH)


def loss(F, p, x, y, norm):
    h = x
    for i in "12":
        if norm:
            h = F.conv(h, p["filter" + i], p["bias" + i])
            h = F.batch_norm_relu(h, p["scale" + i], p["offset" + i])
        else:
            h = F.conv_relu(h, p["filter" + i], p["bias" + i])
    h = F.linear_relu(F.flatten(F.max_pool(h)), p["w3"], p["b3"])
    return F.cross_entropy(F.linear(h, p["w4"], p["b4"]), y)


def keras(keras, norm):
    layers = keras.layers
    made = [layers.Input((28, 28, 1))]
    for filters in (32, 64):
        made.append(layers.Conv2D(filters, 3, activation=None if norm else "relu"))
        if norm:
            made += [layers.BatchNormalization(), layers.Activation("relu")]
    made += [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
    return keras.models.Sequential(made)
