"""One shard, written in this process: the same bytes however its sources are read."""

import itertools
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from convert_cases import PATIENCE, draw_sources, plan_of

from convert.errors import TryAgainError
from convert.images import ImageOptions
from convert.images.sources import prefetch as module
from convert.images.sources.reader import SourceReader
from convert.plan.shard_specs import Plan
from convert.storage.places import sha256_file
from convert.write.parse_summary import summary_from_json
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.write_shard import ShardJob, write_shard

NUM_ROWS = 150  # more than are under way at once
FILE = "images-train.tfrecord-00000-of-00001"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    draw_sources(folder, NUM_ROWS)
    (folder / "i/7.png").unlink()
    return folder


@pytest.fixture(scope="module")
def plan(sources: Path) -> Plan:
    return plan_of(sources / "m.csv", split=(("train", 1.0),))


def job_in(staging: Path, sources: Path, plan: Plan) -> ShardJob:
    for folder in ("attempts", "done", "dataset"):
        (staging / folder).mkdir(parents=True)
    image = ImageOptions(crop=None, size=(12, 8))
    return ShardJob(root=str(sources), staging=str(staging), num_labels=2, image=image)


def written(staging: Path, sources: Path, plan: Plan) -> tuple[ShardSummary, Progress]:
    """Writes the shard; returns its summary and the work that was reported."""
    total = [Progress()]
    job = job_in(staging, sources, plan)
    summary = write_shard(
        job, plan.shard("train", 0), lambda new: total.append(total[-1].plus(new))
    )
    assert os.listdir(staging / "attempts") == []
    return summary, total[-1]


def test_the_summary_describes_the_file(sources: Path, plan: Plan, tmp_path: Path) -> None:
    summary, total = written(tmp_path, sources, plan)
    path = tmp_path / "dataset" / FILE
    assert os.listdir(path.parent) == [summary.file]
    assert (summary.bytes, summary.sha256) == (path.stat().st_size, sha256_file(str(path)))
    assert summary.bytes == summary.records * plan.layout.stride
    assert summary.records == NUM_ROWS - 1
    (bad,) = summary.quarantined
    assert (bad.row, bad.path, bad.reason) == (7, "i/7.png", "missing")
    assert summary.input_bytes == sum(path.stat().st_size for path in (sources / "i").iterdir())
    assert (total.rows, total.bad, total.input_bytes) == (NUM_ROWS, 1, summary.input_bytes)
    assert summary_from_json(json.loads(json.dumps(summary.to_json()))) == summary


@pytest.mark.parametrize(
    "limit",
    [
        -1.0,  # every disk is slow: all but the first files are read ahead by threads
        1000.0,  # none is
    ],
)
def test_slow_and_fast_disks_give_the_same_bytes(
    sources: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    expected, _ = written(tmp_path / "a", sources, plan)
    monkeypatch.setattr(module, "SLOW_READ_SECONDS", limit)
    summary, _ = written(tmp_path / "b", sources, plan)
    assert summary == expected


def test_the_slower_of_two_writers_drops_its_copy(
    sources: Path, plan: Plan, tmp_path: Path
) -> None:
    first, _ = written(tmp_path, sources, plan)
    before = os.stat(tmp_path / "dataset" / FILE)
    job = ShardJob(
        root=str(sources),
        staging=str(tmp_path),
        num_labels=2,
        image=ImageOptions(crop=None, size=(12, 8)),
    )
    assert write_shard(job, plan.shard("train", 0), lambda progress: None) == first
    assert os.stat(tmp_path / "dataset" / FILE).st_ino == before.st_ino
    assert os.listdir(tmp_path / "attempts") == []


@pytest.mark.parametrize("limit", [-1.0, 1000.0])
def test_a_disk_that_fails_leaves_nothing(
    sources: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    real = SourceReader.read

    def fail(self: SourceReader, path: str) -> Any:
        if path == "i/99.png":
            raise TryAgainError("the disk failed")
        return real(self, path)

    monkeypatch.setattr(module, "SLOW_READ_SECONDS", limit)
    monkeypatch.setattr(SourceReader, "read", fail)
    with pytest.raises(TryAgainError):
        written(tmp_path, sources, plan)
    assert os.listdir(tmp_path / "attempts") == os.listdir(tmp_path / "dataset") == []


def test_slow_files_are_read_side_by_side(
    sources: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No read returns before others have begun: one after the other, they would wait for ever."""
    real, trial = SourceReader.read, module._TRIAL_FILES
    # So many are asked for before the first is waited for; each later one waits for an earlier one.
    at_once = trial + module._AHEAD_FILES
    together = threading.Barrier(4, timeout=PATIENCE)
    started: list[str] = []
    count = itertools.count(1)

    def read(self: SourceReader, path: str) -> bytes:
        started.append(path)
        if trial < next(count) <= at_once:
            together.wait()
        return real(self, path)

    expected, _ = written(tmp_path / "a", sources, plan)
    monkeypatch.setattr(module, "SLOW_READ_SECONDS", -1.0)
    monkeypatch.setattr(SourceReader, "read", read)
    summary, _ = written(tmp_path / "b", sources, plan)
    assert summary == expected
    assert sorted(started) == sorted(plan.shard("train", 0).paths)


@pytest.mark.parametrize(
    ("slow", "threaded"),
    [
        ({3, 9, 11}, False),  # the core had something else to do
        ({3, 4, 9, 11}, True),
    ],
)
def test_some_slow_files_are_no_slow_disk(
    sources: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, slow: set[int], threaded: bool
) -> None:
    """Whether a file is slow is told by a clock that only slow files advance."""
    clock, calls, real = [0.0], [0], SourceReader.read
    threads = set()

    def read(self: SourceReader, path: str) -> bytes:
        clock[0] += calls[0] in slow
        calls[0] += 1
        threads.add(threading.current_thread().name)
        return real(self, path)

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(SourceReader, "read", read)
    paths = plan.shard("train", 0).paths
    assert len(list(module.SourceStream(SourceReader(str(sources)), paths))) == NUM_ROWS
    assert (len(threads) > 1) == threaded


def test_a_disk_that_becomes_fast_is_noticed(
    sources: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_READ_SECONDS", -1.0)
    monkeypatch.setattr(module, "_AHEAD_RUN", 20)
    real, main, threads = SourceReader.read, threading.current_thread(), []

    def read(self: SourceReader, path: str) -> bytes:
        threads.append(threading.current_thread() is main)
        return real(self, path)

    monkeypatch.setattr(SourceReader, "read", read)
    paths = plan.shard("train", 0).paths
    assert len(list(module.SourceStream(SourceReader(str(sources)), paths))) == NUM_ROWS
    expected = ([True] * module._TRIAL_FILES + [False] * 20) * 5
    assert threads == expected[:NUM_ROWS]


@pytest.mark.parametrize(("ahead_bytes", "most"), [(1, 2), (1 << 30, 2 * module.READ_THREADS)])
def test_large_files_are_not_piled_up(
    sources: Path,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    ahead_bytes: int,
    most: int,
) -> None:
    monkeypatch.setattr(module, "SLOW_READ_SECONDS", -1.0)
    monkeypatch.setattr(module, "_AHEAD_BYTES", ahead_bytes)
    real, given = SourceReader.read, []

    def read(self: SourceReader, path: str) -> bytes:
        given.append(path)
        return real(self, path)

    monkeypatch.setattr(SourceReader, "read", read)
    stream = module.SourceStream(SourceReader(str(sources)), plan.shard("train", 0).paths)
    for number, _ in enumerate(stream, 1):
        assert len(given) <= number + most
