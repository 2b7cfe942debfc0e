"""compute-sanitizer's four tools on launches of every kernel, and a planted mistake that it must find.

The launches are recorded from the tests of the kernels on this GPU (tests/cuda_hosts.py), with all they read
and made; kernels/tests/replay.cu, built by nvcc, runs them again on memory of exactly their sizes and
compares the bits. A dry run does the same with the emulator and no tool.
"""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from .. import _common
from . import machine

TOOLS = {  # tool: (its options, whether the results are read; initcheck is about the kernels' reads alone)
    "memcheck": (["--padding", "32"], True),
    "racecheck": ([], True),
    "initcheck": ([], False),
    "synccheck": ([], True),
}
KERNELS = _common.ROOT / "kernels"


def run(context):
    end = time.perf_counter() + context.seconds - 10
    sys.path.insert(0, str(_common.ROOT / "tests"))
    kept = context.kept("sanitize")
    absent = None
    if not context.dry and machine.sanitizer() is None:
        absent = "compute-sanitizer is not installed: it comes with the CUDA toolkit (cuda-sanitizer)"
    elif not context.dry and machine.nvcc() is None:
        absent = "no nvcc, which builds the program that is checked: install the CUDA toolkit"
    if absent:
        context.save("sanitize", {"status": "skipped", "said": absent})
        return
    count = record(context, kept)
    program = build_on_emulator() if context.dry else build_for(kept, machine.describe(False)["arch"])
    results = {"the same bits": replay([program], kept / "launches", 0, 60)}
    results["a wrong result is seen"] = turned(replay([program], kept / "wrong", 0, 30), "WRONG")
    if not context.dry:
        with ThreadPoolExecutor(4) as pool:  # the tools wait for themselves more than for the GPU
            found = {tool: pool.submit(check, program, kept / "launches", tool, end) for tool in TOOLS}
            results |= {tool: job.result() for tool, job in found.items()}
        planted = check(program, kept / "beyond", "memcheck", end + 5)
        results["a planted mistake is found"] = turned(planted, " errors")
    bad = [f"{name}: {said}" for name, said in results.items() if said]
    said = f"{count} launches; " + ("; ".join(bad) or ", ".join(results))
    result = {"status": "failed" if bad else "passed", "said": said[:400], "tools": results}
    context.save("sanitize", result)


def turned(said, wanted):
    """Of a run that has to fail, and to say so."""
    return "" if wanted in said else f"went unseen: {said!r}"


def record(context, kept):
    """Launches of every kernel, and two with mistakes: a wrong bit in what is expected, a row too many."""
    import numpy as np
    import test_cuda_sanitizers
    from cuda_hosts import Device, Recorder, emulator

    from tensorflowlite_bp.backend.cuda import cuda_host, losses

    host = Recorder(emulator() if context.dry else Device(cuda_host()))
    if context.dry:
        losses.softmax(host, np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6))
    else:
        test_cuda_sanitizers.draw(host, test_cuda_sanitizers.FEW)
    host.save(kept / "launches")
    one = Recorder(emulator() if context.dry else Device(cuda_host()))
    out = losses.softmax(one, np.ones((3, 7), np.float32))
    (launch,) = one.launches
    at = launch.rindex(out.tobytes()[:4])
    wrong = launch[:at] + b"\0\0\0\0" + launch[at + 4 :]
    rows = Recorder._words(0, 3, 0, 7, 0, 0)  # rows, classes, log, each after a 0: no array
    assert launch.endswith(rows)
    beyond = launch[: -len(rows)] + Recorder._words(0, 4, 0, 7, 0, 0)
    for name, text in (("wrong", wrong), ("beyond", beyond)):
        (kept / name).write_bytes(Recorder._words(1) + text)
    return len(host.launches)


def build_on_emulator():
    from cuda_hosts import build, kernel_sources

    sources = [*kernel_sources(), (KERNELS / "tests/replay.cu", [])]
    sources.append((KERNELS / "emulator/emulator.cpp", ["-O2", "-fno-sanitize=all"]))
    return build("replay-plain", sources, ["-O1"])


def build_for(kept, arch):
    """replay, for this GPU, with lines of the source in its machine code."""
    flags = ["-std=c++17", "-O3", "-lineinfo", "-DTFLBP_FEW_TYPES", f"-I{KERNELS}"]
    flags += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    sources = [*sorted(KERNELS.glob("cuda/*.cu")), KERNELS / "tests/replay.cu"]
    objects = [kept / f"{source.stem}.o" for source in sources]

    def compile_one(job):
        source, made = job
        subprocess.run([machine.nvcc(), *flags, "-c", source, "-o", made], check=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compile_one, zip(sources, objects, strict=True)))
    subprocess.run([machine.nvcc(), *flags, *objects, "-o", kept / "replay"], check=True)
    return kept / "replay"


def replay(command, launches, how, seconds, *, watched=False):
    """What is wrong; "" if nothing. watched: by a tool, which has to give its summary."""
    try:
        done = subprocess.run(
            [*command, launches, str(how)], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {seconds:.0f} s"
    print(" ".join(map(str, command)), done.returncode, done.stdout[-6000:], done.stderr[-2000:], flush=True)
    errors = re.findall(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard", done.stdout)
    if any(int(a or b) for a, b in errors):
        first = re.search(
            r"^=+ *((?:Invalid|Uninit|Error|Warning|Barrier|Program|Saved).*)$", done.stdout, re.M
        )
        return f"{sum(int(a or b) for a, b in errors)} errors{': ' + first[1] if first else ''}"
    if watched and not errors:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        return f"the tool gave no summary: {' '.join(last)}"[:200]
    if done.returncode:
        return (re.search(r"^(WRONG|REFUSED).*$", done.stdout, re.M) or [f"exit status {done.returncode}"])[0]
    return ""


def check(program, launches, tool, end):
    options, compare = TOOLS[tool]
    command = [machine.sanitizer(), "--tool", tool, *options, "--error-exitcode", "9", program]
    return replay(command, launches, int(not compare), max(5, end - time.perf_counter()), watched=True)
