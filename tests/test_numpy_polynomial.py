"""numpy.polynomial's functions on Tensors: NumPy's values, exact derivatives."""

import numpy as np
import pytest

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bn
from tensorflowlite_bp.numpy._series import FAMILIES
from tensorflowlite_bp.testing import check_grads

R = np.random.default_rng(4)
X, C = R.uniform(-1, 1, (2, 3)), R.normal(size=5)
C2, C3 = R.normal(size=(4, 3)), R.normal(size=(2, 3, 2))
CALLS = {
    "val": [(X, C), (X, C2), (X, C2[:, :1], False), (0.3, C), (X, C[:1])],
    "val2d": [(X, X, C2), (X, X[:, :1], C2)],
    "val3d": [(X, X, X + 1, C3)],
    "grid2d": [(X, X[0], C2)],
    "grid3d": [(X[0], X[0], X[1], C3)],
    "vander": [(X, 4), (X, 0), (0.5, 2), (X, -1)],
    "vander2d": [(X, X, [1, 2])],
    "vander3d": [(X, X, X, [1, 2, 1])],
    "der": [(C,), (C, 2, 3.0), (C, 0), (C2, 1, 1, 1), (C, 9)],
    "int": [(C,), (C, 2, [1, 2], -1, 3.0), (C2, 1, [3.0], 0.5, 1, 1), (C * 0,), (C[:1] * 0, 1, [3]),
            (C, 1, [1, 2])],
    "mulx": [(C,), (np.zeros(1),), (np.array([1.0, 0, 0]),)],
    "add": [(C, C[:2]), (C, -C)],
    "sub": [(C, C[:2]), (C[:2], C)],
    "mul": [(C, C[:3]), (C[:1], C), (C * 0, C)],
}  # fmt: skip


@pytest.mark.parametrize("prefix", FAMILIES)
@pytest.mark.parametrize("name", CALLS)
def test_values_and_derivatives(prefix, name):
    module = FAMILIES[prefix][0]
    theirs = getattr(getattr(np.polynomial, module), prefix + name)
    ours = getattr(getattr(bn.polynomial, module), prefix + name)
    for call in CALLS[name]:
        floats = [isinstance(a, np.ndarray) and a.dtype == float for a in call]
        tensors = [bp.tensor(a, requires_grad=True) if f else a for a, f in zip(call, floats, strict=True)]
        if not any(floats):
            continue
        try:
            want = theirs(*call)
        except ValueError:
            with pytest.raises(ValueError, match="Received"):
                ours(*tensors)
            continue
        out = ours(*tensors)
        assert out.shape == want.shape
        np.testing.assert_allclose(out.numpy(), want, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(ours(*call), want)

        def f(*xs, call=call, floats=floats):
            xs = iter(xs)
            return ours(*[next(xs) if f else a for a, f in zip(call, floats, strict=True)])

        arrays = [a for a, f in zip(call, floats, strict=True) if f]
        if all(a.all() for a in arrays) and not (name == "add" and call[0] is C and call[1].size == C.size):
            check_grads(f, arrays)


def test_series_to_the_third_order():
    x = np.linspace(-0.9, 0.9, 5)
    f, c = bn.polynomial.chebyshev.chebval, C
    slope = lambda x: f(x, C)
    for _ in range(3):
        slope, c = bp.elementwise_grad(slope), np.polynomial.chebyshev.chebder(c)
        np.testing.assert_allclose(slope(x), np.polynomial.chebyshev.chebval(x, c), rtol=1e-10)


def test_bounds_constants_and_scales_have_gradients():
    for prefix, (module, _) in FAMILIES.items():
        integral = getattr(getattr(bn.polynomial, module), prefix + "int")
        check_grads(lambda k, b, s, f=integral: f(C, 1, [k], b, s), [np.array(v) for v in (0.4, -0.3, 1.2)])
