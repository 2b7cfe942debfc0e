"""scipy.signal: convolution, filters (differentiable in their coefficients), spectra, resampling.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda k: bp.scipy.signal.convolve(np.arange(4.0), k, mode="valid").sum())(np.ones(2))
array([6., 3.])
"""

from .._namespace import names
from . import _convolution, _filters, _spectral

OURS = _convolution.FUNCTIONS | _filters.FUNCTIONS | _spectral.FUNCTIONS

__getattr__, __dir__ = names("signal", OURS, globals())
