"""All of NumPy's public functions: what has derivatives has them, what has none is known."""

import inspect
import warnings
from operator import attrgetter
from pathlib import Path

import numpy as np
import optree
import pytest

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bn
from tensorflowlite_bp.numpy import TABLE
from tensorflowlite_bp.numpy._refused import REFUSED
from tensorflowlite_bp.testing import check_grads, coverage

DISPATCHED = type(np.sum)
PAGE = Path(__file__).parents[1] / "docs" / "numpy.md"

# Integers, booleans, indices, texts, answers: what these give has no derivative, or one that is 0.
CONSTANT = set(
    "all allclose any argmax argmin argpartition argsort argwhere around array2string array_equal "
    "array_equiv array_repr array_str can_cast common_type count_nonzero diag_indices_from digitize "
    "empty_like fix flatnonzero isclose iscomplex iscomplexobj isin isneginf isposinf isreal isrealobj "
    "ix_ lexsort may_share_memory min_scalar_type nanargmax nanargmin ndim nonzero ones_like packbits "
    "ravel_multi_index result_type round searchsorted shape shares_memory size tril_indices_from "
    "triu_indices_from unpackbits unravel_index zeros_like einsum_path linalg.matrix_rank "
    "datetime_as_string busday_count busday_offset is_busday bitwise_and bitwise_count bitwise_invert "
    "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil equal floor "
    "floor_divide gcd greater greater_equal invert isfinite isinf isnan isnat lcm left_shift less "
    "less_equal logical_and logical_not logical_or logical_xor not_equal right_shift rint nextafter "
    "signbit spacing trunc".split()
)

# Not of arrays: of shapes, dtypes, texts, files, settings; NumPy's own.
PLAIN = set(
    "base_repr binary_repr broadcast_shapes datetime_data diag_indices format_float_positional "
    "format_float_scientific frombuffer frompyfunc fromstring get_include get_printoptions getbufsize geterr "
    "geterrcall info isdtype isfortran isscalar issubdtype iterable mask_indices mintypecode nested_iters "
    "printoptions promote_types row_stack set_printoptions setbufsize seterr seterrcall show_config "
    "show_runtime test tril_indices triu_indices typename fft.fftfreq fft.rfftfreq".split()
)


def public():
    """NumPy's functions by name, those of numpy.linalg and numpy.fft among them."""
    found = {}
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type):
                found[prefix + name] = value
    return found


FUNCTIONS = public()
COVERED = coverage.covered()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_nothing_falls_between(name):
    function = FUNCTIONS[name]
    kinds = [name in COVERED, name in CONSTANT, name in PLAIN, name in REFUSED]
    ours = attrgetter(name)(bn)
    if sum(kinds) == 0:
        assert ours is not function, f"{name} is in no list"  # made here, on the current backend
    assert sum(kinds) <= 1
    if name in REFUSED or isinstance(function, np.ufunc):
        return
    assert (function in TABLE) == isinstance(function, DISPATCHED), name
    if function not in TABLE:
        return
    parameters = inspect.signature(TABLE[function]).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for p in inspect.signature(function).parameters.values():
        assert p.name in parameters or takes_any or p.kind is p.VAR_KEYWORD or p.kind is p.POSITIONAL_ONLY, p


SAMPLES = [
    pytest.param(name, sample, id=f"{name}-{k}" if COVERED[name] > 1 else name)
    for samples in coverage.GROUPS.values()
    for k, sample in enumerate(samples)
    for name in sample.names
]


def like(x):
    return np.asarray(np.random.default_rng(3).normal(size=np.shape(x))).astype(x.dtype)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_derivatives(name, sample):
    """To second order, in both modes; and every argument listed has a gradient that is not 0."""
    function = attrgetter(name)(bn)

    def call(*xs):
        return sample.call(function, *xs)

    with warnings.catch_warnings(action="ignore"):
        check_grads(call, sample.arrays, order=sample.order)
        out, pull = bp.vjp(call, *sample.arrays)
        cotangent = optree.tree_map(like, out)
        for argument, g in zip(sample.arguments, pull(cotangent), strict=True):
            assert np.any(np.asarray(g)), f"{name} has no derivative in {argument}"


def test_there_are_enough():
    assert len(COVERED) >= 400
    assert not set(COVERED) & (CONSTANT | PLAIN | set(REFUSED))


def test_the_page_is_what_the_samples_say():
    assert PAGE.read_text(encoding="utf-8") == coverage.page(), (
        "python -m tensorflowlite_bp.testing.coverage > docs/numpy.md"
    )


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_what_to_do(name):
    with pytest.raises(TypeError, match=r"(?s)Hint: "):
        getattr(bn, name)("file")


def test_numpy_on_tensors_refuses_as_well():
    with pytest.raises(TypeError, match=r"(?s)numpy\.save.*Hint: "):
        np.save("file.npy", bp.asarray([1.0]))


def test_modules_are_there():
    for name in "testing ma char strings ctypeslib lib emath exceptions dtypes".split():
        assert getattr(bn, name) is getattr(np, name)
