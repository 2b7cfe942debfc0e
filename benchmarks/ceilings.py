"""What this machine can do: multiply-adds, and moving memory.

    python -m benchmarks.ceilings [--quick]

The figures that kernels are held against: the FMA peak of one core in float32 and float64 (a loop of
independent multiply-adds, compiled here with the widest vectors), copying between arrays far larger than the
caches, and between arrays that fit the second-level cache. The best of many short runs, processor time of one
thread.
"""

import ctypes
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from . import _common

SOURCE = """
#define LANES(T) (BYTES / (int)sizeof(T))
#define PEAK(T, name)                                                        \\
    extern "C" double name(long rounds) {                                    \\
        typedef T vec __attribute__((vector_size(BYTES)));                   \\
        vec a[12], x = (T)1.0000001 - vec{}, y = (T)1e-9 - vec{};            \\
        for (int i = 0; i < 12; i++) a[i] = (T)i - vec{};                    \\
        for (long k = 0; k < rounds; k++) {                                  \\
            asm("" : "+v"(x), "+v"(y));                                      \\
            _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) a[i] = a[i] * x + y; \\
        }                                                                    \\
        double total = 0;                                                    \\
        for (int i = 0; i < 12; i++) total += (double)a[i][0];               \\
        return total;                                                        \\
    }
PEAK(float, peak_f32)
PEAK(double, peak_f64)
"""


def best(step, seconds):
    """The least processor time of one call."""
    step()
    found, end = [], time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def fma_peaks(seconds):
    """{dtype: FLOP/s of one core}; empty without a compiler."""
    cxx = shutil.which("g++")
    if cxx is None:
        return {}
    wide = 64 if "AVX-512" in _common.machine()["cpu"] else 32
    rounds, out = 200_000, {}
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "peak.cpp", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", f"-DBYTES={wide}"]
        subprocess.run([cxx, *flags, source, "-o", library], check=True)
        loaded = ctypes.CDLL(str(library))
        for name, size in (("float32", 4), ("float64", 8)):
            run = getattr(loaded, f"peak_f{8 * size}")
            run.restype, run.argtypes = ctypes.c_double, [ctypes.c_long]
            out[name] = 12 * rounds * 2 * (wide // size) / best(lambda run=run: run(rounds), seconds)
    return out


def copy_rate(size, seconds):
    """Bytes read and written per second when an array of that many bytes is copied."""
    x, y = np.ones(size, np.uint8), np.ones(size, np.uint8)
    many = max(1, (1 << 24) // size)

    def step():
        for _ in range(many):
            np.copyto(y, x)

    return 2 * size * many / best(step, seconds)


def measure(seconds=1.0):
    """{name: figure}: FLOP/s, bytes/s."""
    found = {f"FMA {name}": rate for name, rate in fma_peaks(seconds).items()}
    return found | {"copy memory": copy_rate(1 << 28, seconds), "copy L2": copy_rate(1 << 18, seconds)}


def main():
    parser = _common.arguments(__doc__.splitlines()[0])
    options = parser.parse_args()
    found = measure(0.05 if options.quick else 1.0)
    for name, rate in found.items():
        print(f"{name:14} {rate / 1e9:8.1f} {'GFLOP/s' if 'FMA' in name else 'GB/s'}")
    if not options.quick:
        _common.save("ceilings", {"ceilings": found})


if __name__ == "__main__":
    main()
