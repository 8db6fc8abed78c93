"""What all tests share: the sample, one small dataset, and no silent skips in CI."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser import Browser, open_browser
from cache_cases import far_disk, many_shards  # noqa: F401
from convert_cases import convert_strips, write_manifest
from hadoop_fixtures import hadoop, hdfs  # noqa: F401
from hypothesis import settings
from remote_cases import store, there  # noqa: F401
from spark_cases import spark  # noqa: F401
from train_cases import train

# As the command does, before TensorFlow is loaded: runs in this process are compared with others.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# What finds new cases is welcome where somebody looks at it, and must not fail a landing at random.
is_landing = os.environ.get("CI") == "true"
settings.register_profile("shardfeed", derandomize=is_landing, deadline=None)  # nor by the clock
settings.load_profile("shardfeed")

# A shell's jobs in the background ignore Ctrl-C, and so would what the tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
CROP = ("--crop", "186", "0", "300", "30", "--size", "128", "32")


NEEDING_MORE = {"hadoop", "hdfs", "spark", "browser"}  # fixtures that start Java or Chromium


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leaves what needs Java or Chromium to `make test-all`; files with long tests come first.

    Else one worker would be left with them at the end, and the other with nothing.
    """
    for item in items:
        if NEEDING_MORE.intersection(item.fixturenames):
            item.add_marker("long")
    slow = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Importing JAX sets this for the commands that tests start, which choose it themselves."""
    os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where CI could have installed what a test needs, a skip is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "shared/data" not in reason:  # real images that are beside the checkout, or are not
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {reason}"


@pytest.fixture(scope="session", autouse=True)
def _quick_network() -> None:
    """Trainings are of a network whose graph is soon built; those of a real `train` are not."""
    import quick_network

    quick_network.install()


@pytest.fixture(scope="session")
def sample_rows() -> list[dict[str, str]]:
    with (SAMPLE / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def sample_files(sample_rows) -> list[str]:
    """The sample's first 30 images."""
    return [str(SAMPLE / row["path"]) for row in sample_rows[:30]]


@pytest.fixture(scope="session")
def small_manifest(tmp_path_factory, sample_rows) -> Path:
    """The first 120 strips of the sample, split by a column."""
    path = tmp_path_factory.mktemp("small") / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*sample_rows[0], "split"])
        writer.writeheader()
        for index, row in enumerate(sample_rows[:120]):
            writer.writerow({**row, "split": "train" if index < 90 else "validation"})
    return path


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory, small_manifest) -> Path:
    """90 records to train on in four shards, 30 to validate on."""
    path = tmp_path_factory.mktemp("small") / "strips"
    convert_strips(small_manifest, path, shard_bytes=25 * 12379)
    return path


@pytest.fixture(scope="session")
def forty_rows(tmp_path_factory, sample_rows) -> Path:
    """A manifest of the sample's first 40 rows."""
    rows = [list(row.values()) for row in sample_rows[:40]]
    return write_manifest(tmp_path_factory.mktemp("forty") / "m.csv", list(sample_rows[0]), rows)


@pytest.fixture(scope="session")
def encoded_datasets(forty_rows, tmp_path_factory) -> dict[str, Path]:
    """The same 40 rows in each encoding, in several shards."""
    folder = tmp_path_factory.mktemp("encoded")
    for encoding in ("raw", "png", "jpeg"):
        convert_strips(forty_rows, folder / encoding, encoding=encoding, shard_bytes=150_000)
    return {path.name: path for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="session")
def run(small_dataset, tmp_path_factory):
    """A short run: too short to learn, long enough to leave everything behind."""
    path = tmp_path_factory.mktemp("run") / "run"
    flags = ("--epochs", 2, "--batch-size", 16, "--model", "cnn", "--width", 0.125)
    code, stdout, stderr = train(small_dataset, *flags, "--run", path, "--json")
    assert code == 0, stderr
    return path, json.loads(stdout[-1]), stderr


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory, small_manifest) -> Path:
    """The small dataset with a quarter of its pixels."""
    path = tmp_path_factory.mktemp("tiny") / "strips"
    convert_strips(small_manifest, path, size=(64, 16), shard_bytes=100_000)
    return path


@pytest.fixture(scope="session")
def whole_run(tiny_dataset, tmp_path_factory) -> Path:
    """A run that nothing interrupted, for comparison with others; see `resume_cases`."""
    from resume_cases import FLAGS

    from train.config import TrainConfig
    from train.training.start import train_model

    path = tmp_path_factory.mktemp("whole") / "run"
    train_model(TrainConfig(dataset=str(tiny_dataset), run=str(path), **FLAGS))
    return path


@pytest.fixture(scope="session")
def untrained_run(tiny_dataset, tmp_path_factory):
    """A run on the tiny dataset whose network has random weights; see `reading_cases`."""
    from reading_cases import untrained_run

    return untrained_run(tmp_path_factory.mktemp("untrained") / "run", tiny_dataset)


@pytest.fixture(scope="session")
def one_model():
    from resume_cases import OneModel

    return OneModel()


@pytest.fixture
def cached_model(monkeypatch, one_model) -> None:
    """Runs of this test share one model, for the tiny dataset and the flags of `resume_cases`."""
    from train.training.job import Job

    monkeypatch.setattr(Job, "model", lambda job: one_model(job))


@pytest.fixture
def counting_clock(monkeypatch) -> None:
    """Makes checkpoints due after a number of steps, not of minutes."""
    from train.training.callbacks import checkpointing as keeper

    ticks = count()
    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, shared by all tests; each opens its own page."""
    with open_browser() as browser:
        yield browser
