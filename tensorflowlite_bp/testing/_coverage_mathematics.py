"""Samples of NumPy's statistics, sorting, calculus, polynomials, windows and signals."""

import numpy as real

from .. import numpy as np
from ..numpy._series import FAMILIES
from ._coverage import D, P, S, Sample, V, W, X, Y, sample

one = lambda f, a: f(a)
TIMES = real.array([0.0, 1.0, 1.7, 3.0])
AT = real.array([-0.4, 0.3, 1.2, 2.9, 3.5])

SAMPLES: list[Sample] = [
    # ------------------------------------------------------------------ reductions
    sample("sum prod mean var std nansum nanprod nanmean nanvar nanstd", lambda f, a: f(a, 1), P),
    sample("max min amax amin nanmax nanmin ptp", lambda f, a: f(a, axis=1), D, note="ties share"),
    sample("cumsum cumprod nancumsum nancumprod", lambda f, a: f(a, axis=1), P),
    sample("cumulative_sum cumulative_prod", lambda f, x: f(x, axis=1, include_initial=True), P),
    sample("average", lambda f, a, weights: f(a, 1, weights), X, P),
    sample("median nanmedian", lambda f, a: f(a, axis=1), D),
    sample("quantile nanquantile", lambda f, a, q: f(a, q), D, real.array(0.37)),
    sample("percentile nanpercentile", lambda f, a, q: f(a, q), D, real.array(37.0)),
    sample("cov corrcoef", lambda f, m: f(m), X),
    sample("histogram histogram_bin_edges", lambda f, a: f(a, 3), D, note="the edges", order=1),
    sample("histogram", lambda f, weights: f(D.ravel(), 3, weights=weights)[0], P.ravel()),
    sample("histogram2d", lambda f, weights: f(D.ravel(), X.ravel(), 3, weights=weights)[0], P.ravel()),
    sample("histogramdd", lambda f, weights: f(D, 2, weights=weights)[0], P[:, 0]),
    sample("bincount", lambda f, weights: f(real.array([0, 2, 1, 2]), weights), V),
    # ------------------------------------------------------------------ order
    sample("sort", one, D), sample("partition", lambda f, a: f(a, 1), D), sample("sort_complex", one, D),
    sample("unique union1d", lambda f, ar: f(ar) if f is np.unique else f(ar, ar[:1] + 9), D),
    sample("unique_values", lambda f, x: f(x), D),
    sample("unique_counts unique_inverse unique_all", lambda f, x: f(x)[0], D, note="the values"),
    sample("intersect1d", lambda f, ar1: f(ar1, ar1 + 0), D),
    sample("setdiff1d setxor1d", lambda f, ar1: f(ar1, [9.0]), D),
    # ------------------------------------------------------------------ calculus
    sample("diff", lambda f, a, prepend: f(a, 2, prepend=prepend), V, S),
    sample("ediff1d", lambda f, ary, to_end: f(ary, to_end), V, S),
    sample("gradient", lambda f, f_, x: f(f_, x, edge_order=2), V, TIMES),
    sample("trapezoid", lambda f, y, x: f(y, x), V, TIMES),
    sample("interp", lambda f, x, xp, fp: f(x, xp, fp), AT, TIMES, V, note="at points the slope to the right"),
    sample("interp", lambda f, left, right, period: f(AT, TIMES, V, left, right) + f(AT, TIMES, V, period=period),
           S, S, real.array(3.3)),
    sample("convolve correlate", lambda f, a, v: f(a, v, "same"), V, W[:3]),
    sample("unwrap", lambda f, p: f(3 * p), V),
    sample("sinc", lambda f, x: f(x), V, note="exact at 0, to any order"),
    sample("i0", lambda f, x: f(x), V),
    sample("kaiser", lambda f, beta: f(7, beta), S),
    # ------------------------------------------------------------------ polynomials
    sample("polyval", lambda f, p, x: f(p, x), V, X),
    sample("polyadd polysub polymul polydiv", lambda f, a1, a2: f(a1, a2), V, W[:2]),
    sample("polyder", lambda f, p: f(p), V),
    sample("polyint", lambda f, p, k: f(p, k=k), V, S),
    sample("polyfit", lambda f, x, y, w: f(x, y, 1, w=w), TIMES, V, abs(W)),
    sample("poly", lambda f, seq_of_zeros: f(seq_of_zeros), V),
    sample("roots", lambda f, p: f(p), V, note="roots that coincide have none"),
    # ------------------------------------------------------------------ numpy.polynomial
    *[
        sample(f"polynomial.{module}.{prefix}{name}", call, *arrays)
        for prefix, (module, _) in FAMILIES.items()
        for name, call, arrays in (
            ("val", lambda f, x, c: f(x, c), (X, V)),
            ("val2d", lambda f, x, y, c: f(x, y, c), (X, Y, X)),
            ("val3d", lambda f, x, y, z, c: f(x, y, z, c), (V, W, V * W, X[:, :, None] * W[:2])),
            ("grid2d", lambda f, x, y, c: f(x, y, c), (V, W, X)),
            ("grid3d", lambda f, x, y, z, c: f(x, y, z, c), (V, W, V[:2], X[:, :, None] * W[:2])),
            ("vander", lambda f, x: f(x, 3), (V,)),
            ("vander2d", lambda f, x, y: f(x, y, [1, 2]), (V, W)),
            ("vander3d", lambda f, x, y, z: f(x, y, z, [1, 2, 1]), (V, W, V * W)),
            ("der", lambda f, c, scl: f(c, 1, scl), (V, S)),
            ("int", lambda f, c, k, lbnd, scl: f(c, 1, [k], lbnd, scl), (V, S, S, S)),
            ("mulx", lambda f, c: f(c), (V,)),
            ("add", lambda f, c1, c2: f(c1, c2), (V, W[:2])),
            ("sub", lambda f, c1, c2: f(c1, c2), (V, W[:2])),
            ("mul", lambda f, c1, c2: f(c1, c2), (V, W[:2])),
        )
    ],
    # ------------------------------------------------------------------ brackets, numpy.emath
    sample("r_", lambda f, a, b: f[a, b, a[0] : 3 : 4j], V, W),
    sample("c_", lambda f, a, b: f[a, b], V, W),
    sample("mgrid ogrid", lambda f, start, stop: f[start:stop:4j, 0:2], S, S + 2),
    sample("emath.sqrt emath.log emath.log2 emath.log10", lambda f, x: f(x), X, note="complex where x < 0"),
    sample("emath.arccos emath.arcsin emath.arctanh", lambda f, x: f(x), X * 2, note="complex where |x| > 1"),
    sample("emath.logn", lambda f, n, x: f(n, x), P, X),
    sample("emath.power", lambda f, x, p: f(x, p), X, Y),
]  # fmt: skip
