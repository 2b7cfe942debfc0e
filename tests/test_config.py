"""Environment variables, the choice of backend, debugging, the diagnosis, and what an import brings in."""

import sys

import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import _config
from tensorflowlite_bp.backend.native import native
from tensorflowlite_bp.errors import TFLBPError

DEFAULTS = {
    "TFLBP_BACKEND": ("backend", "numpy"),
    "TFLBP_KERNELS": ("kernels", "auto"),
    "TFLBP_ALLOC": ("alloc", "cache"),
    "TFLBP_DEBUG": ("debug", frozenset()),
    "TFLBP_NUM_THREADS": ("num_threads", 0),
}


@pytest.fixture
def clean(monkeypatch):
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


# ------------------------------------------------------------------ parsing
def test_defaults(clean):
    config = _config.read()
    assert {getattr(config, field) == value for field, value in DEFAULTS.values()} == {True}


@pytest.mark.parametrize("text", ["", "  "])
@pytest.mark.parametrize("name", DEFAULTS)
def test_empty_means_default(clean, name, text):
    clean.setenv(name, text)
    field, value = DEFAULTS[name]
    assert getattr(_config.read(), field) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TFLBP_BACKEND", "cupy", "cupy"),
        ("TFLBP_BACKEND", " Auto ", "auto"),
        ("TFLBP_KERNELS", "reference", "reference"),
        ("TFLBP_KERNELS", "native", "native"),
        ("TFLBP_ALLOC", "system", "system"),
        ("TFLBP_DEBUG", "nan", {"nan"}),
        ("TFLBP_DEBUG", "nan, SHAPE,sync,", {"nan", "shape", "sync"}),
        ("TFLBP_NUM_THREADS", "3", 3),
    ],
)
def test_values(clean, name, text, expected):
    clean.setenv(name, text)
    assert getattr(_config.read(), DEFAULTS[name][0]) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TFLBP_BACKEND", "torch"),
        ("TFLBP_KERNELS", "yes"),
        ("TFLBP_ALLOC", "none"),
        ("TFLBP_DEBUG", "nan,everything"),
        ("TFLBP_NUM_THREADS", "0"),
        ("TFLBP_NUM_THREADS", "-1"),
        ("TFLBP_NUM_THREADS", "two"),
        ("TFLBP_NUM_THREADS", "1.5"),
    ],
)
def test_bad_values_name_the_variable(clean, name, text):
    clean.setenv(name, text)
    with pytest.raises(_config.ConfigError) as caught:
        _config.read()
    assert isinstance(caught.value, (ValueError, TFLBPError))
    assert str(caught.value).startswith(f"[{name}] ")
    assert text.split(",")[-1] in str(caught.value)


def test_bad_value_at_import(run_python):
    out = run_python("import tensorflowlite_bp", TFLBP_KERNELS="fast")
    assert out.returncode == 1
    assert "ConfigError: [TFLBP_KERNELS] one of auto, native, reference was expected." in out.stderr


# ------------------------------------------------------------------ backends
def has_gpu(run_python):
    return run_python("import cupy; assert cupy.is_available()").returncode == 0


def test_cupy_without_a_gpu_is_one_clear_error(run_python):
    if has_gpu(run_python):
        pytest.skip("a CUDA device is usable here")
    out = run_python("import tensorflowlite_bp as bp; bp.asarray([1.0])", TFLBP_BACKEND="cupy")
    assert out.returncode == 1
    assert out.stderr.count("Traceback") == 1
    last = out.stderr[out.stderr.index("DeviceError: ") :]
    assert "the CuPy backend cannot be used: CuPy is" in last
    assert "cuda1" in last or "nvidia-smi" in last
    assert "TFLBP_BACKEND=numpy" in last


def test_auto_falls_back(run_python):
    if has_gpu(run_python):
        pytest.skip("a CUDA device is usable here")
    code = "import tensorflowlite_bp as bp; print(bp.asarray([1.0]).device)"
    out = run_python(code, TFLBP_BACKEND="auto")
    assert out.stdout == "cpu\n", out.stderr


def test_set_backend():
    bp.set_backend("numpy")
    assert bp.asarray([1.0]).device == "cpu"
    with pytest.raises(bp.DeviceError, match="'torch'"):
        bp.set_backend("torch")


def test_reference_kernels(run_python):
    code = """
import tensorflowlite_bp as bp
from tensorflowlite_bp.backend import native
assert native.native is None and native.why_not == "TFLBP_KERNELS=reference"
x = bp.tensor([[0.0, 0.0]], requires_grad=True)
bp.nn.softmax_cross_entropy(x, [1]).backward()
assert x.grad.tolist() == [[0.5, -0.5]]
"""
    out = run_python(code, TFLBP_KERNELS="reference")
    assert out.returncode == 0, out.stderr


def test_threads(run_python):
    code = """
from tensorflowlite_bp.backend import native
print("none" if native.native is None else native.native.get_num_threads())
"""
    assert run_python(code, TFLBP_NUM_THREADS="1").stdout in ("1\n", "none\n")


def test_system_allocator(run_python):
    code = """
from tensorflowlite_bp.backend import native
print("none" if native.native is None else native.native.allocator_stats()["installed"])
"""
    assert run_python(code, TFLBP_ALLOC="system").stdout in ("False\n", "none\n")
    assert run_python(code, TFLBP_ALLOC="cache").stdout in ("True\n", "none\n")


# ------------------------------------------------------------------ TFLBP_DEBUG
def test_nan_is_found_forward(run_python):
    code = "import tensorflowlite_bp as bp\nx = bp.asarray([-1.0, 1.0])\ny = x + 1\nbp.log(x)\n"
    out = run_python(code, TFLBP_DEBUG="nan")
    assert "NumericsError: [log] the result holds NaN; inputs were finite." in out.stderr
    assert "<string>:4" in out.stderr[out.stderr.index("NumericsError") :]


def test_nan_is_found_backward(run_python):
    code = """
import tensorflowlite_bp as bp
x = bp.tensor([0.0, 1.0], requires_grad=True)
y = bp.sqrt(x)
y.sum().backward()
"""
    out = run_python(code, TFLBP_DEBUG="nan")
    last = out.stderr[out.stderr.index("NumericsError") :]
    assert "NumericsError: [backward of sqrt]" in last
    assert "an infinity" in last
    assert "<string>:4" in last


def test_debugging_changes_no_result(run_python):
    code = """
import numpy as np, tensorflowlite_bp as bp
r = np.random.default_rng(0)
f = lambda w, x: bp.nn.softmax_cross_entropy(bp.tanh(x @ w), np.arange(4) % 3)
print(bp.value_and_grad(f)(r.normal(size=(5, 3)), r.normal(size=(4, 5))))
"""
    plain = run_python(code)
    assert plain.returncode == 0, plain.stderr
    assert run_python(code, TFLBP_DEBUG="nan,shape,sync").stdout == plain.stdout


# ------------------------------------------------------------------ diagnosis
def test_show_config(capsys):
    sections = bp.show_config()
    printed = capsys.readouterr().out
    assert list(sections) == ["versions", "backend", "kernels", "memory", "environment"]
    for entries in sections.values():
        for key, value in entries.items():
            assert f"{key} " in printed
            assert str(value) in printed
    assert sections["environment"].keys() == DEFAULTS.keys()
    assert bp.__version__ in printed.splitlines()[0]


def test_memory_stats(run_python):
    code = """
import numpy as np, tensorflowlite_bp as bp
for _ in range(5):
    blocks = [np.ones(100_000) for _ in range(3)]  # a class of 896 KiB
    del blocks
kept = np.ones(100_000)
s = bp.memory_stats(reset_peak=True)
(c,) = [c for c in s.classes if c.bytes == 896 << 10]
assert (c.hits, c.misses, c.kept) == (13, 3, 2), c
assert s.hits >= 13 and s.misses >= 3 and s.installed
assert s.cached_bytes >= 2 * c.bytes and s.peak_bytes >= 3 * c.bytes
assert c.bytes <= s.live_bytes == bp.memory_stats().peak_bytes < 2 * c.bytes
text = str(s)
assert "896.0 KiB" in text and "served from it" in text, text
assert bp.trim_memory() >= 2 * c.bytes
after = bp.memory_stats()
assert after.cached_bytes == 0 and after.trims == s.trims + 1 and after.live_bytes == s.live_bytes
"""
    if native is not None:
        out = run_python(code)
        assert out.returncode == 0, out.stderr
    out = run_python("import tensorflowlite_bp as bp; print(bp.memory_stats())", TFLBP_KERNELS="reference")
    assert "NumPy's own allocator" in out.stdout


def test_info_command(run_python):
    out = run_python(arguments=["-m", "tensorflowlite_bp", "info"])
    assert out.returncode == 0
    assert out.stderr == ""
    assert out.stdout.startswith(f"tensorflowlite_bp {bp.__version__}\n")


def test_info_says_why_cupy_is_not_used(run_python):
    if has_gpu(run_python):
        pytest.skip("a CUDA device is usable here")
    out = run_python(arguments=["-m", "tensorflowlite_bp", "info"], TFLBP_BACKEND="cupy")
    assert out.returncode == 0, out.stderr
    assert "not usable: CuPy is" in out.stdout


def test_info_without_kernels(run_python):
    out = run_python(arguments=["-m", "tensorflowlite_bp", "info"], TFLBP_KERNELS="reference")
    assert "compiled      no: TFLBP_KERNELS=reference" in out.stdout, out.stderr


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--help"], 0), (["nonsense"], 2)])
def test_usage(run_python, arguments, status):
    out = run_python(arguments=["-m", "tensorflowlite_bp", *arguments])
    assert out.returncode == status
    assert (out.stderr if status else out.stdout).startswith("usage: python -m tensorflowlite_bp info")


# ------------------------------------------------------------------ what an import brings in
def test_import_is_light(run_python):
    """Array users do not pay for trees, progress bars, files, layers, other frameworks."""
    heavy = [
        "optree",
        "rich",
        "safetensors",
        "scipy",
        "sklearn",
        "matplotlib",
        "torch",
        "jax",
        "keras",
        "cupy",
    ]
    own = ["layers", "models", "callbacks", "optimizers", "examples", "testing"]
    code = f"""
import sys, tensorflowlite_bp
unwanted = {heavy} + ["tensorflowlite_bp." + name for name in {own}]
print([name for name in unwanted if name in sys.modules])
"""
    out = run_python(code)
    assert out.stdout == "[]\n", out.stdout + out.stderr


def test_import_warns_about_nothing(run_python):
    out = run_python(arguments=["-W", "error", "-c", "import tensorflowlite_bp"])
    assert out.returncode == 0
    assert out.stderr == ""


def test_import_starts_no_threads_and_writes_nothing(run_python):
    out = run_python("import threading, tensorflowlite_bp; print(threading.active_count())")
    assert (out.stdout, out.stderr) == ("1\n", "")


def test_supported_python():
    assert sys.version_info >= (3, 11)
