"""NumPy's reductions over whatever shapes, axes, masks and starts hypothesis thinks of."""

import numpy as np
from as_numpy import same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tensorflowlite_bp as bp

NUMBERS = st.floats(-4, 4, width=32)
STARTED = "sum prod max min nansum nanprod nanmax nanmin".split()
MASKED = [*STARTED, *"mean var std nanmean nanvar nanstd".split()]
ALL = [*MASKED, *"median nanmedian ptp cumsum cumprod sort".split()]


@st.composite
def calls(draw, names, elements):
    """(name, array, keywords) of a call that NumPy may well refuse."""
    name = draw(st.sampled_from(names))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    x = draw(hnp.arrays(draw(st.sampled_from(["f8", "f4"])), shape, elements=elements))
    axes = st.integers(-len(shape), max(len(shape) - 1, 0))
    options = {"axis": draw(st.one_of(st.none(), axes))}
    if name in ("cumsum", "cumprod", "sort"):
        return name, x, options
    options["axis"] = draw(st.one_of(st.just(options["axis"]), st.lists(axes, max_size=3).map(tuple)))
    options["keepdims"] = draw(st.booleans())
    if name in STARTED and draw(st.booleans()):
        options["initial"] = draw(NUMBERS)
    if name in MASKED and draw(st.booleans()):
        options["where"] = draw(hnp.arrays(bool, draw(st.sampled_from([shape, shape[-1:], ()]))))
    if name.endswith(("var", "std")):
        options["ddof"] = draw(st.integers(0, 2))
    return name, x, options


@settings(max_examples=300)
@given(calls(ALL, st.one_of(NUMBERS, st.just(np.nan))))
def test_values_shapes_errors_and_warnings(call):
    name, x, options = call
    if name.endswith("median") and isinstance(options["axis"], tuple) and not x.size:
        return  # NumPy's reshape does not know what to do
    same(lambda a: getattr(np, name)(a, **options), x, rtol=1e-5 if x.dtype == "f4" else 1e-11)


@settings(max_examples=150)
@given(calls(ALL, NUMBERS), st.integers(0, 99))
def test_forward_and_reverse_mode_agree(call, seed):
    """<g, J t> = <J^T g, t>, and the gradient is of x's shape and dtype."""
    name, x, options = call
    x = (x + np.random.default_rng(seed).normal(size=x.shape)).astype("f8")
    f = lambda a: getattr(np, name)(a, **options)
    try:
        with np.errstate(all="ignore"):
            want = f(x)
    except (ValueError, TypeError, RuntimeWarning):
        return
    if not np.isfinite(want).all() or (name.endswith("std") and np.min(want, initial=1) < 1e-3):
        return
    r = np.random.default_rng(seed + 1)
    t, g = r.normal(size=x.shape), r.normal(size=np.shape(want))
    out, moved = bp.jvp(f, (x,), (t,))
    _, pull = bp.vjp(f, x)
    (back,) = pull(g)
    assert back.shape == x.shape
    scale = np.abs(back).sum() * np.abs(t).max(initial=0) + 1
    np.testing.assert_allclose(out, want, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose((g * moved).sum() / scale, (back * t).sum() / scale, atol=1e-11)
