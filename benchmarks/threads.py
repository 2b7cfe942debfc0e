"""Two threads against one: alone, and where a pool of threads may collapse.

    python -m benchmarks.threads [--quick] [--only matrix]

How many times as fast the operations of `benchmarks.kernels` (forward and backward) are with two threads as
with one, which are visited in turn:

`alone`: on an idle machine.
`busy core`: beside another process that computes without end. With one thread it has the other core.
`two callers`: two Python threads call at once, each on arrays of its own.
`after NumPy`: before every call NumPy's BLAS has woken its own pool for a product; only our call is timed.

Where compute-bound 1.7 is the target alone; nowhere should it be below 1. Wall time.
"""

import contextlib
import statistics
import subprocess
import sys
import threading
import time

import numpy as np

from tensorflowlite_bp.backend.native import native

from . import _common, kernels

CASES = [
    "matrix product 512^3",
    "matrix product 1024 x 256 x 1024",
    "linear + relu 128 x 784 x 128",
    "attention, causal, 4 x 8 x 128 x 64",
    "convolution 16 x 56 x 56 x 64 to 64",
    "batch norm 32 x 14 x 14 x 256",
    "batch norm 64 x 28 x 28 x 64",
    "layer norm 4096 x 768",
    "GELU 4M",
    "softmax cross-entropy 128 x 10",
    "softmax cross-entropy 1024 x 1000",
    "embedding 1024 of 8192 x 256",
    "max pooling 64 x 24 x 24 x 64",
]
THREADS = 2


# ------------------------------------------------------------------ the time of a call, in each situation
def number_of(step, seconds):
    step()
    start = time.perf_counter()
    step()
    return max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))


def alone(steps, seconds):
    return _common.stopwatch(steps[0], seconds, "wall")


def two_callers(steps, seconds):
    """Of as many calls by each as fill the time: until the last caller is done."""
    number = number_of(steps[0], seconds / 2)
    gate = threading.Barrier(len(steps) + 1)

    def call(step):
        gate.wait()
        for _ in range(number):
            step()

    callers = [threading.Thread(target=call, args=(step,)) for step in steps]
    for caller in callers:
        caller.start()
    gate.wait()
    start = time.perf_counter()
    for caller in callers:
        caller.join()
    return (time.perf_counter() - start) / number


def after_numpy(steps, seconds):
    x = np.ones((384, 384), np.float32)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        x.dot(x)
        start = time.perf_counter()
        steps[0]()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@contextlib.contextmanager
def busy_core():
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        yield
    finally:
        other.kill()
        other.wait()


SITUATIONS = {
    "alone": (alone, contextlib.nullcontext),
    "busy core": (alone, busy_core),
    "two callers": (two_callers, contextlib.nullcontext),
    "after NumPy": (after_numpy, contextlib.nullcontext),
}


# ------------------------------------------------------------------ one thread and two, in turn
def speedup(steps, situation, rounds, seconds):
    measure, around = SITUATIONS[situation]
    times = {1: [], THREADS: []}
    with around():
        for _ in range(rounds):
            for n, found in times.items():
                native.set_num_threads(n)
                found.append(measure(steps, seconds))
    one, many = times.values()
    ratios = [a / b for a, b in zip(one, many, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "one": statistics.median(one),
        "two": statistics.median(many),
        "speedup": middle,
        "spread": (high - low) / 2 / middle,
    }


def table(cases):
    """Times as fast; a star where the spread exceeds 10 %, bold where two threads are slower than one."""
    rows = {}
    for name, found in cases.items():
        text = {k: f"{v['speedup']:.2f}{_common.star(v)}" for k, v in found.items()}
        rows[name] = {k: f"**{t}**" if found[k]["speedup"] < 1 else t for k, t in text.items()}
        rows[name]["one thread"] = _common.human(found["alone"]["one"])
    return _common.markdown(rows, [*SITUATIONS, "one thread"], f"{THREADS} threads, times as fast as one")


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    if native is None:
        raise SystemExit("the compiled kernels are not there")
    rounds, seconds = (3, 0.01) if options.quick else (15, 0.1)
    cases = {}
    for name in CASES:
        if options.only in name:
            steps = [kernels.prepare("ours", *kernels.CASES[name])[0] for _ in range(2)]
            cases[name] = {s: speedup(steps, s, rounds, seconds) for s in SITUATIONS}
            print(".", end="", file=sys.stderr, flush=True)
    print(f"\n\n{table(cases)}")
    if not options.quick and not options.only:
        _common.save("threads", {"cases": cases})


if __name__ == "__main__":
    main()
