"""scipy.special, differentiable: to every order, and in every parameter that has a derivative in closed form
or as an integral. A parameter that has none (the order of a Bessel function) is refused by name where it
records.

>>> import numpy as np, tensorflowlite_bp as bp
>>> bp.grad(bp.scipy.special.gammainc, argnums=(0, 1))(2.0, 1.0)
(np.float64(-0.2761960457028292), np.float64(0.36787944117144233))
"""

import numpy as np

from ..autograd.op import graph
from ..ops import (
    special_bessel,
    special_beta,
    special_elementary,
    special_elliptic,
    special_erf,
    special_gamma,
    special_hyper,
    special_incomplete,
    special_incomplete_beta,
    special_student,
)
from ._namespace import names

# what rules need and SciPy has not
_ABSENT = set(
    "carlson exprel_moment gammainc_in_a betainc_in_ab hyp1f1_series log_gamma_density log_beta_density "
    "log_f_density f_cdf f_sf f_inverse student_kernel "
    "log_gamma_step gamma_ratio tail_excess riemann_zeta zeta_hurwitz".split()
)
# each family: what it declares is in graph.special; named here is what has another name or is made of others
_FAMILIES = {
    special_bessel: "jn jvp yvp ivp kvp h1vp h2vp spherical_jn spherical_yn spherical_in spherical_kn",
    special_elementary: "softplus logsumexp softmax log_softmax",
    special_elliptic: "",
    special_erf: "",
    special_beta: "",
    special_gamma: "digamma",
    special_hyper: "hyp1f1",
    special_incomplete: "",
    special_incomplete_beta: "",
    special_student: "",
}
OURS = {name: f for name, f in vars(graph.special).items() if name not in _ABSENT}
for _family, _names in _FAMILIES.items():
    OURS |= {name: getattr(_family, name) for name in _names.split()}
OURS |= {name: getattr(graph, name) for name in ("exp2", "expm1", "log1p", "cbrt")}
OURS["sinc"] = lambda x: np.sinc(x)

__getattr__, __dir__ = names("special", OURS, globals())
