"""Checks and figures on a GPU, in one command of under nine minutes that needs no network.

    python -m benchmarks.gpu [--quick] [--only PART ...] [--resume] [--dry-run]

Builds for the GPU found, runs the conformance file, the tests marked gpu and the parity of every operation,
compute-sanitizer over the kernels, and the benchmarks against torch eager, torch.compile, CuPy's expressions
and what the card can do. Each part is a process of its own with its own time; one that fails or is too slow
does not stop the others, and `--resume` goes on where the last run stopped. Writes gpu.json, gpu.md and
gpu.svg to benchmarks/results, logs to build/gpu.

--dry-run does all of it without a GPU, at tiny sizes, on the stand-in for CuPy and the emulator, and writes
to build/gpu-dry-run: it tests this command, and its figures mean nothing.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .. import _common
from . import machine, report
from .parts import PARTS, Context, named

MINUTES = 8.8


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [part.name for part in PARTS]
    parser.add_argument("--quick", action="store_true", help="one size a kernel, no torch.compile")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names)
    )
    parser.add_argument("--resume", action="store_true", help="what has passed is not done again")
    parser.add_argument("--dry-run", action="store_true", help="without a GPU: a test of this command")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all parts (default: {MINUTES})")
    parser.add_argument("--out", type=Path, help="folder for gpu.json, gpu.md and gpu.svg")
    parser.add_argument("--part", choices=names, help=argparse.SUPPRESS)  # in a part's own process
    return parser.parse_args()


def run_part(part, context, seconds):
    """The part's result, of a process that gets `seconds`; what it had saved when it had to be stopped."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", part.name]
    command += [f"--{flag}" for flag in ("quick", "resume") if getattr(context, flag)]
    command += ["--dry-run"] if context.dry else []
    context.forget(part.name)
    start = time.perf_counter()
    with open(context.log(part.name), "a") as log:
        child = subprocess.Popen(
            command,
            cwd=_common.ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={  # the parts choose the backend themselves
                **{k: v for k, v in os.environ.items() if k[:6] != "TFLBP_" or k == "TFLBP_CUDA_ARCHES"},
                "TFLBP_GPU_SECONDS": str(seconds),
                "CUPY_CACHE_DIR": str(context.scratch / "cupy"),  # what NVRTC has compiled
            },
            start_new_session=True,
        )
        try:
            child.wait(seconds)
            stopped = False
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # its own session: the part, and what it has started
            child.wait()
            stopped = True
    found = context.load(part.name)
    if found is None:
        found = part.collect(context)
    if stopped:
        found |= {"status": "unfinished", "said": f"stopped after {seconds:.0f} s; {found.get('said', '')}"}
    elif "status" not in found or found["status"] == "unfinished":
        tail = context.log(part.name).read_text(errors="replace")[-1500:]
        found |= {"status": "failed", "said": f"exit status {child.returncode}", "tail": tail}
    context.save(part.name, found | {"seconds": round(time.perf_counter() - start, 1)})
    return context.load(part.name)


def main():
    options = arguments()
    context = Context(options.dry_run, options.quick, options.resume)
    if options.part:
        named(options.part).run(context)
        return 0
    missing = [] if options.dry_run else machine.missing()
    if missing:
        print("benchmarks.gpu cannot run here:\n")
        for what, fix in missing:
            print(f"- {what}\n  {fix}")
        print("\n--dry-run runs every part without a GPU, to test this command.")
        return 2
    out = options.out or (context.scratch if options.dry_run else _common.RESULTS)
    out.mkdir(parents=True, exist_ok=True)
    identity, before = machine.identity(options.dry_run), context.load("identity")
    if options.resume and before not in (None, identity):
        print(f"--resume: the earlier results are of {before}, this is {identity}; run without it.")
        return 2
    for part in PARTS:  # the report is of one card and one version
        if before != identity or (part.name in options.only and not options.resume):
            context.forget(part.name, all_of_it=True)
    context.save("identity", identity)
    return run_all(options, context, out)


def run_all(options, context, out):
    deadline = time.perf_counter() + 60 * options.minutes
    chosen = [part for part in PARTS if part.name in options.only]
    for i, part in enumerate(chosen):
        before = context.load(part.name)
        if options.resume and before and before["status"] == "passed":
            print(f"{part.name:12} passed before: {before['said']}", flush=True)
            continue
        reserved = sum(p.least for p in chosen[i + 1 :])
        seconds = min(part.most, deadline - time.perf_counter() - reserved)
        if seconds < min(part.least, 5):
            found = {"status": "unfinished", "said": "no time was left; --resume goes on", "seconds": 0}
            context.save(part.name, found)
        else:
            found = run_part(part, context, seconds)
        print(f"{part.name:12} {found['status']}: {found['said']} ({found['seconds']:.0f} s)", flush=True)
        if found["status"] == "failed":
            print(f"{'':12} {shown(context.log(part.name))}", flush=True)
        report.write(context, out)
    print(f"\n{report.write(context, out)}\nwritten to {shown(out)}")
    done = {part.name: context.load(part.name) for part in chosen}
    return 0 if all(r["status"] in ("passed", "skipped") for r in done.values()) else 1


def shown(path):
    path = path.resolve()
    return path.relative_to(_common.ROOT) if path.is_relative_to(_common.ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
