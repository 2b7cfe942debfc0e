"""What the benchmarks share: worker processes visited round robin, a stopwatch, the machine, JSON and tables.

One process per framework, started with its thread count in the environment. The driver visits all of them in
turn, many times, so that whatever else the machine does hits them alike; the figure is the median over the
visits, and a ratio is the median of the ratios within each visit.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
THREAD_VARIABLES = ("TFLBP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def threads():
    """In a worker: the thread count it was started with."""
    return int(os.environ[THREAD_VARIABLES[0]])


def environment(threads):
    """For a worker: its thread count under every name that a framework reads."""
    return dict(os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)))


# ------------------------------------------------------------------ workers
class Worker:
    """A process that times one framework: `python -m benchmarks.<module> --worker <framework>`."""

    def __init__(self, module, framework, threads):
        command = [sys.executable, "-m", f"benchmarks.{module}", "--worker", framework]
        self.framework = framework
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(threads),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker for {self.framework} ended: exit status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(framework, prepare):
    """A worker's loop. prepare(framework, **case) gives (step, check).

    step() is timed; what check() gives, a list of numbers, is compared between frameworks. The process keeps
    to as many cores as it was given threads: not every framework lets its thread pool be set.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads() :])
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may write where the driver reads
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        seconds, case = request["seconds"], request["case"]
        key = json.dumps(case)
        check = None
        if key not in steps:
            step, check = prepare(framework, **case)
            check = check()
            steps = {key: step}  # one at a time: memory of earlier cases must not weigh on this one
        answer = {"time": stopwatch(steps[key], seconds, request["clock"]), "check": check}
        print(json.dumps(answer), file=answers, flush=True)


def stopwatch(step, seconds, clock):
    """Median time of one call, from batches of calls of about 2 ms, for about `seconds` in all."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    step()
    start = now()
    step()
    number = max(1, int(0.002 / max(now() - start, 1e-7)))
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = now()
        for _ in range(number):
            step()
        times.append((now() - start) / number)
    return statistics.median(times)


def compare(module, frameworks, cases, threads, *, rounds, seconds, clock, takes=None, tolerance=1e-3):
    """({case: {framework: [time per visit]}}, {case: {framework: what its check gave}}).

    Every framework is visited once per round, and the checks must agree. takes(framework, case): whether it
    is measured at all.
    """
    workers = [Worker(module, f, threads) for f in frameworks]
    results, checks = {}, {}
    try:
        for name, case in cases.items():
            taking = [w for w in workers if takes is None or takes(w.framework, case)]
            times = {w.framework: [] for w in taking}
            found = checks[name] = {}
            for _ in range(rounds):
                for worker in taking:
                    answer = worker.ask(case=case, seconds=seconds, clock=clock)
                    times[worker.framework].append(answer["time"])
                    check = answer["check"]
                    if check is not None:
                        found[worker.framework] = check
                        expected = next(iter(found.values()))
                        off = max(abs(a - b) / max(1, abs(b)) for a, b in zip(check, expected, strict=True))
                        if not off <= tolerance:
                            raise AssertionError(f"{name}: {worker.framework} differs: {check}, {expected}")
            results[name] = times
            print(".", end="", file=sys.stderr, flush=True)
    finally:
        for worker in workers:
            worker.close()
    print(file=sys.stderr)
    return results, checks


def summarise(times, baseline):
    """Per framework: median time, relative spread (half the interquartile range), ratio to the baseline."""
    out = {}
    baseline = baseline if baseline in times else next(iter(times))
    for framework, seconds in times.items():
        median = statistics.median(seconds)
        low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (median,) * 3
        ratio = statistics.median(a / b for a, b in zip(seconds, times[baseline], strict=True))
        out[framework] = {"seconds": median, "spread": (high - low) / 2 / median, "ratio": ratio}
    return out


# ------------------------------------------------------------------ reports
def machine():
    """The processor, the cores this process may use, the system, the load."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        model = f"{found['model name']}, family {found['cpu family']} model {found['model']}"
        model += ", AVX-512" if "avx512f" in found["flags"] else ", AVX2" if "avx2" in found["flags"] else ""
    except (OSError, KeyError):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    return {"cpu": model, "cores": cores, "system": system, "load": round(os.getloadavg()[0], 1)}


def versions(*names):
    out = {"python": platform.python_version()}
    for name in names:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            out[name] = "absent"
    return out


def save(name, result, *packages):
    """Write benchmarks/results/<name>.json with machine, versions, date and command."""
    head = {
        "command": " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions("tensorflowlite-bp", "numpy", *packages),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**head, **result}, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(ROOT)}")


def human(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def size(n):
    """Bytes for people."""
    return f"{n / 2**20:.3g} MiB"


def markdown(rows, columns, head):
    """A Markdown table that also reads well in a terminal. rows: {name: {column: text}}."""
    cells = [[head, *columns], *([name, *(row.get(c, "") for c in columns)] for name, row in rows.items())]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def table(results, frameworks, head):
    """Median times and their ratio to the baseline; a star where the spread exceeds 10 %."""
    rows = {}
    for name, found in results.items():
        rows[name] = {f: f"{human(v['seconds'])} ({v['ratio']:.2f}{star(v)})" for f, v in found.items()}
    return markdown(rows, frameworks, head)


def star(figure):
    return "*" if figure["spread"] > 0.1 else ""


def arguments(description):
    """The command line that all benchmarks understand."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="few visits, nothing written: is it still working?"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (default: 1 2)")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: processor time, for one thread on a busy machine",
    )
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def run(
    module,
    frameworks,
    cases,
    options,
    baseline,
    packages,
    per,
    *,
    rounds=9,
    seconds=0.15,
    extra=None,
    takes=None,
    what=None,
):
    """Measure every thread count, print the tables, write the JSON.

    per(case, framework): how many of what is counted (operations, steps) one timed call holds.
    extra: more entries for the JSON. takes: see `compare`. what: the checks' name, if they are to be shown.
    """
    cases = {name: case for name, case in cases.items() if options.only in name}
    rounds, seconds = (2, 0.02) if options.quick else (rounds, seconds)
    results, checks = {}, {}
    for n in options.threads:
        how = {"rounds": rounds, "seconds": seconds, "clock": options.clock, "takes": takes}
        times, checks = compare(module, frameworks, cases, n, **how)
        for name, found in times.items():
            for framework, visits in found.items():
                visits[:] = [t / per(name, framework) for t in visits]
        results[str(n)] = {name: summarise(t, baseline) for name, t in times.items()}
        head = f"median {options.clock} time (ratio to {baseline}; * spread above 10 %)"
        print(f"\n{n} thread{'s' if n > 1 else ''}: {head}\n")
        print(table(results[str(n)], frameworks, "case"), flush=True)
    if what is not None:
        print(f"\n{what}, the last of those compared\n")
        shown = {k: {f: f"{v[-1]:.6f}" for f, v in found.items()} for k, found in checks.items()}
        print(markdown(shown, frameworks, "case"))
        extra = {**(extra or {}), what: checks}
    if not options.quick and not options.only:
        head = {"clock": options.clock, "baseline": baseline, "frameworks": frameworks}
        save(module, {**head, **(extra or {}), "threads": results}, *packages)
