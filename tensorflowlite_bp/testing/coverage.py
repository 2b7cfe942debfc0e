"""Which of NumPy's functions have derivatives here: `python -m tensorflowlite_bp.testing.coverage`.

The page is written from the same one-line samples that the tests differentiate, so that it cannot say more
than is true.
"""

from collections import Counter
from dataclasses import dataclass

from . import _coverage_algebra, _coverage_arrays, _coverage_mathematics, _coverage_ufuncs
from ._coverage import Sample

GROUPS: dict[str, list[Sample]] = {
    "Universal functions": _coverage_ufuncs.SAMPLES,
    "Making, shaping, joining, indexing": _coverage_arrays.SAMPLES,
    "Statistics, calculus, polynomials, signals": _coverage_mathematics.SAMPLES,
    "Products, linear algebra, Fourier transforms": _coverage_algebra.SAMPLES,
}

_HEAD = """# NumPy functions with derivatives

{count} functions of NumPy are differentiable: in reverse mode, in forward mode, and in any mixture of the
two to any order. `np` is `tensorflowlite_bp.numpy`, or NumPy itself on Tensors. Aliases (`np.acos`,
`np.concat`) are listed under every name. Arguments that are not named as differentiated are constants.

This page is written by `python -m tensorflowlite_bp.testing.coverage > docs/numpy.md`; each line is a sample
whose derivatives the tests compare with differences, to second order and in both modes.
"""


@dataclass(frozen=True)
class Line:
    """A function, the arguments that have derivatives, and what to know about it."""

    name: str
    arguments: str
    note: str


def lines(samples: list[Sample]) -> list[Line]:
    """One line per function; the arguments of all its samples together."""
    found: dict[str, Line] = {}
    for sample in samples:
        for name in sample.names:
            before = found.get(name, Line(name, "", ""))
            arguments = [a for a in before.arguments.split(", ") if a]
            arguments += [a for a in sample.arguments if a not in arguments]
            found[name] = Line(name, ", ".join(arguments), before.note or sample.note)
    return sorted(found.values(), key=lambda line: line.name.lower())


def covered() -> dict[str, int]:
    """The names of the functions, and how many samples each has."""
    return dict(Counter(name for samples in GROUPS.values() for s in samples for name in s.names))


def page() -> str:
    """The list of differentiable functions, as Markdown.

    >>> from tensorflowlite_bp.testing import coverage
    >>> "| `np.sinc` | x |" in coverage.page()
    True
    """
    parts = [_HEAD.format(count=len(covered()))]
    for title, samples in GROUPS.items():
        found = lines(samples)
        parts.append(f"\n## {title}: {len(found)}\n\n| function | differentiated | note |\n|---|---|---|\n")
        parts += [f"| `np.{line.name}` | {line.arguments} | {line.note} |\n" for line in found]
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
