"""JAX: the whole step in one `jit`, weights and moments donated."""

import os
from functools import partial
from types import SimpleNamespace

from .. import _common

if _common.threads() == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp

nn = jax.nn


def normalised(x, w, b, axes, eps):
    x = x - x.mean(axes, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(axes, keepdims=True) + eps) * w + b


def linear(x, w, b):
    return x @ w + b


def conv(x, w, b):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b


def attention(q, k, v):
    s = jnp.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
    keep = jnp.tril(jnp.ones(s.shape[-2:], bool))
    return nn.softmax(jnp.where(keep, s, -jnp.inf), -1) @ v


def lstm(x, w, u, b):
    def step(state, a):
        h, c = state
        i, f, g, o = jnp.split(a + h @ u, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return (nn.sigmoid(o) * jnp.tanh(c), c), None

    state = jnp.zeros((len(x), u.shape[0]))
    return jax.lax.scan(step, (state, state), (x @ w + b).swapaxes(0, 1))[0][0]


def cross_entropy(logits, y):
    return -jnp.take_along_axis(nn.log_softmax(logits), y[:, None], 1).mean()


F = SimpleNamespace(
    linear=linear,
    linear_relu=lambda x, w, b: nn.relu(linear(x, w, b)),
    gelu=partial(nn.gelu, approximate=False),
    embedding=lambda i, table: table[i],
    layer_norm=lambda x, w, b: normalised(x, w, b, -1, 1e-5),
    conv=conv,
    conv_relu=lambda x, w, b: nn.relu(conv(x, w, b)),
    batch_norm_relu=lambda x, w, b: nn.relu(normalised(x, w, b, (0, 1, 2), 1e-3)),
    max_pool=lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    flatten=lambda x: x.reshape(x.shape[0], -1),
    reshape=jnp.reshape,
    transpose=jnp.transpose,
    attention=attention,
    lstm=lstm,
    cross_entropy=cross_entropy,
    linear_cross_entropy=lambda x, w, b, y: cross_entropy(linear(x, w, b), y),
)


def make(framework, workload, case, optimizer, rate):
    params = {k: jnp.asarray(p.array) for k, p in workload.parameters(**case).items()}
    x, y = (jnp.asarray(a) for a in workload.batch(**case))
    state = (jnp.zeros(()), *[{k: jnp.zeros_like(p) for k, p in params.items()} for _ in range(2)])

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params, state, x, y):
        loss, grads = jax.value_and_grad(lambda p: workload.loss(F, p, x, y, **case))(params)
        if optimizer == "sgd":
            return jax.tree.map(lambda p, g: p - rate * g, params, grads), state, loss
        count, m, v = state
        count = count + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        first, second = 1 - 0.9**count, 1 - 0.999**count
        move = lambda p, m, v: p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8)
        return jax.tree.map(move, params, m, v), (count, m, v), loss

    def step():
        nonlocal params, state
        params, state, loss = update(params, state, x, y)
        jax.block_until_ready(params)
        return loss

    return step, lambda n: [float(step()) for _ in range(n)]
