"""A whole model in one file: architecture and compile arguments as JSON, weights and optimizer state as
arrays.

The JSON names layers, losses, metrics and optimizers; reading looks them up in this package's registries and
in what the caller passes as `custom_objects`. Nothing is imported by name and nothing is executed from a
file.
"""

import contextlib
import os
from typing import Any

import numpy as np

from .. import layers as layers_module
from .. import losses, metrics, optimizers
from .._registry import serialize
from ..errors import SavingError, TFLBPError, message
from ..layers.base import no_initializers
from ..ops.random import Generator, default_generator
from . import files
from .weights import assign, check_overwrite, match, named_weights, part

VERSION = 1


def save_model(model, filepath, overwrite=True, include_optimizer=True):
    """Write a whole model. See Model.save."""
    model.require_weights("save")
    check_overwrite(filepath, overwrite)
    try:
        config = layers_module.serialize(model)
    except (TypeError, NotImplementedError, AttributeError) as error:
        raise SavingError(
            message(
                "save",
                f"{type(model).__name__} cannot be written as a configuration ({error}).",
                hint="define get_config in the class, or keep the weights alone with save_weights.",
            )
        ) from error
    header: dict[str, Any] = {"version": VERSION, "kind": "model", "model": _plain(config)}
    header["build_shape"] = _plain(getattr(model, "_build_shape", None))
    arrays = {f"model.{name}": v.numpy() for name, v in named_weights(model).items()}
    if model.compiled:
        header["compile"] = _plain({k: serialize(v) for k, v in model._compilation.arguments.items()})
        header["compile"]["optimizer"] = _plain(optimizers.serialize(model.optimizer))
        header["random"] = _generator_states(model)
        if include_optimizer and model.optimizer.built:
            header["optimizer_state"] = True
            arrays.update(_optimizer_arrays(model.optimizer))
    files.write(filepath, arrays, header)


def load_model(filepath, custom_objects=None, compile=True):  # Keras' name
    """Read a model written by `Model.save`: the same architecture, weights, compile arguments and optimizer
    state.

    custom_objects: {name: class or function} for what this package does not know. compile: False leaves the
    training part. Raises SavingError for a file that is damaged, foreign, or names something unknown; OSError
    when it cannot be opened.
    """
    arrays, header = files.read(filepath)
    if header.get("kind") != "model":
        raise SavingError(
            message(
                "load_model",
                f"{os.fspath(filepath)!r} holds weights, not a model.",
                hint="build the model and call model.load_weights(path).",
            )
        )
    if header.get("version") != VERSION:
        raise SavingError(
            message(
                "load_model",
                f"{os.fspath(filepath)!r} has version {header.get('version')!r}, not {VERSION}.",
                hint="upgrade tensorflowlite-bp.",
            )
        )
    with _known(custom_objects or {}), _reading(filepath):
        model = _make(header["model"], header.get("build_shape"))
        assign(match(filepath, named_weights(model), part(arrays, "model.")))
        if compile and header.get("compile"):
            model.compile(**_compile_arguments(header["compile"]))
            if header.get("optimizer_state"):
                _load_optimizer(filepath, model, part(arrays, "optimizer."))
            _set_generator_states(model, header.get("random", {}))
    return model


def _make(config, build_shape):
    """The model of a config, built but with zeros for weights: a file that lies about its sizes costs no
    memory.
    """
    with no_initializers():
        model = layers_module.deserialize(config)
        if not hasattr(model, "require_weights"):
            raise ValueError(f"{config.get('class_name')} is no model")
        if not model.built and build_shape is not None:
            model.build(build_shape)  # a subclass: its sublayers are made by a trial call
    model.require_weights("load_model")
    return model


def _compile_arguments(config):
    """Names stay names; {"class_name", "config"} become objects of the right kind."""
    kinds = {
        "optimizer": optimizers.deserialize,
        "loss": losses.deserialize,
        "metrics": metrics.deserialize,
        "weighted_metrics": metrics.deserialize,
        "loss_weights": lambda value: value,
        "mixed_precision": lambda value: value,
    }
    unknown = set(config) - set(kinds)
    if unknown:
        raise ValueError(f"unknown compile arguments {sorted(unknown)}")

    def read(value, deserialize):
        if isinstance(value, list):
            return [read(v, deserialize) for v in value]
        if isinstance(value, dict):
            if "class_name" in value:
                return deserialize(value)
            return {k: read(v, deserialize) for k, v in value.items()}
        if isinstance(value, str) and value in _custom:
            return _custom[value]
        return value

    return {name: read(value, kinds[name]) for name, value in config.items()}


# ------------------------------------------------------------------ optimizer state
def _optimizer_arrays(optimizer):
    return {f"optimizer.{name}": v.numpy() for name, v in _named_state(optimizer).items()}


def _named_state(optimizer):
    return {f"{i}.{v.name}": v for i, v in enumerate(optimizer.variables)}


def _load_optimizer(filepath, model, arrays):
    model.optimizer.build(model.trainable_weights)
    assign(match(filepath, _named_state(model.optimizer), arrays))


def _generator_states(model):
    """{number of the layer: [seed, position]}: where random layers with a seed of their own stand, so that
    training goes on exactly.
    """
    layers = enumerate(model._flatten_layers())
    return {str(i): list(layer.generator.state) for i, layer in layers if _own_generator(layer)}


def _own_generator(layer):
    return isinstance(vars(layer).get("generator"), Generator) and layer.generator is not default_generator()


def _set_generator_states(model, states):
    layers = model._flatten_layers()
    for i, (seed, position) in states.items():
        if not (
            isinstance(seed, int)
            and isinstance(position, int)
            and 0 <= seed < 2**64
            and 0 <= position < 2**64
        ):
            raise ValueError(f"the state of generator {i} is not two integers")
        if not _own_generator(layers[int(i)]):
            raise ValueError(f"layer {i} has no generator of its own")
        layers[int(i)].generator.state = (seed, position)


# ------------------------------------------------------------------ names the caller vouches for
_custom = {}


@contextlib.contextmanager
def _known(custom_objects):
    """Let the registries find the caller's classes, for the duration of one load."""
    registries = [layers_module.layer_registry, losses._registry, metrics._registry, optimizers._registry]
    before = [dict(registry.by_name) for registry in registries]
    try:
        for registry in registries:
            registry.by_name.update(custom_objects)
        _custom.update(custom_objects)
        yield
    finally:
        _custom.clear()
        for registry, names in zip(registries, before, strict=True):
            registry.by_name.clear()
            registry.by_name.update(names)


@contextlib.contextmanager
def _reading(filepath):
    """What a wrong configuration can raise, as a SavingError that names the file."""
    try:
        yield
    except SavingError:
        raise
    except (
        TFLBPError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise _unreadable(
            filepath, str(error) if not isinstance(error, KeyError) else f"{error} is missing"
        ) from error
    except (RecursionError, MemoryError, OverflowError, ArithmeticError) as error:
        raise _unreadable(filepath, f"{type(error).__name__}: {error}") from error


def _unreadable(filepath, why):
    return SavingError(
        message(
            "load_model",
            f"the configuration in {os.fspath(filepath)!r} does not describe a model known here.\n  {why}",
            hint="own classes and functions go in custom_objects={name: class}; compile=False skips losses.",
        )
    )


def _plain(value) -> Any:
    """Tuples as lists and NumPy numbers as Python's, as JSON would make them."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
