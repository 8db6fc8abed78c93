"""The engines that write shards: processes of this machine, or a Spark cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from convert.config import ConvertConfig
from convert.dataset.info import Shard
from convert.engines.local import LocalEngine
from convert.plan.shard_specs import ShardSpec
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.write_shard import ShardJob


class Engine(Protocol):
    """Writes and checks shards."""

    def write(
        self,
        job: ShardJob,
        specs: Iterable[ShardSpec],
        on_progress: Callable[[Progress], None],
    ) -> Iterator[ShardSummary]:
        """Writes shards.

        Args:
            job: What all shards share.
            specs: The shards to write; taken as they are needed.
            on_progress: Called with the work done since the last call.

        Yields:
            Each shard's summary, about in the order in which they get done.

        Raises:
            TryAgainError: A disk failed or is full, or workers died again and again.
        """

    def intact(self, folder: str, shards: Sequence[Shard]) -> list[bool]:
        """Returns for each of some shards in a folder whether its files are unchanged."""


def open_engine(config: ConvertConfig) -> AbstractContextManager[Engine]:
    """Returns the engine that was asked for; what it starts ends with the `with` block.

    Raises:
        UsageError: Spark was asked for, and it or Java is missing.
    """
    if config.engine == "spark":
        from convert.engines.spark import SparkEngine

        return SparkEngine(config.master)
    return nullcontext(LocalEngine(config.num_workers))
