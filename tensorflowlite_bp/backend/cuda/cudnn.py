"""Convolutions by cuDNN, where `nvidia-cudnn-frontend` is installed (the extra `cudnn`). What it has no plan
for is our own kernel's.

Its graph API (https://docs.nvidia.com/deeplearning/cudnn/frontend): a graph of one node for each shape, whose
plan is kept. Its arrays are channels last, as ours, and so are its filters: ours are turned around, a copy of
the weights. Plans whose sums have no fixed order are left out; float32 is computed as such, unless the host's
`tf32` says otherwise.
"""

from importlib import import_module
from typing import Any

from ..._typing import Array, Shape
from .host import Host

TYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT"}
NODES = (  # by mode, as in conv.py: forward, input gradient, weight gradient
    ("conv_fprop", "image", "weight"),
    ("conv_dgrad", "loss", "filter"),
    ("conv_wgrad", "image", "loss"),
)


def library(host: Host) -> Any:
    """(the frontend, its handle on this device), or None where there is no frontend or no cuDNN."""
    if not host.on_device:
        return None
    key = "cudnn", host.device()
    if key not in host.kept:
        try:
            frontend: Any = import_module("cudnn")
            host.kept[key] = frontend, frontend.create_handle()
        except (ImportError, OSError, RuntimeError):
            host.kept[key] = None
    return host.kept[key]


def convolution(
    host: Host, mode: int, source: Array, other: Array, shape: Shape, *, strides: Any, pads: Any,
    dilation: Any, groups: int,
) -> Array | None:  # fmt: skip
    """What `conv._launch` computes of dense arrays: x, w; or g, w; or x, g. None where cuDNN does not."""
    name = source.dtype.name
    if name not in TYPES or groups > 1 or min(min(p) for p in pads) < 0 or library(host) is None:
        return None
    frontend, handle = library(host)
    if mode < 2:
        other = host.dense(host.xp.moveaxis(other, -1, 0))
    made = shape if mode < 2 else (shape[-1], *shape[:-1])
    low, high = zip(*pads, strict=True)
    geometry = [
        (fill,) * (2 - len(pads)) + tuple(v) for v, fill in ((low, 0), (high, 0), (strides, 1), (dilation, 1))
    ]
    key = ("cudnn", host.device(), mode, name, source.shape, other.shape, made, *geometry, host.tf32)
    if key not in host.kept:
        shapes = source.shape, other.shape, made
        host.kept[key] = _plan(frontend, handle, mode, name, shapes, geometry, host.tf32)
    if host.kept[key] is None:
        return None
    graph, size = host.kept[key]
    out, workspace = host.empty(made, source.dtype), host.empty((max(size, 1),), host.xp.uint8)
    frontend.set_stream(handle=handle, stream=host.stream())
    places = {uid: host.value(a) for uid, a in enumerate((source, other, out), 1)}
    graph.execute(places, host.value(workspace), handle=handle)
    return out if mode < 2 else host.dense(host.xp.moveaxis(out, 0, -1))


def _plan(frontend: Any, handle: Any, mode: int, name: str, shapes: Any, geometry: Any, tf32: bool) -> Any:
    """(graph, bytes of workspace), or None: no plan for it."""
    kind, single = getattr(frontend.data_type, TYPES[name]), frontend.data_type.FLOAT
    graph = frontend.pygraph(
        io_data_type=kind, intermediate_data_type=single, compute_data_type=single, handle=handle
    )
    node, first, second = NODES[mode]
    sides = [
        graph.tensor(dim=dim, stride=stride, data_type=kind, uid=uid)
        for uid, (dim, stride) in enumerate(map(_layout, shapes[:2]), 1)
    ]
    low, high, strides, dilation = map(list, geometry)
    how = {"pre_padding": low, "post_padding": high, "stride": strides, "dilation": dilation}
    out = getattr(graph, node)(**dict(zip((first, second), sides, strict=True)), **how)
    dim, stride = _layout(shapes[2])
    out.set_output(True).set_dim(dim).set_stride(stride).set_data_type(kind).set_uid(3)
    notes = frontend.numerical_note
    avoided = [notes.NONDETERMINISTIC, notes.REDUCED_PRECISION_REDUCTION]
    if name == "float32" and not tf32:
        avoided += [notes.TENSOR_CORE, notes.DOWN_CONVERT_INPUTS, notes.WINOGRAD, notes.FFT]
    try:
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([frontend.heur_mode.A, frontend.heur_mode.FALLBACK])
        graph.deselect_numeric_notes(avoided)
        graph.check_support()
        graph.build_plans()
    except frontend.cudnnGraphNotSupportedError:
        return None
    return graph, graph.get_workspace_size()


def _layout(shape: Shape) -> tuple[list[int], list[int]]:
    """Sizes and strides in cuDNN's order, (batch, channels, *space), of a dense (batch, *space, channels).
    One axis of space becomes two.
    """
    batch, *space, channels = shape
    space = [1] * (2 - len(space)) + space
    strides, step = [], channels
    for n in reversed(space):
        strides.insert(0, step)
        step *= n
    return [batch, channels, *space], [step, 1, *strides]
