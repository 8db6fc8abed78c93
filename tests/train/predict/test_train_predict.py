"""`train predict` reads every kind of input, in order, and tells what it cannot read."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE
from convert_cases import png, write_manifest
from predict_cases import predict
from reading_cases import calibrated_copy, probabilities_of, sure_of
from timed_lines import untimed
from train_cases import run_main

from train.errors import FormatError, UsageError
from train.evaluation.calibration_file import read_calibration
from train.input.open_source import open_source
from train.records.texts import text_of
from train.runs.folder import RunFolder


@pytest.fixture(scope="session")
def validation(tiny_dataset):
    """Images, labels and manifest rows of the 30 records."""
    source = open_source(str(tiny_dataset), "validation", 30)
    images, *labels = source.batch(0, 0)
    return images, np.stack(labels, axis=1), source.reader.rows(np.arange(30)).tolist()


@pytest.fixture(scope="session")
def texts(untrained_run, validation) -> list[str]:
    """What the network reads in the records."""
    info = untrained_run.dataset_info()
    found = probabilities_of(untrained_run, validation[0])
    classes = np.stack([found[name].argmax(axis=1) for name in info.outputs], axis=1)
    read = [text_of(row, info) for row in classes.tolist()]
    assert len(set(read)) > 10  # so that two images mixed up are seen
    return read


@pytest.fixture(scope="session")
def sources(validation, sample_rows) -> list[str]:
    """The records' image files."""
    return [str(SAMPLE / sample_rows[row]["path"]) for row in validation[2]]


def test_files_are_read_as_their_records(untrained_run, texts, sources, tmp_path):
    result, rows = predict(untrained_run, tmp_path, images=tuple(sources), batch_size=7)
    assert [row["path"] for row in rows] == sources
    assert [row["text"] for row in rows] == texts
    assert list(rows[0]) == ["path", "text", "confidence", "error", "confidences"]
    assert (result.images, result.errors, result.accuracy) == (30, 0, None)


def test_a_split_is_read_with_its_truth(untrained_run, validation, texts, sample_rows, tmp_path):
    result, rows = predict(untrained_run, tmp_path, split="validation", batch_size=8)
    info = untrained_run.dataset_info()
    truths = [text_of(row, info) for row in validation[1].tolist()]
    assert [row["text"] for row in rows] == texts
    assert [row["truth"] for row in rows] == truths
    right = [a == b for a, b in zip(texts, truths, strict=True)]
    assert [row["right"] for row in rows] == [str(int(value)) for value in right]
    assert [row["path"] for row in rows] == [sample_rows[row]["path"] for row in validation[2]]
    share = np.mean([a == b for t, r in zip(truths, texts, strict=True) for a, b in zip(t, r)])  # noqa: B905
    assert result.accuracy == (
        f"exact {np.mean(right):.1%}, characters {share:.1%} of 30 images with a label"
    )


def test_a_split_of_an_older_dataset_names_its_sources_by_the_manifest(
    untrained_run, validation, sample_rows, tiny_dataset, small_manifest, tmp_path
):
    old = tmp_path / "old"
    shutil.copytree(tiny_dataset, old)
    (old / "sources.parquet").unlink()
    named = {"dataset": str(old), "split": "validation", "format": "jsonl"}
    _, rows = predict(untrained_run, tmp_path, **named, manifest=str(small_manifest))
    assert [row["path"] for row in rows] == [sample_rows[row]["path"] for row in validation[2]]
    _, rows = predict(untrained_run, tmp_path, **named)
    shard = old / "images-validation.tfrecord-00000-of-00001"
    assert [row["path"] for row in rows] == [f"{shard}#{number}" for number in range(30)]


def test_a_manifest_is_read_with_its_truth(untrained_run, small_manifest, sample_rows, tmp_path):
    result, rows = predict(
        untrained_run, tmp_path, manifest=str(small_manifest), root=str(SAMPLE), batch_size=50
    )
    assert [row["path"] for row in rows] == [row["path"] for row in sample_rows[:120]]
    assert [row["truth"] for row in rows] == [
        "".join(row[f"y{i}"] for i in range(4)) for row in sample_rows[:120]
    ]
    assert "of 120 images with a label" in result.accuracy


def test_a_manifest_of_paths_alone_has_no_truth(untrained_run, sources, texts, tmp_path):
    manifest = write_manifest(tmp_path / "m.csv", ["path"], [[path] for path in sources])
    result, rows = predict(untrained_run, tmp_path, manifest=str(manifest), root="/")
    assert [row["text"] for row in rows] == texts
    assert "truth" not in rows[0]
    assert result.accuracy is None


def test_rows_without_a_known_label(untrained_run, sources, sample_rows, tmp_path):
    header = ["path", "y0", "y1", "y2", "y3"]
    rows = [[sources[0], "", "a", "b", "c"], [sources[0], "☃", "a", "b", "c"]]
    manifest = write_manifest(tmp_path / "m.csv", header, [*rows, ["", "a", "b", "c", "d"]])
    result, found = predict(
        untrained_run, tmp_path, manifest=str(manifest), root="/", format="jsonl"
    )
    assert [(row["truth"], row["right"]) for row in found] == [
        (None, None),  # a label is missing
        ("☃abc", False),  # a class that the run does not know cannot be read
        ("abcd", None),
    ]
    assert found[2]["error"] == "path_missing: the path is empty"
    assert "of 1 images with a label" in result.accuracy


def test_probabilities_and_alternatives(untrained_run, validation, sources, tmp_path):
    info = untrained_run.dataset_info()
    _, rows = predict(untrained_run, tmp_path, images=tuple(sources), format="jsonl", top_k=3)
    _, table = predict(untrained_run, tmp_path, images=tuple(sources), top_k=3)
    expected = probabilities_of(untrained_run, validation[0])
    for index, (row, cells) in enumerate(zip(rows, table, strict=True)):
        assert [c["output"] for c in row["characters"]] == list(info.outputs)
        product = 1.0
        shown = []
        for (name, classes), character in zip(info.classes.items(), row["characters"], strict=True):
            values = expected[name][index]
            order = np.argsort(-values, kind="stable")[:3]
            product *= values[order[0]]
            assert [top["class"] for top in character["top"]] == [classes[i] for i in order]
            assert np.allclose(
                [t["confidence"] for t in character["top"]], values[order], atol=2e-5
            )
            assert character["class"] == character["top"][0]["class"]
            shown.append("|".join(f"{t['class']}:{t['confidence']:.4f}" for t in character["top"]))
        assert row["confidence"] == pytest.approx(product, abs=2e-5)
        assert len(cells["confidences"].split(" ")) == len(info.outputs)
        assert [part.split(":")[0] for part in cells["alternatives"].split(" ")] == [
            part.split(":")[0] for part in shown
        ]


def test_folders_globs_and_lists(untrained_run, sources, texts, tmp_path, monkeypatch):
    """Sorted, recursive, without hidden names; what is no image is a row."""
    names = ["b/2.png", "b/10.png", "a.png", "c/d/e.png", "z[1].png", ".hidden.png", ".h/x.png"]
    for name, source in zip(names, sources, strict=False):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setattr("sys.stdin", io.StringIO("c\n\na.png\nb/*.png\n"))
    read = dict(zip(names, texts, strict=False))

    def rows(*words):
        _, found = predict(untrained_run, tmp_path, images=words)
        assert all(
            row["text"] == read[row["path"].removeprefix("./")] for row in found if not row["error"]
        )
        return [row["path"] for row in found]

    everything = ["a.png", "b/10.png", "b/2.png", "c/d/e.png", "notes.txt", "z[1].png"]
    assert rows(".") == [f"./{name}" for name in everything]
    assert rows("**") == everything
    assert rows("**/*.png", "a.png") == [*(n for n in everything if n != "notes.txt"), "a.png"]
    assert rows("?") == ["b/10.png", "b/2.png", "c/d/e.png"]
    assert rows("z[1].png") == ["z[1].png"]  # a name, though it looks like a glob
    assert rows("nothing*") == ["nothing*"]
    assert rows("-", "a.png") == ["c/d/e.png", "a.png", "b/10.png", "b/2.png", "a.png"]


def test_bad_images_are_rows(untrained_run, sources, texts, tmp_path):
    (tmp_path / "cut.png").write_bytes(Path(sources[0]).read_bytes()[:300])
    (tmp_path / "empty.png").touch()
    (tmp_path / "small.png").write_bytes(png())
    bad = ["cut.png", "empty.png", "small.png", "missing.png", "."]
    mixed = [str(tmp_path / bad[0]), sources[0], *(str(tmp_path / n) for n in bad[1:4]), sources[1]]
    result, rows = predict(untrained_run, tmp_path, images=tuple(mixed), batch_size=2)
    assert [row["error"].partition(":")[0] for row in rows] == [
        "truncated", "", "empty_file", "box_outside", "missing", "",
    ]  # fmt: skip
    assert [row["text"] for row in rows] == ["", texts[0], "", "", "", texts[1]]
    assert [row["confidence"] == "" for row in rows] == [bool(row["error"]) for row in rows]
    assert (result.images, result.errors) == (6, 4)
    assert result.summary.endswith(", 4 could not be read; see `error`")


def test_an_image_beyond_memory_is_a_row(untrained_run, sources, tmp_path, monkeypatch):
    def render(*_):
        raise MemoryError

    monkeypatch.setattr("train.predict.sources.image_files.render", render)
    _, rows = predict(untrained_run, tmp_path, images=(sources[0],), format="jsonl")
    assert rows[0]["error"] == "too_large: it does not fit in memory"
    assert (rows[0]["text"], rows[0]["confidence"], rows[0]["characters"]) == (None, None, [])


def test_a_bad_record_is_a_row(untrained_run, tiny_dataset, texts, tmp_path):
    copy = tmp_path / "strips"
    shutil.copytree(tiny_dataset, copy)
    shard = copy / "images-validation.tfrecord-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[len(data) // 30 * 3 + 500] ^= 1
    shard.write_bytes(data)
    result, rows = predict(untrained_run, tmp_path, dataset=str(copy), split="validation")
    assert rows[3]["error"].endswith(" is damaged: its CRC is wrong. Restore the file from a copy, "
                                     "or convert again with --overwrite.")  # fmt: skip
    assert [row["text"] for row in rows] == [*texts[:3], "", *texts[4:]]
    assert result.errors == 1


def test_the_command(untrained_run, texts, sources, tmp_path, capfd):
    assert run_main("predict", untrained_run.path, *sources[:2], tmp_path / "none.png") == 0
    captured = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["text"] for row in rows] == [*texts[:2], ""]
    assert untimed(captured.err).startswith("train: 3 images in ")
    assert run_main("predict", untrained_run.path, tmp_path / "none.png") == 1
    captured = capfd.readouterr()
    assert (
        run_main("predict", untrained_run.path, "--split", "validation", "--format", "jsonl") == 0
    )
    captured = capfd.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == texts
    assert untimed(captured.err).splitlines()[1].startswith("train: exact ")


@pytest.fixture(scope="session")
def calibrated_run(untrained_run, tmp_path_factory):
    """Its evidence: of 300 records from 0.9 on none was misread, of all 400 there were 50."""
    return calibrated_copy(untrained_run, tmp_path_factory.mktemp("calibrated") / "run")


def test_confidences_are_calibrated_and_texts_stay(calibrated_run, texts, validation, tmp_path):
    scale = read_calibration(calibrated_run).scale
    found = probabilities_of(calibrated_run, validation[0])
    _, rows = predict(calibrated_run, tmp_path, split="validation", format="jsonl", top_k=2)
    assert [row["text"] for row in rows] == texts
    assert [row["confidence"] for row in rows] == pytest.approx(sure_of(found, scale), abs=1e-4)
    for row in rows:
        for character in row["characters"]:
            first, second = (top["confidence"] for top in character["top"])
            assert first == character["confidence"] >= second


@pytest.mark.parametrize(
    ("asked", "threshold"), [({"threshold": 0.8}, 0.8), ({"accept": 0.99}, 0.9)]
)
def test_what_is_sure_enough_is_accepted(asked, threshold, calibrated_run, sources, tmp_path):
    images = (*sources, str(tmp_path / "missing.png"))
    result, rows = predict(calibrated_run, tmp_path, images=images, format="jsonl", **asked)
    expected = [row["error"] is None and row["confidence"] >= threshold for row in rows]
    assert [row["accept"] for row in rows] == ["accept" if x else "review" for x in expected]
    assert 0 < sum(expected) < 30
    _, table = predict(calibrated_run, tmp_path, images=images, **asked)
    assert [row["accept"] for row in table] == [row["accept"] for row in rows]
    start = f"accepted {sum(expected)} of 31, from a confidence of {threshold}"
    reason = (
        ", where 0 of 300 validation records were misread: at least 99.01% exact, with 95% "
        "confidence"
    )
    assert result.accepted == start + (reason if "accept" in asked else "")


def test_no_promise_without_evidence(untrained_run, calibrated_run, sources, tmp_path):
    with pytest.raises(UsageError) as caught:
        predict(calibrated_run, tmp_path, images=(sources[0],), accept=0.995)
    assert str(caught.value) == (
        f"{calibrated_run.path}: cannot say from which confidence 99.5% are exact: too few records "
        "to say: 400, and it takes 598. Ask for less, validate on more records, or choose a "
        "--threshold yourself."
    )
    with pytest.raises(UsageError) as caught:
        predict(untrained_run, tmp_path, images=(sources[0],), accept=0.9)
    assert str(caught.value) == (
        f"{untrained_run.path}: cannot say from which confidence 90% are exact: nothing was fitted "
        f"yet; `train resume {untrained_run.path}` does it. Choose a --threshold yourself."
    )


def test_a_damaged_calibration_is_one_line(untrained_run, sources, tmp_path):
    run = RunFolder(str(shutil.copytree(untrained_run.path, tmp_path / "run")))
    run.add_to_model("best.keras", b'{"records": "many"}')
    with pytest.raises(FormatError) as caught:
        predict(run, tmp_path, images=(sources[0],))
    assert str(caught.value) == (
        f"{run.path}/best.keras: its calibration cannot be read: it does not say how many "
        "records it is of. Restore it, or train again."
    )


def test_a_trained_run_is_calibrated_from_end_to_end(run, small_dataset, tmp_path):
    """Its network has operations of its own, whose names no other may take."""
    folder = RunFolder.open(str(run[0]))
    images = open_source(str(small_dataset), "validation", 30).batch(0, 0)[0]
    _, rows = predict(folder, tmp_path, split="validation", format="jsonl")
    expected = sure_of(probabilities_of(folder, images), read_calibration(folder).scale)
    assert [row["confidence"] for row in rows] == pytest.approx(expected, abs=2e-6, rel=1e-3)
