"""bp.* as a namespace of the array API standard, version 2024.12: names, questions, dtypes, special cases."""

import ast
import inspect
import operator

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import ShapeError
from tensorflowlite_bp.testing import check_grads

INF, NAN = np.inf, np.nan

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
# How the standard writes its functions' parameters.
SIGNATURES = {
    "x, /": (
        "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag "
        "isfinite isinf isnan log log1p log2 log10 logical_not negative positive real reciprocal round sign"
        " signbit sin sinh square sqrt tan tanh trunc linalg.det linalg.eigh linalg.eigvalsh linalg.inv "
        "linalg.matrix_transpose linalg.slogdet linalg.svdvals matrix_transpose nonzero unique_all "
        "unique_counts unique_inverse unique_values"
    ),
    "x1, x2, /": (
        "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign "
        "divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and "
        "logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract "
        "linalg.matmul linalg.outer linalg.solve matmul"
    ),
    "x, /, *, axis=None, keepdims=False": "argmax argmin count_nonzero max mean min all any",
    "x, /, *, n=None, axis=-1, norm='backward'": "fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft",
    "x, /, *, s=None, axes=None, norm='backward'": "fft.fftn fft.ifftn fft.rfftn fft.irfftn",
    "shape, *, dtype=None, device=None": "empty ones zeros",
    "x, /, *, dtype=None, device=None": "empty_like ones_like zeros_like",
    "x1, x2, /, *, axis=-1": "linalg.cross linalg.vecdot vecdot",
    "x, /, *, k=0": "tril triu",
    "type, /": "finfo iinfo",
    "n, /, *, d=1.0, dtype=None, device=None": "fft.fftfreq fft.rfftfreq",
    "x, /, *, axes=None": "fft.fftshift fft.ifftshift",
    "x, /, *, rtol=None": "linalg.matrix_rank linalg.pinv",
    "x1, x2, /, *, axes=2": "linalg.tensordot tensordot",
    "arrays, /, *, axis=0": "concat stack",
    "x, /, axis": "expand_dims squeeze",
    "x, /, *, axis=-1, descending=False, stable=True": "argsort sort",
    "x, /, *, axis=None, dtype=None, include_initial=False": "cumulative_prod cumulative_sum",
    "x, /, *, axis=None, dtype=None, keepdims=False": "prod sum",
    "x, /, *, axis=None, correction=0.0, keepdims=False": "std var",
    "start, /, stop=None, step=1, *, dtype=None, device=None": "arange",
    "obj, /, *, dtype=None, device=None, copy=None": "asarray",
    "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None": "eye",
    "x, /, *, device=None, copy=None": "from_dlpack",
    "shape, fill_value, *, dtype=None, device=None": "full",
    "x, /, fill_value, *, dtype=None, device=None": "full_like",
    "start, stop, /, num, *, dtype=None, device=None, endpoint=True": "linspace",
    "*arrays, indexing='xy'": "meshgrid",
    "x, dtype, /, *, copy=True, device=None": "astype",
    "from_, to, /": "can_cast",
    "dtype, kind": "isdtype",
    "*arrays_and_dtypes": "result_type",
    "x, /, min=None, max=None": "clip",
    "x, indices, /, *, axis=None": "take",
    "x, indices, /, *, axis=-1": "take_along_axis",
    "x, /, *, upper=False": "linalg.cholesky",
    "x, /, *, offset=0": "linalg.diagonal",
    "x, /, *, keepdims=False, ord='fro'": "linalg.matrix_norm",
    "x, n, /": "linalg.matrix_power",
    "x, /, *, mode='reduced'": "linalg.qr",
    "x, /, *, full_matrices=True": "linalg.svd",
    "x, /, *, offset=0, dtype=None": "linalg.trace",
    "x, /, *, axis=None, keepdims=False, ord=2": "linalg.vector_norm",
    "*arrays": "broadcast_arrays",
    "x, /, shape": "broadcast_to",
    "x, /, *, axis=None": "flip",
    "x, source, destination, /": "moveaxis",
    "x, /, axes": "permute_dims",
    "x, repeats, /, *, axis=None": "repeat",
    "x, /, shape, *, copy=None": "reshape",
    "x, /, shift, *, axis=None": "roll",
    "x, repetitions, /": "tile",
    "x, /, *, axis=0": "unstack",
    "x1, x2, /, *, side='left', sorter=None": "searchsorted",
    "condition, x1, x2, /": "where",
    "x, /, *, axis=-1, n=1, prepend=None, append=None": "diff",
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


@pytest.mark.parametrize("parameters", SIGNATURES)
def test_signatures(parameters):
    """Every way to call that the standard allows is one of ours, with the same defaults."""
    want = ast.parse(f"def f({parameters}): ...").body[0].args
    positional = [a.arg for a in want.posonlyargs + want.args]
    defaults = [inspect.Parameter.empty] * (len(positional) - len(want.defaults)) + want.defaults
    named = {
        **dict(zip(positional, defaults, strict=True)),
        **{a.arg: d for a, d in zip(want.kwonlyargs, want.kw_defaults, strict=True)},
    }
    for name in SIGNATURES[parameters].split():
        ours = inspect.signature(operator.attrgetter(name)(bp))
        ours.bind(*positional, *("abc" if want.vararg else ()), **{a.arg: 0 for a in want.kwonlyargs})
        if want.args:
            ours.bind(
                *[a.arg for a in want.posonlyargs], **{a.arg: 0 for a in [*want.args, *want.kwonlyargs]}
            )
        for parameter, default in named.items():
            if default is not inspect.Parameter.empty and parameter in ours.parameters:
                assert ours.parameters[parameter].default == ast.literal_eval(default), (name, parameter)


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


# ------------------------------------------------------------------ special cases
def number(text):
    """A float, "pi/2" and the like among them; "real,imaginary" a complex number."""
    if "," in text:
        return complex(*map(number, text.split(",")))
    if "pi" not in text:
        return float(text)
    factor, divisor = text.split("pi")
    return float({"": 1, "-": -1}.get(factor, factor)) * np.pi / float(divisor.lstrip("/") or 1)


def table(text):
    """{function: [(arguments and result), ...]} from lines "function: argument result; argument result"."""
    lines = (line.split(":") for line in text.replace(";\n    ", "; ").splitlines())
    return {name: [[number(x) for x in case.split()] for case in cases.split(";")] for name, cases in lines}


# argument, result; the sign of a zero counts
REAL = table("""\
acos: 1 0; 1.5 nan; -1.5 nan
acosh: 1 0; 0.5 nan; inf inf
asin: 0 0; 1.5 nan
asinh: 0 0; inf inf; -inf -inf
atan: 0 0; inf pi/2; -inf -pi/2
atanh: 0 0; 1 inf; -1 -inf; 2 nan
ceil: -0.5 -0; inf inf; -inf -inf
cos: 0 1; -0 1; inf nan; -inf nan
cosh: 0 1; -0 1; inf inf; -inf inf
exp: 0 1; -0 1; inf inf; -inf 0
expm1: 0 0; inf inf; -inf -1
floor: inf inf; -inf -inf; 0.5 0
isfinite: inf 0; -inf 0; 1 1
isinf: inf 1; -inf 1; 1 0
log: -1 nan; 0 -inf; -0 -inf; 1 0; inf inf
log10: -1 nan; 0 -inf; 1 0; inf inf
log1p: -2 nan; -1 -inf; 0 0; inf inf
log2: -1 nan; 0 -inf; 1 0; inf inf
reciprocal: inf 0; -inf -0; 0 inf; -0 -inf
round: 0.5 0; 1.5 2; 2.5 2; -0.5 -0; inf inf
sign: -3 -1; 0 0; -0 0; 3 1; inf 1; -inf -1
signbit: 0 0; -0 1; -inf 1
sin: 0 0; inf nan
sinh: 0 0; inf inf; -inf -inf
sqrt: -1 nan; 0 0; inf inf
tan: 0 0; inf nan
tanh: 0 0; inf 1; -inf -1
trunc: 0.5 0; -0.5 -0; inf inf""")
ODD = "asin asinh atan atanh expm1 log1p sin sinh sqrt tan tanh trunc round ceil floor".split()

# two arguments, result
PAIRS = table("""\
add: inf -inf nan; inf 1 inf; -0 -0 -0; -0 0 0; 1 -1 0
atan2: 0 0 0; 0 -0 pi; -0 -0 -pi; 1 inf 0; -1 inf -0; 1 -inf pi; inf inf pi/4; inf -inf 3pi/4;
    1 0 pi/2
copysign: 3 -0 -3; -3 0 3; 0 -1 -0
divide: inf inf nan; 0 0 nan; 1 -0 -inf; 1 inf 0; -1 inf -0; inf -2 -inf
hypot: inf nan inf; nan -inf inf; 3 0 3; nan 1 nan
logaddexp: inf 1 inf; nan 1 nan; -inf -inf -inf
maximum: nan 1 nan; 1 nan nan
minimum: nan 1 nan; 1 nan nan
multiply: inf 0 nan; inf -2 -inf; -0 2 -0
nextafter: 0 0 0; nan 1 nan; inf 0 1.7976931348623157e308
pow: 1 nan 1; nan 0 1; nan 1 nan; 2 inf inf; 2 -inf 0; -1 inf 1; 0.5 inf 0; 0.5 -inf inf; inf 2 inf;
    inf -2 0; -inf 3 -inf; -inf 2 inf; -inf -3 -0; 0 -1 inf; -0 -1 -inf; -0 -2 inf; -0 3 -0; -0 2 0;
    -2 0.5 nan
remainder: inf 2 nan; 1 0 nan; 0 2 0; -0 2 0; 1 inf 1; -1 inf inf; 1 -inf -inf; 2 -2 -0
subtract: inf inf nan; -0 0 -0; 0 0 0""")

# argument, result, as real,imaginary
COMPLEX = table("""\
abs: inf,nan inf; nan,-inf inf; nan,1 nan
acos: 0,nan pi/2,nan; 1,inf pi/2,-inf; inf,inf pi/4,-inf
acosh: 0,nan nan,pi/2; 1,inf inf,pi/2; -inf,1 inf,pi
asinh: 1,inf inf,pi/2; inf,inf inf,pi/4; inf,1 inf,0
atanh: 1,0 inf,0; 1,inf 0,pi/2; inf,1 0,pi/2
cosh: 0,0 1,0; inf,0 inf,0; 1,inf nan,nan
exp: 0,0 1,0; 1,inf nan,nan; inf,0 inf,0; nan,0 nan,0; -inf,nan 0
log: -0,0 -inf,pi; 0,0 -inf,0; inf,inf inf,pi/4; -inf,1 inf,pi
log1p: -1,0 -inf,0; 1,inf inf,pi/2; inf,1 inf,0
sign: 0 0; 3,4 0.6,0.8
sinh: 0,0 0,0; inf,0 inf,0; 1,inf nan,nan
sqrt: 0,0 0,0; 1,inf inf,inf; -inf,1 0,inf; inf,1 inf,0
tanh: 0,0 0,0; inf,1 1,0; 1,inf nan,nan; nan,0 nan,0""")


def same(out, want):
    np.testing.assert_allclose(out, want, rtol=1e-15)
    zeros = want == 0
    if want.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(out[zeros]), np.signbit(want[zeros]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REAL)
def test_special_cases_of_one_argument(name, dtype):
    asks = name in ("isfinite", "isinf", "signbit")
    cases = [*REAL[name], *([] if asks else [[NAN, NAN]]), *([[-0.0, -0.0]] if name in ODD else [])]
    x, want = np.array(cases, dtype).T
    with np.errstate(all="ignore"):
        out = getattr(bp, name)(bp.asarray(x))
    assert out.dtype == ("bool" if asks else dtype)
    same(out.numpy(), want.astype(out.dtype))


@pytest.mark.parametrize("name", PAIRS)
def test_special_cases_of_two_arguments(name):
    x, y, want = np.array(PAIRS[name]).T
    symbol = {
        "add": "add",
        "divide": "truediv",
        "multiply": "mul",
        "pow": "pow",
        "remainder": "mod",
        "subtract": "sub",
    }
    with np.errstate(all="ignore"):
        same(getattr(bp, name)(x, y).numpy(), want)
        if name in symbol:
            same(getattr(operator, symbol[name])(bp.asarray(x), bp.asarray(y)).numpy(), want)
            same(getattr(operator, "i" + symbol[name])(bp.asarray(x, copy=True), bp.asarray(y)).numpy(), want)


@pytest.mark.parametrize("name", COMPLEX)
def test_special_cases_of_complex_numbers(name):
    z, want = np.array(COMPLEX[name], complex).T
    with np.errstate(all="ignore"):
        out = getattr(bp, name)(bp.asarray(z)).numpy()
        mirrored = getattr(bp, name)(bp.asarray(z.conj())).numpy()
    for part in (np.real, np.imag):
        np.testing.assert_allclose(part(out), part(want), rtol=1e-15)
    np.testing.assert_array_equal(mirrored, out.conj())  # f(conj(z)) is conj(f(z)), there too
