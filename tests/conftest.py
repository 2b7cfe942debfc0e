"""Options and fixtures of the whole suite."""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from tensorflowlite_bp import backend
from tensorflowlite_bp.backend.native import native
from tensorflowlite_bp.errors import DeviceError
from tensorflowlite_bp.testing import fake_cupy

ROOT = Path(__file__).resolve().parent.parent


# ------------------------------------------------------------------ tests marked gpu
def pytest_addoption(parser):
    what = "run the tests marked gpu without one: on the stand-in for CuPy, its kernels on the emulator"
    parser.addoption("--stand-in", action="store_true", help=what)


@functools.cache
def no_gpu():
    """Why CuPy cannot be used here; "" if it can."""
    try:
        backend.named("cupy")
    except DeviceError as error:
        return " ".join(str(error).split())
    return ""


def pytest_collection_modifyitems(config, items):
    """Without a GPU the tests that need one are left out; `-m gpu` keeps them: they say what is missing."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or "gpu" in config.option.markexpr or config.option.stand_in or not no_gpu():
        return
    config.hook.pytest_deselected(items=marked)
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]


@pytest.fixture
def gpu(request):
    """CuPy on a GPU, or what --stand-in puts in its place."""
    before = backend._current
    if request.config.option.stand_in:
        from cuda_hosts import emulator_module

        with fake_cupy.installed(emulator_module()) as cupy:
            yield cupy
    elif no_gpu():
        pytest.skip(no_gpu())
    else:
        yield importlib.import_module("cupy")
    backend._current = before


@pytest.fixture
def run_python():
    """Run a program in a fresh interpreter: run_python(code, VARIABLE=value, ...) gives the CompletedProcess.

    TFLBP_ variables of this process are left out, those given are set; `arguments` replaces `-c code`.
    """

    def run(code="", *, arguments=None, timeout=300, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TFLBP_")}
        command = [sys.executable, *(arguments if arguments is not None else ["-c", code])]
        return subprocess.run(
            command, cwd=ROOT, env={**env, **variables}, capture_output=True, text=True, timeout=timeout
        )

    return run


@pytest.fixture(params=native.isas() if native is not None else [])
def isa(request):
    """Each instruction set of the compiled kernels that this machine has, in turn."""
    before = native.isa()
    native.set_isa(request.param)
    yield request.param
    native.set_isa(before)


@pytest.fixture
def threads():
    """Sets the number of the kernels' threads, for one test."""
    before = native.get_num_threads()
    yield native.set_num_threads
    native.set_num_threads(before)


# The same examples every time, and no judgement on how long they take: machines that run tests are noisy.
hypothesis.settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("project")
