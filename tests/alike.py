"""The same call on arrays and on Tensors: what NumPy gives is what Tensors give."""

import numpy as np

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bn


def leaves(value):
    """The arrays, numbers and dtypes in nested results."""
    if isinstance(value, (list, tuple)):
        return [leaf for v in value for leaf in leaves(v)]
    return [value.numpy() if isinstance(value, bp.Tensor) else value]


def recording(a):
    return bp.tensor(a, requires_grad=a.dtype.kind in "fc")


def outcome(call, *args):
    """(the builtin class of its error, the error), or (the kind of its result, its leaves)."""
    try:
        value = call(*args)
    except Exception as error:
        return next(c for c in type(error).__mro__ if c.__module__ == "builtins"), error
    return (type(value) if isinstance(value, (list, tuple)) else None), leaves(value)


def same(text, *arrays, rtol=1e-13, theirs=np):
    """An expression in np, a, b, c: NumPy on arrays, NumPy on constant Tensors and bp.numpy on recording ones
    give the same, or raise the same. theirs: bp.numpy where NumPy does not hand Tensors over.
    """
    call = eval(f"lambda np, a=None, b=None, c=None: {text}")
    arrays = [np.asarray(a) for a in arrays]
    with np.errstate(all="ignore"):
        kind, want = outcome(call, np, *[a.copy("K") for a in arrays])
        for namespace, make in ((theirs, bp.asarray), (bn, recording)):
            got_kind, got = outcome(call, namespace, *[make(a.copy("K")) for a in arrays])
            where = (text, [a.shape for a in arrays], want, got)
            if isinstance(want, Exception):
                assert isinstance(got, kind), where
                continue
            assert got_kind is kind, where
            assert len(got) == len(want), where
            for x, y in zip(got, want, strict=True):
                equal(x, y, rtol, where)


def equal(x, y, rtol, where):
    if isinstance(y, (str, type, type(None))):
        assert x == y, where
        return
    x, y = np.asarray(x), np.asarray(y)
    assert x.dtype == y.dtype, where
    assert x.shape == y.shape, where
    if y.dtype.kind in "fc":
        rtol = max(rtol, 8 * np.finfo(y.dtype).eps)
    np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol, err_msg=str(where))


def in_place(function, x, *args):
    """A copy of x after an in-place function."""
    out = x.copy()
    function(out, *args)
    return out
