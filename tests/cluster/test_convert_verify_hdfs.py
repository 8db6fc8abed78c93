"""`convert verify` and `convert show` on HDFS: the same words as on a local disk."""

from __future__ import annotations

import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command
from verify_cases import STRIDE, TRAIN, VALIDATION, copy_of, draw, flip, timeless, verify

import convert.show.presentation
import convert.show.sample
import convert.storage.hdfs.filesystem
import convert.verify.verification
from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.read import open_dataset, open_folder, read_dataset
from convert.dataset.shard_records import FewRecords, ShardRecords
from convert.errors import FormatError, TryAgainError, UsageError
from convert.show import ShowConfig, ShowResult, show_dataset
from convert.storage.hdfs import client as hdfs_client
from convert.storage.hdfs.connections import HdfsConnections
from convert.storage.places import filesystem_of


@pytest.fixture(scope="module", params=["raw", "png"])
def whole(request, tmp_path_factory) -> Path:
    """A dataset `out` of either encoding, with its manifest and sources."""
    folder = tmp_path_factory.mktemp(request.param)
    draw(folder, encoding=request.param)
    return folder


@pytest.fixture(scope="module")
def dataset(whole: Path, hadoop: Any) -> str:
    """The same dataset on HDFS."""
    hadoop.start()
    return upload(whole / "out", f"{hadoop.url}/{whole.name}/out")


@pytest.fixture(scope="module")
def damaged(whole: Path, hadoop: Any, tmp_path_factory) -> tuple[Path, str]:
    """A dataset that is damaged in many ways; here and on HDFS."""
    hadoop.start()
    out = copy_of(whole, tmp_path_factory.mktemp("damaged"))
    flip(out / TRAIN[0], (out / TRAIN[0]).stat().st_size // 2)
    os.truncate(out / TRAIN[1], (out / TRAIN[1]).stat().st_size * 2 // 3)
    (out / TRAIN[2]).unlink()
    with (out / VALIDATION).open("ab") as file:
        file.write(bytes(5 * STRIDE))
    if (out / f"{TRAIN[0]}.idx").exists():  # then records are found by their own lengths
        flip(out / f"{TRAIN[0]}.idx", 0)
        os.truncate(out / f"{TRAIN[1]}.idx", 5)
        (out / f"{VALIDATION}.idx").unlink()
    (out / "_SUCCESS").write_bytes(b"1")
    (out / "quarantine.jsonl").write_bytes(b"{}\n[]")
    (out / "features.json").unlink()
    (out / "features.json").mkdir()
    (out / "dataset_info.json").unlink()
    (out / "notes").touch()
    (out / "folder").mkdir()
    return out, upload(out, f"{hadoop.url}/{whole.name}/damaged")


@pytest.fixture
def small_pieces(monkeypatch) -> None:
    """Makes records lie across pieces of the stream."""
    monkeypatch.setattr(convert.storage.hdfs.filesystem, "PIECE_BYTES", 1000)


@pytest.fixture
def spread(monkeypatch) -> None:
    """Makes a small dataset as much work as a large one."""
    monkeypatch.setattr(convert.verify.verification, "_SPAN_BYTES", 4 * STRIDE)
    monkeypatch.setattr(convert.verify.verification, "_DECODED_SPAN_BYTES", 4 * STRIDE)
    monkeypatch.setattr(convert.verify.verification, "_SPANS_OF_PROCESS", 1)


def upload(folder: Path, address: str) -> str:
    """Copies a folder of files and empty folders to HDFS; returns its address."""
    files = filesystem_of(address)

    def put(path: Path) -> None:
        if path.is_dir():
            files.make_folder(f"{address}/{path.name}")
            return
        with files.create(f"{address}/{path.name}") as file:
            file.write(path.read_bytes())

    files.make_folder(address)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, folder.iterdir()))
    return address


def show(dataset: object, **options: Any) -> ShowResult:
    return show_dataset(ShowConfig(dataset=str(dataset), **{"count": 0, **options}))


# Verify


@pytest.mark.usefixtures("small_pieces")
def test_a_sound_dataset(whole: Path, dataset: str) -> None:
    manifest = os.path.join(os.path.dirname(dataset), "m.csv")
    if not filesystem_of(manifest).exists(manifest):
        filesystem_of(manifest).replace(manifest, (whole / "m.csv").read_bytes())
    more = {"deep": True, "root": str(whole)}
    result = verify(f"{dataset}/", manifest=manifest, **more)
    local = verify(whole / "out", manifest=str(whole / "m.csv"), **more)
    assert list(map(timeless, result.lines())) == list(map(timeless, local.lines()))
    assert result.lines()[-1].endswith("pixels the sources: all is sound")
    own = {"dataset": f"{dataset}/", "seconds": result.seconds}
    assert {**result.to_json(), **own} == {**local.to_json(), **own}


@pytest.mark.usefixtures("small_pieces")
def test_damage(damaged: tuple[Path, str]) -> None:
    local, remote = map(verify, damaged)
    lines = [problem.line() for problem in remote.problems]
    assert lines == [problem.line() for problem in local.problems]
    assert {problem.kind for problem in remote.problems} >= {
        *("missing", "not_a_file", "truncated", "too_long", "flipped_bytes"),
        *("metadata", "foreign_file"),
    }
    assert remote.sound_records == local.sound_records > 0


@pytest.mark.usefixtures("spread")
def test_several_processes(damaged: tuple[Path, str]) -> None:
    local, remote = verify(damaged[0]), verify(damaged[1], workers=2)
    assert remote.problems == local.problems


def test_a_shard_that_shrinks_meanwhile(
    whole: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = upload(whole / "out", f"{dataset}-shrinks")
    path = f"{folder}/{TRAIN[1]}"
    inspect = convert.verify.verification.inspect_here

    def shrink_first(*arguments: Any) -> Any:
        filesystem_of(path).replace(path, bytes(5 * STRIDE))
        return inspect(*arguments)

    monkeypatch.setattr(convert.verify.verification, "inspect_here", shrink_first)
    result = verify(folder)
    assert [problem.line() for problem in result.problems] == [
        f"{TRAIN[1]}: cannot be read to its end: ends after {5 * STRIDE} bytes"
    ]


def test_the_sources_folder_must_be_there(whole: Path, dataset: str) -> None:
    more = {"manifest": str(whole / "m.csv"), "deep": True, "root": f"{dataset}/i"}
    with pytest.raises(UsageError) as error:
        verify(dataset, **more)
    assert str(error.value) == (
        f"--root {dataset}/i: no such folder. The manifest's paths start there."
    )


# Show


@pytest.mark.parametrize("read_bytes", [1, 1 << 20])
def test_a_summary_and_its_sheets(
    whole: Path, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    opened: list[weakref.ref[ShardRecords]] = []
    kinds: set[type] = set()
    start = ShardRecords.__init__

    def count(records: ShardRecords, *arguments: Any) -> None:
        assert not any(reference() for reference in opened)  # the one before is gone
        opened.append(weakref.ref(records))
        kinds.add(type(records))
        start(records, *arguments)

    options = {"class_name": "1", "count": 9}
    local = show(whole / "out", sheets=str(tmp_path / "local"), **options)
    monkeypatch.setattr(ShardRecords, "__init__", count)
    monkeypatch.setattr(convert.show.sample, "_READ_BYTES", read_bytes)
    sheets = f"{dataset}s-sheets" if read_bytes == 1 else str(tmp_path / "remote")
    result = show(f"{dataset}/", sheets=sheets, **options)
    lines = [line.replace(sheets, str(tmp_path / "local")) for line in result.lines()]
    assert lines[1:] == local.lines()[1:]
    assert list(result.sheets) == ["train", "validation"]
    for split, path in result.sheets.items():
        assert filesystem_of(path).read(path) == Path(local.sheets[split]).read_bytes()
    assert (FewRecords in kinds) == (read_bytes == 1)


def test_sheets_stay_out_of_the_dataset(dataset: str) -> None:
    sheets = f"{dataset}/a/../sheets"
    with pytest.raises(UsageError) as error:
        show(dataset, count=1, sheets=sheets)
    assert str(error.value).startswith(f"--sheets {sheets}: is inside the dataset {dataset}, ")


def refusal(kind: type[ShardRecords], folder: str, info: DatasetInfo, shard: Shard) -> str:
    """Opens a shard; returns why that cannot be, or nothing."""
    try:
        kind(open_folder(folder), info, shard)
    except FormatError as error:
        return str(error).replace(folder, "out")
    return ""


def test_damaged_shards_are_refused(damaged: tuple[Path, str]) -> None:
    info = read_dataset(damaged[1])
    shards = [shard for listed in info.splits.values() for shard in listed]
    shards.append(replace(shards[0], file="folder"))
    local = [refusal(ShardRecords, str(damaged[0]), info, shard) for shard in shards]
    for kind in (ShardRecords, FewRecords):
        assert [refusal(kind, damaged[1], info, shard) for shard in shards] == local
    assert list(map(bool, local)) == [not info.is_raw, True, True, True, True]
    with pytest.raises(FormatError) as error:
        show(damaged[1], split="validation")
    assert "bytes, expected" in str(error.value)


def test_a_shard_that_goes_meanwhile(whole: Path, dataset: str) -> None:
    info = read_dataset(dataset)
    folder = open_folder(upload(whole / "out", f"{dataset}-goes"))
    path = folder.file(TRAIN[0])
    records = FewRecords(folder, info, info.splits["train"][0])
    assert records.row(3) == 3
    filesystem_of(path).remove(path)
    assert records.row(3) == 3  # it is still here
    with pytest.raises(FormatError) as error:
        records.row(4)
    assert str(error.value) == (
        f"{path}: cannot be read: No such file or directory. "
        "Restore the file from a copy, or convert again with --overwrite."
    )


# When HDFS fails


@pytest.mark.usefixtures("spread")
def test_trouble_of_hdfs_is_no_damage(
    tmp_path: Path, hdfs: str, hadoop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hdfs_client.RETRY_SECONDS, "0.5")
    # A client made before has more patience.
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    draw(tmp_path)
    upload(tmp_path / "out", hdfs)
    opened = open_dataset(hdfs)
    inspect = convert.verify.verification.inspect_in_processes

    def stop_first(job: Any, spans: Any, *arguments: Any) -> Any:
        hadoop.kill_datanode()
        return inspect(job, spans, *arguments)

    monkeypatch.setattr(convert.verify.verification, "inspect_in_processes", stop_first)
    with pytest.raises(TryAgainError) as error:
        verify(hdfs, workers=2)
    assert str(error.value).startswith(f"{hdfs}/images-")
    monkeypatch.setattr(convert.show.presentation, "open_dataset", lambda path: opened)
    with pytest.raises(TryAgainError) as error:
        show(hdfs)
    assert str(error.value).startswith(f"{hdfs}/images-")
    for verb in ("verify", "show"):
        done = command(verb, hdfs, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (75, "")
        assert done.stderr.startswith(f"convert: error: {hdfs}/dataset.json: ")
        assert done.stderr.count("\n") == 1
    assert set(os.listdir(tmp_path)) == {"i", "m.csv", "out"}  # no folder named `hdfs:`
