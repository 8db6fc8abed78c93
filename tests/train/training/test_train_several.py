"""`train fit A B`: several datasets as one, validated each and together."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from convert_cases import convert_strips
from resume_cases import FLAGS, assert_same, config, content, resumed, words_of
from test_train_resume import script

from convert.dataset.read import open_dataset
from train.config import YOUNGER, TrainConfig
from train.errors import MismatchError, UsageError
from train.evaluation.evaluate_run import evaluate_run
from train.evaluation.parts import Part, by_part
from train.input.open_source import common_info
from train.runs.dataset_identity import dataset_of
from train.runs.folder import REPORT, RunFolder
from train.runs.history import Journal
from train.training.job import Job
from train.training.resuming.resume import resume_training
from train.training.start import train_model


@pytest.fixture(scope="module")
def other(tmp_path_factory, small_manifest):
    """Images and classes of the tiny dataset, split in another way."""
    path = tmp_path_factory.mktemp("other") / "strips"
    split = (("train", 0.2), ("validation", 0.8))
    convert_strips(small_manifest, path, size=(64, 16), seed=1, split=split)
    return path


def options(tiny_dataset, other, run, **more):
    given = {**FLAGS, "epochs": 2, "batch_size": 16, **more}
    return TrainConfig(
        dataset=str(tiny_dataset), more_datasets=(str(other),), run=str(run), **given
    )


@pytest.fixture(scope="module")
def both(tiny_dataset, other, tmp_path_factory):
    """A run on both, and what it said."""
    run, said = tmp_path_factory.mktemp("both") / "run", []
    train_model(options(tiny_dataset, other, run, shares=(3.0, 1.0)), said.append)
    return RunFolder.open(str(run)), said


def test_each_is_validated_and_both_together(both, tiny_dataset, other):
    run, said = both
    sizes = [
        open_dataset(str(path)).info.num_records("validation") for path in (tiny_dataset, other)
    ]
    for row in run.history():
        for metric in ("exact", "loss"):
            each = [float(row[f"validation_{number}_{metric}"]) for number in (1, 2)]
            mean = sum(n * value for n, value in zip(sizes, each, strict=True)) / sum(sizes)
            assert float(row[f"validation_{metric}"]) == pytest.approx(mean, rel=1e-5)
    assert " of 2 datasets to train on, " in said[0]
    assert [line.split(": exact ")[0] for line in said[-2:]] == [str(tiny_dataset), str(other)]
    page = Path(run.file(REPORT)).read_text(encoding="utf-8")
    assert "By dataset" in page and str(other) in page


def test_what_the_run_remembers(both, tiny_dataset, other):
    stored = both[0].config()
    ids = [open_dataset(str(path)).info.dataset_id for path in (tiny_dataset, other)]
    assert (stored["dataset"], stored["more_datasets"]) == (str(tiny_dataset), [str(other)])
    assert (stored["dataset_ids"], stored["shares"]) == (ids, [3.0, 1.0])
    assert stored["dataset_id"] not in ids  # an older version refuses, and trains on no half


def test_a_killed_run_goes_on_bit_for_bit(both, tiny_dataset, other, tmp_path, counting_clock):
    """The other dataset has come to another place meanwhile."""
    moved, run = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(other, moved)
    given = {**FLAGS, "epochs": 2, "batch_size": 16, "shares": "3,1", "checkpoint_minutes": 0.02}
    done = script("kill", 9, tiny_dataset, moved, "--run", run, *words_of(given))
    assert done.returncode == -9, done.stderr
    shutil.rmtree(moved)
    changes = {"dataset": str(tiny_dataset), "more_datasets": (str(other),)}
    resume_training(str(run), {**changes, "checkpoint_minutes": FLAGS["checkpoint_minutes"]})
    assert_same(content(Path(both[0].path)), content(run))


def test_a_run_from_before_these_options_goes_on(tiny_dataset, tmp_path, monkeypatch, cached_model):
    """And what such a version reads of config.json is there for one dataset as it was."""
    real, younger = Job.options.fget, {*YOUNGER, "weights_digest"}

    def options(job):
        return {name: value for name, value in real(job).items() if name not in younger}

    with monkeypatch.context() as patched:
        patched.setattr(Job, "options", property(options))
        train_model(config(tiny_dataset, tmp_path, epochs=1))
    run = RunFolder.open(str(tmp_path / "run"))
    before = run.config()
    assert not younger & set(before)
    assert any(line.startswith("epoch 2/2 ") for line in resumed(run.path, epochs=2))
    after = run.config()
    assert {name: after[name] for name in before} == {**before, "epochs": 2}
    assert (after["more_datasets"], after["shares"], after["weights"]) == ([], None, None)
    assert not any(name.startswith("validation_1") for name in run.history()[0])


@pytest.mark.parametrize("order", [0, 1])
def test_another_dataset_is_refused_wherever_it_stands(both, tiny_dataset, other, order, tmp_path):
    run = shutil.copytree(both[0].path, tmp_path / "run")
    paths = [str(tiny_dataset), str(other)]
    changes = {"dataset": paths[order], "more_datasets": (paths[order],)}
    with pytest.raises(MismatchError, match="these shards are not the ones"):
        resume_training(str(run), changes)
    with pytest.raises(UsageError) as caught:
        resume_training(str(run), {"dataset": paths[0], "more_datasets": ()})
    assert str(caught.value) == (
        f"{run}: was started on 2 datasets, got 1. Give --dataset for each, in the order of "
        "config.json."
    )


def test_evaluation_names_one_of_them(both, tiny_dataset, other):
    run = both[0]
    with pytest.raises(UsageError) as caught:
        evaluate_run(run)
    assert str(caught.value) == (
        f"{run.path}: was trained on 2 datasets: {tiny_dataset}, {other}. "
        "Name the one that is meant after the run."
    )
    assert dataset_of(run, None, "").path == str(tiny_dataset)  # of which an export reads images
    best = Journal([{k: float(v) for k, v in row.items()} for row in run.history()]).best
    found = evaluate_run(run, str(other))
    assert found.is_own
    assert found.evaluation.exact == pytest.approx(best["validation_2_exact"])
    sizes = [30, found.evaluation.labels.shape[0]]
    assert found.calibration.parts == tuple(sizes)
    odd = replace(found.calibration, parts=(31, 7))
    assert [odd.scales(number) for number in (0, 1)] == [odd.halves, odd.halves[::-1]]
    rows = slice(31, None)  # where the second begins, the other half's scale is first
    whole = replace(found.evaluation, powers=[2.0, 3.0])
    parts = [Part(number=1, path="a", records=31), Part(number=2, path="b", records=sizes[1] - 31)]
    (_, first), (_, second) = by_part(whole, parts)
    assert (first.powers, second.powers) == ([2.0, 3.0], [3.0, 2.0])
    np.testing.assert_array_equal(second.label_confidences, whole.label_confidences[rows])


def test_each_record_comes_once_where_there_are_no_shares(tiny_dataset, other):
    job = Job.open(options(tiny_dataset, other, None))
    order, records = job.training.order, job.training.reader.num_records
    assert sorted(order.records(1, 0, records)) == list(range(records))


def test_the_same_dataset_twice(tiny_dataset):
    with pytest.raises(UsageError, match="Name it once; --shares says"):
        Job.open(options(tiny_dataset, tiny_dataset, None))


@pytest.mark.parametrize(
    ("more", "shares", "message"),
    [
        ((), (1.0,), "--shares needs several datasets: `train A B --shares 3,1`."),
        (("b",), (1.0,), "--shares must be 2 numbers above 0, one for each dataset, got 1."),
        (("b",), (1.0, 0.0), "--shares must be 2 numbers above 0, one for each dataset, got 1,0."),
    ],
)
def test_shares_that_do_not_fit(more, shares, message):
    with pytest.raises(UsageError) as caught:
        TrainConfig(dataset="a", more_datasets=more, shares=shares)
    assert str(caught.value) == message


@dataclass
class Opened:
    """What `common_info` asks of an open dataset."""

    path: str
    info: object


def with_classes(info, *classes):
    """Returns a description with one vocabulary."""
    vocabularies = {next(iter(info.vocabularies)): classes}
    outputs = dict.fromkeys(info.outputs, next(iter(vocabularies)))
    return replace(info, vocabularies=vocabularies, outputs=outputs)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ("abc", "ab", None),  # what `--vocabulary a --add-classes` makes
        ("ab", "abc", None),
        (
            "abc",
            "bc",
            "b: its classes of y0 are not the first ones of a: their order is another. Convert it "
            "again with --vocabulary a.",
        ),
        (
            "abc",
            "ax",
            "b: its classes of y0 are not the first ones of a: 'x' is none of them. Convert it "
            "again with --vocabulary a --add-classes.",
        ),
    ],
)
def test_classes_must_have_the_same_indices(ours, theirs, message, tiny_dataset):
    info = open_dataset(str(tiny_dataset)).info
    a, b = (Opened(n, with_classes(info, *c)) for n, c in (("a", ours), ("b", theirs)))
    if message is None:
        assert next(iter(common_info([a, b]).classes.values())) == ("a", "b", "c")
        return
    with pytest.raises(UsageError) as caught:
        common_info([a, b])
    assert str(caught.value) == message


def test_images_and_outputs_must_be_the_same(tiny_dataset):
    info = open_dataset(str(tiny_dataset)).info
    for other, problem in (
        (
            replace(info, image=replace(info.image, size=(32, 16))),
            "its image size (16, 32, 3) is not that of a: (16, 64, 3). Convert it with "
            "--size 64 16 --channels 3.",
        ),
        (
            replace(info, outputs=dict(list(info.outputs.items())[:3])),
            "its outputs ['y0', 'y1', 'y2'] is not that of a: ['y0', 'y1', 'y2', 'y3']. Convert "
            "it with labels of the same outputs and --vocabulary a.",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            common_info([Opened("a", info), Opened("b", other)])
        assert str(caught.value) == f"b: {problem}"


def test_shards_of_equal_names_are_told_apart():
    met = [{"shard": "a/s-0", "record": 1}, {"shard": "b/s-0", "record": 1}]
    journal = Journal()
    assert len(journal.note_bad_records(met, 2)) == 2
    assert [row["shard"] for row in journal.bad_records] == ["a/s-0", "b/s-0"]
    assert not journal.note_bad_records(met, 2)
    alone = Journal()
    alone.note_bad_records(met, 1)
    assert {row["shard"] for row in alone.bad_records} == {"s-0"}
