"""Runs that are compared bit for bit."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
from tensorboardX.proto.event_pb2 import Event

from train.checkpoint import Checkpoint, Checkpoints

WALL_CLOCK = {"images_per_second", "input_wait", "seconds"}


def newest(run: Path) -> Checkpoint:
    """Returns the newest checkpoint, which must be whole."""
    damaged = []
    found = Checkpoints(str(run / "checkpoints")).newest(lambda *problem: damaged.append(problem))
    assert found is not None and not damaged, damaged
    return found


def weights(model: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .keras file; the file itself holds the time of saving."""
    found = {}
    with zipfile.ZipFile(model) as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        stored.visititems(
            lambda name, item: found.update(
                {name: item[()]} if isinstance(item, h5py.Dataset) else {}
            )
        )
    return found


def points(run: Path) -> list[tuple[str, int, float]]:
    """Returns the points of all TensorBoard files, less those of the wall clock."""
    found = []
    for file in sorted((run / "events").iterdir()):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return [point for point in found if point[0].partition("/")[2] not in WALL_CLOCK]


def history(run: Path) -> list[dict[str, str]]:
    """Returns the rows of history.csv, less what depends on the wall clock."""
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in WALL_CLOCK}
            for row in csv.DictReader(file)
        ]


def content(run: Path) -> dict[str, object]:
    """Returns all of a run that a resume promises to leave the same."""
    checkpoint = newest(run)
    models = {name: weights(run / name) for name in ("best.keras", "last.keras")}
    copies = {name: weights(Path(checkpoint.path, name)) for name in ("best.keras", "last.keras")}
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return {
        "files": sorted(file.name for file in run.iterdir()),
        "checkpoint": Path(checkpoint.path).name,
        "state": checkpoint.arrays(),
        "models": models,
        "copies": copies,
        "history": history(run),
        "points": points(run),
        "config": {key: value for key, value in config.items() if key != "run"},
    }


def assert_same(one: object, other: object, where: str = "") -> None:
    """Compares nested dicts, arrays bit for bit."""
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        assert (one.shape, one.dtype) == (other.shape, other.dtype), where
        assert one.tobytes() == other.tobytes(), where
    else:
        assert one == other, where
