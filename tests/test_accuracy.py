"""Every function of bp.scipy.special and bp.scipy.stats, its value and all derivatives, to 1e-10 of mpmath's.

Where an argument's last place moves the result by more than that, near a zero, within a few last places.
"""

import exact_multivariate
import exact_special
import exact_stats
import numpy as np
import pytest
from exact import LAST_PLACES, TIGHT, rows

import tensorflowlite_bp as bp

CASES = exact_special.CASES + exact_stats.CASES
# of no derivative, or of whole axes (test_scipy_special.py); the same functions under other names
ELSEWHERE = {"gammasgn", "zetac", "logsumexp", "softmax", "log_softmax", "digamma", "jn"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_derivatives_are_exact(case):
    for which, point, got, want, relative, places in rows(case):
        assert relative < TIGHT or places < LAST_PLACES, (which, point, got, want, relative, places)


@pytest.mark.parametrize("name", exact_multivariate.CASES)
def test_densities_of_vectors_and_matrices_are_exact(name):
    f, exact, args = exact_multivariate.CASES[name]
    out, pull = bp.vjp(f, *args)
    want, slopes = exact_multivariate.derivatives(exact, args)
    np.testing.assert_allclose(out, want, rtol=TIGHT)
    for got, slope in zip(pull(np.ones_like(out)), slopes, strict=True):
        np.testing.assert_allclose(got, slope, rtol=TIGHT, atol=1e-14)


def test_every_function_and_distribution_is_here():
    names = {c.name for c in exact_special.CASES}
    assert set(bp.scipy.special.OURS) - names == ELSEWHERE
    stats = bp.scipy.stats
    named = {d for d in dir(stats) if getattr(getattr(stats, d), "ours", None) and d.islower()}
    assert named == {*exact_stats.CONTINUOUS, *exact_stats.DISCRETE, *exact_multivariate.CASES} - {
        "gaussian_kde"
    }
    methods = {str(c) for c in exact_stats.CASES}
    for d in (*exact_stats.CONTINUOUS, *exact_stats.DISCRETE):
        assert {f"{d}.{m}" for m in getattr(stats, d).ours} - methods <= {f"{d}.pdf", f"{d}.pmf"}
