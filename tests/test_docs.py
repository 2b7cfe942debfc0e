"""What the documentation shows is run: the doctests of every module, and the Python blocks of README."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import tensorflowlite_bp

ROOT = Path(tensorflowlite_bp.__file__).parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE

MODULES = ["tensorflowlite_bp"] + [
    info.name
    for info in pkgutil.walk_packages(tensorflowlite_bp.__path__, "tensorflowlite_bp.")
    if not info.name.endswith(("__main__", "._native", "._native_cuda", ".cupy_backend"))
]


@pytest.fixture(autouse=True)
def plain_repr(tmp_path, monkeypatch):
    """NumPy 2's repr, files in a scratch folder, and the state left as it was found."""
    monkeypatch.chdir(tmp_path)
    with np.printoptions(legacy=False):
        yield
    tensorflowlite_bp.set_backend("numpy")
    tensorflowlite_bp.set_floatx("float32")


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(Checker(), optionflags=FLAGS)
    for test in doctest.DocTestFinder().find(module):
        runner.run(test)
    failed = runner.summarize(verbose=False).failed
    assert not failed, f"{failed} example(s) of {name} give something else: see the captured output"


@pytest.mark.parametrize("name", ["", "linalg", "fft", "nn"])
def test_doctests_of_functions(name):
    """Those that a declarator has wrapped: doctest, asked for a module, takes them for another's."""
    namespace = importlib.import_module(f"tensorflowlite_bp.{name}".rstrip("."))
    runner, finder = doctest.DocTestRunner(Checker(), optionflags=FLAGS), doctest.DocTestFinder(recurse=False)
    for each, function in vars(namespace).items():
        module = getattr(function, "__module__", None) or ""
        if callable(function) and module.startswith("tensorflowlite_bp"):
            for test in finder.find(
                function, each, module=False, globs=vars(importlib.import_module(module)).copy()
            ):
                runner.run(test)
    results = runner.summarize(verbose=False)
    assert results.attempted
    assert not results.failed


class Checker(doctest.OutputChecker):
    """Numbers may differ in their last digits: the last bit of erf is the C library's."""

    number = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?")

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        wanted, found = self.number.findall(want), self.number.findall(got)
        if len(wanted) != len(found) or not np.allclose(
            list(map(float, wanted)), list(map(float, found)), 1e-9, 0
        ):
            return False
        return super().check_output(self.number.sub("#", want), self.number.sub("#", got), optionflags)


def blocks(page):
    """(first line, text) of the ```python blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        pytest.param(m.group(1), id=f"{page}:{text[: m.start()].count(chr(10)) + 2}")
        for m in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("code", blocks("README.md"))
def test_readme_blocks(code):
    """A block runs as it stands. A trailing comment `# -> value` on a print is what it prints."""
    check(code)


def check(code):
    printed = []
    namespace = {"__name__": "__main__", "print": lambda *args: printed.append(" ".join(map(str, args)))}
    exec(compile(code, "README block", "exec"), namespace)
    expected = re.findall(r"^ *print\(.*\)  # -> (.*)$", code, re.MULTILINE)
    if expected:
        assert [normal(line) for line in printed] == [normal(line) for line in expected]


def normal(line):
    return re.sub(r"\s+", " ", line.strip())


def test_readme_names_exist():
    """Every `bp.x.y` that README mentions is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for dotted in sorted(set(re.findall(r"\bbp((?:\.\w+)+)", text))):
        found = tensorflowlite_bp
        for part in dotted.strip(".").split("."):
            assert hasattr(found, part), f"README.md mentions bp{dotted}"
            found = getattr(found, part)


def test_readme_variables_are_all():
    from tensorflowlite_bp import _config

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    known = set(re.findall(r"TFLBP_\w+", Path(_config.__file__).read_text(encoding="utf-8")))
    table = set(re.findall(r"^\| `(TFLBP_\w+)", text, re.MULTILINE))
    assert known <= table
