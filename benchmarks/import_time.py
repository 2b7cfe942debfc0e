"""What `import tensorflowlite_bp` costs beyond `import numpy`, and how much is installed.

    python -m benchmarks.import_time [--quick]

Fresh processes, visited round robin, caches warm: time of the import alone, and the memory it leaves
resident.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from . import _common

IMPORTS = {"ours": "tensorflowlite_bp", "ours, all faces": "tensorflowlite_bp.models", "torch": "torch"}

PROGRAM = """
import resource, sys, time
import numpy
wall, cpu = time.perf_counter(), time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
__import__(sys.argv[1])
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
"""


def measure(module, cache):
    """Byte code is read from `cache`, as after an install, whatever the environment says about writing it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = cache
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, module]
    out = subprocess.run(
        command, cwd=_common.ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    return [float(x) for x in out.split()]


def installed_size(module="tensorflowlite_bp"):
    """Bytes of the package's own files, byte code left out."""
    folder = Path(__import__(module).__file__).parent
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.suffix not in (".pyc",))


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    rounds = 3 if options.quick else 15
    with tempfile.TemporaryDirectory() as cache:
        for module in IMPORTS.values():
            measure(module, cache)
        visits = [{name: measure(module, cache) for name, module in IMPORTS.items()} for _ in range(rounds)]
    rows, result = {}, {}
    for name in IMPORTS:
        wall, cpu, memory = (statistics.median(v[name][i] for v in visits) for i in range(3))
        result[name] = {"seconds": wall, "cpu_seconds": cpu, "memory_kib": memory}
        rows[name] = {
            "beyond numpy": _common.human(wall),
            "processor time": _common.human(cpu),
            "memory": f"{memory / 1024:.0f} MiB",
        }
    size = installed_size()
    print(_common.markdown(rows, ["beyond numpy", "processor time", "memory"], "import"))
    print(f"\ninstalled: {size / 1e6:.2f} MB")
    if not options.quick:
        _common.save("import_time", {"imports": result, "installed_bytes": size}, "torch")


if __name__ == "__main__":
    main()
