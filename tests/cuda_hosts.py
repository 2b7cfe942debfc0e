"""Hosts for the tests of the CUDA kernels: the emulator, built when first asked for, and a recorder of
launches.
"""

import ctypes
import fcntl
import functools
import hashlib
import importlib.util
import os
import platform
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

from tensorflowlite_bp.backend.cuda import Module

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


def build(name, sources, flags, link=()):
    """The objects of `sources`, (file, own flags) each, linked into build/emulator/name; compiled again only
    when a source, a header or a flag has changed.
    """
    folder = ROOT / "build" / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    headers = sorted([*KERNELS.glob("cuda/*.cuh"), *KERNELS.glob("cuda/*.h"), *KERNELS.glob("emulator/*.h")])
    shared = hashlib.sha256(b"".join(p.read_bytes() for p in headers)).hexdigest()
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of pytest-xdist's workers one builds

        def compile_one(job):
            source, own = job
            command = [CXX, *FLAGS, *flags, *own, "-x", "c++", "-c", source]
            key = hashlib.sha256((shared + source.read_text() + repr(command)).encode()).hexdigest()[:16]
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


class Emulator(Module):
    """Fresh memory is NaN, so that what a kernel leaves out is seen."""

    def empty(self, shape, dtype):
        out = np.empty(shape, dtype)
        out.reshape(-1).view(np.uint8)[...] = 0xFF
        return out


@functools.cache
def emulator():
    return Emulator(emulator_module(), np)


class Recorder(Emulator):
    """An emulator that remembers its launches, with all they read and what they made of it, for
    kernels/tests/replay.cu: at most `most` of each kernel, and none of more than `threads` threads.
    """

    def __init__(self, module, xp, most=3, threads=30000):
        super().__init__(module, xp)
        self.most, self.threads = most, threads
        self.count, self.launches = {}, []
        self.known = {}  # arrays by address: what an optimiser's table may name

    def value(self, x):
        address = super().value(x)
        if isinstance(x, np.ndarray) and x.size:
            self.known[address] = x
        return address

    def launch(self, name, grid, block, args, shared=0):
        sizes = [
            *(grid if isinstance(grid, tuple) else (grid,)),
            *(block if isinstance(block, tuple) else (block,)),
        ]
        if self.count.get(name, 0) >= self.most or np.prod(sizes) > self.threads or 0 in sizes:
            super().launch(name, grid, block, args, shared)
            return
        self.count[name] = self.count.get(name, 0) + 1
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        moved = []
        for table in [a for a in arrays if a.dtype == np.int64 and a.ndim == 2 and a.shape[1] == 8]:
            for word, value in enumerate(table.reshape(-1).tolist()):
                if value in self.known and word % 8 < 5:
                    arrays.append(self.known[value])
                    moved.append((table, word, self.known[value]))
        places = {}  # a buffer for each address
        for a in arrays:
            _, high = np.lib.array_utils.byte_bounds(a) if a.size else (super().value(a),) * 2
            start = super().value(a)
            places[start] = max(places.get(start, 0), high - start)
        order = {start: i for i, start in enumerate(places)}
        before = [ctypes.string_at(start, n) for start, n in places.items()]
        super().launch(name, grid, block, args, shared)
        after = [ctypes.string_at(start, n) for start, n in places.items()]
        out = [self._words(len(name)), name.encode()]
        g = (*(grid if isinstance(grid, tuple) else (grid,)), 1, 1)[:3]
        b = (*(block if isinstance(block, tuple) else (block,)), 1)[:2]
        out.append(self._words(*g, *b, shared, len(places)))
        for (start, n), old, new in zip(places.items(), before, after, strict=True):
            out += [self._words(start % 16, n), old, new]
        out.append(self._words(len(moved)))
        out += [
            self._words(order[Emulator.value(self, t)], w, order[Emulator.value(self, a)])
            for t, w, a in moved
        ]
        out.append(self._words(len(args)))
        for a in args:
            if isinstance(a, np.ndarray):
                out.append(self._words(1, order[Emulator.value(self, a)]))
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


@pytest.fixture
def shuffled():
    """The emulator, with its threads in random order. tests/test_cuda_sanitizers.py compares the orders."""
    found = emulator()
    found.module.schedule(2, 12345)
    yield found
    found.module.schedule(0)


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
