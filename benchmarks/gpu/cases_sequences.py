"""Recurrent layers and CTC: many small steps, of which the time between two launches is a large part."""

from tensorflowlite_bp.backend import recurrent

from .cases import Work, case, size_of

HOW = {"mask": None, "reverse": False}


@case(
    "LSTM, forward and backward",
    [(64, 128, 512, 512, "float32"), (32, 256, 1024, 1024, "float16")],
    (2, 3, 4, 5, "float32"),
    torch=1.0,
)
def lstm(lab, batch, steps, features, units, dtype):
    """torch's is cuDNN's, whose sums may differ from run to run."""
    columns = 4 * units
    shapes = ((batch, steps, features), (batch, steps, units))
    (x, tx), (g, tg) = [lab.normal(*s, dtype=dtype) for s in shapes]
    scaled = [lab.normal(n, columns, dtype=dtype)[0] * (n**-0.5) for n in (features, units)]
    w, u = [a.astype(x.dtype, copy=False) for a in scaled]
    b = lab.normal(columns, dtype=dtype)[0]
    states = tuple([lab.cupy.zeros((batch, units), x.dtype) for _ in range(2)])
    needs = (True, False, False, True, True, True)

    def ours(forward=lab.lib.recurrent_forward, backward=lab.lib.recurrent_backward):
        out, _, kept = forward(x, states, w, u, b, kind="lstm", sequences=True, keeps=True, **HOW)
        gs = (g, None, None)
        back = backward(gs, x, states, w, u, b, kind="lstm", kept=kept, needs=needs, **HOW)
        return [out, back[0], *back[3:]]

    def theirs(wrap):
        torch = lab.torch
        layer = torch.nn.LSTM(features, units, batch_first=True).to(tx)
        mine = [lab.tensor(a) for a in (w, u, b)]
        with torch.no_grad():
            for to, value in zip(
                layer.parameters(), (mine[0].T, mine[1].T, mine[2], 0 * mine[2]), strict=True
            ):
                to.copy_(value)
        leaf, weights = tx.detach().requires_grad_(), list(layer.parameters())[:3]

        def step():
            out = layer(leaf)[0]
            dx, dw, du, db = torch.autograd.grad(out, [leaf, *weights], tg)
            return [out, dx, dw.T, du.T, db]

        return step

    composed = [
        lambda *args, **how: recurrent.forward(lab.cupy, *args, **how),
        lambda *args, **how: recurrent.backward(lab.cupy, *args, **how),
    ]
    flops = 6 * batch * steps * (features + units) * columns
    return Work(ours, theirs, lambda: ours(*composed), flops=flops)


@case("CTC, loss and gradient", [(64, 1000, 128, 120, "float32")], (3, 9, 5, 3, "float32"), torch=1.5)
def ctc(lab, samples, time, classes, length, dtype):
    logits, tx = lab.normal(samples, time, classes, dtype=dtype)
    labels, tl = lab.integers(classes - 1, samples, length)
    labels, tl = labels + 1, None if tl is None else tl + 1
    steps = lab.cupy.full((samples,), time, "int64")
    lengths = lab.cupy.full((samples,), length, "int64")

    def theirs(wrap):
        f, leaf = lab.torch.nn.functional, tx.detach().requires_grad_()
        sizes = [lab.tensor(a) for a in (steps, lengths)]

        def step():
            logp = f.log_softmax(leaf, -1).transpose(0, 1)
            loss = f.ctc_loss(logp, tl, *sizes, reduction="none")
            return [loss, *lab.torch.autograd.grad(loss.sum(), [leaf])]

        return step

    return Work(
        lambda: list(lab.lib.ctc_loss(logits, labels=labels, steps=steps, lengths=lengths, blank=0)),
        theirs,
        bytes=2 * size_of(logits),
    )
