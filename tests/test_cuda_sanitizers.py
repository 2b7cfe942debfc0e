"""Every kernel under Address-, UndefinedBehavior- and ThreadSanitizer, and bit by bit the same in every order
of its threads: launches recorded from the tests of the values are run again by kernels/tests/replay.cu.
"""

import os
import subprocess

import numpy as np
import pytest
import test_cuda_attention
import test_cuda_elementwise
import test_cuda_gather
import test_cuda_losses
import test_cuda_norms
import test_cuda_optimizers
import test_cuda_products
import test_cuda_recurrent
from cuda_hosts import KERNELS, Recorder, build, emulator, emulator_module, kernel_sources, needs_emulator

from tensorflowlite_bp.backend.cuda import losses

pytestmark = needs_emulator

BUILDS = {  # name: flags of the kernels, flags of the emulator (which moves stacks: never instrumented)
    "plain": (["-O1"], []),
    "asan": (["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize=vptr", "-DTFLBP_FEW_TYPES"], []),
    "tsan": (["-O1", "-g1", "-fsanitize=thread", "-DTFLBP_FEW_TYPES"], ["-DTFLBP_TSAN"]),
}
FEW = (np.float32, np.float16)


def draw(host, dtypes):
    """Small launches of every kernel, of awkward sizes and alignments."""
    for dtype in dtypes:
        for shape in ((3, 7), (1, 1025), (2, 9000), (1, 50001)):
            for extras in (False, True):
                test_cuda_losses.test_cross_entropy(host, dtype, shape, 1, extras)
                test_cuda_losses.test_softmax(host, dtype, shape, extras)
        test_cuda_losses.test_long_rows_without_clusters(host, dtype, True)
        for shape in test_cuda_losses.SPELLINGS[1:3]:
            test_cuda_losses.test_ctc(host, dtype, shape)
        for shape in ((7, 3), (40, 16), (129, 264)):
            test_cuda_norms.test_column_sums(host, dtype, shape, shape[0] % 2)
            test_cuda_norms.test_batch_norm(host, dtype, shape, -1, True)
        test_cuda_norms.test_batch_norm(host, dtype, (4, 3, 5), 1, True)
        test_cuda_norms.test_batch_norm(host, dtype, (2, 2, 2100), 1, False)
        test_cuda_norms.test_group_norm(host, dtype, (3, 4, 4, 6), 3)
        for shape in ((5, 7), (3, 1030), (2, 9000), (2, 12301), (2, 50001)):
            test_cuda_norms.test_layer_norm(host, dtype, shape, True, shape[0] == 3)
        for momentum in (0.0, 0.9):
            test_cuda_optimizers.test_sgd(host, dtype, momentum, True, 0.01, 0.5)
            for centered in (False, True):
                test_cuda_optimizers.test_rmsprop(host, dtype, momentum, centered)
        for amsgrad in (False, True):
            test_cuda_optimizers.test_adam(host, dtype, amsgrad, 0.01, 0.5)
        test_cuda_optimizers.test_lion(host, dtype)
        test_cuda_optimizers.test_a_loss_scale_moves_as_on_the_host(host)
        test_cuda_optimizers.test_a_clipped_scale(host, np.array(0.5), np.nan)
        test_cuda_optimizers.test_norm_and_clipping(host, dtype)
        for n in (7, 130):
            test_cuda_elementwise.test_uniform_and_normal_are_the_cpu_s(host, dtype, n)
            test_cuda_elementwise.test_dropout(host, dtype, n, 0.5)
        test_cuda_elementwise.test_words(host, 7, 7, 0)
        for kind in test_cuda_elementwise.TORCH:
            for biased in (False, True):
                test_cuda_elementwise.test_activation(host, dtype, kind, (3, 70), biased)
        test_cuda_gather.test_embedding_gradient(host, dtype, 5, 700, 9)
        for case in (*test_cuda_gather.POOLS[2:4], test_cuda_gather.POOLS[-1]):
            test_cuda_gather.test_pooling(host, dtype, case, 2, 3)
        for kind in test_cuda_recurrent.reference.KINDS:
            test_cuda_recurrent.test_against_the_composition(host, kind, True, kind == "gru", dtype)
        for turns in test_cuda_products.TURNS:
            test_cuda_products.test_gemm(host, dtype, 5, 7, 3, *turns)
            test_cuda_products.test_gemm(host, dtype, 3, 700, 5, *turns)
        for case in test_cuda_products.CONVS[1:6]:
            test_cuda_products.test_convolution(host, dtype, case, 1)
        for shape in (*test_cuda_attention.SHAPES[2:5], (1, 6, 5, 256, 256)):
            if shape[3] == 256 and dtype == np.float64:
                continue  # more shared memory than every GPU has
            test_cuda_attention.test_attention(host, dtype, shape, shape[0] == 2, "bool")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The file, and the names of the kernels in it."""
    emulator().module.schedule(0)
    host = Recorder(emulator())
    draw(host, test_cuda_losses.FLOATS)
    path = tmp_path_factory.mktemp("recorded") / "launches"
    host.save(path)
    return path, set(host.count)


def test_every_kernel_is_recorded(recorded):
    """All but those whose smallest use is large: they differ from a recorded one by a template's number
    alone.
    """
    missing = {name for name, _ in emulator_module().kernels()} - recorded[1]
    missing = {
        n
        for n in missing
        if not n.startswith(("gemm<float, 8,", "attention<double, 8", "attention_backward<double, 8"))
    }
    assert missing <= {"next_step"}


@pytest.mark.parametrize("order", [0, 1, 2], ids=["forward", "reverse", "random"])
@pytest.mark.parametrize("name", BUILDS)
def test_launches_again(recorded, name, order):
    flags, of_emulator = BUILDS[name]
    sources = [*kernel_sources(), (KERNELS / "tests/replay.cu", [])]
    flags_of_emulator = ["-O2", "-fno-sanitize=all", *of_emulator]
    sources.append((KERNELS / "emulator/emulator.cpp", flags_of_emulator))
    program = build(f"replay-{name}", sources, flags)
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
    }
    done = subprocess.run(
        [program, recorded[0], str(order)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert int(done.stdout.split()[0]) > 300
    assert not done.stderr, done.stderr[-4000:]


def test_planted_mistakes_are_found_in_recorded_launches(tmp_path):
    """The recorder and the replay see what they are for: a result that differs, and memory that is too
    short.
    """
    host = Recorder(emulator())
    losses.softmax(host, np.ones((3, 7), np.float32))
    path = tmp_path / "launches"
    flags, of_emulator = BUILDS["asan"]
    sources = [*kernel_sources(), (KERNELS / "tests/replay.cu", [])]
    sources.append((KERNELS / "emulator/emulator.cpp", ["-O2", "-fno-sanitize=all", *of_emulator]))
    program = build("replay-asan", sources, flags)

    def says(launch):
        path.write_bytes(Recorder._words(1) + launch)
        done = subprocess.run([program, path, "0"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    good = host.launches[0]
    assert says(good) == (0, "1 launches\n")
    out = np.full((3, 7), 1 / 7, np.float32)
    at = good.rindex(out.tobytes()[:4])
    code, text = says(good[:at] + b"\0\0\0\0" + good[at + 4 :])
    assert code == 1
    assert "softmax<float, true, true>: array 1 differs" in text
    rows = Recorder._words(0, 3, 0, 7, 0, 0)  # rows, classes, log: one row more than there is memory for
    assert good.endswith(rows)
    code, text = says(good[: -len(rows)] + Recorder._words(0, 4, 0, 7, 0, 0))
    assert code != 0
    assert "AddressSanitizer: heap-buffer-overflow" in text
