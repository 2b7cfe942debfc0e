"""Every ufunc of NumPy on Tensors: calls with all options, reduce, accumulate, reduceat, outer, at."""

import numpy as np
import pytest
from oracles import quiet, torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError, GradientError
from tensorflowlite_bp.ops.ufuncs import RECORDED
from tensorflowlite_bp.testing import check_grads

UFUNCS = sorted({u for u in vars(np).values() if isinstance(u, np.ufunc)}, key=lambda u: u.__name__)
REAL = [u for u in UFUNCS if any(t[: u.nin] in ("d" * u.nin, "dl", "di") for t in u.types)]
ELEMENTWISE = [u for u in REAL if u.signature is None]
BINARY = [u for u in ELEMENTWISE if (u.nin, u.nout) == (2, 1) and u is not np.ldexp]
REDUCING = [u for u in BINARY if np.dtype(np.float64).char in [t[-1] for t in u.types]]
DIFFERENTIABLE = [u for u in REDUCING if u in RECORDED]
POSITIVE = {
    np.arccosh: 1.2,
    np.log: 0.2,
    np.log2: 0.2,
    np.log10: 0.2,
    np.sqrt: 0.2,
    np.power: 0.5,
    np.float_power: 0.5,
}
ids = dict(ids=lambda u: u.__name__)


def sample(ufunc, *shapes, seed=0):
    """Float arguments within a ufunc's domain, away from its kinks; no two elements equal."""
    r = np.random.default_rng(seed)
    low = POSITIVE.get(ufunc, 0.2)
    out = []
    for shape in shapes:
        x = low + (0.1 + r.permutation(int(np.prod(shape))).reshape(shape)) / max(np.prod(shape), 1) * 0.6137
        if ufunc not in POSITIVE:
            x *= r.choice([-1, 1], shape)
        out.append(x + 0.7 if ufunc in (np.remainder, np.fmod, np.floor_divide, np.divmod) and out else x)
    return out


def leaves(arrays):
    return [bp.tensor(a, requires_grad=True) if a.dtype.kind in "fc" else bp.asarray(a) for a in arrays]


def arguments(ufunc, shape=(3, 4)):
    """Arguments of a call."""
    if ufunc is np.ldexp:
        return [*sample(ufunc, shape), np.arange(-1, 3)[: shape[-1]]]
    if ufunc.signature is not None:
        shapes = {"matmul": [(3, 4), (4, 3)], "matvec": [(3, 4), (4,)], "vecmat": [(3,), (3, 4)]}
        return sample(ufunc, *shapes.get(ufunc.__name__, [(3, 4), (3, 4)]))
    return sample(ufunc, *[shape] * ufunc.nin)


def same(got, want, rtol=1e-13):
    """A Tensor or a tuple of them against NumPy's arrays, dtypes included."""
    many = isinstance(want, tuple)
    for g, w in zip(got if many else [got], want if many else [want], strict=True):
        assert isinstance(g, bp.Tensor)
        assert (g.dtype, g.shape) == (np.asarray(w).dtype, np.shape(w))
        np.testing.assert_allclose(g.detach().numpy(), w, rtol=rtol, atol=1e-14)


def floats(ufunc, out):
    """The result that has a derivative, of several."""
    return out[ufunc is np.divmod] if isinstance(out, tuple) else out


def listed(out):
    return out if isinstance(out, tuple) else (out,)


def nothing(ufunc):
    """Whether real arguments get no gradient."""
    return ufunc not in RECORDED or ufunc is np.sign


OUT_OF_ORDER = (np.power, np.arctan2)  # NumPy 2.4 reduces their contiguous arguments out of order


def reduced(ufunc, x, axis, initial=None, where=True, **option):
    """NumPy's reduce; for those two its shape, dtype and errors, but the values of a loop."""
    given = {} if initial is None else {"initial": initial}
    want = ufunc.reduce(x, axis=axis, where=where, **given, **option)
    if ufunc not in OUT_OF_ORDER or not isinstance(axis, int):
        return want
    rows, masks = np.moveaxis(x, axis, 0), np.moveaxis(np.broadcast_to(where, x.shape), axis, 0)
    rows = rows.astype(want.dtype)
    out = rows[0] if initial is None else np.full(rows[0].shape, initial)
    for k in range(initial is None, len(rows)):
        out = np.where(masks[k], ufunc(out, rows[k]), out)
    return out.reshape(want.shape)


# ------------------------------------------------------------------ calls
@pytest.mark.parametrize("ufunc", REAL, **ids)
def test_calls(ufunc):
    args = arguments(ufunc)
    out = ufunc(*leaves(args))
    same(out, ufunc(*args))
    assert (floats(ufunc, out).node is None) == nothing(ufunc)
    if not nothing(ufunc):
        fixed = args[ufunc.nin - (ufunc is np.ldexp) :]
        check_grads(lambda *xs: floats(ufunc, ufunc(*xs, *fixed)), args[: len(args) - len(fixed)], order=2)


@pytest.mark.parametrize("ufunc", UFUNCS, **ids)
def test_integers_bools_and_constants_are_numpys(ufunc):
    for dtype in ("bool", "int8", "uint16", "int64", "complex64"):
        args = [(np.arange(3) if ufunc.nin == 1 else np.arange(2, 5)).astype(dtype)] * ufunc.nin
        if ufunc in (np.matvec, np.matmul):
            args[0] = np.resize(args[0], (2, 3))
        if ufunc is np.vecmat:
            args[1] = np.resize(args[1], (3, 2))
        with np.errstate(all="ignore"):
            try:
                want = ufunc(*args)
            except TypeError:
                with pytest.raises(TypeError):
                    ufunc(*[bp.asarray(a) for a in args])
                continue
            same(ufunc(*[bp.asarray(a) for a in args]), want, rtol=1e-6)


def test_dates():
    days = np.array(["2026-01-01", "NaT"], "datetime64[D]")
    same(np.isnat(bp.asarray(days)), np.isnat(days))


@pytest.mark.parametrize("ufunc", ELEMENTWISE, **ids)
def test_out(ufunc):
    args = arguments(ufunc)
    want = listed(ufunc(*args))
    targets = tuple(bp.asarray(np.zeros_like(w)) for w in want)
    xs = leaves(args)
    got = ufunc(*xs, out=targets if len(want) > 1 else targets[0])
    assert listed(got)[0] is targets[0]
    same(listed(got), want)
    plain = tuple(np.zeros_like(w) for w in want)
    if not nothing(ufunc):
        grad = bp.grad(lambda *xs: floats(ufunc, ufunc(*xs)).sum())(*args)
        floats(ufunc, got).sum().backward()
        np.testing.assert_allclose(xs[0].grad.numpy(), grad)
        with pytest.raises(TypeError, match=r"(?s)gradient would be lost.*bp\.asarray"):
            ufunc(*leaves(args), out=plain)
    constant = listed(ufunc(*[bp.asarray(a) for a in args], out=plain))
    for c, p, w in zip(constant, plain, want, strict=True):
        assert c is p
        np.testing.assert_allclose(c, w)


MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, True]])


@pytest.mark.parametrize("ufunc", ELEMENTWISE, **ids)
def test_where(ufunc):
    args = arguments(ufunc)
    want = listed(ufunc(*args))
    for left, out in ((7, tuple(bp.asarray(np.full_like(w, 7)) for w in want)), (0, (None,) * len(want))):
        got = ufunc(*leaves(args), out=out, where=bp.asarray(MASK))
        same(listed(got), tuple(np.where(MASK, w, left).astype(w.dtype) for w in want))
    if not nothing(ufunc):
        n = 1 if ufunc is np.ldexp else len(args)
        check_grads(
            lambda *xs: floats(ufunc, ufunc(*map(bp.asarray, xs), *args[n:], out=out, where=MASK)), args[:n]
        )


def test_what_where_leaves_out_does_not_reach_the_gradient():
    x = bp.tensor([4.0, 0.0, -1.0], requires_grad=True)
    np.log(x, out=None, where=x.detach() > 0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.25, 0, 0])
    base = bp.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = base * 2
    x.grad = None
    np.sqrt(x, out=y, where=[True, False, False])
    (y * y).sum().backward()
    np.testing.assert_array_equal(base.grad.numpy(), [0, 16, 24])
    np.testing.assert_array_equal(x.grad.numpy(), [1, 0, 0])
    with pytest.raises(TypeError, match="booleans"):
        np.log(x, out=None, where=np.array([1, 0, 1]))


@pytest.mark.parametrize("ufunc", [u for u in ELEMENTWISE if u in RECORDED], **ids)
def test_dtype_casting_order_signature_subok(ufunc):
    args = arguments(ufunc)
    wide, narrow = leaves(args), [a.astype(np.float32) if a.dtype.kind == "f" else a for a in args]
    options = [dict(casting="unsafe"), dict(order="F"), dict(order="C", subok=False), dict(dtype=np.float64)]
    if ufunc not in (np.float_power,):
        options += [dict(dtype=np.float32), dict(dtype="f4", casting="same_kind"), dict(casting="no")]
    if ufunc.nin == 2 and ufunc is not np.ldexp and ufunc.nout == 1:
        options += [dict(signature="dd->d"), dict(signature=(None, None, np.float64))]
    for option in options:
        for arrays, tensors in ((args, wide), (narrow, leaves(narrow))):
            try:
                want = ufunc(*arrays, **option)
            except TypeError as error:
                with pytest.raises(type(error)):
                    ufunc(*tensors, **option)
                continue
            got = ufunc(*tensors, **option)
            same(got, want, rtol=1e-6)
            if "order" in option:
                for g, w in zip(listed(got), listed(want), strict=True):
                    assert (g.flags.f_contiguous, g.flags.c_contiguous) == (
                        w.flags.f_contiguous,
                        w.flags.c_contiguous,
                    )
            if not nothing(ufunc):
                floats(ufunc, got).sum().backward()
                assert tensors[0].grad.dtype == arrays[0].dtype


def test_options_that_do_not_exist_or_do_not_fit():
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError):
        np.exp(x, casting="safe", dtype=np.int64)
    with pytest.raises(ValueError, match="order"):
        np.exp(x, order="Z")
    with pytest.raises(TypeError, match="casting='same_kind'"):
        np.exp(x, out=bp.zeros(2, dtype=np.int64))
    with pytest.raises(TypeError, match="where"):
        np.matmul(x, x, where=np.array([True, False]))
    with pytest.raises(TypeError, match="axis="):
        np.matmul(x, x, keepdims=True)
    with pytest.raises(TypeError):
        np.add(x, 1.0, nonsense=3)
    target = bp.zeros(2, dtype=np.float32)
    np.exp(x, out=target, casting="unsafe")
    target.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("ufunc", "shapes", "options"),
    [
        (np.matmul, [(4, 3, 2), (3, 5, 2)], dict(axes=[(0, 1), (0, 1), (1, 2)])),
        (np.vecdot, [(3, 4), (3, 4)], dict(axis=0)),
        (np.vecdot, [(3, 4), (3, 4)], dict(axis=0, keepdims=True)),
        (np.vecdot, [(3, 4), (4, 3)], dict(axes=[0, 1, ()])),
        (np.matvec, [(4, 2, 3), (3, 2)], dict(axes=[(0, 2), 0, 0])),
        (np.vecmat, [(3, 2), (3, 4, 2)], dict(axes=[0, (0, 1), 1])),
    ],
)
def test_axes_of_products(ufunc, shapes, options):
    args = sample(ufunc, *shapes)
    same(ufunc(*leaves(args), **options), ufunc(*args, **options))
    check_grads(lambda *xs: ufunc(*xs, **options), args)


# ------------------------------------------------------------------ reduce
@pytest.mark.parametrize("ufunc", REDUCING, **ids)
def test_reduce(ufunc):
    (x,) = sample(ufunc, (2, 3, 4))
    mask = np.arange(24).reshape(2, 3, 4) % 5 > 0
    mask[0] = True
    for axis in (0, -1, None, (0, 2), ()):
        for option in (
            {},
            {"keepdims": True},
            {"initial": 0.6},
            {"initial": 0.6, "where": mask},
            {"where": mask[:1], "keepdims": True},
            {"dtype": np.float32},
        ):
            try:
                want = reduced(ufunc, x, axis, **option)
            except (ValueError, TypeError):
                with pytest.raises((ValueError, TypeError)):
                    ufunc.reduce(bp.tensor(x, requires_grad=True), axis=axis, **option)
                continue
            got = ufunc.reduce(bp.tensor(x, requires_grad=True), axis=axis, **option)
            same(got, want, rtol=1e-5 if "dtype" in option else 1e-12)
            if (
                not nothing(ufunc)
                and "dtype" not in option
                and (mask.any(axis).all() or "where" not in option)
            ):
                f = lambda x, a=axis, o=option: ufunc.reduce(bp.asarray(x), axis=a, **o)
                check_grads(f, [x], order=2 if axis == 0 else 1)


def test_reduce_of_nothing_and_of_scalars():
    empty, scalar = np.empty((0, 3)), np.float64(-2.0)
    for ufunc in DIFFERENTIABLE:
        for x, option in (
            (empty, {}),
            (empty, {"initial": 2.0}),
            (scalar, {}),
            (scalar, {"initial": 0.5, "axis": None}),
        ):
            t = bp.tensor(x, requires_grad=True)
            with np.errstate(invalid="ignore"):
                try:
                    want = ufunc.reduce(x, **option)
                except ValueError:
                    with pytest.raises(ValueError):
                        ufunc.reduce(t, **option)
                    continue
                same(ufunc.reduce(t, **option), np.asarray(want))
    with pytest.raises(ValueError, match="binary"):
        np.exp.reduce(bp.tensor([1.0], requires_grad=True))
    with pytest.raises(RuntimeError):
        np.matmul.reduce(bp.tensor([[1.0]], requires_grad=True))


def test_initial_may_be_a_tensor_and_out_is_written():
    x = np.array([[0.5, 2.0], [1.5, 3.0]])
    check_grads(lambda x, s: np.multiply.reduce(x, axis=1, initial=s), [x, np.float64(1.5)])
    t, target = bp.tensor(x, requires_grad=True), bp.zeros(2)
    assert np.logaddexp.reduce(t, axis=0, out=target) is target
    target.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), np.exp(x - np.logaddexp.reduce(x)))


@pytest.mark.parametrize(("ufunc", "name"), [(np.fmax, "amax"), (np.fmin, "amin"), (np.maximum, "amax")])
def test_ties_share_evenly(ufunc, name):
    x = np.array([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 0.0, 0.0]])
    t = bp.tensor(x, requires_grad=True)
    ufunc.reduce(t, axis=1).sum().backward()
    theirs = torch().tensor(x, requires_grad=True)
    getattr(torch(), name)(theirs, 1).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), theirs.grad.numpy())


def test_fmax_passes_over_nan():
    t = bp.tensor([[1.0, np.nan, 4.0], [np.nan, np.nan, np.nan]], requires_grad=True)
    out = np.fmax.reduce(t, axis=1)
    np.testing.assert_array_equal(out.numpy(), [4.0, np.nan])
    out.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), [[0, 0, 1], [0, 0, 0]])


# ------------------------------------------------------------------ accumulate, reduceat, outer
@pytest.mark.parametrize("ufunc", REDUCING, **ids)
def test_accumulate(ufunc):
    (x,) = sample(ufunc, (3, 5))
    for axis in (0, 1, -1):
        want = ufunc.accumulate(x, axis=axis)
        same(ufunc.accumulate(bp.tensor(x, requires_grad=True), axis=axis), want, rtol=1e-12)
    if ufunc in RECORDED:
        check_grads(lambda x: ufunc.accumulate(x, axis=1), [x])
    if ufunc is not np.float_power:
        same(
            ufunc.accumulate(leaves([x])[0], dtype=np.float32),
            ufunc.accumulate(x, dtype=np.float32),
            rtol=1e-5,
        )
    same(ufunc.accumulate(leaves([x[:0]])[0]), ufunc.accumulate(x[:0]))


def segments(ufunc, x, indices):
    """NumPy's reduceat; for power and arctan2, which it takes out of order, from accumulate."""
    if ufunc not in OUT_OF_ORDER or not len(indices):
        return ufunc.reduceat(x, np.array(indices, int))
    ends = [b if b > a else a + 1 for a, b in zip(indices, [*indices[1:], len(x)], strict=True)]
    return np.stack([ufunc.accumulate(x[a:b])[-1] for a, b in zip(indices, ends, strict=True)])


@pytest.mark.parametrize("ufunc", REDUCING, **ids)
def test_reduceat(ufunc):
    (x,) = sample(ufunc, (6, 3))
    for indices in ([0, 2, 5], [0, 4, 1, 5, 2], [3, 3, 0], []):
        want = segments(ufunc, x, indices)
        same(ufunc.reduceat(leaves([x])[0], np.array(indices, int)), want, rtol=1e-12)
    want = ufunc.reduceat(x, [0, 1], axis=1)
    same(ufunc.reduceat(leaves([x])[0], [0, 1], axis=1), want, rtol=1e-12)
    if ufunc in RECORDED:
        check_grads(lambda x: ufunc.reduceat(bp.asarray(x), [0, 4, 1, 5]), [x])
        with pytest.raises(IndexError, match="reduceat"):
            ufunc.reduceat(leaves([x])[0], [0, 6])


@pytest.mark.parametrize("ufunc", BINARY, **ids)
def test_outer(ufunc):
    x, y = sample(ufunc, (2, 3), (4,))
    same(ufunc.outer(*leaves([x, y])), ufunc.outer(x, y))
    same(ufunc.outer(x, leaves([y])[0]), ufunc.outer(x, y))
    same(ufunc.outer(leaves([x])[0], 0.75), ufunc.outer(x, 0.75))
    if ufunc in RECORDED:
        check_grads(ufunc.outer, [x, y], order=1)
        same(ufunc.outer(*leaves([x, y]), dtype=np.float64), ufunc.outer(x, y, dtype=np.float64))


# ------------------------------------------------------------------ at
PLACES = [
    np.array([0, 2, 0, 0]),
    (np.array([0, 1, 1, 1]), np.array([2, 0, 0, 1])),
    slice(1, 3),
    np.array([True, False, True]),
    (slice(None), [1, 1]),
    1,
    (0, 1),
]


@pytest.mark.parametrize("ufunc", BINARY, **ids)
def test_at(ufunc):
    x, v = sample(ufunc, (3, 4), (4,))
    for index in PLACES:
        value = v[: np.shape(x[index])[-1]] if np.ndim(x[index]) else v[0]
        if not isinstance(index, (slice, int)) and np.ndim(x[index]) == 1:
            value = v[: x[index].size]
        want = x.copy()
        try:
            ufunc.at(want, index, value)
        except TypeError:  # bools into floats
            with pytest.raises(TypeError):
                ufunc.at(bp.asarray(x.copy()), index, value)
            continue
        t = leaves([x])[0] * 1
        ufunc.at(t, index, bp.tensor(value, requires_grad=True))
        np.testing.assert_allclose(t.detach().numpy(), want, rtol=1e-13)
        if ufunc in RECORDED:

            def f(x, value, index=index):
                y = bp.asarray(x) * 1
                ufunc.at(y, index, value)
                return y

            check_grads(f, [x, value], order=2 if ufunc is np.multiply else 1)


def test_at_of_one_operand_and_into_constants():
    x = np.array([1.0, 4.0, 9.0])
    t = bp.tensor(x, requires_grad=True) * 1
    np.sqrt.at(t, [0, 2, 2])
    np.testing.assert_allclose(t.detach().numpy(), [1, 4, 3**0.5])
    plain = np.zeros(3)
    np.add.at(plain, [0, 0, 2], bp.asarray([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(plain, [3, 0, 3])
    with pytest.raises(TypeError, match="gradient would be lost"):
        np.add.at(plain, [0], bp.tensor(1.0, requires_grad=True))
    with pytest.raises(GradientError, match="leaf"):
        np.add.at(bp.tensor(x, requires_grad=True), [0], 1.0)
    counts = bp.asarray(np.array([1, 2]))
    np.add.at(counts, [0, 0], 1)
    assert counts.tolist() == [3, 2]
    with pytest.raises(TypeError):
        np.add.at(counts, [0], bp.tensor(1.5, requires_grad=True))
    z = bp.zeros(3)
    w = bp.tensor([1.0, 2.0, 3.0], requires_grad=True)
    np.add.at(z, [2, 0, 2], w)
    (z * [1.0, 1.0, 10.0]).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [10, 1, 10])
    whole = w * 2
    part = whole[1:]
    np.multiply.at(part, [0], 5.0)
    assert whole.tolist() == [2.0, 20.0, 6.0]


# ------------------------------------------------------------------ edges
def test_derivatives_near_poles_keep_their_digits():
    for ufunc, x, want in (
        (np.arcsin, 1 - 2.0**-40, 1 / np.sqrt(2.0**-39 - 2.0**-80)),
        (np.arctanh, 1 - 2.0**-40, 1 / (2.0**-39 - 2.0**-80)),
        (np.arcsinh, 1e200, 1e-200),
    ):
        np.testing.assert_allclose(bp.grad(ufunc)(x), want, rtol=1e-15)
    for x, y in ((1e-200, 1e-200), (1e200, 1e200)):
        np.testing.assert_allclose(bp.grad(np.arctan2, (0, 1))(x, y), [0.5 / x, -0.5 / x], rtol=1e-15)
    # the quotient rounds up to 3; the remainder belongs to 2
    y = np.nextafter(1 / 3, 1) * 1.0
    assert bp.grad(np.fmod, 1)(1.0, y) == -2.0


def test_special_values():
    with np.errstate(all="ignore"):
        assert bp.grad(np.arctan2, (0, 1))(0.0, 0.0) == (0.0, 0.0)
        assert bp.grad(np.hypot, (0, 1))(0.0, 0.0) == (0.0, 0.0)
        assert bp.grad(np.heaviside, (0, 1))(0.0, 0.5) == (0.0, 1.0)
        assert bp.grad(np.maximum, (0, 1))(2.0, 2.0) == (0.5, 0.5)
        assert bp.grad(np.fmax, (0, 1))(np.nan, 2.0) == (0.0, 1.0)
        assert bp.grad(np.fabs)(0.0) == 0.0
        assert bp.grad(np.logaddexp, (0, 1))(-np.inf, -np.inf) == (0.5, 0.5)
        assert bp.grad(lambda x: np.modf(x)[0])(np.inf) == 0.0
        assert bp.grad(lambda x: np.frexp(x)[0])(12.0) == 1 / 16
        assert bp.grad(np.sqrt)(0.0) == np.inf
        assert bp.grad(np.power)(0.0, 0.0) == 0.0


COMPLEX = [u for u in UFUNCS if "D" * u.nin + "->D" in u.types and u.signature is None and u in RECORDED]


@pytest.mark.parametrize("ufunc", [*COMPLEX, np.absolute], **ids)
def test_complex_gradients_as_jax(ufunc):
    """In all quadrants, outside the reals' domains; JAX has the same convention."""
    with quiet():
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
    r = np.random.default_rng(3)
    args = [r.normal(size=40) * 2 + 2j * r.normal(size=40) for _ in range(ufunc.nin)]
    check_grads(ufunc, args)
    if ufunc in (np.arccosh, np.sign, np.maximum, np.minimum, np.fmax, np.fmin):
        return  # JAX has the wrong branch of the first where the real part is negative, none of the others
    g = r.normal(size=40) + (1j * r.normal(size=40) if ufunc is not np.absolute else 0)
    with quiet():
        theirs, pull = jax.vjp(getattr(jax.numpy, ufunc.__name__), *args)
        want = pull(g if ufunc is np.absolute else g.astype(complex))
    ours, back = bp.vjp(ufunc, *args)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for a, b in zip(back(g), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_complex_sign_as_torch():
    r = np.random.default_rng(0)
    z, g = [r.normal(size=9) + 1j * r.normal(size=9) for _ in range(2)]
    z[0] = 0
    x = torch().tensor(z, requires_grad=True)
    torch().sgn(x).backward(torch().tensor(g))
    out, back = bp.vjp(np.sign, z)
    np.testing.assert_allclose(out, np.sign(z))
    want = np.conj(x.grad.numpy())  # torch conjugates both gradients
    np.testing.assert_allclose(back(np.conj(g))[0][1:], want[1:], rtol=1e-12)
    assert back(g)[0][0] == g[0]


def test_arrays_with_a_tensor_in_out_only():
    x = np.array([1.0, 2.0])
    target = bp.zeros(2)
    assert np.exp(x, out=target) is target
    np.testing.assert_array_equal(target.numpy(), np.exp(x))
    y = bp.tensor(x, requires_grad=True) * 3
    np.add(x, 1.0, out=y)
    assert y.tolist() == [2.0, 3.0]
    with pytest.raises(DTypeError):
        np.add(x, 1.0, out=bp.zeros(2, dtype="int64"))


# ------------------------------------------------------------------ vmap
def written(ufunc):
    def program(x):
        y = x * 1
        ufunc.at(y, [0, 0, 2], x[1])
        return y

    return program


def in_place(name, *args):
    def program(x):
        y = x * 1
        getattr(y, name)(*args)
        return y

    return program


MAPPED = {
    "where": lambda x: np.log(x, out=None, where=MASK),
    "where differs": lambda x: np.log(x, out=None, where=x > 1),
    "dtype": lambda x: np.exp(x, dtype=np.float64),
    "reduce": lambda x: (
        np.maximum.reduce(x, axis=1, where=MASK, initial=0.1) + np.logaddexp.reduce(x, axis=1)
    ),
    "reduce in order": lambda x: np.subtract.reduce(x, axis=0),
    "accumulate": lambda x: np.multiply.accumulate(x, axis=1) + np.divide.accumulate(x, axis=1),
    "reduceat": lambda x: np.add.reduceat(x, [0, 2], axis=1) * np.fmax.reduceat(x, [0, 2], axis=1),
    "outer": lambda x: np.arctan2.outer(x, x[0]),
    "add.at": written(np.add),
    "multiply.at": written(np.multiply),
    "sort": in_place("sort", 0),
    "partition": in_place("partition", 1),
    "flat": lambda x: x.flat[2:7],
    "several": lambda x: np.modf(x)[0] + np.frexp(x)[0] + np.divmod(x, 0.3)[1],
    "products": lambda x: np.vecmat(x[:, 0], x) + np.matvec(x.T, x[:, 1]),
}


@pytest.mark.parametrize("name", MAPPED)
def test_vmap(name):
    f, xs = MAPPED[name], np.random.default_rng(0).uniform(0.5, 2, (5, 3, 4))
    one_by_one = lambda xs: bp.stack([f(x) for x in bp.asarray(xs)])
    np.testing.assert_allclose(bp.vmap(f)(bp.asarray(xs)).numpy(), one_by_one(xs).numpy(), rtol=1e-13)
    g = np.random.default_rng(1).normal(size=one_by_one(xs).shape)
    np.testing.assert_allclose(
        bp.vjp(bp.vmap(f), xs)[1](g)[0], bp.vjp(one_by_one, xs)[1](g)[0], rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("recorded", [False, True])
def test_at_spreads_a_row_over_a_table_of_indices(dtype, recorded):
    row = np.random.default_rng(0).normal(size=64).astype(dtype)
    places = np.arange(7)[:, None] * 32 + np.arange(64)
    want = np.zeros(places.max() + 1, dtype)
    for at in places:
        want[at] += row
    t = bp.tensor(np.zeros_like(want), requires_grad=recorded) * 1
    np.add.at(t, places, row)
    np.testing.assert_array_equal(t.numpy(), want)
