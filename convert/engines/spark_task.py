"""What an executor of Spark runs: one shard, or a look at finished ones.

A shard is written by the local engine with one worker process, for two reasons. A row that ends
the process which decodes it must not end Spark's own, or Spark would give the whole job up. And
Spark's Python processes are forked, which no client of HDFS survives.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import socket
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from convert.dataset.info import Shard
from convert.engines.local import LocalEngine
from convert.errors import ShardfeedError, TryAgainError, UsageError
from convert.plan.shard_specs import ShardSpec
from convert.storage.places import use_settings
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.staging import is_intact
from convert.write.staging_key import library_versions
from convert.write.write_shard import ShardJob


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """Writes shards; each comes from `pack`.

    Attributes:
        job: What all shards share.
        versions: Of the libraries that make the pixels, on the driver.
    """

    job: ShardJob
    versions: list[str | None]

    def __call__(self, packed: bytes) -> tuple[ShardSummary, Progress]:
        """Writes a shard; returns its summary and all the work that it took.

        Raises:
            UsageError: Other libraries are installed here: the bytes would be others.
            TryAgainError: As the local engine.
        """
        ours = library_versions()
        if ours != self.versions:
            raise UsageError(
                f"executor {socket.gethostname()}: makes images with {_listed(ours)}, the driver "
                f"with {_listed(self.versions)}: the bytes would differ. "
                "Run both in one packed environment: python -m convert.pack."
            )
        spec = pickle.loads(zlib.decompress(packed))
        try:
            return _writer_of(self.job).write(spec)
        except ShardfeedError:
            _writer_of.cache_clear()  # its worker is stopped
            raise


def _listed(versions: list[str | None]) -> str:
    return ", ".join(map(str, versions))


def pack(spec: ShardSpec) -> bytes:
    """Returns a shard's rows as bytes: a fifth of what Spark would send and keep otherwise."""
    return zlib.compress(pickle.dumps(spec), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntactTask:
    """Finds the finished shards that are intact.

    Attributes:
        folder: Where they are.
        hadoop: Settings that go before those of this machine.
    """

    folder: str
    hadoop: tuple[tuple[str, str], ...]

    def __call__(self, shards: Sequence[Shard]) -> dict[str, bool]:
        """Returns {file: whether it is intact}."""
        use_settings(self.hadoop)
        return {shard.file: is_intact(self.folder, shard) for shard in shards}


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """Calls a task on an executor; an error that Spark shall not try again becomes a value.

    Attributes:
        task: Takes one item.
        max_failures: Attempts that Spark makes.
    """

    task: Callable[[Any], Any]
    max_failures: int

    def __call__(self, item: Any) -> Any:
        """Runs the task and returns its result, or the error that it raised.

        Raises:
            TryAgainError: It failed, and another attempt may succeed, perhaps elsewhere.
        """
        from pyspark import TaskContext

        try:
            return self.task(item)
        except TryAgainError as error:
            context = TaskContext.get()
            if context is not None and context.attemptNumber() + 1 < self.max_failures:
                raise
            return error
        except ShardfeedError as error:
            return error


class _ShardWriter:
    """The local engine with one worker, which stays from one shard to the next."""

    def __init__(self, job: ShardJob) -> None:
        self._specs: deque[ShardSpec] = deque()
        self._progress = Progress()
        self._summaries = LocalEngine(1).write(job, iter(self._specs.popleft, None), self._count)

    def write(self, spec: ShardSpec) -> tuple[ShardSummary, Progress]:
        self._specs.append(spec)
        self._progress = Progress()
        with _no_main_module():
            return next(self._summaries), self._progress

    def _count(self, progress: Progress) -> None:
        self._progress = self._progress.plus(progress)


@functools.lru_cache(maxsize=1)
def _writer_of(job: ShardJob) -> _ShardWriter:
    """Returns this process's writer, made anew for another job.

    Spark calls each task of a process with nothing of the one before, and one at a time; a new
    worker for each shard would take a second to start.
    """
    return _ShardWriter(job)


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Spares worker processes the import of the main module.

    Theirs would be PySpark's, out of a zip file without compiled code: over a second each.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
