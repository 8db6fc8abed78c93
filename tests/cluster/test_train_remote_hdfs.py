"""Runs on a real HDFS: uploads, takeovers and resumes as on the stand-in, and a killed training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT
from hdfs_cases import download
from remote_cases import begin, name, newest, session, step
from resume_cases import FLAGS, assert_same, content, words_of
from train_cases import train

from convert.storage.places import filesystem_of
from train.errors import OvertakenError, UsageError
from train.runs.open import read_run
from train.training.resuming.resume import resume_training

SUPPORT = Path(__file__).parents[1] / "support"
SCRIPT = "import quick_network, killed_training; quick_network.install(); killed_training.main()"


def test_uploads(hdfs, tmp_path):
    files, address = filesystem_of(hdfs), f"{hdfs}/runs/x"
    first = begin(files, tmp_path / "one", address=address)
    for number in (3, 5, 7):
        step(first.run, number)
        first.upload()
    there = download(address, tmp_path / "there")
    assert newest(there) == name(7)
    assert sorted(os.listdir(there / "checkpoints")) == [name(5), name(7)]
    mine = {path: path.read_bytes() for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "one"): data for path, data in mine.items()} == {
        path.relative_to(there): path.read_bytes() for path in there.rglob("*") if path.is_file()
    }
    other = session(files, tmp_path / "other", address)
    other.fetch()
    assert newest(tmp_path / "other") == name(7)
    step(other.run, 9)
    other.upload()
    step(first.run, 9)
    with pytest.raises(OvertakenError):
        first.upload()
    with pytest.raises(UsageError, match="It is a run: go on with"):
        session(files, tmp_path / "third", address).make()


@pytest.mark.long
def test_a_datanode_that_is_started_again(hadoop, hdfs, tmp_path):
    """What was begun to be written when it was killed is written again."""
    files, address = filesystem_of(hdfs), f"{hdfs}/runs/x"
    remote = begin(files, tmp_path / "one", address=address)
    for number in (3, 5):
        step(remote.run, number)
        remote.upload()
    step(remote.run, 7)
    Path(remote.run.file("last.keras")).write_bytes(os.urandom(20_000_000))
    hadoop.kill_datanode()
    with ThreadPoolExecutor() as pool:  # a daemon dies with the thread that started it
        upload = pool.submit(remote.upload)
        hadoop.start_datanode()
        upload.result()
    other = session(files, tmp_path / "other", address)
    other.fetch()
    assert newest(tmp_path / "other") == name(7)
    assert (tmp_path / "other" / "last.keras").stat().st_size == 20_000_000


@pytest.mark.long
def test_a_training_that_is_killed(
    hdfs, whole_run, tiny_dataset, tmp_path, counting_clock, monkeypatch
):
    """SIGKILL in the second epoch, after a checkpoint of it; another machine ends the run."""
    address, said = f"{hdfs}/runs/x", []
    words = ["kill", 20, tiny_dataset, "--run", address, *words_of(FLAGS)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, SUPPORT, SUPPORT / "training"))),
            "XDG_CACHE_HOME": str(tmp_path / "one"),
        },
    )
    assert done.returncode == -9, done.stderr
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    result = resume_training(address, {}, said.append)
    assert said[0] == f"{address}: goes on in epoch 2/3 after step 5/11"
    assert (result.run, result.steps) == (address, 33)
    there = download(address, tmp_path / "there")
    assert_same(content(whole_run), content(there))
    assert len(os.listdir(there / "checkpoints")) == 2
    assert os.listdir(tmp_path / "other" / "shardfeed" / "runs") == []
    with read_run(address) as run:
        assert len(run.history()) == 3
    code, stdout, stderr = train("evaluate", address, "--json")
    assert code == 0, stderr
    assert json.loads(stdout[-1])["run"] == address
    assert stdout[:-1] == train("evaluate", whole_run)[1]
    predicted = train("predict", address, "--split", "validation")[1]
    assert predicted == train("predict", whole_run, "--split", "validation")[1]
    assert len(predicted) == 31
    code, _, stderr = train("export", address, "--to", "keras")
    assert (code, stderr) == (
        2,
        [
            "train: error: exports are checked where they are written, on a disk of this machine. "
            "Name a local path with --output."
        ],
    )
    assert train("export", address, "--to", "keras", "--output", tmp_path / "model")[0] == 0
