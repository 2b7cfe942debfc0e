"""One training step of an MLP 784-128-10: forward, loss, backward, update.

    python -m benchmarks.train_step [--quick] [--threads 1 2] [--only "batch 32"]

Equal weights, data and formulas everywhere; the losses of twenty steps are compared before anything is timed.
`ours`: functional ops, `loss.backward()` and an optimizer's `step()`. `fit` (shuffled, with accuracy) and
`train_on_batch`: the same network through the Keras interface, per step. `torch`: eager, default optimizers.
`torch fused`: with its one-kernel optimizer. `floor`: NumPy by hand, buffers reused.
"""

import numpy as np

from . import _common

FRAMEWORKS = ["ours", "fit", "train_on_batch", "torch", "torch fused", "floor"]
SIZES = (784, 128, 10)
RATE = {"sgd": 0.05, "adam": 1e-3}
CHECKED = 20  # steps whose losses are compared
FIT_STEPS = 20  # batches in one timed epoch of fit


def problem(batch):
    """Weights, inputs, labels: float32, the same for every framework."""
    r = np.random.default_rng(0)
    inputs, hidden, classes = SIZES
    w1 = r.normal(0, (2 / inputs) ** 0.5, (inputs, hidden)).astype(np.float32)
    w2 = r.normal(0, (2 / hidden) ** 0.5, (hidden, classes)).astype(np.float32)
    x = r.uniform(0, 1, (batch, inputs)).astype(np.float32)
    y = r.integers(0, classes, batch)
    return [w1, np.zeros(hidden, np.float32), w2, np.zeros(classes, np.float32)], x, y


# ------------------------------------------------------------------ ours
def ours(batch, optimizer):
    import tensorflowlite_bp as bp

    weights, x, y = problem(batch)
    params = w1, b1, w2, b2 = [bp.layers.Variable(w, name=f"w{i}") for i, w in enumerate(weights)]
    update = make_optimizer(bp, optimizer).build(params)
    x, y = bp.asarray(x), bp.asarray(y)

    def step():
        h = bp.nn.linear(x, w1, b1, activation="relu")
        loss = bp.nn.softmax_cross_entropy(bp.nn.linear(h, w2, b2), y)
        loss.backward()
        update.step()
        update.zero_grad()
        return loss

    return step, lambda: [step().item() for _ in range(CHECKED)]


def make_optimizer(bp, name):
    return bp.optimizers.SGD(RATE["sgd"]) if name == "sgd" else bp.optimizers.Adam(RATE["adam"], epsilon=1e-8)


def keras_model(batch, optimizer, metrics=None):
    import tensorflowlite_bp as bp

    weights, x, y = problem(batch)
    layers = bp.layers
    model = bp.models.Sequential(
        [layers.Dense(SIZES[1], activation="relu", input_dim=SIZES[0]), layers.Dense(SIZES[2])]
    )
    model.set_weights(weights)
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=make_optimizer(bp, optimizer), loss=loss, metrics=metrics)
    return model, x, y


def train_on_batch(batch, optimizer):
    model, x, y = keras_model(batch, optimizer)

    def losses():
        found = []
        for _ in range(CHECKED):
            model.reset_metrics()
            found.append(float(model.train_on_batch(x, y)))
        return found

    return lambda: model.train_on_batch(x, y), losses


def fit(batch, optimizer):
    """A shuffled epoch of FIT_STEPS batches, with accuracy; losses are compared on an epoch of one batch."""
    model, x, y = keras_model(batch, optimizer, metrics=["accuracy"])
    many_x, many_y = np.tile(x, (FIT_STEPS, 1)), np.tile(y, FIT_STEPS)
    epoch = lambda: model.fit(many_x, many_y, batch_size=batch, epochs=1, verbose=0)

    def losses():
        found = model.fit(x, y, batch_size=batch, epochs=CHECKED, verbose=0, shuffle=False)
        return found.history["loss"]

    return epoch, losses


# ------------------------------------------------------------------ torch
def torch_eager(batch, optimizer, fused=None):
    import torch

    torch.set_num_threads(_common.threads())
    weights, x, y = problem(batch)
    w1, b1, w2, b2 = (torch.tensor(w.T.copy() if w.ndim == 2 else w, requires_grad=True) for w in weights)
    x, y = torch.tensor(x), torch.tensor(y)
    make = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    update = make([w1, b1, w2, b2], lr=RATE[optimizer], fused=fused)
    linear, relu, cross_entropy = torch.nn.functional.linear, torch.relu, torch.nn.functional.cross_entropy

    def step():
        loss = cross_entropy(linear(relu(linear(x, w1, b1)), w2, b2), y)
        loss.backward()
        update.step()
        update.zero_grad()
        return loss

    return step, lambda: [step().item() for _ in range(CHECKED)]


# ------------------------------------------------------------------ NumPy by hand
def floor(batch, optimizer):
    params, x, y = problem(batch)
    w1, b1, w2, b2 = params
    rows, ones = np.arange(batch), np.ones(batch, np.float32)
    hidden = np.empty((batch, SIZES[1]), np.float32)
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
        z *= np.float32(1 / batch)
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

    return step, lambda: [float(step()) for _ in range(CHECKED)]


MAKERS = {
    "ours": ours,
    "fit": fit,
    "train_on_batch": train_on_batch,
    "torch": torch_eager,
    "torch fused": lambda batch, optimizer: torch_eager(batch, optimizer, fused=True),
    "floor": floor,
}


def prepare(framework, **case):
    return MAKERS[framework](**case)


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    if options.worker:
        _common.serve(options.worker, prepare)
        return
    cases = {
        f"batch {batch}, {optimizer}": {"batch": batch, "optimizer": optimizer}
        for optimizer in ("sgd", "adam")
        for batch in (32, 128, 1024)
    }
    per = lambda case, framework: FIT_STEPS if framework == "fit" else 1
    _common.run("train_step", FRAMEWORKS, cases, options, "torch", ["torch"], per)


if __name__ == "__main__":
    main()
