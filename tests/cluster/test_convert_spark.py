"""The Spark engine writes the bytes of the local one, whatever happens to its executors."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from convert_cases import command, convert, digests, draw_sources, options_of, plan_of, png
from fault_cases import quarantine, wait_for, words_of
from fault_injection import DEADLY, FAILING, FULL, HELD, faulty
from hadoop import Hadoop
from hadoop_conf import NAMESERVICE

from convert.engines.spark import SparkEngine
from convert.engines.spark_task import ShardTask, pack
from convert.errors import TryAgainError, UsageError
from convert.images import ImageOptions
from convert.job import convert_dataset
from convert.job.start_to_end import ConvertResult
from convert.storage.hdfs.connections import HdfsConnections
from convert.storage.hdfs.settings import read_settings
from convert.storage.places import filesystem_of
from convert.write.write_shard import ShardJob

NUM_ROWS = 40
OPTIONS: dict[str, Any] = {"shard_bytes": 369 * 6, "max_bad_fraction": 0.2}


@pytest.fixture
def told(spark: SimpleNamespace) -> Path:
    """A folder where executors tell that they have met an image of a bad size."""
    for path in spark.told.iterdir():
        path.unlink()
    return spark.told


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder of sources."""
    draw_sources(tmp_path, NUM_ROWS)
    return tmp_path


def on_spark(base: Path, dataset: Path | str, **more: Any) -> ConvertResult:
    """Converts on the cluster that runs already."""
    options = options_of(base / "m.csv", dataset, **{**OPTIONS, **more})
    return convert_dataset(replace(options, engine="spark", workers=None))


def resize(base: Path, *rows: tuple[int, tuple[int, int]]) -> None:
    """Gives the images of some rows other sizes."""
    for row, size in rows:
        (base / f"i/{row}.png").write_bytes(png(size, seed=row))


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_same_bytes_as_the_local_engine(spark, base: Path, encoding: str) -> None:
    (base / "i/7.png").unlink()
    (base / "i/8.png").write_bytes(b"no image")
    here = convert(base / "m.csv", base / "local", encoding=encoding, **OPTIONS)
    there = on_spark(base, base / "spark", encoding=encoding)
    assert digests(base / "spark") == digests(base / "local")
    assert there.info == here.info
    assert (there.rows, there.records, there.quarantined) == (40, 38, 2)
    assert (there.work.rows, there.work.bad) == (here.work.rows, here.work.bad) == (40, 2)
    assert there.work.input_bytes == here.work.input_bytes
    assert there.work.decode_seconds > 0
    assert sorted(os.listdir(base)) == ["i", "local", "m.csv", "spark"]


def test_executors_know_what_is_allowed_and_find_other_spellings(
    spark, base: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for row in (3, 4):
        (base / f"i/{row}.png").rename(elsewhere / str(row))
        (base / f"i/{row}.png").symlink_to(elsewhere / str(row))
    manifest = (base / "m.csv").read_text().replace("i/5.png", "i\\5.png")
    (base / "m.csv").write_text(manifest)
    monkeypatch.chdir(elsewhere.parent)  # executors work in a folder of their own
    result = on_spark(base, base / "spark", allow=(elsewhere.name,))
    assert result.quarantined == 0
    assert result.sources.oddities["spelled_backslash"].path == "i\\5.png"
    assert on_spark(base, base / "fenced").quarantined == 2


@contextlib.contextmanager
def struck(told: Path, victim: str) -> Iterator[None]:
    """Kills a process of an executor while it is in the middle of a shard."""

    def strike() -> None:
        wait_for(lambda: (told / "14").exists() and (told / "14").read_text())
        worker = int((told / "14").read_text())
        pids = {"worker": worker, "python": parent(worker), "executor": executor(worker)}
        os.kill(pids[victim], signal.SIGKILL)
        wait_for(lambda: not any(words_of(worker)))  # it does not outlive its parent
        done.append(victim)

    done: list[str] = []
    thread = threading.Thread(target=strike)
    thread.start()
    yield
    thread.join()
    assert done == [victim]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def executor(pid: int) -> int:
    """Returns the Java process that a worker works for."""
    while words_of(pid)[0].rpartition(b"/")[2] != b"java":
        pid = parent(pid)
    return pid


@pytest.mark.parametrize(
    "victim",
    [
        "executor",
        pytest.param("python", marks=pytest.mark.long),
        pytest.param("worker", marks=pytest.mark.long),
    ],
)
def test_a_process_is_killed_amid_a_shard(told: Path, base: Path, victim: str) -> None:
    resize(base, (5, HELD))
    convert(base / "m.csv", base / "local", **OPTIONS)
    with struck(told, victim):
        result = on_spark(base, base / "spark")
    assert digests(base / "spark") == digests(base / "local")
    assert result.quarantined == 0
    assert result.work.rows == NUM_ROWS  # what was lost is not counted


def test_a_first_attempt_that_fails(told: Path, base: Path) -> None:
    resize(base, (5, FAILING))
    convert(base / "m.csv", base / "local", **OPTIONS)
    assert on_spark(base, base / "spark").work.rows == NUM_ROWS
    assert (told / "15").exists()
    assert digests(base / "spark") == digests(base / "local")


def test_a_row_that_ends_every_process_costs_one_row(told: Path, base: Path) -> None:
    resize(base, (5, DEADLY))
    faults = faulty(base / "faults", f"stumble({str(base / 'faults')!r})")
    flags = ["--size", 12, 8, "--shard-bytes", 369 * 6, "--max-bad-fraction", 0.2]
    command("m.csv", "local", *flags, cwd=base, env=faults)
    on_spark(base, base / "spark")
    assert [reason for reason, _ in quarantine(base / "spark").values()] == ["worker_died"]
    assert digests(base / "spark") == digests(base / "local")


def test_the_error_of_all_attempts_is_one_line_and_a_resume_goes_on(told, base: Path) -> None:
    resize(base, (5, FULL))
    with pytest.raises(TryAgainError) as caught:
        on_spark(base, base / "spark", order="source")
    assert str(caught.value) == "the disk is full. Try again."
    assert sorted(os.listdir(base))[0].startswith(".spark.staging-")
    resize(base, (5, (12, 8)))
    staged = next(base.glob(".spark.staging-*/dataset"))
    damaged = next(path for path in staged.iterdir() if path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    result = on_spark(base, base / "spark", order="source")
    assert 0 < result.resumed_rows < NUM_ROWS
    convert(base / "m.csv", base / "local", order="source", **OPTIONS)
    assert digests(base / "spark") == digests(base / "local")


def test_on_hdfs_with_a_killed_executor_and_a_failing_attempt(
    spark: SimpleNamespace,
    told: Path,
    base: Path,
    hadoop: Hadoop,
    hdfs: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The executors know the name of the file system from the driver alone."""
    resize(base, (5, HELD), (25, FAILING))
    convert(base / "m.csv", base / "local", **OPTIONS)
    monkeypatch.setattr("convert.storage.places._HDFS", HdfsConnections())
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hadoop.conf_dir))
    settings = spark.context._jsc.hadoopConfiguration()
    for name, value in read_settings().items():
        settings.set(name, value)
    folder = hdfs.replace(hadoop.url, f"hdfs://{NAMESERVICE}")
    upload(base, folder)
    with struck(told, "executor"):
        options = options_of(f"{folder}/m.csv", f"{folder}/spark", **OPTIONS)
        convert_dataset(replace(options, engine="spark", workers=None))
    assert fetched(f"{folder}/spark", base / "fetched") == digests(base / "local")
    assert sorted(filesystem_of(folder).names(folder)) == ["i", "m.csv", "spark"]


def upload(base: Path, folder: str) -> None:
    """Copies the sources to HDFS."""
    files = filesystem_of(folder)
    files.make_folder(f"{folder}/i")
    for path in (base / "m.csv", *(base / "i").iterdir()):
        files.replace(f"{folder}/{path.relative_to(base)}", path.read_bytes())


def fetched(dataset: str, folder: Path) -> dict[str, str]:
    """Copies a dataset from HDFS; returns the digests of its files."""
    folder.mkdir()
    files = filesystem_of(dataset)
    for name in files.names(dataset):
        (folder / name).write_bytes(files.read(f"{dataset}/{name}"))
    return digests(folder)


# The engine alone


def job_of(base: Path) -> ShardJob:
    for folder in ("attempts", "dataset", "done"):
        (base / "staging" / folder).mkdir(parents=True)
    image = ImageOptions(crop=None, size=(12, 8))
    return ShardJob(root=str(base), staging=str(base / "staging"), num_labels=2, image=image)


def test_shards_are_planned_as_they_are_needed(spark: SimpleNamespace, base: Path) -> None:
    plan, job, asked = plan_of(base / "m.csv", shard_bytes=369), job_of(base), []

    def specs():
        for place in plan.files().values():
            asked.append(place)
            yield plan.shard(*place)

    done = 0
    with SparkEngine(None) as engine:
        for _ in engine.write(job, specs(), lambda progress: None):
            done += 1
            assert len(asked) <= done + 16
    assert done == len(asked) == NUM_ROWS


def test_two_attempts_at_once_leave_one_shard(spark: SimpleNamespace, base: Path) -> None:
    """As where Spark runs a slow task a second time: here both executors write each shard."""
    plan, job = plan_of(base / "m.csv", shard_bytes=369 * 20), job_of(base)
    specs = [plan.shard(*place) for place in plan.files().values() for _ in range(2)]
    with SparkEngine(None) as engine:
        summaries = list(engine.write(job, specs, lambda progress: None))
        assert len(summaries) == 2 * len(plan.files())
        assert all(engine.intact(f"{job.staging}/dataset", [s.shard for s in summaries]))
        assert not any(engine.intact(f"{job.staging}/done", [s.shard for s in summaries]))
    assert sorted(os.listdir(base / "staging/dataset")) == sorted(plan.files())
    assert os.listdir(base / "staging/attempts") == []


def test_a_writer_that_is_left_stops_its_jobs(
    told: Path, spark: SimpleNamespace, base: Path
) -> None:
    resize(base, (1, HELD))
    plan, job = plan_of(base / "m.csv", shard_bytes=369, order="source"), job_of(base)
    specs = (plan.shard(*place) for place in plan.files().values())
    with SparkEngine(None) as engine:
        for _ in engine.write(job, specs, lambda progress: None):
            if (told / "14").exists():
                break
    tracker = spark.context.statusTracker()
    wait_for(lambda: not tracker.getActiveJobsIds())
    assert spark.context.parallelize([1], 1).collect() == [1]  # it is not ours to stop


def test_other_libraries_on_an_executor_are_refused(spark: SimpleNamespace, base: Path) -> None:
    plan, job = plan_of(base / "m.csv"), job_of(base)
    task = ShardTask(job=job, versions=["0.0.1", None])
    with SparkEngine(None) as engine, pytest.raises(UsageError) as caught:
        list(engine._results(task, [pack(plan.shard("train", 0))]))
    assert "the driver with 0.0.1, None: the bytes would differ. Run both in" in str(caught.value)
