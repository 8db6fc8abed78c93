"""`convert verify`: its words and its verdict."""

import contextlib
import errno
import json
import os
import pty
import re
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
from convert_cases import COMMAND, PATIENCE, command, png, write_manifest
from convert_cases import convert as convert_dataset
from timed_lines import untimed
from verify_cases import (
    RESTORE,
    STRIDE,
    TRAIN,
    VALIDATION,
    copy_of,
    draw,
    flip,
    problems,
    timeless,
    verify,
)

import convert.verify.verification
from convert.dataset.record import layout_of_image
from convert.errors import FormatError, TryAgainError, UsageError
from convert.verify import VerifyConfig
from convert.verify.findings import RecordFindings, record_problem

PIXEL = layout_of_image(2, 12 * 8 * 3).image_offset + 100


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    draw(folder)
    return folder


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return copy_of(whole, tmp_path)


@pytest.mark.parametrize(
    ("more", "compared"),
    [
        ({}, ""),
        ({"manifest": "m.csv"}, ", rows and labels equal the manifest"),
        (
            {"manifest": "m.csv", "deep": True},
            ", rows and labels equal the manifest, pixels the sources",
        ),
    ],
)
def test_the_verdict_on_a_sound_dataset(
    whole: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], compared: str
) -> None:
    monkeypatch.chdir(whole)
    result = verify(Path("out"), **more)
    assert list(map(timeless, result.lines())) == [
        f"verified 40 records in 4 shards, 14,760 bytes at N MB/s{compared}: all is sound"
    ]
    summary = result.to_json()
    assert summary.pop("seconds") > 0
    assert summary == {
        "dataset": "out",
        "dataset_id": result.info.dataset_id,
        "records": 40,
        "sound_records": 40,
        "shards": 4,
        "num_problems": 0,
        "counts": {},
        "problems": [],
        "leaked": 0,
        "conflicting": 0,
        "bytes": 40 * STRIDE,
    }


def test_the_command(dataset: Path, tmp_path: Path) -> None:
    done = command("verify", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert timeless(done.stderr) == (
        "convert: verified 40 records in 4 shards, 14,760 bytes at N MB/s: all is sound\n"
    )
    flip(dataset / TRAIN[0], 4 * STRIDE + PIXEL)
    (dataset / VALIDATION).unlink()
    (dataset / "notes").touch()
    words = ["verify", "out", "--manifest", "m.csv", "--deep", "--json"]
    done = command(*words, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"convert: {TRAIN[0]}: flipped bytes in record 4 (manifest row 4, i/4.png)",
        f"convert: {VALIDATION}: missing shard of 10 records",
        "convert: notes: foreign file: dataset.json does not list it",
        "convert: 3 problems in 2 of 4 shards and 1 other file; the rest is sound",
        f"convert: {RESTORE}",
        "convert: move foreign files elsewhere: a reader of the folder may take them in",
    ]
    summary = json.loads(done.stdout)
    assert summary["sound_records"] == 29
    assert summary["counts"] == {"flipped_bytes": 1, "missing": 1, "foreign_file": 1}
    assert summary["problems"][0] == {
        "kind": "flipped_bytes",
        "file": TRAIN[0],
        "message": "flipped bytes in record 4 (manifest row 4, i/4.png)",
        "count": 1,
        "record": 4,
        "row": 4,
        "path": "i/4.png",
    }
    assert summary["problems"][2] == {
        "kind": "foreign_file",
        "file": "notes",
        "message": "foreign file: dataset.json does not list it",
        "count": 1,
    }


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    done = command("verify", "out", cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "convert: error: out: no such dataset folder. Make it with `convert MANIFEST DATASET`.\n"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"workers": 0}, "--workers must be at least 1, got 0."),
        (
            {"deep": True},
            "--deep needs --manifest FILE: it names the source of each record.",
        ),
        (
            {"root": "x", "manifest": "m.csv"},
            "--root needs --deep: nothing else reads the sources.",
        ),
    ],
)
def test_options_that_do_not_fit(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        VerifyConfig(dataset="out", **more)
    assert str(error.value) == message


def test_a_damaged_description_is_an_error(dataset: Path) -> None:
    (dataset / "dataset.json").write_text("{}")
    with pytest.raises(FormatError, match="`format_version` is missing or no int"):
        verify(dataset)


def test_an_empty_shard(tmp_path: Path) -> None:
    """A shard that lost all its rows: an empty file, and sound."""
    manifest = draw(tmp_path)
    for row in range(10, 20):
        (tmp_path / f"i/{row}.png").write_bytes(b"no image")
    options = {"order": "source", "shard_bytes": 10 * STRIDE, "max_bad_fraction": 0.5}
    convert_dataset(manifest, tmp_path / "out", overwrite=True, **options)
    assert (tmp_path / "out" / TRAIN[1]).stat().st_size == 0
    assert problems(tmp_path / "out", manifest=str(manifest), deep=True) == []
    (tmp_path / "out" / TRAIN[1]).unlink()
    assert problems(tmp_path / "out") == [f"{TRAIN[1]}: missing shard of 0 records"]


def test_identical_pictures_are_warnings(tmp_path: Path) -> None:
    rows = [["a.png", "x", "train"], ["b.png", "y", "train"], ["c.png", "x", "val"]]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "split"], rows)
    for path, *_ in rows:
        (tmp_path / path).write_bytes(png())
    convert_dataset(manifest, tmp_path / "out")
    result = verify(tmp_path / "out")
    assert result.problems == []
    assert list(map(timeless, result.lines())) == [
        "warning: 1 identical picture is in more than one split, for example rows 0 and 2; "
        "--group-column keeps such rows together",
        "warning: 1 identical picture is there with different labels, for example rows 0 and 1",
        "verified 3 records in 2 shards, 1,092 bytes at N MB/s: all is sound",
    ]
    assert (result.to_json()["leaked"], result.to_json()["conflicting"]) == (1, 1)


def test_a_disk_that_fails(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pread
    failing = os.stat(dataset / TRAIN[1]).st_ino

    def read(descriptor: int, length: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", read)
    result = verify(dataset)
    assert [problem.line() for problem in result.problems] == [
        f"{TRAIN[1]}: cannot be read to its end: Input/output error"
    ]
    assert result.sound_records == 30


def test_a_shard_that_shrinks_meanwhile(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = convert.verify.verification.inspect_here

    def inspect(*arguments: Any) -> Any:
        os.truncate(dataset / TRAIN[1], 5 * STRIDE)
        return whole(*arguments)

    monkeypatch.setattr(convert.verify.verification, "inspect_here", inspect)
    assert problems(dataset) == [
        f"{TRAIN[1]}: cannot be read to its end: it became shorter while it was read"
    ]


def test_a_dataset_that_is_replaced_meanwhile(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = convert.verify.verification.inspect_here

    def inspect(*arguments: Any) -> Any:
        options = {"order": "source", "shard_bytes": 10 * STRIDE, "seed": 1}
        convert_dataset(dataset.parent / "m.csv", dataset, overwrite=True, **options)
        (dataset / TRAIN[0]).unlink()
        return whole(*arguments)

    monkeypatch.setattr(convert.verify.verification, "inspect_here", inspect)
    with pytest.raises(TryAgainError) as error:
        verify(dataset)
    assert str(error.value) == (
        f"{dataset}: was replaced by another dataset while it was read. Run the same command again."
    )


def test_the_first_findings_are_kept_in_whatever_order_they_come() -> None:
    late, early = RecordFindings(), RecordFindings()
    for record in range(50, 70):
        late.add(record_problem("flipped_bytes", "a", record))
    for record in (3, 1, 2):
        early.add(record_problem("row_twice", "a", record))
    late.merge(early)
    *first, rest = late.problems("a")
    assert [problem.record for problem in first] == [1, 2, 3, *range(50, 57)]
    assert (rest.line(), rest.count) == ("a: and 13 more records: flipped bytes", 13)


def test_progress_without_a_terminal(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("convert.command.progress.LINE_SECONDS", 0.0)
    flip(dataset / TRAIN[0], STRIDE + PIXEL)
    verify(dataset)
    lines = untimed(capsys.readouterr().err).splitlines()
    assert len(lines) == 4  # as many as pieces that are read
    assert all(
        re.fullmatch(
            r"convert: verified 0\.0 of 0\.0 GB, [01] findings, [0-9,]+ MB/s, [0-9]+ s left", line
        )
        for line in lines
    ), lines


def test_progress_on_a_terminal(dataset: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    words = [*COMMAND, "verify", str(dataset)]
    done = subprocess.run(words, stderr=theirs, stdout=theirs, timeout=PATIENCE, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert done.returncode == 0
    assert "verify: 100%" in shown.decode()
    assert shown.decode().rstrip().endswith("all is sound")
