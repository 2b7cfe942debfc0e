"""The samples of torch's operator database through torch and through us: values and gradients.

What torch tests itself with: stacks, empty arrays, scalars, broadcasting, every keyword. Gradients of random
cotangents; torch's complex gradients are the conjugates of ours.
"""

import numpy as np
import pytest
from oracles import quiet, torch
from torch_operators import OPERATORS, REAL_ONLY, Left

import tensorflowlite_bp as bp

TOLERANCE = 1e-10  # relative to the largest element
MOST = 32  # samples of one operator; of more every second, third, ...


def database():
    with quiet():
        from torch.testing._internal.common_methods_invocations import op_db
    full = {f"{op.name}/{op.variant_test_name}".rstrip("/"): op for op in op_db}
    return {name: full[name] for name in OPERATORS}


def taken(x):
    """A torch tensor as a Tensor, the containers around it as they are."""
    if isinstance(x, torch().Tensor):
        return bp.tensor(x.detach().numpy(force=True).copy(), requires_grad=x.requires_grad)
    if isinstance(x, (list, tuple)):
        return type(x)(map(taken, x))
    return {k: taken(v) for k, v in x.items()} if isinstance(x, dict) else x


def leaves(x, kind):
    if isinstance(x, (list, tuple, dict)):
        return [leaf for part in (x.values() if isinstance(x, dict) else x) for leaf in leaves(part, kind)]
    return [x] if isinstance(x, kind) else []


def close(got, want):
    assert got.shape == want.shape
    np.testing.assert_array_equal(np.isfinite(got), finite := np.isfinite(want))
    np.testing.assert_array_equal(got[~finite], want[~finite])
    size = max(1.0, np.abs(want[finite]).max(initial=0.0))
    np.testing.assert_allclose(got[finite], want[finite], rtol=0, atol=TOLERANCE * size)


def theirs_alike(name, outs):
    """Vectors that are determined up to a phase: their sizes."""
    free = {"linalg.svd": (0, 2), "linalg.eig": (1,), "linalg.eigh": (1,)}.get(name, ())
    return [x.abs() if k in free else x for k, x in enumerate(outs)]


def compare(name, op, sample):
    """Values and gradients of one sample. Left where ours, as NumPy, has no such call."""
    arguments = (sample.input, *sample.args), sample.kwargs
    args, kwargs = ours = taken(arguments)
    try:
        got = OPERATORS[name](*args, **kwargs)
    except np.exceptions.AxisError as error:
        if sample.input.ndim:
            raise
        raise Left("a scalar has no axis") from error
    got = list(got) if isinstance(got, (list, tuple)) else [got]
    want = op(sample.input, *sample.args, **sample.kwargs)
    want = theirs_alike(name, list(want) if isinstance(want, (list, tuple)) else [want])[: len(got)]
    for x, y in zip(got, want, strict=True):
        close(x.numpy(), y.detach().numpy(force=True))
    pairs = [(x, y) for x, y in zip(got, want, strict=True) if y.requires_grad]
    targets = [x for x in leaves(arguments, torch().Tensor) if x.requires_grad]
    if not pairs or not targets:
        return
    cotangents = [torch().randn(y.shape, dtype=y.dtype) for _, y in pairs]
    wanted = torch().autograd.grad([y for _, y in pairs], targets, cotangents, allow_unused=True)
    recorded = [(x, g) for (x, _), g in zip(pairs, cotangents, strict=True) if x.requires_grad]
    for x, g in recorded:
        x.backward(bp.asarray(np.conj(g.numpy())), retain_graph=True)
    mine = [x for x in leaves(ours, bp.Tensor) if x.requires_grad]
    for x, g in zip(mine, wanted, strict=True):
        zero = np.zeros(x.shape, x.dtype)
        found = zero if x.grad is None else np.conj(x.grad.numpy())
        close(found, zero if g is None else g.to_dense().numpy(force=True))


@pytest.mark.parametrize("name", OPERATORS)
def test_samples(name):
    op = database()[name]
    compared, left = 0, set()
    for dtype in {torch().float64, torch().complex128} & set(op.dtypes):
        if dtype.is_complex and name in REAL_ONLY:
            continue
        torch().manual_seed(0)
        with quiet(), np.errstate(all="ignore"):
            samples = list(op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd))
            for sample in samples[:: len(samples) // MOST + 1]:
                try:
                    compare(name, op, sample)
                    compared += 1
                except Left as reason:
                    left.add(str(reason))
    assert compared, left
