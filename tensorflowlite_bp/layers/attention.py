"""Attention and AdditiveAttention; multi_head.py has the layers that project."""

from .. import nn, ops
from ..errors import message
from ..ops import random
from ..ops.attention import attention_weights
from .base import Layer


class Attention(Layer):
    """Weighted sums of values: layer([query, value]) or layer([query, value, key]) (Luong et al. 2015).

    query: (batch, time, features); value: (batch, keys, width); key: (batch, keys, features), value unless
    given. Gives (batch, time, width). score_mode "dot": query . key; "concat": sum of tanh(query + key) times
    a learned number. use_scale: a learned factor. dropout: of the weights, in training.

    When called: mask, [query_mask, value_mask], each (batch, time) bool or None, of which the first sets the
    output to 0; use_causal_mask; return_attention_scores: gives (output, (batch, time, keys)). A query that
    may look nowhere finds zeros (in Keras the mean).

    >>> import numpy as np
    >>> Attention()([np.zeros((1, 1, 2)), np.array([[[1.0, 2.0], [3.0, 4.0]]])]).numpy().tolist()
    [[[2.0, 3.0]]]
    """

    supports_masking = _hands_masks_on = True

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                message(self._label(), "score_mode is 'dot' or 'concat'.", received=repr(score_mode))
            )
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self.generator = random.default_generator() if seed is None else random.Generator(seed)
        self.scale = self.concat_score_weight = None

    def build(self, input_shape):
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), name="scale", initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), name="concat_score_weight", initializer="ones")

    def _check(self, inputs):
        if not isinstance(inputs, (list, tuple)) or not 2 <= len(inputs) <= 3:
            raise ValueError(
                message(
                    self._label(),
                    "[query, value] or [query, value, key] was expected.",
                    received=f"{len(inputs)} inputs" if isinstance(inputs, list) else type(inputs).__name__,
                )
            )

    def call(self, inputs, mask=None, training=False, return_attention_scores=False, use_causal_mask=False):
        self._check(inputs)
        query, value, key = (*inputs, inputs[1])[:3]
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        allowed = None if value_mask is None else as_bool(value_mask)[..., None, :]
        how = dict(mask=allowed, causal=use_causal_mask)
        dropout = self.dropout if training else 0.0
        if self.score_mode == "dot" and not return_attention_scores:
            query = query if self.scale is None else query * self.scale
            out = nn.scaled_dot_product_attention(
                query, key, value, scale=1.0, dropout=dropout, generator=self.generator, **how
            )
            scores = None
        else:
            scores = self._weights(query, key, how)
            dropped = nn.dropout(scores, dropout, generator=self.generator) if dropout else scores
            out = ops.matmul(dropped, value)
        if query_mask is not None:
            out = ops.where(as_bool(query_mask)[..., None], out, 0.0)
        return (out, scores) if return_attention_scores else out

    def _weights(self, query, key, how):
        if self.score_mode == "dot":
            query = query if self.scale is None else query * self.scale
            return attention_weights(query, key, scale=1.0, **how)
        summed = self._summed(query, key)
        scores = self.concat_score_weight * ops.sum(
            ops.tanh(summed if self.scale is None else self.scale * summed), axis=-1
        )
        return attention_weights(scores, None, **how)

    def _summed(self, query, key):
        return ops.expand_dims(query, -2) + ops.expand_dims(key, -3)

    def compute_mask(self, inputs, previous_mask=None):
        """The query's."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else None

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], input_shape[1][-1])

    def _symbolic_shapes(self, shapes, kwargs):
        out = self.compute_output_shape(shapes)
        if not kwargs.get("return_attention_scores"):
            return out
        return [out, (*shapes[0][:-1], shapes[-1][-2])]


class AdditiveAttention(Attention):
    """Attention whose scores are sum(scale * tanh(query + key)) (Bahdanau et al. 2015).

    scale: learned, one per feature, or 1. All else as Attention.
    """

    _alias_config = frozenset({"batch_input_shape", "batch_size", "input_dim"})

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, score_mode="concat", **kwargs)

    def build(self, input_shape):
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), name="scale", initializer="glorot_uniform")

    def _weights(self, query, key, how):
        curved = ops.tanh(self._summed(query, key))
        return attention_weights(
            ops.sum(curved if self.scale is None else self.scale * curved, axis=-1), None, **how
        )


# ----------------------------------------------------------------------- helpers
def as_bool(mask):
    """A mask as a bool Tensor."""
    return ops.astype(ops.asarray(mask), bool)
