"""The real numpy on Tensors, promotion, and parity of attributes and methods with ndarray."""

import operator

import numpy as np
import pytest

import tensorflowlite_bp as bp

X = np.array([[0.3, -0.7, 1.1], [0.5, 2.0, -1.5]])
Y = np.array([1.5, 0.25, 2.0])


def check(f, *arrays):
    """f on arrays and on recording Tensors: the same values, and a gradient comes back."""
    want = f(*arrays)
    tensors = [bp.tensor(a, requires_grad=True) for a in arrays]
    out = f(*tensors)
    many = isinstance(want, (list, tuple))
    for got, expected in zip(out if many else [out], want if many else [want], strict=True):
        assert isinstance(got, bp.Tensor)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-14)
    return out, tensors


DIFFERENTIABLE = {
    "ufunc": lambda x, y: np.add(np.multiply(x, y), np.exp(y)),
    "ufunc reduce": lambda x, y: (
        np.add.reduce(x, axis=1) + np.multiply.reduce(y) + np.maximum.reduce(x, axis=None)
    ),
    "ufunc reduce default": lambda x, y: np.add.reduce(x) + np.minimum.reduce(x, keepdims=True)[0],
    "accumulate": lambda x, y: np.add.accumulate(x, axis=1),
    "outer": lambda x, y: np.multiply.outer(x, y),
    "concatenate": lambda x, y: np.concatenate([x, y[None]], axis=0),
    "stack": lambda x, y: np.stack([x[0], y, X[0]], axis=1),
    "where": lambda x, y: np.where(X > 0, x, y),
    "sum": lambda x, y: np.sum(x, axis=0, keepdims=True) + np.sum(a=y),
    "sum dtype": lambda x, y: np.sum(x, dtype=np.float32),
    "mean": lambda x, y: np.mean(x, axis=(0, 1)) * y,
    "std": lambda x, y: np.std(x, axis=1, ddof=1),
    "var": lambda x, y: np.var(x),
    "einsum": lambda x, y: np.einsum("ij,j->i", x, y, optimize=True),
    "pad": lambda x, y: np.pad(x, ((1, 0), (0, 2)), mode="constant", constant_values=0),
    "clip": lambda x, y: np.clip(x, a_min=-0.5, a_max=1.0),
    "clip open": lambda x, y: np.clip(x, None, 1.0),
    "reshape": lambda x, y: np.reshape(x, (3, 2), order="C"),
    "transpose": lambda x, y: np.transpose(x, axes=(1, 0)),
    "ravel": lambda x, y: np.ravel(x),
    "squeeze": lambda x, y: np.squeeze(x[None], axis=0),
    "expand": lambda x, y: np.expand_dims(x, axis=1),
    "moveaxis": lambda x, y: np.moveaxis(x, 0, -1),
    "broadcast_to": lambda x, y: np.broadcast_to(y, (2, 3)),
    "repeat": lambda x, y: np.repeat(x, 2, axis=1),
    "tile": lambda x, y: np.tile(x, (2, 1)),
    "flip": lambda x, y: np.flip(x, axis=1),
    "roll": lambda x, y: np.roll(x, 1, axis=0),
    "split": lambda x, y: np.split(x, 3, axis=1),
    "sort": lambda x, y: np.sort(x, axis=1, kind="stable"),
    "take": lambda x, y: np.take(x, np.array([0, 2]), axis=1),
    "take_along_axis": lambda x, y: np.take_along_axis(x, np.argsort(X, axis=1), axis=1),
    "cumsum": lambda x, y: np.cumsum(x, axis=0),
    "prod": lambda x, y: np.prod(x, axis=1),
    "max": lambda x, y: np.max(x, axis=1) + np.amin(x),
    "dot": lambda x, y: np.dot(x, y) + np.inner(x, y) + np.matmul(x, y) + np.vdot(y, y),
    "tensordot": lambda x, y: np.tensordot(x, y, axes=1),
    "outer function": lambda x, y: np.outer(y, y),
    "tril": lambda x, y: np.tril(x, k=-1),
    "diagonal": lambda x, y: np.diagonal(x, offset=1) + np.trace(x),
    "copy": lambda x, y: np.copy(x),
    "real": lambda x, y: np.real(x),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_functions(name):
    out, (x, y) = check(DIFFERENTIABLE[name], X, Y)
    total = sum(o.sum() for o in out) if isinstance(out, list) else out.sum()
    total.backward()
    assert x.grad is not None or y.grad is not None
    if name != "sum dtype":
        bp.testing.check_grads(DIFFERENTIABLE[name], (X, Y), order=1)


def halved(x):
    return x / 2


def larger(x, y):
    return max(x, y)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("halved", lambda x: np.frompyfunc(halved, 1, 1)(x)),
        ("halved", lambda x: np.frompyfunc(halved, 1, 1)(x, out=np.empty((2, 3), object))),
        ("larger", lambda x: np.frompyfunc(larger, 2, 1).reduce(x)),
        ("larger", lambda x: np.frompyfunc(larger, 2, 1).at(x * 1, [0], x)),
    ],
)
def test_what_has_no_derivative_raises_and_names_itself(name, call):
    before = X.copy()
    with pytest.raises(TypeError, match=rf"{name}.*"):
        call(bp.tensor(X, requires_grad=True))
    np.testing.assert_array_equal(X, before)


def test_questions():
    x = bp.tensor(X, requires_grad=True)
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.size(x) == 6
    assert np.isrealobj(x)
    assert np.result_type(x, np.float32) == np.float64
    assert np.allclose(x, X)
    assert np.array_equal(x, X)
    assert np.isclose(x, X).all()
    assert np.argmax(x) == 4
    assert isinstance(np.greater(x, 0), bp.Tensor)
    assert np.where(x > 0)[0].tolist() == [0, 0, 1, 1]
    assert "0.3" in np.array_repr(x)


def test_nothing_leaves_the_graph_silently():
    x = bp.tensor(X, requires_grad=True)
    for leave in (
        lambda: np.asarray(x),
        lambda: np.array(x),
        lambda: np.array([x[0], x[1]]),
        lambda: np.array([1.0, x[0, 0]]),
        lambda: np.full(3, x[0, 0]),
    ):
        with pytest.raises(TypeError, match=r"(?s)gradient would be lost.*\.numpy\(\)"):
            leave()
    assert np.asarray(x.detach()) is not None
    assert x.numpy() is x.data
    assert np.asarray(bp.asarray(X), dtype="float32").dtype == np.float32


def test_integers_of_a_recording_tensor_are_constants():
    x = bp.tensor([1.9, -0.2], requires_grad=True)
    assert np.int64(x).tolist() == np.asarray(x, dtype=int).tolist() == [1, 0]
    assert np.asarray(x, dtype=bool).tolist() == [True, True]
    with pytest.raises(TypeError, match="gradient would be lost"):
        np.float32(x)


def test_writing_arrays_with_constants():
    a = X.copy()
    a += bp.asarray(Y)
    np.add(bp.asarray(X), 1.0, out=a)
    np.testing.assert_array_equal(a, X + 1)
    counts = np.zeros(3, int)
    with pytest.raises(TypeError):
        counts += bp.asarray(Y)
    w, c = bp.tensor(Y, requires_grad=True), Y.copy()
    loss = (w * c).sum()
    c += bp.asarray(Y)
    with pytest.raises(bp.GradientError, match="overwritten"):
        loss.backward()


# ------------------------------------------------------------------ operators
BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.mod,
    operator.floordiv,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]
DTYPES = [
    "bool",
    "int8",
    "uint8",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
SCALARS = [True, 2, 2.5, 1 + 2j, np.float32(2.5), np.float64(2.5), np.int8(3), np.complex64(1j)]


def outcome(f, x):
    try:
        out = f(x)
    except (TypeError, OverflowError, ValueError) as error:
        return type(error).__mro__[-3] if not isinstance(error, TypeError) else TypeError
    return out.dtype, np.asarray(out.numpy() if isinstance(out, bp.Tensor) else out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
@pytest.mark.filterwarnings("ignore")
def test_promotion_with_scalars_and_arrays(op, dtype):
    a = np.array([1, 2, 3]).astype(dtype)
    others = [*SCALARS, *[np.array([1, 1, 2]).astype(d) for d in DTYPES]]
    for other in others:
        if dtype == "bool" and op is operator.pow and type(other) in (bool, int):
            continue  # NumPy's ** makes int8 of these, numpy.power int64
        for left in (True, False):
            f = (lambda x, other=other: op(x, other)) if left else (lambda x, other=other: op(other, x))
            want, got = outcome(f, a), outcome(f, bp.asarray(a))
            assert type(got) is type(want), (op, dtype, other, left, got, want)
            if isinstance(want, tuple):
                assert got[0] == want[0], (op, dtype, repr(other), left, got, want)
                np.testing.assert_allclose(got[1], want[1], rtol=1e-3 if dtype == "float16" else 1e-6)
            else:
                assert got is want


def test_arrays_on_either_side():
    x = bp.tensor(Y, requires_grad=True)
    for op in BINARY[:4]:
        left, right = op(X, x), op(x, X)
        assert isinstance(left, bp.Tensor)
        np.testing.assert_allclose(left.numpy(), op(X, Y))
        np.testing.assert_allclose(right.numpy(), op(Y, X))
    assert isinstance(X @ x, bp.Tensor)
    assert isinstance(operator.lt(X, x), bp.Tensor)
    assert isinstance(np.float64(2) * x, bp.Tensor)
    assert (x + [1, 2, 3]).tolist() == [2.5, 2.25, 5.0]
    assert (x == None) is False  # noqa: E711
    with pytest.raises(TypeError):
        x + "text"
    with pytest.raises(TypeError):
        x + None


def test_integer_operators():
    a, b = np.array([5, 6, 7]), np.array([3, 1, 2])
    for op in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod):
        got, want = op(bp.asarray(a), b), op(a, b)
        np.testing.assert_array_equal([g.numpy() for g in got] if op is divmod else got.numpy(), want)
    assert (~bp.asarray(a)).tolist() == (~a).tolist()
    assert (bp.asarray(a > 5) & (b > 1)).tolist() == [False, False, True]
    assert (True & bp.asarray(a > 5)).tolist() == [False, True, True]


# ------------------------------------------------------------------ ndarray parity
METHODS = {
    "sum": [(), (0,)],
    "mean": [(), (1,)],
    "var": [()],
    "std": [()],
    "max": [(), (0,)],
    "min": [()],
    "prod": [()],
    "cumsum": [(), (1,)],
    "argmax": [(), (0,)],
    "argmin": [()],
    "any": [()],
    "all": [(1,)],
    "reshape": [(3, 2), ((6,),), (-1,)],
    "transpose": [(), (1, 0), ((1, 0),)],
    "swapaxes": [(0, 1)],
    "squeeze": [()],
    "ravel": [()],
    "flatten": [()],
    "repeat": [(2,), (2, 1)],
    "astype": [("float32",), (int,)],
    "copy": [()],
    "clip": [(-0.5, 1.0)],
    "round": [(), (1,)],
    "conj": [()],
    "dot": [(Y,)],
    "take": [([0, 2], 1)],
    "diagonal": [(), (1,)],
    "trace": [()],
    "argsort": [(), (0,)],
    "tolist": [()],
    "item": [(3,)],
    "__len__": [()],
    "__abs__": [()],
    "__neg__": [()],
    "__pos__": [()],
    "__getitem__": [(0,), (slice(1),), ((0, 1),), ([1, 0],), (X > 0,), ((..., None),)],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    for args in METHODS[name]:
        want, got = getattr(X, name)(*args), getattr(bp.asarray(X), name)(*args)
        if isinstance(got, bp.Tensor):
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            got = got.numpy()
        np.testing.assert_allclose(got, want)


def test_attributes():
    z = X + 1j
    for name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides"):
        assert getattr(bp.asarray(X), name) == getattr(X, name)
    for name in ("T", "mT", "real", "imag"):
        np.testing.assert_array_equal(getattr(bp.asarray(z), name).numpy(), getattr(z, name))
    assert bp.asarray(X).device == "cpu"
    assert [r.tolist() for r in bp.asarray(X)] == X.tolist()
    assert 2.0 in bp.asarray(X)
    scalar = bp.asarray(2.5)
    assert (float(scalar), int(scalar), bool(scalar), complex(scalar), round(scalar)) == (
        2.5,
        2,
        True,
        2.5,
        2,
    )
    assert f"{scalar:.2f}" == "2.50"
    assert [10, 20, 30][bp.asarray(1)] == 20
    for wrong in (
        lambda: len(scalar),
        lambda: iter(scalar).__next__(),
        lambda: bool(bp.asarray(X)),
        lambda: hash([scalar]),
    ):
        with pytest.raises((TypeError, ValueError)):
            wrong()
    assert len({scalar, bp.asarray(2.5)}) == 2
