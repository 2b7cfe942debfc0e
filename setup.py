"""The C++ and CUDA extensions, and nothing else: metadata is in pyproject.toml.

`kernels/cpu/*_isa.cpp` is compiled once per instruction-set level, everything else once, so the library is
portable and still fast. Without a compiler the install succeeds and the package runs on its NumPy reference;
TFLBP_BUILD=require (or TFLBP_KERNELS=native) makes that an error.

`kernels/cuda/*.cu` is built where an nvcc of CUDA 12.8 or newer is found (CUDA_HOME, CUDA_PATH, PATH,
/usr/local/cuda, or NVIDIA's wheels), for the GPUs in TFLBP_CUDA_ARCHES (default 80;90;100;120; newer ones run
the PTX). Without it the kernels, which are installed as source, are compiled by NVRTC when first used.
TFLBP_CUDA=0 leaves it out, as `build_ext --inplace` does by itself (CPU kernels are rebuilt often), 1
requires it, "only" builds nothing else. No driver is needed to build.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
KERNELS = ROOT / "kernels"
LEVELS = {
    "baseline": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
COMMON = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-pthread"]
COMMON += ["-ffunction-sections", "-fdata-sections"]  # the linker drops what is not used
# Loops vectorise without errno and trap semantics; NaN, infinity and signed zero keep their meaning (not
# -ffast-math). -fopenmp-simd takes `#pragma omp simd` as a hint and needs no OpenMP run time.
# Kernels never throw, and the tables of exceptions would be symbols shared between instruction sets.
MATH = ["-fno-exceptions", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]

# Measured: 1.4 times for exp, 3 for a scaled copy with short rows. The matrix products unroll by hand; the
# recurrent cells have enough to do in one round.
UNROLL = ["-funroll-loops"]


def version():
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version"):
            return line.split('"')[1]
    return "0"


def with_headers(source):
    """The text of a source of CUDA and, behind it, of every header of ours that it includes, at any depth."""
    text = source.read_text(encoding="utf-8")
    headers = re.findall(r'^#include "(cuda/.+)"', text, re.MULTILINE)
    return "".join([text, *[with_headers(KERNELS / name) for name in headers]])


class Build(build_ext):
    """Compiles side by side, recompiles only what changed, replaces the library in one move."""

    def run(self):
        try:
            super().run()
        except Exception as error:
            if os.environ.get("TFLBP_BUILD") == "require" or os.environ.get("TFLBP_KERNELS") == "native":
                raise
            cause = " ".join(str(error).split())[:120] or type(error).__name__
            print(
                f"tensorflowlite_bp: compiled kernels were not built ({cause}); the NumPy reference is used. "
                "Install a C++17 compiler (e.g. apt install g++) and reinstall for full speed.",
                file=sys.stderr,
            )

    def build_extension(self, ext):
        if ext.name.endswith("_cuda"):
            self._build_cuda(ext)
            return
        import numpy
        import pybind11

        unix = self.compiler.compiler_type == "unix"
        include = [str(KERNELS / "include"), str(KERNELS), pybind11.get_include(), numpy.get_include()]
        levels = self._levels() if unix else ["baseline"]
        common, math = (COMMON, MATH) if unix else (["/std:c++17", "/O2", "/EHsc"], [])
        macros = [("TFLBP_X86_LEVELS", None)] if len(levels) > 1 else []
        told = [
            ("TFLBP_VERSION", f'"{version()}"'),
            ("TFLBP_BUILD_FLAGS", f'"{" ".join(common + math)}; levels {" ".join(levels)}"'),
        ]
        jobs = []  # (source, folder of the object, flags, macros); the longest first
        for source in sorted(KERNELS.glob("cpu/*_isa.cpp")):
            unroll = UNROLL if unix and not source.stem.startswith(("gemm", "linear", "recurrent")) else []
            for level in reversed(levels):
                lean = level == "baseline" and len(levels) > 1  # for CPUs before 2013: 0.6 MB less
                flags = common + math + (["-O2"] if lean else unroll) + LEVELS[level]
                jobs.append((source, level, flags, [*macros, ("TFLBP_ISA", level)]))
        plain = [*KERNELS.glob("cpu/*.cpp"), *KERNELS.glob("bindings/*.cpp")]
        plain = [p for p in plain if not p.name.startswith("bind_cuda")]
        jobs += [
            (source, "any", common, macros + (told if source.name == "bind.cpp" else []))
            for source in sorted(plain)
            if not source.stem.endswith("_isa")
        ]

        newest = newest_header("include/**/*.h", "cpu/*.h", "bindings/*.h")

        def compile_one(job):
            source, folder, flags, defines = job
            out = Path(self.build_temp) / folder
            relative = os.path.relpath(source, ROOT)
            made = Path(self.compiler.object_filenames([relative], output_dir=str(out))[0])
            changed = max(newest, source.stat().st_mtime)
            if not self.force and made.exists() and made.stat().st_mtime > changed:
                return str(made)
            made.parent.mkdir(parents=True, exist_ok=True)
            self.compiler.compile(
                [relative], output_dir=str(out), macros=defines, include_dirs=include, extra_postargs=flags
            )
            return str(made)

        os.chdir(ROOT)
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            objects = list(pool.map(compile_one, jobs))

        self._link(ext, objects, ["-pthread"] if unix else [])

    def _link(self, ext, objects, extra):
        unix = self.compiler.compiler_type == "unix"
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        strip = ["-Wl,-dead_strip"] if sys.platform == "darwin" else ["-Wl,--gc-sections", "-s"]
        fresh = target.with_name(f".{os.getpid()}-{target.name}")
        self.compiler.link_shared_object(
            objects,
            str(fresh),
            extra_postargs=[*extra, *strip] if unix else [],
            export_symbols=self.get_export_symbols(ext),
            target_lang="c++",
        )
        os.replace(fresh, target)

    def _build_cuda(self, ext):
        """One translation unit a family of kernels. The front end runs once, for the oldest GPU's PTX; ptxas
        once per GPU.
        """
        import pybind11

        arches = os.environ.get("TFLBP_CUDA_ARCHES", CUDA_ARCHES).replace(",", ";").split(";")
        flags = ["-std=c++17", "-O3", "--compress-mode=size", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
        flags += ["-I", str(KERNELS)]
        flags += ["-Xptxas", "-v"]  # registers and spills, which the tests read, as they do the PTX
        toolkit = Path(NVCC).parent.parent

        def generated(source):
            """For which GPUs: clusters came with sm_90."""
            able = [a for a in arches if int(a) >= 90 or source.stem != "clusters"]
            base = min(able, key=int, default="")
            codes = ",".join([*(f"sm_{a}" for a in able), f"compute_{base}"])
            return ["-gencode", f"arch=compute_{base},code=[{codes}]"] if able else None

        def kernels(source, folder):
            command = [NVCC, *flags, *generated(source), "--keep", "--keep-dir", folder]
            command += ["-c", source, "-o", folder / "made.o"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{source.name}: {done.stderr[-2000:]}")
            (folder / "made.log").write_text(done.stderr)
            next(folder.glob("*.ptx")).rename(folder / "made.ptx")

        macros = [("TFLBP_CUDA_BUILT", f'"{";".join(arches)}"')]

        def binding(source, folder):
            made = self.compiler.compile(
                [str(source.relative_to(ROOT))],
                output_dir=str(folder),
                macros=macros,
                include_dirs=[str(KERNELS), pybind11.get_include(), str(toolkit / "include")],
                extra_postargs=COMMON,
            )[0]
            os.replace(made, folder / "made.o")

        nvcc = [NVCC, os.stat(NVCC).st_mtime]
        host = [*self.compiler.compiler_so, COMMON, macros, pybind11.__version__, sys.version, nvcc]
        jobs = [(ROOT / source, host, binding) for source in CUDA_BINDINGS]
        units = sorted(KERNELS.glob("cuda/*.cu"), key=os.path.getsize, reverse=True)
        jobs += [(unit, [nvcc, flags, generated(unit)], kernels) for unit in units if generated(unit)]
        try:
            os.chdir(ROOT)
            with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
                objects = list(pool.map(lambda job: self._cuda_object(*job), jobs))
            temp = Path(self.build_temp)
            temp.mkdir(parents=True, exist_ok=True)
            (temp / "cuda-objects").write_text("\n".join(objects))
            self._link(ext, objects, [*cuda_libraries(), "-Wl,--exclude-libs,ALL", "-pthread"])
        except Exception as error:
            if os.environ.get("TFLBP_BUILD") == "require" or os.environ.get("TFLBP_CUDA") in ("1", "only"):
                raise
            cuda_skipped(" ".join(str(error).split())[:200])

    def _cuda_object(self, source, how, make):
        """An object under the digest of all that goes into it: installing, the tests and the benchmarks,
        which build for other GPUs, compile nothing twice. make(source, folder) leaves made.o, and may leave
        more.
        """
        digest = hashlib.sha256((with_headers(source) + repr(how)).encode()).hexdigest()[:16]
        name = f"{source.stem}-{digest}"
        made = CUDA_OBJECTS / f"{name}.o"
        if self.force or not made.exists():
            CUDA_OBJECTS.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CUDA_OBJECTS) as folder:
                make(source, Path(folder))
                for suffix in (".log", ".ptx", ".o"):
                    if (fresh := Path(folder, "made" + suffix)).exists():
                        os.replace(fresh, made.with_suffix(suffix))
        return str(made)

    def copy_extensions_to_source(self):
        """In one move: a running process keeps its old library, a new one never sees half a file."""
        for ext in self.extensions:
            built = Path(self.build_lib) / self.get_ext_filename(self.get_ext_fullname(ext.name))
            if not built.exists():
                continue
            target = ROOT / self.get_ext_filename(self.get_ext_fullname(ext.name))
            fresh = target.with_name(f".{os.getpid()}-{target.name}")
            shutil.copyfile(built, fresh)
            os.replace(fresh, target)

    def _levels(self):
        """The instruction-set levels that this compiler and this platform can build."""
        if sys.platform == "darwin" or platform.machine().lower() not in ("x86_64", "amd64"):
            return ["baseline"]
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.cpp"
            probe.write_text('int main() { return __builtin_cpu_supports("avx512f"); }\n')
            try:
                for flags in LEVELS.values():
                    self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=flags)
            except Exception:
                return ["baseline"]
        return list(LEVELS)


CUDA_ARCHES = "80;90;100;120"
CUDA_OLDEST = (12, 8)  # the first that knows sm_100 and sm_120
CUDA_OBJECTS = ROOT / "build" / "cuda"
CUDA_BINDINGS = ["kernels/bindings/bind_cuda.cpp", "kernels/bindings/bind_cuda_lt.cpp"]


def cuda_skipped(cause):
    print(
        f"tensorflowlite_bp: the CUDA module was not built ({cause}); with CuPy installed its kernels "
        "are compiled when first used.",
        file=sys.stderr,
    )


def find_nvcc():
    """The nvcc to use, or None, having said why."""
    wanted = os.environ.get("TFLBP_CUDA", "auto")
    if wanted == "0" or sys.platform != "linux" or (wanted == "auto" and "--inplace" in sys.argv):
        return None
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    on_path = shutil.which("nvcc")
    if on_path:  # a wrapper script tells where the toolkit is
        dry = subprocess.run([on_path, "-dryrun", "-c", "x.cu"], capture_output=True, text=True, check=False)
        homes += re.findall(r"^#\$ _?(?:TOP)=(.*)$", dry.stderr, re.MULTILINE)
    homes += ["/usr/local/cuda", *(os.path.join(p, "nvidia", "cu13") for p in sys.path)]
    cause = "no nvcc"
    for home in homes:
        nvcc = Path(home, "bin", "nvcc") if home else None
        if nvcc is None or not nvcc.exists():
            continue
        said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False).stdout
        release = re.search(r"release (\d+)\.(\d+)", said)
        if release and tuple(map(int, release.groups())) >= CUDA_OLDEST:
            return str(nvcc.resolve())
        cause = f"{nvcc} is older than CUDA {CUDA_OLDEST[0]}.{CUDA_OLDEST[1]}"
    if wanted in ("1", "only"):
        raise SystemExit(f"TFLBP_CUDA={wanted}: {cause}")
    if "build_ext" in sys.argv or "bdist_wheel" in sys.argv or "build" in sys.argv:
        cuda_skipped(cause)
    return None


def cuda_libraries():
    """The CUDA run time, linked in: nothing of CUDA is needed to import the module."""
    toolkit = Path(NVCC).parent.parent
    for folder in ("lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"):
        if (toolkit / folder / "libcudart_static.a").exists():
            return [str(toolkit / folder / "libcudart_static.a"), "-ldl", "-lrt"]
    raise RuntimeError(f"no libcudart_static.a below {toolkit}")


def newest_header(*patterns):
    return max(
        p.stat().st_mtime for p in [ROOT / "setup.py", *(h for q in patterns for h in KERNELS.glob(q))]
    )


class WithKernels(build_py):
    """Puts the CUDA sources into the package, for NVRTC."""

    def run(self):
        super().run()
        if self.editable_mode:  # found beside the package
            return
        target = Path(self.build_lib) / "tensorflowlite_bp" / "kernels" / "cuda"
        target.mkdir(parents=True, exist_ok=True)
        for source in [*KERNELS.glob("cuda/*.cuh"), KERNELS / "cuda/portable.h"]:
            shutil.copyfile(source, target / source.name)


NVCC = find_nvcc()


def kernel(pattern):
    return sorted(path.relative_to(ROOT).as_posix() for path in KERNELS.rglob(pattern))


# Build.build_extension finds the files itself; they are listed for the source distribution.
EXTENSIONS = []
if os.environ.get("TFLBP_CUDA") != "only":
    sources = kernel("bindings/*.cpp")
    EXTENSIONS.append(
        Extension(
            "tensorflowlite_bp._native", sources, depends=kernel("*.cpp") + kernel("*.h") + kernel("*.cu*")
        )
    )
if NVCC:
    EXTENSIONS.append(Extension("tensorflowlite_bp._native_cuda", CUDA_BINDINGS))

setup(
    ext_modules=EXTENSIONS,
    cmdclass={"build_ext": Build, "build_py": WithKernels},
)
