"""HDFS as a file system: the same answers as a local disk, patience, and one-line errors."""

from __future__ import annotations

import errno
import hashlib
import mmap
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from convert_cases import command, png

from convert import hdfs_client
from convert.errors import ImageError, UsageError
from convert.filesystem import PIECE_BYTES, FileSystem, Status
from convert.hdfs_errors import UnavailableError
from convert.hdfs_sources import HdfsSourceReader
from convert.local import LocalFileSystem
from convert.storage import absolute, filesystem_of, is_remote, sha256_file

RETRY = hdfs_client.RETRY_SECONDS

COUNT_FAULTS = """
import resource, sys
from convert.storage import filesystem_of

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for piece in filesystem_of(sys.argv[1]).stream(sys.argv[1]):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(4)))
"""


@pytest.fixture(params=["local", "hdfs"])
def place(request, tmp_path) -> tuple[FileSystem, str]:
    """A file system and an empty folder of it."""
    folder = str(tmp_path / "x") if request.param == "local" else request.getfixturevalue("hdfs")
    files = filesystem_of(folder)
    files.make_folder(folder)
    return files, folder


def put(files: FileSystem, path: str, content: bytes = b"content") -> str:
    with files.create(path) as file:
        file.write(content)
    return path


def test_what_is_written_is_read(place) -> None:
    files, folder = place
    content = os.urandom(2 * PIECE_BYTES + 7)
    path = f"{folder}/file"
    with files.create(path) as file:
        for start in range(0, len(content), 99_999):
            file.write(content[start : start + 99_999])
    assert files.read(path) == content
    assert files.read(path, 5, 10) == content[5:15]
    assert files.read(path, len(content)) == files.read(path, 3, 0) == b""
    pieces = list(files.stream(path))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert files.status(path) == Status(is_folder=False, size=len(content))
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_an_empty_file(place) -> None:
    files, folder = place
    path = put(files, f"{folder}/empty", b"")
    assert files.read(path) == b""
    assert list(files.stream(path)) == []
    assert files.status(path) == Status(is_folder=False, size=0)


def test_an_interrupted_file_is_gone(place) -> None:
    files, folder = place
    with pytest.raises(KeyboardInterrupt), files.create(f"{folder}/file") as file:
        file.write(bytes(3_000_000))
        raise KeyboardInterrupt
    assert files.names(folder) == []


def test_a_file_is_never_made_twice(place) -> None:
    files, folder = place
    put(files, f"{folder}/file")
    with pytest.raises(FileExistsError), files.create(f"{folder}/file") as file:
        file.write(b"other")
    assert files.read(f"{folder}/file") == b"content"


def test_publishing_replaces_nothing(place) -> None:
    files, folder = place
    assert files.publish(put(files, f"{folder}/one"), f"{folder}/file")
    assert not files.publish(put(files, f"{folder}/two", b"other"), f"{folder}/file")
    assert files.names(folder) == ["file"]
    assert files.read(f"{folder}/file") == b"content"


def test_replacing_leaves_one_file(place) -> None:
    files, folder = place
    files.replace(f"{folder}/file", b"first")
    files.replace(f"{folder}/file", b"second")
    assert files.names(folder) == ["file"]
    assert files.read(f"{folder}/file") == b"second"


def test_a_folder_moves_only_where_nothing_stands(place) -> None:
    files, folder = place
    for name in ("new", "full", "empty"):
        files.make_folder(f"{folder}/{name}")
    put(files, f"{folder}/new/file")
    put(files, f"{folder}/full/other")
    put(files, f"{folder}/file")
    for taken in ("full", "file"):
        with pytest.raises(FileExistsError):
            files.move(f"{folder}/new", f"{folder}/{taken}")
    files.move(f"{folder}/new", f"{folder}/empty")
    assert files.names(f"{folder}/empty") == ["file"]
    files.move(f"{folder}/empty", f"{folder}/moved")
    assert sorted(files.names(folder)) == ["file", "full", "moved"]
    assert files.names(f"{folder}/full") == ["other"]


def test_folders_are_listed(place) -> None:
    files, folder = place
    for path in ("a/b/1", "a/2", ".hidden/3", "a/.4"):
        files.make_folder(os.path.dirname(f"{folder}/{path}"))
        put(files, f"{folder}/{path}", path.encode())
    assert sorted(files.names(folder)) == [".hidden", "a"]
    assert files.sizes(f"{folder}/a") == {"2": 3, ".4": 4}
    assert sorted(files.files_below(folder)) == ["a/2", "a/b/1"]
    assert files.is_folder(f"{folder}/a") and not files.is_folder(f"{folder}/a/2")
    files.remove(f"{folder}/a/2")
    files.remove(f"{folder}/a/2")
    assert not files.exists(f"{folder}/a/2")
    files.remove_tree(f"{folder}/a")
    files.remove_tree(f"{folder}/a")
    assert files.names(folder) == [".hidden"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda files, folder: files.read(f"{folder}/none"), FileNotFoundError),
        (lambda files, folder: list(files.stream(f"{folder}/none")), FileNotFoundError),
        (lambda files, folder: files.names(f"{folder}/none"), FileNotFoundError),
        (lambda files, folder: files.sizes(f"{folder}/none"), FileNotFoundError),
        (lambda files, folder: put(files, f"{folder}/none/file"), FileNotFoundError),
        (lambda files, folder: files.publish(f"{folder}/none", f"{folder}/f"), FileNotFoundError),
        (lambda files, folder: files.move(f"{folder}/none", f"{folder}/f"), FileNotFoundError),
        (lambda files, folder: files.read(folder), IsADirectoryError),
        (lambda files, folder: files.names(f"{folder}/file"), NotADirectoryError),
        (lambda files, folder: files.make_folder(f"{folder}/file"), FileExistsError),
    ],
)
def test_errors_are_those_of_a_local_disk(place, call, error) -> None:
    files, folder = place
    put(files, f"{folder}/file")
    with pytest.raises(error) as raised:
        call(files, folder)
    assert raised.value.filename.startswith(folder)
    assert "\n" not in str(raised.value)


def test_a_file_that_ends_early_is_told(place) -> None:
    files, folder = place
    put(files, f"{folder}/file")
    with pytest.raises(OSError, match="ends after 7 bytes") as raised:
        files.read(f"{folder}/file", 2, 6)
    assert raised.value.errno == errno.EIO


def test_addresses(monkeypatch) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.setattr(hdfs_client, "_settings", {})  # those that Spark has brought here
    monkeypatch.setattr("convert.storage._remote", {})
    assert is_remote("hdfs://a:1/b") and not is_remote("/hdfs://a")
    assert absolute("hdfs://a:1/b/../c/") == "hdfs://a:1/c"
    assert absolute("hdfs:///b") == "hdfs:///b"
    assert absolute("x") == str(Path.cwd() / "x")
    assert isinstance(filesystem_of("relative/path"), LocalFileSystem)
    for wrong in ("hdfs://a:port/b", "hdfs://"):
        with pytest.raises(UsageError):
            filesystem_of(wrong)


def test_names_of_a_group_of_namenodes(hadoop, hdfs, monkeypatch) -> None:
    """One of the two refuses connections; `hdfs:///` is `fs.defaultFS`."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hadoop.conf_dir))
    monkeypatch.setattr("convert.storage._remote", {})
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    put(files, f"{hdfs}/file")
    path = hdfs.removeprefix(hadoop.url)
    for address in (f"hdfs://testns{path}/file", f"hdfs://{path}/file"):
        assert filesystem_of(address).read(address) == b"content"


def test_settings_that_come_from_elsewhere(hadoop, hdfs, monkeypatch) -> None:
    """As they come to the workers of Spark, whose machines may have none."""
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.setattr("convert.storage._remote", {})
    monkeypatch.setattr(hdfs_client, "_settings", {})
    address = "hdfs://" + hdfs.removeprefix(hadoop.url)
    with pytest.raises(UsageError, match=r"fs\.defaultFS"):
        filesystem_of(address)
    hdfs_client.use_settings({"fs.defaultFS": hadoop.url})
    assert filesystem_of(address).status(address) is None


def test_nobody_answers(monkeypatch) -> None:
    monkeypatch.setenv(RETRY, "0.5")
    monkeypatch.setattr("convert.storage._remote", {})
    for address, problem in (
        ("hdfs://127.0.0.1:1/x", "127.0.0.1:1: connection refused"),
        ("hdfs://nobody.invalid/x", "nobody.invalid:8020: "),
    ):
        with pytest.raises(UnavailableError) as raised:
            filesystem_of(address).read(address)
        assert str(raised.value).startswith(f"{address}: HDFS fails: no NameNode answers (")
        assert problem in str(raised.value)
        assert raised.value.exit_code == 75


@pytest.mark.parametrize("seconds", ["x", "-1", "inf"])
def test_patience_is_a_number(seconds, monkeypatch) -> None:
    monkeypatch.setenv(RETRY, seconds)
    monkeypatch.setattr("convert.storage._remote", {})
    with pytest.raises(UsageError, match=RETRY):
        filesystem_of("hdfs://127.0.0.1:1/x")


def test_a_restarting_namenode_is_waited_for(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    hadoop.kill_namenode()
    hadoop.start_namenode(wait=False)
    assert files.read(path) == b"content"
    files.make_folder(f"{hdfs}/a/b")  # which safe mode forbids
    put(files, f"{hdfs}/a/b/c")


def test_a_restarting_datanode_is_waited_for(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    content = os.urandom(8 * PIECE_BYTES)  # more than is under way at once
    path = put(files, f"{hdfs}/file", content)
    pieces = files.stream(path)
    found = next(pieces)
    hadoop.kill_datanode()
    hadoop.start_datanode(wait=False)
    assert found + b"".join(pieces) == content


def test_the_memory_of_pieces_is_used_again(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file", bytes(8 * PIECE_BYTES))
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, path], capture_output=True, text=True, check=True
    )
    # Taken anew from the system, the pieces alone would cost a fault for each page.
    assert int(done.stdout) < 8 * PIECE_BYTES // mmap.PAGESIZE // 2


def test_a_file_whose_datanode_dies_is_never_complete(hadoop, hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    with (
        pytest.raises(OSError, match=r"HDFS|DataNode|nodes|file"),
        files.create(f"{hdfs}/x") as file,
    ):
        file.write(bytes(3 << 20))
        hadoop.kill_datanode()
        for _ in range(8):
            file.write(bytes(1 << 20))
    assert files.names(hdfs) == []


def test_a_hanging_datanode_is_given_up(hadoop, hdfs, monkeypatch) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    monkeypatch.setattr(hdfs_client, "_CALL_SECONDS", 0.5)
    monkeypatch.setattr(files._client, "_seconds", 0.5)
    hadoop.pause_datanode()
    with pytest.raises(UnavailableError, match=r"file: HDFS fails: no answer in time"):
        files.read(path)
    hadoop.resume_datanode()
    monkeypatch.undo()
    assert files.read(path) == b"content"


def read_in_child(path: str, results: multiprocessing.Queue) -> None:
    try:
        filesystem_of(path).read(path)
    except UsageError as error:
        results.put(str(error))


def test_a_forked_process_is_told_instead_of_hanging(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    path = put(files, f"{hdfs}/file")
    results = multiprocessing.get_context("fork").Queue()
    child = multiprocessing.get_context("fork").Process(target=read_in_child, args=(path, results))
    child.start()
    assert "forked from one that uses HDFS" in results.get(timeout=60)
    child.join()


def test_a_user_without_rights(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(hdfs)
    files._client.call(hdfs, lambda client: client.set_permission(hdfs[hdfs.index("/tests") :], 0))
    environment = {**os.environ, "HADOOP_USER_NAME": "nobody"}
    done = command("show", hdfs, check=False, env=environment)
    assert done.returncode == 1
    assert "Permission denied: user=nobody" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.png", "missing"),
        ("in/a.png/b.png", "missing"),
        ("nul\0l.png", "missing"),
        ("in", "not_a_file"),
        ("in/", "not_a_file"),
        ("..", "not_a_file"),
        ("../out.png", "outside_root"),
        ("/elsewhere/a.png", "outside_root"),
        ("hdfs://other:1/a.png", "outside_root"),
        ("in/large.png", "too_large"),
    ],
)
def test_sources_that_cannot_be_read(hdfs, path, reason) -> None:
    root = f"{hdfs}/root"
    files = filesystem_of(root)
    files.make_folder(f"{root}/in")
    put(files, f"{root}/in/a.png", png())
    put(files, f"{root}/in/large.png", bytes(10_001))
    put(files, f"{hdfs}/out.png", png())
    reader = HdfsSourceReader(root, 10_000)
    with pytest.raises(ImageError) as raised:
        reader.read(path)
    assert raised.value.reason == reason
    assert hdfs not in raised.value.detail


def test_sources_by_any_way_of_writing_them(hdfs) -> None:
    root = f"{hdfs}/root"
    files = filesystem_of(root)
    files.make_folder(f"{root}/in")
    content = png()
    put(files, f"{root}/in/a.png", content)
    reader = HdfsSourceReader(root + "/", 10_000)
    path = root[root.index("/tests") :]
    for name in ("in/a.png", "./in/../in/a.png", f"{path}/in/a.png", f"{root}/in/a.png"):
        assert reader.read(name) == content
