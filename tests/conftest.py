"""Options and fixtures of the whole suite."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from tensorflowlite_bp.backend.native import native

ROOT = Path(__file__).resolve().parent.parent


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
