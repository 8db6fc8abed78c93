"""Spark as the launcher: one task of a barrier stage on each host starts one process.

Spark runs a barrier stage again as a whole where one of its tasks fails, unless it is the last of
its job: so a shuffle stands behind it.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from convert.command.printed import without_controls
from convert.command.signals import undone_by_signals
from convert.engines.spark_context import (
    cause,
    explained,
    hadoop_settings,
    is_submitted,
    require_spark,
    start_context,
)
from convert.storage.places import is_remote
from train.errors import ShardfeedError, TryAgainError, UsageError
from train.hosts.lines import LineServer
from train.hosts.spark_task import Trained, TrainerTask, is_begun

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext

# Spark looks every 15 s, 40 times, whether all tasks of the stage have a place: ten minutes.
_LOOKS = "spark.scheduler.barrier.maxConcurrentTasksCheck"
_DYNAMIC = "spark.dynamicAllocation.enabled"


def train_on_spark(
    words: Sequence[str],
    resume: Sequence[str],
    run: str,
    datasets: Sequence[str],
    num_hosts: int,
    master: str | None,
) -> Trained:
    """Trains one run on several hosts of a Spark cluster.

    Args:
        words: Words of `train` that begin.
        resume: Its words that go on.
        run: The run: an address that all hosts reach.
        datasets: The datasets, too.
        num_hosts: Processes. At least 1.
        master: Address of the cluster, or `local[N]`. None: that of `spark-submit`.

    Returns:
        The end of the process that failed first by its number, or of the first one.

    Raises:
        UsageError: Spark or what it needs is missing, or set so that hosts cannot train together.
        TryAgainError: Spark gave up, or has no room for all of them.
    """
    require_spark(master)
    context, is_ours = start_context(master, partial(prepare, master))
    try:
        require_fitting(context, [run, *datasets])
        hadoop = hadoop_settings(context)
        if words != resume and is_begun(run, hadoop):
            raise UsageError(f"{run}: exists already. Name a new folder with --run, or resume it.")
        host = context.getConf().get("spark.driver.host") or "localhost"
        bind = context.getConf().get("spark.driver.bindAddress") or host
        with LineServer(host, bind, _print) as server:
            task = TrainerTask(
                words=tuple(words),
                resume=tuple(resume),
                run=run,
                hadoop=hadoop,
                lines=server.address,
            )
            try:
                ended = _run(context, task, num_hosts)
            except Exception as error:
                raise told_of(error, context, num_hosts, resume) from error
    finally:
        if is_ours:
            context.stop()
    return min(ended, key=lambda one: (one.code == 0, one.rank))


def prepare(master: str | None, conf: SparkConf) -> None:
    """Completes the settings of a cluster that this process joins."""
    if not is_submitted():
        conf.set("spark.app.name", "train")
    if re.match(r"local(\[|$)", master or conf.get("spark.master") or ""):  # it does not grow
        conf.setIfMissing(f"{_LOOKS}.maxFailures", "1")
    conf.setIfMissing(f"{_LOOKS}.interval", "5s")
    conf.setIfMissing(f"{_LOOKS}.maxFailures", "24")
    cores = conf.get("spark.executor.cores")
    if cores is not None:  # one task fills an executor
        conf.setIfMissing("spark.task.cpus", cores)


def require_fitting(context: SparkContext, addresses: Sequence[str]) -> None:
    """Raises `UsageError` where hosts cannot train together."""
    if context.getConf().get(_DYNAMIC) == "true":
        raise UsageError(
            f"--engine spark: {_DYNAMIC} is true, and with it Spark does not run all hosts of a "
            f"training at once. Set it: --conf {_DYNAMIC}=false --num-executors N."
        )
    for address in addresses:
        if not is_remote(address) and not _is_local(context):
            raise UsageError(
                f"{address}: not all hosts of {context.master} reach it: with --engine spark run "
                "and datasets are at hdfs://... addresses."
            )


def _run(context: SparkContext, task: TrainerTask, num_hosts: int) -> list[Trained]:
    """Runs the job; a signal cancels it."""
    group = f"shardfeed-{uuid.uuid4().hex}"

    def job() -> list[Trained]:
        context.setJobGroup(group, "train", interruptOnCancel=True)
        stage = context.parallelize(range(num_hosts), num_hosts).barrier().mapPartitions(task)
        return stage.map(lambda ended: (ended.rank, ended)).partitionBy(1).values().collect()

    with (
        undone_by_signals(lambda: context.cancelJobGroup(group)),
        ThreadPoolExecutor(1, "spark") as pool,
    ):
        return pool.submit(job).result()


def told_of(
    error: Exception, context: SparkContext, num_hosts: int, resume: Sequence[str]
) -> ShardfeedError:
    """Translates an error of the job into one of ours."""
    if "SPARK-24819" in str(error):
        room = f"Spark has no room for {num_hosts} tasks at once, one for each of --num-hosts. Ask "
        if _is_local(context):
            return UsageError(f"{room}for fewer hosts, or for more of them in --master.")
        return TryAgainError(
            f"{room}for as many executors (--num-executors), or for fewer hosts, or try again when "
            "the cluster is less busy."
        )
    told = explained(error, "train")
    if isinstance(told, UsageError):
        return told
    why = cause(str(error)).rpartition("TryAgainError: ")[2]
    again = " ".join(["train", *resume, "--engine spark --num-hosts", str(num_hosts)])
    return TryAgainError(f"Spark gave up: {why}. Go on from the last checkpoint: `{again}`.")


def _is_local(context: SparkContext) -> bool:
    return (context.master or "").startswith("local")


def _print(line: str) -> None:
    print(without_controls(line), file=sys.stderr, flush=True)
