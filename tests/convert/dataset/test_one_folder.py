"""A reader holds one folder: whatever `convert --overwrite` does meanwhile, no two are mixed."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from convert_cases import convert
from folder_cases import (
    HDFS,
    NUM_BLUE,
    NUM_RED,
    SPLIT,
    Place,
    acting_at,
    classes_of,
    draw,
    near_hdfs,
    require_right,
)

from convert.dataset.read import open_dataset, open_folder
from convert.dataset.shard_records import FewRecords, ShardRecords
from convert.errors import FormatError, ReplacedError
from convert.show import ShowConfig, show_dataset
from convert.verify import VerifyConfig, verify_dataset
from convert.verify import verification as verify_run
from train.bench.cold import read_cold
from train.bench.config import BenchConfig
from train.input.open_source import open_source
from train.training.session import resumable

REPLACED = "was replaced by another dataset while it was read. Run the same command again."


@pytest.fixture(scope="module", params=["raw", pytest.param("png", marks=pytest.mark.long)])
def whole(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    draw(folder, request.param)
    return folder


@pytest.fixture
def place(whole, tmp_path) -> Place:
    place = Place(tmp_path)
    place.restore(whole)
    return place


def read(place: Place) -> None:
    require_right(open_source(place.dataset, "train", 1, shuffle=False))


def read_through_cache(place: Place) -> None:
    cache = tempfile.mkdtemp(dir=place.path)  # threads of an earlier reader may be at work still
    require_right(open_source(place.dataset, "train", 1, cache=cache, cache_bytes=1 << 20))


def train(place: Place) -> None:
    """Opens what a training reads: two splits, of one dataset."""
    from train.config import TrainConfig
    from train.training.job import Job

    job = Job.open(TrainConfig(dataset=place.dataset, batch_size=1, augment="none"))
    for source in (job.training, job.validation):
        assert classes_of(source.reader) == job.info.classes["y0"]
        require_right(source)


def show(place: Place) -> None:
    sheets = str(place.path)
    result = show_dataset(ShowConfig(dataset=place.dataset, count=1, sheets=sheets))
    (classes,) = result.info.vocabularies.values()
    counts = sum(next(iter(census.counts.values())) for census in result.splits.values())
    found = dict(zip(classes, counts.tolist(), strict=True))
    assert found in ({"a": NUM_RED, "b": NUM_BLUE}, {"z": NUM_RED, "c": NUM_BLUE})


def verify(place: Place) -> None:
    assert verify_dataset(VerifyConfig(dataset=place.dataset, workers=1)).problems == []


WAYS = {way.__name__: way for way in (read, read_through_cache, train, show, verify)}


@pytest.mark.parametrize("removes", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_an_exchange_between_any_two_openings(way, removes, place, whole, monkeypatch):
    """`other` takes the place of `ds` right before the n-th file is opened, for each n."""
    place.removes = removes
    with monkeypatch.context() as patch:
        opened = acting_at(-1, lambda: None, patch)
        WAYS[way](place)
    assert len(opened) > 4
    for number in range(len(opened)):
        place.restore(whole)
        with monkeypatch.context() as patch:
            acting_at(number, place.replace, patch)
            try:
                WAYS[way](place)
            except ReplacedError as error:
                assert str(error) == f"{place.dataset}: {REPLACED}"
                # What is held can be read while it is there; a verdict is on what stands there.
                assert removes or way == "verify"


def test_a_folder_that_is_deleted_while_it_is_opened(place, monkeypatch):
    acting_at(0, lambda: shutil.rmtree(place.dataset), monkeypatch, "map")
    with pytest.raises(FormatError) as caught:
        read(place)
    assert str(caught.value) == (
        f"{place.dataset}: was moved or deleted while it was read. Name its new place, or "
        "restore it."
    )
    assert caught.value.exit_code == 1


def test_a_replaced_dataset_passes_by_itself(place, monkeypatch):
    place.removes = True
    acting_at(2, place.replace, monkeypatch, "map")
    with pytest.raises(ReplacedError) as caught:
        read(place)
    assert caught.value.exit_code == 75
    read(place)  # the same command


def test_a_file_that_is_missing_is_no_replacement(place):
    dataset = open_dataset(place.dataset)
    os.unlink(dataset.folder.file(dataset.info.splits["train"][0].file))
    with pytest.raises(FormatError, match="cannot be read: No such file or directory") as caught:
        open_source(dataset, "train", 1)
    assert not isinstance(caught.value, ReplacedError)


def test_mapped_shards_outlive_the_dataset(place, whole):
    """A real `--overwrite`, which deletes what it replaces."""
    source = open_source(place.dataset, "train", 1, shuffle=False, window=1)
    convert(whole / "other.csv", Path(place.dataset), split=SPLIT, overwrite=True, seed=1)
    for step in range(source.num_steps):
        images, labels = source.batch(0, step)
        assert (images[0, 0, 0, 0] > 0) == (classes_of(source.reader)[int(labels[0])] in "az")
    assert classes_of(source.reader) == ("a", "b")


def test_the_way_to_the_folder_may_change(place, monkeypatch):
    """The process goes elsewhere, or a link on the way leads elsewhere: one folder still."""
    (place.path / "link").symlink_to("ds")
    monkeypatch.chdir(place.path)
    for name in ("ds", "link"):
        dataset = open_dataset(name)
        monkeypatch.chdir("/")
        require_right(open_source(dataset, "train", 1))
        assert dataset.folder.change() is None
        monkeypatch.chdir(place.path)
    (place.path / "link").unlink()
    (place.path / "link").symlink_to("other")
    require_right(open_source(dataset, "train", 1))
    assert isinstance(dataset.folder.change(), ReplacedError)


def test_a_link_in_a_dataset_is_not_followed(place):
    dataset = open_dataset(place.dataset)
    shard = dataset.info.splits["train"][0].file
    os.rename(dataset.folder.file(shard), place.path / "elsewhere")
    os.symlink(place.path / "elsewhere", dataset.folder.file(shard))
    with pytest.raises(FormatError, match="a link, expected a regular file"):
        open_source(dataset, "train", 1)


def test_what_is_listed_is_of_the_folder_that_is_held(place):
    folder = open_folder(place.dataset)
    names, sizes = folder.names(), folder.sizes()
    place.replace()
    for name in ("more", "link", "folder"):
        (Path(place.dataset) / name).mkdir()
    (Path(place.dataset) / "dangling").symlink_to("nothing")
    os.truncate(f"{place.dataset}/dataset.json", 1)
    assert (folder.names(), folder.sizes()) == (names, sizes)
    assert folder.look("dataset.json") == ("", sizes["dataset.json"])
    assert not folder.is_folder("folder")
    assert not folder.is_link("dangling")
    new = open_folder(place.dataset)
    assert (new.is_folder("folder"), new.is_link("dangling")) == (True, True)
    assert new.look("dataset.json") == ("", 1)


def test_a_reader_has_one_descriptor(place):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    source = open_source(place.dataset, "train", 1)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    twin = open_source([place.dataset, place.dataset], "train", 1)
    assert len(os.listdir("/proc/self/fd")) == before + 3
    del source, twin
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_forked_child_has_the_same_folder(place):
    folder = open_dataset(place.dataset).folder
    content = folder.read("dataset.json")
    child = os.fork()
    if not child:
        code = 1
        try:
            place.replace()
            code = 0 if folder.read("dataset.json") == content else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert folder.read("dataset.json") == content


def test_another_process_opens_the_same_folder_or_none(place):
    folder = open_folder(place.dataset)
    packed = pickle.dumps(folder)
    twin = pickle.loads(packed)
    assert twin.read("dataset.json") == folder.read("dataset.json")
    place.replace()
    late = pickle.loads(packed)
    for act in (late.names, late.sizes, lambda: late.read("dataset.json")):
        with pytest.raises(FileNotFoundError):
            act()
    assert str(late.change()) == f"{place.dataset}: {REPLACED}"
    assert twin.read("dataset.json") == folder.read("dataset.json")


def test_the_processes_of_verify_have_the_same_folder(place, monkeypatch):
    """Else they would find damage in every shard of a sound dataset, or none in a mixture."""
    for size in ("_SPAN_BYTES", "_DECODED_SPAN_BYTES", "_SPANS_OF_PROCESS"):
        monkeypatch.setattr(verify_run, size, 1)
    inspect, seen = verify_run.inspect_in_processes, []

    def replaced(*arguments):
        place.replace()
        for report in inspect(*arguments):
            seen.append(report)
            yield report

    monkeypatch.setattr(verify_run, "inspect_in_processes", replaced)
    with pytest.raises(ReplacedError):
        verify_dataset(VerifyConfig(dataset=place.dataset, workers=2))
    assert seen
    assert all(report.failure for report in seen)  # no byte of the other was read


def test_the_process_of_a_benchmark_has_the_same_folder(place):
    dataset = open_dataset(place.dataset)
    place.replace()
    with pytest.raises(ReplacedError):
        read_cold(BenchConfig(dataset=place.dataset, batch_size=1, seconds=1.0), dataset)


def test_a_training_does_not_go_on_with_another_dataset(place):
    """No later run of the same command could: exit code 1, and where the run stands."""
    place.removes = True
    cache = str(place.path / "cache")
    source = open_source(place.dataset, "train", 1, cache=cache, cache_bytes=1 << 20)
    place.replace()
    run = SimpleNamespace(address="runs/1")
    with pytest.raises(FormatError) as caught, resumable([source.reader], run):
        source.batch(0, 0)
    assert str(caught.value) == (
        f"{place.dataset}: was replaced by another dataset while it was read. The run stands at "
        "its last checkpoint: restore the dataset, then go on with `train resume runs/1`."
    )


# On HDFS nothing is held


def test_every_read_of_hdfs_is_looked_at_again(place, whole, monkeypatch):
    files = near_hdfs(monkeypatch)
    place.host = HDFS

    def replace(path: str) -> None:
        files.before = lambda path: None
        place.replace()

    for kind in (ShardRecords, FewRecords):
        dataset = open_dataset(place.dataset)
        shard = dataset.info.splits["train"][0]
        kind(dataset.folder, dataset.info, shard)[0]
        files.before = replace
        with pytest.raises(ReplacedError) as caught, dataset.folder.reading():
            kind(dataset.folder, dataset.info, shard)[0]
        assert str(caught.value) == f"{place.dataset}: {REPLACED}"
        place.restore(whole)


def test_a_description_that_is_replaced_while_it_is_read(place, monkeypatch):
    near_hdfs(monkeypatch).before = lambda path: place.replace()
    place.host = HDFS
    with pytest.raises(ReplacedError):
        open_dataset(place.dataset)


def replacing_at(number: int, place: Place) -> Callable[[str], None]:
    """Returns what replaces the dataset when it is called for the n-th time, from 0."""
    calls = itertools.count()

    def act(path: str) -> None:
        if next(calls) == number:
            place.replace()

    return act


@pytest.mark.parametrize("way", ["read_through_cache", "show", "verify"])
def test_an_exchange_between_any_two_reads_of_hdfs(way, place, whole, monkeypatch):
    files, paths = near_hdfs(monkeypatch), []
    place.host = HDFS
    files.before = paths.append
    WAYS[way](place)
    assert len(paths) > 4
    for number in range(len(paths)):
        # A reader that failed is in a circle with its error; its threads would read on, and act.
        gc.collect(1)
        files.before = lambda path: None
        place.restore(whole)
        files.before = replacing_at(number, place)
        try:
            WAYS[way](place)
        except ReplacedError as error:
            assert str(error) == f"{place.dataset}: {REPLACED}"


def test_hdfs_can_be_packed_for_another_process(place, monkeypatch):
    near_hdfs(monkeypatch)
    place.host = HDFS
    folder = open_folder(place.dataset)
    twin = pickle.loads(pickle.dumps(folder))
    assert twin.change() is None
    place.replace()
    assert isinstance(twin.change(), ReplacedError)
    with pytest.raises(OSError, match="not supported"):
        twin.open("dataset.json")
    assert np.array_equal(twin.map("_SUCCESS", 0), np.empty(0, np.uint8))


def test_a_folder_that_may_not_be_listed_is_named(place, monkeypatch):
    folder = open_folder(place.dataset)

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    for act in (folder.names, folder.sizes):
        with pytest.raises(PermissionError) as caught:
            act()
        assert caught.value.filename == place.dataset
