"""NumPy's reductions, statistics, sorting, selection and sets on Tensors: values, dtypes, shapes, errors and
warnings are NumPy's, for constants and for what records.
"""

import inspect

import numpy as np
import pytest
from as_numpy import same

import tensorflowlite_bp as bp
from tensorflowlite_bp.numpy._table import TABLE

R = np.random.default_rng(5)
X = R.normal(size=(3, 4))
V = R.normal(size=7)
B = R.normal(size=(2, 3, 4))
Z = X + 1j * R.normal(size=(3, 4))
TIES = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, -1.0]])
N = np.where(R.uniform(size=(3, 4)) < 0.3, np.nan, X)
N[1] = np.nan
MASK = R.uniform(size=(3, 4)) < 0.6
MASK[0] = False


# "expression in a, b, ...": its arrays
REDUCTIONS = {}
for (
    _f
) in "sum prod max min amax amin mean var std ptp nansum nanprod nanmax nanmin nanmean nanvar nanstd".split():
    for _axis in (
        "",
        ", axis=0",
        ", axis=-1",
        ", axis=(0, 1)",
        ", axis=(-1, 0), keepdims=True",
        ", axis=()",
        ", axis=2",
        ", axis=(0, 0)",
    ):
        REDUCTIONS[f"np.{_f}(a{_axis})"] = [X]
    for _name, _array in {
        "empty": X[:0],
        "scalar": np.array(2.5),
        "float32": X.astype("f4"),
        "float16": X.astype("f2"),
    }.items():
        REDUCTIONS[f"np.{_f}(a)  # {_name}"] = [_array]
        REDUCTIONS[f"np.{_f}(a, 0)  # {_name}"] = [_array]
    REDUCTIONS[f"np.{_f}(a, axis=0)  # no columns"] = [X[:, :0]]
    REDUCTIONS[f"np.{_f}(a, 1)  # integers"] = [TIES.astype(int)]
    REDUCTIONS[f"np.{_f}(a, 1)  # bools"] = [MASK]
    REDUCTIONS[f"np.{_f}(a, 1)  # NaN"] = [N]
    REDUCTIONS[f"np.{_f}(a)  # NaN"] = [N]
    REDUCTIONS[f"np.{_f}(a, axis=1)  # ties"] = [TIES]
    if _f != "ptp":
        REDUCTIONS[f"np.{_f}(a, 1, where=b)"] = [X, MASK]
        REDUCTIONS[f"np.{_f}(a, where=b[0])"] = [X, MASK]
        REDUCTIONS[f"np.{_f}(a, 0, where=b, keepdims=True)  # NaN"] = [N, MASK]
        REDUCTIONS[f"np.{_f}(a, where=b.astype(int))"] = [X, MASK]
        REDUCTIONS[f"np.{_f}(a, where=np.ones((2, 3, 4), bool))"] = [X]
    if _f[-3:] in ("sum", "rod", "max", "min"):
        REDUCTIONS[f"np.{_f}(a, 1, initial=0.25)"] = [X]
        REDUCTIONS[f"np.{_f}(a, initial=0.25, where=b)"] = [X, MASK]
        REDUCTIONS[f"np.{_f}(a, 1, initial=0.25, where=b, keepdims=True)"] = [N, MASK]
        REDUCTIONS[f"np.{_f}(a, initial=None)"] = [X]
        REDUCTIONS[f"np.{_f}(a, initial=None)  # empty"] = [X[:0]]
        REDUCTIONS[f"np.{_f}(a, axis=0, initial=2.0)  # empty"] = [X[:0]]
        REDUCTIONS[f"np.{_f}(a, initial=1j)"] = [X]
        REDUCTIONS[f"np.{_f}(a, initial=[1.0])"] = [X]
        REDUCTIONS[f"np.{_f}(a, 0, initial=2)  # float32"] = [X.astype("f4")]
    if _f[-3:] not in ("max", "min", "ptp"):
        REDUCTIONS[f"np.{_f}(a, dtype='f4')"] = [X]
        if _f not in ("nanvar", "nanstd"):  # NumPy's warn about a cast of their own
            REDUCTIONS[f"np.{_f}(a, 0, complex)"] = [X]
        REDUCTIONS[f"np.{_f}(a, 0, dtype=int)"] = [X]
    REDUCTIONS[f"np.{_f}(a, 0)  # complex"] = [Z]
    if _f[-3:] in ("var", "std"):
        for _more in (
            "ddof=1",
            "ddof=5",
            "correction=1",
            "correction=1, ddof=1",
            "axis=0, ddof=3",
            "axis=1, mean=np.mean(a, 1, keepdims=True)",
            "axis=0, ddof=1, where=b",
            "where=b, mean=np.float64(0.5)",
        ):
            REDUCTIONS[f"np.{_f}(a, {_more})"] = [X, MASK]


@pytest.mark.parametrize(("call", "arrays"), REDUCTIONS.items(), ids=REDUCTIONS)
def test_reductions(call, arrays):
    same(eval(f"lambda a, b=None: {call}\n"), *arrays)


CUMULATIVE = {
    **{
        f"np.{f}(a{more})  # {name}": [array]
        for f in ("cumsum", "cumprod", "nancumsum", "nancumprod")
        for more in ("", ", 0", ", axis=-1", ", dtype='f4'", ", axis=5", ", 0, int")
        for name, array in {
            "X": X, "ties": TIES, "complex": Z, "NaN": N, "scalar": np.array(2.5), "empty": X[:, :0],
            "float32": X.astype("f4"), "float16": X.astype("f2"), "integers": TIES.astype("i2"),
            "bools": MASK,
        }.items()
    },
    **{
        f"np.{f}(a{more})  # {name}": [array]
        for f in ("cumulative_sum", "cumulative_prod")
        for more in ("", ", axis=0", ", axis=-1, include_initial=True", ", dtype='f4', axis=0", ", axis=3")
        for name, array in {
            "X": X, "1-d": V, "scalar": np.array(2.5), "integers": TIES.astype(int), "empty": V[:0],
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), CUMULATIVE.items(), ids=CUMULATIVE)
def test_running_sums_and_products(call, arrays):
    same(eval(f"lambda a: {call}\n"), *arrays)


METHODS = (
    "inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull linear "
    "median_unbiased normal_unbiased lower higher midpoint nearest"
).split()
NARROW = {"float32": V.astype("f4"), "float16": V.astype("f2"), "integers": TIES.astype(int), "bools": MASK}
AXES = (
    "",
    ", axis=0",
    ", axis=-1",
    ", axis=(0, 2)",
    ", axis=(2, 0), keepdims=True",
    ", keepdims=True",
    ", axis=3",
    ", axis=(0, 0)",
)
INF = np.array([1.0, np.inf, -np.inf, 2.0])
QUANTILES = {}
for _f in ("median", "nanmedian"):
    for _axis in AXES:
        QUANTILES[f"np.{_f}(a{_axis})"] = [B]
    for _name, _array in {
        **NARROW,
        "ties": TIES,
        "complex": Z,
        "NaN": N,
        "inf": INF,
        "scalar": np.array(2.5),
        "empty": V[:0],
        "odd": V,
    }.items():
        QUANTILES[f"np.{_f}(a)  # {_name}"] = [_array]
        QUANTILES[f"np.{_f}(a, -1, None, True)  # {_name}"] = [_array]
    QUANTILES[f"np.{_f}(a, axis=0)  # no rows"] = [X[:0]]
    QUANTILES[f"np.{_f}(a, axis=1)  # no rows"] = [X[:0]]
for _f in ("quantile", "nanquantile"):
    for _axis in AXES:
        QUANTILES[f"np.{_f}(a, 0.3{_axis})"] = [B]
        if _f == "quantile" or "2" not in _axis:  # NumPy's mixes the axes of q up with a's
            QUANTILES[f"np.{_f}(a, [[0.3, 0.9]]{_axis}, method='hazen')"] = [B]
    for _m in METHODS:
        for _q in ("0.3", "[0.0, 0.2, 0.5, 1.0]", "0", "np.array([0, 1])", "np.float32(0.4)"):
            QUANTILES[f"np.{_f}(a, {_q}, 1, method='{_m}')"] = [X]
            QUANTILES[f"np.{_f}(a, {_q}, 1, method='{_m}')  # NaN"] = [N]
            QUANTILES[f"np.{_f}(a, {_q}, method='{_m}')  # float32"] = [V.astype("f4")]
        QUANTILES[f"np.{_f}(a, [0.0, 0.25, 1.0], method='{_m}')  # inf"] = [INF]
        QUANTILES[f"np.{_f}(a, 0.75, 0, method='{_m}')  # integers"] = [TIES.astype(int)]
    for _name, _array in {
        **NARROW,
        "ties": TIES,
        "complex": Z,
        "scalar": np.array(2.5),
        "empty": V[:0],
        "no rows": X[:0],
    }.items():
        for _more in ("0.3", "[0.3, 1.0]", "1.5", "[[[0.3]]]", "0.5, axis=-1", "0.5, method='magic'"):
            if _array.size or not (_more.startswith("[[[") or "magic" in _more):
                QUANTILES[f"np.{_f}(a, {_more})  # {_name}"] = [_array]
    for _more in ("0.3", "[0, 0.2, 0.5, 1]", "np.float32([0.4, 0.6])"):
        QUANTILES[f"np.{_f}(a, {_more}, method='inverted_cdf', weights=abs(b))"] = [TIES, X]
        QUANTILES[f"np.{_f}(a, {_more}, 1, method='inverted_cdf', weights=abs(b))"] = [N, X]
        if _f == "quantile":  # NumPy's nanquantile does not broadcast the weights of an axis
            QUANTILES[f"np.{_f}(a, {_more}, 1, method='inverted_cdf', weights=[1.0, 2.0, 0.5, 0.25])"] = [X]
            QUANTILES[
                f"np.{_f}(a, {_more}, axis=0, method='inverted_cdf', weights=[0, 3, 1], keepdims=True)"
            ] = [N]
    for _weights in ("[1, 2]", "[-1, 2, 3, 4.0]", "[0, 0, 0, 0]", "np.ones((3, 4)) * np.inf"):
        QUANTILES[f"np.{_f}(a, 0.5, 1, method='inverted_cdf', weights={_weights})"] = [X]
    QUANTILES[f"np.{_f}(a, 0.5, method='inverted_cdf', weights=[1, 2, 3, 4])"] = [X]
    QUANTILES[f"np.{_f}(a, 0.5, method='linear', weights=np.ones((3, 4)))"] = [X]
for _f in ("percentile", "nanpercentile"):
    for _more in (
        "30",
        "[0, 20.0, 100]",
        "np.array([25, 75])",
        "130",
        "40, axis=1, keepdims=True",
        "40, 0, method='weibull'",
    ):
        QUANTILES[f"np.{_f}(a, {_more})"] = [X]
        QUANTILES[f"np.{_f}(a, {_more})  # float32"] = [X.astype("f4")]


@pytest.mark.parametrize(("call", "arrays"), QUANTILES.items(), ids=QUANTILES)
def test_medians_and_quantiles(call, arrays):
    same(eval(f"lambda a, b=None: {call}\n"), *arrays)


SORTING = {
    f"np.{call}  # {name}": [array]
    for name, array in {
        "X": X, "ties": TIES, "complex": Z, "NaN": N, "scalar": np.array(2.5), "empty": X[:, :0], "1-d": V,
        "float16": V.astype("f2"), "integers": TIES.astype(int), "bools": MASK,
    }.items()
    for call in (
        "sort(a)", "sort(a, 0)", "sort(a, axis=None)", "sort(a, kind='stable')", "sort(a, kind='heapsort')",
        "sort(a, stable=True)", "sort(a, stable=True, kind='stable')", "sort(a, 4)", "sort(a, order='f')",
        "sort(a, kind='bubble')", "sort_complex(a)", "argsort(a, kind='stable')", "argmax(a)", "argmin(a, 0)",
        "argmax(a, axis=-1, keepdims=True)", "nanargmax(a)", "nonzero(a)", "flatnonzero(a)", "argwhere(a)",
        "count_nonzero(a, axis=0)", "any(a, 0)", "all(a, where=a > 0)", "searchsorted([0.0, 1.0], a)",
        "compress([True, False, True], a)", "compress([True, False, True], a, axis=-1)",
        "compress([1, 0], a, 0)", "compress([[True]], a)", "compress([True] * 9, a, 0)",
        "extract(a > 0, a)", "extract([1, 0, 1], a)",
        "digitize(a, [-1.0, 0.0, 1.0])", "lexsort((a, a))", "partition(a, 9)", "partition(a, 1.5)",
    )
}  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), SORTING.items(), ids=SORTING)
def test_sorting_and_selection(call, arrays):
    same(eval(f"lambda a: {call}\n"), *arrays)


@pytest.mark.parametrize("kth", [0, 2, -1, (1, 3)])
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_partition(kth, axis):
    x = R.normal(size=(5, 6))
    got = np.partition(bp.tensor(x, requires_grad=True), kth, axis).numpy()
    want = np.partition(x, kth, axis)
    line = 0 if axis is None else axis
    for k in np.ravel(kth):
        np.testing.assert_array_equal(np.take(got, k, line), np.take(want, k, line))
        below, above = (np.take(got, range(got.shape[line])[s], line) for s in (slice(k), slice(k, None)))
        assert (below.max(line, initial=-9.0) <= np.take(got, k, line)).all()
        assert (above.min(line) >= np.take(got, k, line)).all()


SMALL = np.array([3.0, 1.0, 2.0, 1.0, 3.0, np.nan, np.nan])
OTHER = np.array([[2.0, 5.0], [1.0, 2.0]])
ROWS = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]])
FLAGS = "return_index=True", "return_inverse=True", "return_counts=True"
SETS = {
    **{
        f"np.unique(a, {', '.join(flags)})  # {name}": [array]
        for name, array in {
            "NaN": SMALL, "2-d": OTHER, "complex": Z, "integers": TIES.astype(int), "bools": MASK,
            "empty": V[:0], "scalar": np.array(1.5), "float32": SMALL.astype("f4"),
        }.items()
        for flags in [(), *[(f,) for f in FLAGS], FLAGS, ("True", "True"), ("equal_nan=False", *FLAGS)]
    },
    **{
        f"np.unique(a, axis={axis}{more})  # {name}": [array]
        for axis in (0, -1, 1, 2)
        for more in ("", ", return_index=True, return_inverse=True, return_counts=True", ", sorted=True")
        for name, array in {"rows": ROWS, "ties": TIES}.items()
    },
    **{
        f"np.{f}(a, b{more})  # {name}": arrays
        for f in ("union1d", "intersect1d", "setdiff1d", "setxor1d", "isin")
        for more in ("", ", assume_unique=True")
        for name, arrays in {
            "2-d": [np.array([7.0, 5.0, 1.0]), OTHER], "empty": [V[:0], V], "both empty": [V[:0], V[:0]],
            "mixed": [np.array([1, 2, 5], "f4"), OTHER], "NaN": [SMALL, SMALL[1:]],
            "integers": [V, np.arange(3)],
        }.items()
        if f != "union1d" or not more
    },
    "np.intersect1d(a, b, return_indices=True)": [SMALL[:5], OTHER],
    "np.intersect1d(a, b, True, True)": [SMALL[:3], OTHER[0]],
    **{f"np.{f}(a)  # {k}": [x] for f in ("unique_all", "unique_counts", "unique_inverse", "unique_values")
       for k, x in {"NaN": SMALL, "2-d": OTHER, "empty": V[:0]}.items()},
}  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), SETS.items(), ids=SETS)
def test_sets(call, arrays):
    same(eval(f"lambda a, b=None: {call}\n"), *arrays)


W = R.uniform(0.5, 2, 7)
POINTS = R.normal(size=(7, 2))
COUNTS = {
    **{
        f"np.{f}(a, {more})": [V]
        for f in ("histogram", "histogram_bin_edges")
        for more in (
            "5", "bins=4, range=(-1, 1)", "'auto'", "'fd'", "[-1.0, 0.0, 2.0]", "np.array([0, 1, 3])", "0",
            "2.5", "[1.0, 0.0]", "3, range=(1, -1)", "[[1.0]]", "'magic'", "5, (0, np.inf)",
        )
    },
    **{
        f"np.histogram(a, {more}, weights=b)": [V, W]
        for more in ("5", "[-1.0, 0.0, 2.0]", "bins=3, range=(-1, 1)", "3, density=True", "'auto'")
    },
    **{f"np.histogram(a, 3, density={d})": [V] for d in (True, False)},
    "np.histogram(a, 3, weights=b)  # float32": [V.astype("f4"), W.astype("f4")],
    "np.histogram(a, 3, weights=b)  # complex": [V, W + 1j],
    "np.histogram(a, 3, weights=b[:2])": [V, W],
    "np.histogram(a, 3)  # 2-d": [X],
    "np.histogram(a, 3)  # empty": [V[:0]],
    "np.histogram(a, 3)  # equal": [np.ones(3)],
    "np.histogram(a, 3)  # integers": [np.arange(5)],
    "np.histogram(a, 3)  # NaN": [SMALL],
    **{
        f"np.histogramdd(a, {more}, weights=b)[{k}]": [POINTS, W]
        for k in (0, "1][0", "1][1")
        for more in (
            "3", "(2, 3)", "[[-1.0, 0.0, 2.0], 3]", "3, ((-1, 1), None)", "3, None, True", "(2,)", "0",
        )
    },
    "np.histogramdd(a, 3)[0]": [POINTS], "np.histogramdd(a, 3)[0]  # 1-d": [V],
    "np.histogramdd((a, b), 3)[0]": [V, W], "np.histogramdd([a, b], 3, density=True)[0]": [V, W],
    **{
        f"np.histogram2d(a, b, {more})": [V, W]
        for more in (
            "3", "[2, 3]", "[-1.0, 0.0, 2.0]", "[[-1.0, 0.0], 3]", "3, [[-1, 1], [0, 2]]", "4, density=True",
            "3, weights=a * a", "3, None, True, b",
        )
    },
    "np.histogram2d(a, b[:2], 3)": [V, W],
    "np.bincount(a)": [np.array([1, 0, 3])],
    **{
        f"np.bincount([1, 0, 3], {more})": [W[:3]]
        for more in ("a", "weights=a, minlength=6", "a[:2]", "a, -1")
    },
    "np.bincount([1, 0, 3], a)  # float32": [W[:3].astype("f4")],
    "np.bincount([1, 0, 3], a)  # complex": [W[:3] + 1j],
    "np.bincount([1, -1], a)": [W[:2]],
    "np.bincount([], a)": [W[:0]],
    "np.bincount(a, a)": [W],
}  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), COUNTS.items(), ids=COUNTS)
def test_histograms(call, arrays):
    same(eval(f"lambda a, b=None: {call}\n"), *arrays)


COVARIANCES = {
    **{
        f"np.cov(a{more})  # {name}": [array]
        for name, array in {
            "X": X, "1-d": V, "complex": Z, "float32": X.astype("f4"), "integers": TIES.astype(int),
        }.items()
        for more in (
            "", ", rowvar=False", ", bias=True", ", ddof=0", ", ddof=2", ", ddof=9", ", ddof=1.5",
            ", None, False, True", ", dtype='f4'", ", a", ", a[:1]", ", a[..., :3]",
        )
    },
    **{
        f"np.cov(a{more})": [X]
        for more in (
            ", fweights=[1, 2, 3, 1]", ", aweights=[1.0, 0.5, 2.0, 1.0]",
            ", aweights=[1.0, 0.5, 2.0, 1.0], ddof=0",
            ", fweights=[1, 2, 3, 1], aweights=[1.0, 0.5, 2.0, 1.0]",
            ", fweights=[1.5, 1, 1, 1]", ", fweights=[1, 2]", ", fweights=[[1, 2, 3, 1]]",
            ", fweights=[-1, 2, 3, 1]", ", aweights=[-1, 2, 3, 1]", ", aweights=[1, 2]",
            ", aweights=[0, 0, 0, 0]", ", fweights=[0, 1, 0, 0]",
        )
    },
    "np.cov(a)  # no rows": [X[:0]], "np.cov(a)  # no samples": [X[:, :0]], "np.cov(a)  # 3-d": [B],
    "np.cov(a)  # scalar": [np.array(2.0)], "np.cov(a, b)  # 3-d": [X, B],
    "np.cov(a, b, aweights=b)": [V, W],
    **{
        f"np.corrcoef(a{more})  # {name}": [array]
        for name, array in {
            "X": X, "1-d": V, "complex": Z, "float32": X.astype("f4"), "one row": X[:1], "no rows": X[:0],
        }.items()
        for more in ("", ", rowvar=False", ", dtype='f4'", ", a + 1", ", a * a, False")
    },
    "np.corrcoef(a)  # constant row": [np.array([[1.0, 1, 1], [1, 2, 3]])],
    **{
        f"np.average(a, {more})": [X]
        for more in (
            "None", "0", "axis=(0, 1)", "returned=True", "1, returned=True, keepdims=True",
            "1, [1, 2, 3, 4]", "weights=np.abs(a)", "1, weights=[1, 2, 3, 4.0], returned=True",
            "(1, 0), np.ones((4, 3))", "0, [1, 2]", "weights=[1, 2]", "1, [1, -1, 1, -1]", "2",
            "0, np.array([1, 2, 3], 'f4'), keepdims=True", "0, [1j, 2, 3]",
        )
    },
    "np.average(a, weights=b)": [TIES.astype(int), X],
    "np.average(a, 1, weights=b)": [X.astype("f4"), np.float32([1, 2, 3, 4])],
    "np.average(a)  # empty": [V[:0]],
}  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), COVARIANCES.items(), ids=COVARIANCES)
def test_covariances_and_averages(call, arrays):
    same(eval(f"lambda a, b=None: {call}\n"), *arrays)


NAMES = (
    "sum prod max amax min amin ptp mean var std average median quantile percentile all any count_nonzero "
    "argmax argmin nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian nanquantile nanpercentile "
    "nanargmax nanargmin nancumsum nancumprod cumsum cumprod cumulative_sum cumulative_prod sort argsort "
    "partition argpartition sort_complex searchsorted nonzero unique union1d intersect1d setdiff1d "
    "setxor1d histogram histogram2d histogramdd histogram_bin_edges bincount cov corrcoef "
).split()


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    """NumPy's parameters, in NumPy's order, of NumPy's kinds."""
    function = getattr(np, name)
    ours, theirs = (inspect.signature(f).parameters for f in (TABLE[function], function))
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()]
