"""Gradients of NumPy's statistics: as JAX's, and as differences have them to order 2, in both modes."""

import warnings

import numpy as np
import pytest

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy
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
        got = np.zeros(t.shape) if t.grad is None else t.grad.numpy()
        np.testing.assert_allclose(got, w, rtol=1e-10, atol=1e-12)
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


WEIGHTS = R.uniform(0.5, 2, 12)
Q = np.array([0.13, 0.55, 0.81])
COMPLEX_D = D + 1j * POSITIVE
SEVERAL = {
    "np.average(a, 1, b)": [D, POSITIVE],
    "np.average(a, 0, b[:, 0], keepdims=True)": [D, POSITIVE],
    "np.cov(a)": [D],
    "np.cov(a)  # complex": [COMPLEX_D],
    "np.cov(a, rowvar=False, bias=True)": [D],
    "np.cov(a, b, ddof=0)": [D, POSITIVE],
    "np.cov(a, aweights=b, fweights=np.array([1, 2, 1, 3]))": [D, WEIGHTS[:4]],
    "np.cov(a, aweights=b)": [COMPLEX_D, WEIGHTS[:4]],
    "np.corrcoef(a)": [D],
    "np.corrcoef(a, b)  # complex": [COMPLEX_D, POSITIVE + 1j],
    "np.histogram(a, 4, weights=b)[0]": [D, POSITIVE],
    "np.histogram(a, 4, weights=b, density=True)[0]": [D, POSITIVE],
    "np.histogram(a, 3, density=True)[0]": [D],
    "np.histogram(a, b, density=True)[0]": [D, np.array([-0.8, 0.2, 1.3])],
    "np.histogram_bin_edges(a, 4)": [D],
    "np.histogram2d(a, b, 3, weights=c)[0]": [D.ravel(), WEIGHTS, POSITIVE.ravel()],
    "np.histogram2d(a, b, np.array([-1.0, 0.5, 2]), density=True, weights=c)[0]": [D[0], D[1], D[2] + 3],
    "np.histogramdd(a, 2, weights=b, density=True)[0]": [D, WEIGHTS[:3]],
    "np.bincount(np.array([1, 0, 3, 1]), a, 6)": [WEIGHTS[:4]],
    "np.quantile(a, b)": [D, Q],
    "np.percentile(a, b, 1)": [D, 100 * Q],
}


@pytest.mark.parametrize(("call", "arrays"), SEVERAL.items(), ids=SEVERAL)
def test_gradients_of_several_arguments(call, arrays):
    against_jax(call, *arrays)


@pytest.mark.parametrize("call", [*GRADIENTS, "np.cov(a)", "np.corrcoef(a)", "np.nanmedian(a, 0)"])
def test_dtypes_and_strides(call):
    f = eval(f"lambda a: {call}")
    want = gradient(f, D)
    np.testing.assert_allclose(gradient(f, np.repeat(D.T, 2, 0)[::2].T), want, rtol=1e-12, atol=1e-13)
    for dtype, rtol in (("float32", 2e-5), ("float16", 2e-2)):
        got = gradient(f, D.astype(dtype))
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * (1 + abs(want).max()))


DIFFERENCES = {
    "np.sum(a, 0, initial=b) + np.prod(a, 0, initial=b)": [D, np.array(0.7)],
    "np.max(a, 1, initial=b) * np.min(a, 1, initial=b)": [D, np.array(-0.2)],
    "np.var(a, 1, mean=b) + np.std(a, 1, mean=b)": [D, POSITIVE[:, :1]],
    "np.var(a, 1, mean=b, where=MASK, ddof=-1)": [D, POSITIVE[:, :1]],
    "np.nanquantile(a, b, 1)": [D, Q],
    **{f"np.quantile(a, b, method='{m}')": [D, Q] for m in ("hazen", "weibull", "median_unbiased")},
    **{
        f"np.quantile(a, b, 1, method='{m}')": [D, Q]
        for m in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf")
    },
    "np.quantile(a, 0.4, 0, method='inverted_cdf', weights=b)": [D, POSITIVE],
    "np.histogram(a, 3, (b[0], b[1]), True)[1] + np.histogram_bin_edges(a, [b[0], b[2], b[1], 9.0])": [
        D,
        np.array([-2.0, 3.0, 1.0]),
    ],
    "np.histogram(a, 3, (b[0], b[1]), weights=a, density=True)[0]": [D, np.array([-2.0, 3.0])],
    "np.unique(a)": [D],
    "np.unique(a, axis=1)": [D],
    "np.union1d(a, b)": [D, POSITIVE],
    "np.setdiff1d(a, b)": [D, POSITIVE],
    "np.setxor1d(a, b)": [D, POSITIVE],
    "np.sort(a, axis=0)": [COMPLEX_D],
    "np.sort_complex(a)": [D],
    "np.median(a)": [COMPLEX_D],
    "np.max(a, 1) + np.nanmin(a, 1)": [COMPLEX_D],
    "np.nanvar(a, 0) + np.nanmean(a, 0)": [COMPLEX_D],
}


@pytest.mark.parametrize(("call", "arrays"), DIFFERENCES.items(), ids=DIFFERENCES)
def test_against_differences(call, arrays):
    check_grads(eval(f"lambda a, b=None: {call}\n"), arrays, order=2)


def gradient(f, x):
    t = bp.tensor(x, requires_grad=True)
    f(t).sum().backward()
    return t.grad.numpy()


def test_equal_elements():
    x = np.array([[2.0, 3.0, 3.0], [1.0, 1.0, 1.0]])
    third = 1 / 3
    np.testing.assert_allclose(gradient(lambda a: np.max(a, 1), x), [[0, 0.5, 0.5], [third, third, third]])
    np.testing.assert_allclose(gradient(lambda a: np.nanmin(a, 1), x), [[1, 0, 0], [third, third, third]])
    np.testing.assert_allclose(gradient(lambda a: np.max(a, initial=3.0), x)[0], [0, 0.25, 0.25])
    np.testing.assert_allclose(gradient(np.unique, x), [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(gradient(lambda a: np.intersect1d(a, x), x), [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(gradient(lambda a: np.median(a, 1), x).sum(1), [1, 1])
    np.testing.assert_allclose(gradient(lambda a: np.nanmedian(a, 1), x), [[0, 1, 0], [0, 1, 0]])


def test_nested_lists_of_tensors():
    x, y = (bp.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    out = bp.numpy.sum([[x, y], [x * y, 1.0]]) + bp.numpy.max([x, y]) + bp.numpy.mean((x, y))
    out = out + np.average(x, weights=y) + bp.numpy.std([x, y], ddof=1)
    out.backward()
    np.testing.assert_allclose((x.grad.item(), y.grad.item()), (5.5 - 0.5**0.5, 4.5 + 0.5**0.5), rtol=1e-13)


def test_tensors_wherever_they_stand():
    x = bp.tensor(2.0, requires_grad=True)
    out = bp.numpy.sum(D, initial=x) + bp.numpy.max([1.0, 1.5], initial=x) + bp.numpy.var([1.0], mean=x)
    out = out + bp.numpy.quantile(np.array([1.0, 4.0]), x / 4) + bp.numpy.histogram(D, 2, (0, x))[1][1]
    out = out + bp.numpy.bincount([0], [x])[0] + bp.numpy.diff([1.0, x])[0]
    out.backward()
    assert x.grad.item() == 1 + 1 + 2 + 3 / 4 + 1 / 2 + 1 + 1


def test_one_element_does_not_deviate():
    for f in (np.std, np.nanstd, np.var, lambda a: np.std(a, where=a > 3), bp.std):
        assert gradient(f, np.array([4.0])) == 0
    values = np.array([[1.0, np.nan], [1.0, 3.0]])
    np.testing.assert_allclose(gradient(lambda a: np.nanstd(a, 1), values), [[0, 0], [-0.5, 0.5]])


def test_gradients_of_large_arrays_go_to_the_same_places():
    x, g = R.normal(size=(70, 90)), R.normal(size=(70, 90))
    for axis in (0, 1):
        t = bp.tensor(x, requires_grad=True)
        order = np.argsort(x, axis)
        np.take_along_axis(t, order - x.shape[axis], axis).backward(g)
        want = np.zeros_like(x)
        np.put_along_axis(want, order, g, axis)
        np.testing.assert_array_equal(t.grad.numpy(), want)


def test_products_with_zeros():
    x = np.array([[2.0, 0.0, 3.0, 0.0], [0.0, 5.0, 1.0, 2.0]])
    for f in (lambda a: np.cumprod(a, 1), lambda a: np.prod(a, 1), np.cumprod, lambda a: np.nanprod(a, 0)):
        check_grads(f, [x], order=2)
    check_grads(lambda a: np.cumprod(a, 1), [x], order=3)


@pytest.mark.parametrize("f", [np.prod, lambda a: np.cumprod(a)[1]])
@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_products_that_leave_the_range_of_floats(f, size):
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(gradient(f, np.array([size, size])), [size, size])


def test_what_is_constant_and_what_is_missing():
    x = bp.tensor(D, requires_grad=True)
    for f in (
        np.argmax,
        np.argsort,
        np.nanargmin,
        np.count_nonzero,
        np.flatnonzero,
        lambda a: np.histogram(a)[0],
    ):
        assert not f(x).requires_grad
    assert not np.sum(x, dtype=int).requires_grad
    with bp.no_grad():
        assert not np.cumprod(x).requires_grad
    y = bp.tensor(DN, requires_grad=True)
    assert np.isnan(np.median(y, 1).numpy()).all()
    with pytest.warns(RuntimeWarning, match="empty"):
        np.mean(x[:, :0], 1).sum().backward()
    assert x.grad.shape == D.shape


def test_bfloat16_gradients_are_bfloat16():
    import ml_dtypes

    for f in (np.sum, np.mean, np.var, np.median, np.cumprod, lambda a: np.std(a, where=MASK)):
        assert gradient(f, D.astype(ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16


def test_the_input_is_not_overwritten():
    for make in (bp.asarray, lambda a: bp.tensor(a, requires_grad=True)):
        x = make(D[0].copy())
        np.median(x, None, None, True)
        np.quantile(x, 0.3, overwrite_input=True)
        np.testing.assert_array_equal(x.numpy(), D[0])


def test_out():
    x = bp.tensor(D, requires_grad=True)
    out = bp.asarray(np.empty(3))
    for f in (np.sum, np.max, np.median, np.nanmean, np.std):
        assert f(x, axis=1, out=out) is out
        assert out.requires_grad
        np.testing.assert_allclose(out.numpy(), f(D, axis=1), rtol=1e-14)
        assert f(x.detach(), 1, **{"out": out}) is out
    assert np.cumsum(x, 1, None, bp.asarray(np.empty((3, 4)))).requires_grad
    assert np.sum(x, 1, None, out) is out
    plain = np.empty(4)
    assert np.sum(x.detach(), 0, out=plain) is plain
    with pytest.raises(TypeError, match="lost"):
        np.sum(x, 0, out=plain)
    with pytest.raises(ValueError, match="shape"):
        np.sum(x, out=bp.asarray(np.empty(3)))


SKIPPED = (
    "np.histogram(a, b",
    "np.histogram(a, 3, (b",
    "np.setdiff1d",
    "np.setxor1d",
)  # no samples, no one size
MAPPED = {
    **{c: [D] for c in GRADIENTS[::2]},
    **{c: [DN] for c in NAN_GRADIENTS[::2]},
    **{c: arrays for c, arrays in {**SEVERAL, **DIFFERENCES}.items() if not c.startswith(SKIPPED)},
}


@pytest.mark.parametrize(("call", "arrays"), MAPPED.items(), ids=MAPPED)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_vmap(call, arrays):
    f = eval(f"lambda a, b=None, c=None: {call}\n")
    argnums = tuple(range(len(arrays)))
    pull = bp.grad(lambda *xs: (abs(f(*xs)) ** 2).sum(), argnums=argnums)
    samples = [np.stack([x, x[..., ::-1] if x.ndim else x * 1.3]) for x in arrays]
    each = [[s[k] for s in samples] for k in range(2)]
    np.testing.assert_allclose(bp.vmap(f)(*samples), [f(*xs) for xs in each], rtol=1e-10, atol=1e-12)
    for got, *want in zip(bp.vmap(pull)(*samples), *[pull(*xs) for xs in each], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-13)


def test_vmap_of_sets_says_why_not():
    with pytest.raises(TypeError, match="vmap"):
        bp.vmap(lambda a: np.setdiff1d(a, [1.0]))(D)
