"""`train audit`: every record judged, by runs that have not seen it if there are folds."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import forked
import numpy as np
import pytest
from conftest import SAMPLE
from convert_cases import convert
from train_cases import BASE, learn, train

from train.audit.audit import audit_run
from train.audit.config import AuditConfig
from train.audit.fold_runs import fold_options
from train.audit.twin_images import looks_of
from train.errors import FormatError, MismatchError, UsageError
from train.evaluation.evaluate_run import evaluate_run
from train.records.folds import Fold
from train.runs.folder import RunFolder
from train.training.resuming.resume import resume_training

SUPPORT = Path(__file__).parents[2] / "support"
KILLED = (
    f"import sys; sys.path.insert(0, {str(SUPPORT)!r})\n"
    "from killed_training import kill_after, use_a_counting_clock\n"
    "use_a_counting_clock(); kill_after(int(sys.argv.pop(1)))\n" + forked.TRAIN
)


def copied(run: RunFolder, folder: Path) -> RunFolder:
    return RunFolder.open(str(shutil.copytree(run.path, folder / "run")))


def rows_of(folder) -> list[dict[str, str]]:
    with open(Path(folder) / "audit" / "audit.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def audited(tiny_dataset, untrained_run, tmp_path_factory):
    """A copy of a run, and what its audit came to."""
    run = copied(untrained_run, tmp_path_factory.mktemp("audited"))
    return run, audit_run(run, AuditConfig(pictures=10))


def test_every_record_is_in_the_table(audited, sample_rows):
    run, result = audited
    rows = rows_of(run.path)
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 121)]
    assert sorted(int(row["row"]) for row in rows) == [*range(120)]
    beliefs = [float(row["belief"]) for row in rows]
    assert beliefs == sorted(beliefs)
    for row in rows:
        source = sample_rows[int(row["row"])]
        assert row["path"] == source["path"]
        assert row["label"] == "".join(source[f"y{i}"] for i in range(4))
        assert row["split"] == ("train" if int(row["row"]) < 90 else "validation")
        assert row["seen"] == ("1" if row["split"] == "train" else "0")
        assert (row["judge"], row["same_picture"]) == ("run", "")
        differs = [f"y{i}" for i in range(4) if row["label"][i] != row["suggestion"][i]]
        assert row["differs"].split() == differs
        assert min(map(float, row["beliefs"].split())) == float(row["belief"])
    suspected = [row for row in rows if row["suspected"] == "1"]
    assert len(suspected) == result.to_json()["suspected"]
    assert result.to_json()["seen"] == 90


def test_it_reads_what_evaluate_reads(audited, tiny_dataset):
    run, result = audited
    judged = result.found.judgement
    evaluation = evaluate_run(run, split="validation").evaluation
    here = judged.split == list(result.found.info.splits).index("validation")
    np.testing.assert_array_equal(judged.readings[here], evaluation.predictions)
    np.testing.assert_allclose(judged.confidences[here], evaluation.confidences, rtol=1e-5)
    right = judged.labels == judged.readings
    np.testing.assert_allclose(judged.beliefs[right], judged.confidences[right], rtol=1e-4)
    assert (judged.beliefs <= judged.confidences * 1.0001).all()


def test_same_pictures_with_different_labels_are_found(untrained_run, tiny_dataset, tmp_path):
    """In another dataset, whose records are known by their pictures."""
    manifest = tmp_path / "m.csv"
    with (SAMPLE / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    swapped = [*lines[1][:1], *lines[1][1:][::-1]]
    manifest.write_text(
        "".join(",".join(line) + "\n" for line in [lines[0], *lines[1:25], swapped]),
        encoding="utf-8",
    )
    other = tmp_path / "other"
    convert(
        manifest, other, root=str(SAMPLE), crop=(186, 0, 300, 30), size=(64, 16),
        split=(("train", 1.0),), vocabulary=(str(tiny_dataset),), max_bad_fraction=1.0,
    )  # fmt: skip
    run = copied(untrained_run, tmp_path)
    result = audit_run(run, AuditConfig(dataset=str(other)))
    found = result.found
    (pair,) = found.twins
    assert pair.is_equal
    assert sorted(found.judgement.row[[pair.first, pair.second]].tolist()) == [0, 24]
    assert result.folder == f"{run.path}/audit/{found.info.dataset_id[:8]}"
    assert found.num_seen == 25
    with pytest.raises(UsageError, match="is not the run's own dataset, and --folds judges"):
        audit_run(run, AuditConfig(dataset=str(other), folds=2))


def test_what_an_audit_says(audited):
    _, result = audited
    lines = result.lines()
    assert lines[0] == (
        "120 records judged, 90 of them by the run that was trained on them; "
        "--folds 3 lets others judge these"
    )
    assert " labels are suspected to be wrong, " in lines[1]
    first = rows_of(result.folder + "/..")[0]
    assert lines[2].startswith(
        f"{first['path']} (row {first['row']}): labelled {first['label']}, read as "
    )
    unknown = replace(result, found=replace(result.found, is_seen=None))
    assert unknown.lines()[0].endswith("which of them the run was trained on is not known")
    assert unknown.to_json()["seen"] is None


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory):
    return learn(tiny_dataset, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def folded(trained, tmp_path_factory):
    """A run that was audited with two folds, what was said and what it came to."""
    run, said = copied(trained, tmp_path_factory.mktemp("folded")), []
    return run, said, audit_run(run, AuditConfig(folds=2), said.append)


def test_folds_judge_what_they_have_not_seen(folded):
    run, said, result = folded
    found = result.to_json()
    assert (found["folds"], found["seen"], found["records"]) == (2, 0, 120)
    judged = result.found.judgement
    for number in (1, 2):
        fold = RunFolder.open(f"{result.folder}/fold-{number}-of-2")
        assert (fold.config()["leave_out"], fold.config()["epochs"]) == (f"{number}/2", 2)
        here = judged.fold == number
        assert judged.record[here].tolist() == Fold(number - 1, 2).members(90).tolist()
        seen = np.load(fold.file("training_images.npy"))
        looks = looks_of(result.found.sources["train"].reader)
        assert len(seen) == 45
        assert not np.isin(looks.digests[judged.record[here]], seen).any()
        evaluation = evaluate_run(fold, split="validation").evaluation
        assert len(evaluation.labels) == 30
        assert any(line.startswith(f"fold {number}/2: {fold.path}: 45 images") for line in said)
    rows = rows_of(run.path)
    assert {row["judge"] for row in rows if row["split"] == "validation"} == {"run"}
    assert {row["judge"] for row in rows if row["split"] == "train"} == {"fold 1", "fold 2"}
    assert {row["seen"] for row in rows} == {"0"}
    assert result.lines()[0] == (
        "120 records judged, those of the training split by 2 runs that had not seen them"
    )


def test_folds_are_trained_once(folded):
    run, _, result = folded
    before, said = rows_of(run.path), []
    audit_run(run, AuditConfig(folds=2), said.append)
    assert said == [
        f"fold {k}/2: {result.folder}/fold-{k}-of-2 is complete: 2 epochs are done" for k in (1, 2)
    ]
    assert rows_of(run.path) == before


@pytest.mark.long
def test_folds_follow_a_run_that_was_trained_on(folded, tmp_path):
    run, said = copied(folded[0], tmp_path), []
    resume_training(run.path, {"epochs": 3})
    result = audit_run(run, AuditConfig(folds=2), said.append)
    for number in (1, 2):
        fold = RunFolder.open(f"{result.folder}/fold-{number}-of-2")
        assert (fold.config()["epochs"], len(fold.history())) == (6, 6)


@pytest.mark.long
def test_killed_amid_a_fold_it_goes_on(folded, trained, tmp_path):
    run, said = copied(trained, tmp_path), []
    done = forked.run(KILLED, "4", "audit", run.path, "--folds", "2", patience=600)
    assert done.returncode == -9, done.stderr
    first, second = (Path(run.file("audit")) / f"fold-{k}-of-2" for k in (1, 2))
    assert (first / "report.html").exists()
    assert (second / "config.json").exists()
    assert not Path(run.file("audit/audit.csv")).exists()
    audit_run(run, AuditConfig(folds=2), said.append)
    assert f"fold 1/2: {first} is complete: 2 epochs are done" in said
    assert any(line.startswith(f"fold 2/2: {second}: goes on in epoch ") for line in said), said
    whole = RunFolder.open(f"{folded[2].folder}/fold-2-of-2").load_model().get_weights()
    again = RunFolder.open(str(second)).load_model().get_weights()
    for ours, theirs in zip(whole, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert rows_of(run.path) == rows_of(folded[0].path)


def test_the_command(audited, tmp_path):
    run = copied(audited[0], tmp_path)
    code, stdout, stderr = train("audit", run.path, "--json")
    assert code == 0, stderr
    assert json.loads(stdout[-1]) == {
        **audited[1].to_json(), "run": run.path,
        "table": f"{run.path}/audit/audit.csv", "page": f"{run.path}/audit/audit.html",
    }  # fmt: skip
    assert stderr[-1] == (
        f"train: the table is in {run.path}/audit/audit.csv, "
        f"the page to decide on in {run.path}/audit/audit.html"
    )


def test_folds_take_as_many_steps_as_the_run():
    options = {**BASE, "dataset": "old", "epochs": 20, "max_minutes": 3.0, "seed": 7}
    config = fold_options(options, 2, 3, "new", "there")
    assert (config.epochs, config.leave_out, config.dataset, config.run) == (
        30,
        "2/3",
        "new",
        "there",
    )
    assert (config.max_minutes, config.seed, config.width) == (None, 7, BASE["width"])
    del options["epochs"]  # by another program
    assert fold_options(options, 2, 3, "new", "there").epochs == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overfit": 8}, "was trained with --overfit on a few records"),
        ({"weights": "old"}, "began with the weights of old, which may have seen what a fold"),
        (
            {"dataset_ids": ["own", "b"]},
            "was trained on 2 datasets, and --folds leaves out records",
        ),
        ({"model": "mine:build"}, "its model is built by mine:build, which is imported only if"),
    ],
)
def test_runs_that_have_no_folds(untrained_run, tmp_path, options, message):
    run = copied(untrained_run, tmp_path)
    if "dataset_ids" in options:
        options = {"dataset_ids": [run.config()["dataset_id"], "b"]}
    run.write_config({**run.config(), **options})
    with pytest.raises(UsageError, match=message):
        audit_run(run, AuditConfig(folds=2))


def test_another_dataset_in_the_place_of_the_runs(untrained_run, tmp_path):
    run = copied(untrained_run, tmp_path)
    run.write_config({**run.config(), "dataset_id": "0" * 64})
    with pytest.raises(MismatchError):
        audit_run(run, AuditConfig())


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_the_folders_place(untrained_run, tmp_path, kind):
    run = copied(untrained_run, tmp_path)
    place = Path(run.file("audit"))
    place.symlink_to(tmp_path) if kind == "link" else place.write_text("", encoding="utf-8")
    with pytest.raises(FormatError, match="audit: "):
        audit_run(run, AuditConfig())
