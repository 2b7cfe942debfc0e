"""One training step of whole networks: forward, loss, backward, update.

    python -m benchmarks.train_step [--quick] [--threads 1 2] [--only MLP] [--frameworks ours torch jax]

Equal weights, data and formulas everywhere (benchmarks/workloads); the losses of the first steps are compared
before anything is timed, and printed. `ours`: functional operations, `loss.backward()` and an optimizer's
`step()`. `fit` and `train_on_batch`: the same network through the Keras interface, with accuracy, per step.
`torch`: eager, default optimizers; `fused`: with its one-kernel optimizer; `compile`: torch.compile, and that
optimizer. `jax`: the whole step under `jit`; `tensorflow`: under `tf.function`; `keras on ...`: its
train_on_batch. `floor`: NumPy by hand, buffers reused. What is not installed is left out:
pip install "tensorflowlite-bp[bench]" brings all of them. The JSON also holds the least time of each
step: its floating-point operations, as our profiler counts them, at the peak of one core.
"""

import tensorflowlite_bp as bp
from tensorflowlite_bp.profiling.ceilings import measure

from . import _common, adapters
from .workloads import WORKLOADS


def prepare(framework, workload, case):
    chosen = WORKLOADS[workload]
    step, losses = adapters.prepare(framework, chosen, case)
    return step, lambda: losses(chosen.STEPS)


def operations(workload, case):
    """Floating-point operations of one step of ours, two per multiply-add."""
    step, _ = adapters.prepare("ours", WORKLOADS[workload], case)
    step()
    with bp.profile() as p:
        step()
    return sum(row.flops for row in p.rows)


def main():
    parser = _common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--frameworks", nargs="+", choices=list(adapters.FRAMEWORKS), help="(all installed)")
    options = parser.parse_args()
    if options.worker:
        _common.serve(options.worker, prepare)
        return
    frameworks = options.frameworks or adapters.installed()
    cases = {
        name: {"workload": key, "case": case}
        for key, workload in WORKLOADS.items()
        for name, case in workload.CASES.items()
    }
    peak = measure(0.05 if options.quick else 1.0).float32
    least = {name: operations(**case) / peak for name, case in cases.items() if peak and options.only in name}
    _common.run(
        "train_step",
        frameworks,
        cases,
        options,
        "torch",
        ["torch", "jax", "tensorflow-cpu", "keras"],
        lambda case, framework: adapters.FIT_STEPS if framework == "fit" else 1,
        takes=lambda framework, case: adapters.takes(framework, WORKLOADS[case["workload"]]),
        extra={"least_seconds": least},
        what="losses",
    )


if __name__ == "__main__":
    main()
