"""A resume that is refused late changes nothing: checks first, effects after."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from train.errors import CheckpointError, MismatchError, ShardfeedError
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.files.archives import ArrayHeader
from train.training.resuming.resume import resume_training


@pytest.fixture
def finished(whole_run, tmp_path):
    return shutil.copytree(whole_run, tmp_path / "run")


def refusal(run, kind, **changes):
    """Returns the error's text; not even the log may have got a line."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said: list[str] = []
    with pytest.raises(ShardfeedError) as raised:
        resume_training(str(run), changes, said.append)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert type(raised.value) is kind
    assert said == []
    return str(raised.value)


def test_another_backend(finished):
    path = finished / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "backend": "jax"}))
    assert refusal(finished, MismatchError, epochs=5) == (
        f"{finished} was started on another backend of Keras.\n"
        "  backend of the run:  jax\n"
        "  backend now:         tensorflow\n"
        "Resume it with KERAS_BACKEND=jax, or start a new run."
    )


@pytest.mark.parametrize("group", ["trainable", "non-trainable", "optimizer", "metrics"])
def test_a_checkpoint_of_another_model(group, finished, monkeypatch):
    headers = Checkpoint.require_headers
    name = f"{group.replace('-', '_')}/0"

    def others(checkpoint):
        return {**headers(checkpoint), name: ArrayHeader((3, 5, 7), np.dtype(np.float32))}

    monkeypatch.setattr(Checkpoint, "require_headers", others)
    message = refusal(finished, CheckpointError, epochs=5)
    assert message.startswith(
        f"the checkpoint's {group} variables are not those of this model: number 0 is "
        "float32 [3, 5, 7], expected "
    )


def test_damage_that_is_passed_over_is_told_once_nothing_is_refused(finished, monkeypatch):
    newest = max((finished / "checkpoints").iterdir())
    (newest / "state.npz").write_bytes(b"damaged")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "require_headers", lambda checkpoint: {})
        refusal(finished, CheckpointError, epochs=5)
    said: list[str] = []
    resume_training(str(finished), {"epochs": 4}, said.append)
    assert said[0].startswith(f"{newest}: damaged: ")
    assert f" {said[0]}\n" in (finished / "log.txt").read_text()


def test_arrays_that_cannot_be_read(finished, monkeypatch):
    def fail(checkpoint):
        raise CheckpointError("no memory is left for them")

    monkeypatch.setattr(Checkpoint, "require_arrays", fail)
    assert refusal(finished, CheckpointError, epochs=5) == "no memory is left for them"
