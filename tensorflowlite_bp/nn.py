"""Functional neural operations: activations, linear layers, convolution, pooling, normalisation, losses.

Channels last.
"""

# fmt: off
# isort: off
from .ops.activations import (
    celu, elu, gelu, glu, hard_sigmoid, hard_silu, leaky_relu, log_sigmoid, log_softmax, mish, relu, relu6,
    selu, sigmoid, silu, softmax, softplus, softsign,
)
# isort: on
# fmt: on
from .ops.attention import scaled_dot_product_attention
from .ops.chunked import linear_softmax_cross_entropy
from .ops.conv import avg_pool, conv, conv_transpose, max_pool
from .ops.ctc import ctc_loss
from .ops.losses import sigmoid_cross_entropy, softmax_cross_entropy
from .ops.nn import batch_norm, dropout, embedding, linear, one_hot
from .ops.recurrent import gru, gru_cell, lstm, lstm_cell, simple_rnn, simple_rnn_cell
from .ops.reductions import logsumexp
from .ops.row_norms import group_norm, layer_norm, rms_norm
from .ops.trigonometric import tanh

swish = silu

__all__ = [
    "avg_pool", "batch_norm", "celu", "conv", "conv_transpose", "ctc_loss", "dropout", "elu", "embedding",
    "gelu", "glu", "group_norm", "gru", "gru_cell", "hard_sigmoid", "hard_silu", "layer_norm", "leaky_relu",
    "linear", "linear_softmax_cross_entropy", "log_sigmoid", "log_softmax", "logsumexp", "lstm",
    "lstm_cell", "max_pool", "mish", "one_hot", "relu", "relu6", "rms_norm", "scaled_dot_product_attention",
    "selu", "sigmoid", "sigmoid_cross_entropy", "silu", "simple_rnn", "simple_rnn_cell", "softmax",
    "softmax_cross_entropy", "softplus", "softsign", "swish", "tanh",
]  # fmt: skip
