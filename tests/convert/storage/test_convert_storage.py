"""Files appear whole or not at all, and only regular files below the root are read."""

import errno
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.errors import ImageError, TryAgainError
from convert.images.sources import reader as source_reader
from convert.images.sources.reader import SourceReader
from convert.storage import local
from convert.storage.local import LocalFileSystem, exchange, locked, write_file
from convert.storage.places import write_json


@pytest.fixture(params=["renameat2", "a file system without it"])
def rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the system call, and with what stands in for it."""
    if request.param != "renameat2":
        monkeypatch.setattr(local, "_renameat2", lambda *arguments: False)


@pytest.mark.usefixtures("rename")
def test_publish_moves_a_file(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("new")
    assert LocalFileSystem().publish(str(tmp_path / "part"), str(tmp_path / "shard"))
    assert os.listdir(tmp_path) == ["shard"]
    assert (tmp_path / "shard").read_text() == "new"


@pytest.mark.usefixtures("rename")
def test_publish_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("new")
    (tmp_path / "shard").write_text("old")
    assert not LocalFileSystem().publish(str(tmp_path / "part"), str(tmp_path / "shard"))
    assert os.listdir(tmp_path) == ["shard"]
    assert (tmp_path / "shard").read_text() == "old"


@pytest.mark.usefixtures("rename")
def test_exchange_swaps_two_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(str(tmp_path / "a"), str(tmp_path / "b"))
    assert {name: os.listdir(tmp_path / name) for name in os.listdir(tmp_path)} == {
        "a": ["b"],
        "b": ["a"],
    }


def test_publish_of_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LocalFileSystem().publish(str(tmp_path / "part"), str(tmp_path / "shard"))


def test_write_file_replaces(tmp_path: Path) -> None:
    for text in ("first, longer", "长\n"):
        write_file(str(tmp_path / "f"), text)
        assert (tmp_path / "f").read_text("utf-8") == text
        assert os.listdir(tmp_path) == ["f"]


def test_write_file_that_fails_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_file(str(tmp_path / "f"), "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        write_file(str(tmp_path / "f"), "new")
    assert (tmp_path / "f").read_text() == "old"


def test_write_json_is_readable_text(tmp_path: Path) -> None:
    write_json(str(tmp_path / "f"), {"a": ["长"]})
    assert (tmp_path / "f").read_text("utf-8") == '{\n "a": [\n  "长"\n ]\n}\n'


# Locks


def test_a_lock_file_goes_when_it_is_released(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locked(path, pytest.fail):
        assert os.listdir(tmp_path) == ["lock"]
    assert os.listdir(tmp_path) == []


def test_a_lock_file_goes_when_its_holder_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(str(tmp_path / "lock"), pytest.fail):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_a_lock_file_that_a_killed_process_left_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with locked(str(tmp_path / "lock"), pytest.fail):
        pass
    assert os.listdir(tmp_path) == []


def count(folder: str, times: int) -> None:
    """Adds to a number in a file, which goes wrong if two do it at once."""
    number = Path(folder, "number")
    for _ in range(times):
        with locked(os.path.join(folder, "lock"), lambda: None):
            seen = int(number.read_text())
            number.write_text("")  # another would fail to read this
            number.write_text(str(seen + 1))


def test_a_lock_excludes_others(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count, args=(str(tmp_path), 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "300"
    assert os.listdir(tmp_path) == ["number"]


# Sources; each kind of bad one is in test_convert_job


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/a/b.png").write_bytes(b"content")
    (tmp_path / "link").symlink_to("root")
    for root in (str(tmp_path / "root"), str(tmp_path / "root") + "/", str(tmp_path / "link")):
        reader = SourceReader(root)
        for path in ("a/b.png", "./a//b.png", "a/../a/b.png", str(tmp_path / "root/a/b.png")):
            assert reader.read(path) == b"content"


@pytest.mark.parametrize(
    "size",
    [
        0,  # it was empty when it was looked at, and has grown since
        3,
        100,  # it has shrunk
    ],
)
def test_a_file_that_changes_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tmp_path / "b.png").write_bytes(b"content")
    mode = os.stat(tmp_path / "b.png").st_mode
    fields = [mode, 0, 0, 0, 0, 0, size, 0, 0, 0]
    monkeypatch.setattr(os, "fstat", lambda descriptor: os.stat_result(fields))
    assert SourceReader(str(tmp_path)).read("b.png") == b"content"


def test_the_whole_disk_may_be_the_root(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"content")
    assert SourceReader("/").read(str(tmp_path / "b.png")) == b"content"


def test_a_folder_whose_name_starts_like_the_root_is_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2/b.png").write_bytes(b"content")
    with pytest.raises(ImageError) as caught:
        SourceReader(str(tmp_path / "root")).read("../root-2/b.png")
    assert caught.value.reason == "outside_root"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.png").write_bytes(b"content")
    monkeypatch.setattr(os, "open", failing(errno.EACCES, times=1))
    with pytest.raises(ImageError) as caught:
        SourceReader(str(tmp_path)).read("b.png")
    assert str(caught.value) == "unreadable: permission denied"


@pytest.mark.parametrize(
    ("times", "passes"),
    [
        (2, True),  # a disk that recovers
        (3, False),
    ],
)
def test_io_errors_are_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, passes: bool
) -> None:
    (tmp_path / "b.png").write_bytes(b"content")
    monkeypatch.setattr(source_reader.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(os, "open", failing(errno.EIO, times=times))
    reader = SourceReader(str(tmp_path))
    if passes:
        assert reader.read("b.png") == b"content"
        return
    with pytest.raises(TryAgainError) as caught:
        reader.read("b.png")
    assert str(caught.value) == (
        "b.png: cannot be read: Input/output error. Run the same command again."
    )


def failing(code: int, times: int) -> Callable[..., int]:
    """Returns an `os.open` that fails some times before it works."""
    real, left = os.open, [times]

    def fail(path: str, *more: int) -> int:
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code), path)
        return real(path, *more)

    return fail


def test_a_pipe_is_refused_without_opening_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "p")
    assert stat.S_ISFIFO(os.stat(tmp_path / "p").st_mode)
    monkeypatch.setattr(os, "open", pytest.fail)
    with pytest.raises(ImageError) as caught:
        SourceReader(str(tmp_path)).read("p")
    assert str(caught.value) == "not_a_file: a pipe, socket or device, expected an image file"
