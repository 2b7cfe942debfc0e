"""scipy.special, exactly: one line a function."""
# ruff: noqa: E501  (a table, one case a line)

from dataclasses import replace

import numpy as np
import scipy.special as sp
from exact import Case, Inverse, both, lin, log, of, plane, right
from mpmath import mp, mpf

import tensorflowlite_bp as bp

S = bp.scipy.special


# ------------------------------------------------------------------ incomplete gamma and beta
def lower_gamma(a, x):
    """The regularised lower incomplete gamma function by its series, whose terms are positive."""
    term = total = 1 / a
    n = a
    while term > total * mp.eps:
        n += 1
        term *= x / n
        total += term
    return total * mp.exp(a * mp.log(x) - x - mp.loggamma(a))


def upper_gamma(a, x):
    """1 - that, by the continued fraction (modified Lentz) where x > a + 1."""
    b = x + 1 - a
    c, d = 1 / mp.eps**2, 1 / b
    out, i = d, 0
    while True:
        i += 1
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        out *= c * d
        if abs(c * d - 1) < mp.eps:
            return out * mp.exp(a * mp.log(x) - x - mp.loggamma(a))


def gammainc(a, x):
    return lower_gamma(a, x) if x < a + 1 else 1 - upper_gamma(a, x)


def gammaincc(a, x):
    return 1 - lower_gamma(a, x) if x < a + 1 else upper_gamma(a, x)


def gamma_tail(a, x):
    return lower_gamma(a, x) if x < a + 1 else -upper_gamma(a, x)


def lower_beta(a, b, x, y):
    """I_x(a, b) with y = 1 - x by the series of 2F1(a + b, 1; a + 1; x), whose terms are positive."""
    term = total = mpf(1)
    n = mpf(0)
    while term > total * mp.eps:
        term *= (a + b + n) / (a + 1 + n) * x
        total += term
        n += 1
    return total * mp.exp(
        a * mp.log(x) + b * mp.log(y) + mp.loggamma(a + b) - mp.loggamma(a + 1) - mp.loggamma(b)
    )


def on_left(a, b, x):
    return x * (a + b + 2) < a + 1


def betainc(a, b, x):
    return lower_beta(a, b, x, 1 - x) if on_left(a, b, x) else 1 - lower_beta(b, a, 1 - x, x)


def betaincc(a, b, x):
    return 1 - lower_beta(a, b, x, 1 - x) if on_left(a, b, x) else lower_beta(b, a, 1 - x, x)


def beta_tail(a, b, x):
    return lower_beta(a, b, x, 1 - x) if on_left(a, b, x) else -lower_beta(b, a, 1 - x, x)


def minus(f):
    return lambda *xs: -f(*xs)


def student_middle(df, t):
    """P(0 < T < t) for t > 0, of positive terms."""
    half = mpf(1) / 2
    return lower_beta(half, df / 2, t * t / (df + t * t), df / (df + t * t)) / 2


def student_tail(df, t):
    """P(T > t) for t > 0."""
    if t * t < 400 or df > 1e4:
        return mpf(1) / 2 - student_middle(df, t)
    return lower_beta(df / 2, mpf(1) / 2, df / (df + t * t), t * t / (df + t * t)) / 2


def stdtr(df, t):
    return student_tail(df, -t) if t < 0 else 1 - student_tail(df, t)


def student_slope(df, t):
    """The same up to a constant, without cancellation."""
    return (
        mp.sign(t) * student_middle(df, abs(t))
        if t * t < df * 400
        else -mp.sign(t) * student_tail(df, abs(t))
    )


# ------------------------------------------------------------------ others that mpmath lacks
def erfcx(x):
    with mp.workprec(mp.prec + 40 + 2 * int(max(0, mp.mag(x)))):
        return mp.exp(x * x) * mp.erfc(x)


def dawsn(x):
    with mp.workprec(mp.prec + 40 + 2 * int(max(0, mp.mag(x)))):
        return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def wofz(z):
    with mp.workprec(mp.prec + 40 + 2 * int(max(0, mp.mag(z)))):
        return mp.exp(-z * z) * mp.erfc(-1j * z)


def erf_tail(x):
    return mp.erfc(-x) if x < 0 else -mp.erfc(x)


def ndtr(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def log_ndtr(x):
    return mp.log1p(-ndtr(-x)) if x > 0 else mp.log(ndtr(x))


def owens_t(h, a):
    with mp.extradps(30):  # of which a difference in a tail takes as many
        return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi)


def boxcox(x, y):
    return mp.expm1(y * mp.log(x)) / y if y else mp.log(x)


def inv_boxcox(x, y):
    return mp.exp(mp.log1p(x * y) / y) if y else mp.exp(x)


def exprel(x):
    return mp.expm1(x) / x if x else mpf(1)


def spherical(f, factor=1):
    return lambda n, x: mp.sqrt(mp.pi / (2 * x)) * f(n + mpf(1) / 2, x)


def kelvin_slope(f, quarter, part):
    """The derivative of f(0, x exp(pi i quarter)), of the first or the second kind."""

    def g(x):
        turn = mp.expjpi(mpf(quarter))
        return part(-turn * f(1, x * turn))

    return g


def harmonic(n, m, theta, phi):
    n, m = int(n), int(m)
    return mp.spherharm(n, m, theta, phi)


def am(u, m):
    return mp.quad(lambda t: mp.ellipfun("dn", t, m=m), [0, u])


def degrees(f):
    return lambda x: f(x * mp.pi / 180)


UNIT = lin(0.001, 0.999)
SHAPES = log(1e-2, 1e4)


def near_mean(a, x):
    return (x - a) ** 2 < 600 * (a + 30)  # beyond, the values underflow


_CASES = [
    # ---- error functions, the normal distribution
    Case("erf", mp.erf, (both(1e-6, 25),), tail=erf_tail),
    Case("erfc", mp.erfc, (both(1e-6, 25),), tail=minus(erf_tail)),
    Case("erfcx", erfcx, (lin(-20, 30),)),
    Case("erfcx", erfcx, (log(1e-6, 1e6),), id="erfcx, large"),
    Case("erfi", mp.erfi, (both(1e-6, 25),)),
    Case("dawsn", dawsn, (both(1e-6, 1e6),)),
    Case("dawsn", dawsn, (lin(-16, 16),), id="dawsn, moderate"),
    Case("erfinv", Inverse(mp.erf, sp.erfinv), (lin(-0.9999, 0.9999),)),
    Case("erfcinv", Inverse(mp.erfc, sp.erfcinv), (log(1e-250, 1.9),)),
    Case("ndtr", ndtr, (both(1e-6, 35),), tail=lambda x: erf_tail(x / mp.sqrt(2)) / 2),
    Case("log_ndtr", log_ndtr, (both(1e-6, 1e5),), keep=lambda x: x < 37),
    Case("log_ndtr", log_ndtr, (lin(-30, 30),), id="log_ndtr, moderate"),
    Case("ndtri", Inverse(ndtr, sp.ndtri), (log(1e-250, 0.9999),)),
    Case("ndtri_exp", Inverse(log_ndtr, sp.ndtri_exp), (lambda r, n: -log(1e-5, 1e5)(r, n),)),
    Case("owens_t", owens_t, (both(1e-3, 6), both(1e-3, 3)), digits=40, n=3),
    Case("voigt_profile", lambda x, s, g: mp.re(wofz((x + 1j * g) / s / mp.sqrt(2))) / s / mp.sqrt(2 * mp.pi), (both(1e-3, 1e3), log(0.1, 10), log(0.01, 10))),
    # ---- integrals
    Case("expi", mp.ei, (both(1e-4, 300),)),
    Case("exp1", lambda x: -mp.ei(-x), (log(1e-4, 600),)),
    Case("expn", lambda n, x: mp.expint(n, x), (of(0, 1, 2, 3, 10), log(1e-4, 300)), fixed=1),
    *[Case("sici", f, (log(1e-4, 1e3),), f=lambda x, k=k: S.sici(x)[k], id=f"sici {k}") for k, f in enumerate((mp.si, mp.ci))],
    *[Case("shichi", f, (log(1e-4, 300),), f=lambda x, k=k: S.shichi(x)[k], id=f"shichi {k}") for k, f in enumerate((mp.shi, mp.chi))],
    *[Case("fresnel", f, (log(1e-4, 100),), f=lambda x, k=k: S.fresnel(x)[k], id=f"fresnel {k}") for k, f in enumerate((mp.fresnels, mp.fresnelc))],
    Case("spence", lambda x: mp.re(mp.polylog(2, 1 - x)), (log(1e-6, 1e3),)),
    Case("spence", lambda x: mp.re(mp.polylog(2, 1 - x)), (lin(0.9, 1.1),), id="spence, near 1"),
    # ---- powers, angles
    Case("exp10", lambda x: mpf(10) ** x, (both(1e-4, 300),)),
    Case("exp2", lambda x: mpf(2) ** x, (both(1e-4, 1000),)),
    Case("expm1", mp.expm1, (both(1e-8, 700),), tail=mp.exp),
    Case("log1p", mp.log1p, (both(1e-8, 1e3),), keep=lambda x: x > -0.9999),
    Case("cbrt", lambda x: mp.sign(x) * mp.cbrt(abs(x)), (both(1e-8, 1e8),)),
    Case("sinc", lambda x: mp.sincpi(x), (both(1e-8, 1e2),)),
    Case("cosm1", lambda x: mp.cos(x) - 1, (both(1e-6, 30),)),
    Case("sindg", degrees(mp.sin), (lin(-360, 360),)),
    Case("cosdg", degrees(mp.cos), (lin(-360, 360),)),
    Case("tandg", degrees(mp.tan), (lin(-360, 360),)),
    Case("cotdg", degrees(mp.cot), (lin(-360, 360),)),
    Case("radian", lambda d, m, s: (d + m / 60 + s / 3600) * mp.pi / 180, (lin(0, 360), lin(0, 60), lin(0, 60))),
    # ---- gamma, beta
    Case("gamma", mp.gamma, (both(1e-4, 170),)),
    Case("gamma", mp.gamma, (lin(-6, 6),), id="gamma, moderate"),
    Case("gammaln", lambda x: mp.log(abs(mp.gamma(x))), (log(1e-8, 1e8),), tail=mp.loggamma),
    Case("gammaln", lambda x: mp.log(abs(mp.gamma(x))), (lin(-6, 6),), id="gammaln, moderate"),
    Case("loggamma", mp.loggamma, (log(1e-8, 1e8),)),
    Case("rgamma", mp.rgamma, (both(1e-4, 170),)),
    Case("rgamma", mp.rgamma, (lin(-6, 6),), id="rgamma, moderate"),
    Case("psi", mp.digamma, (log(1e-8, 1e8),)),
    Case("psi", mp.digamma, (lin(-20, 6),), id="psi, moderate"),
    Case("polygamma", lambda n, x: mp.polygamma(int(n), x), (of(0, 1, 2, 3, 7), log(1e-6, 1e6)), fixed=1),
    Case("polygamma", lambda n, x: mp.polygamma(int(n), x), (of(1, 2, 3, 7), lin(-6, 4)), fixed=1, id="polygamma, left"),
    Case("zeta", lambda s, q: mp.zeta(s, q), (of(1.1, 2, 3.5, 12), log(1e-3, 1e4)), fixed=1),
    Case("beta", mp.beta, (log(1e-3, 100), log(1e-3, 100))),
    Case("betaln", lambda a, b: mp.log(mp.beta(a, b)), (log(1e-3, 1e6), log(1e-3, 1e6))),
    Case("poch", mp.rf, (log(1e-2, 100), both(1e-2, 10))),
    Case("binom", mp.binomial, (log(1e-1, 200), log(1e-2, 50))),
    Case("comb", mp.binomial, (lin(50, 200), lin(0.1, 50))),
    Case("perm", mp.ff, (lin(50, 100), lin(0.1, 50))),
    Case("factorial", mp.factorial, (log(1e-3, 160),)),
    Case("multigammaln", lambda a: 3 * mp.log(mp.pi) / 2 + mp.loggamma(a) + mp.loggamma(a - mpf(1) / 2) + mp.loggamma(a - 1), (log(1.01, 1e5),), f=lambda a: S.multigammaln(a, 3)),
    # ---- incomplete gamma and beta
    Case("gammainc", gammainc, (SHAPES, SHAPES), tail=gamma_tail, keep=near_mean),
    Case("gammaincc", gammaincc, (SHAPES, SHAPES), tail=minus(gamma_tail), keep=near_mean),
    Case("gammaincinv", Inverse(gammainc, sp.gammaincinv), (log(0.1, 1e3), lin(0.01, 0.99))),
    Case("gammainccinv", Inverse(gammaincc, sp.gammainccinv), (log(0.1, 1e3), lin(0.01, 0.99))),
    Case("betainc", betainc, (log(1e-2, 1e3), log(1e-2, 1e3), UNIT), tail=beta_tail),
    Case("betaincc", betaincc, (log(1e-2, 1e3), log(1e-2, 1e3), UNIT), tail=minus(beta_tail)),
    Case("betaincinv", Inverse(betainc, sp.betaincinv), (log(0.1, 100), log(0.1, 100), lin(0.01, 0.99))),
    Case("betainccinv", Inverse(betaincc, sp.betainccinv), (log(0.1, 100), log(0.1, 100), lin(0.01, 0.99))),
    # ---- distribution functions
    Case("stdtr", stdtr, (log(0.1, 1e8), both(1e-3, 10)), tail=student_slope),
    Case("stdtrit", Inverse(stdtr, sp.stdtrit), (log(0.5, 1e6), lin(0.01, 0.99))),
    Case("chdtr", lambda v, x: gammainc(v / 2, x / 2), (SHAPES, SHAPES), tail=lambda v, x: gamma_tail(v / 2, x / 2), keep=near_mean),
    Case("chdtrc", lambda v, x: gammaincc(v / 2, x / 2), (SHAPES, SHAPES), tail=lambda v, x: -gamma_tail(v / 2, x / 2), keep=near_mean),
    Case("chdtri", Inverse(lambda v, x: gammaincc(v / 2, x / 2), sp.chdtri), (log(0.1, 1e3), lin(0.01, 0.99))),
    Case("gdtr", lambda a, b, x: gammainc(b, a * x), (log(0.1, 10), log(0.1, 100), log(0.1, 100)), tail=lambda a, b, x: gamma_tail(b, a * x), keep=lambda a, b, x: near_mean(b, a * x)),
    Case("gdtrc", lambda a, b, x: gammaincc(b, a * x), (log(0.1, 10), log(0.1, 100), log(0.1, 100)), tail=lambda a, b, x: -gamma_tail(b, a * x), keep=lambda a, b, x: near_mean(b, a * x)),
    Case("fdtr", lambda n, d, x: betainc(n / 2, d / 2, n * x / (d + n * x)), (log(0.1, 1e3), log(0.1, 1e3), log(0.1, 10)), tail=lambda n, d, x: beta_tail(n / 2, d / 2, n * x / (d + n * x))),
    Case("fdtrc", lambda n, d, x: betaincc(n / 2, d / 2, n * x / (d + n * x)), (log(0.1, 1e3), log(0.1, 1e3), log(0.1, 10)), tail=lambda n, d, x: -beta_tail(n / 2, d / 2, n * x / (d + n * x))),
    Case("fdtri", Inverse(lambda n, d, x: betainc(n / 2, d / 2, n * x / (d + n * x)), sp.fdtri), (log(0.3, 1e3), log(0.3, 1e3), lin(0.01, 0.99))),
    Case("pdtr", lambda k, m: gammaincc(k + 1, m), (of(0, 1, 5, 40, 300), log(0.1, 500)), fixed=1, tail=lambda k, m: -gamma_tail(k + 1, m)),
    Case("pdtrc", lambda k, m: gammainc(k + 1, m), (of(0, 1, 5, 40, 300), log(0.1, 500)), fixed=1, tail=lambda k, m: gamma_tail(k + 1, m)),
    Case("bdtr", lambda k, n, p: betaincc(k + 1, n - k, p), (of(0, 1, 5, 40), of(41, 60, 500), UNIT), fixed=2, tail=lambda k, n, p: -beta_tail(k + 1, n - k, p)),
    Case("nbdtr", lambda k, n, p: betainc(n, k + 1, p), (of(0, 1, 5, 40), of(1, 7, 60, 500), UNIT), fixed=2, tail=lambda k, n, p: beta_tail(n, k + 1, p)),
    # ---- Bessel
    *[Case(n, lambda x, f=f, v=v: f(v, x), (log(1e-4, 1e3),)) for n, f, v in (("j0", mp.besselj, 0), ("j1", mp.besselj, 1), ("y0", mp.bessely, 0), ("y1", mp.bessely, 1))],
    *[Case(n, lambda x, f=f, v=v: f(v, x), (log(1e-4, 600),)) for n, f, v in (("i0", mp.besseli, 0), ("i1", mp.besseli, 1), ("k0", mp.besselk, 0), ("k1", mp.besselk, 1))],
    *[Case(n, lambda x, f=f, v=v: f(v, x) * mp.exp(-x), (log(1e-4, 1e4),)) for n, f, v in (("i0e", mp.besseli, 0), ("i1e", mp.besseli, 1))],
    *[Case(n, lambda x, f=f, v=v: f(v, x) * mp.exp(x), (log(1e-4, 1e4),)) for n, f, v in (("k0e", mp.besselk, 0), ("k1e", mp.besselk, 1))],
    *[Case(n, f, (of(0, 0.5, 1.3, 2, 7, 20.5), log(1e-2, 500)), fixed=1) for n, f in (("jv", mp.besselj), ("yv", mp.bessely), ("iv", mp.besseli), ("kv", mp.besselk))],
    *[Case(n, f, (of(0, 1, 2, 7), log(1e-2, 500)), fixed=1) for n, f in (("yn", mp.bessely), ("kn", mp.besselk))],
    *[Case(n, lambda v, x, f=f, s=s: f(v, x) * mp.exp(s * x), (of(0, 0.5, 1.3, 2, 7), log(1e-2, 1e4)), fixed=1) for n, f, s in (("ive", mp.besseli, -1), ("kve", mp.besselk, 1), ("jve", mp.besselj, 0), ("yve", mp.bessely, 0))],
    *[Case(n, f, (of(0, 0.5, 1.3, 2, 7), plane(1e-2, 50)), fixed=1, id=f"{n} complex") for n, f in (("jv", mp.besselj), ("yv", mp.bessely), ("iv", mp.besseli), ("kv", mp.besselk), ("hankel1", mp.hankel1), ("hankel2", mp.hankel2))],
    Case("kve", lambda v, z: mp.besselk(v, z) * mp.exp(z), (of(0, 0.5, 1.3, 2, 7), plane(1e-2, 50)), fixed=1, id="kve complex"),
    *[Case(n, lambda v, z, f=f, s=s: f(v, z) * mp.exp(s * z), (of(0, 0.5, 1.3, 2, 7), plane(1e-2, 50)), fixed=1, id=f"{n} complex") for n, f, s in (("hankel1e", mp.hankel1, -1j), ("hankel2e", mp.hankel2, 1j))],
    *[Case(n, lambda v, x, f=f: f(v, x, 2), (of(0, 0.5, 1.3, 2, 7), log(1e-1, 100)), fixed=1, f=lambda v, x, n=n: getattr(S, n)(v, x, 2)) for n, f in (("jvp", mp.besselj), ("yvp", mp.bessely), ("ivp", mp.besseli), ("kvp", lambda v, x, n: (mp.besselk(v - 2, x) + 2 * mp.besselk(v, x) + mp.besselk(v + 2, x)) / 4))],
    *[Case(n, lambda v, x, f=f: (f(v - 2, x) - 2 * f(v, x) + f(v + 2, x)) / 4, (of(0, 0.5, 1.3, 2, 7), right(1e-1, 50)), fixed=1, f=lambda v, x, n=n: getattr(S, n)(v, x, 2)) for n, f in (("h1vp", mp.hankel1), ("h2vp", mp.hankel2))],
    *[Case(n, spherical(f), (of(0, 1, 2, 5), log(1e-2, 100)), fixed=1) for n, f in (("spherical_jn", mp.besselj), ("spherical_yn", mp.bessely), ("spherical_in", mp.besseli))],
    Case("spherical_kn", spherical(mp.besselk), (of(0, 1, 2, 5), log(1e-2, 100)), fixed=1),
    *[Case("airy", f, (both(1e-3, 30),), f=lambda x, k=k: S.airy(x)[k], id=f"airy {k}") for k, f in enumerate((mp.airyai, lambda x: mp.airyai(x, derivative=1), mp.airybi, lambda x: mp.airybi(x, derivative=1)))],
    Case("struve", mp.struveh, (of(-0.5, 0, 0.5, 1, 3), log(1e-2, 100)), fixed=1),
    Case("modstruve", mp.struvel, (of(-0.5, 0, 0.5, 1, 3), log(1e-2, 100)), fixed=1),
    *[Case(n, lambda x, n=n: getattr(mp, n)(0, x), (log(1e-2, 60),)) for n in ("ber", "bei", "ker", "kei")],
    *[Case(f"{n}p", kelvin_slope(f, c, p), (log(1e-2, 60),)) for n, f, c, p in (("ber", mp.besselj, 0.75, mp.re), ("bei", mp.besselj, 0.75, mp.im), ("ker", mp.besselk, 0.25, mp.re), ("kei", mp.besselk, 0.25, mp.im))],
    # ---- elementary
    Case("xlogy", lambda x, y: x * mp.log(y), (both(1e-4, 1e4), log(1e-8, 1e8))),
    Case("xlog1py", lambda x, y: x * mp.log1p(y), (both(1e-4, 1e4), both(1e-8, 1e4)), keep=lambda x, y: y > -0.999),
    Case("entr", lambda x: -x * mp.log(x), (log(1e-8, 1e4),)),
    Case("rel_entr", lambda x, y: x * mp.log(x / y), (log(1e-4, 1e4), log(1e-4, 1e4))),
    Case("kl_div", lambda x, y: x * mp.log(x / y) - x + y, (log(1e-4, 1e4), log(1e-4, 1e4))),
    Case("kl_div", lambda x, y: x * mp.log(x / y) - x + y, (lin(0.99, 1.01), lin(0.99, 1.01)), id="kl_div, near"),
    Case("expit", lambda x: 1 / (1 + mp.exp(-x)), (both(1e-4, 600),), tail=lambda x: 1 / (1 + mp.exp(-x)) if x < 0 else -1 / (1 + mp.exp(x))),
    Case("logit", lambda x: mp.log(x / (1 - x)), (UNIT,)),
    Case("logit", lambda x: mp.log(x / (1 - x)), (log(1e-12, 0.5),), id="logit, small"),
    Case("log_expit", lambda x: -mp.log1p(mp.exp(-x)), (both(1e-4, 600),)),
    Case("softplus", lambda x: mp.log1p(mp.exp(x)), (both(1e-4, 600),)),
    Case("boxcox", boxcox, (log(1e-2, 1e2), both(1e-6, 10))),
    Case("boxcox1p", lambda x, y: boxcox(1 + x, y), (both(1e-6, 1e2), both(1e-6, 10)), keep=lambda x, y: x > -0.99),
    Case("inv_boxcox", inv_boxcox, (both(1e-4, 3), both(1e-6, 10)), keep=lambda x, y: x * y > -0.9),
    Case("inv_boxcox1p", lambda x, y: mp.expm1(mp.log1p(x * y) / y), (both(1e-4, 3), both(1e-6, 10)), keep=lambda x, y: x * y > -0.9),
    Case("powm1", lambda x, y: mp.expm1(y * mp.log(x)), (log(1e-3, 1e3), both(1e-6, 10))),
    Case("exprel", exprel, (both(1e-6, 600),)),
    Case("huber", lambda d, r: r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2), (log(1e-2, 10), both(1e-2, 10))),
    Case("pseudo_huber", lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1), (log(1e-2, 10), both(1e-2, 10))),
    # ---- elliptic
    Case("ellipk", mp.ellipk, (both(1e-3, 1e4),), keep=lambda m: m < 1),
    Case("ellipk", mp.ellipk, (lin(0.5, 0.99999),), id="ellipk, near 1"),
    Case("ellipkm1", lambda p: mp.ellipk(1 - p), (log(1e-12, 10),)),
    Case("ellipe", mp.ellipe, (both(1e-3, 1e4),), keep=lambda m: m < 1),
    Case("ellipkinc", mp.ellipf, (lin(-6, 6), both(1e-3, 100)), keep=lambda p, m: m < 0.999),
    Case("ellipeinc", mp.ellipe, (lin(-6, 6), both(1e-3, 100)), keep=lambda p, m: m < 0.999),
    Case("elliprf", mp.elliprf, (log(1e-3, 1e3),) * 3),
    Case("elliprd", mp.elliprd, (log(1e-3, 1e3),) * 3),
    Case("elliprg", mp.elliprg, (log(1e-3, 1e3),) * 3),
    Case("elliprj", mp.elliprj, (log(1e-2, 1e2),) * 4),
    Case("elliprc", mp.elliprc, (log(1e-3, 1e3),) * 2),
    *[Case("ellipj", lambda m, u, n=n: mp.ellipfun(n, u, m=m), (UNIT, lin(-5, 5)), fixed=1, f=lambda m, u, k=k: S.ellipj(u, m)[k], id=f"ellipj {n}") for k, n in enumerate(("sn", "cn", "dn"))],
    Case("ellipj", lambda m, u: am(u, m), (UNIT, lin(-3, 3)), fixed=1, f=lambda m, u: S.ellipj(u, m)[3], id="ellipj am", n=3),
    # ---- hypergeometric
    Case("hyp0f1", mp.hyp0f1, (of(0.3, 1.5, 7), both(1e-2, 300)), fixed=1),
    Case("hyp1f1", mp.hyp1f1, (log(0.1, 20), log(0.1, 20), both(1e-2, 50))),
    Case("hyperu", mp.hyperu, (of(0.3, 1.5, 3), of(0.7, 1.5, 2.2), log(1e-2, 50)), fixed=2),
    Case("hyp2f1", mp.hyp2f1, (of(0.3, 1.5), of(0.7, 2.5), of(0.9, 3.2), lin(-5, 0.95)), fixed=3),
    # ---- polynomials
    *[Case(f"eval_{n}", lambda k, x, f=f: f(int(k), x), (of(0, 1, 2, 5, 20), lin(-1, 1)), fixed=1) for n, f in (("legendre", mp.legendre), ("chebyt", mp.chebyt), ("chebyu", mp.chebyu))],
    Case("eval_sh_legendre", lambda k, x: mp.legendre(int(k), 2 * x - 1), (of(0, 1, 2, 5, 20), lin(0, 1)), fixed=1),
    Case("eval_hermite", lambda k, x: mp.hermite(int(k), x), (of(0, 1, 2, 5, 20), lin(-5, 5)), fixed=1),
    Case("eval_hermitenorm", lambda k, x: mpf(2) ** (-k / 2) * mp.hermite(int(k), x / mp.sqrt(2)), (of(0, 1, 2, 5, 20), lin(-5, 5)), fixed=1),
    Case("eval_laguerre", lambda k, x: mp.laguerre(int(k), 0, x), (of(0, 1, 2, 5, 20), lin(0.01, 30)), fixed=1),
    Case("eval_genlaguerre", lambda k, a, x: mp.laguerre(int(k), a, x), (of(0, 1, 2, 5, 20), of(0.7, 2.0), lin(0.01, 30)), fixed=2),
    Case("eval_gegenbauer", lambda k, a, x: mp.gegenbauer(int(k), a, x), (of(0, 1, 2, 5, 20), of(0.7, 2.0), lin(-1, 1)), fixed=2),
    Case("eval_sh_jacobi", lambda k, p, q, x: mp.jacobi(int(k), p - q, q - 1, 2 * x - 1) / mp.binomial(2 * int(k) + p - 1, int(k)), (of(0, 1, 2, 5, 20), of(2.5, 3.0), of(0.7, 1.5), lin(0, 1)), fixed=3),
    Case("eval_jacobi", lambda k, a, b, x: mp.jacobi(int(k), a, b, x), (of(0, 1, 2, 5, 20), of(0.7, 2.0), of(0.2, 3), lin(-1, 1)), fixed=3),
    *[Case("sph_harm_y", lambda *a, p=p: p(harmonic(*a)), (of(2, 3, 8), of(*orders), lin(0.05, 3.1), lin(-3, 3)), fixed=2, f=lambda *a, q=q: q(S.sph_harm_y(*a)), id=f"sph_harm_y {q.__name__}") for p, q, orders in ((mp.re, bp.real, (-2, 0, 1, 2)), (mp.im, bp.imag, (-2, 1, 2)))],
    Case("lambertw", mp.lambertw, (log(1e-4, 1e8),)),
    Case("lambertw", mp.lambertw, (plane(1e-2, 1e4),), id="lambertw complex"),
    Case("wrightomega", lambda z: mp.lambertw(mp.exp(z)), (both(1e-3, 300),)),
    # ---- complex arguments
    *[Case(n, f, (plane(1e-2, 6),), id=f"{n} complex") for n, f in (("erf", mp.erf), ("erfc", mp.erfc), ("erfcx", erfcx), ("erfi", mp.erfi), ("dawsn", dawsn), ("ndtr", ndtr), ("wofz", wofz))],
    Case("wofz", wofz, (lambda r, n: log(1, 1e4)(r, n) * np.exp(1j * r.uniform(0.05, 3.1, n)),), id="wofz, large"),
    Case("expi", mp.ei, (right(1e-2, 30),), id="expi complex"),
    Case("exp1", mp.e1, (right(1e-2, 30),), id="exp1 complex"),
    *[Case("sici", f, (right(1e-2, 20),), f=lambda x, k=k: S.sici(x)[k], id=f"sici {k} complex") for k, f in enumerate((mp.si, mp.ci))],
    *[Case("fresnel", f, (right(1e-2, 4),), f=lambda x, k=k: S.fresnel(x)[k], id=f"fresnel {k} complex") for k, f in enumerate((mp.fresnels, mp.fresnelc))],
    Case("spence", lambda x: mp.polylog(2, 1 - x), (right(1e-2, 20),), id="spence complex"),
    *[Case(n, f, (plane(1e-1, 20),), id=f"{n} complex") for n, f in (("gamma", mp.gamma), ("loggamma", mp.loggamma), ("rgamma", mp.rgamma), ("psi", mp.digamma))],
    Case("polygamma", lambda n, x: mp.polygamma(int(n), x), (of(1), plane(1e-1, 20)), fixed=1, f=lambda n, x: S.polygamma(1, x), id="polygamma 1 complex"),
    Case("polygamma", lambda n, x: mp.polygamma(int(n), x), (of(3), plane(1e-1, 20)), fixed=1, f=lambda n, x: S.polygamma(3, x), id="polygamma 3 complex"),
]  # fmt: skip
# what takes mpmath longest is compared at fewer points
_SLOW = "kvp kn k0 k1 k0e k1e kv kve kerp keip ker kei h1vp h2vp yn fdtr fdtrc fdtri stdtr stdtrit betainc betaincc betaincinv betainccinv"
_SLOW += " gammaincinv gammainccinv chdtri bdtr nbdtr ellipj voigt_profile hyp2f1 elliprj elliprg yv hankel1 hankel2 hankel1e hankel2e"
CASES = [
    replace(
        c, n=3 if c.name in _SLOW.split() else c.n, digits=80 if str(c).endswith(" complex") else c.digits
    )
    for c in _CASES
]
