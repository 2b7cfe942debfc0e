"""Gaussian kernel density estimates, differentiable in everything they are made of; standard errors."""

import math
from collections.abc import Callable
from typing import Any

from ...autograd.op import graph
from ...autograd.tensor import Tensor
from ...errors import ShapeError, message
from ...ops.elementwise import exp, log, power, square
from ...ops.reductions import logsumexp
from ...ops.shape import reshape
from ...ops.special import floats
from .._namespace import _inside, module
from ._normal import LOG_2PI


class KernelDensity:
    """SciPy's gaussian_kde of Tensors: dataset (d, n) or (n), weights (n). Points are (d, m) or (m)."""

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        (self.dataset,) = floats(dataset)
        if self.dataset.ndim < 2:
            self.dataset = reshape(self.dataset, (1, -1))
        self.d, self.n = self.dataset.shape
        if weights is None:
            self.weights = self.dataset[0].detach() * 0.0 + 1.0 / self.n
        else:
            self.dataset, weights = floats(self.dataset, weights)
            self.weights = weights / weights.sum()
        self.neff = 1.0 / square(self.weights).sum()
        self.factor = self._bandwidth(bw_method)
        centred = self.dataset - (self.dataset * self.weights).sum(-1, keepdims=True)
        scale = square(self.factor) / (1.0 - square(self.weights).sum())
        self.covariance = graph.matmul(centred * self.weights, centred.T) * scale

    def _bandwidth(self, method: Any) -> Tensor:
        if method is None or method == "scott":
            return self.scotts_factor()
        if isinstance(method, str):
            if method != "silverman":
                expected = 'bw_method is "scott", "silverman", a number or a function.'
                raise ValueError(message("stats.gaussian_kde", expected, received=repr(method)))
            return self.silverman_factor()
        return floats(method(self) if callable(method) else method, self.dataset)[0]

    def scotts_factor(self) -> Tensor:
        """Scott's rule: neff^(-1 / (d + 4))."""
        return power(self.neff, -1.0 / (self.d + 4))

    def silverman_factor(self) -> Tensor:
        """Silverman's rule: (neff (d + 2) / 4)^(-1 / (d + 4))."""
        return power(self.neff * ((self.d + 2) / 4.0), -1.0 / (self.d + 4))

    def logpdf(self, x: Any) -> Tensor:
        """The logarithm of the estimate at points (d, m)."""
        points, data = floats(x, self.dataset)
        if points.ndim < 2:
            points = reshape(points, (self.d, -1) if points.size == self.d or self.d > 1 else (1, -1))
        if points.shape[0] != self.d:
            expected = f"points of {self.d} coordinates were expected."
            raise ShapeError(message("stats.gaussian_kde", expected, received=f"{points.shape}"))
        lower = graph.linalg.cholesky(self.covariance)
        white = graph.linalg.solve(lower, points)[:, None, :] - graph.linalg.solve(lower, data)[:, :, None]
        terms = -0.5 * square(white).sum(0) + log(self.weights)[:, None]
        volume = log(graph.diagonal(lower, 0, -2, -1)).sum() + 0.5 * self.d * LOG_2PI
        return logsumexp(terms, 0) - volume

    def evaluate(self, points: Any) -> Tensor:
        """The estimate at points (d, m)."""
        return exp(self.logpdf(points))

    pdf: Callable[..., Tensor] = evaluate
    __call__: Callable[..., Tensor] = evaluate


def gaussian_kde(dataset: Any, bw_method: Any = None, weights: Any = None) -> Any:
    """scipy.stats.gaussian_kde; of Tensors one that differentiates.

    >>> import numpy as np, tensorflowlite_bp as bp
    >>> density = bp.scipy.stats.gaussian_kde(bp.asarray([0.0, 1.0, 3.0]))
    >>> bp.elementwise_grad(density.logpdf)(np.array([1.0])).shape
    (1,)
    """
    if _inside((dataset, bw_method, weights)) == 1:
        return KernelDensity(dataset, bw_method, weights)
    return module("stats").gaussian_kde(dataset, bw_method, weights)


def sem(a: Any, axis: int | None = 0, ddof: int = 1) -> Tensor:
    """The standard error of the mean."""
    (a,) = floats(a)
    if axis is None:
        a, axis = reshape(a, (-1,)), 0
    return graph.std(a, axis, correction=float(ddof)) / math.sqrt(a.shape[axis])
