"""Frameworks to measure, each imported only in the process that measures it.

A module has make(framework, workload, case, optimizer, rate), which gives (step, losses): step() takes one
training step and is what is timed; losses(n) takes n steps and gives the loss before each, as floats.
"""

import importlib
import importlib.util

FIT_STEPS = 20  # batches in one timed epoch of fit

# name: (module, what must be installed, the function of the workload that it needs)
FRAMEWORKS = {
    "ours": ("ours", (), "loss"),
    "fit": ("keras_", (), "keras"),
    "train_on_batch": ("keras_", (), "keras"),
    "torch": ("torch_", ("torch",), "loss"),
    "torch channels last": ("torch_", ("torch",), "loss"),
    "torch fused": ("torch_", ("torch",), "loss"),
    "torch compile": ("torch_", ("torch",), "loss"),
    "jax": ("jax_", ("jax",), "loss"),
    "tensorflow": ("tensorflow_", ("tensorflow",), "loss"),
    "keras on torch": ("keras_", ("keras", "torch"), "keras"),
    "keras on jax": ("keras_", ("keras", "jax"), "keras"),
    "keras on tensorflow": ("keras_", ("keras", "tensorflow"), "keras"),
    "floor": ("by_hand", (), "by_hand"),
}


def installed(names=FRAMEWORKS):
    """Which of the frameworks can be measured here; says which cannot, and why."""
    found = []
    for name in names:
        missing = [p for p in FRAMEWORKS[name][1] if importlib.util.find_spec(p) is None]
        if missing:
            print(f"{name}: left out, {' and '.join(missing)} not installed")
        else:
            found.append(name)
    return found


def takes(framework, workload):
    """Whether the workload is written for this framework."""
    if framework == "torch channels last" and "images" not in workload.__doc__:
        return False
    return hasattr(workload, FRAMEWORKS[framework][2])


def prepare(framework, workload, case):
    """(step, losses), see above. case: of workload.CASES."""
    arguments = dict(case)
    optimizer = arguments.pop("optimizer")
    module = importlib.import_module(f".{FRAMEWORKS[framework][0]}", __name__)
    return module.make(framework, workload, arguments, optimizer, workload.RATE[optimizer])
