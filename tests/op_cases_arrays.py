"""Samples of the ops behind NumPy's functions on arrays: convolution, and the functions of windows."""

import numpy as np
from opcase import OpCase, grid, normal, unary, uniform

CASES = [
    OpCase("convolve", normal((5,), (3,)), grid(mode=["full", "same", "valid"]), complex=True),
    OpCase("convolve", normal((2,), (6,)), grid(mode=["full", "same", "valid"]), id="convolve short"),
    unary("sinc", uniform(-3, 3), complex=True),
    unary("i0", uniform(-4, 9), numpy=np.i0),
    OpCase(
        "pad",
        normal((3, 4)),
        grid(pad_width=[((1, 2), (0, 3))], mode=["linear_ramp", "mean", "median"]),
        complex=False,
    ),
    OpCase(
        "pad",
        normal((3, 4)),
        grid(pad_width=[((5, 2), (0, 9))], mode=["reflect", "symmetric"], reflect_type=["odd"]),
        complex=True,
        id="pad odd",
    ),
    OpCase(
        "pad",
        normal((3, 4)),
        grid(pad_width=[2], mode=["maximum", "minimum"], stat_length=[None, 2]),
        id="pad extremes",
    ),
]
