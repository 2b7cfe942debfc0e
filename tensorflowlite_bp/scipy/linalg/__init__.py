"""scipy.linalg: systems, factorisations, functions of matrices, structured matrices; stacked, real and
complex.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(lambda a: bp.scipy.linalg.expm(a).sum())(np.zeros((2, 2)))
array([[1., 1.],
       [1., 1.]])

What a matrix does not determine (schur, hessenberg, null_space, orth, ldl) refuses recording Tensors by name.
"""

from .._namespace import names
from . import _functions, _structured, _systems

OURS = _systems.FUNCTIONS | _functions.FUNCTIONS | _structured.FUNCTIONS

__getattr__, __dir__ = names("linalg", OURS, globals())
