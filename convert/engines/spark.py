"""The Spark engine: the shards of a conversion as tasks of a cluster, by the RDD API alone.

Spark may run a task again, twice at once, or lose it with its executor: a shard's writer is made
for that, see `convert.write.write_shard`. What is sent and kept is a few shards' rows a core.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from convert.command.signals import undone_by_signals
from convert.dataset.info import Shard
from convert.engines.spark_context import (
    explained,
    hadoop_settings,
    is_submitted,
    max_failures,
    require_spark,
    start_context,
)
from convert.engines.spark_task import Guarded, IntactTask, ShardTask, pack
from convert.errors import ShardfeedError
from convert.plan.shard_specs import ShardSpec
from convert.storage.places import use_settings
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.staging_key import library_versions
from convert.write.write_shard import ShardJob

if TYPE_CHECKING:
    from pyspark import SparkContext

# A job is a quarter of what the cluster does at once, and twice that is under way: whatever ends,
# the next job's tasks wait already, and one slow task holds up the news of few others.
_JOBS_AT_ONCE = 4
_ROUNDS = 2
_LEAST_SHARDS = 16  # under way at least: a cluster that grows by demand has two cores at first
_MAX_THREADS = 64  # more jobs than can be under way
_LOOK_SECONDS = 1.0  # how often the size of the cluster is looked at
_SHARDS_A_CHECK = 16


class SparkEngine:
    """Writes and checks shards on a cluster. A context manager that ends what it has started.

    Under `spark-submit` the cluster is joined at once, as YARN expects, else when it is needed.

    Args:
        master: Address of the cluster, or `local[N]`. None: that of `spark-submit`.

    Raises:
        UsageError: PySpark or Java is missing, or there is neither `spark-submit` nor `master`.
    """

    def __init__(self, master: str | None) -> None:
        require_spark(master)
        self._master = master
        self._context: SparkContext | None = None
        self._is_ours = False
        self._group = f"shardfeed-{uuid.uuid4().hex}"
        self._hadoop: tuple[tuple[str, str], ...] = ()

    def __enter__(self) -> Self:
        if is_submitted():
            self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None and self._is_ours:
            self._context.stop()
        self._context = None

    def write(
        self,
        job: ShardJob,
        specs: Iterable[ShardSpec],
        on_progress: Callable[[Progress], None],
    ) -> Iterator[ShardSummary]:
        """Writes shards on the executors.

        Args:
            job: What all shards share.
            specs: The shards to write; taken as the cluster gets on, a few for each core.
            on_progress: Called with the work that each finished shard took.

        Yields:
            Each shard's summary, in about the order in which they get done.

        Raises:
            TryAgainError: As the local engine, after the attempts that Spark is set to make; or
                Spark gave up.
            UsageError: The executors lack `shardfeed`, or have other libraries.
        """
        self._connect()
        task = ShardTask(job=replace(job, hadoop=self._hadoop), versions=library_versions())
        for summary, progress in self._results(task, map(pack, specs)):
            on_progress(progress)
            yield summary

    def intact(self, folder: str, shards: Sequence[Shard]) -> list[bool]:
        """Returns for each of some shards whether its files, in some folder, are intact.

        Raises:
            TryAgainError: They cannot be read for a passing reason, or Spark gave up.
        """
        self._connect()
        waiting, found = iter(shards), {}
        slices = iter(lambda: list(islice(waiting, _SHARDS_A_CHECK)), [])
        for some in self._results(IntactTask(folder=folder, hadoop=self._hadoop), slices):
            found.update(some)
        return [found[shard.file] for shard in shards]

    def _connect(self) -> SparkContext:
        """Returns the context; an active one of somebody else's is used and left running."""
        if self._context is None:
            self._context, self._is_ours = start_context(self._master)
            self._hadoop = hadoop_settings(self._context)
            use_settings(self._hadoop)
        return self._context

    def _results(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yields what a task makes of each item, as jobs of several items end."""
        context = self._connect()
        with undone_by_signals(lambda: context.cancelJobGroup(self._group)):
            yield from self._results_of(context, task, items)

    def _results_of(
        self, context: SparkContext, task: Callable[[Any], Any], items: Iterable[Any]
    ) -> Iterator[Any]:
        """Yields the results of jobs; those that still run at the end are cancelled."""
        guarded = Guarded(task=task, max_failures=max_failures(context))
        waiting, running = iter(items), dict[Future[list[Any]], int]()
        pool = ThreadPoolExecutor(_MAX_THREADS, "spark")
        try:
            while True:
                cores = context.defaultParallelism
                limit = max(_LEAST_SHARDS, _ROUNDS * cores)
                size = max(1, cores // _JOBS_AT_ONCE)
                while sum(running.values()) < limit and (some := list(islice(waiting, size))):
                    running[pool.submit(self._run, context, guarded, some)] = len(some)
                if not running:
                    return
                for future in wait(running, _LOOK_SECONDS, FIRST_COMPLETED).done:
                    del running[future]
                    yield from map(_value, future.result())
        finally:
            if running:
                with contextlib.suppress(Exception):  # Spark may be dead; another error tells
                    context.cancelJobGroup(self._group)
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, context: SparkContext, task: Guarded, items: list[Any]) -> list[Any]:
        """Runs one job."""
        try:
            context.setJobGroup(self._group, "convert", interruptOnCancel=True)
            return context.parallelize(items, len(items)).map(task).collect()
        except Exception as error:
            raise explained(error) from error


def _value(result: Any) -> Any:
    """Returns a task's result; an error that came as a value is raised."""
    if isinstance(result, ShardfeedError):
        raise result
    return result
