"""What `train predict` reads in rows of other kinds: boxes, texts, longer names, transparency."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from convert_cases import convert, draw_sources, encoded, write_manifest
from PIL import Image
from predict_cases import predict
from reading_cases import probabilities_of, untrained_run

from train.errors import UsageError
from train.input.open_source import open_source


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


def test_rows_are_cropped_by_their_boxes(sample_files, tmp_path):
    """Where the run's images were; then files alone are refused."""
    header = ["path", "y0", "left", "top", "right", "bottom"]
    boxes = [
        ["186", "0", "300", "30"],
        ["100", "0", "214", "30"],
        ["5", "0", "4", "9"],
        ["", "0", "9", "9"],
    ]
    cells = [[sample_files[0], "abbb"[index], *box] for index, box in enumerate(boxes)]
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
        predict(run, tmp_path, images=(sample_files[0],))
    plain = write_manifest(tmp_path / "plain.csv", ["path"], [[sample_files[0]]])
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


def test_a_run_of_one_kind_of_label_file_reads_another(tmp_path):
    """Converted from a list, judged by MMOCR's JSON and by a table with blanks and NFD."""
    draw_sources(tmp_path, 4)
    texts = ["caf\u00e9", "face", "fade", "cafe"]
    names = [f"i/{row}.png" for row in range(4)]
    pairs = list(zip(names, texts, strict=True))
    (tmp_path / "label.txt").write_text("".join(f"{n}\t{t}\n" for n, t in pairs), "utf-8")
    entries = [{"img_path": n, "instances": [{"text": t}]} for n, t in pairs]
    (tmp_path / "m.json").write_text(json.dumps({"data_list": entries}), "utf-8")
    cells = [[n, unicodedata.normalize("NFD", f" {t} ")] for n, t in pairs]
    table = write_manifest(tmp_path / "m.csv", ["image", "words"], cells)
    convert(tmp_path / "label.txt", tmp_path / "set", split=(("train", 1.0),), format="list")
    run = untrained_run(tmp_path / "run", tmp_path / "set")
    for manifest in (tmp_path / "m.json", table, tmp_path / "label.txt"):
        _, rows = predict(run, tmp_path, manifest=str(manifest), format="jsonl")
        assert [row["truth"] for row in rows] == texts


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
