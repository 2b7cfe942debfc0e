"""numpy.fft on Tensors: the transforms have NumPy's own signatures (`out=` is the caller's)."""

from ..ops.fft import functions
from ._table import implements

for _name, _function in functions().items():
    implements(f"fft.{_name}")(_function)
