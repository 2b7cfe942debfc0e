"""What one core of this machine can do: multiply-adds, and moving memory.

    python -m benchmarks.ceilings [--quick]

The figures that kernels and the profiler are held against (tensorflowlite_bp/profiling/ceilings.py):
independent multiply-adds in registers, in float32 and float64, copying between arrays far larger than the
caches, and within the second-level cache. The best of many short runs, processor time of one thread.
"""

import dataclasses

from tensorflowlite_bp.profiling.ceilings import measure

from . import _common


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    found = dataclasses.asdict(measure(0.05 if options.quick else 1.0))
    for name, rate in found.items():
        if rate is not None:
            print(f"{name:8} {rate / 1e9:8.1f} {'GFLOP/s' if name.startswith('float') else 'GB/s'}")
    if not options.quick:
        _common.save("ceilings", {"ceilings": found})


if __name__ == "__main__":
    main()
