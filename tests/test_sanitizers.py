"""The kernels under Address-, UndefinedBehavior- and ThreadSanitizer, driven by kernels/tests/driver.cpp."""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
CXX = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
LEVELS = {
    "baseline": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
FLAGS = [
    "-std=c++17",
    "-O2",
    "-ftree-vectorize",
    "-g1",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-pthread",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CXX is None, reason="no C++ compiler"),
    pytest.mark.skipif(not (KERNELS / "tests").exists(), reason="not a source tree"),
]


def run(command, **kwargs):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    )
    return done


def runs_here(level):
    cpu = Path("/proc/cpuinfo")
    return level != "avx512" or not cpu.exists() or "avx512dq" in cpu.read_text()


def build(folder, sanitize):
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    levels = LEVELS if x86 else {"baseline": []}
    common = [
        *FLAGS,
        *sanitize,
        f"-I{KERNELS}",
        f"-I{KERNELS / 'include'}",
        *(["-DTFLBP_X86_LEVELS"] if x86 else []),
    ]
    jobs = []
    for source in sorted(KERNELS.glob("cpu/*_isa.cpp")):
        for name, flags in levels.items():
            # What cannot run here is only linked; to compile it quickly is enough.
            quick = [] if runs_here(name) else ["-O0", "-g0", "-fno-sanitize=all"]
            jobs.append((source, folder / f"{source.stem}-{name}.o", [*flags, *quick, f"-DTFLBP_ISA={name}"]))
    plain = [*KERNELS.glob("cpu/*.cpp"), *KERNELS.glob("tests/*.cpp")]
    jobs += [(s, folder / f"{s.stem}.o", []) for s in plain if not s.stem.endswith("_isa")]

    def compile_one(job):
        source, target, flags = job
        run([CXX, *common, *flags, "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, jobs))
    program = folder / "driver"
    run([CXX, *common, *objects, "-o", program])
    return program


def has(sanitizer, folder):
    """Some systems ship the compiler without the sanitizer's library."""
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    done = subprocess.run(
        [CXX, f"-fsanitize={sanitizer}", probe, "-o", folder / "probe"], capture_output=True, check=False
    )
    return (
        done.returncode == 0
        and subprocess.run([folder / "probe"], check=False, capture_output=True).returncode == 0
    )


def test_address_and_undefined(tmp_path):
    if not has("address,undefined", tmp_path):
        pytest.skip("no AddressSanitizer here")
    program = build(
        tmp_path, ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    )
    env = {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    for part in ("kernels", "threads"):
        done = run([program, part], env=env, timeout=900)
        assert "all done" in done.stdout
        assert not done.stderr


def test_thread(tmp_path):
    if not has("thread", tmp_path):
        pytest.skip("no ThreadSanitizer here")
    program = build(tmp_path, ["-fsanitize=thread"])
    done = run([program, "threads"], env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}, timeout=900)
    assert "all done" in done.stdout
    assert not done.stderr


def test_instruction_sets_do_not_leak(tmp_path):
    """No object of one instruction set may define a symbol that another file could be given: see isa.h."""
    nm = shutil.which("nm")
    if nm is None or platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("needs nm and x86-64")
    for source in sorted(KERNELS.glob("cpu/*_isa.cpp")):
        target = tmp_path / "probe.o"
        flags = [
            "-std=c++17",
            "-O1",
            "-fno-exceptions",
            *LEVELS["avx512"],
            "-DTFLBP_ISA=avx512",
            "-DTFLBP_X86_LEVELS",
        ]
        run([CXX, *flags, f"-I{KERNELS}", f"-I{KERNELS / 'include'}", "-c", source, "-o", target])
        lines = run([nm, "--defined-only", "-C", target]).stdout.splitlines()
        shared = [line for line in lines if line[17:18] in "WVu"]
        assert not [line for line in shared if "avx512" not in line], f"{source.name}: {shared}"
        outside = [line for line in lines if line[17:18] in "TDRB" and "tflbp::avx512::" not in line]
        assert not outside, f"{source.name}: {outside}"
