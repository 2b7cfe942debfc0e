"""The functional way of making a model: layers called on symbolic inputs, as a list of calls in order."""

from ..errors import ShapeError, message
from ..layers import Embedding, Layer
from ..layers.symbolic import SymbolicTensor


class Graph:
    """The calls between `inputs` and `outputs`, each once, in an order in which they can run.

    inputs, outputs: SymbolicTensors, or lists or dicts of them. Raises ValueError when an output depends on
    an input that was not named.
    """

    def __init__(self, inputs, outputs):
        for what, tree in (("inputs", inputs), ("outputs", outputs)):
            wrong = [t for t in leaves(tree) if not isinstance(t, SymbolicTensor)]
            if wrong or not leaves(tree):
                raise TypeError(
                    message(
                        "Model",
                        f"{what} must be what Input(...) and layers called on it gave.",
                        received=", ".join(type(t).__name__ for t in wrong) or "nothing",
                    )
                )
        self.inputs, self.outputs = inputs, outputs
        self.input_names = [t.name for t in leaves(inputs)]
        self.output_names = [t.layer.name if t.layer is not None else t.name for t in leaves(outputs)]
        self.calls = []  # (layer, inputs, args, kwargs, key)
        self._places = {place(t): None for t in leaves(inputs)}
        self._order(leaves(outputs))
        self._masked = any(makes_masks(layer) for layer, *_ in self.calls)

    def _order(self, wanted):
        """Depth first without recursion, so that a thousand layers in a row are fine."""
        done, stack = set(self._places), [(t, False) for t in reversed(wanted)]
        planned = set()
        while stack:
            tensor, ready = stack.pop()
            if place(tensor) in done:
                continue
            if tensor.inputs is None:
                raise ValueError(
                    message(
                        "Model",
                        "every output must come from the inputs.",
                        received=f"{tensor!r}, which none of the inputs {self.input_names} gives",
                    )
                )
            if not ready:
                stack.append((tensor, True))
                stack.extend((t, False) for t in reversed(leaves(tensor.inputs)))
                continue
            key = call_key(tensor)
            if key not in planned:
                planned.add(key)
                self.calls.append((tensor.layer, tensor.inputs, tensor.args, tensor.kwargs, key))
            done.add(place(tensor))

    @property
    def layers(self):
        """Every layer once, inputs first."""
        found = []
        for layer in [*(t.layer for t in leaves(self.inputs)), *(call[0] for call in self.calls)]:
            if layer is not None and all(layer is not known for known in found):
                found.append(layer)
        return found

    def __call__(self, inputs):
        """Run the calls on Tensors."""
        given = self._match(inputs)
        values = {place(t): value for t, value in zip(leaves(self.inputs), given, strict=True)}

        def value(t):
            return values[place(t)]

        masks = {}  # where a mask comes along with a value
        for layer, arguments, args, kwargs, key in self.calls:
            given = rebuild(value, arguments)
            if self._masked:
                kwargs = self._with_mask(masks, layer, arguments, given, kwargs, key)
            out = layer(given, *args, **kwargs)
            for index, part in enumerate(leaves(out)):
                values[(*key, index)] = part
        return rebuild(value, self.outputs)

    def _with_mask(self, masks, layer, arguments, given, kwargs, key):
        """The keywords of a call with the masks of its inputs; notes those of its outputs."""
        mask = rebuild(lambda t: masks.get(place(t)), arguments)
        mask = kwargs.get("mask", mask if any(m is not None for m in leaves(mask)) else None)
        for index, made in enumerate(leaves(layer.compute_mask(given, mask))):
            masks[(*key, index)] = made
        return {**kwargs, "mask": mask} if mask is not None and "mask" in layer._takes else kwargs

    def _match(self, inputs):
        """The Tensors for the inputs, in order; a dict is read by name."""
        if isinstance(inputs, dict):
            names = sorted(self.inputs) if isinstance(self.inputs, dict) else self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ShapeError(
                    message("Model", f"inputs named {names} were expected.", received=f"{sorted(inputs)}")
                )
            return [inputs[name] for name in names]
        given = leaves(inputs)
        if len(given) != len(self.input_names):
            raise ShapeError(
                message(
                    "Model",
                    f"{len(self.input_names)} inputs were expected: {', '.join(self.input_names)}.",
                    received=f"{len(given)} arrays",
                )
            )
        return given


def leaves(tree):
    """The leaves of lists, tuples and dicts (by sorted key)."""
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    return [tree]


def rebuild(function, tree):
    """The same tree with `function` applied to its leaves."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(rebuild(function, part) for part in tree)
    if isinstance(tree, dict):
        return {key: rebuild(function, part) for key, part in tree.items()}
    return function(tree)


def makes_masks(layer):
    """Whether a layer may give a mask along with its output."""
    if isinstance(layer, Embedding):
        return layer.mask_zero
    return type(layer).compute_mask is not Layer.compute_mask and not layer._hands_masks_on


def call_key(tensor):
    """What tells one call of a layer from another: the layer and the very inputs it was given."""
    return id(tensor.layer), id(tensor.inputs)


def place(tensor):
    """Where a symbolic tensor comes from: a call and the number of the output, or the tensor itself for an
    input.
    """
    if tensor.inputs is None:
        return (id(tensor),)
    return (*call_key(tensor), tensor.index)
