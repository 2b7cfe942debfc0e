"""The stand-in for CuPy against CuPy: programs on both, and the names where CuPy is installed."""

import inspect

import numpy as np
import pytest
from cupy_conformance import PROGRAMS, run

from tensorflowlite_bp.testing import fake_cupy
from tensorflowlite_bp.testing.fake_cupy import signatures

each = pytest.mark.parametrize(
    ("program", "outcome"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS]
)


@each
def test_on_the_stand_in(program, outcome):
    with fake_cupy.installed() as cupy:
        run(cupy, program, outcome)


@pytest.mark.gpu
@each
def test_on_cupy(gpu, program, outcome):
    run(gpu, program, outcome)


def test_names_are_cupys():
    """CuPy imports without a GPU: its names can be compared on every machine that has it."""
    cupy = pytest.importorskip("cupy")
    differing = {}
    with fake_cupy.installed() as fake:
        for ours, theirs, numpys in (
            (fake, cupy, np),
            (fake.linalg, cupy.linalg, np.linalg),
            (fake.fft, cupy.fft, np.fft),
        ):
            for name in dir(numpys):
                if not name.startswith("_") and hasattr(ours, name) != hasattr(theirs, name):
                    differing[f"{theirs.__name__}.{name}"] = hasattr(theirs, name)
    assert {n for n, there in differing.items() if not there} == set()  # the stand-in offers nothing more
    methods = {n for n in dir(cupy.ndarray) if not n.startswith("_")}
    assert {n for n in dir(fake_cupy.ndarray) if not n.startswith("_")} <= methods


@pytest.mark.parametrize("module", signatures.MODULES)
def test_parameters_are_cupys(module):
    theirs = pytest.importorskip(module, exc_type=ImportError)  # some need cuBLAS to be there
    for name, names in signatures.MODULES[module].items():
        assert list(inspect.signature(getattr(theirs, name)).parameters) == names, f"{module}.{name}"


# ------------------------------------------------------------------ what it counts
@pytest.mark.parametrize(
    "program",
    [
        lambda cp, a: float(a.sum()),
        lambda cp, a: 1 if a.max() > 0 else 0,
        lambda cp, a: a[a > 0],
        lambda cp, a: cp.nonzero(a),
        lambda cp, a: cp.unique(a),
        lambda cp, a: f"{a.sum()!r}",
        lambda cp, a: a.tolist(),
        lambda cp, a: cp.cuda.Device().synchronize(),
        lambda cp, a: cp.asnumpy(a),
    ],
)
def test_hidden_waiting_is_counted(program):
    with fake_cupy.installed() as cupy:
        a = cupy.ones((2, 3))
        with pytest.raises(AssertionError, match="syncs"), fake_cupy.at_most(syncs=0, from_device=9):
            program(cupy, a)


def test_copies_and_allocations_are_counted():
    with fake_cupy.installed() as cupy:
        with pytest.raises(AssertionError, match="to_device"), fake_cupy.at_most():
            cupy.asarray(np.ones(3))
        a = cupy.ones(8)
        with fake_cupy.at_most(allocations=0):
            a += 1
            a[2:].reshape(2, 3)
        with pytest.raises(AssertionError, match="allocations"), fake_cupy.at_most(allocations=0):
            _ = a + 1


def test_memory_nobody_wrote_is_nan():
    with fake_cupy.installed() as cupy:
        assert np.isnan(cupy.empty((3, 3), "float32").get()).all()


def test_what_is_undefined_is_refused():
    with fake_cupy.installed() as cupy:
        a, twice = cupy.zeros(3), cupy.asarray([1, 1])
        with pytest.raises(RuntimeError, match="may store any"):
            a[twice] = cupy.asarray([1.0, 2.0])
        a[twice] = cupy.asarray([2.0, 2.0])
        with pytest.raises(RuntimeError, match="order"):
            cupy.add.at(a, twice, cupy.ones(2))
