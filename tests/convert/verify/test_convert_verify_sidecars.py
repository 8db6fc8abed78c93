"""What stands beside the shards is checked too: description, rows left out, foreign files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from convert_cases import convert
from verify_cases import TRAIN, VALIDATION, copy_of, draw, flip, problems, read, verify, write


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    draw(folder)
    return folder


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return copy_of(whole, tmp_path)


SIDECARS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no _SUCCESS": (lambda out: (out / "_SUCCESS").unlink(), ["_SUCCESS: missing file"]),
    "a _SUCCESS with content": (
        lambda out: write(out / "_SUCCESS", b"x"),
        ["_SUCCESS: not as convert wrote it"],
    ),
    "features.json": (
        lambda out: flip(out / "features.json", 50),
        ["features.json: not as convert wrote it"],
    ),
    "dataset_info.json": (
        lambda out: (out / "dataset_info.json").unlink(),
        ["dataset_info.json: missing file"],
    ),
    "dataset.json with a blank more": (
        lambda out: write(out / "dataset.json", read(out / "dataset.json") + b" "),
        [
            "dataset.json: not as convert wrote it, though it can be read: "
            "its digest is not the dataset's id"
        ],
    ),
    "dataset.json with another option": (
        lambda out: write(
            out / "dataset.json", read(out / "dataset.json").replace(b'"seed": 0', b'"seed": 1')
        ),
        ["dataset.json: its `plan_id` is not the digest of its `manifest_sha256` and `options`"],
    ),
    "dataset.json with another image": (
        lambda out: write(
            out / "dataset.json",
            read(out / "dataset.json").replace(b'"alpha": "drop"', b'"alpha": "black"', 1),
        ),
        ["dataset.json: its `options` have alpha 'drop', the images 'black'"],
    ),
    "no quarantine.jsonl": (
        lambda out: (out / "quarantine.jsonl").unlink(),
        ["quarantine.jsonl: missing file"],
    ),
    "lines of quarantine.jsonl that are none": (
        lambda out: write(
            out / "quarantine.jsonl",
            b"[]\n"
            b'{"row": 50, "path": "", "reason": "bad luck", "detail": ""}\n'
            b'{"row": 50, "path": "", "reason": "missing", "detail": ""}\n'
            b'{"row": 50, "path": "", "reason": "missing", "detail": ""}\n'
            b'{"row":  51, "path": "", "reason": "missing", "detail": ""}\n'
            b'{"row": true, "path": "", "reason": "missing", "detail": ""}\n'
            b'{"row": 52, "path',
        ),
        [
            "quarantine.jsonl: line 1 is not as convert writes it",
            "quarantine.jsonl: line 2 has the unknown reason 'bad luck'",
            "quarantine.jsonl: line 4 has row 50 after row 50",
            "quarantine.jsonl: line 5 is not as convert writes it",
            "quarantine.jsonl: line 6 is not as convert writes it",
            "quarantine.jsonl: line 7 is not as convert writes it",
        ],
    ),
    "a row that is there and left out": (
        lambda out: write(
            out / "quarantine.jsonl",
            b'{"row": 7, "path": "", "reason": "missing", "detail": "no such file"}\n',
        ),
        [
            f"{TRAIN[0]}: a row for the second time in record 7 (manifest row 7): "
            "quarantine.jsonl has it too"
        ],
    ),
    "a stray file": (
        lambda out: write(out / "notes.txt", b""),
        ["notes.txt: foreign file: dataset.json does not list it"],
    ),
    "a stray folder": (
        lambda out: (out / "old").mkdir(),
        ["old: foreign file: dataset.json does not list it"],
    ),
    "a stray file whose name is no text": (
        lambda out: write(out / os.fsdecode(b"a\nb\xff"), b""),
        ["a\\nb\\udcff: foreign file: dataset.json does not list it"],
    ),
    "hidden files": (
        lambda out: [write(out / name, b"") for name in (".x.crc", "_logs")],
        [],
    ),
}


@pytest.mark.parametrize("name", SIDECARS)
def test_damage_beside_the_shards(dataset: Path, name: str) -> None:
    damage, expected = SIDECARS[name]
    damage(dataset)
    assert problems(dataset) == expected


def test_a_lost_line_of_the_rows_left_out(tmp_path: Path) -> None:
    manifest = draw(tmp_path)
    (tmp_path / "i/7.png").write_bytes(b"no image")
    convert(manifest, tmp_path / "out", overwrite=True, max_bad_fraction=0.1)
    assert problems(tmp_path / "out") == []
    (tmp_path / "out/quarantine.jsonl").write_bytes(b"")
    assert problems(tmp_path / "out") == [
        f"{VALIDATION}: a row out of range in record 9 (manifest row 39): there are 39 rows, "
        "with those of quarantine.jsonl"
    ]


def test_many_problems_are_told_as_a_count(dataset: Path) -> None:
    for number in range(205):
        (dataset / f"{number:03}").touch()
    result = verify(dataset)
    assert len(result.to_json()["problems"]) == 205
    assert result.lines()[199:] == [
        "199: foreign file: dataset.json does not list it",
        "and 5 more problems; --json lists all",
        "205 problems in 205 other files; the rest is sound",
        "move foreign files elsewhere: a reader of the folder may take them in",
    ]
