"""Sample inputs of NumPy's ufuncs beyond the array API standard's functions."""

import numpy as np
from opcase import OpCase, away_from_0, beside, binary, normal, unary, uniform

EXPONENTS = np.array([[-3], [0], [5]])

CASES = [
    unary("fabs", away_from_0((3, 4))),
    binary("heaviside", away_from_0((3, 4), (3, 4))),
    OpCase(
        "ldexp",
        normal((3, 4)),
        [{}],
        call=lambda f, x: f(x, beside(EXPONENTS, x)),
        numpy=lambda x: np.ldexp(x, EXPONENTS),
    ),
    OpCase("ldexp", normal((3, 1)), call=lambda f, x: f(x, beside(np.array([0, 3, -2, 1]), x)), numpy=lambda x: np.ldexp(x, [0, 3, -2, 1]),
           id="ldexp-broadcast"),
    OpCase("frexp", away_from_0((3, 4)), call=lambda f, x: f(x)[0], numpy=lambda x: np.frexp(x)[0]),
    OpCase("modf", lambda r: [r.uniform(0.1, 0.9, (3, 4)) + r.integers(-3, 4, (3, 4))], call=lambda f, x: f(x)[0],
           numpy=lambda x: np.modf(x)[0]),
    OpCase("divmod", lambda r: [r.uniform(0.1, 0.9, (3, 4)) + r.integers(-3, 4, (3, 4)), np.ones(4)],
           call=lambda f, x, y: f(x, y)[1], numpy=lambda x, y: np.divmod(x, y)[1]),
    OpCase("float_power", lambda r: [r.uniform(0.5, 2, (3, 4)), r.normal(size=4)], complex=True, narrow="float64"),
    OpCase("matvec", normal((2, 3, 4), (4,)), complex=True),
    OpCase("matvec", normal((3, 4), (5, 4)), id="matvec-broadcast"),
    OpCase("vecmat", normal((3,), (2, 3, 4)), complex=True),
    OpCase("vecmat", normal((5, 3), (3, 4)), id="vecmat-broadcast"),
    OpCase("reinterpret", normal((3, 4)), call=lambda f, x: f(x, np.result_type(x.dtype, np.complex64)),
           numpy=lambda x: x.view(complex), narrow="complex64", half=False),
    OpCase("reinterpret", normal((3, 2)), call=lambda f, x: f(x * (1 + 2j), np.result_type(x.dtype)),
           numpy=lambda x: (x * (1 + 2j)).view(float), half=False, id="reinterpret-complex"),
    # complex arguments, where the table of the reals has none
    unary("arcsin", uniform(-0.8, 0.8), complex=True, id="arcsin-complex"),
    unary("arccos", uniform(-0.8, 0.8), complex=True, id="arccos-complex"),
    unary("arctan", complex=True, id="arctan-complex"),
    unary("arcsinh", complex=True, id="arcsinh-complex"),
    unary("arccosh", uniform(1.3, 3), complex=True, id="arccosh-complex"),
    unary("arctanh", uniform(-0.8, 0.8), complex=True, id="arctanh-complex"),
    unary("exp2", complex=True, id="exp2-complex"),
    unary("log2", uniform(0.3, 3), complex=True, id="log2-complex"),
    unary("log10", uniform(0.3, 3), complex=True, id="log10-complex"),
    unary("log1p", uniform(-0.7, 3), complex=True, id="log1p-complex"),
    binary("power", lambda r: [r.uniform(0.5, 2, (3, 4)), r.normal(size=(3, 4))], complex=True, id="power-complex"),
]  # fmt: skip
