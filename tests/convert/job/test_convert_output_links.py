"""Outputs that are links, and outputs whose file system cannot rename them."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from convert_cases import convert, digests, draw_sources, options_of

from convert.dataset.read import read_dataset
from convert.errors import UsageError
from convert.job import convert_dataset
from convert.storage.places import real_place
from convert.write import commit_dataset as module


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """Sources, a dataset `disk/v1`, and the link `current` to it."""
    draw_sources(tmp_path, 40)
    (tmp_path / "disk").mkdir()
    convert(tmp_path / "m.csv", tmp_path / "disk/v1")
    (tmp_path / "current").symlink_to("disk/v1")
    return tmp_path


@pytest.mark.parametrize("name", ["current", "current/", "again", "disk/here/../../current"])
def test_overwrite_replaces_what_a_link_points_at(disks: Path, name: str) -> None:
    (disks / "again").symlink_to(disks / "current")
    (disks / "disk/here").mkdir()
    convert(disks / "m.csv", disks / "fresh", seed=5)
    config = options_of(disks / "m.csv", f"{disks}/{name}", seed=5, overwrite=True)
    convert_dataset(config)
    assert digests(disks / "disk/v1") == digests(disks / "fresh")
    assert os.readlink(disks / "current") == "disk/v1"
    assert os.readlink(disks / "again") == str(disks / "current")
    assert sorted(os.listdir(disks / "disk")) == ["here", "v1"]
    assert sorted(os.listdir(disks)) == ["again", "current", "disk", "fresh", "i", "m.csv"]


def test_a_link_to_a_dataset_is_that_dataset(disks: Path) -> None:
    assert convert(disks / "m.csv", disks / "current").already_complete


def test_a_link_to_an_empty_folder_is_filled(disks: Path) -> None:
    (disks / "disk/v2").mkdir()
    (disks / "next").symlink_to("disk/v2")
    convert(disks / "m.csv", disks / "next")
    assert os.readlink(disks / "next") == "disk/v2"
    assert digests(disks / "disk/v2") == digests(disks / "disk/v1")


@pytest.mark.parametrize("target", ["file", "folder"])
def test_a_link_to_something_else_is_refused(disks: Path, target: str) -> None:
    (disks / "folder").mkdir()
    for path in (disks / "file", disks / "folder/keep"):
        path.write_text("keep")
    (disks / "link").symlink_to(target)
    with pytest.raises(UsageError) as caught:
        convert(disks / "m.csv", disks / "link", overwrite=True)
    assert str(caught.value) == (
        f"{disks / target}: exists and is no valid dataset, so it is left alone. "
        "Choose another output, or remove it yourself."
    )
    assert (disks / "link").is_symlink()


def test_real_place(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("a/b", "new", "dangling", "loop", "link/new"):
        assert real_place(f"{tmp_path}/{name}") == f"{tmp_path}/{name}"
    assert real_place(f"{tmp_path}/link/") == f"{tmp_path}/a/b"
    assert real_place(f"{tmp_path}/link/../new") == f"{tmp_path}/a/new"  # as the kernel has it
    assert real_place("hdfs://there/link/../new") == "hdfs://there/link/../new"


@pytest.fixture
def cannot_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(first: str, second: str) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), second)

    monkeypatch.setattr(module, "exchange", fail)


@pytest.mark.usefixtures("cannot_rename")
def test_a_folder_that_cannot_be_renamed_is_replaced(disks: Path) -> None:
    convert(disks / "m.csv", disks / "disk/v1", seed=5, overwrite=True)
    convert(disks / "m.csv", disks / "fresh", seed=5)
    assert digests(disks / "disk/v1") == digests(disks / "fresh")
    assert os.listdir(disks / "disk") == ["v1"]


@pytest.mark.usefixtures("cannot_rename")
def test_the_files_of_others_in_a_folder_that_cannot_be_renamed(disks: Path) -> None:
    (disks / "disk/v1/notes").mkdir()
    before = read_dataset(str(disks / "disk/v1"))
    with pytest.raises(UsageError) as caught:
        convert(disks / "m.csv", disks / "disk/v1", seed=5, overwrite=True)
    assert str(caught.value) == (
        f"{disks}/disk/v1: its file system (an overlay, as in a container) cannot rename it, and "
        "it keeps files of others: notes. Move them away, then run the same command again: what "
        "was converted is kept."
    )
    assert read_dataset(str(disks / "disk/v1")) == before
    (disks / "disk/v1/notes").rmdir()
    result = convert(disks / "m.csv", disks / "disk/v1", seed=5, overwrite=True)
    assert result.resumed_rows == 40
    assert os.listdir(disks / "disk") == ["v1"]


def test_another_failure_keeps_the_work(disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(first: str, second: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), second)

    with monkeypatch.context() as patch:
        patch.setattr(module, "exchange", fail)
        with pytest.raises(Exception, match="Input/output error"):
            convert(disks / "m.csv", disks / "disk/v1", seed=5, overwrite=True)
    assert convert(disks / "m.csv", disks / "disk/v1", seed=5, overwrite=True).resumed_rows == 40


@pytest.fixture
def overlay(disks: Path) -> Iterator[Path]:
    """An overlay with the dataset `v1` in its lower layer, as in a Docker image."""
    for name in ("layers", "merged"):
        (disks / name).mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", disks / "layers"], check=False).returncode:
        pytest.skip("may not mount")
    try:
        for name in ("upper", "work"):
            (disks / "layers" / name).mkdir()
        layers = f"lowerdir={disks}/disk,upperdir={disks}/layers/upper,workdir={disks}/layers/work"
        mount = ["mount", "-t", "overlay", "overlay", "-o", layers, disks / "merged"]
        if subprocess.run(mount, check=False).returncode:
            pytest.skip("no overlays here")
        try:
            yield disks / "merged"
        finally:
            subprocess.run(["umount", disks / "merged"], check=True)
    finally:
        subprocess.run(["umount", disks / "layers"], check=True)


def test_overwrite_on_an_overlay(disks: Path, overlay: Path) -> None:
    convert(disks / "m.csv", overlay / "v1", seed=5, overwrite=True)
    convert(disks / "m.csv", disks / "fresh", seed=5)
    assert digests(overlay / "v1") == digests(disks / "fresh")
    assert os.listdir(overlay) == ["v1"]
