"""Small programs and what CuPy makes of each: a value, or the exceptions one of which it raises.

They keep the stand-in honest: `test_cupy_conformance.py` runs them on it everywhere, and on CuPy where there
is a GPU. Where the stand-in is stricter on purpose (what CuPy leaves undefined), nothing is listed here.
"""

import importlib

import numpy as np


def ones(cp, *shape, dtype="float32"):
    return cp.ones(shape, dtype)


def setting(cp, index, value):
    a = cp.zeros((2, 3))
    a[index] = value
    return a


def adding(cp):
    a = cp.zeros(3)
    cp.add.at(a, cp.asarray([0, 2]), cp.asarray([1.0, 2.0]))
    return a


def on_stream(cp):
    with cp.cuda.Stream(non_blocking=True) as stream:
        out = cp.arange(3) * 2
        stream.synchronize()
    return out


def captured(cp, body):
    x = cp.ones((2, 2))
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        body(x)  # what is compiled or allocated at first is not captured
        stream.begin_capture()
        try:
            body(x)
        finally:
            stream.end_capture()


REFUSED = (TypeError, ValueError)


# (what, program, outcome): outcome is a list, a number or a string, or a tuple of exceptions
def scipy(name):
    return importlib.import_module(f"cupyx.scipy.{name}")


def copied_where(cp):
    a = ones(cp, 3)
    cp.copyto(a, cp.zeros(3, "float32"), where=cp.arange(3) == 1)
    return a.get()


def factored(cp):
    p, lower, upper = scipy("linalg").lu(cp.asarray([[0.0, 2.0], [3.0, 1.0]]), check_finite=False)
    assert cp.argmax(p, axis=0).get().tolist() == [1, 0]
    return (p @ lower @ upper).get()


def uploaded(cp):
    """As `backend/cupy_upload.py`: the copy is ordered by events, nobody waits on the host."""
    source = importlib.import_module("cupyx").empty_pinned(12, "uint8").view("float32")
    source[...] = [0, 1, 2]
    stream = cp.cuda.Stream(non_blocking=True)
    stream.wait_event(cp.cuda.get_current_stream().record())
    with stream:
        out = cp.empty(3, "float32")
        out.set(source, stream=stream)
    event = stream.record()
    cp.cuda.get_current_stream().wait_event(event)
    assert event.done in (True, False)
    return out.get()


PROGRAMS = [
    # arithmetic, scalars, dtypes
    ("scalar on the right", lambda cp: (ones(cp, 2) * 2.5).get(), [2.5, 2.5]),
    ("scalar on the left", lambda cp: (3 - ones(cp, 2)).get(), [2.0, 2.0]),
    ("NumPy scalar on the left", lambda cp: (np.float32(3) * ones(cp, 2)).get(), [3.0, 3.0]),
    ("Python scalars are weak", lambda cp: str((ones(cp, 2) * 2.5).dtype), "float32"),
    ("NumPy scalars are not", lambda cp: str((ones(cp, 2) * np.float64(2)).dtype), "float64"),
    ("in place", lambda cp: ones(cp, 2).__iadd__(1).get(), [2.0, 2.0]),
    ("division by zero is silent", lambda cp: (ones(cp, 1) / 0).get(), [np.inf]),
    ("a host array as an operand", lambda cp: ones(cp, 2) + np.ones(2), REFUSED),
    ("a list as an operand of a ufunc", lambda cp: cp.add(ones(cp, 2), [1, 2]), REFUSED),
    ("a ufunc of host arrays", lambda cp: cp.exp(np.ones(2)), REFUSED),
    (
        "where on a host condition",
        lambda cp: cp.where(np.ones(2, bool), ones(cp, 2), 0),
        (*REFUSED, AttributeError),
    ),
    ("concatenate with a host array", lambda cp: cp.concatenate([ones(cp, 2), np.ones(2)]), REFUSED),
    # to the host
    ("asarray of a device array", lambda cp: np.asarray(ones(cp, 2)), REFUSED),
    ("float", lambda cp: float(ones(cp, 2).sum()), 2.0),
    ("item", lambda cp: ones(cp, 2).sum().item(), 2.0),
    ("sums are arrays", lambda cp: type(ones(cp, 2).sum()) is cp.ndarray, True),
    ("an element is an array", lambda cp: type(ones(cp, 2)[0]) is cp.ndarray, True),
    # NumPy's functions
    ("np.exp", lambda cp: type(np.exp(ones(cp, 2))) is cp.ndarray, True),
    ("np.sum", lambda cp: float(np.sum(ones(cp, 2, 3))), 6.0),
    ("np.concatenate", lambda cp: np.concatenate([ones(cp, 1), ones(cp, 1)]).get(), [1.0, 1.0]),
    ("np.linalg.inv", lambda cp: float(np.linalg.inv(cp.eye(2) * 2)[0, 0]), 0.5),
    ("np.insert is not there", lambda cp: np.insert(ones(cp, 2), 0, 1), REFUSED),
    # reductions
    ("add.reduce", lambda cp: cp.add.reduce(ones(cp, 2, 3), axis=1).get(), [3.0, 3.0]),
    ("add.reduce of all", lambda cp: float(cp.add.reduce(ones(cp, 2, 3), axis=None)), 6.0),
    ("maximum.reduce", lambda cp: cp.maximum.reduce(ones(cp, 2)), (NotImplementedError,)),
    ("max of nothing", lambda cp: ones(cp, 0).max(), (ValueError,)),
    ("sum of nothing", lambda cp: float(ones(cp, 0).sum()), 0.0),
    ("argmax", lambda cp: int(cp.asarray([1, 5, 2]).argmax()), 1),
    ("sum of float16", lambda cp: float(ones(cp, 4096, dtype="float16").sum()), 4096.0),
    # indexing
    ("a slice is a view", lambda cp: (lambda a: a[1:].base is a)(ones(cp, 3)), True),
    ("an integer array copies", lambda cp: ones(cp, 3)[cp.asarray([0, 1])].base is None, True),
    ("a mask", lambda cp: ones(cp, 3)[cp.asarray([True, False, True])].shape, (2,)),
    ("assign a number", lambda cp: setting(cp, 0, 7).get(), [[7, 7, 7], [0, 0, 0]]),
    ("assign a device array", lambda cp: setting(cp, 1, cp.arange(3)).get(), [[0, 0, 0], [0, 1, 2]]),
    ("assign a number by a mask", lambda cp: setting(cp, cp.ones((2, 3), bool), 1).get(), [[1] * 3] * 2),
    ("assign a host array to a row", lambda cp: setting(cp, 0, np.ones(3)), REFUSED),
    ("add.at", adding, lambda: [1.0, 0.0, 2.0]),
    (
        "take_along_axis",
        lambda cp: cp.take_along_axis(cp.arange(3)[None], cp.asarray([[2]]), -1).get(),
        [[2]],
    ),
    ("put_along_axis", lambda cp: hasattr(cp, "put_along_axis"), True),
    # shapes and strides
    ("transposed is a view", lambda cp: (lambda a: a.T.base is a)(ones(cp, 2, 3)), True),
    ("strides of a transposed view", lambda cp: ones(cp, 2, 3).T.strides, (4, 12)),
    ("ascontiguousarray", lambda cp: cp.ascontiguousarray(ones(cp, 2, 3).T).flags.c_contiguous, True),
    ("broadcast_to", lambda cp: cp.broadcast_to(ones(cp, 3), (2, 3)).strides, (0, 4)),
    ("as_strided", lambda cp: cp.lib.stride_tricks.as_strided(cp.arange(4), (2,), (16,)).get(), [0, 2]),
    # what is made
    ("full writes a number", lambda cp: cp.full((), 2.5, "float32").get(), 2.5),
    ("zeros", lambda cp: cp.zeros(2, "int64").get(), [0, 0]),
    ("arange", lambda cp: str(cp.arange(3).dtype), "int64"),
    ("asarray of a list", lambda cp: cp.asarray([1.0, 2.0]).get(), [1.0, 2.0]),
    ("asarray of arrays", lambda cp: cp.asarray([cp.ones(()), cp.zeros(())]).get(), [1.0, 0.0]),
    ("result_type", lambda cp: str(cp.result_type(ones(cp, 1), "float64")), "float64"),
    # modules
    ("no errstate", lambda cp: cp.errstate, (AttributeError,)),
    ("no spacing", lambda cp: cp.spacing, (AttributeError,)),
    ("no svdvals", lambda cp: cp.linalg.svdvals, (AttributeError,)),
    ("fft", lambda cp: cp.fft.rfft(ones(cp, 4)).real.get(), [4.0, 0.0, 0.0]),
    ("einsum", lambda cp: cp.einsum("ij,ij->i", ones(cp, 2, 3), ones(cp, 2, 3)).get(), [3.0, 3.0]),
    ("matmul", lambda cp: (ones(cp, 2, 3) @ ones(cp, 3, 1)).get(), [[3.0], [3.0]]),
    ("no initial", lambda cp: ones(cp, 2).max(initial=0.0), (TypeError,)),
    ("no hermitian", lambda cp: cp.linalg.pinv(ones(cp, 2, 2), 1e-6, True), (TypeError,)),
    ("count_nonzero", lambda cp: cp.count_nonzero(ones(cp, 2, 3) > 0, axis=-1).get(), [3, 3]),
    ("copyto where", copied_where, [1.0, 0.0, 1.0]),
    ("lu", factored, [[0.0, 2.0], [3.0, 1.0]]),
    ("no logm", lambda cp: scipy("linalg").logm, (AttributeError,)),
    ("no cosine transform of type 1", lambda cp: scipy("fft").dct(ones(cp, 4), 1), (NotImplementedError,)),
    # devices and streams
    ("pinned memory, a copy on a stream", uploaded, [0.0, 1.0, 2.0]),
    ("the device", lambda cp: ones(cp, 1).device.id, 0),
    ("a stream", on_stream, lambda: [0, 2, 4]),
    ("capture: elementwise", lambda cp: captured(cp, lambda x: x * 2 + 1), None),
    ("capture: reading", lambda cp: captured(cp, lambda x: float(x.sum())), (RuntimeError,)),
    ("capture: cuBLAS", lambda cp: captured(cp, lambda x: x @ x), (NotImplementedError,)),
    ("an address", lambda cp: (lambda a: a[1:].data.ptr - a.data.ptr)(ones(cp, 3)), 4),
]


def run(cp, program, outcome):
    """Raises AssertionError when the program does not end as it should."""
    if isinstance(outcome, tuple) and outcome and isinstance(outcome[0], type):
        try:
            found = program(cp)
        except outcome:
            return
        raise AssertionError(f"{found!r}, where one of {outcome} was expected")
    found, want = program(cp), outcome() if callable(outcome) else outcome
    if isinstance(found, cp.ndarray):
        found = found.get()
    if isinstance(found, np.ndarray):
        np.testing.assert_array_equal(found, want)
    else:
        assert found == want, f"{found!r}, where {want!r} was expected"
