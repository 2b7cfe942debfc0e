"""MLP 784-128-10."""

import numpy as np

from .parameter import Draw, zeros

STEPS = 20
SIZES = (784, 128, 10)
RATE = {"sgd": 0.05, "adam": 1e-3}
CASES = {
    f"MLP, batch {batch}, {optimizer}": {"batch_size": batch, "optimizer": optimizer}
    for optimizer in ("sgd", "adam")
    for batch in (32, 128, 1024)
}


def parameters(batch_size):
    inputs, hidden, classes = SIZES
    draw = Draw()
    return {
        "w1": draw.normal((inputs, hidden), "linear"),
        "b1": zeros(hidden),
        "w2": draw.normal((hidden, classes), "linear"),
        "b2": zeros(classes),
    }


def batch(batch_size):
    """Inputs about zero: with positive ones some units hardly ever fire, their Adam steps are rounding."""
    r = np.random.default_rng(1)
    return r.normal(size=(batch_size, SIZES[0])).astype(np.float32), r.integers(0, SIZES[2], batch_size)


def loss(F, p, x, y, batch_size):
    return F.cross_entropy(F.linear(F.linear_relu(x, p["w1"], p["b1"]), p["w2"], p["b2"]), y)


def keras(keras, batch_size):
    layers = keras.layers
    return keras.models.Sequential(
        [layers.Input((SIZES[0],)), layers.Dense(SIZES[1], activation="relu"), layers.Dense(SIZES[2])]
    )


def by_hand(optimizer, batch_size):
    """Buffers reused, everything in place."""
    x, y = batch(batch_size)
    params = w1, b1, w2, b2 = [p.array.copy() for p in parameters(batch_size).values()]
    rows, ones = np.arange(batch_size), np.ones(batch_size, np.float32)
    hidden = np.empty((batch_size, SIZES[1]), np.float32)
    dh, scratch = np.empty_like(hidden), [np.empty_like(p) for p in params]
    grads = [np.empty_like(p) for p in params]
    m, v = ([np.zeros_like(p) for p in params] for _ in range(2))
    rate, count = np.float32(RATE[optimizer]), 0

    def step():
        nonlocal count
        np.dot(x, w1, out=hidden)
        np.add(hidden, b1, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        z = hidden.dot(w2)
        z += b2
        z -= z.max(1, keepdims=True)
        picked = z[rows, y]
        np.exp(z, out=z)
        total = np.add.reduce(z, 1, keepdims=True)
        loss = (np.log(total[:, 0]) - picked).mean()
        z /= total
        z[rows, y] -= 1
        z *= np.float32(1 / batch_size)
        np.dot(z, w2.T, out=dh)
        np.multiply(dh, hidden > 0, out=dh)
        np.dot(hidden.T, z, out=grads[2])
        np.dot(ones, z, out=grads[3])
        np.dot(x.T, dh, out=grads[0])
        np.dot(ones, dh, out=grads[1])
        count += 1
        if optimizer == "sgd":
            for p, g in zip(params, grads, strict=True):
                np.multiply(g, rate, out=g)
                np.subtract(p, g, out=p)
        else:
            scale = np.float32(RATE["adam"] / (1 - 0.9**count))
            root = np.float32((1 - 0.999**count) ** -0.5)
            for p, g, a, b, s in zip(params, grads, m, v, scratch, strict=True):
                a *= np.float32(0.9)
                a += np.multiply(g, np.float32(0.1), out=s)
                b *= np.float32(0.999)
                b += np.multiply(np.multiply(g, g, out=s), np.float32(0.001), out=s)
                np.sqrt(b, out=s)
                s *= root
                s += np.float32(1e-8)
                np.divide(a, s, out=s)
                s *= scale
                p -= s
        return loss

    return step
