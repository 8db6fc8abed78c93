"""`convert show`: numbers that equal the manifest's, and errors that name what is damaged."""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from convert_cases import command, convert, draw_sources, write_manifest
from PIL import Image
from show_cases import ROWS, draw_texts, show


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows above as a dataset of padded texts."""
    folder = tmp_path_factory.mktemp("texts")
    convert(draw_texts(folder / "src"), folder / "texts", text_column="text", pad_label=True)
    return folder / "texts"


def test_the_whole_summary(texts: Path) -> None:
    lines, _ = show(texts)
    brightness = lines.index("brightness of random images, from 0 to 255:")
    assert re.fullmatch(rf"{texts}: 17 records, 6.4 kB, dataset [0-9a-f]{{8}}", lines[0])
    assert lines[1:brightness] == [
        "  images   12x8 RGB, raw pixels",
        "  sources  all of each image, resized with bicubic, transparency dropped",
        "  outputs  3: y0, y1, y2",
        "",
        "split       records  share  shards       size",
        "train            13  76.5%       1     4.9 kB",
        "validation        3  17.6%       1     1.1 kB",
        "test              1   5.9%       1  374 bytes",
        "",
        "label length without blanks: 1 to 3 of 3, mean 1.94",
        "  length  train  validation  test  share",
        "       1      5           1     0  35.3%  ████████",
        "       2      4           2     0  35.3%  ████████",
        "       3      4           0     1  29.4%  ███████",
        "",
        "classes of y0, y1, y2: 5 and a blank that pads",
        "  split       classes seen  once  never",
        "  train                  3     1      2",
        "  validation             3     1      2",
        "  test                   3     3      2",
        "  all                    5     1      0",
        "",
        "  class  index  train  validation  test  all   share",
        "  b          1     12           2     1   15  45.45%  ████████████████████████",
        "  c          2     12           0     1   13  39.39%  █████████████████████",
        "  a          0      1           0     1    2   6.06%  ███",
        "  z          4      0           2     0    2   6.06%  ███",
        "  d          3      0           1     0    1   3.03%  ██",
        "  warning: 2 classes occur in validation and never in train, which cannot learn them: z d",
        "",
    ]
    assert lines[-2:] == ["", "rows left out: none"]


def test_brightness_is_that_of_the_pixels(tmp_path: Path) -> None:
    manifest = draw_texts(tmp_path / "src")
    for row, level in ((13, 10), (14, 30)):  # noise in row 15 of the same split
        Image.new("RGB", (12, 8), (level, level, level)).save(tmp_path / f"src/{row}.png")
    convert(manifest, tmp_path / "out", text_column="text", pad_label=True)
    lines, found = show(tmp_path / "out", split="validation")
    pixels = [np.asarray(Image.open(tmp_path / f"src/{row}.png")) for row in (13, 14, 15)]
    brightness = found["splits"]["validation"]["brightness"]
    assert brightness == {
        "images": 3,
        "mean": round(float(np.mean(pixels)), 3),
        "deviation": round(float(np.std(pixels)), 3),
        "channel_means": np.mean(pixels, axis=(0, 1, 2)).round(3).tolist(),
        "grey_images": 2,
        "empty_images": 2,
    }
    assert lines[-3] == (
        "  warning: 2 of these images in validation are one colour all over, for example row 13 "
        "(13.png): look at the crop"
    )


def test_records_on_a_sheet_are_named(tmp_path: Path) -> None:
    manifest = draw_texts(tmp_path / "src")
    convert(manifest, tmp_path / "out", text_column="text", pad_label=True)
    _, found = show(tmp_path / "out", split="validation", count=2, sheets=str(tmp_path))
    rows = [entry["row"] for entry in found["drawn"]["validation"]]
    assert len(set(rows)) == 2
    named = [{"row": row, "path": f"{row}.png"} for row in rows]
    assert found["drawn"] == {"validation": named}
    (tmp_path / "out/sources.parquet").unlink()
    _, found = show(tmp_path / "out", split="validation", count=2, sheets=str(tmp_path))
    assert found["drawn"] == {"validation": [{"row": row, "path": None} for row in rows]}


def test_grey_pixels_in_three_channels_are_told(tmp_path: Path) -> None:
    manifest = draw_texts(tmp_path / "src")
    for row in range(len(ROWS)):
        Image.linear_gradient("L").save(tmp_path / f"src/{row}.png")
    convert(manifest, tmp_path / "rgb", text_column="text", pad_label=True)
    convert(manifest, tmp_path / "grey", text_column="text", pad_label=True, channels=1)
    told = "  all of these images are grey: --channels 1 would keep them in a third of the pixels"
    assert told in show(tmp_path / "rgb")[0]
    lines = show(tmp_path / "grey")[0]
    assert told not in lines
    assert "  split       images   mean  deviation" in lines


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_counts_equal_the_manifest(tmp_path: Path, encoding: str) -> None:
    rng = np.random.default_rng(7)
    splits = ["train", "validation", "test"]
    rows = [
        (
            f"{row}.png",
            "".join(rng.choice(list("abcdefgh汉字"), rng.integers(1, 6))),
            splits[row % 3],
        )
        for row in range(150)
    ]
    manifest = draw_texts(tmp_path / "src", rows)
    convert(
        manifest,
        tmp_path / "out",
        text_column="text",
        pad_label=True,
        encoding=encoding,
        shard_bytes=4000,
    )
    _, found = show(tmp_path / "out")
    everything = Counter("".join(text for _, text, _ in rows))
    vocabulary = found["vocabularies"]["text"]
    assert dict(vocabulary["commonest"]) == dict(vocabulary["rarest"]) == everything
    assert vocabulary["commonest"] == sorted(vocabulary["commonest"], key=lambda pair: -pair[1])
    for split in splits:
        those = [text for _, text, its in rows if its == split]
        assert found["splits"][split]["records"] == len(those) == 50
        assert found["splits"][split]["shards"] > 1
        lengths = {int(n): c for n, c in found["splits"][split]["label_lengths"].items()}
        assert lengths == Counter(map(len, those))
        assert vocabulary["seen"][split] == len(set("".join(those)))
    files = [tmp_path / "out" / name for name in os.listdir(tmp_path / "out") if "tfrecord" in name]
    assert found["bytes"] == sum(file.stat().st_size for file in files)


def test_many_classes_of_which_some_are_rare(tmp_path: Path) -> None:
    """A vocabulary of 40: class k occurs k times up to 25, the others never."""
    names = [chr(0x4E00 + k) for k in range(40)]
    (tmp_path / "v.txt").write_text("\n".join(names))
    rows = [(f"{k}-{n}.png", names[k], "train") for k in range(26) for n in range(k)]
    manifest = draw_texts(tmp_path / "src", rows)
    vocabulary = (str(tmp_path / "v.txt"),)
    convert(manifest, tmp_path / "out", text_column="text", vocabulary=vocabulary)
    lines, found = show(tmp_path / "out")
    start = lines.index("classes of y0: 40")
    assert lines[start + 1 : start + 11] == [
        "  split  classes seen  once  never",
        "  train            25     1     15",
        "",
        "  occurrences  classes",
        "  never             15  ██████████████████████",
        "  once               1  ██",
        "  2 to 9             8  ████████████",
        "  10 to 99          16  ████████████████████████",
        "",
        "  class  index  train  share",
    ]
    table = lines[start + 11 : start + 32]
    assert table[0] == f"  {names[25]}        25     25  7.69%  ████████████████████████"
    assert table[9] == f"  {names[16]}        16     16  4.92%  ███████████████"
    assert table[10] == "  ..."
    assert table[11] == f"  {names[10]}        10     10  3.08%  ██████████"
    assert table[20] == f"  {names[1]}         1      1  0.31%  █"
    never = " ".join([names[0], *names[26:33]])
    assert lines[start + 32] == f"  never: {never} and 7 more"
    vocabulary = found["vocabularies"]["text"]
    assert vocabulary.pop("commonest")[:2] == [[names[25], 25], [names[24], 24]]
    assert vocabulary.pop("rarest")[:2] == [[names[1], 1], [names[2], 2]]
    assert vocabulary == {
        "outputs": ["y0"],
        "classes": 40,
        "blank": False,
        "seen": {"train": 25},
        "once": 1,
        "never": 15,
        "untrained": {"train": 0},
    }


def test_rows_left_out(texts: Path, tmp_path: Path) -> None:
    texts = Path(shutil.copytree(texts, tmp_path / "texts"))
    lines = [json.dumps({"reason": reason}) for reason in ("missing", "truncated", "missing")]
    (texts / "quarantine.jsonl").write_text("\n".join(lines) + "\n")
    shown, found = show(texts)
    assert shown[-4:] == [
        f"rows left out: 3, listed in {texts}/quarantine.jsonl",
        "  reason     rows",
        "  missing       2",
        "  truncated     1",
    ]
    assert found["quarantined"] == {"missing": 2, "truncated": 1}


def test_one_class(texts: Path) -> None:
    lines, found = show(texts, class_name="b")
    start = lines.index("records with the class b:")
    assert lines[start + 1 : start + 6] == [
        "  output   train  validation  test",
        "  y0           6           1     0",
        "  y1           4           1     0",
        "  y2           2           0     1",
        "  records      6           2     1",
    ]
    records = [found["splits"][split]["class_records"] for split in found["splits"]]
    assert (found["class"], records) == ("b", [6, 2, 1])
    assert found["splits"]["test"]["class_by_output"] == {"y0": 0, "y1": 0, "y2": 1}
    lines, _ = show(texts, class_name="d", split="validation")  # outputs without it are left out
    assert lines[lines.index("records with the class d:") + 1 : -2] == [
        "  output   validation",
        "  y0                1",
        "  records           1",
    ]


def test_outputs_with_vocabularies_of_their_own(tmp_path: Path) -> None:
    """`x` has another index in each vocabulary, and `q` is in one only."""
    draw_sources(tmp_path, 6)
    rows = [[f"i/{n}.png", "xy"[n % 2], "pqx"[n % 3]] for n in range(6)]
    for output, classes in (("y0", "x\ny\n"), ("y1", "p\nq\nx\n")):
        (tmp_path / output).write_text(classes)
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "y1"], rows)
    vocabulary = tuple(f"{output}={tmp_path / output}" for output in ("y0", "y1"))
    convert(manifest, tmp_path / "out", vocabulary=vocabulary, split=(("train", 1.0),))
    _, found = show(tmp_path / "out", class_name="x")
    assert found["splits"]["train"]["class_by_output"] == {"y0": 3, "y1": 2}
    assert found["splits"]["train"]["class_records"] == 4  # row 2 has it in both
    assert found["vocabularies"]["y0"]["commonest"] == [["x", 3], ["y", 3]]
    assert found["vocabularies"]["y1"]["commonest"] == [["p", 2], ["q", 2], ["x", 2]]
    _, found = show(tmp_path / "out", class_name="q")
    assert found["splits"]["train"]["class_by_output"] == {"y1": 2}


def test_names_cannot_reach_the_terminal(tmp_path: Path) -> None:
    draw_sources(tmp_path, 4)
    names = ["\x1b[31mred", "two words", " ", "\u202eback"]
    rows = [[f"i/{n}.png", name] for n, name in enumerate(names)]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0"], rows)
    convert(manifest, tmp_path / "out", split=(("train", 1.0),), verbatim_labels=True)
    text = "\n".join(show(tmp_path / "out")[0])
    assert all(line.isprintable() for line in text.split("\n"))
    for name in ("'\\x1b[31mred'", "two words", "' '", "'\\u202eback'"):
        assert f"\n  {name} " in text


def test_the_command(texts: Path) -> None:
    done = command("show", texts.name, "--json", "--count", 2, cwd=texts.parent)
    lines = done.stdout.splitlines()
    assert lines[1:-5] == show(texts)[0][1:]
    assert lines[-4:-1] == [
        "texts-train.png: 2 of 13 records",
        "texts-validation.png: 2 of 3 records",
        "texts-test.png: 1 of 1 record",
    ]
    assert json.loads(lines[-1])["sheets"] == {
        split: f"texts-{split}.png" for split in ("train", "validation", "test")
    }
    assert done.stderr == ""
