"""Random numbers, dropout and activations on the emulator: the CPU's bits, and torch's values."""

import numpy as np
import pytest
from cuda_hosts import FLOATS, close, hosts, named, offset

from tensorflowlite_bp import random as cpu
from tensorflowlite_bp.backend import common
from tensorflowlite_bp.backend.cuda import activations, random

host = hosts
torch = pytest.importorskip("torch")

dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=named)
SIZES = [0, 1, 3, 4, 7, 130, 4099]
PLACES = [(7, 0), (2**64 - 1, 2**64 - 3), (2**40 + 5, 2**32 - 2)]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("seed", "start"), PLACES)
def test_words(host, n, seed, start):
    got = random.words(host, n, seed=seed, offset=start)
    np.testing.assert_array_equal(got, common.philox(np, n, seed, start))
    if start < 2**60:
        advance = np.array([5])
        got = random.words(host, n, seed=seed, offset=start, advance=advance)
        np.testing.assert_array_equal(got, common.philox(np, n, seed, start + 5))


@dtypes
@pytest.mark.parametrize("n", SIZES)
def test_uniform_and_normal_are_the_cpu_s(host, dtype, n):
    generator = cpu.Generator(123)
    got = random.uniform(host, (n,), dtype, seed=123, offset=0)
    np.testing.assert_array_equal(got, generator.uniform((n,), dtype=dtype))
    place = generator.offset
    assert place == -(-random.words_taken((n,), np.dtype(dtype)) // 4)
    got = random.normal(host, (n,), dtype, mean=1.0, std=2.0, seed=123, offset=place)
    close(got, generator.normal((n,), 1.0, 2.0, dtype), terms=1.0)


@dtypes
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999])
def test_dropout(host, dtype, n, rate):
    generator = cpu.Generator(9)
    mask = generator.keep_mask((n,), rate, dtype)
    x = offset(np.random.default_rng(0).normal(size=n).astype(dtype), n % 3)
    got = random.dropout(host, x, rate, seed=9, offset=0)
    np.testing.assert_array_equal(got, x * mask)
    np.testing.assert_array_equal(random.keep_mask(host, (n,), rate, dtype, seed=9, offset=0), mask)


TORCH = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=1e9),
}


@dtypes
@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 7), (2, 5, 64), (3, 5000)])
@pytest.mark.parametrize("biased", [False, True])
def test_activation(host, dtype, kind, shape, biased):
    rng = np.random.default_rng(1)
    x, g = [offset((rng.normal(size=shape) * 3).astype(dtype), 1) for _ in range(2)]
    b = offset(rng.normal(size=shape[-1:]).astype(dtype), 2) if biased else None
    out = activations.activation(host, kind, x, b)
    dx = activations.activation_backward(host, kind, g, x, b)
    z = x.astype(np.float64) + (0 if b is None else b.astype(np.float64))
    t = torch.tensor(z, requires_grad=True)
    want = TORCH[kind](t)
    want.backward(torch.tensor(g.astype(np.float64)))
    close(out, want.detach().numpy(), 4, terms=1.0)
    close(dx, t.grad.numpy(), 4, terms=1.0)


def test_activation_at_the_edges(host):
    x = np.array([np.nan, np.inf, -np.inf, 0, 200, -200], np.float32)
    with np.errstate(invalid="ignore"):
        for kind, want in (
            ("relu", [np.nan, np.inf, 0, 0, 200, 0]),
            ("softplus", [np.nan, np.inf, 0, np.log(2), 200, 0]),
        ):
            np.testing.assert_allclose(activations.activation(host, kind, x), want, rtol=1e-6)
    dx = activations.activation_backward(host, "silu", np.ones_like(x), x)
    np.testing.assert_allclose(dx[3:], [0.5, 1, 0])
