"""Tensor has ndarray's methods, with ndarray's signatures: the same calls on both, values and gradients."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.autograd import signatures
from tensorflowlite_bp.errors import DTypeError, GradientError
from tensorflowlite_bp.ops.array_methods import ABSENT, METHODS
from tensorflowlite_bp.testing import check_grads

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 7 - 0.6
MASK = X > -0.3
OWN = {"tobytes", "tofile"}

# name -> calls as (args, kwargs)
CALLS = {
    "sum": [((1, np.float32), {}), ((0, None, None, True), {}), ((), {"where": MASK, "initial": 2.0})],
    "prod": [((), {}), ((0, None, None, True, 3.0), {}), ((-1,), {"where": MASK})],
    "max": [((), {}), ((0, None, True), {}), ((1,), {"initial": -0.5, "where": MASK})],
    "min": [((), {}), ((-1,), {"keepdims": True}), ((), {"initial": 5.0})],
    "mean": [((), {}), ((0, np.float32), {}), ((1, None, None, True), {"where": MASK})],
    "var": [((0, None, None, 1), {}), ((1,), {"ddof": 1, "keepdims": True}), ((0,), {"where": MASK})],
    "std": [((), {}), ((0, None, None, 1, True), {}), ((1,), {"mean": X.mean(1, keepdims=True)})],
    "any": [((), {}), ((0,), {"keepdims": True}), ((), {"where": MASK})],
    "all": [((), {}), ((1,), {"keepdims": True})],
    "argmax": [((), {}), ((0,), {"keepdims": True})],
    "argmin": [((), {}), ((1,), {})],
    "cumsum": [((), {}), ((0,), {}), ((1, np.float32), {})],
    "cumprod": [((), {}), ((1,), {})],
    "argsort": [((), {}), ((0, "stable"), {}), ((None,), {"stable": True})],
    "argpartition": [((2,), {"axis": None})],
    "searchsorted": [],
    "nonzero": [((), {})],
    "take": [(([0, 2],), {}), (([0, 2], 1), {}), (([5, -6], 1, None, "clip"), {})],
    "choose": [],
    "compress": [(([True, False, True],), {"axis": 0}), (([False, True],), {})],
    "repeat": [((2,), {}), (([1, 0, 2], 0), {})],
    "diagonal": [((), {}), ((1, 1, 0), {})],
    "trace": [((), {}), ((1,), {"dtype": np.float32})],
    "dot": [((X.T,), {}), ((2.0,), {})],
    "clip": [((-0.3, 0.5), {}), ((None, 0.5), {}), ((), {"min": -0.3})],
    "round": [((), {}), ((1,), {})],
    "conj": [((), {})],
    "conjugate": [((), {})],
    "reshape": [((4, 3), {}), (((2, -1),), {}), ((-1,), {"order": "F"}), ((12,), {"copy": True})],
    "transpose": [((), {}), ((1, 0), {}), (((1, 0),), {}), ((None,), {})],
    "swapaxes": [((0, 1), {})],
    "squeeze": [((), {})],
    "ravel": [((), {}), (("F",), {})],
    "flatten": [((), {}), (("F",), {})],
    "copy": [((), {}), (("F",), {})],
    "astype": [((np.float32,), {}), ((float, "F", "safe", True, False), {}), ((int,), {})],
    "view": [((), {}), ((complex,), {})],
    "fill": [((2.5,), {})],
    "put": [(([0, -1, 0], [7.0, 8.0]), {}), (([13], 1.0), {"mode": "wrap"})],
    "sort": [((), {}), ((0, "stable"), {}), ((-1,), {"stable": True})],
    "partition": [((1,), {}), ((2, 0), {})],
}  # fmt: skip
IN_PLACE = ("fill", "put", "sort", "partition")


def run(x, name, args, kwargs):
    """The method's result; for those that write, what it wrote."""
    if name in IN_PLACE:
        assert getattr(x, name)(*args, **kwargs) is None
        return x
    return getattr(x, name)(*args, **kwargs)


def test_every_method_is_here():
    public = {n for n in dir(np.ndarray) if not n.startswith("_")}
    assert public - ABSENT.keys() == {n for n in public if hasattr(bp.asarray(X), n)}
    assert set(CALLS) | OWN | {"to"} == set(METHODS)


@pytest.mark.parametrize("name", [n for n in CALLS if CALLS[n]])
def test_methods(name):
    for args, kwargs in CALLS[name]:
        want = run(X.copy(), name, args, kwargs)
        t = bp.tensor(X, requires_grad=True)
        for got in (run(bp.asarray(X.copy()), name, args, kwargs), run(t * 1, name, args, kwargs)):
            for g, w in zip(*[o if isinstance(o, tuple) else (o,) for o in (got, want)], strict=True):
                assert isinstance(g, bp.Tensor)
                assert (g.dtype, g.shape) == (w.dtype, w.shape)
                np.testing.assert_allclose(g.detach().numpy(), w, rtol=1e-6 if w.dtype == "f4" else 1e-12)
        if not isinstance(got, tuple) and got.node is not None and got.dtype.itemsize >= 8:
            check_grads(lambda x, a=args, k=kwargs: run(bp.asarray(x) * 1, name, a, k), [X], order=1)


@pytest.mark.parametrize(
    "name",
    "sum prod max min mean var std any argmax cumsum take round clip dot trace compress".split(),
)
def test_out(name):
    args = {
        "cumsum": (1,),
        "take": ([0, 2],),
        "clip": (0.0, 1.0),
        "dot": (X.T,),
        "compress": ([True, False],),
    }.get(name, ())
    want = getattr(X, name)(*args)
    target = bp.asarray(np.zeros(np.shape(want), np.asarray(want).dtype))
    x = bp.tensor(X, requires_grad=True)
    assert getattr(x, name)(*args, out=target) is target
    np.testing.assert_allclose(target.detach().numpy(), want)
    assert (target.node is None) == (name in ("any", "argmax", "round"))


def test_methods_of_other_arguments():
    which = np.array([0, 2, 1])
    choices = np.arange(9.0).reshape(3, 3)
    assert bp.asarray(which).choose(bp.asarray(choices)).tolist() == which.choose(choices).tolist()
    check_grads(lambda c: bp.asarray(which).choose(c), [choices])
    s = np.sort(X[0])
    assert (
        bp.asarray(s).searchsorted([0.1, 9], "right").tolist() == s.searchsorted([0.1, 9], "right").tolist()
    )
    assert bp.asarray(X).tobytes("F") == X.tobytes("F")


def test_tofile(tmp_path):
    bp.asarray(X).tofile(tmp_path / "x")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "x"), X.ravel())


def test_attributes_that_are_absent_say_what_to_do():
    t = bp.asarray(X)
    for name in ABSENT:
        assert not hasattr(t, name)
        with pytest.raises(AttributeError, match=rf"{name}(?s:.)*Hint"):
            getattr(t, name)
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = t.nonsense
    assert t.flags.c_contiguous
    assert not t.T.flags.c_contiguous


# ------------------------------------------------------------------ in place
def test_sorting_in_place_is_recorded_and_constants_keep_their_memory():
    x = bp.tensor(X, requires_grad=True)
    y = x * 2
    y.sort(1)
    (y * np.arange(4.0)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * np.argsort(np.argsort(X, 1), 1))
    memory = X.copy()
    c = bp.asarray(memory)
    c[1:].sort(0)
    c[:, 1].partition(1)
    want = X.copy()
    want[1:].sort(0)
    want[:, 1].partition(1)
    np.testing.assert_array_equal(memory, want)
    row = (x * 1)[0]
    with pytest.raises(GradientError, match="leaf"):
        x.sort()
    row.sort()
    assert row.tolist() == sorted(X[0])


def test_flat():
    x = bp.tensor(X, requires_grad=True)
    assert [v.item() for v in x.flat] == X.ravel().tolist()
    assert len(x.flat) == 12
    walk = x.flat
    next(walk)
    assert (walk.index, walk.coords) == (1, (0, 1))
    for key in (3, -1, slice(2, 9, 3), [1, 1, 5], MASK.ravel(), ...):
        np.testing.assert_array_equal(x.flat[key].detach().numpy(), X.flat[key])
        check_grads(lambda a, key=key: bp.asarray(a).flat[key], [X], order=1)
    y, want = x * 1, X.copy()
    y.flat[1:4], want.flat[1:4] = [1.0, 2.0], [1.0, 2.0]
    np.testing.assert_array_equal(y.detach().numpy(), want)
    y.flat[0] = x[0, 0] * 5
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0], [5, 0, 0, 0])
    y.flat = [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(y.numpy(), np.resize([1.0, 2.0, 3.0], (3, 4)))
    assert x.flat.copy().shape == (12,)


def test_parts_of_complex_numbers_can_be_written():
    z = np.array([[1 + 2j, 3 - 1j], [0.5j, -2.0]])

    def f(z, v, w):
        y = bp.asarray(z) * 1
        y.real = v * v
        y.imag = w
        return y * y

    check_grads(f, [z, np.array([1.0, 2.0]), np.array([[0.5], [1.5]])])
    memory = z.copy()
    bp.asarray(memory).imag = 7.0
    np.testing.assert_array_equal(memory, z.real + 7j)
    infinite = bp.tensor([np.inf + 1j], requires_grad=True).copy()
    infinite.imag = 2.0
    assert infinite.tolist() == [complex(np.inf, 2.0)]
    x = bp.tensor(X, requires_grad=True) * 1
    x.real = 1.0
    assert x.tolist() == np.ones_like(X).tolist()
    with pytest.raises(TypeError, match="imaginary"):
        x.imag = 1.0
    with pytest.raises(DTypeError):
        infinite.real = 1j


def test_views():
    memory = X.copy()
    t = bp.asarray(memory)
    t.view()[0, 0] = 9.0
    t.view(np.int64)[0, 1] = 0
    assert memory[0, :2].tolist() == [9.0, 0.0]
    y = bp.tensor(X, requires_grad=True) * 1
    y.view()[0] = 0.0  # a view without a dtype is a slice of everything
    assert y.tolist()[0] == [0.0] * 4
    pairs = y.view(complex)
    np.testing.assert_array_equal(pairs.detach().numpy(), y.detach().numpy().view(complex))
    check_grads(lambda x: x.view(complex), [X])
    check_grads(lambda z: (z * z).view(float), [X + 1j * X[::-1]])
    with pytest.raises(GradientError, match="view"):
        pairs[0] = 1j
    with pytest.raises(DTypeError, match="pairs of reals"):
        y.view(np.int64)
    with pytest.raises(TypeError, match="type"):
        y.view(type=np.ndarray)


def test_astype():
    t = bp.tensor(X, requires_grad=True)
    assert t.astype(float, copy=False) is t
    assert t.astype(float) is not t
    assert t.astype(np.float32, "F").flags.f_contiguous
    with pytest.raises(DTypeError, match="casting='safe'"):
        t.astype(np.float32, casting="safe")
    with pytest.raises(ValueError, match="order"):
        t.copy("Z")


# ------------------------------------------------------------------ operators
def test_divmod_and_bits_in_place():
    for a, b in ((X, 0.35), (0.35, X), (X, X[0]), (np.arange(-3, 3), 4), (7, np.arange(1, 4))):
        for got, want in zip(
            divmod(bp.asarray(a), b) if np.ndim(a) else divmod(a, bp.asarray(b)), divmod(a, b), strict=True
        ):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got.numpy(), want)
    check_grads(lambda x: divmod(2.0, x)[1], [np.array([0.3, 0.7, 1.1])])
    with pytest.raises(TypeError):
        divmod(bp.asarray(X), "text")
    assert bp.asarray(X).var(correction=1) == X.var(ddof=1)
    t, want = bp.asarray(np.arange(6)), np.arange(6)
    for name in ("and", "or", "xor", "lshift", "rshift"):
        other = np.array([3, 1, 2, 0, 1, 2])
        t = getattr(t, f"__i{name}__")(other)
        want = getattr(want, f"__i{name}__")(other)
        assert t.tolist() == want.tolist()
    m = bp.tensor(np.eye(3) + 1, requires_grad=True) * 1
    m @= np.full((3, 3), 2.0)
    assert m.shape == (3, 3)
    assert m.tolist() == ((np.eye(3) + 1) @ np.full((3, 3), 2.0)).tolist()


def test_an_array_on_the_left_leaves_the_operator_to_the_tensor():
    x = bp.tensor(X[0], requires_grad=True)
    a = X[1].copy()
    for f in (lambda: a + x, lambda: a @ x, lambda: a**2 - x, lambda: a % (x + 3), lambda: np.float32(2) / x):
        assert f().node is not None
    assert isinstance(a < x, bp.Tensor)
    assert isinstance(divmod(a, x + 3)[1], bp.Tensor)
    with pytest.raises(TypeError, match="gradient would be lost"):
        a += x


# ------------------------------------------------------------------ what editors see
def test_signatures_list_what_is_bound():
    listed = next(
        node
        for node in ast.walk(ast.parse(Path(signatures.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    functions = {f.name: f for f in listed.body if isinstance(f, ast.FunctionDef)}
    for name, function in functions.items():
        assert hasattr(bp.Tensor, name), name
        bound = getattr(bp.Tensor, name)
        if name in METHODS and callable(bound):
            given = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)][1:]
            real = list(inspect.signature(bound).parameters.values())[1:]
            named = [p.name for p in real if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            assert [n for n in given if n not in named] == [], name
    assert set(METHODS) <= set(functions)
