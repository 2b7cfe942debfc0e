"""MultiHeadAttention and GroupQueryAttention."""

import math
from collections.abc import Callable
from typing import Any

from .. import constraints, initializers, nn, ops, regularizers
from .._registry import serialize
from ..errors import ShapeError, message
from ..ops import random
from ..ops.attention import attention_weights
from . import activations
from .attention import as_bool
from .base import Layer
from .core import positive

KINDS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}
TENSORS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


class _Projection(Layer):
    """The last `bound` axes of the input times a kernel (*inputs, *outputs), and a bias (*outputs)."""

    def __init__(self, units, bound, use_bias, options, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.bound = bound
        self.use_bias = use_bias
        self.activation = activations.get(activation)
        for name, value in options.items():
            setattr(self, name, value)
        self.kernel = self.bias = None

    def build(self, input_shape):
        inputs = tuple(input_shape[-self.bound :])
        if None in inputs:
            raise ShapeError(
                message(self._label(), "the features must be known.", received=str(tuple(input_shape)))
            )
        self.kernel = self._weight("kernel", inputs + self.units)
        if self.use_bias:
            self.bias = self._weight("bias", self.units)

    def _weight(self, what, shape):
        how = {kind: getattr(self, f"{what}_{kind}") for kind in KINDS}
        return self.add_weight(shape, name=what, **how)

    def matrix(self):
        """The kernel as (inputs, outputs), and the bias as (outputs,) or None."""
        kernel = self.kernel.reshape((-1, math.prod(self.units)))
        return kernel, None if self.bias is None else self.bias.reshape((-1,))

    def call(self, x):
        lead = x.shape[: x.ndim - self.bound]
        kernel, bias = self.matrix()
        if math.prod(x.shape[len(lead) :]) != kernel.shape[0]:
            raise ShapeError(
                message(
                    self._label(),
                    "the input's features must match the kernel's.",
                    received=f"input {tuple(x.shape)}, kernel {tuple(self.kernel.shape)}",
                )
            )
        out = nn.linear(x.reshape((*lead, -1)), kernel, bias)
        return self.activation(out.reshape((*lead, *self.units)))


class _Projected(Layer):
    """What layers share that project query, key and value to heads.

    Inputs travel as one dict, so that graphs of layers and files see every tensor among them.
    """

    _key_dim: int
    _value_dim: int
    _head_counts: Callable[[], tuple[int, int]]  # of queries, of keys and values
    _out: Callable[[tuple], tuple]  # the output's features
    supports_masking = _hands_masks_on = True
    _alias_config = frozenset({"batch_input_shape", "batch_size", "input_dim", "flash_attention"})

    def __init__(self, dropout, use_bias, sliding_window, use_gate, seed, activity, options, **kwargs):
        super().__init__(**kwargs)
        self.dropout = dropout
        self.use_bias = use_bias
        self.sliding_window = sliding_window
        if sliding_window is not None:
            positive(self._label(), "sliding_window", sliding_window)
        self.use_gate = use_gate
        self.seed = seed
        self.generator = random.default_generator() if seed is None else random.Generator(seed)
        self._activity = regularizers.get(activity)  # of the projections, as in Keras
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, KINDS[name.partition("_")[2]].get(value))

    def get_config(self):
        more = {} if self._activity is None else {"activity_regularizer": serialize(self._activity)}
        return {**super().get_config(), **more}

    def __call__(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        **kwargs,
    ):
        """The output; (output, scores) with return_attention_scores=True."""
        if isinstance(query, dict):  # of a graph
            inputs = query
        elif value is None:
            raise TypeError(message(self._label(), "query and value were expected.", received="query"))
        else:
            given = (query, value, key, query_mask, value_mask, key_mask, attention_mask)
            inputs = {name: x for name, x in zip(TENSORS, given, strict=True) if x is not None}
        how = {"return_attention_scores": return_attention_scores, "use_causal_mask": use_causal_mask}
        kwargs.update({name: True for name, wanted in how.items() if wanted})
        if training is not None:
            kwargs["training"] = training
        return super().__call__(inputs, **kwargs)

    def _projection(self, units, bound, name, activation=None):
        options = {option: getattr(self, option) for option in self._options}
        how = dict(activation=activation, activity_regularizer=self._activity, dtype=self.dtype, name=name)
        return _Projection(units, bound, self.use_bias, options, **how)

    def build(self, query_shape, value_shape=None, key_shape=None):
        """Make the weights, for the shapes of query, value and key (value's unless given)."""
        if isinstance(query_shape, dict):
            self._build(*[query_shape.get(name) for name in TENSORS[:3]])
        else:
            self._build(query_shape, value_shape, key_shape)

    def _build(self, query_shape, value_shape, key_shape):
        query_shape, value_shape = tuple(query_shape), tuple(value_shape)
        key_shape = value_shape if key_shape is None else tuple(key_shape)
        self._check_shapes(value_shape, key_shape)
        heads, key_heads = self._head_counts()
        self.query_dense = self._projection((heads, self._key_dim), 1, "query")
        self.key_dense = self._projection((key_heads, self._key_dim), 1, "key")
        if self.use_gate:
            self.gate_dense = self._projection((heads, self._value_dim), 1, "gate", "sigmoid")
        self.value_dense = self._projection((key_heads, self._value_dim), 1, "value")
        self.output_dense = self._projection(self._out(query_shape), 2, "attention_output")
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        if self.use_gate:
            self.gate_dense.build(query_shape)
        self.value_dense.build(value_shape)
        self.output_dense.build((*query_shape[:-1], heads, self._value_dim))
        self._one_product = key_heads == heads and self._key_dim == self._value_dim and self._activity is None

    def _check_shapes(self, value_shape, key_shape):
        if value_shape[1:-1] != key_shape[1:-1]:
            raise ShapeError(
                message(
                    self._label(),
                    "value and key must agree in all axes but the last.",
                    received=f"value {value_shape}, key {key_shape}",
                )
            )

    # ------------------------------------------------------------------ calling
    def call(self, inputs, return_attention_scores=False, training=None, use_causal_mask=False, mask=None):
        query, value = inputs["query"], inputs["value"]
        key = inputs.get("key", value)
        allowed = self._allowed(inputs, mask or {})
        window = self.sliding_window
        if window is not None:
            i, j = ops.arange(query.shape[1])[:, None], ops.arange(value.shape[1])
            allowed = _both(allowed, ops.abs(i - j)[None] < window)
        q, k, v = self._project(query, key, value)
        out, scores = self._attend(q, k, v, allowed, use_causal_mask, training, return_attention_scores)
        if self.use_gate:
            out = out * self.gate_dense(query)
        out = self.output_dense(out)
        return (out, scores) if return_attention_scores else out

    def _allowed(self, inputs, masks):
        """(batch, time, keys) bool, broadcasting, or None: everything that hides a key from a query."""
        allowed = None
        for name, axis in (("query", -1), ("value", -2), ("key", -2)):
            given = inputs.get(f"{name}_mask", masks.get(name))
            if given is not None:
                allowed = _both(allowed, ops.expand_dims(as_bool(given), axis))
        given = inputs.get("attention_mask")
        return allowed if given is None else _both(allowed, as_bool(given))

    def _project(self, query, key, value):
        """(..., heads, features) of each; of self-attention in one product."""
        if not (self._one_product and query is key is value):
            return self.query_dense(query), self.key_dense(key), self.value_dense(value)
        parts = [p.matrix() for p in (self.query_dense, self.key_dense, self.value_dense)]
        kernels, biases = zip(*parts, strict=True)
        bias = ops.concatenate(biases) if self.use_bias else None
        qkv = nn.linear(query, ops.concatenate(kernels, axis=1), bias)
        return ops.unstack(qkv.reshape((*query.shape[:-1], 3, *self.query_dense.units)), axis=query.ndim - 1)

    def _attend(self, q, k, v, allowed, causal, training, wants_scores):
        """softmax(q k^T / sqrt(features)) v over axis 1; (batch, time, heads, features) each."""
        q, k, v = (ops.swapaxes(x, 1, 2) for x in (q, k, v))
        if allowed is not None and allowed.ndim == 3:
            allowed = allowed[:, None]
        out, scores = self._over_last(q, k, v, allowed, causal, training, wants_scores)
        return ops.swapaxes(out, 1, 2), scores

    def _over_last(self, q, k, v, allowed, causal, training, wants_scores):
        """(..., heads, time, features), and the scores if wanted."""
        dropout = self.dropout if training else 0.0
        how: dict[str, Any] = dict(mask=allowed, causal=causal, scale=1 / math.sqrt(self._key_dim))
        if not wants_scores:
            out = nn.scaled_dot_product_attention(q, k, v, **how, dropout=dropout, generator=self.generator)
            return out, None
        scores = attention_weights(q, k, **how)
        dropped = nn.dropout(scores, dropout, generator=self.generator) if dropout else scores
        return ops.matmul(dropped, v), scores

    def compute_mask(self, inputs, previous_mask=None):
        """The query's."""
        return previous_mask.get("query") if isinstance(previous_mask, dict) else previous_mask

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        query_shape = query_shape["query"] if isinstance(query_shape, dict) else query_shape
        return (*query_shape[:-1], *self._out(query_shape))

    def _symbolic_shapes(self, shapes, kwargs):
        out = self.compute_output_shape(shapes)
        if not kwargs.get("return_attention_scores"):
            return out
        query, key = shapes["query"], shapes.get("key", shapes["value"])
        return [out, (query[0], self._head_counts()[0], *query[1:-1], *key[1:-1])]


class MultiHeadAttention(_Projected):
    """Attention of several heads (Vaswani et al. 2017): layer(query, value, key=None).

    query: (batch, time, features); value and key (value unless given): (batch, keys, features). Each is
    projected to `num_heads` heads of `key_dim` (value: `value_dim`) features; what the heads find is
    projected to `output_shape`, by default the query's features: (batch, time, output). attention_axes: the
    axes that are attended over, by default all between batch and features. sliding_window: how far a query
    sees, its own place counted. use_gate: heads' outputs are multiplied by sigmoid(a projection of the
    query). dropout: of the weights, in training.

    When called: attention_mask, (batch, time, keys) bool, True where a query may look; query_mask,
    value_mask, key_mask, (batch, time) bool, which a model fills from layers that mask; use_causal_mask:
    query i sees keys 0 to i; return_attention_scores: gives (output, (batch, heads, time, keys)). A query
    that may look nowhere finds zeros (in Keras it depends on the backend). Raises ShapeError when shapes do
    not fit.

    Scores are never held, unless asked for or dropped from; flash_attention is there for Keras' sake and
    changes nothing.

    >>> import numpy as np
    >>> x = np.ones((2, 5, 8), "float32")
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x, use_causal_mask=True).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            dropout,
            use_bias,
            sliding_window,
            use_gate,
            seed,
            activity_regularizer,
            {
                "kernel_initializer": kernel_initializer,
                "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer,
                "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint,
                "bias_constraint": bias_constraint,
            },
            **kwargs,
        )
        self.num_heads = positive(self._label(), "num_heads", num_heads)
        self.key_dim = self._key_dim = positive(self._label(), "key_dim", key_dim)
        self.value_dim = self._value_dim = positive(self._label(), "value_dim", value_dim or key_dim)
        self.output_shape = (output_shape,) if isinstance(output_shape, int) else output_shape
        self.attention_axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes

    def _head_counts(self):
        return self.num_heads, self.num_heads

    def _out(self, query_shape):
        return tuple(self.output_shape) if self.output_shape else (query_shape[-1],)

    def _attend(self, q, k, v, allowed, causal, training, wants_scores):
        axes = self.attention_axes or range(1, q.ndim - 2)
        axes = tuple([a % (q.ndim - 1) for a in axes])
        if axes == (1,) and q.ndim == 4:
            return super()._attend(q, k, v, allowed, causal, training, wants_scores)
        if causal and len(axes) > 1:
            raise ShapeError(
                message(self._label(), "use_causal_mask is for one attended axis.", received=f"axes {axes}")
            )
        rest = [a for a in range(q.ndim - 2) if a not in axes]
        order = (*rest, q.ndim - 2, *axes, q.ndim - 1)  # (..., heads, attended axes, features)
        moved = [ops.transpose(x, order) for x in (q, k, v)]
        n = len(rest) + 1
        lead, (time, keys) = moved[0].shape[:n], [x.shape[n:-1] for x in moved[:2]]
        flat_q, flat_k, flat_v = [x.reshape((*x.shape[:n], -1, x.shape[-1])) for x in moved]
        if allowed is not None:
            m = 2 * len(axes)
            missing = n + m - allowed.ndim  # Keras: new axes stand where the heads are
            allowed = allowed.reshape((*allowed.shape[:-m], *(1,) * missing, *allowed.shape[-m:]))
            allowed = ops.broadcast_to(allowed, (*allowed.shape[:n], *time, *keys))
            allowed = allowed.reshape((*allowed.shape[:n], math.prod(time), math.prod(keys)))
        out, scores = self._over_last(flat_q, flat_k, flat_v, allowed, causal, training, wants_scores)
        back = [order.index(a) for a in range(len(order))]
        out = ops.transpose(out.reshape((*lead, *time, -1)), back)
        return out, None if scores is None else scores.reshape((*lead, *time, *keys))


class GroupQueryAttention(_Projected):
    """Attention in which several heads of queries share a head of keys and values (Ainslie et al. 2023).

    head_dim: features of a head. num_query_heads: a multiple of num_key_value_heads. Everything else, and
    what it is called with, as MultiHeadAttention; the output has the query's features.

    >>> import numpy as np
    >>> x = np.ones((2, 5, 8), "float32")
    >>> GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        head_dim,
        num_query_heads,
        num_key_value_heads,
        dropout=0.0,
        use_bias=True,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            dropout,
            use_bias,
            sliding_window,
            use_gate,
            seed,
            activity_regularizer,
            {
                "kernel_initializer": kernel_initializer,
                "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer,
                "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint,
                "bias_constraint": bias_constraint,
            },
            **kwargs,
        )
        self.head_dim = self._key_dim = self._value_dim = positive(self._label(), "head_dim", head_dim)
        self.num_query_heads = positive(self._label(), "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive(self._label(), "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                message(
                    self._label(),
                    "num_query_heads must be a multiple of num_key_value_heads.",
                    received=f"{num_query_heads} and {num_key_value_heads}",
                )
            )

    def _head_counts(self):
        return self.num_query_heads, self.num_key_value_heads

    def _out(self, query_shape):
        return (query_shape[-1],)

    def _over_last(self, q, k, v, allowed, causal, training, wants_scores):
        batch, heads, time, _ = q.shape
        groups, each = k.shape[1], heads // k.shape[1]
        q = q.reshape((batch, groups, each, time, -1))
        k, v = (ops.expand_dims(x, 2) for x in (k, v))
        if allowed is not None and allowed.ndim == 4:
            whole = allowed.shape[1] == heads > 1
            shape = (groups, each) if whole else (1, 1)
            allowed = allowed.reshape((allowed.shape[0], *shape, *allowed.shape[2:]))
        out, scores = super()._over_last(q, k, v, allowed, causal, training, wants_scores)
        scores = None if scores is None else scores.reshape((batch, heads, *scores.shape[3:]))
        return out.reshape((batch, heads, time, -1)), scores


def _both(one, other):
    return other if one is None else ops.logical_and(one, other)
