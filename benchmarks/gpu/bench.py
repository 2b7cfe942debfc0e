"""Figures: the card's own limits, every case of `cases.py` against torch eager and CuPy's expressions, the
same against torch.compile, and the host's time for an eager operation.

Saved case by case: a part that is stopped keeps what it has, and --resume goes on. A case that fails says
why.
"""

import contextlib
import sys
import time

import numpy as np

from .. import _common
from . import cases_products, cases_sequences, machine  # noqa: F401, they add their cases
from .cases import CASES
from .lab import Lab

TOLERANCES = {"float64": 1e-10, "float32": 1e-3, "float16": 1e-2, "bfloat16": 4e-2}


@contextlib.contextmanager
def laboratory(context):
    if not context.dry:
        yield Lab(False, machine.describe(False).get("l2", 50 << 20))
        return
    sys.path.insert(0, str(_common.ROOT / "tests"))
    from cuda_hosts import emulator_module

    from tensorflowlite_bp.testing import fake_cupy

    with fake_cupy.installed(emulator_module(), current=True):
        yield Lab(True, 1 << 16)


class Book:
    """A part's results, saved as they come. `left` is the time that is left to it."""

    def __init__(self, context, name):
        self.context, self.name = context, name
        self.end = time.perf_counter() + context.seconds - 8
        path = context.kept(name) / "figures.json"
        self.path, self.known = path, {}
        if path.exists():
            self.known = _common.json.loads(path.read_text())

    @property
    def left(self):
        return self.end - time.perf_counter()

    def add(self, key, figure):
        self.known[key] = figure
        fresh = self.path.with_suffix(".fresh")
        fresh.write_text(_common.json.dumps(self.known))
        fresh.replace(self.path)
        self.save("unfinished", f"{len(self.known)} figures")

    def save(self, status, said):
        self.context.save(self.name, {"status": status, "said": said, "figures": self.known})

    def done(self, all_keys, more=""):
        wrong = [k for k in all_keys if "wrong" in self.known.get(k, {})]
        missing = [k for k in all_keys if k not in self.known]
        said = f"{len(all_keys) - len(missing)} of {len(all_keys)} figures{more}"
        if wrong:
            self.save(
                "failed", f"{said}; {len(wrong)} wrong: {wrong[0]}: {self.known[wrong[0]]['wrong']}"[:300]
            )
        elif missing:
            self.save("unfinished", f"{said}; --resume goes on")
        else:
            self.save("passed", said)


def keyed(context, cases):
    """{key: (case, size)}, the first size of every case before any second one."""
    longest = 1 if context.quick or context.dry else max(len(c.sizes) for c in cases)
    out = {}
    for at in range(longest):
        for c in cases:
            if at < len(c.sizes):
                size = c.tiny if context.dry else c.sizes[at]
                out[f"{c.name}, {' x '.join(map(str, size))}"] = c, size
    return out


def run(context):
    book = Book(context, "bench")
    keys = keyed(context, CASES)
    with laboratory(context) as lab:
        for name, measure in (("limits", limits), ("host", host_times)):
            if name not in book.known:
                book.add(name, measure(lab))
        for key, (c, size) in keys.items():
            if key not in book.known and book.left > 3:
                book.add(key, measured(lab, c, size, 0.02 if lab.dry else 0.3 if context.quick else 0.6))
        more = f"; {lab.without_torch}" if lab.without_torch else ""
    book.done(["limits", "host", *keys], more)


def run_compiled(context):
    cases = [c for c in CASES if c.with_compile]
    keys = {k: v for k, v in keyed(context, cases).items() if context.dry or v[1] == v[0].sizes[0]}
    if context.quick or context.dry:
        context.save(
            "compiled", {"status": "skipped", "said": "left out by --quick and --dry-run: it takes long"}
        )
        return
    book = Book(context, "compiled")
    with laboratory(context) as lab:
        if lab.torch is None:
            context.save("compiled", {"status": "skipped", "said": lab.without_torch})
            return
        import torch._functorch.config as functorch

        functorch.donated_buffer = False  # backward is run many times over one forward
        for key, (c, size) in keys.items():
            if key not in book.known and book.left > 15:
                book.add(key, measured(lab, c, size, 0.5, compiled=True))
    book.done(list(keys))


def measured(lab, case, size, seconds, *, compiled=False):
    """The case's figure: {bytes, flops, times: {who: {seconds, spread, ratio}}, errors, wrong}."""
    lab.free()
    try:
        work = case.make(lab, *size)
        figure = {
            "kernel": case.name,
            "size": " x ".join(map(str, size)),
            "bytes": work.bytes,
            "flops": work.flops,
        }
        figure["targets"] = {k: getattr(case, k) for k in ("share", "torch", "compiled") if getattr(case, k)}
        ours = work.ours()
    except MemoryError as error:
        return {"kernel": case.name, "absent": {"ours": f"{error}"[:160]}}
    except Exception as error:
        return {"kernel": case.name, "wrong": f"ours: {type(error).__name__}: {error}"[:300]}
    steps, why = {"ours": work.ours}, {}
    dtype = next((part for part in size if part in TOLERANCES), "float32")
    for name, prepare in competitors(lab, work, compiled).items():
        try:
            step = prepare()
            want = step()
            off = (
                lab.error(ours, want) if work.compared and name in ("torch", "cupy", "torch.compile") else 0.0
            )
            if name == "torch":
                figure["error"] = off
            if off > TOLERANCES[dtype]:
                figure["wrong"] = f"differs from {name} by {off:.1e}"
            steps[name] = step
        except Exception as error:  # one of the others cannot do it: said, and left out
            why[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]
    if why:
        figure["absent"] = why
    del ours
    figure["times"] = lab.times(steps, seconds)
    return figure


def competitors(lab, work, compiled):
    same = lambda f: f
    found = {}
    if work.torch is not None and lab.torch is not None:
        found["torch"] = lambda: work.torch(same)
        if compiled:
            found["torch.compile"] = lambda: work.torch(lab.torch.compile)
    if work.cupy is not None and not compiled:
        found["cupy"] = lambda: work.cupy
    if not compiled:
        found |= {name: lambda step=step: step for name, step in work.others.items()}
    return found


# ------------------------------------------------------------------ the card, the host
def limits(lab):
    """{"copy": bytes read and written a second, "gemm DTYPE": FLOP/s}, the best of several sizes."""
    found = {}
    sizes = [1 << 12] if lab.dry else [1 << 28, 1 << 30]
    for size in sizes:
        x, y = lab.cupy.ones(size, "uint8"), lab.cupy.empty(size, "uint8")
        copy = lambda x=x, y=y: lab.cupy.copyto(y, x)
        best = 2 * size / lab.times({"ours": copy}, 0.3)["ours"]["seconds"]
        found["copy"] = max(best, found.get("copy", 0))
        del x, y
        lab.free()
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        n = 8 if lab.dry else 4096 if dtype in ("float32", "float64") else 8192
        (a, ta), (b, tb) = [lab.normal(n, n, dtype=dtype) for _ in range(2)]
        product = (lambda ta=ta, tb=tb: ta @ tb) if lab.torch is not None else (lambda a=a, b=b: a @ b)
        try:
            found[f"gemm {dtype}"] = 2 * n**3 / lab.times({"ours": product}, 0.3)["ours"]["seconds"]
        except Exception as error:  # CuPy without torch: no bfloat16 perhaps
            found[f"gemm {dtype}"] = None
            print(f"gemm {dtype}: {error}")
    return found


def host_times(lab):
    """{operation: {"ours", "torch": host seconds of its forward and backward}}: 8 x 8, where launching
    is all.
    """
    lab.free()
    nn, torch = lab.bp.nn, lab.torch
    x, w = [lab.normal(8, 8) for _ in range(2)]
    operations = {  # ours, theirs
        "x * w": (lambda x, w: x * w, lambda x, w: x * w),
        "exp": (lambda x, w: lab.bp.exp(x), lambda x, w: x.exp()),
        "tanh": (lambda x, w: lab.bp.tanh(x), lambda x, w: x.tanh()),
        "sum": (lambda x, w: lab.bp.sum(x), lambda x, w: x.sum()),
        "x @ w": (lambda x, w: x @ w, lambda x, w: x @ w),
        "linear, relu": (
            lambda x, w: nn.linear(x, w, activation="relu"),
            lambda x, w: torch.relu(torch.matmul(x, w)),
        ),
        "softmax": (lambda x, w: nn.softmax(x), lambda x, w: x.softmax(-1)),
        "layer norm": (lambda x, w: nn.layer_norm(x), lambda x, w: torch.nn.functional.layer_norm(x, (8,))),
    }
    found = {}
    for name, (ours, theirs) in operations.items():
        sides = {"ours": (ours, [lab.bp.tensor(a, requires_grad=True) for a, _ in (x, w)], lab.bp)}
        if torch is not None:
            sides["torch"] = (theirs, [t.detach().clone().requires_grad_() for _, t in (x, w)], torch)
        found[name] = host_time(lab, sides)
    return found


def host_time(lab, sides):
    """{who: seconds of a forward and backward}: medians of 20 rounds of 50, visited in turn."""
    visits = {who: [] for who in sides}
    for _ in range(2 if lab.dry else 20):
        for who, (f, leaves, library) in sides.items():
            out = f(*leaves)
            g = library.ones(out.shape, dtype="float32") if who == "ours" else library.ones_like(out)
            out.backward(g)
            lab.wait()
            start = time.perf_counter()
            for _ in range(2 if lab.dry else 50):
                f(*leaves).backward(g)
                for leaf in leaves:
                    leaf.grad = None
            visits[who].append((time.perf_counter() - start) / (2 if lab.dry else 50))
            lab.wait()
    return {who: float(np.median(times)) for who, times in visits.items()}
