"""Folds: parts of a split that a training leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from train_cases import BASE

from train.config import TrainConfig
from train.errors import UsageError
from train.input.open_source import open_batches, open_source
from train.input.options import SourceArguments
from train.records.folds import Fold
from train.records.read_ahead import ReadAhead
from train.training.job import Job


@pytest.mark.parametrize(("num_records", "count"), [(90, 3), (91, 3), (7, 7), (3, 5), (1, 2)])
def test_folds_are_equal_parts_of_all_records(num_records, count):
    folds = [Fold(index, count) for index in range(count)]
    members = [fold.members(num_records).tolist() for fold in folds]
    assert sorted(record for part in members for record in part) == [*range(num_records)]
    assert {len(part) for part in members} <= {num_records // count, -(-num_records // count)}
    for fold, part in zip(folds, members, strict=True):
        assert sorted([*part, *fold.others(num_records)]) == [*range(num_records)]
        assert part == sorted(part)


def test_folds_never_change():
    """Runs that were stopped go on with them, and an audit finds them again."""
    assert Fold(0, 3).members(12).tolist() == [3, 5, 10, 11]
    assert Fold(2, 3).members(12).tolist() == [2, 6, 7, 8]


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_reader_of_some_records(encoded_datasets, encoding):
    path = str(encoded_datasets[encoding])
    whole = open_source(path, "train", 4, shuffle=False).reader
    members = Fold(1, 3).members(whole.num_records)
    asked = SourceArguments(path, "train", 4, shuffle=False)
    reader = open_batches(asked, Fold(1, 3).members).reader
    assert reader.num_records == len(members) == sum(reader.shard_records)
    numbers = np.array([2, 0, len(members) - 1])
    for ours, theirs in zip(reader.gather(numbers), whole.gather(members[numbers]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert reader.rows(numbers).tolist() == whole.rows(members[numbers]).tolist()
    assert reader.labels(numbers).tolist() == whole.labels(members[numbers]).tolist()


def test_what_is_read_ahead_holds_the_records(small_dataset):
    whole = open_source(str(small_dataset), "train", 4).reader
    asked = SourceArguments(str(small_dataset), "train", 4, window=20)
    source = open_batches(asked, Fold(0, 3).others)
    assert isinstance(source.read_ahead, ReadAhead)
    for span in source.order.window_spans(0, 1):
        start, stop = source.reader.byte_range(span.shard, span.start, span.stop)
        first = int(source.reader._starts[span.shard])
        read = source.reader._places[first + span.start : first + span.stop]
        assert [start, stop] == [
            whole.byte_range(span.shard, int(read[0]), 0)[0],
            whole.byte_range(span.shard, 0, int(read[-1]) + 1)[1],
        ]


def test_a_training_leaves_its_part_out(small_dataset):
    def rows(leave_out):
        options = {**BASE, "batch_size": 9, "leave_out": leave_out}
        job = Job.open(TrainConfig(dataset=str(small_dataset), **options))
        records = job.training.order.records(5, 0, job.training.order.num_records)
        assert job.validation.reader.num_records == 30
        return job.training.reader.rows(records).tolist()

    whole, parts = rows(None), [rows(f"{k}/3") for k in (1, 2, 3)]
    assert [len(part) for part in parts] == [60, 60, 60]
    left_out = [set(whole) - set(part) for part in parts]
    assert set.union(*left_out) == set(whole)
    assert sum(map(len, left_out)) == 90


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/1", "1", "a/b", "1/3 ", "-1/3", ""])
def test_what_is_no_part(text):
    with pytest.raises(UsageError) as caught:
        TrainConfig(dataset="d", leave_out=text)
    assert str(caught.value) == (
        f"--leave-out must be K/N with 1 <= K <= N and N at least 2, such as 1/3, got {text!r}."
    )


def test_a_few_records_have_no_parts():
    with pytest.raises(UsageError, match="--overfit and --leave-out exclude each other"):
        TrainConfig(dataset="d", overfit=8, leave_out="1/3")
