"""The GPU and what is installed to use it; what is missing, with the fix. Holds no CUDA context: it asks in
processes that end.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .. import _common

PROBE = """
import json, cupy
p = cupy.cuda.runtime.getDeviceProperties(0)
free, total = cupy.cuda.runtime.memGetInfo()
print(json.dumps({
    "gpu": p["name"].decode(), "arch": cupy.cuda.Device(0).compute_capability, "memory": total,
    "processors": p["multiProcessorCount"], "l2": p["l2CacheSize"],
    "driver_cuda": cupy.cuda.runtime.driverGetVersion(),
    "runtime_cuda": cupy.cuda.runtime.runtimeGetVersion(),
}))
"""


def asked(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def missing():
    """[(what, how to get it)] without which nothing here runs."""
    found = []
    if asked(["nvidia-smi", "-L"]) is None:
        found.append(
            ("no NVIDIA driver answers (nvidia-smi).", "Run on a machine with an NVIDIA GPU and its driver.")
        )
    for package, fix in (
        ("cupy", 'pip install -e ".[cuda13]" (driver 580 or newer) or ".[cuda12]".'),
        ("pytest", 'pip install -e ".[test]".'),
        ("hypothesis", 'pip install -e ".[test]".'),
        ("pybind11", 'pip install -e ".[test]".'),
        ("scipy", 'pip install -e ".[test]".'),
        ("optree", "pip install optree; without a network: carry its wheel, pip install --no-index FILE."),
    ):
        if asked([sys.executable, "-c", f"import {package}"]) is None:
            found.append((f"Python's {package} cannot be imported.", fix))
    if not found and asked([sys.executable, "-c", PROBE]) is None:
        said = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False
        ).stderr
        last = said.strip().splitlines()[-1] if said.strip() else "no reason given"
        found.append((f"CuPy does not reach the GPU: {last}", "See python -m tensorflowlite_bp info."))
    return found


def nvcc():
    """The compiler, where setup.py looks for it as well; None if nowhere."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    homes += [os.path.join(p, "nvidia", "cu13") for p in sys.path]
    inside = [str(Path(home, "bin", "nvcc")) for home in homes if home and Path(home, "bin", "nvcc").exists()]
    return shutil.which("nvcc") or (inside[0] if inside else None)


def sanitizer():
    """compute-sanitizer, beside nvcc or on the path; None if nowhere."""
    found = shutil.which("compute-sanitizer")
    if found is None and nvcc() is not None:
        beside = Path(nvcc()).resolve().parent / "compute-sanitizer"
        found = str(beside) if beside.exists() else None
    return found


def commit():
    return (asked(["git", "-C", str(_common.ROOT), "rev-parse", "--short", "HEAD"]) or "").strip()


def identity(dry):
    """What makes results comparable: the card, and the version of the sources."""
    card = (
        "the emulator" if dry else (asked(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or "")
    )
    return {"gpu": card.strip().split("\n")[0], "commit": commit()}


def describe(dry):
    """The machine as the report names it."""
    out = _common.machine() | {"commit": commit()}
    if dry:
        return out | {"gpu": "the emulator: figures mean nothing", "arch": "", "l2": 1 << 16}
    out |= json.loads(asked([sys.executable, "-c", PROBE]) or "{}")
    smi = asked(
        ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"]
    )
    if smi:
        driver, power, clock = [part.strip() for part in smi.split("\n")[0].split(",")]
        out |= {"driver": driver, "power_limit": power, "max_sm_clock": clock}
    compiler = nvcc()
    said = asked([compiler, "--version"]) if compiler else None
    release = re.search(r"release ([\d.]+)", said or "")
    return out | {"nvcc": release[1] if release else "absent", "compute_sanitizer": sanitizer() or "absent"}
