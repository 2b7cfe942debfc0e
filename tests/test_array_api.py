"""bp.* as a namespace of the array API standard, version 2024.12: names, questions, dtypes, special cases."""

import inspect

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import ShapeError
from tensorflowlite_bp.testing import check_grads

# The standard's list, by chapter.
NAMES = {
    "constants": "e inf nan newaxis pi",
    "dtypes": "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128",
    "creation": "arange asarray empty empty_like eye full full_like linspace meshgrid ones ones_like tril "
    "triu zeros zeros_like",
    "data types": "astype can_cast finfo iinfo isdtype result_type",
    "elementwise": "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift "
    "bitwise_invert bitwise_or bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal "
    "exp expm1 floor floor_divide greater greater_equal hypot imag isfinite isinf isnan less less_equal log "
    "log1p log2 log10 logaddexp logical_and logical_not logical_or logical_xor maximum minimum multiply "
    "negative nextafter not_equal positive pow real reciprocal remainder round sign signbit sin sinh square "
    "sqrt subtract tan tanh trunc",
    "indexing": "take take_along_axis",
    "inspection": "__array_namespace_info__ __array_api_version__",
    "linear algebra": "matmul matrix_transpose tensordot vecdot",
    "manipulation": "broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat "
    "reshape roll squeeze stack tile unstack",
    "searching": "argmax argmin count_nonzero nonzero searchsorted where",
    "sets": "unique_all unique_counts unique_inverse unique_values",
    "sorting": "argsort sort",
    "statistics": "cumulative_prod cumulative_sum max mean min prod std sum var",
    "utility": "all any diff",
}
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift"
LINALG = (
    "cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank "
    "matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm"
)
METHODS = (
    "abs add and array_namespace bool complex eq float floordiv ge getitem gt iadd iand ifloordiv ilshift "
    "imatmul imod imul index int invert ior ipow irshift isub itruediv ixor le lshift lt matmul mod mul ne "
    "neg or pos pow radd rand rfloordiv rlshift rmatmul rmod rmul ror rpow rrshift rshift rsub rtruediv rxor "
    "setitem sub truediv xor"
)
KEYWORDS = {
    "sum prod": "axis dtype keepdims",
    "max min mean all any argmax argmin count_nonzero": "axis keepdims",
    "std var": "axis correction keepdims",
    "cumulative_sum cumulative_prod": "axis dtype include_initial",
    "sort argsort": "axis descending stable",
    "zeros ones empty full arange linspace eye asarray": "dtype device",
    "zeros_like ones_like empty_like full_like": "dtype device",
    "searchsorted": "side sorter",
    "diff": "axis n prepend append",
    "astype": "copy device",
}


@pytest.mark.parametrize("chapter", NAMES)
def test_names(chapter):
    assert [n for n in NAMES[chapter].split() if not hasattr(bp, n)] == []


def test_extensions_and_methods():
    assert [n for n in FFT.split() if not hasattr(bp.fft, n)] == []
    assert [n for n in LINALG.split() if not hasattr(bp.linalg, n)] == []
    x = bp.asarray([1])
    # x &= y and the like fall back on x & y where there is no method of their own
    missing = [n for n in METHODS.split() if not hasattr(x, f"__{n}__") and not hasattr(x, f"__{n[1:]}__")]
    assert missing == []
    assert (x.mT if x.ndim > 1 else x.T).shape == (1,)
    assert x.to_device("cpu", stream=None) is x


@pytest.mark.parametrize("functions", KEYWORDS)
def test_keywords(functions):
    for name in functions.split():
        assert set(KEYWORDS[functions].split()) <= set(inspect.signature(getattr(bp, name)).parameters), name


def test_namespace_of_a_tensor():
    x = bp.asarray([1.0])
    assert x.__array_namespace__() is bp
    assert x.__array_namespace__(api_version="2024.12") is bp
    assert bp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"2024\.12"):
        x.__array_namespace__(api_version="1999.01")


def test_inspection():
    info = bp.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True,
        "data-dependent shapes": True,
        "max dimensions": 64,
    }
    assert info.default_device() == "cpu"
    assert "cpu" in info.devices()
    assert info.default_dtypes()["real floating"] == bp.asarray(1.0).dtype
    assert info.default_dtypes()["integral"] == bp.asarray(1).dtype
    assert set(info.dtypes()) == set(NAMES["dtypes"].split())
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    with pytest.raises(ValueError, match="kind"):
        info.dtypes(kind="floats")


def test_dtype_functions():
    x = bp.asarray([1.0], dtype=bp.float32)
    assert bp.finfo(bp.complex64).dtype == bp.float32
    assert type(bp.finfo(x).eps) is float
    assert bp.finfo(bp.bfloat16).bits == 16
    assert bp.iinfo(bp.uint8).max == 255
    assert bp.isdtype(bp.float64, "real floating")
    assert bp.isdtype(bp.bfloat16, ("bool", "real floating"))
    assert not bp.isdtype(bp.int8, "unsigned integer")
    assert bp.can_cast(x, bp.float64)
    assert not bp.can_cast(bp.int64, bp.int32)
    assert bp.result_type(x, 1.0) == bp.float32
    assert bp.result_type(bp.int8, bp.uint8) == bp.int16
    assert bp.astype(x, bp.float32, copy=False) is x
    for wrong in (lambda: bp.finfo(bp.int8), lambda: bp.iinfo(bp.float32)):
        with pytest.raises(TypeError, match="dtype was expected"):
            wrong()
    with pytest.raises(ValueError, match="kind"):
        bp.isdtype(bp.int8, "number")


def test_floor_divide_with_one_infinity():
    """The standard's special cases, in the function, the operator and in place; NumPy's are Python's."""
    inf = np.inf
    x = [inf, inf, -inf, -inf, 1.0, -1.0, 0.0, inf, np.nan, 7.0]
    y = [2.0, -2.0, 2.0, -2.0, -inf, inf, -inf, inf, inf, -2.0]
    want = np.array([inf, -inf, -inf, inf, -0.0, -0.0, -0.0, np.nan, np.nan, -4.0])
    with np.errstate(invalid="ignore"):
        made = [bp.floor_divide(x, y), bp.asarray(x) // bp.asarray(y), bp.asarray(x)]
        made[2] //= bp.asarray(y)
    for out in made:
        np.testing.assert_array_equal(out.numpy(), want)
        np.testing.assert_array_equal(np.signbit(out.numpy()[:7]), np.signbit(want[:7]))
    assert bp.asarray([7], dtype=bp.uint8) // 2 == 3


def test_sums_of_integers():
    x = bp.asarray([200, 100], dtype=bp.uint8)
    assert (bp.sum(x).dtype, int(bp.sum(x))) == (bp.uint64, 300)
    assert (bp.sum(x, dtype=bp.uint8).dtype, int(bp.sum(x, dtype=bp.uint8))) == (bp.uint8, 44)
    assert bp.prod(x, dtype=bp.uint8).dtype == bp.uint8
    assert bp.cumulative_prod(x).dtype == bp.uint64
    assert bp.cumulative_sum(x, dtype=bp.int16).dtype == bp.int16


def test_running_sums_and_products():
    x = np.random.default_rng(0).normal(size=(3, 5))
    x[1, 2] = 0
    np.testing.assert_allclose(bp.cumulative_prod(x, axis=1).numpy(), np.cumprod(x, 1), rtol=1e-14)
    out = bp.cumulative_sum(x, axis=0, include_initial=True)
    np.testing.assert_allclose(out.numpy(), np.vstack([np.zeros(5), np.cumsum(x, 0)]), rtol=1e-14)
    check_grads(lambda a: bp.cumulative_prod(a, axis=-1, include_initial=True), [x])
    with pytest.raises(ShapeError, match="axis"):
        bp.cumulative_sum(x)


def test_sets():
    x = np.array([[2.0, np.nan, 1.0], [2.0, np.nan, -0.0]])
    ours, numpys = bp.unique_all(x), np.unique_all(x)
    for a, b in zip(ours, numpys, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    np.testing.assert_array_equal(bp.unique_counts(x).counts.numpy(), numpys.counts)
    np.testing.assert_array_equal(bp.unique_inverse(x).inverse_indices.numpy(), numpys.inverse_indices)
    assert bp.unique_values(np.empty(0)).shape == (0,)


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (complex(np.inf, 0.0), complex(np.inf, 0.0)),
        (complex(-np.inf, np.nan), complex(-1, 0.0)),
        (complex(np.nan, 0.0), complex(np.nan, 0.0)),
        (complex(-0.0, 0.0), complex(0.0, 0.0)),
        (1e-10 + 0j, np.expm1(1e-10 + 0j)),
    ],
)
def test_expm1_of_complex_numbers(z, expected):
    with np.errstate(all="ignore"):
        out = bp.expm1(bp.asarray([z])).numpy()[0]
    np.testing.assert_array_equal([out.real, abs(out.imag)], [expected.real, abs(expected.imag)])
    assert np.signbit(out.real) == np.signbit(expected.real)


def test_python_numbers_are_weak():
    x = bp.asarray([1.0, 2.0], dtype=bp.float32)
    for f in (bp.add, bp.floor_divide, bp.pow, bp.hypot, bp.maximum, bp.copysign, bp.nextafter):
        assert f(x, 2.0).dtype == bp.float32
        assert f(2.0, x).dtype == bp.float32
    assert bp.less(x, 2).dtype == bp.bool


def test_vecdot_keeps_dtype_and_refuses_other_lengths():
    x = bp.asarray([1, 2], dtype=bp.uint8)
    assert bp.vecdot(x, x).dtype == bp.uint8
    with pytest.raises(ValueError, match=r"vecdot|matmul"):
        bp.vecdot(x, bp.asarray([1], dtype=bp.uint8))
