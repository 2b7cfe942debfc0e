"""bp.bridge.torch: our functions on torch's tape and torch's on ours, against torch alone, to every order."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import tensorflowlite_bp as bp
from tensorflowlite_bp.bridge.torch import from_torch, to_torch
from tensorflowlite_bp.errors import GradientError
from tensorflowlite_bp.testing import check_grads

pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"  # torch's forward mode, when first used
)

R = np.random.default_rng(0)
X, Y, Z = R.normal(size=(3, 4)), R.normal(size=4), R.normal(size=3) + 1j * R.normal(size=3)


def leaf(a):
    return torch.tensor(a, requires_grad=True)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-13)


# (ours, torch's, arguments): one function written twice
PAIRS = {
    "one result": (lambda x: bp.sum(bp.sin(x) * x**2), lambda x: (torch.sin(x) * x**2).sum(), [X]),
    "two arguments": (lambda x, y: x * bp.exp(y), lambda x, y: x * torch.exp(y), [X, Y]),
    "linear": (lambda x, y: x @ y, lambda x, y: x @ y, [X, Y]),
    "reversed": (lambda x: bp.flip(x * x, axis=0), lambda x: torch.flip(x * x, (0,)), [X]),
    "broadcast": (lambda y: bp.broadcast_to(y, (3, 4)), lambda y: y.expand(3, 4), [Y]),
    "identity": (lambda x: x, lambda x: x, [X]),
    "view": (lambda x: x.T, lambda x: x.T, [X]),
    "0-d": (lambda x: x**3, lambda x: x**3, [np.float64(1.5)]),
    "size 0": (lambda x: bp.exp(x), torch.exp, [np.zeros((0, 2))]),
    "several results": (
        lambda x, y: (bp.sin(x), bp.sum(x * y, axis=1)),
        lambda x, y: (torch.sin(x), (x * y).sum(1)),
        [X, Y],
    ),
    "holomorphic": (lambda z: bp.exp(z) * z[0], lambda z: torch.exp(z) * z[0], [Z]),
    "not holomorphic": (lambda z: bp.conj(z) * bp.exp(z), lambda z: z.conj() * torch.exp(z), [Z]),
    "complex to real": (lambda z: bp.abs(z) + bp.real(z), lambda z: z.abs() + z.real, [Z]),
    "real to complex": (lambda x: bp.exp(1j * x), lambda x: torch.exp(1j * x), [X]),
}


# ------------------------------------------------------------------ our functions on torch's tape
@pytest.mark.parametrize("name", PAIRS)
def test_to_torch(name):
    ours, theirs, args = PAIRS[name]
    f = to_torch(ours)
    found, want = [leaf(a) for a in args], [leaf(a) for a in args]
    outs, expected = f(*found), theirs(*want)
    for o, e in zip(*[v if isinstance(v, tuple) else (v,) for v in (outs, expected)], strict=True):
        assert (o.dtype, o.shape) == (e.dtype, e.shape)
        close(o.detach(), e.detach())
        weight = torch.linspace(-1, 1, e.numel(), dtype=e.dtype).reshape(e.shape)
        got = torch.autograd.grad(o, found, weight, retain_graph=True, allow_unused=True)
        for g, w in zip(
            got, torch.autograd.grad(e, want, weight, retain_graph=True, allow_unused=True), strict=True
        ):
            close(torch.zeros(()) if g is None else g, torch.zeros(()) if w is None else w.resolve_conj())
    if args[0].size:
        assert gradcheck(f, found, check_forward_ad=True)
        assert gradgradcheck(f, found, check_fwd_over_rev=True)


@pytest.mark.parametrize("order", [3, 4])
def test_to_torch_of_high_order(order):
    x, y = leaf(np.float64(0.7)), leaf(np.float64(0.7))
    g, w = to_torch(lambda x: bp.exp(bp.sin(x)))(x), torch.exp(torch.sin(y))
    for _ in range(order):
        (g,) = torch.autograd.grad(g, x, create_graph=True)
        (w,) = torch.autograd.grad(w, y, create_graph=True)
    close(g.detach(), w.detach())


TRANSFORMS = {
    "grad": torch.func.grad,
    "jacrev": torch.func.jacrev,
    "jacfwd": torch.func.jacfwd,
    "hessian": torch.func.hessian,
    "reverse over reverse": lambda f: torch.func.jacrev(torch.func.jacrev(f)),
    "reverse over forward": lambda f: torch.func.jacrev(torch.func.jacfwd(f)),
    "vmap": torch.func.vmap,
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(f)),
    "grad of vmap": lambda f: torch.func.grad(lambda x: torch.func.vmap(f)(x).prod()),
    "jvp": lambda f: lambda x: torch.func.jvp(f, (x,), (x * x,)),
    "vjp": lambda f: lambda x: torch.func.vjp(f, x)[1](torch.tensor(2.0, dtype=x.dtype)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_to_torch_under_torch_func(name):
    ours, theirs, (x,) = PAIRS["one result"]
    transform = TRANSFORMS[name]
    x = torch.tensor(x)
    found, want = transform(to_torch(ours))(x), transform(theirs)(x)
    for f, w in zip(*[v if isinstance(v, tuple) else (v,) for v in (found, want)], strict=True):
        close(f, w)


def test_a_tangent_differentiates_where_its_primal_is_a_constant():
    ours, theirs, (x,) = PAIRS["one result"]
    x, t = torch.tensor(x), torch.tensor(x) * 2
    slope = lambda f: torch.func.grad(lambda t: torch.func.jvp(f, (x,), (t,))[1] ** 2)(t)
    close(slope(to_torch(ours)), slope(theirs))


def test_to_torch_of_trees_and_constants():
    def f(weights, x, n, *, label):
        assert (n, label) == (2, "a")
        assert x.dtype == bp.int64
        return {"out": weights["w"] ** n * x, "index": bp.argmax(weights["w"]), "pair": (weights["b"], 1.5)}

    w, b = leaf(Y), leaf(X)
    out = to_torch(f)({"w": w, "b": b}, torch.arange(4), 2, label="a")
    assert out["index"].dtype == torch.int64
    assert not out["index"].requires_grad
    assert out["pair"][1].item() == 1.5
    out["out"].sum().backward()
    close(w.grad, 2 * Y * np.arange(4))
    assert b.grad is None or not b.grad.any()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64"])
def test_to_torch_keeps_dtypes(dtype):
    x = torch.ones(3, dtype=getattr(torch, dtype), requires_grad=True)
    out = to_torch(lambda x: x * 2)(x)
    assert out.dtype == x.dtype
    (out.abs().sum() if dtype == "complex64" else out.sum()).backward()
    assert x.grad.dtype == x.dtype
    assert x.grad.tolist() == [2, 2, 2]


def test_to_torch_shares_memory_and_sees_writes():
    seen = []
    f = to_torch(lambda x: seen.append(x.data.ctypes.data) or bp.exp(x))
    x = torch.ones(5)
    f(x)
    assert seen == [x.data_ptr()]
    y = leaf(Y)
    out = f(y)
    with torch.no_grad():
        out.add_(1)  # exp's derivative is its result
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
    constant = np.zeros(5, np.float32)
    constant.flags.writeable = False
    for view in (lambda x: x, lambda x: x[1:], lambda x: bp.asarray(constant)):
        to_torch(view)(x).add_(1)  # memory of its own, whose writes torch counts
    first, second = to_torch(lambda x: (y := x * 1, y[1:]))(x)
    second.add_(1)
    assert x.tolist() == first.tolist() == [1] * 5
    assert not constant.any()


def test_to_torch_without_gradients():
    x = leaf(Y)
    with torch.no_grad():
        assert not to_torch(bp.exp)(x).requires_grad
    assert not to_torch(bp.exp)(x.detach()).requires_grad
    out = to_torch(bp.exp)(x)
    out.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.sum().backward()


def test_a_recording_tensor_from_outside_is_an_error():
    w = bp.tensor(Y, requires_grad=True)
    for x in (leaf(Y), torch.tensor(Y)):
        with pytest.raises(GradientError, match="pass it as an argument"):
            to_torch(lambda x: x * w)(x)
    assert to_torch(lambda x: x * w.detach())(leaf(Y)).requires_grad


# ------------------------------------------------------------------ torch functions on our tape
@pytest.mark.parametrize("name", PAIRS)
def test_from_torch(name):
    ours, theirs, args = PAIRS[name]
    f = from_torch(theirs)
    outs, pull = bp.vjp(f, *args)
    wants, want_pull = bp.vjp(ours, *args)
    weight = bp.vjp(ours, *args)[0]
    for a, b in zip(*[v if isinstance(v, tuple) else (v,) for v in (outs, wants)], strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        close(a, b)
    for a, b in zip(pull(weight), want_pull(weight), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        close(a, b)
    if args[0].size:
        check_grads(f, args, order=2)


def test_from_torch_to_third_order():
    f, g = from_torch(lambda x: torch.exp(torch.sin(x))), lambda x: bp.exp(bp.sin(x))
    close(bp.grad(bp.grad(bp.grad(f)))(0.7), bp.grad(bp.grad(bp.grad(g)))(0.7))
    forward = lambda h: lambda x: bp.jvp(h, (x,), (1.0,))[1]
    close(forward(forward(forward(f)))(0.7), bp.grad(bp.grad(bp.grad(g)))(0.7))
    close(forward(bp.grad(forward(f)))(0.7), bp.grad(bp.grad(bp.grad(g)))(0.7))
    h = from_torch(lambda x: (torch.sin(x) * x**2).sum())
    close(bp.hessian(h)(Y), torch.func.hessian(lambda x: (torch.sin(x) * x**2).sum())(torch.tensor(Y)))


def test_from_torch_under_vmap():
    """One sample after the other, mixed with ops that take all at once; derivatives inside and outside."""
    f = from_torch(lambda x, y: {"a": torch.sin(x) * y, "name": "n"})
    g = lambda x, y: {"a": bp.sin(x) * y}
    loss = lambda f: lambda x, y: bp.sum(bp.exp(f(bp.tanh(x), y)["a"]))
    for transform in (
        lambda f: bp.vmap(loss(f)),
        lambda f: bp.vmap(bp.grad(loss(f), argnums=(0, 1))),
        lambda f: bp.grad(lambda x, y: bp.sum(bp.vmap(loss(f))(x, y) ** 2), argnums=(0, 1)),
        lambda f: bp.vmap(bp.hessian(loss(f))),
        lambda f: bp.jacobian(bp.grad(lambda x, y: bp.sum(bp.vmap(loss(f))(x, y) ** 2))),
        lambda f: lambda x, y: bp.vmap(bp.vmap(loss(f), in_axes=(0, None)), in_axes=(None, 0))(x, y),
        lambda f: lambda x, y: bp.jvp(lambda x: bp.vmap(loss(f))(x, y), (x,), (x,))[1],
    ):
        found, want = transform(f)(X, 2 * X), transform(g)(X, 2 * X)
        for a, b in zip(*[v if isinstance(v, tuple) else (v,) for v in (found, want)], strict=True):
            close(a, b)


def test_there_and_back():
    """Our function, as torch's, as ours; and torch's as ours as torch's."""
    f = from_torch(to_torch(lambda x: bp.sum(bp.sin(x) ** 3)))
    check_grads(f, [Y], order=2)
    assert gradgradcheck(to_torch(from_torch(lambda x: torch.sin(x) ** 3)), [leaf(Y)])


def test_from_torch_of_trees_and_constants():
    def f(weights, x, n, *, label):
        assert (n, label, x.dtype) == (2, "a", torch.int64)
        return {"out": weights["w"] ** n * x, "index": weights["w"].argmax(), "label": label}

    w = bp.tensor(Y, requires_grad=True)
    out = from_torch(f)({"w": w}, np.arange(4), 2, label="a")
    assert out["label"] == "a"
    assert out["index"].dtype == bp.int64
    assert not out["index"].requires_grad
    bp.sum(out["out"]).backward()
    close(w.grad, 2 * Y * np.arange(4))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64"])
def test_from_torch_keeps_dtypes(dtype):
    x = bp.tensor([1, 1, 1], dtype=getattr(bp, dtype), requires_grad=True)
    out = from_torch(lambda x: x * 2)(x)
    assert out.dtype == x.dtype
    bp.sum(bp.abs(out) if dtype == "complex64" else out).backward()
    assert x.grad.dtype == x.dtype
    assert [float(g) for g in bp.real(x.grad)] == [2, 2, 2]


def test_from_torch_shares_memory():
    seen = []

    def f(t):
        seen.append(t.data_ptr())
        t = t + 1
        seen.append(t.data_ptr())
        return t

    x = bp.tensor(Y, requires_grad=True)
    out = from_torch(f)(x)
    assert seen == [x.data.ctypes.data, out.data.ctypes.data]
    for same in (from_torch(lambda t: t[1:])(x), from_torch(lambda t: t)(x.detach())):
        assert not np.may_share_memory(same.data, x.data)
    whole, part = from_torch(lambda t: (y := t * 1, y[1:]))(x)
    assert not np.may_share_memory(whole.data, part.data)
    with pytest.raises(GradientError, match="wrote to one of its arguments"):
        from_torch(lambda t: t.add_(1))(bp.ones(3))


@pytest.mark.parametrize("mode", [bp.no_grad, torch.no_grad])
def test_from_torch_without_gradients(mode):
    layer = torch.nn.Linear(4, 2).double()
    x = bp.tensor(Y, requires_grad=True)
    with mode():
        assert not from_torch(layer)(x).requires_grad
    assert from_torch(layer)(x).requires_grad
    assert not from_torch(lambda t: t.detach() * 2)(x).requires_grad
    assert not from_torch(lambda t: t * 2)(x.detach()).requires_grad


# ------------------------------------------------------------------ parameters
def test_backward_reaches_parameters_as_in_torch():
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    parameters = list(layer.parameters())
    t = leaf(X)
    (layer(t) ** 2).sum().backward()
    want = [p.grad.clone() for p in parameters]
    layer.zero_grad()

    f = from_torch(layer)
    x = bp.tensor(X, requires_grad=True)
    close(bp.grad(lambda x: bp.sum(f(x) ** 2))(X).numpy(), t.grad)  # a transform leaves .grad alone
    assert all(p.grad is None for p in parameters)
    for times, options in ((1, {}), (2, {"create_graph": True})):
        x.grad = None
        bp.sum(f(x) ** 2).backward(**options)
        close(x.grad.numpy(), t.grad)
        for p, w in zip(parameters, want, strict=True):
            close(p.grad, times * w)  # they accumulate
    layer.zero_grad()
    bp.sum(f(X) ** 2).backward()  # the data need no gradient for the parameters to get theirs
    for p, w in zip(parameters, want, strict=True):
        close(p.grad, w)


def test_a_gradient_penalty_reaches_parameters():
    layer = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Softplus(), torch.nn.Linear(5, 1)).double()
    t = leaf(X)
    (slope,) = torch.autograd.grad(layer(t).sum(), t, create_graph=True)
    (slope**2).sum().backward()
    want = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    slope = bp.grad(lambda x: bp.sum(from_torch(layer)(x)))(bp.asarray(X))
    bp.sum(slope**2).backward()
    for p, w in zip(layer.parameters(), want, strict=True):
        close(torch.zeros_like(p) if p.grad is None else p.grad, w)


def test_complex_parameters():
    p = torch.nn.Parameter(torch.tensor(Z))
    (p * p.conj() * torch.exp(p)).abs().sum().backward()
    want, p.grad = p.grad.clone(), None
    bp.sum(bp.abs(from_torch(lambda: p * p.conj() * torch.exp(p))())).backward()
    close(p.grad.resolve_conj(), want.resolve_conj())


@pytest.mark.parametrize("returned", ["itself", "a view", "a product"])
def test_what_torch_closes_over(returned):
    """Parameters come back whatever is made of them; their memory is never the result's."""
    p = torch.nn.Parameter(torch.ones(2, 2))
    made = {"itself": p, "a view": p.T, "a product": p * 2}[returned]
    out = from_torch(lambda: made)()
    assert out.data.ctypes.data != p.data_ptr()
    bp.sum(out * bp.asarray([[1.0, 2.0], [3.0, 4.0]], dtype="float32")).backward()
    want = np.array([[1, 2], [3, 4.0]])
    close(p.grad, {"itself": want, "a view": want.T, "a product": 2 * want}[returned])


def test_a_mixed_training_loop_equals_torchs():
    """Our dense layer, then torch's, trained by one loss: every weight as in a run of torch alone."""
    first, bias = R.normal(size=(4, 8)) * 0.5, np.zeros(8)
    data, labels = R.normal(size=(32, 4)), R.integers(0, 3, 32)

    def head():
        torch.manual_seed(1)
        return torch.nn.Linear(8, 3).double()

    alone, w, b = head(), leaf(first), leaf(bias)
    step = torch.optim.SGD([w, b, *alone.parameters()], lr=0.1, momentum=0.9)
    for _ in range(5):
        step.zero_grad()
        out = alone(torch.tanh(torch.tensor(data) @ w + b))
        torch.nn.functional.cross_entropy(out, torch.tensor(labels)).backward()
        step.step()

    mixed = head()
    ours, our_bias = bp.tensor(first.copy(), requires_grad=True), bp.tensor(bias.copy(), requires_grad=True)
    momentum = [0.0, 0.0]
    step = torch.optim.SGD(mixed.parameters(), lr=0.1, momentum=0.9)
    layer = from_torch(mixed)
    for _ in range(5):
        step.zero_grad()
        ours.grad = our_bias.grad = None
        hidden = bp.nn.linear(data, ours, our_bias, activation="tanh")
        bp.nn.softmax_cross_entropy(layer(hidden), labels).backward()
        step.step()
        with bp.no_grad():
            for k, p in enumerate((ours, our_bias)):
                momentum[k] = momentum[k] * 0.9 + p.grad.numpy()
                p -= 0.1 * momentum[k]
    close(ours.numpy(), w.detach())
    close(our_bias.numpy(), b.detach())
    for p, q in zip(mixed.parameters(), alone.parameters(), strict=True):
        close(p.detach(), q.detach())


def test_a_missing_library_is_one_clear_error():
    code = (
        "import sys; sys.modules['{0}'] = None\n"
        "import tensorflowlite_bp as bp\n"
        "try: bp.bridge.{0}\n"
        "except ImportError as e: assert 'tensorflowlite-bp[{0}]' in str(e), e\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code.format("torch")], check=True)
    loaded = "import sys, tensorflowlite_bp as bp; bp.bridge; assert not {'torch', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True)
