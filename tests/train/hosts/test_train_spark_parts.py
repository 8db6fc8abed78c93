"""What Spark is asked for, what a task starts, and what Spark's errors mean; without Spark."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from train.errors import ShardfeedError, TryAgainError, UsageError
from train.hosts import spark_task
from train.hosts.lines import LineAddress
from train.hosts.place import Place, place_of
from train.hosts.spark import prepare, require_fitting, told_of
from train.hosts.spark_task import Trained, TrainerTask

HDFS = "hdfs://namenode:8020/runs/x"


class Conf(dict[str, str]):
    """A `SparkConf`."""

    def set(self, name: str, value: str) -> None:
        self[name] = value

    setIfMissing = dict.setdefault  # noqa: N815  # PySpark's name


def context(master: str, **settings: str) -> Any:
    return SimpleNamespace(master=master, getConf=lambda: settings)


@pytest.mark.parametrize(
    ("master", "settings", "expected"),
    [
        ("local[1]", {}, {"maxFailures": "1", "interval": "5s"}),
        ("local-cluster[2,1,1024]", {}, {"maxFailures": "24", "interval": "5s"}),
        (None, {"spark.master": "yarn"}, {"maxFailures": "24", "interval": "5s"}),
        (
            "spark://h:7077",
            {"spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3"},
            {"maxFailures": "3", "interval": "5s"},
        ),
    ],
)
def test_too_few_executors_are_told_soon(master, settings, expected) -> None:
    conf = Conf(settings)
    prepare(master, conf)
    name = "spark.scheduler.barrier.maxConcurrentTasksCheck"
    assert {key: conf[f"{name}.{key}"] for key in expected} == expected


def test_one_task_fills_an_executor() -> None:
    conf = Conf({"spark.executor.cores": "8"})
    prepare("yarn", conf)
    assert conf["spark.task.cpus"] == "8"


def test_dynamic_allocation_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        require_fitting(context("yarn", **{"spark.dynamicAllocation.enabled": "true"}), [HDFS])
    assert str(caught.value) == (
        "--engine spark: spark.dynamicAllocation.enabled is true, and with it Spark does not run "
        "all hosts of a training at once. Set it: --conf spark.dynamicAllocation.enabled=false "
        "--num-executors N."
    )


def test_all_hosts_must_reach_it() -> None:
    require_fitting(context("local-cluster[2,1,1024]"), ["/runs/x"])
    require_fitting(context("yarn"), [HDFS])
    with pytest.raises(UsageError, match="/runs/x: not all hosts of yarn reach it"):
        require_fitting(context("yarn"), [HDFS, "/runs/x"])


SLOTS = "org.apache.spark.SparkException: [SPARK-24819]: Barrier execution mode does not allow ..."
FAILED = (
    "ShuffleMapStage 0 has failed the maximum allowable number of times: 4. Most recent failure "
    "reason:\nTraceback (most recent call last):\n  File x\n"
    "convert.errors.TryAgainError: rank 0 ended with exit code 75.\n\tat org.apache"
)


@pytest.mark.parametrize(
    ("error", "master", "kind", "message"),
    [
        (SLOTS, "local[1]", UsageError, "Spark has no room for 2 tasks at once"),
        (SLOTS, "yarn", TryAgainError, "Spark has no room for 2 tasks at once"),
        (
            FAILED,
            "yarn",
            TryAgainError,
            "Spark gave up: rank 0 ended with exit code 75. Go on from the last checkpoint: "
            f"`train resume {HDFS} --engine spark --num-hosts 2`.",
        ),
        (
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'train'",
            "yarn",
            UsageError,
            "an executor lacks what it needs: ModuleNotFoundError: No module named 'train'. Pack "
            "the environment and submit with it: python -m convert.pack --with train.",
        ),
    ],
)
def test_what_errors_mean(error: str, master: str, kind: type, message: str) -> None:
    told: ShardfeedError = told_of(Exception(error), context(master), 2, ["resume", HDFS])
    assert type(told) is kind
    assert str(told).startswith(message)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the task of rank 1 of 2 and returns what it was to start, and what it yielded."""
    started = SimpleNamespace(code=0, gpus=[], words=None, environment=None, settings=None)

    def train(words: tuple[str, ...], environment: dict[str, str], rank: int, _: Any) -> Trained:
        started.words, started.environment = words, environment
        if "HADOOP_CONF_DIR" in environment:
            root = ElementTree.parse(f"{environment['HADOOP_CONF_DIR']}/core-site.xml").getroot()
            pairs = (entry.findall("*") for entry in root.iter("property"))
            started.settings = {name.text: value.text for name, value in pairs}
        return Trained(rank=rank, code=started.code, stdout="{}\n")

    def run(rank: int = 1, hadoop: tuple[tuple[str, str], ...] = ()) -> list[Trained]:
        def gather(told: str) -> list[str]:
            started.port = json.loads(told)[0]
            begun = (tmp_path / "run/config.json").exists()
            return [json.dumps([7001, begun]) if rank else told, "[7002, false]"]

        infos = [SimpleNamespace(address=f"host{number}:45") for number in range(2)]
        resources = {"gpu": SimpleNamespace(addresses=started.gpus)} if started.gpus else {}
        barrier = SimpleNamespace(
            partitionId=lambda: rank,
            getTaskInfos=lambda: infos,
            allGather=gather,
            resources=lambda: resources,
        )
        monkeypatch.setattr("pyspark.BarrierTaskContext.get", lambda: barrier)
        words = ("fit", "strips"), ("resume", "run")
        address = LineAddress(host="127.0.0.1", port=9, secret="x")
        one = TrainerTask(
            words=words[0], resume=words[1], run=str(tmp_path / "run"), hadoop=hadoop, lines=address
        )
        return list(one(iter([rank])))

    monkeypatch.setattr(spark_task, "_train", train)
    monkeypatch.setattr(spark_task, "LineSender", lambda address: nullcontext())
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    started.run = run
    return started


def test_a_task_tells_its_process_the_place(task: Any) -> None:
    assert task.run() == [Trained(rank=1, code=0, stdout="{}\n")]
    assert task.words == ("fit", "strips")
    place = Place(coordinator="host0:7001", rank=1, size=2, launcher="Spark")
    assert place_of(task.environment) == place
    assert task.environment["KERAS_BACKEND"] == "jax"
    assert task.environment.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
    task.run(rank=0)
    assert place_of(task.environment).coordinator == f"host0:{task.port}"


def test_a_task_uses_the_gpus_that_spark_gives_it(task: Any) -> None:
    task.gpus = ["2", "5"]
    task.run()
    assert task.environment["CUDA_VISIBLE_DEVICES"] == "2,5"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_later_attempt_resumes(task: Any, tmp_path: Path, rank: int) -> None:
    (tmp_path / "run").mkdir()
    task.run(rank)
    assert task.words == ("fit", "strips")
    (tmp_path / "run/config.json").touch()
    task.run(rank)
    assert task.words == ("resume", "run")


def test_a_process_has_the_drivers_settings_of_hdfs(task: Any) -> None:
    task.run(hadoop=(("fs.defaultFS", "hdfs://n&m:1"),))
    assert task.settings == {"fs.defaultFS": "hdfs://n&m:1"}
    assert not os.path.exists(task.environment["HADOOP_CONF_DIR"])


@pytest.mark.parametrize("code", [75, 130, 143])
def test_what_may_pass_has_spark_try_again(task: Any, code: int) -> None:
    task.code = code
    with pytest.raises(TryAgainError, match=f"rank 1 ended with exit code {code}"):
        task.run()


@pytest.mark.parametrize("code", [1, 2])
def test_what_stays_is_a_result(task: Any, code: int) -> None:
    task.code = code
    assert [ended.code for ended in task.run()] == [code]
