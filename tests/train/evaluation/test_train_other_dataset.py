"""A run and a dataset that is not its own: refused where it was not named, told where it was."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from convert_cases import convert, draw_sources
from reading_cases import untrained_run
from train_cases import train

from convert.dataset.read import read_dataset
from convert.errors import UsageError
from train.cli.evaluate import evaluation_json, evaluation_lines
from train.config import TrainConfig
from train.errors import MismatchError, RecordError, ReplacedError
from train.evaluation import seen_images as module
from train.evaluation.evaluate_run import RunEvaluation, evaluate_run
from train.evaluation.seen_images import write_seen
from train.export.config import ExportConfig
from train.export.write_and_check import export_run
from train.input.open_source import open_source
from train.predict.config import PredictConfig
from train.predict.pipeline import predict_images
from train.runs.folder import RunFolder
from train.training.resuming.resume import resume_training

SPLIT = (("train", 0.6), ("validation", 0.4))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset `ds`, a run `run` of it, and `other`: the same images in other splits."""
    folder = tmp_path_factory.mktemp("original")
    manifest = draw_sources(folder, 60)
    convert(manifest, folder / "ds", split=SPLIT)
    convert(manifest, folder / "other", split=SPLIT, seed=7)
    convert(manifest, folder / "encoded", split=SPLIT, seed=7, encoding="png")
    untrained_run(folder / "run", folder / "ds")
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> SimpleNamespace:
    """A copy; its run was trained on its `ds`."""
    for name in ("ds", "other", "encoded", "run"):
        shutil.copytree(original / name, tmp_path / name)
    config = json.loads((tmp_path / "run/config.json").read_text())
    (tmp_path / "run/config.json").write_text(json.dumps({**config, "dataset": f"{tmp_path}/ds"}))
    return SimpleNamespace(path=tmp_path, run=RunFolder.open(str(tmp_path / "run")))


def replace(place: SimpleNamespace) -> None:
    """Puts the other dataset in the place of the run's own."""
    (place.path / "ds").rename(place.path / "original")
    shutil.copytree(place.path / "other", place.path / "ds")


def rows(dataset: Path, split: str) -> set[int]:
    reader = open_source(str(dataset), split, 1, shuffle=False).reader
    return set(reader.rows(np.arange(reader.num_records)).tolist())


def overlap(place: SimpleNamespace, split: str = "validation") -> int:
    """Counts by the manifest's rows, which the two datasets share."""
    own = next(p for p in (place.path / "original", place.path / "ds") if p.exists())
    return len(rows(own, "train") & rows(place.path / "other", split))


def remember(place: SimpleNamespace) -> None:
    write_seen(place.run, open_source(f"{place.path}/ds", "train", 1, shuffle=False).reader)


def told(result: RunEvaluation) -> tuple[str, dict[str, object]]:
    """Returns the line of what was trained on, and what JSON has of it."""
    lines = [line for line in evaluation_lines(result) if line.startswith("trained on ")]
    values = evaluation_json("run", result, [])
    return "".join(lines), {key: values[key] for key in ("own_dataset", "trained_on")}


def uses(place: SimpleNamespace, verb: str, dataset: str | None) -> None:
    if verb == "evaluate":
        evaluate_run(place.run, dataset)
    elif verb == "predict":
        config = PredictConfig(
            split="validation", dataset=dataset, output=f"{place.path}/predictions"
        )
        predict_images(place.run, config)
    elif verb == "resume":
        resume_training(str(place.path / "run"), {})
    else:
        config = ExportConfig(formats=("keras",), output=f"{place.path}/reader", dataset=dataset)
        export_run(place.run, config)


@pytest.mark.parametrize(
    ("verb", "remedy"),
    [
        (
            "evaluate",
            "Name the original, or this one to evaluate on it all the same: "
            "`train evaluate RUN DATASET`.",
        ),
        ("predict", "Name the original with --dataset, or this one to read it all the same."),
        ("export", "Say where the run's dataset is with --dataset."),
    ],
)
def test_another_dataset_in_the_place_of_the_runs_own(place, verb, remedy):
    replace(place)
    with pytest.raises(MismatchError) as caught:
        uses(place, verb, None)
    ours, theirs = (read_dataset(f"{place.path}/{n}").dataset_id[:8] for n in ("original", "ds"))
    where = f"dataset in {place.path}/ds:"
    assert str(caught.value).split("\n") == [
        "these shards are not the ones this run was started on.",
        f"  {'dataset of the run:':{len(where)}}  {ours} (60 records, 16 classes)",
        f"  {where}  {theirs} (60 records, 16 classes)",
        remedy,
    ]
    for name in ("ds", "original"):
        uses(place, verb, f"{place.path}/{name}")


MODULES = [
    ("evaluate", "train.evaluation.evaluate_run"),
    ("predict", "train.predict.sources.split_records"),
    ("export", "train.export.parity"),
]


@pytest.mark.parametrize(("verb", "module"), MODULES)
def test_a_dataset_that_is_replaced_after_it_was_compared(place, verb, module, monkeypatch):
    """What was compared is what is read: one folder."""
    read = []

    def replace_first(*arguments, **options):
        replace(place)
        source = open_source(*arguments, **options)
        read.append(source.reader)
        return source

    own = read_dataset(f"{place.path}/ds")
    monkeypatch.setattr(f"{module}.open_source", replace_first)
    uses(place, verb, None)
    (reader,) = read
    assert reader._info == own
    found = set(reader.rows(np.arange(reader.num_records)).tolist())
    assert found == rows(place.path / "original", "validation")
    assert found != rows(place.path / "ds", "validation")


def replaced_meanwhile(place):
    """Returns a function that finds the run's own dataset replaced while it reads."""

    def look(*_, **__):
        replace(place)
        raise ReplacedError(f"{place.path}/ds: was replaced. Run the same command again.")

    return look


@pytest.mark.parametrize(("verb", "module"), [*MODULES, ("resume", "train.training.job")])
def test_the_runs_own_dataset_is_replaced_while_it_is_read(place, verb, module, monkeypatch):
    """The error is that of the same command, run again: another dataset, exit code 2."""
    opener = "open_source"
    if verb == "resume":
        complete_options(place)
        opener = "open_batches"
    monkeypatch.setattr(f"{module}.{opener}", replaced_meanwhile(place))
    errors = []
    for _ in range(2):
        with pytest.raises(MismatchError) as caught:
            uses(place, verb, None)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert errors[0].startswith("these shards are not the ones this run was started on.\n")


def test_a_named_dataset_that_is_replaced_can_be_read_again(place, monkeypatch):
    monkeypatch.setattr("train.evaluation.evaluate_run.open_source", replaced_meanwhile(place))
    with pytest.raises(ReplacedError):
        uses(place, "evaluate", f"{place.path}/ds")


def complete_options(place):
    """Gives the run's config.json the options that a resume needs."""
    path = place.path / "run/config.json"
    options = asdict(TrainConfig(dataset=f"{place.path}/ds", precision="float32", head="shared"))
    path.write_text(json.dumps({**options, **json.loads(path.read_text())}))


def test_a_resume_reads_the_dataset_that_it_compared(place, monkeypatch):
    class OpenedError(Exception):
        """Ends the resume: the dataset is open."""

    def replace_then_find_none(*_):
        replace(place)

    def look(config, dataset, team):
        source = open_source(dataset, "validation", 1, shuffle=False)
        found.update(source.reader.rows(np.arange(source.reader.num_records)).tolist())
        raise OpenedError

    found: set[int] = set()
    complete_options(place)
    monkeypatch.setattr("train.training.resuming.resume._newest", replace_then_find_none)
    monkeypatch.setattr("train.training.resuming.resume.Job.open", look)
    with pytest.raises(OpenedError):
        resume_training(str(place.path / "run"), {})
    assert found == rows(place.path / "original", "validation")


@pytest.mark.parametrize("dataset", [None, "ds", "moved"])
def test_the_runs_own_dataset_is_not_compared(place, dataset):
    shutil.copytree(place.path / "ds", place.path / "moved")
    result = evaluate_run(place.run, dataset and f"{place.path}/{dataset}")
    assert told(result) == ("", {"own_dataset": True, "trained_on": None})


@pytest.mark.parametrize("name", ["other", "encoded"])
@pytest.mark.parametrize("remembers", [False, True])
def test_another_dataset_says_what_was_trained_on(place, name, remembers):
    if remembers:
        remember(place)
        replace(place)
    count = overlap(place)
    assert 0 < count < len(rows(place.path / "other", "validation"))
    result = evaluate_run(place.run, f"{place.path}/{name}")
    line = (
        f"trained on          {count} of {len(result.evaluation.labels)} records, whose pictures "
        "are in the run's own training split"
    )
    assert told(result) == (line, {"own_dataset": False, "trained_on": count})


@pytest.mark.parametrize(
    "damage", ["none", "text", "archive", "vast", "longer", "a pipe", "floats", "objects"]
)
def test_what_was_trained_on_is_not_known_any_more(place, damage):
    replace(place)
    path = place.path / "run/training_images.npy"
    if damage == "text":
        path.write_text("?")
    elif damage == "archive":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(1, "<u8"))
    elif damage == "vast":
        np.save(path, np.arange(9, dtype="<u8"))
        os.truncate(path, 1 << 40)
    elif damage == "longer":  # than the training split
        np.save(path, np.arange(10_000, dtype="<u8"))
    elif damage == "a pipe":
        os.mkfifo(path)
    elif damage != "none":
        kind = float if damage == "floats" else object
        np.save(path, np.array([1, 2], kind), allow_pickle=True)
    result = evaluate_run(place.run, f"{place.path}/other")
    assert told(result) == (
        "trained on          not known: this is not the run's dataset, and that one is not there "
        "any more",
        {"own_dataset": False, "trained_on": None},
    )


@pytest.mark.parametrize("reason", ["too large", "damaged"])
def test_a_training_split_that_is_not_remembered(place, reason, monkeypatch):
    remember(place)
    if reason == "too large":
        num_bytes = len(rows(place.path / "ds", "train")) * 12 * 8 * 3
        monkeypatch.setattr(module, "_MOST_RAW_BYTES", num_bytes)
        remember(place)
        assert (place.path / "run/training_images.npy").exists()
        monkeypatch.setattr(module, "_MOST_RAW_BYTES", num_bytes - 1)
        monkeypatch.setattr(module, "digests_of", lambda *_: pytest.fail("was read"))
    else:

        def fail(*_: object) -> None:
            raise RecordError("damaged")

        monkeypatch.setattr(module, "digests_of", fail)
    remember(place)
    assert not (place.path / "run/training_images.npy").exists()


def test_a_training_remembers(place):
    words = ("--run", "new", "--epochs", 1, "--model", "cnn", "--width", 0.125, "--batch-size", 8)
    code, _, errors = train("ds", *words, cwd=place.path)
    assert code == 0, errors
    found = np.load(place.path / "new/training_images.npy")
    assert len(found) == len(rows(place.path / "ds", "train"))
    assert found.dtype == np.uint64
    replace(place)
    code, _, errors = train("evaluate", "new", cwd=place.path)
    assert (code, errors[0]) == (
        2, "train: error: these shards are not the ones this run was started on."
    )  # fmt: skip
    code, lines, errors = train("evaluate", "new", "other", "--json", cwd=place.path)
    assert code == 0, errors
    assert json.loads(lines[-1])["trained_on"] == overlap(place)


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_a_dataset_of_the_first_classes_is_read(place, verb):
    """As a dataset that others grew from: `convert --vocabulary DATASET --add-classes`."""
    file = place.path / "run/dataset.json"
    file.write_text(file.read_text().replace('"f"', '"f", "new"'))
    uses(place, verb, f"{place.path}/other")
    if verb == "evaluate":
        found = evaluate_run(place.run, f"{place.path}/other")
        assert found.info.classes == read_dataset(f"{place.path}/run").classes
        assert found.dataset_id == read_dataset(f"{place.path}/other").dataset_id


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('"a"', '"z"', "its classes are not those of the run. Convert it with --vocabulary "),
        ('"f"', '"f", "g"', "its classes [17, 17] are not the run's [16, 16]. "),
        ('"name": "y1"', '"name": "b"', "its outputs ['y0', 'b'] are not the run's ['y0', 'y1']. "),
    ],
)
def test_a_dataset_of_other_labels_is_refused(place, verb, before, after, problem):
    file = place.path / "other/dataset.json"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    with pytest.raises(UsageError) as caught:
        uses(place, verb, f"{place.path}/other")
    assert str(caught.value).startswith(f"{place.path}/other: {problem}")
