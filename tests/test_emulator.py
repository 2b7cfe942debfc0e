"""The CUDA emulator: right kernels run clean in every schedule and under every sanitizer, and every planted
mistake is found. A checker that nobody checks finds nothing.
"""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
CXX = os.environ.get("CXX") or shutil.which("g++")
SCHEDULES = ("0", "1", "2")  # forward, reverse, random
BUILDS = {  # name: flags of the kernels, flags of the emulator (which moves stacks: never instrumented)
    "plain": (["-O2"], []),
    "asan": (["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize=vptr"], []),
    "tsan": (["-O1", "-g1", "-fsanitize=thread"], ["-DTFLBP_TSAN"]),
}
RACE = "WARNING: ThreadSanitizer: data race"
# the mistake, the build that finds it in every schedule, its exit status (None: any but 0), what it says
MISTAKES = [
    ("missing_barrier", "tsan", None, RACE),
    ("race_between_warps", "tsan", None, RACE),
    ("race_between_blocks", "tsan", None, RACE),
    ("missing_cluster_barrier", "tsan", None, RACE),
    ("out_of_bounds", "asan", None, "heap-buffer-overflow"),
    ("misaligned", "asan", None, "misaligned address"),
    ("uninitialised_shared", "plain", 1, "nan, not 50010"),
    ("divergent_barrier", "plain", 2, "have exited"),
    ("different_barriers", "plain", 2, "different barriers"),
    ("exited_lane", "plain", 2, "names lane 3, which has exited"),
    ("wrong_mask", "plain", 2, "a mask that leaves it out"),
    ("partial_shuffle", "plain", 2, "has exited"),
    ("different_warp_operations", "plain", 2, "different warp operations"),
    ("outside_cluster", "plain", 2, "outside the cluster of 4"),
    ("not_shared", "plain", 2, "not in this block's shared memory"),
    ("half_a_cluster", "plain", 2, "wait at its barrier"),
    ("too_much_shared", "plain", 2, "over the limit"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CXX is None, reason="no g++"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="x86-64 only"),
    pytest.mark.skipif(not (KERNELS / "emulator").exists(), reason="not a source tree"),
]


def shell(*command):
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
    }
    return subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def build(folder, name):
    kernel_flags, emulator_flags = BUILDS[name]
    common = [CXX, "-std=c++17", "-DTFLBP_EMULATOR", f"-I{KERNELS}", "-Wall"]
    jobs = [
        [
            *common,
            "-O2",
            *emulator_flags,
            "-c",
            KERNELS / "emulator/emulator.cpp",
            "-o",
            folder / f"{name}.emulator.o",
        ],
        [
            *common,
            *kernel_flags,
            "-x",
            "c++",
            "-c",
            KERNELS / "tests/emulator_planted.cu",
            "-o",
            folder / f"{name}.o",
        ],
        [CXX, *kernel_flags, folder / f"{name}.emulator.o", folder / f"{name}.o", "-o", folder / name],
    ]
    for job in jobs:
        done = shell(*job)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder / name


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulator")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BUILDS, pool.map(lambda name: build(folder, name), BUILDS), strict=True))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", BUILDS)
def test_right_kernels_run_clean(programs, name, schedule):
    done = shell(programs[name], schedule)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("mistake", "name", "status", "says"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_mistakes_are_found(programs, mistake, name, status, says, schedule):
    done = shell(programs[name], schedule, mistake)
    assert done.returncode != 0
    assert status is None or done.returncode == status
    assert says in done.stdout + done.stderr
