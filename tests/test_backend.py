"""The protocol between ops and array libraries: everything in it is there, and nothing else is used."""

import ast
from pathlib import Path

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp.autograd.op import OPS
from tensorflowlite_bp.backend import numpy_backend, protocol
from tensorflowlite_bp.errors import DeviceError, DTypeError

FOLDER = Path(bp.__file__).parent
OWN = {n for n in vars(protocol.Backend) if not n.startswith("_")} | set(protocol.Backend.__annotations__)
LISTS = (
    protocol.ELEMENTWISE,
    protocol.PREDICATES,
    protocol.OTHER,
    protocol.OPS,
    protocol.ACTIVATIONS,
    protocol.FUSED,
)
KNOWN = {n for names in LISTS for n in names} | OWN


def test_the_numpy_backend_is_whole():
    assert [n for n in sorted(KNOWN) if not hasattr(numpy_backend, n)] == []
    assert sum(len(names) for names in LISTS) == len({n for names in LISTS for n in names})


def test_rules_and_forwards_use_nothing_else():
    used = {}
    for path in [*(FOLDER / "ops").glob("*.py"), *(FOLDER / "autograd").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in "FB":
                used.setdefault(node.attr, path.name)
    assert {n: where for n, where in used.items() if n not in KNOWN} == {}
    assert [n for n in OPS if hasattr(numpy_backend, n) and n not in KNOWN] == []


def test_numpy_functions_are_numpys_own():
    for name in (*protocol.ELEMENTWISE, *protocol.PREDICATES):
        assert getattr(numpy_backend, name) is getattr(np, name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_sums_are_taken_in_float32(dtype):
    if dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    x = np.ones(5000, dtype)
    for name in ("sum", "mean"):
        out = getattr(numpy_backend, name)(x)
        assert out.dtype == x.dtype
        assert abs(float(out) - (5000 if name == "sum" else 1)) <= 16
    assert float(numpy_backend.sum_to(np.ones((5000, 2), dtype), shape=(2,))[0]) > 4900


def test_moving_to_where_it_is_changes_nothing():
    x = bp.tensor([1.0, 2.0], requires_grad=True)
    assert x.to("cpu") is x
    assert x.device == "cpu"
    with pytest.raises(DeviceError, match="tpu"):
        x.to("tpu")


def test_foreign_arrays():
    with pytest.raises(DTypeError, match="NumPy or CuPy"):
        backend.of([1.0])
    with pytest.raises(DeviceError, match="numpy"):
        backend.set_backend("jax")
    assert backend.available("numpy")
    assert not backend.available("torch")


def test_subclasses_and_scalars_are_numpy():
    assert backend.of(np.float32(1)) is numpy_backend
    assert backend.of(np.ma.masked_array([1.0])) is numpy_backend
    assert bp.asarray(np.float32(2)).shape == ()
    assert type(bp.asarray(np.float32(2)).data) is np.ndarray
