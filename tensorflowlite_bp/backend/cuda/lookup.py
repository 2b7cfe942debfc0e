"""The gradient of a look-up in a table. Reference: `common.add_at_rows`."""

import math

from ..._typing import Array, Shape
from .geometry import accumulator, ceil_div, type_name
from .host import Host

SPAN = 64  # as in embedding.cuh


def embedding_gradient(host: Host, g: Array, indices: Array, shape: Shape) -> Array:
    """zeros(shape) with g (*indices.shape, *shape[1:]) added at `indices` (...), in [0, shape[0])."""
    xp = host.xp
    g = host.dense(g)
    flat = host.dense(indices.reshape(-1).astype(xp.int64, copy=False))
    out = xp.zeros(shape, g.dtype)
    n, features = flat.size, math.prod(shape[1:])
    if not n or not features:
        return out
    order = xp.argsort(flat, kind="stable")
    ordered = flat[order]
    spans = ceil_div(n, SPAN)
    head = host.empty((spans, features), accumulator(xp, g.dtype))
    tail = host.empty((spans, features), head.dtype)
    block = min(256, ceil_div(features, 32) * 32)
    grid = spans, ceil_div(features, block)
    t = type_name(g)
    host.launch(f"embedding_runs<{t}>", grid, block, (g, ordered, order, out, head, tail, n, features))
    host.launch(f"embedding_crossings<{t}>", grid, block, (ordered, head, tail, out, n, features))
    return out
