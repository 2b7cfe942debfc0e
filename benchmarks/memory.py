"""The most memory of a training step: MLP, CNN, transformer, ours beside torch eager.

    python -m benchmarks.memory [--quick] [--only transformer] [--frameworks ours torch]

A fresh process for every framework and case, so that nothing remains of another; the median of several (what
a framework counts itself does not vary: once). All count the weights, the optimizer's state, the data, and
what the steps need at most:

`process`: all that the system says the process held, framework and interpreter included (VmHWM).
`resident`: the same above what it held when the framework was loaded and a small product had run: with thread
pools, workspaces, and what an allocator keeps.
`arrays`: the framework's own count of what was alive at once: the caching allocator's peak for ours (whose
blocks are up to a fifth larger than asked for), the sum over the allocations and frees that torch's profiler
sees for torch.

Linux, one thread.
"""

import json
import statistics
import subprocess
import sys

from . import _common, adapters
from .workloads import WORKLOADS

FRAMEWORKS = ["ours", "torch", "torch fused", "torch channels last"]
STEPS = 3
CASES = {
    name: (key, case)
    for key, workload in WORKLOADS.items()
    for name, case in workload.CASES.items()
    if key != "mlp" or "batch 128" in name
}


# ------------------------------------------------------------------ in the process that is measured
def resident(name):
    """VmRSS (now) or VmHWM (the most) of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def process_and_resident(prepare):
    """What the system says: in all, and above what is resident before; there the peak starts anew once all is
    prepared.
    """
    before = resident("VmRSS")
    step = prepare()
    preparing = resident("VmHWM")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    take(step)
    most = resident("VmHWM")
    return {"process": max(preparing, most), "resident": most - before}


def most_of_ours(prepare):
    import tensorflowlite_bp as bp

    before = bp.memory_stats().live_bytes
    step = prepare()
    bp.memory_stats(reset_peak=True)  # drawing the weights took float64, and is NumPy's business
    take(step)
    return {"arrays": bp.memory_stats().peak_bytes - before}


def most_of_torch(prepare):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
        take(prepare())
    events = [e for e in p.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return {"arrays": most}


def take(step):
    for _ in range(STEPS):
        step()


def warm_up(framework):
    """Load everything, and start what the first product starts."""
    if framework == "ours":
        import numpy as np

        import tensorflowlite_bp as bp

        bp.layers, bp.optimizers  # noqa: B018  (imported when first asked for)
        w = bp.tensor(np.ones((64, 64), np.float32), requires_grad=True)
        bp.sum(bp.matmul(w, w)).backward()
    elif framework.startswith("torch"):
        import torch

        torch.set_num_threads(_common.threads())
        w = torch.ones((64, 64), requires_grad=True)
        torch.optim.Adam([w])
        (w @ w).sum().backward()


def measure(framework, case, what):
    key, arguments = CASES[case]
    count = process_and_resident
    if what == "arrays":
        count = most_of_ours if framework == "ours" else most_of_torch
    warm_up(framework)
    return count(lambda: adapters.prepare(framework, WORKLOADS[key], arguments)[0])


# ------------------------------------------------------------------ the driver
def ask(framework, case, what):
    """Figures from a fresh process, in bytes by name."""
    command = [sys.executable, "-m", "benchmarks.memory", "--worker", json.dumps([framework, case, what])]
    done = subprocess.run(
        command, cwd=_common.ROOT, env=_common.environment(1), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the worker for {framework} ended: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = _common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, help="(all installed)")
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(*json.loads(options.worker))))
        return
    frameworks = options.frameworks or adapters.installed(FRAMEWORKS)
    visits = 1 if options.quick else 3
    results = {}
    for case, (key, _) in CASES.items():
        if options.only not in case:
            continue
        taking = [f for f in frameworks if adapters.takes(f, WORKLOADS[key])]
        seen = {what: {f: [] for f in taking} for what in ("process", "resident", "arrays")}
        for what in [*["process"] * visits, "arrays"]:
            for framework in taking:
                for name, count in ask(framework, case, what).items():
                    seen[name][framework].append(count)
        results.update({f"{case}, {what}": summarise(found) for what, found in seen.items()})
    shown = {
        name: {f: f"{_common.size(v['bytes'])} ({v['ratio']:.2f})" for f, v in found.items()}
        for name, found in results.items()
    }
    print(_common.markdown(shown, frameworks, "at most (ratio to torch)"))
    if not options.quick and not options.only:
        _common.save("memory", {"frameworks": frameworks, "threads": {"1": results}}, "torch")


def summarise(seen):
    """Per framework: the median in bytes, its relative spread, and the ratio to torch."""
    out = {}
    for framework, found in seen.items():
        middle = statistics.median(found)
        torch = statistics.median(seen.get("torch", found))
        out[framework] = {
            "bytes": middle,
            "spread": (max(found) - min(found)) / 2 / max(middle, 1),
            "ratio": middle / max(torch, 1),
        }
    return out


if __name__ == "__main__":
    main()
