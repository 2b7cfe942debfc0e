"""Convolutions through cuDNN's frontend, on a stand-in for its Python API: it takes the parameters that
NVIDIA's 1.32 takes, and convolves what the addresses, sizes and strides name, by torch.
"""

import ctypes
import sys
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from cuda_hosts import Arrays, named, poisoned
from oracles import torch

from tensorflowlite_bp.backend import conv as reference
from tensorflowlite_bp.backend.cuda import conv, cudnn

DTYPES = {"HALF": np.float16, "BFLOAT16": ml_dtypes.bfloat16, "FLOAT": np.float32}


NOTES = ("NONDETERMINISTIC REDUCED_PRECISION_REDUCTION TENSOR_CORE DOWN_CONVERT_INPUTS WINOGRAD FFT").split()


class Unsupported(Exception):
    pass


class Node:
    """A tensor of the graph; setters give the tensor back."""

    def __init__(self, dim=None, stride=None, data_type=None, uid=None):
        self.dim, self.stride, self.data_type, self.uid = dim, stride, data_type, uid

    def set_output(self, is_output):
        assert is_output is True
        return self

    def set_dim(self, dim):
        self.dim = list(dim)
        return self

    def set_stride(self, stride):
        self.stride = list(stride)
        return self

    def set_data_type(self, data_type):
        self.data_type = data_type
        return self

    def set_uid(self, uid):
        self.uid = uid
        return self

    def over(self, address):
        """The memory there, seen with these sizes and strides."""
        dtype = np.dtype(DTYPES[self.data_type])
        count = 1 + sum((n - 1) * s for n, s in zip(self.dim, self.stride, strict=True))
        memory = np.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(address), dtype)
        strides = [s * dtype.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(memory, self.dim, strides)


class Graph:
    STEPS = (
        "validate build_operation_graph create_execution_plans deselect_numeric_notes check_support "
        "build_plans"
    )

    def __init__(self, log, *, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert (intermediate_data_type, compute_data_type, handle) == ("FLOAT", "FLOAT", "handle")
        self.log, self.io, self.done = log, io_data_type, []
        log.append(self)

    def tensor(self, *, dim, stride, data_type, uid):
        return Node(dim, stride, data_type, uid)

    def _node(self, kind, first, second, pre_padding, post_padding, stride, dilation):
        assert all(len(v) == len(first.dim) - 2 >= 2 for v in (pre_padding, post_padding, stride, dilation))
        self.kind, self.sides, self.out = kind, (first, second), Node()
        self.how = pre_padding, post_padding, stride, dilation
        return self.out

    def conv_fprop(self, *, image, weight, **how):
        return self._node("fprop", image, weight, **how)

    def conv_dgrad(self, *, loss, filter, **how):
        return self._node("dgrad", loss, filter, **how)

    def conv_wgrad(self, *, image, loss, **how):
        return self._node("wgrad", image, loss, **how)

    def validate(self):
        self.done.append("validate")

    def build_operation_graph(self):
        self.done.append("build_operation_graph")

    def create_execution_plans(self, heuristics):
        assert heuristics == ["A", "FALLBACK"]
        self.done.append("create_execution_plans")

    def deselect_numeric_notes(self, notes):
        self.avoided = notes
        self.done.append("deselect_numeric_notes")

    def check_support(self):
        if self.sides[0].dim[1] == 13:
            raise Unsupported
        self.done.append("check_support")

    def build_plans(self):
        self.done.append("build_plans")

    def get_workspace_size(self):
        return 64

    def execute(self, tensor_dict, workspace, handle):
        assert handle == "handle"
        assert self.done == self.STEPS.split()
        ctypes.memset(workspace, 0, 64)
        t = torch()
        nodes = [*self.sides, self.out]
        assert {n.uid for n in nodes} == set(tensor_dict)
        a, b, out = [n.over(tensor_dict[n.uid]) for n in nodes]
        a, b = [t.tensor(v.astype(np.float64)) for v in (a, b)]
        low, high, stride, dilation = self.how
        rank, f = len(low), t.nn.functional
        conv = {2: f.conv2d, 3: f.conv3d}[rank]
        ends = [n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair]
        forward = lambda x, w: conv(f.pad(x, ends), w, stride=stride, dilation=dilation)
        if self.kind == "fprop":
            out[...] = forward(a, b).numpy()
            return
        x = t.zeros(self.out.dim, dtype=t.float64) if self.kind == "dgrad" else a
        w = b if self.kind == "dgrad" else t.zeros(self.out.dim, dtype=t.float64)
        leaf = (x if self.kind == "dgrad" else w).requires_grad_()
        g = a if self.kind == "dgrad" else b
        forward(x, w).backward(g)
        out[...] = leaf.grad.numpy()


@pytest.fixture
def frontend(monkeypatch):
    log, streams = [], []
    module = SimpleNamespace(
        create_handle=lambda: "handle",
        set_stream=lambda *, handle, stream: streams.append((handle, stream)),
        pygraph=lambda **how: Graph(log, **how),
        data_type=SimpleNamespace(**{name: name for name in DTYPES}),
        heur_mode=SimpleNamespace(A="A", FALLBACK="FALLBACK"),
        numerical_note=SimpleNamespace(**{name: name for name in NOTES}),
        cudnnGraphNotSupportedError=Unsupported,
    )
    monkeypatch.setitem(sys.modules, "cudnn", module)
    return SimpleNamespace(graphs=log, streams=streams)


class Host(Arrays):
    """Arrays without kernels: what gets to them has not gone through cuDNN."""

    launched = 0

    def __init__(self):
        super().__init__(None)
        self.processors, self.on_device = 2, True

    def empty(self, shape, dtype):
        return poisoned(shape, dtype)

    def launch(self, name, grid, block, args, shared=0):
        self.launched += 1


CASES = [  # space, window, channels, filters, strides, pads, dilation
    ((9,), (3,), 4, 5, (1,), ((1, 1),), (1,)),
    ((8, 7), (3, 2), 3, 7, (2, 1), ((1, 0), (0, 2)), (1, 2)),
    ((4, 5, 6), (2, 3, 2), 2, 3, (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 2)),
]


@pytest.mark.parametrize("dtype", list(DTYPES.values()), ids=named)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolution(frontend, case, dtype):
    space, window, channels, filters, *geometry = case
    geometry = (*geometry, 1)
    r = np.random.default_rng(0)
    host = Host()
    x = r.normal(size=(2, *space, channels)).astype(dtype)
    w = r.normal(size=(*window, channels, filters)).astype(dtype)
    xw, ww = x.astype(np.float64), w.astype(np.float64)
    want = reference.forward(np, np.dot, xw, ww, *geometry)
    g = r.normal(size=want.shape).astype(dtype)
    gw = g.astype(np.float64)
    pairs = [
        (lambda: conv.forward(host, x, w, *geometry), want),
        (lambda: conv.forward(host, x, w, *geometry, bias=np.full(filters, 2, dtype)), want + 2),
        (
            lambda: conv.input_grad(host, g, w, x.shape, *geometry),
            reference.input_grad(np, np.dot, gw, ww, x.shape, *geometry),
        ),
        (
            lambda: conv.weight_grad(host, g, x, w.shape, *geometry),
            reference.weight_grad(np, np.dot, gw, xw, w.shape, *geometry),
        ),
    ]
    rough = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 1e-2}[np.dtype(dtype).name]
    for run, exact in [*pairs, *pairs]:
        found = run()
        assert (found.dtype, found.flags.c_contiguous) == (dtype, True)
        np.testing.assert_allclose(found.astype(np.float64), exact, rtol=rough, atol=rough * 10)
    assert len(frontend.graphs) == 3  # a plan for each shape is made once
    assert frontend.streams == [("handle", 0)] * 8
    assert not host.launched
    assert all("NONDETERMINISTIC" in graph.avoided for graph in frontend.graphs)
    assert ("TENSOR_CORE" in frontend.graphs[0].avoided) == (dtype == np.float32)


@pytest.mark.parametrize(
    ("channels", "pads", "dtype"),
    [(13, ((0, 0),), np.float32), (4, ((-1, 0),), np.float32), (4, ((0, 0),), np.float64)],
    ids=["no plan", "cropped", "float64"],
)
def test_what_cudnn_does_not_take(frontend, channels, pads, dtype):
    host = Host()
    for _ in range(2):
        conv.forward(
            host, np.ones((1, 5, channels), dtype), np.ones((3, channels, 2), dtype), (1,), pads, (1,), 1
        )
    assert host.launched == 2
    assert len(frontend.graphs) == (channels == 13)  # and is asked once


def test_without_the_frontend(monkeypatch):
    monkeypatch.setitem(sys.modules, "cudnn", None)
    host = Host()
    assert cudnn.library(host) is None
    assert not Arrays(None).on_device  # where host memory is all there is, it is not asked
    conv.forward(
        host, np.ones((1, 5, 4), np.float32), np.ones((3, 4, 2), np.float32), (1,), ((0, 0),), (1,), 1
    )
    assert host.launched == 1
