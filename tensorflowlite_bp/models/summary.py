"""model.summary(): the table that Keras users know."""

import math

from ..layers.base import Layer
from ..layers.symbolic import SymbolicTensor
from .graph import leaves

UNITS = ("B", "KB", "MB", "GB", "TB")
# relative to one another
WIDTHS = {"Layer (type)": 5, "Output Shape": 4, "Param #": 2, "Connected to": 5, "Trainable": 2}


def print_summary(model, line_length=None, print_fn=None, expand_nested=False, show_trainable=False):
    """Print the layers of a model with output shapes and numbers of parameters. See Model.summary."""
    from rich.console import Console  # 40 ms, and only who asks for a summary pays them
    from rich.table import Table
    from rich.text import Text

    graph = model.__dict__.get("_graph")
    connected = graph is not None and not _in_a_row(graph)
    headers = ["Layer (type)", "Output Shape", "Param #"]
    headers += ["Connected to"] if connected else []
    headers += ["Trainable"] if show_trainable else []
    console = Console(width=line_length, highlight=False, force_terminal=False if print_fn else None)
    table = Table(show_lines=True, width=min(console.width, 78 + 30 * connected + 12 * show_trainable))
    for header in headers:
        table.add_column(header, justify="right" if header == "Param #" else "left", ratio=WIDTHS[header])
    for row in _rows(model, expand_nested):
        cells = [row["name"], row["shape"], row["params"]]
        cells += [_connections(graph, row["layer"])] if connected else []
        cells += [_trainable(row["layer"])] if show_trainable else []
        table.add_row(*map(Text, cells))
    with console.capture() as captured:
        console.print(f'Model: "{model.name}"', style="bold", markup=False)
        console.print(table)
        for line in _totals(model):
            console.print(line, markup=False)
    text = captured.get()
    if print_fn is not None:
        print_fn(text)
    else:
        print(text, end="")


def _rows(model, expand_nested, depth=0):
    """One dict per layer: name, shape, params, layer."""
    shapes = _output_shapes(model)
    for layer in model.layers:
        prefix = "   " * (depth - 1) + "└ " if depth else ""
        if layer.built:
            params = f"{sum(v.size for v in layer.weights):,}"
        else:
            params = "0 (unbuilt)"
        yield {
            "name": f"{prefix}{layer.name} ({type(layer).__name__})",
            "shape": shapes.get(id(layer), "?"),
            "params": params,
            "layer": layer,
        }
        if expand_nested and hasattr(layer, "layers"):
            yield from _rows(layer, expand_nested, depth + 1)


def _output_shapes(model):
    """id of a layer -> the text of its output shape, as far as it is known."""
    graph = model.__dict__.get("_graph")
    found = {}
    if graph is not None:
        for t in leaves(graph.inputs):
            found[id(t.layer)] = _text(t.shape)
        for layer, inputs, _, _, _ in graph.calls:
            shapes = [t.shape for t in leaves(inputs)]
            shape = layer.compute_output_shape(shapes[0] if isinstance(inputs, SymbolicTensor) else shapes)
            found[id(layer)] = _text(shape)
        return found
    shape = model.__dict__.get("_input_shape")
    for layer in model.layers:
        if hasattr(model, "_stack"):  # layers in a row
            if shape is None:
                break
            shape = layer.compute_output_shape(shape)
            found[id(layer)] = _text(shape)
        elif layer.built and getattr(layer, "_build_shape", None) is not None:
            shape = layer.compute_output_shape(layer._build_shape)
            found[id(layer)] = _text((None, *shape[1:]) if isinstance(shape, tuple) else shape)
    return found


def _text(shape):
    if isinstance(shape, (list, dict)):
        return str(shape)
    return f"({', '.join(map(str, shape))})" if len(shape) != 1 else f"({shape[0]},)"


def _in_a_row(graph):
    """Whether a functional model is just one layer after another."""
    return len(leaves(graph.inputs)) == 1 and all(
        isinstance(inputs, SymbolicTensor) and (i == 0 or inputs.layer is graph.calls[i - 1][0])
        for i, (_, inputs, _, _, _) in enumerate(graph.calls)
    )


def _connections(graph, layer):
    names = [
        f"{t.layer.name}[{t.index}]"
        for called, inputs, _, _, _ in graph.calls
        if called is layer
        for t in leaves(inputs)
    ]
    return ", ".join(names) or "-"


def _trainable(layer: Layer):
    if not layer.weights:
        return "-"
    return "Y" if layer.trainable else "N"


def _totals(model):
    trained = {id(v) for v in model.trainable_weights}
    groups = {
        "Total params": list(model.weights),
        "Trainable params": [v for v in model.weights if id(v) in trained],
        "Non-trainable params": [v for v in model.weights if id(v) not in trained],
    }
    if model.optimizer is not None and model.optimizer.built:
        groups["Optimizer params"] = model.optimizer.variables
        groups["Total params"] = groups["Total params"] + groups["Optimizer params"]
    for name, variables in groups.items():
        count = sum(v.size for v in variables)
        yield f" {name}: {count:,} ({_size(sum(v.nbytes for v in variables))})"
    if not model.built:
        yield " The model is not built: call it on data, or build it with model.build((None, features))."


def _size(count):
    unit = min(int(math.log(count, 1024)) if count else 0, len(UNITS) - 1)
    return f"{count / 1024**unit:.2f} {UNITS[unit]}"
