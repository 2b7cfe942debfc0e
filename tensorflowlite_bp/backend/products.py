"""Products of matrices on NumPy arrays: our kernel, or NumPy's BLAS.

Which one is read, not measured: the same bits in every run. On one core of Zen 4 ours takes 0.77 to 1.07 of
the time of OpenBLAS' AVX2 kernels, which OpenBLAS picks there, and 0.59 to 1.04 of its AVX-512 kernels, which
it picks on Intel's processors; and it needs no second pool of threads. MKL on Intel's is left alone.
"""

from functools import partial

import numpy as np

from .._typing import Array
from . import common, contraction, narrow
from .native import native

BLAS: str = np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", "")  # type: ignore[index]
OWN = native is not None and native.gemm_choice(BLAS) == "native"


# ------------------------------------------------------------------ matrices, and stacks of them
def matmul(x: Array, y: Array) -> Array:
    if OWN and y.ndim > 1 and (y.shape[-1] >= 16 or x.size < 256):  # else a vector is mostly empty
        out = native.gemm(x, y)  # type: ignore[union-attr]
        if out is not None:
            return out
    if x.itemsize == 2:
        return _matmul(x, y)
    return x.dot(y) if x.ndim == 2 == y.ndim else np.matmul(x, y)  # 418 ns where np.matmul takes 930


_matmul = narrow.widened(np.matmul, lambda x, y: matmul(x, y))


def einsum_labelled(*xs: Array, labels: tuple[str, ...], result: str) -> Array:
    first = xs[0]
    if len(xs) == 2 and first.size + xs[1].size > 256 and first.dtype.kind in "fcV":
        out = contraction.contract(_product_into, *xs, labels=labels, result=result)
        if out is not None:
            return out
    return (_einsum if first.itemsize == 2 else _einsum_of_all)(*xs, labels=labels, result=result)


def _einsum_of_all(*xs: Array, labels: tuple[str, ...], result: str) -> Array:
    return np.asarray(np.einsum(f"{','.join(labels)}->{result}", *xs, optimize=len(xs) > 2))


_einsum = narrow.widened(_einsum_of_all, lambda *xs, **params: einsum_labelled(*xs, **params))


def _product_into(a: Array, b: Array, out: Array | None) -> Array | None:
    found = native.gemm(a, b, out) if OWN else None  # type: ignore[union-attr]
    if found is None and a.itemsize > 2:
        return np.matmul(a, b, out=out)
    return found


def product(a: Array, b: Array) -> Array:
    """a @ b of two matrices, either of which may be a transposed view."""
    if native is not None:
        out = native.gemm(a, b)
        if out is not None:
            return out
    return matmul(a, b)


def add_product(out: Array, a: Array, b: Array) -> None:
    if native is None or native.gemm(a, b, out, True) is None:
        out += product(a, b)


# ------------------------------------------------------------------ fully connected
def linear(x: Array, w: Array, b: Array | None, *, relu: bool) -> Array:
    if native is not None:
        out = native.linear(x, w, b, relu)
        if out is not None:
            return out
    return _linear(x, w, b, relu=relu)


_linear = narrow.widened(partial(common.linear, np), lambda x, w, b, relu: linear(x, w, b, relu=relu))
