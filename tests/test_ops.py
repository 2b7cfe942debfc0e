"""Every op from its one line in op_cases.py: value, derivatives to order 2 in both modes, dtypes, strides,
broadcasting, empty arrays.
"""

from operator import attrgetter

import numpy as np
import pytest
from opcase import OpCase, all_cases

import tensorflowlite_bp as bp
from tensorflowlite_bp.autograd.op import OPS, graph
from tensorflowlite_bp.errors import DTypeError
from tensorflowlite_bp.testing import check_grads

CASES = all_cases()
# whose dtypes NumPy or SciPy decide
OTHERS_DTYPES = tuple(
    "linalg. fft. special. convolve_full recursion linear_map orthonormal float_power reinterpret".split()
)
EXEMPT = {"to"}  # a move between devices: tests/test_backend.py


def function(case: OpCase, kwargs):
    f = attrgetter(case.name)(graph)
    if case.call is not None:
        return lambda *xs: case.call(f, *xs, **kwargs)
    return lambda *xs: f(*xs, **kwargs)


def arguments(case: OpCase, seed=0):
    return [np.asarray(a) for a in case.args(np.random.default_rng(seed))]


def tensors(args):
    return [bp.asarray(a) for a in args]


def reference(case: OpCase):
    if case.numpy is not None:
        return case.numpy
    try:
        return attrgetter(case.name)(np)
    except AttributeError:
        return None


PARAMS = [
    pytest.param(case, kw, id=f"{case}-{k}" if len(case.kwargs) > 1 else str(case))
    for case in CASES
    for k, kw in enumerate(case.kwargs)
]


def test_every_op_has_a_case():
    missing = set(OPS) - {case.name for case in CASES} - EXEMPT
    assert not missing, f"add a line to a table tests/op_cases*.py for {sorted(missing)}"


def test_every_case_names_a_function():
    for case in CASES:
        assert callable(attrgetter(case.name)(graph)), case.name


@pytest.mark.parametrize(("case", "kwargs"), [p for p in PARAMS if reference(p.values[0]) is not None])
def test_value(case, kwargs):
    expected = reference(case)
    args = arguments(case)
    out = function(case, kwargs)(*tensors(args))
    want = np.asarray(expected(*args, **kwargs))
    assert isinstance(out, bp.Tensor)
    assert out.shape == want.shape
    assert out.dtype == want.dtype
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("case", "kwargs"), PARAMS)
def test_derivatives(case, kwargs):
    check_grads(function(case, kwargs), arguments(case), order=case.order)


@pytest.mark.parametrize("case", [c for c in CASES if c.complex], ids=str)
def test_complex_derivatives(case):
    r = np.random.default_rng(1)
    args = [a + 1j * r.uniform(0.2, 1, a.shape) for a in arguments(case)]
    for kwargs in case.kwargs[:3]:
        out = function(case, kwargs)(*tensors(args))
        if reference(case) is not None:
            np.testing.assert_allclose(out.numpy(), reference(case)(*args, **kwargs), rtol=1e-12, atol=1e-13)
        check_grads(function(case, kwargs), args, order=case.order)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_narrow_floats_keep_their_dtype(case, dtype):
    kwargs = dict(case.kwargs[0])
    if "dtype" in kwargs:
        kwargs["dtype"] = dtype
    wide = arguments(case)
    if dtype == "float16" and not case.half:
        with pytest.raises(TypeError, match="float16"):
            function(case, kwargs)(*[bp.asarray(a.astype(dtype)) for a in wide])
        return
    args = [bp.tensor(a.astype(dtype), requires_grad=True) for a in wide]
    out = function(case, kwargs)(*args)
    exact = function(case, kwargs)(*tensors([a.numpy().astype(float) for a in args]))
    assert out.dtype == (case.narrow or dtype)
    rtol = 3e-5 if dtype == "float32" else 3e-2
    scale = np.abs(exact.numpy()).max(initial=1.0)
    got = out.numpy().astype(exact.dtype)
    np.testing.assert_allclose(got, exact.numpy(), rtol=rtol, atol=rtol * scale)
    out.backward(np.ones(out.shape, out.dtype))
    assert all(a.grad is None or a.grad.dtype == dtype for a in args)
    assert all(a.grad is None or a.grad.shape == a.shape for a in args)


@pytest.mark.parametrize("case", [c for c in CASES if not c.name.startswith(OTHERS_DTYPES)], ids=str)
def test_bfloat16_keeps_its_dtype(case):
    """In and out, and in every gradient; NumPy's promotion of it with Python numbers does not leak."""
    kwargs = dict(case.kwargs[0])
    if "dtype" in kwargs:
        kwargs["dtype"] = bp.bfloat16
    args = [bp.tensor(a.astype(bp.bfloat16), requires_grad=True) for a in arguments(case)]
    out = function(case, kwargs)(*args)
    exact = function(case, kwargs | ({"dtype": float} if "dtype" in kwargs else {}))(
        *tensors([a.numpy().astype(float) for a in args])
    )
    assert out.dtype == bp.bfloat16
    scale = np.abs(exact.numpy()).max(initial=1.0)
    np.testing.assert_allclose(out.numpy().astype(float), exact.numpy(), rtol=0.05, atol=0.05 * scale)
    out.backward(np.ones(out.shape, out.dtype))
    assert all(a.grad is None or a.grad.dtype == bp.bfloat16 for a in args)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_strides_do_not_matter(case):
    f = function(case, case.kwargs[0])
    plain = arguments(case)
    strided = []
    for a in plain:
        wide = np.zeros(tuple(2 * n for n in a.shape[::-1]))
        view = wide[tuple(slice(None, None, 2) for _ in a.shape)].T if a.ndim else wide[...]
        view[...] = a
        strided.append(view)
    leaves = [[bp.tensor(x, requires_grad=True) for x in xs] for xs in (plain, strided)]
    outs = [f(*xs) for xs in leaves]
    np.testing.assert_allclose(outs[1].numpy(), outs[0].numpy(), rtol=1e-13, atol=1e-13)
    g = np.random.default_rng(2).normal(size=outs[0].shape)
    for out in outs:
        out.backward(g)
    for a, b in zip(*leaves, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)], ids=str)
@pytest.mark.parametrize("case", [c for c in CASES if c.elementwise], ids=str)
def test_scalars_and_empty_arrays(case, shape):
    f = function(case, case.kwargs[0])
    args = [
        bp.tensor(np.resize(a, shape) if np.prod(shape) else np.empty(shape), requires_grad=True)
        for a in arguments(case)
    ]
    out = f(*args)
    assert out.shape == shape
    out.sum().backward()
    assert all(a.grad.shape == shape for a in args)


@pytest.mark.parametrize("case", [c for c in CASES if c.elementwise and len(arguments(c)) == 2], ids=str)
@pytest.mark.parametrize(
    "shapes", [((3, 1), (4,)), ((1,), (2, 3)), ((2, 3), ()), ((2, 1, 3), (4, 1))], ids=str
)
def test_broadcasting(case, shapes):
    args = [np.resize(a, s) for a, s in zip(arguments(case), shapes, strict=True)]
    check_grads(function(case, case.kwargs[0]), args)
    np.testing.assert_allclose(
        function(case, case.kwargs[0])(*tensors(args)).numpy(), reference(case)(*args), rtol=1e-12, atol=1e-13
    )


def test_check_grads_does_not_draw_what_its_caller_drew():
    """Along the argument itself, the direction of a shared stream, this wrong rule is right."""
    wrong = bp.custom_vjp(lambda x: x / (1 + bp.abs(x)))
    wrong.defvjp(lambda x: (wrong(x), x), lambda x, g: (g / bp.square(1 + bp.abs(x)),))
    rng = np.random.default_rng(0)
    z = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
    with pytest.raises(AssertionError, match="difference quotient"):
        check_grads(wrong, (z,), modes=("rev",), order=1)


@pytest.mark.parametrize("f", [bp.sum, bp.prod, bp.max, bp.min, bp.logsumexp], ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [0, -1])
def test_a_scalar_has_an_axis_0_to_reductions(f, axis):
    assert bp.grad(lambda x: f(x, axis=axis))(np.float64(2.0)) == 1.0
    with pytest.raises(np.exceptions.AxisError):
        bp.mean(2.0, axis=axis)  # NumPy's ufuncs take it, its mean does not


def test_activations_of_complex_numbers():
    """Principal values, far from the origin as well, against log and exp in extended precision."""
    z = np.array([3 + 9j, -2 + 5j, 40 - 4j])
    wide = z.astype(np.clongdouble)
    np.testing.assert_allclose(bp.nn.softplus(z), np.log(1 + np.exp(wide)).astype(complex), rtol=1e-14)
    np.testing.assert_allclose(bp.nn.sigmoid(z), (1 / (1 + np.exp(-wide))).astype(complex), rtol=1e-14)
    with pytest.raises(DTypeError, match="real"):
        bp.nn.gelu(z)
