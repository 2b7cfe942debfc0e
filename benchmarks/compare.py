"""Two result files side by side: which rows changed, and whether that is more than their spread.

    python -m benchmarks.compare before.json after.json [--only ours] [--changed]

Of each row: the time before and after, their ratio (below 1: faster now), and a verdict. A figure's spread is
half the interquartile range of its visits, relative to the median; a change counts where the ratio is further
from 1 than both spreads together, and further than one per cent. Where both files have a baseline framework,
the ratio of ratios to it stands beside: another machine, or another load, moves both alike.
"""

import argparse
import json
from pathlib import Path

from . import _common


def rows(result):
    """{(threads, case, framework): figure} of a file that `_common.run` or `benchmarks.memory` wrote."""
    return {
        (threads, case, framework): figure
        for threads, cases in result.get("threads", {}).items()
        for case, found in cases.items()
        for framework, figure in found.items()
    }


def value(figure):
    """What is compared: seconds, or bytes."""
    return figure["seconds"] if "seconds" in figure else figure["bytes"]


def verdict(ratio, before, after):
    """ "faster", "slower", or nothing where the spread explains it."""
    margin = max(before.get("spread", 0) + after.get("spread", 0), 0.01)
    if ratio < 1 - margin:
        return "less" if "bytes" in after else "faster"
    if ratio > 1 + margin:
        return "more" if "bytes" in after else "slower"
    return ""


def shown(figure):
    return _common.human(figure["seconds"]) if "seconds" in figure else _common.size(figure["bytes"])


def table(before, after, only="", changed=False):
    """(Markdown, {verdict: count})."""
    old, new = rows(before), rows(after)
    lines, counts = {}, {}
    for key in sorted(old.keys() & new.keys(), key=list(new).index):
        threads, case, framework = key
        if only and only not in f"{case}, {framework}":
            continue
        a, b = old[key], new[key]
        ratio = value(b) / value(a)
        word = verdict(ratio, a, b)
        counts[word] = counts.get(word, 0) + 1
        if changed and not word:
            continue
        row = {"before": shown(a), "after": shown(b), "ratio": f"{ratio:.2f}", "": word}
        if a.get("ratio") and b.get("ratio"):
            row["against the baseline"] = f"{b['ratio'] / a['ratio']:.2f}"
        lines[f"{case}, {framework}, {threads} thread{'s' if threads != '1' else ''}"] = row
    columns = ["before", "after", "ratio", "against the baseline", ""]
    return _common.markdown(lines, columns, "case"), counts


def differences(before, after):
    """What besides the code differs between the two runs: machine, versions, clock."""
    for name in ("machine", "versions", "clock", "baseline"):
        a, b = before.get(name), after.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(a.keys() | b.keys()):
                if a.get(key) != b.get(key):
                    yield f"{key}: {a.get(key)} before, {b.get(key)} after"
        elif a != b:
            yield f"{name}: {a} before, {b} after"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", help='rows whose "case, framework" contains this')
    parser.add_argument(
        "--changed", action="store_true", help="only rows that changed by more than the spread"
    )
    options = parser.parse_args()
    before, after = (json.loads(p.read_text(encoding="utf-8")) for p in (options.before, options.after))
    text, counts = table(before, after, options.only, options.changed)
    print(text)
    told = [f"{n} {word or 'as before'}" for word, n in sorted(counts.items())]
    print("\n" + (", ".join(told) or "no row is in both files"))
    for line in differences(before, after):
        print(line)


if __name__ == "__main__":
    main()
