"""Gradients of NumPy's statistics: as JAX's, and as differences have them to order 2, in both modes."""

import warnings

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.testing import check_grads

R = np.random.default_rng(7)
MASK = R.uniform(size=(3, 4)) < 0.6
MASK[0] = False
D = R.permutation(12).reshape(3, 4) * 0.37 - 1.1  # no two close to each other
DN = D.copy()
DN[[0, 1, 2, 2], [1, 2, 0, 3]] = np.nan
POSITIVE = R.uniform(0.5, 2, (3, 4))
GRADIENTS = [
    *[
        f"np.{f}(a, {more})"
        for f in ("sum", "prod", "mean", "var", "std", "max", "min", "ptp")
        for more in ("(0, 1)", "-1, keepdims=True")
    ],
    *[f"np.{f}(a, 1, where=MASK, initial=0.3)" for f in ("sum", "prod", "max", "min")],
    *[f"np.{f}(a, 1, where=D > -0.9)" for f in ("mean", "var", "std")],
    "np.var(a, 0, ddof=1)", "np.std(a, correction=1)", "np.sum(a, initial=2.0)",
    "np.average(a, 0)",
    *[f"np.{f}(a, {more})" for f in ("cumsum", "cumprod") for more in ("None", "0", "-1")],
    "np.cumulative_sum(a, axis=1, include_initial=True)",
    "np.cumulative_prod(a, axis=0, include_initial=True)",
    "np.sort(a)", "np.sort(a, 0)", "np.sort(a, None)", "np.partition(a, 2)[..., 2]",
    *[f"np.median(a{more})" for more in ("", ", 0", ", axis=(0, 1), keepdims=True", ", 1")],
    *[
        f"np.quantile(a, np.array([0.15, 0.8]), 1, method='{m}')"
        for m in ("linear", "lower", "higher", "midpoint", "nearest")
    ],
    "np.percentile(a, 35.0, axis=0)",
    "np.compress(np.array([True, False, True]), a, axis=0)", "np.extract(MASK, a)",
]  # fmt: skip
NAN = "sum prod mean var std max min median".split()
NAN_GRADIENTS = [
    *[f"np.nan{f}(a, 1)" for f in [*NAN, "cumsum", "cumprod"]],
    *[f"np.nan{f}(a)" for f in NAN],
    "np.nanquantile(a, 0.3, 1)", "np.nanpercentile(a, [20.0, 70.0], 0)", "np.nanvar(a, 1, ddof=1)",
]  # fmt: skip


def against_jax(call, *arrays):
    """Value and gradients for a random cotangent, as JAX's; and differences."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f = eval(f"lambda np, a, b=None, c=None: {call}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want, pull = jax.vjp(lambda *xs: f(jax.numpy, *xs), *arrays)
        g = np.random.default_rng(1).normal(size=want.shape)
        wants = pull(jax.numpy.asarray(g, want.dtype))
    tensors = [bp.tensor(x, requires_grad=True) for x in arrays]
    out = f(np, *tensors)
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-12, atol=1e-12)
    out.backward(g.astype(out.dtype))
    for t, w in zip(tensors, wants, strict=True):
        np.testing.assert_allclose(t.grad.numpy(), w, rtol=1e-10, atol=1e-12)
    check_grads(lambda *xs: f(np, *xs), arrays, order=2)


@pytest.mark.parametrize("call", GRADIENTS)
def test_gradients(call):
    against_jax(call, D)


@pytest.mark.parametrize(
    "call", [c for c in GRADIENTS if any(f in c for f in ("sum", "prod", "mean", "var(", "std"))]
)
def test_complex_gradients(call):
    if "initial" not in call or "prod" not in call:
        against_jax(call, D + 1j * POSITIVE)


@pytest.mark.parametrize("call", NAN_GRADIENTS)
def test_gradients_without_nan(call):
    f = eval(f"lambda a: {call}")
    x = bp.tensor(DN, requires_grad=True)
    g = np.random.default_rng(1).normal(size=f(x).shape)
    f(x).backward(g)
    assert not x.grad.numpy()[np.isnan(DN)].any()
    values = DN[~np.isnan(DN)]
    check_grads(lambda v: f(spread(v)), [values], order=2)


def spread(v):
    """The numbers of DN put back into their places."""
    out = bp.asarray(np.where(np.isnan(DN), np.nan, 0.0))
    out[~np.isnan(DN)] = v
    return out
