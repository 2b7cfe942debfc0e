"""Sample inputs of the special functions: values are SciPy's, derivatives against differences to order 2."""

import mpmath
import numpy as np
import scipy.special as sp
from opcase import OpCase, beside, grid, normal, uniform
from scipy import stats

import tensorflowlite_bp.scipy.special  # noqa: F401  (declares them)

POSITIVE = uniform(0.3, 4)
UNIT = uniform(0.05, 0.95)


def one(name, args=None, **more):
    return OpCase(
        f"special.{name}",
        args or normal((3, 4)),
        elementwise=True,
        narrow="float32",
        numpy=more.pop("f", None) or getattr(sp, name),
        **more,
    )


def two(name, first, second, **more):
    return one(name, lambda r: [r.uniform(*first, (3, 4)), r.uniform(*second, (3, 4))], **more)


def three(name, *ranges, **more):
    return one(name, lambda r: [r.uniform(*low_high, (3, 4)) for low_high in ranges], **more)


def ordered(name, *at, args=None, **more):
    """f(at..., x), the parameters constant."""
    return OpCase(
        f"special.{name}",
        args or uniform(0.3, 4),
        call=lambda f, x: f(*[beside(a, x) if isinstance(a, np.ndarray) else a for a in at], x),
        numpy=lambda x: getattr(sp, name)(*at, x),
        narrow=more.pop("narrow", "float32"),
        id=f"special.{name}({', '.join(map(str, at))}, x)",
        **more,
    )


def parts(name, args=None, **more):
    """A function of several results, as one number per element."""
    return OpCase(
        f"special.{name}", args or uniform(0.3, 2), call=lambda f, x: mixed(f(x)), numpy=lambda x: mixed(getattr(sp, name)(x)),
        narrow="float32", **more,
    )  # fmt: skip


def mixed(results):
    return sum((k + 1.0) * r for k, r in enumerate(results))


INTEGERS = np.array([0, 1, 2, 3])


CASES = [
    # ---- error functions, normal distribution
    *[one(n, complex=True) for n in ("erf", "erfc", "erfcx", "dawsn", "erfi")],
    one("erfcx", uniform(5, 40), id="special.erfcx far out"),
    one("dawsn", uniform(8, 40), id="special.dawsn far out"),
    OpCase("special.wofz", normal((3, 4)), numpy=sp.wofz, complex=True, narrow="complex64"),
    OpCase("special.wofz", uniform(11, 30), numpy=sp.wofz, complex=True, narrow="complex64", id="special.wofz far out"),
    one("erfinv", uniform(-0.9, 0.9)),
    one("erfcinv", uniform(0.1, 1.9)),
    one("ndtr", complex=True),
    one("log_ndtr", uniform(-20, 3)),
    one("ndtri", UNIT),
    one("ndtri_exp", uniform(-20, -0.1)),
    two("owens_t", (-2, 2), (-2, 2)),
    three("voigt_profile", (-2, 2), (0.5, 2), (0.5, 2)),
    # ---- integrals
    one("expi", complex=True, args=POSITIVE),
    one("exp1", complex=True, args=POSITIVE),
    *[ordered("expn", n) for n in (0, 1, 3)],
    ordered("expn", INTEGERS, narrow="float64"),
    *[parts(n, complex=True) for n in ("sici", "shichi", "fresnel")],
    one("spence", uniform(0.2, 3), complex=True),
    # ---- powers, angles
    one("exp10"), one("cosm1"), one("sindg", uniform(-90, 90)), one("cosdg", uniform(-90, 90)),
    one("tandg", uniform(10, 80)), one("cotdg", uniform(10, 80)), three("radian", (0, 90), (0, 60), (0, 60)),
    # ---- gamma, beta
    one("gamma", uniform(-0.9, 4), complex=True),
    one("gammaln", POSITIVE),
    one("loggamma", POSITIVE, complex=True),
    one("rgamma", uniform(-3, 3), complex=True),
    OpCase("special.rgamma", lambda r: [np.array([-3.0, -1, 0, 2])], numpy=sp.rgamma, narrow="float32", id="special.rgamma at poles"),
    one("psi", uniform(0.2, 4), complex=True),
    ordered("polygamma", 1, narrow="float32"),
    ordered("polygamma", INTEGERS, narrow="float64"),
    OpCase("special.polygamma", uniform(-3.4, -3.2), call=lambda f, x: f(2, x), numpy=lambda x: sp.polygamma(2, x), narrow="float32", id="polygamma on the left"),
    ordered("zeta", 2.5), OpCase("special.zeta_hurwitz", POSITIVE, call=lambda f, x: f(3.0, x), numpy=lambda q: sp.zeta(3.0, q), narrow="float32"),
    two("beta", (0.3, 4), (0.3, 4)), two("betaln", (0.3, 4), (0.3, 4)),
    two("poch", (0.3, 4), (-0.2, 3)),
    OpCase("special.poch", lambda r: [np.array([-2.0, -1, 0]), np.array([3.5, 1.2, 0.7])], numpy=sp.poch, order=1, narrow="float32", id="special.poch at poles"),
    two("binom", (3, 6), (0.5, 3)), two("comb", (3, 6), (0.5, 3)), two("perm", (3, 6), (0.5, 3)), one("factorial", POSITIVE),
    OpCase("special.multigammaln", uniform(2, 5), grid(d=[1, 3]), numpy=sp.multigammaln, narrow="float32"),
    # ---- incomplete gamma and beta: every argument
    two("gammainc", (0.3, 8), (0.3, 8)), two("gammaincc", (0.3, 8), (0.3, 8)),
    two("gammaincinv", (0.5, 8), (0.1, 0.9)), two("gammainccinv", (0.5, 8), (0.1, 0.9)),
    OpCase("special.gammainc_in_a", lambda r: [r.uniform(0.3, 8, (3, 4)), r.uniform(0.3, 8, (3, 4))], grid(n=[1, 2]), narrow="float32"),
    three("betainc", (0.5, 6), (0.5, 6), (0.05, 0.95)), three("betaincc", (0.5, 6), (0.5, 6), (0.05, 0.95)),
    three("betaincinv", (0.5, 6), (0.5, 6), (0.1, 0.9)), three("betainccinv", (0.5, 6), (0.5, 6), (0.1, 0.9)),
    OpCase("special.betainc_in_ab", lambda r: [r.uniform(0.5, 6, 5), r.uniform(0.5, 6, 5), r.uniform(0.1, 0.9, 5)], [dict(i=1, j=0), dict(i=1, j=1), dict(i=1, j=0, ratio=True), dict(i=0, j=2, ratio=True), dict(i=1, j=1, ratio=True)], narrow="float32"),
    OpCase("special.log_gamma_density", lambda r: [r.uniform(0.5, 20, 9), r.uniform(0.5, 20, 9)], narrow="float32", numpy=lambda a, x: (a - 1) * np.log(x) - x - sp.gammaln(a)),
    OpCase("special.log_beta_density", lambda r: [r.uniform(0.5, 30, 9), r.uniform(0.5, 30, 9), r.uniform(0.1, 0.9, 9)], narrow="float32", numpy=lambda a, b, x: (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - sp.betaln(a, b)),
    three("f_cdf", (0.5, 6), (0.5, 6), (0.2, 4), f=lambda a, b, r: sp.fdtr(2 * a, 2 * b, r)), three("f_sf", (0.5, 6), (0.5, 6), (0.2, 4), f=lambda a, b, r: sp.fdtrc(2 * a, 2 * b, r)),
    three("f_inverse", (0.5, 6), (0.5, 6), (0.1, 0.9), f=lambda a, b, p: sp.fdtri(2 * a, 2 * b, p)),
    three("log_f_density", (0.5, 30), (0.5, 30), (0.2, 4), f=lambda a, b, r: stats.f.logpdf(r, 2 * a, 2 * b)),
    # ---- differences of log gamma
    *[OpCase(f"special.{n}", lambda r: [r.uniform(0.2, 40, 9), r.uniform(0.1, 20, 9)], call=lambda f, x, d, k=k: f(k, x, d), narrow="float32", id=f"special.{n} {k}") for n in ("log_gamma_step", "gamma_ratio") for k in (0, 1, 3)],
    OpCase("special.log_gamma_step", lambda r: [r.uniform(-0.9, -0.6, 9), r.uniform(-0.3, -0.1, 9)], call=lambda f, x, d: f(1, x, d), numpy=lambda x, d: sp.psi(x + d) - sp.psi(x), narrow="float32", id="special.log_gamma_step on the left"),
    one("tail_excess", POSITIVE, f=lambda w: np.log1p(w) - w / (1 + w)),
    OpCase("special.student_kernel", lambda r: [r.uniform(0.2, 9, 9), r.uniform(0.1, 4, 9)], call=lambda f, n, c: f(n, c, 2.0), numpy=lambda n, c: -(n + 2) / 2 * np.log1p(c / n), narrow="float32"),
    # ---- Bessel
    *[one(n, POSITIVE) for n in ("j0", "j1", "y0", "y1", "i0", "i1", "i0e", "i1e", "k0", "k1", "k0e", "k1e")],
    *[ordered(n, v, complex=True) for n in ("jv", "iv", "jve", "ive") for v in (0, 1.3)],
    *[ordered(n, 0.7, complex=True) for n in ("yv", "kv", "kve", "yve")],
    *[OpCase(f"special.{n}", POSITIVE, call=lambda f, x: f(0.7, x), numpy=lambda x, n=n: getattr(sp, n)(0.7, x), complex=True, narrow="complex64") for n in ("hankel1", "hankel2", "hankel1e", "hankel2e")],
    ordered("yn", 2), ordered("kn", 2), ordered("jv", INTEGERS, narrow="float64"),
    *[ordered(n, k, complex=True) for n in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn") for k in (0, 2)],
    ordered("spherical_jn", INTEGERS, narrow="float64"),
    parts("airy", complex=True),
    ordered("struve", 0.5), ordered("modstruve", 0.5),
    *[one(n, POSITIVE) for n in ("ber", "bei", "ker", "kei", "berp", "beip", "kerp", "keip")],
    # ---- elementary
    two("xlogy", (-2, 2), (0.3, 3), complex=True), two("xlog1py", (-2, 2), (-0.5, 3), complex=True), one("entr", POSITIVE),
    two("rel_entr", (0.3, 3), (0.3, 3)), two("kl_div", (0.3, 3), (0.3, 3)),
    one("expit"), one("logit", UNIT), one("log_expit"),
    two("boxcox", (0.3, 3), (-2, 2)), two("boxcox1p", (-0.5, 3), (-2, 2)),
    two("inv_boxcox", (-0.3, 0.3), (-2, 2)), two("inv_boxcox1p", (-0.3, 0.3), (-2, 2)), two("powm1", (0.3, 3), (-2, 2)),
    OpCase("special.boxcox", lambda r: [np.array([0.5, 2.0]), np.zeros(2)], numpy=sp.boxcox, narrow="float32", id="special.boxcox at 0"),
    one("exprel"), OpCase("special.exprel_moment", lambda r: [np.array([-9.0, -3, 0, 1e-3, 3, 9])], call=lambda f, x: f(2, x), narrow="float32"),
    two("huber", (0.5, 0.9), (-2, 2)), two("pseudo_huber", (0.5, 2), (-2, 2)),
    # ---- elliptic
    one("ellipk", uniform(-3, 0.9)), one("ellipkm1", uniform(0.1, 3)), one("ellipe", uniform(-3, 0.9)),
    two("ellipkinc", (-4, 4), (-1, 0.9)), two("ellipeinc", (-4, 4), (-1, 0.9)),
    *[OpCase(f"special.{n}", lambda r, k=k: [r.uniform(0.3, 3, 5) for _ in range(k)], numpy=getattr(sp, n), narrow="float32") for n, k in (("elliprf", 3), ("elliprd", 3), ("elliprg", 3), ("elliprj", 4), ("elliprc", 2))],
    OpCase("special.carlson", lambda r: [r.uniform(0.3, 3, 5) for _ in range(3)], [{"powers": (0.5, 0.5, 0.5)}], numpy=lambda *x, powers: 2 * sp.elliprf(*x), narrow="float32"),
    OpCase("special.ellipj", normal((5,)), call=lambda f, x: mixed(f(x, 0.4)), numpy=lambda x: mixed(sp.ellipj(x, 0.4)), narrow="float32"),
    # ---- hypergeometric, polynomials, spherical harmonics
    ordered("hyp0f1", 1.3, complex=True), ordered("hyp1f1", 0.7, 1.9, complex=True), ordered("hyperu", 0.7, 1.9),
    ordered("hyp2f1", 0.7, 0.4, 1.9, args=uniform(-0.9, 0.7), complex=False),
    OpCase("special.hyp1f1_series", lambda r: [r.uniform(0.5, 3, 5), r.uniform(0.5, 3, 5), r.uniform(0.1, 3, 5)], numpy=sp.hyp1f1, narrow="float32"),
    OpCase("special.hyp1f1_series", lambda r: [r.uniform(0.5, 3, 5), r.uniform(0.5, 3, 5), r.uniform(0.1, 3, 5)], [dict(i=1, j=1)], narrow="float32", id="special.hyp1f1_series mixed"),
    *[ordered(f"eval_{n}", k, args=UNIT, complex=k == 3) for n in ("legendre", "chebyt", "chebyu", "laguerre", "sh_legendre") for k in (0, 3)],
    *[ordered(f"eval_{n}", k, args=UNIT) for n in ("hermite", "hermitenorm") for k in (0, 3)],
    *[ordered(n, k, *p, args=UNIT) for n, p in (("eval_jacobi", (0.5, 1.5)), ("eval_sh_jacobi", (2.5, 1.5)), ("eval_gegenbauer", (0.7,)), ("eval_genlaguerre", (0.7,))) for k in (0, 3)],
    ordered("eval_legendre", INTEGERS, args=UNIT, narrow="float64"),
    *[OpCase("special.sph_harm_y", uniform(0.2, 2, (3,), (3,)), call=lambda f, t, p, n=n, m=m: f(n, m, t, p), numpy=lambda t, p, n=n, m=m: sp.sph_harm_y(n, m, t, p), narrow="complex64", id=f"special.sph_harm_y {n} {m}") for n, m in ((0, 0), (2, -1), (3, 3))],
    OpCase("special.lambertw", POSITIVE, numpy=sp.lambertw, complex=True, narrow="complex64"),
    one("wrightomega", complex=True),
]  # fmt: skip
CASES += [two("stdtr", (0.5, 6), (-3, 3)), two("stdtrit", (0.5, 6), (0.1, 0.9))]


def exactly(f):
    """mpmath's, where SciPy's has too few digits."""
    return np.vectorize(lambda x: float(f(x)))


CASES += [
    *[OpCase("special.hyperu", uniform(*x), call=lambda f, x, a=a, b=b: f(a, b, x), numpy=exactly(lambda x, a=a, b=b: mpmath.hyperu(a, b, x)), narrow="float32", id=f"special.hyperu({a}, {b}, x)")
      for a, b, x in ((2.5, 1.3, (0.3, 4)), (-0.4, 0.3, (0.3, 4)), (-2.0, 1.3, (0.3, 4)), (1e-3, 1.3, (0.01, 4)))],
    *[one(n, uniform(2, 14), f=exactly(lambda x, n=n: getattr(mpmath, n)(0, x)), id=f"special.{n} on both sides of 3") for n in ("ber", "bei", "ker", "kei")],
    *[one(n, lambda r: [r.choice([-1, 1], (3, 4)) * r.uniform(40, 300, (3, 4))], id=f"special.{n} far out") for n in ("i0e", "i1e")],
    *[one(n, uniform(40, 300), id=f"special.{n} far out") for n in ("k0e", "k1e")],
    *[OpCase(f"special.{n}", uniform(40, 300), call=lambda f, x: f(2, x), numpy=lambda x, n=n: getattr(sp, n)(2, x), narrow="float32", id=f"special.{n} far out") for n in ("ive", "kve")],
]  # fmt: skip
