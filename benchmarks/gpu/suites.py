"""Parts that are tests: pytest on what is marked gpu, each outcome written down as it comes."""

import importlib.util
import json
import os
import subprocess
import sys

from .. import _common


def run(context, *, name, paths, select="", tiny="", tiny_paths=None):
    paths = tiny_paths if context.dry and tiny_paths else paths
    log = context.kept(name) / "outcomes"
    passed = [line["id"] for line in outcomes(log) if line["outcome"] == "passed"]
    log.write_text("".join(json.dumps({"id": i, "outcome": "passed"}) + "\n" for i in passed))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command += ["-p", "benchmarks.gpu.outcomes", "-m", "gpu", *paths]
    select = tiny if context.dry else select
    command += ["-k", select] if select else []
    command += ["--stand-in"] if context.dry else []
    workers = min(8, (os.cpu_count() or 1) // 2)
    if importlib.util.find_spec("xdist") and workers > 1 and not context.dry:
        command += ["-n", str(workers)]
    env = {**os.environ, "TFLBP_GPU_OUTCOMES": str(log)}
    status = subprocess.run(command, cwd=_common.ROOT, env=env, check=False).returncode
    context.save(name, collect(context, name, status))


def collect(context, name, status=None):
    """The result, with pytest's exit status; None: it was stopped, and this is what it had."""
    found = {line["id"]: line for line in outcomes(context.kept(name) / "outcomes")}  # the last one counts
    count = {o: [i for i in found.values() if i["outcome"] == o] for o in ("passed", "failed", "skipped")}
    reasons = sorted({line["why"] for line in count["skipped"]})
    said = ", ".join(f"{len(v)} {o}" for o, v in count.items() if v) or "no tests ran"
    said += f" ({'; '.join(reasons)[:150]})" if reasons else ""
    result = {"said": said, "failures": [{k: i[k] for k in ("id", "why")} for i in count["failed"]][:50]}
    result["counts"] = {o: len(v) for o, v in count.items()}
    if status is None:
        return result | {"status": "unfinished"}
    broken = count["failed"] or status not in (0, 5) or not found
    return result | {"status": "failed" if broken else "passed" if count["passed"] else "skipped"}


def outcomes(path):
    """What the plugin wrote; a line that a stopped process left half written is dropped."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
