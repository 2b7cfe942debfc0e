"""TFLBP_DEBUG names the op, its inputs and the line that called it; off, nothing is wrapped."""

import pytest

SETUP = """
import numpy as np, tensorflowlite_bp as bp
x = bp.tensor([0.0, 1.0], requires_grad=True)
"""

CASES = {
    "forward": ("y = bp.log(x * 2)", "[log]", 4, "inputs were finite"),
    "forward of numpy": ("y = np.divide(x, x)", "[divide]", 4, "NaN"),
    "forward with parameters": ("y = bp.mean(x[:0])", "[mean]", 4, "NaN"),
    "backward": ("y = bp.sqrt(x)\ny.sum().backward()", "[backward of sqrt]", 4, "an infinity"),
    "backward of two": ("y = x ** 0.25\ny.sum().backward()", "[backward of power]", 4, "argument 0"),
    "recorded backward": (
        "y = bp.sqrt(x)\ny.sum().backward(create_graph=True)", "[backward of sqrt]", 4, "an infinity",
    ),
    "grad": (
        "f = lambda x: bp.sum(x ** 0.25)\nbp.grad(f)(np.zeros(2))", "[backward of power]", 4, "argument 0",
    ),
    "custom": (
        "f = bp.custom_vjp(lambda x: x * 1)\n"
        "f.defvjp(lambda x: (x * 1, x), lambda x, g: (bp.asarray(g.data * np.nan),))\n"
        "y = f(x)\ny.sum().backward()",
        "[backward of <lambda>]", None, "NaN",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nan_names_the_op_and_the_line(name, run_python):
    code, op, line, says = CASES[name]
    out = run_python("import warnings; warnings.simplefilter('ignore')" + SETUP + code, TFLBP_DEBUG="nan")
    assert out.returncode == 1
    text = out.stderr[out.stderr.index("NumericsError: ") :]
    assert op in text
    assert says in text
    if line is not None:
        assert f"<string>:{line}" in text, text


def test_shape_checks_rules(run_python):
    code = """
import numpy as np, tensorflowlite_bp as bp
from tensorflowlite_bp.autograd.declare import operation
rule = lambda F, g, out, x: g.astype("float64")
@operation(vjp=(rule,), linear="joint", forward=lambda B: lambda x: x.copy())
def widens(x):
    return (x,), {}
y = widens(bp.tensor([1.0], dtype="float32", requires_grad=True))
y.sum().backward()
"""
    out = run_python(code, TFLBP_DEBUG="shape")
    assert "[backward of widens]" in out.stderr
    assert "<string>:8" in out.stderr
    assert run_python(code).returncode == 0


def test_shape_checks_let_dtypes_change_where_the_op_changes_them(run_python):
    code = """
import numpy as np, tensorflowlite_bp as bp
x = bp.tensor(np.arange(3, dtype="float32"), requires_grad=True)
y = bp.sum(bp.abs(bp.fft.fft(x.astype("float64"))) ** 2) + bp.sum(bp.real(bp.exp(x * 1j)))
y.backward()
print(x.grad.dtype)
"""
    out = run_python(code, TFLBP_DEBUG="nan,shape")
    assert out.stdout.strip() == "float32", out.stderr


def test_off_is_free(run_python):
    code = """
from tensorflowlite_bp.autograd import engine, record
import tensorflowlite_bp as bp
for f in (record.apply1, record.apply2, record.apply_aux, engine._order, engine.slice_of):
    assert f.__module__ in ("tensorflowlite_bp.autograd.record", "tensorflowlite_bp.autograd.engine"), f
    assert f.__closure__ is None
x = bp.tensor(1.0, requires_grad=True)
y = x * 2
assert not hasattr(y.node, "where") and not y.node.op.checked
"""
    out = run_python(code)
    assert out.returncode == 0, out.stderr


PROGRAM = """
import numpy as np, tensorflowlite_bp as bp
bp.random.seed(3)
r = np.random.default_rng(0)
w = bp.tensor(r.normal(size=(300, 200)).astype("float32"), requires_grad=True)
v = bp.tensor(r.normal(size=(200, 10)).astype("float32"), requires_grad=True)
x, labels = r.normal(size=(256, 300)).astype("float32"), r.integers(0, 10, 256)
for _ in range(3):
    h = bp.nn.dropout(bp.nn.linear(x, w, activation="relu"), 0.3)
    loss = bp.nn.softmax_cross_entropy(bp.nn.linear(h, v), labels) + (np.tanh(w) ** 2).mean()
    loss.backward()
    with bp.no_grad():
        for p in (w, v):
            p -= 0.1 * p.grad
            p.grad = None
import hashlib
print(hashlib.sha256(w.numpy().tobytes() + v.numpy().tobytes()).hexdigest())
"""


def test_same_bits_in_every_run_with_any_number_of_threads(run_python):
    found = set()
    for threads in ("1", "2", "3", ""):
        out = run_python(PROGRAM, TFLBP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS="1")
        assert out.returncode == 0, out.stderr
        found.add(out.stdout)
    assert len(found) == 1


def test_debugging_changes_no_bit(run_python):
    assert run_python(PROGRAM, TFLBP_DEBUG="nan,shape").stdout == run_python(PROGRAM).stdout
