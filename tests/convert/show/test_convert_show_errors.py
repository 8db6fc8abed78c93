"""`convert show` refuses in one line: what is not there, and what is damaged."""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import command, convert, digests, draw_sources
from show_cases import draw_texts, show

from convert.dataset.read import read_dataset
from convert.dataset.record import padded_varints
from convert.errors import FormatError, TryAgainError, UsageError


@pytest.fixture(scope="module", params=["raw", "png"])
def converted(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 records of 12x8 with two of 16 classes each, in two splits."""
    folder = tmp_path_factory.mktemp("converted")
    convert(draw_sources(folder, 40), folder / "out", encoding=request.param)
    return folder / "out"


@pytest.fixture
def dataset(converted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "out"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    convert(draw_texts(folder / "src"), folder / "texts", text_column="text", pad_label=True)
    return folder / "texts"


REFUSED = [
    ({"count": -1}, "--count must be in [0, 1000], got -1."),
    ({"count": 1001}, "--count must be in [0, 1000], got 1001."),
    ({"seed": -1}, "--seed must be in [0, 2**63), got -1."),
    ({"seed": 1 << 63}, "--seed must be in [0, 2**63), got 9223372036854775808."),
    ({"split": "val"}, "--split must be one of train, validation, test, got 'val'."),
    ({"class_name": "B"}, "--class B: not among the 5 classes of this dataset. Near it: b."),
    ({"class_name": "ｂ"}, "--class ｂ: not among the 5 classes of this dataset. Near it: b."),
    ({"class_name": "q"}, "--class q: not among the 5 classes of this dataset."),
    (
        {"class_name": "\x1b[2J"},
        "--class '\\x1b[2J': not among the 5 classes of this dataset.",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_refused(texts: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        show(texts, **options)
    assert str(caught.value) == message


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    convert(draw_sources(tmp_path, 40), tmp_path / "out")
    done = command("show", "out", "--split", "test", check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "convert: error: --split test: out has no such split; it has train, validation.\n"
    )


RESTORE = "Restore the file from a copy, or convert again with --overwrite."


def train_shard(dataset: Path) -> Path:
    return dataset / "images-train.tfrecord-00000-of-00001"


def record_starts(dataset: Path) -> list[int]:
    """Returns where the records of the train shard start, and its end."""
    index = Path(f"{train_shard(dataset)}.idx")
    size = train_shard(dataset).stat().st_size
    if index.exists():
        return [*(int(line.split()[0]) for line in index.read_text().splitlines()), size]
    return list(range(0, size + 1, read_dataset(str(dataset)).layout.stride))


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def label_offset(dataset: Path) -> int:
    """Returns where the first record's labels start, from its own varint bytes."""
    start = train_shard(dataset).read_bytes()[:60]
    return start.index(b"label") + len(b"label") + 6  # value, list and their lengths


def zero_a_record(dataset: Path) -> str:
    starts = record_starts(dataset)
    overwrite(train_shard(dataset), starts[5], bytes(starts[6] - starts[5]))
    return "{shard}: record 5 has no labels."


def zero_the_last(dataset: Path) -> str:
    starts = record_starts(dataset)
    overwrite(train_shard(dataset), starts[-2], bytes(starts[-1] - starts[-2]))
    return f"{{shard}}: record {len(starts) - 2} is not one of this dataset."


def raise_a_label(dataset: Path) -> str:
    at = label_offset(dataset)
    overwrite(train_shard(dataset), at, padded_varints(np.array([16])).tobytes())
    return "{shard}: a record has class 16 of output 'y0', which has 16."


def flip_a_pixel(dataset: Path) -> str:
    at = record_starts(dataset)[1] - 20  # the last bytes of the image, before the CRC
    byte = train_shard(dataset).read_bytes()[at]
    overwrite(train_shard(dataset), at, bytes([byte ^ 1]))
    return "{shard}: record 0 is damaged: its CRC or its structure is wrong."


def remove_the_shard(dataset: Path) -> str:
    train_shard(dataset).unlink()
    return f"{{shard}}: cannot be read: No such file or directory. {RESTORE}"


def shorten_the_shard(dataset: Path) -> str:
    size = train_shard(dataset).stat().st_size
    os.truncate(train_shard(dataset), size - 1)
    return f"{{shard}}: {size - 1} bytes, expected {size}. {RESTORE}"


def spoil_the_quarantine(dataset: Path) -> str:
    entry = json.dumps({"row": 0, "path": "p", "reason": "missing", "detail": "d"})
    (dataset / "quarantine.jsonl").write_text(f"{entry}\n{entry}\n[]\n")
    return "{dataset}/quarantine.jsonl: line 3 is not an entry of a row."


def invent_a_reason(dataset: Path) -> str:
    (dataset / "quarantine.jsonl").write_text('{"reason": "bad luck"}\n')
    return "{dataset}/quarantine.jsonl: line 1 is not an entry of a row."


def remove_the_quarantine(dataset: Path) -> str:
    (dataset / "quarantine.jsonl").unlink()
    return "{dataset}/quarantine.jsonl: cannot be read: No such file or directory."


DAMAGES = [
    zero_a_record,
    zero_the_last,
    raise_a_label,
    flip_a_pixel,
    remove_the_shard,
    shorten_the_shard,
    spoil_the_quarantine,
    invent_a_reason,
    remove_the_quarantine,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(dataset: Path, damage: Callable[[Path], str]) -> None:
    message = damage(dataset).format(shard=train_shard(dataset), dataset=dataset)
    with pytest.raises(FormatError) as caught:
        show(dataset)
    assert str(caught.value) == f"{message} `convert verify {dataset}` finds all that is damaged."


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (None, f": it lists 36 records, expected 37. {RESTORE}"),
        (3, ": its index is wrong: no record has 3 bytes."),
    ],
)
def test_an_index_that_lies(tmp_path: Path, second: int | None, problem: str) -> None:
    convert(draw_sources(tmp_path, 40), tmp_path / "out", encoding="png")
    shard = train_shard(tmp_path / "out")
    index = Path(f"{shard}.idx")
    starts = [*record_starts(tmp_path / "out")]
    starts[1:2] = [] if second is None else [starts[2] - second]
    lines = [f"{start} {stop - start}\n" for start, stop in itertools.pairwise(starts)]
    index.write_text("".join(lines))
    with pytest.raises(FormatError) as caught:
        show(tmp_path / "out")
    assert str(caught.value) == (
        f"{shard if second else index}{problem} "
        f"`convert verify {tmp_path}/out` finds all that is damaged."
    )


def test_a_dataset_that_is_replaced_meanwhile(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(draw_sources(tmp_path, 39), tmp_path / "other")

    def replace_and_fail(*_: object) -> None:
        dataset.rename(tmp_path / "old")
        (tmp_path / "other").rename(dataset)
        raise FormatError("a shard of the old dataset is gone")

    monkeypatch.setattr("convert.show.presentation.take_census", replace_and_fail)
    with pytest.raises(TryAgainError) as caught:
        show(dataset)
    assert str(caught.value) == (
        f"{dataset}: was replaced by another dataset while it was read. Run the same command again."
    )


def test_damage_ends_the_command_with_one_line(dataset: Path) -> None:
    zero_a_record(dataset)
    before = os.listdir(dataset.parent)
    done = command("show", dataset, check=False, cwd=dataset.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"convert: error: {train_shard(dataset)}: record 5 has no labels. "
        f"`convert verify {dataset}` finds all that is damaged.\n"
    )
    assert os.listdir(dataset.parent) == before  # nor a sheet


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        show(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path}/none: no such dataset folder. Make it with `convert MANIFEST DATASET`."
    )


def test_sheets_do_not_go_into_the_dataset(texts: Path) -> None:
    before = digests(texts)
    for folder in (texts, texts / "sheets"):
        with pytest.raises(UsageError) as caught:
            show(texts, count=2, sheets=str(folder))
        assert str(caught.value) == (
            f"--sheets {folder}: is inside the dataset {texts}, where only convert writes. "
            "Choose another folder."
        )
    assert digests(texts) == before


def test_a_folder_that_cannot_be_made(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        show(texts, count=2, sheets=str(tmp_path / "file/sheets"))
    assert str(caught.value) == f"--sheets {tmp_path}/file/sheets: cannot be made: Not a directory."


def test_a_sheet_that_cannot_be_written(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "sheets/texts-train.png").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        show(texts, count=2, sheets=str(tmp_path / "sheets"))
    assert str(caught.value) == (
        f"{tmp_path}/sheets/texts-train.png: cannot be written: Is a directory."
    )
    assert os.listdir(tmp_path / "sheets") == ["texts-train.png"]  # nothing half done is left


def test_a_full_disk(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(source: str, target: str) -> None:
        raise OSError(28, os.strerror(28), target)

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(TryAgainError) as caught:
        show(texts, count=2, sheets=str(tmp_path / "sheets"))
    assert str(caught.value) == (
        f"{tmp_path}/sheets/texts-train.png: cannot be written: No space left on device."
    )
    assert os.listdir(tmp_path / "sheets") == []


def test_a_dataset_that_is_moved_meanwhile_is_not_for_verify(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move_and_fail(*_: object) -> None:
        dataset.rename(tmp_path / "moved")
        raise FormatError("a shard is gone")

    monkeypatch.setattr("convert.show.presentation.take_census", move_and_fail)
    with pytest.raises(FormatError) as caught:
        show(dataset)
    assert str(caught.value) == (
        f"{dataset}: was moved or deleted while it was read. Name its new place, or restore it."
    )
