"""Samples of NumPy's functions that make, shape, join and index arrays."""

import numpy as real

from .. import numpy as np
from ._coverage import C, D, M, S, Sample, V, W, X, Y, sample

one = lambda f, a: f(a)
MASK = real.array([[True, False, True], [False, True, True]])
FLAT = real.array([2, 0, 3])


def written(f, a, *more):
    """An in-place function, applied to a copy."""
    out = np.copy(a)
    f(out, *more)
    return out


SAMPLES: list[Sample] = [
    # ------------------------------------------------------------------ making
    sample("array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite require", one, X),
    sample("array", lambda f, object: f([[object[0], 1.0], [2.0, object[1] * 3]]), V, note="nested lists, too"),
    sample("copy", one, X),
    sample("astype", lambda f, x: f(x, complex), X),
    sample("full", lambda f, fill_value: f((2, 3), fill_value), S),
    sample("full_like", lambda f, fill_value: f(X, fill_value), S),
    sample("arange", lambda f, start, step: f(start, 4.0, step), S, S),
    sample("linspace", lambda f, start, stop: f(start, stop, 5), S, V),
    sample("logspace", lambda f, start, stop, base: f(start, stop, 5, base=base), S, V, abs(W)),
    sample("geomspace", lambda f, start, stop: f(start, stop, 5), S, abs(V)),
    sample("fromiter", lambda f, iter: f((v * 2 for v in iter), float), V),
    sample("fromfunction", lambda f, closure: f(lambda i, j: closure * i + j * closure**2, (2, 3)), S),
    sample("meshgrid", lambda f, x1, x2: f(x1, x2), V, W),
    sample("diag", one, V), sample("diag", one, M), sample("diagflat", one, X),
    sample("tril triu", lambda f, m: f(m), X),
    sample("vander", lambda f, x: f(x, 3), V),
    sample("block", lambda f, a, b: f([[a, b], [b, a * 2]]), X, Y),
    # ------------------------------------------------------------------ shape
    sample("ravel transpose permute_dims squeeze matrix_transpose", one, X),
    sample("reshape", lambda f, a: f(a, (3, 2), order="F"), X),
    sample("moveaxis swapaxes rollaxis", lambda f, a: f(a, 0, 1), X),
    sample("expand_dims", lambda f, a: f(a, (0, 2)), X),
    sample("atleast_1d atleast_2d atleast_3d", one, V),
    sample("broadcast_to", lambda f, array: f(array, (3, 4)), V),
    sample("broadcast_arrays", lambda f, x1, x2: f(x1, x2[:, None]), V, W),
    sample("flip fliplr flipud rot90", lambda f, m: f(m), X),
    sample("roll", lambda f, a: f(a, (1, 2), (0, 1)), X),
    sample("tile repeat", lambda f, a: f(a, 2), X),
    sample("resize", lambda f, a: f(a, (2, 4)), X),
    sample("trim_zeros", lambda f, filt: f(np.concatenate([[0.0], filt, [0.0]])), V),
    sample("pad", lambda f, array: f(array, ((1, 2), (0, 1)), "reflect"), X, note="all modes"),
    sample("pad", lambda f, array, end_values: f(array, 2, "linear_ramp", end_values=end_values), X, S),
    sample("pad", lambda f, array, constant_values: f(array, 1, constant_values=constant_values), X, S),
    # ------------------------------------------------------------------ joining, cutting
    sample("concatenate concat stack hstack vstack dstack column_stack", lambda f, a, b: f([a, b]), X, Y),
    sample("append", lambda f, arr, values: f(arr, values), X, V),
    sample("insert", lambda f, arr, values: f(arr, 1, values, axis=1), X, V[:2]),
    sample("delete", lambda f, arr: f(arr, 1, axis=1), X),
    sample("split array_split", lambda f, ary: f(ary, 3, axis=1), X),
    sample("hsplit", lambda f, ary: f(ary, 3), X),
    sample("vsplit", lambda f, ary: f(ary, 2), X),
    sample("dsplit", lambda f, ary: f(ary[None], 3), X),
    sample("unstack", lambda f, x: f(x, axis=1), X),
    # ------------------------------------------------------------------ indexing
    sample("take", lambda f, a: f(a, [4, 0, 4], mode="wrap"), X),
    sample("take_along_axis", lambda f, arr: f(arr, real.argsort(X, 1), 1), X),
    sample("choose", lambda f, choices: f(real.array([[0, 1, 1]]), choices), X),
    sample("compress", lambda f, a: f([True, False, True], a, axis=1), X),
    sample("extract", lambda f, arr: f(MASK, arr), X),
    sample("where", lambda f, x, y: f(MASK, x, y), X, Y),
    sample("select", lambda f, x, y: f([MASK, X > 0], [x, y], 1.0), X, Y),
    sample("piecewise", lambda f, x: f(x, [X < 0, X >= 0], [lambda v: v**2, np.sin]), X,
           note="no function sees what is not its own"),
    sample("clip", lambda f, a, a_min, a_max: f(a, a_min, a_max), D, real.array(-0.31), real.array(0.47),
           note="passes at the bounds"),
    sample("diagonal trace", one, X),
    sample("lib.stride_tricks.sliding_window_view", lambda f, x: f(x, 2), V),
    # ------------------------------------------------------------------ writing in place
    sample("put", lambda f, a, v: written(f, a, FLAT, v), X, V[:3]),
    sample("put_along_axis", lambda f, arr, values: written(f, arr, real.array([[1, 0]]).T, values, 1), X, V[:2, None]),
    sample("place", lambda f, arr, vals: written(f, arr, MASK, vals), X, V),
    sample("putmask", lambda f, a, values: written(f, a, MASK, values), X, Y),
    sample("fill_diagonal", lambda f, a, val: written(f, a, val), X, S),
    sample("copyto", lambda f, dst, src: written(lambda a, b: f(a, b, where=MASK), dst, src), X, Y),
    # ------------------------------------------------------------------ functions of functions, numbers
    sample("apply_along_axis", lambda f, arr: f(lambda v: v[:2] * v[1:], 1, arr), X),
    sample("apply_over_axes", lambda f, a: f(np.sum, a**2, [0, 1]), X),
    sample("vectorize", lambda f, x, y: f(lambda a, b: a * b if a > b else b**2)(x, y), X, Y),
    sample("real imag", lambda f, val: f(val), C),
    sample("angle", lambda f, z: f(z), C),
    sample("real_if_close", one, C),
    sample("nan_to_num", lambda f, x: f(x), X, note="where x is finite"),
]  # fmt: skip
