"""Rows taken by index: the kernel against NumPy, in every dtype and for any number of threads."""

import ml_dtypes
import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import numpy_backend
from tensorflowlite_bp.backend.native import native, why_not

if native is None:
    pytest.skip(f"no compiled kernels: {why_not}", allow_module_level=True)

DTYPES = ["?", "i1", "<i2", ">i4", "i8", "e", "f", "d", "D", ml_dtypes.bfloat16, "S3", "U2", "M8[s]", "i4,f8"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (7, 2, 5), (7, 0)])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_values_and_dtypes(dtype, shape, index):
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    x = np.arange(size, dtype=np.uint8).view(dtype).reshape(shape) if size else np.zeros(shape, dtype)
    if dtype.kind in "?US":  # not every byte is one of these
        x = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    at = np.array([[3, 0, 6], [6, 6, 1]], index)
    (found,) = native.take_rows([x], at)
    assert found.dtype == dtype
    assert found.shape == (2, 3, *shape[1:])
    assert found.tobytes() == x[at].tobytes()


def test_several_arrays_at_once():
    r = np.random.default_rng(0)
    given = [r.normal(size=(50, 4)), r.integers(0, 9, 50), r.normal(size=(50, 2, 2)).astype("f")]
    at = r.permutation(50)[:20]
    for found, x in zip(native.take_rows(given, at), given, strict=True):
        assert (found == x[at]).all()
    assert native.take_rows(given, at[:0])[2].shape == (0, 2, 2)


def test_what_is_not_for_the_kernel():
    x = np.arange(12.0).reshape(6, 2)
    for at in ([0, 6], [-1, 0], [0, 2**40]):  # NumPy wraps, or raises
        assert native.take_rows([x], np.array(at)) is None
    assert native.take_rows([x], np.array([0.0])) is None
    assert native.take_rows([x], np.array([0, 1])[::-1]) is None
    assert native.take_rows([x.T], np.array([0])) is None
    assert native.take_rows([np.array([None, {}])], np.array([1])) is None  # references are counted
    assert native.take_rows([np.array(1.0)], np.array([0])) is None
    for at in (np.array([0, -1, 3]), np.array([5, 1])[::-1], np.array([True, False] * 3), np.array(2)):
        assert (numpy_backend.getitem(x, index=at) == x[at]).all()
        assert (numpy_backend.getitem(x[:, ::-1], index=at) == x[:, ::-1][at]).all()
    with pytest.raises(IndexError):
        numpy_backend.getitem(x, index=np.array([6]))
    with pytest.raises(ValueError, match=r"indices must be in \[0, 6\).*\n.*index 6 at flat position 1"):
        bp.nn.embedding(np.array([0, 6]), x)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_large_gathers_on_any_number_of_threads(threads):
    r = np.random.default_rng(1)
    x, y = r.normal(size=(3000, 100)), r.integers(0, 9, 3000)
    at = r.permutation(3000)
    before = native.get_num_threads()
    native.set_num_threads(threads)
    try:
        found = native.take_rows([x, y], at)
    finally:
        native.set_num_threads(before)
    assert (found[0] == x[at]).all()
    assert (found[1] == y[at]).all()


def test_shuffled_batches_are_a_permutation_of_all_arrays_alike():
    x = np.arange(100, dtype=np.float32).reshape(50, 2)
    y = np.arange(50)
    bp.random.seed(3)
    batches = list(bp.data.batches.ArrayBatches({"a": x, "b": x[:, ::-1]}, y, batch_size=8, shuffle=True))
    rows = np.concatenate([b[1] for b in batches])
    assert sorted(rows) == list(range(50))
    assert (rows != y).any()
    assert (np.concatenate([b[0]["a"] for b in batches]) == x[rows]).all()
    assert (np.concatenate([b[0]["b"] for b in batches]) == x[rows, ::-1]).all()
