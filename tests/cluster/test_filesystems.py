"""Files by one small interface: HDFS gives the answers of a local disk."""

from __future__ import annotations

import errno
import hashlib
import os
from functools import partial
from pathlib import Path

import pytest
from hdfs_cases import put

from convert.errors import UsageError
from convert.storage.hdfs.connections import HdfsConnections
from convert.storage.interface import PIECE_BYTES, FileSystem, Status
from convert.storage.local import LocalFileSystem
from convert.storage.places import absolute, filesystem_of, is_remote, sha256_file


@pytest.fixture(params=["local", pytest.param("hdfs", marks=pytest.mark.long)])
def place(request, tmp_path) -> tuple[FileSystem, str]:
    """A file system and an empty folder of it."""
    folder = str(tmp_path / "x") if request.param == "local" else request.getfixturevalue("hdfs")
    files = filesystem_of(folder)
    files.make_folder(folder)
    return files, folder


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


def test_things_done_together_are_done(place) -> None:
    files, folder = place
    texts = {name: name.encode() for name in ("a", "b", "c")}
    files.together(*(partial(files.replace, f"{folder}/{name}", texts[name]) for name in texts))
    assert {name: files.read(f"{folder}/{name}") for name in files.names(folder)} == texts


def test_the_first_thing_that_fails_is_told(place) -> None:
    files, folder = place

    def fail(error: OSError) -> None:
        raise error

    with pytest.raises(OSError, match="second"):
        files.together(
            lambda: files.replace(f"{folder}/a", b"a"),
            lambda: fail(OSError("second")),
            lambda: fail(OSError("third")),
        )
    assert files.names(folder) == ["a"]  # the others have ended


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
    passed: list[str] = []
    assert sorted(files.files_below(folder, passed.append)) == ["a/2", "a/b/1"]
    assert passed == ["hidden", "hidden"]  # a folder counts as one
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
    # Without the settings that Spark has brought here.
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    assert is_remote("hdfs://a:1/b") and not is_remote("/hdfs://a")
    assert absolute("hdfs://a:1/b/../c/") == "hdfs://a:1/c"
    assert absolute("hdfs:///b") == "hdfs:///b"
    assert absolute("x") == str(Path.cwd() / "x")
    assert isinstance(filesystem_of("relative/path"), LocalFileSystem)
    for wrong in ("hdfs://a:port/b", "hdfs://"):
        with pytest.raises(UsageError):
            filesystem_of(wrong)


def test_links_that_lead_nowhere_are_nothing(tmp_path: Path) -> None:
    files = LocalFileSystem()
    for name, target in (("a", "b"), ("b", "a"), ("c", "c"), ("d", "nothing")):
        (tmp_path / name).symlink_to(tmp_path / target)
        path = str(tmp_path / name)
        assert files.status(path) is None
        assert not files.exists(path) and not files.is_folder(path)
