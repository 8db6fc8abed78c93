"""Evaluations: what is counted of predictions, and what `train evaluate` prints of it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from reading_cases import probabilities_of, sure_of

from convert.dataset.info import DatasetInfo
from convert.dataset.read import read_dataset
from convert.dataset.record import MAX_VARINT, layout_of_image, padded_varints
from convert.dataset.shard_records import ShardRecords
from convert.images.options import ImageOptions
from train.cli.evaluate import evaluation_json, evaluation_lines
from train.errors import FormatError, UsageError
from train.evaluation.calibration_file import read_calibration
from train.evaluation.confusion import confused_pairs, confusion_matrix
from train.evaluation.evaluate import evaluate_source, read_logits
from train.evaluation.evaluate_run import evaluate_run
from train.evaluation.predictions import (
    Evaluation,
    least_certain_records,
    rare_classes,
    worst_records,
)
from train.evaluation.scores import ranks
from train.input.open_source import open_source
from train.records.count_classes import count_classes
from train.runs.class_counts_file import read_class_counts, write_class_counts
from train.runs.folder import RunFolder

BLANK = 3


def info_of(outputs, vocabularies) -> DatasetInfo:
    return DatasetInfo(
        name="a", image=ImageOptions(crop=None, size=(1, 1)), outputs=outputs,
        vocabularies=vocabularies, splits={}, plan_id="", manifest_sha256="", options={},
    )  # fmt: skip


INFO = info_of({"y0": "letter", "y1": "letter"}, {"letter": ("a", "b", "c", "")})


def evaluation_of(labels, predictions, **fields) -> Evaluation:
    labels, predictions = np.array(labels, np.int32), np.array(predictions, np.int32)
    return Evaluation(
        **{
            "labels": labels,
            "predictions": predictions,
            "confidences": np.full(labels.shape, 0.9, np.float32),
            "ranks": (labels != predictions).astype(np.int32),
            "losses": (labels != predictions).mean(axis=1),
            "blanks": [BLANK, BLANK],
            **fields,
        }
    )


def test_confused_pairs_with_their_share():
    evaluation = evaluation_of(
        [[0, 0], [0, 1], [2, 0], [1, 3], [2, 2]], [[1, 0], [0, 0], [1, 1], [1, 2], [1, 2]]
    )
    pairs = [(p.true, p.predicted, p.count, p.share) for p in confused_pairs(evaluation, INFO)]
    assert pairs == [
        ("a", "b", 2, 2 / 4),  # in both outputs
        ("c", "b", 2, 2 / 3),
        ("", "c", 1, 1.0),
        ("b", "a", 1, 1 / 2),
    ]


def test_confused_pairs_of_21_000_classes_take_little_memory():
    """All pairs of 21,000 classes would be 3.5 GB as int64."""
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 21_000, (2, 4_000, 4), np.int32)
    info = info_of({f"y{i}": "v" for i in range(4)}, {"v": tuple(map(chr, range(30, 21_030)))})
    evaluation = evaluation_of(labels, predictions, blanks=[None] * 4)
    tracemalloc.start()
    try:
        assert len(confused_pairs(evaluation, info)) == 10
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_confusion_matrix_has_the_most_confused_first():
    evaluation = evaluation_of(
        [[0, 0], [0, 1], [2, 0], [1, 3], [2, 2]], [[1, 0], [0, 0], [1, 1], [1, 2], [1, 2]]
    )
    matrix = confusion_matrix(evaluation, INFO)
    assert matrix.names == ["b", "a", "c", ""]
    assert matrix.counts.tolist() == [[1, 1, 0, 0], [2, 2, 0, 0], [2, 0, 1, 0], [0, 0, 1, 0]]
    assert matrix.shares[0].tolist() == [1 / 2, 1 / 2, 0, 0]
    assert matrix.is_whole


@pytest.mark.parametrize(
    ("classes", "confused", "shown"),
    [
        (60, 1, 60),  # of few classes all
        (61, 1, 2),  # else those that are confused
        (21_000, 20_000, 60),  # and no more than a page holds
    ],
)
def test_a_confusion_matrix_fits_a_page(classes, confused, shown):
    labels = np.arange(classes)[:, None]
    read = np.where(labels < confused, labels + 1, labels)
    info = info_of({"y0": "v"}, {"v": tuple(map(chr, range(30, 30 + classes)))})
    matrix = confusion_matrix(evaluation_of(labels, read, blanks=[None]), info)
    assert len(matrix.names) == len(set(matrix.names)) == shown
    assert matrix.counts.shape == matrix.shares.shape == (shown, shown)
    assert matrix.is_whole == (classes <= 60)


def test_the_least_certain_have_the_lowest_confidence():
    sure = np.array([[0.9, 0.9], [0.5, 0.99], [1.0, 0.4], [1.0, 1.0]])
    evaluation = evaluation_of([[0, 0]] * 4, [[0, 0]] * 4, confidences=sure)
    assert least_certain_records(evaluation, 3) == [2, 1, 0]


def test_the_worst_are_misread_and_the_largest_losses():
    evaluation = evaluation_of(
        [[0, 0]] * 5, [[0, 0], [1, 0], [0, 1], [0, 0], [1, 1]],
        losses=np.array([9.0, 2.0, 3.0, 8.0, 2.0]),
    )  # fmt: skip
    assert worst_records(evaluation) == [2, 1, 4]
    assert worst_records(evaluation, 1) == [2]
    assert worst_records(evaluation, 0) == []


def test_rare_classes_leave_blanks_out():
    evaluation = evaluation_of([[0, 1], [1, 3], [2, 3]], [[0, 0], [1, 3], [0, 0]])
    groups = rare_classes(evaluation, INFO, {"letter": np.array([150, 7, 0, 1000])})
    assert [(g.classes, g.characters, g.accuracy) for g in groups] == [
        (1, 1, 0.0), (1, 2, 0.5), (0, 0, None), (1, 1, 1.0),
    ]  # fmt: skip


def test_rare_classes_know_each_outputs_vocabulary():
    info = info_of({"y0": "v", "y1": "w"}, {"w": ("x",), "v": ("a", "b")})
    evaluation = evaluation_of([[0, 0], [1, 0]], [[0, 0], [0, 0]], blanks=[None, None])
    groups = rare_classes(evaluation, info, {"v": np.array([3, 0]), "w": np.array([20])})
    assert [(g.classes, g.characters, g.accuracy) for g in groups] == [
        (1, 1, 0.0), (1, 1, 1.0), (1, 2, 1.0), (0, 0, None),
    ]  # fmt: skip


class Oracle:
    """Predicts given logits, batch after batch."""

    def __init__(self, batches):
        self._batches = iter(batches)

    def predict_on_batch(self, images):
        return next(self._batches)


def test_chunks_of_logits_change_nothing(small_dataset, monkeypatch):
    source = open_source(str(small_dataset), "validation", 7)
    rng = np.random.default_rng(0)
    sizes = [len(classes) for classes in read_dataset(str(small_dataset)).classes.values()]
    batches = [
        {
            name: rng.normal(size=(len(source.batch(0, step)[0]), size)).astype(np.float32)
            for name, size in zip(source.output_names, sizes, strict=True)
        }
        for step in range(source.num_steps)
    ]
    monkeypatch.setattr("train.evaluation.evaluate._CHUNK_LOGITS", 3 * sizes[0])
    evaluation = evaluate_source(Oracle(batches), source, [None] * 4)
    labels = np.concatenate([np.stack(source.batch(0, i)[1:], 1) for i in range(source.num_steps)])
    assert np.array_equal(evaluation.labels, labels)
    for position, name in enumerate(source.output_names):
        logits = np.concatenate([batch[name] for batch in batches])
        classes, confidences, _ = read_logits(logits, labels[:, position])
        assert np.array_equal(evaluation.predictions[:, position], classes)
        assert np.array_equal(evaluation.confidences[:, position], confidences)
        assert np.array_equal(evaluation.ranks[:, position], ranks(logits, labels[:, position]))


def test_class_counts_are_those_of_the_manifest(encoded_datasets, small_dataset, small_manifest):
    """For each encoding, and whether or not the labels were read before."""
    for path in (small_dataset, *encoded_datasets.values()):
        info = read_dataset(str(path))
        reader = open_source(str(path), "train", 1).reader
        fresh = count_classes(reader, info)
        _, labels = reader.gather(np.arange(reader.num_records))
        (name,) = info.vocabularies
        expected = np.bincount(labels.ravel(), minlength=len(info.vocabularies[name]))
        assert fresh[name].tolist() == count_classes(reader, info)[name].tolist()
        assert fresh[name].tolist() == expected.tolist()


def test_where_no_record_can_be_stands_no_class():
    """An index may lie, with sound CRCs all the same."""
    layout = layout_of_image(2, 100)
    record = b"".join(layout.encode(padded_varints(np.array([7, 9])), bytes(5), bytes(100)))
    shard = object.__new__(ShardRecords)
    shard._num_labels, shard._starts = 2, np.array([0, 10, 10 + len(record)])
    shard.memory = np.frombuffer(bytes(10) + record, np.uint8)
    assert shard.labels_of(np.array([1, 0, 1])).tolist() == [[7, 9], [MAX_VARINT] * 2, [7, 9]]


def test_labels_out_of_range_are_not_counted():
    info = info_of({"y0": "v", "y1": "v"}, {"v": ("a", "b")})
    labels = np.array([[0, 1], [2, 0], [0, -1], [1, 2**35 - 1], [0, 0]])
    reader = SimpleNamespace(num_records=5, labels=lambda records: labels[records])
    assert count_classes(reader, info)["v"].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it does not count the classes of the run's dataset"),
        ('{"w": [1, 2]}', "it does not count the classes of the run's dataset"),
        ('{"v": [1, 2], "w": [1]}', "it does not count the classes of the run's dataset"),
        ('{"v": 3}', "it has 3 for 'v', which has 2 classes"),
        ('{"v": [1]}', "it has 1 numbers for 'v', which has 2 classes"),
        ('{"v": [1, -2]}', "it has -2 among the numbers for 'v'"),
        ('{"v": [1, null]}', "it has None among the numbers for 'v'"),
        ('{"v": [1, true]}', "it has True among the numbers for 'v'"),
        ('{"v": [1.5, 2]}', "it has 1.5 among the numbers for 'v'"),
        ('{"v": [1, 1e400]}', "it has inf among the numbers for 'v'"),
    ],
)
def test_damaged_class_counts_are_told(content, problem, tmp_path):
    run = RunFolder(str(tmp_path), "hdfs://far/run")
    run.dataset_info = lambda: info_of({"y0": "v"}, {"v": ("a", "b")})
    (tmp_path / "class_counts.json").write_text(content, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_class_counts(run)
    assert str(caught.value) == (
        f"hdfs://far/run/class_counts.json: damaged: {problem}. Restore it, or remove it."
    )


def test_class_counts_that_are_missing_are_not_known(tmp_path):
    run = RunFolder(str(tmp_path))
    run.dataset_info = lambda: info_of({"y0": "v"}, {"v": ("a", "b")})
    assert read_class_counts(run) is None
    write_class_counts(run, {"v": np.array([4, 0])})
    assert read_class_counts(run)["v"].tolist() == [4, 0]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_class_counts_that_are_no_file_are_told(kind, tmp_path):
    run = RunFolder(str(tmp_path))
    run.dataset_info = lambda: info_of({"y0": "v"}, {"v": ("a", "b")})
    path = tmp_path / "class_counts.json"
    path.mkdir() if kind == "folder" else path.symlink_to("gone")
    with pytest.raises(FormatError, match=r"class_counts\.json: damaged: it cannot be read: "):
        read_class_counts(run)


@pytest.fixture(scope="module")
def printed(run):
    """Lines and JSON of `train evaluate --worst 3`."""
    folder = RunFolder.open(str(run[0]))
    result = evaluate_run(folder, num_worst=3)
    return evaluation_lines(result), evaluation_json(folder.path, result, folder.history())


def test_json_is_what_the_lines_say(printed):
    lines, found = printed
    text = "\n".join(lines)
    assert f"exact match         {found['exact']:.1%}\n" in text
    assert f"top-5 accuracy      {found['top5_accuracy']:.1%}  (y0 " in text
    assert f"{found['label_calibration_error']:.1%} of labels" in text
    assert f"{found['character_calibration_error']:.1%} of characters" in text
    assert f"(a perfect model: {found['label_calibration_error_by_chance']:.1%})" in text
    assert found["calibration_is_fitted_here"]
    temperature = f"{found['calibration']['temperatures'][0]:.3g}"
    assert f"\ncalibration         temperature {temperature}" in text
    assert ", fitted on 30 validation records; here each half is scored with" in text
    assert [len(line.split("; ")) for line in lines if line.startswith("labels by group")] == [1]
    reason = "too few records to say: 30, and it takes 59"
    assert f"\n95% exact           {reason}\n" in text
    assert found["at_precision"][0] == {
        "asked": 0.95, "threshold": None, "coverage": 0.0, "reason": reason,
    }  # fmt: skip
    assert [cut["asked"] for cut in found["at_precision"]] == [0.95, 0.99, 0.999]
    assert [cut["asked"] for cut in found["at_coverage"]] == [1.0, 0.99, 0.95, 0.9]
    assert found["at_coverage"][0]["exact"] == found["exact"]
    assert found["top5_accuracy"] >= found["character_accuracy"]
    assert len(found["output_top5_accuracies"]) == 4


def test_a_promise_is_printed_with_what_it_rests_on(run):
    """Of 600 records the surest 500 are right, and all others wrong."""
    right = np.arange(600) < 500
    evaluation = evaluation_of(
        np.zeros((600, 2)),
        np.where(right, 0, 1)[:, None] * [1, 1],
        confidences=np.where(right, 0.99, 0.2)[:, None].astype(np.float32) * [[1, 1]],
    )
    result = replace(
        evaluate_run(RunFolder.open(str(run[0]))),
        evaluation=evaluation,
        info=INFO,
        worst=[],
        rows=[],
        paths=[],
    )
    line = (
        "99% exact           from a confidence of 0.980047: 83.3% of records, 0 of 500 misread, so "
        "at least 99.40% with 95% confidence"
    )
    assert line in evaluation_lines(result)
    found = evaluation_json("run", result, [])["at_precision"][1]
    assert found == {
        "asked": 0.99, "threshold": 0.980047, "records": 500, "wrong": 0, "coverage": 500 / 600,
        "at_least": pytest.approx(0.9940, abs=1e-4),
    }  # fmt: skip


def test_the_split_that_fitted_is_judged_in_halves_and_no_other(run, small_dataset):
    folder = RunFolder.open(str(run[0]))
    calibration = read_calibration(folder)
    for split, scales in (
        ("validation", calibration.halves), ("train", [calibration.scale] * 2),
    ):  # fmt: skip
        images = open_source(str(small_dataset), split, 30, shuffle=False).batch(0, 0)[0]
        found = probabilities_of(folder, images)
        result = evaluate_run(folder, split=split)
        assert result.is_fitted == (split == "validation")
        sure = result.evaluation.label_confidences[:30]
        for half in range(2):
            expected = sure_of(found, scales[half])[half::2]
            assert sure[half::2] == pytest.approx(expected, rel=1e-3)
    assert not evaluate_run(folder, str(small_dataset), "train").is_fitted


def test_worst_says_how_many(printed, sample_rows):
    lines, found = printed
    assert len(found["misread"]) == 3
    assert len([line for line in lines if line.startswith("misread ")]) == 3
    worst = found["misread"][0]
    assert worst["path"] == sample_rows[worst["row"]]["path"]
    where = f"manifest row {worst['row']}, {worst['path']}"
    assert f"misread             {where}: {worst['label']} as" in lines[-3]


def test_worst_has_a_range(run):
    with pytest.raises(UsageError) as caught:
        evaluate_run(RunFolder.open(str(run[0])), num_worst=-1)
    assert str(caught.value) == "--worst must be 0 or more, got -1."
