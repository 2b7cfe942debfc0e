"""Write the tables of benchmarks/results/*.json into README.md, the rows that are lost among them.

python -m benchmarks.report [--print]
"""

import json
import sys

from . import _common
from .threads import table as of_threads

BEGIN = "<!-- benchmarks: written by `python -m benchmarks.report`, do not edit -->"
END = "<!-- end of benchmarks -->"
README = _common.ROOT / "README.md"


def load(name):
    path = _common.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def source(result):
    """One line: how, where and when it was measured."""
    machine, versions = result["machine"], result["versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version != "absent")
    where = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} at the end"
    return f"`{result['command']}`, {result['date']}. {where}. {listed}."


NO_PEERS = ("ours", "fit", "train_on_batch", "floor")


def ratios(result, threads, columns):
    """Ratios to torch per case and framework, torch's time, and a mark where a peer is faster than we are.

    columns: {title: framework, or several of which the fastest is shown}; titles no case has are dropped.
    """
    rows = {}
    for case, found in result["threads"][threads].items():
        row = {}
        peers = [figure["ratio"] for framework, figure in found.items() if framework not in NO_PEERS]
        for title, frameworks in columns.items():
            shown = [
                found[f] for f in ([frameworks] if isinstance(frameworks, str) else frameworks) if f in found
            ]
            if shown:
                figure = min(shown, key=lambda figure: figure["ratio"])
                text = f"{figure['ratio']:.2f}{_common.star(figure)}"
                row[title] = f"**{text}**" if frameworks == "ours" and figure["ratio"] > min(peers) else text
        least = result.get("least_seconds", {}).get(case)
        if least and threads == "1":
            row["limit"] = f"{least / found['torch']['seconds']:.2f}"
        rows[case] = row | {"torch, time": _common.human(found["torch"]["seconds"])}
    used = [title for title in [*columns, "limit"] if any(title in row for row in rows.values())]
    head = f"{threads} thread{'s' if threads != '1' else ''}"
    return _common.markdown(rows, [*used, "torch, time"], head)


def losses(result):
    """The last compared loss of each case: the least and the greatest among the frameworks."""
    rows = {}
    for case, found in result["losses"].items():
        last = [values[-1] for values in found.values()]
        text = {"step": str(len(next(iter(found.values())))), "least": f"{min(last):.6f}"}
        rows[case] = text | {"greatest": f"{max(last):.6f}", "frameworks": str(len(last))}
    return _common.markdown(rows, ["step", "least", "greatest", "frameworks"], "loss")


def memory_table(result):
    rows = {}
    for case, found in result["threads"]["1"].items():
        ours, torch = found["ours"], found["torch"]
        text = f"**{ours['ratio']:.2f}**" if ours["ratio"] > 1 else f"{ours['ratio']:.2f}"
        rows[case] = {
            "ratio": text,
            "ours": _common.size(ours["bytes"]),
            "torch": _common.size(torch["bytes"]),
        }
    return _common.markdown(rows, ["ratio", "ours", "torch"], "1 thread")


STEP_COLUMNS = {
    "ours": "ours",
    "`fit`": "fit",
    "`train_on_batch`": "train_on_batch",
    "torch, fused optimizer": "torch fused",
    "torch, channels last": "torch channels last",
    "torch.compile": "torch compile",
    "JAX jit": "jax",
    "TensorFlow": "tensorflow",
    "best Keras": ("keras on torch", "keras on jax", "keras on tensorflow"),
    "by hand": "floor",
}


def sections():
    step, ops, imports = load("train_step"), load("op_overhead"), load("import_time")
    kernels, memory = load("kernels"), load("memory")
    yield "Ratios to the time of torch eager in the same run, interleaved, medians: below 1 is faster."
    yield "A star: spread above 10 %. Bold: a row we lose. `by hand`: NumPy with the derivative written out."
    if step:
        yield "\nOne training step: forward, loss, backward, update. `best Keras`: its fastest backend."
        yield "`limit`: the step's floating-point operations at the peak of one core: nothing can be below.\n"
        for threads in step["threads"]:
            yield ratios(step, threads, STEP_COLUMNS) + "\n"
        if "losses" in step:
            yield "The losses that were compared before anything was timed, the last of each.\n"
            yield losses(step) + "\n"
        yield source(step)
    if memory:
        yield "\nThe most memory of five training steps in a process of their own, and the ratio to torch."
        yield "`process`: all of it; `resident`: above the loaded framework; `arrays`: alive at once.\n"
        yield memory_table(memory) + "\n"
        yield source(memory)
    if ops:
        yield "\nOne operation on 8x8 float32, forward and backward (`chain`: one of many mul, add, tanh).\n"
        yield ratios(ops, "1", {"ours": "ours", "by hand": "floor"}) + "\n"
        yield source(ops)
    if kernels:
        yield "\nKernels, forward and backward. `limit`: at one core's FMA peak, or at the rate of copying"
        yield "in memory, or in its second-level cache for what may come from a cache.\n"
        columns = {"JAX jit" if f == "jax" else f: f for f in kernels["frameworks"] if f != "torch"}
        for threads in kernels["threads"]:
            yield ratios(kernels, threads, columns) + "\n"
        yield source(kernels)
    pool = load("threads")
    if pool:
        yield "\nTwo threads against one, forward and backward (`python -m benchmarks.threads` says how).\n"
        yield of_threads(pool["cases"]) + "\n"
        yield source(pool)
    if imports:
        rows = {
            name: {"beyond numpy": _common.human(v["seconds"]), "memory": f"{v['memory_kib'] / 1024:.0f} MiB"}
            for name, v in imports["imports"].items()
        }
        yield f"\nImporting, and {imports['installed_bytes'] / 1e6:.1f} MB installed.\n"
        yield _common.markdown(rows, ["beyond numpy", "memory"], "import") + "\n"
        yield source(imports)


def main():
    text = "\n".join(sections())
    if "--print" in sys.argv:
        print(text)
        return
    page = README.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
