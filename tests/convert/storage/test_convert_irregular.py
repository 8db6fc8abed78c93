"""Links, pipes, sockets, devices, folders and vast files in the place of a dataset's files."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from convert_cases import PATIENCE, command, command_here, convert, draw_sources
from irregular import FOREIGN, KINDS

from convert.dataset.info import DATASET_JSON, QUARANTINE
from convert.dataset.read import read_dataset
from convert.engines.local import LocalEngine
from convert.errors import FormatError
from convert.storage import regular_files as regular_module
from convert.storage.local import LocalFileSystem, locked
from convert.storage.places import sha256_file
from convert.storage.regular_files import IrregularFileError, open_regular
from convert.write.staging import Staging

SHARD = "images-train.tfrecord-00000-of-00001"


@pytest.fixture(autouse=True)
def no_hang():
    """Fails a test that waits for a pipe."""

    def fail(number, frame):
        raise AssertionError("waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small dataset of PNG records, beside its manifest."""
    folder = tmp_path_factory.mktemp("made")
    manifest = draw_sources(folder, 20)
    convert(manifest, folder / "ds", encoding="png", split=(("train", 1.0),))
    return folder


@pytest.fixture
def place(made, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_opened(kind, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"text")
    KINDS[kind](path)
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND):
        with pytest.raises((IrregularFileError, IsADirectoryError)):
            open_regular(str(path), flags)
    files = LocalFileSystem()
    with pytest.raises(OSError):
        files.read(str(path))
    with pytest.raises(OSError):
        list(files.stream(str(path)))
    with pytest.raises(OSError):
        sha256_file(str(path))
    assert kind == "folder" or path.name not in files.sizes(str(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_there_after_the_look_is_not_opened_either(kind, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"text")
    regular = os.lstat(path)
    KINDS[kind](path)
    monkeypatch.setattr(
        regular_module, "os", SimpleNamespace(**vars(os) | {"lstat": lambda *_, **__: regular})
    )
    with pytest.raises(OSError):
        open_regular(str(path), os.O_RDONLY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_is_a_regular_file(kind, tmp_path):
    path = tmp_path / "lock"
    path.write_bytes(b"")
    KINDS[kind](path)
    with (
        pytest.raises(FormatError, match=r"lock: .*\. Remove it, then run the same command again"),
        locked(str(path), lambda: None),
    ):
        pass


def test_a_regular_file_is_opened_in_every_mode(tmp_path):
    path = tmp_path / "file"
    for mode, text in (("x", "a"), ("a", "b"), ("r+", "c")):
        with open(path, mode, opener=open_regular) as file:
            file.write(text)
    with open(path, opener=open_regular) as file:
        assert file.read() == "cb"
    assert not path.stat().st_mode & 0o111


def test_a_link_to_a_dataset_is_a_dataset(made, tmp_path):
    (tmp_path / "ds").symlink_to(made / "ds")
    assert read_dataset(str(tmp_path / "ds")).num_records("train") == 20
    assert command("verify", tmp_path / "ds", check=False).returncode == 0


VERBS = {
    "verify": ["verify", "ds"],
    "show": ["show", "ds", "--count", "2"],
    "convert": [
        "m.csv",
        "ds",
        "--size",
        "12",
        "8",
        "--encoding",
        "png",
        "--split",
        "train=1",
        "--workers",
        "1",
    ],
}


@pytest.mark.parametrize("file", [DATASET_JSON, SHARD, f"{SHARD}.idx", QUARANTINE])
@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_one_line(verb, kind, file, place):
    FOREIGN[kind](place / "ds" / file)
    done = command_here(*VERBS[verb], check=False, cwd=place)
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2), done.stderr
    refused = "ds: exists and is no valid dataset"
    assert any(file in line or refused in line for line in done.stderr.splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_the_lock_of_an_output(kind, place):
    path = place / ".new.lock"
    path.write_bytes(b"")
    KINDS[kind](path)
    done = command_here("m.csv", "new", "--size", 12, 8, "--workers", 1, check=False, cwd=place)
    assert done.returncode == 1
    assert path.name in done.stderr


@pytest.mark.parametrize("name", ["", "attempts", "done", "dataset"])
def test_a_link_in_staging_is_not_followed(name, place, tmp_path):
    """Behind it are somebody else's files, which `prepare` would delete."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "x.part-1").write_text("mine")
    staging = Staging(str(place / "new"), "k" * 64)
    os.makedirs(os.path.dirname(os.path.join(staging.path, name).rstrip("/")), exist_ok=True)
    os.symlink(tmp_path / "victim", os.path.join(staging.path, name).rstrip("/"))
    with pytest.raises(FormatError, match="a link, expected a folder"):
        staging.prepare()
    assert os.listdir(tmp_path / "victim") == ["x.part-1"]


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_note_of_a_finished_shard_is_made_again(kind, tmp_path):
    staging = Staging(str(tmp_path / "new"), "k" * 64)
    staging.prepare()
    note = os.path.join(staging.path, "done", "a.json")
    with open(note, "w") as file:
        file.write("{}")
    FOREIGN[kind](Path(note))
    assert staging.finished(["a"], LocalEngine(1).intact) == {}
