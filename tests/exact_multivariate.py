"""The log-densities of vectors and matrices, exactly, from their definitions; of lists of numbers."""

import numpy as np
from exact import exactly, number
from mpmath import matrix, mp, mpf

import tensorflowlite_bp as bp

T = bp.scipy.stats
R = np.random.default_rng(0)


def definite(d=3):
    a = R.normal(size=(d, d))
    return a @ a.T + np.eye(d)


def even(c):
    return (c + c.T) / 2


def square(c):
    """A symmetric matrix of the numbers of a list."""
    d = int(len(c) ** 0.5)
    m = matrix(d, d)
    for i in range(d):
        for j in range(d):
            m[i, j] = (c[i * d + j] + c[j * d + i]) / 2
    return m


def length(x, mean, cov):
    difference = matrix([a - b for a, b in zip(x, mean, strict=True)])
    return (difference.T * mp.lu_solve(square(cov), difference))[0]


def normal(x, mean, cov):
    return -(length(x, mean, cov) + mp.log(mp.det(square(cov))) + len(x) * mp.log(2 * mp.pi)) / 2


def student(x, mean, cov, df):
    (n,), d = df, len(x)
    ratio = (
        mp.loggamma((n + d) / 2)
        - mp.loggamma(n / 2)
        - (d * mp.log(n * mp.pi) + mp.log(mp.det(square(cov)))) / 2
    )
    return ratio - (n + d) / 2 * mp.log1p(length(x, mean, cov) / n)


def dirichlet(x, alpha):
    powers = sum((a - 1) * mp.log(v) for a, v in zip(alpha, x, strict=True))
    return mp.loggamma(sum(alpha)) - sum(mp.loggamma(a) for a in alpha) + powers


COUNTS = [3, 0, 9]


def multinomial(p):
    chosen = mp.loggamma(sum(COUNTS) + 1) - sum(mp.loggamma(k + 1) for k in COUNTS)
    return chosen + sum(k * mp.log(v) for k, v in zip(COUNTS, p, strict=True) if k)


def wishart(x, df, scale):
    (n,), s, w = df, square(scale), square(x)
    p = w.rows
    inverse = mp.inverse(s) * w
    trace = sum(inverse[i, i] for i in range(p))
    top = (n - p - 1) / 2 * mp.log(mp.det(w)) - trace / 2 - n / 2 * (p * mp.log(2) + mp.log(mp.det(s)))
    gammas = sum(mp.loggamma((n - j) / 2) for j in range(p)) + mpf(p * (p - 1)) / 4 * mp.log(mp.pi)
    return top - gammas


def kernels(points, data, weights):
    """Of one point and data in the plane, with Scott's bandwidth."""
    total = sum(weights)
    w, n = [v / total for v in weights], len(weights)
    rows = [data[:n], data[n:]]
    factor = sum(v * v for v in w)
    mean = [sum(a * v for a, v in zip(row, w, strict=True)) for row in rows]
    cov = matrix(2, 2)
    for i in range(2):
        for j in range(2):
            spread = sum(
                v * (a - mean[i]) * (b - mean[j]) for v, a, b in zip(w, rows[i], rows[j], strict=True)
            )
            cov[i, j] = spread / (1 - factor) * (1 / factor) ** (-mpf(1) / 3)
    flat = list(cov)
    return mp.log(sum(v * mp.exp(normal(points, [rows[0][k], rows[1][k]], flat)) for k, v in enumerate(w)))


X, MEAN, COV = R.normal(size=3), R.normal(size=3), definite()
# name: ours, exactly, arguments
CASES = {
    "multivariate_normal": (
        lambda x, m, c: T.multivariate_normal.logpdf(x, m, even(c)),
        normal,
        (X, MEAN, COV),
    ),
    "multivariate_t": (
        lambda x, m, c, df: T.multivariate_t.logpdf(x, m, even(c), df),
        student,
        (X, MEAN, COV, np.array(3e5)),
    ),
    "dirichlet": (
        lambda x, a: T.dirichlet.logpdf(bp.asarray(x), a),
        dirichlet,
        (np.array([0.2, 0.3, 0.5]), np.array([0.7, 20.0, 3.5])),
    ),
    "multinomial": (
        lambda p: T.multinomial.logpmf(COUNTS, 12, p),
        multinomial,
        (np.array([0.25, 0.25, 0.5]),),
    ),
    "wishart": (
        lambda w, df, s: T.wishart.logpdf(even(w), df, even(s)),
        wishart,
        (definite(), np.array(5.5), COV),
    ),
    "gaussian_kde": (
        lambda x, d, w: T.gaussian_kde(bp.asarray(d), None, w).logpdf(x)[0],
        kernels,
        (np.array([[0.3], [0.4]]), R.normal(size=(2, 6)), np.linspace(1, 2, 6)),
    ),
}


def derivatives(exact, args):
    """The value, and of each argument an array of the derivatives in its entries."""
    with mp.workdps(50):
        flat = [[exactly(v) for v in np.ravel(a)] for a in args]
        slopes = [np.empty(np.shape(a)) for a in args]
        for k, values in enumerate(flat):
            for i, v in enumerate(values):
                h = abs(v) * mpf(2) ** -70
                ends = [
                    exact(*flat[:k], [*values[:i], s, *values[i + 1 :]], *flat[k + 1 :])
                    for s in (v + h, v - h)
                ]
                slopes[k].flat[i] = number((ends[0] - ends[1]) / (2 * h))
        return number(exact(*flat)), slopes
