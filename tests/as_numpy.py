"""Whether a call gives what NumPy gives: values, dtype, shape, errors and warnings."""

import warnings

import numpy as np

import tensorflowlite_bp as bp


def outcome(call, args):
    """(its warnings, or the builtin class of its error; its results as arrays) of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call(*args)
        except Exception as error:
            return next(c for c in type(error).__mro__ if c.__module__ == "builtins"), None
    many = value if isinstance(value, (tuple, list)) else [value]
    return {w.category for w in caught}, [
        v.numpy() if isinstance(v, bp.Tensor) else np.asarray(v) for v in many
    ]


def recording(a):
    return bp.tensor(a, requires_grad=True) if isinstance(a, np.ndarray) and a.dtype.kind in "fc" else a


def same(call, *arrays, rtol=1e-13):
    """The call gives what NumPy gives for arrays, for constant and for recording Tensors."""
    arrays = [np.asarray(a) for a in arrays]
    want_kind, want = outcome(call, arrays)
    for make in (bp.asarray, recording):
        args = [make(a.copy()) for a in arrays]
        kind, got = outcome(call, args)
        assert kind == want_kind, (make, kind, want_kind)
        assert (got is None) == (want is None)
        for a, b in zip(got or [], want or [], strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            tolerance = max(rtol, 4 * np.finfo(b.dtype).eps) if b.dtype.kind in "fc" else 0
            if b.dtype == np.float16:
                tolerance = 5e-3
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
