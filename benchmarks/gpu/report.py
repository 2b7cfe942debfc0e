"""gpu.json, gpu.md and gpu.svg of what the parts have saved."""

import json
import sys
from datetime import date

from .. import _common
from . import machine
from .parts import PARTS

PACKAGES = ("tensorflowlite-bp", "numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "triton")


def write(context, out):
    """Writes all three, as far as there is something in them; gives the page."""
    parts = {part.name: context.load(part.name) for part in PARTS}
    result = {
        "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": machine.describe(context.dry),
        "versions": _common.versions(*PACKAGES),
        "parts": {name: found for name, found in parts.items() if found},
    }
    (out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")
    text = page(result)
    drawn = plot(result, out / "gpu.svg")
    (out / "gpu.md").write_text(text + ("\n\n![achieved bandwidth](gpu.svg)\n" if drawn else "\n"))
    return text


def page(result):
    """The report in Markdown."""
    m, parts = result["machine"], result["parts"]
    lines = [f"# {m['gpu']}", "", source(result), ""]
    rows = {
        part.name: {"": parts[part.name]["status"], "result": parts[part.name]["said"]}
        for part in PARTS
        if part.name in parts
    }
    lines += [_common.markdown(rows, ["", "result"], "part"), ""]
    for name, found in parts.items():
        for failure in found.get("failures", []):
            lines.append(f"- {name}: `{failure['id']}`: {' '.join(failure['why'].split())[:200]}")
    figures = parts.get("bench", {}).get("figures", {})
    if limits := figures.get("limits"):
        rates = [f"{name[5:]} {rate / 1e12:.1f}" for name, rate in limits.items() if name != "copy" and rate]
        lines += [f"\nLimits: copying {limits['copy'] / 1e12:.2f} TB/s, read and written; "
                  f"matrix products, TFLOP/s: {', '.join(rates)}.\n"]  # fmt: skip
        lines += [kernels(figures, parts.get("compiled", {}).get("figures", {}), limits), ""]
    if host := figures.get("host"):
        rows = {
            name: {who: _common.human(seconds) for who, seconds in times.items()}
            for name, times in host.items()
        }
        lines += ["Host time of an eager operation, forward and backward, 8 x 8:\n"]
        lines += [_common.markdown(rows, ["ours", "torch"], "operation"), ""]
    return "\n".join(lines).strip()


def source(result):
    """How, where and when."""
    m, versions = result["machine"], result["versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version != "absent")
    card = ", ".join(
        f"{name.replace('_', ' ')} {m[name]}"
        for name in ("driver", "power_limit", "max_sm_clock", "nvcc")
        if name in m
    )
    where = f"{m['cpu']}, {m['cores']} cores" + (f"; {card}" if card else "")
    at = f", commit {m['commit']}" if m.get("commit") else ""
    return f"`{result['command']}`, {result['date']}{at}. {where}. {listed}."


def share(figure, limits):
    """(rate, part of the card's limit) of ours; None where it is not known."""
    seconds = figure["times"]["ours"]["seconds"]
    if figure["bytes"]:
        return figure["bytes"] / seconds, figure["bytes"] / seconds / limits["copy"]
    dtype = next((p for p in figure["size"].split(" x ") if p.startswith(("float", "bfloat"))), "float32")
    limit = limits.get(f"gemm {dtype}")
    return figure["flops"] / seconds, figure["flops"] / seconds / limit if limit else None


def kernels(figures, compiled, limits):
    """Ours, the part of the limit, and how many times as long the others take: below 1, bold, we lose."""
    rows = {}
    for key, figure in figures.items():
        if key in ("limits", "host"):
            continue
        if "times" not in figure:
            why = figure.get("absent", {}).get("ours", "")
            rows[key] = {"ours": f"**{figure['wrong']}**" if "wrong" in figure else why}
            continue
        rate, part = share(figure, limits)
        unit = "TB/s" if figure["bytes"] else "TFLOP/s"
        row = {"ours": _common.human(figure["times"]["ours"]["seconds"]), "rate": f"{rate / 1e12:.2f} {unit}"}
        row["of the limit"] = f"{100 * part:.0f} %" if part else ""
        others = figure["times"] | {
            k: v for k, v in compiled.get(key, {}).get("times", {}).items() if k == "torch.compile"
        }
        for name in ("torch", "torch.compile", "cupy"):
            if name in others:
                ratio = others[name]["ratio"]
                row[name] = f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**"
        extra = [f"{n} {v['ratio']:.2f}" for n, v in others.items() if n not in ("ours", *row)]
        row["target"] = targets(figure.get("targets", {}), part, others)
        row["also"] = "; ".join([*extra, *(f"**{figure['wrong']}**" for _ in [0] if "wrong" in figure)])
        rows[key] = row
    head = (
        "Columns of the others: how many times as long they take as ours; below 1, bold, we are slower.\n\n"
    )
    columns = ["ours", "rate", "of the limit", "torch", "torch.compile", "cupy", "target", "also"]
    return head + _common.markdown(rows, columns, "kernel")


def targets(wanted, part, others):
    """Each target with its outcome."""
    said = []
    if "share" in wanted:
        said.append((f"{100 * wanted['share']:.0f} %", part is not None and part >= wanted["share"]))
    for name, who in (("torch", "torch"), ("compiled", "torch.compile")):
        if name in wanted and who in others:
            said.append((f"{wanted[name]:g} x {who}", others[who]["ratio"] >= wanted[name]))
    return ", ".join(f"{text} {'met' if met else 'missed'}" for text, met in said)


def plot(result, path):
    """Achieved bandwidth by kernel and size, with the copy's; False without figures, or without
    matplotlib.
    """
    figures = result["parts"].get("bench", {}).get("figures", {})
    shown = [f for f in figures.values() if isinstance(f, dict) and f.get("bytes") and "times" in f]
    if not shown:
        return False
    try:
        import matplotlib

        matplotlib.use("svg")
        matplotlib.rcParams["svg.fonttype"] = "none"  # letters as letters: a third of the size
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    names = list(dict.fromkeys(f["kernel"] for f in shown))
    figure, axes = plt.subplots(figsize=(10, 0.34 * len(shown) + 1.2), layout="constrained")
    labels, rates, colours = [], [], []
    for f in sorted(shown, key=lambda f: (names.index(f["kernel"]), -f["bytes"])):
        labels.append(f"{f['kernel']}, {f['size']}")
        rates.append(f["bytes"] / f["times"]["ours"]["seconds"] / 1e9)
        colours.append(f"C{names.index(f['kernel']) % 10}")
    axes.barh(range(len(rates)), rates, color=colours)
    axes.set_yticks(range(len(rates)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(figures["limits"]["copy"] / 1e9, color="black", linewidth=1, label="copy")
    axes.set(xlabel="GB/s, of the bytes that must move", title=result["machine"]["gpu"])
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
