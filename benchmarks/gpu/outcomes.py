"""A plugin of pytest: appends a line of JSON for each test to the file TFLBP_GPU_OUTCOMES, and leaves out
what the file says has passed. A run that is stopped loses nothing.
"""

import json
import os
from pathlib import Path

PATH = Path(os.environ["TFLBP_GPU_OUTCOMES"])


def pytest_collection_modifyitems(config, items):
    lines = PATH.read_text().split("\n")[:-1] if PATH.exists() else []
    passed = {line["id"] for line in map(json.loads, lines) if line["outcome"] == "passed"}
    again = [item for item in items if item.nodeid in passed]
    if again:
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if item.nodeid not in passed]


class Writer:
    """One process writes: pytest, or the controller of pytest-xdist's workers."""

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.outcome == "passed":
            return
        why = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            why = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message if crash else str(report.longrepr)[-300:]
        line = {"id": report.nodeid, "outcome": report.outcome, "why": why[:300]}
        with open(PATH, "a") as file:
            file.write(json.dumps(line) + "\n")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Writer())
