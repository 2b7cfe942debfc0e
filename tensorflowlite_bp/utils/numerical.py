"""Labels and rows in the form that models take."""

import numpy as np

from ..errors import ShapeError, message


def to_categorical(x, num_classes=None):
    """Integer classes (...) as one-hot float32 (..., num_classes). A trailing axis of 1 is dropped, as in
    Keras.

    Raises ShapeError naming the first label outside [0, num_classes).

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "biu":
        labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if labels.size else 0
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ShapeError(
            message(
                "to_categorical",
                f"labels from 0 to {num_classes - 1} were expected.",
                received=f"label {wrong[0]}",
            )
        )
    out = np.zeros((labels.size, num_classes), dtype=np.float32)
    out[np.arange(labels.size), labels.ravel().astype(np.int64)] = 1
    return out.reshape(*labels.shape, num_classes)


def normalize(x, axis=-1, order=2):
    """`x` divided by its norm of `order` along `axis`; a zero row stays zero. As `keras.utils.normalize`."""
    x = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis, keepdims=True))
    norm[norm == 0] = 1
    return x / norm
