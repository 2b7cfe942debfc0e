"""Samples of NumPy's universal functions."""

import numpy as np

from ._coverage import C, D, M, P, Sample, V, W, X, Y, sample

one = lambda f, x: f(x)
two = lambda f, x1, x2: f(x1, x2)
away = np.sign(Y) * (abs(Y) + 0.5)


def added(f, a, b):
    """`f` with b at two places of a copy of a."""
    out = np.copy(a)
    f(out, [0, 2], b)
    return out


SAMPLES: list[Sample] = [
    sample("negative positive exp exp2 expm1 sin cos tan sinh cosh tanh arctan atan arcsinh asinh", one, X),
    sample("square deg2rad rad2deg degrees radians", one, X),
    sample("conjugate conj", one, C),
    sample("log log2 log10 log1p sqrt cbrt reciprocal", one, P),
    sample("arcsin asin arccos acos arctanh atanh", one, P),
    sample("arccosh acosh", one, P + 1.2),
    sample("absolute abs", one, X, note="0 at 0; complex numbers too"),
    sample("fabs", one, X, note="0 at 0"),
    sample("sign", one, C, note="of complex numbers; of real ones a constant"),
    sample("modf", one, X, note="the fractional part; the whole one is a constant"),
    sample("frexp", lambda f, x: f(x)[0], X, note="the mantissa; the exponent is a constant"),
    sample("ldexp", lambda f, x1: f(x1, np.array([2, -1, 0])), X),
    sample("add subtract multiply", two, X, Y),
    sample("divide true_divide", two, X, away),
    sample("power pow float_power", two, P, Y, note="at x1 = 0 the derivative in x2 is 0"),
    sample("remainder mod fmod", two, 3 * X, away, note="at jumps that of the branch taken"),
    sample(
        "divmod",
        lambda f, x1, x2: f(x1, x2)[1],
        3 * X,
        away,
        note="the remainder; the quotient is a constant",
    ),
    sample("maximum minimum", two, X, Y, note="equal arguments share the gradient"),
    sample("fmax fmin", two, X, Y, note="equal arguments share the gradient; NaN gets none"),
    sample("arctan2 atan2", two, X, away),
    sample("hypot", two, X, Y, note="0 at (0, 0)"),
    sample("logaddexp logaddexp2", two, X, Y),
    sample("copysign", lambda f, x1: f(x1, Y), X),
    sample("heaviside", lambda f, x2: f(np.array([0.0, 1.0, -1.0]), x2), X, note="where x1 is 0"),
    sample("matmul", two, X, M),
    sample("vecdot", two, C, C * 1j - 1),
    sample("matvec", two, X, M[0]),
    sample("vecmat", two, X[0], M),
    sample("add.reduce add.accumulate multiply.reduce multiply.accumulate", lambda f, array: f(array), P),
    sample(
        "subtract.reduce divide.reduce hypot.reduce logaddexp.reduce logaddexp.accumulate",
        lambda f, array: f(array),
        P,
    ),
    sample(
        "maximum.reduce minimum.reduce maximum.accumulate minimum.accumulate",
        lambda f, array: f(array),
        D,
        note="ties share",
    ),
    sample("add.outer multiply.outer subtract.outer", lambda f, A, B: f(A, B), V, W),
    sample("divide.outer power.outer hypot.outer arctan2.outer", lambda f, A, B: f(A, B), abs(V), abs(W)),
    sample("add.reduceat multiply.reduceat", lambda f, array: f(array, [0, 2, 1]), abs(V)),
    sample("add.at subtract.at multiply.at", lambda f, a, b: added(f, a, b), V, W[:2], note="in place"),
]
