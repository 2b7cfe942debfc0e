"""Language model: 4 pre-norm transformer blocks of 256 features and 4 heads, causal, GELU, 8192 words.

8 sequences of 128: 33.8 GFLOP a step. Adam.
"""

import numpy as np

from .parameter import Draw, ones, zeros

STEPS = 3
RATE = {"adam": 1e-3}
CASES = {"transformer LM, 8 x 128": {"optimizer": "adam"}}
BATCH, TIME, FEATURES, HEADS, BLOCKS, WORDS = 8, 128, 256, 4, 4, 8192


def parameters():
    draw, d = Draw(), FEATURES
    p = {
        "words": draw.normal((WORDS, d), "table", 0.02),
        "places": draw.normal((TIME, d), "table", 0.02),
    }
    for i in range(BLOCKS):
        p[f"{i}.scale1"], p[f"{i}.offset1"] = ones(d), zeros(d)
        for name, wide, high in (("qkv", d, 3 * d), ("project", d, d), ("up", d, 4 * d), ("down", 4 * d, d)):
            if name == "up":
                p[f"{i}.scale2"], p[f"{i}.offset2"] = ones(d), zeros(d)
            p[f"{i}.{name}"] = draw.normal((wide, high), "linear", 0.02)
            p[f"{i}.{name}_bias"] = zeros(high)
    p["scale"], p["offset"] = ones(d), zeros(d)
    p["head"], p["head_bias"] = draw.normal((d, WORDS), "linear", 0.02), zeros(WORDS)
    return p


def batch():
    words = np.random.default_rng(1).integers(0, WORDS, (BATCH, TIME + 1))
    return words[:, :-1].copy(), words[:, 1:].reshape(-1).copy()


def loss(F, p, x, y):
    h = F.embedding(x, p["words"]) + p["places"]
    for i in range(BLOCKS):
        block = lambda name, i=i: p[f"{i}.{name}"]
        a = F.layer_norm(h, block("scale1"), block("offset1"))
        a = F.reshape(F.linear(a, block("qkv"), block("qkv_bias")), (BATCH, TIME, 3, HEADS, -1))
        q, k, v = (F.transpose(a[:, :, j], (0, 2, 1, 3)) for j in range(3))  # (batch, heads, time, features)
        a = F.reshape(F.transpose(F.attention(q, k, v), (0, 2, 1, 3)), (BATCH, TIME, FEATURES))
        h = h + F.linear(a, block("project"), block("project_bias"))
        a = F.layer_norm(h, block("scale2"), block("offset2"))
        a = F.gelu(F.linear(a, block("up"), block("up_bias")))
        h = h + F.linear(a, block("down"), block("down_bias"))
    h = F.reshape(F.layer_norm(h, p["scale"], p["offset"]), (BATCH * TIME, FEATURES))
    return F.linear_cross_entropy(h, p["head"], p["head_bias"], y)
