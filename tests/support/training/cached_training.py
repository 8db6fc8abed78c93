"""What tests of trainings through a cache share: one network, and what must be equal."""

from __future__ import annotations

import pytest
from cache_cases import SHARD
from resume_cases import OneModel, history, points, weights
from train_cases import BASE, learn

from train.training.job import Job

OPTIONS = {**BASE, "epochs": 3, "batch_size": 9, "window": 20, "augment": "default"}
MODEL = OneModel()
ROOM = 6 * SHARD  # half of the dataset: four shards to train on, two to validate on


def content(path) -> dict:
    """Returns the results that must not depend on where the shards were."""
    return {
        "models": {name: weights(path / name) for name in ("best.keras", "last.keras")},
        "history": history(path),
        "points": [point for point in points(path) if not point[0].startswith("cache/")],
    }


@pytest.fixture(scope="module", autouse=True)
def shared_model():
    """All these runs have one network: to build its graph takes longer than to train it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "model", lambda job: MODEL(job))
        yield


@pytest.fixture(scope="module")
def plain(many_shards, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "run"
    learn(many_shards, path, **OPTIONS)
    return content(path)
