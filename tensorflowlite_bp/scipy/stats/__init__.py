"""scipy.stats: the densities, distribution functions and quantiles of the common distributions,
differentiable in the variable and in every real parameter.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(bp.scipy.stats.norm.logpdf, argnums=(0, 1, 2))(1.0, 0.0, 2.0)
(np.float64(-0.25), np.float64(0.25), np.float64(-0.375))

A method that is not here (rvs, fit, moments) and a distribution that is not are SciPy's own, for raw arrays.
"""

from typing import Any

from .._namespace import module, names
from ._discrete import bernoulli, betabinom, binom, geom, nbinom, poisson
from ._distribution import Guarded
from ._exponential import (
    expon,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    pareto,
    rayleigh,
    triang,
    uniform,
    vonmises,
    weibull_min,
    wrapcauchy,
)
from ._gamma import beta, chi, chi2, f, gamma, invgamma
from ._kde import gaussian_kde
from ._kde import sem as _sem
from ._multivariate import dirichlet, multinomial, multivariate_normal, multivariate_t, wishart
from ._normal import cauchy, gennorm, halfnorm, invgauss, lognorm, norm, skewnorm, t, truncnorm, wald

_find, __dir__ = names("stats", {"sem": _sem}, globals())


def __getattr__(name: str) -> Any:
    if not name.startswith("__") and hasattr(getattr(module("stats"), name, None), "rvs"):
        return Guarded(name)
    return _find(name)
