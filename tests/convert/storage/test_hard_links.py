"""A file of ours that is also somebody else's: reading is harmless, writing in place is refused."""

from __future__ import annotations

import errno
import json
import os

import pytest
from PIL import Image

from convert.show.sheet_file import write_png
from convert.storage.places import read_text, write_json
from convert.storage.regular_files import IrregularFileError, open_regular
from train.errors import FormatError, ShardfeedError, UsageError
from train.predict.output_file import open_output
from train.runs.events import cut_back
from train.runs.folder import EVENTS, LOG, RunFolder
from train.runs.log import RunLog
from train.runs.open import resumed_run

EVENT = f"{EVENTS}/events.out.tfevents.1"


@pytest.fixture
def linked(tmp_path):
    """A file that has two names."""
    (tmp_path / "theirs").write_text("precious")
    os.link(tmp_path / "theirs", tmp_path / "ours")
    return tmp_path / "ours"


@pytest.fixture
def run(tmp_path):
    for name in ("config.json", LOG, EVENT):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"dataset": "d", "dataset_id": "i"}))
    return tmp_path / "run"


@pytest.mark.parametrize("mode", ["a", "ab", "w", "r+b", "a+"])
def test_nothing_is_written_through_a_hard_link(mode, linked):
    if mode == "r+b":  # as locks are opened, which are not written
        with open(linked, mode, opener=open_regular):
            return
    with (
        pytest.raises(IrregularFileError) as caught,
        open(linked, mode, opener=open_regular),
    ):
        pass
    assert caught.value.errno == errno.EMLINK
    assert caught.value.strerror == "a file of 2 names (hard links), expected one of its own"
    assert (linked.parent / "theirs").read_text() == "precious"


def test_reading_and_replacing_are_harmless(linked):
    assert read_text(str(linked)) == b"precious"
    write_json(str(linked), {})
    assert (linked.parent / "theirs").read_text() == "precious"
    assert linked.stat().st_nlink == 1


def test_a_file_of_its_own_is_cut_as_ever(tmp_path):
    (tmp_path / "file").write_text("old and longer")
    with open(tmp_path / "file", "w", opener=open_regular) as file:
        file.write("new")
    assert (tmp_path / "file").read_text() == "new"


def test_the_part_of_a_file_is_not_somebody_elses(linked):
    """A stranger may guess its name."""
    os.rename(linked, f"{linked.parent}/x.json.part-{os.getpid()}")
    with pytest.raises(OSError, match="hard links"):
        write_json(str(linked.parent / "x.json"), {})
    assert (linked.parent / "theirs").read_text() == "precious"


def write_prediction(path):
    with open_output(path) as file:
        file.write("text")


def write_sheet(path):
    write_png(path, Image.new("L", (1, 1)))


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("write", [write_prediction, write_sheet])
def test_results_are_not_written_through_a_link_that_was_there(write, link, tmp_path):
    """In a folder that others may write to, under a name that they may guess."""
    (tmp_path / "theirs").write_text("precious")
    link(tmp_path / "theirs", tmp_path / f"result.part-{os.getpid()}")
    with pytest.raises(ShardfeedError, match=r"link"):
        write(str(tmp_path / "result"))
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("name", [LOG, EVENT])
def test_a_resume_is_refused_before_it_writes(name, run):
    os.link(run / name, run.parent / "backup")
    RunFolder.open(str(run))  # whoever only reads may
    with pytest.raises(FormatError) as caught, resumed_run(str(run), lambda line: None):
        pass
    assert str(caught.value) == (
        f"{run / name}: a file of 2 names (hard links), expected one of its own, since a resume "
        "changes it. Put a copy in its place."
    )
    os.unlink(run.parent / "backup")
    with resumed_run(str(run), lambda line: None):
        pass


def test_a_log_that_is_linked_later_is_one_line(run):
    os.link(run / LOG, run.parent / "backup")
    before = (run / LOG).read_bytes()
    with pytest.raises(UsageError, match=r"log\.txt: .* \(hard links\), .*\. Put a copy in its"):
        RunLog(RunFolder(str(run)), lambda line: None)("a line")
    assert (run.parent / "backup").read_bytes() == before


def test_events_that_are_linked_are_not_cut(run):
    os.link(run / EVENT, run.parent / "backup")
    before = (run / EVENT).read_bytes()
    with pytest.raises(OSError, match="hard links"):
        cut_back(str(run / EVENTS), {os.path.basename(EVENT): 3})
    assert (run.parent / "backup").read_bytes() == before
