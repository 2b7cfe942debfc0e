"""Builds the package in place, CUDA kernels for the GPU found alone; without nvcc they are left to NVRTC."""

import os
import subprocess
import sys

from .. import _common
from . import machine


def run(context):
    if context.dry:
        sys.path.insert(0, str(_common.ROOT / "tests"))
        from cuda_hosts import emulator_module

        count = len(emulator_module().kernels())
        context.save("build", {"status": "passed", "said": f"{count} kernels for the emulator"})
        return
    arch = os.environ.get("TFLBP_CUDA_ARCHES") or machine.describe(False)["arch"]
    said = f"_native and _native_cuda for sm_{arch}"
    if machine.nvcc() is None:
        build(TFLBP_CUDA="0")
        said = "_native; no nvcc: kernels are compiled by NVRTC when first used"
    elif build(TFLBP_CUDA="1", TFLBP_CUDA_ARCHES=arch, CUDA_HOME=os.environ.get("CUDA_HOME", "")):
        build(TFLBP_CUDA="0")
        said = "_native; the build with nvcc failed, see the log: NVRTC compiles the kernels when first used"
        context.save("build", {"status": "failed", "said": said})
        return
    code = "import tensorflowlite_bp.backend.native as n; assert n.native is not None, n"
    status = subprocess.run([sys.executable, "-c", code], cwd=_common.ROOT, check=False).returncode
    context.save("build", {"status": "failed" if status else "passed", "said": said})


def build(**env):
    """The exit status of setup.py; its words are in the part's log."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(
        command, cwd=_common.ROOT, env={**os.environ, "TFLBP_BUILD": "require", **env}, check=False
    )
    return done.returncode
