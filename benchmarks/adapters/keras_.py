"""The Keras interface, with a loss from logits and accuracy: ours, and Keras on each of its backends.

`fit` is ours, a shuffled epoch of FIT_STEPS batches, per step; the others are `train_on_batch`, which spares
Keras the cost of starting an epoch.
"""

import os

import numpy as np

from .. import _common
from . import FIT_STEPS
from .ours import make_optimizer


def load(framework):
    if not framework.startswith("keras"):
        import tensorflowlite_bp as bp

        return bp
    backend = framework.rpartition(" ")[2]
    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax" and _common.threads() == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    if backend == "torch":
        import torch

        torch.set_num_threads(_common.threads())
    if backend == "tensorflow":
        from . import tensorflow_  # noqa: F401  (its settings of threads)
    import keras

    return keras


def make(framework, workload, case, optimizer, rate):
    keras = load(framework)
    model = workload.keras(keras, **case)
    for weight, p in zip(model.trainable_weights, workload.parameters(**case).values(), strict=True):
        weight.assign(p.array)
    model.compile(
        optimizer=make_optimizer(keras, optimizer, rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x, y = workload.batch(**case)
    if framework == "fit":
        options = {"batch_size": len(y), "verbose": 0}
        many_x, many_y = np.concatenate([x] * FIT_STEPS), np.concatenate([y] * FIT_STEPS)
        epoch = lambda: model.fit(many_x, many_y, **options)
        return epoch, lambda n: model.fit(x, y, epochs=n, shuffle=False, **options).history["loss"]

    def losses(n):
        found = []
        for _ in range(n):
            model.reset_metrics()  # what is given is the mean since then
            found.append(float(model.train_on_batch(x, y)[0]))
        return found

    return lambda: model.train_on_batch(x, y), losses
