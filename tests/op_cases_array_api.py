"""Sample inputs of what the array API standard adds to NumPy's functions."""

import numpy as np
from opcase import OpCase, grid, normal

CASES = [
    OpCase("diff", normal((3, 4)), grid(axis=[-1, 0], n=[0, 1, 2]), complex=True),
    OpCase(
        "diff",
        normal((3, 4), (3, 2)),
        numpy=lambda x, y: np.diff(x, append=y),
        call=lambda f, x, y: f(x, append=y),
        id="diff-append",
    ),
    OpCase("unique_values", normal((3, 4))),
]
