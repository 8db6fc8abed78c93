"""What tests of checkpoints share: arrays, and a position in a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from train.runs.checkpoints.checkpoint import CHECKPOINT, Position, content_digest
from train.runs.checkpoints.store import Checkpoints

POSITION = Position(
    epoch=1,
    step=3,
    options={"seed": 7, "dataset_id": "ab"},
    history=[{"epoch": 1, "loss": 0.1 + 0.2, "step": 5}],
    bad_records=[{"shard": "a", "record": 3}],
    seconds=1.5,
    epoch_seconds=0.25,
    epoch_waited_seconds=0.125,
    events={"events.out.tfevents.1": 40},
)
ARRAYS = {
    "trainable/0": np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32),
    "optimizer/0": np.array(12, np.int64),
    "metrics/0": np.array(0.1, np.float32),
}


def rewritten(folder: Path, **changes) -> Checkpoints:
    """Returns a checkpoint whose description says something else, with its digest right."""
    checkpoints = Checkpoints(str(folder))
    (folder / "best.keras").parent.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_bytes(b"model")
    checkpoints.write(POSITION, ARRAYS, {"best.keras": str(folder / "model")})
    path = folder / POSITION.name / CHECKPOINT
    content = json.loads(path.read_text())
    del content["sha256"]
    content |= changes
    path.write_text(json.dumps({**content, "sha256": content_digest(content)}))
    return checkpoints
