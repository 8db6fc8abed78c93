"""What rank 0 writes down of the others."""

from __future__ import annotations

import json

import pytest
from resume_cases import config

from train.errors import StoppedError
from train.hosts.team import Stop, Team
from train.training.start import train_model

BAD = {"shard": "far/images-train.tfrecord-00000-of-00004", "record": 7, "row": 8}


class Pair(Team):
    """Rank 0 of two, of which the other waits long, has met a bad record, and wants to stop."""

    def __init__(self) -> None:
        super().__init__(0, 1)
        self.points = 0

    def gather(self, value: bytes) -> list[bytes]:
        return [value, b"1000000.0"]

    def collect(self, rows):
        assert rows == []
        return [{**BAD, "source": "", "reason": "is damaged"}]

    def stop(self, wish):
        assert wish is None
        self.points += 1
        return Stop(what="SIGTERM", number=15) if self.points == 20 else None


def test_the_slowest_rank_and_the_records_and_wishes_of_all(tiny_dataset, tmp_path, cached_model):
    options = config(tiny_dataset, tmp_path, checkpoint_minutes=10)
    said = []
    with pytest.raises(StoppedError, match="stopped by SIGTERM in epoch 2 after step") as stopped:
        train_model(options, said.append, Pair())
    assert stopped.value.exit_code == 143
    (header, row) = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["input_wait"] == "1.0"
    (line,) = (tmp_path / "run" / "bad_records.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["shard"], found["record"]) == ("images-train.tfrecord-00000-of-00004", 7)
    assert any("1 bad records were left out" in line for line in said)
