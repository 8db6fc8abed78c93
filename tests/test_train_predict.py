"""`train predict` reads every kind of input, in order, and tells what it cannot read."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE
from convert_cases import convert, draw_sources, encoded, png, write_manifest
from PIL import Image
from reading_cases import json_lines, probabilities_of, untrained_run

from train.cli import main
from train.errors import RecordError, UsageError
from train.evaluate import text_of
from train.loading import open_source
from train.predict.ahead import ready_batches
from train.predict.config import PredictConfig
from train.predict.inputs import Sample
from train.predict.run import predict_images


def predict(run, tmp_path, **options):
    """Returns the result and the rows that were written."""
    output = tmp_path / "predictions"
    result = predict_images(run, PredictConfig(output=str(output), workers=3, **options))
    text = output.read_text(encoding="utf-8")
    if options.get("format") == "jsonl":
        return result, json_lines(text)
    return result, list(csv.DictReader(io.StringIO(text)))


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


def test_a_split_is_read_with_its_truth(untrained_run, validation, texts, tiny_dataset, tmp_path):
    result, rows = predict(untrained_run, tmp_path, split="validation", batch_size=8)
    info = untrained_run.dataset_info()
    truths = [text_of(row, info) for row in validation[1].tolist()]
    assert [row["text"] for row in rows] == texts
    assert [row["truth"] for row in rows] == truths
    right = [a == b for a, b in zip(texts, truths, strict=True)]
    assert [row["right"] for row in rows] == [str(int(value)) for value in right]
    shard = tiny_dataset / "images-validation.tfrecord-00000-of-00001"
    assert [row["path"] for row in rows] == [f"{shard}#{number}" for number in range(30)]
    share = np.mean([a == b for t, r in zip(truths, texts, strict=True) for a, b in zip(t, r)])  # noqa: B905
    assert result.accuracy == (
        f"exact {np.mean(right):.1%}, characters {share:.1%} of 30 images with a label"
    )


def test_a_split_with_its_manifest_names_the_sources(
    untrained_run, validation, sample_rows, small_manifest, tmp_path
):
    _, rows = predict(
        untrained_run, tmp_path, split="validation", manifest=str(small_manifest), format="jsonl"
    )
    assert [row["path"] for row in rows] == [sample_rows[row]["path"] for row in validation[2]]


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


def test_more_alternatives_than_classes(tmp_path):
    """Outputs of different sizes tell as many as they have."""
    manifest = draw_sources(tmp_path, 20)
    (tmp_path / "two.txt").write_text("0\n1\n", encoding="utf-8")
    (tmp_path / "many.txt").write_text("\n".join("0123456789abcdef"), encoding="utf-8")
    files = (f"y0={tmp_path}/two.txt", f"y1={tmp_path}/many.txt")
    convert(manifest, tmp_path / "set", vocabulary=files, split=(("train", 1.0),))
    run = untrained_run(tmp_path / "run", tmp_path / "set")
    _, rows = predict(run, tmp_path, images=(str(tmp_path / "i/3.png"),), format="jsonl", top_k=5)
    assert [len(character["top"]) for character in rows[0]["characters"]] == [2, 5]


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

    monkeypatch.setattr("train.predict.files.render", render)
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


def test_rows_are_cropped_by_their_boxes(sample_rows, sources, tmp_path):
    """Where the run's images were; then files alone are refused."""
    header = ["path", "y0", "left", "top", "right", "bottom"]
    boxes = [
        ["186", "0", "300", "30"],
        ["100", "0", "214", "30"],
        ["5", "0", "4", "9"],
        ["", "0", "9", "9"],
    ]
    cells = [[sources[0], "abbb"[index], *box] for index, box in enumerate(boxes)]
    manifest = write_manifest(tmp_path / "m.csv", header, cells)
    options = {"root": "/", "size": (64, 16), "split": (("train", 1.0),), "max_bad_fraction": 1.0}
    convert(manifest, tmp_path / "set", **options)
    run = untrained_run(tmp_path / "run", tmp_path / "set")
    records = open_source(str(tmp_path / "set"), "train", 1, shuffle=False).reader
    images, _ = records.gather(np.arange(2))
    expected = {
        row: f"{values.max():.4f}"
        for row, values in zip(
            records.rows(np.arange(2)).tolist(), probabilities_of(run, images)["y0"], strict=True
        )
    }
    _, rows = predict(run, tmp_path, manifest=str(manifest), root="/")
    assert {index: rows[index]["confidences"] for index in (0, 1)} == expected
    message = "box_invalid: left, top, right, bottom must be whole numbers with left < right and "
    assert [row["error"] for row in rows[2:]] == [
        message + "top < bottom, got 5, 0, 4, 9",
        message + "top < bottom, got nothing, 0, 9, 9",
    ]
    with pytest.raises(UsageError, match="were cropped by boxes in their manifest"):
        predict(run, tmp_path, images=(sources[0],))
    plain = write_manifest(tmp_path / "plain.csv", ["path"], [[sources[0]]])
    with pytest.raises(UsageError, match=r"no column 'left' \(from the run's crop boxes\)"):
        predict(run, tmp_path, manifest=str(plain), root="/")


def test_the_truth_of_texts(tmp_path):
    """Short texts end in blanks, which do not count as characters."""
    draw_sources(tmp_path, 4)
    cells = [[f"i/{i}.png", text] for i, text in enumerate(["ab", "b", "abab", ""])]
    manifest = write_manifest(tmp_path / "t.csv", ["path", "text"], cells)
    convert(
        write_manifest(tmp_path / "u.csv", ["path", "text"], cells[:2]),
        tmp_path / "set", text_column="text", pad_label=True, split=(("train", 1.0),),
    )  # fmt: skip
    run = untrained_run(tmp_path / "run", tmp_path / "set")
    _, rows = predict(run, tmp_path, manifest=str(manifest), format="jsonl")
    assert [row["truth"] for row in rows] == ["ab", "b", "abab", None]
    assert rows[2]["right"] is False  # longer than any text that the run can read


def test_names_of_several_characters_are_joined_by_blanks(tmp_path):
    draw_sources(tmp_path, 4)
    cells = [[f"i/{i}.png", str(i % 2), "0"] for i in range(4)]
    manifest = write_manifest(tmp_path / "t.csv", ["path", "y0", "y1"], cells)
    (tmp_path / "v.txt").write_text("left\nright\n", encoding="utf-8")
    convert(
        manifest, tmp_path / "set", vocabulary=(str(tmp_path / "v.txt"),), labels_are_indices=True,
        split=(("train", 1.0),),
    )  # fmt: skip
    run = untrained_run(tmp_path / "run", tmp_path / "set")
    _, rows = predict(run, tmp_path, manifest=str(manifest))
    assert [row["truth"] for row in rows] == ["left left", "right left"] * 2
    assert {row["text"] for row in rows} <= {
        f"{a} {b}" for a in ("left", "right") for b in ("left", "right")
    }


def test_order_is_kept_whatever_thread_is_slow():
    def piece(number):
        def load():
            time.sleep(0.02 if number % 3 == 0 else 0)
            return [Sample(path=str(number), image=RecordError(""))]

        return load

    asked = []

    def batches():
        for first in range(0, 40, 4):
            asked.append(first)
            yield [piece(number) for number in range(first, first + 4)]

    ready = ready_batches(batches(), 8)
    found = next(ready)
    assert len(asked) == 3  # no more is under way: memory is bounded
    found += [sample for batch in ready for sample in batch]
    assert [sample.path for sample in found] == [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to read: name image files, folders or globs, or give --manifest or --split."),
        ({"images": ("a",), "manifest": "m"}, "images and --manifest exclude each other: give one "
         "of them."),
        ({"images": ("a",), "split": "test"}, "images and --split or --dataset exclude each other: "
         "give one of them."),
        ({"images": ("a",), "root": "/"}, "--root needs --manifest: only its paths are relative to "
         "a folder."),
        ({"images": ("a",), "top_k": -1}, "--top-k must be at least 0, got -1."),
        ({"images": ("a",), "batch_size": 0}, "--batch-size must be at least 1, got 0."),
        ({"images": ("a",), "workers": 0}, "--workers must be at least 1, got 0."),
        ({"images": ("a",), "format": "xml"}, "--format cannot be 'xml'."),
        ({"images": ("a",), "output": "no/where"}, "no/where: no folder no. Make it, or name "
         "another --output."),
        ({"images": ("a",), "output": "."}, ".: exists and is no file. Name another --output."),
    ],
)  # fmt: skip
def test_refusals(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        PredictConfig(**options)
    assert str(caught.value) == message


def test_a_dataset_that_does_not_fit_is_refused(untrained_run, small_dataset, tmp_path):
    with pytest.raises(UsageError, match="its image size"):
        predict(untrained_run, tmp_path, dataset=str(small_dataset))


def test_a_failed_output_leaves_nothing(untrained_run, sources, tmp_path, monkeypatch):
    output = tmp_path / "out.csv"
    output.write_text("older", encoding="utf-8")

    def read(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.predict.reader.BatchReader.read", read)
    with pytest.raises(KeyboardInterrupt):
        predict_images(untrained_run, PredictConfig(images=(sources[0],), output=str(output)))
    assert os.listdir(tmp_path) == ["out.csv"]
    assert output.read_text(encoding="utf-8") == "older"


def run_main(*words) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code


def test_the_command(untrained_run, texts, sources, tmp_path, capfd):
    assert run_main("predict", untrained_run.path, *sources[:2], tmp_path / "none.png") == 0
    captured = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["text"] for row in rows] == [*texts[:2], ""]
    assert captured.err.startswith("train: 3 images in ")
    assert run_main("predict", untrained_run.path, tmp_path / "none.png") == 1
    captured = capfd.readouterr()
    assert (
        run_main("predict", untrained_run.path, "--split", "validation", "--format", "jsonl") == 0
    )
    captured = capfd.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == texts
    assert captured.err.splitlines()[1].startswith("train: exact ")


def test_a_closed_pipe_ends_quietly(untrained_run, sources, monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert run_main("predict", untrained_run.path, *sources) == 141
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_ends_with_one_line(number, code, untrained_run, sources, monkeypatch, capfd):
    monkeypatch.setattr(
        "train.predict.reader.BatchReader.read", lambda *_: os.kill(os.getpid(), number)
    )
    # A job in the background inherits a SIGINT that is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run_main("predict", untrained_run.path, *sources) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == "train: stopped.\n"


def test_transparency_and_grey_are_as_in_conversion(untrained_run, tmp_path):
    """Prediction uses conversion's own code, so one odd image proves the path."""
    image = Image.new("LA", (320, 40), (200, 40))
    (tmp_path / "grey.png").write_bytes(encoded(image, "PNG"))
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0"], [["grey.png", "a"]])
    crop = {"crop": (186, 0, 300, 30), "size": (64, 16), "split": (("train", 1.0),)}
    convert(manifest, tmp_path / "set", **crop)
    images, _ = open_source(str(tmp_path / "set"), "train", 1, shuffle=False).reader.gather(
        np.arange(1)
    )
    _, rows = predict(untrained_run, tmp_path, images=(str(tmp_path / "grey.png"),))
    expected = probabilities_of(untrained_run, images)
    assert rows[0]["confidences"] == " ".join(f"{v.max():.4f}" for v in expected.values())
