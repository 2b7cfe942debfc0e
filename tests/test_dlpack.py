"""Interchange without copies: DLPack with NumPy, torch and JAX, both ways; what is refused and why."""

import array
import gc
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bnp
from tensorflowlite_bp.ops import interchange

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "strided": lambda x: x[:, ::2],
    "row": lambda x: x[1],
    "0-d": lambda x: x[1, 1],
    "size 0": lambda x: x[:0],
    "length 1": lambda x: x[:1, :1],
}


def aligned(shape, dtype):
    """Memory on a 64-byte boundary, where JAX can use it in place."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + size].view(dtype).reshape(shape)
    out[...] = np.arange(out.size).reshape(shape)
    return out


def address(x):
    if isinstance(x, bp.Tensor):
        return x.data.ctypes.data
    if isinstance(x, torch.Tensor):
        return x.data_ptr()
    return x.ctypes.data if isinstance(x, np.ndarray) else x.unsafe_buffer_pointer()


# ------------------------------------------------------------------ both ways, dtypes and layouts
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES.split())
def test_numpy_and_torch_share_the_memory(dtype, layout):
    x = LAYOUTS[layout](bp.asarray(aligned((3, 4), dtype)))
    want = x.numpy().tolist()
    for partner in (np, torch):
        there = partner.from_dlpack(x)
        back = bp.from_dlpack(there)
        assert there.tolist() == want == back.tolist()
        assert str(there.dtype).rpartition(".")[2] == dtype == str(back.dtype)
        assert tuple(there.shape) == x.shape == back.shape
        assert address(back) == address(x) if x.size else True
        assert address(there) == address(x) if x.size else True
    assert bnp.from_dlpack(np.from_dlpack(x)).ctypes.data == address(x)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "row"])
@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "float16", "float32", "complex64"])
def test_jax_shares_the_memory(dtype, layout):
    x = LAYOUTS[layout](bp.asarray(aligned((4, 64), dtype)))
    there = jax.dlpack.from_dlpack(x)
    back = bp.from_dlpack(there)
    assert address(there) == address(x) == address(back)
    assert back.dtype == dtype
    np.testing.assert_array_equal(np.asarray(there), x.numpy())
    with pytest.raises(ValueError, match="read-only"):  # JAX's arrays never change
        back[0] = 0


@pytest.mark.parametrize("partner", ["torch", "jax"])
def test_bfloat16(partner):
    there = {"torch": torch.from_dlpack, "jax": jax.dlpack.from_dlpack}[partner]
    x = bp.asarray(aligned((64,), np.uint16).astype(ml_dtypes.bfloat16))
    out = there(x)
    assert str(out.dtype).rpartition(".")[2] == "bfloat16"
    assert [float(v) for v in out] == list(range(64))
    back = bp.from_dlpack(out)
    assert back.dtype == bp.bfloat16
    assert address(back) == address(out)
    np.testing.assert_array_equal(back.numpy().astype(float), np.arange(64.0))
    again = bp.from_dlpack(x)
    assert (again.dtype, address(again)) == (x.dtype, address(x))
    if partner == "torch":
        assert address(out) == address(x)
        assert bp.from_dlpack(out[::2]).tolist() == list(range(0, 64, 2))
    with pytest.raises(RuntimeError, match="Unsupported dtype"):
        np.from_dlpack(x)  # NumPy's to refuse: it has no bfloat16


def test_negative_strides_are_copied_out_and_taken_in():
    """torch ends the process over a negative stride, so that none is ever handed to it."""
    a = np.arange(6.0).reshape(2, 3)
    inward = bp.from_dlpack(a[:, ::-1])
    assert address(inward) == a[:, ::-1].ctypes.data
    out = torch.from_dlpack(inward)
    assert out.tolist() == a[:, ::-1].tolist()
    assert out.data_ptr() != address(inward)
    with pytest.raises(BufferError, match="negative strides"):
        inward.__dlpack__(copy=False)


def test_read_only_memory():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = bp.asarray(a)
    back = bp.from_dlpack(x)
    assert address(back) == a.ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        back += 1.0
    with pytest.raises(BufferError, match="readonly"):
        x.__dlpack__()  # DLPack before 1.0 cannot say so
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))


# ------------------------------------------------------------------ lifetime
def test_the_consumer_outlives_the_producer():
    for there in (np.from_dlpack, torch.from_dlpack, jax.dlpack.from_dlpack, bp.from_dlpack):
        x = bp.asarray(aligned((1024,), "float32"))
        out = there(x)
        del x
        gc.collect()
        rubbish = [np.full(1024, np.nan, np.float32) for _ in range(8)]
        assert float(out.sum()) == 1023 * 512
        del rubbish
    made = bp.from_dlpack(torch.arange(1000.0))
    gc.collect()
    assert float(made.sum()) == 999 * 500


def test_an_unused_capsule_gives_its_memory_back():
    a = np.arange(3.0)
    x, y = bp.asarray(a), bp.asarray(a.astype(ml_dtypes.bfloat16))
    before = sys.getrefcount(a), sys.getrefcount(y.data)
    for _ in range(10):
        x.__dlpack__(), x.__dlpack__(max_version=(1, 0)), y.__dlpack__(), y.__dlpack__(max_version=(1, 0))
    assert (sys.getrefcount(a), sys.getrefcount(y.data)) == before


def test_writing_reaches_the_partner():
    x = bp.zeros(3)
    out = torch.from_dlpack(x)
    x += 1.0
    out[0] = 5.0
    assert out.tolist() == [5, 1, 1] == x.tolist()


# ------------------------------------------------------------------ arguments and refusals
def test_copy_and_device():
    a = np.arange(3.0)
    assert address(bp.from_dlpack(a, copy=False)) == a.ctypes.data
    fresh = bp.from_dlpack(a, copy=True)
    assert address(fresh) != a.ctypes.data
    assert fresh.data.flags.writeable
    assert address(bp.from_dlpack(a, device="cpu")) == a.ctypes.data
    x = bp.asarray(a)
    assert x.__dlpack_device__() == (1, 0)
    assert address(np.from_dlpack(x, copy=True)) != address(x)
    assert np.from_dlpack(x, device="cpu", copy=False).ctypes.data == address(x)
    for wrong in ({"dl_device": (2, 0)}, {"stream": 1}):
        with pytest.raises((BufferError, RuntimeError, ValueError)):
            x.__dlpack__(**wrong)
    with pytest.raises(bp.errors.DeviceError):
        bp.from_dlpack(a, device="cuda")
    with pytest.raises(TypeError, match="__dlpack__"):
        bp.from_dlpack([1.0])


@pytest.mark.parametrize("there", [np.from_dlpack, torch.from_dlpack, jax.dlpack.from_dlpack, bp.from_dlpack])
def test_a_recording_tensor_is_not_handed_out(there):
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    for recording in (x, x * 2):
        with pytest.raises(BufferError, match=r"x\.detach\(\)"):
            there(recording)
    assert float(there(x.detach())[1]) == 2


def test_a_tensor_of_torch_that_requires_grad_is_not_taken():
    with pytest.raises(BufferError, match="grad"):
        bp.from_dlpack(torch.ones(2, requires_grad=True))


def test_only_device_arrays_have_the_cuda_interface():
    x = bp.asarray([1.0])
    assert not hasattr(x, "__cuda_array_interface__")
    assert not hasattr(
        x, "__array_interface__"
    )  # NumPy would prefer it to __array__, past the gradient's guard
    assert isinstance(bp.Tensor.__cuda_array_interface__, property)


class OnADevice:
    """What a CuPy array answers."""

    shape, strides, size = (1,), (8,), 1

    __cuda_array_interface__ = {"shape": (1,), "data": (64, False)}  # noqa: RUF012

    def __dlpack__(self, **options):
        return options

    def __dlpack_device__(self):
        return (2, 1)


def test_device_arrays_are_handed_on():
    x = bp.asarray([1.0])
    x.data = OnADevice()
    assert x.__cuda_array_interface__ is OnADevice.__cuda_array_interface__
    assert x.__dlpack_device__() == (2, 1)
    assert x.__dlpack__(stream=7, max_version=(1, 0)) == {"stream": 7, "max_version": (1, 0)}
    x.node = bp.tensor(1.0, requires_grad=True).node
    for refused in (x.__dlpack__, lambda: x.__cuda_array_interface__):
        with pytest.raises(BufferError, match="recording"):
            refused()
    with pytest.raises(bp.errors.DeviceError, match="CuPy"):
        interchange.from_dlpack(OnADevice())


# ------------------------------------------------------------------ asarray
def test_asarray_of_buffers():
    buffer = array.array("d", [1.0, 2.0])
    shared = bp.asarray(buffer, copy=False)
    buffer[0] = 5.0
    assert float(shared[0]) == 5
    assert float(bp.asarray(buffer)[0]) == 5
    apart = bp.asarray(buffer, copy=True)
    buffer[0] = 7.0
    assert float(apart[0]) == 5
    t = torch.ones(2)
    assert address(bp.asarray(t, copy=False)) == t.data_ptr()
    assert address(bp.asarray(t, copy=True)) != t.data_ptr()
    j = jnp.ones(2)
    assert bp.asarray(j).dtype == j.dtype
    for data, options in (([1.0], {}), (buffer, {"dtype": "float32"}), (3.0, {})):
        with pytest.raises(ValueError, match="copy=False"):
            bp.asarray(data, copy=False, **options)
