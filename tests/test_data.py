"""Data on its way to a model: casting, lengths, batches, shuffling, weights, generators."""

import threading

import numpy as np
import pytest

import tensorflowlite_bp as bp
from tensorflowlite_bp import data
from tensorflowlite_bp.backend.native import native
from tensorflowlite_bp.data.weights import class_weight_to_sample_weight
from tensorflowlite_bp.errors import DTypeError, ShapeError


class Frame:
    """What pandas looks like from here."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.zeros(3), "float32"),
        (np.zeros(3, np.float16), "float32"),
        (np.zeros(3, np.float32), "float32"),
        (np.zeros(3, np.int64), "int64"),
        (np.zeros(3, np.uint8), "uint8"),
        (np.zeros(3, bool), "bool"),
        (np.zeros(3, np.complex64), "complex64"),
        ([1, 2, 3], "int64"),
        ([1.0, 2.0], "float32"),
        (Frame([[1.5, 2.5]]), "float32"),
        (Frame(np.array([[1, 2.5]], dtype=object)), "float32"),
    ],
)
def test_floats_become_floatx_and_integers_stay(value, dtype):
    assert data.to_array(value).dtype == dtype


def test_float32_data_is_not_copied():
    x = np.zeros((4, 2), np.float32)
    assert data.to_array(x) is x
    assert data.to_array(bp.asarray(x)) is x


def test_lists_of_numbers_are_one_array_and_lists_of_arrays_are_many():
    assert data.to_arrays([[0, 1], [2, 3]]).shape == (2, 2)
    several = data.to_arrays([np.zeros((2, 3)), np.zeros((2, 4))])
    assert [a.shape for a in several] == [(2, 3), (2, 4)]
    assert data.to_arrays({"a": np.zeros(2)})["a"].dtype == "float32"
    columns = data.to_arrays({"a": [1, 2], "b": [np.zeros(2), [1.0, 2.0]]})
    assert columns["a"].shape == (2,)
    assert columns["b"][1].dtype == "float32"


@pytest.mark.parametrize("value", [np.array(["a", "b"]), np.array([["a", 1]], dtype=object)])
def test_text_is_refused_with_a_way_out(value):
    with pytest.raises(DTypeError, match=r"\[fit\] numbers were expected in x"):
        data.to_array(value, where="fit")


def test_ragged_rows_are_named_as_such():
    ragged = np.empty(2, dtype=object)
    ragged[:] = [[1, 2], [3]]
    with pytest.raises(DTypeError, match="ragged"):
        data.to_array(ragged)


# ------------------------------------------------------------------ lengths
@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros((10, 2)), np.zeros(9), r"same number of samples.*\n.*x \(10, 2\), y \(9,\)"),
        (np.zeros((0, 2)), np.zeros(0), r"at least one sample.*\n.*x \(0, 2\)"),
        (np.zeros(()), np.zeros(3), "sample axis"),
        ([np.zeros((3, 1)), np.zeros((4, 1))], np.zeros(3), r"x \(3, 1\) and \(4, 1\)"),
    ],
)
def test_lengths_that_do_not_fit_name_the_shapes(x, y, text):
    with pytest.raises(ShapeError, match=text):
        data.as_epochs(x, y)


def test_no_data_at_all():
    with pytest.raises(ValueError, match="input data x"):
        data.as_epochs(None)


# ------------------------------------------------------------------ batches
def test_batches_in_order_with_a_smaller_last_one():
    epochs = data.as_epochs(np.arange(10), np.arange(10) * 2, batch_size=4)
    batches = list(epochs)
    assert epochs.num_batches == 3
    assert [list(x) for x, _, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all((y == 2 * x).all() and w is None for x, y, w in batches)


def test_default_batch_size_is_32_and_steps_divide_the_data():
    assert data.as_epochs(np.zeros(100)).num_batches == 4
    assert [len(x) for x, _, _ in data.as_epochs(np.zeros(100), steps=5)] == [20] * 5


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "32"])
def test_wrong_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        data.as_epochs(np.zeros(10), batch_size=batch_size)


def test_shuffling_keeps_pairs_together_and_follows_the_seed():
    x = np.arange(50)

    def order(seed):
        bp.utils.set_random_seed(seed)
        epochs = data.as_epochs(x, x + 100, batch_size=7, shuffle=True)
        return [np.concatenate([b[0] for b in epochs]) for _ in range(2)], epochs

    (first, second), epochs = order(3)
    assert sorted(first) == sorted(second) == list(x)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, x)
    assert all((y == x + 100).all() for x, y, _ in epochs)
    again, _ = order(3)
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])
    assert not np.array_equal(order(4)[0][0], first)


def test_shuffling_by_batch_keeps_batches_whole():
    batches = [list(x) for x, _, _ in data.as_epochs(np.arange(22), batch_size=5, shuffle="batch")]
    assert sorted(batches[:4]) == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
        [15, 16, 17, 18, 19],
    ]
    assert batches[4] == [20, 21]


def test_trees_of_inputs_keep_their_form():
    x = {"a": np.arange(4), "b": [np.arange(4) * 2, np.arange(4) * 3]}
    for batch, y, _ in data.as_epochs(x, np.arange(4), batch_size=2, shuffle=True):
        assert (batch["a"] == y).all()
        assert (batch["b"][1] == 3 * y).all()


def test_steps_go_on_where_the_last_epoch_stopped():
    epochs = data.as_epochs(np.arange(10), batch_size=2, steps=3)
    seen = [[int(x[0]) for x, _, _ in epochs] for _ in range(2)]
    assert seen == [[0, 2, 4], [6, 8, 0]]


# ------------------------------------------------------------------ iterables
def test_a_list_of_batches_in_an_object_is_read_anew_each_epoch():
    class Loader:
        ended = 0

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return np.full((3, 1), i), np.zeros(3)

        def on_epoch_end(self):
            self.ended += 1

    loader = Loader()
    epochs = data.as_epochs(loader)
    assert epochs.num_batches == 2
    assert [len(list(epochs)) for _ in range(2)] == [2, 2]
    assert loader.ended == 2


def test_a_generator_is_used_up_once():
    epochs = data.as_epochs((np.zeros((2, 1)), np.zeros(2)) for _ in range(3))
    assert epochs.num_batches is None
    assert len(list(epochs)) == 3
    assert epochs.num_batches == 3
    with pytest.warns(UserWarning, match="ran out"):
        assert list(epochs) == []
    assert epochs.exhausted


def test_an_endless_generator_needs_steps():
    def endless():
        i = 0
        while True:
            yield np.full((2, 1), i), np.zeros(2)
            i += 1

    epochs = data.as_epochs(endless(), steps=2)
    assert [[int(x[0, 0]) for x, _, _ in epochs] for _ in range(2)] == [[0, 1], [2, 3]]


def test_iterables_refuse_arguments_that_the_batches_carry():
    with pytest.raises(ValueError, match="batch_size must not be given"):
        data.as_epochs(iter([]), batch_size=3)
    with pytest.raises(ValueError, match="y must not be given"):
        data.as_epochs(iter([]), np.zeros(3))
    with pytest.raises(TypeError, match="iterable of batches"):
        data.as_epochs(object())


def test_batches_of_unequal_lengths_are_named():
    with pytest.raises(ShapeError, match="same number of samples"):
        list(data.as_epochs(iter([(np.zeros((3, 1)), np.zeros(2))])))


# ------------------------------------------------------------------ weights
def test_class_weights_become_sample_weights():
    for y in (np.array([0, 2, 1]), np.array([[0], [2], [1]]), np.eye(3)[[0, 2, 1]]):
        weights = class_weight_to_sample_weight(y, {0: 0.5, 2: 3.0}, "fit")
        assert weights.dtype == "float32"
        assert weights.tolist() == [0.5, 3.0, 1.0]


@pytest.mark.parametrize("key", [3, -1, "cat", 1.5, True])
def test_classes_that_cannot_occur_are_named(key):
    with pytest.raises(ValueError, match="integers from 0 to 2"):
        data.prepare(np.zeros(3), np.array([0, 1, 2]), class_weight={key: 2.0})


def test_class_weight_and_sample_weight_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        data.prepare(np.zeros(3), np.zeros(3), np.ones(3), class_weight={0: 1.0})


@pytest.mark.parametrize("shape", [(3, 2), (4,), (2, 4)])
def test_sample_weights_that_do_not_fit_name_both_shapes(shape):
    with pytest.raises(ShapeError, match=rf"sample.weight.*{'sample' if shape[0] == 3 else ''}"):
        data.prepare(np.zeros((3, 5)), np.zeros((3, 1)), np.ones(shape))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 4)])
def test_sample_weights_that_fit(shape):
    assert data.prepare(np.zeros((3, 5)), np.zeros((3, 4)), np.ones(shape))[2].shape == shape


# ------------------------------------------------------------------ splits
def test_the_last_samples_validate():
    (x, y, w), (vx, vy, _) = data.train_validation_split(np.arange(10), np.arange(10), None, 0.25)
    assert x.tolist() == list(range(7))
    assert vx.tolist() == [7, 8, 9] == vy.tolist()
    assert w is None
    assert len(y) == 7


@pytest.mark.parametrize(("split", "count"), [(1.0, 10), (-0.5, 10), (0.5, 1)])
def test_splits_that_leave_nothing(split, count):
    with pytest.raises(ValueError, match="must leave samples"):
        data.train_validation_split(np.zeros(count), np.zeros(count), None, split)


# ------------------------------------------------------------------ prefetching
def batches_of(count, log=None):
    for i in range(count):
        if log is not None:
            log.append(i)
        yield np.full((2, 1), i, np.float32), np.zeros((2, 1), np.float32)


def running():
    return [t for t in threading.enumerate() if t.name == "prefetch"]


def test_prefetching_changes_neither_order_nor_values():
    plain = [(x.copy(), y.copy()) for x, y in batches_of(7)]
    for depth in (1, 2, 10):
        found = list(data.prefetch(batches_of(7), depth))
        assert len(found) == 7
        for (x, y), (a, b) in zip(found, plain, strict=True):
            np.testing.assert_array_equal(x, a)
            np.testing.assert_array_equal(y, b)
    assert not running()


def test_prefetching_overlaps_and_is_bounded():
    log, made = [], [threading.Event() for _ in range(8)]

    def source():
        for i, batch in enumerate(batches_of(8, log)):
            made[i].set()
            yield batch

    batches = iter(data.prefetch(source(), 2))
    next(batches)
    assert made[3].wait(30)  # two wait, one more is made, while nobody asks
    assert not made[4].wait(0.2)
    assert log == [0, 1, 2, 3]
    next(batches)
    assert made[4].wait(30)
    batches.close()
    assert not running()
    assert len(log) < 8


@pytest.mark.skipif(native is None, reason="no compiled kernels")
def test_the_loader_s_arrays_come_from_the_caching_allocator():
    before = native.allocator_stats()
    native.install_allocator()
    installed = []

    def source():
        for batch in batches_of(2):
            installed.append((threading.current_thread().name, native.allocator_stats()["installed"]))
            yield batch

    try:
        assert len(list(data.prefetch(source()))) == 2
    finally:
        native.install_allocator(before["cap_bytes"] or None)
        if not before["installed"]:
            native.uninstall_allocator()
    assert installed == [("prefetch", True)] * 2


def test_the_loader_s_error_surfaces_where_its_batch_was_expected():
    def source():
        yield from batches_of(2)
        raise KeyError("no such file")

    batches = iter(data.prefetch(source()))
    assert [int(next(batches)[0][0, 0]) for _ in range(2)] == [0, 1]
    with pytest.raises(KeyError, match="no such file"):
        next(batches)
    assert not running()


def test_prefetched_batches_train_the_same_and_stop_with_the_training():
    class Reader:
        ended = 0

        def __len__(self):
            return 5

        def __getitem__(self, index):
            r = np.random.default_rng(index)
            return r.normal(size=(4, 3)), r.normal(size=(4, 1))

        def on_epoch_end(self):
            self.ended += 1

    def trained(wrap, **options):
        model = bp.models.Sequential([bp.layers.Dense(1, kernel_initializer="ones", input_dim=3)])
        model.compile("adam", "mse")
        model.fit(wrap(reader := Reader()), epochs=3, verbose=0, **options)
        assert reader.ended == (3 if not options else 1)
        return model.get_weights()

    assert len(data.prefetch(Reader())) == 5
    for options in ({}, {"steps_per_epoch": 3}):
        for a, b in zip(trained(data.prefetch, **options), trained(lambda r: r, **options), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not running()


@pytest.mark.parametrize("steps", [None, 5])
def test_a_failing_step_stops_the_thread(steps):
    class Stop(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise OSError("full")

    model = bp.models.Sequential([bp.layers.Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    log = []
    with pytest.raises(OSError, match="full"):
        model.fit(data.prefetch(batches_of(50, log)), steps_per_epoch=steps, callbacks=[Stop()], verbose=0)
    assert not running()
    assert 2 <= len(log) <= 5


def test_a_generator_goes_on_after_an_epoch_that_was_cut_short():
    class Stop(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = bp.models.Sequential([bp.layers.Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    source = batches_of(6)
    model.fit(source, callbacks=[Stop()], verbose=0)
    assert [int(x[0, 0]) for x, _ in source] == [2, 3, 4, 5]


def test_the_loader_sees_the_mode_of_its_caller():
    def source():
        yield (bp.tensor([1.0], requires_grad=True) * 2).requires_grad

    with bp.no_grad():
        assert list(data.prefetch(source())) == [False]
    assert list(data.prefetch(source())) == [True]


@pytest.mark.parametrize("depth", [0, -1, 1.5, True])
def test_depths_that_make_no_sense(depth):
    with pytest.raises(ValueError, match=r"\[prefetch\] depth must be a whole number"):
        data.prefetch([], depth)
