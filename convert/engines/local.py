"""The local engine: worker processes that write shards.

A shard whose worker died is written again. If the row that the worker was at also ends fresh
processes that do nothing else, it is left out as `worker_died`, and costs no more than itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from convert.config import Box, usable_cores
from convert.dataset.info import Shard
from convert.engines.process_pool import MAX_DEATHS, OUT_OF_MEMORY, ProcessPool, start_process
from convert.errors import ImageError, ShardfeedError
from convert.images import render
from convert.os_errors import failure
from convert.plan.shard_specs import ShardSpec
from convert.storage.places import use_settings
from convert.write.shard_summary import Progress, ShardSummary
from convert.write.staging import is_intact
from convert.write.write_shard import ShardJob, write_shard


class LocalEngine:
    """Writes shards in worker processes of this machine.

    Args:
        num_workers: Processes. At least 1.
    """

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers

    def write(
        self,
        job: ShardJob,
        specs: Iterable[ShardSpec],
        on_progress: Callable[[Progress], None],
    ) -> Iterator[ShardSummary]:
        """Writes shards; see `Engine`."""

        def spare(spec: ShardSpec, index: int) -> ShardSpec | None:
            end = _deadly_end(job, spec, index)
            return replace(spec, killers={**spec.killers, index: end}) if end else None

        def name(spec: ShardSpec) -> str:
            return f"{spec.file}: its worker"

        work = _ShardWork(job)
        return ProcessPool(work, self._num_workers, on_progress, name, spare).run(specs)

    def intact(self, folder: str, shards: Sequence[Shard]) -> list[bool]:
        """Returns for each of some shards whether it is whole; see `Engine`."""
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(partial(is_intact, folder), shards))


@dataclass(frozen=True, slots=True)
class _ShardWork:
    """Writes shards in a worker process."""

    job: ShardJob

    def __call__(
        self,
        spec: ShardSpec,
        report: Callable[[Progress], None],
        on_row: Callable[[int], None],
    ) -> ShardSummary:
        use_settings(self.job.hadoop)
        try:
            return write_shard(self.job, spec, report, on_row)
        except OSError as error:
            again = "run the same command again: it goes on"
            raise failure(error, f"{spec.file}: cannot be written", again) from error


def _deadly_end(job: ShardJob, spec: ShardSpec, index: int) -> str:
    """Returns how fresh processes end that decode only one row; empty if one survives."""
    box = None if spec.boxes is None else spec.boxes[index]
    for _ in range(MAX_DEATHS):
        # Of the shard no more than the row: what does not fit into a pipe would be waited for, with
        # signals put off, though the process may have been killed before it reads.
        process = start_process(_try_row, job, spec.paths[index], box)
        try:
            process.join()
        finally:
            process.terminate()  # of use only if we are being stopped
        if process.exitcode == 0:
            return ""
    return f"decoding it ended {MAX_DEATHS} fresh processes, {_how_it_ended(process.exitcode)}"


def _try_row(job: ShardJob, path: str, box: Box | None) -> None:
    """Reads and decodes one row of a shard and forgets it: does this end the process?"""
    use_settings(job.hadoop)
    try:
        render(job.source_reader().read(path), job.image, box)
    except (ImageError, ShardfeedError):
        return  # bad, but harmless


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code == OUT_OF_MEMORY:
        return "for want of memory"
    if exit_code is not None and exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"
