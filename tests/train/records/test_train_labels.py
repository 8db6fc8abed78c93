"""Labels that are no classes are found before the first step, wherever they stand."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from train_cases import run_main

from convert.dataset.read import read_dataset
from convert.dataset.record import layout_of_image, padded_varints
from train.config import TrainConfig
from train.errors import FormatError, RecordError
from train.input.open_source import open_source
from train.records import label_checks
from train.records.label_checks import label_chunks, require_labels, require_sense
from train.training.job import Job

REPAIR = "Restore the file from a copy, or convert again with --overwrite."


def relabel(dataset, split, number, values):
    """Gives a record other labels, with right CRCs; returns its shard, place and manifest row."""
    info = read_dataset(str(dataset))
    reader = open_source(str(dataset), split, 1, shuffle=False).reader
    shard, place = (int(found[0]) for found in reader._find(np.array([number])))
    path, (row,) = reader.files[shard].path, reader.rows(np.array([number])).tolist()
    start, stop = reader.byte_range(shard, place, place + 1)
    if info.is_raw:
        layout = info.layout
    else:
        content = reader._shards[shard].image(place)
        layout = layout_of_image(len(info.outputs), len(content))
    record = bytes(reader.memory(shard)[start:stop])
    image = record[layout.image_offset : layout.image_offset + layout.image_bytes]
    parts = [padded_varints(np.array(numbers)).tobytes() for numbers in (values, [row])]
    changed = b"".join(layout.encode(*parts, image))
    assert len(changed) == stop - start
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(changed)
    return path, place, row


@pytest.fixture
def dataset(encoded_datasets, request, tmp_path):
    """A copy that a test may damage, in one of the encodings."""
    return shutil.copytree(encoded_datasets[request.param], tmp_path / "strips")


@pytest.mark.parametrize("dataset", ["raw", "png", "jpeg"], indirect=True)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_label_that_is_no_class_is_found_before_the_first_step(dataset, split):
    info = read_dataset(str(dataset))
    sizes = [len(classes) for classes in info.classes.values()]
    last = info.num_records(split) - 1
    names = [*info.outputs]
    path, place, row = relabel(dataset, split, last, [0, sizes[1], 0, 2**35 - 1])
    config = TrainConfig(dataset=str(dataset), batch_size=4)
    with pytest.raises(RecordError) as caught:
        Job.open(config)
    assert str(caught.value) == (
        f"{path}: record {place} (manifest row {row}, strips/000/{row:06}.png) has a label out of "
        f"range: {names[1]} is {sizes[1]}, of {sizes[1]} classes. {REPAIR}"
    )
    Job.open(replace(config, on_bad_record="skip"))  # others stand in for it


@pytest.mark.parametrize("dataset", ["raw", "png"], indirect=True)
def test_a_damaged_record_is_called_damaged(dataset):
    """Its labels may be any numbers; what is wrong is not them."""
    path, place, _ = relabel(dataset, "train", 3, [2**30, 0, 0, 0])
    start, _ = open_source(str(dataset), "train", 1).reader.byte_range(0, place, place + 1)
    with open(path, "r+b") as file:
        file.seek(start + 8)
        file.write(b"\1")  # of the length's own CRC
    with pytest.raises(RecordError) as caught:
        Job.open(TrainConfig(dataset=str(dataset), batch_size=4))
    assert f"record {place} " in str(caught.value)
    assert "is damaged: its CRC is wrong" in str(caught.value)


@pytest.mark.parametrize("dataset", ["raw"], indirect=True)
def test_the_commands_tell_it_in_one_line(dataset, tmp_path, capfd):
    info = read_dataset(str(dataset))
    run = tmp_path / "run"
    relabel(dataset, "train", 0, [0, 0, 0, 999])
    for words in ([], ["--dry-run"]):
        assert run_main("fit", dataset, "--run", run, "--batch-size", 4, *words) == 1
        out, err = capfd.readouterr()
        (line,) = [line for line in err.splitlines() if line.startswith("train: error: ")]
        assert line.endswith(
            f"has a label out of range: {[*info.outputs][3]} is 999, "
            f"of {len([*info.classes.values()][3])} classes. {REPAIR}"
        )
        assert not out
        assert not run.exists()


def test_the_largest_class_is_one(encoded_datasets):
    for path in encoded_datasets.values():
        source = open_source(str(path), "train", 1)
        count = source.reader.num_records
        require_labels(source.reader, read_dataset(str(path)), count)
        found = np.concatenate([labels for _, labels in label_chunks(source.reader, count)])
        sizes = found.max(axis=0) + 1
        info = SimpleNamespace(classes=dict(enumerate(map(range, sizes))))
        require_labels(source.reader, info, count)
        sizes[2] -= 1
        asked = []
        source.reader.gather = lambda records, asked=asked: asked.append(records.tolist())
        info = SimpleNamespace(classes=dict(enumerate(map(range, sizes))))
        require_labels(source.reader, info, count)
        first = int(np.argmax(found[:, 2] == sizes[2]))
        assert asked[0] == [first]


def test_each_chunk_is_looked_at(encoded_datasets, monkeypatch):
    monkeypatch.setattr(label_checks, "_CHUNK_RECORDS", 7)
    reader = open_source(str(encoded_datasets["raw"]), "train", 1).reader
    chunks = [*label_chunks(reader, reader.num_records)]
    assert [start for start, _ in chunks] == [*range(0, reader.num_records, 7)]
    every = reader.labels(np.arange(reader.num_records))
    assert np.array_equal(np.concatenate([found for _, found in chunks]), every)


@pytest.mark.parametrize("far", [True, False])
def test_what_takes_long_to_bring_is_left_to_reading(far, monkeypatch):
    def refuse(*_):
        raise AssertionError("read")

    size = 1 if far else label_checks._MOST_BYTES + 1
    reader = SimpleNamespace(
        far=object() if far else None,
        files=[SimpleNamespace(shard=SimpleNamespace(bytes=size))],
        num_records=3,
        labels=refuse,
    )
    require_labels(reader, SimpleNamespace(classes={"y0": ("a",)}), 3)


def test_one_class_is_nothing_to_learn():
    with pytest.raises(FormatError) as caught:
        require_sense("strips", SimpleNamespace(classes={"y0": ("a",), "y1": ("b",)}))
    assert str(caught.value) == (
        "strips: each output has one class, so there is nothing to learn. Convert again, with "
        "labels of two classes or more."
    )
    require_sense("strips", SimpleNamespace(classes={"y0": ("a",), "y1": ("b", "c")}))


@pytest.mark.parametrize("dataset", ["png"], indirect=True)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["vocabularies"].update(text=["a", "a"]), "is no list of distinct classes"),
        (lambda c: c["vocabularies"].clear(), "`outputs` lack a vocabulary"),
        (lambda c: c["splits"]["train"].update(records=1), "`splits.train.records` is wrong"),
        (
            lambda c: c["splits"].update(validation={"records": 0, "shards": []}),
            "the split 'validation' has no records",
        ),
        (
            lambda c: [c["vocabularies"].update({n: ["a"]}) for n in [*c["vocabularies"]]],
            "each output has one class, so there is nothing to learn",
        ),
    ],
)
def test_a_dataset_that_makes_no_sense_is_refused(dataset, change, said, tmp_path, capfd):
    path = dataset / "dataset.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    code = run_main("fit", dataset, "--run", tmp_path / "run", "--batch-size", 4)
    line = capfd.readouterr().err
    assert said in line
    assert str(dataset) in line
    assert line.count("\n") == 1
    assert code in (1, 2)
    assert not os.path.exists(tmp_path / "run")


def test_the_record_that_is_bad_is_asked_for(monkeypatch):
    monkeypatch.setattr(label_checks, "_CHUNK_RECORDS", 7)
    asked = []
    reader = SimpleNamespace(
        far=None,
        files=[],
        num_records=20,
        labels=lambda records: 5 * (records == 17)[:, None],
        gather=lambda records: asked.append(records.tolist()),
    )
    require_labels(reader, SimpleNamespace(classes={"y0": tuple("abcde")}), reader.num_records)
    assert asked == [[17]]
