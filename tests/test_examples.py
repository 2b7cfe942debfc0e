"""The examples: a short run always, the full one among the slow tests."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tensorflowlite_bp import datasets
from tensorflowlite_bp.errors import ShapeError
from tensorflowlite_bp.examples import digits, neural_network
from tensorflowlite_bp.utils import normalize, optional, plots, to_categorical

PNG = b"\x89PNG\r\n\x1a\n"
FILES = {"curves.png", "misread_mlp.png", "misread_cnn.png", "mlp.safetensors", "cnn.safetensors"}


# ------------------------------------------------------------------ data
def test_the_digits_are_split_evenly_and_the_same_every_time():
    (x, _), (x_test, y_test) = datasets.load_digits()
    assert x.shape[1:] == (8, 8, 1)
    assert len(x) + len(x_test) == 1797
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0.0, 1.0)
    assert np.ptp(np.bincount(y_test)) <= 2
    assert not {a.tobytes() for a in x_test} & {a.tobytes() for a in x}
    assert np.array_equal(datasets.load_digits()[0][0], x)
    assert not np.array_equal(datasets.load_digits(seed=1)[0][0], x)
    with pytest.raises(ValueError, match="between 0 and 1"):
        datasets.load_digits(test_fraction=1.0)


def test_the_digits_of_784_pixels():
    (x, y), _ = datasets.digits_784()
    small, labels = datasets.load_digits()[0]
    assert x.shape == (len(small), 784)
    assert np.array_equal(y, labels)
    assert np.array_equal(x.reshape(-1, 28, 28)[:, 3:27:3, 3:27:3], small[..., 0])


def test_augmented_digits_stay_digits():
    (x, y), _ = datasets.load_digits()
    batches = digits.Augmented(x[:70], y[:70], batch_size=32)
    assert len(batches) == 3
    seen = list(batches)
    assert [len(labels) for _, labels in seen] == [32, 32, 6]
    assert sorted(np.concatenate([labels for _, labels in seen])) == sorted(y[:70])
    assert all(images.dtype == x.dtype and 0 <= images.min() <= images.max() <= 1 for images, _ in seen)
    still = digits.Augmented(x, y, rotation=0, shift=0, scale=0)
    assert np.allclose(still.distort(x[:5]), x[:5], atol=1e-6)


# ------------------------------------------------------------------ runs
def test_a_short_run_of_digits(tmp_path, capsys):
    summary = digits.run(tmp_path, seeds=1, epochs=2)
    assert all(accuracy > 0.8 for accuracy in summary.values())
    assert {p.name for p in tmp_path.iterdir()} == FILES
    assert all(p.read_bytes().startswith(PNG) for p in tmp_path.glob("*.png"))
    text = capsys.readouterr().out
    assert "Epoch 2/2" in text
    assert "predictions equal, bit for bit" in text


@pytest.mark.slow
def test_the_full_run_of_digits(tmp_path):
    command = [sys.executable, "-m", "tensorflowlite_bp.examples.digits", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accuracies = [
        float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith(("  MLP", "  CNN"))
    ]
    assert accuracies[0] >= 0.97
    assert accuracies[1] >= 0.985
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_digits_reads_its_arguments(monkeypatch):
    seen = []
    monkeypatch.setattr(digits, "run", lambda *args: seen.append(args))
    digits.main([])
    digits.main(["--out", "here", "--seeds", "1", "--epochs", "3"])
    assert seen == [("runs/digits", 3, None), ("here", 1, 3)]


def test_the_network_by_hand_runs(capsys, monkeypatch):
    monkeypatch.setattr(neural_network, "train_784_128_10", lambda: (0.5, 0.5))
    neural_network.main()
    assert "dL/dW1" in capsys.readouterr().out


def test_no_gpu_is_one_clear_error():
    environment = {**os.environ, "TFLBP_BACKEND": "cupy", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tensorflowlite_bp.examples.digits", "--seeds", "1", "--epochs", "1"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()
    assert any("DeviceError" in line for line in last)
    assert "the CuPy backend cannot be used" in done.stderr
    assert "pip install" in done.stderr or "nvidia-smi" in done.stderr


# ------------------------------------------------------------------ helpers
def test_pictures_without_anything_to_show(tmp_path):
    plots.save_grid(tmp_path / "none.png", np.zeros((0, 8, 8)), [])
    plots.save_curves(tmp_path / "deep" / "none.png", {})
    assert (tmp_path / "none.png").read_bytes().startswith(PNG)
    assert (tmp_path / "deep" / "none.png").exists()


def test_a_library_that_is_missing_names_the_pip_line():
    with pytest.raises(ImportError, match=r'pip install "tensorflowlite-bp\[plot\]"'):
        optional("no_such_library", extra="plot")


def test_to_categorical():
    assert to_categorical([[0], [2]]).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert to_categorical([1], 4).tolist() == [[0, 1, 0, 0]]
    assert to_categorical([[0, 1]]).shape == (1, 2, 2)
    with pytest.raises(ShapeError, match="label 3"):
        to_categorical([0, 3], 3)


def test_normalize():
    assert np.allclose(normalize([[3.0, 4.0], [0.0, 0.0]]), [[0.6, 0.8], [0, 0]])
