"""A killed run that is resumed ends as if it had never been killed, bit for bit."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import forked
import pytest
from conftest import ROOT
from resume_cases import FLAGS, STEPS, assert_same, content, words_of

from train.training.resuming.resume import resume_training

SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "support")!r})
import killed_training
killed_training.main()
"""
KILLED_AT = random.Random(0).sample(range(1, STEPS), 8)


def script(*words: object) -> subprocess.CompletedProcess[str]:
    return forked.run(SCRIPT, *words, patience=600)


@pytest.fixture(scope="module")
def killed_before_changes(tiny_dataset, tmp_path_factory) -> list[Path]:
    """Copies of a run as it was before each change on the disk, around the end of an epoch."""
    folder = tmp_path_factory.mktemp("changes")
    (folder / "copies").mkdir()
    run = folder / "run"
    words = [tiny_dataset, "--run", run, *words_of(FLAGS)]
    done = script("copy", run, folder / "copies", *words)
    assert done.returncode == 0, done.stderr
    return sorted((folder / "copies").iterdir())


@pytest.mark.parametrize(
    "step", [KILLED_AT[0], *(pytest.param(step, marks=pytest.mark.long) for step in KILLED_AT[1:])]
)
def test_killed_at_a_step(step, whole_run, tiny_dataset, tmp_path, counting_clock):
    run = tmp_path / "run"
    done = script("kill", step, tiny_dataset, "--run", run, *words_of(FLAGS))
    assert done.returncode == -9, done.stderr
    resume_training(str(run), {})
    assert_same(content(whole_run), content(run))


@pytest.mark.long
def test_killed_before_a_change(
    whole_run, killed_before_changes, tmp_path, counting_clock, cached_model
):
    """Checkpoints, history, models and curves are written or deleted in no state that is lost."""
    assert len(killed_before_changes) > 50
    expected = content(whole_run)
    for copy in killed_before_changes:
        shutil.copytree(copy, tmp_path / copy.name)
        resume_training(str(tmp_path / copy.name), {})
        assert_same(expected, content(tmp_path / copy.name), copy.name)
        shutil.rmtree(tmp_path / copy.name)


@pytest.mark.long
def test_killed_before_the_first_checkpoint(whole_run, tiny_dataset, tmp_path, counting_clock):
    run, said = tmp_path / "run", []
    done = script("kill", 2, tiny_dataset, "--run", run, *words_of(FLAGS))
    assert done.returncode == -9, done.stderr
    assert not (run / "checkpoints").exists()
    resume_training(str(run), {}, said.append)
    assert said[0] == f"{run}: no checkpoint yet; starts again: 3 epochs of 11 steps"
    assert_same(content(whole_run), content(run))
