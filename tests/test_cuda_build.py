"""The CUDA module without a GPU: nvcc builds it for every architecture and it imports; NVRTC compiles every
kernel; no kernel spills, uses more registers than it may, or reads 16-byte data piece by piece.
"""

import ctypes
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_hosts import CXX, KERNELS, ROOT, emulator_module, needs_emulator, run

from tensorflowlite_bp.backend.cuda import Nvrtc
from tensorflowlite_bp.backend.cuda.host import sources

ARCHES = ["80", "90", "100", "120"]
FAMILIES = sorted(p.stem for p in KERNELS.glob("cuda/*.cu") if p.stem != "launch")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not KERNELS.exists(), reason="not a source tree")]

# Registers that a kernel may use, in any type, on any architecture, by the start of its name; the first that
# fits.
# With 128 registers two blocks of 256 threads run on a processor at once:
# 16 KB of loads in flight, about what its share of the memory needs.
REGISTERS = [
    ("gemm<", 128), ("convolution<", 128), ("attention", 112), ("max_pool_grad", 96),
    ("norm_sums_last<", 104), ("norm_grad_last<", 104),
    ("rmsprop", 96), ("adam", 96), ("", 80),
]  # fmt: skip
# Kernels that move 16 bytes at a time where columns and addresses allow.
WIDE = """softmax softmax_backward softmax_cross_entropy softmax_cross_entropy_cluster layer_norm
layer_norm_backward normalise_first norm_grad_first moments_first norm_sums_first sgd sgd_momentum adam
rmsprop lion squares activation activation_backward dropout random_words""".split()
WIDE_BY_COLUMNS = "column_sums moments_last normalise_last norm_sums_last norm_grad_last".split()


def demangled(log):
    """(kernel as a name expression, its lines) of ptxas -v."""
    plain = subprocess.run(["c++filt"], input=log, capture_output=True, text=True, check=True).stdout
    for part in re.split(r"Compiling entry function '", plain)[1:]:
        name = part.split("'")[0].removeprefix("void ")
        depth, end = 0, len(name)
        for i, c in enumerate(name):
            depth += (c == "<") - (c == ">")
            if c == "(" and not depth:
                end = i
                break
        yield name[:end], part


@pytest.fixture(scope="module")
def built(tmp_path_factory, worker_id):
    """A folder with the module, and ptxas' words about it. Of pytest-xdist's workers one builds, for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "cuda"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            build_into(folder)
            (folder / "whole").touch()
    return folder


def build_into(folder):
    """Links the objects that installing has made (build/cuda), unless something of them has changed since."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", folder]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TFLBP_")}
    run(*command, "--build-temp", folder / "temp", cwd=ROOT, env={**clean, "TFLBP_CUDA": "only"})


def left_by_the_build(folder, suffix):
    """What nvcc has left beside the objects of the kernels."""
    objects = (folder / "temp" / "cuda-objects").read_text().split("\n")
    found = [Path(o).with_suffix(suffix) for o in objects if not Path(o).stem.startswith("bind_")]
    assert len(found) == len(FAMILIES) + 1  # and launch.cu
    return found


@needs_nvcc
def test_the_module_is_built_and_imports_without_a_driver(built):
    code = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("tensorflowlite_bp._native_cuda", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
count, why = module.device_count()
assert count or why, "no devices, and no reason"
if not count:
    try:
        index, parameters = next((i, p) for i, (n, p) in enumerate(module.kernels()) if n == "next_step")
        module.launch(index, 1, 1, 1, 32, 1, 0, 0, (0,))
    except RuntimeError as error:
        assert "[next_step] the launch failed: cuda" in str(error), error
    else:
        raise AssertionError("a launch without a device went through")
try:
    module.launch(0, 1, 1, 1, 32, 1, 0, 0, (1, 2))
except ValueError as error:
    assert "arguments" in str(error)
print(module.arches, len(module.kernels()))
"""
    path = next(built.rglob("_native_cuda*.so"))
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    arches, count = done.stdout.split()
    assert arches.split(";") == ARCHES
    assert int(count) > 150
    needed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    assert not re.search("libcuda|libcudart|libcublas|libnvrtc", needed), needed
    assert path.stat().st_size < 12 << 20


@needs_nvcc
def test_registers_and_spills(built):
    seen, wrong = set(), []
    for log in left_by_the_build(built, ".log"):
        for name, said in demangled(log.read_text()):
            arch = re.search(r"for 'sm_(\d+)'", said)[1]
            registers = int(re.search(r"Used (\d+) registers", said)[1])
            spilled = int(re.search(r"(\d+) bytes spill stores", said)[1])
            most = next(limit for start, limit in REGISTERS if name.startswith(start))
            seen.add(arch)
            if spilled or registers > most:
                wrong.append(f"{name} sm_{arch}: {registers} registers of {most}, {spilled} bytes spilled")
    assert sorted(seen, key=int) == ARCHES
    assert not wrong, "\n".join(wrong)


@needs_nvcc
@pytest.mark.parametrize("family", FAMILIES)
def test_16_bytes_at_a_time(built, family):
    (ptx,) = [p for p in left_by_the_build(built, ".ptx") if p.stem.startswith(f"{family}-")]
    wrong = []
    text = subprocess.run(
        ["c++filt"], input=ptx.read_text(), capture_output=True, text=True, check=True
    ).stdout
    for part in text.split(".entry ")[1:]:
        name = part.split("(")[0].removeprefix("void ")
        base, _, rest = name.partition("<")
        wide = base in WIDE or (base in WIDE_BY_COLUMNS and not rest.startswith(("float, 1", "double, 1")))
        if not wide or re.search(r"float16, 1>|bfloat16, 1>", name):
            continue
        reads = len(re.findall(r"ld(?!\.(?:shared|param|local))[.\w]*\.v(?:2\.[bfu]64|4\.[bfu]32)", part))
        writes = len(re.findall(r"st(?!\.(?:shared|param|local))[.\w]*\.v(?:2\.[bfu]64|4\.[bfu]32)", part))
        only_reads = base in (
            "moments_last",
            "moments_first",
            "norm_sums_last",
            "norm_sums_first",
            "column_sums",
            "squares",
        )
        if (not reads and base != "random_words") or not (writes or only_reads):
            wrong.append(f"{name}: {reads} wide loads, {writes} wide stores")
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------------------ cublasLt
def test_our_declarations_of_cublaslt_are_nvidia_s():
    headers = [*(Path(p, "nvidia", "cu13", "include") for p in sys.path), Path("/usr/local/cuda/include")]
    found = [h for h in headers if (h / "cublasLt.h").exists()]
    if not found or not Path("/usr/local/cuda/include/crt").exists():
        pytest.skip("the headers of cublasLt and of the run time are not installed")
    after = ["-idirafter", "/usr/local/cuda/include"]
    source = KERNELS / "tests/check_cublaslt.cu"
    run(CXX, "-std=c++17", "-fsyntax-only", f"-I{KERNELS}", f"-I{found[0]}", *after, "-x", "c++", source)


@needs_nvcc
def test_products_reach_cublaslt_as_they_should(built, tmp_path):
    """On a stand-in for the library that multiplies on the host, by what NVIDIA documents."""
    fake, library = KERNELS / "tests/fake_cublaslt.cu", tmp_path / "libfake.so"
    run(CXX, "-std=c++17", "-O1", "-shared", "-fPIC", f"-I{KERNELS}", "-x", "c++", fake, "-o", library)
    program, module = Path(__file__).parent / "cuda_lt_program.py", next(built.rglob("_native_cuda*.so"))
    done = subprocess.run(
        [sys.executable, program, module, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["88", "products"]


# ------------------------------------------------------------------ NVRTC, without CuPy: that wants a device
def nvrtc_library():
    folders = [Path(p, "nvidia", kind, "lib") for p in sys.path for kind in ("cu13", "cuda_nvrtc")]
    for folder in folders:
        for path in folder.glob("libnvrtc.so.1?"):
            return path
    return None


@pytest.mark.skipif(nvrtc_library() is None, reason="nvidia-cuda-nvrtc is not installed")
@pytest.mark.parametrize("arch", ["90"])
@pytest.mark.skipif(any(m.args[0] for m in needs_emulator[1:]), reason="the emulator lists the kernels")
def test_nvrtc_compiles_every_kernel(arch):
    """To machine code, as CuPy would, but for the time spent on the code's speed (13 s, not 62); the table of
    kernels is the emulator's, which has all of them.
    """
    lib = ctypes.CDLL(str(nvrtc_library()))
    program = ctypes.c_void_p()
    text = Nvrtc.source().encode()
    assert lib.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None) == 0
    names = [name for name, _ in emulator_module().kernels()]
    for name in names:
        assert lib.nvrtcAddNameExpression(program, name.encode()) == 0
    options = [*Nvrtc.OPTIONS, f"-I{sources()}", f"--gpu-architecture=sm_{arch}", "--Ofast-compile=mid"]
    status = lib.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    )
    size = ctypes.c_size_t()
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()[-4000:]
    for name in names:
        lowered = ctypes.c_char_p()
        assert lib.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered)) == 0, name
    assert lib.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
    assert size.value > 100_000
    lib.nvrtcDestroyProgram(ctypes.byref(program))
