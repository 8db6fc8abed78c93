"""Conversions on HDFS: the same bytes as on a local disk, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from convert_cases import COMMAND, PATIENCE, command, convert, digests, draw_sources, png
from fault_cases import wait_for
from hdfs_cases import (
    SIZE,
    attempts,
    beside,
    options,
    remote_digests,
    require_whole_or_absent,
    upload,
    words,
)

from convert.config import ConvertConfig
from convert.dataset.source_paths import read_source_paths
from convert.errors import TryAgainError, UsageError
from convert.job import convert_dataset
from convert.storage.hdfs import client as hdfs_client
from convert.storage.hdfs.error_translation import UnavailableError
from convert.storage.hdfs.filesystem import HdfsFileSystem
from convert.storage.places import filesystem_of
from convert.write import commit_dataset, staging

NUM_ROWS = 60


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """A manifest and images, one of them bad."""
    folder = tmp_path_factory.mktemp("sources")
    manifest = draw_sources(folder, NUM_ROWS)
    (folder / "i" / "7.png").write_bytes(png()[:40])
    return manifest


@pytest.fixture(scope="module")
def expected(sources, tmp_path_factory) -> dict[str, dict[str, str]]:
    """The digests of local conversions, by encoding."""
    folder = tmp_path_factory.mktemp("expected")
    for encoding in ("raw", "png"):
        convert(sources, folder / encoding, **options(encoding))
    return {encoding: digests(folder / encoding) for encoding in ("raw", "png")}


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_hdfs_holds_the_bytes_of_a_local_conversion(hdfs, sources, expected, encoding) -> None:
    upload(sources.parent, f"{hdfs}/in")
    done = command(f"{hdfs}/in/m.csv", f"{hdfs}/out/ds", *words(encoding))
    assert remote_digests(f"{hdfs}/out/ds") == expected[encoding]
    assert beside(f"{hdfs}/out/ds") == []
    paths = read_source_paths(f"{hdfs}/out/ds")
    assert paths is not None
    assert paths.of([59, 7, 60]) == ["i/59.png", "i/7.png", ""]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["dataset"] == f"{hdfs}/out/ds"
    assert (summary["records"], summary["quarantined"]) == (NUM_ROWS - 1, 1)
    again = command(f"{hdfs}/in/m.csv", f"{hdfs}/out/ds", *words(encoding))
    assert "is already complete" in again.stderr
    assert json.loads(again.stdout)["already_complete"]


def test_each_input_and_output_may_be_anywhere(hdfs, sources, tmp_path) -> None:
    """Manifest, vocabulary, sources and output, each here or there."""
    (tmp_path / "v.txt").write_text("\n".join("0123456789abcdef"))
    upload(sources.parent, f"{hdfs}/in")
    upload(tmp_path, f"{hdfs}/more")
    here = {**options(), "vocabulary": (str(tmp_path / "v.txt"),)}
    convert(sources, tmp_path / "all-local", **here)
    wanted = digests(tmp_path / "all-local")
    there = {**here, "vocabulary": (f"y0={hdfs}/more/v.txt", f"y1={hdfs}/more/v.txt")}
    convert(f"{hdfs}/in/m.csv", tmp_path / "from", **{**here, "root": str(sources.parent)})
    assert digests(tmp_path / "from") == wanted
    convert(sources, f"{hdfs}/to", **{**here, "root": f"{hdfs}/in"})
    assert remote_digests(f"{hdfs}/to") == wanted
    convert(sources, f"{hdfs}/words", **there)
    assert remote_digests(f"{hdfs}/words").keys() == wanted.keys()
    names = {"from_names": r"([0-9])\.png", "max_bad_fraction": 0.9}
    convert(sources.parent / "i", tmp_path / "names", **names)
    convert(f"{hdfs}/in/i", f"{hdfs}/names", **names)
    assert remote_digests(f"{hdfs}/names") == digests(tmp_path / "names")


def test_rows_that_were_left_out_get_another_chance(hdfs, sources, tmp_path) -> None:
    upload(sources.parent, f"{hdfs}/in")
    convert(f"{hdfs}/in/m.csv", f"{hdfs}/ds", **options("png"))
    filesystem_of(hdfs).replace(f"{hdfs}/in/i/7.png", png(seed=7))
    convert(f"{hdfs}/in/m.csv", f"{hdfs}/ds", **options("png"), retry_quarantined=True)
    draw_sources(tmp_path, NUM_ROWS)
    convert(tmp_path / "m.csv", tmp_path / "ds", **options("png"))
    assert remote_digests(f"{hdfs}/ds") == digests(tmp_path / "ds")
    assert beside(f"{hdfs}/ds") == ["in"]


def test_overwriting_replaces_only_datasets(hdfs, sources, expected) -> None:
    convert(sources, f"{hdfs}/ds", size=(5, 5), max_bad_fraction=0.1)
    with pytest.raises(UsageError, match="holds a dataset of another plan"):
        convert(sources, f"{hdfs}/ds", **options())
    convert(sources, f"{hdfs}/ds", **options(), overwrite=True)
    assert remote_digests(f"{hdfs}/ds") == expected["raw"]
    assert beside(f"{hdfs}/ds") == []
    filesystem_of(hdfs).make_folder(f"{hdfs}/other/x")
    with pytest.raises(UsageError, match="is no valid dataset, so it is left alone"):
        convert(sources, f"{hdfs}/other", **options(), overwrite=True)


def test_what_is_missing_is_one_line(hdfs, sources, tmp_path) -> None:
    upload(sources.parent, f"{hdfs}/in")
    for arguments, problem in (
        ((f"{hdfs}/in/none.csv", f"{hdfs}/ds"), "cannot be read: No such file or directory"),
        ((sources, f"{hdfs}/ds", "--root", f"{hdfs}/none"), "no such folder"),
        ((sources, f"{hdfs}/ds", "--vocabulary", f"{hdfs}/v"), "cannot be read: No such file"),
        ((f"{hdfs}/in", f"{hdfs}/ds", "--from-names", "(z)"), "matches none"),
        ((sources, f"{hdfs}/in/m.csv/ds"), "its parent folder cannot be made"),
    ):
        done = command(*arguments, "--size", "12", "8", check=False)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert problem in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.fixture
def started(hdfs, sources) -> Iterator[subprocess.Popen[str]]:
    """A conversion to HDFS that is just writing its first shards."""
    filesystem_of(hdfs).make_folder(hdfs)
    process = subprocess.Popen(
        [*COMMAND, str(sources), f"{hdfs}/ds", *words("png"), "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: attempts(f"{hdfs}/ds"))
    yield process
    process.kill()
    process.communicate()


def finish(hdfs: str, sources: Path, expected: dict[str, dict[str, str]]) -> None:
    """Runs the same command until it is done, as a scheduler does, and compares the result."""
    require_whole_or_absent(f"{hdfs}/ds")
    for _ in range(5):
        done = command(sources, f"{hdfs}/ds", *words("png"), check=False)
        require_whole_or_absent(f"{hdfs}/ds")
        if done.returncode == 0:
            break
        assert done.returncode == 75, done.stderr
    assert remote_digests(f"{hdfs}/ds") == expected["png"]
    assert beside(f"{hdfs}/ds") == []


def test_a_killed_converter_goes_on(started, hdfs, sources, expected) -> None:
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    finish(hdfs, sources, expected)


def test_a_converter_that_is_told_to_stop(started, hdfs, sources, expected) -> None:
    started.terminate()
    _, said = started.communicate(timeout=PATIENCE)
    assert started.returncode == 143, said
    finish(hdfs, sources, expected)


def test_a_datanode_that_dies_amid_a_write(started, hadoop, hdfs, sources, expected) -> None:
    hadoop.kill_datanode()
    hadoop.start_datanode()
    _, said = started.communicate(timeout=3 * PATIENCE)
    assert started.returncode in (0, 75), said
    assert "Traceback" not in said
    finish(hdfs, sources, expected)


def test_a_namenode_that_dies_amid_a_write(started, hadoop, hdfs, sources, expected) -> None:
    hadoop.kill_namenode()
    hadoop.start_namenode()
    _, said = started.communicate(timeout=3 * PATIENCE)
    assert started.returncode in (0, 75), said
    assert "Traceback" not in said
    finish(hdfs, sources, expected)


def test_a_namenode_that_dies_in_the_commit(hadoop, hdfs, sources, expected, monkeypatch) -> None:
    """Before the one rename that makes a dataset; it comes back, and is waited for."""
    move = HdfsFileSystem.move

    def kill_first(files: HdfsFileSystem, folder: str, target: str) -> None:
        hadoop.kill_namenode()
        hadoop.start_namenode(wait=False)
        move(files, folder, target)

    monkeypatch.setattr(HdfsFileSystem, "move", kill_first)
    convert(sources, f"{hdfs}/ds", **options("png"))
    assert remote_digests(f"{hdfs}/ds") == expected["png"]
    assert beside(f"{hdfs}/ds") == []


@pytest.mark.long
def test_a_namenode_that_stays_dead_in_the_commit(
    hadoop, hdfs, sources, expected, monkeypatch
) -> None:
    replace = HdfsFileSystem.replace

    def kill_first(files: HdfsFileSystem, path: str, content: bytes) -> None:
        if path.endswith("/dataset.json"):
            monkeypatch.setattr(files._client, "_seconds", 0.3)
            hadoop.kill_namenode()
        replace(files, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(HdfsFileSystem, "replace", kill_first)
        with pytest.raises(UnavailableError, match="no NameNode answers") as raised:
            convert(sources, f"{hdfs}/ds", **options("png"))
    assert raised.value.exit_code == 75
    monkeypatch.undo()
    hadoop.start_namenode()
    finish(hdfs, sources, expected)


def test_nothing_answers_from_the_start(sources) -> None:
    environment = {**os.environ, hdfs_client.RETRY_SECONDS: "0.2"}
    address = "hdfs://127.0.0.1:1/ds"
    done = command(sources, address, *words(), check=False, env=environment)
    assert (done.returncode, done.stdout) == (75, "")
    assert "hdfs://127.0.0.1:1: HDFS fails: no NameNode answers" in done.stderr
    assert done.stderr.count("\n") == 1


def test_two_converters_of_one_dataset(hdfs, sources, expected) -> None:
    """There are no locks: one of them commits, both say that it is done."""
    filesystem_of(hdfs).make_folder(hdfs)
    both = [
        subprocess.Popen(
            [*COMMAND, str(sources), f"{hdfs}/ds", *words("png"), "--workers", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=3 * PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert remote_digests(f"{hdfs}/ds") == expected["png"]
    assert beside(f"{hdfs}/ds") == []


def test_the_loser_of_the_commit_finds_the_dataset(hdfs, sources, expected, monkeypatch) -> None:
    """The other one commits right before us, and removes the staging folder under our feet."""
    put_in_place = commit_dataset.put_in_place

    def lose(folder: str, target: str, *, overwrite: bool) -> None:
        monkeypatch.setattr(staging, "put_in_place", put_in_place)
        convert(sources, target, **options("png"))
        put_in_place(folder, target, overwrite=overwrite)

    monkeypatch.setattr(staging, "put_in_place", lose)
    lines: list[str] = []
    config = ConvertConfig(
        manifest=str(sources), dataset=f"{hdfs}/ds", size=SIZE, workers=1, **options("png")
    )  # type: ignore[arg-type]
    result = convert_dataset(config, lines.append)
    assert result.already_complete
    assert f"another convert has finished {hdfs}/ds meanwhile" in lines
    assert remote_digests(f"{hdfs}/ds") == expected["png"]
    assert beside(f"{hdfs}/ds") == []


def test_a_shard_that_vanishes_before_the_commit_is_seen(hdfs, sources, monkeypatch) -> None:
    complete = staging.Staging._require_complete

    def lose_one(self, sizes, texts) -> None:
        filesystem_of(hdfs).remove(f"{self.dataset}/{next(iter(sizes))}")
        complete(self, sizes, texts)

    monkeypatch.setattr(staging.Staging, "_require_complete", lose_one)
    with pytest.raises(TryAgainError, match="gone, or changed by another process"):
        convert(sources, f"{hdfs}/ds", **options())
    assert not filesystem_of(hdfs).exists(f"{hdfs}/ds")
    monkeypatch.undo()
    convert(sources, f"{hdfs}/ds", **options())


def test_what_killed_writers_left_is_not_published(hdfs, sources, expected) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "put_in_place", stop)
        with pytest.raises(KeyboardInterrupt):
            convert(sources, f"{hdfs}/ds", **options())
    files = filesystem_of(hdfs)
    (folder,) = beside(f"{hdfs}/ds")
    files.replace(f"{hdfs}/{folder}/dataset/dataset.json.part-123", b"half")
    shard = next(n for n in files.names(f"{hdfs}/{folder}/dataset") if "tfrecord" in n)
    files.replace(f"{hdfs}/{folder}/dataset/{shard}", b"damaged")
    convert(sources, f"{hdfs}/ds", **options())
    assert remote_digests(f"{hdfs}/ds") == expected["raw"]


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
