"""A run's folder from a stranger: links and pipes in it, and values that make no sense."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from checkpoint_cases import ARRAYS, POSITION, rewritten
from irregular import KINDS, LARGE

from convert.storage.places import sha256_file
from train.errors import CheckpointError, FormatError
from train.runs.checkpoints.store import Checkpoints
from train.runs.folder import CHECKPOINTS, EVENTS, FILES, RunFolder

CONFIG = {"dataset": "d", "dataset_id": "i"}


@pytest.fixture
def run(tmp_path):
    """A run's folder with a file under each name."""
    for name in (*FILES, ".lock", f"{EVENTS}/events.out.tfevents.1", f"{CHECKPOINTS}/a/state.npz"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(CONFIG))
    (tmp_path / "run" / "notes.md").symlink_to("config.json")  # the user's own
    return tmp_path / "run"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [*FILES, ".lock", f"{EVENTS}/events.out.tfevents.1", f"{CHECKPOINTS}/a/state.npz"]
)
def test_a_run_with_a_link_or_a_pipe_is_refused(name, kind, run):
    RunFolder.open(str(run))
    KINDS[kind](run / name)
    if kind == "folder" and "/" in name:
        return  # checkpoints are folders
    with pytest.raises(FormatError) as caught:
        RunFolder.open(str(run))
    assert f"{run / name}: " in str(caught.value)
    assert "expected a regular file" in str(caught.value)


@pytest.mark.parametrize("name", [EVENTS, CHECKPOINTS, f"{CHECKPOINTS}/a"])
def test_a_linked_folder_of_a_run_is_refused(name, run):
    os.rename(run / name, run / "elsewhere")
    os.symlink(run / "elsewhere", run / name)
    with pytest.raises(FormatError, match="a link, expected a"):
        RunFolder.open(str(run))


def test_links_to_unfinished_files_are_removed(run, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (run / ".part-best.keras").symlink_to(tmp_path / "victim")
    RunFolder.open(str(run)).tidy()
    assert not (run / ".part-best.keras").is_symlink()
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_run_may_itself_be_reached_through_a_link(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    assert RunFolder.open(str(tmp_path / "link")).config() == CONFIG


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "it is no object"),
        ("{}", "its `dataset` is None"),
        ({"dataset": "a\0b"}, r"its `dataset` is 'a\x00b'"),
        ({"epochs": "3"}, "its `epochs` is '3'"),
        ({"epochs": True}, "its `epochs` is True"),
        ({"epochs": -1}, "its `epochs` is -1"),
        ({"batch_size": 1 << 60}, "its `batch_size` is 1152921504606846976"),
        ({"learning_rate": math.nan}, "its `learning_rate` is nan"),
        ({"learning_rate": math.inf}, "its `learning_rate` is inf"),
        ({"head": "other"}, "its `head` is 'other'"),
        ({"head": []}, "its `head` is a list"),
        ({"window": 1.5}, "its `window` is 1.5"),
        ({"augment": 1}, "its `augment` is 1"),
        ({"augment": None}, "its `augment` is None"),
        ({"model": "x" * 99}, None),
        ({"window": None, "learning_rate": 1, "cache_bytes": 1 << 40}, None),
    ],
)
def test_the_options_of_a_run(content, problem, run):
    text = content if isinstance(content, str) else json.dumps({**CONFIG, **content})
    (run / "config.json").write_text(text)
    folder = RunFolder.open(str(run))
    if problem is None:
        assert folder.config() == json.loads(text)
        return
    with pytest.raises(FormatError) as caught:
        folder.config()
    damaged = f"{run}/config.json: damaged: {problem}"
    assert str(caught.value) == f"{damaged}. Restore it, or train again."


@pytest.mark.parametrize("text", ["", "{", "\xff", "[" * 100_000, "1" * 5000, "\x00"])
@pytest.mark.parametrize("name", ["config", "environment"])
def test_what_is_no_json(name, text, run):
    (run / f"{name}.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=f"{name}.json: damaged"):
        getattr(RunFolder.open(str(run)), name)()


@pytest.mark.parametrize("name", ["config.json", "environment.json", "history.csv"])
def test_a_vast_file_is_not_read(name, run):
    os.truncate(run / name, LARGE)
    with pytest.raises(FormatError, match=f"{name}: damaged"):
        getattr(RunFolder.open(str(run)), name.partition(".")[0])()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "it is no object"),
        ({"packages": 1}, "its `packages` is 1"),
        ({"packages": {"numpy": []}}, "its `numpy` is a list"),
        ({"cpus": 1.5}, "its `cpus` is 1.5"),
        ({"cpus": 8, "backend": "jax", "packages": {"numpy": "2"}}, None),
    ],
)
def test_the_environment_of_a_run(content, problem, run):
    (run / "environment.json").write_text(json.dumps(content))
    folder = RunFolder.open(str(run))
    if problem is None:
        assert folder.environment() == content
        return
    with pytest.raises(FormatError, match=f"environment.json: damaged: {problem}. Restore it, or"):
        folder.environment()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epoch,step,loss\n1,5,0.5\n2,10,nan\n", None),
        ("", "its first line does not name each column once"),
        ("epoch,step,epoch\n", "its first line does not name each column once"),
        ("step\n", "its first line does not name each column once"),
        ("epoch,step\n1\n", "line 2 is no row of numbers"),
        ("epoch,step\n1,5,6\n", "line 2 is no row of numbers"),
        ("epoch,step\n1,5\n1.5,6\n", "line 3 is no row of numbers"),
        ("epoch,step\n-1,5\n", "line 2 is no row of numbers"),
        ("epoch,step\n1,99999999999999999999\n", "line 2 is no row of numbers"),
        ("epoch,step,loss\n1,5,=cmd\n", "line 2 is no row of numbers"),
        ('epoch,step\n"1,5\n', "it is no CSV: unexpected end of data"),
        ("epoch,step\n" + "1" * 200_000, "it is no CSV: field larger"),
        ("epoch,step\n\ud800", "'utf-8' codec"),
    ],
)
def test_the_history_of_a_run(text, problem, run):
    (run / "history.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    folder = RunFolder.open(str(run))
    if problem is None:
        assert [row["epoch"] for row in folder.history()] == ["1", "2"]
        return
    with pytest.raises(FormatError) as caught:
        folder.history()
    assert f"history.csv: damaged: {problem}" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": [1]}, "its format is a list, expected 1"),
        ({"epoch": -1}, "has epoch -1"),
        ({"epoch": "1"}, "has epoch '1'"),
        ({"step": 1 << 60}, "has step 1152921504606846976"),
        ({"seconds": math.nan}, "has seconds nan"),
        ({"seconds": None}, "has seconds None"),
        ({"options": []}, "has options a list"),
        ({"events": {"a": -1}}, "has events that are no sizes of files"),
        ({"files": {"state.npz": "", "../../x": ""}}, "names other files"),
        ({"files": {}}, "names other files"),
        ({"history": [1]}, "has other columns in row 0 of its history"),
        ({"history": [{"epoch": 1, "step": 5, "loss": "x"}]}, "has loss 'x' in row 0"),
        ({"bad_records": [{"shard": 1, "record": 3}]}, "has shard 1 in row 0"),
    ],
)
def test_the_position_of_a_checkpoint(changes, problem, tmp_path):
    told = []
    assert rewritten(tmp_path, **changes).newest(lambda *damage: told.append(damage)) is None
    ((_, found),) = told
    assert problem in found


@pytest.mark.parametrize(
    ("epoch", "step", "num_steps", "fits"), [(1, 3, 3, True), (1, 4, 3, False), (2, 3, 3, False)]
)
def test_a_position_fits_its_history(epoch, step, num_steps, fits, tmp_path):
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write(replace(POSITION, epoch=epoch, step=step), ARRAYS, {})
    checkpoint = checkpoints.newest(lambda *_: None)
    if fits:
        checkpoint.require_fitting(num_steps)
        return
    with pytest.raises(CheckpointError, match="do not fit its history of 1 epochs"):
        checkpoint.require_fitting(num_steps)


def test_packed_arrays_are_a_bomb(tmp_path):
    checkpoint = rewritten(tmp_path).newest(lambda *_: None)
    path = os.path.join(checkpoint.path, "state.npz")
    np.savez_compressed(path, **{"trainable/0": np.zeros(1 << 20)})
    with pytest.raises(CheckpointError, match="its arrays are larger than the file"):
        checkpoint.require_arrays()


@pytest.mark.parametrize("name", ["state.npz", "best.keras"])
def test_a_vast_file_of_a_checkpoint_is_not_read(name, tmp_path, monkeypatch):
    """Its digest would take half an hour."""
    checkpoints = rewritten(tmp_path)
    monkeypatch.setattr(
        "train.runs.checkpoints.checkpoint.sha256_file",
        lambda path: pytest.fail("read") if path.endswith(name) else sha256_file(path),
    )
    os.truncate(tmp_path / POSITION.name / name, LARGE)
    told = []
    assert checkpoints.newest(lambda *damage: told.append(damage)) is None
    ((_, problem),) = told
    assert problem.startswith(f"its {name} has ") and problem.endswith("than fit into memory")
