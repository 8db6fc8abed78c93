"""Batches depend on (dataset, seed, epoch, step, batch size, window) and on nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

from convert import ConvertConfig
from convert.job import convert_dataset
from train import load_dataset, load_numpy, load_pydataset
from train.errors import UsageError
from train.input.open_source import open_source


def source(path, batch_size=12, **options):
    return open_source(path, "train", batch_size, seed=5, **options)


def equal(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@settings(max_examples=20)
@given(
    epoch=st.integers(0, 1_000),
    num_ranks=st.sampled_from([1, 2, 3, 4, 6, 12]),
    window=st.sampled_from([None, 1, 7, 20, 90, 500]),
    augment=st.booleans(),
    drop=st.booleans(),
)
def test_ranks_side_by_side_are_the_global_batch(
    small_dataset, epoch, num_ranks, window, augment, drop
):
    options = {"window": window, "augment": augment, "drop_remainder": drop}
    whole = source(small_dataset, **options)
    ranks = [
        source(small_dataset, rank=rank, num_ranks=num_ranks, **options)
        for rank in range(num_ranks)
    ]
    assert {rank.num_steps for rank in ranks} == {whole.num_steps} == {7 if drop else 8}
    for step in (0, 3, whole.num_steps - 1):
        parts = [rank.batch(epoch, step) for rank in ranks]
        side_by_side = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        assert equal(side_by_side, whole.batch(epoch, step))
        assert len({len(part[0]) for part in parts}) <= 2  # a short last batch may not divide


@settings(max_examples=10)
@given(st.permutations([(epoch, step) for epoch in (0, 1) for step in range(7)]))
def test_batches_do_not_depend_on_when_or_where_they_are_made(small_dataset, places):
    """Any order of calls, four threads at once, against one after the other."""
    one, other = (source(small_dataset, window=20, augment=True) for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda place: one.batch(*place), places))
    assert all(equal(batch, other.batch(*place)) for batch, place in zip(made, places, strict=True))


def test_several_batches_at_once_are_those_of_their_steps(small_dataset):
    together = source(small_dataset, window=20, augment=True).batches(2, 1, 5)
    one_by_one = [source(small_dataset, window=20, augment=True).batch(2, s) for s in range(1, 6)]
    assert equal(together, [np.stack(arrays) for arrays in zip(*one_by_one, strict=True)])


@pytest.mark.parametrize("start_step", [0, 1, 4, 6, 7])
@pytest.mark.parametrize("epochs", [1, 2])
def test_every_delivery_gives_the_same_batches(small_dataset, start_step, epochs):
    options = {"epoch": 3, "start_step": start_step, "augment": True, "window": 40}
    arguments = (str(small_dataset), "train", 12, 5)
    expected = batches_of(small_dataset, start_step, epochs, augment=True, window=40)
    tensors = list(load_dataset(*arguments, epochs=epochs, **options).as_numpy_iterator())
    arrays = list(load_numpy(*arguments, epochs=epochs, **options))
    for delivered in (tensors, arrays):
        assert len(delivered) == len(expected)
        for (images, labels), batch in zip(delivered, expected, strict=True):
            assert list(labels) == ["y0", "y1", "y2", "y3"]
            assert equal([images, *labels.values()], batch)
    keras_dataset = load_pydataset(*arguments, **options)
    assert len(keras_dataset) == 7 - start_step
    for index in range(7 - start_step):
        images, labels = keras_dataset[index]
        assert equal([images, *labels.values()], expected[index])


def batches_of(path, start_step, epochs, **options):
    made = source(path, **options)
    places = [(3, step) for step in range(start_step, 7)]
    places += [(epoch, step) for epoch in range(4, 3 + epochs) for step in range(7)]
    return [made.batch(*place) for place in places]


def test_each_iteration_over_arrays_is_the_next_epoch(small_dataset):
    """And only the first one starts in the middle."""
    made = source(small_dataset)
    dataset = load_numpy(str(small_dataset), "train", 12, 5, start_step=5)
    for epoch, start in ((0, 5), (1, 0), (2, 0)):
        assert len(dataset) == 7 - start
        for step, (images, _) in enumerate(dataset, start):
            assert np.array_equal(images, made.batch(epoch, step)[0])


def test_each_iteration_over_tensors_is_the_next_epoch(small_dataset):
    made = source(small_dataset)
    dataset = load_dataset(str(small_dataset), "train", 12, 5, start_step=5)
    for epoch, start in ((0, 5), (1, 0), (2, 0)):
        images = [images for images, _ in dataset.as_numpy_iterator()]
        expected = [made.batch(epoch, step)[0] for step in range(start, 7)]
        assert equal(images, expected)


def test_a_pydataset_trains_and_goes_on_to_the_next_epoch(small_dataset):
    import keras

    dataset = load_pydataset(str(small_dataset), "train", 30, 5)
    inputs = keras.Input((32, 128, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(
        inputs, {f"y{i}": keras.layers.Dense(100, name=f"y{i}")(x) for i in range(4)}
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss={f"y{i}": loss for i in range(4)})
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 2
    made = open_source(small_dataset, "train", 30, seed=5)
    assert np.array_equal(dataset[1][0], made.batch(1, 1)[0])
    model.fit(dataset, shuffle=False, verbose=0)
    assert np.array_equal(dataset[1][0], made.batch(2, 1)[0])


def test_an_iteration_may_be_left_early(small_dataset):
    for _ in range(3):
        for _ in load_numpy(str(small_dataset), "train", 4):
            break


@pytest.mark.parametrize("load", [load_dataset, load_numpy])
def test_labels_as_one_array(small_dataset, load):
    (images, labels), *_ = load(str(small_dataset), "train", 12, 5, labels="array")
    assert images.shape == (12, 32, 128, 3)
    assert np.array_equal(labels, np.stack(source(small_dataset).batch(0, 0)[1:], axis=1))


def test_an_augmentation_of_ones_own(small_dataset):
    def mark(images, draws):
        assert (draws.first, draws.count, draws.epoch) == (6, 6, 4)
        changed = images.copy()
        changed[:, 0, 0, 0] = draws.step
        return changed

    half = source(small_dataset, augment=mark, rank=1, num_ranks=2)
    assert half.batch(4, 3)[0][:, 0, 0, 0].tolist() == [3] * 6
    assert np.array_equal(half.batch(4, 3)[0][:, 1:], source(small_dataset).batch(4, 3)[0][6:, 1:])


def test_several_datasets_as_one(small_dataset, tmp_path):
    """Without weights each record comes once an epoch; with weights as often as they say."""
    twin = shutil.copytree(small_dataset, tmp_path / "twin")
    both = open_source([small_dataset, twin], "train", 10)
    rows = np.concatenate([both.order.records(0, 0, 180)])
    assert sorted(rows.tolist()) == list(range(180))
    single = open_source(small_dataset, "train", 10).reader
    images, labels = both.reader.gather(np.array([5, 95]))
    assert equal([images[0], labels[0]], [images[1], labels[1]])
    assert np.array_equal(images[:1], single.gather(np.array([5]))[0])
    weighted = open_source([small_dataset, twin], "train", 10, weights=(9, 1))
    shares = [(weighted.order.records(epoch, 0, 180) < 90).mean() for epoch in range(40)]
    assert 0.88 < np.mean(shares) < 0.92
    assert weighted.batch(0, 0)[0].shape == (10, 32, 128, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "num_ranks": 2}, "rank must be in [0, num_ranks), got rank 2 of 2."),
        ({"rank": 0, "num_ranks": 5}, "5 ranks cannot share a batch of 12 evenly; the batch size, "
         "that of all ranks together, must be a multiple of num_ranks."),
        ({"labels": "list"}, "labels must be 'dict' or 'array', got 'list'."),
        ({"weights": [1, 2]}, "weights must be 1 numbers above 0, one a dataset, got [1, 2]."),
        ({"weights": [1], "shuffle": False}, "weights need shuffle=True: without, each record "
         "comes once, in order."),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0."),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(small_dataset, options, message):
    with pytest.raises(UsageError) as raised:
        source(small_dataset, **options)
    assert str(raised.value) == message


@pytest.mark.parametrize("start_step", [-1, 8])
def test_a_step_that_an_epoch_does_not_have(small_dataset, start_step):
    for load in (load_dataset, load_numpy, load_pydataset):
        with pytest.raises(UsageError) as raised:
            load(str(small_dataset), "train", 12, start_step=start_step)
        assert str(raised.value) == f"start_step must be in [0, 7], got {start_step}."


def test_datasets_that_cannot_be_mixed(small_dataset, encoded_datasets):
    with pytest.raises(UsageError) as raised:
        open_source([encoded_datasets["raw"], encoded_datasets["png"]], "train", 4)
    assert str(raised.value) == (
        f"{encoded_datasets['png']}: its encoding png is not that of "
        f"{encoded_datasets['raw']}: raw. Convert it with --encoding raw."
    )
    with pytest.raises(UsageError) as raised:
        open_source([small_dataset, encoded_datasets["raw"]], "train", 4)
    assert "is not that of" in str(raised.value) or "the first ones of" in str(raised.value)


def test_no_dataset():
    with pytest.raises(UsageError) as raised:
        open_source([], "train", 4)
    assert str(raised.value) == "no dataset is named; name at least one."


def test_read_only_media(small_dataset, tmp_path):
    copy = shutil.copytree(small_dataset, tmp_path / "copy")
    for file in copy.iterdir():
        file.chmod(0o444)
    copy.chmod(0o555)
    try:
        assert equal(source(copy).batch(0, 0), source(small_dataset).batch(0, 0))
        assert sorted(os.listdir(copy)) == sorted(os.listdir(small_dataset))
    finally:
        copy.chmod(0o755)


def test_arrays_need_neither_tensorflow_nor_keras(small_dataset):
    """As on a machine that trains with another framework."""
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing them fails
from train import load_numpy
print(sum(len(images) for images, _ in load_numpy(sys.argv[1], "train", 10)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, small_dataset], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("90\n", "")


def test_more_shards_than_file_descriptors(small_manifest, small_dataset, tmp_path):
    """90 shards of a record each, where a process may open 40 files."""
    config = ConvertConfig(
        manifest=str(small_manifest), dataset=str(tmp_path / "many"), root=str(SAMPLE),
        crop=(186, 0, 300, 30), size=(128, 32), shard_bytes=12_379, workers=1,
    )  # fmt: skip
    convert_dataset(config)
    code = """
import resource, sys
from train import load_numpy
dataset = load_numpy(sys.argv[1], "train", 90, window=int(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
print(sum(int(images.sum()) for images, _ in dataset))
"""
    total = int(source(small_dataset, 90, shuffle=False).batch(0, 0)[0].sum())
    for window in (20, 90):
        command = [sys.executable, "-c", code, str(tmp_path / "many"), str(window)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"{total}\n", "")


def test_another_number_of_ranks_goes_on_with_the_same_batches(small_dataset):
    """Two ranks for three steps, then four from there on."""

    def batches(num_ranks, **options):
        ranks = [
            load_numpy(
                str(small_dataset), "train", 12, 5,
                rank=rank, num_ranks=num_ranks, augment=True, **options,
            )
            for rank in range(num_ranks)
        ]  # fmt: skip
        return [
            np.concatenate([images for images, _ in parts]) for parts in zip(*ranks, strict=True)
        ]

    assert equal(batches(2)[:3] + batches(4, start_step=3), batches(1))


def test_an_unknown_option_is_refused_without_naming_the_dataclass(small_dataset):
    with pytest.raises(TypeError, match=r"^got an unexpected keyword argument 'windows'$"):
        load_numpy(small_dataset, "train", 16, windows=8)
