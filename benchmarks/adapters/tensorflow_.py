"""TensorFlow: the whole step in one `tf.function`, with its one-kernel optimizer operations."""

import os
from types import SimpleNamespace

from .. import _common

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

nn, raw = tf.nn, tf.raw_ops
tf.config.threading.set_intra_op_parallelism_threads(_common.threads())
tf.config.threading.set_inter_op_parallelism_threads(1)


def linear(x, w, b):
    if x.shape.rank > 2:
        return tf.reshape(linear(tf.reshape(x, (-1, x.shape[-1])), w, b), (*x.shape[:-1], w.shape[-1]))
    return nn.bias_add(tf.matmul(x, w), b)


def layer_norm(x, w, b):
    mean, variance = nn.moments(x, -1, keepdims=True)
    return nn.batch_normalization(x, mean, variance, b, w, 1e-5)


def conv(x, w, b):
    return nn.bias_add(nn.conv2d(x, w, 1, "VALID"), b)


def batch_norm_relu(x, w, b):
    return nn.relu(nn.batch_normalization(x, *nn.moments(x, (0, 1, 2)), b, w, 1e-3))


def attention(q, k, v):
    s = tf.matmul(q, k, transpose_b=True) / q.shape[-1] ** 0.5
    keep = tf.linalg.band_part(tf.ones(s.shape[-2:], tf.bool), -1, 0)
    return tf.matmul(nn.softmax(tf.where(keep, s, s.dtype.min)), v)


def lstm(x, w, u, b):
    h = c = tf.zeros((x.shape[0], u.shape[0]))
    for a in tf.unstack(linear(x, w, b), axis=1):
        i, f, g, o = tf.split(a + tf.matmul(h, u), 4, -1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
    return h


def cross_entropy(logits, y):
    return tf.reduce_mean(nn.sparse_softmax_cross_entropy_with_logits(y, logits))


F = SimpleNamespace(
    linear=linear,
    linear_relu=lambda x, w, b: nn.relu(linear(x, w, b)),
    gelu=nn.gelu,
    embedding=lambda i, table: nn.embedding_lookup(table, i),
    layer_norm=layer_norm,
    conv=conv,
    conv_relu=lambda x, w, b: nn.relu(conv(x, w, b)),
    batch_norm_relu=batch_norm_relu,
    max_pool=lambda x: nn.max_pool2d(x, 2, 2, "VALID"),
    flatten=lambda x: tf.reshape(x, (x.shape[0], -1)),
    reshape=tf.reshape,
    transpose=tf.transpose,
    attention=attention,
    lstm=lstm,
    cross_entropy=cross_entropy,
    linear_cross_entropy=lambda x, w, b, y: cross_entropy(linear(x, w, b), y),
)


def make(framework, workload, case, optimizer, rate):
    params = {k: tf.Variable(p.array) for k, p in workload.parameters(**case).items()}
    x, y = (tf.constant(a) for a in workload.batch(**case))
    moments = {k: [tf.Variable(tf.zeros_like(p)) for _ in range(2)] for k, p in params.items()}
    count = tf.Variable(0.0)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = workload.loss(F, params, x, y, **case)
        grads = tape.gradient(loss, params)
        count.assign_add(1.0)
        for name, g in grads.items():
            g, p = tf.convert_to_tensor(g), params[name].handle
            if optimizer == "sgd":
                raw.ResourceApplyGradientDescent(var=p, alpha=rate, delta=g)
            else:
                m, v = (i.handle for i in moments[name])
                raw.ResourceApplyAdam(
                    var=p, m=m, v=v, beta1_power=0.9**count, beta2_power=0.999**count, lr=rate,
                    beta1=0.9, beta2=0.999, epsilon=1e-8, grad=g,
                )  # fmt: skip
        return loss

    return step, lambda n: [float(step()) for _ in range(n)]
