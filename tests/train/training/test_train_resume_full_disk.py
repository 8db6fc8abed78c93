"""A disk of its own that fills amid a run: the next checkpoint stops it, and it goes on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from mount_cases import NAMESPACE, can_mount
from resume_cases import FLAGS, assert_same, content, words_of
from timed_lines import untimed
from train_cases import train_from_exec

# Two checkpoints and the models fill it: there is no room for a third.
SMALL_DISK = """
mount -t tmpfs -o size={disk} tmpfs disk || exit
{fit} 2> first.err
echo $? > first.code
mount -o remount,size=200m disk
{resume} 2> second.err
echo $? > second.code
cp -r disk/run run
"""

# Where nobody may mount: no file can become as long as a checkpoint's. In blocks of 512 bytes.
SMALL_FILES = """
(ulimit -f {blocks}; {fit} 2> first.err; echo $? > first.code)
{resume} 2> second.err
echo $? > second.code
cp -r disk/run run
"""


@pytest.mark.long
def test_a_disk_that_is_full(tiny_dataset, tmp_path):
    """The network is that of a user, as all of the three processes are."""
    whole = tmp_path / "whole"
    code, _, stderr = train_from_exec(tiny_dataset, "--run", whole, *words_of(FLAGS))
    assert code == 0, stderr
    (tmp_path / "disk").mkdir()
    command = f"{sys.executable} -m train"
    words = " ".join(words_of({**FLAGS, "checkpoint_minutes": 0}))
    script, problem, start = SMALL_FILES, "File too large", []
    if can_mount():
        script, problem, start = SMALL_DISK, "No space left on device", NAMESPACE
    sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
    script = script.format(
        disk=sum(sizes),
        blocks=max(sizes) // 2 // 512,
        fit=f"{command} {tiny_dataset} --run disk/run {words}",
        resume=f"{command} resume disk/run --checkpoint-minutes {FLAGS['checkpoint_minutes']}",
    )
    subprocess.run(
        [*start, "sh", "-c", script],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    first = (tmp_path / "first.err").read_text(encoding="utf-8").splitlines()
    assert (tmp_path / "first.code").read_text() == "75\n"
    assert first[-1] == (
        f"train: error: disk/run/checkpoints: cannot be written: {problem}. "
        "Free space or repair the disk, then go on with `train resume disk/run`."
    )
    second = untimed((tmp_path / "second.err").read_text(encoding="utf-8")).splitlines()
    assert (tmp_path / "second.code").read_text() == "0\n", second
    assert second[0].startswith("train: disk/run: ")
    assert_same(content(whole), content(tmp_path / "run"))
