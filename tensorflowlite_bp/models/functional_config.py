"""A functional model as JSON: its layers, and which output of which call feeds which."""

from .. import layers as layers_module
from ..layers.symbolic import SymbolicTensor
from .graph import call_key, leaves, place


def graph_config(graph):
    """{"layers": [...], "calls": [[layer, inputs, kwargs]...], "inputs": ..., "outputs": ...}.

    A tensor is written as {"from": [call, output]}; the calls -1, -2, ... are the inputs.
    """
    numbers = {place(t): -1 - i for i, t in enumerate(leaves(graph.inputs))}
    calls = {key: i for i, (*_, key) in enumerate(graph.calls)}
    layers = graph.layers
    index = {id(layer): i for i, layer in enumerate(layers)}

    def written(t):
        if not isinstance(t, SymbolicTensor):
            return t
        if place(t) in numbers:
            return {"from": [numbers[place(t)], 0]}
        return {"from": [calls[call_key(t)], t.index]}

    for _, _, args, _, _ in graph.calls:
        if args:
            raise TypeError("[Model] layers of a saved functional model take all but the inputs by keyword.")
    return {
        "layers": [layers_module.serialize(layer) for layer in layers],
        "calls": [
            [index[id(layer)], _tagged(written, inputs), dict(kwargs)]
            for layer, inputs, _, kwargs, _ in graph.calls
        ],
        "inputs": _tagged(written, graph.inputs),
        "outputs": _tagged(written, graph.outputs),
        "input_layers": [index[id(t.layer)] for t in leaves(graph.inputs)],
    }


def graph_from_config(cls, config):
    """The model of `graph_config`, with new weights."""
    layers = [layers_module.deserialize(c) for c in config["layers"]]
    sources = [layers[i].output for i in config["input_layers"]]
    results = []

    def read(node):
        call, output = node["from"]
        return sources[-1 - call] if call < 0 else leaves(results[call])[output]

    for layer, inputs, kwargs in config["calls"]:
        results.append(layers[layer](_untagged(read, inputs), **kwargs))
    model = cls(_untagged(read, config["inputs"]), _untagged(read, config["outputs"]), name=config["name"])
    if not config.get("trainable", True):
        model.trainable = False
    return model


def _tagged(written, tree):
    """Containers as {"list": [...]} and {"dict": {...}}, so that they cannot be taken for a tensor."""
    if isinstance(tree, (list, tuple)):
        return {"list": [_tagged(written, t) for t in tree]}
    if isinstance(tree, dict):
        return {"dict": {k: _tagged(written, t) for k, t in tree.items()}}
    return written(tree)


def _untagged(read, tree):
    if "list" in tree:
        return [_untagged(read, t) for t in tree["list"]]
    if "dict" in tree:
        return {k: _untagged(read, t) for k, t in tree["dict"].items()}
    return read(tree)
