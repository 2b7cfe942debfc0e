"""A mirror of numpy.polynomial: the functions of its modules differentiate. Its classes are NumPy's own."""

from numpy.polynomial import (
    Chebyshev,
    Hermite,
    HermiteE,
    Laguerre,
    Legendre,
    Polynomial,
    set_default_printstyle,
)

from . import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial
