"""Products through _native_cuda's cublasLt on a stand-in library: run by test_cuda_build.py in a process of
its own, as a library once loaded stays. Arguments: the module, the folder of the stand-in.
"""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
from cuda_hosts import emulator

from tensorflowlite_bp.backend.cuda import Module, lt, products

spec = importlib.util.spec_from_file_location("tensorflowlite_bp._native_cuda", sys.argv[1])
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)
lt._path = lambda: str(Path(sys.argv[2]) / "libfake.so")


class Host(Module):
    """Products by the stand-in, everything else by the emulator."""

    def _launch(self, name, grid, block, shared, values):
        assert not name.startswith("gemm"), "cublasLt did not take the product"
        emulator()._launch(name, grid, block, shared, values)


host = Host(native, np)
rng = np.random.default_rng(0)
count = 0
for dtype, ta, tb, batch_b, kind in itertools.product(
    (np.float32, np.float64),
    (False, True),
    (False, True),
    (1, 3),
    (None, "relu", "gelu_tanh", "gelu_tanh into aux", "times_gelu_tanh"),
):
    host.epilogues = frozenset(["aux"] if ta else [])
    kind, _, kept = (kind or "").partition(" ")
    kind = kind or None
    m, k, n = 4, 5, 7
    a = rng.normal(size=(3, k, m) if ta else (3, m, k)).astype(dtype)
    b = rng.normal(size=(batch_b, n, k) if tb else (batch_b, k, n)).astype(dtype)
    a, b = a.swapaxes(1, 2) if ta else a, b.swapaxes(1, 2) if tb else b
    bias = rng.normal(size=n).astype(dtype) if kind != "times_gelu_tanh" else None
    aux = rng.normal(size=(3, m, n)).astype(dtype) if kind == "times_gelu_tanh" or kept else None
    old = rng.normal(size=(3, m, n)).astype(dtype)
    args = {"bias": bias, "kind": kind, "aux": aux, "alpha": 0.5, "beta": 0.25 if kind is None else 0.0}
    got, own = products.gemm(host, a, b, out=old.copy(), **args), None if aux is None else aux.copy()
    want = products.gemm(emulator(), a, b, out=old.copy(), **args)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    if own is not None:
        np.testing.assert_allclose(own, aux, rtol=1e-5, atol=1e-6)
    count += 1
a, b = [rng.normal(size=(1, n, n)).astype(np.float32) for n in (6, 6)]
narrow = [x.astype(np.float16).astype(np.float32) for x in (a, b)]
for tf32 in (False, True):  # 16-bit operands keep all their digits in TF32, others do not
    exact = np.matmul(a.astype(float), b.astype(float))
    off = np.abs(products.gemm(host, a, b, tf32=tf32) - exact).max()
    assert (off > 1e-4) == tf32, off
    exact = np.matmul(*[x.astype(float) for x in narrow])
    np.testing.assert_allclose(products.gemm(host, *narrow, tf32=tf32), exact, rtol=1e-4, atol=1e-6)
    count += 2
for dtype, chosen in itertools.product((np.float32, np.float64), ("", "bgrad")):
    host.epilogues = frozenset([chosen])
    g, x, w = [rng.normal(size=s).astype(dtype) for s in ((6, 7), (6, 5), (5, 7))]
    got = products.linear_backward(host, g, x, w, None, (True, True, True))
    for one, want in zip(got, (g @ w.T, x.T @ g, g.sum(0)), strict=True):
        np.testing.assert_allclose(one, want, rtol=1e-5, atol=1e-6)
    count += 1
print(count, "products")
