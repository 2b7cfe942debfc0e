"""Writing in place: right gradients (torch runs the same programs), or an error; never a wrong gradient."""

import numpy as np
import pytest
import torch

import tensorflowlite_bp as bp
from tensorflowlite_bp.errors import DTypeError, GradientError, ShapeError


def leaf(data):
    return bp.tensor(np.asarray(data, float), requires_grad=True)


def same(program, *arrays):
    """The program on our tensors and on torch's: one value, one set of gradients."""
    ours = [leaf(a) for a in arrays]
    theirs = [torch.tensor(np.asarray(a, float), requires_grad=True) for a in arrays]
    out, want = program(*ours), program(*theirs)
    np.testing.assert_allclose(out.numpy(), want.detach().numpy(), rtol=1e-12)
    out.sum().backward()
    want.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        expected = np.zeros(b.shape) if b.grad is None else b.grad.numpy()
        got = np.zeros(a.shape) if a.grad is None else a.grad.numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


# ------------------------------------------------------------------ programs that torch runs too
def kept(t):
    """t itself. For torch, which refuses to differentiate overwritten factors where we keep them, a clone."""
    return t.clone() if isinstance(t, torch.Tensor) else t


def cumulative(x):
    y = x * 1
    for i in range(1, 5):
        y[i] = kept(y[i]) * kept(y[i - 1])
    return y


def recurrence(x):
    y = x * 1
    for i in range(2, 5):
        y[i] = kept(y[i - 1]) ** 2 * kept(y[i - 2])
    return y


def slices(x):
    y = x * 2
    y[1:4] = kept(y[0:3]) * kept(y[2:5])
    return y * y


def augmented(x):
    y = x * 2
    y += x
    y *= kept(y)
    y -= 1.5
    y /= x
    return y


def augmented_slice(x):
    y = x * 2
    y[1:3] += kept(y[2:4])
    y[0] *= 3.0
    y[...] -= x
    return y * x


def slice_in_a_name(x):
    y = x * 2
    part = y[1:4]
    part *= x[0]
    part[0] = x[4]
    return y * y


def slice_of_a_slice(x):
    y = x * 2
    y[1:5][1:3] += x[0]
    inner = y[1:5][2:]
    inner *= 3.0
    return y * y


def overwritten_entirely(x):
    y = x * 2
    y[:] = 0.0
    return y + x


def saved_before_the_write(x):
    y = x * 2
    z = y * y
    y[0] = 7.0
    return z + y


@pytest.mark.parametrize(
    "program",
    [
        cumulative, recurrence, slices, augmented, augmented_slice, slice_in_a_name, slice_of_a_slice,
        overwritten_entirely,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_programs(program):
    same(program, np.linspace(0.5, 1.5, 5))


def test_values_saved_before_a_write_stay():
    x = leaf([1.0, 2.0])
    saved_before_the_write(x).sum().backward()  # torch refuses this one
    np.testing.assert_allclose(x.grad.numpy(), [8.0, 18.0])


def test_rows_of_a_constant_collect_recorded_values():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    force = bp.zeros((3, 2))
    for i in range(3):
        for j in range(2):
            force[i] += w[j] * float(i + 1)
    force[1] *= 2.0
    (force * force).sum().backward()
    total = torch.tensor(w.numpy(), requires_grad=True)
    rows = torch.stack([total.sum(0) * s for s in (1.0, 4.0, 3.0)])
    (rows * rows).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), total.grad.numpy())


def test_duplicate_indices_keep_the_last_value():
    v = leaf([1.0, 2.0, 3.0])
    x = leaf([0.0, 0.0])
    y = x * 1
    y[np.array([0, 0, 1])] = v
    (y * np.array([10.0, 100.0])).sum().backward()
    np.testing.assert_array_equal(v.grad.numpy(), [0.0, 10.0, 100.0])
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 0.0])


def test_masks_and_broadcast_values():
    def program(x, v):
        y = x * 3
        mask = x > 0.9
        y[mask] = v[0] * 1.0
        y[~mask] *= 2.0
        return y * y

    same(program, np.linspace(0.5, 1.5, 5), [2.0])


def test_a_recorded_value_makes_a_constant_record():
    v = leaf([2.0, 3.0])
    x = bp.zeros(4)
    x[1:3] = v
    (x * x).sum().backward()
    np.testing.assert_array_equal(v.grad.numpy(), [4.0, 6.0])


def test_0d():
    w = leaf(2.0)
    y = w * 1.0
    y[...] = y * 3.0
    y += 1.0
    (y * y).backward()
    assert w.grad.item() == 2 * 7.0 * 3.0


def test_out():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    z = bp.zeros(2)
    assert np.multiply(x, y, out=z) is z
    np.add(z, x, out=z)
    np.multiply(z, 2.0, out=z, where=np.array([True, False]))
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [8.0, 5.0])
    np.testing.assert_array_equal(y.grad.numpy(), [2.0, 2.0])
    wide = bp.zeros((2, 2))
    np.sin(x, out=wide)
    wide.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [8.0, 5.0] + 2 * np.cos([1.0, 2.0]))


def test_narrower_target_keeps_its_dtype():
    w = leaf([1.5, 2.5])
    x = bp.zeros(2, dtype="float32")
    x += w
    assert x.dtype == np.float32
    x[0] = w[1] * w[1]
    x.sum().backward()
    assert w.grad.dtype == np.float64
    np.testing.assert_array_equal(w.grad.numpy(), [0.0, 6.0])


# ------------------------------------------------------------------ memory: who sees a write
def test_constants_alias_as_in_numpy():
    a = np.arange(6.0)
    x = bp.asarray(a)
    row = x[2:4]
    row += 10
    x[0] = -1
    np.testing.assert_array_equal(a, [-1, 1, 12, 13, 4, 5])
    y = x.reshape(2, 3)
    y[0, 0] = 5
    assert a[0] == 5
    assert row.tolist() == [12, 13]


def test_weights_are_written_in_place_under_no_grad():
    w = leaf([1.0, 2.0])
    memory = w.data
    with bp.no_grad():
        w -= 0.5
        w[0] = 7.0
        w[1:] += 1.0
    assert w.requires_grad
    assert w.is_leaf
    np.testing.assert_array_equal(w.numpy(), [7.0, 2.5])
    del memory


def test_under_no_grad_a_live_graph_keeps_what_it_saved():
    for write in (lambda w: w.__isub__(5.0), lambda w: w.__setitem__(0, 9.0), lambda w: w[0:1].__imul__(3.0)):
        w = leaf([1.0, 2.0])
        loss = (w * w * w).sum()
        with bp.no_grad():
            write(w)
        loss.backward()
        np.testing.assert_array_equal(w.grad.numpy(), [3.0, 12.0])


def test_an_overwritten_constant_is_noticed():
    def saved(write):
        w, c = leaf([1.0, 2.0, 3.0]), bp.asarray(np.array([4.0, 5.0, 6.0]))
        loss = (w * c[0:3]).sum()
        write(c)
        return loss

    for write in (
        lambda c: c.__iadd__(1.0),
        lambda c: c.__setitem__(0, 0.0),
        lambda c: c[1:].__imul__(2.0),
        lambda c: np.add(c, 1.0, out=c),
        lambda c: c.fill(0.0),
    ):
        with pytest.raises(GradientError, match="overwritten in place"):
            saved(write).backward()
    saved(lambda c: c + 1).backward()


def test_overwritten_indices_and_masks_are_noticed():
    w = leaf([1.0, 2.0, 3.0])
    i = bp.asarray(np.array([0, 1]))
    loss = (w[i] * w[i]).sum()
    i[0] = 2
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()
    mask = bp.asarray(np.array([True, False, True]))
    loss = bp.where(mask, w, 0.0).sum()
    mask[...] = False
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()


def test_a_write_before_recording_is_no_matter():
    w, c = leaf([1.0]), bp.asarray(np.array([1.0]))
    alias = c.detach()
    c += 1.0
    (w * c).sum().backward()
    assert w.grad.item() == alias.item() == 2.0


# ------------------------------------------------------------------ what cannot be followed raises
def test_leaves():
    w = leaf([1.0, 2.0])
    for write in (
        lambda: w.__setitem__(0, 1.0),
        lambda: w.__iadd__(1.0),
        lambda: w[0:1].__iadd__(1.0),
        lambda: np.add(w, 1.0, out=w),
        lambda: w.fill(0.0),
    ):
        with pytest.raises(GradientError, match=r"leaf.*(?s:.)*no_grad"):
            write()
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y.T,
        lambda y: y.reshape(-1),
        lambda y: y[None].squeeze(),
        lambda y: y.ravel(),
        lambda y: np.swapaxes(y, 0, 1),
    ],
)
def test_other_views_of_recording_tensors(view):
    y = leaf([[1.0, 2.0], [3.0, 4.0]]) * 2
    with pytest.raises(GradientError, match="view"):
        view(y)[0] = 5.0
    v = view(y)
    with pytest.raises(GradientError, match="view"):
        v += 1.0
    c = bp.asarray(np.ones((2, 2)))
    with pytest.raises(GradientError, match="view"):
        view(c)[0] = y[0, 0]


def test_complex_parts_are_views():
    z = bp.tensor([1 + 1j, 2.0], requires_grad=True) * 1
    for part in (z.real, z.imag):
        with pytest.raises(GradientError, match="view"):
            part[0] = 3.0


def test_copies_are_nobody_elses():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    for copy in (lambda: x.flatten(), lambda: x.copy().reshape(-1), lambda: (x + 0).T.reshape(-1)):
        y = copy()
        y[0] = 5.0
        x.grad = None
        (y * y).sum().backward()
        assert x.grad.numpy()[0, 0] == 0.0
        assert x.grad.numpy()[1, 1] == 8.0


def test_earlier_versions_cannot_be_written():
    y = leaf([1.0, 2.0, 3.0]) * 2
    old = y[0:2]
    y[2] = 0.0
    with pytest.raises(GradientError, match="earlier version"):
        old += 1.0
    assert old.tolist() == [2.0, 4.0]


def test_dtypes_and_shapes():
    w = leaf([1.5, 2.5])
    counts = bp.asarray(np.array([1, 2]))
    with pytest.raises(DTypeError):
        counts[0] = w[0]
    with pytest.raises(DTypeError):
        counts += w
    with pytest.raises(TypeError):
        counts += 1.5
    assert counts.tolist() == [1, 2]
    assert counts.dtype == np.int64
    x = w * 1
    with pytest.raises(ValueError):
        x += np.ones((2, 2))
    with pytest.raises(ShapeError):
        x += leaf(np.ones((3, 2)))
    with pytest.raises(ValueError):
        x[:] = np.ones(3)
    with pytest.raises(IndexError):
        x[5] = 1.0
    real = bp.zeros(2)
    with pytest.raises(DTypeError):
        real[0] = bp.tensor(1j, requires_grad=True)


def test_plain_arrays_do_not_swallow_recorded_values():
    w, a = leaf([1.0, 2.0]), np.zeros(2)
    with pytest.raises((TypeError, ValueError)) as raised:
        a[0] = w.sum()
    assert "gradient would be lost" in str(raised.value.__cause__ or raised.value)
    with pytest.raises(TypeError, match="gradient would be lost"):
        a[:] = w
    with pytest.raises(TypeError, match="gradient would be lost"):
        a += w
    assert a.tolist() == [0.0, 0.0]
    a[0] = float(w.sum())
    a += w.detach()
    assert a.tolist() == [4.0, 2.0]
