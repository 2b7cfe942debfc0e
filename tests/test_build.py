"""Installing: without a compiler the package says so once and runs on the reference."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not a source tree"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what the build needs: the tree under test stays as it is."""
    folder = tmp_path_factory.mktemp("source")
    names = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "kernels", "tensorflowlite_bp"]
    present = [name for name in names if (ROOT / name).exists()]
    skip = ["--exclude=*.so", "--exclude=__pycache__", "--exclude=*.egg-info"]
    pack = subprocess.run(["tar", "-c", *skip, *present], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=folder, input=pack.stdout, check=True)
    (folder / "README.md").touch()
    (folder / "LICENSE").touch()
    return folder


def install(source, target, **env):
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-v",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
    ]
    command += ["--disable-pip-version-check", "--target", str(target), str(source)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TFLBP_", "PYTHON"))}
    clean["TFLBP_CUDA"] = "0"  # tests/test_cuda_build.py is about that module
    return subprocess.run(command, env={**clean, **env}, capture_output=True, text=True, check=False)


# An editable install of the tree under test would be found for what the folder lacks.
ALONE = """
import sys
sys.path.insert(0, {target!r})
sys.meta_path[:] = [f for f in sys.meta_path if not getattr(f, "__module__", "").startswith("__editable__")]
"""


def python(target, code, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TFLBP_", "PYTHON"))}
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        f"{ALONE.format(target=str(target))}\n{code}",
    ]
    return subprocess.run(
        command, env={**clean, **env}, cwd=target, capture_output=True, text=True, check=False
    )


NO_COMPILER = {
    "CC": "/nonexistent/cc",
    "CXX": "/nonexistent/c++",
    "LDSHARED": "/nonexistent/ld",
    "LDCXXSHARED": "/nonexistent/ld",
}


def test_without_a_compiler(source, tmp_path):
    done = install(source, tmp_path, **NO_COMPILER)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [
        line for line in (done.stdout + done.stderr).splitlines() if "compiled kernels were not built" in line
    ]
    assert len(said) == 1
    assert "Install a C++17 compiler" in said[0]
    assert not list(tmp_path.rglob("_native*.so"))

    code = """
from tensorflowlite_bp.backend.native import available, native, why_not
assert not available and native is None and "compiler" in why_not, why_not
import numpy as np
from tensorflowlite_bp.backend import numpy_backend
x, y = np.zeros((2, 3), np.float32), np.array([0, 2])
loss, grad = numpy_backend.softmax_cross_entropy(x, y, None, None, 0.0, 1, True)
assert abs(float(loss) - np.log(3)) < 1e-6
"""
    done = python(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert not done.stderr

    done = python(tmp_path, "import tensorflowlite_bp.backend.native", TFLBP_KERNELS="native")
    assert done.returncode != 0
    assert "[TFLBP_KERNELS]" in done.stderr
    assert "Hint: install a C++17 compiler" in done.stderr


def test_a_required_compiler_is_required(source, tmp_path):
    done = install(source, tmp_path, TFLBP_BUILD="require", **NO_COMPILER)
    assert done.returncode != 0
    done = install(source, tmp_path, TFLBP_KERNELS="native", **NO_COMPILER)
    assert done.returncode != 0


def test_with_a_compiler(source, tmp_path):
    done = install(source, tmp_path, TFLBP_BUILD="require")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "warning: " not in "\n".join(
        line for line in (done.stdout + done.stderr).splitlines() if "kernels/" in line
    )
    size = sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    assert 100_000 < size < 6 << 20, f"{size / 2**20:.1f} MB installed"
    done = python(
        tmp_path,
        "from tensorflowlite_bp.backend.native import native; print(native.isa(), native.get_num_threads())",
        TFLBP_KERNELS="native",
        TFLBP_NUM_THREADS="3",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "3"
    for name, value in (("TFLBP_KERNELS", "reference"), ("TFLBP_ALLOC", "system")):
        code = """
from tensorflowlite_bp.backend.native import native, why_not
print(why_not if native is None else native.allocator_stats()["installed"])
"""
        done = python(tmp_path, code, **{name: value})
        assert done.stdout.strip() == ("TFLBP_KERNELS=reference" if name == "TFLBP_KERNELS" else "False"), (
            done.stderr
        )
