"""Products by cublasLt, where the host has it: on its own handle and workspace, so that a graph can capture
it.

What its epilogues lack is done by our own elementwise kernels behind it. DRELU is not used: it reads a bit
mask, where we keep the output.
"""

from importlib import import_module
from typing import Any

from ..._typing import Array
from .host import Host

TYPES = {"float16": 2, "bfloat16": 14, "float32": 0, "float64": 1}  # as in cublaslt.h
PLAIN, RELU, BIAS, GELU_TANH, AUX, DGELU, BGRADA = 1, 2, 4, 32, 128, 192, 256  # as in cublaslt.h
WORKSPACE = 32 << 20  # bytes for each stream: what NVIDIA advises for sm_90


def available(host: Host) -> bool:
    """Whether the host's module has found cublasLt."""
    if "lt" not in host.kept:
        module = getattr(host, "module", None)
        host.kept["lt"] = hasattr(module, "lt_open") and bool(module.lt_open() or module.lt_open(_path()))
    return host.kept["lt"]


def _path() -> str:
    """Where CuPy's own way of finding libraries has it; "" if nowhere."""
    try:
        finder: Any = import_module("cuda.pathfinder")
        return finder.load_nvidia_dynamic_lib("cublasLt").abs_path
    except Exception:  # no pathfinder, no library: our own kernel runs
        return ""


def _workspace(host: Host, stream: int) -> Array:
    key = "lt", host.device(), stream
    if key not in host.kept:
        host.kept[key] = host.empty((WORKSPACE,), host.xp.uint8)
    return host.kept[key]


def product(
    host: Host,
    a: tuple[Array, bool, int, int],
    b: tuple[Array, bool, int, int],
    sizes: tuple[int, int, int],
    epilogue: int,
    vector: Array | None,
    aux: Array | None,
    out: Array,
    alpha: float,
    beta: float,
    tf32: bool,
) -> bool:
    """Whether cublasLt made f(alpha a @ b + beta out) in out.

    a, b: as `products._operand` gives them; sizes (m, n, k). epilogue: a sum of the numbers above. vector:
    the bias (n), or where BGRADA puts the sums of b's columns. aux: what AUX keeps and DGELU reads, shaped as
    out.
    """
    (own_a, ta, lda, step_a), (own_b, tb, ldb, step_b) = a, b
    if not sizes[2] or not available(host):
        return False
    stream = host.stream()
    space = _workspace(host, stream)
    places = [host.value(x) for x in (own_a, own_b, out, vector, aux)]
    steps = (step_a if own_a.shape[0] > 1 else 0, step_b if own_b.shape[0] > 1 else 0)
    module: Any = host.module  # type: ignore[attr-defined]
    return module.lt_product(
        *places,
        TYPES[out.dtype.name],
        *sizes,
        int(ta),
        int(tb),
        lda,
        ldb,
        out.shape[0],
        *steps,
        epilogue,
        int(tf32 or host.tf32),
        host.value(space),
        WORKSPACE,
        float(alpha),
        float(beta),
        stream,
    )
