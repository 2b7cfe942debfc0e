"""What an op is: its forward, its derivative rules, and what it keeps for them.

A rule `vjp(F, g, out, *args, **params)` is plain linear mathematics in the cotangent `g`. `F` is the raw
backend in an ordinary backward, and the recorded ops (`graph`) when the gradient is itself being
differentiated; the same text serves both. Rules never undo broadcasting: the engine does. Arguments that
`saves` does not name arrive as None, or as a `Spec` (shape and dtype only) for "x.shape".
"""

import functools
from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from ..backend import by_type
from ..backend.batched import Batched
from ..errors import GradientError, message

OPS: dict[str, "Op"] = {}  # every op by name: tests and debugging read it, no hot path does

# the differentiable `F`: each declaration puts its public function here, "fft.rfft" under graph.fft
graph = SimpleNamespace(fft=SimpleNamespace(), linalg=SimpleNamespace(), special=SimpleNamespace())

_NAMES = ("x", "y", "z")


class Spec:
    """Shape and dtype of an argument whose values a rule does not need."""

    __slots__ = ("dtype", "ndim", "shape")

    def __init__(self, array: Any) -> None:
        self.shape = array.shape
        self.dtype = array.dtype
        self.ndim = len(self.shape)


class Dispatch(dict[type, Callable]):
    """Array class -> forward function, found once per class. A look-up costs 25 ns, a registry by name
    400.
    """

    __slots__ = ("find", "name", "stacks")

    def __init__(self, name: str, find: Callable[[Any], Callable], stacks: bool = False) -> None:
        super().__init__()
        self.name = name
        self.find = find
        self.stacks = stacks

    def __missing__(self, cls: type) -> Callable:
        lib = by_type[cls]
        if not issubclass(cls, Batched):
            forward = self.find(lib)
        elif self.stacks:  # whatever it does, on the samples' own arrays
            forward = functools.partial(lib.each, self.find)
        else:
            forward = lib.or_looped(self.find, self.name)
        self[cls] = forward
        return forward


class Op:
    """One differentiable operation. Made by the declarators below; immutable afterwards."""

    __slots__ = (
        "aux",
        "broadcasts",
        "call",
        "checked",
        "domain",
        "elementwise",
        "forward",
        "jvp",
        "keeps",
        "linear",
        "name",
        "places",
        "promotes",
        "reference",
        "s0",
        "saves",
        "saves_all",
        "so",
        "v0",
        "v1",
        "view",
        "vjp",
        "vjp_all",
    )

    def __init__(
        self,
        name: str,
        *,
        vjp: tuple[Callable, ...] = (),
        vjp_all: Callable | None = None,
        jvp: Callable | None = None,
        saves: tuple[str, ...] = (),
        reads: tuple[tuple[str, ...], ...] = (),
        forward: Callable[[Any], Callable] | None = None,
        elementwise: bool = False,
        broadcasts: bool = False,
        promotes: bool = False,
        linear: str | None = None,
        aux: bool = False,
        reference: Callable | None = None,
        view: bool = False,
        places: bool = False,
        domain: tuple[float, float] | None = None,
        register: bool = True,
    ) -> None:
        if not (vjp or vjp_all or reference):
            raise GradientError(
                message(
                    name, "an op needs a derivative rule.", hint="declare it with `nondiff` if it has none."
                )
            )
        if linear not in (None, "each", "joint"):
            raise ValueError(f"linear must be None, 'each' or 'joint', not {linear!r}")
        self.name = name
        # element by element, or on stacks of matrices: whatever stands in front is a batch
        self.forward = Dispatch(name, forward or attrgetter(name), elementwise or name.startswith("linalg."))
        self.vjp = vjp
        self.vjp_all = vjp_all
        self.jvp = jvp
        self.v0 = vjp[0] if vjp else None
        self.v1 = vjp[1] if len(vjp) > 1 else None
        # per argument: 0 keep nothing, 1 keep the array, 2 keep its shape and dtype; those past the third are
        # kept as the third is
        self.saves = tuple(1 if n in saves else 2 if n + ".shape" in saves else 0 for n in _NAMES)
        self.saves_all = self.saves == (1, 1, 1)
        self.s0, self.so = self.saves[0] == 1, "out" in saves
        # of two arguments, what to keep of (x, y, out): where only x records, only y, both. A rule may read
        # less than `saves` names: h * 2.0 must not hold h, which only the gradient of 2.0 would need
        self.keeps = tuple(
            [tuple([n in part for n in ("x", "y", "out")]) for part in (*(reads or (saves, saves)), saves)]
        )
        self.elementwise = elementwise  # the Jacobian is diagonal: the vjp text, fed a tangent, is the jvp
        self.broadcasts = broadcasts
        self.promotes = promotes  # arguments of several dtypes are first brought to their common one
        self.linear = linear  # in "each" argument by itself, or in all of them together ("joint")
        self.aux = aux  # forward gives (out, aux), and rules get aux in place of out
        self.reference = reference  # the same function in plain ops, for every order and mode
        self.view = view
        self.places = places  # a slice, params["index"], of one tensor: see placed.py
        self.domain = domain
        self.checked = False  # by debug.py
        self.call: Callable | None = None  # the public function
        for i, rule in enumerate(vjp):
            rule.__qualname__ = f"{name}.vjp[{i}]"  # a lambda's traceback then names its op
        if register:
            if name in OPS:
                raise ValueError(f"op {name!r} is declared twice")
            OPS[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def public(op: Op, function: Callable, doc: str | None = None) -> Callable:
    """Bind an op to its public function: under its name in `graph`, with its documentation."""
    function.__name__ = function.__qualname__ = op.name.rpartition(".")[2]
    function.__doc__ = doc or function.__doc__
    function.op = op  # type: ignore[attr-defined]
    op.call = function
    offer(op.name, function)
    return function


def offer(name: str, function: Callable) -> None:
    """Put a function into `graph`, under a plain or a dotted name."""
    path, _, last = name.rpartition(".")
    setattr(attrgetter(path)(graph) if path else graph, last, function)


def helper(function: Any = None, *, name: str | None = None) -> Any:
    """A composition of ops that rules may call by name on `F`, as the backends offer it on raw arrays.

    name: "linalg.norm" for a function of a namespace; else its own.
    """
    if function is None:
        return lambda f: helper(f, name=name)
    offer(name or function.__name__, function)
    return function


def is_float(dtype: Any) -> bool:
    """Floating or complex: the dtypes that carry gradients. ml_dtypes' floats (bfloat16, ...) have kind
    "V".
    """
    return dtype.kind in "fc" or (dtype.kind == "V" and "float" in dtype.name)
