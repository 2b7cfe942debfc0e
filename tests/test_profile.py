"""bp.profile: exact counts, nesting, traces, and nothing left behind."""

import json
import sys
import threading

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import backend
from tensorflowlite_bp.autograd import engine, forward
from tensorflowlite_bp.autograd.op import OPS, Dispatch, Op
from tensorflowlite_bp.profiling import costs, instrument
from tensorflowlite_bp.testing import fake_cupy

PACKAGE = "tensorflowlite_bp"


def array(*shape, grad=True, dtype="float32"):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    return bp.tensor(x, requires_grad=grad)


def counts(p, *names):
    """{(name, phase): (calls, flops, bytes)}"""
    return {(r.name, r.phase): (r.calls, r.flops, r.bytes) for r in p.rows if r.name in names}


def plain():
    """What profiling replaces, as it is now."""
    return (
        [(op.forward, op.vjp, op.vjp_all, op.v0, op.v1, op.checked) for op in OPS.values()],
        (Op.__init__, engine._run_raw, engine.pull, forward.push, backend.by_type, engine.by_type),
    )


@pytest.fixture(autouse=True)
def _nothing_left():
    before = plain()
    yield
    assert plain()[1] == before[1]
    assert plain()[0][: len(before[0])] == before[0]
    assert all(type(op.forward) is Dispatch for op in OPS.values())
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == PACKAGE and name != instrument.__name__:
            made = {
                k for k, v in vars(module).items() if getattr(type(v), "__name__", "").startswith("_Timed")
            }
            made |= {
                k
                for k, v in vars(module).items()
                if getattr(v, "__qualname__", "").find("<locals>.timed") > 0
            }
            assert not made, (name, made)
    assert not instrument._profiles
    assert not instrument._restore
    assert not instrument._stack.events
    assert instrument._stack.walk is None


# ------------------------------------------------------------------ counts against formulas
def test_matmul():
    m, k, n = 5, 7, 3
    x, y = array(m, k), array(k, n)
    with bp.profile() as p:
        for _ in range(4):
            (x @ y).backward(np.ones((m, n), "float32"))
    a, b, c = 4 * m * k, 4 * k * n, 4 * m * n
    found = counts(p, "matmul")
    assert found["matmul", "forward"] == (4, 4 * 2 * m * k * n, 4 * (a + b + c))
    # dX reads g and Y and writes dX, dY reads g and X
    assert found["matmul", "backward"] == (8, 4 * 4 * m * k * n, 4 * (c + b + a + c + a + b))


def test_matmul_of_stacks_and_vectors():
    x, y, v = array(2, 4, 5, 7), array(2, 4, 7, 3), array(7)
    with bp.profile() as p:
        x @ y
        (x @ v).sum().backward()
    assert counts(p, "matmul")["matmul", "forward"][:2] == (2, 2 * 8 * 5 * 7 * 3 + 2 * 8 * 5 * 7)
    assert counts(p, "matmul")["matmul", "backward"][:2] == (2, 2 * 2 * 8 * 5 * 7)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_linear(activation):
    batch, inputs, outputs = 6, 5, 4
    x, w, b = array(batch, inputs, grad=False), array(inputs, outputs), array(outputs)
    with bp.profile() as p:
        bp.nn.linear(x, w, b, activation=activation).backward(np.ones((batch, outputs), "float32"))
    product = 2 * batch * inputs * outputs
    xs, ws, bs, out = (4 * n for n in (batch * inputs, inputs * outputs, outputs, batch * outputs))
    found = counts(p, "linear")
    assert found["linear", "forward"] == (1, product, xs + ws + bs + out)
    mask = out if activation else 0
    assert found["linear", "backward"] == (1, product, out + xs + ws + mask + ws + bs)  # no gradient of x
    x.requires_grad = True
    with bp.profile() as p:
        bp.nn.linear(x, w, b).backward(np.ones((batch, outputs), "float32"))
    assert counts(p, "linear")["linear", "backward"] == (1, 2 * product, out + xs + ws + ws + bs + xs)


def test_conv():
    n, high, wide, c, f = 2, 8, 7, 3, 4
    x, w = array(n, high, wide, c), array(3, 2, c, f)
    with bp.profile() as p:
        out = bp.nn.conv(x, w, strides=2, padding="same")
        out.backward(np.ones(out.shape, "float32"))
    work = 2 * out.size * 3 * 2 * c
    found = counts(p, "conv_forward")
    assert found["conv_forward", "forward"] == (1, work, x.nbytes + w.nbytes + out.nbytes)
    assert found["conv_forward", "backward"] == (2, 2 * work, 2 * out.nbytes + 2 * w.nbytes + 2 * x.nbytes)


def test_grouped_conv_counts_its_own_channels():
    x, w = array(1, 6, 4), array(3, 2, 6)
    with bp.profile() as p:
        out = bp.nn.conv(x, w, groups=2)
    assert counts(p, "conv_forward")["conv_forward", "forward"][1] == 2 * out.size * 3 * 2


def test_elementwise():
    n = 100
    x, y = array(n), array(n)
    with bp.profile() as p:
        out = bp.exp(x * y) + x
        out.backward(np.ones(n, "float32"))
    found = counts(p, "multiply", "exp", "add")
    a = 4 * n
    assert found["multiply", "forward"] == (1, n, 3 * a)
    assert found["exp", "forward"] == (1, n, 2 * a)
    assert found["multiply", "backward"] == (2, 2 * n, 6 * a)  # g and the other argument in, one out
    assert found["exp", "backward"] == (1, n, 3 * a)  # g and the result
    assert found["add", "backward"] == (2, 0, 0)  # hands g on


def test_views_move_nothing_and_reductions_read():
    x = array(10, 20)
    with bp.profile() as p:
        y = bp.sum(x.T.reshape(20, 2, 5), axis=0)
    found = counts(p, "transpose", "permute_dims", "sum")
    assert found["sum", "forward"] == (1, 200, 4 * 200 + 4 * y.size)
    assert next(v for k, v in found.items() if k[0] != "sum")[2] == 0


def test_attention_counts_the_causal_half():
    q = array(2, 3, 8, 4)
    with bp.profile() as p:
        out = bp.nn.scaled_dot_product_attention(q, q, q, causal=True)
        out.backward(np.ones(out.shape, "float32"))
    found = counts(p, "dot_product_attention")
    product = 2 * 3 * 2 * 8 * 8 * 4 // 2
    assert found["dot_product_attention", "forward"][:2] == (1, 2 * product)
    assert found["dot_product_attention", "backward"][:2] == (1, 5 * product)


def test_einsum():
    x, y = array(3, 4), array(4, 5)
    with bp.profile() as p:
        bp.numpy.einsum("ij,jk->ki", x, y).backward(np.ones((5, 3), "float32"))
    assert counts(p, "einsum_labelled") == {
        ("einsum_labelled", "forward"): (1, 2 * 3 * 4 * 5, x.nbytes + y.nbytes + 60),
        ("einsum_labelled", "backward"): (1, 4 * 3 * 4 * 5, 60 + 2 * (x.nbytes + y.nbytes)),
    }


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("simple_rnn", 1)])
def test_recurrent(kind, gates):
    batch, time, inputs, units = 2, 5, 3, 4
    x, w, u = (
        array(batch, time, inputs, grad=False),
        array(inputs, gates * units),
        array(units, gates * units),
    )
    with bp.profile() as p:
        found = getattr(bp.nn, kind)(x, w, u)
        bp.sum(found[0]).backward()
    steps, of_w, of_u = 2 * batch * time, inputs * gates * units, units * gates * units
    assert counts(p, kind)[kind, "forward"][:2] == (1, steps * (of_w + of_u))
    assert counts(p, kind)[kind, "backward"][:2] == (1, steps * (of_w + 2 * of_u))  # no gradient of x


def test_what_the_tables_name_exists():
    assert costs.REDUCTIONS | set(costs.RECURRENT) <= set(OPS)
    assert set(costs.IN_PLACE) <= set(dir(backend.named("numpy")))


def test_what_an_optimizer_moves():
    w = bp.layers.Variable(np.ones((50, 10), "float32"), name="w")
    g = bp.asarray(np.ones((50, 10), "float32"))
    for optimizer, times in ((bp.optimizers.SGD(0.1), 3), (bp.optimizers.Adam(0.1), 7)):
        optimizer.build([w])
        with bp.profile() as p:
            optimizer.apply([g], [w])
        (row,) = [r for r in p.rows if r.phase == "update"]
        assert row.bytes == times * w.nbytes


# ------------------------------------------------------------------ where it works
def test_higher_order_and_forward_mode():
    f = lambda x: bp.sum(bp.sin(x) ** 3)
    x = np.linspace(0.1, 1, 4)
    want = bp.hessian(f)(x), bp.jvp(f, (x,), (x,))[1], bp.grad(lambda x: bp.sum(bp.grad(f)(x)))(x)
    with bp.profile() as p:
        found = bp.hessian(f)(x), bp.jvp(f, (x,), (x,))[1], bp.grad(lambda x: bp.sum(bp.grad(f)(x)))(x)
    for a, b in zip(want, found, strict=True):
        np.testing.assert_array_equal(a, b)
    phases = {(r.name, r.phase) for r in p.rows}
    assert {("sin", "forward"), ("sin", "backward"), ("sin", "tangent"), ("graph walk", "tangent")} <= phases
    assert ("multiply", "in backward") in phases  # a rule that is recorded runs operations


def test_a_recorded_rule_leaves_its_work_to_the_operations_in_it():
    x = array(8, 8, dtype="float64")
    with bp.profile() as p:
        bp.grad(lambda x: bp.sum(bp.grad(lambda x: bp.sum(x @ x))(x)))(x)
    found = counts(p, "matmul")
    calls, flops, _ = found["matmul", "in backward"]
    assert flops == calls * 2 * 8**3
    assert found["matmul", "backward"][1:] == (0, 0)
    assert found["matmul", "backward"][0] >= calls


def test_fit(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(64, 8)), np.arange(64) % 3
    model = bp.models.Sequential([bp.layers.Dense(16, "relu", input_shape=(8,)), bp.layers.Dense(3)])
    model.compile("adam", bp.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    with bp.profile() as p:
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    found = {(r.name, r.phase): r.calls for r in p.rows}
    assert found["linear", "forward"] == found["linear", "backward"] == 16
    assert found["softmax_cross_entropy", "forward"] == 8
    assert found["adam_step", "update"] == 8
    assert 0 < sum(r.seconds for r in p.rows) <= p.seconds


def test_threads_are_seen_and_kept_apart():
    x = array(16, 16)

    def work():
        for _ in range(20):
            bp.tanh(x * 2).sum().backward()

    with bp.profile() as p:
        threads = [threading.Thread(target=work, name=f"worker {i}") for i in range(3)]
        for t in threads:
            t.start()
        work()
        for t in threads:
            t.join()
    assert counts(p, "tanh")["tanh", "forward"][0] == 80
    assert counts(p, "tanh")["tanh", "backward"][0] == 80
    assert len({e.thread for e in p._events}) >= 2


def test_profiles_nest():
    x = array(10)
    with bp.profile() as outer:
        bp.exp(x)
        with bp.profile() as inner:
            bp.exp(x)
        bp.exp(x)
    assert counts(outer, "exp")["exp", "forward"][0] == 3
    assert counts(inner, "exp")["exp", "forward"][0] == 1
    with pytest.raises(RuntimeError, match="used once"), inner:
        pass


def test_exceptions_leave_nothing_and_are_not_counted():
    x = array(3)
    with bp.profile() as p:
        bp.exp(x)
        with pytest.raises(bp.ShapeError):
            x + array(4)
    assert counts(p, "exp")["exp", "forward"][0] == 1
    assert ("add", "forward") not in counts(p, "add")

    @bp.custom_vjp
    def broken(x):
        return x * 2

    def bwd(_, g):
        raise KeyError("no")

    broken.defvjp(lambda x: (x * 2, None), bwd)
    with pytest.raises(KeyError), bp.profile() as p:
        broken(x).sum().backward()
    assert p.seconds > 0


def test_ops_declared_while_profiling_are_seen():
    from tensorflowlite_bp.autograd.declare import unary

    try:
        with bp.profile() as p:
            f = unary("declared_late", vjp=lambda F, g, out, x: g, forward=lambda B: B.negative)
            f(array(3)).sum().backward()
        assert counts(p, "declared_late") == {
            ("declared_late", "forward"): (1, 3, 24),
            ("declared_late", "backward"): (1, 0, 0),
        }
        assert type(f.op.forward) is Dispatch
    finally:
        OPS.pop("declared_late")
        del bp.autograd.op.graph.declared_late


def test_what_is_first_used_while_profiling_is_plain_afterwards():
    """Look-ups remember functions: they must not remember timed ones."""
    for op in OPS.values():
        if op.name in ("sinh", "sigmoid"):
            op.forward.clear()
    with bp.profile() as p:
        bp.sinh(array(3))
        bp.nn.sigmoid(array(3))
    assert p.rows
    for name in ("sinh", "sigmoid"):
        assert {f.__module__ for f in OPS[name].forward.values()} != {instrument.__name__}
        assert "timed" not in {f.__name__ for f in OPS[name].forward.values()}


def test_vmap():
    f = bp.vmap(lambda x: bp.sum(bp.sin(x) @ x))
    x = np.ones((4, 3))
    want = f(x)
    with bp.profile() as p:
        np.testing.assert_array_equal(f(x), want)
    assert counts(p, "sin")["sin", "forward"][0] == 1


def test_cupy_and_its_waits():
    with fake_cupy.installed(current=True):
        counted = fake_cupy.machine.counts
        x = bp.tensor(np.ones((4, 4), "float32"), requires_grad=True)
        x = bp.tensor(backend.current().asarray(x.data), requires_grad=True)

        def step():
            bp.sum(bp.exp(x) * x).backward()
            x.grad = None

        step()
        before = counted.syncs
        with bp.profile() as p:
            step()
        assert counted.syncs == before  # times are the host's
        assert counts(p, "exp")["exp", "forward"] == (1, 16, 128)
        assert [r.of_limit for r in p.rows if r.name == "exp"] == [None, None]
        assert p.most_bytes >= 64
        with bp.profile(sync=True) as p:
            step()
        timed = sum(r.calls for r in p.rows if r.name != "graph walk")
        assert counted.syncs == before + 2 * timed


# ------------------------------------------------------------------ memory
def test_most_memory_and_the_lines_that_hold_it():
    x = array(1 << 18, grad=False)  # 1 MiB
    with bp.profile() as p:
        a = bp.sin(x)
        b = bp.sin(a)
        del a
        c = bp.concat([b, b, b])  # here
        del b, c
        bp.sin(x)
    lines = {line: held / 2**20 for (file, line, _), held in p.held_then.items() if file == __file__}
    first = p.held_then and min(lines)
    assert lines == {first: 1.0, first + 2: 3.0}, lines  # b, and c; a is gone
    what, (file, line, function) = p.most_at
    assert what == "concatenate, forward" or what == "concat, forward"
    assert (file, line, function) == (
        __file__,
        first + 2,
        test_most_memory_and_the_lines_that_hold_it.__name__,
    )
    assert p.most_bytes >= 4 << 20
    assert "# here" in str(p)


def test_the_allocators_own_peak_stays():
    before = np.ones(1 << 20)
    del before
    peak = bp.memory_stats().peak_bytes
    with bp.profile():
        bp.exp(array(10))
    assert bp.memory_stats().peak_bytes >= peak


# ------------------------------------------------------------------ what it prints and writes
def test_table():
    x = array(32, 32)
    with bp.profile() as p:
        for _ in range(3):
            bp.sum(x @ x).backward()
        bp.exp(x)
    text = p.table(sort="name", limit=3)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["operation", "phase", "calls"]
    names = [line.split()[0] for line in lines[1:4]]
    assert names == sorted(names)
    assert "more rows" in text
    assert "outside operations" in text
    by_calls = [r.calls for r in sorted(p.rows, key=lambda r: -r.calls)]
    lines = p.table(sort="calls", limit=None).splitlines()[1 : len(by_calls) + 1]
    assert [int(line[43:52].replace(",", "")) for line in lines] == by_calls
    assert str(p) == p.table()
    with pytest.raises(ValueError, match="sort must be one of"):
        p.table(sort="speed")


def test_trace_nests(tmp_path):
    x = array(4, 4, dtype="float64")
    with bp.profile() as p:
        bp.hessian(lambda x: bp.sum(bp.exp(x) @ x))(x)
    path = tmp_path / "trace.json"
    p.chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    calls = [e for e in events if e["ph"] == "X"]
    assert len(calls) == sum(r.calls for r in p.rows)
    assert {"exp", "matmul", "graph walk"} <= {e["name"] for e in calls}
    stack, deepest = [], 0
    for e in calls:
        assert {"ts", "dur", "pid", "tid", "cat", "args"} <= set(e)
        while stack and stack[-1] <= e["ts"]:
            stack.pop()
        assert not stack or e["ts"] + e["dur"] <= stack[-1] + 1e-3, "calls overlap without nesting"
        stack.append(e["ts"] + e["dur"])
        deepest = max(deepest, len(stack))
    assert deepest >= 3  # a walk, a rule, an operation of the rule
    assert any(e["ph"] == "M" for e in events)
    assert any("test_profile.py" in e["args"]["line"] for e in calls)


def test_ceilings():
    c = bp.profiling.ceilings()
    assert c.memory > 0
    assert c.cache > 0
    assert c.least_seconds(0, 8 * c.memory, 4, 4) == pytest.approx(8.0)
    assert c.least_seconds(0, 1000, 4, 2) == pytest.approx(1000 / (2 * c.cache))
    if c.float32 is not None:
        assert c.least_seconds(c.float32, 8, 4, 1) == pytest.approx(1.0)
        assert c.least_seconds(c.float64, 8, 8, 2) == pytest.approx(0.5)
