"""Philox against its published vectors; distributions; streams."""

import threading

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import common, numpy_backend
from tensorflowlite_bp.backend.native import native
from tensorflowlite_bp.ops.random import Generator

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 as the paper writes it, on Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(right >> 32) ^ c[1] ^ k[0], right & MASK, (left >> 32) ^ c[3] ^ k[1], left & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


# Random123's kat_vectors
VECTORS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK,) * 4, (MASK,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_known_answers(counter, key, words):
    assert tuple(philox(counter, key)) == words


PLACES = [(0, 0), (1, 5), (0x299F31D0A4093822, 0x85A308D3243F6A88), (2**64 - 1, 2**32 - 2), (12345, 2**63)]


@pytest.mark.parametrize(("seed", "offset"), PLACES)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 1001])
def test_words(seed, offset, n):
    words = []
    for block in range(-(-n // 4)):
        at = (offset + block) & 0xFFFFFFFFFFFFFFFF
        words += philox((at & MASK, at >> 32, 0, 0), (seed & MASK, seed >> 32))
    want = np.array(words[:n], np.uint32)
    np.testing.assert_array_equal(common.philox(np, n, seed, offset), want)
    np.testing.assert_array_equal(numpy_backend.philox(n, seed=seed, offset=offset), want)
    if native is not None:
        np.testing.assert_array_equal(native.philox(n, seed, offset), want)


# ------------------------------------------------------------------ distributions
N = 50_000
G = lambda: Generator(2026)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform(dtype):
    u = G().uniform((N,), dtype=dtype)
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.astype(float), "uniform").pvalue > (1e-3 if dtype != "float16" else 1e-6)
    v = G().uniform((N,), -3.0, 5.0, dtype=dtype)
    assert v.dtype == dtype
    assert v.min() >= -3
    assert v.max() < 5
    one = G().uniform((10 * N,), 1.0, 2.0, dtype=dtype)
    assert one.max() < 2


def test_normal():
    z = G().normal((N,))
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert stats.kstest(G().normal((N,), 2.0, 3.0), "norm", (2.0, 3.0)).pvalue > 1e-3
    assert abs(np.corrcoef(z[: N // 2], z[N // 2 :])[0, 1]) < 0.02
    assert G().normal((3, 5), dtype="float32").dtype == np.float32
    assert np.isfinite(z).all()


def test_truncated_normal():
    z = G().truncated_normal((N,), 1.0, 2.0)
    assert z.min() >= -3
    assert z.max() <= 5
    assert stats.kstest(z, stats.truncnorm(-2, 2, 1.0, 2.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("low", "high"), [(0, 7), (-3, 4), (0, 2**20), (5, 5 + 2**40), (-(2**62), 2**62)])
def test_integers(low, high):
    k = G().integers(low, high, (N,))
    assert k.dtype == np.int64
    assert k.min() >= low
    assert k.max() < high
    bins = min(high - low, 16)
    counts = np.bincount(((k.astype(float) - low) * bins / (high - low)).astype(int), minlength=bins)[:bins]
    assert stats.chisquare(counts * 1.0, np.full(bins, counts.sum() / bins)).pvalue > 1e-4


def test_integers_arguments():
    assert set(G().integers(3, shape=(100,)).tolist()) == {0, 1, 2}
    assert G().integers(256, shape=(4,), dtype="uint8").dtype == np.uint8
    for low, high in ((3, 3), (4, 1)):
        with pytest.raises(ValueError, match="low"):
            G().integers(low, high)


def test_permutation():
    orders = [tuple(Generator(k).permutation(3)) for k in range(600)]
    assert all(sorted(o) == [0, 1, 2] for o in orders)
    assert min(orders.count(o) for o in set(orders)) > 60
    assert len(set(orders)) == 6
    assert sorted(G().permutation(1000).tolist()) == list(range(1000))
    assert G().permutation(0).size == 0


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_rate(rate):
    x = bp.tensor(np.ones((200, 250)), requires_grad=True)
    out = bp.nn.dropout(x, rate, generator=G())
    kept = out.numpy() != 0
    assert abs(kept.mean() - (1 - rate)) < 0.01
    np.testing.assert_allclose(out.numpy()[kept], 1 / (1 - rate))
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.numpy())
    assert bp.nn.dropout(x, rate, training=False, generator=G()).numpy().all()


def test_dropout_of_complex_numbers():
    x = bp.tensor(np.full(1000, 1 + 2j), requires_grad=True)
    out = bp.nn.dropout(x, 0.25, generator=Generator(3))
    real = bp.nn.dropout(np.ones(1000), 0.25, generator=Generator(3)).numpy()
    np.testing.assert_allclose(out.numpy(), real * (1 + 2j))
    bp.sum(bp.real(out)).backward()
    np.testing.assert_allclose(x.grad.numpy(), real)


# ------------------------------------------------------------------ streams
def test_streams():
    a, b = Generator(7), Generator(7)
    first = a.uniform((5,))
    np.testing.assert_array_equal(first, b.uniform((5,)))
    state = a.state
    second = a.normal((3,))
    assert not np.array_equal(first[:3], second)
    a.state = state
    np.testing.assert_array_equal(a.normal((3,)), second)
    assert Generator(8).seed != Generator(7).seed
    assert not np.array_equal(Generator(8).uniform((5,)), first)
    assert Generator().seed != Generator().seed
    assert repr(Generator(3)) == "Generator(seed=3, offset=0)"


def test_spawned_streams_are_apart():
    parent = Generator(1)
    children = [parent.spawn() for _ in range(50)]
    assert len({c.seed for c in children}) == 50
    assert abs(np.corrcoef(children[0].normal((5000,)), children[1].normal((5000,)))[0, 1]) < 0.05


def test_the_default_stream():
    bp.random.seed(5)
    a = bp.random.default_generator().uniform((3,))
    bp.random.seed(5)
    np.testing.assert_array_equal(bp.random.default_generator().uniform((3,)), a)


def test_threads_never_draw_the_same_block():
    generator, drawn = Generator(1), []

    def draw():
        drawn.extend(generator.bits(4).tobytes() for _ in range(500))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(drawn)) == 4000
    assert generator.offset == 4000


# ------------------------------------------------------------------ dropout
@pytest.mark.skipif(native is None, reason="no compiled kernels")
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 129), (50000,), (2, 1600000)], ids=str)
def test_dropout_is_a_product_with_the_mask_drawn_twice(threads, dtype, shape):
    """The bits of x * keep_mask, in the backward again, whatever the number of threads; no mask is kept."""
    dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    mask = Generator(5).keep_mask(shape, 0.3, dtype)
    for count in (1, 3):
        threads(count)
        t = bp.tensor(x, requires_grad=True)
        out = bp.nn.dropout(t, 0.3, generator=Generator(5))
        np.testing.assert_array_equal(out.numpy(), x * mask)
        out.backward(x)
        np.testing.assert_array_equal(t.grad.numpy(), x * mask)
    assert all(kept is None for kept in bp.nn.dropout(t, 0.3).node.saved)


def test_dropout_moves_the_stream_as_its_mask_does():
    a, b = Generator(1), Generator(1)
    bp.nn.dropout(np.ones(33), 0.5, generator=a)
    b.keep_mask((33,), 0.5, np.float64)
    assert a.state == b.state


def test_dropout_of_strided_arrays():
    x = np.random.default_rng(0).normal(size=(5, 8, 3))
    out = bp.nn.dropout(x.transpose(2, 0, 1), 0.5, generator=Generator(5)).numpy()
    np.testing.assert_array_equal(out, x.transpose(2, 0, 1) * Generator(5).keep_mask((3, 5, 8), 0.5, x.dtype))
