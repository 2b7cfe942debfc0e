"""Learn handwritten digits: a small network and a small convolutional network on real data.

    python -m tensorflowlite_bp.examples.digits [--out runs/digits] [--seeds 3] [--epochs N]

scikit-learn's bundled digits (1,797 images of 8 x 8 pixels, written by 43 people): one fifth is the test set,
a tenth of the rest validates. Both networks use the remedies of a textbook: ReLU and batch normalisation
against vanishing gradients, dropout and augmented data against overfitting, clipped gradients against
exploding ones. Writes the training curves, the misread digits and the weights to the folder, and reads the
weights back into a new model to see that its predictions are equal.
"""

import argparse
import os
import statistics
import time

import numpy as np

import tensorflowlite_bp as bp
from tensorflowlite_bp import callbacks, datasets, layers, models, optimizers
from tensorflowlite_bp.backend import native as kernels
from tensorflowlite_bp.utils import plots

MLP, CNN = "MLP 256-128-10", "CNN 32-32-64-10"

CURVES = "Handwritten digits, seed 0 (training: measured with dropout, on augmented images)"


def build_mlp():
    """Two hidden layers on the 64 pixels."""
    return models.Sequential(
        [
            layers.Flatten(input_shape=(8, 8, 1)),
            layers.Dense(256, activation="relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="mlp",
    )


def build_cnn():
    """Three convolutions; pooling halves the image once."""
    return models.Sequential(
        [
            layers.Conv2D(32, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="cnn",
    )


class Augmented:
    """Batches of digits, each one turned, scaled and moved a little, anew in every epoch.

    x: (n, height, width, 1); rotation in degrees, shift in pixels, scale as a fraction. Iterate once per
    epoch.
    """

    def __init__(self, x, y, batch_size=32, rotation=7.0, shift=0.4, scale=0.05, seed=0):
        self.x, self.y, self.batch_size = x, y, batch_size
        self.rotation, self.shift, self.scale = np.deg2rad(rotation), shift, scale
        self.generator = np.random.default_rng(seed)

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __iter__(self):
        order = self.generator.permutation(len(self.x))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.distort(self.x[rows]), self.y[rows]

    def distort(self, images):
        """Sample each image where a random affine map puts its pixels (bilinear, zeros outside)."""
        n, height, width, _ = images.shape
        draw = self.generator.uniform
        angle, size = draw(-self.rotation, self.rotation, n), 1 + draw(-self.scale, self.scale, n)
        cos, sin = (np.cos(angle) * size)[:, None, None], (np.sin(angle) * size)[:, None, None]
        move = draw(-self.shift, self.shift, (2, n, 1, 1))
        rows, columns = (
            np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
        )
        y = cos * rows - sin * columns + (height - 1) / 2 + move[0]
        x = sin * rows + cos * columns + (width - 1) / 2 + move[1]
        padded = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)))
        y, x = np.clip(y + 1, 0, height + 0.999), np.clip(x + 1, 0, width + 0.999)
        top, left = y.astype(int), x.astype(int)
        y, x, i = y - top, x - left, np.arange(n)[:, None, None]
        upper = padded[i, top, left] * (1 - x) + padded[i, top, left + 1] * x
        lower = padded[i, top + 1, left] * (1 - x) + padded[i, top + 1, left + 1] * x
        return (upper * (1 - y) + lower * y).astype(images.dtype)[..., None]


def train(build, data, epochs, seed, verbose):
    """One model from one seed: (model, history, test accuracy)."""
    (x, y), (x_test, y_test) = data
    bp.utils.set_random_seed(seed)
    model = build()
    model.compile(
        optimizer=optimizers.Adam(learning_rate=2e-3, global_clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    held_out = len(x) // 10
    batches = Augmented(x[held_out:], y[held_out:], seed=seed)
    halve = callbacks.LearningRateScheduler(lambda epoch: 2e-3 * 0.5 * (1 + np.cos(np.pi * epoch / epochs)))
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=(x[:held_out], y[:held_out]),
        callbacks=[halve],
        verbose=verbose,
    )
    return model, history, model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


def save_and_reload(build, model, x, path):
    """Save the weights, load them into a new model, and compare the predictions, bit for bit."""
    model.save_weights(path)
    again = build()
    again.build((None, *x.shape[1:]))
    again.load_weights(path)
    return np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def run(out="runs/digits", seeds=3, epochs=None, verbose="auto", data=None):
    """Train both networks from `seeds` seeds, write the pictures and the weights; gives {name: median test
    accuracy}.
    """
    where = describe()  # first of all: a backend that cannot be used is known at once
    data = data or datasets.load_digits()
    (x_train, _), (x_test, y_test) = data
    print(f"{len(x_train)} digits to learn from, {len(x_test)} to be tested on. {where}", flush=True)
    os.makedirs(out, exist_ok=True)
    curves, summary = {}, {}
    start = time.perf_counter()
    for name, build, default_epochs in ((MLP, build_mlp, 40), (CNN, build_cnn, 16)):
        results = []
        for seed in range(seeds):
            began = time.perf_counter()
            print(f"\n{name}, seed {seed}")
            shown = verbose if seed == 0 else 0  # one bar is enough to watch
            results.append(train(build, data, epochs or default_epochs, seed, shown))
            accuracy, seconds = results[-1][2], time.perf_counter() - began
            print(f"{name}, seed {seed}: test accuracy {accuracy:.4f}, {seconds:.1f} s", flush=True)
        model, curves[name], _ = results[0]
        summary[name] = statistics.median(accuracy for _, _, accuracy in results)
        tag = model.name
        equal = save_and_reload(build, model, x_test, os.path.join(out, f"{tag}.safetensors"))
        if not equal:
            raise AssertionError(f"{name}: the reloaded weights predict something else")
        misread(os.path.join(out, f"misread_{tag}.png"), name, model, x_test, y_test)
    plots.save_curves(os.path.join(out, "curves.png"), curves, title=CURVES)
    report(summary, seeds, time.perf_counter() - start, out)
    return summary


def misread(path, name, model, x, y):
    """The misclassified test digits as a picture."""
    predicted = model.predict(x, verbose=0)
    guess = predicted.argmax(axis=1)
    wrong = np.flatnonzero(guess != y)
    captions = [f"is {y[i]}, read as {guess[i]}\n({predicted[i, guess[i]]:.0%} sure)" for i in wrong]
    title = f"{name}: {len(wrong)} of {len(y)} test digits misread"
    plots.save_grid(path, x[wrong, ..., 0], captions, title=title, columns=6)


def describe():
    """One sentence: where this runs, and with which kernels."""
    native = kernels.native
    if native is None:
        compiled = f"reference kernels ({kernels.why_not})"
    else:
        threads = native.get_num_threads()
        compiled = f"compiled kernels ({native.isa()}, {threads} thread{'s' if threads > 1 else ''})"
    return f"Backend {bp.backend.current().name}, {compiled}."


def report(summary, seeds, seconds, out):
    print(f"\nTest accuracy, median of {seeds} seed{'s' if seeds > 1 else ''}:")
    for name, accuracy in summary.items():
        print(f"  {name:<18} {accuracy:.4f}")
    print("Weights saved and reloaded: predictions equal, bit for bit.")
    print(f"{seconds:.1f} s in all. {describe()} Written to {out}: {', '.join(sorted(os.listdir(out)))}")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m tensorflowlite_bp.examples.digits", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--out", default="runs/digits", help="folder for pictures and weights (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings per network (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=None, help="passes over the data (default: what each network needs)"
    )
    options = parser.parse_args(arguments)
    run(options.out, options.seeds, options.epochs)


if __name__ == "__main__":
    main()
