"""Samples of the normalisations of rows and groups."""

import numpy as np
from opcase import OpCase, grid, normal


def np_row_norm(x, weight=1.0, bias=0.0, *, axis=-1, eps, centred):
    if centred:
        x = x - x.mean(axis, keepdims=True)
    return x / np.sqrt((x * x).mean(axis, keepdims=True) + eps) * weight + bias


def np_group_norm(x, weight=1.0, bias=0.0, *, groups, eps=1e-5):
    split = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    out = np_row_norm(split, axis=(1, 3), eps=eps, centred=True)
    return out.reshape(x.shape) * weight + bias


def plain(f, x, weight=None, bias=None, **kwargs):
    return f(x, weight, bias, **kwargs)


def grouped(f, x, weight=None, bias=None, *, groups, **kwargs):
    return f(x, groups, weight, bias, **kwargs)


ROW = grid(eps=[1e-5], centred=[True, False], axis=[-1])
CASES = [
    OpCase("row_norm", normal((3, 5), (5,), (5,)), ROW, call=plain, numpy=np_row_norm),
    OpCase("row_norm", normal((2, 3, 5), (5,)), ROW, call=plain, numpy=np_row_norm, id="row_norm-weight"),
    OpCase("row_norm", normal((4, 5)), ROW, call=plain, numpy=np_row_norm, id="row_norm-plain"),
    OpCase(
        "row_norm",
        normal((2, 3, 5), (3, 5), (3, 5)),
        grid(eps=[0.1], centred=[True, False], axis=[(-2, -1)]),
        call=plain,
        numpy=np_row_norm,
        id="row_norm-axes",
    ),
    OpCase(
        "row_norm",
        normal((2, 4, 3)),
        grid(eps=[0.1], centred=[True], axis=[1, (0, 2)]),
        call=plain,
        numpy=np_row_norm,
        id="row_norm-other-axes",
    ),
    OpCase(
        "group_norm",
        normal((2, 3, 4), (4,), (4,)),
        grid(groups=[1, 2, 4]),
        call=grouped,
        numpy=np_group_norm,
        id="group_norm-affine",
    ),
    OpCase(
        "group_norm",
        normal((2, 2, 2, 6), (6,)),
        grid(groups=[3], eps=[0.1]),
        call=grouped,
        numpy=np_group_norm,
        id="group_norm-2d",
    ),
]
