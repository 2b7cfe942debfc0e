"""The parts of `python -m benchmarks.gpu`: what each does, how long it may take, where its results are
kept.
"""

import importlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import _common


@dataclass(frozen=True)
class Context:
    """How this run is to be done, and its folder: build/gpu, or build/gpu-dry-run."""

    dry: bool
    quick: bool
    resume: bool

    @property
    def scratch(self) -> Path:
        folder = _common.ROOT / "build" / ("gpu-dry-run" if self.dry else "gpu")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def seconds(self) -> float:
        """In a part's process: what it was given."""
        return float(os.environ.get("TFLBP_GPU_SECONDS", "600"))

    def log(self, name: str) -> Path:
        return self.scratch / f"{name}.log"

    def kept(self, name: str) -> Path:
        """A folder for what --resume goes on from."""
        folder = self.scratch / f"{name}.kept"
        folder.mkdir(exist_ok=True)
        return folder

    def load(self, name: str) -> Any:
        path = self.scratch / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def save(self, name: str, result: Any) -> None:
        """In one move: a part can be stopped at any time."""
        fresh = self.scratch / f".{name}.json"
        fresh.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(fresh, self.scratch / f"{name}.json")

    def forget(self, name: str, *, all_of_it: bool = False) -> None:
        """The part's last result; with `all_of_it`, what --resume would go on from as well."""
        (self.scratch / f"{name}.json").unlink(missing_ok=True)
        if all_of_it:
            self.log(name).unlink(missing_ok=True)
            shutil.rmtree(self.scratch / f"{name}.kept", ignore_errors=True)


@dataclass(frozen=True)
class Part:
    """A function `run(context, **how)` of a module, which saves {"status": passed, failed, skipped or
    unfinished, "said": a line, ...} under the part's name.

    most: seconds it may take; least: what earlier parts leave to it. The module is imported by the part's own
    process, and by the parent for `collect(context, name)`: the result of tests that were stopped.
    """

    name: str
    what: str
    most: float
    least: float
    function: str
    how: dict[str, Any] = field(default_factory=dict)

    def run(self, context: Context) -> None:
        module, _, name = self.function.partition(".")
        function = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), name)
        function(context, **self.how)

    def collect(self, context: Context) -> dict:
        if self.function != "suites.run":
            return {}
        return importlib.import_module("benchmarks.gpu.suites").collect(context, self.name)


FAMILIES = ("losses", "norms", "optimizers", "elementwise", "gather", "products", "attention")
FILES = [f"tests/test_cuda_{family}.py" for family in FAMILIES]


def suite(name: str, what: str, most: float, least: float, **how: Any) -> Part:
    """paths: files of tests; select: pytest's -k; tiny, tiny_paths: the same for a dry run."""
    return Part(name, what, most, least, "suites.run", {"name": name, **how})


PARTS = [
    Part("build", "builds for the GPU found", 120, 40, "build.run"),
    suite("conformance", "what CuPy does and refuses, as the stand-in has it", 30, 10,
          paths=["tests/test_cupy_conformance.py"]),
    suite("kernels", "each kernel as nvcc compiles it, against its reference", 80, 30,
          paths=FILES, select="nvcc", tiny="nvcc and (test_sgd or test_table)", tiny_paths=FILES[2:3]),
    suite("parity", "every operation on CuPy, against NumPy", 110, 30,
          paths=["tests/test_gpu.py"], select="test_values or test_narrow or test_products",
          tiny="(test_values or test_narrow) and (tanh or clip or matmul or einsum)"),
    suite("training", "training steps, captured steps, torch", 40, 15,
          paths=["tests/test_gpu.py"], select="not (test_values or test_narrow or test_products)",
          tiny="test_as_on_the_stand_in or (test_a_step and dense and optimizer0)"),
    Part("sanitize", "compute-sanitizer over launches of every kernel", 90, 30, "sanitize.run"),
    Part("bench", "figures against torch eager, CuPy and the card's limits", 130, 60, "bench.run"),
    Part("compiled", "figures against torch.compile", 120, 0, "bench.run_compiled"),
    suite("nvrtc", "each kernel as NVRTC compiles it", 90, 0,
          paths=FILES, select="nvrtc", tiny="nvrtc and test_table", tiny_paths=FILES[2:3]),
]  # fmt: skip


def named(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)
