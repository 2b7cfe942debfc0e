"""Hosts for the tests of the CUDA kernels, all on NumPy's arrays: the emulator, built when first asked for, a
GPU, and a recorder of launches.
"""

import ctypes
import fcntl
import functools
import hashlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import struct
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pybind11
import pytest

from tensorflowlite_bp.backend.cuda import Host, Module, Nvrtc, cuda_host

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
CXX = os.environ.get("CXX") or shutil.which("g++")
FLAGS = ["-std=c++17", "-DTFLBP_EMULATOR", f"-I{KERNELS}", "-Wall", "-fPIC", "-fvisibility=hidden"]

needs_emulator = [
    pytest.mark.slow,
    pytest.mark.skipif(CXX is None, reason="no g++"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="x86-64 only"),
    pytest.mark.skipif(not (KERNELS / "emulator").exists(), reason="not a source tree"),
]


def run(*command, **kwargs):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    )
    return done


def with_headers(source, seen=()):
    """The text of a source and, behind it, of every header of ours that it includes, at any depth."""
    text, found = source.read_text(), []
    for name in re.findall(r'^#include "(.+)"', text, re.MULTILINE):
        header = KERNELS / name if (KERNELS / name).exists() else source.parent / name
        if header not in seen:
            found.append(with_headers(header, (*seen, source)))
    return "".join([text, *found])


def build(name, sources, flags, link=()):
    """The objects of `sources`, (file, own flags) each, linked into build/emulator/name; compiled again only
    when a source, a header or a flag has changed.
    """
    folder = ROOT / "build" / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of pytest-xdist's workers one builds

        def compile_one(job):
            source, own = job
            command = [CXX, *FLAGS, *flags, *own, "-x", "c++", "-c", source]
            key = hashlib.sha256((with_headers(source) + repr(command)).encode()).hexdigest()[:16]
            made = folder / f"{source.stem}-{key}.o"
            if not made.exists():
                run(*command, "-o", made)
            return made

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(compile_one, sources))
        key = hashlib.sha256(repr(sorted(map(str, objects))).encode()).hexdigest()[:16]
        made = folder / key / name
        if not made.exists():
            made.parent.mkdir(exist_ok=True)
            run(CXX, *flags, *link, *objects, "-o", made)
    return made


def kernel_sources():
    return [(path, []) for path in sorted(KERNELS.glob("cuda/*.cu"))]


@functools.cache
def emulator_module():
    include = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}"]
    sources = [*kernel_sources(), (KERNELS / "emulator/emulator.cpp", ["-O2"])]
    sources.append((KERNELS / "bindings/bind_cuda.cpp", include))
    path = build("_native_emulator.so", sources, ["-O1"], ["-shared"])
    spec = importlib.util.spec_from_file_location("_native_emulator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def poisoned(shape, dtype):
    """Fresh memory, NaN, so that what a kernel leaves out is seen."""
    out = np.empty(shape, dtype)
    out.reshape(-1).view(np.uint8)[...] = 0xFF
    return out


class Emulator(Module):
    def empty(self, shape, dtype):
        return poisoned(shape, dtype)


@functools.cache
def emulator():
    return Emulator(emulator_module(), np)


class Arrays(Host):
    """NumPy's arrays for kernels that `inner` launches, and what a launch reaches: an optimiser's table names
    arrays by their addresses.
    """

    def __init__(self, inner):
        super().__init__(np)
        self.inner = inner
        self.known = {}  # arrays by address

    def empty(self, shape, dtype):
        return poisoned(shape, dtype)

    def value(self, x):
        address = super().value(x)
        if isinstance(x, np.ndarray) and x.size:
            self.known[address] = x
        return address

    def reached(self, name, args):
        """(arrays, [(table, word of it, the array that it names)]). set_words, which writes tables, follows
        none.
        """
        arrays = [a for a in args if isinstance(a, np.ndarray) and a.size]
        named = [
            (table, word, self.known[value])
            for table in arrays
            if name != "set_words" and table.dtype == np.int64 and table.ndim == 2 and table.shape[1] == 8
            for word, value in enumerate(table.reshape(-1).tolist())
            if value in self.known and word % 8 < 5
        ]
        return [*arrays, *(a for _, _, a in named)], named


class Device(Arrays):
    """Kernels on a GPU. Before a launch all that it may touch is copied there, each array between two guards
    that nothing may change, and afterwards back. inner: the host for CuPy's arrays.
    """

    GUARD = 256  # bytes, and the alignment that an array's own is kept to

    @property
    def processors(self):
        return self.inner.processors

    @functools.cached_property
    def clusters(self):
        return self.inner.clusters

    def launch(self, name, grid, block, args, shared=0):
        self.args = args
        super().launch(name, grid, block, args, shared)

    def _launch(self, name, grid, block, shared, values):
        arrays, named = self.reached(name, self.args)
        spans = []  # of memory, those that overlap joined
        for low, high in sorted(map(np.lib.array_utils.byte_bounds, arrays)):
            if spans and low < spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], high)
            else:
                spans.append([low, high])
        guard, size = self.GUARD, 0
        places = []  # (address, offset in the block, bytes)
        for low, high in spans:
            places.append((low, size + guard + low % guard, high - low))
            size += 2 * guard + -(-(high - low + low % guard) // guard) * guard
        memory = self.inner.empty((size + guard,), np.uint8)
        start = -self.inner.value(memory) % guard
        base = self.inner.value(memory) + start

        def moved(address):
            for low, offset, n in places:
                if low <= address < low + n:
                    return base + offset + address - low
            return address  # of an array without elements

        image = np.full(size + guard, 0xA5, np.uint8)
        for low, offset, n in places:
            image[offset : offset + n] = np.frombuffer(ctypes.string_at(low, n), np.uint8)
        words = {}  # what the tables hold, and what they hold there
        for table, word, array in named:
            at = moved(self.value(table)) - base + 8 * word
            words[at] = image[at : at + 8].tobytes()
            image[at : at + 8].view(np.int64)[0] = moved(self.value(array))
        memory.set(np.roll(image, start))
        pointers = [isinstance(a, np.ndarray) for a in self.args]
        values = [moved(v) if pointer else v for v, pointer in zip(values, pointers, strict=True)]
        self.inner._launch(name, grid, block, shared, values)
        after = np.roll(memory.get(), -start)
        for at, before in words.items():
            assert after[at : at + 8].tobytes() == image[at : at + 8].tobytes(), f"{name} wrote to its table"
            after[at : at + 8] = np.frombuffer(before, np.uint8)
        guards = np.ones(image.size, bool)
        for low, offset, n in places:
            guards[offset : offset + n] = False
            ctypes.memmove(low, after[offset : offset + n].ctypes.data, n)
        assert (after[guards] == 0xA5).all(), f"{name} wrote beyond an array"


class Recorder(Arrays):
    """Launches on `inner`, a host of NumPy's arrays, and remembers them with all they read and what they made
    of it, for kernels/tests/replay.cu: at most `most` of each kernel, none of more than `threads` threads.
    """

    def __init__(self, inner, most=3, threads=30000):
        super().__init__(inner)
        self.most, self.threads = most, threads
        self.count, self.launches = {}, []

    @property
    def processors(self):
        return self.inner.processors

    def value(self, x):
        self.inner.value(x)
        return super().value(x)

    def launch(self, name, grid, block, args, shared=0):
        sizes = [
            *(grid if isinstance(grid, tuple) else (grid,)),
            *(block if isinstance(block, tuple) else (block,)),
        ]
        if self.count.get(name, 0) >= self.most or np.prod(sizes) > self.threads or 0 in sizes:
            self.inner.launch(name, grid, block, args, shared)
            return
        self.count[name] = self.count.get(name, 0) + 1
        named = self.reached(name, args)[1]
        places = {}  # a buffer for each address
        for a in [*(a for a in args if isinstance(a, np.ndarray)), *(a for _, _, a in named)]:
            start = self.value(a)
            _, high = np.lib.array_utils.byte_bounds(a) if a.size else (start, start)
            places[start] = max(places.get(start, 0), high - start)
        order = {start: i for i, start in enumerate(places)}
        before = [ctypes.string_at(start, n) for start, n in places.items()]
        self.inner.launch(name, grid, block, args, shared)
        after = [ctypes.string_at(start, n) for start, n in places.items()]
        out = [self._words(len(name)), name.encode()]
        g = (*(grid if isinstance(grid, tuple) else (grid,)), 1, 1)[:3]
        b = (*(block if isinstance(block, tuple) else (block,)), 1)[:2]
        out.append(self._words(*g, *b, shared, len(places)))
        for (start, n), old, new in zip(places.items(), before, after, strict=True):
            out += [self._words(start % 16, n), old, new]
        out.append(self._words(len(named)))
        out += [self._words(order[self.value(t)], w, order[self.value(a)]) for t, w, a in named]
        out.append(self._words(len(args)))
        for a in args:
            if isinstance(a, np.ndarray):
                out.append(self._words(1, order[self.value(a)]))
            elif isinstance(a, float):
                out.append(self._words(0) + struct.pack("=d", a))
            else:
                out.append(self._words(0) + struct.pack("=q", int(a or 0)))
        self.launches.append(b"".join(out))

    @staticmethod
    def _words(*values):
        return struct.pack(f"={len(values)}Q", *map(int, values))

    def save(self, path):
        path.write_bytes(self._words(len(self.launches)) + b"".join(self.launches))


# ------------------------------------------------------------------ what the tests of the kernels share
FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
TOLERANCE = {"float32": 2e-6, "float64": 1e-13, "float16": 1e-3, "bfloat16": 8e-3}


def named(dtype):
    return np.dtype(dtype).name


@pytest.fixture(
    params=[
        pytest.param("emulator", marks=needs_emulator),
        pytest.param("nvcc", marks=pytest.mark.gpu),
        pytest.param("nvrtc", marks=pytest.mark.gpu),
    ]
)
def hosts(request):
    """The emulator, with its threads in random order (tests/test_cuda_sanitizers.py compares the orders), and
    on a GPU what nvcc and what NVRTC have compiled.
    """
    if request.param == "emulator":
        found = emulator()
        found.module.schedule(2, 12345)
        yield found
        found.module.schedule(0)
        return
    cupy = request.getfixturevalue("gpu")
    if request.param == "nvrtc":
        if not hasattr(cupy, "RawModule"):
            pytest.skip("the stand-in compiles nothing")
        yield Device(nvrtc())
        return
    inner = cuda_host()
    if not isinstance(inner, Module):
        pytest.skip(inner.note)
    yield Device(inner)


@functools.cache
def nvrtc():
    """One for all tests: it keeps what it has compiled."""
    return Nvrtc(importlib.import_module("cupy"))


def close(got, want, factor=1.0, terms=1e-30):
    """Within a few roundings of the result's own type, relative to the largest entry or to the terms that
    cancel in it.
    """
    tolerance = TOLERANCE[got.dtype.name] * factor
    got, want = got.astype(np.float64), np.asarray(want, np.float64)
    scale = np.abs(want[np.isfinite(want)]).max(initial=terms)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def offset(x, by):
    """A copy of x that starts `by` elements past a 64-byte boundary."""
    space = np.empty(x.size * x.itemsize + 256, np.uint8)
    start = -space.ctypes.data % 64 + by * x.itemsize
    out = space[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out
