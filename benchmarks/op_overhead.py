"""What one operation costs on small arrays, forward and backward, graph building and freeing included.

    python -m benchmarks.op_overhead [--quick] [--threads 1 2] [--only chain]

`chain`: h = tanh(h * w + b), repeated, gradients of h, w and b; the time is per operation (three per
repetition). The other rows: one operation and its backward. `floor`: the same arithmetic in NumPy with the
derivative written out by hand, no tape at all.
"""

from inspect import signature

import numpy as np

from . import _common

FRAMEWORKS = ["ours", "torch", "floor"]
PER_CALL = 20  # a single operation is done this often per timed call


# ------------------------------------------------------------------ the chain
def chain_autodiff(make, tanh, size, repeat):
    """With a tape: ours and torch have the same operators."""
    h0, w, b = (make(x) for x in chain_arrays(size))
    g = make(np.ones((size, size), np.float32), False)

    def step():
        h = h0
        for _ in range(repeat):
            h = tanh(h * w + b)
        h.backward(g)
        grads = h0.grad, w.grad, b.grad
        h0.grad = w.grad = b.grad = None
        return grads

    return step


def chain_floor(size, repeat):
    h0, w, b = chain_arrays(size)
    one = np.ones((), np.float32)

    def step():
        h, kept = h0, []
        for _ in range(repeat):
            out = np.tanh(h * w + b)
            kept.append((h, out))
            h = out
        g = np.ones((size, size), np.float32)
        dw = db = None
        while kept:
            h, out = kept.pop()
            g = g * (one - out * out)
            dw = g * h if dw is None else dw + g * h
            db = g if db is None else db + g
            g = g * w
        return g, dw, db

    return step


def chain_arrays(size):
    r = np.random.default_rng(0)
    return [r.uniform(0.1, 1, (size, size)).astype(np.float32) for _ in range(3)]


# ------------------------------------------------------------------ single operations
def operations(lib, torch):
    """{name: function of 8x8 arguments} for a framework; `torch` where the names differ."""
    nn = lib.nn.functional if torch else lib.nn
    labels = lib.arange(8)
    cross_entropy = nn.cross_entropy if torch else nn.softmax_cross_entropy
    return {
        "x + y": lambda x, y: x + y,
        "x * 2.0": lambda x: x * 2.0,
        "x * y": lambda x, y: x * y,
        "x / y": lambda x, y: x / y,
        "x ** 2": lambda x: x**2,
        "exp": lambda x: lib.exp(x),
        "tanh": lambda x: lib.tanh(x),
        "relu": lambda x: nn.relu(x),
        "sigmoid": lambda x: lib.sigmoid(x) if torch else nn.sigmoid(x),
        "maximum": lambda x, y: lib.maximum(x, y),
        "x + row": lambda x, y: x + y[0],
        "sum": lambda x: x.sum(),
        "mean(axis=0)": lambda x: x.mean(0),
        "max(axis=1)": lambda x: lib.amax(x, 1),
        "x @ y": lambda x, y: x @ y,
        "reshape": lambda x: x.reshape(4, 16),
        "transpose": lambda x: x.T,
        "x[1:5]": lambda x: x[1:5],
        "concat": lambda x, y: lib.concat([x, y]),
        "softmax": lambda x: nn.softmax(x, -1),
        "linear, relu": lambda x, y: nn.relu(x @ y) if torch else nn.linear(x, y, activation="relu"),
        "cross-entropy": lambda x: cross_entropy(x, labels),
    }


def softmax(g, x):
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p, p * (g - (g * p).sum(-1, keepdims=True))


def sigmoid(g, x):
    p = 1 / (1 + np.exp(-x))
    return p, g * p * (1 - p)


def part(g, x):
    dx = np.zeros_like(x)
    dx[1:5] = g
    return x[1:5], dx


def plus_row(g, x, y):
    dy = np.zeros_like(y)
    dy[0] = np.add.reduce(g, 0)
    return x + y[0], g, dy


def maximum_row(g, x):
    out = x.max(1)
    return out, (x == out[:, None]) * g[:, None]


def linear(g, x, y):
    out = np.maximum(x @ y, 0)
    g = g * (out > 0)
    return out, g @ y.T, x.T @ g


def softmax_cross_entropy(g, x, rows=np.arange(8)):  # noqa: B008
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    loss = -np.log(p[rows, rows]).mean()
    p[rows, rows] -= 1
    return loss, p * (g / np.float32(8))


FLOOR = {  # result and gradients by hand, from the cotangent g and the arguments
    "x + y": lambda g, x, y: (x + y, g, g),
    "x * 2.0": lambda g, x: (x * 2.0, g * 2.0),
    "x * y": lambda g, x, y: (x * y, g * y, g * x),
    "x / y": lambda g, x, y: (x / y, g / y, -g * x / (y * y)),
    "x ** 2": lambda g, x: (x * x, g * (x + x)),
    "exp": lambda g, x: ((out := np.exp(x)), g * out),
    "tanh": lambda g, x: ((out := np.tanh(x)), g * (1 - out * out)),
    "relu": lambda g, x: ((out := np.maximum(x, 0)), g * (out > 0)),
    "sigmoid": sigmoid,
    "maximum": lambda g, x, y: (np.maximum(x, y), g * (x > y), g * (x < y)),
    "x + row": plus_row,
    "sum": lambda g, x: (x.sum(), np.full_like(x, g)),
    "mean(axis=0)": lambda g, x: (x.mean(0), np.broadcast_to(g / 8, x.shape)),
    "max(axis=1)": maximum_row,
    "x @ y": lambda g, x, y: (x @ y, g @ y.T, x.T @ g),
    "reshape": lambda g, x: (x.reshape(4, 16), g.reshape(8, 8)),
    "transpose": lambda g, x: (x.T, g.T),
    "x[1:5]": part,
    "concat": lambda g, x, y: (np.concatenate([x, y]), g[:8], g[8:]),
    "softmax": softmax,
    "linear, relu": linear,
    "cross-entropy": softmax_cross_entropy,
}

SHAPES = {  # of the results that are not 8x8
    "sum": (),
    "cross-entropy": (),
    "mean(axis=0)": (8,),
    "max(axis=1)": (8,),
    "reshape": (4, 16),
    "x[1:5]": (4, 8),
    "concat": (16, 8),
}


# ------------------------------------------------------------------ the worker
def prepare(framework, kind, size=8, repeat=1, op=""):
    """(function to time, function giving what it computes as numbers)."""
    lib = None
    if framework == "torch":
        import torch as lib

        lib.set_num_threads(_common.threads())
    elif framework == "ours":
        import tensorflowlite_bp as lib
    make = lambda x, grad=True: x if lib is None else lib.tensor(x, requires_grad=grad)

    if kind == "chain":
        step = chain_floor(size, repeat) if lib is None else chain_autodiff(make, lib.tanh, size, repeat)
        return step, lambda: numbers(step())

    floor = FLOOR[op]
    arrays = chain_arrays(8)[: 2 if "y" in signature(floor).parameters else 1]
    g = np.ones(SHAPES.get(op, (8, 8)), np.float32)
    xs = [make(x) for x in arrays]
    if lib is None:
        one = lambda: floor(g, *xs)[1:]
    else:
        f = operations(lib, framework == "torch")[op]
        g = make(g, False)

        def one():
            f(*xs).backward(g)
            grads = [x.grad for x in xs]
            for x in xs:
                x.grad = None
            return grads

    def step():
        for _ in range(repeat):
            one()

    return step, lambda: numbers(one())


def numbers(arrays):
    return [float(np.asarray(x if isinstance(x, np.ndarray) else x.detach()).mean()) for x in arrays]


def main():
    options = _common.arguments(__doc__.splitlines()[0]).parse_args()
    if options.worker:
        _common.serve(options.worker, prepare)
        return
    cases = {
        "chain 8x8": {"kind": "chain", "size": 8, "repeat": 300},
        "chain 32x32": {"kind": "chain", "size": 32, "repeat": 300},
        "chain 128x128": {"kind": "chain", "size": 128, "repeat": 50},
        "chain 1024x1024": {"kind": "chain", "size": 1024, "repeat": 10},
    }
    per = {name: 3 * case["repeat"] for name, case in cases.items()}
    for op in FLOOR:
        cases[op] = {"kind": "op", "op": op, "repeat": PER_CALL}
        per[op] = PER_CALL
    _common.run("op_overhead", FRAMEWORKS, cases, options, "torch", ["torch"], lambda case, _: per[case])


if __name__ == "__main__":
    main()
