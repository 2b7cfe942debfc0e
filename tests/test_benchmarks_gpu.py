"""`python -m benchmarks.gpu`: from end to end without a GPU, and what becomes of parts that fail or take too
long.
"""

import argparse
import json
import re
import sys

import pytest
from cuda_hosts import needs_emulator

pytest.importorskip("benchmarks", reason="not a source tree")
from benchmarks.gpu import __main__, bench, parts, report, sanitize, suites


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(parts.Context, "scratch", tmp_path)
    return parts.Context(dry=True, quick=False, resume=False)


def test_without_a_gpu_it_says_what_is_missing(run_python):
    done = run_python(arguments=["-m", "benchmarks.gpu"], CUDA_VISIBLE_DEVICES="", PATH="/nonexistent")
    assert done.returncode == 2, done.stderr
    assert "- no NVIDIA driver answers (nvidia-smi).\n  Run on a machine with an NVIDIA GPU" in done.stdout
    assert "--dry-run" in done.stdout


# ------------------------------------------------------------------ the whole command
@pytest.mark.slow
@pytest.mark.skipif(any(m.args[0] for m in needs_emulator[1:]), reason="the dry run is on the emulator")
def test_from_end_to_end(run_python, tmp_path):
    pytest.importorskip("torch")
    command = ["-m", "benchmarks.gpu", "--dry-run", "--out", str(tmp_path)]
    done = run_python(arguments=command, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads((tmp_path / "gpu.json").read_text())
    found = result["parts"]
    assert list(found) == [part.name for part in parts.PARTS]
    assert {n for n, part in found.items() if part["status"] != "passed"} == {"compiled", "nvrtc"}
    assert found["compiled"]["status"] == found["nvrtc"]["status"] == "skipped"
    ran = {name: part["counts"]["passed"] for name, part in found.items() if "counts" in part}
    assert all(ran[name] > 4 for name in ("conformance", "kernels", "parity", "training")), ran

    # ours, torch's and CuPy's work is the same work: nothing wrong, nobody absent
    figures = found["bench"]["figures"]
    for case in bench.CASES:
        (figure,) = [f for f in figures.values() if f.get("kernel") == case.name]
        assert not {"wrong", "absent"} & set(figure), figure
        assert {"ours", "torch"} <= set(figure["times"])
        assert bool(figure["bytes"]) != bool(figure["flops"])
    assert figures["limits"]["copy"] > 0
    assert set(figures["host"]["exp"]) == {"ours", "torch"}

    page = (tmp_path / "gpu.md").read_text()
    assert page.startswith("# the emulator: figures mean nothing")
    assert re.search(r"\| conformance +\| passed +\|", page)
    assert "| AdamW, all parameters of GPT-2" in page
    assert "![achieved bandwidth](gpu.svg)" in page
    assert "GB/s" in (tmp_path / "gpu.svg").read_text()

    done = run_python(arguments=[*command, "--resume", "--only", "conformance", "sanitize"])
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("passed before") == 2


# ------------------------------------------------------------------ parts that do not end well
def test_a_slow_part_is_stopped_and_goes_on_later(context):
    found = __main__.run_part(parts.named("conformance"), context, 0.3)
    assert found["status"] == "unfinished"
    assert found["said"].startswith("stopped after 0 s")


THREE = """
import os, pytest
pytestmark = pytest.mark.gpu
def test_good(): pass
def test_bad(): assert os.environ.get("GOOD"), "why"
def test_end(): os.environ.get("GOOD") or os._exit(3)
"""


def test_outcomes_are_kept_as_they_come(context, tmp_path, run_python):
    """Tests of a run that was killed: what passed is not run again, what did not is."""
    program = tmp_path / "test_three.py"
    program.write_text(THREE)
    log = context.kept("three") / "outcomes"
    command = "-m pytest -q -p no:cacheprovider -p benchmarks.gpu.outcomes -c /dev/null".split()
    command += ["--rootdir", str(tmp_path), str(program)]
    run_python(arguments=command, TFLBP_GPU_OUTCOMES=str(log))
    found = suites.collect(context, "three")
    assert found["status"] == "unfinished"
    assert found["counts"] == {"passed": 1, "failed": 1, "skipped": 0}
    assert "why" in found["failures"][0]["why"]
    with open(log, "a") as file:
        file.write('{"id": "half a li')
    assert suites.collect(context, "three", 1)["status"] == "failed"
    log.write_text("".join(line + "\n" for line in log.read_text().split("\n")[:-1]))
    done = run_python(arguments=command, TFLBP_GPU_OUTCOMES=str(log), GOOD="1")
    assert "2 passed, 1 deselected" in done.stdout, done.stdout
    found = suites.collect(context, "three", 0)
    assert (found["status"], found["counts"]["passed"]) == ("passed", 3)


def test_a_failing_part_does_not_stop_the_others(context, monkeypatch, tmp_path, capsys):
    answers = {
        "build": {"status": "failed", "said": "no"},
        "conformance": {"status": "passed", "said": "yes"},
    }

    def run_part(part, context, seconds):
        context.save(part.name, answers[part.name] | {"seconds": 1})
        return context.load(part.name)

    monkeypatch.setattr(__main__, "run_part", run_part)
    options = argparse.Namespace(minutes=9, only=list(answers), resume=False)
    assert __main__.run_all(options, context, tmp_path) == 1
    assert "build        failed: no" in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"]["conformance"]["said"] == "yes"
    options.minutes = 0
    assert __main__.run_all(options, context, tmp_path) == 1
    assert context.load("conformance")["status"] == "unfinished"


@pytest.mark.parametrize(
    ("said", "status", "wanted"),
    [
        ("========= ERROR SUMMARY: 0 errors", 0, ""),
        ("========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, ""),
        (
            "========= Invalid __global__ read of size 4 bytes\n========= ERROR SUMMARY: 2 errors",
            9,
            "2 errors: Invalid __global__ read of size 4 bytes",
        ),
        ("========= RACECHECK SUMMARY: 3 hazards displayed (3 errors, 0 warnings)", 9, "3 errors"),
        ("WRONG softmax<float>: array 1 differs", 1, "WRONG softmax<float>: array 1 differs"),
        ("REFUSED no device", 4, "REFUSED no device"),
        ("Segmentation fault", 11, "exit status 11"),
    ],
)
def test_what_compute_sanitizer_says(tmp_path, said, status, wanted):
    code = f"print({said!r}); raise SystemExit({status})"
    watched = "SUMMARY" in said
    assert sanitize.replay([sys.executable, "-c", code], tmp_path, 0, 60, watched=watched) == wanted
    if not wanted:
        assert "went unseen" in sanitize.turned("", "WRONG")
        quiet = sanitize.replay([sys.executable, "-c", ""], tmp_path, 0, 60, watched=True)
        assert "no summary" in quiet


def test_the_table_shows_what_is_lost():
    times = {
        "ours": {"seconds": 1e-3, "ratio": 1.0},
        "torch": {"seconds": 4e-3, "ratio": 4.0},
        "cupy": {"seconds": 5e-4, "ratio": 0.5},
    }
    figure = {
        "kernel": "k", "size": "1024 x float32", "bytes": 3_900_000_000, "flops": 0, "times": times,
        "targets": {"share": 0.9, "torch": 3.0, "compiled": 1.5},
    }  # fmt: skip
    figures = {"k, a": figure, "k, b": {"kernel": "k", "wrong": "differs from torch by 1"}}
    compiled = {"k, a": {"times": {"ours": {"ratio": 1}, "torch.compile": {"seconds": 1e-3, "ratio": 1.2}}}}
    table = report.kernels(figures, compiled, {"copy": 4.3e12})
    cells = [c.strip() for c in table.split("\n")[-2].split("|")[1:-1]]
    assert cells[:7] == ["k, a", "1 ms", "3.90 TB/s", "91 %", "4.00", "1.20", "**0.50**"]
    assert cells[7] == "90 % met, 3 x torch met, 1.5 x torch.compile missed"
    assert "**differs from torch by 1**" in table
