"""PyTorch: eager; the same with its one-kernel optimizer, channels last, compiled."""

from types import SimpleNamespace

import torch

from .. import _common

nn = torch.nn.functional


def layer_norm(x, w, b):
    return nn.layer_norm(x, w.shape, w, b)


def lstm(x, w, u, b):
    """What torch.nn.LSTM calls."""
    state = x.new_zeros(1, len(x), u.shape[1])
    weights = [w, u, b, torch.zeros_like(b)]
    return torch.lstm(x, (state, state), weights, True, 1, 0.0, True, False, True)[0][:, -1]


F = SimpleNamespace(
    linear=nn.linear,
    linear_relu=lambda x, w, b: torch.relu(nn.linear(x, w, b)),
    gelu=nn.gelu,
    embedding=nn.embedding,
    layer_norm=layer_norm,
    conv=nn.conv2d,
    conv_relu=lambda x, w, b: torch.relu(nn.conv2d(x, w, b)),
    batch_norm_relu=lambda x, w, b: torch.relu(nn.batch_norm(x, None, None, w, b, training=True, eps=1e-3)),
    max_pool=lambda x: nn.max_pool2d(x, 2),
    flatten=lambda x: x.flatten(1),
    reshape=torch.reshape,
    transpose=torch.permute,
    attention=lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, is_causal=True),
    lstm=lstm,
    cross_entropy=nn.cross_entropy,
    linear_cross_entropy=lambda x, w, b, y: nn.cross_entropy(nn.linear(x, w, b), y),
)


def placed(parameter, form):
    """A parameter in torch's layout: (out, in), filters and images channels first."""
    array = parameter.array
    if parameter.image is not None:  # rows follow (high, wide, channels); torch flattens channels first
        array = array.reshape(*parameter.image, -1).transpose(2, 0, 1, 3).reshape(array.shape)
    if parameter.kind == "linear":
        array = array.T
    elif parameter.kind == "filter":
        array = array.transpose(3, 2, 0, 1)
    tensor = torch.tensor(array.copy())
    return tensor.to(memory_format=form) if tensor.ndim == 4 else tensor


def make(framework, workload, case, optimizer, rate):
    torch.set_num_threads(_common.threads())
    form = torch.channels_last if framework == "torch channels last" else torch.contiguous_format
    params = {k: placed(p, form).requires_grad_() for k, p in workload.parameters(**case).items()}
    x, y = (torch.tensor(a) for a in workload.batch(**case))
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=form)
    kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    fused = True if framework in ("torch fused", "torch compile") else None
    update = kind(list(params.values()), lr=rate, fused=fused)
    forward = lambda params, x, y: workload.loss(F, params, x, y, **case)
    if framework == "torch compile":
        forward = torch.compile(forward)

    def step():
        loss = forward(params, x, y)
        loss.backward()
        update.step()
        update.zero_grad()
        return loss

    return step, lambda n: [step().item() for _ in range(n)]
