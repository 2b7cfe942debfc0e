"""The differentiable operations, under NumPy's names, one file per family. Importing them gives Tensor its
operators.
"""

from . import (
    activations,
    attention,
    chunked,
    conv,
    creation,
    ctc,
    decompositions,
    elementwise,
    fft,
    floating,
    indexing,
    linalg,
    losses,
    methods,
    nn,
    norms,
    padding,
    random,
    recurrent,
    reductions,
    row_norms,
    shape,
    signal,
    solve,
    trigonometric,
)
from .creation import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .floating import *  # noqa: F403
from .indexing import *  # noqa: F403
from .linalg import *  # noqa: F403
from .padding import *  # noqa: F403
from .reductions import *  # noqa: F403
from .shape import *  # noqa: F403
from .trigonometric import *  # noqa: F403
