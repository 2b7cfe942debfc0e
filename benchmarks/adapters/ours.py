"""This project through its functional operations, `loss.backward()` and an optimizer's `step()`."""

from types import SimpleNamespace

import tensorflowlite_bp as bp

nn = bp.nn

# what a workload may use; p are parameters, x activations; images are in the framework's own layout
F = SimpleNamespace(
    linear=nn.linear,  # (x, w, b)
    linear_relu=lambda x, w, b: nn.linear(x, w, b, activation="relu"),
    gelu=nn.gelu,  # the exact one
    embedding=nn.embedding,  # (indices, table)
    layer_norm=nn.layer_norm,  # (x, scale, offset), over the last axis, epsilon 1e-5
    conv=nn.conv,  # (x, filter, bias), no padding
    conv_relu=lambda x, w, b: nn.conv(x, w, b, activation="relu"),
    batch_norm_relu=lambda x, w, b: nn.batch_norm(  # epsilon 1e-3
        x, w, b, w.data, w.data, training=True, activation="relu"
    )[0],
    max_pool=lambda x: nn.max_pool(x, 2),
    flatten=lambda x: x.reshape(x.shape[0], -1),
    reshape=bp.reshape,
    transpose=bp.permute_dims,
    attention=lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=True),
    lstm=lambda x, w, u, b: nn.lstm(x, w, u, b, return_sequences=False)[0],  # the last state; gates i f g o
    cross_entropy=nn.softmax_cross_entropy,  # (logits, labels), the mean
    linear_cross_entropy=nn.linear_softmax_cross_entropy,  # (x, w, b, labels): in one where there is one
)


def make_optimizer(library, name, rate):
    """SGD or Adam, with epsilon where torch has it; of ours or of Keras."""
    if name == "sgd":
        return library.optimizers.SGD(rate)
    return library.optimizers.Adam(rate, epsilon=1e-8)


def make(framework, workload, case, optimizer, rate):
    params = {k: bp.layers.Variable(p.array, name=k) for k, p in workload.parameters(**case).items()}
    update = make_optimizer(bp, optimizer, rate).build(list(params.values()))
    x, y = (bp.asarray(a) for a in workload.batch(**case))

    def step():
        loss = workload.loss(F, params, x, y, **case)
        loss.backward()
        update.step()
        update.zero_grad()
        return loss

    return step, lambda n: [step().item() for _ in range(n)]
