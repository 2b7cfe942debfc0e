"""Real data that is on disk after a pip install: nothing here downloads anything."""

import numpy as np

from .errors import message
from .utils.optional import optional


def load_digits(test_fraction=0.2, seed=0):
    """scikit-learn's bundled handwritten digits: `(x_train, y_train), (x_test, y_test)`.

    x: float32 (n, 8, 8, 1) in [0, 1]; y: int64 (n,), 0 to 9. 1,797 digits of 43 people, from the UCI
    repository (Alpaydin and Kaynak 1998). Every class has the same share in both parts; `seed` chooses the
    split. Raises ImportError with the pip line without scikit-learn, ValueError for a fraction outside (0,
    1).
    """
    if not 0 < test_fraction < 1:
        raise ValueError(
            message(
                "load_digits",
                "test_fraction must lie between 0 and 1.",
                received=f"test_fraction={test_fraction}",
            )
        )
    bundled = optional("sklearn.datasets", extra="examples").load_digits()
    x = (bundled.images / 16.0).astype(np.float32)[..., None]
    y = bundled.target.astype(np.int64)
    generator = np.random.default_rng(seed)
    train, test = [], []
    for digit in range(10):
        members = generator.permutation(np.flatnonzero(y == digit))
        cut = round(len(members) * test_fraction)
        test.append(members[:cut])
        train.append(members[cut:])
    train = generator.permutation(np.concatenate(train))
    test = generator.permutation(np.concatenate(test))
    return (x[train], y[train]), (x[test], y[test])


def digits_784(test_fraction=0.2, seed=0):
    """The digits of `load_digits` drawn on 28 x 28 pixels, as flat rows of 784: `(x_train, y_train), (x_test,
    y_test)`.

    Each pixel becomes 3 x 3, with a margin of 2: the shape of MNIST, the resolution of the bundled data.
    """

    def enlarge(x):
        big = np.kron(x[..., 0], np.ones((1, 3, 3), dtype=x.dtype))
        return np.pad(big, ((0, 0), (2, 2), (2, 2))).reshape(len(x), 784)

    (x_train, y_train), (x_test, y_test) = load_digits(test_fraction, seed)
    return (enlarge(x_train), y_train), (enlarge(x_test), y_test)
