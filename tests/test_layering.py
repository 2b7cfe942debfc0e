"""Imports go strictly downwards (the layers of CONTRIBUTING.md); a few names appear in one place only."""

import ast
import functools
from pathlib import Path

import pytest

import tensorflowlite_bp

PACKAGE = Path(tensorflowlite_bp.__file__).parent
NAME = "tensorflowlite_bp"

# The longest matching prefix decides. A module may import its own layer and those below.
LAYERS = {
    0: "errors _config _typing",
    1: "backend",
    2: "autograd",
    3: "ops numpy scipy _array_api _protocols _ufuncs nn linalg fft random bridge _floatx",
    4: "_naming _registry _loss_base _loss_functions _metric_base _metric_confusion utils layers losses "
    "metrics optimizers initializers regularizers constraints",
    5: "models callbacks data datasets saving",
    6: "_diagnosis profiling testing examples __main__",
}
LAYER = {name: layer for layer, names in LAYERS.items() for name in names.split()} | {"": 6}
LOW = {"utils.optional": 0}  # for every layer

# Imports inside functions that close a cycle on purpose: (importing module, imported module).
DELAYED = set()

MAX_LINES = 450  # the style asks for about 400


def modules():
    """{dotted name inside the package: path}; "" is the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


MODULES = modules()


@functools.cache
def tree(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def layer_of(name):
    for known, layer in LOW.items():
        if name == known:
            return layer
    return LAYER.get(name.partition(".")[0], None)


def resolve(base, names):
    """The modules that `from base import names` brings in: submodules where they exist, else base."""
    for name in names:
        full = f"{base}.{name}" if base else name
        yield full if full in MODULES else base


def imports(name):
    """(imported module, line, inside a function) for the imports of a module from this package."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]

    def walk(node, delayed):
        for child in ast.iter_child_nodes(node):
            inner = delayed or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == NAME:
                        yield alias.name[len(NAME) + 1 :], child.lineno, delayed
            elif isinstance(child, ast.ImportFrom):
                if child.level:
                    parts = package.split(".") if package else []
                    parts = parts[: len(parts) - (child.level - 1)]
                    base = ".".join([*parts, *([child.module] if child.module else [])])
                elif child.module and child.module.split(".")[0] == NAME:
                    base = child.module[len(NAME) + 1 :]
                else:
                    continue
                for target in resolve(base, [a.name for a in child.names]):
                    if target != name:
                        yield target, child.lineno, delayed
            yield from walk(child, inner)

    return list(dict.fromkeys(walk(tree(name), False)))


def test_every_module_has_a_layer():
    assert [name for name in MODULES if layer_of(name) is None] == []


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or NAME)
def test_imports_go_downwards(name):
    upward = [
        f"line {line}: {target or NAME} (layer {layer_of(target)})"
        for target, line, _ in imports(name)
        if layer_of(target) > layer_of(name)
    ]
    assert not upward, f"{name} (layer {layer_of(name)}) imports upwards: {upward}"


def test_no_cycles_at_import():
    """Module-level imports form no cycle; those inside functions only where DELAYED says so."""
    graph = {name: {t for t, _, delayed in imports(name) if not delayed} for name in MODULES}
    state, cycles = {}, []

    def visit(name, path):
        state[name] = "open"
        for target in sorted(graph[name]):
            # a package's __init__ is entered before its modules: importing `.x` from inside it is no cycle
            if target == name.rpartition(".")[0] and MODULES[target].name == "__init__.py":
                continue
            if state.get(target) == "open":
                cycles.append([*path[path.index(target) :], target])
            elif target not in state:
                visit(target, [*path, target])
        state[name] = "done"

    for name in MODULES:
        if name not in state:
            visit(name, [name])
    assert not cycles, cycles


def reaches(start, goal):
    """Whether importing `start` imports `goal`, by the imports at module level."""
    seen, stack = {start}, [start]
    while stack:
        for target, _, delayed in imports(stack.pop()):
            if not delayed and target not in seen:
                seen.add(target)
                stack.append(target)
    return goal in seen


def test_delayed_imports_are_known():
    """An import inside a function hides a cycle: each is listed, and a listed one still exists."""
    found = {
        (name, target)
        for name in MODULES
        for target, _, delayed in imports(name)
        if delayed and name not in ("", "__main__") and reaches(target, name)
    }
    assert found == DELAYED


def test_only_config_reads_the_environment():
    found = [
        f"{name}:{node.lineno}"
        for name in MODULES
        if name != "_config"
        for node in ast.walk(tree(name))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {a.name for a in node.names} & {"environ", "getenv"}
        )
    ]
    assert found == []


def test_optional_imports_are_in_one_place():
    """`try: import ... except ImportError` belongs to backend/ and utils/optional.py."""

    def caught(handler):
        names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        return {ast.unparse(n) for n in names if n is not None} & {"ImportError", "ModuleNotFoundError"}

    found = [
        f"{name}:{node.lineno}"
        for name in MODULES
        if not name.startswith("backend") and name != "utils.optional"
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Try) and any(map(caught, node.handlers))
    ]
    assert found == []


def test_nothing_runs_or_unpickles_data():
    """No pickle, marshal, shelve, eval, exec, and no allow_pickle=True."""
    found = []
    for name in MODULES:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import):
                names = {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {node.func.id} & {"eval", "exec", "compile", "__import__"}
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                names = set() if ast.unparse(node.value) == "False" else {"allow_pickle"}
            else:
                continue
            bad = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "eval", "exec"}
            found += [
                f"{name}:{node.lineno} {n}" for n in names & (bad | {"compile", "__import__", "allow_pickle"})
            ]
    assert found == []


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or NAME)
def test_modules_stay_short(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name} has {lines} lines; a module is read in one sitting"
