"""Weights by name, to a file and back. Everything is checked before anything is assigned."""

import os

import numpy as np

from ..errors import SavingError, message
from . import files


def named_weights(model):
    """{name: Variable} of a model's weights. A name tells where the weight is kept, not what the layer
    happens to be called: `layers.0.kernel` in a stack, `encoder.dense.bias` for attributes, so that a second
    model of the same kind fits.
    """
    names, seen = {}, set()

    def add(name, variable):
        if id(variable) in seen:
            return
        seen.add(id(variable))
        free, number = name, 1
        while free in names:
            free, number = f"{name}_{number}", number + 1
        names[free] = variable

    def walk(value, name):
        if hasattr(value, "_flatten_layers"):  # a Layer
            if id(value) not in seen:
                seen.add(id(value))
                layer(value, name)
        elif hasattr(value, "assign"):  # a Variable
            add(name, value)
        elif isinstance(value, dict):
            for key, part in value.items():
                walk(part, f"{name}.{key}")
        elif isinstance(value, (list, tuple)):
            for i, part in enumerate(value):
                walk(part, f"{name}.{i}")

    def layer(owner, name):
        prefix = f"{name}." if name else ""
        for variable in owner._own:
            add(prefix + variable.name, variable)
        for attribute, value in owner._children.items():
            walk(value, prefix + attribute)
        walk(owner._sublayers(), prefix + "layers")

    walk(model, "")
    missing = [v.path for v in model.weights if id(v) not in seen]
    if missing:
        raise SavingError(
            message("save", "some weights are kept where they cannot be named.", received=", ".join(missing))
        )
    own = {id(v) for v in model.weights}
    return {name: v for name, v in names.items() if id(v) in own}


def save_weights(model, filepath, overwrite=True):
    """Write a model's weights. See Model.save_weights."""
    model.require_weights("save_weights")
    check_overwrite(filepath, overwrite)
    arrays = {f"model.{name}": v.numpy() for name, v in named_weights(model).items()}
    files.write(filepath, arrays, {"version": 1, "kind": "weights"})


def load_weights(model, filepath):
    """Read a model's weights. See Model.load_weights."""
    model.require_weights("load_weights")
    arrays, _ = files.read(filepath)
    assign(match(filepath, named_weights(model), part(arrays, "model.")))


def part(arrays, prefix):
    """The arrays under a prefix, without it. A file of another program, which has no prefixes, counts as
    weights.
    """
    chosen = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    known = ("model.", "optimizer.", "random.")
    if not chosen and prefix == "model." and not any(name.startswith(known) for name in arrays):
        return arrays
    return chosen


def match(filepath, variables, arrays):
    """[(Variable, array)] by name. Raises SavingError listing what the file lacks, has too much, or has
    otherwise.
    """
    wrong = [f"{name} is missing" for name in variables if name not in arrays]
    wrong += [f"{name} is not in the model" for name in arrays if name not in variables]
    pairs = []
    for name, variable in variables.items():
        array = arrays.get(name)
        if array is None:
            continue
        if tuple(array.shape) != tuple(variable.shape):
            wrong.append(f"{name} has shape {tuple(array.shape)}, the model's {tuple(variable.shape)}")
        elif array.dtype != variable.dtype:
            wrong.append(f"{name} is {array.dtype}, the model's {variable.dtype}")
        else:
            pairs.append((variable, array))
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise SavingError(
            message(
                "load",
                f"the weights in {os.fspath(filepath)!r} do not fit the model, which is unchanged.",
                received="; ".join(wrong[:5]) + more,
                hint="the model must be built as the saved one was: the same layers, sizes and dtype.",
            )
        )
    return pairs


def assign(pairs):
    """Assign all, or none: an exception on the way (no memory) puts the old values back."""
    before = []
    try:
        for variable, array in pairs:
            before.append((variable, np.array(variable.numpy())))
            variable.assign(array)
    except BaseException:
        for variable, array in before:
            variable.assign(array)
        raise


def check_overwrite(filepath, overwrite):
    """Raise SavingError for an existing file that is not to be overwritten."""
    if not overwrite and os.path.exists(filepath):
        raise SavingError(
            message(
                "save", "the file exists already.", received=repr(os.fspath(filepath)), hint="overwrite=True"
            )
        )
