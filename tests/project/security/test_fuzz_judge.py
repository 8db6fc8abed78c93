"""What judges the verbs on damaged folders sees what they leave behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import fuzz_judge
import numpy as np
import pytest
from fuzz_judge import Told, called, changes, judge, nothing_left, open_files, snapshot
from fuzz_places import FILE_KINDS, FOLDER_KINDS, put

from convert.errors import TryAgainError

ERROR = "train: error: run: damaged. Restore it.\n"


@pytest.mark.parametrize(
    ("told", "may_find", "outcome"),
    [
        (Told(code=0, out="a\r\nb\n", err="train: epoch 1\n"), False, "done"),
        (Told(code=1, out="", err=f"train: epoch 1\n{ERROR}"), False, "refused"),
        (Told(code=2, out="", err=ERROR), True, "refused"),
        (Told(code=1, out="", err="convert: x: its sha256 differs\n"), True, "done"),
    ],
)
def test_clean_ends(told: Told, may_find: bool, outcome: str) -> None:
    assert judge(told, may_find=may_find) == outcome


@pytest.mark.parametrize(
    "told",
    [
        Told(code=1, out="", err=""),
        Told(
            code=1, out="", err="convert: x: its sha256 differs\n"
        ),  # of a verb that finds nothing
        Told(code=1, out="", err=ERROR * 2),
        Told(code=1, out="", err=f"{ERROR}train: epoch 1\n"),
        Told(code=1, out="", err=f"Traceback (most recent call last):\n{ERROR}"),
        Told(code=1, out="", err="train: error: \n"),
        Told(code=1, out="", err=f"train: error: {'x' * 5000}.\n"),
        Told(code=0, out="", err=ERROR),
        Told(code=0, out="", err="OSError: x\n"),
        Told(code=0, out="\x1b[2J\n", err=""),
        Told(code=1, out="", err="train: error: \x1b[2J.\n"),
        Told(code=1, out="", err="train: error: \u202ex.\n"),
        Told(code=75, out="", err=ERROR),  # no damage passes by itself
        Told(code=139, out="", err=ERROR),
    ],
)
def test_other_ends(told: Told) -> None:
    with pytest.raises(AssertionError):
        judge(told, may_find=False)


def test_what_a_verb_says_and_raises_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):  # as where pytest does not look
        monkeypatch.setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115

    def verb() -> None:
        os.write(2, b"from a library\n")
        print("a result")
        raise TryAgainError("the disk is full.")

    told = called(verb)
    assert (told.code, told.out) == (75, "a result\n")
    assert told.err == "from a library\ntrain: error: the disk is full.\n"
    with pytest.raises(TypeError):  # no error of ours
        called(lambda: len(1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda path: (path / "new").touch(),
    "a file gone": lambda path: (path / "old").unlink(),
    "another content": lambda path: (path / "old").write_text("wen"),
    "an old time": lambda path: os.utime(path / "old", (0, 0)),
    "other rights": lambda path: (path / "old").chmod(0o600),
    "another link": lambda path: ((path / "link").unlink(), (path / "link").symlink_to("x")),
    "a new folder": lambda path: (path / "folder" / "new").mkdir(),
}


@pytest.mark.parametrize("where", [".", "around"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name: str, where: str, tmp_path: Path) -> None:
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    (folder / "old").write_text("old")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("old")
    before = snapshot(tmp_path)
    assert changes(before, snapshot(tmp_path), ()) == []
    CHANGES[name](folder)
    (change,) = changes(before, snapshot(tmp_path), ("other",))
    assert changes(before, snapshot(tmp_path), (change.partition(":")[0],)) == []


def test_what_is_left_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fuzz_judge, "PATIENCE", 0)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    with pytest.raises(AssertionError, match=re.escape(thread.name)), nothing_left():
        thread.start()
    ended.set()
    thread.join()
    words = [sys.executable, "-c", "input()"]
    with pytest.raises(AssertionError, match="input"), nothing_left():
        process = subprocess.Popen(words, stdin=subprocess.PIPE)
    process.communicate()
    with (tmp_path / "x").open("w") as file:
        assert open_files(tmp_path) == [file.name]
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_every_kind_can_stand_in_a_files_place(kind: str, tmp_path: Path) -> None:
    path, around = tmp_path / "here" / "x.json", tmp_path / "around"
    path.parent.mkdir()
    (around / "folder").mkdir(parents=True)
    (around / "victim.txt").touch()
    path.write_text("{}")
    before = snapshot(tmp_path)
    put(path, kind, around, np.random.default_rng(0))
    changed = {line.partition(":")[0] for line in changes(before, snapshot(tmp_path), ("around",))}
    assert bool(changed) and all(name.startswith("here") for name in changed)


@pytest.mark.parametrize("kind", FOLDER_KINDS)
def test_every_kind_can_stand_in_a_folders_place(kind: str, tmp_path: Path) -> None:
    path, around = tmp_path / "here" / "x", tmp_path / "around"
    (path / "in").mkdir(parents=True)
    (path / "in" / "vast").touch()
    os.truncate(path / "in" / "vast", 1 << 40)  # is never copied
    (around / "folder").mkdir(parents=True)
    before = snapshot(tmp_path)
    put(path, kind, around, np.random.default_rng(0))
    assert changes(before, snapshot(tmp_path), ("around",))
