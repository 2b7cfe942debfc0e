"""A mirror of the NumPy namespace whose functions differentiate: swap the import, keep the code."""

from . import _fft, _linalg
from ._table import TABLE

__all__ = ["TABLE"]
